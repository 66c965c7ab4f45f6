//! Where instructions come from, and prefixes.

use hv_vcpu::CpuState;
use iced_x86::code_asm::*;

use crate::machine::{CODE, Machine};

#[test]
fn code_beyond_the_limit_of_cs_faults_at_the_instruction_that_crosses_it() {
    // 5 NOPs, then MOV EAX, imm32 whose last byte lies beyond the limit.
    let mut m = Machine::new(&|a| {
        for _ in 0..5 {
            a.nop()?;
        }
        a.mov(eax, 0x1234_5678)?;
        a.hlt()
    });
    m.edit(|s| {
        s.seg[CpuState::CS].limit = CODE + 8;
        s.seg[CpuState::CS].attr = 0x409b;
    });
    let s = m.run();
    assert_eq!(m.fault(), Some(13));
    assert_eq!(s.gpr[0], 0);
    assert_eq!(m.r32(s.gpr[4] + 4), CODE + 5, "pushed EIP");
}

#[test]
fn code_that_ends_right_at_the_limit_runs() {
    let mut m = Machine::new(&|a| {
        a.mov(eax, 7)?;
        a.hlt()
    });
    m.edit(|s| {
        s.seg[CpuState::CS].limit = CODE + 5;
        s.seg[CpuState::CS].attr = 0x409b;
    });
    let s = m.run();
    assert_eq!((s.gpr[0], m.fault()), (7, None));
}

#[test]
fn a_jump_beyond_the_limit_faults_at_the_jump() {
    let mut m = Machine::new(&|a| {
        a.mov(eax, CODE + 0x1000)?;
        a.jmp(eax)
    });
    m.edit(|s| {
        s.seg[CpuState::CS].limit = CODE + 0x100;
        s.seg[CpuState::CS].attr = 0x409b;
    });
    let s = m.run();
    assert_eq!(m.fault(), Some(13));
    assert_eq!(m.r32(s.gpr[4] + 4), CODE + 5);
}

#[test]
fn sixteen_bytes_are_a_protection_fault_not_an_undefined_opcode() {
    let mut m = Machine::new(&|a| {
        a.db(&[0x26; 15])?;
        a.nop()
    });
    m.run();
    assert_eq!(m.fault(), Some(13));
}

#[test]
fn lock_is_undefined_without_a_memory_destination() {
    // LOCK ADD EAX, ECX; LOCK MOV [EAX], ECX; LOCK CMP [EAX], ECX; LOCK CMPXCHG8B with a register; LOCK NOP.
    for code in [
        &[0xf0_u8, 0x01, 0xc8][..],
        &[0xf0, 0x89, 0x08],
        &[0xf0, 0x39, 0x08],
        &[0xf0, 0x0f, 0xc7, 0xc8],
        &[0xf0, 0x90],
    ] {
        let code = code.to_vec();
        let mut m = Machine::new(&move |a| a.db(&code));
        m.run();
        assert_eq!(m.fault(), Some(6));
    }
}

#[test]
fn lock_with_a_memory_destination_does_what_it_does_without() {
    let mut m = Machine::new(&|a| {
        a.mov(ecx, 5)?;
        a.lock().add(dword_ptr(0x6000), ecx)?;
        a.lock().xadd(dword_ptr(0x6000), ecx)?;
        a.hlt()
    });
    let s = m.run();
    assert_eq!((m.r32(0x6000), s.gpr[1]), (10, 5));
}

#[test]
fn the_same_bytes_mean_other_things_in_16_and_32_bit_code() {
    // B8 imm: the operand size follows CS.D, which is part of what a decoded block is known by.
    let run = |big: bool| {
        let mut m = Machine::new(&|a| a.db(&[0xb8, 0x11, 0x22, 0x90, 0x90, 0xf4]));
        m.edit(|s| s.seg[CpuState::CS].attr = if big { 0xc09b } else { 0x809b });
        m.run().gpr[0]
    };
    assert_eq!(run(true), 0x9090_2211);
    assert_eq!(run(false), 0x2211);
}

#[test]
fn a_cmpxchg_that_fails_still_writes() {
    let mut m = Machine::new(&|a| {
        a.mov(eax, 1)?;
        a.cmpxchg(dword_ptr(0x6000), ecx)?;
        a.hlt()
    });
    m.edit(|s| s.seg[CpuState::DS].attr = 0xc091); // read-only
    let s = m.run();
    assert_eq!(m.fault(), Some(13));
    assert_eq!(s.gpr[0], 1);
}
