//! The physical map: which bytes of the arena answer at which physical address, for reads and for writes.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::absent::{Absent, CHUNK};
use crate::arena::Arena;

pub const PAGE: u32 = 4096;
pub const PAGE_SHIFT: u32 = 12;
/// Main RAM ends where the PCI window of the board begins: 3712 MiB, Virtual PC's own limit.
pub const MAX_MAIN: u64 = 3712 << 20;

const LOW_PAGES: usize = 256;
const MIB: u64 = 1 << 20;
/// In a low-page cell: this page belongs to a chip, not to the arena.
const DEVICE: u32 = u32::MAX;
const UNPLACED: u32 = u32::MAX;
const MAX_SLOTS: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum RamError {
    #[error("guest memory of {got} bytes: need a multiple of 1 MiB from 4 MiB to 3712 MiB")]
    Size { got: u64 },
    #[error("cannot reserve {bytes} bytes of host memory for the guest")]
    Reserve {
        bytes: u64,
        #[source]
        source: std::io::Error,
    },
}

/// A piece of the arena that a chip owns (ROM, frame buffer) and places in the physical map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(u8);

/// What one 4 KiB page answers with: arena offsets of its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// `None`: the page is a chip's or nobody's; ask the bus.
    pub read: Option<u32>,
    /// `None`: writes go to the bus (which drops them over ROM).
    pub write: Option<u32>,
}

/// Target of one low page for one direction, as PAM and the ROM set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LowTarget {
    /// Main RAM at the same address.
    Main,
    /// A page of a slot.
    Slot(Slot, u32),
    /// Not memory: the bus answers.
    Device,
}

/// A run of the physical map with one meaning, for engines that tell a host kernel about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    pub gpa: u64,
    pub len: u64,
    pub arena: u32,
    pub writable: bool,
}

struct SlotCell {
    arena: AtomicU32,
    len: AtomicU32,
    gpa: AtomicU32, // page number, UNPLACED when not in the map
    writable: AtomicBool,
}

/// The guest's memory and the map over it. One per machine, shared by reference between board and engine.
pub struct GuestRam {
    arena: Arena,
    main: u32,
    low_read: [AtomicU32; LOW_PAGES],
    low_write: [AtomicU32; LOW_PAGES],
    slots: [SlotCell; MAX_SLOTS],
    used: AtomicU32,
    allocated: AtomicU32,
    a20: AtomicBool,
    generation: AtomicU32,
    /// Moves with the map and A20 only.
    layout: AtomicU32,
    watched_writes: Mutex<Vec<u32>>,
    /// Some of main RAM is still in a file.
    partly: AtomicBool,
    absent: OnceLock<Absent>,
}

impl GuestRam {
    /// `main` bytes of RAM and room for slots of `extra` bytes together.
    pub fn new(main: u64, extra: u64) -> Result<Self, RamError> {
        if !(4 * MIB..=MAX_MAIN).contains(&main) || !main.is_multiple_of(MIB) {
            return Err(RamError::Size { got: main });
        }
        let extra = extra.next_multiple_of(u64::from(PAGE));
        let len = main + extra;
        if len > u64::from(u32::MAX - PAGE) {
            return Err(RamError::Size { got: len });
        }
        let arena = Arena::new(len as usize).map_err(|source| RamError::Reserve { bytes: len, source })?;
        let vga = |page: usize| (0xa0..0x100).contains(&page);
        let low = |page: usize| AtomicU32::new(if vga(page) { DEVICE } else { (page as u32) << PAGE_SHIFT });
        Ok(Self {
            arena,
            main: main as u32,
            low_read: std::array::from_fn(low),
            low_write: std::array::from_fn(low),
            slots: std::array::from_fn(|_| SlotCell {
                arena: AtomicU32::new(0),
                len: AtomicU32::new(0),
                gpa: AtomicU32::new(UNPLACED),
                writable: AtomicBool::new(false),
            }),
            used: AtomicU32::new(0),
            allocated: AtomicU32::new(main as u32),
            a20: AtomicBool::new(true),
            generation: AtomicU32::new(0),
            layout: AtomicU32::new(0),
            watched_writes: Mutex::new(Vec::new()),
            partly: AtomicBool::new(false),
            absent: OnceLock::new(),
        })
    }

    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Bytes of main RAM.
    pub fn main_len(&self) -> u64 {
        u64::from(self.main)
    }

    /// Takes a piece of the arena for a chip. Called while the board is built.
    ///
    /// # Panics
    /// If the sizes given to [`GuestRam::new`] do not cover it: the board is fixed, so that is our mistake.
    pub fn allocate(&self, len: u32, writable: bool) -> Slot {
        let n = self.used.fetch_add(1, Ordering::Relaxed) as usize;
        let len = len.next_multiple_of(PAGE);
        let at = self.allocated.fetch_add(len, Ordering::Relaxed);
        assert!(
            n < MAX_SLOTS && (at + len) as usize <= self.arena.len(),
            "the board asks for more memory slots than it declared"
        );
        let cell = &self.slots[n];
        cell.arena.store(at, Ordering::Relaxed);
        cell.len.store(len, Ordering::Relaxed);
        cell.writable.store(writable, Ordering::Relaxed);
        Slot(n as u8)
    }

    fn cell(&self, slot: Slot) -> &SlotCell {
        &self.slots[usize::from(slot.0)]
    }

    /// Arena offsets of a slot: its owner reads and fills it there.
    pub fn extent(&self, slot: Slot) -> Range<u32> {
        let c = self.cell(slot);
        let at = c.arena.load(Ordering::Relaxed);
        at..at + c.len.load(Ordering::Relaxed)
    }

    /// Puts a slot at a physical address (a multiple of 4 KiB, above 1 MiB), or takes it out of the map.
    pub fn place(&self, slot: Slot, gpa: Option<u32>) {
        let v = gpa.map_or(UNPLACED, |a| a >> PAGE_SHIFT);
        if self.cell(slot).gpa.swap(v, Ordering::Relaxed) != v {
            self.laid_out();
        }
    }

    /// Where the slot is.
    pub fn placed(&self, slot: Slot) -> Option<u32> {
        let v = self.cell(slot).gpa.load(Ordering::Relaxed);
        (v != UNPLACED).then_some(v << PAGE_SHIFT)
    }

    /// Sets what the low pages (numbers below 256) answer with: PAM, ROM and the VGA window.
    /// For a [`LowTarget::Slot`] the offset given is that of the first page; the others follow.
    pub fn set_low(&self, pages: RangeInclusive<u8>, read: LowTarget, write: LowTarget) {
        let cell = |page: u8, t: LowTarget| match t {
            LowTarget::Main => u32::from(page) << PAGE_SHIFT,
            LowTarget::Device => DEVICE,
            LowTarget::Slot(slot, off) => {
                self.cell(slot).arena.load(Ordering::Relaxed)
                    + off
                    + (u32::from(page - pages.start()) << PAGE_SHIFT)
            }
        };
        let mut moved = false;
        for p in pages.clone() {
            let (r, w) = (cell(p, read), cell(p, write));
            moved |= self.low_read[usize::from(p)].swap(r, Ordering::Relaxed) != r;
            moved |= self.low_write[usize::from(p)].swap(w, Ordering::Relaxed) != w;
        }
        if moved {
            self.laid_out();
        }
    }

    /// What the page that holds `gpa` answers with. A20 is not applied here: it is the processor's pin.
    #[inline]
    pub fn resolve(&self, gpa: u64) -> Mapping {
        let m = self.mapping(gpa);
        if self.partly.load(Ordering::Relaxed) {
            self.fetch(m);
        }
        m
    }

    /// Main RAM comes from a file, each 64 KiB when they are first asked for. Once, before anybody uses the memory, which is
    /// all zeros. `at`: where in the file arena offset 0 is; `there`: a bit for each 64 KiB that are not all zeros.
    ///
    /// # Panics
    /// If there is a file already.
    pub fn come_from(&self, file: File, at: u64, there: &[u8]) {
        let absent = Absent::new(file, at, self.main, there);
        self.partly.store(absent.left() > 0, Ordering::Relaxed);
        assert!(self.absent.set(absent).is_ok(), "memory comes from one file");
    }

    /// Everything of main RAM is here when this returns: for who goes by arena offsets.
    pub fn fetch_all(&self) -> io::Result<()> {
        match self.absent.get() {
            Some(a) if self.partly.load(Ordering::Relaxed) => {
                a.fetch_all(&self.arena)?;
                self.partly.store(false, Ordering::Relaxed);
                if a.failed() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// What lies there of main RAM is here when this returns: as [`Self::fetch_all`], in parts.
    pub fn fetch_range(&self, arena: Range<u32>) -> io::Result<()> {
        match self.absent.get() {
            Some(a) if self.partly.load(Ordering::Relaxed) => (arena.start / CHUNK
                ..arena.end.div_ceil(CHUNK))
                .try_for_each(|n| a.fetch(&self.arena, n * CHUNK)),
            _ => Ok(()),
        }
    }

    /// The file that memory comes from could not be read: some of it is wrong.
    pub fn fetch_failed(&self) -> bool {
        self.absent.get().is_some_and(Absent::failed)
    }

    /// 64 KiB that have not come.
    pub fn absent(&self) -> u32 {
        self.absent.get().map_or(0, Absent::left)
    }

    #[cold]
    fn fetch(&self, m: Mapping) {
        let Some(absent) = self.absent.get() else { return };
        for off in [m.read, m.write].into_iter().flatten() {
            // What failed is kept for who asks.
            let _ = absent.fetch(&self.arena, off);
        }
        if absent.left() == 0 {
            self.partly.store(false, Ordering::Relaxed);
        }
    }

    #[inline]
    fn mapping(&self, gpa: u64) -> Mapping {
        const NOTHING: Mapping = Mapping { read: None, write: None };
        if gpa > u64::from(u32::MAX) {
            return NOTHING;
        }
        let page = (gpa as u32) >> PAGE_SHIFT;
        if page >= LOW_PAGES as u32 {
            let at = page << PAGE_SHIFT;
            if at < self.main {
                return Mapping { read: Some(at), write: Some(at) };
            }
            return self.resolve_slot(page).unwrap_or(NOTHING);
        }
        let some = |v: u32| (v != DEVICE).then_some(v);
        Mapping {
            read: some(self.low_read[page as usize].load(Ordering::Relaxed)),
            write: some(self.low_write[page as usize].load(Ordering::Relaxed)),
        }
    }

    fn resolve_slot(&self, page: u32) -> Option<Mapping> {
        let used = self.used.load(Ordering::Relaxed) as usize;
        for c in &self.slots[..used.min(MAX_SLOTS)] {
            let first = c.gpa.load(Ordering::Relaxed);
            if first != UNPLACED
                && page >= first
                && page - first < c.len.load(Ordering::Relaxed) >> PAGE_SHIFT
            {
                let at = c.arena.load(Ordering::Relaxed) + ((page - first) << PAGE_SHIFT);
                return Some(Mapping {
                    read: Some(at),
                    write: c.writable.load(Ordering::Relaxed).then_some(at),
                });
            }
        }
        None
    }

    /// The whole map as runs, lowest address first, pages of chips left out. A run whose reads and writes
    /// differ is listed with what it reads and `writable: false`.
    pub fn regions(&self) -> Vec<Region> {
        let mut out: Vec<Region> = Vec::new();
        let mut push = |gpa: u64, m: Mapping| {
            let Some(arena) = m.read else { return };
            let writable = m.write == m.read;
            if let Some(r) = out.last_mut()
                && r.gpa + r.len == gpa
                && u64::from(r.arena) + r.len == u64::from(arena)
                && r.writable == writable
            {
                r.len += u64::from(PAGE);
            } else {
                out.push(Region { gpa, len: u64::from(PAGE), arena, writable });
            }
        };
        for page in 0..LOW_PAGES as u64 {
            push(page << PAGE_SHIFT, self.mapping(page << PAGE_SHIFT));
        }
        if u64::from(self.main) > MIB {
            let r = Region { gpa: MIB, len: u64::from(self.main) - MIB, arena: MIB as u32, writable: true };
            match out.last_mut() {
                Some(l) if l.gpa + l.len == MIB && u64::from(l.arena) + l.len == MIB && l.writable => {
                    l.len += r.len
                }
                _ => out.push(r),
            }
        }
        let used = self.used.load(Ordering::Relaxed) as usize;
        let mut slots: Vec<Region> = self.slots[..used.min(MAX_SLOTS)]
            .iter()
            .filter_map(|c| {
                let first = c.gpa.load(Ordering::Relaxed);
                (first != UNPLACED).then(|| Region {
                    gpa: u64::from(first) << PAGE_SHIFT,
                    len: u64::from(c.len.load(Ordering::Relaxed)),
                    arena: c.arena.load(Ordering::Relaxed),
                    writable: c.writable.load(Ordering::Relaxed),
                })
            })
            .collect();
        slots.sort_by_key(|r| r.gpa);
        out.extend(slots);
        out
    }

    /// Reads through the map, as a bus master does. Bytes that no memory answers read FFh.
    pub fn read(&self, gpa: u64, buf: &mut [u8]) {
        self.each_page(gpa, buf.len(), |gpa, range| {
            let off = (gpa & u64::from(PAGE - 1)) as u32;
            match self.resolve(gpa).read {
                Some(page) => self.arena.copy_out(page + off, &mut buf[range]),
                None => buf[range].fill(0xff),
            }
        });
    }

    /// Writes through the map, as a bus master does: marks pages dirty and reports writes into decoded code.
    /// Bytes over ROM, chips and nothing are dropped.
    pub fn write(&self, gpa: u64, buf: &[u8]) {
        self.each_page(gpa, buf.len(), |gpa, range| {
            let off = (gpa & u64::from(PAGE - 1)) as u32;
            if let Some(at) = self.resolve(gpa).write {
                self.arena.copy_in(at + off, &buf[range]);
                self.wrote(at >> PAGE_SHIFT);
            }
        });
    }

    /// Is this main RAM for reads and writes alike? Then arena and physical address are one.
    #[inline]
    pub fn is_plain(&self, gpa: u32) -> bool {
        let page = gpa & !(PAGE - 1);
        page < self.main && self.resolve(u64::from(page)) == Mapping { read: Some(page), write: Some(page) }
    }

    /// Lends ranges of main RAM ([`Self::is_plain`]), for the host to take what they hold.
    ///
    /// # Panics
    /// If one does not lie in main RAM.
    pub fn lend<R>(&self, ranges: &[Range<u32>], f: impl FnOnce(&[&[Cell<u8>]]) -> R) -> R {
        if self.partly.load(Ordering::Relaxed) {
            for r in ranges.iter().filter(|r| !r.is_empty()) {
                let pages = r.start >> PAGE_SHIFT..=(r.end - 1) >> PAGE_SHIFT;
                pages.for_each(|p| self.fetch(self.mapping(u64::from(p) << PAGE_SHIFT)));
            }
        }
        let cells = |r: &Range<u32>| {
            assert!(r.end <= self.main, "what is lent is main RAM");
            self.arena.cells(r.start, r.len())
        };
        f(&ranges.iter().map(cells).collect::<Vec<_>>())
    }

    /// The same, for the host to fill: as [`Self::write`] it marks pages dirty and reports code, whether `f` filled them or
    /// gave up on the way.
    ///
    /// # Panics
    /// As `lend`.
    pub fn fill<R>(&self, ranges: &[Range<u32>], f: impl FnOnce(&[&[Cell<u8>]]) -> R) -> R {
        let r = self.lend(ranges, f);
        for range in ranges.iter().filter(|r| !r.is_empty()) {
            (range.start >> PAGE_SHIFT..=(range.end - 1) >> PAGE_SHIFT).for_each(|page| self.wrote(page));
        }
        r
    }

    fn each_page(&self, gpa: u64, len: usize, mut f: impl FnMut(u64, Range<usize>)) {
        let mut done = 0;
        while done < len {
            let at = gpa.wrapping_add(done as u64);
            let n = ((PAGE as usize) - (at as usize & (PAGE as usize - 1))).min(len - done);
            f(at, done..done + n);
            done += n;
        }
    }

    /// A chip wrote into this arena page by itself.
    pub fn wrote(&self, page: u32) {
        self.arena.mark_dirty(page);
        if self.arena.is_watched(page) {
            if let Ok(mut w) = self.watched_writes.lock() {
                w.push(page);
            }
            self.changed();
        }
    }

    /// Arena pages that are watched and that bus masters wrote since the last call.
    pub fn take_watched_writes(&self) -> Vec<u32> {
        self.watched_writes.lock().map(|mut w| std::mem::take(&mut *w)).unwrap_or_default()
    }

    /// Collects and clears the dirty bits of a run of arena offsets; calls `f` with each dirty page's offset.
    pub fn take_dirty(&self, arena: Range<u32>, mut f: impl FnMut(u32)) {
        let mut any = false;
        let in_main = arena.start < self.main;
        for page in arena.start >> PAGE_SHIFT..arena.end.div_ceil(PAGE) {
            if self.arena.take_dirty(page) {
                any = true;
                f(page << PAGE_SHIFT);
            }
        }
        if any && in_main {
            // Views hold pages of main RAM for writing because they are dirty.
            self.laid_out();
        } else if any {
            self.changed();
        }
    }

    /// The processor's A20M# pin, inverted: true lets address bit 20 through.
    pub fn a20(&self) -> bool {
        self.a20.load(Ordering::Relaxed)
    }

    pub fn set_a20(&self, on: bool) {
        if self.a20.swap(on, Ordering::Relaxed) != on {
            self.laid_out();
        }
    }

    /// Moves with every change that makes derived state (TLB, host mappings, decoded code) stale.
    #[inline(always)]
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Moves with every change that makes a [`crate::View`] of main RAM stale as a whole.
    pub fn layout_generation(&self) -> u32 {
        self.layout.load(Ordering::Relaxed)
    }

    fn laid_out(&self) {
        self.layout.fetch_add(1, Ordering::Relaxed);
        self.changed();
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }
}
