//! MOV in all its forms but control and debug registers, MOVZX MOVSX LEA XCHG CMOVcc XLAT LAHF SAHF, segment
//! registers, LDS and its kin. SDM vol. 2.

use hv_vcpu::GuestIo;

use super::operand::{Operand, get, modify, put};
use crate::cpu::{Cpu, EAX, EBX, SS};
use crate::fault::Exec;
use crate::flags::Flags;
use crate::insn::Insn;

/// MOV r/m, r; also MOV moffs, AL/eAX.
pub(crate) fn rm_r<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = S::reg(cpu, i.reg);
    put::<S, MEM>(cpu, io, i, v)
}

/// MOV r, r/m; also MOV AL/eAX, moffs.
pub(crate) fn r_rm<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = get::<S, MEM>(cpu, io, i)?;
    S::set_reg(cpu, i.reg, v);
    Ok(())
}

/// MOV r/m, imm and MOV r, imm.
pub(crate) fn rm_i<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    put::<S, MEM>(cpu, io, i, S::cut(i.imm))
}

pub(crate) fn movzx<D: Operand, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    let v = get::<S, MEM>(cpu, io, i)?;
    D::set_reg(cpu, i.reg, D::cut(v.zext()));
    Ok(())
}

pub(crate) fn movsx<D: Operand, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    let v = get::<S, MEM>(cpu, io, i)?;
    D::set_reg(cpu, i.reg, D::cut(v.sext()));
    Ok(())
}

/// The address is cut to the address size first, then to the operand size.
pub(crate) fn lea<S: Operand>(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = S::cut(i.ea(cpu));
    S::set_reg(cpu, i.reg, v);
    Ok(())
}

/// XCHG r/m, r. Always locked in memory, which one processor need not notice.
pub(crate) fn xchg<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = S::reg(cpu, i.reg);
    let old = modify::<S, _, MEM>(cpu, io, i, |_, old| (v, old))?;
    S::set_reg(cpu, i.reg, old);
    Ok(())
}

/// XCHG eAX, r
pub(crate) fn xchg_acc<S: Operand>(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    let (a, b) = (S::reg(cpu, 0), S::reg(cpu, i.rm));
    S::set_reg(cpu, 0, b);
    S::set_reg(cpu, i.rm, a);
    Ok(())
}

/// The source is read whether the condition holds or not.
pub(crate) fn cmov<const CC: u8, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    let v = get::<S, MEM>(cpu, io, i)?;
    let v = if cpu.flags.cond::<CC>() { v } else { S::reg(cpu, i.reg) };
    S::set_reg(cpu, i.reg, v);
    Ok(())
}

pub(crate) fn xlat(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let off = cpu.gpr[EBX].wrapping_add(u32::from(u8::reg(cpu, 0))) & i.amask;
    let v = cpu.read8(io, usize::from(i.seg), off)?;
    u8::set_reg(cpu, 0, v);
    Ok(())
}

pub(crate) fn lahf(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    let v = cpu.flags.pack() as u8 | 2;
    u8::set_reg(cpu, 4, v);
    Ok(())
}

/// OF stays.
pub(crate) fn sahf(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    let old = cpu.flags.pack() & !0xff;
    cpu.flags = Flags::unpack(old | u32::from(u8::reg(cpu, 4)));
    Ok(())
}

/// MOV r/m, Sreg. A memory operand is always 16 bits; a 32-bit register is zero-extended.
pub(crate) fn rm_sreg<S: Operand, const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = cpu.seg[usize::from(i.reg & 7)].selector;
    if MEM {
        put::<u16, true>(cpu, io, i, v)
    } else {
        S::set_reg(cpu, i.rm, S::cut(u32::from(v)));
        Ok(())
    }
}

/// MOV Sreg, r/m.
pub(crate) fn sreg_rm<const MEM: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = get::<u16, MEM>(cpu, io, i)?;
    load_sreg(cpu, io, usize::from(i.reg), v)
}

/// Loads a segment register by MOV or POP: SS holds off interrupts and debug traps for one instruction.
pub(super) fn load_sreg(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: usize, selector: u16) -> Exec {
    cpu.load_seg(io, seg, selector)?;
    if seg == SS {
        cpu.mov_ss_shadow = true;
    }
    Ok(())
}

/// LES LDS LSS LFS LGS. Offset and selector are two accesses, whose addresses wrap apart from each other.
pub(crate) fn load_far<const SEG: usize, S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let off = i.ea(cpu);
    let v = S::load(cpu, io, i.seg, off)?;
    let selector = cpu.read16(io, usize::from(i.seg), off.wrapping_add(S::BYTES) & i.amask)?;
    cpu.load_seg(io, SEG, selector)?;
    S::set_reg(cpu, i.reg, v);
    Ok(())
}

/// MOVNTI: the hint has no effect here.
pub(crate) fn movnti(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = cpu.gpr[usize::from(i.reg & 7)];
    put::<u32, true>(cpu, io, i, v)
}

const _: () = assert!(EAX == 0);
