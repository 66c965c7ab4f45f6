//! The x87 instructions: opcodes D8 to DF, FWAIT, FXSAVE and FXRSTOR.
//!
//! An instruction (a) checks CR0.EM/TS (#NM) and an exception that an earlier one left pending (`enter`), (b) reads
//! its memory operand, (c) notes where it was (`Fpu::fip` and so on), (d) computes in an [`Env`] made from the
//! control word, and (e) lets [`Fpu::commit`] merge the flags: an unmasked invalid, denormal or zero-divide
//! exception leaves the registers as they were, the others store a result. ES is only looked at by the next
//! waiting instruction: with CR0.NE it raises #MF, without it asserts FERR# and waits for IGNNE# or an interrupt
//! (SDM vol. 1, 8.7 and appendix D.2).
//!
//! What the SDM leaves undefined (condition codes and C1 after most instructions) is as the comparison tests with
//! a host processor found it.
//!
//! Sources: SDM vol. 1 chapter 8; SDM vol. 2; the aliases (DC D0, DD C8, DF C0 ...) from public opcode maps.

pub(crate) mod arith;
pub(crate) mod control;
pub(crate) mod load_store;
pub(crate) mod stack;
pub(crate) mod transcendental;

use hv_vcpu::GuestIo;

use crate::cpu::{CS, Cpu, cr0};
use crate::fault::{Exec, Fault};
use crate::fpu::{Fpu, sw};
use crate::insn::Insn;
use crate::softfloat::{DE, Env, F80, IE, OE, PE, UE, UP, ZE};

/// What every waiting instruction does first.
#[inline(always)]
pub(crate) fn enter(cpu: &mut Cpu, io: &mut dyn GuestIo) -> Exec {
    if cpu.cr0 & (cr0::EM | cr0::TS) != 0 {
        return Err(Fault::nm());
    }
    if cpu.fpu.sw & sw::ES != 0 {
        return pending(cpu, io);
    }
    Ok(())
}

/// ... and one that does not wait.
#[inline(always)]
pub(crate) fn enter_no_wait(cpu: &Cpu) -> Exec {
    if cpu.cr0 & (cr0::EM | cr0::TS) != 0 {
        return Err(Fault::nm());
    }
    Ok(())
}

/// A waiting instruction met an unmasked exception. SDM vol. 1, 8.7; vol. 3, 2.5 (NE).
#[cold]
pub(crate) fn pending(cpu: &mut Cpu, io: &mut dyn GuestIo) -> Exec {
    if cpu.cr0 & cr0::NE != 0 {
        return Err(Fault::mf());
    }
    cpu.fpu.ferr = true;
    cpu.report(io);
    io.ferr(true);
    cpu.after_io();
    if io.ignne() { Ok(()) } else { Err(Fault::retry()) }
}

/// After an instruction that can clear ES: releases FERR#.
pub(crate) fn settle(cpu: &mut Cpu, io: &mut dyn GuestIo) {
    if cpu.fpu.ferr && cpu.fpu.sw & sw::ES == 0 {
        cpu.fpu.ferr = false;
        cpu.report(io);
        io.ferr(false);
        cpu.after_io();
    }
}

/// Notes the instruction for FIP, FCS and, should an exception follow, FOP.
#[inline(always)]
fn note(cpu: &mut Cpu, insn: &Insn) {
    cpu.fpu.fip = insn.start(cpu);
    cpu.fpu.fcs = cpu.seg[CS].selector;
    cpu.fpu.last_op = insn.fop();
    if cpu.notes_opcodes() {
        cpu.fpu.fop = cpu.fpu.last_op;
    }
}

/// IA32_MISC_ENABLE bit 2: FOP follows every instruction, not only those with an unmasked exception. SDM vol. 1,
/// 8.1.9.1.
const FOPCODE_COMPATIBILITY: u64 = 1 << 2;

impl Cpu {
    pub(crate) fn notes_opcodes(&self) -> bool {
        self.msrs.misc_enable & FOPCODE_COMPATIBILITY != 0
    }
}

/// The same with a memory operand.
#[inline(always)]
fn note_memory(cpu: &mut Cpu, insn: &Insn, off: u32) {
    note(cpu, insn);
    cpu.fpu.fdp = off;
    cpu.fpu.fds = cpu.seg[usize::from(insn.seg & 7)].selector;
}

const _: () = assert!(UP == sw::C1);

impl Fpu {
    #[inline(always)]
    pub(crate) fn env(&self) -> Env {
        Env::x87(self.cw)
    }

    #[inline(always)]
    fn phys(&self, i: u8) -> usize {
        usize::from(self.top.wrapping_add(i) & 7)
    }

    #[inline(always)]
    fn is_empty(&self, i: u8) -> bool {
        self.tags >> self.phys(i) & 1 == 0
    }

    #[inline(always)]
    fn st(&self, i: u8) -> F80 {
        self.regs[self.phys(i)]
    }

    #[inline(always)]
    fn set_st(&mut self, i: u8, v: F80) {
        let p = self.phys(i);
        self.regs[p] = v;
        self.tags |= 1 << p;
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.tags &= !(1 << (self.top & 7));
        self.top = self.top.wrapping_add(1) & 7;
    }

    #[inline(always)]
    fn push(&mut self, v: F80) {
        self.top = self.top.wrapping_sub(1) & 7;
        self.set_st(0, v);
    }

    /// Merges what an instruction raised into the status word. False: an unmasked exception forbids the result.
    #[inline(always)]
    fn commit(&mut self, env: &Env) -> bool {
        if env.flags & !self.cw & sw::EXCEPTIONS != 0 {
            return self.commit_unmasked(env.flags);
        }
        self.sw = self.sw & !sw::C1 | env.flags;
        true
    }

    #[cold]
    fn commit_unmasked(&mut self, mut flags: u16) -> bool {
        let stop = flags & !self.cw & (IE | DE | ZE) != 0;
        if stop {
            // What computing the result would have raised.
            flags &= !(OE | UE | PE | UP);
        }
        self.sw = self.sw & !sw::C1 | flags | sw::ES | sw::B;
        self.fop = self.last_op;
        !stop
    }

    /// The exception of a stack fault. True: it is masked, the instruction goes on with the indefinite NaN.
    #[cold]
    fn stack_fault(&mut self, overflow: bool) -> bool {
        self.sw = self.sw & !sw::C1 | sw::IE | sw::SF | if overflow { sw::C1 } else { 0 };
        if self.cw & sw::IE == 0 {
            self.sw |= sw::ES | sw::B;
            self.fop = self.last_op;
            return false;
        }
        true
    }
}
