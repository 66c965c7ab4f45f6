//! Moves, shuffles and unpacks of floating point registers, MXCSR, cache control.

use hv_vcpu::GuestIo;

use super::{LOW32, LOW64, enter, set_xmm, source, source32, source64, xmm};
use crate::cpu::Cpu;
use crate::fault::{Exec, Fault};
use crate::fpu::MXCSR_MASK;
use crate::insn::Insn;
use crate::mmx;

/// MOVAPS, MOVAPD, MOVDQA xmm, xmm/m128.
pub(crate) fn load_aligned(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source(cpu, io, insn)?;
    set_xmm(cpu, insn.reg, v);
    Ok(())
}

/// The stores of the same; MOVNTPS, MOVNTPD, MOVNTDQ.
pub(crate) fn store_aligned(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = xmm(cpu, insn.reg);
    if insn.is_mem() {
        let off = insn.ea(cpu);
        return cpu.write128_aligned(io, usize::from(insn.seg), off, v.to_le_bytes());
    }
    set_xmm(cpu, insn.rm, v);
    Ok(())
}

/// MOVUPS, MOVUPD, MOVDQU.
pub(crate) fn load(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = if insn.is_mem() {
        let off = insn.ea(cpu);
        u128::from_le_bytes(cpu.read128(io, usize::from(insn.seg), off)?)
    } else {
        xmm(cpu, insn.rm)
    };
    set_xmm(cpu, insn.reg, v);
    Ok(())
}

pub(crate) fn store(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = xmm(cpu, insn.reg);
    if insn.is_mem() {
        let off = insn.ea(cpu);
        return cpu.write128(io, usize::from(insn.seg), off, v.to_le_bytes());
    }
    set_xmm(cpu, insn.rm, v);
    Ok(())
}

/// Puts the low bits `mask` of `v` into register `i`.
#[inline(always)]
fn merge(cpu: &mut Cpu, i: u8, mask: u128, v: u128) {
    let old = xmm(cpu, i);
    set_xmm(cpu, i, old & !mask | v & mask);
}

/// MOVSS xmm, xmm/m32: from memory it clears the rest.
pub(crate) fn movss_load(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = u128::from(source32(cpu, io, insn)?);
    let mask = if insn.is_mem() { u128::MAX } else { LOW32 };
    merge(cpu, insn.reg, mask, v);
    Ok(())
}

pub(crate) fn movss_store(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = xmm(cpu, insn.reg);
    if insn.is_mem() {
        let off = insn.ea(cpu);
        return cpu.write32(io, usize::from(insn.seg), off, v as u32);
    }
    merge(cpu, insn.rm, LOW32, v);
    Ok(())
}

/// MOVSD xmm, xmm/m64.
pub(crate) fn movsd_load(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = u128::from(source64(cpu, io, insn)?);
    let mask = if insn.is_mem() { u128::MAX } else { LOW64 };
    merge(cpu, insn.reg, mask, v);
    Ok(())
}

pub(crate) fn movsd_store(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = xmm(cpu, insn.reg);
    if insn.is_mem() {
        let off = insn.ea(cpu);
        return cpu.write64(io, usize::from(insn.seg), off, v as u64);
    }
    merge(cpu, insn.rm, LOW64, v);
    Ok(())
}

/// MOVLPS, MOVLPD xmm, m64.
pub(crate) fn movlps_load(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source64(cpu, io, insn)?;
    merge(cpu, insn.reg, LOW64, u128::from(v));
    Ok(())
}

/// MOVHLPS xmm, xmm.
pub(crate) fn movhlps(cpu: &mut Cpu, _: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = xmm(cpu, insn.rm) >> 64;
    merge(cpu, insn.reg, LOW64, v);
    Ok(())
}

/// MOVHPS, MOVHPD xmm, m64, and MOVLHPS xmm, xmm: the low half of the source to the high half.
pub(crate) fn movhps_load(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source64(cpu, io, insn)?;
    merge(cpu, insn.reg, !LOW64, u128::from(v) << 64);
    Ok(())
}

pub(crate) fn movlps_store(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let off = insn.ea(cpu);
    let v = xmm(cpu, insn.reg) as u64;
    cpu.write64(io, usize::from(insn.seg), off, v)
}

pub(crate) fn movhps_store(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let off = insn.ea(cpu);
    let v = (xmm(cpu, insn.reg) >> 64) as u64;
    cpu.write64(io, usize::from(insn.seg), off, v)
}

/// MOVD xmm, r/m32.
pub(crate) fn movd_load(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = if insn.is_mem() {
        let off = insn.ea(cpu);
        cpu.read32(io, usize::from(insn.seg), off)?
    } else {
        cpu.gpr[usize::from(insn.rm & 7)]
    };
    set_xmm(cpu, insn.reg, u128::from(v));
    Ok(())
}

/// MOVD r/m32, xmm.
pub(crate) fn movd_store(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = xmm(cpu, insn.reg) as u32;
    if insn.is_mem() {
        let off = insn.ea(cpu);
        return cpu.write32(io, usize::from(insn.seg), off, v);
    }
    cpu.gpr[usize::from(insn.rm & 7)] = v;
    Ok(())
}

/// MOVQ xmm, xmm/m64: always clears the high half.
pub(crate) fn movq_load(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source64(cpu, io, insn)?;
    set_xmm(cpu, insn.reg, u128::from(v));
    Ok(())
}

pub(crate) fn movq_store(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = xmm(cpu, insn.reg) as u64;
    if insn.is_mem() {
        let off = insn.ea(cpu);
        return cpu.write64(io, usize::from(insn.seg), off, v);
    }
    set_xmm(cpu, insn.rm, u128::from(v));
    Ok(())
}

/// SSE's checks, then those of an instruction that uses MMX registers too.
pub(super) fn enter_both(cpu: &mut Cpu, io: &mut dyn GuestIo) -> Exec {
    enter(cpu)?;
    mmx::enter(cpu, io)
}

/// MOVQ2DQ xmm, mm.
pub(crate) fn movq2dq(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter_both(cpu, io)?;
    cpu.fpu.enter_mmx();
    let v = cpu.fpu.mm(insn.rm);
    set_xmm(cpu, insn.reg, u128::from(v));
    Ok(())
}

/// MOVDQ2Q mm, xmm.
pub(crate) fn movdq2q(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter_both(cpu, io)?;
    cpu.fpu.enter_mmx();
    let v = xmm(cpu, insn.rm) as u64;
    cpu.fpu.set_mm(insn.reg, v);
    Ok(())
}

pub(crate) fn movmskps(cpu: &mut Cpu, _: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = xmm(cpu, insn.rm);
    let bit = |i: u32| (v >> (32 * i + 31)) as u32 & 1;
    cpu.gpr[usize::from(insn.reg & 7)] = bit(0) | bit(1) << 1 | bit(2) << 2 | bit(3) << 3;
    Ok(())
}

pub(crate) fn movmskpd(cpu: &mut Cpu, _: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = xmm(cpu, insn.rm);
    cpu.gpr[usize::from(insn.reg & 7)] = ((v >> 63) as u32 & 1) | ((v >> 126) as u32 & 2);
    Ok(())
}

pub(crate) fn shufps(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let b = source(cpu, io, insn)?;
    let a = xmm(cpu, insn.reg);
    let pick = |v: u128, i: u32| u128::from((v >> ((insn.imm >> (2 * i) & 3) * 32)) as u32) << (32 * i);
    set_xmm(cpu, insn.reg, pick(a, 0) | pick(a, 1) | pick(b, 2) | pick(b, 3));
    Ok(())
}

pub(crate) fn shufpd(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let b = source(cpu, io, insn)?;
    let a = xmm(cpu, insn.reg);
    let low = a >> ((insn.imm & 1) * 64) & LOW64;
    let high = b >> ((insn.imm >> 1 & 1) * 64) & LOW64;
    set_xmm(cpu, insn.reg, low | high << 64);
    Ok(())
}

pub(crate) fn ldmxcsr(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let off = insn.ea(cpu);
    let v = cpu.read32(io, usize::from(insn.seg), off)?;
    if v & !MXCSR_MASK != 0 {
        return Err(Fault::gp(0));
    }
    cpu.fpu.mxcsr = v;
    Ok(())
}

pub(crate) fn stmxcsr(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let off = insn.ea(cpu);
    let v = cpu.fpu.mxcsr;
    cpu.write32(io, usize::from(insn.seg), off, v)
}

/// LFENCE, MFENCE, SFENCE: memory is in program order here anyway. No control register forbids them.
pub(crate) fn fence(_: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    Ok(())
}

/// Checked as a load of one byte (SDM, CLFLUSH).
pub(crate) fn clflush(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    let off = insn.ea(cpu);
    cpu.probe_read(io, usize::from(insn.seg), off, 1)
}
