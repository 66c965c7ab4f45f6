//! Registers and memory at a given operand size.

use hv_vcpu::GuestIo;

use crate::cpu::Cpu;
use crate::fault::{Exec, Fault};
use crate::flags::Size;
use crate::insn::Insn;

pub(crate) trait Operand: Size {
    fn reg(cpu: &Cpu, r: u8) -> Self;
    fn set_reg(cpu: &mut Cpu, r: u8, v: Self);
    fn load(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32) -> Result<Self, Fault>;
    fn store(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32, v: Self) -> Exec;
    /// Loads what a store of the same size to the same place follows: checked as a write.
    fn load_rmw(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32) -> Result<Self, Fault>;
}

impl Operand for u8 {
    /// AL CL DL BL AH CH DH BH.
    #[inline(always)]
    fn reg(cpu: &Cpu, r: u8) -> Self {
        (cpu.gpr[usize::from(r & 3)] >> ((r & 4) * 2)) as u8
    }

    #[inline(always)]
    fn set_reg(cpu: &mut Cpu, r: u8, v: Self) {
        let shift = (r & 4) * 2;
        let g = &mut cpu.gpr[usize::from(r & 3)];
        *g = *g & !(0xff << shift) | u32::from(v) << shift;
    }

    #[inline(always)]
    fn load(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32) -> Result<Self, Fault> {
        cpu.read8(io, usize::from(seg), off)
    }

    #[inline(always)]
    fn store(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32, v: Self) -> Exec {
        cpu.write8(io, usize::from(seg), off, v)
    }

    #[inline(always)]
    fn load_rmw(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32) -> Result<Self, Fault> {
        cpu.read_rmw8(io, usize::from(seg), off)
    }
}

impl Operand for u16 {
    #[inline(always)]
    fn reg(cpu: &Cpu, r: u8) -> Self {
        cpu.gpr[usize::from(r & 15)] as u16
    }

    #[inline(always)]
    fn set_reg(cpu: &mut Cpu, r: u8, v: Self) {
        let g = &mut cpu.gpr[usize::from(r & 7)];
        *g = *g & 0xffff_0000 | u32::from(v);
    }

    #[inline(always)]
    fn load(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32) -> Result<Self, Fault> {
        cpu.read16(io, usize::from(seg), off)
    }

    #[inline(always)]
    fn store(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32, v: Self) -> Exec {
        cpu.write16(io, usize::from(seg), off, v)
    }

    #[inline(always)]
    fn load_rmw(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32) -> Result<Self, Fault> {
        cpu.read_rmw16(io, usize::from(seg), off)
    }
}

impl Operand for u32 {
    #[inline(always)]
    fn reg(cpu: &Cpu, r: u8) -> Self {
        cpu.gpr[usize::from(r & 15)]
    }

    #[inline(always)]
    fn set_reg(cpu: &mut Cpu, r: u8, v: Self) {
        cpu.gpr[usize::from(r & 7)] = v;
    }

    #[inline(always)]
    fn load(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32) -> Result<Self, Fault> {
        cpu.read32(io, usize::from(seg), off)
    }

    #[inline(always)]
    fn store(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32, v: Self) -> Exec {
        cpu.write32(io, usize::from(seg), off, v)
    }

    #[inline(always)]
    fn load_rmw(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: u8, off: u32) -> Result<Self, Fault> {
        cpu.read_rmw32(io, usize::from(seg), off)
    }
}

/// The r/m operand, read.
#[inline(always)]
pub(crate) fn get<S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Result<S, Fault> {
    if MEM {
        let off = i.ea(cpu);
        S::load(cpu, io, i.seg, off)
    } else {
        Ok(S::reg(cpu, i.rm))
    }
}

/// The r/m operand, written.
#[inline(always)]
pub(crate) fn put<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn, v: S) -> Exec {
    if MEM {
        let off = i.ea(cpu);
        S::store(cpu, io, i.seg, off, v)
    } else {
        S::set_reg(cpu, i.rm, v);
        Ok(())
    }
}

/// The r/m operand, changed by `f`, which yields the new value and something for after the store succeeded.
#[inline(always)]
pub(crate) fn modify<S: Operand, R, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
    f: impl FnOnce(&Cpu, S) -> (S, R),
) -> Result<R, Fault> {
    if MEM {
        let off = i.ea(cpu);
        let old = S::load_rmw(cpu, io, i.seg, off)?;
        let (new, r) = f(cpu, old);
        S::store(cpu, io, i.seg, off, new)?;
        Ok(r)
    } else {
        let (new, r) = f(cpu, S::reg(cpu, i.rm));
        S::set_reg(cpu, i.rm, new);
        Ok(r)
    }
}
