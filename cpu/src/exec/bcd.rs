//! DAA DAS AAA AAS AAM AAD, and SALC. SDM vol. 2.
//!
//! OF after DAA and DAS is undefined and 0 here; so are OF and SF after AAA and AAS, whose ZF and PF are those of
//! the 8-bit sum.

use hv_vcpu::GuestIo;

use super::alu::{Add, Alu};
use super::operand::Operand;
use crate::cpu::{Cpu, EAX};
use crate::fault::{Exec, Fault};
use crate::flags::Flags;
use crate::insn::Insn;

const AL: u8 = 0;

#[inline(always)]
fn decimal_adjust(cpu: &mut Cpu, step: fn(u8, u8) -> (u8, bool)) -> Exec {
    let old = u8::reg(cpu, AL);
    let old_cf = cpu.flags.cf();
    let (mut al, mut cf, mut af) = (old, false, false);
    if old & 0xf > 9 || cpu.flags.af() {
        let (v, carry) = step(al, 6);
        al = v;
        cf = old_cf || carry;
        af = true;
    }
    if old > 0x99 || old_cf {
        al = step(al, 0x60).0;
        cf = true;
    }
    u8::set_reg(cpu, AL, al);
    cpu.flags = Flags::with(al, cf, false, af);
    Ok(())
}

pub(crate) fn daa(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    decimal_adjust(cpu, u8::overflowing_add)
}

pub(crate) fn das(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    decimal_adjust(cpu, u8::overflowing_sub)
}

#[inline(always)]
fn ascii_adjust(cpu: &mut Cpu, by: u16) -> Exec {
    let ax = cpu.gpr[EAX] as u16;
    let adjust = ax & 0xf > 9 || cpu.flags.af();
    let ax = if adjust { ax.wrapping_add(by) } else { ax };
    u16::set_reg(cpu, EAX as u8, ax & 0xff0f);
    // SF stays 0: only the low seven bits count for the sign-extended result.
    let sum = u32::from(ax & 0xff);
    cpu.flags =
        Flags { res: sum, aux: u32::from(adjust) << 31 | u32::from(adjust) << 30 | u32::from(adjust) << 3 };
    Ok(())
}

pub(crate) fn aaa(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    ascii_adjust(cpu, 0x106)
}

pub(crate) fn aas(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    ascii_adjust(cpu, 0x106_u16.wrapping_neg())
}

pub(crate) fn aam(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    let base = i.imm as u8;
    if base == 0 {
        return Err(Fault::de());
    }
    let al = u8::reg(cpu, AL);
    u16::set_reg(cpu, EAX as u8, u16::from(al / base) << 8 | u16::from(al % base));
    cpu.flags = Flags::logic(al % base);
    Ok(())
}

/// The flags are those of the 8-bit addition.
pub(crate) fn aad(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    let high = u8::reg(cpu, 4).wrapping_mul(i.imm as u8);
    let (r, flags) = Add::op(cpu.flags, u8::reg(cpu, AL), high);
    u16::set_reg(cpu, EAX as u8, u16::from(r));
    cpu.flags = flags;
    Ok(())
}

/// SALC (D6, undocumented): AL = CF ? FFh : 0.
pub(crate) fn salc(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    let v = if cpu.flags.cf() { 0xff } else { 0 };
    u8::set_reg(cpu, AL, v);
    Ok(())
}
