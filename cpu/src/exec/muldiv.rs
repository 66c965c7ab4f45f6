//! MUL IMUL DIV IDIV, and AAM's and AAD's kin CBW CWD. SDM vol. 2.
//!
//! SF, ZF, AF and PF after multiplication are undefined: here SF and PF follow the low half, ZF and AF are 0, as on
//! Intel's processors of today. DIV and IDIV leave all flags alone.

use hv_vcpu::GuestIo;

use super::operand::{Operand, get};
use crate::cpu::{Cpu, EAX, EDX};
use crate::fault::{Exec, Fault};
use crate::flags::{Flags, Size};
use crate::insn::Insn;

fn product_flags<S: Size>(low: S, overflow: bool) -> Flags {
    let f = Flags::with(low, overflow, overflow, false);
    // Anything but 0, with the sign and the low byte of `low`.
    Flags { res: f.res | 0x100, aux: f.aux }
}

/// EDX:EAX, DX:AX or AX takes a double-width result: high half and low half.
#[inline(always)]
fn set_pair<S: Operand>(cpu: &mut Cpu, high: S, low: S) {
    if S::BITS == 8 {
        u16::set_reg(cpu, EAX as u8, (high.zext() << 8 | low.zext()) as u16);
    } else {
        S::set_reg(cpu, EAX as u8, low);
        S::set_reg(cpu, EDX as u8, high);
    }
}

#[inline(always)]
fn pair<S: Operand>(cpu: &Cpu) -> u64 {
    if S::BITS == 8 {
        u64::from(cpu.gpr[EAX] & 0xffff)
    } else {
        u64::from(S::reg(cpu, EDX as u8).zext()) << S::BITS | u64::from(S::reg(cpu, EAX as u8).zext())
    }
}

pub(crate) fn mul<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let b = get::<S, MEM>(cpu, io, i)?;
    let p = u64::from(S::reg(cpu, 0).zext()) * u64::from(b.zext());
    let (high, low) = (S::cut((p >> S::BITS) as u32), S::cut(p as u32));
    set_pair(cpu, high, low);
    cpu.flags = product_flags(low, high.zext() != 0);
    Ok(())
}

/// Product cut to `S`, and whether that lost anything.
#[inline(always)]
fn signed_product<S: Size>(a: S, b: S) -> (i64, S, bool) {
    let p = i64::from(a.sext() as i32) * i64::from(b.sext() as i32);
    let low = S::cut(p as u32);
    (p, low, i64::from(low.sext() as i32) != p)
}

pub(crate) fn imul<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let b = get::<S, MEM>(cpu, io, i)?;
    let (p, low, lost) = signed_product(S::reg(cpu, 0), b);
    set_pair(cpu, S::cut((p >> S::BITS) as u32), low);
    cpu.flags = product_flags(low, lost);
    Ok(())
}

/// IMUL r, r/m
pub(crate) fn imul_r_rm<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let b = get::<S, MEM>(cpu, io, i)?;
    let (_, low, lost) = signed_product(S::reg(cpu, i.reg), b);
    S::set_reg(cpu, i.reg, low);
    cpu.flags = product_flags(low, lost);
    Ok(())
}

/// IMUL r, r/m, imm
pub(crate) fn imul_r_rm_i<S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    let b = get::<S, MEM>(cpu, io, i)?;
    let (_, low, lost) = signed_product(b, S::cut(i.imm));
    S::set_reg(cpu, i.reg, low);
    cpu.flags = product_flags(low, lost);
    Ok(())
}

pub(crate) fn div<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let d = u64::from(get::<S, MEM>(cpu, io, i)?.zext());
    let n = pair::<S>(cpu);
    if d == 0 || n / d > u64::from(S::MASK) {
        return Err(Fault::de());
    }
    set_pair(cpu, S::cut((n % d) as u32), S::cut((n / d) as u32));
    Ok(())
}

pub(crate) fn idiv<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let d = i64::from(get::<S, MEM>(cpu, io, i)?.sext() as i32);
    // Sign-extends 2 * BITS to 64.
    let unused = 64 - 2 * S::BITS;
    let n = (pair::<S>(cpu) << unused) as i64 >> unused;
    // checked_*: division by zero, and i64::MIN / -1, which overflows any quotient too.
    let (Some(q), Some(r)) = (n.checked_div(d), n.checked_rem(d)) else { return Err(Fault::de()) };
    let low = S::cut(q as u32);
    if i64::from(low.sext() as i32) != q {
        return Err(Fault::de());
    }
    set_pair(cpu, S::cut(r as u32), low);
    Ok(())
}

/// CBW, CWDE
pub(crate) fn cbw(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    let v = u8::reg(cpu, 0).sext() as u16;
    u16::set_reg(cpu, 0, v);
    Ok(())
}

pub(crate) fn cwde(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    cpu.gpr[EAX] = u16::reg(cpu, 0).sext();
    Ok(())
}

/// CWD, CDQ
pub(crate) fn cwd<S: Operand>(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    let v = S::cut((S::reg(cpu, EAX as u8).sext() as i32 >> 31) as u32);
    S::set_reg(cpu, EDX as u8, v);
    Ok(())
}
