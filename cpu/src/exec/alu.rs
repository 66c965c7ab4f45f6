//! ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NEG NOT, XADD, CMPXCHG, CMPXCHG8B. SDM vol. 2.
//!
//! AF after the logical ones is undefined; 0 here, as on the processor that we show.

use hv_vcpu::GuestIo;

use super::operand::{Operand, get, modify};
use crate::cpu::{Cpu, EAX, EBX, ECX, EDX};
use crate::fault::Exec;
use crate::flags::{Flags, Size};
use crate::insn::Insn;

pub(crate) trait Alu {
    /// CMP and TEST have no destination.
    const WRITES: bool = true;
    fn op<S: Size>(f: Flags, a: S, b: S) -> (S, Flags);
}

pub(crate) struct Add;
pub(crate) struct Or;
pub(crate) struct Adc;
pub(crate) struct Sbb;
pub(crate) struct And;
pub(crate) struct Sub;
pub(crate) struct Xor;
pub(crate) struct Cmp;
pub(crate) struct Test;

impl Alu for Add {
    #[inline(always)]
    fn op<S: Size>(_: Flags, a: S, b: S) -> (S, Flags) {
        let r = S::cut(a.zext().wrapping_add(b.zext()));
        (r, Flags::add(a, b, r))
    }
}

impl Alu for Adc {
    #[inline(always)]
    fn op<S: Size>(f: Flags, a: S, b: S) -> (S, Flags) {
        let r = S::cut(a.zext().wrapping_add(b.zext()).wrapping_add(u32::from(f.cf())));
        (r, Flags::add(a, b, r))
    }
}

impl Alu for Sub {
    #[inline(always)]
    fn op<S: Size>(_: Flags, a: S, b: S) -> (S, Flags) {
        let r = S::cut(a.zext().wrapping_sub(b.zext()));
        (r, Flags::sub(a, b, r))
    }
}

impl Alu for Cmp {
    const WRITES: bool = false;
    #[inline(always)]
    fn op<S: Size>(f: Flags, a: S, b: S) -> (S, Flags) {
        Sub::op(f, a, b)
    }
}

impl Alu for Sbb {
    #[inline(always)]
    fn op<S: Size>(f: Flags, a: S, b: S) -> (S, Flags) {
        let r = S::cut(a.zext().wrapping_sub(b.zext()).wrapping_sub(u32::from(f.cf())));
        (r, Flags::sub(a, b, r))
    }
}

macro_rules! logic {
    ($t:ty, $op:tt, $writes:literal) => {
        impl Alu for $t {
            const WRITES: bool = $writes;
            #[inline(always)]
            fn op<S: Size>(_: Flags, a: S, b: S) -> (S, Flags) {
                let r = S::cut(a.zext() $op b.zext());
                (r, Flags::logic(r))
            }
        }
    };
}
logic!(And, &, true);
logic!(Or, |, true);
logic!(Xor, ^, true);
logic!(Test, &, false);

#[inline(always)]
fn to_rm<O: Alu, S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn, b: S) -> Exec {
    let flags = if O::WRITES {
        modify::<S, _, MEM>(cpu, io, i, |cpu, a| O::op(cpu.flags, a, b))?
    } else {
        let a = get::<S, MEM>(cpu, io, i)?;
        O::op(cpu.flags, a, b).1
    };
    cpu.flags = flags;
    Ok(())
}

/// op r/m, r
pub(crate) fn rm_r<O: Alu, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    let b = S::reg(cpu, i.reg);
    to_rm::<O, S, MEM>(cpu, io, i, b)
}

/// op r/m, imm
pub(crate) fn rm_i<O: Alu, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    to_rm::<O, S, MEM>(cpu, io, i, S::cut(i.imm))
}

/// op r, r/m
pub(crate) fn r_rm<O: Alu, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    let b = get::<S, MEM>(cpu, io, i)?;
    let (r, flags) = O::op(cpu.flags, S::reg(cpu, i.reg), b);
    if O::WRITES {
        S::set_reg(cpu, i.reg, r);
    }
    cpu.flags = flags;
    Ok(())
}

pub(crate) fn inc<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let flags = modify::<S, _, MEM>(cpu, io, i, |cpu, a| {
        let r = S::cut(a.zext().wrapping_add(1));
        (r, cpu.flags.inc(r))
    })?;
    cpu.flags = flags;
    Ok(())
}

pub(crate) fn dec<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let flags = modify::<S, _, MEM>(cpu, io, i, |cpu, a| {
        let r = S::cut(a.zext().wrapping_sub(1));
        (r, cpu.flags.dec(r))
    })?;
    cpu.flags = flags;
    Ok(())
}

pub(crate) fn neg<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let flags = modify::<S, _, MEM>(cpu, io, i, |cpu, a| Sub::op(cpu.flags, S::cut(0), a))?;
    cpu.flags = flags;
    Ok(())
}

pub(crate) fn not<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    modify::<S, _, MEM>(cpu, io, i, |_, a| (S::cut(!a.zext()), ()))
}

/// The sum goes to r/m, r/m's old value to r; if both are the same register, the sum stays.
pub(crate) fn xadd<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let b = S::reg(cpu, i.reg);
    if MEM {
        let off = i.ea(cpu);
        let a = S::load_rmw(cpu, io, i.seg, off)?;
        let (r, flags) = Add::op(cpu.flags, a, b);
        S::store(cpu, io, i.seg, off, r)?;
        S::set_reg(cpu, i.reg, a);
        cpu.flags = flags;
    } else {
        let a = S::reg(cpu, i.rm);
        let (r, flags) = Add::op(cpu.flags, a, b);
        S::set_reg(cpu, i.reg, a);
        S::set_reg(cpu, i.rm, r);
        cpu.flags = flags;
    }
    Ok(())
}

/// Always ends with a write cycle: what was read, if the comparison fails.
pub(crate) fn cmpxchg<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let acc = S::reg(cpu, 0);
    let new = S::reg(cpu, i.reg);
    let old = modify::<S, _, MEM>(cpu, io, i, |_, old| (if old == acc { new } else { old }, old))?;
    cpu.flags = Cmp::op(cpu.flags, acc, old).1;
    if old != acc {
        S::set_reg(cpu, 0, old);
    }
    Ok(())
}

pub(crate) fn cmpxchg8b(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let pair = |hi: u32, lo: u32| u64::from(hi) << 32 | u64::from(lo);
    let (seg, off) = (usize::from(i.seg), i.ea(cpu));
    let old = cpu.read_rmw64(io, seg, off)?;
    let equal = old == pair(cpu.gpr[EDX], cpu.gpr[EAX]);
    let new = if equal { pair(cpu.gpr[ECX], cpu.gpr[EBX]) } else { old };
    cpu.write64(io, seg, off, new)?;
    if !equal {
        cpu.gpr[EAX] = old as u32;
        cpu.gpr[EDX] = (old >> 32) as u32;
    }
    cpu.flags.set_zf(equal);
    Ok(())
}
