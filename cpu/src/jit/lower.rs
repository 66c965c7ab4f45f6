//! One decoded block to host code: registers, flags, exits. What each instruction becomes is in `ops.rs`.
//!
//! Host registers: the guest's eight live in [`GPR`], zero-extended; RBP is [`super::Hot`], R15 the arena, R11 the TLB set
//! of the current privilege, R14 what is left of the instruction budget; RAX, RCX and RDX are free within an
//! instruction. The guest's arithmetic flags are in the host's ([`Lower::host_flags`]), in [`super::Hot::flags`], or both.

use super::asm::{
    Asm, Label, R8, R9, R10, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDI, RDX, RSI, Reg, Rm, Size, cond,
};
use super::effects::{self, Survey};
use super::layout as at;
use super::thunks::{self, Access, Thunks};
use super::units;
use super::x87::Note;
use super::{Link, Site};
use crate::cpu::{DS, ES, SS};
use crate::insn::{Insn, ZERO};
use crate::mem::Slot;

/// Where the guest's registers are, by their number.
pub(super) const GPR: [Reg; 8] = [R8, R9, R10, RBX, R12, R13, RSI, RDI];

/// The memory operand after [`Lower::memory`].
pub(super) const M: Rm = Rm::Index(R15, RAX, 0, 0);
/// The same with its address moved to RDX.
pub(super) const M_RDX: Rm = Rm::Index(R15, RDX, 0, 0);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

/// Code out of line.
enum Later {
    /// A memory access that the TLB refused.
    Memory { from: Label, back: Label, done: Label, k: usize, access: Access },
    /// The interpreter runs the instruction.
    Interpret { from: Label, done: Label, k: usize },
    /// A conditional jump that is taken, after so many instructions.
    Side { from: Label, target: u32, executed: usize, note: Note },
    /// A unit that is not live.
    Unit { from: Label, back: Label, k: usize, unit: u8 },
}

/// A call of a thunk, by which its return address is understood.
struct Call {
    /// Offset of what follows it.
    ret: u32,
    /// End of the instruction.
    done: Label,
    k: usize,
}

pub(super) struct Source<'a> {
    pub(super) insns: &'a [Insn],
    pub(super) id: u32,
    /// EIP of the first instruction.
    pub(super) eip: u32,
    pub(super) leaves: bool,
    pub(super) user: bool,
    /// Where this code will lie in the buffer.
    pub(super) at: u32,
    /// Lookups of memory in line: larger, and faster where the host has the code in its cache.
    pub(super) hot: bool,
    /// What the TLB slot of the next page must say.
    pub(super) second: Option<u64>,
}

pub(super) struct Lower<'a> {
    pub(super) a: &'a mut Asm,
    pub(super) s: Source<'a>,
    pub(super) needs: &'a [u8],
    survey: &'a Survey,
    thunks: &'a Thunks,
    entry: Label,
    /// The host's flags are the guest's.
    pub(super) host_flags: bool,
    pub(super) note: Note,
    later: Vec<Later>,
    links: Vec<Link>,
    calls: Vec<Call>,
    /// End of the current instruction.
    done: Label,
}

/// What was emitted, besides the bytes.
pub(super) struct Lowered {
    pub(super) links: Vec<Link>,
    pub(super) sites: Box<[Site]>,
}

impl<'a> Lower<'a> {
    pub(super) fn new(a: &'a mut Asm, s: Source<'a>, survey: &'a Survey, thunks: &'a Thunks) -> Self {
        a.clear();
        let entry = a.mark();
        Self {
            a,
            s,
            needs: &survey.needs,
            survey,
            thunks,
            entry,
            host_flags: false,
            note: Note::default(),
            later: Vec::new(),
            links: Vec::new(),
            calls: Vec::new(),
            done: entry,
        }
    }

    /// Translates the block.
    pub(super) fn block(mut self) -> Lowered {
        let n = self.s.insns.len();
        let over = self.a.label();
        self.a.alu_imm(Size::Q, 5, Rm::Reg(R14), n as u32);
        self.a.jcc(cond::L, over);
        if let Some(page) = self.s.second {
            // If it does not, the interpreter finds out what the instruction is now.
            self.a.mov_imm64(RAX, page);
            let fetch = Self::fetch_of(self.s.eip.wrapping_add(0x1000));
            self.a.rm(Size::Q, &[0x3b], RAX, Rm::Base(R11, fetch));
            self.a.jcc(cond::NE, over);
        }
        self.want_units(0, self.survey.entry);
        let mut open = true;
        for k in 0..n {
            let i = self.s.insns[k];
            self.done = self.a.label();
            let last = k + 1 == n;
            if (last && self.s.leaves) || effects::effects(&i).is_none() {
                self.interpret(k);
                if last && self.s.leaves && !effects::goes_on(&i) {
                    // It does not come back.
                    open = false;
                }
            } else {
                self.want_units(k, self.survey.checks[k]);
                open = self.op(k, &i);
            }
            let done = self.done;
            self.a.bind(done);
        }
        if open {
            let i = &self.s.insns[n - 1];
            let next = self.s.eip.wrapping_add(u32::from(i.end));
            self.exit_to(next, n);
        }
        self.out_of_line();
        self.a.bind(over);
        self.call(self.thunks.budget);
        self.a.finish();
        for l in &mut self.links {
            l.resolve(self.a, self.s.at);
        }
        let site = |c: &Call| Site { ret: c.ret as u16, done: self.a.at(c.done) as u16, k: c.k as u8 };
        Lowered { sites: self.calls.iter().map(site).collect(), links: self.links }
    }

    /// Where the TLB set keeps the fetch tag of the page of `eip`.
    fn fetch_of(eip: u32) -> i32 {
        let slot = (eip >> 12) as usize & (Slot::COUNT - 1);
        (slot * size_of::<Slot>() + std::mem::offset_of!(Slot, fetch)) as i32
    }

    fn thunk(&self, off: u32) -> i64 {
        i64::from(off) - i64::from(self.s.at)
    }

    /// EIP of what follows instruction `k`.
    pub(super) fn next(&self, k: usize) -> u32 {
        self.s.eip.wrapping_add(u32::from(self.s.insns[k].end))
    }

    fn call(&mut self, thunk: u32) {
        let to = self.thunk(thunk);
        self.a.call_to(to);
    }

    /// Calls a thunk that will want to know for which instruction.
    fn call_for(&mut self, k: usize, thunk: u32) {
        self.call(thunk);
        self.calls.push(Call { ret: self.a.here(), done: self.done, k });
    }

    /// Instruction `k` has no translation.
    fn interpret(&mut self, k: usize) {
        self.a.mov_imm(RCX, at::site(self.s.id, k));
        self.call(self.thunks.interpret);
        self.host_flags = true;
        self.note = Note::default();
    }

    /// The same for one that has a translation: units that are live stay so.
    pub(super) fn interpret_keep(&mut self, k: usize) {
        self.a.mov_imm(RCX, at::site(self.s.id, k));
        self.call(self.thunks.interpret_keep);
        self.host_flags = true;
    }

    /// Sees to it that `units` are live when instruction `k` runs. The flags must be in memory.
    pub(super) fn want_units(&mut self, k: usize, units: u8) {
        for unit in [units::X87, units::SSE] {
            if units & unit == 0 {
                continue;
            }
            let (from, back) = (self.a.label(), self.a.label());
            units::emit_test_live(self.a, unit);
            self.a.jcc(cond::E, from);
            self.a.bind(back);
            self.later.push(Later::Unit { from, back, k, unit });
            self.host_flags = false;
        }
    }

    /// Goes on at `target` after `executed` instructions of this block.
    pub(super) fn exit_to(&mut self, target: u32, executed: usize) {
        self.emit_note();
        let rest = self.s.insns.len() - executed;
        if rest != 0 {
            self.a.alu_imm(Size::Q, 0, Rm::Reg(R14), rest as u32);
        }
        if target == self.s.eip {
            let entry = self.entry;
            self.a.jmp(entry);
            return;
        }
        let stub = self.a.label();
        let same_page = target >> 12 == self.s.eip >> 12;
        let guard = if same_page {
            None
        } else {
            // The page must still be the one that the link was made for.
            self.a.mov_imm64(RAX, 0);
            let guard = self.a.here() - 8;
            self.a.rm(Size::Q, &[0x3b], RAX, Rm::Base(R11, Self::fetch_of(target)));
            self.a.jcc(cond::NE, stub);
            Some(guard)
        };
        self.a.jmp(stub);
        let jump = self.a.here() - 4;
        self.a.bind(stub);
        self.links.push(Link::new(target, jump, guard, stub));
        self.call(self.thunks.link);
    }

    /// Goes to `target` if `cc` holds, after `executed` instructions.
    pub(super) fn side_exit(&mut self, cc: u8, target: u32, executed: usize) {
        let from = self.a.label();
        self.a.jcc(cc, from);
        self.later.push(Later::Side { from, target, executed, note: self.note });
    }

    /// Goes to the EIP in RAX, at the end of the block.
    pub(super) fn exit_indirect(&mut self) {
        self.emit_note();
        let to = self.thunk(self.thunks.indirect[usize::from(self.s.user)]);
        self.a.jmp_to(to);
    }

    /// The host's flags become the guest's. Uses RAX.
    pub(super) fn want_flags(&mut self) {
        if !self.host_flags {
            emit_load_flags(self.a);
            self.host_flags = true;
        }
    }

    /// The host's CF becomes the guest's. Uses nothing.
    pub(super) fn want_carry(&mut self) {
        if !self.host_flags {
            // BT [flags], 8
            self.a.rm(Size::W, &[0x0f, 0xba], 4, Rm::Base(RBP, at::FLAGS));
            self.a.bytes(&[8]);
        }
    }

    /// Instruction `k` set the host's flags as the guest's. Uses RAX.
    pub(super) fn set_flags(&mut self, k: usize) {
        self.host_flags = true;
        if self.needs[k] != 0 {
            // LAHF, SETO AL
            self.a.bytes(&[0x9f, 0x0f, 0x90, 0xc0]);
            self.a.store(Size::W, Rm::Base(RBP, at::FLAGS), RAX);
        }
    }

    /// The effective address, into RAX.
    pub(super) fn address(&mut self, i: &Insn, to: Reg) {
        let disp = i.disp as i32;
        let base = (i.rm != ZERO).then(|| GPR[usize::from(i.rm & 7)]);
        let index = (i.index != ZERO).then(|| GPR[usize::from(i.index & 7)]);
        match (base, index) {
            (None, None) => self.a.mov_imm(to, i.disp),
            (Some(b), None) if disp == 0 => self.a.mov(Size::D, to, b),
            (Some(b), None) => self.a.lea(Size::D, to, Rm::Base(b, disp)),
            (Some(b), Some(x)) => self.a.lea(Size::D, to, Rm::Index(b, x, i.scale, disp)),
            (None, Some(x)) => self.a.lea(Size::D, to, Rm::Scaled(x, i.scale, disp)),
        }
    }

    /// The memory operand of `i`, checked; the operand is [`M`] then. Uses all three free registers.
    pub(super) fn memory(&mut self, k: usize, i: &Insn, w: Size, kind: Kind) {
        self.memory_of(k, i, w.bytes(), kind);
    }

    /// The same for any length that there is a thunk for.
    pub(super) fn memory_of(&mut self, k: usize, i: &Insn, len: u32, kind: Kind) -> Rm {
        self.address(i, RAX);
        self.check(k, usize::from(i.seg), len, kind);
        M
    }

    /// Sixteen bytes in a flat segment; the interpreter gets them if they are not aligned.
    pub(super) fn memory_aligned(&mut self, k: usize, i: &Insn, kind: Kind) -> Rm {
        self.address(i, RAX);
        // TEST AL, 15
        self.a.bytes(&[0xa8, 15]);
        self.interpret_if(cond::NE, k);
        self.check(k, usize::from(i.seg), 16, kind);
        M
    }

    /// The stack at `disp` from ESP.
    pub(super) fn stack(&mut self, k: usize, disp: i32, kind: Kind) {
        if disp == 0 {
            self.a.mov(Size::D, RAX, GPR[4]);
        } else {
            self.a.lea(Size::D, RAX, Rm::Base(GPR[4], disp));
        }
        self.check(k, SS, 4, kind);
    }

    /// Segment and TLB of an access to `len` bytes at the offset in RAX, which becomes the offset in the arena. RCX and
    /// RDX are used.
    pub(super) fn check(&mut self, k: usize, seg: usize, len: u32, kind: Kind) {
        let flat = matches!(seg, DS | ES | SS);
        let access = Access { seg: (!flat).then_some(seg), len, write: kind == Kind::Write };
        if self.s.hot && flat {
            let (from, back) = (self.a.label(), self.a.label());
            thunks::emit_lookup(self.a, len, access.write, from);
            self.a.bind(back);
            self.later.push(Later::Memory { from, back, done: self.done, k, access });
        } else {
            self.call_for(k, self.thunks.memory(access));
        }
        self.host_flags = false;
    }

    /// The interpreter takes over instruction `k` if `cc` holds. No guest register may have changed.
    pub(super) fn interpret_if(&mut self, cc: u8, k: usize) {
        let from = self.a.label();
        self.a.jcc(cc, from);
        self.later.push(Later::Interpret { from, done: self.done, k });
    }

    fn out_of_line(&mut self) {
        for l in std::mem::take(&mut self.later) {
            match l {
                Later::Memory { from, back, done, k, access } => {
                    self.a.bind(from);
                    self.done = done;
                    self.call_for(k, self.thunks.memory(access));
                    self.a.jmp(back);
                }
                Later::Interpret { from, done, k } => {
                    self.a.bind(from);
                    self.done = done;
                    self.interpret_keep(k);
                    self.a.jmp(done);
                }
                Later::Side { from, target, executed, note } => {
                    self.a.bind(from);
                    self.note = note;
                    self.exit_to(target, executed);
                }
                Later::Unit { from, back, k, unit } => {
                    self.a.bind(from);
                    self.a.mov_imm(RCX, at::site(self.s.id, k));
                    self.a.mov_imm(RDX, u32::from(unit));
                    self.call(self.thunks.want_units);
                    self.a.jmp(back);
                }
            }
        }
    }
}

/// MOVZX EAX, [flags]; ADD AL, 7Fh sets OF; SAHF the others. What was stored as a word is loaded as one: the host
/// hands a store over to a load only if it holds all of it.
pub(super) fn emit_load_flags(a: &mut Asm) {
    a.rm(Size::D, &[0x0f, 0xb7], RAX, Rm::Base(RBP, at::FLAGS));
    a.bytes(&[0x04, 0x7f, 0x9e]);
}
