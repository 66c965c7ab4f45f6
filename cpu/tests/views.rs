//! Memory by the host's paging: what a guest does to its page tables is seen, whoever runs its code.
//!
//! Each program goes round a few times, so that all but the first round run in a view where there is one, and leaves the
//! same on each way to run.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use cpu::Software;
use harness::*;
use hv_vcpu::{CpuidTable, Vcpu};
use iced_x86::code_asm::*;

const PD: u32 = 0x10_0000;
const PD2: u32 = 0x11_0000;
const PT0: u32 = 0x10_1000;
const PT1: u32 = 0x10_2000;
const PT2: u32 = 0x10_3000;
/// PDE 1.
const WIN: u32 = 0x40_0000;
const PHYS: u32 = 0x20_0000;
const OTHER: u32 = 0x20_5000;

const P: u32 = 1;
const RW: u32 = 2;
const US: u32 = 4;
const A: u32 = 0x20;
const D: u32 = 0x40;
const G: u32 = 0x100;
const USER: u32 = P | RW | US;
const PGE: u32 = 1 << 7;
const VECTOR: u8 = 0x30;
const KERNEL: u32 = 0xe000;
const ROUNDS: u32 = 6;

type Code<'a> = &'a dyn Fn(&mut CodeAssembler);

/// A program in ring 3 that may use ports; what interrupt 30h does in ring 0; memory: WIN is PHYS, one page, which holds
/// 1, and OTHER holds 2.
fn machine(engine: &Software, user: Code<'_>, kernel: Code<'_>) -> Machine {
    let mut m = Machine::with(engine, &CpuidTable::pentium4(false));
    m.catch_all();
    m.flat_code(|a| to_user(a, USER_CODE, 0x3002));
    m.load(USER_CODE, &asm(32, USER_CODE, user));
    m.load(
        KERNEL,
        &asm(32, KERNEL, |a| {
            kernel(a);
            a.iretd().unwrap();
        }),
    );
    m.gate(VECTOR, KERNEL, 3);
    m.w32(PHYS, 1);
    m.w32(OTHER, 2);
    for i in 0..1024 {
        m.w32(PT0 + 4 * i, i << 12 | USER);
    }
    m.w32(PT1, PHYS | USER);
    m.w32(PT2, OTHER | USER);
    for (pd, pt) in [(PD, PT1), (PD2, PT2)] {
        m.w32(pd, PT0 | USER);
        m.w32(pd + 4, pt | USER);
    }
    m.edit(|s| {
        s.cr3 = PD;
        s.cr0 |= 0x8001_0000;
    });
    m
}

/// Runs it on each way to run; all must leave the same. Returns the log of the last, and the machine.
fn everywhere(user: Code<'_>, kernel: Code<'_>, set_up: &dyn Fn(&mut Machine)) -> Machine {
    let mut last = None;
    on_each_processor(|name, engine| {
        let mut m = machine(engine, user, kernel);
        set_up(&mut m);
        m.run();
        let left = (m.io.log.clone(), m.io.exited, m.io.retired, m.r32(PT1), m.r32(PHYS), m.r32(OTHER));
        if name == "views" {
            let mapped = m.cpu.metrics().iter().any(|(n, v)| *n == "view_pages_mapped" && *v != 0);
            assert!(mapped || !cfg!(target_os = "linux"), "no page was mapped");
        }
        last = Some(m);
        left
    });
    last.unwrap()
}

fn reads(a: &mut CodeAssembler) {
    rounds(a, ROUNDS, |a| {
        a.mov(eax, dword_ptr(WIN)).unwrap();
        log(a);
        a.int(i32::from(VECTOR)).unwrap();
    });
}

fn reload(a: &mut CodeAssembler) {
    a.mov(eax, cr3).unwrap();
    a.mov(cr3, eax).unwrap();
}

#[test]
fn changed_entries_of_both_levels_are_seen() {
    let entry = |a: &mut CodeAssembler| {
        a.xor(dword_ptr(PT1), PHYS ^ OTHER).unwrap();
        reload(a);
    };
    let directory = |a: &mut CodeAssembler| {
        a.xor(dword_ptr(PD + 4), PT1 ^ PT2).unwrap();
        reload(a);
    };
    let page = |a: &mut CodeAssembler| {
        a.xor(dword_ptr(PT1), PHYS ^ OTHER).unwrap();
        a.invlpg(byte_ptr(WIN)).unwrap();
    };
    for kernel in [&entry as Code<'_>, &directory, &page] {
        assert_eq!(everywhere(&reads, kernel, &|_| {}).io.log, [1, 2, 1, 2, 1, 2]);
    }
}

#[test]
fn address_spaces_are_kept_apart() {
    let kernel = |a: &mut CodeAssembler| {
        a.mov(eax, cr3).unwrap();
        a.xor(eax, PD ^ PD2).unwrap();
        a.mov(cr3, eax).unwrap();
    };
    assert_eq!(everywhere(&reads, &kernel, &|_| {}).io.log, [1, 2, 1, 2, 1, 2]);
}

#[test]
fn tables_can_be_written_by_the_program_that_runs_on_them() {
    // PT1 lies in the first 4 MiB, which the user may write.
    let user = |a: &mut CodeAssembler| {
        rounds(a, ROUNDS, |a| {
            a.mov(eax, dword_ptr(WIN)).unwrap();
            log(a);
            a.xor(dword_ptr(PT1), PHYS ^ OTHER).unwrap();
            a.int(i32::from(VECTOR)).unwrap();
        });
    };
    assert_eq!(everywhere(&user, &reload, &|_| {}).io.log, [1, 2, 1, 2, 1, 2]);
}

#[test]
fn accessed_and_dirty_bits_are_set_each_time_they_were_cleared() {
    let kernel = |a: &mut CodeAssembler| {
        a.mov(eax, dword_ptr(PT1)).unwrap();
        a.and(eax, A | D).unwrap();
        log(a);
        a.and(dword_ptr(PT1), !(A | D)).unwrap();
        a.invlpg(byte_ptr(WIN)).unwrap();
    };
    let user = |a: &mut CodeAssembler| {
        rounds(a, ROUNDS, |a| {
            a.mov(eax, dword_ptr(WIN)).unwrap();
            a.int(i32::from(VECTOR)).unwrap();
            a.mov(dword_ptr(WIN), ecx).unwrap();
            a.int(i32::from(VECTOR)).unwrap();
        });
    };
    let want: Vec<u32> = [A, A | D].repeat(ROUNDS as usize);
    assert_eq!(everywhere(&user, &kernel, &|_| {}).io.log, want);
}

#[test]
fn a_right_that_is_taken_faults_at_once() {
    let kernel = |a: &mut CodeAssembler| {
        a.and(dword_ptr(PT1), !RW).unwrap();
        a.invlpg(byte_ptr(WIN)).unwrap();
    };
    let user = |a: &mut CodeAssembler| {
        let mut ahead = a.create_label();
        rounds(a, ROUNDS, |a| {
            a.add(dword_ptr(WIN + 8), 1).unwrap();
            a.cmp(ecx, 2).unwrap();
            a.jne(ahead).unwrap();
            a.int(i32::from(VECTOR)).unwrap();
            a.set_label(&mut ahead).unwrap();
            a.nop().unwrap();
        });
    };
    let m = everywhere(&user, &kernel, &|_| {});
    let c = m.caught();
    assert_eq!((c.vector, c.code(), c.cr2, m.r32(PHYS + 8)), (14, 7, WIN + 8, ROUNDS - 1));
}

#[test]
fn code_that_writes_itself_runs_as_written() {
    let user = |a: &mut CodeAssembler| {
        rounds(a, ROUNDS, |a| {
            let mut here = a.create_label();
            a.call(here).unwrap();
            a.set_label(&mut here).unwrap();
            a.pop(eax).unwrap();
            // Behind one and three bytes, and the opcode: the immediate.
            a.mov(byte_ptr(eax + 5), cl).unwrap();
            a.mov(eax, 0x1122_3300_u32).unwrap();
            log(a);
        });
    };
    let want: Vec<u32> = (1..=ROUNDS).rev().map(|n| 0x1122_3300 | n).collect();
    assert_eq!(everywhere(&user, &|_| {}, &|_| {}).io.log, want);
}

#[test]
fn one_page_at_two_addresses_is_one_page() {
    let user = |a: &mut CodeAssembler| {
        rounds(a, ROUNDS, |a| {
            a.mov(dword_ptr(WIN + 16), ecx).unwrap();
            a.mov(eax, dword_ptr(PHYS + 16)).unwrap();
            log(a);
            a.mov(dword_ptr(PHYS + 16), edx).unwrap();
            // Across the end of the page into the next one, which is another.
            a.mov(eax, dword_ptr(PHYS + 0xffe)).unwrap();
            log(a);
        });
    };
    let m = everywhere(&user, &|_| {}, &|m| m.w32(PHYS + 0xffe, 0x1234_5678));
    assert!(
        m.io.log.chunks(2).zip((1..=ROUNDS).rev()).all(|(l, n)| l == [n, 0x1234_5678]),
        "{:x?}",
        m.io.log
    );
}

#[test]
fn a_watchpoint_that_is_set_later_is_hit() {
    let kernel = |a: &mut CodeAssembler| {
        a.mov(eax, WIN + 4).unwrap();
        a.mov(dr0, eax).unwrap();
        // L0, four bytes, writes.
        a.mov(eax, 0x000d_0001_u32).unwrap();
        a.mov(dr7, eax).unwrap();
    };
    let user = |a: &mut CodeAssembler| {
        let mut ahead = a.create_label();
        rounds(a, ROUNDS, |a| {
            a.mov(dword_ptr(WIN + 4), ecx).unwrap();
            a.cmp(ecx, 3).unwrap();
            a.jne(ahead).unwrap();
            a.int(i32::from(VECTOR)).unwrap();
            a.set_label(&mut ahead).unwrap();
            a.nop().unwrap();
        });
    };
    let m = everywhere(&user, &kernel, &|_| {});
    assert_eq!((m.caught().vector, m.r32(PHYS + 4)), (1, 2));
}

#[test]
fn a_table_that_a_bus_master_writes_is_seen() {
    let user = |a: &mut CodeAssembler| {
        a.mov(ebx, PHYS | USER).unwrap();
        rounds(a, ROUNDS, |a| {
            a.mov(eax, dword_ptr(WIN)).unwrap();
            log(a);
            a.xor(ebx, PHYS ^ OTHER).unwrap();
            a.mov(eax, ebx).unwrap();
            a.out(u32::from(DMA), eax).unwrap();
            a.int(i32::from(VECTOR)).unwrap();
        });
    };
    let m = everywhere(&user, &reload, &|m| m.io.dma_to = PT1);
    assert_eq!(m.io.log, [1, 2, 1, 2, 1, 2]);
}

#[test]
fn the_supervisors_view_follows_invlpg_and_global_flushes() {
    for global_flush in [false, true] {
        for name in ["interpreter", "views"] {
            let mut m = Machine::with(&Software::named(name).unwrap(), &CpuidTable::pentium4(false));
            m.catch_all();
            m.flat_code(|a| {
                rounds(a, ROUNDS, |a| {
                    a.mov(eax, dword_ptr(WIN)).unwrap();
                    log(a);
                    a.xor(dword_ptr(PT1), PHYS ^ OTHER).unwrap();
                    if global_flush {
                        for _ in 0..2 {
                            a.mov(eax, cr4).unwrap();
                            a.xor(eax, PGE).unwrap();
                            a.mov(cr4, eax).unwrap();
                        }
                    } else {
                        a.invlpg(byte_ptr(WIN)).unwrap();
                    }
                });
            });
            for i in 0..1024 {
                m.w32(PT0 + 4 * i, i << 12 | P | RW | G);
            }
            m.w32(PT1, PHYS | P | RW | G);
            m.w32(PD, PT0 | P | RW);
            m.w32(PD + 4, PT1 | P | RW);
            m.w32(PHYS, 1);
            m.w32(OTHER, 2);
            m.edit(|s| {
                s.cr3 = PD;
                s.cr4 |= PGE;
                s.cr0 |= 0x8001_0000;
            });
            m.run();
            assert_eq!(m.io.log, [1, 2, 1, 2, 1, 2], "{name}, global {global_flush}");
        }
    }
}

/// A program may get its view between one block and the next. Others that run the same code have none then.
#[test]
fn code_that_ran_without_a_view_does_not_lead_to_code_that_ran_with_one() {
    const BLOCKS: u32 = 300;
    let user = |a: &mut CodeAssembler| {
        rounds(a, ROUNDS, |a| {
            a.xor(eax, eax).unwrap();
            for _ in 0..BLOCKS {
                let mut next = a.create_label();
                a.add(eax, dword_ptr(WIN)).unwrap();
                a.jmp(next).unwrap();
                a.set_label(&mut next).unwrap();
            }
            log(a);
            a.int(i32::from(VECTOR)).unwrap();
        });
    };
    let kernel = |a: &mut CodeAssembler| {
        a.mov(eax, cr3).unwrap();
        a.xor(eax, PD ^ PD2).unwrap();
        a.mov(cr3, eax).unwrap();
    };
    for after in (0..4 * BLOCKS).step_by(50) {
        let engine = Software { view_after: after.into(), ..Software::eager_views() };
        let mut m = machine(&engine, &user, &kernel);
        m.run();
        let want: Vec<u32> = (0..ROUNDS).map(|n| BLOCKS * (1 + n % 2)).collect();
        assert_eq!(m.io.log, want, "views after {after} instructions");
    }
}
