//! IN and OUT. SDM vol. 2; vol. 1, chapter 18.

use hv_vcpu::{GuestIo, Width};

use super::operand::Operand;
use crate::cpu::{Cpu, EDX};
use crate::fault::Exec;
use crate::flags::Size;
use crate::insn::Insn;

pub(crate) trait Port: Operand {
    const WIDTH: Width;
}

impl Port for u8 {
    const WIDTH: Width = Width::Byte;
}

impl Port for u16 {
    const WIDTH: Width = Width::Word;
}

impl Port for u32 {
    const WIDTH: Width = Width::Dword;
}

/// Reads a port that the program may use.
pub(super) fn read<S: Port>(cpu: &mut Cpu, io: &mut dyn GuestIo, port: u16) -> S {
    cpu.watch_io(port, S::BYTES);
    cpu.report(io);
    let v = S::cut(io.pio_read(port, S::WIDTH));
    cpu.after_io();
    v
}

pub(super) fn write<S: Port>(cpu: &mut Cpu, io: &mut dyn GuestIo, port: u16, v: S) {
    cpu.watch_io(port, S::BYTES);
    cpu.report(io);
    io.pio_write(port, S::WIDTH, v.zext());
    cpu.after_io();
}

#[inline(always)]
fn number<const IMM: bool>(cpu: &Cpu, i: &Insn) -> u16 {
    if IMM { u16::from(i.imm as u8) } else { cpu.gpr[EDX] as u16 }
}

pub(crate) fn r#in<S: Port, const IMM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let port = number::<IMM>(cpu, i);
    cpu.io_allowed(io, port, S::WIDTH)?;
    let v = read::<S>(cpu, io, port);
    S::set_reg(cpu, 0, v);
    Ok(())
}

pub(crate) fn out<S: Port, const IMM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let port = number::<IMM>(cpu, i);
    cpu.io_allowed(io, port, S::WIDTH)?;
    let v = S::reg(cpu, 0);
    write::<S>(cpu, io, port, v);
    Ok(())
}

const _: () = assert!(<u8 as Size>::BYTES == 1);
