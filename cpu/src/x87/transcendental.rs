//! F2XM1, FYL2X, FYL2XP1, FSIN, FCOS, FSINCOS, FPTAN, FPATAN.
//!
//! Where the host is of the same family it runs them itself, as it does from translated code: a guest's results do not
//! depend on who runs it. What is here is for other hosts, and for unmasked exceptions.

use hv_vcpu::GuestIo;

use super::{enter, note};
use crate::cpu::Cpu;
use crate::fault::Exec;
use crate::fpu::sw;
use crate::insn::Insn;
use crate::jit::on_host;
use crate::softfloat::transcendental::{self as t, Trig};
use crate::softfloat::{Env, F80, Num, Wide, finish};

/// FSIN and FCOS.
fn one(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn, f: fn(&Num, &mut Env) -> Trig) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    if on_host(fpu, insn.modrm) {
        return Ok(());
    }
    if fpu.is_empty(0) {
        let goes_on = fpu.stack_fault(false);
        fpu.sw &= !sw::C2;
        if goes_on {
            fpu.set_st(0, F80::INDEFINITE);
        }
        return Ok(());
    }
    let mut env = Env { precision: 64, ..fpu.env() };
    match f(&fpu.st(0).unpack(), &mut env) {
        Trig::OutOfRange => fpu.sw = fpu.sw & !sw::C1 | sw::C2,
        Trig::Value(w) => {
            let v = finish(w, &mut env);
            fpu.sw &= !sw::C2;
            if fpu.commit(&env) {
                fpu.set_st(0, v);
            }
        }
    }
    Ok(())
}

pub(crate) fn fsin(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    one(cpu, io, insn, t::sin)
}

pub(crate) fn fcos(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    one(cpu, io, insn, t::cos)
}

/// FSINCOS and FPTAN: a result in ST(0), then one pushed.
fn two(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    insn: &Insn,
    first: fn(&Num, &mut Env) -> Trig,
    second: fn(&Num, &mut Env) -> Trig,
) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    if on_host(fpu, insn.modrm) {
        return Ok(());
    }
    let empty = fpu.is_empty(0);
    if empty || !fpu.is_empty(7) {
        let goes_on = fpu.stack_fault(!empty);
        fpu.sw &= !sw::C2;
        if goes_on {
            fpu.set_st(0, F80::INDEFINITE);
            fpu.push(F80::INDEFINITE);
        }
        return Ok(());
    }
    let mut env = Env { precision: 64, ..fpu.env() };
    let n = fpu.st(0).unpack();
    match (first(&n, &mut env), second(&n, &mut env)) {
        (Trig::Value(a), Trig::Value(b)) => {
            let b = finish(b, &mut env);
            env.flags &= !sw::C1;
            let a = finish(a, &mut env);
            fpu.sw &= !sw::C2;
            if fpu.commit(&env) {
                fpu.set_st(0, a);
                fpu.push(b);
            }
        }
        _ => fpu.sw = fpu.sw & !sw::C1 | sw::C2,
    }
    Ok(())
}

pub(crate) fn fsincos(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    two(cpu, io, insn, t::sin, t::cos)
}

pub(crate) fn fptan(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    /// 1.0, or the NaN that the tangent is.
    fn one(n: &Num, env: &mut Env) -> Trig {
        if n.is_nan() || n.is_inf() || n.kind == crate::softfloat::Kind::Unsupported {
            return t::tan(n, env);
        }
        Trig::Value(Wide::Sum { neg: false, exp: 0, sig: 1 << 127 })
    }
    two(cpu, io, insn, t::tan, one)
}

/// FPATAN, FYL2X, FYL2XP1: ST(1) = f(ST(1), ST(0)), pop.
fn binary(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn, f: fn(&Num, &Num, &mut Env) -> Wide) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    if on_host(fpu, insn.modrm) {
        return Ok(());
    }
    if fpu.is_empty(0) || fpu.is_empty(1) {
        if fpu.stack_fault(false) {
            fpu.set_st(1, F80::INDEFINITE);
            fpu.pop();
        }
        return Ok(());
    }
    let mut env = Env { precision: 64, ..fpu.env() };
    let w = f(&fpu.st(1).unpack(), &fpu.st(0).unpack(), &mut env);
    let v = finish(w, &mut env);
    if fpu.commit(&env) {
        fpu.set_st(1, v);
        fpu.pop();
    }
    Ok(())
}

pub(crate) fn fpatan(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    binary(cpu, io, insn, t::atan2)
}

pub(crate) fn fyl2x(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    binary(cpu, io, insn, t::y_log2_x)
}

pub(crate) fn fyl2xp1(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    binary(cpu, io, insn, t::y_log2_x_plus_1)
}

pub(crate) fn f2xm1(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    let fpu = &mut cpu.fpu;
    if on_host(fpu, insn.modrm) {
        return Ok(());
    }
    if fpu.is_empty(0) {
        if fpu.stack_fault(false) {
            fpu.set_st(0, F80::INDEFINITE);
        }
        return Ok(());
    }
    let mut env = Env { precision: 64, ..fpu.env() };
    let w = t::exp2m1(&fpu.st(0).unpack(), &mut env);
    let v = w.map(|w| finish(w, &mut env));
    if fpu.commit(&env)
        && let Some(v) = v
    {
        fpu.set_st(0, v);
    }
    Ok(())
}
