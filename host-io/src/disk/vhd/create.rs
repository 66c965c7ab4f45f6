//! New VHDs. Only tables and footers are written: whatever the size, it takes no time.

use std::io;
use std::time::UNIX_EPOCH;

use super::footer::{FOOTER, Footer, HEADER, Header, Uuid, VhdType};
use super::geometry::{geometry, round_up};
use crate::disk::SECTOR;
use crate::disk::store::Store;

/// The format's usual block.
pub const BLOCK: u32 = 2 << 20;

fn now() -> u64 {
    UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs())
}

/// Makes a VHD of at least `bytes` in an empty store; returns its size, rounded up to a geometry's.
pub fn create<S: Store + ?Sized>(s: &mut S, kind: VhdType, bytes: u64) -> io::Result<u64> {
    let bytes = round_up(bytes.div_ceil(SECTOR)) * SECTOR;
    match kind {
        VhdType::Fixed => format_fixed(s, bytes)?,
        VhdType::Dynamic => format_dynamic(s, bytes, BLOCK)?,
    }
    Ok(bytes)
}

pub(crate) fn format_fixed<S: Store + ?Sized>(s: &mut S, bytes: u64) -> io::Result<()> {
    let footer = Footer::new(VhdType::Fixed, bytes, geometry(bytes / SECTOR), Uuid::random(), now());
    s.set_len(bytes)?;
    s.write_at(bytes, &footer.bytes)
}

pub(crate) fn format_dynamic<S: Store + ?Sized>(s: &mut S, bytes: u64, block: u32) -> io::Result<()> {
    let footer = Footer::new(VhdType::Dynamic, bytes, geometry(bytes / SECTOR), Uuid::random(), now());
    let entries = bytes.div_ceil(u64::from(block)) as u32;
    let table = vec![0xff; (entries as usize * 4).next_multiple_of(SECTOR as usize)];
    s.write_at(0, &footer.bytes)?;
    s.write_at(FOOTER as u64, &Header::new(entries, block).bytes)?;
    s.write_at((FOOTER + HEADER) as u64, &table)?;
    s.write_at((FOOTER + HEADER + table.len()) as u64, &footer.bytes)
}
