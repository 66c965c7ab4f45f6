//! What is known of translations. They lie in the buffer in the order of their numbers, and so, in tables, do their exits
//! and the other places that are found by where they are. None goes before all do.
//!
//! There are as many bytes of code as of everything that is said of it if that is not kept small: so what does not change
//! is one string of numbers for each translation ([`Codes::facts`]), and where an exit leads is read from its jump.

use super::buffer::CodeBuffer;
use super::lower::Lowered;
use super::numbers::{Numbers, put, put_signed};

/// In place of the number of a translation or link.
pub(super) const NOBODY: u32 = u32::MAX;

/// How far in front of a link's displacement the page check's immediate begins; how far behind it the way out, and that
/// of a call.
const GUARD: u32 = 22;
const OUT: u32 = 4;
const CALL_OUT: u32 = 53;

/// A direct exit.
pub(super) struct Link {
    /// Where it leads, from the EIP of the block that has it.
    target: u32,
    /// Where the jump's displacement is.
    jump: u32,
    /// There is a page check.
    guarded: bool,
    call: bool,
}

impl Link {
    /// Offsets are from the block's entry.
    pub(super) fn new(target: u32, jump: u32, guard: Option<u32>, call: bool) -> Self {
        assert!(guard.is_none_or(|g| g + GUARD == jump));
        Self { target, jump, guarded: guard.is_some(), call }
    }

    fn patch(&self, buffer: &mut CodeBuffer, to: u32) {
        let rel = to.wrapping_sub(self.jump + 4);
        buffer.write(self.jump, &rel.to_le_bytes());
    }

    /// The way out of translated code.
    pub(super) fn out(&self) -> u32 {
        self.jump + if self.call { CALL_OUT } else { OUT }
    }

    /// The entry that it goes straight to.
    fn leads(&self, buffer: &CodeBuffer) -> Option<u32> {
        let to = (self.jump + 4).wrapping_add(buffer.read32(self.jump));
        (to != self.out()).then_some(to)
    }
}

/// A call of translated code.
#[derive(Clone, Copy)]
pub(super) struct Site {
    /// Return address and end of the instruction, from the block's entry.
    pub(super) ret: u16,
    pub(super) done: u16,
    /// The instruction.
    pub(super) k: u8,
}

/// Where accesses in a view may trap: from `at` to the next one.
#[derive(Clone, Copy)]
pub(super) struct TrapSite {
    /// From the block's entry; `done` as in [`Site`].
    pub(super) at: u16,
    pub(super) done: u16,
    pub(super) k: u8,
    /// The guest's flags are only in the host's.
    pub(super) unsaved: bool,
}

/// The translation of a block.
pub(super) struct Code {
    /// The block.
    pub(super) id: u32,
    /// Offset in the buffer.
    pub(super) entry: u32,
    /// Where [`Codes::facts`] of it begin.
    facts: u32,
    /// The number of its first link.
    links: u32,
    /// The first link that leads here, or [`NOBODY`].
    incoming: u32,
    /// Which of [`super::Jit::jumps`].
    pub(super) world: u8,
    /// How often it was found running when the budget ended.
    pub(super) seen: u8,
    pub(super) live: bool,
    /// Translated with everything in line.
    pub(super) hot: bool,
}

impl Code {
    /// That is live.
    pub(super) fn new(id: u32, entry: u32, world: u8, hot: bool) -> Self {
        Self { id, entry, facts: 0, links: 0, incoming: NOBODY, world, seen: 0, live: true, hot }
    }
}

const _: () = assert!(size_of::<Code>() == 24);

/// Links, and bytes of the buffer, for each of which a table says where to begin to search.
const LINKS: usize = 32;
const PLACES: u32 = 4096;

pub(super) struct Codes {
    /// Number 0 is the thunks.
    codes: Vec<Code>,
    /// For each link, the next of those that lead where it does, or [`NOBODY`].
    next: Vec<u32>,
    /// For each translation its links, how many calls, the calls, and where it may trap.
    facts: Vec<u8>,
    /// The translation that has the first of so many links.
    owners: Vec<u32>,
    /// The translation that the first of so many bytes lies in.
    places: Vec<u32>,
}

impl Codes {
    /// For a buffer of `len` bytes.
    pub(super) fn new(len: usize) -> Self {
        let thunks = Code { live: false, ..Code::new(0, 0, 0, false) };
        // Room that the host gives as it is used: tables that grow by moving leave gaps behind.
        let mut codes = Vec::with_capacity(len / 128);
        codes.push(thunks);
        Self {
            codes,
            next: Vec::with_capacity(len / 64),
            facts: Vec::with_capacity(len / 8),
            owners: Vec::new(),
            places: vec![0],
        }
    }

    /// Forgets all translations.
    pub(super) fn clear(&mut self) {
        self.codes.truncate(1);
        self.next.clear();
        self.facts.clear();
        self.owners.clear();
        self.places.truncate(1);
    }

    /// Number of the next link.
    pub(super) fn next_link(&self) -> u32 {
        self.next.len() as u32
    }

    /// Enters a translation, which lies behind all others. Returns its number.
    pub(super) fn add(&mut self, code: Code, lowered: &Lowered) -> u32 {
        let number = self.codes.len() as u32;
        let facts = self.facts.len() as u32;
        for _ in &lowered.links {
            if self.next.len().is_multiple_of(LINKS) {
                self.owners.push(number);
            }
            self.next.push(NOBODY);
        }
        while let at = self.places.len() as u32 * PLACES
            && at <= code.entry
        {
            self.places.push(if at == code.entry { number } else { number - 1 });
        }
        let links = self.next.len() - lowered.links.len();
        self.codes.push(Code { facts, links: links as u32, ..code });
        self.note(lowered);
        number
    }

    fn note(&mut self, lowered: &Lowered) {
        let to = &mut self.facts;
        let mut before = 0;
        for l in &lowered.links {
            put(to, (l.jump - before) << 2 | u32::from(l.call) << 1 | u32::from(l.guarded));
            put_signed(to, l.target);
            before = l.jump;
        }
        let mut before = 0;
        put(to, lowered.sites.len() as u32);
        for s in &lowered.sites {
            put(to, u32::from(s.ret - before));
            put_signed(to, u32::from(s.done).wrapping_sub(u32::from(s.ret)));
            put(to, u32::from(s.k));
            before = s.ret;
        }
        let mut before = 0;
        for t in &lowered.traps {
            put(to, u32::from(t.at - before));
            put_signed(to, u32::from(t.done).wrapping_sub(u32::from(t.at)));
            put(to, u32::from(t.k) << 1 | u32::from(t.unsaved));
            before = t.at;
        }
    }

    pub(super) fn get(&self, number: u32) -> &Code {
        &self.codes[number as usize]
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut Code {
        &mut self.codes[number as usize]
    }

    /// The facts of a translation, and how many links they begin with.
    fn facts(&self, number: u32) -> (Numbers<'_>, u32) {
        let (c, next) = (self.get(number), self.codes.get(number as usize + 1));
        let end = next.map_or(self.facts.len(), |n| n.facts as usize);
        let links = next.map_or(self.next.len() as u32, |n| n.links) - c.links;
        (Numbers(&self.facts[c.facts as usize..end]), links)
    }

    /// The facts behind the links, from the calls on: how many these are.
    fn places(&self, number: u32) -> (Numbers<'_>, u32) {
        let (mut facts, links) = self.facts(number);
        for _ in 0..2 * links {
            facts.take();
        }
        let calls = if facts.is_empty() { 0 } else { facts.take() };
        (facts, calls)
    }

    /// The translation that an offset lies in: that of an instruction, or one that a call returns to, which may be the
    /// first behind the block.
    pub(super) fn of_place(&self, off: u32) -> u32 {
        let at = ((off / PLACES) as usize).min(self.places.len() - 1);
        let first = self.places[at];
        let end = self.places.get(at + 1).map_or(self.codes.len(), |n| *n as usize + 1);
        first + self.codes[first as usize..end].partition_point(|c| c.entry <= off) as u32 - 1
    }

    pub(super) fn of_return(&self, off: u32) -> u32 {
        self.of_place(off.saturating_sub(1))
    }

    /// Translation and site of an offset that is returned to.
    pub(super) fn site(&self, off: u32) -> Option<(&Code, Site)> {
        let number = self.of_return(off);
        let c = self.get(number);
        let from = off - c.entry;
        let (mut facts, calls) = self.places(number);
        let mut ret = 0;
        for _ in 0..calls {
            ret += facts.take();
            let (done, k) = (facts.take_signed(), facts.take());
            if ret == from {
                return Some((c, Site { ret: ret as u16, done: ret.wrapping_add(done) as u16, k: k as u8 }));
            }
        }
        None
    }

    /// The number of a translation, and the site of an access in a view.
    pub(super) fn trap_site(&self, off: u32) -> Option<(u32, TrapSite)> {
        let number = self.of_place(off);
        let from = off - self.get(number).entry;
        let (mut facts, calls) = self.places(number);
        for _ in 0..3 * calls {
            facts.take();
        }
        let (mut at, mut found) = (0, None);
        while !facts.is_empty() {
            at += facts.take();
            if at > from {
                break;
            }
            let (done, what) = (facts.take_signed(), facts.take());
            let done = at.wrapping_add(done) as u16;
            found = Some(TrapSite { at: at as u16, done, k: (what >> 1) as u8, unsaved: what & 1 != 0 });
        }
        Some((number, found?))
    }

    /// The translation that has a link.
    fn owner(&self, link: u32) -> u32 {
        let mut n = self.owners[link as usize / LINKS];
        while self.codes.get(n as usize + 1).is_some_and(|c| c.links <= link) {
            n += 1;
        }
        n
    }

    /// A link and its owner. Where it jumps is in the buffer.
    fn exit(&self, link: u32) -> (&Code, Link) {
        let number = self.owner(link);
        let c = self.get(number);
        let (mut facts, _) = self.facts(number);
        let mut l = Link { target: 0, jump: c.entry, guarded: false, call: false };
        for _ in c.links..=link {
            let (what, target) = (facts.take(), facts.take_signed());
            l = Link { target, jump: l.jump + (what >> 2), guarded: what & 1 != 0, call: what & 2 != 0 };
        }
        (c, l)
    }

    /// The block of a direct exit, and where that leads, from the EIP of the block.
    pub(super) fn target(&self, link: u32) -> Option<(u32, u32)> {
        (link < self.next_link()).then(|| {
            let (c, l) = self.exit(link);
            (c.id, l.target)
        })
    }

    /// Lets exit `link` go straight to a translation of the same world, if its page check finds `page`. False: it is of
    /// another one. An address space gets its view, or loses it, between an exit and what follows.
    pub(super) fn link(&mut self, buffer: &mut CodeBuffer, link: u32, number: u32, page: u64) -> bool {
        let (c, l) = self.exit(link);
        if c.world != self.get(number).world {
            return false;
        }
        // After a flush it is right. To write where the host runs code takes it a while.
        if l.guarded && buffer.read64(l.jump - GUARD) != page {
            buffer.write(l.jump - GUARD, &page.to_le_bytes());
        }
        let entry = self.get(number).entry;
        match l.leads(buffer) {
            Some(to) if to == entry => return true,
            Some(to) => self.unlink(link, self.of_place(to)),
            None => {}
        }
        self.next[link as usize] = std::mem::replace(&mut self.get_mut(number).incoming, link);
        l.patch(buffer, entry);
        true
    }

    /// An offset lies in a translation that is in use.
    pub(super) fn is_live(&self, off: u32) -> bool {
        self.get(self.of_place(off)).live
    }

    /// Takes a link out of the list of those that lead to translation `to`. That an exit gets another target is rare: when
    /// one is dropped, all its links are.
    fn unlink(&mut self, link: u32, to: u32) {
        let next = std::mem::replace(&mut self.next[link as usize], NOBODY);
        let mut at = &mut self.codes[to as usize].incoming;
        while *at != link {
            if *at == NOBODY {
                return;
            }
            let n = *at as usize;
            at = &mut self.next[n];
        }
        *at = next;
    }

    /// No exit leads to a translation any more.
    pub(super) fn unlink_all(&mut self, buffer: &mut CodeBuffer, number: u32) {
        let mut link = std::mem::replace(&mut self.get_mut(number).incoming, NOBODY);
        while link != NOBODY {
            let (_, l) = self.exit(link);
            l.patch(buffer, l.out());
            link = std::mem::replace(&mut self.next[link as usize], NOBODY);
        }
    }
}
