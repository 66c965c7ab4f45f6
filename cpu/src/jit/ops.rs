//! What each instruction becomes. SDM vol. 2.
//!
//! The rule for all: no guest register or memory changes before the last check that can send the instruction to the
//! interpreter.

use super::asm::{Asm, RAX, RBP, RCX, RDX, Reg, Rm, Size, cond};
use super::effects::{CF, ZF};
use super::layout as at;
use super::lower::{GPR, Kind, Lower, M, Moved};
use crate::cpu::eflags;
use crate::insn::Insn;

const CMP: u8 = 7;

fn size(i: &Insn) -> Size {
    if i.o32() { Size::D } else { Size::W }
}

/// By the lowest bit of the opcode.
fn size_or_byte(i: &Insn) -> Size {
    if i.opcode & 1 == 0 { Size::B } else { size(i) }
}

/// The second operand of an arithmetic instruction.
#[derive(Clone, Copy)]
enum With {
    Reg(u8),
    Imm(u32),
}

impl Lower<'_> {
    /// Translates instruction `k`, of which [`super::effects::effects`] knows. False if nothing runs after it.
    pub(super) fn op(&mut self, k: usize, i: &Insn) -> bool {
        match i.opcode {
            0x06 | 0x0e | 0x16 | 0x1e => self.push_selector(k, usize::from(i.opcode >> 3 & 3)),
            // Only the supervisor's are worth the room.
            0x8e | 0x07 | 0x1f | 0x0fa1 | 0x0fa9 | 0x0f00 | 0xfb if self.s.user => self.interpret_keep(k),
            0x8e => self.mov_to_selector(k, i),
            0x07 | 0x1f => self.pop_selector(k, usize::from(i.opcode >> 3 & 3)),
            0x0fa1 | 0x0fa9 => self.pop_selector(k, usize::from(i.opcode >> 3 & 7)),
            0x0f00 => self.verw(k, i),
            0xfb => self.sti(k),
            0x00..=0x3f => {
                let op = i.opcode as u8 >> 3;
                match i.opcode & 7 {
                    0 | 1 => self.alu_to_rm(k, i, size_or_byte(i), op, With::Reg(i.reg)),
                    2 | 3 => self.alu_to_reg(k, i, size_or_byte(i), op),
                    _ => self.alu_to_rm(k, i, size_or_byte(i), op, With::Imm(i.imm)),
                }
            }
            0x80..=0x83 => {
                let w = if i.opcode == 0x82 { Size::B } else { size_or_byte(i) };
                self.alu_to_rm(k, i, w, i.reg, With::Imm(i.imm));
            }
            0x84 | 0x85 => self.test(k, i, size_or_byte(i), With::Reg(i.reg)),
            0xa8 | 0xa9 => self.test(k, i, size_or_byte(i), With::Imm(i.imm)),
            0xf6 | 0xf7 => self.group3(k, i),
            0x40..=0x47 => self.inc_dec(k, i, size(i), 0),
            0x48..=0x4f => self.inc_dec(k, i, size(i), 1),
            0xfe => self.inc_dec(k, i, Size::B, i.reg),
            0xff => match i.reg {
                0 | 1 => self.inc_dec(k, i, size(i), i.reg),
                2 => {
                    self.call_indirect(k, i);
                    return false;
                }
                4 => {
                    self.save_flags();
                    self.load_rm(k, i);
                    self.exit_indirect();
                    return false;
                }
                _ => {
                    self.load_rm(k, i);
                    self.push_saved(k);
                }
            },
            0x50..=0x57 => self.push(k, i.rm),
            0x58..=0x5f => self.pop(k, i.rm),
            0x68 | 0x6a => self.push_imm(k, i.imm),
            0xc9 => self.leave_frame(k),
            0x69 | 0x6b => self.imul_imm(k, i),
            0x0faf => self.reg_from_rm(k, i, size(i), &[0x0f, 0xaf], true),
            0x70..=0x7f | 0x0f80..=0x0f8f => {
                self.want_flags();
                let target = self.next(k).wrapping_add(i.imm);
                self.jump_if(i.opcode as u8 & 15, k, target);
            }
            0xe2 => {
                self.lose_flags(k);
                self.a.alu_imm(Size::D, 5, Rm::Reg(GPR[1]), 1);
                let target = self.next(k).wrapping_add(i.imm);
                self.jump_if(cond::NE, k, target);
            }
            0xe3 => {
                self.lose_flags(k);
                self.a.rm(Size::D, &[0x85], GPR[1], Rm::Reg(GPR[1]));
                let target = self.next(k).wrapping_add(i.imm);
                self.jump_if(cond::E, k, target);
            }
            0xe8 => {
                self.push_eip(k, self.next(k));
                self.call_to(self.next(k).wrapping_add(i.imm));
                return false;
            }
            0xe9 | 0xeb => {
                self.exit_to(self.next(k).wrapping_add(i.imm), k + 1);
                return false;
            }
            0xc2 | 0xc3 => {
                self.save_flags();
                self.stack(k, 0, Kind::Read);
                self.a.load(Size::D, RAX, M);
                self.a.lea(Size::D, GPR[4], Rm::Base(GPR[4], 4 + i.imm as i32));
                self.exit_return();
                return false;
            }
            0x86 | 0x87 => self.xchg(k, i, size_or_byte(i)),
            0x91..=0x97 => {
                self.a.rm(size(i), &[0x87], GPR[0], Rm::Reg(GPR[usize::from(i.rm)]));
            }
            0x0fc0 | 0x0fc1 => self.xadd(k, i, size_or_byte(i)),
            0x0fb0 | 0x0fb1 => self.cmpxchg(k, i, size_or_byte(i)),
            0x88 | 0x89 | 0xa2 | 0xa3 => self.mov_store(k, i, size_or_byte(i)),
            0x8a | 0x8b | 0xa0 | 0xa1 => self.mov_load(k, i, size_or_byte(i)),
            0xb0..=0xb7 => self.mov_imm(k, i, Size::B),
            0xb8..=0xbf => self.mov_imm(k, i, size(i)),
            0xc6 | 0xc7 => self.mov_imm(k, i, size_or_byte(i)),
            0x8d => {
                if i.o32() {
                    self.address(i, GPR[usize::from(i.reg)]);
                } else {
                    self.address(i, RAX);
                    self.a.mov(Size::W, GPR[usize::from(i.reg)], RAX);
                }
            }
            0x90 | 0x0f18 | 0x0f1f => {}
            0x98 => self.a.rm(Size::D, &[0x0f, 0xbf], GPR[0], Rm::Reg(GPR[0])),
            0x99 => {
                self.a.mov(Size::D, RAX, GPR[0]);
                self.a.bytes(&[0x99]);
                self.a.mov(Size::D, GPR[2], RDX);
            }
            0xc0 | 0xc1 | 0xd0 | 0xd1 => self.shift(k, i, size_or_byte(i)),
            0xd3 => self.shift_cl(k, i),
            0x9e => {
                self.lose_flags(k);
                // OF stays: MOVZX EAX, the byte that has it. Then both as one word, and into the host's flags.
                self.a.rm(Size::D, &[0x0f, 0xb6], RAX, Rm::Base(RBP, at::FLAGS));
                self.a.mov(Size::D, RCX, GPR[0]);
                self.a.alu_imm(Size::D, 4, Rm::Reg(RCX), 0xd500);
                self.a.rm(Size::D, &[0x0b], RAX, Rm::Reg(RCX));
                self.a.alu_imm(Size::D, 1, Rm::Reg(RAX), 0x200);
                self.a.store(Size::W, Rm::Base(RBP, at::FLAGS), RAX);
                self.a.bytes(&[0x04, 0x7f, 0x9e]);
                self.host_flags = true;
            }
            0xf5 | 0xf8 | 0xf9 if self.host_flags => {
                self.a.bytes(&[i.opcode as u8]);
                self.set_flags();
            }
            0xf5 | 0xf8 | 0xf9 => {
                // XOR, AND, OR of the carry in memory.
                let (op, v) = match i.opcode {
                    0xf5 => (6, 1),
                    0xf8 => (4, 0xfe),
                    _ => (1, 1),
                };
                self.a.alu_imm(Size::B, op, Rm::Base(RBP, at::FLAGS + 1), v);
            }
            0xfc | 0xfd => {
                self.lose_flags(k);
                let df = eflags::DF;
                let (op, v) = if i.opcode == 0xfc { (4, !df) } else { (1, df) };
                self.a.alu_imm(Size::D, op, Rm::Base(RBP, at::EFLAGS), v);
            }
            0xa4..=0xa7 | 0xaa..=0xaf => self.string(k, i),
            0x0fae if !i.is_mem() => {}
            0x0fa0 | 0x0fa8 => self.push_selector(k, usize::from(i.opcode >> 3 & 7)),
            0x9c => self.pushf(k),
            0x9d => self.popf(k),
            0xfa => self.cli(k),
            0x0f40..=0x0f4f => self.cmov(k, i),
            0x0f90..=0x0f9f => self.setcc(k, i),
            0x0fb6 | 0x0fb7 | 0x0fbe | 0x0fbf => self.movx(k, i),
            0x0fa3 | 0x0fab | 0x0fb3 | 0x0fbb if i.is_mem() => self.bit_string(k, i),
            0x0fc7 => self.cmpxchg8b(k, i),
            0x8c => self.mov_from_selector(k, i),
            0x0fa3 | 0x0fab | 0x0fb3 | 0x0fbb => {
                if self.needs[k] & !CF != 0 {
                    self.want_flags();
                }
                let (reg, rm) = (GPR[usize::from(i.reg)], Rm::Reg(GPR[usize::from(i.rm)]));
                self.a.rm(size(i), &[0x0f, i.opcode as u8], reg, rm);
                self.set_flags();
            }
            0x0fba => self.bit_imm(k, i),
            0x0fbc | 0x0fbd => self.reg_from_rm(k, i, size(i), &[0x0f, i.opcode as u8], true),
            0x0fa4 | 0x0fac | 0x0fa5 | 0x0fad => self.double_shift(k, i),
            0x0fc8..=0x0fcf => {
                // BSWAP has its register in the opcode.
                let r = GPR[usize::from(i.rm)];
                if r >= 8 {
                    self.a.bytes(&[0x41]);
                }
                self.a.bytes(&[0x0f, 0xc8 | r & 7]);
            }
            0x9b | 0xd8..=0xdf => self.x87(k, i),
            _ => self.simd(k, i),
        }
        true
    }

    /// A byte register's host register with the byte in its low bits; AH to BH are copied to `tmp`. Leaves the flags.
    fn byte(&mut self, r: u8, tmp: Reg) -> Reg {
        if r < 4 {
            return GPR[usize::from(r)];
        }
        self.a.rorx(tmp, GPR[usize::from(r - 4)], 8);
        tmp
    }

    /// Puts the low byte of `from` into AH to BH (`r` is 4 to 7). Leaves the flags; may use RCX.
    fn set_high(&mut self, r: u8, from: Reg) {
        let g = GPR[usize::from(r - 4)];
        let from = if from == g {
            self.a.mov(Size::D, RCX, from);
            RCX
        } else {
            from
        };
        self.a.rorx(g, g, 8);
        self.a.rm(Size::B, &[0x8a], g, Rm::Reg(from));
        self.a.rorx(g, g, 24);
    }

    fn reg(&mut self, w: Size, r: u8, tmp: Reg) -> Reg {
        if w == Size::B { self.byte(r, tmp) } else { GPR[usize::from(r)] }
    }

    /// The r/m operand, checked if it is memory. Not for byte registers that may be AH to BH.
    pub(super) fn rm(&mut self, k: usize, i: &Insn, w: Size, kind: Kind) -> Rm {
        if i.is_mem() {
            self.memory(k, i, w, kind);
            M
        } else {
            Rm::Reg(GPR[usize::from(i.rm)])
        }
    }

    /// The same with RAX left free.
    fn rm_off_rax(&mut self, k: usize, i: &Insn, w: Size, kind: Kind) -> Rm {
        let rm = self.rm(k, i, w, kind);
        if rm == M {
            self.free_rax();
        }
        rm
    }

    fn alu_to_rm(&mut self, k: usize, i: &Insn, w: Size, op: u8, with: With) {
        let carry = op == 2 || op == 3;
        if i.is_mem() {
            self.memory(k, i, w, if op == CMP { Kind::Read } else { Kind::Write });
            if carry {
                self.want_carry();
            }
            match with {
                With::Reg(r) => {
                    let s = self.reg(w, r, RDX);
                    self.a.rm(w, &[op << 3 | u8::from(w != Size::B)], s, M);
                }
                With::Imm(v) => self.a.alu_imm(w, op, M, v),
            }
        } else {
            let d = self.reg(w, i.rm, RCX);
            match with {
                With::Reg(r) => {
                    let s = self.reg(w, r, RDX);
                    if carry {
                        self.want_carry();
                    }
                    self.a.rm(w, &[op << 3 | u8::from(w != Size::B)], s, Rm::Reg(d));
                }
                With::Imm(v) => {
                    if carry {
                        self.want_carry();
                    }
                    self.a.alu_imm(w, op, Rm::Reg(d), v);
                }
            }
            if w == Size::B && i.rm >= 4 && op != CMP {
                self.set_high(i.rm, d);
            }
        }
        self.set_flags();
    }

    fn alu_to_reg(&mut self, k: usize, i: &Insn, w: Size, op: u8) {
        let code = [op << 3 | 2 | u8::from(w != Size::B)];
        let rm = if i.is_mem() {
            self.memory(k, i, w, Kind::Read);
            M
        } else {
            Rm::Reg(self.reg(w, i.rm, RDX))
        };
        let d = self.reg(w, i.reg, RCX);
        if op == 2 || op == 3 {
            self.want_carry();
        }
        self.a.rm(w, &code, d, rm);
        if w == Size::B && i.reg >= 4 && op != CMP {
            self.set_high(i.reg, d);
        }
        self.set_flags();
    }

    fn test(&mut self, k: usize, i: &Insn, w: Size, with: With) {
        let rm = if i.is_mem() {
            self.memory(k, i, w, Kind::Read);
            M
        } else {
            Rm::Reg(self.reg(w, i.rm, RCX))
        };
        match with {
            With::Reg(r) => {
                let s = self.reg(w, r, RDX);
                self.a.rm(w, if w == Size::B { &[0x84] } else { &[0x85] }, s, rm);
            }
            With::Imm(v) => {
                self.a.rm(w, if w == Size::B { &[0xf6] } else { &[0xf7] }, 0, rm);
                self.a.imm(w, v);
            }
        }
        self.set_flags();
    }

    fn inc_dec(&mut self, k: usize, i: &Insn, w: Size, ext: u8) {
        let rm = self.rm(k, i, w, Kind::Write);
        if self.needs[k] & CF != 0 {
            self.want_carry();
        }
        self.a.rm(w, if w == Size::B { &[0xfe] } else { &[0xff] }, ext, rm);
        self.set_flags();
    }

    /// TEST NOT NEG MUL IMUL DIV IDIV.
    fn group3(&mut self, k: usize, i: &Insn) {
        let w = size_or_byte(i);
        let code: &[u8] = if w == Size::B { &[0xf6] } else { &[0xf7] };
        match i.reg {
            0 | 1 => self.test(k, i, w, With::Imm(i.imm)),
            2 | 3 => {
                let rm = self.rm(k, i, w, Kind::Write);
                self.a.rm(w, code, i.reg, rm);
                if i.reg == 3 {
                    self.set_flags();
                }
            }
            4 | 5 => {
                let rm = self.rm_off_rax(k, i, w, Kind::Read);
                self.a.mov(Size::D, RAX, GPR[0]);
                self.a.rm(w, code, i.reg, rm);
                self.a.mov(Size::D, GPR[0], RAX);
                self.a.mov(Size::D, GPR[2], RDX);
                self.set_flags();
            }
            _ => self.div(k, i),
        }
    }

    /// What would be #DE on the host goes to the interpreter.
    fn div(&mut self, k: usize, i: &Insn) {
        self.lose_flags(k);
        if i.is_mem() {
            self.memory(k, i, Size::D, Kind::Read);
            self.a.load(Size::D, RCX, M);
        } else {
            self.a.mov(Size::D, RCX, GPR[usize::from(i.rm)]);
        }
        self.a.mov(Size::D, RAX, GPR[0]);
        if i.reg == 6 {
            self.a.mov(Size::D, RDX, GPR[2]);
            self.a.rm(Size::D, &[0x3b], RDX, Rm::Reg(RCX));
            self.interpret_if(cond::AE, k);
        } else {
            // Only a sign-extended dividend and a divisor other than 0 and -1 cannot overflow.
            self.a.bytes(&[0x99]);
            self.a.rm(Size::D, &[0x3b], RDX, Rm::Reg(GPR[2]));
            self.interpret_if(cond::NE, k);
            self.a.lea(Size::D, RDX, Rm::Base(RCX, 1));
            self.a.alu_imm(Size::D, 7, Rm::Reg(RDX), 2);
            self.interpret_if(cond::B, k);
            self.a.mov(Size::D, RDX, GPR[2]);
        }
        self.a.rm(Size::D, &[0xf7], i.reg, Rm::Reg(RCX));
        self.a.mov(Size::D, GPR[0], RAX);
        self.a.mov(Size::D, GPR[2], RDX);
    }

    /// The r/m operand into RAX.
    fn load_rm(&mut self, k: usize, i: &Insn) {
        if i.is_mem() {
            self.memory(k, i, Size::D, Kind::Read);
            self.a.load(Size::D, RAX, M);
        } else {
            self.a.mov(Size::D, RAX, GPR[usize::from(i.rm)]);
        }
    }

    /// Pushes RAX.
    pub(super) fn push_saved(&mut self, k: usize) {
        if self.s.view {
            self.stack(k, -4, Kind::Write);
            self.a.store(Size::D, M, RAX);
            self.a.lea(Size::D, GPR[4], Rm::Base(GPR[4], -4));
            return;
        }
        self.a.store(Size::D, Rm::Base(RBP, at::SPILL), RAX);
        self.stack(k, -4, Kind::Write);
        self.a.load(Size::D, RCX, Rm::Base(RBP, at::SPILL));
        self.a.store(Size::D, M, RCX);
        self.a.lea(Size::D, GPR[4], Rm::Base(GPR[4], -4));
    }

    fn call_indirect(&mut self, k: usize, i: &Insn) {
        self.save_flags();
        self.load_rm(k, i);
        if self.s.view {
            self.stack(k, -4, Kind::Write);
        } else {
            self.a.store(Size::D, Rm::Base(RBP, at::SPILL), RAX);
            self.stack(k, -4, Kind::Write);
        }
        self.a.store_imm(Size::D, M, self.next(k));
        self.holds(Moved::Eip);
        self.a.lea(Size::D, GPR[4], Rm::Base(GPR[4], -4));
        if !self.s.view {
            self.a.load(Size::D, RAX, Rm::Base(RBP, at::SPILL));
        }
        self.call_indirect_to();
    }

    fn push(&mut self, k: usize, r: u8) {
        self.stack(k, -4, Kind::Write);
        self.a.store(Size::D, M, GPR[usize::from(r)]);
        self.a.lea(Size::D, GPR[4], Rm::Base(GPR[4], -4));
    }

    fn push_eip(&mut self, k: usize, v: u32) {
        self.stack(k, -4, Kind::Write);
        self.a.store_imm(Size::D, M, v);
        self.holds(Moved::Eip);
        self.a.lea(Size::D, GPR[4], Rm::Base(GPR[4], -4));
    }

    fn push_imm(&mut self, k: usize, v: u32) {
        self.stack(k, -4, Kind::Write);
        self.a.store_imm(Size::D, M, v);
        self.a.lea(Size::D, GPR[4], Rm::Base(GPR[4], -4));
    }

    fn pop(&mut self, k: usize, r: u8) {
        self.stack(k, 0, Kind::Read);
        self.a.load(Size::D, GPR[usize::from(r)], M);
        if r != 4 {
            self.a.lea(Size::D, GPR[4], Rm::Base(GPR[4], 4));
        }
    }

    fn leave_frame(&mut self, k: usize) {
        self.operand(k, crate::cpu::SS, Rm::Base(GPR[5], 0), 4, Kind::Read);
        self.a.load(Size::D, RAX, M);
        self.a.lea(Size::D, GPR[4], Rm::Base(GPR[5], 4));
        self.a.mov(Size::D, GPR[5], RAX);
    }

    /// `op r, r/m` with the given opcode.
    fn reg_from_rm(&mut self, k: usize, i: &Insn, w: Size, code: &[u8], flags: bool) {
        let d = GPR[usize::from(i.reg)];
        if i.is_mem() {
            self.memory(k, i, w, Kind::Read);
            self.a.rm(w, code, d, M);
        } else {
            self.a.rm(w, code, d, Rm::Reg(GPR[usize::from(i.rm)]));
        }
        if flags {
            self.set_flags();
        }
    }

    fn imul_imm(&mut self, k: usize, i: &Insn) {
        let w = size(i);
        self.reg_from_rm_imm(k, i, w);
        self.set_flags();
    }

    fn reg_from_rm_imm(&mut self, k: usize, i: &Insn, w: Size) {
        self.reg_from_rm(k, i, w, &[0x69], false);
        self.a.imm(w, i.imm);
    }

    fn xchg(&mut self, k: usize, i: &Insn, w: Size) {
        let r = GPR[usize::from(i.reg)];
        if i.is_mem() {
            // The bus lock that XCHG brings has nobody to keep out: there is one processor.
            self.memory(k, i, w, Kind::Write);
            self.a.load(w, RCX, M);
            self.a.store(w, M, r);
            // A 32-bit MOV clears what lies above, which is clear.
            self.a.mov(w, r, RCX);
        } else {
            let code: &[u8] = if w == Size::B { &[0x86] } else { &[0x87] };
            self.a.rm(w, code, r, Rm::Reg(GPR[usize::from(i.rm)]));
        }
    }

    fn xadd(&mut self, k: usize, i: &Insn, w: Size) {
        let code: &[u8] = if w == Size::B { &[0x0f, 0xc0] } else { &[0x0f, 0xc1] };
        let rm = self.rm(k, i, w, Kind::Write);
        self.a.rm(w, code, GPR[usize::from(i.reg)], rm);
        self.set_flags();
    }

    fn cmpxchg(&mut self, k: usize, i: &Insn, w: Size) {
        let code: &[u8] = if w == Size::B { &[0x0f, 0xb0] } else { &[0x0f, 0xb1] };
        let rm = self.rm_off_rax(k, i, w, Kind::Write);
        self.a.mov(Size::D, RAX, GPR[0]);
        let own = !i.is_mem() && i.rm == 0;
        self.a.rm(w, code, GPR[usize::from(i.reg)], rm);
        if !own {
            // Where the operand is the accumulator itself, the comparison holds and it has its new value.
            self.a.mov(Size::D, GPR[0], RAX);
        }
        self.set_flags();
    }

    fn mov_store(&mut self, k: usize, i: &Insn, w: Size) {
        if i.is_mem() {
            self.memory(k, i, w, Kind::Write);
            let s = self.reg(w, i.reg, RDX);
            self.a.store(w, M, s);
        } else {
            self.mov_reg(w, i.rm, i.reg);
        }
    }

    fn mov_load(&mut self, k: usize, i: &Insn, w: Size) {
        if !i.is_mem() {
            return self.mov_reg(w, i.reg, i.rm);
        }
        self.memory(k, i, w, Kind::Read);
        if w == Size::B && i.reg >= 4 {
            self.a.load(w, RCX, M);
            self.set_high(i.reg, RCX);
        } else {
            self.a.load(w, GPR[usize::from(i.reg)], M);
        }
    }

    fn mov_reg(&mut self, w: Size, to: u8, from: u8) {
        let s = self.reg(w, from, RDX);
        if w == Size::B && to >= 4 {
            self.set_high(to, s);
        } else {
            self.a.mov(w, GPR[usize::from(to)], s);
        }
    }

    fn mov_imm(&mut self, k: usize, i: &Insn, w: Size) {
        if i.is_mem() {
            self.memory(k, i, w, Kind::Write);
            self.a.store_imm(w, M, i.imm);
        } else if w == Size::D {
            self.a.mov_imm(GPR[usize::from(i.rm)], i.imm);
        } else if w == Size::B && i.rm >= 4 {
            self.a.mov_imm(RCX, i.imm);
            self.set_high(i.rm, RCX);
        } else {
            self.a.store_imm(w, Rm::Reg(GPR[usize::from(i.rm)]), i.imm);
        }
    }

    fn movx(&mut self, k: usize, i: &Insn) {
        let d = GPR[usize::from(i.reg)];
        let byte = i.opcode & 1 == 0;
        let rm = if i.is_mem() {
            self.memory(k, i, if byte { Size::B } else { Size::W }, Kind::Read);
            M
        } else if byte {
            Rm::Reg(self.byte(i.rm, RDX))
        } else {
            Rm::Reg(GPR[usize::from(i.rm)])
        };
        self.a.rm_full(size(i), &[0x0f, i.opcode as u8], d, rm, byte);
    }

    fn cmov(&mut self, k: usize, i: &Insn) {
        let rm = self.rm_off_rax(k, i, size(i), Kind::Read);
        self.want_flags();
        self.a.rm(size(i), &[0x0f, i.opcode as u8], GPR[usize::from(i.reg)], rm);
    }

    fn setcc(&mut self, k: usize, i: &Insn) {
        let code = [0x0f, i.opcode as u8];
        if i.is_mem() {
            self.memory(k, i, Size::B, Kind::Write);
            self.free_rax();
            self.want_flags();
            self.a.rm(Size::B, &code, 0, M);
        } else {
            self.want_flags();
            if i.rm < 4 {
                self.a.rm(Size::B, &code, 0, Rm::Reg(GPR[usize::from(i.rm)]));
            } else {
                self.a.rm(Size::B, &code, 0, Rm::Reg(RCX));
                self.set_high(i.rm, RCX);
            }
        }
    }

    /// Shifts and rotations by a constant. Rotations leave SF, ZF, AF and PF.
    fn shift(&mut self, k: usize, i: &Insn, w: Size) {
        let rotates = i.reg < 2;
        let ext = if i.reg == 6 { 4 } else { i.reg };
        let rm = self.rm_off_rax(k, i, w, Kind::Write);
        if rotates && self.needs[k] != 0 {
            self.want_flags();
        }
        if i.opcode < 0xd0 {
            self.a.rm(w, if w == Size::B { &[0xc0] } else { &[0xc1] }, ext, rm);
            self.a.bytes(&[i.imm as u8]);
        } else {
            self.a.rm(w, if w == Size::B { &[0xd0] } else { &[0xd1] }, ext, rm);
        }
        self.set_flags();
    }

    /// A count of 0 leaves all flags.
    fn shift_cl(&mut self, k: usize, i: &Insn) {
        let ext = if i.reg == 6 { 4 } else { i.reg };
        let rm = self.rm_off_rax(k, i, size(i), Kind::Write);
        self.keep_or_lose_flags(k);
        self.a.mov(Size::D, RCX, GPR[1]);
        self.a.rm(size(i), &[0xd3], ext, rm);
        self.changed_flags(k);
    }

    /// Before an instruction that may leave the flags as they are.
    fn keep_or_lose_flags(&mut self, k: usize) {
        if self.needs[k] != 0 {
            self.want_flags();
        }
    }

    fn changed_flags(&mut self, k: usize) {
        if self.needs[k] != 0 {
            self.set_flags();
        } else {
            self.lose_flags(k);
        }
    }

    fn double_shift(&mut self, k: usize, i: &Insn) {
        let by_cl = i.opcode & 1 != 0;
        let rm = self.rm_off_rax(k, i, Size::D, Kind::Write);
        let s = GPR[usize::from(i.reg)];
        if by_cl {
            self.keep_or_lose_flags(k);
            self.a.mov(Size::D, RCX, GPR[1]);
            self.a.rm(Size::D, &[0x0f, i.opcode as u8], s, rm);
            self.changed_flags(k);
        } else {
            self.a.rm(Size::D, &[0x0f, i.opcode as u8], s, rm);
            self.a.bytes(&[i.imm as u8]);
            self.set_flags();
        }
    }

    /// BT BTS BTR BTC by a constant, which addresses no further than its operand.
    fn bit_imm(&mut self, k: usize, i: &Insn) {
        let w = size(i);
        let rm = self.rm_off_rax(k, i, w, if i.reg == 4 { Kind::Read } else { Kind::Write });
        if self.needs[k] & !CF != 0 {
            self.want_flags();
        }
        self.a.rm(w, &[0x0f, 0xba], i.reg, rm);
        self.a.bytes(&[i.imm as u8]);
        self.set_flags();
    }

    /// BT BTS BTR BTC in memory by a register, which may lead far from the operand. Flags but CF stay.
    fn bit_string(&mut self, k: usize, i: &Insn) {
        let reg = GPR[usize::from(i.reg)];
        let kind = if i.opcode == 0x0fa3 { Kind::Read } else { Kind::Write };
        self.lose_flags(k);
        self.a.mov(Size::D, RCX, reg);
        self.a.shift_imm(Size::D, 7, RCX, 5);
        self.address(i, RAX);
        self.a.lea(Size::D, RAX, Rm::Index(RAX, RCX, 2, 0));
        self.operand(k, usize::from(i.seg), Rm::Base(RAX, 0), 4, kind);
        self.a.load(Size::D, RDX, M);
        self.a.rm(Size::D, &[0x0f, i.opcode as u8], reg, Rm::Reg(RDX));
        // SETC
        self.a.rm(Size::B, &[0x0f, 0x92], 0, Rm::Reg(RCX));
        if kind == Kind::Write {
            self.a.store(Size::D, M, RDX);
        }
        let flags = Rm::Base(RBP, at::FLAGS + 1);
        self.a.alu_imm(Size::B, 4, flags, u32::from(!CF));
        self.a.rm(Size::B, &[0x08], RCX, flags);
    }

    /// It writes in any case. Flags but ZF stay. Like XCHG, it needs no lock.
    fn cmpxchg8b(&mut self, k: usize, i: &Insn) {
        let (equal, done) = (self.a.label(), self.a.label());
        let flags = Rm::Base(RBP, at::FLAGS + 1);
        let pair = |a: &mut Asm, hi: Reg, lo: Reg| {
            a.mov(Size::D, RDX, hi);
            a.shift_imm(Size::Q, 4, RDX, 32);
            a.rm(Size::Q, &[0x0b], RDX, Rm::Reg(lo));
        };
        self.lose_flags(k);
        self.memory_of(k, i, 8, Kind::Write);
        self.a.load(Size::Q, RCX, M);
        pair(self.a, GPR[2], GPR[0]);
        self.a.rm(Size::Q, &[0x3b], RCX, Rm::Reg(RDX));
        self.a.jcc(cond::E, equal);
        self.a.store(Size::Q, M, RCX);
        self.a.mov(Size::D, GPR[0], RCX);
        self.a.shift_imm(Size::Q, 5, RCX, 32);
        self.a.mov(Size::D, GPR[2], RCX);
        self.a.alu_imm(Size::B, 4, flags, u32::from(!ZF));
        self.a.jmp(done);
        self.a.bind(equal);
        pair(self.a, GPR[1], GPR[3]);
        self.a.store(Size::Q, M, RDX);
        self.a.alu_imm(Size::B, 1, flags, u32::from(ZF));
        self.a.bind(done);
    }

    /// String instructions, one element or repeated, upwards; downwards is for the interpreter.
    fn string(&mut self, k: usize, i: &Insn) {
        const ESI: Reg = GPR[6];
        const EDI: Reg = GPR[7];
        const ES: usize = crate::cpu::ES;
        let w = size_or_byte(i);
        if i.flags & (Insn::REP | Insn::REPNE) != 0 {
            match i.opcode {
                0xae => self.search(k),
                _ => self.repeat(k, i, i.opcode & !1 == 0xa4, w),
            }
            return;
        }
        let (len, step) = (w.bytes(), w.bytes() as i32);
        let spill = Rm::Base(RBP, at::SPILL);
        self.lose_flags(k);
        // TEST [eflags], DF
        self.a.rm(Size::D, &[0xf7], 0, Rm::Base(RBP, at::EFLAGS));
        self.a.imm(Size::D, eflags::DF);
        self.interpret_if(cond::NE, k);
        let source = |l: &mut Self| {
            l.operand(k, usize::from(i.seg), Rm::Base(ESI, 0), len, Kind::Read);
        };
        let target = |l: &mut Self, kind| {
            l.operand(k, ES, Rm::Base(EDI, 0), len, kind);
        };
        let compare: &[u8] = if w == Size::B { &[0x3a] } else { &[0x3b] };
        match i.opcode & !1 {
            0xa4 => {
                source(self);
                self.a.load(w, RCX, M);
                self.a.store(Size::D, spill, RCX);
                target(self, Kind::Write);
                self.a.load(Size::D, RCX, spill);
                self.a.store(w, M, RCX);
            }
            0xa6 => {
                source(self);
                self.a.load(w, RCX, M);
                self.a.store(Size::D, spill, RCX);
                target(self, Kind::Read);
                self.a.load(Size::D, RCX, spill);
                self.a.rm(w, compare, RCX, M);
                self.set_flags();
            }
            0xaa => {
                target(self, Kind::Write);
                self.a.store(w, M, GPR[0]);
            }
            0xac => {
                source(self);
                self.a.load(w, GPR[0], M);
            }
            _ => {
                target(self, Kind::Read);
                self.a.rm(w, compare, GPR[0], M);
                self.set_flags();
            }
        }
        if matches!(i.opcode & !1, 0xa4 | 0xa6 | 0xac) {
            self.a.lea(Size::D, ESI, Rm::Base(ESI, step));
        }
        if i.opcode & !1 != 0xac {
            self.a.lea(Size::D, EDI, Rm::Base(EDI, step));
        }
    }
}
