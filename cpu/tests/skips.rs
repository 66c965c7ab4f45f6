//! Conditional jumps over instructions of the same block: flags and counts are the same on both ways.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::CpuidTable;
use iced_x86::code_asm::*;

const ROUNDS: u32 = 64;

/// A program that goes round with the count in ECX, on each way to run; all must leave the same. Returns its log.
fn everywhere(body: &dyn Fn(&mut CodeAssembler)) -> Vec<u32> {
    let left = on_each_processor(|_, engine| {
        let mut m = Machine::with(engine, &CpuidTable::pentium4(false));
        m.catch_all();
        m.flat_code(|a| rounds(a, ROUNDS, body));
        m.run();
        (m.io.log.clone(), m.io.exited, m.io.retired, m.caught())
    });
    left.0
}

/// What the program logs of the count in ECX.
fn expect(f: impl Fn(u32) -> u32) -> Vec<u32> {
    (1..=ROUNDS).rev().map(f).collect()
}

#[test]
fn flags_that_both_ways_have_are_read_behind_the_jump() {
    // CF of TEST is 0, of ADD 1.
    let log = everywhere(&|a| {
        let mut over = a.create_label();
        a.mov(eax, u32::MAX).unwrap();
        a.test(ecx, 3).unwrap();
        a.jne(over).unwrap();
        a.add(eax, 7).unwrap();
        a.set_label(&mut over).unwrap();
        a.mov(eax, 0).unwrap();
        a.adc(eax, 0x10).unwrap();
        log(a);
    });
    assert_eq!(log, expect(|n| 0x10 + u32::from(n & 3 == 0)));
}

#[test]
fn flags_go_through_memory_if_one_way_has_lost_them() {
    // A store with lookup loses the host's flags on one way only.
    let log = everywhere(&|a| {
        let mut over = a.create_label();
        a.cmp(ecx, 32).unwrap();
        a.jb(over).unwrap();
        a.mov(dword_ptr(0x9000), ecx).unwrap();
        a.set_label(&mut over).unwrap();
        a.mov(eax, 0).unwrap();
        a.adc(eax, eax).unwrap();
        log(a);
    });
    assert_eq!(log, expect(|n| u32::from(n < 32)));
}

#[test]
fn jumps_over_jumps_meet_at_one_place() {
    let log = everywhere(&|a| {
        let (mut inner, mut outer) = (a.create_label(), a.create_label());
        a.xor(eax, eax).unwrap();
        a.test(ecx, 1).unwrap();
        a.jne(outer).unwrap();
        a.inc(eax).unwrap();
        a.test(ecx, 2).unwrap();
        a.je(inner).unwrap();
        a.or(eax, 0x10).unwrap();
        a.test(ecx, 4).unwrap();
        a.je(outer).unwrap();
        a.or(eax, 0x20).unwrap();
        a.set_label(&mut inner).unwrap();
        a.or(eax, 0x40).unwrap();
        a.set_label(&mut outer).unwrap();
        a.sete(bl).unwrap();
        a.movzx(ebx, bl).unwrap();
        a.shl(ebx, 8).unwrap();
        a.or(eax, ebx).unwrap();
        log(a);
    });
    let want = |n: u32| match n & 7 {
        1 | 3 | 5 | 7 => 0,
        2 => 0x111,
        6 => 0x71,
        _ => 0x41,
    };
    assert_eq!(log, expect(want));
}

#[test]
fn loop_and_jecxz_skip_too() {
    let log = everywhere(&|a| {
        let (mut first, mut second) = (a.create_label(), a.create_label());
        a.mov(edx, ecx).unwrap();
        a.and(ecx, 1).unwrap();
        a.stc().unwrap();
        a.jecxz(first).unwrap();
        a.clc().unwrap();
        a.set_label(&mut first).unwrap();
        a.mov(eax, 0).unwrap();
        a.adc(eax, 0).unwrap();
        a.mov(ecx, edx).unwrap();
        a.and(ecx, 3).unwrap();
        a.loop_(second).unwrap();
        a.or(eax, 0x10).unwrap();
        a.set_label(&mut second).unwrap();
        a.mov(ecx, edx).unwrap();
        log(a);
    });
    assert_eq!(log, expect(|n| u32::from(n & 1 == 0) | if n & 3 == 1 { 0x10 } else { 0 }));
}

#[test]
fn a_fault_behind_a_skip_has_its_place_and_flags() {
    // #DE's handler logs; EIP, flags and count of what it interrupts are compared between the processors.
    on_each_processor(|_, engine| {
        let mut m = Machine::with(engine, &CpuidTable::pentium4(false));
        m.catch_all();
        m.flat_code(|a| {
            rounds(a, ROUNDS, |a| {
                let mut over = a.create_label();
                a.mov(eax, 1).unwrap();
                a.cdq().unwrap();
                a.cmp(ecx, 2).unwrap();
                a.jbe(over).unwrap();
                a.inc(ebx).unwrap();
                a.add(edi, ebx).unwrap();
                a.set_label(&mut over).unwrap();
                a.lea(esi, dword_ptr(ecx - 1)).unwrap();
                a.div(esi).unwrap();
            });
        });
        m.run();
        let caught = m.caught();
        assert_eq!((caught.vector, m.gpr(1)), (0, 1), "divided by ECX - 1");
        (m.io.log.clone(), m.io.retired, caught)
    });
}
