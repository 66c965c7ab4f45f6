//! Integers and packed decimal.

use super::round::{Wide, shift_right_sticky};
use super::{Env, IE, Kind, Num, PE, Round, UP};

/// Unrounded; exact for F80.
pub fn from_i64(v: i64) -> Wide {
    if v == 0 {
        return Wide::zero(false);
    }
    let mag = v.unsigned_abs();
    let lz = mag.leading_zeros();
    Wide::Sum { neg: v < 0, exp: 63 - lz as i32, sig: u128::from(mag << lz) << 64 }
}

/// Magnitude rounded to a whole number, whether it was inexact and whether it went up. `None` when it is 2^64 or
/// more.
fn whole(n: &Num, rc: Round) -> Option<(u64, bool, bool)> {
    if n.exp >= 64 {
        return None;
    }
    // Units at bit 64.
    let v = if n.exp >= 0 {
        u128::from(n.sig) << (n.exp + 1)
    } else {
        shift_right_sticky(u128::from(n.sig) << 1, n.exp.unsigned_abs())
    };
    let (kept, rest) = ((v >> 64) as u64, v as u64);
    let up = match rc {
        Round::Nearest => rest > 1 << 63 || (rest == 1 << 63 && kept & 1 != 0),
        Round::Down => n.neg && rest != 0,
        Round::Up => !n.neg && rest != 0,
        Round::Zero => false,
    };
    let sum = kept.checked_add(u64::from(up))?;
    Some((sum, rest != 0, up))
}

/// To a signed integer of `bits` bits (16, 32, 64). A value that does not fit is an invalid operation and gives
/// the integer indefinite. The denormal operand exception is not raised by these conversions.
pub fn to_int(n: &Num, bits: u32, rc: Round, env: &mut Env) -> i64 {
    let indefinite = -1i64 << (bits - 1);
    let limit = 1u64 << (bits - 1);
    match n.kind {
        Kind::Zero => 0,
        Kind::Finite => match whole(n, rc) {
            Some((m, inexact, up)) if m < limit || (n.neg && m == limit) => {
                if inexact {
                    env.raise(if up { PE | UP } else { PE });
                }
                let v = m as i64;
                if n.neg { v.wrapping_neg() } else { v }
            }
            _ => {
                env.raise(IE);
                indefinite
            }
        },
        _ => {
            env.raise(IE);
            indefinite
        }
    }
}

/// FRNDINT.
pub fn round_to_integral(n: Num, env: &mut Env) -> Wide {
    if let Some(nan) = env.nan1(&n) {
        return Wide::Exact(nan);
    }
    if n.kind != Kind::Finite {
        return Wide::Exact(n);
    }
    env.denormals(&n, &n);
    if n.exp >= 63 {
        return Wide::Sum { neg: n.neg, exp: n.exp, sig: u128::from(n.sig) << 64 };
    }
    let (m, inexact, up) = whole(&n, env.rc).unwrap_or((0, false, false));
    if inexact {
        env.raise(if up { PE | UP } else { PE });
    }
    if m == 0 {
        return Wide::zero(n.neg);
    }
    let lz = m.leading_zeros();
    Wide::Sum { neg: n.neg, exp: 63 - lz as i32, sig: u128::from(m << lz) << 64 }
}

const BCD_LIMIT: u64 = 1_000_000_000_000_000_000;

/// FBSTP's ten bytes. `None`: does not fit, NaN or infinity (the caller stores the indefinite).
pub fn to_bcd(n: &Num, env: &mut Env) -> Option<[u8; 10]> {
    let (mut m, inexact, up) = match n.kind {
        Kind::Zero => (0, false, false),
        Kind::Finite => whole(n, env.rc)?,
        _ => return None,
    };
    if m >= BCD_LIMIT {
        return None;
    }
    if inexact {
        env.raise(if up { PE | UP } else { PE });
    }
    let mut out = [0; 10];
    for b in &mut out[..9] {
        *b = (m % 10) as u8 | ((m / 10 % 10) as u8) << 4;
        m /= 100;
    }
    out[9] = u8::from(n.neg) << 7;
    Some(out)
}

/// FBLD. Digits above 9 are undefined in the SDM; processors add them up as they stand.
pub fn from_bcd(b: &[u8; 10]) -> Num {
    let m = b[..9]
        .iter()
        .rev()
        .fold(0u64, |m, &d| m.wrapping_mul(100).wrapping_add(u64::from(d >> 4) * 10 + u64::from(d & 15)));
    let neg = b[9] >> 7 != 0;
    if m == 0 {
        return Num::zero(neg);
    }
    let lz = m.leading_zeros();
    Num::finite(neg, 63 - lz as i32, m << lz)
}
