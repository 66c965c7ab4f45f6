//! BT BTS BTR BTC BSF BSR BSWAP SETcc. SDM vol. 2.

use hv_vcpu::GuestIo;

use super::operand::{Operand, get, modify, put};
use crate::cpu::Cpu;
use crate::fault::Exec;
use crate::flags::Flags;
use crate::insn::Insn;

pub(crate) trait Bit {
    const WRITES: bool = true;
    fn op(v: u32, bit: u32) -> u32;
}

pub(crate) struct Bt;
pub(crate) struct Bts;
pub(crate) struct Btr;
pub(crate) struct Btc;

impl Bit for Bt {
    const WRITES: bool = false;
    #[inline(always)]
    fn op(v: u32, _: u32) -> u32 {
        v
    }
}

impl Bit for Bts {
    #[inline(always)]
    fn op(v: u32, bit: u32) -> u32 {
        v | bit
    }
}

impl Bit for Btr {
    #[inline(always)]
    fn op(v: u32, bit: u32) -> u32 {
        v & !bit
    }
}

impl Bit for Btc {
    #[inline(always)]
    fn op(v: u32, bit: u32) -> u32 {
        v ^ bit
    }
}

#[inline(always)]
fn masked<O: Bit, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
    n: u32,
) -> Exec {
    let bit = 1 << (n & (S::BITS - 1));
    let old = if O::WRITES {
        modify::<S, _, MEM>(cpu, io, i, |_, v| (S::cut(O::op(v.zext(), bit)), v))?
    } else {
        get::<S, MEM>(cpu, io, i)?
    };
    cpu.flags.set_cf(old.zext() & bit != 0);
    Ok(())
}

/// The immediate is masked to the operand size: it never moves the address.
pub(crate) fn rm_i<O: Bit, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    masked::<O, S, MEM>(cpu, io, i, i.imm)
}

/// In memory the register is a signed bit offset from the operand's address: the access is to the word that the
/// bit lies in.
pub(crate) fn rm_r<O: Bit, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    let n = S::reg(cpu, i.reg).sext();
    if !MEM {
        return masked::<O, S, false>(cpu, io, i, n);
    }
    let words = n as i32 >> S::BITS.trailing_zeros();
    let off = i.ea(cpu).wrapping_add((words as u32).wrapping_mul(S::BYTES)) & i.amask;
    let bit = 1 << (n & (S::BITS - 1));
    let old = if O::WRITES {
        let v = S::load_rmw(cpu, io, i.seg, off)?;
        S::store(cpu, io, i.seg, off, S::cut(O::op(v.zext(), bit)))?;
        v
    } else {
        S::load(cpu, io, i.seg, off)?
    };
    cpu.flags.set_cf(old.zext() & bit != 0);
    Ok(())
}

/// A source of 0 sets ZF and leaves the destination alone; the other flags are undefined: PF follows the result,
/// the rest is 0.
#[inline(always)]
fn scan<S: Operand>(cpu: &mut Cpu, i: &Insn, v: S, found: u32) -> Exec {
    if v.zext() == 0 {
        cpu.flags = Flags::logic(S::cut(0));
    } else {
        S::set_reg(cpu, i.reg, S::cut(found));
        cpu.flags = Flags { res: 0x100 | found, aux: 0 };
    }
    Ok(())
}

pub(crate) fn bsf<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = get::<S, MEM>(cpu, io, i)?;
    scan(cpu, i, v, v.zext().trailing_zeros())
}

pub(crate) fn bsr<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = get::<S, MEM>(cpu, io, i)?;
    scan(cpu, i, v, 31_u32.wrapping_sub(v.zext().leading_zeros()))
}

pub(crate) fn bswap32(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = u32::reg(cpu, i.rm).swap_bytes();
    u32::set_reg(cpu, i.rm, v);
    Ok(())
}

/// Undefined with a 16-bit operand; processors clear the register's low half.
pub(crate) fn bswap16(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    u16::set_reg(cpu, i.rm, 0);
    Ok(())
}

pub(crate) fn setcc<const CC: u8, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = u8::from(cpu.flags.cond::<CC>());
    put::<u8, MEM>(cpu, io, i, v)
}
