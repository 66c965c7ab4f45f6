//! The translation look-aside buffer: from a linear page straight to an offset in the arena.
//!
//! Direct-mapped, with a small second table behind each set for data of pages that lost their slot to another page: two
//! pages that are used together would otherwise cost a walk each time. A slot has a tag for each of read, write and fetch,
//! so that permission and presence are one compare; the same compare refuses an access that crosses into the next page,
//! because the tag is checked against the page of the access's last byte. A slot exists only for pages of the
//! arena: a write tag only where the page is already dirty and holds no decoded code, read and write tags only
//! where no data breakpoint lies in the page. Everything else takes the slow path and is walked again each time,
//! which is also what makes not-present entries and raised rights visible without a flush.
//!
//! Filled slots are listed, so that a flush costs as much as was used.
//!
//! NT flushes by loading CR3 with what it holds, each time that it has changed a page table entry. A slot may be filled at
//! any time, so what a walk would fill at once with the same stays: for each slot it is known of which entries it came
//! ([`Proof`]), and what they said.

use ram::Arena;

pub(crate) const SLOTS: usize = 4096;
const INVALID: u32 = 1;
/// In a write tag, which equals no page's address so: the page may be written, but not unseen.
const SEEN: u32 = 2;

/// Of the second table of a set, which lies behind its slots.
const SECOND_SLOTS: usize = 512;
const SET: usize = SLOTS + SECOND_SLOTS;

pub(crate) const SUPERVISOR: usize = 0;
pub(crate) const USER: usize = SET;
/// A set that is never filled: while alignment checks are on, every access takes the slow path.
const NEVER: usize = 2 * SET;
/// So many that an index masked with it needs no bounds check.
const ALL: usize = 4 * SLOTS;
const _: () = assert!(3 * SET <= ALL && ALL.is_power_of_two());

/// Translated code reads it: the order of the fields is fixed.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Slot {
    /// Linear address of the page if it may be read, else [`INVALID`].
    pub(crate) read: u32,
    /// Likewise; with [`SEEN`] the slow path may write to it without a walk.
    pub(crate) write: u32,
    pub(crate) fetch: u32,
    /// Arena offset = linear address + this.
    pub(crate) addend: u32,
}

const EMPTY: Slot = Slot { read: INVALID, write: INVALID, fetch: INVALID, addend: 0 };

impl Slot {
    /// Slots of a set.
    pub(crate) const COUNT: usize = SLOTS;
    /// Slots of the second table, which begins behind them.
    pub(crate) const SECOND_COUNT: usize = SECOND_SLOTS;

    fn page(&self) -> Option<u32> {
        [self.read, self.write, self.fetch].into_iter().find(|&t| t != INVALID).map(|t| t & !0xfff)
    }

    fn holds(&self, lin: u32) -> bool {
        self.page() == Some(lin & !0xfff)
    }

    /// The page of `lin` may be written, but not unseen.
    pub(crate) fn is_seen(&self, lin: u32) -> bool {
        self.write == lin & !0xfff | SEEN
    }
}

/// What a slot is filled with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fill {
    pub(crate) lin: u32,
    pub(crate) arena: u32,
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// It may be written, but not unseen.
    pub(crate) seen: bool,
    /// Instructions may be fetched from the page.
    pub(crate) fetch: bool,
    pub(crate) fetching: Fetching,
    pub(crate) global: bool,
    pub(crate) large: bool,
    pub(crate) proof: Option<Proof>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetching {
    /// A data access leaves a fetch tag as it is.
    No,
    Yes,
    /// Instructions are fetched, but translated code must not find the page here.
    Unseen,
}

/// More slots than these are not looked at one by one: what is used comes back by itself.
const MOST_PROVEN: usize = 1024;

/// The entries of page directory and page table that a slot came from: where they lie in the arena, and what they said. Of
/// a large page both are the directory's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) upper: (u32, u32),
    pub(crate) leaf: (u32, u32),
}

impl Proof {
    fn holds(&self, arena: &Arena) -> bool {
        let says = |(at, v): (u32, u32)| arena.load_u32(at) == v;
        says(self.leaf) && says(self.upper)
    }
}

const LISTED: u8 = 1;
const GLOBAL: u8 = 2;
const PROVEN: u8 = 4;

const EVICTED: u8 = 1;
const EVICTED_LOCAL: u8 = 2;

pub(crate) struct Tlb {
    slots: Box<[Slot; ALL]>,
    /// First slot of the set that accesses at the current privilege use.
    base: usize,
    /// Indices of slots filled since the last full flush, each once.
    live: Vec<u16>,
    marks: Box<[u8; ALL]>,
    /// Of slots that are marked with [`PROVEN`].
    proofs: Vec<Proof>,
    /// One bit for each 4 MiB of linear space where a slot stems from a large page.
    large: [u32; 32],
    /// For the supervisor's and the user's set: moves when a translation that instructions were fetched through goes.
    /// Links between decoded blocks hold as long as it stands. Data pages come and go without moving it.
    epochs: [u32; 2],
    /// Since the epoch moved, instructions came from a page here that has no fetch tag now, as another page took its
    /// place: [`EVICTED`] and, if that page was not global, [`EVICTED_LOCAL`]. A flush cannot see that it would have gone.
    evicted: Box<[u8; ALL]>,
    /// All of `evicted` of either set.
    evicted_any: [u8; 2],
    pub(crate) fills: u64,
    pub(crate) flushes: u64,
}

impl Tlb {
    pub(crate) fn new() -> Self {
        Self {
            slots: Box::new([EMPTY; ALL]),
            base: SUPERVISOR,
            live: Vec::with_capacity(2 * SET),
            marks: Box::new([0; ALL]),
            proofs: vec![Proof { upper: (0, 0), leaf: (0, 0) }; ALL],
            large: [0; 32],
            epochs: [0; 2],
            evicted: Box::new([0; ALL]),
            evicted_any: [0; 2],
            fills: 0,
            flushes: 0,
        }
    }

    pub(crate) fn select(&mut self, user: bool, alignment_checks: bool) {
        self.base = match (alignment_checks, user) {
            (true, _) => NEVER,
            (false, true) => USER,
            (false, false) => SUPERVISOR,
        };
    }

    /// The epoch of code at this privilege.
    #[inline(always)]
    pub(crate) fn epoch(&self, user: bool) -> u32 {
        self.epochs[usize::from(user)]
    }

    /// The set that accesses at the current privilege use.
    pub(crate) fn set(&self) -> *const Slot {
        self.slots[self.base..].as_ptr()
    }

    fn move_epoch(&mut self, n: usize) {
        self.epochs[n] = self.epochs[n].wrapping_add(1);
        if std::mem::take(&mut self.evicted_any[n]) != 0 {
            self.evicted[n * SET..][..SET].fill(0);
        }
    }

    #[inline(always)]
    pub(crate) fn alignment_checks(&self) -> bool {
        self.base == NEVER
    }

    /// The slot for `lin` at the current privilege.
    #[inline(always)]
    pub(crate) fn slot(&self, lin: u32) -> &Slot {
        self.slot_in(self.base, lin)
    }

    #[inline(always)]
    pub(crate) fn slot_in(&self, set: usize, lin: u32) -> &Slot {
        &self.slots[index(set, lin)]
    }

    /// The slot that holds the page of `lin`, in either table; else one that does not.
    pub(crate) fn known_in(&self, set: usize, lin: u32) -> &Slot {
        &self.slots[self.place_of(set, lin)]
    }

    /// The same at the current privilege.
    pub(crate) fn known(&self, lin: u32) -> &Slot {
        self.known_in(self.base, lin)
    }

    fn place_of(&self, set: usize, lin: u32) -> usize {
        let (i, second) = (index(set, lin), second_index(set, lin));
        if !self.slots[i].holds(lin) && self.slots[second].holds(lin) { second } else { i }
    }

    pub(crate) fn fill(&mut self, set: usize, f: Fill) {
        let i = index(set, f.lin);
        let page = f.lin & !0xfff;
        let tag = |on: bool| if on { page } else { INVALID };
        let addend = f.arena.wrapping_sub(page);
        let slot = Slot {
            read: tag(f.read),
            write: if f.seen { page | SEEN } else { tag(f.write) },
            fetch: tag(f.fetch && f.fetching == Fetching::Yes),
            addend,
        };
        let old = self.slots[i];
        let mark = LISTED | if f.global { GLOBAL } else { 0 } | if f.proof.is_some() { PROVEN } else { 0 };
        let second = second_index(set, f.lin);
        if self.slots[second].holds(page) {
            self.slots[second] = EMPTY;
        }
        if f.fetching == Fetching::Unseen {
            self.evict(i, f.global);
        }
        if old.holds(page) {
            // A data access leaves a fetch tag as it is.
            let stays = f.fetching == Fetching::No && f.fetch && old.addend == addend;
            let fetch = if stays { old.fetch } else { slot.fetch };
            if old.fetch != INVALID && (fetch != old.fetch || addend != old.addend) {
                self.evict(i, self.marks[i] & GLOBAL != 0);
            }
            self.put(i, Slot { fetch, ..slot }, mark, f.proof);
        } else if old.fetch != INVALID && slot.fetch == INVALID {
            // Code keeps its place: the links that lead to it look only there.
            self.put(second, slot, mark, f.proof);
        } else {
            if old.fetch != INVALID {
                self.evict(i, self.marks[i] & GLOBAL != 0);
            }
            if old.page().is_some() {
                // Pages that share a slot share a place in the second table, too.
                self.put(second, Slot { fetch: INVALID, ..old }, self.marks[i], Some(self.proofs[i]));
            }
            self.put(i, slot, mark, f.proof);
        }
        if f.large {
            self.large[(page >> 27) as usize] |= 1 << (page >> 22 & 31);
        }
        self.fills += 1;
    }

    fn put(&mut self, i: usize, slot: Slot, mark: u8, proof: Option<Proof>) {
        if let Some(p) = proof {
            self.proofs[i] = p;
        }
        self.slots[i] = slot;
        if self.marks[i] & LISTED == 0 {
            self.live.push(i as u16);
        }
        self.marks[i] = mark;
    }

    /// A fetch tag leaves slot `i`, though the translation that it stands for has not gone.
    fn evict(&mut self, i: usize, global: bool) {
        let bits = if global { EVICTED } else { EVICTED | EVICTED_LOCAL };
        self.evicted[i & (ALL - 1)] |= bits;
        self.evicted_any[usize::from(i >= USER)] |= bits;
    }

    /// Drops all slots for which `drop` holds; `evicted` says which evictions it would have met.
    fn sweep(&mut self, evicted: u8, drop: impl Fn(&Slot, u8, &Proof) -> bool) {
        let (slots, marks, proofs) = (&mut self.slots, &mut self.marks, &self.proofs);
        let mut fetch_gone = [false; 2];
        self.live.retain(|&i| {
            let i = usize::from(i);
            let gone = drop(&slots[i], marks[i], &proofs[i]);
            if gone {
                fetch_gone[usize::from(i >= USER)] |= slots[i].fetch != INVALID;
                slots[i] = EMPTY;
                marks[i] = 0;
            }
            !gone
        });
        for (n, gone) in fetch_gone.into_iter().enumerate() {
            if gone || self.evicted_any[n] & evicted != 0 {
                self.move_epoch(n);
            }
        }
    }

    pub(crate) fn flush_all(&mut self) {
        self.flushes += 1;
        self.sweep(EVICTED, |_, _, _| true);
        self.large = [0; 32];
    }

    pub(crate) fn flush_non_global(&mut self) {
        self.flushes += 1;
        self.sweep(EVICTED_LOCAL, |_, marks, _| marks & GLOBAL == 0);
    }

    /// The same for the tables that are in use already: what they still say stays.
    pub(crate) fn flush_changed(&mut self, arena: &Arena) {
        if self.live.len() > MOST_PROVEN {
            return self.flush_non_global();
        }
        self.flushes += 1;
        self.sweep(EVICTED_LOCAL, |slot, marks, proof| {
            let stays = marks & GLOBAL != 0 || marks & PROVEN != 0 && proof.holds(arena);
            !stays || slot.page().is_none()
        });
    }

    /// INVLPG: the page of `lin`, global or not; all pieces of it if it may be a large page.
    pub(crate) fn flush_page(&mut self, lin: u32) {
        if self.large[(lin >> 27) as usize] & 1 << (lin >> 22 & 31) != 0 {
            self.sweep(EVICTED, |s, _, _| s.page().is_some_and(|p| p >> 22 == lin >> 22));
            return;
        }
        self.drop_slot(SUPERVISOR, lin);
        self.drop_slot(USER, lin);
    }

    /// What is held for the page of `lin` at this privilege goes.
    pub(crate) fn drop_slot(&mut self, set: usize, lin: u32) {
        let i = index(set, lin);
        let mut fetch_gone = self.evicted[i] != 0;
        for i in [i, second_index(set, lin)] {
            if self.slots[i].holds(lin) {
                fetch_gone |= self.slots[i].fetch != INVALID;
                self.slots[i] = EMPTY;
            }
        }
        if fetch_gone {
            self.move_epoch(usize::from(set == USER));
        }
    }

    /// Translated code of an arena page is for linear page `lin` from now on: it must not be found anywhere else.
    pub(crate) fn fetch_at(&mut self, user: bool, lin: u32, arena_page: u32) {
        for n in 0..self.live.len() {
            let i = usize::from(self.live[n]);
            let s = self.slots[i];
            let there = s.fetch != INVALID && s.fetch.wrapping_add(s.addend) == arena_page << 12;
            if there && s.fetch != lin && (i >= USER) == user {
                self.slots[i].fetch = INVALID;
                self.evict(i, self.marks[i] & GLOBAL != 0);
            }
        }
    }

    /// The same, where `lin` is the only page that it can be found at.
    pub(crate) fn fetch_no_more(&mut self, user: bool, lin: u32, arena_page: u32) {
        let i = index(if user { USER } else { SUPERVISOR }, lin);
        let s = self.slots[i];
        if s.fetch == lin && lin.wrapping_add(s.addend) == arena_page << 12 {
            self.slots[i].fetch = INVALID;
            self.evict(i, self.marks[i] & GLOBAL != 0);
        }
    }

    /// Code was decoded from this arena page: writes to it must take the slow path from now on.
    pub(crate) fn forbid_writes(&mut self, arena_page: u32) {
        for &i in &self.live {
            let s = &mut self.slots[usize::from(i)];
            if s.write != INVALID && s.write.wrapping_add(s.addend) == arena_page << 12 {
                s.write |= SEEN;
            }
        }
    }

    /// The page of `lin`, in a slot that [`Slot::is_seen`], may be written unseen again.
    pub(crate) fn allow_writes(&mut self, set: usize, lin: u32) {
        let i = self.place_of(set, lin);
        self.slots[i].write &= !SEEN;
    }
}

#[inline(always)]
fn index(set: usize, lin: u32) -> usize {
    (((lin >> 12) as usize & (SLOTS - 1)) + set) & (ALL - 1)
}

fn second_index(set: usize, lin: u32) -> usize {
    (((lin >> 12) as usize & (SECOND_SLOTS - 1)) + SLOTS + set) & (ALL - 1)
}
