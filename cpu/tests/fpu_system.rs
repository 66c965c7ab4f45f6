//! Floating point and the system: who may use the units, when exceptions are delivered, what the environment and
//! FXSAVE images hold, and that a fault leaves the units as they were.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::*;
use hv_vcpu::{CpuState, Stop};
use iced_x86::code_asm::*;

const EM: u32 = 1 << 2;
const TS: u32 = 1 << 3;
const MP: u32 = 1 << 1;
const NE: u32 = 1 << 5;
const OSFXSR: u32 = 1 << 9;
const OSXMMEXCPT: u32 = 1 << 10;
const DATA: u32 = 0x5_0000;

/// Runs code in ring 0 with these control register bits and returns the vector caught, `None` if it ran through.
fn run_with(with0: u32, with4: u32, f: impl FnOnce(&mut CodeAssembler)) -> (Option<u32>, Machine) {
    let mut m = Machine::new();
    m.catch_all();
    m.flat_code(|a| {
        f(a);
        a.mov(al, 0xaa_u32).unwrap();
        exit(a);
    });
    m.edit(|s| {
        s.cr0 |= with0;
        s.cr4 |= with4;
    });
    m.run();
    let vector = if m.io.exited == Some(0xaa) { None } else { Some(m.caught().vector) };
    (vector, m)
}

/// One instruction by its bytes.
fn one(with0: u32, with4: u32, code: &[u8]) -> Option<u32> {
    run_with(with0, with4, |a| {
        a.mov(ecx, DATA).unwrap();
        a.db(code).unwrap();
    })
    .0
}

const FLD1: &[u8] = &[0xd9, 0xe8];
const FNSTCW: &[u8] = &[0xd9, 0x39];
const WAIT: &[u8] = &[0x9b];
const PADDB_MM: &[u8] = &[0x0f, 0xfc, 0xc1];
const EMMS: &[u8] = &[0x0f, 0x77];
const PSHUFW: &[u8] = &[0x0f, 0x70, 0xc1, 0];
const FXSAVE: &[u8] = &[0x0f, 0xae, 0x01];
const FXRSTOR: &[u8] = &[0x0f, 0xae, 0x09];
const ADDPS: &[u8] = &[0x0f, 0x58, 0xc1];
const PADDB_XMM: &[u8] = &[0x66, 0x0f, 0xfc, 0xc1];
const LDMXCSR: &[u8] = &[0x0f, 0xae, 0x11];
const STMXCSR: &[u8] = &[0x0f, 0xae, 0x19];
const MOVAPS: &[u8] = &[0x0f, 0x28, 0x01];
/// SFENCE, LFENCE, MFENCE, PREFETCHT0, CLFLUSH, PAUSE, MOVNTI.
const ALWAYS: [&[u8]; 7] = [
    &[0x0f, 0xae, 0xf8],
    &[0x0f, 0xae, 0xe8],
    &[0x0f, 0xae, 0xf0],
    &[0x0f, 0x18, 0x09],
    &[0x0f, 0xae, 0x39],
    &[0xf3, 0x90],
    &[0x0f, 0xc3, 0x01],
];

#[test]
fn em_and_ts_keep_x87_away() {
    for code in [FLD1, FNSTCW, FXSAVE, FXRSTOR] {
        assert_eq!(one(EM, OSFXSR, code), Some(7));
        assert_eq!(one(TS, OSFXSR, code), Some(7));
        assert_eq!(one(0, 0, code), None);
    }
}

#[test]
fn wait_is_kept_away_by_ts_and_mp_together() {
    assert_eq!(one(TS | MP, 0, WAIT), Some(7));
    assert_eq!(one(TS, 0, WAIT), None);
    assert_eq!(one(MP, 0, WAIT), None);
    assert_eq!(one(EM, 0, WAIT), None);
}

#[test]
fn mmx_is_undefined_under_em() {
    for code in [PADDB_MM, EMMS, PSHUFW] {
        assert_eq!(one(EM, 0, code), Some(6));
        assert_eq!(one(EM | TS, 0, code), Some(6));
        assert_eq!(one(TS, 0, code), Some(7));
        assert_eq!(one(0, 0, code), None);
    }
}

#[test]
fn sse_needs_osfxsr() {
    for code in [ADDPS, PADDB_XMM, STMXCSR, MOVAPS] {
        assert_eq!(one(0, 0, code), Some(6));
        assert_eq!(one(TS, 0, code), Some(6));
        assert_eq!(one(EM, OSFXSR, code), Some(6));
        assert_eq!(one(TS, OSFXSR, code), Some(7));
        assert_eq!(one(0, OSFXSR, code), None);
    }
}

#[test]
fn fences_and_hints_always_work() {
    for code in ALWAYS {
        assert_eq!(one(EM | TS | MP, 0, code), None, "{code:02x?}");
    }
}

/// 1/0 with zero divide unmasked, then `f`.
fn after_exception(with0: u32, f: impl FnOnce(&mut CodeAssembler)) -> (Option<u32>, Machine) {
    run_with(with0, OSFXSR, |a| {
        a.fninit().unwrap();
        a.mov(word_ptr(DATA), 0x37b_u32).unwrap();
        a.fldcw(word_ptr(DATA)).unwrap();
        a.fld1().unwrap();
        a.fldz().unwrap();
        a.fdivp(st1, st0).unwrap();
        a.nop().unwrap();
        f(a);
    })
}

#[test]
fn an_unmasked_exception_waits_for_the_next_waiting_instruction() {
    for code in [FLD1, WAIT, PADDB_MM, EMMS, &[0xd9, 0xd0]] {
        let (vector, m) = after_exception(NE, |a| {
            a.fnstsw(word_ptr(DATA + 2)).unwrap();
            a.db(code).unwrap();
        });
        assert_eq!(vector, Some(16), "{code:02x?}");
        // ES, B and ZE.
        assert_eq!(m.r16(DATA + 2) & 0x80ff, 0x8084);
        // Saved EIP: that of the waiting instruction.
        let eip = m.caught().stack[0];
        assert_eq!(m.read::<2>(eip)[0], code[0]);
    }
}

#[test]
fn instructions_that_do_not_wait_pass_and_clear() {
    let (vector, _) = after_exception(NE, |a| {
        a.fnstcw(word_ptr(DATA)).unwrap();
        a.fnstsw(ax).unwrap();
        a.fnstenv(ptr(DATA)).unwrap();
        a.fnclex().unwrap();
        a.fld1().unwrap();
    });
    assert_eq!(vector, None);
    for f in
        [|a: &mut CodeAssembler| a.fninit().unwrap(), |a: &mut CodeAssembler| a.fnsave(ptr(DATA)).unwrap()]
    {
        assert_eq!(
            after_exception(NE, |a| {
                f(a);
                a.fld1().unwrap();
            })
            .0,
            None
        );
    }
}

#[test]
fn unmasking_a_flag_raises_it_late() {
    let (vector, _) = run_with(NE, 0, |a| {
        a.fninit().unwrap();
        a.fld1().unwrap();
        a.fldz().unwrap();
        a.fdivp(st1, st0).unwrap();
        a.mov(word_ptr(DATA), 0x37b_u32).unwrap();
        a.fldcw(word_ptr(DATA)).unwrap();
        a.mov(ebx, 0x77_u32).unwrap();
        a.fld1().unwrap();
    });
    assert_eq!(vector, Some(16));
}

#[test]
fn ts_comes_before_a_pending_exception() {
    let (vector, _) = after_exception(NE, |a| {
        a.mov(eax, cr0).unwrap();
        a.or(eax, TS).unwrap();
        a.mov(cr0, eax).unwrap();
        a.fld1().unwrap();
    });
    assert_eq!(vector, Some(7));
}

#[test]
fn without_ne_the_exception_goes_out_as_ferr_and_waits_for_an_interrupt() {
    let mut m = Machine::new();
    m.catch_all();
    const HANDLER: u32 = 0x6_0000;
    let code = asm(32, HANDLER, |a| {
        a.fnclex().unwrap();
        a.inc(dword_ptr(DATA + 16)).unwrap();
        a.iretd().unwrap();
    });
    m.load(HANDLER, &code);
    m.gate(0x75, HANDLER, 0);
    m.flat_code(|a| {
        a.fninit().unwrap();
        a.mov(word_ptr(DATA), 0x37b_u32).unwrap();
        a.fldcw(word_ptr(DATA)).unwrap();
        a.fld1().unwrap();
        a.fldz().unwrap();
        a.fdivp(st1, st0).unwrap();
        a.fld1().unwrap();
        a.mov(al, 0xaa_u32).unwrap();
        exit(a);
    });
    m.edit(|s| s.eflags |= 0x200);
    m.io.limit = 5_000;
    assert_eq!(m.cpu_run(), Stop::Kicked);
    assert!(m.io.ferr, "FERR# asserted");
    assert_eq!(m.io.exited, None, "the instruction waits");
    m.io.intr.push_back(0x75);
    m.io.limit = u64::MAX;
    m.cpu_run();
    assert_eq!(m.io.exited, Some(0xaa));
    assert_eq!(m.r32(DATA + 16), 1);
    assert!(!m.io.ferr, "FNCLEX released it");
    assert_eq!(m.state().fxsave[4].count_ones(), 3, "the waiting FLD1 ran");
}

#[test]
fn ignne_lets_instructions_go_on() {
    let mut m = Machine::new();
    m.catch_all();
    m.io.ignne = true;
    m.flat_code(|a| {
        a.fninit().unwrap();
        a.mov(word_ptr(DATA), 0x37b_u32).unwrap();
        a.fldcw(word_ptr(DATA)).unwrap();
        a.fld1().unwrap();
        a.fldz().unwrap();
        a.fdivp(st1, st0).unwrap();
        a.fld1().unwrap();
        a.db(WAIT).unwrap();
        a.mov(al, 0xaa_u32).unwrap();
        exit(a);
    });
    m.run();
    assert_eq!(m.io.exited, Some(0xaa));
    assert!(m.io.ferr);
}

#[test]
fn unmasked_simd_exceptions_raise_xm_or_ud() {
    let code = |a: &mut CodeAssembler| {
        a.mov(dword_ptr(DATA), 0x1d80_u32).unwrap();
        a.ldmxcsr(dword_ptr(DATA)).unwrap();
        a.mov(dword_ptr(DATA), 0x3f80_0000_u32).unwrap();
        a.movss(xmm0, dword_ptr(DATA)).unwrap();
        a.xorps(xmm1, xmm1).unwrap();
        a.divss(xmm0, xmm1).unwrap();
    };
    let (vector, mut m) = run_with(0, OSFXSR | OSXMMEXCPT, code);
    assert_eq!(vector, Some(19));
    let fx = m.state().fxsave;
    assert_eq!(fx[24] & 0x3f, 4, "ZE is set");
    assert_eq!(fx[160..164], 0x3f80_0000_u32.to_le_bytes(), "the destination stays");
    assert_eq!(run_with(0, OSFXSR, code).0, Some(6));
}

#[test]
fn aligned_operands_must_be() {
    let at = |off: u32, code: &'static [u8]| {
        run_with(0, OSFXSR, move |a| {
            a.mov(ecx, DATA + off).unwrap();
            a.db(code).unwrap();
        })
        .0
    };
    // MOVAPS, ADDPS, PADDB, MOVNTDQ, MOVDQA, FXSAVE, FXRSTOR.
    let aligned: [&[u8]; 7] = [
        MOVAPS,
        &[0x0f, 0x58, 0x01],
        &[0x66, 0x0f, 0xfc, 0x01],
        &[0x66, 0x0f, 0xe7, 0x01],
        &[0x66, 0x0f, 0x7f, 0x01],
        FXSAVE,
        FXRSTOR,
    ];
    for code in aligned {
        assert_eq!(at(0, code), None, "{code:02x?}");
        assert_eq!(at(8, code), Some(13), "{code:02x?}");
    }
    // MOVUPS, MOVDQU, ADDSS, MOVQ, PADDB mm.
    let any: [&[u8]; 5] = [
        &[0x0f, 0x10, 0x01],
        &[0xf3, 0x0f, 0x7f, 0x01],
        &[0xf3, 0x0f, 0x58, 0x01],
        &[0xf3, 0x0f, 0x7e, 0x01],
        &[0x0f, 0xfc, 0x01],
    ];
    for code in any {
        assert_eq!(at(3, code), None, "{code:02x?}");
    }
}

#[test]
fn reserved_bits_of_mxcsr_are_refused() {
    let load = |v: u32, code: &'static [u8], at: u32| {
        run_with(0, OSFXSR, move |a| {
            a.mov(ecx, DATA).unwrap();
            a.mov(dword_ptr(DATA + at), v).unwrap();
            a.db(code).unwrap();
        })
    };
    assert_eq!(load(0xffff, LDMXCSR, 0).0, None);
    assert_eq!(load(0x1_0000, LDMXCSR, 0).0, Some(13));
    assert_eq!(load(0xffff, FXRSTOR, 24).0, None);
    let (vector, mut m) = load(0x8000_1f80, FXRSTOR, 24);
    assert_eq!(vector, Some(13));
    assert_eq!(m.state().fxsave[0..2], [0x40, 0], "nothing was loaded");
}

#[test]
fn fxsave_leaves_the_reserved_part_and_shows_the_mask() {
    let (vector, m) = run_with(0, OSFXSR, |a| {
        a.mov(ecx, DATA).unwrap();
        a.mov(edi, DATA).unwrap();
        a.fninit().unwrap();
        a.fld1().unwrap();
        a.mov(eax, 0xcccc_cccc_u32).unwrap();
        for off in (0..512).step_by(4) {
            a.mov(dword_ptr(DATA + off), eax).unwrap();
        }
        a.db(FXSAVE).unwrap();
    });
    assert_eq!(vector, None);
    let fx: [u8; 512] = m.read(DATA);
    assert_eq!(fx[0..5], [0x7f, 0x03, 0, 0x38, 0x80]);
    assert_eq!(fx[28..32], [0xff, 0xff, 0, 0]);
    assert_eq!(fx[32..42], [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f]);
    assert!(fx[288..].iter().all(|&b| b == 0xcc));
}

/// FLD m64 at [`DATA`] + 8, then an FNSTENV at `DATA` + 64.
fn environment(f: impl FnOnce(&mut CodeAssembler)) -> (Machine, u32) {
    let (vector, m) = run_with(NE, 0, |a| {
        a.fninit().unwrap();
        a.db(&[0x3e, 0xdd, 0x05]).unwrap();
        a.dd(&[DATA + 8]).unwrap();
        a.fnstcw(word_ptr(DATA)).unwrap();
        a.fldcw(word_ptr(DATA)).unwrap();
        f(a);
    });
    assert_eq!(vector, None);
    (m, CODE + 2)
}

#[test]
fn the_environment_points_at_the_last_instruction_that_was_no_control() {
    let (m, at) = environment(|a| a.fnstenv(ptr(DATA + 64)).unwrap());
    let field = |i: u32| m.r32(DATA + 64 + 4 * i);
    assert_eq!(field(0), 0xffff_037f);
    assert_eq!(field(1), 0xffff_3800);
    assert_eq!(field(2), 0xffff_7fff, "R7 holds zero: tag 01");
    assert_eq!(field(3), at, "with its prefix");
    assert_eq!(field(4) & 0xffff, u32::from(KCODE));
    assert_eq!(field(5), DATA + 8);
    assert_eq!(field(6), 0xffff_0000 | u32::from(KDATA));
}

#[test]
fn the_short_environment_has_words() {
    let (m, at) = environment(|a| {
        a.db(&[0x66, 0xd9, 0x35]).unwrap();
        a.dd(&[DATA + 64]).unwrap();
    });
    let field = |i: u32| u32::from(m.r16(DATA + 64 + 2 * i));
    assert_eq!((field(0), field(1), field(2)), (0x37f, 0x3800, 0x7fff));
    assert_eq!((field(3), field(4)), (at & 0xffff, u32::from(KCODE)));
    assert_eq!((field(5), field(6)), ((DATA + 8) & 0xffff, u32::from(KDATA)));
}

#[test]
fn real_mode_environments_hold_linear_addresses() {
    for wide in [false, true] {
        let mut m = Machine::new();
        let code = asm(16, 0x100, |a| {
            a.fninit().unwrap();
            a.mov(ax, 0x3000_u32).unwrap();
            a.mov(ds, ax).unwrap();
            a.fld(dword_ptr(0x1234_u32)).unwrap();
            if wide {
                a.db(&[0x66]).unwrap();
            }
            a.db(&[0xd9, 0x36, 0x00, 0x20]).unwrap();
            exit(a);
        });
        m.load(0x2_0100, &code);
        m.real(0x2000, 0x100);
        m.run();
        let fip = 0x2_0107_u32;
        let fdp = 0x3_1234_u32;
        if wide {
            let field = |i: u32| m.r32(0x3_2000 + 4 * i);
            assert_eq!(field(3), 0xffff_0000 | (fip & 0xffff));
            assert_eq!(field(4) >> 12, fip >> 16);
            assert_eq!(field(5), 0xffff_0000 | (fdp & 0xffff));
            assert_eq!(field(6), fdp >> 16 << 12);
        } else {
            let field = |i: u32| u32::from(m.r16(0x3_2000 + 2 * i));
            assert_eq!(field(3), fip & 0xffff);
            assert_eq!(field(4) >> 12, fip >> 16);
            assert_eq!(field(5), fdp & 0xffff);
            assert_eq!(field(6) >> 12, fdp >> 16);
        }
    }
}

#[test]
fn the_opcode_is_kept_at_an_unmasked_exception() {
    let (_, m) = after_exception(NE, |a| a.fnstenv(ptr(DATA + 64)).unwrap());
    // FDIVP ST(1), ST(0) is DE F9.
    assert_eq!(m.r32(DATA + 64 + 16) >> 16, 0x6f9);
}

#[test]
fn fsave_and_frstor_bring_all_back() {
    for wide in [false, true] {
        let p = |op: u8, modrm: u8| {
            let mut c = if wide { vec![] } else { vec![0x66] };
            c.extend([op, modrm]);
            c
        };
        let (vector, mut m) = run_with(NE, 0, |a| {
            a.fninit().unwrap();
            a.fldpi().unwrap();
            a.fld1().unwrap();
            a.db(&[0xd8, 0xd1]).unwrap();
            a.db(&p(0xdd, 0x35)).unwrap();
            a.dd(&[DATA]).unwrap();
            a.fnstenv(ptr(DATA + 256)).unwrap();
            a.db(&p(0xdd, 0x25)).unwrap();
            a.dd(&[DATA]).unwrap();
        });
        assert_eq!(vector, None);
        // FNSAVE left an initialised unit.
        assert_eq!(
            (m.r32(DATA + 256), m.r32(DATA + 260), m.r32(DATA + 264)),
            (0xffff_037f, 0xffff_0000, 0xffff_ffff)
        );
        let fx = m.state().fxsave;
        assert_eq!(fx[0..5], [0x7f, 0x03, 0, 0x31, 0xc0], "TOP 6, C0");
        assert_eq!(fx[32..42], [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f]);
        assert_eq!(fx[48..58], [0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0, 0x40]);
    }
}

#[test]
fn a_faulting_store_changes_nothing() {
    // FSTP m64, FSTP m80, FISTP m64, FSTP m32 to a segment that ends at 4 KiB; the value would be inexact.
    let stores: [&[u8]; 4] = [
        &[0x64, 0xdd, 0x1d, 0xfd, 0x0f, 0, 0],
        &[0x64, 0xdb, 0x3d, 0xfd, 0x0f, 0, 0],
        &[0x64, 0xdf, 0x3d, 0xfd, 0x0f, 0, 0],
        &[0x64, 0xd9, 0x1d, 0xfd, 0x0f, 0, 0],
    ];
    for code in stores {
        let mut m = Machine::new();
        m.catch_all();
        m.flat_code(|a| {
            a.fninit().unwrap();
            a.fldpi().unwrap();
            a.mov(ax, u32::from(FREE)).unwrap();
            a.mov(fs, ax).unwrap();
            a.db(code).unwrap();
            exit(a);
        });
        m.w64(GDT + u32::from(FREE), descriptor(DATA, 0xfff, 0x93));
        m.load(DATA + 0xff0, &[0x5a; 32]);
        m.run();
        assert_eq!((m.caught().vector, m.caught().code()), (13, 0));
        let fx = m.state().fxsave;
        assert_eq!(fx[2..5], [0, 0x38, 0x80], "no pop, no flag");
        assert_eq!(m.read::<32>(DATA + 0xff0), [0x5a; 32]);
        assert_ne!(u32::from_le_bytes([fx[16], fx[17], fx[18], fx[19]]), 0xffd, "FDP");
    }
}

#[test]
fn mmx_turns_the_stack_into_registers() {
    let (vector, mut m) = run_with(0, 0, |a| {
        a.fninit().unwrap();
        a.fld1().unwrap();
        a.mov(eax, 0x1234_5678_u32).unwrap();
        a.movd(mm3, eax).unwrap();
    });
    assert_eq!(vector, None);
    let fx = m.state().fxsave;
    assert_eq!(fx[2..5], [0, 0, 0xff], "TOP 0, all valid");
    assert_eq!(fx[80..90], [0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, 0xff, 0xff]);
    let (_, mut m) = run_with(0, 0, |a| {
        a.movd(mm3, eax).unwrap();
        a.emms().unwrap();
    });
    assert_eq!(m.state().fxsave[4], 0);
}

#[test]
fn a_state_with_a_pending_exception_is_taken_as_it_is() {
    let mut m = Machine::new();
    m.catch_all();
    m.flat_code(|a| {
        a.fld1().unwrap();
        exit(a);
    });
    m.edit(|s| {
        s.cr0 |= NE;
        s.fxsave[0..2].copy_from_slice(&0x37b_u16.to_le_bytes());
        s.fxsave[2..4].copy_from_slice(&0x8084_u16.to_le_bytes());
    });
    m.run();
    assert_eq!(m.caught().vector, 16);
}

/// Only fields that software sees.
#[test]
fn the_image_comes_out_as_it_went_in() {
    let mut m = Machine::new();
    let mut want = [0_u8; 512];
    for (i, b) in want.iter_mut().enumerate() {
        *b = (i * 7 + 3) as u8;
    }
    want[0..2].copy_from_slice(&0x0f7f_u16.to_le_bytes());
    want[2..4].copy_from_slice(&0x2a3f_u16.to_le_bytes());
    want[5] = 0;
    want[7] &= 7;
    want[14..16].fill(0);
    want[22..24].fill(0);
    want[24..28].copy_from_slice(&0xbfff_u32.to_le_bytes());
    want[28..32].copy_from_slice(&0xffff_u32.to_le_bytes());
    for i in 0..8 {
        want[42 + 16 * i..48 + 16 * i].fill(0);
    }
    want[288..].fill(0);
    m.edit(|s: &mut CpuState| s.fxsave = want);
    assert_eq!(m.state().fxsave, want);
}
