//! Whatever the guest runs, the engine lives: random bytes as code, tables and data, from random states. This build
//! checks arithmetic for overflow and indices for range, so that a slip shows as a panic.

use hv_vcpu::{CpuState, CpuidTable, Hypervisor, Segment, Vcpu, Vm};
use ram::GuestRam;
use std::sync::Arc;

use seeded::Rng;

use crate::machine::Clock;

/// Mostly addresses in memory, sometimes near an end or anything.
fn address(r: &mut Rng) -> u32 {
    match r.below(8) {
        0 => r.next() as u32,
        1 => (r.next() as u32 & 0xf).wrapping_sub(8),
        2 => (r.below(0x400) as u32 * 0x1000).wrapping_sub(r.below(16) as u32),
        _ => r.below(4 << 20) as u32,
    }
}

fn segment(r: &mut Rng, code: bool) -> Segment {
    let attr = if code {
        [0x9b, 0xfb, 0x409b, 0xc09b, 0xc0fb][r.below(5) as usize]
    } else {
        [0x93, 0x4093, 0xc093, 0xc0f3, 0x97, 0x4097, 0x91, 0x1_0000][r.below(8) as usize]
    };
    let limit = match r.below(4) {
        0 => 0xffff,
        1 => address(r),
        _ => u32::MAX,
    };
    let base = if r.one_in(2) { 0 } else { address(r) };
    Segment { selector: r.next() as u16 & 0xff, base, limit, attr }
}

/// Opcodes that lead somewhere more often than random bytes do: string instructions, far transfers, system.
const SPICE: [&[u8]; 24] = [
    &[0xf3, 0xa4],
    &[0xf3, 0xab],
    &[0xf2, 0xae],
    &[0xf3, 0xa7],
    &[0xf3, 0x6c],
    &[0xf3, 0x6f],
    &[0xcd, 0x80],
    &[0xcf],
    &[0xcb],
    &[0x0f, 0x01, 0x17],
    &[0x0f, 0x22, 0xc0],
    &[0x0f, 0x22, 0xd8],
    &[0x0f, 0x22, 0xe0],
    &[0x0f, 0x00, 0xd8],
    &[0x8e, 0xd0],
    &[0xfb],
    &[0x9d],
    &[0x61],
    &[0xc8, 0x10, 0x00, 0x1f],
    &[0x0f, 0xae, 0x00],
    &[0xdd, 0x30],
    &[0x0f, 0x34],
    &[0x66, 0x90],
    &[0xeb, 0xf0],
];

fn scramble(r: &mut Rng, ram: &GuestRam) {
    let mut page = vec![0_u8; 0x1000];
    for n in 0..0x400 {
        if r.one_in(3) {
            continue;
        }
        for chunk in page.chunks_mut(8) {
            chunk.copy_from_slice(&r.next().to_le_bytes());
        }
        for _ in 0..40 {
            let s = SPICE[r.below(SPICE.len() as u64) as usize];
            let at = r.below(0xff0) as usize;
            page[at..at + s.len()].copy_from_slice(s);
        }
        ram.write(n * 0x1000, &page);
    }
    // Page tables that map something: directory at 1000h, tables at 2000h to 5FFFh.
    for n in 0..1024_u64 {
        let pde = (0x2000 + (n & 3) * 0x1000) | r.below(8) | r.below(2) << 5 | u64::from(r.one_in(20)) << 7;
        ram.write(0x1000 + n * 4, &(pde as u32 | 1).to_le_bytes());
    }
    for n in 0..4096_u64 {
        let pte = r.below(0x420) << 12 | (7 & !(r.next() & r.next() & r.next())) | r.below(2) << 8;
        ram.write(0x2000 + n * 4, &(pte as u32).to_le_bytes());
    }
}

fn state(r: &mut Rng) -> CpuState {
    let mut s = CpuState::reset(CpuidTable::SIGNATURE);
    s.gpr = std::array::from_fn(|_| address(r));
    s.eflags = r.next() as u32 & 0x25_7fd7 & !(r.next() as u32) | 2;
    s.idtr.base = address(r);
    s.idtr.limit = r.next() as u16;
    s.gdtr.base = address(r);
    s.gdtr.limit = r.next() as u16;
    s.dr[0] = address(r);
    s.dr[5] = if r.one_in(4) { r.next() as u32 } else { 0x400 };
    s.cr3 = 0x1000;
    s.cr4 = r.next() as u32 & 0x7bc & !0x40;
    s.msrs.sysenter_cs = 8;
    s.msrs.sysenter_eip = u64::from(address(r));
    if r.one_in(3) {
        for seg in &mut s.seg {
            *seg = Segment::real(r.below(0x8000) as u16);
        }
        s.eip = r.below(0x10000) as u32;
        s.cr0 = 0x10;
        s.eflags &= !0x2_0000;
    } else {
        for seg in &mut s.seg {
            *seg = segment(r, false);
        }
        s.seg[CpuState::CS] = segment(r, true);
        s.seg[CpuState::SS].attr =
            s.seg[CpuState::SS].attr & !0x1_0060 | 0x93 | s.seg[CpuState::CS].attr & 0x60;
        s.tr = Segment { selector: 0x28, base: address(r), limit: 0x67 + r.below(0x2000) as u32, attr: 0x8b };
        s.eip = address(r);
        let paged = if r.one_in(2) { 0x8000_0000 } else { 0 };
        s.cr0 = 0x11 | paged | r.next() as u32 & 0x5_002e;
        if s.cr4 & 0x20 != 0 && paged != 0 {
            s.pdpte = std::array::from_fn(|n| 0x2001 + 0x1000 * n as u64);
        }
    }
    s
}

#[test]
fn random_guests_do_no_harm() {
    let seconds = std::env::var("CHAOS_SECONDS").ok().and_then(|s| s.parse::<u64>().ok());
    let start = std::time::Instant::now();
    let mut seed = seconds.map_or(1, |_| std::process::id().into());
    let mut executed = 0;
    loop {
        let mut r = Rng::new(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let ram = Arc::new(GuestRam::new(4 << 20, 0).unwrap());
        scramble(&mut r, &ram);
        let mut cpu =
            cpu::Software::new().create(ram, &CpuidTable::pentium4(r.one_in(2))).unwrap().vcpu().unwrap();
        let kicker = cpu.kicker();
        let mut io = Limited { clock: Clock::new(), kicker, until: 0 };
        for _ in 0..200 {
            let s = state(&mut r);
            if cpu.set_state(&s).is_err() {
                continue;
            }
            io.until = io.clock.now + 3000;
            io.clock.interrupts = vec![io.clock.now + r.below(2000)];
            io.clock.every = 1 + r.below(500);
            cpu.run(&mut io).unwrap();
            cpu.kicker().take();
            let after = cpu.state().unwrap();
            cpu.set_state(&after).unwrap();
        }
        executed += io.clock.now;
        seed += 1;
        if seconds.map_or(seed > 20, |s| start.elapsed().as_secs() >= s) {
            break;
        }
    }
    assert!(executed > 100_000, "only {executed} instructions ran");
}

/// Kicks when enough instructions ran.
struct Limited {
    clock: Clock,
    kicker: hv_vcpu::Kicker,
    until: u64,
}

impl hv_vcpu::GuestIo for Limited {
    fn pio_read(&mut self, port: u16, width: hv_vcpu::Width) -> u32 {
        self.clock.pio_read(port, width)
    }
    fn pio_write(&mut self, _: u16, _: hv_vcpu::Width, _: u32) {}
    fn mmio_read(&mut self, gpa: u64, buf: &mut [u8]) {
        assert!((1..=16).contains(&buf.len()) && (gpa & 0xfff) as usize + buf.len() <= 0x1000);
        buf.fill(0xff);
    }
    fn mmio_write(&mut self, gpa: u64, buf: &[u8]) {
        assert!((1..=16).contains(&buf.len()) && (gpa & 0xfff) as usize + buf.len() <= 0x1000);
    }
    fn intr_pending(&self) -> bool {
        self.clock.intr_pending()
    }
    fn ack_intr(&mut self) -> u8 {
        self.clock.ack_intr()
    }
    fn retired(&mut self, n: u64) {
        self.clock.retired(n);
    }
    fn poll(&mut self) -> u64 {
        if self.clock.now >= self.until {
            self.kicker.kick();
        }
        self.clock.poll()
    }
    fn deadline_ns(&mut self) -> Option<u64> {
        None
    }
    fn tsc(&mut self) -> u64 {
        self.clock.now
    }
    fn ferr(&mut self, _: bool) {}
    fn ignne(&self) -> bool {
        false
    }
}
