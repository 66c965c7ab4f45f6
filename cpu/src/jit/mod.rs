//! The translator: decoded blocks to x86-64 code that runs between two looks of the run loop. See docs/cpu-jit.md.
//!
//! - `effects.rs`: what is translated, and where flags are needed; `lower.rs`, `ops.rs`, `system.rs`: the
//!   translation;
//! - `asm.rs`: the emitter; `buffer.rs`: where code lies; `codes.rs`: what is known of it, in `numbers.rs`; `thunks.rs`: the
//!   ways in and out of it; `strings.rs`: REP; `segments.rs`: loads of segment registers;
//! - `moves.rs`: pages of code that programs have at different addresses;
//! - `trap.rs`: accesses in a view that the host refused;
//! - `x87.rs`, `simd.rs`: floating point and MMX; `units.rs`: how their state gets to the host's units and back;
//! - `calls.rs`: what code calls; `layout.rs`: what it addresses.
//!
//! What is not translated is run by the interpreter's handler, one instruction at a time, from within translated code.
//! Both agree to the instruction and to the bit, in what they count as in what they leave.
#![allow(unsafe_code, reason = "running generated code; each block says what makes it sound")]

mod asm;
#[cfg(test)]
mod asm_tests;
mod buffer;
mod calls;
mod codes;
#[cfg(test)]
mod codes_tests;
mod effects;
mod layout;
mod lower;
mod moves;
mod numbers;
mod ops;
mod perf_map;
mod segments;
mod simd;
mod strings;
mod system;
mod thunks;
mod trap;
mod units;
mod x87;

use std::any::Any;
use std::collections::HashMap;

use hv_vcpu::GuestIo;

use self::asm::Asm;
use self::buffer::CodeBuffer;
use self::codes::{Code, Codes, Site, TrapSite};
use self::effects::Survey;
use self::lower::{Lower, Source};
use self::moves::Moves;
use self::perf_map::PerfMap;
use self::thunks::Thunks;
use self::units::Units;
pub(crate) use self::units::on_host;
use crate::block::{Base, Block};
use crate::fault::Fault;
use crate::insn::Insn;
use crate::mem::Slot;
use crate::run::Engine;

/// Instructions between two looks at the kicker.
///
/// Each call of the guest's may leave a return address of 8 bytes on the host's stack.
const LONGEST_RUN: u64 = 1 << 17;

/// Code of different worlds ([`crate::cpu::Cpu::world`]) is never linked.
const WORLDS: usize = 4;
/// Bits of a world: CPL is 3; its memory is accessed in a view.
const USER: u8 = 1;
const VIEW: u8 = 2;

/// Entries of a table of indirect targets; a power of two.
const JUMPS: usize = 16384;

/// Why translated code came back. 0 and 1 are the slow paths' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// The run loop must look at everything.
    Boundary = 2,
    /// [`Hot::fault`] is to be delivered.
    Fault = 3,
    /// Go on at EIP.
    Next = 4,
    /// The block whose number [`Hot::resume`] is is longer than the budget.
    Budget = 5,
    /// Go on behind the exit whose number [`Hot::resume`] is, and link it.
    Link = 6,
    /// [`Hot::panic`] is to be resumed.
    Panic = 7,
    /// The instruction at EIP needs a unit that it can't have: the interpreter must run it.
    Refused = 8,
}

impl Exit {
    const LAST: u32 = Self::Refused as u32;
}

/// How a run of translated code ended.
pub(crate) enum Left {
    Boundary,
    /// The instruction after so many of the block faulted.
    Fault(usize, Fault),
    /// Go on at EIP. The link, if one can be made.
    Next(Option<u32>),
    /// The block at EIP, of so many instructions, is longer than what is left.
    Budget(u64),
    /// The interpreter must run what is at EIP: its block needs what code can't have.
    Refused,
}

/// What translated code and its callees share, apart from [`crate::cpu::Cpu`].
#[repr(C)]
pub(crate) struct Hot {
    /// The arithmetic flags as LAHF leaves them in bits 15:8, and OF in bit 0.
    flags: u32,
    spill: u32,
    /// The address of an access that the TLB refused.
    lin: u32,
    /// Instructions to `until`, less those of the block that runs.
    left: i64,
    /// When the run loop must have a look, in instructions retired.
    until: u64,
    /// What ran before is on its view's account.
    since: u64,
    set: *const Slot,
    /// An interrupt waits for IF.
    intr: bool,
    /// A place in translated code: where to go on; which call it was.
    resume: *const u8,
    jumps: *const Jump,
    /// Where the buffer is run.
    code: *const u8,
    /// The host's stack pointer when translated code was entered.
    sp: u64,
    /// Worlds whose return addresses may lie above it, as bits.
    worlds: u8,
    units: Units,
    io: Option<*mut dyn GuestIo>,
    fault: Option<(usize, Fault)>,
    panic: Option<Box<dyn Any + Send>>,
    trap: trap::Trapped,
    /// The view that GS begins at.
    view: u64,
}

// SAFETY: the pointers are set by `Engine::enter` for the time of one run and lead to what the engine owns.
unsafe impl Send for Hot {}

impl Default for Hot {
    fn default() -> Self {
        Self {
            flags: 0,
            spill: 0,
            lin: 0,
            left: 0,
            until: 0,
            since: 0,
            set: std::ptr::null(),
            intr: false,
            resume: std::ptr::null(),
            jumps: std::ptr::null(),
            code: std::ptr::null(),
            sp: 0,
            worlds: 0,
            units: Units::default(),
            io: None,
            fault: None,
            panic: None,
            trap: trap::Trapped::default(),
            view: 0,
        }
    }
}

/// An indirect target. It is in the table where its place in the arena says, or in the place next to that.
#[repr(C)]
#[derive(Clone, Copy)]
struct Jump {
    arena: u32,
    /// Offset of the translation in the buffer.
    code: u32,
}

/// The arena does not reach so far.
const NO_JUMP: Jump = Jump { arena: u32::MAX, code: 0 };

/// How a block is to be translated.
#[derive(Clone, Copy)]
struct How {
    world: u8,
    hot: bool,
    /// What the TLB slot of the next page says, if the block's one instruction reaches into that.
    second: Option<u64>,
}

/// Counters, for `ctl metrics`.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) flushes: u64,
    pub(crate) retired: u64,
    /// Pages whose translations became those of another address; places in them that held something of it.
    pub(crate) pages_moved: u64,
    pub(crate) moves: u64,
    pub(crate) links: u64,
    pub(crate) entries: u64,
    pub(crate) exits_boundary: u64,
    pub(crate) exits_fault: u64,
    pub(crate) exits_next: u64,
    pub(crate) exits_budget: u64,
    pub(crate) exits_link: u64,
    pub(crate) exits_refused: u64,
    pub(crate) interpreted: u64,
    /// Of these, went into another world or elsewhere without the run loop.
    pub(crate) elsewhere: u64,
    pub(crate) tlb_misses: u64,
    pub(crate) traps: u64,
}

pub(crate) struct Jit {
    /// Before the buffer: it goes first.
    registered: Option<trap::Registered>,
    buffer: CodeBuffer,
    /// Offset of the first free byte.
    used: u32,
    thunks: Thunks,
    asm: Asm,
    survey: Survey,
    codes: Codes,
    /// What another address would change, by page of the arena and privilege. Some of it in code that is used no more.
    moves: HashMap<(u32, bool), Moves>,
    /// Of translations, what a view lately refused them.
    refusals: HashMap<u32, trap::Refusals>,
    /// By world.
    jumps: [Box<[Jump]>; WORLDS],
    threshold: u8,
    hot_at: u8,
    map: Option<PerfMap>,
    pub(crate) counters: Counters,
}

/// What the slot of a page says to be compared by a page check.
fn page_of(slot: &Slot) -> u64 {
    u64::from(slot.fetch) | u64::from(slot.addend) << 32
}

impl Jit {
    /// The error says why this host can't run translated code.
    pub(crate) fn new(options: &crate::Software) -> Result<Self, String> {
        if !std::arch::is_x86_feature_detected!("bmi2") {
            return Err("the host's processor lacks BMI2".to_owned());
        }
        let mut buffer =
            CodeBuffer::new(options.jit_cache).map_err(|e| format!("no memory for code: {e}"))?;
        let mut asm = Asm::default();
        let thunks = Thunks::emit(&mut asm);
        buffer.write(0, &asm.buf);
        Ok(Self {
            registered: None,
            buffer,
            used: thunks.len,
            thunks,
            asm,
            survey: Survey::default(),
            codes: Codes::new(options.jit_cache),
            moves: HashMap::new(),
            refusals: HashMap::new(),
            jumps: std::array::from_fn(|_| vec![NO_JUMP; JUMPS].into()),
            threshold: options.jit_threshold,
            hot_at: options.jit_hot,
            map: options.perf_map.then(PerfMap::new).flatten(),
            counters: Counters::default(),
        })
    }

    pub(crate) fn metrics(&self) -> Vec<(&'static str, u64)> {
        let c = &self.counters;
        vec![
            ("jit_blocks", c.blocks),
            ("jit_bytes", c.bytes),
            ("jit_flushes", c.flushes),
            ("jit_blocks_invalidated", c.retired),
            ("jit_pages_moved", c.pages_moved),
            ("jit_moves", c.moves),
            ("jit_links", c.links),
            ("jit_entries", c.entries),
            ("jit_exits_boundary", c.exits_boundary),
            ("jit_exits_fault", c.exits_fault),
            ("jit_exits_indirect", c.exits_next),
            ("jit_exits_budget", c.exits_budget),
            ("jit_exits_unlinked", c.exits_link),
            ("jit_exits_refused", c.exits_refused),
            ("jit_interpreted", c.interpreted),
            ("jit_elsewhere", c.elsewhere),
            ("jit_tlb_misses", c.tlb_misses),
            ("jit_traps", c.traps),
        ]
    }

    /// Translates a block whose first instruction is at `eip`. Returns the translation's number; `None` if the
    /// buffer is full.
    fn translate(&mut self, id: u32, eip: u32, b: &Block, insns: &[Insn], how: How) -> Option<u32> {
        // No instruction becomes longer than this, out-of-line parts included.
        const LONGEST: usize = 256;
        self.survey.of(insns);
        let view = how.world & VIEW != 0 && !b.is_careful();
        let how = How { hot: how.hot && !view, ..how };
        let at = self.used.next_multiple_of(16);
        if at as usize + (insns.len() + 2) * LONGEST > self.buffer.len() {
            return None;
        }
        let How { hot, second, .. } = how;
        let source = Source {
            insns,
            id,
            eip,
            leaves: b.leaves(),
            user: how.world & USER != 0,
            view,
            at,
            links: self.codes.next_link(),
            hot,
            second,
        };
        let lowered = Lower::new(&mut self.asm, source, &self.survey, &self.thunks).block();
        assert!(self.asm.buf.len() <= (insns.len() + 2) * LONGEST);
        self.buffer.write(at, &self.asm.buf);
        self.used = at + self.asm.here();
        if let Some(map) = &mut self.map {
            map.add(self.buffer.address(at), self.asm.here(), eip);
        }
        self.counters.blocks += 1;
        self.counters.bytes += u64::from(self.asm.here());
        let code = Code::new(id, at, how.world, hot);
        self.add_moves((b.arena() >> 12, b.is_users()), &lowered.moves);
        Some(self.codes.add(code, &lowered))
    }

    /// The block and site of a return address, and where its instruction ends.
    fn site(&self, ret: *const u8) -> Option<(u32, Site, *const u8)> {
        let (c, site) = self.codes.site(self.buffer.offset(ret)?)?;
        Some((c.id, site, self.buffer.address(c.entry + u32::from(site.done))))
    }

    /// The number of a translation, the site of an access in a view, and where its instruction ends.
    fn trap_site(&self, at: *const u8) -> Option<(u32, TrapSite, *const u8)> {
        let (number, site) = self.codes.trap_site(self.buffer.offset(at)?)?;
        let done = self.codes.get(number).entry + u32::from(site.done);
        Some((number, site, self.buffer.address(done)))
    }

    /// Lets exit `link` go straight to the translation at `code`, as long as its page is mapped as `slot` says.
    pub(crate) fn link(&mut self, link: u32, code: u32, slot: &Slot) {
        let number = self.codes.of_place(code);
        if !self.codes.get(number).live {
            return;
        }
        let linked = self.codes.link(&mut self.buffer, link, number, page_of(slot));
        self.counters.links += u64::from(linked);
    }

    fn jump_index(arena: u32) -> usize {
        ((arena ^ arena >> 12) & layout::JUMP_MASK) as usize
    }

    /// What the table of a world has for a place in the arena: a block and its code.
    #[inline(always)]
    fn jump(&self, world: u8, arena: u32) -> Option<&Jump> {
        let (table, at) = (&self.jumps[usize::from(world)], Self::jump_index(arena));
        [&table[at], &table[at ^ 1]].into_iter().find(|j| j.arena == arena)
    }

    /// Lets indirect jumps find the translation of the block at `arena`.
    pub(crate) fn remember(&mut self, number: u32, arena: u32) {
        let c = self.codes.get(number);
        if !c.live {
            return;
        }
        let j = Jump { arena, code: c.entry };
        let (table, at) = (&mut self.jumps[usize::from(c.world)], Self::jump_index(arena));
        if table[at].arena != j.arena {
            // Two targets that want the same place must not drive each other out.
            table[at ^ 1] = table[at];
        }
        table[at] = j;
    }

    /// The block of a translation, at `arena`, is gone: nothing may lead to its code any more.
    pub(crate) fn retire(&mut self, number: u32, arena: u32) {
        let c = self.codes.get_mut(number);
        if !std::mem::take(&mut c.live) {
            return;
        }
        self.counters.retired += 1;
        let at = Self::jump_index(arena);
        for at in [at, at ^ 1] {
            let j = &mut self.jumps[usize::from(c.world)][at];
            if j.code == c.entry {
                *j = NO_JUMP;
            }
        }
        self.codes.unlink_all(&mut self.buffer, number);
    }

    /// Forgets all translations.
    pub(crate) fn flush(&mut self) {
        self.counters.flushes += 1;
        self.used = self.thunks.len;
        self.codes.clear();
        self.moves.clear();
        self.refusals.clear();
        for t in &mut self.jumps {
            t.fill(NO_JUMP);
        }
    }
}

/// The flags as translated code keeps them, from EFLAGS.
fn pack(eflags: u32) -> u32 {
    (eflags & 0xd5 | 2) << 8 | eflags >> 11 & 1
}

/// EFLAGS from the flags of translated code.
fn unpack(flags: u32) -> u32 {
    flags >> 8 & 0xd5 | (flags & 1) << 11
}

impl Engine {
    /// There is a translator, and the mode is the one that its code takes for granted.
    pub(crate) fn may_translate(&self) -> bool {
        self.jit.is_some() && self.cpu.flat() && !self.cpu.tlb.alignment_checks()
    }

    /// Where the translation of the block at EIP begins, if the TLB knows the page, and there is one in the table.
    #[inline(always)]
    pub(crate) fn find_translation(&self) -> Option<u32> {
        let eip = self.cpu.eip;
        let slot = self.cpu.tlb.slot(eip);
        if slot.fetch != eip & !0xfff {
            return None;
        }
        let jit = self.jit.as_ref()?;
        Some(jit.jump(self.cpu.world(), eip.wrapping_add(slot.addend))?.code)
    }

    /// Finds or makes the translation of block `id`, which starts at EIP. False: it has none.
    #[inline(always)]
    pub(crate) fn translation(&mut self, id: u32) -> bool {
        if !self.knows_page() {
            return false;
        }
        let b = self.cache.block_mut(id);
        if b.code != 0 {
            return true;
        }
        b.heat = b.heat.saturating_add(1);
        let heat = b.heat;
        self.jit.as_ref().is_some_and(|j| heat >= j.threshold)
            && self.translate(id, self.jit.as_ref().is_some_and(|j| j.hot_at == 0)) != 0
    }

    #[cold]
    fn translate(&mut self, id: u32, hot: bool) -> u32 {
        let Some(jit) = &mut self.jit else { return 0 };
        let (eip, world) = (self.cpu.eip, self.cpu.world());
        let b = self.cache.block_mut(id);
        b.heat = 0;
        if eip.checked_add(u32::from(b.len)).is_none() {
            return 0;
        }
        let (page, user) = (b.arena() >> 12, b.is_users());
        if b.code != 0 {
            // It is to be made better.
            jit.retire(b.code, b.arena());
            b.code = 0;
        }
        if self.cpu.code.base(page, user).is_none() {
            let lin = eip & !0xfff;
            self.cpu.code.set_base(page, user, Base { lin, since: self.cpu.icount });
            self.cpu.tlb.fetch_at(user, lin, page);
        }
        self.decoded(id);
        let Some(jit) = &mut self.jit else { return 0 };
        let b = self.cache.block_mut(id);
        let next_page = (eip & !0xfff).wrapping_add(0x1000);
        let slot = self.cpu.tlb.slot(next_page);
        let second = b.crosses().then(|| page_of(slot));
        if second.is_some() && slot.fetch != next_page {
            return 0;
        }
        let how = How { world, hot, second };
        let code = match jit.translate(id, eip, self.cache.block(id), self.cache.insns(id), how) {
            Some(code) => code,
            None => {
                jit.flush();
                self.cache.forget_code();
                match jit.translate(id, eip, self.cache.block(id), self.cache.insns(id), how) {
                    Some(code) => code,
                    None => return 0,
                }
            }
        };
        let b = self.cache.block_mut(id);
        b.code = code;
        code
    }

    /// After blocks were dropped: their code goes too.
    pub(crate) fn retire_dropped(&mut self) {
        let Some(jit) = &mut self.jit else { return };
        if std::mem::take(&mut self.cache.all_dropped) {
            jit.flush();
            self.cache.dropped_code.clear();
        }
        for (number, arena) in self.cache.dropped_code.drain(..) {
            jit.retire(number, arena);
        }
    }

    /// Code of the world that runs finds its memory and its targets. False: its view has just gone.
    fn select_world(&mut self) -> bool {
        if self.cpu.viewed && !self.select_view() {
            return false;
        }
        let world = usize::from(self.cpu.world());
        self.hot.set = self.cpu.tlb.set();
        if let Some(jit) = &self.jit {
            self.hot.jumps = jit.jumps[world].as_ptr();
            self.hot.code = jit.buffer.address(0);
        }
        true
    }

    /// Runs translated code at `code` until it leaves.
    pub(crate) fn enter(&mut self, io: &mut dyn GuestIo, code: u32) -> Left {
        if !self.select_world() {
            return Left::Next(None);
        }
        self.hot.worlds = 1 << self.cpu.world();
        let Some(jit) = &mut self.jit else { return Left::Boundary };
        jit.counters.entries += 1;
        let address = jit.buffer.address(code);
        let enter = jit.thunks.enter(&jit.buffer);
        let cpu = &mut self.cpu;
        self.hot.since = cpu.icount;
        self.hot.flags = pack(cpu.flags.pack());
        self.hot.intr = io.intr_pending();
        let budget = (cpu.poll_at - cpu.icount).min(LONGEST_RUN);
        self.hot.until = cpu.icount + budget;
        self.hot.left = budget as i64;
        // SAFETY: only the lifetime goes; the pointer is used while `io` is borrowed here, and cleared below.
        let io: *mut (dyn GuestIo + 'static) = unsafe { std::mem::transmute(io as *mut dyn GuestIo) };
        self.hot.io = Some(io);
        let (set, arena) = (self.hot.set, cpu.ram.arena().base());
        let engine: *mut Self = self;
        // SAFETY: `code` is the start of a translation that this engine made and has not retired. It reads and writes
        // through the engine (from `hot` on, both ways), the TLB set, the jump tables and the arena, all of which live
        // until it returns; TLB slots name only pages of the arena. `self` is not used meanwhile but through `engine`.
        let r = unsafe { enter(&raw mut (*engine).hot, address, set, arena) };
        self.hot.io = None;
        self.take_units(None);
        let cpu = &mut self.cpu;
        cpu.flags = crate::flags::Flags::unpack(unpack(self.hot.flags));
        if r != Exit::Fault as u64 && r != Exit::Panic as u64 {
            cpu.icount = self.hot.until.wrapping_sub(self.hot.left as u64);
            cpu.done = 0;
        }
        cpu.ran(cpu.retired().saturating_sub(self.hot.since));
        let Some(jit) = &mut self.jit else { return Left::Boundary };
        match r {
            x if x == Exit::Boundary as u64 => {
                jit.counters.exits_boundary += 1;
                Left::Boundary
            }
            x if x == Exit::Fault as u64 => {
                jit.counters.exits_fault += 1;
                match self.hot.fault.take() {
                    Some((n, f)) => Left::Fault(n, f),
                    None => Left::Boundary,
                }
            }
            x if x == Exit::Next as u64 => {
                jit.counters.exits_next += 1;
                Left::Next(None)
            }
            x if x == Exit::Budget as u64 => {
                jit.counters.exits_budget += 1;
                self.over_budget(self.hot.resume.addr() as u32)
            }
            x if x == Exit::Link as u64 => {
                jit.counters.exits_link += 1;
                let link = self.hot.resume.addr() as u32;
                match self.target(link) {
                    Some(target) => {
                        self.cpu.eip = target;
                        Left::Next(Some(link))
                    }
                    None => unreachable!("an exit that no block has"),
                }
            }
            x if x == Exit::Refused as u64 => {
                jit.counters.exits_refused += 1;
                Left::Refused
            }
            _ => match self.hot.panic.take() {
                Some(p) => std::panic::resume_unwind(p),
                None => unreachable!("translated code returned {r:#x}"),
            },
        }
    }

    /// Block `id` was longer than the budget, which it has been taken from. Where time is spent, budgets end.
    fn over_budget(&mut self, id: u32) -> Left {
        let Some(jit) = &mut self.jit else { return Left::Boundary };
        let b = self.cache.block(id);
        self.cpu.eip = self.cpu.code.eip(b);
        let (n, crosses) = (u64::from(b.n), b.crosses());
        self.cpu.icount -= n;
        let c = jit.codes.get_mut(b.code);
        c.seen = c.seen.saturating_add(1);
        // In a view there is nothing that could be put in line.
        let better = c.world & VIEW == 0 || b.is_careful();
        if c.seen == jit.hot_at && !c.hot && better {
            self.translate(id, true);
        }
        // Perhaps the second page is another one.
        if crosses { Left::Refused } else { Left::Budget(n) }
    }

    /// The translation at `code` follows at EIP over exit `link`: the next time it goes straight there.
    pub(crate) fn link(&mut self, link: u32, code: u32) {
        let eip = self.cpu.eip;
        let slot = *self.cpu.tlb.slot(eip);
        // The page that the exit lies in may have moved on the way here, if it is that of the target.
        if slot.fetch == eip & !0xfff
            && self.target(link) == Some(eip)
            && let Some(jit) = &mut self.jit
        {
            jit.link(link, code, &slot);
        }
    }

    /// Where a direct exit leads.
    fn target(&self, link: u32) -> Option<u32> {
        let (id, from_here) = self.jit.as_ref()?.codes.target(link)?;
        Some(self.cpu.code.eip(self.cache.block(id)).wrapping_add(from_here))
    }

    /// Lets jumps to EIP find block `id`, which is translated.
    pub(crate) fn remember_translation(&mut self, id: u32) {
        if let Some(jit) = &mut self.jit {
            let b = self.cache.block(id);
            jit.remember(b.code, b.arena());
        }
    }
}
