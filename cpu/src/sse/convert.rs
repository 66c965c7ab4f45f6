//! Conversions between single, double and integers in XMM, MMX and general registers. SDM vol. 1, 11.4.4.

use hv_vcpu::GuestIo;

use super::float::{Real, operand};
use super::mov::enter_both;
use super::{LOW64, commit, enter, env, set_xmm, source, source64, xmm};
use crate::cpu::Cpu;
use crate::fault::Exec;
use crate::insn::Insn;
use crate::softfloat::{Env, F32, F64, Format, Round, convert, finish, from_i64, to_int};

/// To a 32-bit integer, by MXCSR's rounding or truncated.
#[inline(always)]
fn int<F: Real, const TRUNCATE: bool>(v: F, env: &mut Env) -> u32 {
    let rc = if TRUNCATE { Round::Zero } else { env.rc };
    let n = operand(v, env);
    to_int(&n, 32, rc, env) as u32
}

#[inline(always)]
fn real<F: Format>(v: u32, env: &mut Env) -> F {
    finish(from_i64(i64::from(v as i32)), env)
}

/// CVTPS2PD xmm, xmm/m64.
pub(crate) fn cvtps2pd(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = u128::from(source64(cpu, io, insn)?);
    let mut env = env(cpu);
    let low: F64 = convert(F32::lane(v, 0), &mut env);
    let high: F64 = convert(F32::lane(v, 1), &mut env);
    commit(cpu, &env)?;
    set_xmm(cpu, insn.reg, low.place(0) | high.place(1));
    Ok(())
}

/// CVTPD2PS xmm, xmm/m128.
pub(crate) fn cvtpd2ps(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source(cpu, io, insn)?;
    let mut env = env(cpu);
    let low: F32 = convert(F64::lane(v, 0), &mut env);
    let high: F32 = convert(F64::lane(v, 1), &mut env);
    commit(cpu, &env)?;
    set_xmm(cpu, insn.reg, low.place(0) | high.place(1));
    Ok(())
}

/// CVTSS2SD (A = F32) and CVTSD2SS (A = F64).
pub(crate) fn cvt_scalar<A: Real, B: Real>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = A::scalar(cpu, io, insn)?;
    let mut env = env(cpu);
    let r: B = convert(v, &mut env);
    commit(cpu, &env)?;
    let old = xmm(cpu, insn.reg);
    set_xmm(cpu, insn.reg, old & !B::MASK | r.place(0));
    Ok(())
}

/// CVTDQ2PS xmm, xmm/m128.
pub(crate) fn cvtdq2ps(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source(cpu, io, insn)?;
    let mut env = env(cpu);
    let mut r = 0;
    for i in 0..4 {
        r |= real::<F32>((v >> (32 * i)) as u32, &mut env).place(i);
    }
    commit(cpu, &env)?;
    set_xmm(cpu, insn.reg, r);
    Ok(())
}

/// CVTDQ2PD xmm, xmm/m64: exact.
pub(crate) fn cvtdq2pd(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source64(cpu, io, insn)?;
    let mut env = env(cpu);
    let r = real::<F64>(v as u32, &mut env).place(0) | real::<F64>((v >> 32) as u32, &mut env).place(1);
    set_xmm(cpu, insn.reg, r);
    Ok(())
}

/// CVTPS2DQ and CVTTPS2DQ xmm, xmm/m128.
pub(crate) fn cvtps2dq<const TRUNCATE: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source(cpu, io, insn)?;
    let mut env = env(cpu);
    let mut r = 0;
    for i in 0..4 {
        r |= u128::from(int::<F32, TRUNCATE>(F32::lane(v, i), &mut env)) << (32 * i);
    }
    commit(cpu, &env)?;
    set_xmm(cpu, insn.reg, r);
    Ok(())
}

/// The two doubles of `v` as integers side by side.
fn pair_of_doubles<const TRUNCATE: bool>(v: u128, env: &mut Env) -> u64 {
    let low = int::<F64, TRUNCATE>(F64::lane(v, 0), env);
    let high = int::<F64, TRUNCATE>(F64::lane(v, 1), env);
    u64::from(low) | u64::from(high) << 32
}

/// CVTPD2DQ and CVTTPD2DQ xmm, xmm/m128: the high half is cleared.
pub(crate) fn cvtpd2dq<const TRUNCATE: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source(cpu, io, insn)?;
    let mut env = env(cpu);
    let r = pair_of_doubles::<TRUNCATE>(v, &mut env);
    commit(cpu, &env)?;
    set_xmm(cpu, insn.reg, u128::from(r));
    Ok(())
}

/// CVTSS2SI, CVTSD2SI and the truncating forms: r32, xmm/m.
pub(crate) fn cvt2si<F: Real, const TRUNCATE: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    insn: &Insn,
) -> Exec {
    enter(cpu)?;
    let v = F::scalar(cpu, io, insn)?;
    let mut env = env(cpu);
    let r = int::<F, TRUNCATE>(v, &mut env);
    commit(cpu, &env)?;
    cpu.gpr[usize::from(insn.reg & 7)] = r;
    Ok(())
}

/// CVTSI2SS, CVTSI2SD: xmm, r/m32.
pub(crate) fn cvtsi2<F: Real>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = if insn.is_mem() {
        let off = insn.ea(cpu);
        cpu.read32(io, usize::from(insn.seg), off)?
    } else {
        cpu.gpr[usize::from(insn.rm & 7)]
    };
    let mut env = env(cpu);
    let r = real::<F>(v, &mut env);
    commit(cpu, &env)?;
    let old = xmm(cpu, insn.reg);
    set_xmm(cpu, insn.reg, old & !F::MASK | r.place(0));
    Ok(())
}

/// CVTPI2PS xmm, mm/m64: two singles, the high half stays. With memory it has nothing to do with MMX (the SDM says
/// so of CVTPI2PD only; processors treat both alike).
pub(crate) fn cvtpi2ps(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    let v = if insn.is_mem() {
        enter(cpu)?;
        source64(cpu, io, insn)?
    } else {
        enter_both(cpu, io)?;
        cpu.fpu.enter_mmx();
        cpu.fpu.mm(insn.rm)
    };
    let mut env = env(cpu);
    let r = real::<F32>(v as u32, &mut env).place(0) | real::<F32>((v >> 32) as u32, &mut env).place(1);
    commit(cpu, &env)?;
    let old = xmm(cpu, insn.reg);
    set_xmm(cpu, insn.reg, old & !LOW64 | r);
    Ok(())
}

/// CVTPI2PD xmm, mm/m64. With memory it has nothing to do with MMX.
pub(crate) fn cvtpi2pd(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    if insn.is_mem() {
        return cvtdq2pd(cpu, io, insn);
    }
    enter_both(cpu, io)?;
    let v = cpu.fpu.mm(insn.rm);
    cpu.fpu.enter_mmx();
    let mut env = env(cpu);
    let r = real::<F64>(v as u32, &mut env).place(0) | real::<F64>((v >> 32) as u32, &mut env).place(1);
    set_xmm(cpu, insn.reg, r);
    Ok(())
}

/// CVTPS2PI and CVTTPS2PI mm, xmm/m64. The x87 registers become MMX's even if an exception stops the rest.
pub(crate) fn cvtps2pi<const TRUNCATE: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter_both(cpu, io)?;
    let v = u128::from(source64(cpu, io, insn)?);
    let mut env = env(cpu);
    let low = int::<F32, TRUNCATE>(F32::lane(v, 0), &mut env);
    let high = int::<F32, TRUNCATE>(F32::lane(v, 1), &mut env);
    cpu.fpu.enter_mmx();
    commit(cpu, &env)?;
    cpu.fpu.set_mm(insn.reg, u64::from(low) | u64::from(high) << 32);
    Ok(())
}

/// CVTPD2PI and CVTTPD2PI mm, xmm/m128.
pub(crate) fn cvtpd2pi<const TRUNCATE: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter_both(cpu, io)?;
    let v = source(cpu, io, insn)?;
    let mut env = env(cpu);
    let r = pair_of_doubles::<TRUNCATE>(v, &mut env);
    cpu.fpu.enter_mmx();
    commit(cpu, &env)?;
    cpu.fpu.set_mm(insn.reg, r);
    Ok(())
}
