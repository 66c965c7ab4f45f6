//! Hardware task switches.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::{CpuState, Stop};
use iced_x86::code_asm::*;

const NT: u32 = 1 << 14;
const RF: u32 = 1 << 16;
const TARGET: u32 = 0x3_0000;
const LDT: u32 = 0x3_8000;

/// A 32-bit TSS at TSS2 that starts at TARGET.
fn tss32(m: &Machine, eflags: u32) {
    m.w32(TSS2 + 0x20, TARGET);
    m.w32(TSS2 + 0x24, eflags);
    for i in 0..8 {
        m.w32(TSS2 + 0x28 + 4 * i, 0x1000_0000 + i);
    }
    m.w32(TSS2 + 0x28 + 16, 0x7_8000); // ESP
    for (off, sel) in [(0x48, KDATA), (0x4c, KCODE), (0x50, KDATA), (0x54, KDATA), (0x58, 0), (0x5c, UDATA)] {
        m.w16(TSS2 + off, sel);
    }
}

fn machine(f: impl FnOnce(&mut CodeAssembler), target: impl FnOnce(&mut CodeAssembler)) -> Machine {
    let mut m = Machine::new();
    m.catch_all();
    m.flat_code(f);
    tss32(&m, 2);
    m.load(TARGET, &asm(32, TARGET, target));
    m
}

fn pass(a: &mut CodeAssembler) {
    a.mov(al, 0xaa_u32).unwrap();
    exit(a);
}

fn outcome(m: &mut Machine) -> Option<(u32, u32)> {
    assert_eq!(m.run(), Stop::Kicked);
    if m.io.exited == Some(0xaa) {
        return None;
    }
    let c = m.caught();
    Some((c.vector, c.code()))
}

fn busy(m: &Machine, sel: u16) -> bool {
    m.r8(GDT + u32::from(sel) + 5) & 2 != 0
}

#[test]
fn jmp_saves_and_loads_everything_and_moves_the_busy_bit() {
    let mut m = machine(
        |a| {
            a.mov(ebx, 0xb0b0_b0b0_u32).unwrap();
            a.stc().unwrap();
            jmp_far(a, TSS2_SEL, 0);
        },
        exit,
    );
    m.w32(TSS2 + 0x1c, 0x12_3000); // CR3 is not loaded without paging
    m.run();
    let s = m.state();
    assert_eq!(
        s.gpr,
        [0x1000_0000, 0x1000_0001, 0x1000_0002, 0x1000_0003, 0x7_8000, 0x1000_0005, 0x1000_0006, 0x1000_0007]
    );
    assert_eq!(s.eflags, 2);
    assert_eq!((s.tr.selector, s.tr.base, s.tr.attr & 0xf), (TSS2_SEL, TSS2, 11));
    assert_eq!(s.seg[CpuState::GS].selector, UDATA);
    assert_eq!(s.cr0 & 8, 8, "TS");
    assert_eq!((busy(&m, TSS_SEL), busy(&m, TSS2_SEL)), (false, true));
    assert_eq!(m.r32(TSS + 0x20), CODE + 5 + 1 + 7, "EIP after the jump");
    assert_eq!(m.r32(TSS + 0x24), 3);
    assert_eq!(m.r32(TSS + 0x34), 0xb0b0_b0b0);
    assert_eq!(m.r32(TSS + 0x38), STACK);
    assert_eq!(m.r16(TSS + 0x4c), KCODE);
    assert_eq!(m.r16(TSS2), 0, "no back link");
}

#[test]
fn call_nests_and_iret_returns() {
    let mut m = machine(
        |a| {
            a.mov(ebx, 5).unwrap();
            call_far(a, TSS2_SEL, 0);
            a.mov(eax, ebx).unwrap();
            log(a);
            call_far(a, TSS2_SEL, 0); // the task goes on after its IRET
            a.pushfd().unwrap();
            a.pop(eax).unwrap();
            log(a);
            pass(a);
        },
        |a| {
            for v in [0x11, 0x22] {
                a.pushfd().unwrap();
                a.pop(eax).unwrap();
                log(a);
                a.mov(eax, v).unwrap();
                log(a);
                a.iretd().unwrap();
            }
        },
    );
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log, [NT | 2, 0x11, 5, NT | 2, 0x22, 2]);
    assert_eq!(m.r16(TSS2), TSS_SEL);
    assert_eq!((busy(&m, TSS_SEL), busy(&m, TSS2_SEL)), (true, false));
    assert_eq!(m.r32(TSS2 + 0x24) & NT, 0, "IRET saves the old task with NT clear");
    assert_eq!(m.state().tr.selector, TSS_SEL);
}

#[test]
fn descriptors_are_checked_in_the_old_task() {
    let one = |sel: u16, edit: &dyn Fn(&mut Machine), ring3: bool| {
        let mut m = machine(|a| if ring3 { to_user(a, USER_CODE, 2) } else { call_far(a, sel, 0) }, pass);
        m.load(USER_CODE, &asm(32, USER_CODE, |a| call_far(a, sel, 0)));
        edit(&mut m);
        let r = outcome(&mut m);
        if r.is_some() {
            assert_eq!(m.caught().eip(), if ring3 { USER_CODE } else { CODE });
            assert_eq!(m.state().tr.selector, TSS_SEL);
            assert!(busy(&m, TSS_SEL));
        }
        r
    };
    let at = GDT + u32::from(TSS2_SEL);
    let tss = u32::from(TSS2_SEL);
    assert_eq!(one(TSS2_SEL, &|_| {}, false), None);
    assert_eq!(one(TSS_SEL, &|_| {}, false), Some((13, u32::from(TSS_SEL))), "busy");
    assert_eq!(one(TSS2_SEL, &|m| m.w64(at, descriptor(TSS2, 0x67, 0x09)), false), Some((11, tss)), "absent");
    assert_eq!(one(TSS2_SEL, &|m| m.w64(at, descriptor(TSS2, 0x66, 0x89)), false), Some((10, tss)), "short");
    assert_eq!(
        one(TSS2_SEL, &|m| m.w64(at, descriptor(TSS2, 0x2a, 0x81)), false),
        Some((10, tss)),
        "short 16-bit"
    );
    assert_eq!(one(TSS2_SEL, &|_| {}, true), Some((13, tss)), "DPL 0 from ring 3");
    assert_eq!(one(TSS2_SEL | 3, &|_| {}, false), Some((13, tss)), "RPL 3");
    assert_eq!(one(TSS2_SEL, &|m| m.w64(at, descriptor(TSS2, 0x67, 0xe9)), true), None);
    // Through task gates.
    let g = |m: &mut Machine, sel: u16, kind: u8| m.w64(GDT + u32::from(FREE), gate(sel, 0, kind));
    assert_eq!(one(FREE | 3, &|m| g(m, TSS2_SEL, 0xe5), true), None);
    assert_eq!(one(FREE | 3, &|m| g(m, TSS2_SEL, 0x85), true), Some((13, u32::from(FREE))));
    assert_eq!(one(FREE, &|m| g(m, TSS2_SEL, 0x05), false), Some((11, u32::from(FREE))));
    assert_eq!(one(FREE, &|m| g(m, TSS_SEL, 0x85), false), Some((13, u32::from(TSS_SEL))));
    assert_eq!(
        one(FREE, &|m| g(m, TSS2_SEL | 4, 0x85), false),
        Some((13, u32::from(TSS2_SEL | 4))),
        "in the LDT"
    );
}

#[test]
fn segments_are_checked_in_the_new_task() {
    let one = |off: u32, sel: u16| {
        let mut m = machine(|a| jmp_far(a, TSS2_SEL, 0), pass);
        m.w64(GDT + u32::from(FREE), descriptor(0, u32::MAX, 0xc01b));
        m.w64(GDT + u32::from(FREE) + 8, descriptor(0, u32::MAX, 0xc013));
        m.w64(GDT + u32::from(FREE) + 16, descriptor(LDT, 0xff, 0x02));
        m.w16(TSS2 + off, sel);
        // The handlers run as a task of their own: the new task may have no usable stack.
        for v in [10_u32, 11, 12, 13] {
            m.w64(IDT + 8 * v, gate(0x78, 0, 0x85));
        }
        let tss3 = 0x2_8000;
        m.w64(GDT + 0x78, descriptor(tss3, 0x67, 0x89));
        m.w32(tss3 + 0x20, 0x6000);
        m.w32(tss3 + 0x24, 2);
        m.w32(tss3 + 0x38, 0x7_7000);
        for (o, s) in [(0x48, KDATA), (0x4c, KCODE), (0x50, KDATA), (0x54, KDATA)] {
            m.w16(tss3 + o, s);
        }
        m.load(
            0x6000,
            &asm(32, 0x6000, |a| {
                a.pop(eax).unwrap();
                log(a);
                exit(a);
            }),
        );
        m.run();
        if m.io.exited == Some(0xaa) {
            return None;
        }
        assert_eq!(m.r16(tss3), TSS2_SEL, "the fault belongs to the new task");
        assert_eq!(m.r32(TSS2 + 0x20), TARGET);
        assert_eq!(m.r32(TSS2 + 0x24) & RF, RF);
        Some(m.io.log[0])
    };
    const CS: u32 = 0x4c;
    const SS: u32 = 0x50;
    const DS: u32 = 0x54;
    const LDTR: u32 = 0x60;
    assert_eq!(one(DS, KDATA), None);
    // Error codes carry no EXT: JMP is the program's own doing.
    assert_eq!(one(LDTR, KDATA), Some(u32::from(KDATA)));
    assert_eq!(one(LDTR, FREE + 16), Some(u32::from(FREE) + 16));
    assert_eq!(one(CS, 0), Some(0));
    assert_eq!(one(CS, KDATA), Some(u32::from(KDATA)));
    assert_eq!(one(CS, KCODE | 3), Some(u32::from(KCODE)));
    assert_eq!(one(CS, FREE), Some(u32::from(FREE)));
    assert_eq!(one(SS, 0), Some(0));
    assert_eq!(one(SS, UDATA), Some(u32::from(UDATA & !3)));
    assert_eq!(one(SS, FREE + 8), Some(u32::from(FREE) + 8));
    assert_eq!(one(DS, FREE + 8), Some(u32::from(FREE) + 8));
    assert_eq!(one(DS, 0x200), Some(0x200));
    assert_eq!(one(DS, 0), None, "null is legal");
}

#[test]
fn code_may_come_from_the_new_ldt() {
    let mut m = machine(|a| jmp_far(a, TSS2_SEL, 0), pass);
    m.w64(GDT + u32::from(FREE), descriptor(LDT, 0xff, 0x82));
    m.w64(LDT + 8, descriptor(0, u32::MAX, 0xc09a));
    m.w16(TSS2 + 0x60, FREE);
    m.w16(TSS2 + 0x4c, 0x0c);
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.state().seg[CpuState::CS].selector, 0x0c);
    assert_eq!(m.r8(LDT + 8 + 5), 0x9b, "accessed");
}

#[test]
fn a_286_task_saves_and_loads_words() {
    let mut m = machine(
        |a| {
            a.mov(ebx, 0x1234_5678).unwrap();
            call_far(a, FREE, 0);
            pass(a);
        },
        pass,
    );
    let t = 0x2_8000;
    m.w64(GDT + u32::from(FREE), descriptor(t, 0x2b, 0x81));
    m.w64(GDT + u32::from(FREE) + 8, descriptor(TARGET, 0xffff, 0x9b));
    m.w16(t + 0x0e, 0);
    m.w16(t + 0x10, 2);
    for i in 0..8 {
        m.w16(t + 0x12 + 2 * i, 0x100 + i as u16);
    }
    m.w16(t + 0x1a, 0x4000); // SP
    for (off, sel) in [(0x22, KDATA), (0x24, FREE + 8), (0x26, KDATA), (0x28, KDATA)] {
        m.w16(t + off, sel);
    }
    m.load(
        TARGET,
        &asm(16, 0, |a| {
            a.mov(eax, ecx).unwrap();
            log(a);
            a.mov(ax, fs).unwrap();
            log(a);
            a.iret().unwrap();
        }),
    );
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log, [0x101, 0], "16 bits are logged; FS is null");
    assert_eq!(m.r16(t), TSS_SEL);
    assert_eq!(m.r16(t + 0x14), 0x101);
    assert_eq!(m.gpr(3), 0x1234_5678, "the 32-bit task got all of its register back");
}

#[test]
fn an_interrupt_through_a_task_gate_nests() {
    let mut m = machine(
        |a| {
            a.int(0x40).unwrap();
            a.mov(eax, 0x77).unwrap();
            log(a);
            pass(a);
        },
        |a| {
            a.mov(eax, 0x66).unwrap();
            log(a);
            a.iretd().unwrap();
        },
    );
    m.w64(IDT + 8 * 0x40, gate(TSS2_SEL, 0, 0x85));
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log, [0x66, 0x77]);
}

#[test]
fn iret_with_nt_checks_the_back_link() {
    for (link, code) in [(TSS2_SEL, u32::from(TSS2_SEL)), (0x200, 0x200), (0, 0), (KDATA, u32::from(KDATA))] {
        let mut m = machine(
            |a| {
                a.push(NT).unwrap();
                a.popfd().unwrap();
                a.iretd().unwrap();
            },
            pass,
        );
        m.w16(TSS, link);
        assert_eq!(outcome(&mut m), Some((10, code)), "link {link:x}");
    }
}

#[test]
fn the_t_bit_traps_after_the_switch_with_bt() {
    let mut m = machine(|a| jmp_far(a, TSS2_SEL, 0), pass);
    m.w16(TSS2 + 0x64, 1);
    m.edit(|s| s.dr[5] |= 0x155);
    m.run();
    let c = m.caught();
    assert_eq!((c.vector, c.eip(), c.eflags() & RF), (1, TARGET, 0));
    let s = m.state();
    assert_eq!(s.dr[4] & 0xf00f, 0x8000, "DR6.BT");
    assert_eq!(s.dr[5] & 0x155, 0, "the local enables of DR7 are cleared");
}

#[test]
fn a_task_may_be_a_v86_task() {
    let mut m = machine(|a| jmp_far(a, TSS2_SEL, 0), pass);
    m.w32(TSS2 + 0x20, 0);
    m.w32(TSS2 + 0x24, 0x2_3002);
    for (off, sel) in [(0x48, 0x4000_u16), (0x4c, 0x3000), (0x50, 0x3800), (0x54, 0x4000)] {
        m.w16(TSS2 + off, sel);
    }
    m.load(
        TARGET,
        &asm(16, 0, |a| {
            a.mov(word_ptr(0x20_u32), 0x1234).unwrap();
            a.mov(al, 0xaa_u32).unwrap();
            exit(a);
        }),
    );
    // The bitmap of this TSS is absent; the port write faults. Give it one.
    m.w64(GDT + u32::from(TSS2_SEL), descriptor(TSS2, 0x2067, 0x89));
    m.w16(TSS2 + 0x66, 0x68);
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.r16(0x4_0020), 0x1234);
}

#[test]
fn cr3_comes_from_the_new_tss_when_paging_is_on() {
    let (pd_a, pd_b, pt_a, pt_b) = (0x10_0000, 0x10_1000, 0x10_2000, 0x10_3000);
    let mut m = machine(
        |a| {
            a.mov(eax, dword_ptr(0x30_0000_u32)).unwrap();
            log(a);
            call_far(a, TSS2_SEL, 0);
            a.mov(eax, dword_ptr(0x30_0000_u32)).unwrap();
            log(a);
            pass(a);
        },
        |a| {
            a.mov(eax, dword_ptr(0x30_0000_u32)).unwrap();
            log(a);
            a.iretd().unwrap();
        },
    );
    for (pd, pt) in [(pd_a, pt_a), (pd_b, pt_b)] {
        m.w32(pd, pt | 7);
        for i in 0..1024 {
            m.w32(pt + 4 * i, i << 12 | 7);
        }
    }
    m.w32(pt_b + 4 * 0x300, 0x31_0007);
    m.w32(0x30_0000, 0xa);
    m.w32(0x31_0000, 0xb);
    m.w32(TSS + 0x1c, pd_a);
    m.w32(TSS2 + 0x1c, pd_b);
    m.edit(|s| {
        s.cr3 = pd_a;
        s.cr0 |= 1 << 31;
    });
    assert_eq!(outcome(&mut m), None);
    assert_eq!(m.io.log, [0xa, 0xb, 0xa]);
}
