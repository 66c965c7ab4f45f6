//! Addition, multiplication, division, square root, remainder, scaling.
//!
//! Operands come unpacked, results go out unrounded. The order of the checks is the order of exceptions in SDM
//! vol. 1, 4.9.2: NaN operands, other invalid operations and division by zero, denormal operands.

use super::round::{Wide, shift_right_sticky};
use super::{Env, Kind, Num, Round, UE, ZE};

#[inline(always)]
pub fn add(a: Num, b: Num, env: &mut Env) -> Wide {
    if a.kind == Kind::Finite && b.kind == Kind::Finite {
        env.denormals(&a, &b);
        return if a.neg == b.neg { add_magnitudes(a, b) } else { sub_magnitudes(a, b, env.rc) };
    }
    add_special(a, b, env)
}

#[inline(always)]
pub fn sub(a: Num, b: Num, env: &mut Env) -> Wide {
    // A NaN keeps its sign, so the sign is turned only where it counts.
    if a.kind == Kind::Finite && b.kind == Kind::Finite {
        return add(a, b.negated(), env);
    }
    let b = if b.is_nan() { b } else { b.negated() };
    add_special(a, b, env)
}

/// sig * 2^up / 2^down, sticky: exact as long as nothing falls out.
#[inline(always)]
fn placed(sig: u64, up: u32, down: u32) -> u128 {
    if down <= up {
        return u128::from(sig) << (up - down);
    }
    shift_right_sticky(u128::from(sig), down - up)
}

#[inline(always)]
fn add_magnitudes(a: Num, b: Num) -> Wide {
    let (x, y) = if a.exp >= b.exp { (a, b) } else { (b, a) };
    let big = u128::from(x.sig) << 63;
    let small = placed(y.sig, 63, (x.exp - y.exp) as u32);
    let sum = big + small;
    // The sum is in [1, 4): bit 126 or 127 is the top.
    if sum >> 127 != 0 {
        Wide::Sum { neg: a.neg, exp: x.exp + 1, sig: sum }
    } else {
        Wide::Sum { neg: a.neg, exp: x.exp, sig: sum << 1 }
    }
}

#[inline(always)]
fn sub_magnitudes(a: Num, b: Num, rc: Round) -> Wide {
    let (x, y) = if (a.exp, a.sig) >= (b.exp, b.sig) { (a, b) } else { (b, a) };
    let big = u128::from(x.sig) << 64;
    // One bit below the big operand's last stays free, so a sticky 1 borrows rightly.
    let small = placed(y.sig, 64, (x.exp - y.exp) as u32);
    let diff = big - small;
    if diff == 0 {
        return Wide::zero(rc == Round::Down);
    }
    let lz = diff.leading_zeros();
    Wide::Sum { neg: x.neg, exp: x.exp - lz as i32, sig: diff << lz }
}

#[cold]
fn add_special(a: Num, b: Num, env: &mut Env) -> Wide {
    if let Some(n) = env.nan2(&a, &b) {
        return Wide::Exact(n);
    }
    if a.is_inf() && b.is_inf() && a.neg != b.neg {
        return Wide::Exact(env.invalid());
    }
    env.denormals(&a, &b);
    if a.is_inf() {
        return Wide::inf(a.neg);
    }
    if b.is_inf() {
        return Wide::inf(b.neg);
    }
    match (a.is_zero(), b.is_zero()) {
        (true, true) => Wide::zero(if a.neg == b.neg { a.neg } else { env.rc == Round::Down }),
        (true, false) => whole(b),
        _ => whole(a),
    }
}

/// A finite operand as a result: it still goes through rounding (precision control, underflow).
fn whole(n: Num) -> Wide {
    Wide::Sum { neg: n.neg, exp: n.exp, sig: u128::from(n.sig) << 64 }
}

#[inline(always)]
pub fn mul(a: Num, b: Num, env: &mut Env) -> Wide {
    let neg = a.neg != b.neg;
    if a.kind == Kind::Finite && b.kind == Kind::Finite {
        env.denormals(&a, &b);
        let prod = u128::from(a.sig) * u128::from(b.sig);
        let exp = a.exp + b.exp;
        return if prod >> 127 != 0 {
            Wide::Sum { neg, exp: exp + 1, sig: prod }
        } else {
            Wide::Sum { neg, exp, sig: prod << 1 }
        };
    }
    mul_special(a, b, neg, env)
}

#[cold]
fn mul_special(a: Num, b: Num, neg: bool, env: &mut Env) -> Wide {
    if let Some(n) = env.nan2(&a, &b) {
        return Wide::Exact(n);
    }
    if (a.is_inf() && b.is_zero()) || (a.is_zero() && b.is_inf()) {
        return Wide::Exact(env.invalid());
    }
    env.denormals(&a, &b);
    if a.is_inf() || b.is_inf() { Wide::inf(neg) } else { Wide::zero(neg) }
}

#[inline]
pub fn div(a: Num, b: Num, env: &mut Env) -> Wide {
    let neg = a.neg != b.neg;
    if a.kind == Kind::Finite && b.kind == Kind::Finite {
        env.denormals(&a, &b);
        let (mut exp, mut num, mut top) = (a.exp - b.exp, a.sig, 1u64);
        if num < b.sig {
            exp -= 1;
            top = 0;
        } else {
            num -= b.sig;
        }
        // num < b.sig, so the quotient of num * 2^64 fits 64 bits; `top` is the integer bit in front of it.
        let n = u128::from(num) << 64;
        let d = u128::from(b.sig);
        let (q, r) = ((n / d) as u64, (n % d) as u64);
        let sticky = u128::from(r != 0);
        let sig = if top != 0 {
            1 << 127 | u128::from(q) << 63 | sticky
        } else {
            // q has its own top bit set; the next bit of the quotient is whether 2r >= d.
            let half = u128::from(r) << 1;
            let guard = u128::from(half >= d) << 63;
            u128::from(q) << 64 | guard | u128::from(half != 0 && half != d)
        };
        return Wide::Sum { neg, exp, sig };
    }
    div_special(a, b, neg, env)
}

#[cold]
fn div_special(a: Num, b: Num, neg: bool, env: &mut Env) -> Wide {
    if let Some(n) = env.nan2(&a, &b) {
        return Wide::Exact(n);
    }
    if (a.is_inf() && b.is_inf()) || (a.is_zero() && b.is_zero()) {
        return Wide::Exact(env.invalid());
    }
    if b.is_zero() && !a.is_inf() {
        env.raise(ZE);
        return Wide::inf(neg);
    }
    env.denormals(&a, &b);
    if a.is_inf() { Wide::inf(neg) } else { Wide::zero(neg) }
}

pub fn sqrt(a: Num, env: &mut Env) -> Wide {
    if let Some(n) = env.nan1(&a) {
        return Wide::Exact(n);
    }
    if a.is_zero() {
        return Wide::Exact(a);
    }
    if a.neg {
        return Wide::Exact(env.invalid());
    }
    if a.is_inf() {
        return Wide::Exact(a);
    }
    env.denormals(&a, &a);
    // An even exponent, and a radicand in [2^126, 2^128): the root has exactly 64 bits.
    let odd = a.exp & 1;
    let n = u128::from(a.sig) << (63 + odd);
    let root = root64(n);
    let rest = n - u128::from(root) * u128::from(root);
    // (root + 1/2)^2 = root^2 + root + 1/4, so the next bit is set when rest > root.
    let guard = u128::from(rest > u128::from(root)) << 63;
    let sig = u128::from(root) << 64 | guard | u128::from(rest != 0);
    Wide::Sum { neg: false, exp: (a.exp - odd) / 2, sig }
}

/// Floor of the square root of n >= 2^126.
fn root64(n: u128) -> u64 {
    // The host's double gives 52 good bits; what is left over, divided by twice the root, gives the others.
    let guess = (((n >> 64) as u64) as f64).sqrt() * 4_294_967_296.0;
    let first = if guess >= 18_446_744_073_709_551_615.0 { u64::MAX } else { guess as u64 };
    let left = n.wrapping_sub(u128::from(first) * u128::from(first)) as i128;
    // At most 2^77, so that a few bits can go.
    let step = ((left >> 16) as i64 as f64 / first as f64 * 32768.0) as i64;
    let mut r = first.saturating_add_signed(step);
    while u128::from(r) * u128::from(r) > n {
        r -= 1;
    }
    while n - u128::from(r) * u128::from(r) > 2 * u128::from(r) {
        r += 1;
    }
    r
}

/// Result of one FPREM or FPREM1 step.
#[derive(Debug, Clone, Copy)]
pub struct Rem {
    pub value: Wide,
    /// The low three bits of the quotient, or `None` when the reduction is not complete (C2 = 1).
    pub quotient: Option<u8>,
}

/// FPREM (`nearest` false: the quotient is truncated) and FPREM1 (rounded to nearest even).
pub fn fprem(a: Num, b: Num, nearest: bool, env: &mut Env) -> Rem {
    let done = |value| Rem { value, quotient: Some(0) };
    if let Some(n) = env.nan2(&a, &b) {
        return done(Wide::Exact(n));
    }
    if a.is_inf() || b.is_zero() {
        return done(Wide::Exact(env.invalid()));
    }
    env.denormals(&a, &b);
    if a.is_zero() {
        return done(Wide::Exact(a));
    }
    if b.is_inf() {
        // The dividend as it is: a denormal one is no underflow, not even an unmasked one.
        env.masks |= UE;
        return done(whole(a));
    }
    let diff = a.exp - b.exp;
    if diff >= 64 {
        // Takes away a multiple of b * 2^(diff - n). How many bits one step takes is up to the processor, from 32
        // to 63 (SDM, FPREM); this is Intel's choice.
        let n = (diff & 31) | 32;
        let rest = modulo(a.sig, n as u32, b.sig).0;
        let exp = a.exp - n;
        return Rem { value: exact_or_zero(a.neg, exp, rest), quotient: None };
    }
    if diff < 0 {
        // |a| < |b|. To nearest the quotient can still be 1, when |a| > |b| / 2 (a tie goes to 0).
        if nearest && diff == -1 && a.sig > b.sig {
            let rest = (u128::from(b.sig) << 1) - u128::from(a.sig);
            return Rem { value: exact_or_zero(!a.neg, a.exp, rest as u64), quotient: Some(1) };
        }
        return done(whole(a));
    }
    let (rest, q) = modulo(a.sig, diff as u32, b.sig);
    let (mut neg, mut rest, mut q) = (a.neg, rest, q);
    if nearest {
        let twice = u128::from(rest) << 1;
        let d = u128::from(b.sig);
        if twice > d || (twice == d && q & 1 != 0) {
            rest = b.sig - rest;
            neg = !neg;
            q = q.wrapping_add(1);
        }
    }
    let value = if rest == 0 { Wide::zero(a.neg) } else { exact_or_zero(neg, b.exp, rest) };
    Rem { value, quotient: Some((q & 7) as u8) }
}

fn exact_or_zero(neg: bool, exp: i32, sig: u64) -> Wide {
    if sig == 0 {
        return Wide::zero(neg);
    }
    let lz = sig.leading_zeros();
    Wide::Sum { neg, exp: exp - lz as i32, sig: u128::from(sig << lz) << 64 }
}

/// Remainder and low bits of the quotient of a * 2^by / b, by < 64.
fn modulo(a: u64, by: u32, b: u64) -> (u64, u64) {
    let n = u128::from(a) << by;
    let d = u128::from(b);
    ((n % d) as u64, (n / d) as u64)
}

/// FSCALE: a * 2^trunc(b).
pub fn scale(a: Num, b: Num, env: &mut Env) -> Wide {
    if let Some(n) = env.nan2(&a, &b) {
        return Wide::Exact(n);
    }
    if b.is_inf() {
        if (a.is_inf() && b.neg) || (a.is_zero() && !b.neg) {
            return Wide::Exact(env.invalid());
        }
        env.denormals(&a, &b);
        return if b.neg { Wide::zero(a.neg) } else { Wide::inf(a.neg) };
    }
    env.denormals(&a, &b);
    if a.kind != Kind::Finite {
        return Wide::Exact(a);
    }
    if b.is_zero() {
        // The operand as it is, see `fprem`.
        env.masks |= UE;
    }
    let by = match b.kind {
        Kind::Finite if b.exp < 0 => 0,
        // Beyond this every result is far out of range whatever the operand.
        Kind::Finite if b.exp > 15 => 0x1_0000,
        Kind::Finite => (b.sig >> (63 - b.exp)) as i32,
        _ => 0,
    };
    let by = if b.neg { -by } else { by };
    Wide::Sum { neg: a.neg, exp: a.exp + by, sig: u128::from(a.sig) << 64 }
}
