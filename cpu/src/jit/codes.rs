//! What is known of translations. They lie in the buffer in the order of their numbers, and so, in tables, do their exits
//! and the other places that are found by where they are. None goes before all do.

use std::ops::Range;

use super::buffer::CodeBuffer;
use super::lower::Lowered;

/// In place of the number of a translation or link.
pub(super) const NOBODY: u32 = u32::MAX;

/// A direct exit.
pub(super) struct Link {
    /// The block that has it, and where it leads, from the EIP of that.
    owner: u32,
    target: u32,
    /// Offset in the buffer of the jump's displacement.
    jump: u32,
    /// How far in front of that the page check's immediate begins, or 0: there is none; how far behind it the way out.
    guard: u8,
    stub: u8,
    /// The translation that it goes straight to, or [`NOBODY`]; its neighbours among the links that do.
    to: u32,
    next: u32,
    before: u32,
}

impl Link {
    /// Offsets are from the block's entry.
    pub(super) fn new(target: u32, jump: u32, guard: Option<u32>, stub: u32) -> Self {
        Self {
            owner: NOBODY,
            target,
            jump,
            guard: guard.map_or(0, |g| (jump - g) as u8),
            stub: (stub - jump) as u8,
            to: NOBODY,
            next: NOBODY,
            before: NOBODY,
        }
    }

    fn patch(&self, buffer: &mut CodeBuffer, to: u32) {
        let rel = to.wrapping_sub(self.jump + 4);
        buffer.write(self.jump, &rel.to_le_bytes());
    }

    /// It leaves translated code.
    fn patch_out(&self, buffer: &mut CodeBuffer) {
        self.patch(buffer, self.jump + u32::from(self.stub));
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
    /// Where the block begins in the arena.
    pub(super) arena: u32,
    /// The first of its calls, and accesses in a view.
    sites: u32,
    traps: u32,
    /// The first link that leads here, or [`NOBODY`].
    incoming: u32,
    /// Accesses that a view refused lately, and since when (low bits of the count of instructions).
    pub(super) refused_since: u32,
    pub(super) refused: u8,
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
    pub(super) fn new(id: u32, entry: u32, arena: u32, world: u8, hot: bool) -> Self {
        Self {
            id,
            entry,
            arena,
            sites: 0,
            traps: 0,
            incoming: NOBODY,
            refused_since: 0,
            refused: 0,
            world,
            seen: 0,
            live: true,
            hot,
        }
    }
}

const _: () = assert!(size_of::<Code>() == 36 && size_of::<Link>() == 28);

pub(super) struct Codes {
    /// Number 0 is the thunks.
    codes: Vec<Code>,
    links: Vec<Link>,
    sites: Vec<Site>,
    traps: Vec<TrapSite>,
}

impl Codes {
    pub(super) fn new() -> Self {
        let thunks = Code { live: false, ..Code::new(0, 0, 0, 0, false) };
        Self { codes: vec![thunks], links: Vec::new(), sites: Vec::new(), traps: Vec::new() }
    }

    /// Forgets all translations.
    pub(super) fn clear(&mut self) {
        self.codes.truncate(1);
        self.links.clear();
        self.sites.clear();
        self.traps.clear();
    }

    /// Number of the next link.
    pub(super) fn next_link(&self) -> u32 {
        self.links.len() as u32
    }

    /// Enters a translation, which lies behind all others. Returns its number.
    pub(super) fn add(&mut self, code: Code, lowered: Lowered) -> u32 {
        let number = self.codes.len() as u32;
        self.codes.push(Code { sites: self.sites.len() as u32, traps: self.traps.len() as u32, ..code });
        let at = code.entry;
        self.links.extend(lowered.links.into_iter().map(|l| Link { owner: code.id, jump: l.jump + at, ..l }));
        self.sites.extend(lowered.sites);
        self.traps.extend(lowered.traps);
        number
    }

    pub(super) fn get(&self, number: u32) -> &Code {
        &self.codes[number as usize]
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut Code {
        &mut self.codes[number as usize]
    }

    /// Of a table of `len`, what belongs to a translation: from what `first` says of it to what it says of the next.
    fn range(&self, number: u32, len: usize, first: impl Fn(&Code) -> u32) -> Range<usize> {
        let end = self.codes.get(number as usize + 1).map_or(len, |c| first(c) as usize);
        first(self.get(number)) as usize..end
    }

    /// The translation that an offset lies in: that of an instruction, or one that a call returns to, which may be the
    /// first behind the block.
    fn of_place(&self, off: u32) -> u32 {
        self.codes.partition_point(|c| c.entry <= off) as u32 - 1
    }

    pub(super) fn of_return(&self, off: u32) -> u32 {
        self.of_place(off.saturating_sub(1))
    }

    /// Translation and site of an offset that is returned to.
    pub(super) fn site(&self, off: u32) -> Option<(&Code, Site)> {
        let number = self.of_return(off);
        let c = self.get(number);
        let sites = &self.sites[self.range(number, self.sites.len(), |c| c.sites)];
        let n = sites.binary_search_by_key(&(off - c.entry), |s| u32::from(s.ret)).ok()?;
        Some((c, sites[n]))
    }

    /// The number of a translation, and the site of an access in a view.
    pub(super) fn trap_site(&self, off: u32) -> Option<(u32, TrapSite)> {
        let number = self.of_place(off);
        let from = off - self.get(number).entry;
        let traps = &self.traps[self.range(number, self.traps.len(), |c| c.traps)];
        let n = traps.partition_point(|t| u32::from(t.at) <= from);
        Some((number, *traps.get(n.checked_sub(1)?)?))
    }

    /// The block of a direct exit, and where that leads, from the EIP of the block.
    pub(super) fn target(&self, link: u32) -> Option<(u32, u32)> {
        self.links.get(link as usize).map(|l| (l.owner, l.target))
    }

    /// Lets exit `link` go straight to a translation, if its page check finds `page`.
    pub(super) fn link(&mut self, buffer: &mut CodeBuffer, link: u32, number: u32, page: u64) {
        let l = &self.links[link as usize];
        let guard = l.jump - u32::from(l.guard);
        // After a flush it is right. To write where the host runs code takes it a while.
        if l.guard != 0 && buffer.read64(guard) != page {
            buffer.write(guard, &page.to_le_bytes());
        }
        if l.to == number {
            return;
        }
        self.unlink(link);
        let c = &mut self.codes[number as usize];
        let next = std::mem::replace(&mut c.incoming, link);
        let l = &mut self.links[link as usize];
        (l.to, l.next) = (number, next);
        l.patch(buffer, c.entry);
        if next != NOBODY {
            self.links[next as usize].before = link;
        }
    }

    /// An offset lies in a translation that is in use.
    pub(super) fn is_live(&self, off: u32) -> bool {
        self.get(self.of_place(off)).live
    }

    /// Takes a link out of the list of those that lead where it leads.
    fn unlink(&mut self, link: u32) {
        let l = &mut self.links[link as usize];
        let [to, next, before] =
            [&mut l.to, &mut l.next, &mut l.before].map(|n| std::mem::replace(n, NOBODY));
        if to == NOBODY {
            return;
        }
        match self.links.get_mut(before as usize) {
            Some(b) => b.next = next,
            None => self.codes[to as usize].incoming = next,
        }
        if let Some(n) = self.links.get_mut(next as usize) {
            n.before = before;
        }
    }

    /// No exit leads to a translation any more.
    pub(super) fn unlink_all(&mut self, buffer: &mut CodeBuffer, number: u32) {
        let mut link = std::mem::replace(&mut self.codes[number as usize].incoming, NOBODY);
        while let Some(l) = self.links.get_mut(link as usize) {
            link = std::mem::replace(&mut l.next, NOBODY);
            (l.to, l.before) = (NOBODY, NOBODY);
            l.patch_out(buffer);
        }
    }
}
