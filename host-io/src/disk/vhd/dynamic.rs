//! A dynamic VHD: blocks that come into being when they are written to.

use std::collections::HashMap;
use std::io;

use board::pieces::{self, Piece};
use board::{Disk, Geometry};

use super::footer::{Footer, UNUSED};
use super::layout::{Blocks, Layout, VhdFault};
use crate::disk::store::Store;
use crate::disk::{Extents, SECTOR, span, zero};

pub(crate) struct Dynamic<S> {
    store: S,
    sectors: u64,
    geometry: Geometry,
    read_only: bool,
    footer: Footer,
    /// Where a footer is missing or damaged: written anew with the first change to the disk.
    mend: Vec<u64>,
    blocks: Blocks,
    /// Blocks all of whose sectors are marked in the bitmap: by far the most.
    full: Vec<bool>,
    /// Bitmaps of the others that were looked at.
    partial: HashMap<usize, Vec<u8>>,
}

/// Bitmaps to keep; 512 bytes each with the usual block size.
const KEPT: usize = 4096;

/// A sector's bit: the first sector of a byte is its highest bit.
fn marked(bitmap: &[u8], sector: u32) -> bool {
    bitmap[sector as usize / 8] & 0x80 >> (sector % 8) != 0
}

impl<S: Store> Dynamic<S> {
    pub(crate) fn new(
        store: S,
        layout: Layout,
        blocks: Blocks,
        faults: &[VhdFault],
        read_only: bool,
    ) -> Self {
        let Layout { footer, sectors, geometry, .. } = layout;
        let full = vec![false; blocks.bat.len()];
        let mend = faults
            .iter()
            .filter_map(|f| match f {
                VhdFault::LastFooter => Some(blocks.end),
                VhdFault::FooterCopy => Some(0),
                _ => None,
            })
            .collect();
        Self { store, sectors, geometry, read_only, footer, mend, blocks, full, partial: HashMap::new() }
    }

    fn block_sectors(&self) -> u64 {
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
                self.partial.clear();
            }
            self.partial.insert(block, map);
        }
        Ok(())
    }

    /// Reads sectors of one block, `first` counted within it. Sectors that the bitmap leaves out are zeros.
    fn read_block(&mut self, block: usize, first: u32, buf: &mut [u8]) -> io::Result<()> {
        let Some(place) = self.place(block) else {
            buf.fill(0);
            return Ok(());
        };
        self.learn(block, place)?;
        self.store.read_at(self.data(place) + u64::from(first) * SECTOR, buf)?;
        if let Some(map) = self.partial.get(&block) {
            for (n, sector) in (first..).zip(buf.chunks_mut(SECTOR as usize)) {
                if !marked(map, n) {
                    sector.fill(0);
                }
            }
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
        let Some(place) = self.place(block) else {
            return if zero(buf) { Ok(()) } else { self.add_block(block, first, buf) };
        };
        self.learn(block, place)?;
        self.store.write_at(self.data(place) + u64::from(first) * SECTOR, buf)?;
        self.mark(block, place, first, (buf.len() as u64 / SECTOR) as u32)
    }

    /// Marks sectors that were written in a block whose bitmap is not full.
    fn mark(&mut self, block: usize, place: u64, first: u32, count: u32) -> io::Result<()> {
        let Some(map) = self.partial.get_mut(&block) else { return Ok(()) };
        if (first..first + count).all(|s| marked(map, s)) {
            return Ok(());
        }
        let mut new = map.clone();
        for s in first..first + count {
            new[s as usize / 8] |= 0x80 >> (s % 8);
        }
        self.store.write_at(place, &new)?;
        *map = new;
        Ok(())
    }

    /// A new block at the end. The order is the one of `mod.rs`.
    fn add_block(&mut self, block: usize, first: u32, buf: &[u8]) -> io::Result<()> {
        let place = self.blocks.end;
        let sector = u32::try_from(place / SECTOR).ok().filter(|s| *s != UNUSED);
        let sector = sector.ok_or(io::ErrorKind::FileTooLarge)?;
        let data = self.data(place);
        let end = data + u64::from(self.blocks.block_size);
        self.store.write_at(end, &self.footer.bytes)?;
        // All sectors are marked: what is not written is a hole of the file, zeros as it should be.
        self.store.write_at(place, &vec![0xff; self.blocks.bitmap_bytes() as usize])?;
        self.store.write_at(data + u64::from(first) * SECTOR, buf)?;
        self.store.write_at(self.blocks.table + block as u64 * 4, &sector.to_be_bytes())?;
        self.blocks.end = end;
        self.blocks.bat[block] = sector;
        self.full[block] = true;
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
            let to = pieces::part(to, part);
            let Some(place) = self.place(block) else {
                pieces::fill(&to, 0);
                continue;
            };
            self.learn(block, place)?;
            if self.partial.contains_key(&block) {
                let mut buf = vec![0; pieces::total(&to)];
                self.read_block(block, first, &mut buf)?;
                pieces::put(&to, &buf);
            } else {
                self.store.read_to(self.data(place) + u64::from(first) * SECTOR, &to)?;
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
            self.mark(block, place, first, (pieces::total(&from) as u64 / SECTOR) as u32)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.read_only { Ok(()) } else { self.store.sync() }
    }

    fn at_once(&mut self, on: bool) -> bool {
        self.store.at_once(on)
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn geometry(&self) -> Option<Geometry> {
        Some(self.geometry)
    }
}

impl<S: Store> Extents for Dynamic<S> {
    fn next_data(&mut self, lba: u64) -> Option<u64> {
        let per = self.block_sectors();
        let from = (lba / per) as usize;
        let n = self.blocks.bat.get(from..)?.iter().position(|s| *s != UNUSED)?;
        let start = (from + n) as u64 * per;
        Some(start.max(lba)).filter(|&l| l < self.sectors)
    }
}
