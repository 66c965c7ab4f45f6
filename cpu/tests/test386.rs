//! Runs the 128 KiB ROM of test386.asm (github.com/barotto/test386.asm), which is not part of this repository: it
//! tests an 80386 from reset on, in all modes, and prints arithmetic results to compare with its reference.
//!
//! Build it with ROM128 = 1 and OUT_PORT = E9h, then:
//! `TEST386_BIN=.../test386.bin TEST386_REFERENCE=.../test386-EE-reference.txt cargo test -p cpu --test test386 -- --ignored`
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::{CpuState, CpuidTable, Stop};
use ram::LowTarget;

const POST: u16 = 0x190;
const OUT: u16 = 0xe9;

#[test]
#[ignore = "needs the ROM of test386.asm"]
fn test386_ends_with_ff_and_prints_its_reference() {
    let rom = std::fs::read(std::env::var("TEST386_BIN").unwrap()).unwrap();
    let reference = std::fs::read(std::env::var("TEST386_REFERENCE").unwrap()).unwrap();
    assert_eq!(rom.len(), 0x2_0000);
    let mut m = Machine::new();
    let slot = m.ram.allocate(0x2_0000, false);
    m.ram.arena().copy_in(m.ram.extent(slot).start, &rom);
    m.ram.set_low(0xe0..=0xff, LowTarget::Slot(slot, 0), LowTarget::Device);
    m.ram.place(slot, Some(0xfffe_0000));
    m.edit(|s| *s = CpuState::reset(CpuidTable::SIGNATURE));
    m.io.limit = 100_000_000;
    let stop = m.cpu_run();
    let post: Vec<u32> = m.io.writes.iter().filter(|w| w.0 == POST).map(|w| w.2).collect();
    let s = m.state();
    assert_eq!(
        (post.last(), stop),
        (Some(&0xff), Stop::HaltedForGood),
        "at {:04x}:{:08x}, POST {post:x?}, {:x?}",
        s.seg[CpuState::CS].selector,
        s.eip,
        s.gpr
    );
    let text: Vec<u8> = m.io.writes.iter().filter(|w| w.0 == OUT).map(|w| w.2 as u8).collect();
    let lines = |b: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(b).lines().map(|l| l.trim_end().to_owned()).collect()
    };
    let (got, want) = (lines(&text), lines(&reference));
    let differing: Vec<_> = got.iter().zip(&want).filter(|(a, b)| a != b).collect();
    assert!(
        differing.is_empty() && got.len() == want.len(),
        "{} of {} lines differ, first {:#?}",
        differing.len(),
        want.len(),
        differing.iter().take(20).collect::<Vec<_>>()
    );
}
