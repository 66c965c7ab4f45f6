//! Binary floating point in software, bit for bit as Intel processors do it.
//!
//! Every format is unpacked into [`Num`] (class, sign, exponent, 64-bit significand with the integer bit at the
//! top), computed with a 128-bit significand whose last bit is sticky, and rounded once by [`round`]. What
//! differs between the x87 and SSE units (which NaN survives, denormals as zeroes, flush to zero, wrapped
//! exponents for unmasked overflow) is in [`Env`], the environment that one instruction computes in.
//!
//! Sources: SDM vol. 1, chapters 4, 8 and 11, appendix D; what they leave open was measured on Intel processors
//! and is held by the tests that compare with the host's own units.

mod arith;
mod compare;
mod convert;
mod round;
pub mod transcendental;

pub use arith::{Rem, add, div, fprem, mul, scale, sqrt, sub};
pub use compare::{Order, compare};
pub use convert::{from_bcd, from_i64, round_to_integral, to_bcd, to_int};
pub use round::{F32, F64, Format, Wide, convert, convert_num, finish};

/// Exception flags, at their places in the x87 status word and MXCSR; [`UP`] is C1 when a result was rounded away
/// from zero.
pub const IE: u16 = 1 << 0;
pub const DE: u16 = 1 << 1;
pub const ZE: u16 = 1 << 2;
pub const OE: u16 = 1 << 3;
pub const UE: u16 = 1 << 4;
pub const PE: u16 = 1 << 5;
pub const UP: u16 = 1 << 9;

/// Double extended precision: explicit integer bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct F80 {
    pub m: u64,
    /// Sign in bit 15, biased exponent below.
    pub se: u16,
}

impl F80 {
    pub const ZERO: Self = Self { m: 0, se: 0 };
    pub const ONE: Self = Self { m: 1 << 63, se: 0x3fff };
    /// The QNaN that stands for a masked invalid operation.
    pub const INDEFINITE: Self = Self { m: 0xc000_0000_0000_0000, se: 0xffff };

    pub fn to_bytes(self) -> [u8; 10] {
        let mut b = [0; 10];
        b[..8].copy_from_slice(&self.m.to_le_bytes());
        b[8..].copy_from_slice(&self.se.to_le_bytes());
        b
    }

    pub fn from_bytes(b: [u8; 10]) -> Self {
        let [m @ .., s0, s1] = b;
        Self { m: u64::from_le_bytes(m), se: u16::from_le_bytes([s0, s1]) }
    }

    pub const fn neg(self) -> bool {
        self.se >> 15 != 0
    }

    pub const fn negated(self) -> Self {
        Self { m: self.m, se: self.se ^ 0x8000 }
    }

    /// A finite number with its integer bit set and an exponent in the normal range.
    #[inline(always)]
    pub const fn is_normal(self) -> bool {
        // Exponent 1..=7FFEh: subtracting one sends 0 to the top.
        (self.se & 0x7fff).wrapping_sub(1) < 0x7ffe && self.m >> 63 != 0
    }

    #[inline(always)]
    pub fn unpack(self) -> Num {
        let neg = self.neg();
        let e = self.se & 0x7fff;
        if self.is_normal() {
            return Num { kind: Kind::Finite, neg, denormal: false, exp: i32::from(e) - 16383, sig: self.m };
        }
        self.unpack_special(neg, e)
    }

    #[cold]
    fn unpack_special(self, neg: bool, e: u16) -> Num {
        let kind = match (e, self.m) {
            (0, 0) => Kind::Zero,
            (0, m) => {
                // A denormal or pseudo-denormal: exponent field 0 means the same as 1.
                let lz = m.leading_zeros();
                return Num {
                    kind: Kind::Finite,
                    neg,
                    denormal: true,
                    exp: -16382 - lz as i32,
                    sig: m << lz,
                };
            }
            (0x7fff, 0x8000_0000_0000_0000) => Kind::Inf,
            (0x7fff, m) if m >> 62 == 3 => Kind::QNaN,
            (0x7fff, m) if m >> 62 == 2 => Kind::SNaN,
            // Unnormals, pseudo-infinities and pseudo-NaNs: not supported since the 387.
            _ => Kind::Unsupported,
        };
        Num { kind, neg, denormal: false, exp: 0, sig: self.m }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Zero,
    Finite,
    Inf,
    QNaN,
    SNaN,
    Unsupported,
}

/// A number of any format. Finite: `sig / 2^63 * 2^exp` with the top bit of `sig` set. NaN: the fraction is left
/// justified under the (set) top bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Num {
    pub kind: Kind,
    pub neg: bool,
    pub denormal: bool,
    pub exp: i32,
    pub sig: u64,
}

impl Num {
    pub const fn zero(neg: bool) -> Self {
        Self { kind: Kind::Zero, neg, denormal: false, exp: 0, sig: 0 }
    }

    pub const fn inf(neg: bool) -> Self {
        Self { kind: Kind::Inf, neg, denormal: false, exp: 0, sig: 1 << 63 }
    }

    pub const fn finite(neg: bool, exp: i32, sig: u64) -> Self {
        Self { kind: Kind::Finite, neg, denormal: false, exp, sig }
    }

    /// The default NaN.
    pub const INDEFINITE: Self =
        Self { kind: Kind::QNaN, neg: true, denormal: false, exp: 0, sig: 0xc000_0000_0000_0000 };

    pub const fn is_nan(&self) -> bool {
        matches!(self.kind, Kind::QNaN | Kind::SNaN)
    }

    pub const fn is_zero(&self) -> bool {
        matches!(self.kind, Kind::Zero)
    }

    pub const fn is_inf(&self) -> bool {
        matches!(self.kind, Kind::Inf)
    }

    pub const fn quieted(self) -> Self {
        Self { kind: Kind::QNaN, sig: self.sig | 0xc000_0000_0000_0000, ..self }
    }

    pub const fn negated(self) -> Self {
        Self { neg: !self.neg, ..self }
    }
}

/// Rounding control, coded as in the control words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    Nearest = 0,
    Down = 1,
    Up = 2,
    Zero = 3,
}

impl Round {
    #[inline]
    pub const fn from_bits(v: u32) -> Self {
        match v & 3 {
            0 => Self::Nearest,
            1 => Self::Down,
            2 => Self::Up,
            _ => Self::Zero,
        }
    }
}

/// What an instruction computes under, and the flags it raised.
#[derive(Debug, Clone, Copy)]
pub struct Env {
    pub rc: Round,
    /// Set bits are masked; places as in the flags.
    pub masks: u16,
    pub flags: u16,
    /// Significand bits that x87 arithmetic rounds to: 24, 53 or 64.
    pub precision: u32,
    /// The x87 rule for two NaNs, and wrapped exponents for unmasked overflow and underflow.
    pub x87: bool,
    pub daz: bool,
    pub ftz: bool,
}

impl Env {
    /// From an x87 control word.
    #[inline]
    pub fn x87(cw: u16) -> Self {
        Self {
            rc: Round::from_bits(u32::from(cw) >> 10),
            masks: cw & 0x3f,
            flags: 0,
            precision: match cw >> 8 & 3 {
                0 => 24,
                2 => 53,
                _ => 64,
            },
            x87: true,
            daz: false,
            ftz: false,
        }
    }

    /// From MXCSR.
    #[inline]
    pub fn sse(mxcsr: u32) -> Self {
        Self {
            rc: Round::from_bits(mxcsr >> 13),
            masks: (mxcsr >> 7 & 0x3f) as u16,
            flags: 0,
            precision: 64,
            x87: false,
            daz: mxcsr & 1 << 6 != 0,
            ftz: mxcsr & 1 << 15 != 0,
        }
    }

    #[inline]
    pub const fn raise(&mut self, flags: u16) {
        self.flags |= flags;
    }

    #[inline]
    pub const fn unmasked(&self) -> u16 {
        self.flags & !self.masks & 0x3f
    }

    #[inline]
    pub(crate) fn denormals(&mut self, a: &Num, b: &Num) {
        if a.denormal | b.denormal {
            self.raise(DE);
        }
    }

    pub(crate) fn invalid(&mut self) -> Num {
        self.raise(IE);
        Num::INDEFINITE
    }

    /// The result of an operation with at least one NaN (or unsupported) operand, if there is one.
    #[inline]
    pub(crate) fn nan2(&mut self, a: &Num, b: &Num) -> Option<Num> {
        let plain = |k: Kind| matches!(k, Kind::Zero | Kind::Finite | Kind::Inf);
        if plain(a.kind) && plain(b.kind) {
            return None;
        }
        Some(self.nan2_cold(a, b))
    }

    /// SDM vol. 1, table 4-7.
    #[cold]
    fn nan2_cold(&mut self, a: &Num, b: &Num) -> Num {
        if a.kind == Kind::Unsupported || b.kind == Kind::Unsupported {
            return self.invalid();
        }
        let signalling = |n: &Num| n.kind == Kind::SNaN;
        if signalling(a) || signalling(b) {
            self.raise(IE);
        }
        if !self.x87 {
            return if a.is_nan() { a.quieted() } else { b.quieted() };
        }
        if !b.is_nan() || (b.kind == Kind::SNaN && a.kind == Kind::QNaN) {
            return a.quieted();
        }
        if !a.is_nan() || (a.kind == Kind::SNaN && b.kind == Kind::QNaN) {
            return b.quieted();
        }
        let (x, y) = (a.quieted(), b.quieted());
        match x.sig.cmp(&y.sig) {
            std::cmp::Ordering::Greater => x,
            std::cmp::Ordering::Less => y,
            // Same significand: the positive one.
            std::cmp::Ordering::Equal => {
                if x.neg {
                    y
                } else {
                    x
                }
            }
        }
    }

    #[inline]
    pub(crate) fn nan1(&mut self, a: &Num) -> Option<Num> {
        match a.kind {
            Kind::Zero | Kind::Finite | Kind::Inf => None,
            Kind::QNaN => Some(*a),
            Kind::SNaN => {
                self.raise(IE);
                Some(a.quieted())
            }
            Kind::Unsupported => Some(self.invalid()),
        }
    }
}
