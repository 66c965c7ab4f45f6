//! Views: memory of busy user programs by the host's paging ([`ram::View`]).
//!
//! An address space in which a program has run for a while gets a view. Translated code of its user mode then accesses
//! memory without a look at the TLB. So does the supervisor's: its view has global pages only, which all address spaces
//! share. A page is mapped when it is touched first, with the rights that a TLB entry would have, and goes when anything
//! changes that it came from: so the view never holds what a TLB could not hold.
//!
//! - A write to a page table entry that a mapping of a user's came from: the tables' pages are watched
//!   ([`ram::Arena::set_table`]), so writes to them take the slow path and end in [`Views::table_written`]. A user's view
//!   needs no flush therefore: MOV CR3 selects the view of the new address space, and comes back to the old one with what
//!   it had.
//! - A page gets decoded code or turns out to be a table: it may be read only ([`Views::protect`]).
//! - Global pages are flushed, one by INVLPG or all: they leave the supervisor's view, as they leave a TLB. Its tables
//!   are not watched: those of one process would stand for all, and go with it.
//! - The map of physical memory or A20 moves: all views go.
//!
//! The host takes microseconds for each page that comes or goes, so a view must pay: what it costs is held against what
//! ran in it, and one that doesn't pay is given up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use ram::{Arena, View};

#[cfg(test)]
mod tests;

/// Views at a time.
const MAX_SPACES: usize = 16;
/// Mapped pages of all views: hosts limit the number of mappings (65,530 on Linux), and each may be a piece of its own
/// between two gaps.
const MAX_PAGES: usize = 24_000;

/// Pages that are looked at when one is mapped: those around it, in a piece of so many. A power of two.
pub(crate) const AROUND: u32 = 16;

// Costs, in nanoseconds.
const TRAP: u64 = 4_000;
const MAP: u64 = 3_000;
const UNMAP: u64 = 6_000;
const EMPTY: u64 = 60_000;
const EMPTY_PAGE: u64 = 100;
/// For a page to come again that went with all others: its part of a trap and of a piece that is mapped.
const AGAIN: u64 = 2_000;
const TABLE_WRITE: u64 = 400;
/// What a view may cost before it has earned anything.
const CREDIT: u64 = 10_000_000;
/// Instructions after which what was counts half.
const MEMORY: u64 = 50_000_000;
/// Views that did not pay, for which the wait for the next one grows: four times each. The next program may have the same
/// CR3 and deserve one, and this long after a failure (seconds) another costs next to nothing.
const MOST_FAILED: u8 = 4;

/// What makes an address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Key {
    pub(crate) user: bool,
    pub(crate) cr3: u32,
    /// Paging at all, and what bears on it.
    pub(crate) paging: u32,
    pub(crate) pdpte: [u64; 4],
}

/// An entry of a table that a mapping comes from: where it lies in the arena.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) at: u32,
    /// Bytes of an entry, and pages that it covers, as logarithms.
    pub(crate) entry: u8,
    pub(crate) covers: u8,
}

/// How pages are mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) writable: bool,
    /// They are part of a large page.
    pub(crate) large: bool,
}

/// A page of tables serves a space from linear page `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    space: u32,
    first: u32,
    entry: u8,
    covers: u8,
}

struct Mapped {
    /// Page of the arena.
    page: u32,
    writable: bool,
    large: bool,
}

struct Space {
    id: u32,
    key: Key,
    view: View,
    /// By linear page.
    mapped: BTreeMap<u32, Mapped>,
    /// Linear pages that are mapped still, and must not be when the view is used again.
    stale: Vec<u32>,
    cost: u64,
    ran: u64,
    used: u64,
}

/// Where pages of the arena are mapped: page, space and linear page.
type Places = BTreeSet<(u32, u32, u32)>;

impl Space {
    /// Nothing may use the pages in `range` for which `gone` holds any more. True if there were any.
    fn drop_pages(
        &mut self,
        range: Range<u32>,
        gone: impl Fn(u32, &Mapped) -> bool,
        places: &mut Places,
        pages: &mut usize,
    ) -> bool {
        let before = self.stale.len();
        self.stale.extend(self.mapped.range(range).filter(|(l, m)| gone(**l, m)).map(|(l, _)| *l));
        for lin in &self.stale[before..] {
            if let Some(m) = self.mapped.remove(lin) {
                *pages -= 1;
                places.remove(&(m.page, self.id, *lin));
            }
        }
        self.stale.len() != before
    }
}

/// An address space without a view.
#[derive(Clone, Copy, Default)]
struct Candidate {
    /// CR3, and whether it is the user's.
    cr3: u32,
    ran: u64,
    /// It had one that did not pay, so often since one that did.
    failed: u8,
    /// It gets no view before [`Views::ran_in_all`] is this.
    wait_until: u64,
}

const CANDIDATES: usize = 64;

/// Counters.
#[derive(Default)]
struct Counters {
    made: u64,
    given_up: u64,
    mapped: u64,
    unmapped: u64,
    emptied: u64,
}

pub(crate) struct Views {
    /// Instructions after which an address space gets a view; `u64::MAX`: none does.
    after: u64,
    spaces: Vec<Space>,
    current: Option<usize>,
    /// Perhaps the next one.
    recent: Option<usize>,
    /// Of the address space that runs, if it may have a view.
    key: Option<Key>,
    next_id: u32,
    clock: u64,
    pages: usize,
    /// By page of the arena.
    tables: HashMap<u32, Vec<Use>>,
    places: Places,
    candidates: [Candidate; CANDIDATES],
    /// Instructions of all address spaces.
    ran_in_all: u64,
    /// The [`ram::GuestRam::layout_generation`] that they belong to.
    pub(crate) layout: u32,
    counters: Counters,
}

impl Views {
    pub(crate) fn new(after: u64) -> Self {
        Self {
            after,
            spaces: Vec::new(),
            current: None,
            recent: None,
            key: None,
            next_id: 0,
            clock: 0,
            pages: 0,
            tables: HashMap::new(),
            places: Places::new(),
            candidates: [Candidate::default(); CANDIDATES],
            ran_in_all: 0,
            layout: 0,
            counters: Counters::default(),
        }
    }

    pub(crate) fn metrics(&self) -> [(&'static str, u64); 5] {
        let c = &self.counters;
        [
            ("views_made", c.made),
            ("views_given_up", c.given_up),
            ("view_pages_mapped", c.mapped),
            ("view_pages_unmapped", c.unmapped),
            ("views_emptied", c.emptied),
        ]
    }

    /// Chooses the view of an address space. False: it has none.
    pub(crate) fn select(&mut self, key: Option<Key>) -> bool {
        self.key = key;
        if let Some(n) = self.recent
            && self.spaces.get(n).is_some_and(|s| Some(s.key) == key)
        {
            // The user's and the supervisor's take turns.
            self.recent = self.current.or(self.recent);
            self.current = Some(n);
            return true;
        }
        let before = self.current;
        self.current = self.spaces.iter().position(|s| Some(s.key) == key);
        self.recent = before;
        if let Some(n) = self.current {
            self.clock += 1;
            self.spaces[n].used = self.clock;
        }
        self.current.is_some()
    }

    /// The address that the current view begins at.
    pub(crate) fn base(&self) -> Option<u64> {
        self.current.map(|n| self.spaces[n].view.base() as u64)
    }

    fn candidate(&mut self, key: &Key) -> &mut Candidate {
        let cr3 = key.cr3 | u32::from(key.user);
        let c = &mut self.candidates[(cr3 >> 12 ^ cr3 >> 18) as usize % CANDIDATES];
        if c.cr3 != cr3 {
            *c = Candidate { cr3, ..Candidate::default() };
        }
        c
    }

    /// Code ran for so many instructions. True: its address space has a view from now on, or no more.
    pub(crate) fn ran(&mut self, arena: &Arena, instructions: u64) -> bool {
        self.ran_in_all += instructions;
        let Some(key) = self.key else { return false };
        if let Some(n) = self.current {
            let s = &mut self.spaces[n];
            s.ran += instructions;
            let pays = s.ran > MEMORY;
            if pays {
                s.ran /= 2;
                s.cost /= 2;
            }
            if s.cost > CREDIT + s.ran / 2 {
                self.counters.given_up += 1;
                self.remove(arena, n);
                let (now, after) = (self.ran_in_all, self.after);
                let c = self.candidate(&key);
                c.failed = (c.failed + 1).min(MOST_FAILED);
                c.ran = 0;
                c.wait_until = now.saturating_add(after.saturating_mul(1 << (2 * c.failed)));
                return true;
            }
            if pays {
                self.candidate(&key).failed = 0;
            }
            return false;
        }
        let (now, after) = (self.ran_in_all, self.after);
        if after == u64::MAX {
            return false;
        }
        let c = self.candidate(&key);
        c.ran += instructions;
        if c.ran < after || now < c.wait_until {
            return false;
        }
        c.ran = 0;
        let Ok(view) = View::new(arena) else {
            self.after = u64::MAX;
            return false;
        };
        if self.spaces.len() == MAX_SPACES {
            let oldest = (0..MAX_SPACES).min_by_key(|&n| self.spaces[n].used).unwrap_or(0);
            self.remove(arena, oldest);
        }
        self.counters.made += 1;
        self.next_id += 1;
        self.spaces.push(Space {
            id: self.next_id,
            key,
            view,
            mapped: BTreeMap::new(),
            stale: Vec::new(),
            cost: 0,
            ran: 0,
            used: self.clock,
        });
        self.select(Some(key))
    }

    /// An access in the current view trapped, which cost time.
    pub(crate) fn trapped(&mut self) {
        if let Some(n) = self.current {
            self.spaces[n].cost += TRAP;
        }
    }

    /// Whether the current view has linear page `lin` at all.
    pub(crate) fn has(&self, lin: u32) -> bool {
        self.current.is_some_and(|n| self.spaces[n].mapped.contains_key(&lin))
    }

    /// Maps `pages` linear pages from `lin` on to those from `page` on of the arena. The entries of tables that they come
    /// from are watched already ([`Views::comes_from`]). False: it can't.
    pub(crate) fn map(&mut self, arena: &Arena, lin: u32, page: u32, pages: u32, how: How) -> bool {
        let How { writable, large } = how;
        if self.pages >= MAX_PAGES {
            self.make_room(arena);
        }
        let Some(n) = self.current else { return false };
        let s = &mut self.spaces[n];
        if s.view.map(arena, lin, page, pages, writable).is_err() {
            self.remove(arena, n);
            return false;
        }
        self.counters.mapped += u64::from(pages);
        s.cost += MAP;
        let id = s.id;
        for (lin, page) in (lin..lin + pages).zip(page..) {
            match s.mapped.insert(lin, Mapped { page, writable, large }) {
                Some(old) if old.page == page => continue,
                Some(old) => _ = self.places.remove(&(old.page, id, lin)),
                None => self.pages += 1,
            }
            self.places.insert((page, id, lin));
        }
        true
    }

    /// Linear page `lin` of the current address space comes from this entry. Returns whether its page of tables is
    /// watched only from now on.
    pub(crate) fn comes_from(&mut self, arena: &Arena, lin: u32, t: Source) -> bool {
        let Some(n) = self.current else { return false };
        let entries = (t.at & 0xfff) >> t.entry;
        let first = (lin >> t.covers).wrapping_sub(entries) << t.covers & 0xf_ffff;
        let u = Use { space: self.spaces[n].id, first, entry: t.entry, covers: t.covers };
        let uses = self.tables.entry(t.at >> 12).or_default();
        if uses.contains(&u) {
            return false;
        }
        uses.push(u);
        let fresh = !arena.is_watched(t.at >> 12);
        arena.set_table(t.at >> 12, true);
        fresh
    }

    /// Too many pages are mapped: those of a view that is not used go.
    fn make_room(&mut self, arena: &Arena) {
        let current = self.current;
        let others = (0..self.spaces.len()).filter(|n| Some(*n) != current);
        match others.min_by_key(|&n| self.spaces[n].used) {
            Some(n) => self.remove(arena, n),
            None if current == Some(0) => self.empty(arena, 0),
            None => {}
        }
    }

    /// Page of the arena became one that must not be written unseen.
    pub(crate) fn protect(&mut self, arena: &Arena, page: u32) {
        let places: Vec<_> = self.places.range((page, 0, 0)..=(page, u32::MAX, u32::MAX)).copied().collect();
        for (_, id, lin) in places {
            let Some(n) = self.spaces.iter().position(|s| s.id == id) else { continue };
            let s = &mut self.spaces[n];
            let Some(m) = s.mapped.get_mut(&lin).filter(|m| m.page == page && m.writable) else { continue };
            m.writable = false;
            s.cost += UNMAP;
            if s.view.map(arena, lin, page, 1, false).is_err() {
                self.remove(arena, n);
            }
        }
    }

    /// A write to `len` bytes at `at`, in a watched page. True if mappings came from there.
    pub(crate) fn table_written(&mut self, arena: &Arena, at: u32, len: u32) -> bool {
        let Self { tables, spaces, places, pages, .. } = self;
        let Some(uses) = tables.get_mut(&(at >> 12)) else { return false };
        let mut hit = false;
        let (from, last) = (at & 0xfff, (at & 0xfff) + len - 1);
        uses.retain(|u| {
            let Some(s) = spaces.iter_mut().find(|s| s.id == u.space) else { return false };
            s.cost += TABLE_WRITE;
            let covered = |first: u32, end: u32| {
                let lin = |n: u32| (u64::from(u.first) + (u64::from(n) << u.covers)).min(1 << 20) as u32;
                lin(first)..lin(end)
            };
            hit |= s.drop_pages(covered(from >> u.entry, (last >> u.entry) + 1), |_, _| true, places, pages);
            // A table that nothing comes from any more may become any other page.
            s.mapped.range(covered(0, 0x1000 >> u.entry)).next().is_some()
        });
        if uses.is_empty() {
            tables.remove(&(at >> 12));
            arena.set_table(at >> 12, false);
        }
        hit
    }

    /// Before the current view is used: what is stale goes.
    pub(crate) fn settle(&mut self, arena: &Arena) {
        if let Some(n) = self.current
            && !self.spaces[n].stale.is_empty()
        {
            self.settle_slow(arena, n);
        }
    }

    #[cold]
    fn settle_slow(&mut self, arena: &Arena, n: usize) {
        let s = &mut self.spaces[n];
        let mut stale = std::mem::take(&mut s.stale);
        stale.sort_unstable();
        stale.dedup();
        // What lies side by side goes at once. Too many pieces, and the whole view is emptied.
        let pieces = stale.chunk_by(|a, b| a + 1 == *b).count() as u64;
        if pieces * UNMAP > EMPTY + s.mapped.len() as u64 * AGAIN {
            return self.empty(arena, n);
        }
        let mut failed = false;
        for run in stale.chunk_by(|a, b| a + 1 == *b) {
            s.cost += UNMAP;
            self.counters.unmapped += run.len() as u64;
            failed |= s.view.unmap(run[0], run.len() as u32).is_err();
        }
        if failed {
            self.remove(arena, n);
        }
    }

    /// Unmaps everything of a space.
    fn empty(&mut self, arena: &Arena, n: usize) {
        self.counters.emptied += 1;
        let pages = self.spaces[n].mapped.len() as u64;
        self.forget(arena, n);
        let s = &mut self.spaces[n];
        s.cost += EMPTY + EMPTY_PAGE * pages;
        if s.view.unmap(0, 1 << 20).is_err() {
            self.remove(arena, n);
        }
    }

    /// Nothing is known of what a space has mapped.
    fn forget(&mut self, arena: &Arena, n: usize) {
        let s = &mut self.spaces[n];
        let id = s.id;
        s.stale.clear();
        for (lin, m) in std::mem::take(&mut s.mapped) {
            self.pages -= 1;
            self.places.remove(&(m.page, id, lin));
        }
        self.tables.retain(|page, uses| {
            uses.retain(|u| u.space != id);
            if uses.is_empty() {
                arena.set_table(*page, false);
            }
            !uses.is_empty()
        });
    }

    fn remove(&mut self, arena: &Arena, n: usize) {
        self.forget(arena, n);
        self.spaces.swap_remove(n);
        self.current = match self.current {
            Some(c) if c == n => None,
            // The last one took its place.
            Some(c) if c == self.spaces.len() => Some(n),
            other => other,
        };
    }

    /// All translations are flushed, global ones, too.
    pub(crate) fn flush_all(&mut self) {
        for s in self.spaces.iter_mut().filter(|s| !s.key.user) {
            s.drop_pages(0..1 << 20, |_, _| true, &mut self.places, &mut self.pages);
        }
    }

    /// What is held for linear page `lin` is flushed; all of it, if that may lie in a large page.
    pub(crate) fn flush_page(&mut self, lin: u32) {
        let region = lin & !0x3ff..(lin | 0x3ff) + 1;
        for s in self.spaces.iter_mut().filter(|s| !s.key.user) {
            let gone = |l, m: &Mapped| l == lin || m.large;
            s.drop_pages(region.clone(), gone, &mut self.places, &mut self.pages);
        }
    }

    /// There are to be no views.
    pub(crate) fn forbid(&mut self, arena: &Arena) {
        self.after = u64::MAX;
        self.remove_all(arena);
    }

    /// All views go: what they came from is not what it was.
    pub(crate) fn remove_all(&mut self, arena: &Arena) {
        while !self.spaces.is_empty() {
            self.remove(arena, 0);
        }
    }
}
