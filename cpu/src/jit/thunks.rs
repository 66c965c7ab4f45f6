//! The ways into translated code, out of it, and from it to Rust and back.

use std::mem::{offset_of, transmute};

use super::asm::{
    Asm, Label, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, Rm, Size, cond,
};
use super::buffer::CodeBuffer;
use super::calls;
use super::layout as at;
use super::lower::{GPR, emit_load_flags};
use super::segments::Loads;
use super::strings::Repeats;
use super::trap;
use super::{Exit, Hot, Jump, units};
use crate::cpu::{CS, FS, GS};
use crate::mem::Slot;

/// What it shares with us (within the engine), code, TLB set, arena.
pub(super) type Enter = unsafe extern "sysv64" fn(*mut Hot, *const u8, *const Slot, *mut u8) -> u64;

/// What an access is, for its thunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    /// By number, or `None`: a flat one.
    pub(super) seg: Option<usize>,
    pub(super) len: u32,
    pub(super) write: bool,
}

/// Offsets in the code buffer.
pub(super) struct Thunks {
    enter: u32,
    /// Called with the site in ECX; goes on behind the call when the interpreter has done the instruction.
    pub(super) interpret: u32,
    /// The same; units that were live are so again.
    pub(super) interpret_keep: u32,
    /// Called with the site in ECX and a unit in EDX, which is live afterwards. All flags are lost.
    pub(super) want_units: u32,
    /// Called with the offset in EAX. Return with the arena offset in RAX, RCX and RDX and the flags lost; or leave; or
    /// go on at the end of the instruction, which the interpreter has done.
    memory: Vec<(Access, u32)>,
    /// Gone to with its number in RCX: a direct exit that is not linked; a block that is longer than the budget.
    pub(super) link: u32,
    pub(super) budget: u32,
    /// Jumped to or called with the EIP in RAX: indirect exits.
    pub(super) indirect: u32,
    /// Gone to where an access in a view was refused.
    pub(super) trap: u32,
    pub(super) repeats: Repeats,
    pub(super) loads: Loads,
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

/// The TLB's answer for `len` bytes at RAX, which becomes the arena offset; RCX and RDX are used.
pub(super) fn emit_lookup(a: &mut Asm, len: u32, write: bool, miss: Label) {
    a.mov(Size::D, RCX, RAX);
    a.shift_imm(Size::D, 5, RCX, 8);
    a.alu_imm(Size::D, 4, Rm::Reg(RCX), at::SLOT_MASK);
    if len == 1 {
        a.mov(Size::D, RDX, RAX);
    } else {
        a.lea(Size::D, RDX, Rm::Base(RAX, len as i32 - 1));
    }
    a.alu_imm(Size::D, 4, Rm::Reg(RDX), !0xfff);
    let tag = if write { offset_of!(Slot, write) } else { offset_of!(Slot, read) };
    a.rm(Size::D, &[0x3b], RDX, Rm::Index(R11, RCX, 0, tag as i32));
    a.jcc(cond::NE, miss);
    a.rm(Size::D, &[0x03], RAX, Rm::Index(R11, RCX, 0, offset_of!(Slot, addend) as i32));
}

/// Behind [`emit_lookup`], which found nothing: the second table's answer.
fn emit_lookup_second(a: &mut Asm, write: bool, miss: Label) {
    let tag = if write { offset_of!(Slot, write) } else { offset_of!(Slot, read) };
    a.alu_imm(Size::D, 4, Rm::Reg(RCX), at::SECOND_MASK);
    a.rm(Size::D, &[0x3b], RDX, Rm::Index(R11, RCX, 0, (at::SECOND + tag) as i32));
    a.jcc(cond::NE, miss);
    a.rm(Size::D, &[0x03], RAX, Rm::Index(R11, RCX, 0, (at::SECOND + offset_of!(Slot, addend)) as i32));
}

impl Thunks {
    pub(super) fn emit(a: &mut Asm) -> Self {
        a.clear();
        let spill = a.mark();
        units::emit_spill(a);
        let fill = a.mark();
        units::emit_fill(a);
        let enter = a.here();
        for r in SAVED {
            a.push(r);
        }
        a.mov(Size::Q, RBP, RDI);
        a.mov(Size::Q, RAX, RSI);
        a.mov(Size::Q, R15, RCX);
        a.store(Size::Q, Rm::Base(RBP, at::SP), RSP);
        load_guest(a);
        // Returns whose calls were not made here come back here, with the EIP in RAX.
        let (code, indirect) = (a.label(), a.label());
        a.mov(Size::Q, RCX, RAX);
        let bottom = a.mark();
        a.call(code);
        // One more takes the place of the one that was used.
        a.lea_label(RCX, indirect);
        a.jmp(bottom);
        a.bind(code);
        a.rm(Size::D, &[0xff], 4, Rm::Reg(RCX));

        // With the exit in RAX. The stack may hold return addresses.
        let exit = a.mark();
        a.call(spill);
        store_guest(a);
        let drop = a.mark();
        a.load(Size::Q, RSP, Rm::Base(RBP, at::SP));
        for r in SAVED.into_iter().rev() {
            a.pop(r);
        }
        a.ret();

        let sites = [
            calls::interpret as *const () as u64,
            calls::interpret_keep as *const () as u64,
            calls::want_units as *const () as u64,
        ]
        .map(|f| {
            let at = a.here();
            store_guest(a);
            a.mov(Size::D, RSI, RCX);
            call(a, f, spill);
            let out = a.label();
            a.rm(Size::D, &[0x85], RAX, Rm::Reg(RAX));
            a.jcc(cond::NE, out);
            a.call(fill);
            load_guest(a);
            emit_load_flags(a);
            a.ret();
            a.bind(out);
            a.alu_imm(Size::D, 7, Rm::Reg(RAX), calls::ELSEWHERE);
            a.jcc(cond::NE, drop);
            // Nothing returns to the block that called.
            a.alu_imm(Size::Q, 0, Rm::Reg(RSP), 8);
            load_guest(a);
            a.rm(Size::D, &[0xff], 4, Rm::Base(RBP, at::RESUME));
            at
        });
        let [interpret, interpret_keep, want_units] = sites;

        // Behind the lookups: RAX is the address, RDX the access. What is done goes on where Rust says.
        let slow = a.label();
        let [link, budget] = [Exit::Link, Exit::Budget].map(|e| {
            let at = a.here();
            a.store(Size::Q, Rm::Base(RBP, at::RESUME), RCX);
            a.mov_imm(RAX, e as u32);
            a.jmp(exit);
            at
        });
        a.bind(indirect);
        let indirect = a.here();
        emit_indirect(a, exit);
        let trap = a.here();
        emit_trap(a, drop, spill, fill);
        let memory = Self::emit_memory(a, slow, drop);
        // Two return addresses lie on the stack: that of the access above this one's.
        a.bind(slow);
        emit_slow(a, spill, fill);
        let repeats = Repeats::emit(a);
        let loads = Loads::emit(a);
        a.finish();
        let len = a.here();
        Self {
            enter,
            interpret,
            interpret_keep,
            want_units,
            memory,
            link,
            budget,
            indirect,
            trap,
            repeats,
            loads,
            len,
        }
    }

    fn emit_memory(a: &mut Asm, slow: Label, drop: Label) -> Vec<(Access, u32)> {
        let mut all = Vec::new();
        for write in [false, true] {
            for len in [1, 2, 4, 8, 10, 16] {
                let (second, miss, again) = (a.label(), a.label(), a.label());
                a.bind(again);
                let at = a.here();
                emit_lookup(a, len, write, second);
                a.ret();
                a.bind(second);
                emit_lookup_second(a, write, miss);
                a.ret();
                a.bind(miss);
                a.mov_imm(RDX, at::access(len, write));
                a.store(Size::D, Rm::Base(RBP, at::LIN), RAX);
                let retry = a.label();
                // The slow path comes back here with the zero flag set to look again.
                a.call(slow);
                a.jcc(cond::E, retry);
                a.jmp(drop);
                a.bind(retry);
                a.load(Size::D, RAX, Rm::Base(RBP, at::LIN));
                a.jmp(again);
                all.push((Access { seg: None, len, write }, at));
                for seg in [CS, FS, GS] {
                    let refused = a.label();
                    let at = a.here();
                    a.lea(Size::Q, RCX, Rm::Base(RAX, len as i32 - 1));
                    a.rm(Size::Q, &[0x3b], RCX, Rm::Base(RBP, at::segment_limit(seg, write)));
                    a.jcc(cond::G, refused);
                    a.rm(Size::D, &[0x03], RAX, Rm::Base(RBP, at::segment_base(seg)));
                    a.jmp(again);
                    a.bind(refused);
                    a.mov_imm(RDX, at::REFUSED_ACCESS);
                    a.call(slow);
                    a.jmp(drop);
                    all.push((Access { seg: Some(seg), len, write }, at));
                }
            }
        }
        all
    }

    /// # Panics
    /// If there is no such access.
    pub(super) fn memory(&self, access: Access) -> u32 {
        match self.memory.iter().find(|(a, _)| *a == access) {
            Some((_, at)) => *at,
            None => unreachable!("no thunk for {access:?}"),
        }
    }

    pub(super) fn enter(&self, b: &CodeBuffer) -> Enter {
        // SAFETY: the bytes at this offset were emitted above as a function of exactly this type.
        unsafe { transmute::<*const u8, Enter>(b.address(self.enter)) }
    }
}

/// [`super::trap`] has left registers and flags as they were, and RAX, RCX, RDX and the flags in memory, too.
fn emit_trap(a: &mut Asm, drop: Label, spill: Label, fill: Label) {
    let done = a.label();
    store_guest(a);
    call(a, trap::view as *const () as u64, spill);
    a.alu_imm(Size::D, 7, Rm::Reg(RAX), 1);
    a.jcc(cond::E, done);
    a.jcc(cond::A, drop);
    a.call(fill);
    load_guest(a);
    a.load(Size::Q, RAX, Rm::Base(RBP, at::TRAP_RFLAGS));
    a.push(RAX);
    a.load(Size::Q, RAX, Rm::Base(RBP, at::TRAP_RAX));
    a.load(Size::Q, RCX, Rm::Base(RBP, at::TRAP_RCX));
    a.load(Size::Q, RDX, Rm::Base(RBP, at::TRAP_RDX));
    // POPFQ
    a.bytes(&[0x9d]);
    a.rm(Size::D, &[0xff], 4, Rm::Base(RBP, at::RESUME));
    a.bind(done);
    a.call(fill);
    load_guest(a);
    emit_load_flags(a);
    a.rm(Size::D, &[0xff], 4, Rm::Base(RBP, at::RESUME));
}

/// To the EIP in RAX, if the table knows it and its page is mapped as it was.
fn emit_indirect(a: &mut Asm, exit: Label) {
    let (miss, other, found) = (a.label(), a.label(), a.label());
    a.mov(Size::D, RDX, RAX);
    a.shift_imm(Size::D, 5, RDX, 8);
    a.alu_imm(Size::D, 4, Rm::Reg(RDX), at::SLOT_MASK);
    a.mov(Size::D, RCX, RAX);
    a.alu_imm(Size::D, 4, Rm::Reg(RCX), !0xfff);
    a.rm(Size::D, &[0x3b], RCX, Rm::Index(R11, RDX, 0, offset_of!(Slot, fetch) as i32));
    a.jcc(cond::NE, miss);
    // Where it lies in the arena, and that in the table.
    a.mov(Size::D, RCX, RAX);
    a.rm(Size::D, &[0x03], RCX, Rm::Index(R11, RDX, 0, offset_of!(Slot, addend) as i32));
    a.mov(Size::D, RDX, RCX);
    a.shift_imm(Size::D, 5, RDX, 12);
    a.rm(Size::D, &[0x33], RDX, Rm::Reg(RCX));
    a.alu_imm(Size::D, 4, Rm::Reg(RDX), at::JUMP_MASK);
    a.shift_imm(Size::D, 4, RDX, size_of::<Jump>().ilog2() as u8);
    a.rm(Size::Q, &[0x03], RDX, Rm::Base(RBP, at::JUMPS));
    a.rm(Size::D, &[0x3b], RCX, Rm::Base(RDX, at::JUMP_ARENA));
    a.jcc(cond::NE, other);
    a.bind(found);
    a.load(Size::D, RCX, Rm::Base(RDX, at::JUMP_CODE));
    a.rm(Size::Q, &[0x03], RCX, Rm::Base(RBP, at::CODE));
    a.rm(Size::D, &[0xff], 4, Rm::Reg(RCX));
    // The neighbour of the place where it should be.
    a.bind(other);
    a.rm(Size::Q, &[0x2b], RDX, Rm::Base(RBP, at::JUMPS));
    a.alu_imm(Size::D, 6, Rm::Reg(RDX), size_of::<Jump>() as u32);
    a.rm(Size::Q, &[0x03], RDX, Rm::Base(RBP, at::JUMPS));
    a.rm(Size::D, &[0x3b], RCX, Rm::Base(RDX, at::JUMP_ARENA));
    a.jcc(cond::E, found);
    a.bind(miss);
    a.store(Size::D, Rm::Base(RBP, at::EIP), RAX);
    a.mov_imm(RAX, Exit::Next as u32);
    a.jmp(exit);
}

/// The way to Rust for what a lookup refused.
fn emit_slow(a: &mut Asm, spill: Label, fill: Label) {
    store_guest(a);
    a.load(Size::Q, RCX, Rm::Base(RSP, 8));
    a.mov(Size::D, RSI, RAX);
    call(a, calls::memory as *const () as u64, spill);
    let (done, found, out) = (a.label(), a.label(), a.label());
    a.alu_imm(Size::D, 7, Rm::Reg(RAX), calls::FOUND);
    a.jcc(cond::E, found);
    a.alu_imm(Size::D, 7, Rm::Reg(RAX), 1);
    a.jcc(cond::E, done);
    a.jcc(cond::A, out);
    a.call(fill);
    load_guest(a);
    a.rm(Size::D, &[0x33], RAX, Rm::Reg(RAX));
    a.ret();
    a.bind(found);
    // Behind the lookup.
    a.alu_imm(Size::Q, 0, Rm::Reg(RSP), 8);
    a.call(fill);
    load_guest(a);
    a.load(Size::D, RAX, Rm::Base(RBP, at::LIN));
    a.ret();
    a.bind(done);
    a.alu_imm(Size::Q, 0, Rm::Reg(RSP), 16);
    a.call(fill);
    load_guest(a);
    emit_load_flags(a);
    a.rm(Size::D, &[0xff], 4, Rm::Base(RBP, at::RESUME));
    a.bind(out);
    // The exit is not 0, so neither is what the flags say of it.
    a.rm(Size::D, &[0x85], RAX, Rm::Reg(RAX));
    a.ret();
}

/// Calls Rust with the engine and the arguments that are in place. The guest's registers have been stored; units that are
/// live are spilled.
fn call(a: &mut Asm, to: u64, spill: Label) {
    a.call(spill);
    a.lea(Size::Q, RDI, Rm::Base(RBP, at::ENGINE));
    a.mov(Size::Q, R12, RSP);
    a.alu_imm(Size::Q, 4, Rm::Reg(RSP), !15);
    a.mov_imm64(RAX, to);
    a.call_reg(RAX);
    a.mov(Size::Q, RSP, R12);
}

const _: () = {
    // RCX and RDX carry arguments to thunks: they must not be guest registers.
    let mut n = 0;
    while n < GPR.len() {
        assert!(GPR[n] != RCX && GPR[n] != RDX && GPR[n] != RAX);
        n += 1;
    }
};
