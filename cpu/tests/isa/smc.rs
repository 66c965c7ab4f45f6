//! Code that changes under the processor: what was written runs from the next instruction on, wherever the write
//! came from. SDM vol. 3, 12.6.

use hv_vcpu::Vcpu;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

use crate::machine::{CODE, DATA, Machine};

const MOV_EAX: u8 = 0xb8;

#[test]
fn a_store_into_the_next_instruction_is_seen_by_it() {
    // The MOV that is patched lies right behind the store, in the same block.
    let mut m = Machine::new(&|a| {
        a.mov(dword_ptr(CODE + 11), 0x1234_5678)?; // 10 bytes; then B8 imm32
        a.mov(eax, 0)?;
        a.hlt()
    });
    assert_eq!(m.read(CODE + 10, 1), [MOV_EAX]);
    assert_eq!(m.run().gpr[0], 0x1234_5678);
}

#[test]
fn every_pass_of_a_loop_sees_its_own_patch() {
    let mut m = Machine::new(&|a| {
        let mut top = a.create_label();
        a.mov(ecx, 1000)?; // 5
        a.set_label(&mut top)?;
        a.mov(dword_ptr(CODE + 12), ecx)?; // 6, so that the immediate is at 11 + 1
        a.mov(eax, 0)?;
        a.add(ebx, eax)?;
        a.dec(ecx)?;
        a.jne(top)?;
        a.hlt()
    });
    assert_eq!(m.run().gpr[3], 500_500);
}

#[test]
fn a_function_patched_from_another_page_changes_for_callers_that_know_it() {
    let mut m = Machine::new(&|a| {
        let mut top = a.create_label();
        a.mov(ecx, 100)?;
        a.mov(edi, DATA)?;
        a.set_label(&mut top)?;
        a.call(edi)?;
        a.add(ebx, eax)?;
        a.call(edi)?;
        a.add(ebx, eax)?;
        a.mov(dword_ptr(edi + 1), ecx)?;
        a.dec(ecx)?;
        a.jne(top)?;
        a.hlt()
    });
    m.load(DATA, &[MOV_EAX, 7, 0, 0, 0, 0xc3]);
    // Twice 7, then twice each of 100 down to 2.
    assert_eq!(m.run().gpr[3], 14 + 2 * (2..=100).sum::<u32>());
}

#[test]
fn an_instruction_across_two_pages_is_patched_in_either() {
    for patched in [0x0ffe_u32, 0x1001] {
        let mut m = Machine::new(&move |a| {
            a.mov(edi, DATA + 0xffd)?;
            a.call(edi)?;
            a.mov(ebx, eax)?;
            a.mov(byte_ptr(DATA + patched), 0x55)?;
            a.call(edi)?;
            a.hlt()
        });
        // MOV EAX, 01010101h from DATA + FFDh to 1001h, RET.
        m.load(DATA + 0xffd, &[MOV_EAX, 1, 1, 1, 1, 0xc3]);
        let s = m.run();
        assert_eq!(s.gpr[3], 0x0101_0101);
        let shift = 8 * (patched - 0xffe);
        assert_eq!(s.gpr[0], 0x0101_0101 & !(0xff << shift) | 0x55 << shift);
    }
}

#[test]
fn the_second_page_of_an_instruction_can_be_mapped_anew() {
    // Paging on; the page behind DATA maps to one frame, then to another, with INVLPG.
    let (directory, table) = (0x2000_u32, 0x3000_u32);
    let mut m = Machine::new(&move |a| {
        a.mov(edi, DATA + 0xffd)?;
        a.call(edi)?;
        a.mov(ebx, eax)?;
        a.mov(dword_ptr(table + 4 * ((DATA >> 12) + 1)), 0x5_0003)?;
        a.invlpg(byte_ptr(DATA + 0x1000))?;
        a.call(edi)?;
        a.hlt()
    });
    m.load(DATA + 0xffd, &[MOV_EAX, 1, 1, 1, 1, 0xc3]);
    m.load(0x5_0000, &[2, 2, 0xc3]);
    m.load(directory, &(table | 3).to_le_bytes());
    for n in 0..1024_u32 {
        m.load(table + 4 * n, &(n << 12 | 3).to_le_bytes());
    }
    m.edit(|s| {
        s.cr3 = directory;
        s.cr0 |= 1 << 31;
    });
    let s = m.run();
    assert_eq!(s.gpr[3], 0x0101_0101);
    assert_eq!(s.gpr[0], 0x0202_0101);
}

/// A caller that knows a function by address calls it, has its page leave the TLB by a load from a page 4 MiB on, maps
/// the page anew, flushes and calls again.
fn remapped(flush: fn(&mut CodeAssembler) -> Result<(), IcedError>) -> u32 {
    let (directory, tables) = (0x2000_u32, 0x3000_u32);
    let mut m = Machine::new(&move |a| {
        let mut top = a.create_label();
        a.mov(ebp, 2)?;
        a.mov(edi, DATA)?;
        a.set_label(&mut top)?;
        a.call(edi)?;
        a.lea(ebx, ptr(ebx * 4 + eax))?;
        a.mov(ecx, dword_ptr(DATA + 0x40_0000))?;
        a.mov(dword_ptr(tables + 4 * (DATA >> 12)), 0x5_0003)?;
        flush(a)?;
        a.dec(ebp)?;
        a.jne(top)?;
        a.hlt()
    });
    m.load(DATA, &[MOV_EAX, 1, 0, 0, 0, 0xc3]);
    m.load(0x5_0000, &[MOV_EAX, 2, 0, 0, 0, 0xc3]);
    for n in 0..2048_u32 {
        m.load(directory + 4 * (n / 1024), &((tables + n / 1024 * 0x1000) | 3).to_le_bytes());
        m.load(tables + 4 * n, &(n << 12 | 3).to_le_bytes());
    }
    m.edit(|s| {
        s.cr3 = directory;
        s.cr0 |= 1 << 31;
    });
    m.run().gpr[3]
}

#[test]
fn a_function_mapped_anew_is_found_where_it_is_after_a_flush() {
    assert_eq!(remapped(|a| a.invlpg(byte_ptr(edi))), 4 + 2);
    let reload = |a: &mut CodeAssembler| {
        a.mov(eax, cr3)?;
        a.mov(cr3, eax)
    };
    assert_eq!(remapped(reload), 4 + 2);
    // Not flushed, the old translation may serve on: it is in no TLB any more but in the caller's memory of it.
    assert!([4 + 1, 4 + 2].contains(&remapped(|a| a.nop())));
}

#[test]
fn data_next_to_code_does_not_drop_the_code() {
    let mut m = Machine::new(&|a| {
        let mut top = a.create_label();
        a.mov(ecx, 10_000)?;
        a.set_label(&mut top)?;
        a.add(dword_ptr(CODE + 0x40), ecx)?;
        a.dec(ecx)?;
        a.jne(top)?;
        a.hlt()
    });
    m.run();
    assert_eq!(m.r32(CODE + 0x40), 50_005_000);
    assert_eq!(m.metric("blocks_dropped"), 0);
}

#[test]
fn a_repeated_store_over_its_own_code_stops_being_that_code() {
    // REP STOSB fills from behind itself over itself with NOPs, up to a HLT: once its own bytes are gone it is not
    // executed again, so nothing past the first overwritten element is filled by what is left of the count.
    let mut m = Machine::new(&|a| {
        a.mov(edi, CODE + 0x15)?; // 5
        a.mov(ecx, 0x100)?; // 10
        a.mov(al, 0x90)?; // 12
        a.nop()?;
        a.nop()?;
        a.nop()?;
        a.nop()?;
        a.nop()?;
        a.nop()?;
        a.nop()?; // 19
        a.rep().stosb()?; // 13h, 14h
        a.inc(ebx)?; // 15h
        a.inc(ebx)?;
        a.inc(ebx)?;
        a.hlt()
    });
    m.load(CODE + 0x115, &[0xf4]);
    let s = m.run();
    assert_eq!(s.gpr[3], 0, "the INCs were overwritten before they ran");
    assert_eq!(s.eip, CODE + 0x116);
}

#[test]
fn what_a_bus_master_writes_is_run() {
    let mut m = Machine::new(&|a| {
        a.mov(edi, DATA)?;
        a.call(edi)?;
        a.mov(ebx, eax)?;
        a.out(0x80, al)?;
        a.call(edi)?;
        a.hlt()
    });
    m.load(DATA, &[MOV_EAX, 1, 0, 0, 0, 0xc3]);
    m.io.dma = Some((u64::from(DATA) + 1, vec![9], m.ram.clone()));
    let s = m.run();
    assert_eq!((s.gpr[3], s.gpr[0]), (1, 9));
}

#[test]
fn code_may_be_replaced_more_often_than_the_cache_is_large() {
    // Each pass writes and runs another function; more than the pool of decoded instructions holds in all.
    let mut m = Machine::new(&|a| {
        let mut top = a.create_label();
        a.mov(ecx, 300_000)?;
        a.mov(edi, DATA)?;
        a.set_label(&mut top)?;
        a.mov(dword_ptr(edi + 1), ecx)?;
        a.call(edi)?;
        a.add(ebx, eax)?;
        a.dec(ecx)?;
        a.jne(top)?;
        a.hlt()
    });
    m.load(DATA, &[MOV_EAX, 0, 0, 0, 0, 0xc3]);
    assert_eq!(m.run().gpr[3], (1..=300_000_u64).sum::<u64>() as u32);
}

/// Three passes over more code than the cache of decoded blocks holds: `unit`, which counts in EAX, `n` times over.
/// Returns how often the cache made room, and how many blocks were decoded.
fn more_code_than_fits(unit: &[u8], n: u32) -> (u64, u64) {
    const FAR: u32 = 0x10_0000;
    let mut m = Machine::new(&|a| {
        let mut top = a.create_label();
        a.mov(ecx, 3)?;
        a.mov(edi, FAR)?;
        a.set_label(&mut top)?;
        a.call(edi)?;
        a.dec(ecx)?;
        a.jne(top)?;
        a.hlt()
    });
    m.load(FAR, &unit.repeat(n as usize));
    m.load(FAR + unit.len() as u32 * n, &[0xc3]);
    let counts = unit.iter().filter(|b| **b == 0x40).count() as u32;
    assert_eq!(m.run().gpr[0], 3 * n * counts);
    let metrics = m.cpu.metrics();
    let of = |name: &str| metrics.iter().find(|x| x.0 == name).unwrap().1;
    (of("block_cache_flushes"), of("blocks_decoded"))
}

#[test]
fn blocks_stay_when_their_instructions_make_room_for_others() {
    let mut unit = [0x40; 64]; // inc eax
    (unit[62], unit[63]) = (0xeb, 0x00); // jmp to the next
    let (flushes, decoded) = more_code_than_fits(&unit, 1 << 14);
    assert_eq!(flushes, 1, "that of the start");
    assert!(decoded < (1 << 14) + 2000, "each block is built once: {decoded}");
}

#[test]
fn a_full_table_of_blocks_makes_room() {
    let (flushes, decoded) = more_code_than_fits(&[0x40, 0xeb, 0x00], 300_000); // inc eax; jmp to the next
    assert!(flushes > 1, "the table holds no bound");
    assert!(decoded > 300_000);
}

#[test]
fn a_page_that_is_filled_anew_loses_its_code_at_once() {
    // Forty functions in a page run, then the page is filled with RETs.
    let mut m = Machine::new(&|a| {
        let mut top = a.create_label();
        let mut next = a.create_label();
        a.mov(esi, 2)?;
        a.set_label(&mut top)?;
        a.mov(edi, DATA)?;
        a.mov(ecx, 40)?;
        a.set_label(&mut next)?;
        a.call(edi)?;
        a.add(edi, 16)?;
        a.dec(ecx)?;
        a.jne(next)?;
        a.mov(edi, DATA)?;
        a.mov(ecx, 0x400)?;
        a.mov(edx, eax)?;
        a.mov(eax, 0xc3c3_c3c3_u32)?;
        a.rep().stosd()?;
        a.mov(eax, edx)?;
        a.dec(esi)?;
        a.jne(top)?;
        a.hlt()
    });
    let mut function = [0x90; 16];
    (function[0], function[1]) = (0x40, 0xc3); // inc eax; ret
    m.load(DATA, &function.repeat(40));
    assert_eq!(m.run().gpr[0], 40, "the second time all of them only return");
    assert!(m.metric("blocks_dropped") >= 40);
}

#[test]
fn functions_that_are_written_in_batches_run_as_written() {
    // Eight times forty functions, MOV EAX, n; RET: all are written, then all are called.
    const FUNCTIONS: u32 = 40;
    let mut m = Machine::new(&|a| {
        let [mut top, mut write, mut call] = [(); 3].map(|()| a.create_label());
        a.mov(esi, 8)?;
        a.set_label(&mut top)?;
        a.mov(edi, DATA)?;
        a.mov(ecx, FUNCTIONS)?;
        a.set_label(&mut write)?;
        a.mov(byte_ptr(edi), i32::from(MOV_EAX as i8))?;
        a.imul_3(eax, ecx, 1000)?;
        a.add(eax, esi)?;
        a.mov(dword_ptr(edi + 1), eax)?;
        a.mov(byte_ptr(edi + 5), 0xc3_u32 as i32)?;
        a.add(edi, 64)?;
        a.dec(ecx)?;
        a.jne(write)?;
        a.mov(edi, DATA)?;
        a.mov(ecx, FUNCTIONS)?;
        a.set_label(&mut call)?;
        a.call(edi)?;
        a.add(ebx, eax)?;
        a.add(edi, 64)?;
        a.dec(ecx)?;
        a.jne(call)?;
        a.dec(esi)?;
        a.jne(top)?;
        a.hlt()
    });
    let sum = |n: u32| (1..=n).sum::<u32>();
    assert_eq!(m.run().gpr[3], 8 * 1000 * sum(FUNCTIONS) + FUNCTIONS * sum(8));
    assert!(m.metric("blocks_dropped") >= u64::from(7 * FUNCTIONS));
}

#[test]
fn code_is_appended_to_a_page_that_runs() {
    // Copies of one function, each behind the last in one page, written in one way or another and run before the next.
    const LEN: u32 = 24;
    let mut function = [0x90; LEN as usize];
    function[0] = 0x43; // inc ebx
    function[23] = 0xc3;
    type Way = &'static dyn Fn(&mut CodeAssembler) -> Result<(), IcedError>;
    let ways: [Way; 5] = [
        &|a| {
            a.mov(ecx, LEN / 4)?;
            a.rep().movsd()
        },
        &|a| {
            a.mov(ecx, LEN)?;
            a.rep().movsb()
        },
        &|a| {
            for k in 0..LEN / 4 {
                a.mov(eax, dword_ptr(esi + k * 4))?;
                a.mov(dword_ptr(edi + k * 4), eax)?;
            }
            a.add(edi, LEN as i32)
        },
        &|a| {
            for k in 0..LEN / 8 {
                a.fild(qword_ptr(esi + k * 8))?;
                a.fistp(qword_ptr(edi + k * 8))?;
            }
            a.add(edi, LEN as i32)
        },
        &|a| {
            a.mov(edx, esp)?;
            a.lea(esp, dword_ptr(edi + LEN))?;
            for k in (0..LEN / 4).rev() {
                a.push(dword_ptr(esi + k * 4))?;
            }
            a.mov(esp, edx)?;
            a.add(edi, LEN as i32)
        },
    ];
    for (n, way) in ways.into_iter().enumerate() {
        let mut m = Machine::new(&move |a| {
            let mut next = a.create_label();
            a.fninit()?;
            a.mov(ebp, 160)?;
            a.mov(edi, DATA)?;
            a.set_label(&mut next)?;
            a.mov(esi, DATA + 0x2000)?;
            way(a)?;
            a.lea(eax, dword_ptr(edi - LEN))?;
            a.call(eax)?;
            a.dec(ebp)?;
            a.jne(next)?;
            a.hlt()
        });
        m.load(DATA + 0x2000, &function);
        assert_eq!(m.run().gpr[3], 160, "way {n}");
        assert_eq!(m.read(DATA, 160 * LEN as usize), function.repeat(160), "way {n}");
        assert_eq!(m.metric("blocks_dropped"), 0, "way {n}");
    }
}

#[test]
fn a_repeated_store_that_begins_beside_code_reaches_it() {
    for stos in [false, true] {
        // A function at 40h of the page runs; then 80h bytes of RETs, or of the like, are put over it from 20h on.
        let mut m = Machine::new(&move |a| {
            let mut top = a.create_label();
            a.mov(ebp, 2)?;
            a.set_label(&mut top)?;
            a.mov(eax, DATA + 0x40)?;
            a.call(eax)?;
            a.mov(edi, DATA + 0x20)?;
            a.mov(esi, DATA + 0x2000)?;
            a.mov(ecx, 0x20)?;
            a.mov(eax, 0xc3c3_c3c3_u32)?;
            if stos {
                a.rep().stosd()?;
            } else {
                a.rep().movsd()?;
            }
            a.dec(ebp)?;
            a.jne(top)?;
            a.hlt()
        });
        m.load(DATA + 0x40, &[0x43, 0xc3]); // inc ebx; ret
        m.load(DATA + 0x2000, &[0xc3; 0x80]);
        let s = m.run();
        assert_eq!((s.gpr[3], s.gpr[7]), (1, DATA + 0xa0), "stos {stos}");
        assert_eq!(m.read(DATA + 0x20, 0x80), [0xc3; 0x80], "stos {stos}");
    }
}
