//! The x87's transcendental instructions and constants, with 128-bit intermediates.
//!
//! Intel's results are within one unit in the last place (SDM vol. 1, 8.3.10) and not always the correctly rounded
//! ones: intermediate results are cut off to 67 bits. Doing the same in the places found by comparing makes all but
//! one result in a hundred equal (FPATAN: in forty, FYL2XP1: in fifteen). Arguments of trigonometric functions are
//! reduced with Intel's 66-bit value of pi (8.3.8), which is where large errors, and equal ones, come from.
//! Precision control has no effect here; rounding control has.

mod wide;

use super::{Env, F80, Kind, Num, PE, UE, Wide, ZE, finish};
use wide::{ATAN_16TH, LN2, LOG2_10, LOG2E, LOG10_2, PI, PI_2, PI_4, THREE_PI_4, X, mul_high};

/// FLD1 .. FLDZ by the low three bits of the opcode. Rounded by RC (SDM, FLDPI).
pub fn constant(which: u8, rc: super::Round) -> F80 {
    let mut env = Env { rc, ..Env::x87(0x037f) };
    let x = match which & 7 {
        0 => return F80::ONE,
        1 => LOG2_10,
        2 => LOG2E,
        3 => PI,
        4 => LOG10_2,
        5 => LN2,
        _ => return F80::ZERO,
    };
    finish(x.inexact(), &mut env)
}

/// 2^127 / (2k + first)!, alternating series of sine (first = 1) and cosine (first = 0).
const fn factorials<const N: usize>(first: u128, step: u128) -> [u128; N] {
    let mut c = [0; N];
    let (mut k, mut n, mut v) = (0, first, 1u128 << 127);
    // Dividing step by step loses less than one unit each time.
    let mut i = 1;
    while i <= first {
        v /= i;
        i += 1;
    }
    while k < N {
        c[k] = v;
        let mut s = 0;
        while s < step {
            n += 1;
            v /= n;
            s += 1;
        }
        k += 1;
    }
    c
}

/// 2^127 / (2k + 1).
const fn odd_reciprocals<const N: usize>() -> [u128; N] {
    let mut c = [0; N];
    let mut k = 0;
    while k < N {
        c[k] = (1u128 << 127) / (2 * k as u128 + 1);
        k += 1;
    }
    c
}

/// Terms enough for 2^-90 at the largest argument of each series; results are cut or rounded to 67 bits at most.
const SIN: [u128; 13] = factorials(1, 2);
const COS: [u128; 13] = factorials(0, 2);
/// 2^127 / (k + 1)!
const EXPM1: [u128; 24] = factorials(1, 1);
/// The atanh series at (sqrt(2) - 1) / (sqrt(2) + 1) = 0.1716.
const ODD: [u128; 18] = odd_reciprocals();

/// c0 - c1 z + c2 z^2 ..., z in units of 2^-128, result in units of 2^-127.
fn alternating(c: &[u128], z: u128) -> u128 {
    c.iter().rev().fold(0, |acc, &ck| ck - mul_high(acc, z))
}

/// c0 + c1 z + c2 z^2 ...
fn ascending(c: &[u128], z: u128) -> u128 {
    c.iter().rev().fold(0, |acc, &ck| ck + mul_high(acc, z))
}

/// A series that begins with 1 and is below it, never rounded up to 1 itself.
fn below_one(v: u128) -> X {
    X::normalised(false, 0, v.min((1 << 127) - 1))
}

/// 66 significant bits of pi/2, in units of 2^-65. SDM vol. 1, 8.3.8.
const PI_2_BITS: u128 = 0x3_243f_6a88_85a3_08d3;

/// Quadrant (mod 4), and the distance from its multiple of pi/2 in [-pi/4, pi/4]. For |x| < 2^63.
fn reduce(n: &Num) -> (u32, X) {
    let x = X::magnitude(n);
    // Below 1/2 there is nothing to reduce; between that and pi/4 the quotient is 0 anyway.
    if n.exp < -1 {
        return (0, x);
    }
    let v = u128::from(n.sig) << (n.exp + 2);
    let (q, r) = ((v / PI_2_BITS) as u32, v % PI_2_BITS);
    if 2 * r > PI_2_BITS {
        (q.wrapping_add(1) & 3, X::normalised(true, 62, PI_2_BITS - r))
    } else {
        (q & 3, X::normalised(false, 62, r))
    }
}

fn sin_reduced(r: X) -> X {
    r.mul(below_one(alternating(&SIN, square(r))))
}

fn cos_reduced(r: X) -> X {
    below_one(alternating(&COS, square(r)))
}

/// In units of 2^-128, for |r| < 1.
fn square(r: X) -> u128 {
    let r = r.with_sign(false);
    r.mul(r).fraction()
}

/// Result of FSIN, FCOS, FSINCOS, FPTAN.
pub enum Trig {
    /// |operand| >= 2^63: C2 is set, nothing else happens.
    OutOfRange,
    Value(Wide),
}

/// The part that the four share: special operands, or the reduced argument.
fn trig(
    n: &Num,
    env: &mut Env,
    of_zero: Wide,
    tiny: impl FnOnce(Num) -> Num,
    f: impl FnOnce(u32, X) -> X,
) -> Trig {
    if let Some(nan) = env.nan1(n) {
        return Trig::Value(Wide::Exact(nan));
    }
    match n.kind {
        Kind::Zero => return Trig::Value(of_zero),
        Kind::Inf => return Trig::Value(Wide::Exact(env.invalid())),
        _ => {}
    }
    if n.exp >= 63 {
        return Trig::OutOfRange;
    }
    env.denormals(n, n);
    if n.exp < -68 {
        return Trig::Value(nearly(tiny(*n), env));
    }
    let (q, r) = reduce(n);
    Trig::Value(f(q, r).inexact())
}

/// A value that differs from the exact result by so little that Intel's processors return it in every rounding
/// mode, flagged as inexact.
fn nearly(n: Num, env: &mut Env) -> Wide {
    env.raise(if n.exp < -16382 { PE | UE } else { PE });
    Wide::Sum { neg: n.neg, exp: n.exp, sig: u128::from(n.sig) << 64 }
}

pub fn sin(n: &Num, env: &mut Env) -> Trig {
    trig(
        n,
        env,
        Wide::zero(n.neg),
        |n| n,
        |q, r| {
            let v = if q & 1 == 0 { sin_reduced(r) } else { cos_reduced(r) };
            if (q & 2 != 0) != n.neg { v.negated() } else { v }
        },
    )
}

const WIDE_ONE: Wide = Wide::Sum { neg: false, exp: 0, sig: 1 << 127 };

pub fn cos(n: &Num, env: &mut Env) -> Trig {
    trig(
        n,
        env,
        WIDE_ONE,
        |_| Num::finite(false, 0, 1 << 63),
        |q, r| {
            let v = if q & 1 == 0 { cos_reduced(r) } else { sin_reduced(r) };
            if (q + 1) & 2 != 0 { v.negated() } else { v }
        },
    )
}

pub fn tan(n: &Num, env: &mut Env) -> Trig {
    trig(
        n,
        env,
        Wide::zero(n.neg),
        |n| n,
        |q, r| {
            let (s, c) = (sin_reduced(r).cut(), cos_reduced(r).cut());
            let v = if q & 1 == 0 { s.div(c) } else { c.div(s).negated() };
            if n.neg { v.negated() } else { v }
        },
    )
}

/// atan(t) for 0 < t <= 1.
fn atan_unit(t: X) -> X {
    let series = |z: X| z.mul(below_one(alternating(&ODD[..9], square(z))));
    if t.exp < -5 {
        return series(t);
    }
    // The nearest 16th: t in units of 2^-5, rounded.
    let k = ((t.sig >> (122 - t.exp) as u32) as usize).div_ceil(2).clamp(1, 16);
    let c = X::from_int(k as i32);
    let c = X { exp: c.exp - 4, ..c };
    let d = t.sub(c);
    if d.sig == 0 {
        return ATAN_16TH[k - 1];
    }
    ATAN_16TH[k - 1].add(series(d.div(X::ONE.add(t.mul(c)))))
}

/// FPATAN: the angle of the point (x, y). SDM, table of FPATAN.
pub fn atan2(y: &Num, x: &Num, env: &mut Env) -> Wide {
    if let Some(nan) = env.nan2(x, y) {
        return Wide::Exact(nan);
    }
    let quick = |c: X| c.with_sign(y.neg).inexact();
    env.denormals(x, y);
    match (y.kind, x.kind) {
        (Kind::Inf, Kind::Inf) => return quick(if x.neg { THREE_PI_4 } else { PI_4 }),
        (Kind::Inf, _) => return quick(PI_2),
        (Kind::Zero, _) | (_, Kind::Inf) => return if x.neg { quick(PI) } else { Wide::zero(y.neg) },
        (_, Kind::Zero) => return quick(PI_2),
        _ => {}
    }
    let (ay, ax) = (X::magnitude(y), X::magnitude(x));
    let steep = (ay.exp, ay.sig) > (ax.exp, ax.sig);
    let t = if steep { ax.div(ay) } else { ay.div(ax) };
    if !steep && !x.neg && t.exp < -40 && t.sig as u64 == 0 {
        // An exact quotient: the cubic term is out of sight.
        return nearly(Num::finite(y.neg, t.exp, (t.sig >> 64) as u64), env);
    }
    let a = atan_unit(t);
    let v = match (steep, x.neg) {
        (false, false) => a,
        (false, true) => PI.sub(a),
        (true, false) => PI_2.sub(a),
        (true, true) => PI_2.add(a),
    };
    v.with_sign(y.neg).inexact()
}

/// F2XM1 for |x| <= 1. `None`: out of range, where the result is undefined and Intel leaves the operand.
pub fn exp2m1(n: &Num, env: &mut Env) -> Option<Wide> {
    if let Some(nan) = env.nan1(n) {
        return Some(Wide::Exact(nan));
    }
    match n.kind {
        Kind::Zero => return Some(Wide::zero(n.neg)),
        Kind::Inf => {
            return Some(if n.neg {
                Wide::Sum { neg: true, exp: 0, sig: 1 << 127 }
            } else {
                Wide::inf(false)
            });
        }
        _ => {}
    }
    env.denormals(n, n);
    if n.exp >= 0 {
        if n.exp > 0 || n.sig != 1 << 63 {
            env.raise(PE);
            return None;
        }
        env.raise(PE);
        let exp = if n.neg { -1 } else { 0 };
        return Some(Wide::Sum { neg: n.neg, exp, sig: 1 << 127 });
    }
    let y = X::of(n).mul(LN2.cut()).cut();
    let z = y.with_sign(false).fraction();
    let factor = if n.neg { alternating(&EXPM1, z) } else { ascending(&EXPM1, z) };
    Some(y.mul(X::normalised(false, 0, factor)).inexact())
}

/// log2(1 + x) = 2 log2(e) atanh(x / (2 + x)), for 1 + x between sqrt(1/2) and sqrt(2).
fn log2_near_one(x: X) -> X {
    let s = x.div(X::from_int(2).add(x));
    let series = X::normalised(false, 0, ascending(&ODD, square(s)));
    let v = s.mul(series).mul(LOG2E);
    X { exp: v.exp + 1, ..v }
}

/// sqrt(2) as a 64-bit significand.
const SQRT2: u64 = 0xb504_f333_f9de_6484;

/// log2 of a positive number that is not a power of two.
fn log2(x: X) -> X {
    let mut e = x.exp;
    let mut m = X { exp: 0, ..x };
    if (x.sig >> 64) as u64 > SQRT2 {
        e += 1;
        m.exp = -1;
    }
    X::from_int(e).add(log2_near_one(m.sub(X::ONE)))
}

/// FYL2X: y * log2(x). SDM, table of FYL2X.
pub fn y_log2_x(y: &Num, x: &Num, env: &mut Env) -> Wide {
    if let Some(nan) = env.nan2(x, y) {
        return Wide::Exact(nan);
    }
    if x.is_zero() {
        return match y.kind {
            Kind::Zero => Wide::Exact(env.invalid()),
            Kind::Inf => Wide::inf(!y.neg),
            _ => {
                env.raise(ZE);
                Wide::inf(!y.neg)
            }
        };
    }
    if x.neg {
        return Wide::Exact(env.invalid());
    }
    let one = x.kind == Kind::Finite && x.exp == 0 && x.sig == 1 << 63;
    let above_one = x.is_inf() || x.exp >= 0;
    if (y.is_inf() && one) || (y.is_zero() && x.is_inf()) {
        return Wide::Exact(env.invalid());
    }
    env.denormals(x, y);
    if x.is_inf() || y.is_inf() {
        return Wide::inf(y.neg == above_one);
    }
    if one {
        return Wide::zero(y.neg);
    }
    if y.is_zero() {
        return Wide::zero(y.neg == above_one);
    }
    let factor = X::of(y);
    if x.sig == 1 << 63 {
        // A power of two: an exact product, if it fits.
        // Intel calls even this inexact, and has logarithms below zero a trifle too small.
        let mut log = X::from_int(x.exp);
        if x.exp < 0 {
            log = X::normalised(true, log.exp, log.sig - (1 << 61));
        }
        let v = factor.mul(log);
        env.raise(if v.exp < -16382 { PE | UE } else { PE });
        return Wide::Sum { neg: v.neg, exp: v.exp, sig: v.sig };
    }
    factor.mul(log2(X::magnitude(x)).cut()).inexact()
}

/// FYL2XP1: y * log2(x + 1), made for |x| < 1 - sqrt(1/2).
pub fn y_log2_x_plus_1(y: &Num, x: &Num, env: &mut Env) -> Wide {
    if let Some(nan) = env.nan2(x, y) {
        return Wide::Exact(nan);
    }
    if (x.is_inf() && (x.neg || y.is_zero())) || (x.is_zero() && y.is_inf()) {
        return Wide::Exact(env.invalid());
    }
    env.denormals(x, y);
    if x.is_inf() || y.is_inf() {
        return Wide::inf(x.neg != y.neg);
    }
    if x.is_zero() || y.is_zero() {
        return Wide::zero(x.neg != y.neg);
    }
    let v = X::of(x);
    let log = if x.exp < -2 {
        log2_near_one(v)
    } else {
        let sum = X::ONE.add(v);
        if sum.neg || sum.sig == 0 {
            // Undefined (SDM, FYL2XP1); Intel's processors give x back.
            env.raise(PE);
            return Wide::Sum { neg: true, exp: x.exp, sig: u128::from(x.sig) << 64 };
        }
        log2(sum)
    };
    X::of(y).mul(log.cut()).inexact()
}
