//! Loads, stores and conversions: FLD, FST, FSTP, FILD, FIST, FISTP, FBLD, FBSTP, the constants.

use hv_vcpu::GuestIo;

use super::{enter, note, note_memory};
use crate::cpu::Cpu;
use crate::fault::{Exec, Fault};
use crate::fpu::{Fpu, sw};
use crate::insn::Insn;
use crate::mem::Access;
use crate::softfloat::transcendental::constant;
use crate::softfloat::{
    self as sf, Env, F32, F64, F80, Format, IE, Num, OE, PE, Round, UE, UP, convert, finish, from_bcd,
    from_i64,
};

/// Of ten bytes, with alignment checking on. SDM vol. 3, table 6-7.
const ALIGN_M80: u32 = 8;

/// Pushes what a load read.
#[inline(always)]
fn load(fpu: &mut Fpu, f: impl FnOnce(&mut Env) -> F80) {
    if !fpu.is_empty(7) {
        if fpu.stack_fault(true) {
            fpu.push(F80::INDEFINITE);
        }
        return;
    }
    let mut env = fpu.env();
    let v = f(&mut env);
    // Processors push a denormal even with the exception for it unmasked.
    if fpu.commit(&env) || env.flags & IE == 0 {
        fpu.push(v);
    }
}

pub(crate) fn fld_m32(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let v = cpu.read32(io, usize::from(insn.seg), off)?;
    note_memory(cpu, insn, off);
    load(&mut cpu.fpu, |env| convert(F32(v), env));
    Ok(())
}

pub(crate) fn fld_m64(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let v = cpu.read64(io, usize::from(insn.seg), off)?;
    note_memory(cpu, insn, off);
    load(&mut cpu.fpu, |env| convert(F64(v), env));
    Ok(())
}

/// Takes any ten bytes without a look at them.
pub(crate) fn fld_m80(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let v = read_m80(cpu, io, usize::from(insn.seg), off)?;
    note_memory(cpu, insn, off);
    load(&mut cpu.fpu, |_| v);
    Ok(())
}

#[inline(always)]
fn read_m80(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: usize, off: u32) -> Result<F80, Fault> {
    if off > u32::MAX - 9 || cpu.tlb.alignment_checks() {
        let mut b = [0; 10];
        cpu.align_at(seg, off, ALIGN_M80, 10, Access::Read)?;
        cpu.read_bytes(io, seg, off, &mut b)?;
        return Ok(F80::from_bytes(b));
    }
    let m = cpu.read64(io, seg, off)?;
    Ok(F80 { m, se: cpu.read16(io, seg, off + 8)? })
}

/// In two stores if the second cannot fault where the first succeeds: in one page, within the limit.
#[inline(always)]
fn write_m80(cpu: &mut Cpu, io: &mut dyn GuestIo, seg: usize, off: u32, v: F80) -> Exec {
    let s = &cpu.seg[seg & 7];
    let one_page = s.base.wrapping_add(off) & 0xfff <= 0xff6;
    let inside = i64::from(off) + 9 <= s.wlim && off <= u32::MAX - 9;
    if one_page && inside && !cpu.tlb.alignment_checks() {
        cpu.write64(io, seg, off, v.m)?;
        return cpu.write16(io, seg, off + 8, v.se);
    }
    cpu.align_at(seg, off, ALIGN_M80, 10, Access::Write)?;
    cpu.write_bytes(io, seg, off, &v.to_bytes())
}

pub(crate) fn fbld(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    cpu.align_at(usize::from(insn.seg), off, ALIGN_M80, 10, Access::Read)?;
    let mut b = [0; 10];
    cpu.read_bytes(io, usize::from(insn.seg), off, &mut b)?;
    note_memory(cpu, insn, off);
    load(&mut cpu.fpu, |_| {
        let n = from_bcd(&b);
        if n.is_zero() { F80::pack_special(n) } else { F80::pack_finite(n.neg, n.exp, n.sig) }
    });
    Ok(())
}

#[inline]
fn load_integer(fpu: &mut Fpu, v: i64) {
    load(fpu, |env| {
        env.precision = 64;
        finish(from_i64(v), env)
    });
}

pub(crate) fn fild_m16(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let v = cpu.read16(io, usize::from(insn.seg), off)?;
    note_memory(cpu, insn, off);
    load_integer(&mut cpu.fpu, i64::from(v as i16));
    Ok(())
}

pub(crate) fn fild_m32(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let v = cpu.read32(io, usize::from(insn.seg), off)?;
    note_memory(cpu, insn, off);
    load_integer(&mut cpu.fpu, i64::from(v as i32));
    Ok(())
}

pub(crate) fn fild_m64(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let v = cpu.read64(io, usize::from(insn.seg), off)?;
    note_memory(cpu, insn, off);
    load_integer(&mut cpu.fpu, v as i64);
    Ok(())
}

/// FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ.
pub(crate) fn fld_constant(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let which = insn.modrm & 7;
    load(&mut cpu.fpu, |env| constant(which, env.rc));
    Ok(())
}

pub(crate) fn fld_sti(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let i = insn.modrm & 7;
    let fpu = &mut cpu.fpu;
    if fpu.is_empty(i) {
        // Even if there is no room for it either.
        if fpu.stack_fault(false) {
            fpu.push(F80::INDEFINITE);
        }
        return Ok(());
    }
    let v = fpu.st(i);
    load(fpu, |_| v);
    Ok(())
}

/// Stores ST(0) as `f` converts it; an empty register gives `indefinite`.
#[inline(always)]
fn store<T: Copy>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    insn: &Insn,
    pop: bool,
    indefinite: T,
    f: impl FnOnce(F80, &mut Env) -> T,
    write: impl FnOnce(&mut Cpu, &mut dyn GuestIo, usize, u32, T) -> Exec,
) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let fpu = &cpu.fpu;
    let mut env = fpu.env();
    let empty = fpu.is_empty(0);
    let value = if empty {
        env.raise(IE);
        indefinite
    } else {
        f(fpu.st(0), &mut env)
    };
    // Without a place to keep a wrapped exponent, unmasked overflow and underflow store nothing either.
    let forbidden = env.unmasked() & (IE | OE | UE) != 0;
    if forbidden {
        env.flags &= !(PE | UP);
    } else {
        write(cpu, io, usize::from(insn.seg), off, value)?;
    }
    note_memory(cpu, insn, off);
    let fpu = &mut cpu.fpu;
    if empty {
        fpu.stack_fault(false);
    } else {
        fpu.commit(&env);
    }
    if pop && !forbidden {
        fpu.pop();
    }
    Ok(())
}

pub(crate) fn fst_m32<const POP: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    let nan = F32::pack_special(Num::INDEFINITE);
    let write =
        |cpu: &mut Cpu, io: &mut dyn GuestIo, seg: usize, off: u32, v: F32| cpu.write32(io, seg, off, v.0);
    store(cpu, io, insn, POP, nan, narrow::<F32>, write)
}

pub(crate) fn fst_m64<const POP: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    let nan = F64::pack_special(Num::INDEFINITE);
    let write =
        |cpu: &mut Cpu, io: &mut dyn GuestIo, seg: usize, off: u32, v: F64| cpu.write64(io, seg, off, v.0);
    store(cpu, io, insn, POP, nan, narrow::<F64>, write)
}

/// To single or double. A denormal operand is no exception here, it underflows.
#[inline(always)]
fn narrow<F: Format>(v: F80, env: &mut Env) -> F {
    sf::convert_num(v.unpack(), env)
}

/// Ten bytes as they are.
pub(crate) fn fstp_m80(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    store(cpu, io, insn, true, F80::INDEFINITE, |v, _| v, write_m80)
}

pub(crate) fn fbstp(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    const INDEFINITE: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff];
    let write = |cpu: &mut Cpu, io: &mut dyn GuestIo, seg: usize, off: u32, v: [u8; 10]| {
        cpu.align_at(seg, off, ALIGN_M80, 10, Access::Write)?;
        cpu.write_bytes(io, seg, off, &v)
    };
    let convert = |v: F80, env: &mut Env| {
        sf::to_bcd(&v.unpack(), env).unwrap_or_else(|| {
            env.raise(IE);
            INDEFINITE
        })
    };
    store(cpu, io, insn, true, INDEFINITE, convert, write)
}

pub(crate) fn fist_m16<const POP: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    let write = |cpu: &mut Cpu, io: &mut dyn GuestIo, seg: usize, off: u32, v: i64| {
        cpu.write16(io, seg, off, v as u16)
    };
    store(cpu, io, insn, POP, i64::from(i16::MIN), |v, env| whole(v, 16, env), write)
}

pub(crate) fn fist_m32<const POP: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    let write = |cpu: &mut Cpu, io: &mut dyn GuestIo, seg: usize, off: u32, v: i64| {
        cpu.write32(io, seg, off, v as u32)
    };
    store(cpu, io, insn, POP, i64::from(i32::MIN), |v, env| whole(v, 32, env), write)
}

pub(crate) fn fistp_m64(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    let write = |cpu: &mut Cpu, io: &mut dyn GuestIo, seg: usize, off: u32, v: i64| {
        cpu.write64(io, seg, off, v as u64)
    };
    store(cpu, io, insn, true, i64::MIN, |v, env| whole(v, 64, env), write)
}

#[inline]
fn whole(v: F80, bits: u32, env: &mut Env) -> i64 {
    let rc: Round = env.rc;
    sf::to_int(&v.unpack(), bits, rc, env)
}

/// FST ST(i), FSTP ST(i): a copy, whatever it is.
pub(crate) fn fst_sti<const POP: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    let i = insn.modrm & 7;
    let v = if fpu.is_empty(0) {
        if !fpu.stack_fault(false) {
            return Ok(());
        }
        F80::INDEFINITE
    } else {
        fpu.sw &= !sw::C1;
        fpu.st(0)
    };
    fpu.set_st(i, v);
    if POP {
        fpu.pop();
    }
    Ok(())
}

/// FSTP1, the alias D9 D8: as FSTP ST(i), but an empty ST(0) is just popped.
pub(crate) fn fstp1(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    fpu.sw &= !sw::C1;
    if !fpu.is_empty(0) {
        let v = fpu.st(0);
        fpu.set_st(insn.modrm & 7, v);
    }
    fpu.pop();
    Ok(())
}
