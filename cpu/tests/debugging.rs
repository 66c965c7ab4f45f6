//! Debug registers, single-step, RF, general detect.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use iced_x86::code_asm::*;

const TF: u32 = 1 << 8;
const RF: u32 = 1 << 16;
const BS: u32 = 1 << 14;
const BD: u32 = 1 << 13;
const GD: u32 = 1 << 13;
const DATA: u32 = 0x3_0000;

/// Every #DB is logged as EIP and the changing bits of DR6, which is then cleared, and returned from.
fn machine(f: impl FnOnce(&mut CodeAssembler)) -> Machine {
    let mut m = Machine::new();
    m.catch_all();
    m.gate(1, 0x6000, 3);
    m.load(
        0x6000,
        &asm(32, 0x6000, |a| {
            a.push(eax).unwrap();
            a.mov(eax, dword_ptr(esp + 4)).unwrap();
            log(a);
            a.mov(eax, dr6).unwrap();
            a.and(eax, 0xf00f_u32).unwrap();
            log(a);
            a.mov(eax, 0xffff_0ff0_u32).unwrap();
            a.mov(dr6, eax).unwrap();
            a.pop(eax).unwrap();
            a.iretd().unwrap();
        }),
    );
    m.flat_code(f);
    m
}

fn pass(a: &mut CodeAssembler) {
    a.mov(al, 0xaa_u32).unwrap();
    exit(a);
}

/// Arms breakpoint 0 with R/W and LEN fields.
fn arm(m: &mut Machine, at: u32, rw: u32, len: u32) {
    m.edit(|s| {
        s.dr[0] = at;
        s.dr[5] = 0x400 | 3 | rw << 16 | len << 18;
    });
}

/// Pairs of EIP and DR6.
fn traps(m: &mut Machine) -> Vec<(u32, u32)> {
    m.run();
    assert_eq!(m.io.exited.map(|v| v & 0xff), Some(0xaa), "{:x?}", m.caught());
    m.io.log.chunks(2).map(|c| (c[0], c[1])).collect()
}

#[test]
fn tf_traps_after_each_instruction_but_not_after_the_popf_that_sets_it() {
    let mut m = machine(|a| {
        a.push(TF | 2).unwrap();
        a.popfd().unwrap(); // 6
        a.nop().unwrap(); // 7
        a.inc(ecx).unwrap(); // 8
        a.push(2).unwrap(); // 10
        a.popfd().unwrap(); // 11: traps still, TF was set when it began
        a.nop().unwrap();
        pass(a);
    });
    let at = |n: u32| (CODE + n, BS);
    assert_eq!(traps(&mut m), [at(7), at(8), at(10), at(11)]);
}

#[test]
fn int_n_does_not_trap_and_its_handler_runs_without_tf() {
    let mut m = machine(|a| {
        a.push(TF | 2).unwrap();
        a.popfd().unwrap(); // 6
        a.int(0x40).unwrap(); // 8
        a.push(2).unwrap(); // 10
        a.popfd().unwrap(); // 11
        pass(a);
    });
    m.gate(0x40, 0x7000, 0);
    m.load(
        0x7000,
        &asm(32, 0x7000, |a| {
            a.nop().unwrap();
            a.iretd().unwrap();
        }),
    );
    // IRET restores TF; the trap comes after the instruction that follows.
    assert_eq!(traps(&mut m), [(CODE + 10, BS), (CODE + 11, BS)]);
}

#[test]
fn repeated_string_instructions_trap_after_each_element() {
    let mut m = machine(|a| {
        a.mov(edi, DATA).unwrap(); // 5
        a.mov(ecx, 3).unwrap(); // 10
        a.push(TF | 2).unwrap(); // 15
        a.popfd().unwrap(); // 16
        a.rep().stosb().unwrap(); // 18
        a.push(2).unwrap(); // 20
        a.popfd().unwrap(); // 21
        pass(a);
    });
    let at = |n: u32| (CODE + n, BS);
    assert_eq!(traps(&mut m), [at(16), at(16), at(18), at(20), at(21)]);
}

#[test]
fn mov_ss_delays_the_trap_past_the_next_instruction() {
    let mut m = machine(|a| {
        a.mov(eax, ss).unwrap(); // 2
        a.push(TF | 2).unwrap(); // 7
        a.popfd().unwrap(); // 8
        a.db(&[0x8e, 0xd0]).unwrap(); // 10: mov ss, ax
        a.nop().unwrap(); // 11
        a.push(2).unwrap(); // 13
        a.popfd().unwrap(); // 14
        pass(a);
    });
    let at = |n: u32| (CODE + n, BS);
    assert_eq!(traps(&mut m), [at(11), at(13), at(14)]);
}

#[test]
fn a_code_breakpoint_is_a_fault_before_the_instruction_and_rf_passes_it() {
    let mut m = machine(|a| {
        a.nop().unwrap();
        a.inc(ecx).unwrap(); // CODE + 1
        a.nop().unwrap();
        pass(a);
    });
    arm(&mut m, CODE + 1, 0, 0);
    // The image has RF, so the return executes the instruction.
    assert_eq!(traps(&mut m), [(CODE + 1, 1)]);
    assert_eq!(m.gpr(1), 1);
    assert_eq!(m.r32(STACK - 4) & RF, RF);
    assert_eq!(m.state().eflags & RF, 0);
}

#[test]
fn a_code_breakpoint_hits_again_on_the_next_pass() {
    let mut m = machine(|a| {
        let mut top = a.create_label();
        a.mov(ecx, 3).unwrap(); // 5
        a.set_label(&mut top).unwrap();
        a.nop().unwrap();
        a.dec(ecx).unwrap();
        a.jnz(top).unwrap();
        pass(a);
    });
    arm(&mut m, CODE + 5, 0, 0);
    assert_eq!(traps(&mut m), [(CODE + 5, 1); 3]);
}

#[test]
fn a_write_breakpoint_traps_after_writes_that_touch_it() {
    let mut m = machine(|a| {
        a.mov(al, byte_ptr(DATA + 5)).unwrap(); // 5: a read
        a.mov(byte_ptr(DATA + 3), al).unwrap(); // 10: below
        a.mov(dword_ptr(DATA + 2), eax).unwrap(); // 15: overlaps
        a.mov(byte_ptr(DATA + 7), al).unwrap(); // 20: the last byte
        a.mov(byte_ptr(DATA + 8), al).unwrap(); // 25: above
        a.add(dword_ptr(DATA + 4), 1).unwrap(); // 32
        pass(a);
    });
    arm(&mut m, DATA + 4, 1, 3);
    assert_eq!(traps(&mut m), [(CODE + 15, 1), (CODE + 20, 1), (CODE + 32, 1)]);
}

#[test]
fn an_access_breakpoint_traps_on_reads_too_and_on_pushes() {
    let mut m = machine(|a| {
        a.mov(al, byte_ptr(DATA)).unwrap(); // 5
        a.mov(esp, DATA + 4).unwrap(); // 10
        a.push(eax).unwrap(); // 11
        a.mov(esp, STACK).unwrap();
        pass(a);
    });
    arm(&mut m, DATA, 3, 0);
    let t = traps(&mut m);
    assert_eq!(t[..2], [(CODE + 5, 1), (CODE + 11, 1)]);
}

#[test]
fn a_string_instruction_stops_at_the_element_that_hits() {
    let mut m = machine(|a| {
        a.mov(edi, DATA).unwrap(); // 5
        a.mov(ecx, 16).unwrap(); // 10
        a.rep().stosb().unwrap(); // 12
        pass(a);
    });
    m.load(
        0x6000,
        &asm(32, 0x6000, |a| {
            a.mov(eax, ecx).unwrap();
            log(a);
            a.mov(eax, dword_ptr(esp)).unwrap();
            log(a);
            a.iretd().unwrap();
        }),
    );
    arm(&mut m, DATA + 6, 1, 0);
    assert_eq!(traps(&mut m), [(9, CODE + 10)], "seven elements are done, EIP is at the REP");
}

#[test]
fn io_breakpoints_need_cr4_de() {
    for de in [false, true] {
        let mut m = machine(|a| {
            a.out(0x80_u32, al).unwrap(); // 2
            a.in_(eax, 0x7f_u32).unwrap(); // 4: 7Fh-82h overlaps
            a.out(0x81_u32, al).unwrap(); // 6
            pass(a);
        });
        m.edit(|s| {
            s.dr[0] = 0x80;
            s.dr[5] = 0x403 | 2 << 16;
            s.cr4 = if de { 8 } else { 0 };
        });
        let want: &[(u32, u32)] = if de { &[(CODE + 2, 1), (CODE + 4, 1)] } else { &[] };
        assert_eq!(traps(&mut m), want);
    }
}

#[test]
fn two_causes_are_reported_together() {
    let mut m = machine(|a| {
        a.push(TF | 2).unwrap(); // 5
        a.popfd().unwrap(); // 6
        a.mov(byte_ptr(DATA), al).unwrap(); // 11
        a.push(2).unwrap(); // 13
        a.popfd().unwrap(); // 14
        pass(a);
    });
    arm(&mut m, DATA, 1, 0);
    assert_eq!(traps(&mut m)[0], (CODE + 11, BS | 1));
}

#[test]
fn general_detect_faults_before_the_move_and_is_cleared() {
    let mut m = machine(|a| {
        a.mov(eax, dr0).unwrap();
        a.mov(eax, dr7).unwrap();
        a.mov(dword_ptr(DATA), eax).unwrap();
        pass(a);
    });
    m.edit(|s| s.dr[5] = 0x400 | GD);
    assert_eq!(traps(&mut m), [(CODE, BD)]);
    assert_eq!(m.r32(DATA) & GD, 0);
}

#[test]
fn dr4_and_dr5_are_aliases_until_de_is_set() {
    let mut m = machine(|a| {
        a.mov(eax, 0x403).unwrap();
        a.mov(dr5, eax).unwrap();
        a.mov(ebx, dr7).unwrap();
        a.mov(ecx, dr4).unwrap();
        a.mov(eax, 8).unwrap();
        a.mov(cr4, eax).unwrap();
        a.mov(eax, dr4).unwrap();
    });
    m.run();
    let s = m.state();
    assert_eq!((s.gpr[3], s.gpr[1]), (0x403, 0xffff_0ff0));
    assert_eq!(m.caught().vector, 6);
}

#[test]
fn reserved_bits_of_dr6_and_dr7_are_fixed() {
    let mut m = machine(|a| {
        a.mov(eax, 0).unwrap();
        a.mov(dr6, eax).unwrap();
        a.mov(ebx, dr6).unwrap();
        a.mov(eax, 0xffff_dcff_u32).unwrap(); // all but GD
        a.mov(dr7, eax).unwrap();
        a.mov(ecx, dr7).unwrap();
        a.xor(eax, eax).unwrap();
        a.mov(dr7, eax).unwrap();
        a.mov(edx, dr7).unwrap();
        pass(a);
    });
    m.run();
    let s = m.state();
    assert_eq!((s.gpr[3], s.gpr[1], s.gpr[2]), (0xffff_0ff0, 0xffff_04ff, 0x400));
}

#[test]
fn icebp_traps_with_nothing_in_dr6() {
    let mut m = machine(|a| {
        a.db(&[0xf1]).unwrap();
        pass(a);
    });
    assert_eq!(traps(&mut m), [(CODE + 1, 0)]);
}
