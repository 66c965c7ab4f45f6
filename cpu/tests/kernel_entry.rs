//! What a kernel does on its way in and out: selectors, IF, calls by SYSENTER and INT. Each program goes round a few times,
//! so that selectors have been seen before, and leaves the same on each way to run.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::CpuidTable;
use iced_x86::code_asm::*;

type Code<'a> = &'a dyn Fn(&mut CodeAssembler);

const ROUNDS: u32 = 6;
/// What a segment register names with this base.
const HERE: u32 = 0x3_0000;
const THERE: u32 = 0x3_1000;
const IF: u32 = 0x200;

/// A descriptor table of another LGDT, and its operand.
const GDT2: u32 = 0x4000;
const GDTR2: u32 = 0x4800;

fn at(selector: u16) -> u32 {
    GDT + u32::from(selector & !7)
}

/// A supervisor's program on each way to run; all must leave the same. Returns its log.
fn everywhere(code: Code<'_>, set_up: &dyn Fn(&mut Machine)) -> Vec<u32> {
    let left = on_each_processor(|_, engine| {
        let mut m = Machine::with(engine, &CpuidTable::pentium4(false));
        m.catch_all();
        m.flat_code(|a| code(a));
        m.w32(HERE, 1);
        m.w32(THERE, 2);
        m.w64(at(FREE), descriptor(HERE, 0xfff, 0x93));
        set_up(&mut m);
        m.run();
        (m.io.log.clone(), m.io.exited, m.io.retired, m.caught(), m.r64(at(FREE)))
    });
    left.0
}

fn load(a: &mut CodeAssembler, seg: AsmRegisterSegment, selector: u16) {
    a.mov(eax, u32::from(selector)).unwrap();
    a.mov(seg, eax).unwrap();
}

#[test]
fn a_descriptor_that_changed_is_seen() {
    let log = everywhere(
        &|a| {
            rounds(a, ROUNDS, |a| {
                load(a, fs, FREE);
                a.mov(eax, dword_ptr(0_u32).fs()).unwrap();
                log(a);
                // The base, bits 15:0.
                a.xor(dword_ptr(at(FREE)), (HERE ^ THERE) << 16).unwrap();
            });
        },
        &|_| {},
    );
    assert_eq!(log, [1, 2, 1, 2, 1, 2]);
}

#[test]
fn another_table_is_seen() {
    let log = everywhere(
        &|a| {
            rounds(a, ROUNDS, |a| {
                a.push(u32::from(FREE)).unwrap();
                a.pop(gs).unwrap();
                a.mov(eax, dword_ptr(0_u32).gs()).unwrap();
                log(a);
                a.lgdt(fword_ptr(GDTR2)).unwrap();
                a.xor(dword_ptr(GDTR2 + 2), GDT ^ GDT2).unwrap();
            });
        },
        &|m| {
            m.w16(GDTR2, 0xff);
            m.w32(GDTR2 + 2, GDT2);
            for (n, d) in gdt().into_iter().enumerate() {
                m.w64(GDT2 + 8 * n as u32, d);
            }
            m.w64(GDT2 + u32::from(FREE), descriptor(THERE, 0xfff, 0x93));
        },
    );
    assert_eq!(log, [1, 2, 1, 2, 1, 2]);
}

/// As the last one, in a table that is too short for the selector.
#[test]
fn a_shorter_table_is_seen() {
    let log = everywhere(
        &|a| {
            rounds(a, ROUNDS, |a| {
                load(a, fs, FREE);
                a.mov(eax, ecx).unwrap();
                log(a);
                a.cmp(ecx, 2).unwrap();
                let mut skip = a.create_label();
                a.jne(skip).unwrap();
                a.lgdt(fword_ptr(GDTR2)).unwrap();
                a.set_label(&mut skip).unwrap();
            });
        },
        &|m| {
            m.w16(GDTR2, FREE - 1);
            m.w32(GDTR2 + 2, GDT);
        },
    );
    assert_eq!(log, [6, 5, 4, 3, 2]);
}

#[test]
fn a_segment_that_is_not_flat_is_used_at_once() {
    for seg in [ds, es] {
        let log = everywhere(
            &|a| {
                rounds(a, ROUNDS, |a| {
                    load(a, seg, FREE);
                    let first = if seg == ds { dword_ptr(0_u32) } else { dword_ptr(0_u32).es() };
                    a.mov(eax, first).unwrap();
                    log(a);
                    load(a, seg, KDATA);
                    let there = if seg == ds { dword_ptr(THERE) } else { dword_ptr(THERE).es() };
                    a.mov(eax, there).unwrap();
                    log(a);
                });
            },
            &|_| {},
        );
        assert_eq!(log, [1, 2].repeat(ROUNDS as usize));
    }
}

#[test]
fn all_data_segments_come_from_the_stack() {
    let log = everywhere(
        &|a| {
            rounds(a, ROUNDS, |a| {
                a.push(u32::from(KDATA)).unwrap();
                a.pop(ds).unwrap();
                a.push(u32::from(KDATA)).unwrap();
                a.pop(es).unwrap();
                a.push(u32::from(FREE)).unwrap();
                a.pop(fs).unwrap();
                a.push(3).unwrap();
                a.pop(gs).unwrap();
                a.push(gs).unwrap();
                a.pop(eax).unwrap();
                a.and(eax, 0xffff).unwrap();
                a.add(eax, dword_ptr(0_u32).fs()).unwrap();
                a.add(eax, esp).unwrap();
                log(a);
            });
        },
        &|_| {},
    );
    assert_eq!(log, vec![STACK + 4; ROUNDS as usize]);
}

#[test]
fn a_null_selector_takes_the_segment_away() {
    let log = everywhere(
        &|a| {
            rounds(a, ROUNDS, |a| {
                for selector in [FREE, 0, FREE, 2] {
                    load(a, fs, selector);
                }
                a.mov(eax, fs).unwrap();
                log(a);
                a.cmp(ecx, 1).unwrap();
                let mut skip = a.create_label();
                a.jne(skip).unwrap();
                a.mov(eax, dword_ptr(0_u32).fs()).unwrap();
                a.set_label(&mut skip).unwrap();
            });
        },
        &|_| {},
    );
    assert_eq!(log, [2; 6]);
}

#[test]
fn a_descriptor_whose_accessed_bit_was_cleared_gets_it_again() {
    everywhere(
        &|a| {
            rounds(a, ROUNDS, |a| {
                load(a, fs, FREE);
                a.mov(eax, dword_ptr(at(FREE) + 4)).unwrap();
                log(a);
                a.and(dword_ptr(at(FREE) + 4), !0x100).unwrap();
            });
        },
        &|_| {},
    );
}

#[test]
fn verw_sets_zf_alone_and_sees_changes() {
    let log = everywhere(
        &|a| {
            rounds(a, ROUNDS, |a| {
                a.mov(edx, u32::from(FREE)).unwrap();
                // CF and SF, not ZF.
                a.or(eax, 1).unwrap();
                a.neg(eax).unwrap();
                a.verw(dx).unwrap();
                a.pushfd().unwrap();
                a.pop(eax).unwrap();
                a.and(eax, 0x41).unwrap();
                log(a);
                // Read only, and back.
                a.xor(dword_ptr(at(FREE) + 4), 0x200).unwrap();
            });
        },
        &|_| {},
    );
    assert_eq!(log, [0x41, 0x01].repeat(3));
}

/// The handler logs what INC counted up to where it came.
fn counts_where_it_comes(m: &mut Machine) {
    m.load(
        0x6000,
        &asm(32, 0x6000, |a| {
            a.mov(eax, ebx).unwrap();
            log(a);
            a.iretd().unwrap();
        }),
    );
    m.gate(0x40, 0x6000, 0);
}

#[test]
fn an_interrupt_that_waits_comes_one_instruction_after_sti() {
    let log = everywhere(
        &|a| {
            rounds(a, ROUNDS, |a| {
                a.cli().unwrap();
                a.xor(ebx, ebx).unwrap();
                // Nothing waits: it goes on.
                a.sti().unwrap();
                a.cli().unwrap();
                a.mov(al, 0x40_u32).unwrap();
                a.out(u32::from(RAISE), al).unwrap();
                a.sti().unwrap();
                for _ in 0..3 {
                    a.inc(ebx).unwrap();
                }
            });
        },
        &counts_where_it_comes,
    );
    assert_eq!(log, [1; 6]);
}

#[test]
fn an_interrupt_that_waits_comes_right_after_popf() {
    let log = everywhere(
        &|a| {
            rounds(a, ROUNDS, |a| {
                a.sti().unwrap();
                a.pushfd().unwrap();
                a.pushfd().unwrap();
                a.cli().unwrap();
                a.xor(ebx, ebx).unwrap();
                a.popfd().unwrap();
                a.inc(ebx).unwrap();
                a.cli().unwrap();
                a.mov(al, 0x40_u32).unwrap();
                a.out(u32::from(RAISE), al).unwrap();
                a.inc(ebx).unwrap();
                a.popfd().unwrap();
                a.inc(ebx).unwrap();
                // IF as it was set, and as it is cleared.
                a.pushfd().unwrap();
                a.pop(eax).unwrap();
                a.and(eax, IF).unwrap();
                log(a);
                a.push(2).unwrap();
                a.popfd().unwrap();
                a.pushfd().unwrap();
                a.pop(eax).unwrap();
                a.and(eax, IF).unwrap();
                log(a);
            });
        },
        &counts_where_it_comes,
    );
    assert_eq!(log, [2, IF, 0].repeat(6));
}

#[test]
fn calls_of_the_kernel_come_back_to_the_caller() {
    let log = everywhere(&|a| to_user(a, USER_CODE, 0x3202), &|m| {
        let user = asm(32, USER_CODE, |a| {
            rounds(a, ROUNDS, |a| {
                let (mut call, mut here, mut over) = (a.create_label(), a.create_label(), a.create_label());
                a.push(ecx).unwrap();
                a.call(call).unwrap();
                a.jmp(over).unwrap();
                a.set_label(&mut call).unwrap();
                a.call(here).unwrap();
                a.set_label(&mut here).unwrap();
                // To what follows SYSENTER: 1, 3, 2 and 2 bytes.
                a.pop(edx).unwrap();
                a.add(edx, 8).unwrap();
                a.mov(ecx, esp).unwrap();
                a.sysenter().unwrap();
                a.int(0x41).unwrap();
                a.ret().unwrap();
                a.set_label(&mut over).unwrap();
                a.pop(ecx).unwrap();
                a.mov(eax, ecx).unwrap();
                log(a);
            });
        });
        m.load(USER_CODE, &user);
        let kernel = |a: &mut CodeAssembler| {
            let mut f = a.create_label();
            let mut over = a.create_label();
            a.jmp(over).unwrap();
            a.set_label(&mut f).unwrap();
            a.mov(eax, cs).unwrap();
            log(a);
            a.ret().unwrap();
            a.set_label(&mut over).unwrap();
            a.call(f).unwrap();
        };
        let by_sysenter = asm(32, 0x6000, |a| {
            kernel(a);
            a.sti().unwrap();
            a.sysexit().unwrap();
        });
        m.load(0x6000, &by_sysenter);
        let by_int = asm(32, 0x7000, |a| {
            kernel(a);
            a.iretd().unwrap();
        });
        m.load(0x7000, &by_int);
        m.gate(0x41, 0x7000, 3);
        m.edit(|s| {
            s.msrs.sysenter_cs = u64::from(KCODE);
            s.msrs.sysenter_esp = 0x7_8000;
            s.msrs.sysenter_eip = 0x6000;
        });
    });
    let k = u32::from(KCODE);
    assert_eq!(log, (1..=6).rev().flat_map(|n| [k, k, n]).collect::<Vec<_>>());
}

/// Ring 1 has the supervisor's pages, not its rights.
#[test]
fn rings_in_between_are_no_supervisors() {
    const CODE1: u16 = FREE + 8;
    const DATA1: u16 = FREE + 16;
    const STACK1: u32 = 0x6_8000;
    let bodies: [(&str, Code<'_>); 3] = [
        ("STI", &|a| a.sti().unwrap()),
        ("POPF", &|a| {
            a.push(IF | 2).unwrap();
            a.popfd().unwrap();
            a.pushfd().unwrap();
            a.pop(eax).unwrap();
            a.and(eax, IF).unwrap();
            log(a);
        }),
        ("MOV FS", &|a| {
            // A segment of ring 0.
            load(a, fs, FREE);
        }),
    ];
    for (name, body) in bodies {
        let log = everywhere(
            &|a| {
                let mut again = a.create_label();
                a.mov(ecx, ROUNDS).unwrap();
                a.set_label(&mut again).unwrap();
                // Ring 0 sees the selector, and sets IF.
                load(a, fs, FREE);
                a.sti().unwrap();
                a.cli().unwrap();
                a.dec(ecx).unwrap();
                a.jne(again).unwrap();
                // Else they were null there.
                load(a, ds, DATA1 | 1);
                load(a, es, DATA1 | 1);
                for v in [u32::from(DATA1 | 1), STACK1, 2, u32::from(CODE1 | 1), USER_CODE] {
                    a.push(v).unwrap();
                }
                a.iretd().unwrap();
            },
            &|m| {
                let ring1 = descriptor(0, u32::MAX, 0xc0bb);
                m.w64(at(CODE1), ring1);
                m.w64(at(DATA1), descriptor(0, u32::MAX, 0xc0b3));
                let user = asm(32, USER_CODE, |a| {
                    let mut again = a.create_label();
                    a.mov(ecx, ROUNDS).unwrap();
                    a.set_label(&mut again).unwrap();
                    body(a);
                    a.dec(ecx).unwrap();
                    a.jne(again).unwrap();
                    a.int(0x42).unwrap();
                });
                m.load(USER_CODE, &user);
                m.gate(0x42, 0x7800, 3);
                m.load(0x7800, &asm(32, 0x7800, exit));
            },
        );
        let expected: &[u32] = if name == "POPF" { &[0; ROUNDS as usize] } else { &[] };
        assert_eq!(log, expected, "{name}");
    }
}
