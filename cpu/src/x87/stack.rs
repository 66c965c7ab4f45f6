//! Instructions that move registers about: FXCH, FCMOVcc, FFREE, FFREEP, FINCSTP, FDECSTP.

use hv_vcpu::GuestIo;

use super::{enter, note};
use crate::cpu::{Cpu, eflags};
use crate::fault::Exec;
use crate::fpu::sw;
use crate::insn::Insn;
use crate::softfloat::F80;

pub(crate) fn fxch(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    let i = insn.modrm & 7;
    if fpu.is_empty(0) || fpu.is_empty(i) {
        if !fpu.stack_fault(false) {
            return Ok(());
        }
        for r in [0, i] {
            if fpu.is_empty(r) {
                fpu.set_st(r, F80::INDEFINITE);
            }
        }
    } else {
        fpu.sw &= !sw::C1;
    }
    let (a, b) = (fpu.st(0), fpu.st(i));
    fpu.set_st(0, b);
    fpu.set_st(i, a);
    Ok(())
}

/// FCMOVcc. `CC`: 0 B, 1 E, 2 BE, 3 U; `NOT` turns it round.
pub(crate) fn fcmov<const CC: u8, const NOT: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let f = cpu.flags.pack();
    let mask = match CC {
        0 => eflags::CF,
        1 => eflags::ZF,
        2 => eflags::CF | eflags::ZF,
        _ => eflags::PF,
    };
    let fpu = &mut cpu.fpu;
    let i = insn.modrm & 7;
    if fpu.is_empty(0) || fpu.is_empty(i) {
        if fpu.stack_fault(false) {
            // Whether or not the condition holds.
            fpu.set_st(0, F80::INDEFINITE);
        }
        return Ok(());
    }
    if (f & mask != 0) != NOT {
        let v = fpu.st(i);
        fpu.set_st(0, v);
    }
    Ok(())
}

pub(crate) fn ffree<const POP: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    fpu.sw &= !sw::C1;
    let p = fpu.phys(insn.modrm & 7);
    fpu.tags &= !(1 << p);
    if POP {
        fpu.pop();
    }
    Ok(())
}

/// FINCSTP (1) and FDECSTP (7): TOP only, no tags.
pub(crate) fn turn<const BY: u8>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    cpu.fpu.sw &= !sw::C1;
    cpu.fpu.top = cpu.fpu.top.wrapping_add(BY) & 7;
    Ok(())
}
