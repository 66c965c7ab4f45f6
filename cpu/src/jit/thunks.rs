//! The ways into translated code, out of it, and from it to Rust and back.

use std::mem::transmute;

use super::asm::{Asm, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, Rm, Size, cond};
use super::buffer::CodeBuffer;
use super::calls;
use super::layout as at;
use super::lower::{GPR, emit_load_flags};
use crate::mem::Slot;
use crate::run::Engine;

/// Engine, code, TLB set, arena.
pub(super) type Enter = unsafe extern "sysv64" fn(*mut Engine, *const u8, *const Slot, *mut u8) -> u64;

/// Offsets in the code buffer.
pub(super) struct Thunks {
    enter: u32,
    /// Jumped to with the exit in RAX.
    pub(super) exit: u32,
    /// Called with the site in ECX.
    pub(super) interpret: u32,
    /// Called with the linear address in EAX, the site in ECX, the access in EDX. Returns to its return address to try
    /// again, five bytes behind it when the instruction is done.
    pub(super) memory: u32,
    pub(super) len: u32,
}

/// What SysV wants kept.
const SAVED: [u8; 6] = [RBX, RBP, R12, R13, R14, R15];

fn store_guest(a: &mut Asm) {
    for (n, r) in GPR.into_iter().enumerate() {
        a.store(Size::D, Rm::Base(RBP, at::gpr(n)), r);
    }
    a.store(Size::Q, Rm::Base(RBP, at::LEFT), R14);
}

fn load_guest(a: &mut Asm) {
    for (n, r) in GPR.into_iter().enumerate() {
        a.load(Size::D, r, Rm::Base(RBP, at::gpr(n)));
    }
    a.load(Size::Q, R14, Rm::Base(RBP, at::LEFT));
    a.load(Size::Q, R11, Rm::Base(RBP, at::SET));
}

impl Thunks {
    pub(super) fn emit(a: &mut Asm) -> Self {
        a.clear();
        let enter = a.here();
        for r in SAVED {
            a.push(r);
        }
        // Six registers and the return address: calls from translated code find RSP where they want it.
        a.alu_imm(Size::Q, 5, Rm::Reg(RSP), 8);
        a.mov(Size::Q, RBP, RDI);
        a.mov(Size::Q, RAX, RSI);
        a.mov(Size::Q, R15, RCX);
        load_guest(a);
        a.rm(Size::D, &[0xff], 4, Rm::Reg(RAX));

        let exit = a.here();
        store_guest(a);
        let leave = a.mark();
        a.alu_imm(Size::Q, 0, Rm::Reg(RSP), 8);
        for r in SAVED.into_iter().rev() {
            a.pop(r);
        }
        a.ret();
        // From within a call.
        let drop = a.mark();
        a.alu_imm(Size::Q, 0, Rm::Reg(RSP), 8);
        a.jmp(leave);

        let interpret = a.here();
        store_guest(a);
        a.mov(Size::Q, RDI, RBP);
        a.mov(Size::D, RSI, RCX);
        call(a, calls::interpret as *const () as u64);
        a.rm(Size::D, &[0x85], RAX, Rm::Reg(RAX));
        a.jcc(cond::NE, drop);
        load_guest(a);
        emit_load_flags(a);
        a.ret();

        let memory = a.here();
        store_guest(a);
        a.mov(Size::Q, RDI, RBP);
        a.mov(Size::D, RSI, RAX);
        call(a, calls::memory as *const () as u64);
        let done = a.label();
        a.alu_imm(Size::D, 7, Rm::Reg(RAX), 1);
        a.jcc(cond::E, done);
        a.jcc(7, drop);
        load_guest(a);
        a.ret();
        a.bind(done);
        a.alu_imm(Size::Q, 0, Rm::Base(RSP, 0), 5);
        load_guest(a);
        emit_load_flags(a);
        a.ret();

        a.finish();
        Self { enter, exit, interpret, memory, len: a.here() }
    }

    pub(super) fn enter(&self, b: &CodeBuffer) -> Enter {
        // SAFETY: the bytes at this offset were emitted above as a function of exactly this type.
        unsafe { transmute::<*const u8, Enter>(b.address(self.enter)) }
    }
}

fn call(a: &mut Asm, to: u64) {
    a.alu_imm(Size::Q, 5, Rm::Reg(RSP), 8);
    a.mov_imm64(RAX, to);
    a.call_reg(RAX);
    a.alu_imm(Size::Q, 0, Rm::Reg(RSP), 8);
}

const _: () = {
    // RCX and RDX carry arguments to thunks: they must not be guest registers.
    let mut n = 0;
    while n < GPR.len() {
        assert!(GPR[n] != RCX && GPR[n] != RDX && GPR[n] != RAX);
        n += 1;
    }
};
