//! Basic arithmetic and comparison: FADD to FDIVR in all forms, FCOM to FUCOMIP, FTST, FXAM, FSQRT, FRNDINT,
//! FSCALE, FPREM, FPREM1, FXTRACT, FABS, FCHS.

use hv_vcpu::GuestIo;

use super::{enter, note, note_memory};
use crate::cpu::{Cpu, eflags};
use crate::fault::Exec;
use crate::flags::Flags;
use crate::fpu::{Fpu, sw};
use crate::insn::Insn;
use crate::softfloat::{
    self as sf, Env, F32, F64, F80, Format, Kind, Num, Order, Rem, Wide, ZE, compare, finish,
};

// The reg field of D8, DA, DC, DE.
pub(crate) const ADD: u8 = 0;
pub(crate) const MUL: u8 = 1;
pub(crate) const COM: u8 = 2;
pub(crate) const COMP: u8 = 3;
pub(crate) const SUB: u8 = 4;
pub(crate) const SUBR: u8 = 5;
pub(crate) const DIV: u8 = 6;
pub(crate) const DIVR: u8 = 7;

/// a is ST(0), b the other operand.
#[inline(always)]
fn compute<const OP: u8>(a: Num, b: Num, env: &mut Env) -> F80 {
    let w = match OP {
        ADD => sf::add(a, b, env),
        MUL => sf::mul(a, b, env),
        SUB => sf::sub(a, b, env),
        SUBR => sf::sub(b, a, env),
        DIV => sf::div(a, b, env),
        _ => sf::div(b, a, env),
    };
    finish(w, env)
}

/// D8: ST(0) = ST(0) op ST(i).
pub(crate) fn op_st0<const OP: u8>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    registers::<OP>(&mut cpu.fpu, insn.modrm & 7, 0);
    Ok(())
}

/// DC: ST(i) = ST(0) op ST(i), with the operands of SUB and DIV as the opcode map has them.
pub(crate) fn op_sti<const OP: u8>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let i = insn.modrm & 7;
    registers::<OP>(&mut cpu.fpu, i, i);
    Ok(())
}

/// DE: the same and pop.
pub(crate) fn op_pop<const OP: u8>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let i = insn.modrm & 7;
    if registers::<OP>(&mut cpu.fpu, i, i) {
        cpu.fpu.pop();
    }
    Ok(())
}

#[inline(always)]
fn registers<const OP: u8>(fpu: &mut Fpu, i: u8, dest: u8) -> bool {
    if fpu.is_empty(0) || fpu.is_empty(i) {
        if fpu.stack_fault(false) {
            fpu.set_st(dest, F80::INDEFINITE);
            return true;
        }
        return false;
    }
    let mut env = fpu.env();
    let v = compute::<OP>(fpu.st(0).unpack(), fpu.st(i).unpack(), &mut env);
    if fpu.commit(&env) {
        fpu.set_st(dest, v);
        return true;
    }
    false
}

#[inline(always)]
fn with_operand<const OP: u8>(fpu: &mut Fpu, b: Num) {
    if OP == COM || OP == COMP {
        compare_with(fpu, b, OP == COMP);
        return;
    }
    if fpu.is_empty(0) {
        if fpu.stack_fault(false) {
            fpu.set_st(0, F80::INDEFINITE);
        }
        return;
    }
    let mut env = fpu.env();
    let v = compute::<OP>(fpu.st(0).unpack(), b, &mut env);
    if fpu.commit(&env) {
        fpu.set_st(0, v);
    }
}

/// D8 with a single in memory.
pub(crate) fn op_m32<const OP: u8>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let v = cpu.read32(io, usize::from(insn.seg), off)?;
    note_memory(cpu, insn, off);
    with_operand::<OP>(&mut cpu.fpu, F32(v).unpack());
    Ok(())
}

/// DC with a double in memory.
pub(crate) fn op_m64<const OP: u8>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let v = cpu.read64(io, usize::from(insn.seg), off)?;
    note_memory(cpu, insn, off);
    with_operand::<OP>(&mut cpu.fpu, F64(v).unpack());
    Ok(())
}

/// An integer as an operand: exact, never special.
#[inline]
fn integer(v: i32) -> Num {
    if v == 0 {
        return Num::zero(false);
    }
    let mag = u64::from(v.unsigned_abs());
    let lz = mag.leading_zeros();
    Num::finite(v < 0, 63 - lz as i32, mag << lz)
}

/// DA with a 32-bit integer in memory.
pub(crate) fn op_i32<const OP: u8>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let v = cpu.read32(io, usize::from(insn.seg), off)?;
    note_memory(cpu, insn, off);
    with_operand::<OP>(&mut cpu.fpu, integer(v as i32));
    Ok(())
}

/// DE with a 16-bit integer in memory.
pub(crate) fn op_i16<const OP: u8>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let v = cpu.read16(io, usize::from(insn.seg), off)?;
    note_memory(cpu, insn, off);
    with_operand::<OP>(&mut cpu.fpu, integer(i32::from(v as i16)));
    Ok(())
}

/// C3, C2, C0 of a comparison.
fn condition(o: Order) -> u16 {
    match o {
        Order::Greater => 0,
        Order::Less => sw::C0,
        Order::Equal => sw::C3,
        Order::Unordered => sw::C0 | sw::C2 | sw::C3,
    }
}

fn set_condition(fpu: &mut Fpu, cc: u16) {
    fpu.sw = fpu.sw & !(sw::C0 | sw::C2 | sw::C3) | cc;
}

/// FCOM with an operand that is there.
#[inline(always)]
fn compare_with(fpu: &mut Fpu, b: Num, pop: bool) {
    if fpu.is_empty(0) {
        let goes_on = fpu.stack_fault(false);
        set_condition(fpu, condition(Order::Unordered));
        if goes_on && pop {
            fpu.pop();
        }
        return;
    }
    let mut env = fpu.env();
    let o = compare(&fpu.st(0).unpack(), &b, false, &mut env);
    let goes_on = fpu.commit(&env);
    set_condition(fpu, condition(o));
    if goes_on && pop {
        fpu.pop();
    }
}

/// FCOM, FUCOM and their popping forms with ST(i).
pub(crate) fn com<const QUIET: bool, const POPS: u8>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    insn: &Insn,
) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    let (o, goes_on) = compare_registers::<QUIET>(fpu, insn.modrm & 7);
    set_condition(fpu, condition(o));
    if goes_on {
        for _ in 0..POPS {
            fpu.pop();
        }
    }
    Ok(())
}

#[inline(always)]
fn compare_registers<const QUIET: bool>(fpu: &mut Fpu, i: u8) -> (Order, bool) {
    if fpu.is_empty(0) || fpu.is_empty(i) {
        return (Order::Unordered, fpu.stack_fault(false));
    }
    let mut env = fpu.env();
    let o = compare(&fpu.st(0).unpack(), &fpu.st(i).unpack(), QUIET, &mut env);
    (o, fpu.commit(&env))
}

/// FCOMI, FUCOMI, FCOMIP, FUCOMIP: the result goes to ZF, PF, CF; OF, SF, AF are cleared.
pub(crate) fn comi<const QUIET: bool, const POP: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    insn: &Insn,
) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    // C1 stays unless there is a stack fault.
    let c1 = cpu.fpu.sw & sw::C1;
    let fault = cpu.fpu.is_empty(0) || cpu.fpu.is_empty(insn.modrm & 7);
    let (o, goes_on) = compare_registers::<QUIET>(&mut cpu.fpu, insn.modrm & 7);
    if !fault {
        cpu.fpu.sw |= c1;
    }
    cpu.flags = order_flags(o);
    if goes_on && POP {
        cpu.fpu.pop();
    }
    Ok(())
}

/// ZF, PF, CF of FCOMI, COMISS and the like.
pub(crate) fn order_flags(o: Order) -> Flags {
    Flags::unpack(match o {
        Order::Greater => 0,
        Order::Less => eflags::CF,
        Order::Equal => eflags::ZF,
        Order::Unordered => eflags::CF | eflags::PF | eflags::ZF,
    })
}

pub(crate) fn ftst(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    compare_with(&mut cpu.fpu, Num::zero(false), false);
    Ok(())
}

pub(crate) fn fxam(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    let v = fpu.st(0);
    let n = v.unpack();
    let class = match n.kind {
        _ if fpu.is_empty(0) => sw::C3 | sw::C0,
        Kind::Unsupported => 0,
        Kind::QNaN | Kind::SNaN => sw::C0,
        Kind::Inf => sw::C2 | sw::C0,
        Kind::Zero => sw::C3,
        Kind::Finite if n.denormal => sw::C3 | sw::C2,
        Kind::Finite => sw::C2,
    };
    let sign = if v.neg() { sw::C1 } else { 0 };
    fpu.sw = fpu.sw & !sw::CC | class | sign;
    Ok(())
}

/// One operand, one result, both ST(0).
#[inline(always)]
fn unary(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn, f: impl FnOnce(Num, &mut Env) -> F80) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    if fpu.is_empty(0) {
        if fpu.stack_fault(false) {
            fpu.set_st(0, F80::INDEFINITE);
        }
        return Ok(());
    }
    let mut env = fpu.env();
    let v = f(fpu.st(0).unpack(), &mut env);
    if fpu.commit(&env) {
        fpu.set_st(0, v);
    }
    Ok(())
}

pub(crate) fn fsqrt(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    unary(cpu, io, insn, |n, env| {
        let w = sf::sqrt(n, env);
        finish(w, env)
    })
}

pub(crate) fn frndint(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    unary(cpu, io, insn, |n, env| {
        env.precision = 64;
        let w = sf::round_to_integral(n, env);
        finish(w, env)
    })
}

/// FABS and FCHS work on any contents.
pub(crate) fn sign<const CHANGE: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    if fpu.is_empty(0) {
        if fpu.stack_fault(false) {
            fpu.set_st(0, F80::INDEFINITE);
        }
        return Ok(());
    }
    fpu.sw &= !sw::C1;
    let v = fpu.st(0);
    let v = if CHANGE { v.negated() } else { F80 { m: v.m, se: v.se & 0x7fff } };
    fpu.set_st(0, v);
    Ok(())
}

pub(crate) fn fscale(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    if fpu.is_empty(0) || fpu.is_empty(1) {
        if fpu.stack_fault(false) {
            fpu.set_st(0, F80::INDEFINITE);
        }
        return Ok(());
    }
    let mut env = Env { precision: 64, ..fpu.env() };
    let w = sf::scale(fpu.st(0).unpack(), fpu.st(1).unpack(), &mut env);
    let v = finish(w, &mut env);
    if fpu.commit(&env) {
        fpu.set_st(0, v);
    }
    Ok(())
}

pub(crate) fn fprem<const NEAREST: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    if fpu.is_empty(0) || fpu.is_empty(1) {
        let goes_on = fpu.stack_fault(false);
        fpu.sw &= !sw::C2;
        if goes_on {
            fpu.set_st(0, F80::INDEFINITE);
        }
        return Ok(());
    }
    let mut env = Env { precision: 64, ..fpu.env() };
    let Rem { value, quotient } = sf::fprem(fpu.st(0).unpack(), fpu.st(1).unpack(), NEAREST, &mut env);
    let v: F80 = finish(value, &mut env);
    let goes_on = fpu.commit(&env);
    if goes_on {
        fpu.set_st(0, v);
    }
    if !goes_on || v.unpack().is_nan() {
        // There is no quotient; C0 and C3 stay.
        fpu.sw &= !(sw::C1 | sw::C2);
        return Ok(());
    }
    // Quotient bits 2, 1, 0 in C0, C3, C1.
    let cc = match quotient {
        None => sw::C2,
        Some(q) => u16::from(q & 4) << 6 | u16::from(q & 2) << 13 | u16::from(q & 1) << 9,
    };
    fpu.sw = fpu.sw & !sw::CC | cc;
    Ok(())
}

/// Exponent to ST(0), then the significand is pushed.
pub(crate) fn fxtract(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    let empty = fpu.is_empty(0);
    if empty || !fpu.is_empty(7) {
        if fpu.stack_fault(!empty) {
            fpu.set_st(0, F80::INDEFINITE);
            fpu.push(F80::INDEFINITE);
        }
        return Ok(());
    }
    let mut env = Env { precision: 64, ..fpu.env() };
    let n = fpu.st(0).unpack();
    let (exponent, significand) = match n.kind {
        Kind::Zero => {
            env.raise(ZE);
            (Wide::inf(true), Wide::zero(n.neg))
        }
        Kind::Inf => (Wide::inf(false), Wide::inf(n.neg)),
        Kind::Finite => {
            env.denormals(&n, &n);
            let one = Wide::Sum { neg: n.neg, exp: 0, sig: u128::from(n.sig) << 64 };
            (sf::from_i64(i64::from(n.exp)), one)
        }
        _ => {
            let nan = env.nan1(&n).unwrap_or(n);
            (Wide::Exact(nan), Wide::Exact(nan))
        }
    };
    if fpu.commit(&env) {
        let exponent = finish(exponent, &mut env);
        fpu.set_st(0, exponent);
        fpu.push(finish(significand, &mut env));
    }
    Ok(())
}
