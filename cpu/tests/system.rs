//! Control registers, SYSENTER, MSRs, ports, alignment checks, CPUID and the time-stamp counter, state in and out.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::{CpuState, CpuidTable, HvError, Stop, Vcpu};
use iced_x86::code_asm::*;

const AC: u32 = 1 << 18;
const IF: u32 = 1 << 9;

fn machine(f: impl FnOnce(&mut CodeAssembler)) -> Machine {
    let mut m = Machine::new();
    m.catch_all();
    m.flat_code(f);
    m
}

fn user(eflags: u32, f: impl FnOnce(&mut CodeAssembler)) -> Machine {
    let m = machine(|a| to_user(a, USER_CODE, eflags));
    m.load(USER_CODE, &asm(32, USER_CODE, f));
    m
}

fn pass(a: &mut CodeAssembler) {
    a.mov(al, 0xaa_u32).unwrap();
    exit(a);
}

/// `None`: passed. Vector and error code otherwise.
fn outcome(m: &mut Machine) -> Option<(u32, u32)> {
    assert_eq!(m.run(), Stop::Kicked);
    if m.io.exited.map(|v| v & 0xff) == Some(0xaa) {
        return None;
    }
    let c = m.caught();
    Some((c.vector, if c.vector == 6 { 0 } else { c.code() }))
}

const GP: Option<(u32, u32)> = Some((13, 0));

#[test]
fn cr0_refuses_paging_without_protection_and_nw_without_cd() {
    let one = |v: u32| {
        let mut m = machine(|a| {
            a.mov(eax, v).unwrap();
            a.mov(cr0, eax).unwrap();
            pass(a);
        });
        m.edit(|s| s.cr0 = 0x6000_0011);
        outcome(&mut m)
    };
    assert_eq!(one(0x8000_0010), GP);
    assert_eq!(one(0x2000_0011), GP);
    assert_eq!(one(0x6000_0011), None);
    assert_eq!(one(0x4000_0011), None);
}

#[test]
fn cr0_keeps_et_and_drops_reserved_bits() {
    let mut m = machine(|a| {
        a.mov(eax, 0x1ffa_ffc1_u32).unwrap();
        a.mov(cr0, eax).unwrap();
        a.mov(ebx, cr0).unwrap();
        a.smsw(ecx).unwrap();
        pass(a);
    });
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.gpr(3), 0x11, "ET and PE");
    assert_eq!(m.gpr(1), 0x11);
}

#[test]
fn lmsw_sets_but_does_not_clear_pe() {
    let mut m = machine(|a| {
        a.mov(eax, 0x0e).unwrap();
        a.lmsw(ax).unwrap();
        a.mov(ebx, cr0).unwrap();
        a.xor(eax, eax).unwrap();
        a.lmsw(ax).unwrap();
        a.mov(ecx, cr0).unwrap();
        pass(a);
    });
    assert_eq!(outcome(&mut m), None);
    assert_eq!((m.gpr(3), m.gpr(1)), (0x1f, 0x11));
}

#[test]
fn cr4_takes_what_cpuid_shows() {
    for bit in 0..32 {
        let mut m = machine(|a| {
            a.mov(eax, 1_u32 << bit).unwrap();
            a.mov(cr4, eax).unwrap();
            a.mov(ebx, cr4).unwrap();
            pass(a);
        });
        let good = matches!(bit, 2..=5 | 7..=10);
        assert_eq!(outcome(&mut m), if good { None } else { GP }, "bit {bit}");
    }
}

#[test]
fn control_registers_that_do_not_exist_are_undefined() {
    for n in [1_u8, 5, 6, 7] {
        for op in [0x20, 0x22] {
            let mut m = machine(|a| a.db(&[0x0f, op, 0xc0 | n << 3]).unwrap());
            assert_eq!(outcome(&mut m), Some((6, 0)));
        }
    }
}

#[test]
fn mov_cr_ignores_the_mod_field() {
    let mut m = machine(|a| {
        a.db(&[0x0f, 0x20, 0x03]).unwrap(); // mod 0, rm 3: mov ebx, cr0
        pass(a);
    });
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.gpr(3), 0x11);
}

#[test]
fn sysenter_and_sysexit_go_there_and_back() {
    let mut m = user(IF | 2, |a| {
        a.mov(edx, USER_CODE + 0x100).unwrap();
        a.mov(ecx, USER_STACK - 0x40).unwrap();
        a.sysenter().unwrap();
    });
    m.load(USER_CODE + 0x100, &asm(32, USER_CODE + 0x100, pass));
    m.load(
        0x6000,
        &asm(32, 0x6000, |a| {
            a.mov(eax, esp).unwrap();
            log(a);
            a.pushfd().unwrap();
            a.pop(eax).unwrap();
            log(a);
            a.mov(eax, cs).unwrap();
            log(a);
            a.mov(eax, ss).unwrap();
            log(a);
            a.sti().unwrap();
            a.sysexit().unwrap();
        }),
    );
    m.edit(|s| {
        s.msrs.sysenter_cs = 0x108; // beyond the GDT: descriptors are not read
        s.msrs.sysenter_esp = 0x7_8000;
        s.msrs.sysenter_eip = 0x6000;
    });
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log, [0x7_8000, 2, 0x108, 0x110]);
    let s = m.state();
    assert_eq!((s.seg[CpuState::CS].selector, s.seg[CpuState::SS].selector), (0x11b, 0x123));
    assert_eq!(s.gpr[4], USER_STACK - 0x40);
    assert_eq!(s.seg[CpuState::CS].attr, 0xc0fb);
    assert_eq!(s.eflags & IF, IF);
}

#[test]
fn sysenter_with_a_null_selector_faults() {
    for v in [0, 3, 0x1_0000_0000_u64] {
        let mut m = user(2, |a| a.sysenter().unwrap());
        m.edit(|s| s.msrs.sysenter_cs = v);
        assert_eq!(outcome(&mut m), GP);
    }
    let mut m = machine(|a| a.sysexit().unwrap());
    assert_eq!(outcome(&mut m), GP);
}

/// Writes `v` to `msr`, reads it back.
fn msr(msr: u32, v: u64) -> Result<u64, (u32, u32)> {
    let mut m = machine(|a| {
        a.mov(ecx, msr).unwrap();
        a.mov(eax, v as u32).unwrap();
        a.mov(edx, (v >> 32) as u32).unwrap();
        a.wrmsr().unwrap();
        a.rdmsr().unwrap();
        a.mov(ebx, eax).unwrap();
        pass(a);
    });
    match outcome(&mut m) {
        Some(f) => Err(f),
        None => Ok(u64::from(m.gpr(3)) | u64::from(m.gpr(2)) << 32),
    }
}

fn rdmsr(msr: u32) -> Result<u64, (u32, u32)> {
    let mut m = machine(|a| {
        a.mov(ecx, msr).unwrap();
        a.rdmsr().unwrap();
        a.mov(ebx, eax).unwrap();
        pass(a);
    });
    match outcome(&mut m) {
        Some(f) => Err(f),
        None => Ok(u64::from(m.gpr(3)) | u64::from(m.gpr(2)) << 32),
    }
}

#[test]
fn msrs_keep_what_is_written_and_refuse_reserved_bits() {
    let gp = Err((13, 0));
    assert_eq!(msr(0x176, 0x1234_5678), Ok(0x1234_5678));
    assert_eq!(msr(0x277, 0x0007_0406_0007_0401), Ok(0x0007_0406_0007_0401));
    assert_eq!(msr(0x277, 0x0007_0406_0007_0402), gp, "PAT type 2");
    assert_eq!(msr(0x277, 0x0307_0406_0007_0406), gp);
    assert_eq!(msr(0x200, 0xf_e000_0006), Ok(0xf_e000_0006));
    assert_eq!(msr(0x200, 0x10_0000_0006), gp, "beyond 36 bits");
    assert_eq!(msr(0x200, 0xe000_0002), gp, "MTRR type 2");
    assert_eq!(msr(0x201, 0xf_ff00_0800), Ok(0xf_ff00_0800));
    assert_eq!(msr(0x201, 0xf_ff00_0400), gp);
    assert_eq!(msr(0x20f, 0x800), Ok(0x800));
    assert_eq!(msr(0x250, 0x0606_0606_0606_0606), Ok(0x0606_0606_0606_0606));
    assert_eq!(msr(0x26f, 0x0706_0606_0606_0606), gp);
    assert_eq!(msr(0x2ff, 0xc06), Ok(0xc06));
    assert_eq!(msr(0x2ff, 0x1006), gp);
    assert_eq!(rdmsr(0xfe), Ok(0x508));
    assert_eq!(msr(0xfe, 0x508), gp, "read-only");
    assert_eq!(rdmsr(0x1b), Ok(0));
    assert_eq!(msr(0x8b, 0), Ok(0));
    assert_eq!(rdmsr(0x1a0).map(|v| v & 1), Ok(1));
    assert_eq!(rdmsr(0x17), Ok(0));
    assert_eq!(rdmsr(0xc000_0080), gp, "EFER is not there without NX");
    assert_eq!(rdmsr(0x1234), gp);
    assert_eq!(rdmsr(0x19a), gp, "CPUID shows no thermal control");
}

#[test]
fn efer_has_nxe_only_where_cpuid_shows_it() {
    let mut m = Machine::with_nx();
    m.catch_all();
    m.flat_code(|a| {
        a.mov(ecx, 0xc000_0080_u32).unwrap();
        a.xor(edx, edx).unwrap();
        a.mov(eax, 0x800).unwrap();
        a.wrmsr().unwrap();
        a.rdmsr().unwrap();
        log(a);
        a.mov(eax, 0x801).unwrap(); // SCE is not there
        a.wrmsr().unwrap();
    });
    assert_eq!(outcome(&mut m), GP);
    assert_eq!(m.io.log, [0x800]);
}

#[test]
fn the_time_stamp_counter_can_be_set_and_hidden() {
    let mut m = machine(|a| {
        a.mov(ecx, 0x10).unwrap();
        a.mov(eax, 0x1000_0000).unwrap();
        a.mov(edx, 5).unwrap();
        a.wrmsr().unwrap();
        a.rdtsc().unwrap();
        a.mov(ebx, eax).unwrap();
        pass(a);
    });
    assert_eq!(outcome(&mut m), None);
    let s = m.state();
    assert_eq!(s.gpr[2], 0, "models before 3 clear the upper half");
    // Ten ticks an instruction in this harness.
    assert_eq!(s.gpr[3], 0x1000_0000 + 10);
    for tsd in [0_u32, 4] {
        let mut m = user(2, |a| {
            a.rdtsc().unwrap();
            pass(a);
        });
        m.edit(|s| s.cr4 = tsd);
        assert_eq!(outcome(&mut m), if tsd == 0 { None } else { GP });
    }
}

#[test]
fn cpuid_answers_from_the_table() {
    for leaf in [0_u32, 1, 2, 3, 0x8000_0000, 0x8000_0001, 0x8000_0002] {
        let mut m = machine(|a| {
            a.mov(eax, leaf).unwrap();
            a.cpuid().unwrap();
            a.mov(dword_ptr(0x500_u32), eax).unwrap();
            pass(a);
        });
        assert_eq!(outcome(&mut m), None);
        let want = CpuidTable::pentium4(false).get(leaf);
        let s = m.state();
        assert_eq!([m.r32(0x500), s.gpr[3], s.gpr[1], s.gpr[2]], [want.eax, want.ebx, want.ecx, want.edx]);
    }
}

#[test]
fn ports_go_by_iopl_then_by_the_bitmap() {
    let out = |a: &mut CodeAssembler| {
        a.mov(dx, 0x3f8_u32).unwrap();
        a.out(dx, al).unwrap();
        pass(a);
    };
    let one = |iopl: u32, edit: &dyn Fn(&mut Machine)| {
        let mut m = user(2 | iopl << 12, out);
        edit(&mut m);
        let r = outcome(&mut m);
        // Where EXIT itself is refused, the write before it still counts.
        if m.io.writes.iter().any(|w| w.0 == 0x3f8) { None } else { r }
    };
    let byte = TSS + 0x68 + 0x3f8 / 8;
    assert_eq!(one(0, &|_| {}), None, "a clear bit");
    assert_eq!(one(0, &|m| m.w8(byte, 1)), GP);
    assert_eq!(one(2, &|m| m.w8(byte, 1)), GP);
    assert_eq!(one(3, &|m| m.w8(byte, 1)), None, "CPL <= IOPL");
    assert_eq!(one(0, &|m| m.edit(|s| s.tr.limit = 0x68 + 0x3f8 / 8)), GP, "two bytes are read");
    assert_eq!(one(0, &|m| m.edit(|s| s.tr.limit = 0x68 + 0x3f8 / 8 + 1)), None);
    assert_eq!(one(0, &|m| m.w16(TSS + 0x66, 0x3000)), GP, "base beyond the limit");
    let tss16 = |m: &mut Machine| {
        m.w16(TSS + 2, 0x8000);
        m.w16(TSS + 4, KDATA);
        m.edit(|s| s.tr.attr = 0x83);
    };
    assert_eq!(one(0, &tss16), GP, "a 286 TSS has none");
}

#[test]
fn misaligned_accesses_of_ring_3_fault_when_asked_for() {
    const AM: u32 = 1 << 18;
    let one = |am: bool, ac: bool, ring3: bool, at: u32, size: u32| {
        let f = |a: &mut CodeAssembler| {
            match size {
                1 => a.mov(al, byte_ptr(at)),
                2 => a.mov(ax, word_ptr(at)),
                _ => a.mov(dword_ptr(at), eax),
            }
            .unwrap();
            pass(a);
        };
        let mut m = if ring3 { user(2 | if ac { AC } else { 0 }, f) } else { machine(f) };
        m.edit(|s| s.cr0 |= if am { AM } else { 0 });
        outcome(&mut m)
    };
    let ac = Some((17, 0));
    assert_eq!(one(true, true, true, 0x3_0001, 2), ac);
    assert_eq!(one(true, true, true, 0x3_0002, 4), ac);
    assert_eq!(one(true, true, true, 0x3_0002, 2), None);
    assert_eq!(one(true, true, true, 0x3_0003, 1), None);
    assert_eq!(one(true, true, true, 0x3_0004, 4), None);
    assert_eq!(one(false, true, true, 0x3_0001, 4), None, "CR0.AM");
    assert_eq!(one(true, false, true, 0x3_0001, 4), None, "EFLAGS.AC");
    assert_eq!(one(true, true, false, 0x3_0001, 4), None, "ring 0");
}

#[test]
fn popf_in_ring_3_turns_alignment_checks_on() {
    let mut m = user(2, |a| {
        a.mov(eax, dword_ptr(0x3_0001_u32)).unwrap();
        a.push(AC | 2).unwrap();
        a.popfd().unwrap();
        a.mov(eax, dword_ptr(0x3_0001_u32)).unwrap();
    });
    m.edit(|s| s.cr0 |= 1 << 18);
    assert_eq!(outcome(&mut m), Some((17, 0)));
}

#[test]
fn descriptor_table_registers_round_trip() {
    let mut m = machine(|a| {
        a.sgdt(fword_ptr(0x500_u32)).unwrap();
        a.sidt(fword_ptr(0x510_u32)).unwrap();
        a.mov(dword_ptr(0x522_u32), 0x1234_5678).unwrap();
        a.mov(word_ptr(0x520_u32), 0x7f).unwrap();
        a.db(&[0x66, 0x0f, 0x01, 0x1d, 0x20, 0x05, 0, 0]).unwrap(); // lidt with 16-bit operands: 24 bits of base
        a.sidt(fword_ptr(0x530_u32)).unwrap();
        pass(a);
    });
    assert_eq!(outcome(&mut m), None);
    assert_eq!((m.r16(0x500), m.r32(0x502)), (0xff, GDT));
    assert_eq!((m.r16(0x510), m.r32(0x512)), (0x7ff, IDT));
    assert_eq!((m.r16(0x530), m.r32(0x532)), (0x7f, 0x0034_5678));
}

#[test]
fn the_state_comes_out_as_it_went_in() {
    let mut m = machine(pass);
    let mut s = m.state();
    s.gpr = [1, 2, 3, 4, 5, 6, 7, 8];
    s.eflags = 0x24_4ed7;
    s.cr0 = 0xe005_003f;
    s.cr2 = 0x1234;
    s.cr3 = 0x10_0000;
    s.cr4 = 0x7bc;
    s.pdpte = [1, 2, 3, 4];
    s.dr = [1, 2, 3, 4, 0xffff_4ff1, 0x401];
    s.msrs.mtrr_var[3] = (0xe000_0001, 0xf_0000_0800);
    s.tsc_offset = 99;
    s.sti_shadow = true;
    s.nmi_blocked = true;
    s.pending_debug = 1;
    m.cpu.set_state(&s).unwrap();
    assert_eq!(m.state(), s);
}

#[test]
fn states_that_cannot_be_are_refused() {
    let mut m = machine(pass);
    let good = m.state();
    for edit in [
        (|s: &mut CpuState| s.cr0 = 0x8000_0010) as fn(&mut CpuState),
        |s| s.cr4 = 1,
        |s| s.msrs.efer = 0x800,
        |s| {
            s.cr0 = 0x10;
            s.eflags = 0x2_0002;
        },
        |s| s.fxsave[27] = 1,
    ] {
        let mut s = good.clone();
        edit(&mut s);
        assert!(matches!(m.cpu.set_state(&s), Err(HvError::BadState { .. })));
    }
    assert_eq!(m.state(), good);
}
