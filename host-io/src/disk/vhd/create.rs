//! New VHDs. Only tables and footers are written: whatever the size, it takes no time.

use std::io;
use std::time::UNIX_EPOCH;

use super::footer::{FOOTER, Footer, HEADER, Header, Uuid, VhdType};
use super::geometry::geometry;
use super::parent::Link;
use crate::disk::SECTOR;
use crate::disk::store::Store;

/// The format's usual block.
pub const BLOCK: u32 = 2 << 20;

fn now() -> u64 {
    UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs())
}

pub(crate) fn format_fixed<S: Store + ?Sized>(s: &mut S, bytes: u64) -> io::Result<()> {
    let footer = Footer::new(VhdType::Fixed, bytes, geometry(bytes / SECTOR), Uuid::random(), now());
    s.set_len(bytes)?;
    s.write_at(bytes, &footer.bytes)
}

pub(crate) fn format_dynamic<S: Store + ?Sized>(s: &mut S, bytes: u64, block: u32) -> io::Result<()> {
    let (footer, _) = new_dynamic(bytes, block);
    format(s, &footer, block, None)
}

/// Footer and header of a new disk without a parent.
pub(super) fn new_dynamic(bytes: u64, block: u32) -> (Footer, Header) {
    let footer = Footer::new(VhdType::Dynamic, bytes, geometry(bytes / SECTOR), Uuid::random(), now());
    let header = Header::new(bytes.div_ceil(u64::from(block)) as u32, block);
    (footer, header)
}

/// A disk without blocks over the one that `parent` is the footer of.
pub(crate) fn format_child<S: Store + ?Sized>(
    s: &mut S,
    parent: &Footer,
    link: &Link,
    block: u32,
) -> io::Result<()> {
    let size = parent.current_size();
    let mut footer = Footer::new(VhdType::Differencing, size, parent.geometry(), Uuid::random(), now());
    footer.take_size_from(parent);
    format(s, &footer, block, Some(link))
}

fn format<S: Store + ?Sized>(s: &mut S, footer: &Footer, block: u32, link: Option<&Link>) -> io::Result<()> {
    let entries = footer.current_size().div_ceil(u64::from(block)) as u32;
    let table = vec![0xff; (entries as usize * 4).next_multiple_of(SECTOR as usize)];
    let behind = (FOOTER + HEADER + table.len()) as u64;
    let mut header = Header::new(entries, block);
    let locators = link.map_or_else(Vec::new, |l| l.set(&mut header, behind));
    s.write_at(0, &footer.bytes)?;
    s.write_at(FOOTER as u64, &header.bytes)?;
    s.write_at((FOOTER + HEADER) as u64, &table)?;
    s.write_at(behind, &locators)?;
    s.write_at(behind + locators.len() as u64, &footer.bytes)
}
