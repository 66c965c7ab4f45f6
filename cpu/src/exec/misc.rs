//! NOP, #UD, BOUND, and single flags. SDM vol. 2.

use hv_vcpu::GuestIo;

use super::operand::Operand;
use crate::cpu::{Cpu, eflags};
use crate::fault::{Exec, Fault};
use crate::insn::Insn;

/// NOP, PAUSE, prefetches and the reserved hints 0F 19-1F: a memory operand is not accessed.
pub(crate) fn nop(_: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    Ok(())
}

/// Opcodes that do not exist.
pub(crate) fn ud(_: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    Err(Fault::ud())
}

/// More than 15 bytes. SDM vol. 3, 6.15, #GP.
pub(crate) fn too_long(_: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    Err(Fault::gp(0))
}

/// #BR if the signed index is outside the two bounds in memory.
pub(crate) fn bound<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let off = i.ea(cpu);
    let low = S::load(cpu, io, i.seg, off)?.sext() as i32;
    let index = S::reg(cpu, i.reg).sext() as i32;
    if index < low {
        return Err(Fault::br());
    }
    let high = S::load(cpu, io, i.seg, off.wrapping_add(S::BYTES) & i.amask)?.sext() as i32;
    if index > high { Err(Fault::br()) } else { Ok(()) }
}

pub(crate) fn clc(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    cpu.flags.set_cf(false);
    Ok(())
}

pub(crate) fn stc(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    cpu.flags.set_cf(true);
    Ok(())
}

pub(crate) fn cmc(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    let cf = cpu.flags.cf();
    cpu.flags.set_cf(!cf);
    Ok(())
}

pub(crate) fn cld(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    cpu.eflags &= !eflags::DF;
    Ok(())
}

pub(crate) fn std(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    cpu.eflags |= eflags::DF;
    Ok(())
}
