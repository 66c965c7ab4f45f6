//! Protected-mode segments: limits, types, privilege, null selectors, accessed bits, and the instructions that look.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::{CpuState, Stop};
use iced_x86::code_asm::*;

/// Ring 0 code with all exceptions caught and `extra` descriptors from [`FREE`] on.
fn machine(extra: &[u64], f: impl FnOnce(&mut CodeAssembler)) -> Machine {
    let mut m = Machine::new();
    m.catch_all();
    m.flat_code(f);
    for (i, d) in extra.iter().enumerate() {
        m.w64(GDT + u32::from(FREE) + 8 * i as u32, *d);
    }
    m
}

/// Loads `selector` into DS, then runs `f` and stops.
fn with_ds(extra: &[u64], f: impl FnOnce(&mut CodeAssembler)) -> Machine {
    let mut m = machine(extra, |a| {
        a.mov(ax, u32::from(FREE)).unwrap();
        a.mov(ds, ax).unwrap();
        f(a);
        a.mov(al, 0xaa_u32).unwrap();
        exit(a);
    });
    m.run();
    m
}

fn passed(m: &Machine) -> bool {
    m.io.exited == Some(0xaa)
}

fn fault(m: &Machine) -> (u32, u32) {
    assert!(!passed(m), "no fault");
    let c = m.caught();
    (c.vector, c.code())
}

#[test]
fn the_last_byte_of_a_segment_is_usable_and_the_next_is_not() {
    let d = [descriptor(0x4_0000, 0x1234, 0x93)];
    assert!(passed(&with_ds(&d, |a| a.mov(al, byte_ptr(0x1234_u32)).unwrap())));
    assert!(passed(&with_ds(&d, |a| a.mov(eax, dword_ptr(0x1231_u32)).unwrap())));
    assert_eq!(fault(&with_ds(&d, |a| a.mov(al, byte_ptr(0x1235_u32)).unwrap())), (13, 0));
    assert_eq!(fault(&with_ds(&d, |a| a.mov(eax, dword_ptr(0x1232_u32)).unwrap())), (13, 0));
    assert_eq!(fault(&with_ds(&d, |a| a.mov(dword_ptr(0xffff_fffe_u32), eax).unwrap())), (13, 0));
}

#[test]
fn an_expand_down_segment_begins_above_its_limit() {
    // B = 0: up to FFFFh.
    let d = [descriptor(0x4_0000, 0xfff, 0x97)];
    assert!(passed(&with_ds(&d, |a| a.mov(al, byte_ptr(0x1000_u32)).unwrap())));
    assert!(passed(&with_ds(&d, |a| a.mov(al, byte_ptr(0xffff_u32)).unwrap())));
    assert_eq!(fault(&with_ds(&d, |a| a.mov(al, byte_ptr(0xfff_u32)).unwrap())), (13, 0));
    assert_eq!(fault(&with_ds(&d, |a| a.mov(ax, word_ptr(0xffff_u32)).unwrap())), (13, 0));
    // B = 1: up to FFFFFFFFh, at a base that brings it back into memory.
    let d = [descriptor(0x4_0000, 0xfff, 0x4097)];
    assert!(passed(&with_ds(&d, |a| a.mov(al, byte_ptr(0xffff_ffff_u32)).unwrap())));
    assert_eq!(fault(&with_ds(&d, |a| a.mov(eax, dword_ptr(0xffff_fffd_u32)).unwrap())), (13, 0));
}

#[test]
fn types_are_checked_at_use() {
    let read_only = [descriptor(0, 0xf_ffff, 0xc091)];
    assert!(passed(&with_ds(&read_only, |a| a.mov(al, byte_ptr(0x500_u32)).unwrap())));
    assert_eq!(fault(&with_ds(&read_only, |a| a.mov(byte_ptr(0x500_u32), al).unwrap())), (13, 0));
    let readable_code = [descriptor(0, 0xf_ffff, 0xc09b)];
    assert!(passed(&with_ds(&readable_code, |a| a.mov(al, byte_ptr(0x500_u32)).unwrap())));
    assert_eq!(fault(&with_ds(&readable_code, |a| a.mov(byte_ptr(0x500_u32), al).unwrap())), (13, 0));
    // CS itself is never writable.
    let mut m = machine(&[], |a| a.mov(byte_ptr(0x500_u32).cs(), al).unwrap());
    m.run();
    assert_eq!(fault(&m), (13, 0));
    // And not readable, if it is execute-only.
    let mut m = machine(&[descriptor(0, u32::MAX, 0xc099)], |a| {
        jmp_far(a, FREE, CODE + 7);
        a.mov(al, byte_ptr(0x500_u32).cs()).unwrap();
    });
    m.run();
    assert_eq!(fault(&m), (13, 0));
}

#[test]
fn stack_references_fault_as_ss() {
    let mut m = machine(&[descriptor(0, 0x8_ffff, 0x4093)], |a| {
        a.mov(ax, u32::from(FREE)).unwrap();
        a.mov(ss, ax).unwrap();
        a.mov(ebp, 0x9_0000_u32).unwrap();
        a.mov(eax, dword_ptr(ebp)).unwrap();
    });
    m.run();
    assert_eq!(fault(&m), (12, 0));
    assert_eq!(m.caught().eip(), CODE + 4 + 3 + 5);
}

#[test]
fn null_selectors_load_but_do_not_work() {
    for sel in 0..4_u32 {
        let mut m = machine(&[], |a| {
            a.mov(ax, sel).unwrap();
            a.mov(es, ax).unwrap();
            a.mov(al, byte_ptr(0x500_u32).es()).unwrap();
        });
        m.run();
        assert_eq!(fault(&m), (13, 0));
        assert_eq!(m.caught().eip(), CODE + 7);
        assert_eq!(u32::from(m.state().seg[CpuState::ES].selector), sel);
    }
    let mut m = machine(&[], |a| {
        a.xor(eax, eax).unwrap();
        a.mov(ss, ax).unwrap();
    });
    m.run();
    assert_eq!(fault(&m), (13, 0));
    assert_eq!(m.state().seg[CpuState::SS].selector, KDATA, "SS is as it was");
}

/// Loads `selector` into DS in ring 0.
fn load(extra: &[u64], seg: AsmRegisterSegment, selector: u16) -> Machine {
    let mut m = machine(extra, |a| {
        a.mov(ax, u32::from(selector)).unwrap();
        a.mov(seg, ax).unwrap();
        a.mov(al, 0xaa_u32).unwrap();
        exit(a);
    });
    m.run();
    m
}

#[test]
fn loads_check_presence_type_and_table_limit() {
    let absent = [descriptor(0, 0xffff, 0x13)];
    assert_eq!(fault(&load(&absent, ds, FREE)), (11, u32::from(FREE)));
    assert_eq!(fault(&load(&absent, ss, FREE)), (12, u32::from(FREE)));
    let system = [descriptor(0, 0xffff, 0x89)];
    assert_eq!(fault(&load(&system, fs, FREE)), (13, u32::from(FREE)));
    let execute_only = [descriptor(0, 0xffff, 0x99)];
    assert_eq!(fault(&load(&execute_only, gs, FREE)), (13, u32::from(FREE)));
    let read_only = [descriptor(0, 0xffff, 0x91)];
    assert_eq!(fault(&load(&read_only, ss, FREE)), (13, u32::from(FREE)));
    assert!(passed(&load(&read_only, ds, FREE)));
    assert_eq!(fault(&load(&[], ds, 0x100)), (13, 0x100), "beyond the GDT");
    assert_eq!(fault(&load(&[], ds, 0x0c)), (13, 0x0c), "there is no LDT");
    assert_eq!(fault(&load(&[], ss, KDATA | 1)), (13, u32::from(KDATA)), "RPL of SS");
    assert_eq!(fault(&load(&[], ss, UDATA)), (13, u32::from(UDATA & !3)), "DPL of SS");
    assert!(passed(&load(&[], ds, UDATA)), "ring 0 may use ring 3 data");
    assert_eq!(fault(&load(&[], ds, KDATA | 3)), (13, u32::from(KDATA)), "RPL 3 may not use ring 0 data");
}

#[test]
fn a_load_sets_the_accessed_bit_in_the_table() {
    let m = load(&[descriptor(0, 0xffff, 0x92)], ds, FREE);
    assert!(passed(&m));
    assert_eq!(m.r8(GDT + u32::from(FREE) + 5), 0x93);
    let m = load(&[descriptor(0, 0xffff, 0x12)], ds, FREE);
    assert_eq!(m.r8(GDT + u32::from(FREE) + 5), 0x12, "a load that faults does not");
}

#[test]
fn lar_lsl_verr_verw_tell_by_zf() {
    let mut m = machine(&[descriptor(0x1_2345, 0x5_4fff, 0xc0f1), gate(KCODE, 0x1234, 0x8c), 0], |a| {
        a.mov(ebx, u32::from(FREE)).unwrap();
        a.lar(eax, ebx).unwrap();
        log(a);
        a.lsl(eax, ebx).unwrap();
        log(a);
        a.mov(eax, 0x1111_1111_u32).unwrap();
        a.mov(ebx, u32::from(FREE) + 8).unwrap();
        a.lsl(eax, ebx).unwrap(); // a gate has no limit
        log(a);
        a.setz(al).unwrap();
        log(a);
        a.lar(eax, ebx).unwrap();
        log(a);
        a.mov(ebx, 0x1000_u32).unwrap();
        a.lar(eax, ebx).unwrap(); // beyond the table
        a.setz(al).unwrap();
        log(a);
        a.mov(bx, u32::from(FREE)).unwrap();
        a.verr(bx).unwrap();
        a.setz(al).unwrap();
        log(a);
        a.verw(bx).unwrap();
        a.setz(al).unwrap();
        log(a);
        exit(a);
    });
    m.run();
    let l = &m.io.log;
    assert_eq!(l[0] & 0x00f0_ff00, 0x00c0_f100);
    assert_eq!(l[1], 0x5_4fff);
    assert_eq!(l[2], 0x1111_1111);
    assert_eq!(l[3] & 0xff, 0);
    assert_eq!(l[4] & 0x00f0_ff00, 0x0000_8c00);
    assert_eq!([l[5] & 0xff, l[6] & 0xff, l[7] & 0xff], [0, 1, 0]);
}

#[test]
fn arpl_raises_rpl_only() {
    let mut m = machine(&[], |a| {
        a.mov(ax, 0x10_u32).unwrap();
        a.mov(bx, 0x3_u32).unwrap();
        a.arpl(ax, bx).unwrap();
        a.setz(cl).unwrap();
        a.mov(dx, 0x13_u32).unwrap();
        a.mov(bx, 0x1_u32).unwrap();
        a.arpl(dx, bx).unwrap();
        a.setz(ch).unwrap();
        exit(a);
    });
    m.run();
    let s = m.state();
    assert_eq!((s.gpr[0] & 0xffff, s.gpr[2] & 0xffff, s.gpr[1] & 0xffff), (0x13, 0x13, 0x0001));
}

#[test]
fn descriptors_come_from_the_ldt_too() {
    let ldt = 0x3_0000;
    let mut m = machine(&[descriptor(ldt, 0x0f, 0x82)], |a| {
        a.mov(ax, u32::from(FREE)).unwrap();
        a.lldt(ax).unwrap();
        a.mov(ax, 0x0c_u32).unwrap();
        a.mov(ds, ax).unwrap();
        a.mov(eax, dword_ptr(4_u32)).unwrap();
        log(a);
        a.mov(ax, 0x14_u32).unwrap();
        a.mov(ds, ax).unwrap();
    });
    m.w64(ldt + 8, descriptor(0x4_0000, 0xff, 0x93));
    m.w32(0x4_0004, 0x1234_5678);
    m.run();
    assert_eq!(m.io.log, [0x1234_5678]);
    assert_eq!(fault(&m), (13, 0x14));
}

#[test]
fn lldt_and_ltr_check_what_they_are_given() {
    let one = |extra: &[u64], sel: u16, ltr: bool| {
        let mut m = machine(extra, |a| {
            a.mov(ax, u32::from(sel)).unwrap();
            if ltr { a.ltr(ax) } else { a.lldt(ax) }.unwrap();
            a.mov(al, 0xaa_u32).unwrap();
            exit(a);
        });
        m.run();
        m
    };
    assert!(passed(&one(&[], 0, false)), "a null LDT is legal");
    assert_eq!(fault(&one(&[], 0, true)), (13, 0));
    assert_eq!(fault(&one(&[], KDATA, false)), (13, u32::from(KDATA)));
    assert_eq!(fault(&one(&[], TSS_SEL, true)), (13, u32::from(TSS_SEL)), "busy");
    assert_eq!(fault(&one(&[descriptor(0, 0x67, 0x09)], FREE, true)), (11, u32::from(FREE)));
    assert_eq!(fault(&one(&[descriptor(0, 0x67, 0x02)], FREE, false)), (11, u32::from(FREE)));
    let m = one(&[], TSS2_SEL, true);
    assert!(passed(&m));
    assert_eq!(m.r8(GDT + u32::from(TSS2_SEL) + 5), 0x8b, "now busy");
}

#[test]
fn a_push_across_the_end_of_a_16_bit_stack_faults() {
    let mut m = machine(&[descriptor(0x6_0000, 0xffff, 0x93)], |a| {
        a.mov(ax, u32::from(FREE)).unwrap();
        a.mov(ss, ax).unwrap();
        a.mov(esp, 0x1234_0002_u32).unwrap();
        a.push(0x5555_6666_u32).unwrap();
    });
    // The doubleword would wrap around the end of the segment, and so would the frame of the fault.
    assert_eq!(m.run(), Stop::TripleFault);
    assert_eq!(m.gpr(4), 0x1234_0002);
}

#[test]
fn pushes_on_a_16_bit_stack_go_below_sp() {
    let mut m = machine(&[descriptor(0x6_0000, 0xffff, 0x93)], |a| {
        a.mov(ax, u32::from(FREE)).unwrap();
        a.mov(ss, ax).unwrap();
        a.mov(esp, 0x1234_0000_u32).unwrap();
        a.push(0x5555_6666_u32).unwrap();
        a.mov(eax, esp).unwrap();
        log(a);
        exit(a);
    });
    m.run();
    assert_eq!(m.io.log, [0x1234_fffc]);
    assert_eq!(m.r32(0x6_fffc), 0x5555_6666);
}
