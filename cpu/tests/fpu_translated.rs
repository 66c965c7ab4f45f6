//! The floating point units on the host while translated code runs: what must be back in the processor's state whenever
//! somebody looks, and who runs what the host may not. Each case on the interpreter and on both kinds of code.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use cpu::Software;
use harness::*;
use hv_vcpu::CpuidTable;
use iced_x86::code_asm::*;

const DATA: u32 = 0x5_0000;
const IMAGE: u32 = 0x5_1000;
const OTHER: u32 = 0x5_2000;
const TS: u32 = 1 << 3;
const NE: u32 = 1 << 5;
const OSFXSR: u32 = 1 << 9;
const OSXMMEXCPT: u32 = 1 << 10;

fn word(fx: &[u8; 512], at: usize) -> u16 {
    u16::from_le_bytes([fx[at], fx[at + 1]])
}

fn dword(fx: &[u8; 512], at: usize) -> u32 {
    u32::from(word(fx, at)) | u32::from(word(fx, at + 2)) << 16
}

/// FXSAVE images that the same code leaves everywhere, and the vector that ended it.
fn run(prepare: impl Fn(&mut Machine), code: impl Fn(&mut CodeAssembler)) -> (Option<u32>, Machine) {
    let mut all = [Software::interpreter(), Software::eager(), Software::eager_hot()].map(|engine| {
        let mut m = Machine::with(&engine, &CpuidTable::pentium4(false));
        m.catch_all();
        m.flat_code(|a| {
            a.fninit().unwrap();
            code(a);
            a.mov(al, 0xaa_u32).unwrap();
            exit(a);
        });
        m.edit(|s| {
            s.cr0 |= NE;
            s.cr4 |= OSFXSR | OSXMMEXCPT;
        });
        prepare(&mut m);
        m.run();
        let vector = if m.io.exited == Some(0xaa) { None } else { Some(m.caught().vector) };
        (vector, m)
    });
    let left = |(vector, m): &mut (Option<u32>, Machine)| {
        let s = m.state();
        let eip = if vector.is_some() { m.caught().stack[0] } else { 0 };
        (*vector, eip, s.gpr, s.fxsave.to_vec(), m.read::<0x3000>(DATA).to_vec())
    };
    let [a, b, c] = &mut all;
    let (a, b, c) = (left(a), left(b), left(c));
    assert!(a == b && a == c, "they differ: {:?} {:?} {:?}", a.0, b.0, c.0);
    let [_, _, last] = all;
    last
}

fn quiet(code: impl Fn(&mut CodeAssembler)) -> Machine {
    let (vector, m) = run(|_| {}, code);
    assert_eq!(vector, None);
    m
}

/// The offset of the instruction with these bytes.
fn find(m: &Machine, bytes: &[u8]) -> u32 {
    let code = m.read::<512>(CODE);
    CODE + code.windows(bytes.len()).position(|w| w == bytes).unwrap() as u32
}

#[test]
fn fip_and_fdp_are_the_guests() {
    let mut m = quiet(|a| {
        a.mov(ecx, DATA).unwrap();
        a.fld(dword_ptr(ecx + 8)).unwrap();
        a.fadd_2(st0, st0).unwrap();
        a.mov(ecx, 1_u32).unwrap();
        a.fxsave(ptr(IMAGE)).unwrap();
        a.fld1().unwrap();
        a.fnstcw(word_ptr(DATA)).unwrap();
        a.fnstsw(ax).unwrap();
    });
    let image = m.read::<512>(IMAGE);
    assert_eq!(dword(&image, 8), find(&m, &[0xd8, 0xc0]));
    assert_eq!((word(&image, 12), dword(&image, 16), word(&image, 20)), (KCODE, DATA + 8, KDATA));
    // Control instructions do not count.
    assert_eq!(dword(&m.state().fxsave, 8), find(&m, &[0xd9, 0xe8]));
}

#[test]
fn fip_is_kept_across_blocks_and_through_a_loop() {
    let mut m = quiet(|a| {
        let mut again = a.create_label();
        let mut out = a.create_label();
        a.mov(ecx, 100_u32).unwrap();
        a.fldz().unwrap();
        a.fld1().unwrap();
        a.set_label(&mut again).unwrap();
        a.fadd_2(st1, st0).unwrap();
        a.cmp(ecx, 3_u32).unwrap();
        a.je(out).unwrap();
        a.fst(qword_ptr(ecx * 8 + DATA)).unwrap();
        a.dec(ecx).unwrap();
        a.jne(again).unwrap();
        a.set_label(&mut out).unwrap();
        a.mov(edx, 1_u32).unwrap();
    });
    let fx = m.state().fxsave;
    assert_eq!(dword(&fx, 8), find(&m, &[0xdc, 0xc1]));
    assert_eq!(dword(&fx, 16), DATA + 4 * 8);
}

#[test]
fn a_fault_leaves_what_ran_before_it() {
    // FS is null: #GP. FDP stays that of the first load.
    let (vector, mut m) = run(
        |m| m.w32(DATA, 0x4000_0000),
        |a| {
            a.xor(eax, eax).unwrap();
            a.mov(fs, eax).unwrap();
            a.fld(dword_ptr(DATA)).unwrap();
            a.movss(xmm3, dword_ptr(DATA)).unwrap();
            a.mulss(xmm3, xmm3).unwrap();
            a.fadd(dword_ptr(DATA + 0x100).fs()).unwrap();
            a.addss(xmm3, xmm3).unwrap();
        },
    );
    assert_eq!(vector, Some(13));
    let fx = m.state().fxsave;
    assert_eq!(dword(&fx, 16), DATA);
    assert_eq!(dword(&fx, 160 + 48), 0x4080_0000);
    assert_eq!(fx[4], 0x80);
    // Not aligned: #GP, XMM as they were.
    let (vector, mut m) = run(
        |m| m.w32(DATA, 0x4000_0000),
        |a| {
            a.movss(xmm3, dword_ptr(DATA)).unwrap();
            a.addps(xmm3, xmmword_ptr(DATA + 8)).unwrap();
            a.addss(xmm3, xmm3).unwrap();
        },
    );
    assert_eq!(vector, Some(13));
    assert_eq!(dword(&m.state().fxsave, 160 + 48), 0x4000_0000);
}

#[test]
fn ts_set_in_the_middle_stops_the_next() {
    for next in [&[0xd9, 0xe8][..], &[0x0f, 0x58, 0xc1], &[0x0f, 0xfc, 0xc1], &[0x0f, 0xae, 0x1d, 0, 0, 5, 0]]
    {
        let (vector, mut m) = run(
            |_| {},
            |a| {
                a.fldpi().unwrap();
                a.addps(xmm1, xmm2).unwrap();
                a.mov(eax, cr0).unwrap();
                a.or(eax, TS).unwrap();
                a.mov(cr0, eax).unwrap();
                a.mov(ebx, 7_u32).unwrap();
                a.db(next).unwrap();
            },
        );
        assert_eq!(vector, Some(7));
        assert_eq!(m.state().fxsave[4], 0x80);
        assert_eq!(m.caught().stack[0], find(&m, next));
    }
}

#[test]
fn an_exception_that_gets_unmasked_is_raised_where_it_must() {
    let (vector, m) = run(
        |m| m.w16(DATA, 0x37b),
        |a| {
            a.fld1().unwrap();
            a.fldz().unwrap();
            a.fldcw(word_ptr(DATA)).unwrap();
            a.fdivp(st1, st0).unwrap();
            a.mov(ebx, 7_u32).unwrap();
            a.fldpi().unwrap();
        },
    );
    assert_eq!(vector, Some(16));
    assert_eq!(m.caught().stack[0], find(&m, &[0xd9, 0xeb]));
    let (vector, mut m) = run(
        |m| m.w32(DATA, 0x1d80),
        |a| {
            a.divss(xmm0, xmm1).unwrap();
            a.mov(dword_ptr(OTHER), 0x3f80_0000_u32).unwrap();
            a.movss(xmm0, dword_ptr(OTHER)).unwrap();
            a.ldmxcsr(dword_ptr(DATA)).unwrap();
            a.divss(xmm0, xmm1).unwrap();
        },
    );
    assert_eq!(vector, Some(19));
    // ZE; LDMXCSR cleared IE.
    assert_eq!(dword(&m.state().fxsave, 24), 0x1d84);
}

#[test]
fn flags_of_mxcsr_and_the_rounding_mode_are_the_guests() {
    let mut m = quiet(|a| {
        a.mov(dword_ptr(DATA), 0x7f80_u32).unwrap();
        a.mov(dword_ptr(OTHER), 0x4040_0000_u32).unwrap();
        a.ldmxcsr(dword_ptr(DATA)).unwrap();
        a.mov(dword_ptr(DATA + 4), 0x3f80_0000_u32).unwrap();
        a.movss(xmm0, dword_ptr(DATA + 4)).unwrap();
        a.divss(xmm0, dword_ptr(OTHER)).unwrap();
        a.stmxcsr(dword_ptr(DATA + 8)).unwrap();
        a.cvtss2si(eax, dword_ptr(DATA + 4)).unwrap();
    });
    assert_eq!(m.r32(DATA + 8), 0x7fa0);
    let fx = m.state().fxsave;
    assert_eq!((dword(&fx, 24), dword(&fx, 160)), (0x7fa0, 0x3eaa_aaaa));
}

#[test]
fn a_switch_of_contexts_saves_and_loads_what_is_live() {
    let m = quiet(|a| {
        let mut again = a.create_label();
        a.fxsave(ptr(OTHER)).unwrap();
        a.fld1().unwrap();
        a.mov(eax, 3_u32).unwrap();
        a.cvtsi2sd(xmm5, eax).unwrap();
        a.mov(ecx, 50_u32).unwrap();
        a.set_label(&mut again).unwrap();
        a.fadd_2(st0, st0).unwrap();
        a.addsd(xmm5, xmm5).unwrap();
        a.fxsave(ptr(IMAGE)).unwrap();
        a.fxrstor(ptr(OTHER)).unwrap();
        a.fldpi().unwrap();
        a.mulsd(xmm5, xmm5).unwrap();
        a.fstp(st0).unwrap();
        a.fxsave(ptr(OTHER)).unwrap();
        a.fxrstor(ptr(IMAGE)).unwrap();
        a.dec(ecx).unwrap();
        a.jne(again).unwrap();
        a.fstp(qword_ptr(DATA)).unwrap();
        a.movsd_2(qword_ptr(DATA + 8), xmm5).unwrap();
    });
    assert_eq!(f64::from_bits(m.r64(DATA)), 50_f64.exp2());
    assert_eq!(f64::from_bits(m.r64(DATA + 8)), 3.0 * 50_f64.exp2());
}

#[test]
fn operands_that_are_not_memory_leave_the_units_live() {
    let m = quiet(|a| {
        a.mov(dword_ptr(MMIO), 0x4000_0000_u32).unwrap();
        a.mov(dword_ptr(MMIO + 4), 0x4040_0000_u32).unwrap();
        a.fld(dword_ptr(MMIO)).unwrap();
        a.movups(xmm7, xmmword_ptr(MMIO)).unwrap();
        a.fmul(dword_ptr(MMIO + 4)).unwrap();
        a.mulps(xmm7, xmmword_ptr(MMIO)).unwrap();
        a.movq(mmword_ptr(DATA), mm0).unwrap();
        a.fst(dword_ptr(MMIO + 16)).unwrap();
        a.fstp(dword_ptr(DATA)).unwrap();
        a.movaps(xmmword_ptr(MMIO + 32), xmm7).unwrap();
        a.movaps(xmmword_ptr(DATA + 16), xmm7).unwrap();
    });
    assert_eq!(m.read::<16>(DATA + 16), m.io.mmio[32..48]);
    assert_eq!(m.r32(DATA + 16), 0x4080_0000);
    assert_eq!(m.r32(DATA + 20), 0x4110_0000);
}

#[test]
fn comparisons_set_flags_for_what_follows() {
    let m = quiet(|a| {
        let (mut less, mut done) = (a.create_label(), a.create_label());
        a.fldz().unwrap();
        a.fld1().unwrap();
        a.fcomi(st0, st1).unwrap();
        a.fcmovnbe(st0, st1).unwrap();
        a.fstp(dword_ptr(DATA)).unwrap();
        a.fld1().unwrap();
        a.fcompp().unwrap();
        a.fnstsw(ax).unwrap();
        a.sahf().unwrap();
        a.jbe(less).unwrap();
        a.mov(dword_ptr(DATA + 4), 1_u32).unwrap();
        a.jmp(done).unwrap();
        a.set_label(&mut less).unwrap();
        a.mov(dword_ptr(DATA + 4), 2_u32).unwrap();
        a.set_label(&mut done).unwrap();
        a.ucomisd(xmm0, xmm1).unwrap();
        a.sete(byte_ptr(DATA + 8)).unwrap();
        a.pushfd().unwrap();
        a.pop(dword_ptr(DATA + 12)).unwrap();
    });
    assert_eq!((m.r32(DATA), m.r32(DATA + 4), m.r8(DATA + 8)), (0, 1, 1));
    assert_eq!(m.r32(DATA + 12) & 0x8d5, 0x40);
}

#[test]
fn a_user_that_may_clear_if_keeps_the_units() {
    let (vector, mut m) = run(
        |m| {
            let code = asm(32, OTHER, |a| {
                a.fld1().unwrap();
                a.mov(eax, 3_u32).unwrap();
                a.cvtsi2sd(xmm2, eax).unwrap();
                a.cli().unwrap();
                a.fadd_2(st0, st0).unwrap();
                a.addsd(xmm2, xmm2).unwrap();
                a.db(&[0x0f, 0x0b]).unwrap();
            });
            m.load(OTHER, &code);
        },
        |a| {
            // IOPL 3.
            to_user(a, OTHER, 0x3002);
        },
    );
    assert_eq!(vector, Some(6));
    let fx = m.state().fxsave;
    assert_eq!((word(&fx, 40), fx[39]), (0x4000, 0x80));
    assert_eq!(dword(&fx, 160 + 36), 0x4018_0000);
}

#[test]
fn a_string_move_from_another_segment_keeps_the_units() {
    // The interpreter does it, between two instructions that take it for granted that the units are live.
    let m = quiet(|a| {
        a.fld1().unwrap();
        a.mov(eax, 3_u32).unwrap();
        a.cvtsi2sd(xmm2, eax).unwrap();
        a.mov(esi, DATA + 0x100).unwrap();
        a.mov(edi, DATA + 0x200).unwrap();
        a.mov(ecx, 4_u32).unwrap();
        // REP MOVSD from FS
        a.db(&[0x64, 0xf3, 0xa5]).unwrap();
        a.fstp(qword_ptr(DATA)).unwrap();
        a.movsd_2(qword_ptr(DATA + 8), xmm2).unwrap();
    });
    assert_eq!((m.r32(DATA), m.r32(DATA + 4)), (0, 0x3ff0_0000));
    assert_eq!((m.r32(DATA + 8), m.r32(DATA + 12)), (0, 0x4008_0000));
}

#[test]
fn fds_is_what_the_register_held_when_the_operand_was_read() {
    for (other, split) in [(0, false), (0, true), (UDATA, false), (UDATA, true)] {
        let m = quiet(|a| {
            let (mut again, mut next) = (a.create_label(), a.create_label());
            a.mov(ebp, 4_u32).unwrap();
            a.set_label(&mut again).unwrap();
            a.mov(eax, u32::from(KDATA)).unwrap();
            a.mov(gs, eax).unwrap();
            a.fld(dword_ptr(DATA).gs()).unwrap();
            a.fstp(st0).unwrap();
            a.mov(eax, u32::from(other)).unwrap();
            if split {
                a.jmp(next).unwrap();
            }
            a.set_label(&mut next).unwrap();
            a.mov(gs, eax).unwrap();
            a.fxsave(ptr(IMAGE)).unwrap();
            a.dec(ebp).unwrap();
            a.jne(again).unwrap();
        });
        let image = m.read::<0x200>(IMAGE);
        assert_eq!((dword(&image, 16), word(&image, 20)), (DATA, KDATA), "{other:x} {split}");
    }
}

/// Code outlives the decoded instructions that it was made of: so many others ran meanwhile that these are gone. Then `body`
/// runs again, with CR0.TS as it is to be.
fn after_much_else(ts: u32, body: impl Fn(&mut CodeAssembler)) -> (Option<u32>, Machine) {
    const FILLER: u32 = 0x8_0000;
    const MANY: usize = 0xa000;
    // INC EAX; RET
    let filler = [vec![0x40; MANY], vec![0xc3]].concat();
    run(
        |m| m.load(FILLER, &filler),
        |a| {
            let (mut sub, mut again, mut begin) = (a.create_label(), a.create_label(), a.create_label());
            a.jmp(begin).unwrap();
            a.set_label(&mut sub).unwrap();
            body(a);
            a.ret().unwrap();
            a.set_label(&mut begin).unwrap();
            a.mov(ecx, 300_u32).unwrap();
            a.set_label(&mut again).unwrap();
            a.call(sub).unwrap();
            a.dec(ecx).unwrap();
            a.jne(again).unwrap();
            a.mov(edx, FILLER).unwrap();
            a.call(edx).unwrap();
            a.mov(eax, cr0).unwrap();
            a.or(eax, ts).unwrap();
            a.mov(cr0, eax).unwrap();
            a.call(sub).unwrap();
        },
    )
}

#[test]
fn code_that_is_old_stops_at_its_own_instruction() {
    let (vector, m) = after_much_else(TS, |a| {
        a.mov(dword_ptr(DATA), ecx).unwrap();
        a.lea(ebx, dword_ptr(ecx + 0x1234)).unwrap();
        a.fldpi().unwrap();
        a.fstp(st0).unwrap();
    });
    assert_eq!((vector, m.caught().stack[0]), (Some(7), find(&m, &[0xd9, 0xeb])));
}

#[test]
fn code_that_is_old_leaves_its_own_pointers() {
    let (vector, m) = after_much_else(0, |a| {
        a.mov(dword_ptr(DATA), ecx).unwrap();
        a.fld(dword_ptr(DATA)).unwrap();
        a.fstp(st0).unwrap();
        a.mov(dword_ptr(DATA + 4), ebx).unwrap();
        a.fxsave(ptr(IMAGE)).unwrap();
    });
    let image = m.read::<512>(IMAGE);
    assert_eq!((vector, dword(&image, 8)), (None, find(&m, &[0xdd, 0xd8])));
    assert_eq!((word(&image, 12), dword(&image, 16), word(&image, 20)), (KCODE, DATA, KDATA));
}
