//! The run loop: blocks one after the other, and everything that happens between two instructions.
//!
//! What is looked at, in this order, at each boundary where something can have changed (`run`): a kick; the budget of
//! [`GuestIo::poll`]; stores into decoded code; debug traps; INTR; HLT. Between blocks that end in a near jump only
//! the kick and the budget are looked at (`chain`): nothing else can change there, because whatever changes it ends
//! its block (attribute LEAVE of the opcode map) or sets `Cpu::end_block`. A block goes on behind a conditional jump;
//! one that is taken leaves it.
//!
//! Where instructions are counted exactly, interrupts come at exact counts: a block is cut where the budget ends.

use hv_vcpu::{GuestIo, HvError, Kicker, Stop};

use crate::block::{Block, Cache, MAX_BRANCHES, MAX_INSNS, NewBlock, key, link_key};
use crate::cpu::{CS, Cpu, eflags};
use crate::debug::dr6;
use crate::decode::{Decoded, MAX_LEN, Short, decode};
use crate::fault::Fault;
use crate::insn::Insn;
use crate::jit::{Hot, Jit, Left};
use crate::mem::CodePage;
use crate::optable::attr;

/// The processor and its decoded code.
pub(crate) struct Engine {
    pub(crate) cpu: Cpu,
    pub(crate) cache: Cache,
    pub(crate) kicker: Kicker,
    pub(crate) jit: Option<Box<Jit>>,
    pub(crate) hot: Hot,
    /// Room for a block that is decoded.
    pub(crate) insns: Vec<Insn>,
}

/// How a run of instructions ended.
enum End {
    /// After this many; the last may have asked to end the block.
    Done(usize),
    /// The next after this many faulted.
    Fault(usize, Fault),
}

/// Where the next instruction is.
enum Next {
    Block(u32),
    /// Not cacheable: fetched from a chip, or near the limit of CS.
    Single(Decoded),
}

#[inline(always)]
fn execute(cpu: &mut Cpu, io: &mut dyn GuestIo, insns: &[Insn]) -> End {
    let start = cpu.eip;
    for (k, insn) in insns.iter().enumerate() {
        cpu.done = k as u32;
        cpu.eip = start.wrapping_add(u32::from(insn.end));
        if let Err(f) = (insn.exec)(cpu, io, insn) {
            if f.is_jump() {
                return End::Done(k + 1);
            }
            cpu.insn_eip = start.wrapping_add(u32::from(insn.end)).wrapping_sub(u32::from(insn.len));
            return End::Fault(k, f);
        }
        if cpu.end_block {
            return End::Done(k + 1);
        }
    }
    End::Done(insns.len())
}

impl Engine {
    pub(crate) fn run(&mut self, io: &mut dyn GuestIo) -> Result<Stop, HvError> {
        // Time has passed and events may have come since the last run.
        self.cpu.poll_at = self.cpu.icount;
        loop {
            if self.kicker.is_kicked() && self.kicker.take() {
                self.cpu.report(io);
                return Ok(Stop::Kicked);
            }
            if self.cpu.icount >= self.cpu.poll_at {
                self.cpu.report(io);
                self.cpu.polled_at = self.cpu.icount;
                self.cpu.poll_at = self.cpu.icount.saturating_add(io.poll().max(1));
                self.cpu.after_io();
                // A timer may have ended the machine: at this instruction, whoever runs the next ones.
                if self.kicker.is_kicked() {
                    continue;
                }
            }
            if let Err(stop) = self.boundary(io) {
                self.cpu.report(io);
                return Ok(stop);
            }
        }
    }

    /// Everything between two instructions, then instructions until something changed.
    fn boundary(&mut self, io: &mut dyn GuestIo) -> Result<(), Stop> {
        let cpu = &mut self.cpu;
        if cpu.code.anything_written() {
            self.cache.drop_written(&mut cpu.code, cpu.ram.arena());
            self.retire_dropped();
        }
        let cpu = &mut self.cpu;
        cpu.end_block = false;
        if !cpu.mov_ss_shadow
            && let Some(f) = cpu.take_debug_trap()
        {
            cpu.insn_eip = cpu.eip;
            cpu.halted = false;
            return cpu.deliver(io, f);
        }
        if let Some(vector) = cpu.acked.take() {
            (cpu.halted, cpu.insn_eip) = (false, cpu.eip);
            return cpu.deliver_external(io, vector);
        }
        let shadow = cpu.mov_ss_shadow || cpu.sti_shadow;
        if cpu.eflags & eflags::IF != 0 && !shadow && io.intr_pending() {
            cpu.report(io);
            let vector = io.ack_intr();
            cpu.after_io();
            cpu.halted = false;
            cpu.insn_eip = cpu.eip;
            return cpu.deliver_external(io, vector);
        }
        if cpu.halted {
            let woken = cpu.eflags & eflags::IF != 0;
            return Err(if woken { Stop::Halted } else { Stop::HaltedForGood });
        }
        if shadow || cpu.eflags & (eflags::TF | eflags::RF) != 0 || cpu.breakpoints.code {
            self.single(io)
        } else {
            self.chain(io)
        }
    }

    /// Runs blocks from EIP until one leaves.
    fn chain(&mut self, io: &mut dyn GuestIo) -> Result<(), Stop> {
        if self.may_translate() {
            return self.chain_translated(io);
        }
        let mut id = match self.locate(io) {
            Ok(Next::Block(id)) => id,
            Ok(Next::Single(d)) => return self.one(io, &d),
            Err(f) => return self.fetch_fault(io, f),
        };
        loop {
            if self.cpu.end_block {
                // Finding the block had effects of its own.
                return Ok(());
            }
            if !self.interpret(io, id)? {
                return Ok(());
            }
            let cpu = &self.cpu;
            let lin = cpu.seg[CS].base.wrapping_add(cpu.eip);
            let link = link_key(cpu.tlb.epoch(cpu.cpl == 3), lin);
            id = match self.cache.follow(id, link) {
                Some(next) => next,
                None => match self.successor(io, id, link) {
                    Ok(Next::Block(next)) => next,
                    Ok(Next::Single(d)) => return self.one(io, &d),
                    Err(f) => return self.fetch_fault(io, f),
                },
            };
        }
    }

    /// Interprets block `id`, cut where the budget ends. False if the run loop must look at everything now.
    #[inline(always)]
    fn interpret(&mut self, io: &mut dyn GuestIo, id: u32) -> Result<bool, Stop> {
        let cpu = &mut self.cpu;
        let left = cpu.poll_at - cpu.icount;
        let b = self.cache.block(id);
        if beyond_limit(cpu, b) {
            return self.near_limit(io).map(|()| false);
        }
        let leaves = b.leaves();
        self.decoded(id);
        let cpu = &mut self.cpu;
        let mut insns = self.cache.insns(id);
        let whole = insns.len();
        if left < whole as u64 {
            insns = &insns[..left as usize];
        }
        let n = match execute(cpu, io, insns) {
            End::Done(n) => n,
            End::Fault(n, f) => return self.fault(io, n, f).map(|()| false),
        };
        cpu.icount += n as u64;
        cpu.done = 0;
        Ok(!((leaves && n == whole) || cpu.end_block || cpu.icount >= cpu.poll_at || self.kicker.is_kicked()))
    }

    /// The same in a mode that translated code is made for: blocks that run often are translated.
    fn chain_translated(&mut self, io: &mut dyn GuestIo) -> Result<(), Stop> {
        // The exit that translated code was left by, to be linked with what follows.
        let mut link = None;
        loop {
            let mut cut = false;
            if self.know_page(io)
                && let Some(code) = self.find_translation()
            {
                if let Some(link) = link.take() {
                    self.link(link, code);
                }
                match self.enter(io, code) {
                    Left::Boundary => return Ok(()),
                    Left::Fault(n, f) => return self.fault(io, n, f),
                    Left::Next(exit) => link = exit,
                    Left::Refused => cut = true,
                    Left::Budget(n) if n <= self.cpu.poll_at - self.cpu.icount => {}
                    // A poll that comes early leaves room for the block, unless it has just been.
                    Left::Budget(_) if self.cpu.polled_at != self.cpu.icount && !io.polls_are_exact() => {
                        self.cpu.poll_at = self.cpu.icount;
                    }
                    Left::Budget(_) => cut = true,
                }
                if self.cpu.icount >= self.cpu.poll_at || self.kicker.is_kicked() {
                    return Ok(());
                }
                if !cut {
                    continue;
                }
            }
            let id = match self.locate(io) {
                Ok(Next::Block(id)) => id,
                Ok(Next::Single(d)) => return self.one(io, &d),
                Err(f) => return self.fetch_fault(io, f),
            };
            if self.cpu.end_block {
                return Ok(());
            }
            if !cut && self.translation(id) {
                self.remember_translation(id);
                if self.find_translation().is_some() {
                    continue;
                }
            }
            link = None;
            if !self.interpret(io, id)? {
                return Ok(());
            }
        }
    }

    /// One instruction, with everything that needs a look before and after each.
    fn single(&mut self, io: &mut dyn GuestIo) -> Result<(), Stop> {
        let in_ss_shadow = self.cpu.mov_ss_shadow;
        let in_sti_shadow = self.cpu.sti_shadow;
        if !in_ss_shadow && let Err(f) = self.cpu.code_breakpoint() {
            return self.fetch_fault(io, f);
        }
        let insn = match self.locate(io) {
            Ok(Next::Block(id)) if beyond_limit(&self.cpu, self.cache.block(id)) => match self.fetch(io) {
                Ok(d) => d.insn,
                Err(f) => return self.fetch_fault(io, f),
            },
            Ok(Next::Block(id)) => {
                self.decoded(id);
                self.cache.insns(id)[0]
            }
            Ok(Next::Single(d)) => d.insn,
            Err(f) => return self.fetch_fault(io, f),
        };
        let cpu = &mut self.cpu;
        let before = cpu.eflags;
        // An instruction that sets RF (IRET, a repetition that goes on) finds it clear.
        cpu.eflags &= !eflags::RF;
        match execute(cpu, io, &[insn]) {
            End::Done(n) => {
                cpu.icount += n as u64;
                cpu.mov_ss_shadow &= !in_ss_shadow;
                cpu.sti_shadow &= !in_sti_shadow;
                // The gate of INT n cleared TF: no trap after that one.
                let int = matches!(insn.opcode, 0xcc..=0xce | 0xf1) && cpu.eflags & eflags::TF == 0;
                if before & eflags::TF != 0 && !int {
                    cpu.pending_debug |= dr6::BS;
                }
                Ok(())
            }
            End::Fault(n, f) => {
                cpu.eflags |= before & eflags::RF;
                self.fault(io, n, f)
            }
        }
    }

    /// Sees to it that the instructions of block `id` are there.
    #[inline(always)]
    pub(crate) fn decoded(&mut self, id: u32) {
        if !self.cache.is_decoded(id) {
            self.cache.decode_again(self.cpu.ram.arena(), id);
        }
    }

    /// An instruction that is not in a block.
    fn one(&mut self, io: &mut dyn GuestIo, d: &Decoded) -> Result<(), Stop> {
        match execute(&mut self.cpu, io, &[d.insn]) {
            End::Done(n) => {
                self.cpu.icount += n as u64;
                Ok(())
            }
            End::Fault(n, f) => self.fault(io, n, f),
        }
    }

    fn near_limit(&mut self, io: &mut dyn GuestIo) -> Result<(), Stop> {
        match self.fetch(io) {
            Ok(d) => self.one(io, &d),
            Err(f) => self.fetch_fault(io, f),
        }
    }

    /// The instruction after `n` others faulted.
    #[cold]
    fn fault(&mut self, io: &mut dyn GuestIo, n: usize, f: Fault) -> Result<(), Stop> {
        let cpu = &mut self.cpu;
        // A fault counts as one instruction: a guest whose handlers fault must not stop the clock.
        cpu.icount = cpu.icount.wrapping_add(n as u64 + 1);
        cpu.done = 0;
        cpu.mov_ss_shadow = false;
        cpu.sti_shadow = false;
        if f.is_retry() {
            // It waits for something from outside.
            cpu.eip = cpu.insn_eip;
            return Ok(());
        }
        cpu.deliver(io, f)
    }

    /// The instruction at EIP could not be fetched.
    #[cold]
    fn fetch_fault(&mut self, io: &mut dyn GuestIo, f: Fault) -> Result<(), Stop> {
        self.cpu.insn_eip = self.cpu.eip;
        self.fault(io, 0, f)
    }

    /// Key bits of code that runs now.
    #[inline(always)]
    fn key(&self) -> u8 {
        let big = if self.cpu.seg[CS].big() { key::BIG } else { 0 };
        big | self.cpu.world() << key::WORLD
    }

    /// What follows block `from`.
    #[inline(never)]
    fn successor(&mut self, io: &mut dyn GuestIo, from: u32, link: u64) -> Result<Next, Fault> {
        if let Some(to) = self.cache.jump(link, self.key()) {
            self.cache.remember(from, link, to, true);
            return Ok(Next::Block(to));
        }
        let flushes = self.cache.flushes;
        let next = self.locate(io)?;
        if let Next::Block(to) = next
            && self.cache.flushes == flushes
        {
            self.cache.remember(from, link, to, false);
        }
        Ok(next)
    }

    /// Finds or decodes what is at EIP.
    fn locate(&mut self, io: &mut dyn GuestIo) -> Result<Next, Fault> {
        let key = self.key();
        let lin = self.cpu.seg[CS].base.wrapping_add(self.cpu.eip);
        if let Some(id) = self.cache.jump(link_key(self.cpu.tlb.epoch(key & key::USER != 0), lin), key) {
            return Ok(Next::Block(id));
        }
        if self.cpu.eip > self.cpu.seg[CS].limit {
            return Err(Fault::gp(0));
        }
        let page = self.cpu.fetch_page(io, lin).inspect_err(|_| self.cpu.fault_lin = lin)?;
        let CodePage::Arena(page) = page else { return self.fetch(io).map(Next::Single) };
        let arena = page | lin & 0xfff;
        let mut found = self.cache.find(&self.cpu.code, arena, key);
        if let Some(id) = found
            && let Some(second) = self.cache.second(id)
            && self.cpu.fetch_page(io, (lin & !0xfff).wrapping_add(0x1000))? != CodePage::Arena(second)
        {
            // The same first page, followed by another one.
            self.cache.drop_block(&mut self.cpu.code, self.cpu.ram.arena(), id);
            self.retire_dropped();
            found = None;
        }
        let id = match found {
            Some(id) => id,
            None => match self.build(io, lin, arena, key)? {
                Next::Block(id) => id,
                single @ Next::Single(_) => return Ok(single),
            },
        };
        self.cache.remember_jump(link_key(self.cpu.tlb.epoch(key & key::USER != 0), lin), id);
        Ok(Next::Block(id))
    }

    fn build(&mut self, io: &mut dyn GuestIo, lin: u32, arena: u32, key: u8) -> Result<Next, Fault> {
        let big = key & key::BIG != 0;
        let room = 0x1000 - (lin & 0xfff) as usize;
        // The bytes at `from..to`: most blocks are short.
        let mut bytes = [0; 8 * MAX_LEN];
        let (mut from, mut to) = (0, 0);
        let mut insns = std::mem::take(&mut self.insns);
        insns.clear();
        let mut len = 0;
        let mut leaves = false;
        let mut branches = 0;
        while insns.len() < MAX_INSNS {
            if to - len < MAX_LEN && to < room {
                (from, to) = (len, room.min(len + bytes.len()));
                self.cpu.ram.arena().copy_out(arena + len as u32, &mut bytes[..to - from]);
            }
            let Ok(mut d) = decode(&bytes[len - from..to - from], big) else { break };
            len += usize::from(d.insn.len);
            d.insn.end = len as u16;
            insns.push(d.insn);
            leaves = d.attr & attr::LEAVE != 0;
            branches += usize::from(d.attr & attr::BRANCH != 0);
            if d.attr & (attr::LEAVE | attr::JUMP) != 0 || branches == MAX_BRANCHES {
                break;
            }
        }
        let mut second = None;
        if insns.is_empty() {
            let d = self.fetch(io)?;
            let CodePage::Arena(next) = self.cpu.fetch_page(io, (lin & !0xfff).wrapping_add(0x1000))? else {
                return Ok(Next::Single(d));
            };
            second = Some(next);
            len = usize::from(d.insn.len);
            leaves = d.attr & attr::LEAVE != 0;
            insns.push(d.insn);
        }
        let new = NewBlock { insns: &insns, arena, second, len: len as u32, key, leaves };
        let (code, tlb) = (&mut self.cpu.code, &mut self.cpu.tlb);
        let (views, arena) = (&mut self.cpu.views, self.cpu.ram.arena());
        let id = self.cache.insert(code, arena, &new, |page| {
            tlb.forbid_writes(page);
            views.protect(arena, page);
        });
        self.insns = insns;
        self.retire_dropped();
        Ok(Next::Block(id))
    }

    /// Decodes the one instruction at EIP, byte by byte as far as the limit of CS and the pages allow.
    fn fetch(&mut self, io: &mut dyn GuestIo) -> Result<Decoded, Fault> {
        let cpu = &mut self.cpu;
        let (limit, big) = (cpu.seg[CS].limit, cpu.seg[CS].big());
        if cpu.eip > limit {
            return Err(Fault::gp(0));
        }
        let lin = cpu.seg[CS].base.wrapping_add(cpu.eip);
        let allowed = (u64::from(limit - cpu.eip) + 1).min(MAX_LEN as u64) as usize;
        let room = (0x1000 - (lin & 0xfff) as usize).min(allowed);
        let mut bytes = [0; MAX_LEN];
        let page = cpu.fetch_page(io, lin).inspect_err(|_| cpu.fault_lin = lin)?;
        code_bytes(cpu, io, page, lin & 0xfff, &mut bytes[..room]);
        let mut d = decode(&bytes[..room], big);
        if d.is_err() && room < allowed {
            let page = cpu.fetch_page(io, lin.wrapping_add(room as u32))?;
            code_bytes(cpu, io, page, 0, &mut bytes[room..allowed]);
            d = decode(&bytes[..allowed], big);
        }
        match d {
            Ok(mut d) => {
                d.insn.end = u16::from(d.insn.len);
                Ok(d)
            }
            // Not too long (that is an instruction of its own): the limit cuts it.
            Err(Short) => Err(Fault::gp(0)),
        }
    }
}

/// Part of the block lies beyond the limit of CS.
#[inline(always)]
fn beyond_limit(cpu: &Cpu, b: &Block) -> bool {
    u64::from(cpu.eip) + u64::from(b.len) > u64::from(cpu.seg[CS].limit) + 1
}

fn code_bytes(cpu: &mut Cpu, io: &mut dyn GuestIo, page: CodePage, off: u32, buf: &mut [u8]) {
    match page {
        CodePage::Arena(at) => cpu.ram.arena().copy_out(at | off, buf),
        CodePage::Bus(phys) => {
            cpu.report(io);
            io.mmio_read(phys | u64::from(off), buf);
            cpu.after_io();
        }
    }
}
