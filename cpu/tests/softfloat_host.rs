//! Arithmetic in software against the host's own x87 unit, result and flags bit for bit.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::print_stdout, reason = "a failing case is shown with its operands")]
#![allow(unsafe_code, reason = "the oracle is the host's x87 unit, reached by inline assembly")]

#[path = "fp_host/vendor.rs"]
mod vendor;

use cpu::softfloat::*;
use seeded::Rng;
use std::arch::asm;

/// Mostly normal numbers, of exponents that meet; every special class often enough.
trait Operands {
    fn significand(&mut self) -> u64;
    fn f80(&mut self) -> F80;
    fn cw(&mut self) -> u16;
}

impl Operands for Rng {
    fn significand(&mut self) -> u64 {
        match self.below(10) {
            0 => 0,
            1 => 1 << 63,
            2 => u64::MAX,
            3 => 1 << self.below(64),
            4 => u64::MAX << self.below(64),
            5 => 1 << 63 | self.next() >> 40 << 40,
            6 => 1 << 63 | self.below(1 << 12) << 1,
            7 => (1 << 63 | self.next() << 11) ^ self.below(2) << 10,
            _ => self.next(),
        }
    }

    fn f80(&mut self) -> F80 {
        let sign = (self.below(2) as u16) << 15;
        let m = self.significand();
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
            9 => F80 { m: m | 1 << 63, se: sign | (0x3fff - self.below(32)) as u16 },
            10 => F80 { m: m | 1 << 63, se: sign | (0x3fff + self.below(70)) as u16 },
            11 => F80 { m: m | 1 << 63, se: sign | (0x3fff - 1023 - 60 + self.below(2200)) as u16 },
            12 => F80 { m: m | 1 << 63, se: sign | (0x3fff - 127 - 30 + self.below(300)) as u16 },
            13 => F80 { m: m | 1 << 63, se: sign | (1 + self.below(0x7ffe)) as u16 },
            14 => F80 { m: m | 1 << 63, se: sign | (0x1fff + self.below(130)) as u16 },
            15 => F80 { m: m | 1 << 63, se: sign | (0x5fff + self.below(130)) as u16 },
            _ => F80 { m: m | 1 << 63, se: sign | (0x3fff - 8 + self.below(16)) as u16 },
        }
    }

    fn cw(&mut self) -> u16 {
        let masks = if self.below(3) == 0 { self.below(64) as u16 } else { 0x3f };
        let pc = [0, 2, 3, 3][self.below(4) as usize];
        masks | pc << 8 | (self.below(4) as u16) << 10
    }
}

macro_rules! binary {
    ($name:ident, $op:literal) => {
        /// ST(0) = a, ST(1) = b. The result in ST(0) and the status word.
        fn $name(a: F80, b: F80, cw: u16) -> (F80, u16) {
            let (a, b) = (a.to_bytes(), b.to_bytes());
            let mut r = [0u8; 10];
            let mut sw: u16 = 0;
            // SAFETY: loads and stores only the given buffers; leaves the x87 unit initialised, as the ABI has it.
            unsafe {
                asm!("fninit", "fld tbyte ptr [{b}]", "fld tbyte ptr [{a}]", "fldcw [{cw}]", $op,
                    "fnstsw [{sw}]", "fnclex", "fnstcw [{cw}]", "or word ptr [{cw}], 0x3f", "fldcw [{cw}]", "fstp tbyte ptr [{r}]", "fninit",
                    a = in(reg) a.as_ptr(), b = in(reg) b.as_ptr(), cw = in(reg) &mut { cw },
                    sw = in(reg) &mut sw, r = in(reg) r.as_mut_ptr(),
                    out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _);
            }
            (F80::from_bytes(r), sw)
        }
    };
}
binary!(host_add, "fadd st(0), st(1)");
binary!(host_sub, "fsub st(0), st(1)");
binary!(host_mul, "fmul st(0), st(1)");
binary!(host_div, "fdiv st(0), st(1)");
binary!(host_sqrt, "fsqrt");
binary!(host_rndint, "frndint");
binary!(host_scale, "fscale");
binary!(host_prem, "fprem");
binary!(host_prem1, "fprem1");
binary!(host_com, "fcom st(1)");
binary!(host_ucom, "fucom st(1)");

const CC: u16 = 0x4700;

/// Runs `n` cases, prints the first few that differ, and fails if any does.
fn against(
    name: &str,
    n: u64,
    host: fn(F80, F80, u16) -> (F80, u16),
    ours: fn(F80, F80, u16) -> (F80, u16),
    cc: u16,
) {
    if !vendor::intel_host() {
        return;
    }
    let mut rng = Rng::new(0x9e37_79b9_7f4a_7c15 ^ n);
    let mut bad = 0;
    for _ in 0..n {
        let (a, b, cw) = (rng.f80(), rng.f80(), rng.cw());
        let (hr, hs) = host(a, b, cw);
        let (r, s) = ours(a, b, cw);
        if hr != r || (hs ^ s) & (0x3f | cc) != 0 {
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
                    hs & (0x3f | cc),
                    r.se,
                    r.m,
                    s & (0x3f | cc)
                );
            }
        }
    }
    assert_eq!(bad, 0, "{name}: {bad} of {n} differ");
}

/// As an x87 instruction commits: no result with an unmasked IE, DE or ZE.
fn commit(a: F80, r: F80, env: &Env) -> (F80, u16) {
    let stop = env.unmasked() & (IE | DE | ZE) != 0;
    let flags = if stop { env.flags & !(OE | UE | PE | UP) } else { env.flags };
    (if stop { a } else { r }, flags)
}

macro_rules! ours {
    ($name:ident, $f:ident) => {
        fn $name(a: F80, b: F80, cw: u16) -> (F80, u16) {
            let mut env = Env::x87(cw);
            let w = $f(a.unpack(), b.unpack(), &mut env);
            let r = finish(w, &mut env);
            commit(a, r, &env)
        }
    };
}
ours!(our_add, add);
ours!(our_sub, sub);
ours!(our_mul, mul);
ours!(our_div, div);

const N: u64 = 400_000;

#[test]
fn addition() {
    against("fadd", N, host_add, our_add, 0x200);
}
#[test]
fn subtraction() {
    against("fsub", N, host_sub, our_sub, 0x200);
}
#[test]
fn multiplication() {
    against("fmul", N, host_mul, our_mul, 0x200);
}
#[test]
fn division() {
    against("fdiv", N, host_div, our_div, 0x200);
}

#[test]
fn square_root() {
    fn ours(a: F80, _: F80, cw: u16) -> (F80, u16) {
        let mut env = Env::x87(cw);
        let w = sqrt(a.unpack(), &mut env);
        let r = finish(w, &mut env);
        commit(a, r, &env)
    }
    against("fsqrt", N, host_sqrt, ours, 0x200);
}

#[test]
fn rounding_to_integral() {
    fn ours(a: F80, _: F80, cw: u16) -> (F80, u16) {
        let mut env = Env { precision: 64, ..Env::x87(cw) };
        let w = round_to_integral(a.unpack(), &mut env);
        let r = finish(w, &mut env);
        commit(a, r, &env)
    }
    against("frndint", N, host_rndint, ours, 0x200);
}

#[test]
fn scaling() {
    fn ours(a: F80, b: F80, cw: u16) -> (F80, u16) {
        let mut env = Env { precision: 64, ..Env::x87(cw) };
        let w = scale(a.unpack(), b.unpack(), &mut env);
        let r = finish(w, &mut env);
        commit(a, r, &env)
    }
    against("fscale", N, host_scale, ours, 0x200);
}

fn our_rem(a: F80, b: F80, cw: u16, nearest: bool) -> (F80, u16) {
    let mut env = Env { precision: 64, ..Env::x87(cw) };
    let rem = fprem(a.unpack(), b.unpack(), nearest, &mut env);
    let r = finish(rem.value, &mut env);
    let (r, flags) = commit(a, r, &env);
    if env.unmasked() & (IE | DE) != 0 {
        return (r, flags);
    }
    let cc = match rem.quotient {
        None => 0x400,
        Some(q) => u16::from(q & 4) << 6 | u16::from(q & 2) << 13 | u16::from(q & 1) << 9,
    };
    (r, flags & 0x3f | cc)
}

#[test]
fn partial_remainder() {
    against("fprem", N, host_prem, |a, b, cw| our_rem(a, b, cw, false), CC);
    against("fprem1", N, host_prem1, |a, b, cw| our_rem(a, b, cw, true), CC);
}

#[test]
fn comparison() {
    fn ours(a: F80, b: F80, cw: u16, quiet: bool) -> (F80, u16) {
        let mut env = Env::x87(cw);
        let o = compare(&a.unpack(), &b.unpack(), quiet, &mut env);
        let cc = match o {
            Order::Less => 0x100,
            Order::Equal => 0x4000,
            Order::Greater => 0,
            Order::Unordered => 0x4500,
        };
        (a, env.flags | cc)
    }
    against("fcom", N, host_com, |a, b, cw| ours(a, b, cw, false), 0);
    against("fucom", N, host_ucom, |a, b, cw| ours(a, b, cw, true), 0);
    fn masked(a: F80, b: F80, cw: u16, quiet: bool) -> (F80, u16) {
        ours(a, b, cw | 0x3f, quiet)
    }
    against("fcom masked", N, |a, b, cw| host_com(a, b, cw | 0x3f), |a, b, cw| masked(a, b, cw, false), CC);
}
