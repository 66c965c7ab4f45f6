//! A VHD written from its beginning to its end, with the blocks that it is given: a new disk, or the same as another.
//! Nobody has it yet, so nothing is synced before the end.

use std::io;
use std::ops::Range;

use super::create::{BLOCK, new_dynamic};
use super::dynamic::Dynamic;
use super::footer::{FOOTER, Footer, HEADER, UNUSED};
use super::layout::{Layout, bitmap_bytes};
use super::sequence::{PIECE, Sequence};
use crate::disk::SECTOR;
use crate::disk::convert::data_of;
use crate::disk::store::Store;

pub(crate) struct Rewrite {
    footer: Footer,
    bat: Vec<u32>,
    block_size: u32,
    /// Where the next block goes.
    end: u64,
    written: Sequence,
}

/// Where a copy failed.
pub(crate) enum Side {
    Read(io::Error),
    Write(io::Error),
}

const TABLE: u64 = (FOOTER + HEADER) as u64;

impl Rewrite {
    /// A new disk, in an empty file.
    pub(crate) fn new(bytes: u64, to: &mut (impl Store + ?Sized)) -> io::Result<Self> {
        let (footer, header) = new_dynamic(bytes, BLOCK);
        let entries = header.entries() as usize;
        let end = TABLE + (entries as u64 * 4).next_multiple_of(SECTOR);
        to.write_at(0, &footer.bytes)?;
        to.write_at(FOOTER as u64, &header.bytes)?;
        Ok(Self { footer, bat: vec![UNUSED; entries], block_size: BLOCK, end, written: Sequence::new() })
    }

    /// Footer, header and locators, in an empty file.
    pub(crate) fn begin<S: Store>(
        from: &mut Dynamic<S>,
        layout: &Layout,
        to: &mut (impl Store + ?Sized),
    ) -> io::Result<Self> {
        let entries = from.blocks().bat.len();
        let block_size = from.blocks().block_size;
        let mut footer = layout.footer.clone();
        footer.set_data_offset(FOOTER as u64);
        let mut header = from.blocks().header.clone();
        header.set_table(TABLE, entries as u32);
        let mut end = TABLE + (entries as u64 * 4).next_multiple_of(SECTOR);
        let file = from.file().len();
        for l in layout.parent.iter().flat_map(|p| &p.locators).filter(|l| l.fits(file)) {
            let mut text = vec![0; l.len as usize];
            from.file().read_at(l.offset, &mut text)?;
            text.resize(u64::from(l.len).max(l.room).next_multiple_of(SECTOR) as usize, 0);
            to.write_at(end, &text)?;
            l.set_offset(&mut header, end);
            end += text.len() as u64;
        }
        to.write_at(0, &footer.bytes)?;
        to.write_at(FOOTER as u64, &header.bytes)?;
        Ok(Self { footer, bat: vec![UNUSED; entries], block_size, end, written: Sequence::new() })
    }

    /// The next block, of which `own` are the sectors that it has.
    pub(crate) fn block(
        &mut self,
        to: &mut (impl Store + ?Sized),
        block: usize,
        own: &[Range<u64>],
        data: &[u8],
    ) -> io::Result<()> {
        // The last block's sectors beyond the disk count as its own, so that it is full if it can be.
        let beyond = data.len() as u64 / SECTOR..u64::from(self.block_size) / SECTOR;
        let at = self.begin_block(to, block, own.iter().cloned().chain([beyond]))?;
        data_of(data).try_for_each(|part| self.written.put(to, at + part.start as u64, &data[part]))
    }

    /// The next block of a disk without a parent, of `len` bytes that `read` gives, a [`PIECE`] in `buf` at a time; none if they
    /// are zeros.
    pub(crate) fn whole_block(
        &mut self,
        to: &mut (impl Store + ?Sized),
        block: usize,
        len: u64,
        buf: &mut [u8],
        mut read: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> Result<(), Side> {
        let mut place = None;
        for at in (0..len).step_by(PIECE) {
            let piece = &mut buf[..(len - at).min(PIECE as u64) as usize];
            read(at, piece).map_err(Side::Read)?;
            for part in data_of(piece) {
                let all = std::iter::once(0..u64::from(self.block_size) / SECTOR);
                let data = match place {
                    Some(data) => data,
                    None => self.begin_block(to, block, all).map_err(Side::Write)?,
                };
                place = Some(data);
                let put = self.written.put(to, data + at + part.start as u64, &piece[part]);
                put.map_err(Side::Write)?;
            }
        }
        Ok(())
    }

    /// Bitmap and entry. Returns where the data goes.
    fn begin_block(
        &mut self,
        to: &mut (impl Store + ?Sized),
        block: usize,
        own: impl Iterator<Item = Range<u64>>,
    ) -> io::Result<u64> {
        let mut map = vec![0; bitmap_bytes(self.block_size) as usize];
        for s in own.flatten() {
            map[s as usize / 8] |= 0x80 >> (s % 8);
        }
        self.written.put(to, self.end, &map)?;
        self.bat[block] = (self.end / SECTOR) as u32;
        let data = self.end + map.len() as u64;
        self.end = data + u64::from(self.block_size);
        Ok(data)
    }

    /// Table and footer.
    pub(crate) fn end(mut self, to: &mut (impl Store + ?Sized)) -> io::Result<()> {
        self.written.write(to)?;
        let mut table: Vec<u8> = self.bat.iter().flat_map(|e| e.to_be_bytes()).collect();
        table.resize(table.len().next_multiple_of(SECTOR as usize), 0xff);
        to.write_at(TABLE, &table)?;
        to.write_at(self.end, &self.footer.bytes)
    }
}
