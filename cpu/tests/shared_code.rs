//! Code that several programs have at different addresses: translations follow it, and whatever holds something of its
//! address says the right one.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use cpu::Software;
use harness::*;
use hv_vcpu::{CpuidTable, Vcpu};
use iced_x86::code_asm::*;

const PD: u32 = 0x10_0000;
const PT0: u32 = 0x10_1000;
const PT1: u32 = 0x10_2000;
/// Four places in linear space, each of two pages: the first is the same everywhere.
const PLACES: [u32; 4] = [0x40_0000, 0x40_8000, 0x41_1000, 0x7f_d000];
const FIRST: u32 = 0x20_0000;
const SECOND: u32 = 0x20_5000;
/// The second page of the last place.
const OTHER: u32 = 0x20_9000;
/// In the second page.
const CALLEE: u32 = 0x100;
const PATCHED: u32 = 0x200;
const VECTOR: u8 = 0x30;
const KERNEL: u32 = 0xe000;
const USER: u32 = 7;

/// EDX rounds of whatever knows its address: calls within the page, to the next one and back, through a register, by
/// falling into it; how it finds itself; an instruction that lies in both pages; where the x87 was. EBX is the sum.
fn shared(a: &mut CodeAssembler) {
    let (mut top, mut near, mut here) = (a.create_label(), a.create_label(), a.create_label());
    a.set_label(&mut top).unwrap();
    a.call(near).unwrap();
    a.call(u64::from(0x1000 + CALLEE)).unwrap();
    a.call(here).unwrap();
    a.set_label(&mut here).unwrap();
    a.pop(eax).unwrap();
    a.add(eax, i32::try_from(0x1000 + PATCHED).unwrap()).unwrap();
    a.call(eax).unwrap();
    a.call(0xff0).unwrap();
    a.fld1().unwrap();
    a.fstp(st0).unwrap();
    a.fnstenv(ptr(esp - 64)).unwrap();
    a.add(ebx, dword_ptr(esp - 64 + 12)).unwrap();
    a.rol(ebx, 1).unwrap();
    a.dec(edx).unwrap();
    a.jne(top).unwrap();
    a.ret().unwrap();
    a.set_label(&mut near).unwrap();
    a.add(ebx, dword_ptr(esp)).unwrap();
    a.ret().unwrap();
}

fn second(m: &Machine, page: u32, n: u32) {
    let returns = |v: u32| {
        asm(32, 0, |a| {
            a.add(ebx, dword_ptr(esp)).unwrap();
            a.add(ebx, i32::try_from(v).unwrap()).unwrap();
            a.ret().unwrap();
        })
    };
    m.load(page + CALLEE, &returns(0x1_0000 + n));
    // Whatever `here` is: NOPs lead to what is called there.
    for off in 0..32 {
        m.load(page + PATCHED + off, &[0x90]);
    }
    m.load(page + PATCHED + 32, &returns(0x2_0000 + n));
    // What ADD EAX, imm32 at the end of the first page ends in; and what follows.
    m.load(page, &[n as u8, 0, 0, 0x01, 0xc3, 0xc3]);
}

/// A program that goes round all the places again and again, with so many rounds of the shared code in each, and then
/// something of the supervisor's; then logs EBX.
fn machine(engine: &Software, rounds: u32, inner: u32, kernel: &dyn Fn(&mut CodeAssembler)) -> Machine {
    let mut m = Machine::with(engine, &CpuidTable::pentium4(false));
    m.catch_all();
    m.flat_code(|a| to_user(a, USER_CODE, 0x3002));
    m.load(
        USER_CODE,
        &asm(32, USER_CODE, |a| {
            let mut again = a.create_label();
            a.fninit().unwrap();
            // Nothing is translated without ES: the TLB knows all places before there is code.
            a.xor(eax, eax).unwrap();
            a.mov(es, eax).unwrap();
            for at in PLACES {
                a.mov(edx, 1).unwrap();
                a.mov(eax, at).unwrap();
                a.call(eax).unwrap();
            }
            a.push(ds).unwrap();
            a.pop(es).unwrap();
            a.mov(ecx, rounds).unwrap();
            a.set_label(&mut again).unwrap();
            for at in PLACES {
                a.xor(ebx, ebx).unwrap();
                a.mov(edx, inner).unwrap();
                a.mov(eax, at).unwrap();
                a.call(eax).unwrap();
                a.mov(eax, ebx).unwrap();
                log(a);
                a.int(i32::from(VECTOR)).unwrap();
            }
            a.dec(ecx).unwrap();
            a.jne(again).unwrap();
            a.mov(al, 0xaa_u32).unwrap();
            exit(a);
        }),
    );
    m.load(
        KERNEL,
        &asm(32, KERNEL, |a| {
            kernel(a);
            a.iretd().unwrap();
        }),
    );
    m.gate(VECTOR, KERNEL, 3);
    m.load(FIRST, &asm(32, 0, shared));
    // ADD EBX, [ESP]; NOPs; ADD EAX, imm32, of which one byte is here.
    m.load(
        FIRST + 0xff0,
        &[0x03, 0x1c, 0x24, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90],
    );
    m.load(FIRST + 0xfff, &[0x05]);
    second(&m, SECOND, 1);
    second(&m, OTHER, 2);
    for i in 0..1024 {
        m.w32(PT0 + 4 * i, i << 12 | USER);
    }
    for (n, at) in PLACES.into_iter().enumerate() {
        let pte = PT1 + (at >> 10 & 0xffc);
        m.w32(pte, FIRST | USER);
        m.w32(pte + 4, if n == 3 { OTHER } else { SECOND } | USER);
    }
    m.w32(PD, PT0 | USER);
    m.w32(PD + 4, PT1 | USER);
    m.edit(|s| {
        s.cr3 = PD;
        s.cr0 |= 0x8001_0000;
    });
    m
}

fn everywhere(rounds: u32, inner: u32, kernel: &dyn Fn(&mut CodeAssembler)) -> Vec<u32> {
    let left = on_each_processor(|name, engine| {
        let mut m = machine(engine, rounds, inner, kernel);
        m.run();
        assert_eq!(m.io.exited, Some(0xaa), "{name}");
        let moved = m.cpu.metrics().iter().any(|(n, v)| *n == "jit_pages_moved" && *v != 0);
        let translated = m.cpu.metrics().iter().any(|(n, v)| *n == "jit_blocks" && *v != 0);
        // Enough runs in one place, and the code follows.
        assert!(moved || !translated || inner < 1000, "{name}");
        (m.io.log.clone(), m.io.retired)
    });
    left.0
}

fn nothing(_: &mut CodeAssembler) {}

fn flush(a: &mut CodeAssembler) {
    a.mov(eax, cr3).unwrap();
    a.mov(cr3, eax).unwrap();
}

#[test]
fn each_place_sees_its_own_addresses() {
    for (rounds, inner) in [(40, 1), (40, 3), (2, 2500)] {
        for kernel in [&nothing as &dyn Fn(&mut CodeAssembler), &flush] {
            let log = everywhere(rounds, inner, kernel);
            assert_eq!(log[..4], log[4..8]);
            for (n, a) in log[..4].iter().enumerate() {
                assert!(!log[..n].contains(a), "two places leave the same");
            }
        }
    }
}

#[test]
fn a_second_page_that_changes_is_seen_in_each_place() {
    let swap = |a: &mut CodeAssembler| {
        for at in PLACES {
            a.xor(dword_ptr(PT1 + (at >> 10 & 0xffc) + 4), i32::try_from(SECOND ^ OTHER).unwrap()).unwrap();
            a.invlpg(byte_ptr(at + 0x1000)).unwrap();
        }
    };
    for inner in [1, 4, 2500] {
        everywhere(2, inner, &swap);
    }
}

#[test]
fn code_that_is_written_is_new_in_each_place() {
    let write = |a: &mut CodeAssembler| {
        a.inc(byte_ptr(SECOND + CALLEE + 5)).unwrap();
        a.inc(byte_ptr(OTHER)).unwrap();
    };
    for inner in [1, 4, 2500] {
        let log = everywhere(2, inner, &write);
        assert_ne!(log[0], log[4]);
    }
}
