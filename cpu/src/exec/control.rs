//! Near JMP CALL RET Jcc LOOP JCXZ. SDM vol. 2.
//!
//! With a 16-bit operand the target is cut to 16 bits. A target beyond the limit of CS is #GP(0) at the transfer.

use hv_vcpu::GuestIo;

use super::operand::{Operand, get};
use super::stack::Pushed;
use crate::cpu::{CS, Cpu, ECX, ESP};
use crate::fault::{Exec, Fault};
use crate::insn::Insn;

#[inline(always)]
fn check(cpu: &Cpu, target: u32) -> Exec {
    if target > cpu.seg[CS].limit { Err(Fault::gp(0)) } else { Ok(()) }
}

#[inline(always)]
fn relative<S: Operand>(cpu: &Cpu, i: &Insn) -> Result<u32, Fault> {
    let target = cpu.eip.wrapping_add(i.imm) & S::MASK;
    check(cpu, target)?;
    Ok(target)
}

pub(crate) fn jmp<S: Operand>(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.eip = relative::<S>(cpu, i)?;
    Ok(())
}

/// A conditional jump that is taken: the block goes on behind it otherwise.
#[inline(always)]
fn jumped<S: Operand>(cpu: &mut Cpu, i: &Insn) -> Exec {
    cpu.eip = relative::<S>(cpu, i)?;
    Err(Fault::jump())
}

pub(crate) fn jcc<const CC: u8, S: Operand>(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    if cpu.flags.cond::<CC>() { jumped::<S>(cpu, i) } else { Ok(()) }
}

pub(crate) fn jmp_rm<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let target = get::<S, MEM>(cpu, io, i)?.zext();
    check(cpu, target)?;
    cpu.eip = target;
    Ok(())
}

/// A fault of the push comes before one of the target.
#[inline(always)]
fn call_to<S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, target: u32) -> Exec {
    let esp = cpu.gpr[ESP];
    S::push(cpu, io, S::cut(cpu.eip))?;
    check(cpu, target).inspect_err(|_| cpu.gpr[ESP] = esp)?;
    cpu.eip = target;
    Ok(())
}

pub(crate) fn call<S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let target = cpu.eip.wrapping_add(i.imm) & S::MASK;
    call_to::<S>(cpu, io, target)
}

pub(crate) fn call_rm<S: Pushed, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let target = get::<S, MEM>(cpu, io, i)?.zext();
    call_to::<S>(cpu, io, target)
}

/// RET and RET imm16 (`imm` is 0 without one).
pub(crate) fn ret<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let sp = cpu.sp();
    let target = S::load(cpu, io, crate::cpu::SS as u8, sp)?.zext();
    check(cpu, target)?;
    cpu.set_sp(sp.wrapping_add(S::BYTES).wrapping_add(i.imm));
    cpu.eip = target;
    Ok(())
}

/// How LOOP, LOOPE and LOOPNE look at ZF.
pub(crate) trait Loop {
    fn go_on(zf: bool) -> bool;
}

pub(crate) struct Always;
pub(crate) struct WhileZero;
pub(crate) struct WhileNotZero;

impl Loop for Always {
    fn go_on(_: bool) -> bool {
        true
    }
}

impl Loop for WhileZero {
    fn go_on(zf: bool) -> bool {
        zf
    }
}

impl Loop for WhileNotZero {
    fn go_on(zf: bool) -> bool {
        !zf
    }
}

/// The counter has the address size.
pub(crate) fn r#loop<L: Loop, S: Operand>(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    let count = cpu.gpr[ECX].wrapping_sub(1);
    let go = count & i.amask != 0 && L::go_on(cpu.flags.zf());
    let target = if go { relative::<S>(cpu, i)? } else { cpu.eip };
    cpu.gpr[ECX] = cpu.gpr[ECX] & !i.amask | count & i.amask;
    cpu.eip = target;
    if go { Err(Fault::jump()) } else { Ok(()) }
}

pub(crate) fn jcxz<S: Operand>(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    if cpu.gpr[ECX] & i.amask == 0 { jumped::<S>(cpu, i) } else { Ok(()) }
}
