//! Virtual-8086 mode: entry and exit, what IOPL guards, port access, faults.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::{CpuState, Stop};
use iced_x86::code_asm::*;

const IF: u32 = 1 << 9;
const VM: u32 = 1 << 17;
const IOPL3: u32 = 3 << 12;
/// V86 code: segment 3000h.
const SEG: u16 = 0x3000;
const AT: u32 = 0x3_0000;
const SP: u16 = 0x4000;

/// Enters V86 mode with `eflags` and runs `f` at 3000:0000, stack 3800:4000.
fn machine(eflags: u32, f: impl FnOnce(&mut CodeAssembler)) -> Machine {
    let mut m = Machine::new();
    m.catch_all();
    m.flat_code(|a| to_v86(a, (SEG, 0), (0x3800, SP), eflags));
    m.load(AT, &asm(16, 0, f));
    m
}

fn outcome(m: &mut Machine) -> Option<(u32, u32)> {
    assert_eq!(m.run(), Stop::Kicked);
    if m.io.exited == Some(0xaa) {
        return None;
    }
    let c = m.caught();
    Some((c.vector, if matches!(c.vector, 8 | 10..=14) { c.code() } else { 0 }))
}

fn pass(a: &mut CodeAssembler) {
    a.mov(al, 0xaa_u32).unwrap();
    exit(a);
}

#[test]
fn iretd_enters_and_an_interrupt_leaves_with_nine_doublewords() {
    let mut m = machine(IF | IOPL3 | 2, |a| {
        a.mov(ax, 0x4000_u32).unwrap();
        a.mov(ds, ax).unwrap();
        a.mov(ax, 0x5000_u32).unwrap();
        a.mov(es, ax).unwrap();
        a.mov(fs, ax).unwrap();
        a.mov(gs, ax).unwrap();
        a.mov(word_ptr(0x10_u32), 0x1234).unwrap();
        a.int(0x40).unwrap();
        pass(a);
    });
    m.gate(0x40, 0x6000, 3);
    m.load(
        0x6000,
        &asm(32, 0x6000, |a| {
            a.mov(eax, ds).unwrap();
            log(a);
            a.pushfd().unwrap();
            a.pop(eax).unwrap();
            log(a);
            a.iretd().unwrap();
        }),
    );
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.r16(0x4_0010), 0x1234);
    let f: [u32; 9] = std::array::from_fn(|i| m.r32(STACK0 - 36 + 4 * i as u32));
    let eip = f[0];
    assert_eq!(m.r16(AT + eip - 2), 0x40cd);
    assert_eq!(f[1..], [0x3000, VM | IF | IOPL3 | 2, u32::from(SP), 0x3800, 0x5000, 0x4000, 0x5000, 0x5000]);
    assert_eq!(m.io.log, [0, IOPL3 | 2], "DS is null, VM and IF are clear");
    let s = m.state();
    assert_eq!(s.eflags & VM, VM);
    assert_eq!(s.seg[CpuState::DS].selector, 0x4000);
    assert_eq!(s.seg[CpuState::DS].attr & 0xff, 0xf3);
}

#[test]
fn below_iopl_3_the_flag_instructions_and_int_n_fault() {
    for code in [&[0xfa][..], &[0xfb], &[0x9c], &[0x9d], &[0x66, 0x9c], &[0xcd, 0x40], &[0xcf], &[0x66, 0xcf]]
    {
        for iopl in 0..3 {
            let mut m = machine(IF | iopl << 12 | 2, |a| a.db(code).unwrap());
            m.gate(0x40, 0x6000, 3);
            assert_eq!(outcome(&mut m), Some((13, 0)), "{code:x?}");
            let c = m.caught();
            assert_eq!((c.eip(), c.eflags() & VM), (0, VM));
        }
    }
}

#[test]
fn int3_and_into_do_not_look_at_iopl() {
    let mut m = machine(2, |a| a.int3().unwrap());
    m.gate(3, HANDLERS + 64 * 3, 3);
    assert_eq!(outcome(&mut m), Some((3, 0)));
    let mut m = machine(2, |a| {
        a.mov(al, 0x7f).unwrap();
        a.inc(al).unwrap();
        a.into().unwrap();
    });
    m.gate(4, HANDLERS + 64 * 4, 3);
    assert_eq!(outcome(&mut m), Some((4, 0)));
    // But they look at the gate's DPL.
    let mut m = machine(2, |a| a.int3().unwrap());
    assert_eq!(outcome(&mut m), Some((13, 3 * 8 + 2)));
}

#[test]
fn at_iopl_3_iret_and_popf_cannot_touch_iopl_and_vm() {
    let mut m = machine(IF | IOPL3 | 2, |a| {
        a.push(0).unwrap(); // FLAGS: IF and IOPL clear
        a.push(i32::from(SEG)).unwrap();
        a.push(0x100).unwrap();
        a.iret().unwrap();
    });
    m.load(
        AT + 0x100,
        &asm(16, 0x100, |a| {
            a.pushfd().unwrap();
            a.pop(eax).unwrap();
            a.mov(ebx, eax).unwrap();
            a.or(eax, 0x3200_u32).unwrap();
            a.push(eax).unwrap();
            a.popfd().unwrap();
            pass(a);
        }),
    );
    assert_eq!(outcome(&mut m), None);
    let s = m.state();
    assert_eq!(s.gpr[3], IOPL3 | 2, "VM is not in the image of PUSHFD");
    assert_eq!(s.eflags & (VM | IOPL3 | IF), VM | IOPL3 | IF);
}

#[test]
fn cli_and_sti_work_at_iopl_3() {
    let mut m = machine(IF | IOPL3 | 2, |a| {
        a.cli().unwrap();
        a.pushf().unwrap();
        a.pop(bx).unwrap();
        a.sti().unwrap();
        pass(a);
    });
    assert_eq!(outcome(&mut m), None);
    let s = m.state();
    assert_eq!((s.gpr[3] & IF, s.eflags & IF), (0, IF));
}

#[test]
fn ports_go_by_the_bitmap_whatever_the_iopl() {
    let mut m = machine(IOPL3 | 2, |a| {
        a.mov(dx, 0x123_u32).unwrap();
        a.out(dx, al).unwrap();
        a.mov(dx, 0x124_u32).unwrap();
        a.out(dx, al).unwrap();
    });
    m.w8(TSS + 0x68 + 0x124 / 8, 1 << 4);
    assert_eq!(outcome(&mut m), Some((13, 0)));
    assert_eq!(m.io.writes[0].0, 0x123);
    // A word is refused if either byte is.
    let mut m = machine(IOPL3 | 2, |a| {
        a.mov(dx, 0x123_u32).unwrap();
        a.out(dx, ax).unwrap();
    });
    m.w8(TSS + 0x68 + 0x124 / 8, 1 << 4);
    assert_eq!(outcome(&mut m), Some((13, 0)));
}

#[test]
fn protected_mode_instructions_are_undefined_and_privileged_ones_fault() {
    for code in [[0x0f, 0x00, 0xd0], [0x0f, 0x00, 0xc0], [0x0f, 0x02, 0xc0], [0x63, 0xc0, 0x90]] {
        let mut m = machine(IOPL3 | 2, |a| a.db(&code).unwrap());
        assert_eq!(outcome(&mut m), Some((6, 0)), "{code:x?}");
    }
    for code in [&[0xf4][..], &[0x0f, 0x20, 0xc0], &[0x0f, 0x22, 0xc0], &[0x0f, 0x06], &[0x0f, 0x32]] {
        let mut m = machine(IOPL3 | 2, |a| a.db(code).unwrap());
        assert_eq!(outcome(&mut m), Some((13, 0)), "{code:x?}");
    }
    // SMSW is neither.
    let mut m = machine(IOPL3 | 2, |a| {
        a.smsw(bx).unwrap();
        pass(a);
    });
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.gpr(3) & 1, 1);
}

#[test]
fn offsets_beyond_64k_fault() {
    let mut m = machine(2, |a| {
        a.mov(ebx, 0x1_0000_u32).unwrap();
        a.mov(al, byte_ptr(ebx)).unwrap();
    });
    assert_eq!(outcome(&mut m), Some((13, 0)));
    // IRETD to V86 with EIP above 64 KiB: #GP(0) in ring 0.
    let mut m = Machine::new();
    m.catch_all();
    m.flat_code(|a| {
        for v in [0, 0, 0, 0, 0x3800, 0x4000, VM | 2, 0x3000, 0x1_0000] {
            a.push(v).unwrap();
        }
        a.iretd().unwrap();
    });
    assert_eq!(outcome(&mut m), Some((13, 0)));
    assert_eq!(m.caught().eflags() & VM, 0);
}

#[test]
fn the_gate_must_lead_to_ring_0_nonconforming_code() {
    let gates = [
        (descriptor(0, u32::MAX, 0xc09f), false), // conforming
        (descriptor(0, u32::MAX, 0xc0bb), false), // DPL 1
        (descriptor(0, u32::MAX, 0xc09b), true),
    ];
    for (d, good) in gates {
        let mut m = machine(IOPL3 | 2, |a| a.int(0x40).unwrap());
        m.w64(GDT + u32::from(FREE), d);
        m.w64(IDT + 8 * 0x40, gate(FREE, 0x6000, 0xee));
        m.load(0x6000, &asm(32, 0x6000, pass));
        assert_eq!(outcome(&mut m), if good { None } else { Some((13, u32::from(FREE))) });
    }
}

#[test]
fn external_interrupts_leave_v86_mode() {
    let mut m = machine(IF | 2, |a| {
        a.mov(al, 0x50_u32).unwrap();
        a.out(u32::from(RAISE), al).unwrap();
        a.nop().unwrap();
        a.nop().unwrap();
    });
    m.gate(0x50, 0x6000, 0);
    m.load(
        0x6000,
        &asm(32, 0x6000, |a| {
            a.mov(eax, dword_ptr(esp)).unwrap();
            log(a);
            pass(a);
        }),
    );
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log, [4]);
}

#[test]
fn setting_vme_is_refused_because_cpuid_does_not_show_it() {
    let mut m = Machine::new();
    m.catch_all();
    m.flat_code(|a| {
        a.mov(eax, 1).unwrap();
        a.mov(cr4, eax).unwrap();
    });
    assert_eq!(outcome(&mut m), Some((13, 0)));
}
