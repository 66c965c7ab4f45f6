//! REP MOVS and REP STOS, where both ranges lie in one plain page each: the host's own, on the arena. REPNE SCASB: a
//! search in the arena, page by page.
//!
//! Elements move in the same order, so ranges that overlap come out the same. No check fails after the first element,
//! and what the count takes is taken from the budget; all else is for the interpreter.

use std::mem::offset_of;

use super::asm::{Asm, Label, R11, R14, R15, RAX, RBP, RCX, RDI, RDX, RSI, Reg, Rm, Size, cond};
use super::layout as at;
use super::lower::GPR;
use crate::cpu::eflags;
use crate::mem::Slot;

// With the operand size prefix.
const MOVDQA: [u8; 2] = [0x0f, 0x6f];
const PCMPEQB: [u8; 2] = [0x0f, 0x74];
const PMOVMSKB: [u8; 2] = [0x0f, 0xd7];

const EAX: Reg = GPR[0];
const ECX: Reg = GPR[1];

/// Called; they return with the zero flag set if the instruction is done, else clear: the interpreter does what is left
/// of it. The host's flags, RAX, RCX, RDX and XMM8 to 12 are lost.
pub(super) struct Repeats {
    movs: [u32; 3],
    stos: [u32; 3],
    /// REPNE SCASB; the guest's flags are in memory before and after it.
    pub(super) search: u32,
}

impl Repeats {
    pub(super) fn emit(a: &mut Asm) -> Self {
        let sizes = [Size::B, Size::W, Size::D];
        Self {
            movs: sizes.map(|w| emit(a, w, true)),
            stos: sizes.map(|w| emit(a, w, false)),
            search: emit_search(a),
        }
    }

    /// For an element of so many bytes.
    pub(super) fn get(&self, movs: bool, w: Size) -> u32 {
        let all = if movs { &self.movs } else { &self.stos };
        all[w.bytes().ilog2() as usize]
    }
}

fn emit(a: &mut Asm, w: Size, movs: bool) -> u32 {
    // The guest's ESI and EDI are where the host's instructions want theirs.
    const { assert!(GPR[6] == RSI && GPR[7] == RDI) };
    let (bytes, scale) = (w.bytes(), w.bytes().ilog2() as u8);
    let start = a.here();
    let out = a.label();
    emit_guard(a, out);
    // One has been taken from the budget.
    a.lea(Size::Q, RCX, Rm::Base(ECX, -1));
    a.rm(Size::Q, &[0x3b], RCX, Rm::Reg(R14));
    a.jcc(cond::G, out);
    a.alu_imm(Size::Q, 7, Rm::Reg(RCX), 0xfff);
    a.jcc(cond::A, out);
    // From the first byte to the last.
    a.lea(Size::D, RCX, Rm::Scaled(RCX, scale, bytes as i32 - 1));
    if movs {
        a.lea(Size::D, RDX, Rm::Index(RSI, RCX, 0, 0));
        emit_lookup(a, RSI, RAX, RDX, offset_of!(Slot, read), out);
    }
    a.rm(Size::D, &[0x03], RCX, Rm::Reg(RDI));
    emit_lookup(a, RDI, RDX, RCX, offset_of!(Slot, write), out);
    if movs {
        a.rm(Size::Q, &[0x03], RAX, Rm::Reg(R15));
        a.rm(Size::Q, &[0x87], RSI, Rm::Reg(RAX));
    } else {
        a.mov(Size::D, RAX, EAX);
    }
    a.rm(Size::Q, &[0x03], RDX, Rm::Reg(R15));
    a.rm(Size::Q, &[0x87], RDI, Rm::Reg(RDX));
    a.mov(Size::D, RCX, ECX);
    // REP
    a.bytes(&[0xf3]);
    match (movs, w) {
        (true, Size::B) => a.bytes(&[0xa4]),
        (true, Size::W) => a.bytes(&[0x66, 0xa5]),
        (true, _) => a.bytes(&[0xa5]),
        (false, Size::B) => a.bytes(&[0xaa]),
        (false, Size::W) => a.bytes(&[0x66, 0xab]),
        (false, _) => a.bytes(&[0xab]),
    }
    if movs {
        a.lea(Size::D, RSI, Rm::Index(RAX, ECX, scale, 0));
    }
    a.lea(Size::D, RDI, Rm::Index(RDX, ECX, scale, 0));
    a.rm(Size::Q, &[0x2b], R14, Rm::Reg(ECX));
    a.alu_imm(Size::Q, 0, Rm::Reg(R14), 1);
    a.rm(Size::D, &[0x33], ECX, Rm::Reg(ECX));
    a.bind(out);
    a.ret();
    start
}

/// With ECX 0 the instruction is done; downwards is for the interpreter.
fn emit_guard(a: &mut Asm, out: Label) {
    a.rm(Size::D, &[0x85], ECX, Rm::Reg(ECX));
    a.jcc(cond::E, out);
    // TEST [eflags], DF
    a.rm(Size::D, &[0xf7], 0, Rm::Base(RBP, at::EFLAGS));
    a.imm(Size::D, eflags::DF);
    a.jcc(cond::NE, out);
}

/// REPNE SCASB upwards. The last element that the count allows is left for the interpreter: its flags say what it is.
fn emit_search(a: &mut Asm) -> u32 {
    const EDI: Reg = GPR[7];
    /// What is searched for, sixteen times; and where it was found.
    const WANTED: Reg = 8;
    const FOUND: Reg = 9;
    let equal = |a: &mut Asm, to: Reg, disp: i32| {
        a.rm(Size::W, &MOVDQA, to, Rm::Base(RAX, disp));
        a.rm(Size::W, &PCMPEQB, to, Rm::Reg(WANTED));
    };
    let mask = |a: &mut Asm| {
        a.rm(Size::W, &PMOVMSKB, RDX, Rm::Reg(FOUND));
        a.rm(Size::D, &[0x85], RDX, Rm::Reg(RDX));
    };
    let (lin, room) = (Rm::Base(RBP, at::LIN), Rm::Base(RBP, at::SPILL));
    let start = a.here();
    let (out, search) = (a.label(), a.label());
    emit_guard(a, out);
    let page = a.mark();
    a.mov(Size::D, RCX, EDI);
    emit_lookup(a, EDI, RDX, RCX, offset_of!(Slot, read), out);
    a.rm(Size::Q, &[0x03], RDX, Rm::Reg(R15));
    // To the end of the page, of the count but one, and of the budget.
    a.mov(Size::D, RCX, EDI);
    a.alu_imm(Size::D, 1, Rm::Reg(RCX), !0xfff);
    // NEG
    a.rm(Size::D, &[0xf7], 3, Rm::Reg(RCX));
    a.lea(Size::Q, RAX, Rm::Base(ECX, -1));
    for most in [RAX, R14] {
        a.rm(Size::Q, &[0x3b], RCX, Rm::Reg(most));
        // CMOVG
        a.rm(Size::Q, &[0x0f, 0x4f], RCX, Rm::Reg(most));
    }
    a.rm(Size::Q, &[0x85], RCX, Rm::Reg(RCX));
    a.jcc(cond::G, search);
    // There is something to do: the zero flag is clear.
    a.alu_imm(Size::D, 1, Rm::Reg(RCX), 1);
    a.bind(out);
    a.ret();

    a.bind(search);
    a.store(Size::D, room, RCX);
    a.store(Size::D, lin, EDI);
    a.mov(Size::Q, EDI, RDX);
    a.rm(Size::W, &[0x0f, 0x6e], WANTED, Rm::Reg(EAX));
    // PUNPCKLBW, PSHUFLW, PSHUFD
    a.rm(Size::W, &[0x0f, 0x60], WANTED, Rm::Reg(WANTED));
    a.bytes(&[0xf2, 0x45, 0x0f, 0x70, 0xc0, 0]);
    a.rm(Size::W, &[0x0f, 0x70], WANTED, Rm::Reg(WANTED));
    a.bytes(&[0]);
    // Sixteen bytes that are aligned lie in one page. What lies before the first is not looked at.
    a.mov(Size::D, RCX, RDX);
    a.alu_imm(Size::D, 4, Rm::Reg(RCX), 15);
    a.mov(Size::Q, RAX, RDX);
    a.alu_imm(Size::Q, 4, Rm::Reg(RAX), !15);
    let [first, four, one, none] = [(); 4].map(|()| a.label());
    equal(a, FOUND, 0);
    a.rm(Size::W, &PMOVMSKB, RDX, Rm::Reg(FOUND));
    // SHR by CL
    a.rm(Size::D, &[0xd3], 5, Rm::Reg(RDX));
    a.load(Size::D, RCX, room);
    a.rm(Size::Q, &[0x03], RCX, Rm::Reg(EDI));
    a.rm(Size::D, &[0x85], RDX, Rm::Reg(RDX));
    a.jcc(cond::NE, first);
    a.alu_imm(Size::Q, 0, Rm::Reg(RAX), 16);
    a.bind(four);
    a.lea(Size::Q, RDX, Rm::Base(RAX, 64));
    a.rm(Size::Q, &[0x3b], RDX, Rm::Reg(RCX));
    a.jcc(cond::A, one);
    for (n, to) in (FOUND..FOUND + 4).enumerate() {
        equal(a, to, 16 * n as i32);
    }
    for other in FOUND + 1..FOUND + 4 {
        // POR
        a.rm(Size::W, &[0x0f, 0xeb], FOUND, Rm::Reg(other));
    }
    mask(a);
    a.jcc(cond::NE, one);
    a.alu_imm(Size::Q, 0, Rm::Reg(RAX), 64);
    a.jmp(four);
    a.bind(one);
    let here = a.label();
    a.rm(Size::Q, &[0x3b], RAX, Rm::Reg(RCX));
    a.jcc(cond::AE, none);
    equal(a, FOUND, 0);
    mask(a);
    a.jcc(cond::NE, here);
    a.alu_imm(Size::Q, 0, Rm::Reg(RAX), 16);
    a.jmp(one);
    a.bind(first);
    a.mov(Size::Q, RAX, EDI);
    a.bind(here);
    // BSF
    a.rm(Size::D, &[0x0f, 0xbc], RDX, Rm::Reg(RDX));
    a.rm(Size::Q, &[0x03], RAX, Rm::Reg(RDX));
    a.rm(Size::Q, &[0x3b], RAX, Rm::Reg(RCX));
    a.jcc(cond::AE, none);
    // One element has been taken from the budget, and so many more were looked at.
    a.rm(Size::Q, &[0x2b], RAX, Rm::Reg(EDI));
    a.rm(Size::Q, &[0x2b], R14, Rm::Reg(RAX));
    a.alu_imm(Size::D, 0, Rm::Reg(RAX), 1);
    a.rm(Size::D, &[0x2b], ECX, Rm::Reg(RAX));
    a.rm(Size::D, &[0x03], RAX, lin);
    a.mov(Size::D, EDI, RAX);
    // Two equal numbers were compared.
    a.store_imm(Size::D, Rm::Base(RBP, at::FLAGS), super::pack(eflags::ZF | eflags::PF));
    a.rm(Size::D, &[0x33], RAX, Rm::Reg(RAX));
    a.ret();

    a.bind(none);
    a.rm(Size::Q, &[0x2b], RCX, Rm::Reg(EDI));
    a.load(Size::D, EDI, lin);
    a.rm(Size::D, &[0x03], EDI, Rm::Reg(RCX));
    a.rm(Size::D, &[0x2b], ECX, Rm::Reg(RCX));
    a.rm(Size::Q, &[0x2b], R14, Rm::Reg(RCX));
    a.jmp(page);
    start
}

/// The arena offset of the byte at `from`, into `to`, if the slot's tag names the page of the byte at `last`, which is
/// lost.
fn emit_lookup(a: &mut Asm, from: Reg, to: Reg, last: Reg, tag: usize, out: Label) {
    a.mov(Size::D, to, from);
    a.shift_imm(Size::D, 5, to, 8);
    a.alu_imm(Size::D, 4, Rm::Reg(to), at::SLOT_MASK);
    a.alu_imm(Size::D, 4, Rm::Reg(last), !0xfff);
    a.rm(Size::D, &[0x3b], last, Rm::Index(R11, to, 0, tag as i32));
    a.jcc(cond::NE, out);
    a.load(Size::D, to, Rm::Index(R11, to, 0, offset_of!(Slot, addend) as i32));
    a.rm(Size::D, &[0x03], to, Rm::Reg(from));
}
