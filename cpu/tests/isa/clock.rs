//! The instruction count: exact, and the same however the run is cut into pieces.

use hv_vcpu::{CpuState, Stop, Vcpu};
use iced_x86::IcedError;
use iced_x86::code_asm::*;

use crate::machine::{DATA, HANDLER, Machine, assemble};

/// Loops, calls, string instructions, patches of its own code, port accesses.
fn busy(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let (mut top, mut f, mut skip) = (a.create_label(), a.create_label(), a.create_label());
    a.sti()?;
    a.mov(ebp, 200)?;
    a.set_label(&mut top)?;
    a.mov(edi, DATA)?;
    a.mov(eax, ebp)?;
    a.mov(ecx, 37)?;
    a.rep().stosd()?;
    a.mov(esi, DATA)?;
    a.mov(edi, DATA + 1)?;
    a.mov(ecx, 150)?;
    a.rep().movsb()?;
    a.call(f)?;
    a.test(ebp, 7)?;
    a.jne(skip)?;
    a.out(0x80, al)?;
    a.set_label(&mut skip)?;
    a.dec(ebp)?;
    a.jne(top)?;
    a.cli()?;
    a.hlt()?;
    a.set_label(&mut f)?;
    a.mov(byte_ptr(DATA + 0x1001), al)?;
    a.mov(edx, DATA + 0x1000)?;
    a.call(edx)?;
    a.add(ebx, edx)?;
    a.rol(ebx, 3)?;
    a.ret()
}

fn machine() -> Machine {
    let mut m = Machine::new(&busy);
    m.load(DATA + 0x1000, &[0xb2, 0, 0xc3]); // MOV DL, imm8; RET
    // The handler counts and notes the interrupted EIP.
    m.load(
        HANDLER,
        &assemble(32, HANDLER, &|a| {
            a.push(eax)?;
            a.mov(eax, dword_ptr(esp + 4))?;
            a.add(dword_ptr(0x6000), eax)?;
            a.rol(dword_ptr(0x6000), 1)?;
            a.inc(dword_ptr(0x6004))?;
            a.pop(eax)?;
            a.iretd()
        }),
    );
    m.edit(|_| ());
    m
}

fn outcome(every: u64, interrupts: &[u64]) -> (CpuState, u64, Vec<u64>, [u32; 2]) {
    let mut m = machine();
    m.io.every = every;
    m.io.interrupts = interrupts.to_vec();
    let s = m.run();
    (s, m.metric("instructions"), m.io.taken.clone(), [m.r32(0x6000), m.r32(0x6004)])
}

#[test]
fn the_count_and_the_result_do_not_depend_on_how_often_the_machine_is_polled() {
    let whole = outcome(u64::MAX, &[]);
    for every in [1, 2, 3, 7, 50, 999] {
        let cut = outcome(every, &[]);
        assert_eq!(cut.0.gpr, whole.0.gpr, "every {every}");
        assert_eq!(cut.1, whole.1, "every {every}");
    }
}

#[test]
fn interrupts_come_at_the_same_instruction_in_every_run() {
    let at: Vec<u64> = (1..150).map(|n| n * 251 + n % 7).collect();
    let whole = outcome(u64::MAX, &at);
    assert_eq!(whole.3[1], 149);
    for every in [1, 5, 64, 1000] {
        let cut = outcome(every, &at);
        assert_eq!(cut.0.gpr, whole.0.gpr, "every {every}");
        assert_eq!((cut.1, cut.2, cut.3), (whole.1, whole.2.clone(), whole.3), "every {every}");
    }
}

#[test]
fn an_interrupt_is_taken_exactly_when_it_is_due() {
    let at: Vec<u64> = (1..100).map(|n| n * 300).collect();
    let (.., taken, _) = outcome(u64::MAX, &at);
    // STI's shadow is long over, and the handler is shorter than the distance.
    assert_eq!(taken, at);
}

#[test]
fn polls_come_when_they_are_due() {
    let mut m = machine();
    m.io.every = 100;
    m.run();
    for pair in m.io.polled.windows(2) {
        assert_eq!(pair[1] - pair[0], 100);
    }
}

#[test]
fn polls_may_come_early_where_nobody_counts() {
    /// Instructions of a block, at most.
    const BLOCK: u64 = 64;
    let whole = outcome(u64::MAX, &[]);
    for every in [1, 2, 30, 100, 1000] {
        let mut m = machine();
        m.io.every = every;
        m.io.exact = false;
        let s = m.run();
        assert_eq!((s.gpr, m.metric("instructions")), (whole.0.gpr, whole.1), "every {every}");
        for pair in m.io.polled.windows(2) {
            let gap = pair[1] - pair[0];
            assert!(
                gap <= every && (gap == every || gap == 0 || gap + BLOCK > every),
                "every {every}: {pair:?}"
            );
        }
    }
}

#[test]
fn a_kick_that_a_poll_gives_stops_the_processor_there() {
    let mut m = machine();
    m.io.every = 1000;
    m.io.kick = Some((20_000, m.cpu.kicker()));
    assert_eq!(m.cpu.run(&mut m.io).unwrap(), Stop::Kicked);
    assert_eq!(m.io.now, 20_000);
    assert_eq!(m.cpu.run(&mut m.io).unwrap(), Stop::HaltedForGood);
}

#[test]
fn a_port_access_that_kicks_brings_the_next_poll_forward() {
    const AFTER: u64 = 150;
    let mut m = machine();
    m.io.every = u64::MAX;
    m.io.timer = Some((AFTER, m.cpu.kicker()));
    let mut kicked = Vec::new();
    while m.cpu.run(&mut m.io).unwrap() == Stop::Kicked {
        kicked.push(m.io.now);
    }
    assert_eq!(kicked.len(), 25);
    // An access is not counted yet when the port sees it.
    let due: Vec<u64> = kicked.iter().map(|at| at - 1 + AFTER).collect();
    assert_eq!(m.io.taken, due);
}
