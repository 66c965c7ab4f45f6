//! Whatever a guest does, the processor neither panics nor hangs, and its state stays one that it accepts back:
//! random code, tables and control registers, weighted towards system instructions.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::{CpuState, Segment, Stop, Vcpu};

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    fn below(&mut self, n: u32) -> u32 {
        self.next() % n
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    /// An address that is likely to matter.
    fn address(&mut self) -> u32 {
        match self.below(6) {
            0 => self.next(),
            1 => 0xffff_fff0 + self.below(16),
            2 => GDT + self.below(0x200),
            3 => TSS + self.below(0x80),
            4 => self.below(0x1_0010),
            _ => self.below(16 << 20),
        }
    }

    fn selector(&mut self) -> u16 {
        match self.below(8) {
            0 => self.next() as u16,
            1 => self.below(4) as u16,
            _ => (self.below(32) * 8 + self.below(8)) as u16,
        }
    }
}

/// Opcodes of system and control instructions; a random ModRM and immediate follow.
const SYSTEM: &[&[u8]] = &[
    &[0x0f, 0x00],
    &[0x0f, 0x01],
    &[0x0f, 0x02],
    &[0x0f, 0x03],
    &[0x0f, 0x06],
    &[0x0f, 0x20],
    &[0x0f, 0x22],
    &[0x0f, 0x21],
    &[0x0f, 0x23],
    &[0x0f, 0x30],
    &[0x0f, 0x32],
    &[0x0f, 0x34],
    &[0x0f, 0x35],
    &[0x0f, 0xae],
    &[0x0f, 0xb2],
    &[0x0f, 0xc7],
    &[0x63],
    &[0x8e],
    &[0x9a],
    &[0xea],
    &[0xcb],
    &[0xca],
    &[0xcf],
    &[0xcd],
    &[0xcc],
    &[0xf1],
    &[0xff],
    &[0x9d],
    &[0x9c],
    &[0xfb],
    &[0xc4],
    &[0xc5],
    &[0x07],
    &[0x17],
    &[0x1f],
    &[0x60],
    &[0x61],
    &[0xc8],
    &[0xc9],
    &[0xf3, 0xa4],
    &[0xf3, 0xab],
    &[0xf2, 0xa6],
    &[0xf3, 0x6c],
    &[0xf3, 0x6f],
    &[0xe6],
    &[0xec],
    &[0xdd],
    &[0xd9],
];

fn code(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while out.len() < len {
        if rng.one_in(4) {
            out.push([0x66, 0x67, 0x26, 0x36, 0x64, 0x65, 0xf0, 0xf3][rng.below(8) as usize]);
        }
        if rng.one_in(3) {
            out.push(rng.byte());
        } else {
            out.extend_from_slice(SYSTEM[rng.below(SYSTEM.len() as u32) as usize]);
        }
        out.push(rng.byte());
        match rng.below(3) {
            0 => {
                out.extend_from_slice(&rng.address().to_le_bytes());
                out.extend_from_slice(&rng.selector().to_le_bytes());
            }
            1 => out.push(rng.byte()),
            _ => {}
        }
    }
    out
}

fn any_descriptor(rng: &mut Rng) -> u64 {
    if rng.one_in(5) {
        return u64::from(rng.next()) << 32 | u64::from(rng.next());
    }
    if rng.one_in(3) {
        let kind = 0x80 | rng.below(4) << 5 | [4, 5, 6, 7, 12, 14, 15, 1][rng.below(8) as usize];
        return gate(rng.selector(), rng.address(), kind as u8) | u64::from(rng.below(32)) << 32;
    }
    let (base, limit) = match rng.below(3) {
        0 => (0, u32::MAX),
        1 => (rng.address(), rng.below(0x2_0000)),
        _ => (TSS, 0x67 + rng.below(0x2000)),
    };
    descriptor(base, limit, rng.next() & 0xf0ff | if rng.one_in(6) { 0 } else { 0x80 })
}

fn machine(rng: &mut Rng) -> Machine {
    let mut m = if rng.one_in(2) { Machine::new() } else { Machine::with_nx() };
    m.flat(CODE);
    for i in 7..32 {
        m.w64(GDT + 8 * i, any_descriptor(rng));
    }
    for v in 0..256 {
        let handler = if rng.one_in(4) { rng.address() } else { CODE + rng.below(0x400) };
        let g =
            if rng.one_in(8) { any_descriptor(rng) } else { gate(KCODE, handler, 0x8e | rng.byte() & 0x61) };
        m.w64(IDT + 8 * v, g);
    }
    for at in (0..0x68).step_by(4) {
        let v = rng.address();
        m.w32(TSS2 + at, v);
    }
    for at in [0x48, 0x4c, 0x50, 0x54, 0x58, 0x5c, 0x60] {
        m.w16(TSS2 + at, rng.selector());
    }
    // Page tables over the low 8 MiB: both formats read them, mostly as identity.
    for i in 0..2048_u32 {
        let flags = if rng.one_in(50) { rng.next() & 0xfff } else { 7 };
        m.w32(0x10_2000 + 4 * i, i << 12 | flags);
    }
    for i in 0..1024_u32 {
        let v = match i {
            0 => 0x10_2007,
            1 => 0x10_3007,
            _ if rng.one_in(4) => rng.next(),
            _ => 0,
        };
        m.w32(0x10_0000 + 4 * i, v);
    }
    m.load(CODE, &code(rng, 0x600));
    let state = rng.next();
    m.edit(|s| {
        for r in &mut s.gpr {
            *r = rng.address();
        }
        s.gpr[4] = if rng.one_in(4) { rng.address() } else { STACK - 4 * rng.below(64) };
        s.cr3 = 0x10_0000;
        s.cr4 = rng.next() & 0x7bc;
        s.dr = [rng.address(), rng.address(), rng.address(), CODE + rng.below(64), 0xffff_0ff0, 0x400];
        if state & 1 != 0 {
            s.dr[5] = rng.next() & !(1 << 13) | 0x400;
        }
        if state & 2 != 0 {
            s.cr0 |= 0x8000_0000;
            s.cr4 &= !0x20;
        }
        s.cr0 |= rng.next() & 0x5_002e;
        s.eflags = rng.next() & 0x24_7ed7 | 2;
        if state & 4 != 0 {
            s.eflags |= 0x100;
        }
        if state & 0x38 == 0 {
            // Real mode, with whatever limits.
            s.cr0 &= !0x8000_0001;
            let mut real = Segment::real(rng.next() as u16);
            if rng.one_in(3) {
                real.limit = rng.next();
            }
            s.seg = [real; 6];
            s.seg[CpuState::CS] = Segment::real((CODE >> 4) as u16);
            s.eip = 0;
            s.idtr.limit = rng.next() as u16;
        }
        if state & 0x38 == 8 {
            s.seg[CpuState::CS] = Segment { selector: UCODE, attr: 0xc0fb, ..s.seg[CpuState::CS] };
            let data = Segment { selector: UDATA, attr: 0xc0f3, ..s.seg[CpuState::DS] };
            s.seg[CpuState::SS] = data;
            s.seg[CpuState::DS] = data;
        }
        if state & 0x38 == 16 {
            s.eflags |= 1 << 17;
            s.seg = [Segment { selector: 0x1000, base: 0x1_0000, limit: 0xffff, attr: 0xf3 }; 6];
            s.eip = 0;
        }
    });
    m.io.limit = 3_000;
    for _ in 0..rng.below(4) {
        m.io.intr.push_back(rng.byte());
    }
    m
}

fn one(seed: u64) -> (Stop, u64) {
    let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut m = machine(&mut rng);
    let mut stop = Stop::Kicked;
    for _ in 0..40 {
        stop = m.cpu_run();
        let s = m.state();
        m.cpu.set_state(&s).unwrap();
        assert_eq!(m.state(), s, "seed {seed}: the state comes back");
        if matches!(stop, Stop::TripleFault | Stop::HaltedForGood) || m.io.retired > 3_000 {
            break;
        }
        if stop == Stop::Halted {
            m.io.intr.push_back(rng.byte());
        }
    }
    (stop, m.io.retired)
}

#[test]
fn random_programs_never_panic() {
    let n: u64 = std::env::var("NO_PANIC_RUNS").ok().and_then(|v| v.parse().ok()).unwrap_or(3_000);
    let from: u64 = std::env::var("NO_PANIC_FROM").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    let (mut triple, mut retired) = (0, 0);
    for seed in from..from + n {
        let r = std::panic::catch_unwind(|| one(seed));
        let (stop, count) = r.unwrap_or_else(|_| panic!("seed {seed}"));
        triple += u64::from(stop == Stop::TripleFault);
        retired += count;
    }
    assert!(retired > 100 * n, "{retired} instructions in {n} runs, {triple} shutdowns");
}
