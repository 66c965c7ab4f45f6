//! EFLAGS and segment registers: what a kernel does on its way in and out, for `ops.rs`. SDM vol. 2.

use super::asm::{R14, RAX, RBP, RCX, RDX, Rm, Size, cond};
use super::effects::ZF;
use super::layout as at;
use super::lower::{GPR, Kind, Lower, M};
use crate::cpu::{SS, eflags};
use crate::insn::Insn;
use crate::seen::For;

impl Lower<'_> {
    /// The selector in ECX goes into a segment register, or where `whom` wants it.
    fn select(&mut self, k: usize, whom: For) {
        self.call(self.thunks.loads.get(whom));
        self.interpret_if(cond::NE, k);
    }

    /// The r/m operand of 16 bits, zero-extended, into ECX. The host's flags are lost.
    fn load_selector(&mut self, k: usize, i: &Insn) {
        let rm = self.rm(k, i, Size::W, Kind::Read);
        self.lose_flags(k);
        self.a.rm(Size::D, &[0x0f, 0xb7], RCX, rm);
    }

    pub(super) fn mov_to_selector(&mut self, k: usize, i: &Insn) {
        match For::register(usize::from(i.reg)) {
            Some(whom) => {
                self.load_selector(k, i);
                self.select(k, whom);
            }
            None => self.interpret_keep(k),
        }
    }

    /// 16 bits in memory, else zero-extended.
    pub(super) fn mov_from_selector(&mut self, k: usize, i: &Insn) {
        let selector = Rm::Base(RBP, at::segment_selector(usize::from(i.reg)));
        if i.is_mem() {
            self.memory(k, i, Size::W, Kind::Write);
            self.a.load(Size::W, RCX, selector);
            self.a.store(Size::W, M, RCX);
        } else if i.o32() {
            self.a.rm(Size::D, &[0x0f, 0xb7], GPR[usize::from(i.rm)], selector);
        } else {
            self.a.load(Size::W, GPR[usize::from(i.rm)], selector);
        }
    }

    /// Two bytes are read, also with a 32-bit operand.
    pub(super) fn pop_selector(&mut self, k: usize, seg: usize) {
        match For::register(seg) {
            Some(whom) => {
                self.operand(k, SS, Rm::Base(GPR[4], 0), 2, Kind::Read);
                self.lose_flags(k);
                self.a.rm(Size::D, &[0x0f, 0xb7], RCX, M);
                self.select(k, whom);
                self.a.lea(Size::D, GPR[4], Rm::Base(GPR[4], 4));
            }
            None => self.interpret_keep(k),
        }
    }

    /// Two bytes are written, also with a 32-bit operand.
    pub(super) fn push_selector(&mut self, k: usize, seg: usize) {
        self.operand(k, SS, Rm::Base(GPR[4], -4), 2, Kind::Write);
        self.a.load(Size::W, RCX, Rm::Base(RBP, at::segment_selector(seg)));
        self.a.store(Size::W, M, RCX);
        self.a.lea(Size::D, GPR[4], Rm::Base(GPR[4], -4));
    }

    pub(super) fn verw(&mut self, k: usize, i: &Insn) {
        self.load_selector(k, i);
        self.select(k, For::Verw);
        self.a.alu_imm(Size::B, 1, Rm::Base(RBP, at::FLAGS + 1), u32::from(ZF));
    }

    /// The interpreter sets IF if something waits for that, or with a CPL that may not be allowed to. The host's flags
    /// are lost.
    fn may_set_if(&mut self, k: usize) {
        self.a.alu_imm(Size::B, 7, Rm::Base(RBP, at::CPL), 0);
        self.interpret_if(cond::NE, k);
        self.a.alu_imm(Size::B, 7, Rm::Base(RBP, at::INTR), 0);
        self.interpret_if(cond::NE, k);
    }

    /// By the supervisor, if nothing waits for IF.
    pub(super) fn sti(&mut self, k: usize) {
        self.lose_flags(k);
        self.may_set_if(k);
        // The shadow holds over a poll that comes right behind.
        self.a.rm(Size::Q, &[0x85], R14, Rm::Reg(R14));
        self.interpret_if(cond::E, k);
        self.a.alu_imm(Size::D, 1, Rm::Base(RBP, at::EFLAGS), eflags::IF);
    }

    pub(super) fn cli(&mut self, k: usize) {
        self.lose_flags(k);
        self.a.alu_imm(Size::B, 7, Rm::Base(RBP, at::CPL), 0);
        self.interpret_if(cond::NE, k);
        self.a.alu_imm(Size::D, 4, Rm::Base(RBP, at::EFLAGS), !eflags::IF);
    }

    pub(super) fn pushf(&mut self, k: usize) {
        self.save_flags();
        self.lose_flags(k);
        self.a.rm(Size::D, &[0x0f, 0xb7], RAX, Rm::Base(RBP, at::FLAGS));
        self.a.mov(Size::D, RCX, RAX);
        self.a.shift_imm(Size::D, 5, RCX, 8);
        self.a.alu_imm(Size::D, 4, Rm::Reg(RCX), 0xd5);
        self.a.alu_imm(Size::D, 4, Rm::Reg(RAX), 1);
        self.a.shift_imm(Size::D, 4, RAX, 11);
        self.a.rm(Size::D, &[0x0b], RAX, Rm::Reg(RCX));
        self.a.rm(Size::D, &[0x0b], RAX, Rm::Base(RBP, at::EFLAGS));
        self.a.alu_imm(Size::D, 4, Rm::Reg(RAX), !(eflags::VM | eflags::RF));
        self.push_saved(k);
    }

    /// If only the arithmetic flags change, or the supervisor's IF and nothing waits for it; all else is the
    /// interpreter's.
    pub(super) fn popf(&mut self, k: usize) {
        use eflags::{AC, DF, ID, IF, IOPL, NT, TF};
        self.lose_flags(k);
        self.stack(k, 0, Kind::Read);
        self.a.load(Size::D, RCX, M);
        self.a.mov(Size::D, RDX, RCX);
        self.a.rm(Size::D, &[0x33], RDX, Rm::Base(RBP, at::EFLAGS));
        // TEST
        self.a.rm(Size::D, &[0xf7], 0, Rm::Reg(RDX));
        let others = TF | DF | IOPL | NT | AC | ID;
        self.a.imm(Size::D, if self.s.user { others | IF } else { others });
        self.interpret_if(cond::NE, k);
        if !self.s.user {
            let same = self.a.label();
            self.a.alu_imm(Size::D, 4, Rm::Reg(RDX), IF);
            self.a.jcc(cond::E, same);
            self.may_set_if(k);
            // XOR
            self.a.rm(Size::D, &[0x31], RDX, Rm::Base(RBP, at::EFLAGS));
            self.a.bind(same);
        }
        self.a.lea(Size::D, GPR[4], Rm::Base(GPR[4], 4));
        self.a.mov(Size::D, RAX, RCX);
        self.a.shift_imm(Size::D, 5, RAX, 11);
        self.a.alu_imm(Size::D, 4, Rm::Reg(RAX), 1);
        self.a.alu_imm(Size::D, 4, Rm::Reg(RCX), 0xd5);
        self.a.alu_imm(Size::D, 1, Rm::Reg(RCX), 2);
        self.a.shift_imm(Size::D, 4, RCX, 8);
        self.a.rm(Size::D, &[0x0b], RAX, Rm::Reg(RCX));
        self.a.store(Size::W, Rm::Base(RBP, at::FLAGS), RAX);
    }
}
