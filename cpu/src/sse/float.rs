//! Packed and scalar arithmetic and comparison in single and double precision.
//!
//! The quick path: with rounding to nearest, PE masked and already set, an operation on normal numbers (or zeroes)
//! with a normal result raises nothing new, and is what the host's IEEE arithmetic gives. Results in the lowest
//! binade are left to the slow path, which knows when they are tiny.

use hv_vcpu::GuestIo;

use super::{LOW32, LOW64, commit, enter, env, set_xmm, source, source32, source64, xmm};
use crate::cpu::Cpu;
use crate::fault::{Exec, Fault};
use crate::insn::Insn;
use crate::softfloat::{self as sf, Env, F32, F64, Format, Num, Order, compare, finish};
use crate::x87::arith::order_flags;

/// Single or double precision as an element of an XMM register.
pub(crate) trait Real: Format + PartialEq {
    const LANES: u32;
    const MASK: u128;
    fn lane(v: u128, i: u32) -> Self;
    fn place(self, i: u32) -> u128;
    /// The scalar operand xmm/m32 or xmm/m64.
    fn scalar(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Result<Self, Fault>;
    fn ones(c: bool) -> Self;
    /// Normal or zero.
    fn plain(self) -> bool;
    fn is_zero(self) -> bool;
    /// Normal and above the lowest binade.
    fn safe(self) -> bool;
    fn host_add(self, o: Self) -> Self;
    fn host_sub(self, o: Self) -> Self;
    fn host_mul(self, o: Self) -> Self;
    fn host_div(self, o: Self) -> Self;
    fn host_sqrt(self) -> Self;
    fn host_less(self, o: Self) -> bool;
    fn positive(self) -> bool;
}

macro_rules! real {
    ($t:ident, $host:ty, $bits:ty, $lanes:literal, $mask:expr, $source:ident) => {
        impl Real for $t {
            const LANES: u32 = $lanes;
            const MASK: u128 = $mask;
            #[inline(always)]
            fn lane(v: u128, i: u32) -> Self {
                Self((v >> (i * <$bits>::BITS)) as $bits)
            }
            #[inline(always)]
            fn place(self, i: u32) -> u128 {
                u128::from(self.0) << (i * <$bits>::BITS)
            }
            #[inline(always)]
            fn scalar(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Result<Self, Fault> {
                Ok(Self($source(cpu, io, insn)?))
            }
            #[inline(always)]
            fn ones(c: bool) -> Self {
                Self(if c { <$bits>::MAX } else { 0 })
            }
            #[inline(always)]
            fn plain(self) -> bool {
                let e = self.0 << 1 >> Self::P;
                e.wrapping_sub(1) < (2 * Self::EMAX) as $bits || self.is_zero()
            }
            #[inline(always)]
            fn is_zero(self) -> bool {
                self.0 << 1 == 0
            }
            #[inline(always)]
            fn safe(self) -> bool {
                let e = self.0 << 1 >> Self::P;
                e.wrapping_sub(2) < (2 * Self::EMAX - 1) as $bits
            }
            #[inline(always)]
            fn host_add(self, o: Self) -> Self {
                Self((<$host>::from_bits(self.0) + <$host>::from_bits(o.0)).to_bits())
            }
            #[inline(always)]
            fn host_sub(self, o: Self) -> Self {
                Self((<$host>::from_bits(self.0) - <$host>::from_bits(o.0)).to_bits())
            }
            #[inline(always)]
            fn host_mul(self, o: Self) -> Self {
                Self((<$host>::from_bits(self.0) * <$host>::from_bits(o.0)).to_bits())
            }
            #[inline(always)]
            fn host_div(self, o: Self) -> Self {
                Self((<$host>::from_bits(self.0) / <$host>::from_bits(o.0)).to_bits())
            }
            #[inline(always)]
            fn host_sqrt(self) -> Self {
                Self(<$host>::from_bits(self.0).sqrt().to_bits())
            }
            #[inline(always)]
            fn host_less(self, o: Self) -> bool {
                <$host>::from_bits(self.0) < <$host>::from_bits(o.0)
            }
            #[inline(always)]
            fn positive(self) -> bool {
                self.0 >> (<$bits>::BITS - 1) == 0
            }
        }
    };
}
real!(F32, f32, u32, 4, LOW32, source32);
real!(F64, f64, u64, 2, LOW64, source64);

/// An operand with DAZ applied.
#[inline(always)]
pub(super) fn operand<F: Format>(v: F, env: &Env) -> Num {
    let n = v.unpack();
    if n.denormal && env.daz { Num::zero(n.neg) } else { n }
}

/// An arithmetic operation. `a` is the destination's element; SQRT looks at `b` only.
pub(crate) trait Arith {
    /// The result if the host's arithmetic is sure to be right; only asked when `quick` allows it.
    fn host<F: Real>(a: F, b: F) -> Option<F>;
    fn soft<F: Real>(a: F, b: F, env: &mut Env) -> F;
    /// Whether `host` is right in any environment.
    const ALWAYS: bool = false;
}

macro_rules! arith {
    ($($name:ident, $soft:ident, $host:ident, |$a:ident, $b:ident| $zero:expr;)*) => {
        $(
            pub(crate) struct $name;
            impl Arith for $name {
                #[inline(always)]
                fn host<F: Real>($a: F, $b: F) -> Option<F> {
                    if !($a.plain() && $b.plain()) {
                        return None;
                    }
                    let r = $a.$host($b);
                    // A result of zero is exact only in these cases.
                    if r.safe() || (r.is_zero() && $zero) { Some(r) } else { None }
                }

                #[inline]
                fn soft<F: Real>(a: F, b: F, env: &mut Env) -> F {
                    let (a, b) = (operand(a, env), operand(b, env));
                    let w = sf::$soft(a, b, env);
                    finish(w, env)
                }
            }
        )*
    };
}
arith! {
    Add, add, host_add, |a, b| true;
    Sub, sub, host_sub, |a, b| true;
    Mul, mul, host_mul, |a, b| a.is_zero() || b.is_zero();
    Div, div, host_div, |a, b| a.is_zero() && !b.is_zero();
}

pub(crate) struct Sqrt;
impl Arith for Sqrt {
    #[inline(always)]
    fn host<F: Real>(_: F, b: F) -> Option<F> {
        if b.plain() && (b.positive() || b.is_zero()) { Some(b.host_sqrt()) } else { None }
    }

    fn soft<F: Real>(_: F, b: F, env: &mut Env) -> F {
        let w = sf::sqrt(operand(b, env), env);
        finish(w, env)
    }
}

/// MIN and MAX return the second operand when either is a NaN or both are zero, as it is.
#[inline(always)]
fn pick<F: Real>(a: F, b: F, env: &mut Env, wanted: Order) -> F {
    let (x, y) = (operand(a, env), operand(b, env));
    let o = compare(&x, &y, false, env);
    // DAZ makes the value returned a zero, too.
    let daz = |v: F, n: Num| if n.is_zero() { F::pack_special(n) } else { v };
    if o == wanted { daz(a, x) } else { daz(b, y) }
}

pub(crate) struct Min;
impl Arith for Min {
    const ALWAYS: bool = true;

    #[inline(always)]
    fn host<F: Real>(a: F, b: F) -> Option<F> {
        if !(a.plain() && b.plain()) {
            return None;
        }
        Some(if a.host_less(b) { a } else { b })
    }

    fn soft<F: Real>(a: F, b: F, env: &mut Env) -> F {
        pick(a, b, env, Order::Less)
    }
}

pub(crate) struct Max;
impl Arith for Max {
    const ALWAYS: bool = true;

    #[inline(always)]
    fn host<F: Real>(a: F, b: F) -> Option<F> {
        if !(a.plain() && b.plain()) {
            return None;
        }
        Some(if b.host_less(a) { a } else { b })
    }

    fn soft<F: Real>(a: F, b: F, env: &mut Env) -> F {
        pick(a, b, env, Order::Greater)
    }
}

/// Rounding to nearest, PE masked and set.
#[inline(always)]
fn quick(cpu: &Cpu) -> bool {
    const PE: u32 = 1 << 5;
    const PM: u32 = 1 << 12;
    const RC: u32 = 3 << 13;
    cpu.fpu.mxcsr & (PE | PM | RC) == PE | PM
}

#[inline(always)]
fn element<O: Arith, F: Real>(a: F, b: F, quick: bool, env: &mut Env) -> F {
    if (O::ALWAYS || quick)
        && let Some(r) = O::host(a, b)
    {
        return r;
    }
    O::soft(a, b, env)
}

/// op xmm, xmm/m128.
pub(crate) fn packed<O: Arith, F: Real>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let b = source(cpu, io, insn)?;
    let a = xmm(cpu, insn.reg);
    let (quick, mut env) = (quick(cpu), env(cpu));
    let mut r = 0;
    for i in 0..F::LANES {
        r |= element::<O, F>(F::lane(a, i), F::lane(b, i), quick, &mut env).place(i);
    }
    commit(cpu, &env)?;
    set_xmm(cpu, insn.reg, r);
    Ok(())
}

/// op xmm, xmm/m32 or xmm/m64: the rest of the destination stays.
pub(crate) fn scalar<O: Arith, F: Real>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let b = F::scalar(cpu, io, insn)?;
    let a = xmm(cpu, insn.reg);
    let (quick, mut env) = (quick(cpu), env(cpu));
    let r = element::<O, F>(F::lane(a, 0), b, quick, &mut env);
    commit(cpu, &env)?;
    set_xmm(cpu, insn.reg, a & !F::MASK | r.place(0));
    Ok(())
}

/// CMPPS and its kin: EQ, LT, LE, UNORD and their opposites by the low three bits of the immediate.
#[inline(always)]
fn holds<F: Real>(a: F, b: F, predicate: u32, env: &mut Env) -> F {
    let o = if a.plain() && b.plain() {
        if a.host_less(b) {
            Order::Less
        } else if b.host_less(a) {
            Order::Greater
        } else {
            Order::Equal
        }
    } else {
        let quiet = matches!(predicate & 3, 0 | 3);
        let (a, b) = (operand(a, env), operand(b, env));
        compare(&a, &b, quiet, env)
    };
    let yes = match predicate & 3 {
        0 => o == Order::Equal,
        1 => o == Order::Less,
        2 => matches!(o, Order::Less | Order::Equal),
        _ => o == Order::Unordered,
    };
    F::ones(yes != (predicate & 4 != 0))
}

pub(crate) fn cmp_packed<F: Real>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let b = source(cpu, io, insn)?;
    let a = xmm(cpu, insn.reg);
    let mut env = env(cpu);
    let mut r = 0;
    for i in 0..F::LANES {
        r |= holds(F::lane(a, i), F::lane(b, i), insn.imm, &mut env).place(i);
    }
    commit(cpu, &env)?;
    set_xmm(cpu, insn.reg, r);
    Ok(())
}

pub(crate) fn cmp_scalar<F: Real>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let b = F::scalar(cpu, io, insn)?;
    let a = xmm(cpu, insn.reg);
    let mut env = env(cpu);
    let r = holds(F::lane(a, 0), b, insn.imm, &mut env);
    commit(cpu, &env)?;
    set_xmm(cpu, insn.reg, a & !F::MASK | r.place(0));
    Ok(())
}

/// COMISS, COMISD (any NaN is invalid) and UCOMISS, UCOMISD (`QUIET`: signalling ones only).
pub(crate) fn comis<F: Real, const QUIET: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let b = F::scalar(cpu, io, insn)?;
    let mut env = env(cpu);
    let (x, y) = (operand(F::lane(xmm(cpu, insn.reg), 0), &env), operand(b, &env));
    let o = compare(&x, &y, QUIET, &mut env);
    commit(cpu, &env)?;
    cpu.flags = order_flags(o);
    Ok(())
}
