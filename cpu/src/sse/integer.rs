//! Packed integers in XMM registers. SDM vol. 1, 11.4.2.

use hv_vcpu::GuestIo;

use super::packed::{Packed, Shift, shuffle_words, sign_mask};
use super::{LOW64, enter, set_xmm, source, xmm};
use crate::cpu::Cpu;
use crate::fault::Exec;
use crate::insn::Insn;
use crate::mmx::store_masked;

/// op xmm, xmm/m128. Also ANDPS and its kin, which are the same on bits.
pub(crate) fn op<O: Packed>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let b = source(cpu, io, insn)?;
    let v = O::apply(xmm(cpu, insn.reg).to_le_bytes(), b.to_le_bytes());
    set_xmm(cpu, insn.reg, u128::from_le_bytes(v));
    Ok(())
}

/// Shift by the low 64 bits of xmm/m128.
pub(crate) fn shift<S: Shift>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let count = source(cpu, io, insn)? as u64;
    let v = S::apply(xmm(cpu, insn.reg).to_le_bytes(), count);
    set_xmm(cpu, insn.reg, u128::from_le_bytes(v));
    Ok(())
}

/// Groups 12 to 14.
pub(crate) fn shift_imm<S: Shift>(cpu: &mut Cpu, _: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = S::apply(xmm(cpu, insn.rm).to_le_bytes(), u64::from(insn.imm & 0xff));
    set_xmm(cpu, insn.rm, u128::from_le_bytes(v));
    Ok(())
}

/// PSRLDQ and PSLLDQ: the whole register by bytes.
pub(crate) fn shift_bytes<const LEFT: bool>(cpu: &mut Cpu, _: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let bits = (insn.imm & 0xff) * 8;
    let v = xmm(cpu, insn.rm);
    let v = if LEFT { v.checked_shl(bits) } else { v.checked_shr(bits) }.unwrap_or(0);
    set_xmm(cpu, insn.rm, v);
    Ok(())
}

pub(crate) fn pshufd(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source(cpu, io, insn)?;
    let pick = |i: u32| u128::from((v >> ((insn.imm >> (2 * i) & 3) * 32)) as u32) << (32 * i);
    set_xmm(cpu, insn.reg, pick(0) | pick(1) | pick(2) | pick(3));
    Ok(())
}

pub(crate) fn pshuflw(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source(cpu, io, insn)?;
    set_xmm(cpu, insn.reg, v & !LOW64 | u128::from(shuffle_words(v as u64, insn.imm)));
    Ok(())
}

pub(crate) fn pshufhw(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source(cpu, io, insn)?;
    let high = u128::from(shuffle_words((v >> 64) as u64, insn.imm)) << 64;
    set_xmm(cpu, insn.reg, v & LOW64 | high);
    Ok(())
}

/// PINSRW xmm, r32/m16, imm8.
pub(crate) fn pinsrw(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = if insn.is_mem() {
        let off = insn.ea(cpu);
        cpu.read16(io, usize::from(insn.seg), off)?
    } else {
        cpu.gpr[usize::from(insn.rm & 7)] as u16
    };
    let at = (insn.imm & 7) * 16;
    let old = xmm(cpu, insn.reg) & !(0xffff << at);
    set_xmm(cpu, insn.reg, old | u128::from(v) << at);
    Ok(())
}

/// PEXTRW r32, xmm, imm8.
pub(crate) fn pextrw(cpu: &mut Cpu, _: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = (xmm(cpu, insn.rm) >> ((insn.imm & 7) * 16)) as u32 & 0xffff;
    cpu.gpr[usize::from(insn.reg & 7)] = v;
    Ok(())
}

pub(crate) fn pmovmskb(cpu: &mut Cpu, _: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    cpu.gpr[usize::from(insn.reg & 7)] = sign_mask(&xmm(cpu, insn.rm).to_le_bytes());
    Ok(())
}

pub(crate) fn maskmovdqu(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let (v, mask) = (xmm(cpu, insn.reg), xmm(cpu, insn.rm));
    store_masked(cpu, io, insn, &v.to_le_bytes(), sign_mask(&mask.to_le_bytes()))
}
