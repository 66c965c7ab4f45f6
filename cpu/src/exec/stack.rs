//! PUSH POP PUSHA POPA ENTER LEAVE. SDM vol. 2 and vol. 1, 6.2.
//!
//! The stack's address size is SS.B, whatever the operand and address sizes.

use hv_vcpu::GuestIo;

use super::mov::load_sreg;
use super::operand::{Operand, get, put};
use crate::cpu::{Cpu, EBP, ESP, SS};
use crate::fault::{Exec, Fault};
use crate::insn::Insn;
use crate::mem::Access;

/// What can be pushed: 16 or 32 bits.
pub(crate) trait Pushed: Operand {
    fn push(cpu: &mut Cpu, io: &mut dyn GuestIo, v: Self) -> Exec;
    fn pop(cpu: &mut Cpu, io: &mut dyn GuestIo) -> Result<Self, Fault>;
}

impl Pushed for u16 {
    #[inline(always)]
    fn push(cpu: &mut Cpu, io: &mut dyn GuestIo, v: Self) -> Exec {
        cpu.push16(io, v)
    }

    #[inline(always)]
    fn pop(cpu: &mut Cpu, io: &mut dyn GuestIo) -> Result<Self, Fault> {
        cpu.pop16(io)
    }
}

impl Pushed for u32 {
    #[inline(always)]
    fn push(cpu: &mut Cpu, io: &mut dyn GuestIo, v: Self) -> Exec {
        cpu.push32(io, v)
    }

    #[inline(always)]
    fn pop(cpu: &mut Cpu, io: &mut dyn GuestIo) -> Result<Self, Fault> {
        cpu.pop32(io)
    }
}

pub(crate) fn push_r<S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = S::reg(cpu, i.rm);
    S::push(cpu, io, v)
}

pub(crate) fn push_rm<S: Pushed, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = get::<S, MEM>(cpu, io, i)?;
    S::push(cpu, io, v)
}

pub(crate) fn push_i<S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    S::push(cpu, io, S::cut(i.imm))
}

/// ESP is incremented before a popped ESP replaces it.
pub(crate) fn pop_r<S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = S::pop(cpu, io)?;
    S::set_reg(cpu, i.rm, v);
    Ok(())
}

/// An address that uses ESP sees it incremented.
pub(crate) fn pop_rm<S: Pushed, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let esp = cpu.gpr[ESP];
    let v = S::pop(cpu, io)?;
    put::<S, MEM>(cpu, io, i, v).inspect_err(|_| cpu.gpr[ESP] = esp)
}

/// The segment register in the reg field's place: bits 5:3 of the opcode. A 32-bit push moves ESP by four and
/// writes two bytes.
pub(crate) fn push_sreg<const SEG: usize, S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    let sp = cpu.gpr[ESP].wrapping_sub(S::BYTES);
    let v = cpu.seg[SEG].selector;
    cpu.write16(io, SS, sp & cpu.sp_mask(), v)?;
    cpu.set_sp(sp);
    Ok(())
}

pub(crate) fn pop_sreg<const SEG: usize, S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    // Only the selector is read, also with a 32-bit operand.
    let sp = cpu.gpr[ESP];
    let selector = cpu.read16(io, SS, cpu.sp())?;
    let mask = cpu.sp_mask();
    load_sreg(cpu, io, SEG, selector)?;
    cpu.gpr[ESP] = sp & !mask | sp.wrapping_add(S::BYTES) & mask;
    Ok(())
}

pub(crate) fn pusha<S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    let esp = cpu.gpr[ESP];
    let size = S::BYTES as usize;
    let mut image = [0; 32];
    for (slot, r) in (0..8_u8).rev().enumerate() {
        let v = S::reg(cpu, r).zext().to_le_bytes();
        image[slot * size..][..size].copy_from_slice(&v[..size]);
    }
    let low = esp.wrapping_sub(8 * S::BYTES) & cpu.sp_mask();
    if low.wrapping_add(8 * S::BYTES - 1) & cpu.sp_mask() > low
        && cpu.align(cpu.seg[SS].base.wrapping_add(low), S::BYTES).is_ok()
        && cpu.write_bytes(io, SS, low, &image[..8 * size]).is_ok()
    {
        cpu.set_sp(low);
        return Ok(());
    }
    // Around the end of the segment, or into a fault, which is that of the first push in order: slot by slot.
    for r in 0..8 {
        let v = if r == ESP as u8 { S::cut(esp) } else { S::reg(cpu, r) };
        S::push(cpu, io, v).inspect_err(|_| cpu.gpr[ESP] = esp)?;
    }
    Ok(())
}

/// The slot of ESP is read and dropped.
pub(crate) fn popa<S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    let esp = cpu.gpr[ESP];
    let mut values = [S::cut(0); 8];
    for r in (0..8).rev() {
        values[r] = S::pop(cpu, io).inspect_err(|_| cpu.gpr[ESP] = esp)?;
    }
    for (r, v) in values.into_iter().enumerate() {
        if r != ESP {
            S::set_reg(cpu, r as u8, v);
        }
    }
    Ok(())
}

/// `imm`: bytes of locals; `disp`: nesting level. Pushes and EBP have the operand's size, ESP the stack's.
pub(crate) fn enter<S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let esp = cpu.gpr[ESP];
    enter_frame::<S>(cpu, io, i).inspect_err(|_| cpu.gpr[ESP] = esp)
}

fn enter_frame<S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let mask = cpu.sp_mask();
    let level = i.disp & 31;
    let v = S::reg(cpu, EBP as u8);
    S::push(cpu, io, v)?;
    let frame = cpu.gpr[ESP];
    let mut ebp = cpu.gpr[EBP];
    for _ in 1..level {
        ebp = ebp.wrapping_sub(S::BYTES);
        let v = S::load(cpu, io, SS as u8, ebp & mask)?;
        S::push(cpu, io, v)?;
    }
    if level > 0 {
        S::push(cpu, io, S::cut(frame))?;
    }
    let bottom = cpu.gpr[ESP].wrapping_sub(i.imm & 0xffff);
    // The new top of the stack must be writable.
    cpu.align_at(SS, bottom & mask, S::BYTES, S::BYTES, Access::Write)?;
    cpu.probe_write(io, SS, bottom & mask, S::BYTES)?;
    cpu.set_sp(bottom);
    S::set_reg(cpu, EBP as u8, S::cut(frame));
    Ok(())
}

pub(crate) fn leave<S: Pushed>(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    let mask = cpu.sp_mask();
    let ebp = cpu.gpr[EBP];
    let v = S::load(cpu, io, SS as u8, ebp & mask)?;
    cpu.set_sp(ebp.wrapping_add(S::BYTES));
    S::set_reg(cpu, EBP as u8, v);
    Ok(())
}
