//! Runs the i386 programs of kvm-unit-tests (gitlab.com/kvm-unit-tests), which are not part of this repository.
//!
//! Configure it with `--arch=i386`, make `x86/NAME.flat`, then:
//! `UNIT_TESTS_DIR=.../x86 cargo test -p cpu --test unit_tests -- --ignored --nocapture`
//!
//! The machine is what those programs need and no more: a serial port to print on, the exit port, enough of the
//! firmware configuration port and of a local APIC (registers that keep what is written, self IPIs).
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::sync::Arc;

use cpu::Software;
use hv_vcpu::{CpuState, CpuidTable, GuestIo, Hypervisor, Kicker, Segment, Stop, Vcpu, Vm, Width};
use ram::GuestRam;

const APIC: u64 = 0xfee0_0000;
/// A page that behaves like memory but is none.
const IORAM: u64 = 0xff00_0000;
const ICR: usize = 0x300;

struct Io {
    kicker: Kicker,
    apic: Vec<u8>,
    ioram: Vec<u8>,
    intr: VecDeque<u8>,
    latch: u32,
    answer: VecDeque<u8>,
    text: Vec<u8>,
    exit: Option<u32>,
    retired: u64,
}

impl GuestIo for Io {
    fn pio_read(&mut self, port: u16, width: Width) -> u32 {
        match port {
            0x3fd => 0x60,
            0x3f8..=0x3ff => 0,
            0xe0 => self.latch & width.ones(),
            0x511 => u32::from(self.answer.pop_front().unwrap_or(0)),
            _ => width.ones(),
        }
    }

    fn pio_write(&mut self, port: u16, _: Width, v: u32) {
        match port {
            0x3f8 => self.text.push(v as u8),
            0xe0 => self.latch = v,
            // IRQ 11, edge-triggered, at the vector that a BIOS gives it.
            0x200b if v != 0 => self.intr.push_back(0x73),
            0xf4 => {
                self.exit = Some(v);
                self.kicker.kick();
            }
            0x510 => {
                let v: u64 = match v {
                    0 => u64::from(u32::from_le_bytes(*b"QEMU")),
                    3 => 64 << 20,
                    5 | 15 => 1,
                    _ => 0,
                };
                self.answer = v.to_le_bytes().into();
            }
            _ => {}
        }
    }

    fn mmio_read(&mut self, gpa: u64, buf: &mut [u8]) {
        let at = (gpa & 0xfff) as usize;
        match gpa & !0xfff {
            APIC => buf.copy_from_slice(&self.apic[at..at + buf.len()]),
            IORAM => buf.copy_from_slice(&self.ioram[at..at + buf.len()]),
            _ => buf.fill(0xff),
        }
    }

    fn mmio_write(&mut self, gpa: u64, buf: &[u8]) {
        let at = (gpa & 0xfff) as usize;
        match gpa & !0xfff {
            APIC => {
                self.apic[at..at + buf.len()].copy_from_slice(buf);
                if at == ICR && buf.len() == 4 && buf[1] & 7 == 0 {
                    self.intr.push_back(buf[0]);
                }
            }
            IORAM => self.ioram[at..at + buf.len()].copy_from_slice(buf),
            _ => {}
        }
    }

    fn intr_pending(&self) -> bool {
        !self.intr.is_empty()
    }

    fn ack_intr(&mut self) -> u8 {
        self.intr.pop_front().unwrap_or(0xff)
    }

    fn retired(&mut self, n: u64) {
        self.retired += n;
    }

    fn poll(&mut self) -> u64 {
        if self.retired > 2_000_000_000 {
            self.kicker.kick();
        }
        100_000
    }

    fn deadline_ns(&mut self) -> Option<u64> {
        None
    }

    fn tsc(&mut self) -> u64 {
        self.retired
    }

    fn ferr(&mut self, _: bool) {}

    fn ignne(&self) -> bool {
        false
    }
}

/// Loads the 32-bit ELF file; returns its entry.
fn load(ram: &GuestRam, elf: &[u8]) -> u32 {
    let d = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let w = |at: usize| u16::from_le_bytes(elf[at..at + 2].try_into().unwrap());
    assert_eq!(&elf[..5], b"\x7fELF\x01");
    for n in 0..usize::from(w(0x2c)) {
        let ph = d(0x1c) as usize + n * usize::from(w(0x2a));
        if d(ph) == 1 {
            let (off, len) = (d(ph + 4) as usize, d(ph + 16) as usize);
            ram.write(u64::from(d(ph + 12)), &elf[off..off + len]);
        }
    }
    d(0x18)
}

/// `missing`: reports that cannot pass, because the machine has no such thing.
fn run(name: &str, missing: &[&str]) {
    let dir = std::env::var("UNIT_TESTS_DIR").unwrap();
    let elf = std::fs::read(format!("{dir}/{name}.flat")).unwrap();
    let ram = Arc::new(GuestRam::new(64 << 20, 1 << 20).unwrap());
    let entry = load(&ram, &elf);
    // Multiboot information: memory sizes and an empty command line.
    ram.write(0x1000, &1_u32.to_le_bytes());
    ram.write(0x1004, &640_u32.to_le_bytes());
    ram.write(0x1008, &(63_u32 << 10).to_le_bytes());
    ram.write(0x1010, &0x1100_u32.to_le_bytes());
    ram.write(0x1100, b"test\0");
    let mut cpu = Software::under_test().create(ram, &CpuidTable::pentium4(true)).unwrap().vcpu().unwrap();
    let mut s = CpuState::reset(CpuidTable::SIGNATURE);
    let data = Segment { selector: 0x10, base: 0, limit: u32::MAX, attr: 0xc093 };
    s.seg = [data; 6];
    s.seg[CpuState::CS] = Segment { selector: 8, attr: 0xc09b, ..data };
    s.cr0 = 0x11;
    s.eip = entry;
    s.gpr[0] = 0x2bad_b002;
    s.gpr[3] = 0x1000;
    cpu.set_state(&s).unwrap();
    let mut apic = vec![0; 0x1000];
    apic[0x30..0x34].copy_from_slice(&0x5_0014_u32.to_le_bytes());
    let mut io = Io {
        kicker: cpu.kicker(),
        apic,
        ioram: vec![0; 0x1000],
        intr: VecDeque::new(),
        latch: 0,
        answer: VecDeque::new(),
        text: Vec::new(),
        exit: None,
        retired: 0,
    };
    let stop = cpu.run(&mut io).unwrap();
    let text = String::from_utf8_lossy(&io.text);
    eprintln!("{text}");
    let s = cpu.state().unwrap();
    assert!(stop == Stop::Kicked && io.exit.is_some(), "{stop:?} at {:x}:{:x}", s.seg[1].selector, s.eip);
    let failed: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("FAIL: ")).collect();
    assert_eq!(failed, missing);
    assert!(!text.contains("Unhandled"));
}

macro_rules! programs {
    ($($name:ident $missing:expr;)*) => {$(
        #[test]
        #[ignore = "needs kvm-unit-tests"]
        fn $name() {
            run(stringify!($name), &$missing);
        }
    )*};
}

programs! {
    realmode [];
    taskswitch [];
    taskswitch2 ["NMI external"];
    cmpxchg8b [];
    idt_test [];
    emulator [];
}
