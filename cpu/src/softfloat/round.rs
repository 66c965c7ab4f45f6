//! Formats, and the one place where results are rounded.

use super::{DE, Env, F80, Kind, Num, OE, PE, Round, UE, UP};

/// An unrounded result. `Exact` numbers go into the format as they are (zeroes, infinities, NaNs); `Sum` has the
/// value `sig / 2^127 * 2^exp`, top bit set, bit 0 sticky.
#[derive(Debug, Clone, Copy)]
pub enum Wide {
    Exact(Num),
    Sum { neg: bool, exp: i32, sig: u128 },
}

impl Wide {
    pub const fn zero(neg: bool) -> Self {
        Self::Exact(Num::zero(neg))
    }

    pub const fn inf(neg: bool) -> Self {
        Self::Exact(Num::inf(neg))
    }
}

/// A storage format.
pub trait Format: Copy + Sized {
    /// Significand bits, with the integer bit.
    const P: u32;
    const EMIN: i32;
    const EMAX: i32;
    fn unpack(self) -> Num;
    /// Exponent and significand (left justified) of a finite number in range; a clear top bit means denormal.
    fn pack_finite(neg: bool, exp: i32, sig: u64) -> Self;
    fn pack_special(n: Num) -> Self;
}

/// Single precision, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct F32(pub u32);
/// Double precision, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct F64(pub u64);

macro_rules! interchange {
    ($t:ident, $bits:ty, $p:literal, $emax:literal) => {
        impl Format for $t {
            const P: u32 = $p;
            const EMIN: i32 = 1 - $emax;
            const EMAX: i32 = $emax;

            #[inline]
            fn unpack(self) -> Num {
                let all = <$bits>::BITS;
                let frac = u64::from(self.0) << (64 - $p) & (u64::MAX >> 1);
                let e = (self.0 << 1 >> $p) as i32;
                let neg = self.0 >> (all - 1) != 0;
                if e != 0 && e != 2 * $emax + 1 {
                    return Num {
                        kind: Kind::Finite,
                        neg,
                        denormal: false,
                        exp: e - $emax,
                        sig: frac | 1 << 63,
                    };
                }
                if e == 0 {
                    if frac == 0 {
                        return Num::zero(neg);
                    }
                    let lz = frac.leading_zeros();
                    return Num {
                        kind: Kind::Finite,
                        neg,
                        denormal: true,
                        exp: 1 - $emax - lz as i32,
                        sig: frac << lz,
                    };
                }
                let kind = match frac {
                    0 => Kind::Inf,
                    f if f >> 62 != 0 => Kind::QNaN,
                    _ => Kind::SNaN,
                };
                Num { kind, neg, denormal: false, exp: 0, sig: frac | 1 << 63 }
            }

            #[inline]
            fn pack_finite(neg: bool, exp: i32, sig: u64) -> Self {
                let e = if sig >> 63 == 0 { 0 } else { (exp + $emax) as $bits };
                let frac = (sig << 1 >> (65 - $p)) as $bits;
                Self(<$bits>::from(neg) << (<$bits>::BITS - 1) | e << ($p - 1) | frac)
            }

            #[inline]
            fn pack_special(n: Num) -> Self {
                let sign = <$bits>::from(n.neg) << (<$bits>::BITS - 1);
                if n.kind == Kind::Zero {
                    return Self(sign);
                }
                Self(sign | (2 * $emax + 1) << ($p - 1) | (n.sig << 1 >> (65 - $p)) as $bits)
            }
        }
    };
}
interchange!(F32, u32, 24, 127);
interchange!(F64, u64, 53, 1023);

impl Format for F80 {
    const P: u32 = 64;
    const EMIN: i32 = -16382;
    const EMAX: i32 = 16383;

    #[inline]
    fn unpack(self) -> Num {
        F80::unpack(self)
    }

    #[inline]
    fn pack_finite(neg: bool, exp: i32, sig: u64) -> Self {
        let e = if sig >> 63 == 0 { 0 } else { (exp + 16383) as u16 };
        Self { m: sig, se: u16::from(neg) << 15 | e }
    }

    #[inline]
    fn pack_special(n: Num) -> Self {
        let sign = u16::from(n.neg) << 15;
        match n.kind {
            Kind::Zero => Self { m: 0, se: sign },
            _ => Self { m: n.sig, se: sign | 0x7fff },
        }
    }
}

/// Whether to add one at the last place.
#[inline(always)]
fn away(rc: Round, neg: bool, odd: bool, rest: u128, half: u128) -> bool {
    match rc {
        Round::Nearest => rest > half || (rest == half && odd),
        Round::Down => neg && rest != 0,
        Round::Up => !neg && rest != 0,
        Round::Zero => false,
    }
}

/// Rounds to `p` bits with an unbounded exponent: exponent, significand left justified in 64 bits, inexact, up.
#[inline(always)]
fn round_at(rc: Round, neg: bool, exp: i32, sig: u128, p: u32) -> (i32, u64, bool, bool) {
    if p == 64 {
        let (kept, rest) = ((sig >> 64) as u64, sig as u64);
        if rest == 0 {
            return (exp, kept, false, false);
        }
        let up = match rc {
            Round::Nearest => rest > 1 << 63 || (rest == 1 << 63 && kept & 1 != 0),
            Round::Down => neg,
            Round::Up => !neg,
            Round::Zero => false,
        };
        let (sum, carry) = kept.overflowing_add(u64::from(up));
        return if carry { (exp + 1, 1 << 63, true, true) } else { (exp, sum, true, up) };
    }
    let cut = 128 - p;
    let rest = sig & ((1 << cut) - 1);
    let kept = (sig >> cut) as u64;
    let up = away(rc, neg, kept & 1 != 0, rest, 1 << (cut - 1));
    let left = 64 - p;
    if up {
        let (sum, carry) = (kept << left).overflowing_add(1 << left);
        if carry {
            return (exp + 1, 1 << 63, true, true);
        }
        return (exp, sum, true, true);
    }
    (exp, kept << left, rest != 0, false)
}

/// Rounds an arithmetic result into the format: the x87 precision control counts for F80.
#[inline(always)]
pub fn finish<F: Format>(w: Wide, env: &mut Env) -> F {
    let p = if F::P == 64 { env.precision } else { F::P };
    finish_at(w, p, env)
}

/// Rounds to `p` bits in the exponent range of the format.
#[inline(always)]
pub fn finish_at<F: Format>(w: Wide, p: u32, env: &mut Env) -> F {
    match w {
        Wide::Exact(n) => F::pack_special(n),
        Wide::Sum { neg, exp, sig } => {
            debug_assert!(sig >> 127 == 1);
            let (e, s, inexact, up) = round_at(env.rc, neg, exp, sig, p);
            if e <= F::EMAX && exp >= F::EMIN {
                if inexact {
                    env.raise(if up { PE | UP } else { PE });
                }
                return F::pack_finite(neg, e, s);
            }
            finish_cold(neg, exp, sig, p, (e, s, inexact, up), env)
        }
    }
}

/// Overflow and underflow. `free` is the result with an unbounded exponent.
#[cold]
fn finish_cold<F: Format>(
    neg: bool,
    exp: i32,
    sig: u128,
    p: u32,
    free: (i32, u64, bool, bool),
    env: &mut Env,
) -> F {
    let (e, s, inexact, up) = free;
    let raise = |env: &mut Env, inexact: bool, up: bool| {
        if inexact {
            env.raise(if up { PE | UP } else { PE });
        }
    };
    // x87 results that go to a register: with the exception unmasked the exponent wraps by 24576 so that a
    // handler can scale it back (SDM vol. 1, 8.5.4 and 8.5.5).
    let wraps = env.x87 && F::P == 64;
    if e > F::EMAX {
        env.raise(OE);
        if env.masks & OE == 0 {
            if wraps && e - 24576 > F::EMAX {
                // Only FSCALE gets here.
                raise(env, true, true);
                return F::pack_special(Num::inf(neg));
            }
            raise(env, inexact, up);
            if wraps {
                return F::pack_finite(neg, e - 24576, s);
            }
            return F::pack_special(Num::inf(neg));
        }
        let to_inf = match env.rc {
            Round::Nearest => true,
            Round::Down => neg,
            Round::Up => !neg,
            Round::Zero => false,
        };
        raise(env, true, to_inf);
        if to_inf {
            return F::pack_special(Num::inf(neg));
        }
        return F::pack_finite(neg, F::EMAX, u64::MAX << (64 - p));
    }
    // Tiny is judged after rounding with an unbounded exponent.
    let tiny = e < F::EMIN;
    if tiny && env.masks & UE == 0 {
        env.raise(UE);
        if wraps && e + 24576 < F::EMIN {
            raise(env, true, false);
            return F::pack_special(Num::zero(neg));
        }
        // Nothing is denormalised, so nothing is lost by that.
        raise(env, inexact, up);
        if wraps {
            return F::pack_finite(neg, e + 24576, s);
        }
        // No result will be stored.
        return F::pack_special(Num::zero(neg));
    }
    if tiny && env.ftz && env.masks & UE != 0 {
        env.raise(UE | PE);
        return F::pack_special(Num::zero(neg));
    }
    let down = (F::EMIN - exp) as u32;
    let shifted = shift_right_sticky(sig, down);
    let cut = 128 - p;
    let rest = shifted & ((1 << cut) - 1);
    let kept = (shifted >> cut) as u64;
    let up = away(env.rc, neg, kept & 1 != 0, rest, 1 << (cut - 1));
    let s = (kept + u64::from(up)) << (64 - p);
    // Rounding up may carry into the integer bit and make the smallest normal number (p = 64: kept < 2^63).
    raise(env, rest != 0, up);
    if tiny && rest != 0 {
        env.raise(UE);
    }
    if s == 0 {
        return F::pack_special(Num::zero(neg));
    }
    F::pack_finite(neg, F::EMIN, s)
}

/// Shifts right; what falls out is or-ed into bit 0.
#[inline]
pub(crate) fn shift_right_sticky(v: u128, by: u32) -> u128 {
    match by {
        0 => v,
        1..=127 => v >> by | u128::from(v & ((1 << by) - 1) != 0),
        _ => u128::from(v != 0),
    }
}

/// Converts between formats, rounding to the target's own precision (FLD, FST, CVTSS2SD, ...).
#[inline]
pub fn convert<A: Format, B: Format>(a: A, env: &mut Env) -> B {
    let mut n = a.unpack();
    if n.denormal {
        if env.daz {
            n = Num::zero(n.neg);
        } else {
            env.raise(DE);
        }
    }
    convert_num(n, env)
}

/// The same from an unpacked number, without the denormal operand exception.
#[inline]
pub fn convert_num<B: Format>(n: Num, env: &mut Env) -> B {
    let w = match n.kind {
        Kind::Finite => Wide::Sum { neg: n.neg, exp: n.exp, sig: u128::from(n.sig) << 64 },
        _ => Wide::Exact(env.nan1(&n).unwrap_or(n)),
    };
    finish_at(w, B::P, env)
}
