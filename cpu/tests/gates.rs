//! Far transfers and interrupts in protected mode: code segment checks, call gates, interrupt and trap gates,
//! returns to outer privilege, IRET, double and triple faults.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::{CpuState, Segment, Stop};
use iced_x86::code_asm::*;

const IF: u32 = 1 << 9;
const NT: u32 = 1 << 14;
const RF: u32 = 1 << 16;
const AC: u32 = 1 << 18;
const TARGET: u32 = 0x3_0000;
/// Segments of the tests' own.
const S0: u16 = FREE;
const S1: u16 = FREE + 8;

fn machine(extra: &[u64], f: impl FnOnce(&mut CodeAssembler)) -> Machine {
    let mut m = Machine::new();
    m.catch_all();
    m.flat_code(f);
    for (i, d) in extra.iter().enumerate() {
        m.w64(GDT + u32::from(FREE) + 8 * i as u32, *d);
    }
    m
}

/// Ring 3 runs `f` at [`USER_CODE`].
fn user(extra: &[u64], eflags: u32, f: impl FnOnce(&mut CodeAssembler)) -> Machine {
    let m = machine(extra, |a| to_user(a, USER_CODE, eflags));
    m.load(USER_CODE, &asm(32, USER_CODE, f));
    m
}

fn pass(a: &mut CodeAssembler) {
    a.mov(al, 0xaa_u32).unwrap();
    exit(a);
}

/// `None`: the program ended by itself; else vector and error code.
fn outcome(m: &mut Machine) -> Option<(u32, u32)> {
    assert_eq!(m.run(), Stop::Kicked);
    if m.io.exited == Some(0xaa) {
        return None;
    }
    let c = m.caught();
    Some((c.vector, c.code()))
}

fn code_at_target(m: &Machine, f: impl FnOnce(&mut CodeAssembler)) {
    m.load(TARGET, &asm(32, TARGET, f));
}

const FLAT: u32 = u32::MAX;

#[test]
fn far_jump_checks_code_segments() {
    let err = |sel: u16| Some((13, u32::from(sel & !3)));
    type Case = (u64, u16, bool, Option<(u32, u32)>);
    let cases: &[Case] = &[
        // descriptor, selector, in ring 3, fault
        (descriptor(0, FLAT, 0xc09b), S0, false, None),
        (descriptor(0, FLAT, 0xc09b), S0 | 3, false, err(S0)), // RPL > CPL
        (descriptor(0, FLAT, 0xc0fb), S0, false, err(S0)),     // DPL > CPL
        (descriptor(0, FLAT, 0xc0ff), S0, false, err(S0)),     // conforming, DPL > CPL
        (descriptor(0, FLAT, 0xc09f), S0 | 3, false, None),    // conforming: RPL does not matter
        (descriptor(0, FLAT, 0xc09f), S0, true, None),         // conforming: stays in ring 3
        (descriptor(0, FLAT, 0xc09b), S0, true, err(S0)),      // DPL < CPL
        (descriptor(0, FLAT, 0xc0fb), S0, true, None),         // RPL 0 in ring 3
        (descriptor(0, FLAT, 0xc093), S0, false, err(S0)),     // data
        (descriptor(0, FLAT, 0xc01b), S0, false, Some((11, u32::from(S0)))), // absent
        (descriptor(0, TARGET - 1, 0x409b), S0, false, Some((13, 0))), // EIP beyond the limit
        (0, 0, false, Some((13, 0))),                          // null
        (0, 3, true, Some((13, 0))),
        (0, 0x200, false, Some((13, 0x200))), // beyond the table
    ];
    for (i, &(d, sel, ring3, want)) in cases.iter().enumerate() {
        for call in [false, true] {
            let go =
                |a: &mut CodeAssembler| if call { call_far(a, sel, TARGET) } else { jmp_far(a, sel, TARGET) };
            let mut m = if ring3 { user(&[d], 2, go) } else { machine(&[d], go) };
            code_at_target(&m, |a| {
                a.mov(ecx, cs).unwrap();
                pass(a);
            });
            assert_eq!(outcome(&mut m), want, "case {i} call {call}");
            let s = m.state();
            if want.is_none() {
                let cpl = if ring3 { 3 } else { 0 };
                assert_eq!(s.gpr[1] as u16, S0 | cpl, "CS.RPL is CPL, case {i}");
                if call {
                    let back = if ring3 { USER_CODE } else { CODE } + 7;
                    assert_eq!(m.r32(s.gpr[4]), back);
                    assert_eq!(m.r16(s.gpr[4] + 4), if ring3 { UCODE } else { KCODE });
                }
            } else {
                assert_eq!(m.caught().eip(), if ring3 { USER_CODE } else { CODE }, "case {i}");
            }
        }
    }
}

#[test]
fn a_call_gate_to_inner_privilege_switches_stacks_and_copies_parameters() {
    let gate = gate(KCODE | 3, TARGET, 0xec) | 3 << 32; // DPL 3, three doublewords
    let mut m = user(&[gate], 2, |a| {
        for v in [0x33, 0x22, 0x11] {
            a.push(v).unwrap();
        }
        call_far(a, S0 | 3, 0xdead_beef);
        a.mov(ecx, esp).unwrap();
        a.mov(edx, cs).unwrap();
        pass(a);
    });
    code_at_target(&m, |a| {
        a.mov(eax, esp).unwrap();
        log(a);
        a.mov(eax, cs).unwrap();
        log(a);
        a.retf_1(12).unwrap();
    });
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log, [STACK0 - 28, u32::from(KCODE)]);
    let frame: [u32; 7] = std::array::from_fn(|i| m.r32(STACK0 - 28 + 4 * i as u32));
    // Three pushes of an 8-bit immediate, then the call.
    let back = USER_CODE + 6 + 7;
    assert_eq!(frame, [back, u32::from(UCODE), 0x11, 0x22, 0x33, USER_STACK - 12, u32::from(UDATA)]);
    let s = m.state();
    assert_eq!(s.gpr[1], USER_STACK, "RET n released the parameters on the outer stack");
    assert_eq!(s.gpr[2] as u16, UCODE);
}

#[test]
fn a_286_call_gate_pushes_words_and_takes_16_bits_of_offset() {
    let gate16 = gate(KCODE, 0x7_4000, 0xe4) | 2 << 32;
    let mut m = user(&[gate16], 2, |a| {
        a.push(0x1234_5678_u32).unwrap();
        call_far(a, S0 | 3, 0);
    });
    m.load(
        0x4000,
        &asm(32, 0x4000, |a| {
            a.mov(eax, esp).unwrap();
            log(a);
            pass(a);
        }),
    );
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log, [STACK0 - 12]);
    let frame: [u16; 6] = std::array::from_fn(|i| m.r16(STACK0 - 12 + 2 * i as u32));
    let back = (USER_CODE + 5 + 7) as u16;
    assert_eq!(frame, [back, UCODE, 0x5678, 0x1234, (USER_STACK - 4) as u16, UDATA]);
}

#[test]
fn call_gates_check_privilege_and_presence() {
    let one = |g: u64, sel: u16, jump: bool, ring3: bool| {
        let f = |a: &mut CodeAssembler| if jump { jmp_far(a, sel, 0) } else { call_far(a, sel, 0) };
        let extra = [g, descriptor(0, FLAT, 0xc01b), descriptor(0, FLAT, 0xc09f)];
        let mut m = if ring3 { user(&extra, 2, f) } else { machine(&extra, f) };
        code_at_target(&m, pass);
        outcome(&mut m)
    };
    let g = |sel: u16, kind: u8| gate(sel, TARGET, kind);
    assert_eq!(one(g(KCODE, 0x8c), S0, false, true), Some((13, u32::from(S0))), "gate DPL 0 from ring 3");
    assert_eq!(one(g(KCODE, 0x8c), S0 | 3, false, false), Some((13, u32::from(S0))), "RPL 3, DPL 0");
    assert_eq!(one(g(KCODE, 0x8c), S0, false, false), None);
    assert_eq!(one(g(KCODE, 0x8c), S0, true, false), None, "JMP at the same level");
    assert_eq!(one(g(KCODE, 0xec), S0 | 3, true, true), Some((13, u32::from(KCODE))), "JMP inward");
    assert_eq!(one(g(S0 + 16, 0xec), S0 | 3, true, true), None, "JMP to conforming code");
    assert_eq!(one(g(KCODE, 0x6c), S0 | 3, false, true), Some((11, u32::from(S0))), "gate absent");
    assert_eq!(one(g(S1, 0xec), S0 | 3, false, true), Some((11, u32::from(S1))), "code absent");
    assert_eq!(one(g(UCODE, 0x8c), S0, false, false), Some((13, u32::from(UCODE & !3))), "outward");
    assert_eq!(one(g(KDATA, 0xec), S0 | 3, false, true), Some((13, u32::from(KDATA))), "data");
    assert_eq!(one(g(0, 0xec), S0 | 3, false, true), Some((13, 0)), "null");
}

#[test]
fn the_inner_stack_is_checked() {
    let one = |ss0: u16, tss_limit: u32, extra: u64| {
        let mut m = user(&[gate(KCODE, TARGET, 0xec), extra], 2, |a| call_far(a, S0 | 3, 0));
        code_at_target(&m, pass);
        m.w16(TSS + 8, ss0);
        m.edit(|s| s.tr.limit = tss_limit);
        // The handler needs a stack too: a task gate would do; here the fault's delivery fails the same way.
        m.run()
    };
    assert_eq!(one(KDATA, 0x2067, 0), Stop::Kicked);
    assert_eq!(one(0, 0x2067, 0), Stop::TripleFault);
    assert_eq!(one(UDATA, 0x2067, 0), Stop::TripleFault);
    assert_eq!(one(KDATA, 10, 0), Stop::TripleFault);
}

#[test]
fn ring_3_interrupts_switch_to_the_stack_of_the_tss() {
    let mut m = user(&[], IF | AC | 2, |a| {
        a.stc().unwrap();
        a.int(0x40).unwrap();
        pass(a);
    });
    m.gate(0x40, TARGET, 3);
    code_at_target(&m, |a| {
        a.mov(ebx, esp).unwrap();
        a.pushfd().unwrap();
        a.pop(eax).unwrap();
        log(a);
        a.mov(eax, ds).unwrap();
        log(a);
        a.iretd().unwrap();
    });
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log[0], AC | 3, "IF cleared by an interrupt gate; AC stays");
    assert_eq!(m.io.log[1], u32::from(UDATA), "data segments are not touched");
    let f: [u32; 5] = std::array::from_fn(|i| m.r32(STACK0 - 20 + 4 * i as u32));
    assert_eq!(f, [USER_CODE + 3, u32::from(UCODE), IF | AC | 3, USER_STACK, u32::from(UDATA)]);
    assert_eq!(m.gpr(3), STACK0 - 20);
}

#[test]
fn a_trap_gate_leaves_if_and_clears_nt() {
    let mut m = machine(&[], |a| {
        a.push(IF | NT).unwrap();
        a.popfd().unwrap();
        a.int(0x40).unwrap();
    });
    m.w64(IDT + 8 * 0x40, gate(KCODE, TARGET, 0x8f));
    code_at_target(&m, |a| {
        a.pushfd().unwrap();
        a.pop(eax).unwrap();
        log(a);
        pass(a);
    });
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log, [IF | 2]);
    assert_eq!(m.r32(STACK - 4), IF | NT | 2);
}

#[test]
fn a_286_interrupt_gate_pushes_words() {
    let mut m = machine(&[], |a| {
        a.int(0x40).unwrap();
        a.mov(ecx, esp).unwrap();
        pass(a);
    });
    m.w64(IDT + 8 * 0x40, gate(KCODE, 0x5_4000, 0x86));
    m.load(
        0x4000,
        &asm(32, 0x4000, |a| {
            a.mov(eax, esp).unwrap();
            log(a);
            a.mov(word_ptr(esp), 0x4010).unwrap();
            a.iret().unwrap();
        }),
    );
    m.load(0x4010, &asm(32, 0x4010, pass));
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log, [STACK - 6]);
    assert_eq!(m.r16(STACK - 4), KCODE);
}

#[test]
fn int_n_needs_the_gates_dpl_and_exceptions_do_not() {
    let mut m = user(&[], 2, |a| a.int(0x21).unwrap());
    m.gate(0x21, TARGET, 0);
    assert_eq!(outcome(&mut m), Some((13, 0x21 * 8 + 2)));
    assert_eq!(m.caught().eip(), USER_CODE);
    // INT3 too; its DPL 0 gate refuses ring 3.
    let mut m = user(&[], 2, |a| a.int3().unwrap());
    assert_eq!(outcome(&mut m), Some((13, 3 * 8 + 2)));
    // INT1 does not check.
    let mut m = user(&[], 2, |a| a.db(&[0xf1]).unwrap());
    m.run();
    let c = m.caught();
    assert_eq!((c.vector, c.eip()), (1, USER_CODE + 1));
    // #UD from ring 3 through a DPL 0 gate.
    let mut m = user(&[], 2, |a| a.ud2().unwrap());
    m.run();
    let c = m.caught();
    assert_eq!((c.vector, c.eip(), c.eflags() & RF), (6, USER_CODE, RF), "a fault's image has RF");
}

#[test]
fn gates_that_are_no_gates_fault_with_the_idt_bit() {
    let one = |g: u64| {
        let mut m = machine(&[descriptor(0, FLAT, 0xc01b)], |a| a.int(0x40).unwrap());
        m.w64(IDT + 8 * 0x40, g);
        outcome(&mut m)
    };
    let idt = 0x40 * 8 + 2;
    assert_eq!(one(0), Some((13, idt)));
    assert_eq!(one(gate(KCODE, TARGET, 0x8c)), Some((13, idt)), "a call gate in the IDT");
    assert_eq!(one(gate(KCODE, TARGET, 0x0e)), Some((11, idt)), "absent");
    assert_eq!(one(gate(0, TARGET, 0x8e)), Some((13, 0)), "null selector");
    assert_eq!(one(gate(UCODE, TARGET, 0x8e)), Some((13, u32::from(UCODE & !3))), "outward");
    assert_eq!(one(gate(KDATA, TARGET, 0x8e)), Some((13, u32::from(KDATA))));
    assert_eq!(one(gate(S0, TARGET, 0x8e)), Some((11, u32::from(S0))));
    let mut m = machine(&[], |a| a.int(0x40).unwrap());
    m.edit(|s| s.idtr.limit = 0x40 * 8 + 6);
    assert_eq!(outcome(&mut m), Some((13, idt)), "beyond the IDT");
}

#[test]
fn external_interrupts_set_ext_in_the_error_code_of_what_goes_wrong() {
    let mut m = machine(&[], |a| {
        a.mov(al, 0x50).unwrap();
        a.out(u32::from(RAISE), al).unwrap();
        a.sti().unwrap();
        a.nop().unwrap();
        a.nop().unwrap();
    });
    m.w64(IDT + 8 * 0x50, gate(KCODE, TARGET, 0x0e));
    assert_eq!(outcome(&mut m), Some((11, 0x50 * 8 + 3)));
    // An exception whose gate is absent: #NP with EXT; contributory after contributory would be #DF, #UD is not.
    let mut m = machine(&[], |a| a.ud2().unwrap());
    m.w64(IDT + 8 * 6, gate(KCODE, TARGET, 0x0e));
    assert_eq!(outcome(&mut m), Some((11, 6 * 8 + 3)));
}

#[test]
fn contributory_faults_make_a_double_fault_and_a_third_shuts_down() {
    // #GP whose gate is absent: #NP while delivering #GP.
    let gp = |a: &mut CodeAssembler| a.mov(eax, dword_ptr(0_u32).es()).unwrap();
    let prepare = |f: &dyn Fn(&mut CodeAssembler)| {
        machine(&[], |a| {
            a.xor(eax, eax).unwrap();
            a.mov(es, eax).unwrap();
            f(a);
        })
    };
    let mut m = prepare(&gp);
    m.w64(IDT + 8 * 13, 0);
    assert_eq!(outcome(&mut m), Some((8, 0)));
    assert_eq!(m.caught().eip(), CODE + 2 + 2, "the image is the first fault's");
    let mut m = prepare(&gp);
    m.w64(IDT + 8 * 13, 0);
    m.w64(IDT + 8 * 8, 0);
    assert_eq!(m.run(), Stop::TripleFault);
    // #DE is contributory, #UD and #BR are benign.
    let mut m = machine(&[], |a| {
        a.xor(ecx, ecx).unwrap();
        a.div(ecx).unwrap();
    });
    m.w64(IDT, 0);
    assert_eq!(outcome(&mut m), Some((8, 0)));
    let mut m = machine(&[], |a| a.ud2().unwrap());
    m.w64(IDT + 8 * 6, 0);
    assert_eq!(outcome(&mut m), Some((13, 6 * 8 + 3)));
}

#[test]
fn page_faults_while_delivering_make_double_faults() {
    let (pd, pt) = (0x10_0000, 0x10_1000);
    let paged = |m: &mut Machine, absent: &[u32]| {
        m.w32(pd, pt | 7);
        for i in 0..1024 {
            m.w32(pt + 4 * i, i << 12 | if absent.contains(&i) { 0 } else { 7 });
        }
        m.edit(|s| {
            s.cr3 = pd;
            s.cr0 |= 1 << 31;
        });
    };
    // The IDT is absent: #GP -> #PF (served) -> #PF while delivering #PF -> #DF -> #PF: shutdown.
    let mut m = machine(&[], |a| a.int(0x40).unwrap());
    m.edit(|s| s.idtr.base = 0x20_0000);
    paged(&mut m, &[0x200]);
    assert_eq!(m.run(), Stop::TripleFault);
    // Page fault in a page fault, with a good double-fault task: the stack is absent.
    let mut m = machine(&[], |a| {
        a.mov(esp, 0x30_0000_u32).unwrap();
        a.push(eax).unwrap();
    });
    m.w64(IDT + 8 * 8, gate(TSS2_SEL, 0, 0x85));
    m.w32(TSS2 + 0x1c, pd);
    m.w32(TSS2 + 0x20, TARGET);
    m.w32(TSS2 + 0x24, 2);
    m.w32(TSS2 + 0x38, 0x7_8000);
    for (off, sel) in [(0x48, KDATA), (0x4c, KCODE), (0x50, KDATA), (0x54, KDATA)] {
        m.w16(TSS2 + off, sel);
    }
    code_at_target(&m, |a| {
        a.pop(eax).unwrap(); // the error code on the new task's stack
        log(a);
        a.mov(eax, cr2).unwrap();
        log(a);
        pass(a);
    });
    paged(&mut m, &[0x2ff]);
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log, [0, 0x2f_fffc]);
    assert_eq!(m.r32(TSS + 0x20), CODE + 5, "the old task's EIP: the push");
    assert_eq!(m.r16(TSS2), TSS_SEL, "back link");
    // Contributory, then page fault: the page fault is served.
    let mut m = machine(&[], |a| {
        a.xor(ecx, ecx).unwrap();
        a.div(ecx).unwrap();
    });
    m.w64(IDT, gate(TSS2_SEL + 0x100, 0, 0x8e));
    m.edit(|s| s.gdtr.limit = 0xffff);
    m.edit(|s| s.gdtr.base = GDT);
    m.w64(IDT, gate(0x1f8, TARGET, 0x8e)); // a descriptor in an absent page of a longer table
    m.edit(|s| {
        s.gdtr.base = 0x20_0f00;
    });
    for (i, d) in gdt().into_iter().enumerate() {
        m.w64(0x20_0f00 + 8 * i as u32, d);
    }
    paged(&mut m, &[0x201]);
    assert_eq!(outcome(&mut m), Some((14, 0)));
    assert_eq!(m.caught().cr2, 0x20_0f00 + 0x1f8);
}

#[test]
fn returning_outward_drops_segments_of_inner_privilege() {
    let mut m = machine(&[descriptor(0, FLAT, 0xc0ff), descriptor(0, FLAT, 0xc09f)], |a| {
        a.mov(eax, u32::from(KDATA)).unwrap();
        a.mov(ds, eax).unwrap();
        a.mov(eax, u32::from(UDATA)).unwrap();
        a.mov(es, eax).unwrap();
        a.mov(eax, u32::from(S1)).unwrap(); // conforming code of DPL 0 stays
        a.mov(fs, eax).unwrap();
        a.mov(eax, u32::from(KCODE)).unwrap();
        a.mov(gs, eax).unwrap();
        a.push(u32::from(UDATA)).unwrap();
        a.push(USER_STACK).unwrap();
        a.push(u32::from(UCODE)).unwrap();
        a.push(USER_CODE).unwrap();
        a.retf().unwrap();
    });
    m.load(USER_CODE, &asm(32, USER_CODE, pass));
    assert_eq!(outcome(&mut m), None);
    let s = m.state();
    let sel = |i: usize| s.seg[i].selector;
    assert_eq!(
        [sel(CpuState::DS), sel(CpuState::ES), sel(CpuState::FS), sel(CpuState::GS)],
        [0, UDATA, S1, 0]
    );
    assert_eq!(s.gpr[4], USER_STACK);
    assert_ne!(s.seg[CpuState::DS].attr & Segment::UNUSABLE, 0);
}

#[test]
fn returns_check_the_segments_on_the_stack() {
    let one = |extra: u64, code: u16, stack: u16, iret: bool| {
        let mut m = machine(&[extra], |a| {
            a.push(u32::from(stack)).unwrap();
            a.push(USER_STACK).unwrap();
            if iret {
                a.push(2).unwrap();
            }
            a.push(u32::from(code)).unwrap();
            a.push(TARGET).unwrap();
            if iret { a.iretd() } else { a.retf() }.unwrap();
        });
        code_at_target(&m, pass);
        let r = outcome(&mut m);
        if r.is_some() {
            // ESP as before the return: nothing was popped.
            let popped = if iret { 20 } else { 16 };
            assert_eq!(m.caught().esp, STACK - popped - 16);
        }
        r
    };
    for iret in [false, true] {
        assert_eq!(one(0, UCODE, UDATA, iret), None);
        assert_eq!(one(0, 0, UDATA, iret), Some((13, 0)));
        assert_eq!(one(0, 0x203, UDATA, iret), Some((13, 0x200)));
        assert_eq!(one(0, KDATA, UDATA, iret), Some((13, u32::from(KDATA))), "not code");
        assert_eq!(one(0, KCODE | 3, UDATA, iret), Some((13, u32::from(KCODE))), "RPL 3, DPL 0");
        assert_eq!(one(0, UCODE & !3, UDATA, iret), Some((13, u32::from(UCODE & !3))), "RPL 0, DPL 3");
        assert_eq!(one(0, UCODE, 0, iret), Some((13, 0)), "null SS");
        assert_eq!(one(0, UCODE, KDATA | 3, iret), Some((13, u32::from(KDATA))), "DPL of SS");
        assert_eq!(one(0, UCODE, UDATA & !3, iret), Some((13, u32::from(UDATA & !3))), "RPL of SS");
        let absent = descriptor(0, FLAT, 0xc07b);
        assert_eq!(one(absent, S0 | 3, UDATA, iret), Some((11, u32::from(S0))));
        let absent = descriptor(0, FLAT, 0xc073);
        assert_eq!(one(absent, UCODE, S0 | 3, iret), Some((12, u32::from(S0))));
    }
}

#[test]
fn a_return_inward_is_refused() {
    let mut m = user(&[], 2, |a| {
        a.push(u32::from(KCODE)).unwrap();
        a.push(TARGET).unwrap();
        a.retf().unwrap();
    });
    assert_eq!(outcome(&mut m), Some((13, u32::from(KCODE))));
}

#[test]
fn iret_to_a_16_bit_stack_replaces_sp_only() {
    let mut m = machine(&[descriptor(0, 0xffff, 0xf3)], |a| {
        a.mov(esp, 0x9_8000_u32).unwrap();
        a.push(u32::from(S0) | 3).unwrap();
        a.push(0x1111_4000_u32).unwrap();
        a.push(2).unwrap();
        a.push(u32::from(UCODE)).unwrap();
        a.push(USER_CODE).unwrap();
        a.iretd().unwrap();
    });
    m.load(USER_CODE, &asm(32, USER_CODE, pass));
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.gpr(4), 0x9_4000, "bits 31:16 are those of the inner stack");
}

#[test]
fn iret_changes_the_flags_that_privilege_allows() {
    // Ring 3, IOPL 0: IF and IOPL stay, VM is ignored.
    let mut m = user(&[], IF | 2, |a| {
        a.push(u32::from(UDATA)).unwrap();
        a.push(USER_STACK).unwrap();
        a.push(0x0002_3002_u32).unwrap();
        a.push(u32::from(UCODE)).unwrap();
        a.push(USER_CODE + 0x100).unwrap();
        a.iretd().unwrap();
    });
    m.load(USER_CODE + 0x100, &asm(32, USER_CODE + 0x100, pass));
    assert_eq!(outcome(&mut m), None);
    let s = m.state();
    assert_eq!(s.eflags & 0x2_3200, IF);
    assert_eq!(s.seg[CpuState::CS].selector, UCODE, "same privilege: three doublewords popped");
    assert_eq!(s.gpr[4], USER_STACK - 8);
    // Ring 0 sets IOPL.
    let mut m = user(&[], 0x3202, pass);
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.state().eflags, 0x3202);
}

#[test]
fn popf_in_ring_3_moves_if_only_with_iopl_3() {
    for (iopl, want) in [(0_u32, IF), (3, 0)] {
        let mut m = user(&[], IF | 2 | iopl << 12, |a| {
            a.push(2).unwrap(); // IF and IOPL clear
            a.popfd().unwrap();
            pass(a);
        });
        assert_eq!(outcome(&mut m), None);
        assert_eq!(m.state().eflags & 0x3200, want | iopl << 12);
    }
}

#[test]
fn cli_and_sti_in_ring_3_need_iopl_3() {
    for code in [0xfa_u8, 0xfb] {
        let mut m = user(&[], 0x2002, |a| a.db(&[code]).unwrap());
        assert_eq!(outcome(&mut m), Some((13, 0)));
        let mut m = user(&[], 0x3002, |a| {
            a.db(&[code]).unwrap();
            pass(a);
        });
        assert_eq!(outcome(&mut m), None);
    }
}

#[test]
fn privileged_instructions_fault_in_ring_3() {
    for code in [
        &[0xf4][..],                        // hlt
        &[0x0f, 0x06],                      // clts
        &[0x0f, 0x08],                      // invd
        &[0x0f, 0x09],                      // wbinvd
        &[0x0f, 0x20, 0xc0],                // mov eax, cr0
        &[0x0f, 0x22, 0xd8],                // mov cr3, eax
        &[0x0f, 0x21, 0xc0],                // mov eax, dr0
        &[0x0f, 0x30],                      // wrmsr
        &[0x0f, 0x32],                      // rdmsr
        &[0x0f, 0x01, 0x15, 0, 0x50, 0, 0], // lgdt
        &[0x0f, 0x01, 0x1d, 0, 0x50, 0, 0], // lidt
        &[0x0f, 0x01, 0xf0],                // lmsw ax
        &[0x0f, 0x01, 0x3d, 0, 0x50, 0, 0], // invlpg
        &[0x0f, 0x00, 0xd0],                // lldt ax
        &[0x0f, 0x00, 0xd8],                // ltr ax
        &[0x0f, 0x35],                      // sysexit
        &[0x0f, 0x33],                      // rdpmc, CR4.PCE clear
    ] {
        let mut m = user(&[], 0x3002, |a| a.db(code).unwrap());
        assert_eq!(outcome(&mut m), Some((13, 0)), "{code:x?}");
        assert_eq!(m.caught().eip(), USER_CODE);
    }
}
