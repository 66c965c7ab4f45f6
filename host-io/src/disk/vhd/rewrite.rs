//! A VHD written from its beginning to its end: the same disk, with the blocks that it is given.

use std::io;
use std::ops::Range;

use super::dynamic::Dynamic;
use super::footer::{FOOTER, Footer, HEADER, UNUSED};
use super::layout::{Layout, bitmap_bytes};
use crate::disk::SECTOR;
use crate::disk::convert::data_of;
use crate::disk::store::Store;

pub(crate) struct Rewrite {
    footer: Footer,
    bat: Vec<u32>,
    block_size: u32,
    /// Where the next block goes.
    end: u64,
}

const TABLE: u64 = (FOOTER + HEADER) as u64;

impl Rewrite {
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
        Ok(Self { footer, bat: vec![UNUSED; entries], block_size, end })
    }

    /// The next block, of which `own` are the sectors that it has.
    pub(crate) fn block(
        &mut self,
        to: &mut (impl Store + ?Sized),
        block: usize,
        own: &[Range<u64>],
        data: &[u8],
    ) -> io::Result<()> {
        let sectors = u64::from(self.block_size) / SECTOR;
        let mut map = vec![0; bitmap_bytes(self.block_size) as usize];
        // The last block's sectors beyond the disk count as its own, so that it is full if it can be.
        let beyond = data.len() as u64 / SECTOR..sectors;
        for s in own.iter().cloned().chain([beyond]).flatten() {
            map[s as usize / 8] |= 0x80 >> (s % 8);
        }
        to.write_at(self.end, &map)?;
        let at = self.end + map.len() as u64;
        for part in data_of(data) {
            to.write_at(at + part.start as u64, &data[part])?;
        }
        self.bat[block] = (self.end / SECTOR) as u32;
        self.end = at + u64::from(self.block_size);
        Ok(())
    }

    /// Table and footer.
    pub(crate) fn end(self, to: &mut (impl Store + ?Sized)) -> io::Result<()> {
        let mut table: Vec<u8> = self.bat.iter().flat_map(|e| e.to_be_bytes()).collect();
        table.resize(table.len().next_multiple_of(SECTOR as usize), 0xff);
        to.write_at(TABLE, &table)?;
        to.write_at(self.end, &self.footer.bytes)
    }
}
