//! One decoded block to host code: registers, flags, exits. What each instruction becomes is in `ops.rs`.
//!
//! Host registers: the guest's eight live in [`GPR`], zero-extended; RBP is [`super::Hot`], R15 the arena, R11 the TLB set
//! of the current privilege, R14 what is left of the instruction budget; RAX, RCX and RDX are free within an
//! instruction. The guest's arithmetic flags are in the host's ([`Lower::host_flags`]), in [`super::Hot::flags`]
//! ([`Lower::saved`]), or both. They are saved as late as possible: where the host's are about to change while somebody
//! may still look, and on the ways out of the block.
//!
//! A guest's call is a host's call, so that the host predicts the return: see [`Lower::call_to`].

use super::asm::{
    Asm, Label, R8, R9, R10, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, Reg, Rm, Size, cond,
};
use super::codes::{Link, Site, TrapSite};
use super::effects::{self, Survey};
use super::layout as at;
use super::thunks::{self, Access, Thunks};
use super::units;
use super::x87::Note;
use crate::cpu::{DS, ES, SS};
use crate::insn::{Insn, ZERO};
use crate::mem::Slot;

/// Where the guest's registers are, by their number.
pub(super) const GPR: [Reg; 8] = [R8, R9, R10, RBX, R12, R13, RSI, RDI];

/// The memory operand after [`Lower::memory`].
pub(super) const M: Rm = Rm::Operand;

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
    Side { from: Label, target: u32, executed: usize, saved: bool, note: Note },
    /// The same where it leads to a later instruction of the block, over `skipped` others.
    Skip { from: Label, join: usize, skipped: usize, saved: bool },
    /// A unit that is not live.
    Unit { from: Label, back: Label, k: usize, unit: u8 },
}

/// A direct way to another block.
struct Way {
    /// Among the block's links.
    link: usize,
    /// Where it leads while it is not linked.
    out: Label,
}

/// An instruction that jumps of the same block lead to.
struct Join {
    k: usize,
    at: Label,
    /// On all of them so far the host has the guest's flags; memory has.
    host_flags: bool,
    saved: bool,
    /// That is where the flags are expected.
    in_memory: bool,
}

/// A call of a thunk, by which its return address is understood.
struct Call {
    /// Offset of what follows it.
    ret: u32,
    /// End of the instruction.
    done: Label,
    k: usize,
}

/// From here to the next one, accesses in a view belong to instruction `k`.
struct Trap {
    at: u32,
    done: Label,
    k: usize,
    /// The guest's flags are only in the host's.
    unsaved: bool,
}

/// A place in code that holds something of the page's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    /// In the buffer.
    pub(super) at: u32,
    pub(super) what: Moved,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// An EIP: 32 bits.
    Eip,
    /// Where the TLB keeps the page that lies so many pages behind: 32 bits.
    Slot(u32),
    /// What the TLB says of a page: 64 bits.
    Page,
}

pub(super) struct Source<'a> {
    pub(super) insns: &'a [Insn],
    pub(super) id: u32,
    /// EIP of the first instruction.
    pub(super) eip: u32,
    pub(super) leaves: bool,
    /// It is code at CPL 3.
    pub(super) user: bool,
    /// Memory is accessed in the view of the address space ([`crate::mem::Views`]), which GS begins at.
    pub(super) view: bool,
    /// Where this code will lie in the buffer, and the number that its first exit will have.
    pub(super) at: u32,
    pub(super) links: u32,
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
    pub(super) thunks: &'a Thunks,
    entry: Label,
    /// The host's flags are the guest's.
    pub(super) host_flags: bool,
    /// Memory has them, or nobody will look at them.
    saved: bool,
    pub(super) note: Note,
    later: Vec<Later>,
    links: Vec<Link>,
    calls: Vec<Call>,
    traps: Vec<Trap>,
    moves: Vec<Move>,
    joins: Vec<Join>,
    /// End of the current instruction.
    done: Label,
}

/// What was emitted, besides the bytes.
pub(super) struct Lowered {
    pub(super) links: Vec<Link>,
    pub(super) sites: Vec<Site>,
    pub(super) traps: Vec<TrapSite>,
    /// What makes the code that of another address.
    pub(super) moves: Vec<Move>,
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
            saved: true,
            note: Note::default(),
            later: Vec::new(),
            links: Vec::new(),
            calls: Vec::new(),
            traps: Vec::new(),
            moves: Vec::new(),
            joins: Vec::new(),
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
            self.compare_page(self.s.eip.wrapping_add(0x1000), page);
            self.a.jcc(cond::NE, over);
        }
        self.want_units(0, self.survey.entry);
        let mut open = true;
        for k in 0..n {
            let i = self.s.insns[k];
            self.join(k);
            self.done = self.a.label();
            let last = k + 1 == n;
            if last && self.s.leaves && !effects::stays(&i) || effects::effects(&i).is_none() {
                self.interpret(k);
                if last && self.s.leaves && !effects::goes_on(&i) {
                    // It does not come back.
                    open = false;
                }
            } else {
                self.want_units(k, self.survey.checks[k]);
                if effects::loads_selector(&i) {
                    // FDS is what the register held before.
                    self.emit_note();
                    self.note = Note::default();
                }
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
        self.a.mov_imm(RCX, self.s.id);
        let budget = self.thunk(self.thunks.budget);
        self.a.jmp_to(budget);
        self.a.finish();
        let site = |c: &Call| Site { ret: c.ret as u16, done: self.a.at(c.done) as u16, k: c.k as u8 };
        let trap = |t: &Trap| TrapSite {
            at: t.at as u16,
            done: self.a.at(t.done) as u16,
            k: t.k as u8,
            unsaved: t.unsaved,
        };
        Lowered {
            sites: self.calls.iter().map(site).collect(),
            traps: self.traps.iter().map(trap).collect(),
            links: self.links,
            moves: self.moves,
        }
    }

    /// The last bytes hold something of the block's address.
    pub(super) fn holds(&mut self, what: Moved) {
        let len = if matches!(what, Moved::Page) { 8 } else { 4 };
        self.moves.push(Move { at: self.s.at + self.a.here() - len, what });
    }

    /// Compares what the TLB says of the page of `eip` with `page`. Returns where that is in the code. Uses RAX.
    fn compare_page(&mut self, eip: u32, page: u64) -> u32 {
        self.a.mov_imm64(RAX, page);
        self.holds(Moved::Page);
        let at = self.a.here() - 8;
        // CMP RAX, [R11 + disp32]
        self.a.bytes(&[0x49, 0x3b, 0x83]);
        self.a.imm(Size::D, Self::fetch_of(eip));
        self.holds(Moved::Slot((eip >> 12).wrapping_sub(self.s.eip >> 12)));
        at
    }

    /// Where the TLB set keeps the fetch tag of the page of `eip`.
    pub(super) fn fetch_of(eip: u32) -> u32 {
        let slot = (eip >> 12) as usize & (Slot::COUNT - 1);
        (slot * size_of::<Slot>() + std::mem::offset_of!(Slot, fetch)) as u32
    }

    fn thunk(&self, off: u32) -> i64 {
        i64::from(off) - i64::from(self.s.at)
    }

    /// EIP of what follows instruction `k`.
    pub(super) fn next(&self, k: usize) -> u32 {
        self.s.eip.wrapping_add(u32::from(self.s.insns[k].end))
    }

    pub(super) fn call(&mut self, thunk: u32) {
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
        self.save_flags();
        self.a.mov_imm(RCX, at::site(self.s.id, k));
        self.call(self.thunks.interpret);
        self.host_flags = true;
        self.note = Note::default();
    }

    /// The same for one that has a translation: units that are live stay so.
    pub(super) fn interpret_keep(&mut self, k: usize) {
        self.save_flags();
        self.a.mov_imm(RCX, at::site(self.s.id, k));
        self.call(self.thunks.interpret_keep);
        self.host_flags = true;
    }

    /// Sees to it that `units` are live when instruction `k` runs.
    pub(super) fn want_units(&mut self, k: usize, units: u8) {
        for unit in [units::X87, units::SSE] {
            if units & unit == 0 {
                continue;
            }
            self.lose_flags(k);
            let (from, back) = (self.a.label(), self.a.label());
            units::emit_test_live(self.a, unit);
            self.a.jcc(cond::E, from);
            self.a.bind(back);
            self.later.push(Later::Unit { from, back, k, unit });
        }
    }

    /// Goes on at `target` after `executed` instructions of this block.
    pub(super) fn exit_to(&mut self, target: u32, executed: usize) {
        self.save_flags();
        self.emit_note();
        self.give_back(executed);
        if target == self.s.eip {
            let entry = self.entry;
            self.a.jmp(entry);
            return;
        }
        let same_page = target >> 12 == self.s.eip >> 12;
        self.link_to(target, !same_page);
    }

    /// Goes on at `target` as a call does, at the end of the block. The host's return leads to what is emitted behind,
    /// with the guest's return address in RAX: if that is the expected one, the block there follows at once. Calls that
    /// never return leave their return addresses on the host's stack until translated code is left, which it is before
    /// there can be too many.
    pub(super) fn call_to(&mut self, target: u32) {
        let back = self.next(self.s.insns.len() - 1);
        if target == back {
            // How code finds its own address: no return belongs to it.
            return self.exit_to(target, self.s.insns.len());
        }
        self.save_flags();
        self.emit_note();
        let same_page = target >> 12 == self.s.eip >> 12;
        let way = self.way_to(target, !same_page, true);
        self.come_back(back);
        self.way_out(&way);
    }

    /// The same with the target in RAX.
    pub(super) fn call_indirect_to(&mut self) {
        let back = self.next(self.s.insns.len() - 1);
        self.emit_note();
        self.call(self.thunks.indirect);
        self.come_back(back);
    }

    fn come_back(&mut self, back: u32) {
        // CMP EAX, imm32
        self.a.bytes(&[0x3d]);
        self.a.imm(Size::D, back);
        self.holds(Moved::Eip);
        let other = self.thunk(self.thunks.indirect);
        self.a.jcc_to(cond::NE, other);
        self.link_to(back, true);
    }

    /// Gives what was not executed back to the budget.
    fn give_back(&mut self, executed: usize) {
        let rest = self.s.insns.len() - executed;
        if rest != 0 {
            self.a.alu_imm(Size::Q, 0, Rm::Reg(R14), rest as u32);
        }
    }

    /// A jump that can be linked to the block at `target`; `guarded`: where it leads to may have been mapped elsewhere
    /// since. Uses RAX.
    fn link_to(&mut self, target: u32, guarded: bool) {
        let way = self.way_to(target, guarded, false);
        self.way_out(&way);
    }

    /// The jump or call of that; [`Self::way_out`] of it follows, for a call behind what [`Self::come_back`] emits.
    fn way_to(&mut self, target: u32, guarded: bool, call: bool) -> Way {
        let out = self.a.label();
        let guard = if !guarded {
            None
        } else {
            // The page must still be the one that the link was made for.
            let guard = self.compare_page(target, 0);
            self.a.jcc(cond::NE, out);
            Some(guard)
        };
        if call {
            self.a.call(out);
        } else {
            self.a.jmp(out);
        }
        let from_here = target.wrapping_sub(self.s.eip);
        self.links.push(Link::new(from_here, self.a.here() - 4, guard, call));
        Way { link: self.links.len() - 1, out }
    }

    fn way_out(&mut self, way: &Way) {
        self.a.bind(way.out);
        assert_eq!(self.links[way.link].out(), self.a.here());
        self.a.mov_imm(RCX, self.s.links + way.link as u32);
        let link = self.thunk(self.thunks.link);
        self.a.jmp_to(link);
    }

    /// The conditional jump `k` goes to `target` if `cc` holds.
    pub(super) fn jump_if(&mut self, cc: u8, k: usize, target: u32) {
        let from = self.a.label();
        self.a.jcc(cc, from);
        let to = usize::from(self.survey.skips[k]);
        if to == 0 {
            let (saved, note) = (self.saved, self.note);
            self.later.push(Later::Side { from, target, executed: k + 1, saved, note });
            return;
        }
        let n = self.joins.iter().position(|j| j.k == to).unwrap_or_else(|| {
            let at = self.a.label();
            self.joins.push(Join { k: to, at, host_flags: true, saved: true, in_memory: false });
            self.joins.len() - 1
        });
        let join = &mut self.joins[n];
        join.host_flags &= self.host_flags;
        join.saved &= self.saved;
        self.later.push(Later::Skip { from, join: n, skipped: to - k - 1, saved: self.saved });
    }

    /// Jumps of this block lead to instruction `k`: what is known of the flags there holds on all ways. They are in the
    /// host's if all ways have them there, else in memory.
    fn join(&mut self, k: usize) {
        let Some(n) = self.joins.iter().position(|j| j.k == k) else { return };
        let join = &mut self.joins[n];
        let (at, host_flags) = (join.at, self.host_flags && join.host_flags);
        if self.needs[k - 1] == 0 {
            (self.host_flags, self.saved) = (false, true);
        } else if host_flags {
            self.saved &= join.saved;
        } else {
            join.in_memory = true;
            self.save_flags();
            self.host_flags = false;
        }
        self.a.bind(at);
    }

    /// Goes to the EIP in RAX, at the end of the block. The flags have been saved.
    pub(super) fn exit_indirect(&mut self) {
        self.emit_note();
        let to = self.thunk(self.thunks.indirect);
        self.a.jmp_to(to);
    }

    /// The same for a return: the host's own leads behind the host's call, which looks where the guest wants to go.
    pub(super) fn exit_return(&mut self) {
        self.emit_note();
        self.a.ret();
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

    /// An instruction set the host's flags as the guest's.
    pub(super) fn set_flags(&mut self) {
        self.host_flags = true;
        self.saved = false;
    }

    /// Memory has the flags. Uses RAX.
    pub(super) fn save_flags(&mut self) {
        if !self.saved {
            // LAHF, SETO AL
            self.a.bytes(&[0x9f, 0x0f, 0x90, 0xc0]);
            self.a.store(Size::W, Rm::Base(RBP, at::FLAGS), RAX);
            self.saved = true;
        }
    }

    /// The host's flags are lost in instruction `k`, before it sets any itself. Uses RAX.
    pub(super) fn lose_flags(&mut self, k: usize) {
        if k != 0 && self.needs[k - 1] != 0 {
            self.save_flags();
        }
        self.host_flags = false;
        self.saved = true;
    }

    /// The effective address, into RAX.
    pub(super) fn address(&mut self, i: &Insn, to: Reg) {
        match address(i) {
            Rm::Scaled(RSP, _, disp) => self.a.mov_imm(to, disp as u32),
            Rm::Base(b, 0) => self.a.mov(Size::D, to, b),
            rm => self.a.lea(Size::D, to, rm),
        }
    }

    /// The memory operand of `i`, checked; the operand is [`M`] then. Uses all three free registers.
    pub(super) fn memory(&mut self, k: usize, i: &Insn, w: Size, kind: Kind) {
        self.operand(k, usize::from(i.seg), address(i), w.bytes(), kind);
    }

    /// The same for any length that there is a thunk for.
    pub(super) fn memory_of(&mut self, k: usize, i: &Insn, len: u32, kind: Kind) -> Rm {
        self.operand(k, usize::from(i.seg), address(i), len, kind);
        M
    }

    /// Sixteen bytes in a flat segment; the interpreter gets them if they are not aligned. In a view the host itself
    /// refuses them.
    pub(super) fn memory_aligned(&mut self, k: usize, i: &Insn, kind: Kind) -> Rm {
        if !self.s.view {
            self.lose_flags(k);
            self.address(i, RAX);
            // TEST AL, 15
            self.a.bytes(&[0xa8, 15]);
            self.interpret_if(cond::NE, k);
        }
        self.memory_of(k, i, 16, kind)
    }

    /// The same for `len` bytes at any address in a segment.
    pub(super) fn operand(&mut self, k: usize, seg: usize, rm: Rm, len: u32, kind: Kind) {
        let flat = matches!(seg, DS | ES | SS);
        if self.s.view && flat {
            return self.in_view(k, rm);
        }
        self.lose_flags(k);
        match rm {
            Rm::Scaled(RSP, _, disp) => self.a.mov_imm(RAX, disp as u32),
            Rm::Base(b, 0) => self.a.mov(Size::D, RAX, b),
            rm => self.a.lea(Size::D, RAX, rm),
        }
        if self.s.view {
            self.a.lea(Size::Q, RCX, Rm::Base(RAX, len as i32 - 1));
            let limit = at::segment_limit(seg, kind == Kind::Write);
            self.a.rm(Size::Q, &[0x3b], RCX, Rm::Base(RBP, limit));
            self.interpret_if(cond::G, k);
            self.a.rm(Size::D, &[0x03], RAX, Rm::Base(RBP, at::segment_base(seg)));
            self.in_view(k, Rm::Base(RAX, 0));
        } else {
            self.check(k, seg, len, kind);
            self.a.operand = Some((Rm::Index(R15, RAX, 0, 0), false));
        }
    }

    fn in_view(&mut self, k: usize, rm: Rm) {
        let at = self.a.here();
        self.traps.push(Trap { at, done: self.done, k, unsaved: !self.saved });
        self.a.operand = Some((rm, true));
    }

    /// Moves the address of the memory operand from RAX to RDX, if it is there.
    pub(super) fn free_rax(&mut self) {
        self.a.operand = match self.a.operand {
            Some((Rm::Index(R15, RAX, 0, 0), false)) => Some((Rm::Index(R15, RDX, 0, 0), false)),
            Some((Rm::Base(RAX, 0), true)) => Some((Rm::Base(RDX, 0), true)),
            _ => return,
        };
        self.a.mov(Size::D, RDX, RAX);
    }

    /// The stack at `disp` from ESP.
    pub(super) fn stack(&mut self, k: usize, disp: i32, kind: Kind) {
        self.operand(k, SS, Rm::Base(GPR[4], disp), 4, kind);
    }

    /// Segment and TLB of an access to `len` bytes at the offset in RAX, which becomes the offset in the arena. RCX and
    /// RDX are used, and the host's flags, which must be lost before.
    fn check(&mut self, k: usize, seg: usize, len: u32, kind: Kind) {
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
    }

    /// REP MOVS or STOS, if its source is flat.
    pub(super) fn repeat(&mut self, k: usize, i: &Insn, movs: bool, w: Size) {
        if movs && !matches!(usize::from(i.seg), DS | ES | SS) {
            self.interpret_keep(k);
            return;
        }
        self.lose_flags(k);
        self.call(self.thunks.repeats.get(movs, w));
        self.interpret_if(cond::NE, k);
    }

    /// REPNE SCASB.
    pub(super) fn search(&mut self, k: usize) {
        self.lose_flags(k);
        self.call(self.thunks.repeats.search);
        self.interpret_if(cond::NE, k);
    }

    /// The interpreter takes over instruction `k`, or what is left of a repeated one, if `cc` holds.
    pub(super) fn interpret_if(&mut self, cc: u8, k: usize) {
        let from = self.a.label();
        self.a.jcc(cc, from);
        self.later.push(Later::Interpret { from, done: self.done, k });
    }

    fn out_of_line(&mut self) {
        for l in std::mem::take(&mut self.later) {
            self.saved = true;
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
                Later::Side { from, target, executed, saved, note } => {
                    self.a.bind(from);
                    (self.saved, self.note) = (saved, note);
                    self.exit_to(target, executed);
                }
                Later::Skip { from, join, skipped, saved } => {
                    let Join { at: to, in_memory, .. } = self.joins[join];
                    self.a.bind(from);
                    self.saved = saved || !in_memory;
                    self.save_flags();
                    // LEA leaves the flags.
                    self.a.lea(Size::Q, R14, Rm::Base(R14, skipped as i32));
                    self.a.jmp(to);
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

/// The effective address as an operand of the host's, but that it wraps at 4 GiB.
pub(super) fn address(i: &Insn) -> Rm {
    let disp = i.disp as i32;
    let base = (i.rm != ZERO).then(|| GPR[usize::from(i.rm & 7)]);
    let index = (i.index != ZERO).then(|| GPR[usize::from(i.index & 7)]);
    match (base, index) {
        (None, None) => Rm::Scaled(RSP, 0, disp),
        (Some(b), None) => Rm::Base(b, disp),
        (Some(b), Some(x)) => Rm::Index(b, x, i.scale, disp),
        (None, Some(x)) => Rm::Scaled(x, i.scale, disp),
    }
}

/// MOVZX EAX, [flags], of the size that they were stored with, which hosts forward; ADD AL, 7Fh sets OF; SAHF the
/// others.
pub(super) fn emit_load_flags(a: &mut Asm) {
    a.rm(Size::D, &[0x0f, 0xb7], RAX, Rm::Base(RBP, at::FLAGS));
    a.bytes(&[0x04, 0x7f, 0x9e]);
}
