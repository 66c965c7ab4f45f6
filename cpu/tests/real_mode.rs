//! Real mode: interrupts through the IVT, segment limits, unreal mode, A20, interrupt shadows, HLT.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::{CpuState, Stop};
use iced_x86::code_asm::*;

const AT: u32 = 0x7c00;

/// IVT entry to code assembled at `at`.
fn vector(m: &Machine, n: u32, at: u32, f: impl FnOnce(&mut CodeAssembler)) {
    m.load(at, &asm(16, at, f));
    m.w32(4 * n, at);
}

/// Handlers for 6, 8, 12 and 13 that log the vector and the IP on the stack, and stop.
fn catch(m: &Machine) {
    for v in [0_u32, 1, 5, 6, 8, 12, 13] {
        vector(m, v, 0x600 + 0x20 * v, |a| {
            a.mov(ax, v).unwrap();
            log(a);
            a.pop(ax).unwrap();
            log(a);
            exit(a);
        });
    }
}

#[test]
fn int_pushes_flags_cs_ip_and_clears_if_and_tf() {
    let mut m = Machine::new();
    vector(&m, 0x40, 0x600, |a| {
        a.pushf().unwrap();
        a.pop(bx).unwrap();
        exit(a);
    });
    m.real_code(AT, |a| {
        a.stc().unwrap();
        a.sti().unwrap();
        a.int(0x40).unwrap();
    });
    m.run();
    let s = m.state();
    assert_eq!(s.gpr[4], 0x7000 - 6);
    assert_eq!(m.r16(0x6ffe), 0x203, "FLAGS with IF and CF");
    assert_eq!(m.r16(0x6ffc), 0, "CS");
    assert_eq!(m.r16(0x6ffa), AT as u16 + 4, "IP after INT");
    assert_eq!(s.gpr[3] & 0xffff, 0x003, "IF is clear in the handler, CF is not");
}

#[test]
fn a_word_across_the_end_of_a_64k_segment_is_gp_with_the_ip_of_the_instruction() {
    let mut m = Machine::new();
    catch(&m);
    m.real_code(AT, |a| {
        a.mov(bx, 0xffff_u32).unwrap();
        a.mov(ax, word_ptr(bx)).unwrap();
    });
    m.run();
    assert_eq!(m.io.log, [13, AT + 3]);
}

#[test]
fn a_push_with_sp_1_is_a_stack_fault_and_leaves_sp() {
    // With SP = 1 the word would lie at FFFFh. The fault cannot be pushed either: shutdown.
    let mut m = Machine::new();
    catch(&m);
    m.real_code(AT, |a| {
        a.mov(sp, 1_u32).unwrap();
        a.push(ax).unwrap();
    });
    assert_eq!(m.run(), Stop::TripleFault);
    assert_eq!(m.gpr(4) & 0xffff, 1);
}

#[test]
fn a_push_with_sp_0_wraps_to_fffe() {
    let mut m = Machine::new();
    m.real_code(AT, |a| {
        a.mov(eax, 0x2000_u32).unwrap();
        a.mov(ss, ax).unwrap();
        a.mov(esp, 0xabcd_0000_u32).unwrap();
        a.mov(ax, 0x1234_u32).unwrap();
        a.push(ax).unwrap();
        exit(a);
    });
    m.run();
    assert_eq!(m.gpr(4), 0xabcd_fffe, "bits 31:16 stay");
    assert_eq!(m.r16(0x2_fffe), 0x1234);
}

#[test]
fn divide_error_pushes_the_ip_of_the_division() {
    let mut m = Machine::new();
    catch(&m);
    m.real_code(AT, |a| {
        a.xor(cx, cx).unwrap();
        a.div(cx).unwrap();
    });
    m.run();
    assert_eq!(m.io.log, [0, AT + 2]);
}

#[test]
fn the_limit_of_protected_mode_stays_in_unreal_mode() {
    let mut m = Machine::new();
    catch(&m);
    for (i, d) in gdt().into_iter().enumerate() {
        m.w64(GDT + 8 * i as u32, d);
    }
    m.load(0x500, &[0x3f, 0, 0, 0x10, 0, 0]);
    m.w32(0x20_0000, 0xcafe_f00d);
    m.real_code(AT, |a| {
        a.db(&[0x66, 0x0f, 0x01, 0x16, 0x00, 0x05]).unwrap(); // lgdt [500h]
        a.mov(eax, cr0).unwrap();
        a.or(al, 1).unwrap();
        a.mov(cr0, eax).unwrap();
        a.mov(bx, u32::from(KDATA)).unwrap();
        a.mov(ds, bx).unwrap();
        a.and(al, 0xfe_u32).unwrap();
        a.mov(cr0, eax).unwrap();
        a.xor(bx, bx).unwrap();
        a.mov(ds, bx).unwrap();
        a.mov(esi, 0x20_0000_u32).unwrap();
        a.mov(edx, dword_ptr(esi)).unwrap();
        exit(a);
    });
    m.run();
    let s = m.state();
    assert_eq!(s.gpr[2], 0xcafe_f00d);
    assert_eq!(s.seg[CpuState::DS].limit, u32::MAX);
    assert_eq!((s.seg[CpuState::DS].selector, s.seg[CpuState::DS].base), (0, 0));
}

#[test]
fn a20_off_wraps_physical_addresses_at_once() {
    let mut m = Machine::new();
    m.w32(0x500, 0x1111_1111);
    m.w32(0x10_0500, 0x2222_2222);
    m.real_code(AT, |a| {
        a.mov(ax, 0xffff_u32).unwrap();
        a.mov(ds, ax).unwrap();
        a.mov(ebx, dword_ptr(0x510_u32)).unwrap(); // FFFF:0510 = 100500h
        a.mov(al, 0).unwrap();
        a.out(u32::from(A20), al).unwrap();
        a.mov(ecx, dword_ptr(0x510_u32)).unwrap();
        a.mov(al, 2).unwrap();
        a.out(u32::from(A20), al).unwrap();
        a.mov(edx, dword_ptr(0x510_u32)).unwrap();
        exit(a);
    });
    m.run();
    let s = m.state();
    assert_eq!([s.gpr[3], s.gpr[1], s.gpr[2]], [0x2222_2222, 0x1111_1111, 0x2222_2222]);
}

#[test]
fn sti_holds_interrupts_for_one_instruction() {
    let mut m = Machine::new();
    vector(&m, 0x20, 0x600, |a| {
        log(a);
        exit(a);
    });
    m.real_code(AT, |a| {
        a.xor(ax, ax).unwrap();
        a.mov(al, 0x20).unwrap();
        a.out(u32::from(RAISE), al).unwrap();
        a.mov(al, 0).unwrap();
        a.sti().unwrap();
        a.inc(ax).unwrap();
        a.inc(ax).unwrap();
        a.inc(ax).unwrap();
        exit(a);
    });
    m.run();
    assert_eq!(m.io.log, [1]);
}

#[test]
fn a_second_sti_gives_no_second_shadow() {
    let mut m = Machine::new();
    vector(&m, 0x20, 0x600, |a| {
        log(a);
        exit(a);
    });
    m.real_code(AT, |a| {
        a.mov(ax, 0x20_u32).unwrap();
        a.out(u32::from(RAISE), al).unwrap();
        a.mov(ax, 0_u32).unwrap();
        a.sti().unwrap();
        a.sti().unwrap();
        a.inc(ax).unwrap();
        exit(a);
    });
    m.run();
    assert_eq!(m.io.log, [0]);
}

#[test]
fn mov_ss_holds_interrupts_for_one_instruction() {
    let mut m = Machine::new();
    vector(&m, 0x20, 0x600, |a| {
        log(a);
        exit(a);
    });
    m.real_code(AT, |a| {
        a.sti().unwrap();
        a.xor(bx, bx).unwrap();
        a.mov(ax, 0x20_u32).unwrap();
        // The interrupt is raised while the shadow holds: OUT is the instruction under it.
        a.mov(ss, bx).unwrap();
        a.out(u32::from(RAISE), al).unwrap();
        a.inc(ax).unwrap();
        exit(a);
    });
    m.run();
    assert_eq!(m.io.log, [0x20], "taken right after the OUT");
    let mut m = Machine::new();
    vector(&m, 0x20, 0x600, |a| {
        log(a);
        exit(a);
    });
    m.real_code(AT, |a| {
        a.xor(bx, bx).unwrap();
        a.mov(ax, 0x20_u32).unwrap();
        a.out(u32::from(RAISE), al).unwrap();
        a.mov(cx, 0x202_u32).unwrap();
        a.push(cx).unwrap();
        a.mov(ax, 0_u32).unwrap();
        a.popf().unwrap(); // no shadow: taken here
        a.inc(ax).unwrap();
        exit(a);
    });
    m.run();
    assert_eq!(m.io.log, [0]);
}

#[test]
fn sti_hlt_sleeps_until_the_interrupt_and_goes_on_after_hlt() {
    let mut m = Machine::new();
    vector(&m, 0x20, 0x600, |a| {
        a.iret().unwrap();
    });
    m.real_code(AT, |a| {
        a.sti().unwrap();
        a.hlt().unwrap();
        a.mov(ax, 0x77_u32).unwrap();
        log(a);
        exit(a);
    });
    assert_eq!(m.run(), Stop::Halted);
    assert_eq!(m.run(), Stop::Halted, "still asleep");
    m.io.intr.push_back(0x20);
    m.run();
    assert_eq!(m.io.log, [0x77]);
}

#[test]
fn hlt_with_interrupts_off_is_for_good() {
    let mut m = Machine::new();
    m.real_code(AT, |a| {
        a.cli().unwrap();
        a.hlt().unwrap();
    });
    assert_eq!(m.run(), Stop::HaltedForGood);
}

#[test]
fn an_idt_too_short_for_the_double_fault_is_a_shutdown() {
    let mut m = Machine::new();
    m.real_code(AT, |a| {
        a.int(0x40).unwrap();
    });
    m.edit(|s| s.idtr.limit = 0xff);
    m.w32(13 * 4, 0x600); // #GP has a handler ...
    m.load(0x600, &asm(16, 0x600, exit));
    assert_eq!(m.run(), Stop::Kicked, "... and gets it: INT 40h lies outside, vector 13 inside");
    m.io.exited = None;
    m.real(0, AT);
    m.edit(|s| s.idtr.limit = 8);
    assert_eq!(m.run(), Stop::TripleFault);
}

#[test]
fn protected_mode_instructions_are_undefined_in_real_mode() {
    for code in [[0x0f, 0x00, 0xd0], [0x0f, 0x02, 0xc0], [0x63, 0xc0, 0x90], [0x0f, 0x00, 0xe0]] {
        let mut m = Machine::new();
        catch(&m);
        m.real_code(AT, |a| {
            a.db(&code).unwrap();
        });
        m.run();
        assert_eq!(m.io.log, [6, AT], "{code:x?}");
    }
}

#[test]
fn a_far_call_and_return_move_through_the_stack() {
    let mut m = Machine::new();
    m.load(
        0x1_0010,
        &asm(16, 0x10, |a| {
            a.mov(bx, cs).unwrap();
            a.retf_1(2).unwrap();
        }),
    );
    m.real_code(AT, |a| {
        a.push(ax).unwrap();
        call_far(a, 0x1000, 0x10);
        exit(a);
    });
    m.run();
    let s = m.state();
    assert_eq!((s.gpr[3], s.gpr[4]), (0x1000, 0x7000));
    assert_eq!(m.r16(0x6ffc), 0);
    assert_eq!(m.r16(0x6ffa), AT as u16 + 6);
}

#[test]
fn popf_keeps_reserved_bits_and_the_id_flag_can_move() {
    let mut m = Machine::new();
    m.real_code(AT, |a| {
        a.push(-1).unwrap();
        a.popf().unwrap();
        a.pushf().unwrap();
        a.pop(bx).unwrap();
        a.push(0).unwrap();
        a.popf().unwrap();
        a.pushf().unwrap();
        a.pop(cx).unwrap();
        a.mov(eax, 0x3f_7ed7_u32).unwrap(); // all but TF
        a.push(eax).unwrap();
        a.popfd().unwrap();
        a.pushfd().unwrap();
        a.pop(edx).unwrap();
        exit(a);
    });
    // Vector 1: the trap after the instruction that follows POPF with TF set.
    vector(&m, 1, 0x600, |a| {
        a.iret().unwrap();
    });
    m.run();
    let s = m.state();
    assert_eq!(s.gpr[3] & 0xffff, 0x7fd7);
    assert_eq!(s.gpr[1] & 0xffff, 0x0002);
    assert_eq!(s.gpr[2], 0x24_7ed7, "AC and ID move; RF, VM, VIF, VIP do not");
}
