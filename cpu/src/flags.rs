//! The six arithmetic flags, kept lazily.
//!
//! An instruction leaves its sign-extended result and a word made of the carry-out vector of its addition or
//! subtraction; every flag can be read from these two without knowing which instruction it was. SDM vol. 1, 3.4.3.1.
//!
//! `res`: ZF is `res == 0`; SF is its bit 31; PF is the parity of its low byte.
//! `aux`: bit 31 is CF; bit 30 is the carry into the sign bit, so OF is bit 31 xor bit 30; bit 3 is AF. Bit 0
//! inverts SF and bits 15:8 are xored into the byte whose parity is PF: with these any combination of flags can be
//! set, such as POPF may ask for.

use crate::cpu::eflags;

const CF: u32 = 1 << 31;
const PO: u32 = 1 << 30;
const AF: u32 = 1 << 3;
const CARRIES: u32 = CF | PO | AF;

/// An operand size: `u8`, `u16` or `u32`.
pub(crate) trait Size: Copy + Eq + Into<u32> + 'static {
    const BITS: u32;
    const BYTES: u32 = Self::BITS / 8;
    const SIGN: u32 = 1 << (Self::BITS - 1);
    const MASK: u32 = u32::MAX >> (32 - Self::BITS);
    /// The low bits.
    fn cut(v: u32) -> Self;
    /// Sign-extended.
    fn sext(self) -> u32;
    #[inline(always)]
    fn zext(self) -> u32 {
        self.into()
    }
}

macro_rules! size {
    ($t:ty, $s:ty) => {
        impl Size for $t {
            const BITS: u32 = <$t>::BITS;
            #[inline(always)]
            fn cut(v: u32) -> Self {
                v as Self
            }
            #[inline(always)]
            fn sext(self) -> u32 {
                self as $s as i32 as u32
            }
        }
    };
}
size!(u8, i8);
size!(u16, i16);
size!(u32, i32);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) res: u32,
    pub(crate) aux: u32,
}

/// Condition codes as Jcc, SETcc and CMOVcc encode them in the low four bits of the opcode. SDM vol. 1, B.1.
pub(crate) mod cc {
    pub(crate) const O: u8 = 0;
    pub(crate) const B: u8 = 2;
    pub(crate) const Z: u8 = 4;
    pub(crate) const BE: u8 = 6;
    pub(crate) const S: u8 = 8;
    pub(crate) const P: u8 = 10;
    pub(crate) const L: u8 = 12;
}

impl Flags {
    #[inline(always)]
    pub(crate) fn cf(self) -> bool {
        self.aux & CF != 0
    }

    #[inline(always)]
    pub(crate) fn zf(self) -> bool {
        self.res == 0
    }

    #[inline(always)]
    pub(crate) fn sf(self) -> bool {
        ((self.res >> 31) ^ self.aux) & 1 != 0
    }

    #[inline(always)]
    pub(crate) fn of(self) -> bool {
        (self.aux ^ (self.aux << 1)) & CF != 0
    }

    #[inline(always)]
    pub(crate) fn af(self) -> bool {
        self.aux & AF != 0
    }

    #[inline(always)]
    pub(crate) fn pf(self) -> bool {
        let byte = (self.res ^ (self.aux >> 8)) as u8;
        byte.count_ones() & 1 == 0
    }

    /// The carry vector of size `S`, moved to where `aux` wants it.
    #[inline(always)]
    fn carries<S: Size>(v: u32) -> u32 {
        match S::BITS {
            32 => v & CARRIES,
            n => (v << (32 - n)) & (CF | PO) | v & AF,
        }
    }

    /// After `a + b (+ carry) = r`.
    #[inline(always)]
    pub(crate) fn add<S: Size>(a: S, b: S, r: S) -> Self {
        let (a, b, x) = (a.zext(), b.zext(), r.zext());
        Self { res: r.sext(), aux: Self::carries::<S>((a & b) | ((a | b) & !x)) }
    }

    /// After `a - b (- borrow) = r`. CF and AF are borrows.
    #[inline(always)]
    pub(crate) fn sub<S: Size>(a: S, b: S, r: S) -> Self {
        let (a, b, x) = (a.zext(), b.zext(), r.zext());
        Self { res: r.sext(), aux: Self::carries::<S>((!a & b) | (!(a ^ b) & x)) }
    }

    /// After AND, OR, XOR, TEST: CF, OF and AF are 0.
    #[inline(always)]
    pub(crate) fn logic<S: Size>(r: S) -> Self {
        Self { res: r.sext(), aux: 0 }
    }

    /// After INC to `r`: CF stays.
    #[inline(always)]
    pub(crate) fn inc<S: Size>(self, r: S) -> Self {
        let a = S::cut(r.zext().wrapping_sub(1));
        self.keep_cf(Self::add(a, S::cut(1), r))
    }

    /// After DEC to `r`: CF stays.
    #[inline(always)]
    pub(crate) fn dec<S: Size>(self, r: S) -> Self {
        let a = S::cut(r.zext().wrapping_add(1));
        self.keep_cf(Self::sub(a, S::cut(1), r))
    }

    /// `new` with the CF of `self`.
    #[inline(always)]
    pub(crate) fn keep_cf(self, new: Self) -> Self {
        let differs = (self.aux ^ new.aux) & CF;
        Self { res: new.res, aux: new.aux ^ differs ^ (differs >> 1) }
    }

    /// The result `r` with CF, OF and AF given.
    #[inline(always)]
    pub(crate) fn with<S: Size>(r: S, cf: bool, of: bool, af: bool) -> Self {
        Self { res: r.sext(), aux: u32::from(cf) << 31 | u32::from(cf ^ of) << 30 | u32::from(af) << 3 }
    }

    #[inline(always)]
    pub(crate) fn set_cf(&mut self, on: bool) {
        let of = self.of();
        self.aux = self.aux & !(CF | PO) | u32::from(on) << 31 | u32::from(on ^ of) << 30;
    }

    #[inline(always)]
    pub(crate) fn set_cf_of(&mut self, cf: bool, of: bool) {
        self.aux = self.aux & !(CF | PO) | u32::from(cf) << 31 | u32::from(cf ^ of) << 30;
    }

    #[inline(always)]
    pub(crate) fn set_zf(&mut self, on: bool) {
        *self = Self::unpack(self.pack() & !eflags::ZF | if on { eflags::ZF } else { 0 });
    }

    /// The six flags at their places in EFLAGS, all other bits 0.
    #[inline]
    pub(crate) fn pack(self) -> u32 {
        (self.aux >> 31)
            | u32::from(self.pf()) << 2
            | (self.aux & AF) << 1
            | u32::from(self.zf()) << 6
            | u32::from(self.sf()) << 7
            | u32::from(self.of()) << 11
    }

    /// From a value of EFLAGS; bits other than the six are ignored.
    #[inline]
    pub(crate) fn unpack(v: u32) -> Self {
        let cf = v & eflags::CF != 0;
        let of = v & eflags::OF != 0;
        let res = u32::from(v & eflags::ZF == 0) << 8; // bit 31 and the low byte are 0 in both cases
        let aux = u32::from(cf) << 31
            | u32::from(cf ^ of) << 30
            | (v & eflags::AF) >> 1
            | u32::from(v & eflags::PF == 0) << 8
            | (v & eflags::SF) >> 7;
        Self { res, aux }
    }

    /// The condition `CC` (0-15) of Jcc, SETcc, CMOVcc.
    #[inline(always)]
    pub(crate) fn cond<const CC: u8>(self) -> bool {
        let r = match CC & 14 {
            cc::O => self.of(),
            cc::B => self.cf(),
            cc::Z => self.zf(),
            cc::BE => self.cf() | self.zf(),
            cc::S => self.sf(),
            cc::P => self.pf(),
            cc::L => self.sf() != self.of(),
            _ => self.zf() | (self.sf() != self.of()),
        };
        r != (CC & 1 != 0)
    }
}
