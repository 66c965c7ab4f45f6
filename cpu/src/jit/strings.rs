//! REP MOVS and REP STOS, where both ranges lie in one plain page each: the host's own, on the arena.
//!
//! Elements move in the same order, so ranges that overlap come out the same. No check fails after the first element,
//! and what the count takes is taken from the budget; all else is for the interpreter.

use std::mem::offset_of;

use super::asm::{Asm, Label, R11, R14, R15, RAX, RBP, RCX, RDI, RDX, RSI, Reg, Rm, Size, cond};
use super::layout as at;
use super::lower::GPR;
use crate::cpu::eflags;
use crate::mem::Slot;

const EAX: Reg = GPR[0];
const ECX: Reg = GPR[1];

/// Called; they return with the zero flag set if the instruction is done, else clear, and nothing happened. The host's
/// flags, RAX, RCX and RDX are lost.
pub(super) struct Repeats {
    movs: [u32; 3],
    stos: [u32; 3],
}

impl Repeats {
    pub(super) fn emit(a: &mut Asm) -> Self {
        let sizes = [Size::B, Size::W, Size::D];
        Self { movs: sizes.map(|w| emit(a, w, true)), stos: sizes.map(|w| emit(a, w, false)) }
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
    a.rm(Size::D, &[0x85], ECX, Rm::Reg(ECX));
    a.jcc(cond::E, out);
    // TEST [eflags], DF
    a.rm(Size::D, &[0xf7], 0, Rm::Base(RBP, at::EFLAGS));
    a.imm(Size::D, eflags::DF);
    a.jcc(cond::NE, out);
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
