//! A dynamic VHD: blocks that come into being when they are written to. A differencing VHD: the same over a parent, which
//! has all sectors that the bitmaps leave out. The order of writes is that of `mod.rs`.

use std::collections::{BTreeMap, HashMap};
use std::io;

use board::pieces::{self, Piece};
use board::{Disk, Geometry};

use super::footer::{FOOTER, Footer, UNUSED};
use super::layout::{Blocks, Layout, VhdFault};
use crate::disk::store::Store;
use crate::disk::{Extents, SECTOR, span, zero};

pub(crate) struct Dynamic<S: Store> {
    store: S,
    sectors: u64,
    geometry: Geometry,
    read_only: bool,
    footer: Footer,
    /// Where a footer is missing or damaged: written anew with the first change to the disk.
    mend: Vec<u64>,
    blocks: Blocks,
    /// Where the file's last footer is. What lies between the blocks' end and it reads as zeros, also after a power cut.
    reach: u64,
    /// What lies there was not made by us, and is cut off before the first new block.
    foreign: bool,
    /// Blocks all of whose sectors are marked in the bitmap.
    full: Vec<bool>,
    /// Bitmaps of the others that were looked at.
    partial: HashMap<usize, Vec<u8>>,
    /// Blocks whose bitmap in memory says more than the file's. True: nor is it in the file's table.
    unsettled: BTreeMap<usize, bool>,
    parent: Option<Box<dyn Extents>>,
    /// Blocks that the file grows by at once: each growth is synced.
    growth: u64,
}

/// Bitmaps to keep; 512 bytes each with the usual block size.
const KEPT: usize = 4096;

/// A sector's bit: the first sector of a byte is its highest bit.
fn marked(bitmap: &[u8], sector: u32) -> bool {
    bitmap[sector as usize / 8] & 0x80 >> (sector % 8) != 0
}

/// Of a run that begins with `first`, how many sectors are marked as the first one is.
fn alike(bitmap: &[u8], first: u32, count: u32) -> (bool, u32) {
    let as_first = marked(bitmap, first);
    let n = (first..first + count).take_while(|s| marked(bitmap, *s) == as_first).count();
    (as_first, n as u32)
}

/// What [`Dynamic::growth`] is, and what it is at most if more is expected.
const GROWTH: u64 = 16;
const MOST_GROWTH: u64 = 256;

impl<S: Store> Dynamic<S> {
    pub(crate) fn new(
        store: S,
        layout: Layout,
        blocks: Blocks,
        faults: &[VhdFault],
        read_only: bool,
        parent: Option<Box<dyn Extents>>,
    ) -> Self {
        let Layout { footer, sectors, geometry, parent: link, .. } = layout;
        let full = vec![false; blocks.bat.len()];
        let mend = faults
            .iter()
            .filter_map(|f| match f {
                VhdFault::LastFooter => Some(blocks.end),
                VhdFault::FooterCopy => Some(0),
                _ => None,
            })
            .collect();
        let (reach, used) = (blocks.end, blocks.used_end(link.as_ref()));
        // Less than a block may be another program's.
        let foreign = reach >= used + u64::from(blocks.block_size);
        Self {
            store,
            sectors,
            geometry,
            read_only,
            footer,
            mend,
            reach,
            foreign,
            full,
            partial: HashMap::new(),
            unsettled: BTreeMap::new(),
            parent,
            growth: GROWTH,
            blocks: Blocks { end: if foreign { used } else { reach }, ..blocks },
        }
    }

    pub(crate) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    pub(crate) fn file(&mut self) -> &mut S {
        &mut self.store
    }

    pub(crate) fn block_bytes(&self) -> u64 {
        u64::from(self.blocks.block_size)
    }

    /// A block's sectors on the disk: first and count.
    pub(crate) fn on_disk(&self, block: usize, first: u32, count: u32) -> (u64, u64) {
        (block as u64 * self.block_sectors() + u64::from(first), u64::from(count))
    }

    /// The runs of a block's sectors that this file has: first and count.
    pub(crate) fn own(&mut self, block: usize) -> io::Result<Vec<(u32, u32)>> {
        let Some(place) = self.place(block) else { return Ok(Vec::new()) };
        self.learn(block, place)?;
        let sectors = self.block_sectors() as u32;
        let Some(map) = self.partial.get(&block) else { return Ok(vec![(0, sectors)]) };
        let (mut runs, mut first) = (Vec::new(), 0);
        while first < sectors {
            let (own, n) = alike(map, first, sectors - first);
            if own {
                runs.push((first, n));
            }
            first += n;
        }
        Ok(runs)
    }

    pub(crate) fn block_sectors(&self) -> u64 {
        u64::from(self.blocks.block_size) / SECTOR
    }

    /// Where a block's bitmap is.
    fn place(&self, block: usize) -> Option<u64> {
        self.blocks.bat.get(block).filter(|s| **s != UNUSED).map(|s| u64::from(*s) * SECTOR)
    }

    fn data(&self, bitmap: u64) -> u64 {
        bitmap + u64::from(self.blocks.bitmap_bytes())
    }

    /// Makes sure that we know a block's bitmap.
    fn learn(&mut self, block: usize, place: u64) -> io::Result<()> {
        if self.full[block] || self.partial.contains_key(&block) {
            return Ok(());
        }
        let sectors = self.block_sectors() as u32;
        let mut map = vec![0; sectors.div_ceil(8) as usize];
        self.store.read_at(place, &mut map)?;
        if (0..sectors).all(|s| marked(&map, s)) {
            self.full[block] = true;
        } else {
            if self.partial.len() >= KEPT {
                self.partial.retain(|b, _| self.unsettled.contains_key(b));
            }
            self.partial.insert(block, map);
        }
        Ok(())
    }

    /// What the image doesn't hold itself.
    fn under(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        match &mut self.parent {
            Some(p) => p.read(lba, buf),
            None => {
                buf.fill(0);
                Ok(())
            }
        }
    }

    /// Reads sectors of one block, `first` counted within it.
    fn read_block(&mut self, block: usize, mut first: u32, mut buf: &mut [u8]) -> io::Result<()> {
        let start = block as u64 * self.block_sectors();
        let Some(place) = self.place(block) else { return self.under(start + u64::from(first), buf) };
        self.learn(block, place)?;
        while !buf.is_empty() {
            let count = (buf.len() as u64 / SECTOR) as u32;
            let (own, n) = self.partial.get(&block).map_or((true, count), |map| alike(map, first, count));
            let part = buf.split_off_mut(..n as usize * SECTOR as usize).unwrap_or_default();
            if own {
                self.store.read_at(self.data(place) + u64::from(first) * SECTOR, part)?;
            } else {
                self.under(start + u64::from(first), part)?;
            }
            first += n;
        }
        Ok(())
    }

    /// Is the run writable? Then footers that were found damaged are mended first.
    fn before_write(&mut self, lba: u64, len: usize) -> io::Result<()> {
        if self.read_only {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        span(self.sectors, lba, len)?;
        while let Some(&at) = self.mend.last() {
            self.store.write_at(at, &self.footer.bytes)?;
            self.mend.pop();
        }
        Ok(())
    }

    fn write_block(&mut self, block: usize, first: u32, buf: &[u8]) -> io::Result<()> {
        let lba = block as u64 * self.block_sectors() + u64::from(first);
        let place = match self.place(block) {
            Some(place) => place,
            None if zero(buf) && self.is_empty_under(lba, buf.len() as u64 / SECTOR) => return Ok(()),
            None => self.add_block(block)?,
        };
        self.learn(block, place)?;
        self.store.write_at(self.data(place) + u64::from(first) * SECTOR, buf)?;
        self.written(block, first, (buf.len() as u64 / SECTOR) as u32)
    }

    /// Nothing but zeros lies below, as far as that can be told without looking at it.
    fn is_empty_under(&mut self, lba: u64, count: u64) -> bool {
        self.parent.as_mut().is_none_or(|p| p.next_data(lba).is_none_or(|at| at >= lba + count))
    }

    /// Sectors of a block were written: marks them. A new block of a disk without a parent enters the table now: what
    /// was not written reads as zeros, as before. All else waits for [`Self::write_unsettled`].
    fn written(&mut self, block: usize, first: u32, count: u32) -> io::Result<()> {
        if let Some(map) = self.partial.get_mut(&block) {
            if alike(map, first, count) == (true, count) {
                return Ok(());
            }
            for s in first..first + count {
                map[s as usize / 8] |= 0x80 >> (s % 8);
            }
            self.unsettled.entry(block).or_insert(false);
        } else if self.unsettled.contains_key(&block) {
            self.enter(block)?;
            self.unsettled.remove(&block);
        }
        Ok(())
    }

    /// Writes a block's entry of the table.
    fn enter(&mut self, block: usize) -> io::Result<()> {
        self.store.write_at(self.blocks.table + block as u64 * 4, &self.blocks.bat[block].to_be_bytes())
    }

    /// A new block at the end, which the file's table doesn't have yet.
    fn add_block(&mut self, block: usize) -> io::Result<u64> {
        self.cut_foreign()?;
        let place = self.blocks.end;
        let sector = u32::try_from(place / SECTOR).ok().filter(|s| *s != UNUSED);
        let sector = sector.ok_or(io::ErrorKind::FileTooLarge)?;
        let whole = u64::from(self.blocks.block_size + self.blocks.bitmap_bytes());
        if place + whole > self.reach {
            // The old footer stands where a block begins, so its bitmap writes over it.
            let reach = place + self.growth * whole;
            self.store.write_at(reach, &self.footer.bytes)?;
            self.store.sync()?;
            self.reach = reach;
        }
        // Without a parent all sectors are marked: what is not written is a hole of the file, zeros as it should be.
        let full = self.parent.is_none();
        let map = vec![if full { 0xff } else { 0 }; self.blocks.bitmap_bytes() as usize];
        self.store.write_at(place, &map)?;
        self.blocks.end = place + whole;
        self.blocks.bat[block] = sector;
        self.full[block] = full;
        if !full {
            self.partial.insert(block, map);
        }
        self.unsettled.insert(block, true);
        Ok(place)
    }

    /// Drops what a killed process, or another program, left behind the last block: it isn't zeros.
    fn cut_foreign(&mut self) -> io::Result<()> {
        if self.foreign {
            self.trim()?;
            self.store.sync()?;
            self.foreign = false;
        }
        Ok(())
    }

    /// Ends the file behind its last block, with a footer at each moment.
    fn trim(&mut self) -> io::Result<()> {
        let end = self.blocks.end;
        if end < self.reach {
            self.store.write_at(end, &self.footer.bytes)?;
            self.store.set_len(end + FOOTER as u64)?;
            self.reach = end;
        }
        Ok(())
    }

    /// Writes bitmaps and entries behind the data that they tell of.
    fn write_unsettled(&mut self) -> io::Result<()> {
        if self.unsettled.is_empty() {
            return Ok(());
        }
        self.store.sync()?;
        while let Some((&block, &new)) = self.unsettled.first_key_value() {
            if let (Some(place), Some(map)) = (self.place(block), self.partial.get(&block)) {
                self.store.write_at(place, map)?;
            }
            if new {
                self.enter(block)?;
            }
            self.unsettled.pop_first();
        }
        Ok(())
    }

    /// Splits a run of sectors by blocks: (block, first sector in it, bytes).
    fn parts(
        &self,
        lba: u64,
        len: usize,
    ) -> impl Iterator<Item = (usize, u32, std::ops::Range<usize>)> + use<S> {
        let per = self.block_sectors();
        let mut done = 0;
        std::iter::from_fn(move || {
            if done >= len {
                return None;
            }
            let at = lba + done as u64 / SECTOR;
            let first = at % per;
            let n = (((per - first) * SECTOR) as usize).min(len - done);
            let part = ((at / per) as usize, first as u32, done..done + n);
            done += n;
            Some(part)
        })
    }
}

impl<S: Store> Disk for Dynamic<S> {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        span(self.sectors, lba, buf.len())?;
        for (block, first, part) in self.parts(lba, buf.len()) {
            self.read_block(block, first, &mut buf[part])?;
        }
        Ok(())
    }

    fn write(&mut self, lba: u64, buf: &[u8]) -> io::Result<()> {
        self.before_write(lba, buf.len())?;
        for (block, first, part) in self.parts(lba, buf.len()) {
            self.write_block(block, first, &buf[part])?;
        }
        Ok(())
    }

    fn read_to(&mut self, lba: u64, to: &[Piece<'_>]) -> io::Result<()> {
        let len = pieces::total(to);
        span(self.sectors, lba, len)?;
        for (block, first, part) in self.parts(lba, len) {
            let (at, count) = (lba + part.start as u64 / SECTOR, (part.len() as u64 / SECTOR) as u32);
            let to = pieces::part(to, part);
            let place = self.place(block);
            if let Some(place) = place {
                self.learn(block, place)?;
            }
            let map = self.partial.get(&block);
            match (place, map.map_or((place.is_some(), count), |map| alike(map, first, count))) {
                (Some(place), (true, n)) if n == count => {
                    self.store.read_to(self.data(place) + u64::from(first) * SECTOR, &to)?;
                }
                (_, (false, n)) if n == count => match &mut self.parent {
                    Some(p) => p.read_to(at, &to)?,
                    None => pieces::fill(&to, 0),
                },
                _ => {
                    let mut buf = vec![0; pieces::total(&to)];
                    self.read_block(block, first, &mut buf)?;
                    pieces::put(&to, &buf);
                }
            }
        }
        Ok(())
    }

    fn write_from(&mut self, lba: u64, from: &[Piece<'_>]) -> io::Result<()> {
        let len = pieces::total(from);
        self.before_write(lba, len)?;
        for (block, first, part) in self.parts(lba, len) {
            let from = pieces::part(from, part);
            let Some(place) = self.place(block) else {
                self.write_block(block, first, &pieces::get(&from))?;
                continue;
            };
            self.learn(block, place)?;
            self.store.write_from(self.data(place) + u64::from(first) * SECTOR, &from)?;
            self.written(block, first, (pieces::total(&from) as u64 / SECTOR) as u32)?;
        }
        Ok(())
    }

    /// What this file has of it becomes a hole; its blocks stay, and sectors that are the parent's remain so.
    fn discard(&mut self, lba: u64, count: u64) -> io::Result<()> {
        if self.read_only {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let len = (count * SECTOR) as usize;
        span(self.sectors, lba, len)?;
        for (block, first, part) in self.parts(lba, len) {
            let Some(place) = self.place(block) else { continue };
            let (first, end) = (first, first + (part.len() as u64 / SECTOR) as u32);
            for (own, n) in self.own(block)? {
                let (from, to) = (own.max(first), (own + n).min(end));
                if from < to {
                    let at = self.data(place) + u64::from(from) * SECTOR;
                    self.store.punch(at, u64::from(to - from) * SECTOR)?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.read_only {
            return Ok(());
        }
        self.write_unsettled()?;
        self.store.sync()
    }

    fn settle(&mut self) -> io::Result<()> {
        if self.read_only { Ok(()) } else { self.write_unsettled() }
    }

    fn at_once(&mut self, on: bool) -> bool {
        let able = self.store.at_once(on);
        if self.parent.as_mut().is_none_or(|p| p.at_once(on)) {
            return able;
        }
        self.store.at_once(false);
        false
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn geometry(&self) -> Option<Geometry> {
        Some(self.geometry)
    }
}

impl<S: Store> Extents for Dynamic<S> {
    fn expect(&mut self, bytes: u64) {
        self.growth = (bytes / self.block_bytes()).clamp(GROWTH, MOST_GROWTH);
    }

    fn next_data(&mut self, lba: u64) -> Option<u64> {
        let per = self.block_sectors();
        let from = (lba / per) as usize;
        let n = self.blocks.bat.get(from..).and_then(|b| b.iter().position(|s| *s != UNUSED));
        let own = n.map(|n| ((from + n) as u64 * per).max(lba));
        let under = self.parent.as_mut().and_then(|p| p.next_data(lba));
        own.into_iter().chain(under).min().filter(|&l| l < self.sectors)
    }
}

/// What was not flushed gets into the file as far as it can.
impl<S: Store> Drop for Dynamic<S> {
    fn drop(&mut self) {
        self.store.at_once(false);
        if !self.read_only
            && !self.foreign
            && let Err(e) = self.write_unsettled().and_then(|()| self.trim())
        {
            tracing::error!("a VHD could not be closed: {e}");
        }
    }
}
