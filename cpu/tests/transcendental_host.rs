//! Transcendental instructions in software against the host's x87 unit: special operands and flags exactly, values
//! within one unit in the last place, and the share of equal results printed.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::print_stdout, reason = "a failing case is shown with its operands")]
#![allow(unsafe_code, reason = "the oracle is the host's x87 unit, reached by inline assembly")]

#[path = "fp_host/vendor.rs"]
mod vendor;

use cpu::softfloat::transcendental::{self as t, Trig};
use cpu::softfloat::*;
use seeded::Rng;
use std::arch::asm;

/// Mostly normal numbers, of exponents that meet; every special class often enough.
trait Operands {
    fn f80(&mut self) -> F80;
}

impl Operands for Rng {
    fn f80(&mut self) -> F80 {
        let sign = (self.below(2) as u16) << 15;
        let m = match self.below(8) {
            0 => 1 << 63,
            1 => u64::MAX,
            2 => u64::MAX << self.below(64),
            _ => self.next(),
        };
        match self.below(24) {
            0 => F80 { m: 0, se: sign },
            1 => F80 { m: 1 << 63, se: sign | 0x7fff },
            2 => F80 { m: 0xc000_0000_0000_0000 | m, se: sign | 0x7fff },
            3 => F80 { m: 1 << 63 | (m & !(1 << 62)), se: sign | 0x7fff },
            4 => F80 { m: m & !(1 << 63), se: sign },
            5 => F80 { m: m | 1 << 63, se: sign },
            6 => F80 { m, se: self.next() as u16 },
            7 => F80 { m: m | 1 << 63, se: sign | (1 + self.below(70)) as u16 },
            8 => F80 { m: m | 1 << 63, se: sign | (0x7ffe - self.below(70)) as u16 },
            9 => F80 { m: m | 1 << 63, se: sign | (0x3fff + self.below(70)) as u16 },
            10 => F80 { m: 1 << 63, se: sign | 0x3fff },
            11 => F80 { m: 1 << 63, se: sign | (0x3fff - 20 + self.below(40)) as u16 },
            _ => F80 { m: m | 1 << 63, se: sign | (0x3fff - 40 + self.below(48)) as u16 },
        }
    }
}

macro_rules! host {
    ($name:ident, $op:literal) => {
        /// ST(0) = a, ST(1) = b; after it both registers in order, and the status word.
        fn $name(a: F80, b: F80, cw: u16) -> (F80, F80, u16) {
            let (a, b) = (a.to_bytes(), b.to_bytes());
            let (mut r, mut r2) = ([0u8; 10], [0u8; 10]);
            let mut sw: u16 = 0;
            // SAFETY: loads and stores only the given buffers; leaves the x87 unit initialised, as the ABI has it.
            unsafe {
                asm!("fninit", "fld1", "fld tbyte ptr [{b}]", "fld tbyte ptr [{a}]", "fldcw [{cw}]", $op,
                    "fnstsw [{sw}]", "fnclex", "fnstcw [{cw}]", "or word ptr [{cw}], 0x3f", "fldcw [{cw}]",
                    "fstp tbyte ptr [{r}]", "fstp tbyte ptr [{r2}]", "fninit",
                    a = in(reg) a.as_ptr(), b = in(reg) b.as_ptr(), cw = in(reg) &mut { cw },
                    sw = in(reg) &mut sw, r = in(reg) r.as_mut_ptr(), r2 = in(reg) r2.as_mut_ptr(),
                    out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _);
            }
            (F80::from_bytes(r), F80::from_bytes(r2), sw)
        }
    };
}
host!(host_sin, "fsin");
host!(host_cos, "fcos");
host!(host_tan, "fptan");
host!(host_atan, "fpatan");
host!(host_2xm1, "f2xm1");
host!(host_yl2x, "fyl2x");
host!(host_yl2xp1, "fyl2xp1");

type Case = fn(F80, F80, u16) -> (F80, u16);

/// Distance in units in the last place, for values of the same sign.
fn ulps(a: F80, b: F80) -> u64 {
    let line = |x: F80| i128::from(x.se & 0x7fff) << 63 | i128::from(x.m & (u64::MAX >> 1));
    if a.neg() != b.neg() && a.m | b.m != 0 {
        return u64::MAX;
    }
    (line(a) - line(b)).unsigned_abs().min(u128::from(u64::MAX)) as u64
}

fn against(
    name: &str,
    n: u64,
    mut operands: impl FnMut(&mut Rng) -> (F80, F80),
    host: Case,
    ours: Case,
    mask: u16,
) {
    if !vendor::intel_host() {
        return;
    }
    let mut rng = Rng::new(0x1234_5678_9abc_def1);
    let (mut equal, mut near, mut bad) = (0u64, 0u64, 0u64);
    for _ in 0..n {
        let (a, b) = operands(&mut rng);
        let masks = if rng.below(4) == 0 { rng.below(64) as u16 } else { 0x3f };
        let cw = masks | 0x300 | (rng.below(4) as u16) << 10;
        let (hr, hs) = host(a, b, cw);
        let (r, s) = ours(a, b, cw);
        let flags_differ = (hs ^ s) & mask & !0x200 != 0;
        if hr == r && !flags_differ {
            equal += 1;
        } else if ulps(hr, r) <= 1 && !flags_differ {
            near += 1;
        } else {
            bad += 1;
            if bad <= 12 {
                println!(
                    "{name} a={:04x}:{:016x} b={:04x}:{:016x} cw={cw:04x}\n   host {:04x}:{:016x} sw={:04x}\n   ours {:04x}:{:016x} sw={:04x}",
                    a.se,
                    a.m,
                    b.se,
                    b.m,
                    hr.se,
                    hr.m,
                    hs & mask,
                    r.se,
                    r.m,
                    s & mask
                );
            }
        }
    }
    println!("{name}: {equal} equal, {near} off by one, {bad} wrong, of {n}");
    assert_eq!(bad, 0, "{name}: {bad} of {n} differ by more than one unit or in flags");
    assert!(equal * 100 >= n * 95, "{name}: only {equal} of {n} are equal");
}

fn env(cw: u16) -> Env {
    Env { precision: 64, ..Env::x87(cw) }
}

fn commit(old: F80, w: Wide, env: &mut Env) -> (F80, u16) {
    let r = finish(w, env);
    if env.unmasked() & (IE | DE | ZE) != 0 {
        return (old, env.flags & (IE | DE | ZE));
    }
    (r, env.flags)
}

fn trig(a: F80, cw: u16, f: fn(&Num, &mut Env) -> Trig) -> (F80, u16) {
    let mut e = env(cw);
    match f(&a.unpack(), &mut e) {
        Trig::OutOfRange => (a, e.flags | 0x400),
        Trig::Value(w) => commit(a, w, &mut e),
    }
}

const N: u64 = 200_000;
const FLAGS: u16 = 0x43f;

#[test]
fn sine() {
    fn h(a: F80, b: F80, cw: u16) -> (F80, u16) {
        let (r, _, s) = host_sin(a, b, cw);
        (r, s)
    }
    against("fsin", N, |r| (r.f80(), F80::ONE), h, |a, _, cw| trig(a, cw, t::sin), FLAGS);
}

#[test]
fn cosine() {
    fn h(a: F80, b: F80, cw: u16) -> (F80, u16) {
        let (r, _, s) = host_cos(a, b, cw);
        (r, s)
    }
    against("fcos", N, |r| (r.f80(), F80::ONE), h, |a, _, cw| trig(a, cw, t::cos), FLAGS);
}

#[test]
fn tangent() {
    /// The tangent is under the 1.0 (or the NaN) that FPTAN pushes, when it pushes.
    fn h(a: F80, b: F80, cw: u16) -> (F80, u16) {
        let (r, r2, s) = host_tan(a, b, cw);
        (if s >> 11 & 7 == 4 { r2 } else { r }, s)
    }
    against("fptan", N, |r| (r.f80(), F80::ONE), h, |a, _, cw| trig(a, cw, t::tan), FLAGS);
}

/// FPATAN, FYL2X and FYL2XP1 pop when they give a result: 3 loads leave TOP at 5.
fn popped((r, r2, s): (F80, F80, u16)) -> (F80, u16) {
    (if s >> 11 & 7 == 5 { r2 } else { r }, s)
}

#[test]
fn arctangent() {
    fn ours(a: F80, b: F80, cw: u16) -> (F80, u16) {
        let mut e = env(cw);
        let w = t::atan2(&b.unpack(), &a.unpack(), &mut e);
        commit(b, w, &mut e)
    }
    against("fpatan", N, |r| (r.f80(), r.f80()), |a, b, cw| popped(host_atan(a, b, cw)), ours, FLAGS);
}

#[test]
fn logarithm() {
    fn ours(a: F80, b: F80, cw: u16) -> (F80, u16) {
        let mut e = env(cw);
        let w = t::y_log2_x(&b.unpack(), &a.unpack(), &mut e);
        commit(b, w, &mut e)
    }
    against("fyl2x", N, |r| (r.f80(), r.f80()), |a, b, cw| popped(host_yl2x(a, b, cw)), ours, FLAGS);
}

#[test]
fn logarithm_of_one_plus() {
    fn ours(a: F80, b: F80, cw: u16) -> (F80, u16) {
        let mut e = env(cw);
        let w = t::y_log2_x_plus_1(&b.unpack(), &a.unpack(), &mut e);
        commit(b, w, &mut e)
    }
    let operands = |r: &mut Rng| loop {
        let a = r.f80();
        let n = a.unpack();
        // Outside of +-(1 - sqrt(1/2)) the SDM leaves the result undefined.
        if n.kind != Kind::Finite || n.exp < -2 {
            return (a, r.f80());
        }
    };
    against("fyl2xp1", N, operands, |a, b, cw| popped(host_yl2xp1(a, b, cw)), ours, FLAGS);
}

#[test]
fn power_of_two() {
    fn h(a: F80, b: F80, cw: u16) -> (F80, u16) {
        let (r, _, s) = host_2xm1(a, b, cw);
        (r, s)
    }
    fn ours(a: F80, _: F80, cw: u16) -> (F80, u16) {
        let mut e = env(cw);
        match t::exp2m1(&a.unpack(), &mut e) {
            None => (a, e.flags),
            Some(w) => commit(a, w, &mut e),
        }
    }
    against("f2xm1", N, |r| (r.f80(), F80::ONE), h, ours, FLAGS);
}
