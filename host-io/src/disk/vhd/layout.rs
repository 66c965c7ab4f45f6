//! Reading footer, header and BAT, and everything that can be wrong with them.

use std::io;

use board::Geometry;

use super::footer::{FOOTER, Footer, HEADER, Header, UNUSED, VhdType, be32};
use super::geometry::{MOST, covered};
use super::parent::Parent;
use crate::disk::SECTOR;
use crate::disk::store::Store;

/// 2040 GiB: the format's 32-bit sector offsets end there.
pub(crate) const MAX_BYTES: u64 = 2040 << 30;
pub(crate) const MIN_BLOCK: u32 = 4096;
pub(crate) const MAX_BLOCK: u32 = 256 << 20;

/// One thing wrong with a VHD.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VhdFault {
    #[error("no footer (\"conectix\") in its last 512 bytes")]
    NoFooter,
    #[error("the footer's checksum is {got:#010x}, its bytes give {want:#010x}")]
    FooterSum { got: u32, want: u32 },
    #[error("the last footer is missing or damaged, the copy at offset 0 is good")]
    LastFooter,
    #[error("the footer's copy at offset 0 is missing or damaged")]
    FooterCopy,
    #[error("the footer's copy at offset 0 differs from the footer")]
    CopyDiffers,
    #[error("the footer's version is {0:#010x}, not 1.0")]
    Version(u32),
    #[error("the footer's disk type is {0}, neither 2 (fixed) nor 3 (dynamic) nor 4 (differencing)")]
    Type(u32),
    #[error("the footer's current size of {0} bytes is no whole number of sectors between 1 and 2040 GiB")]
    Size(u64),
    #[error("{field} needs the file to have {need} bytes, it has {have}")]
    Truncated { field: &'static str, need: u64, have: u64 },
    #[error("the footer's data offset {0:#x} is no place for a dynamic header")]
    HeaderOffset(u64),
    #[error("the dynamic header (\"cxsparse\") is not at offset {0:#x}")]
    NoHeader(u64),
    #[error("the dynamic header's checksum is {got:#010x}, its bytes give {want:#010x}")]
    HeaderSum { got: u32, want: u32 },
    #[error("the dynamic header's version is {0:#010x}, not 1.0")]
    HeaderVersion(u32),
    #[error("the dynamic header's block size {0} is no power of two from 4 KiB to 256 MiB")]
    BlockSize(u32),
    #[error("the dynamic header's max table entries is {got}, the disk's size needs {need}")]
    Entries { got: u32, need: u64 },
    #[error("the dynamic header's table offset {0:#x} lies within the header")]
    TableOffset(u64),
    #[error("BAT entry {entry} names sector {sector}, its block would lie outside of {first}..{end}")]
    BatRange { entry: u32, sector: u32, first: u64, end: u64 },
    #[error("blocks go on up to byte {need}, the file ends at {have}")]
    CutOff { need: u64, have: u64 },
    #[error("BAT entries {a} and {b} name overlapping blocks at sectors {at_a} and {at_b}")]
    Overlap { a: u32, b: u32, at_a: u32, at_b: u32 },
    #[error("the parent locator {code:?} lies outside of the file, or within a block")]
    Locator { code: String },
    #[error("the disk belongs to a saved machine state (saved state byte set)")]
    SavedState,
    #[error("merging it into its parent was interrupted")]
    Merging,
}

impl VhdFault {
    /// Does it keep us from using the image?
    pub fn fatal(&self) -> bool {
        !matches!(
            self,
            Self::LastFooter
                | Self::FooterCopy
                | Self::CopyDiffers
                | Self::Locator { .. }
                | Self::SavedState
                | Self::Merging
        )
    }

    /// Of the faults of a file without a layout, the one to tell.
    pub(crate) fn to_tell(faults: Vec<Self>) -> Self {
        faults.into_iter().find(Self::fatal).unwrap_or(Self::NoFooter)
    }

    /// What to do about it.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "the file is cut off: copy it again from where it came",
            Self::CutOff { .. } => {
                "the file was cut off, or further pieces of a split disk (.v01) are missing: copy it again with all of them"
            }
            Self::NoFooter => {
                "the file is cut off or no VHD: copy it again, or try `heirloom disk check` with --repair"
            }
            Self::FooterSum { .. } | Self::HeaderSum { .. } => {
                "the file is damaged: restore it from a backup, or try `heirloom disk check` with --repair"
            }
            Self::LastFooter | Self::FooterCopy => {
                "it can be used; the first write to the disk mends it, or `heirloom disk check` with --repair"
            }
            Self::CopyDiffers => "it can be used; `heirloom disk check` with --repair mends it",
            Self::Version(_) | Self::HeaderVersion(_) | Self::Type(_) => {
                "convert it with the program that made it to a VHD of version 1.0"
            }
            Self::Size(_) | Self::HeaderOffset(_) => "the field is damaged: restore the file from a backup",
            Self::NoHeader(_) | Self::BlockSize(_) | Self::Entries { .. } | Self::TableOffset(_) => {
                "the field is damaged: restore the file from a backup, or try `heirloom disk check` with --repair"
            }
            Self::BatRange { .. } | Self::Overlap { .. } => {
                "the table is damaged: restore the file from a backup, or give up such blocks with `heirloom disk \
                 check` and --repair --lose-blocks"
            }
            Self::Locator { .. } => "`heirloom disk relink` with --parent writes its link anew",
            Self::SavedState => {
                "resume that machine and shut it down before the disk is written to elsewhere"
            }
            Self::Merging => {
                "it can be used; do it again with `heirloom disk merge` or `heirloom snapshot remove`, as it was begun, or \
                 keep the disk with `heirloom disk check` and --repair"
            }
        }
    }
}

/// A VHD's structure.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) footer: Footer,
    /// What the guest sees.
    pub(crate) sectors: u64,
    pub(crate) geometry: Geometry,
    pub(crate) dynamic: Option<Blocks>,
    /// A differencing disk's.
    pub(crate) parent: Option<Parent>,
}

impl Layout {
    pub(crate) fn kind(&self) -> VhdType {
        match (&self.dynamic, &self.parent) {
            (None, _) => VhdType::Fixed,
            (Some(_), None) => VhdType::Dynamic,
            (Some(_), Some(_)) => VhdType::Differencing,
        }
    }
}

/// The dynamic part.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    pub(crate) table: u64,
    pub(crate) block_size: u32,
    /// Sector offsets of blocks (of their bitmaps); `UNUSED` = none.
    pub(crate) bat: Vec<u32>,
    /// Where the next block goes: the last footer's place.
    pub(crate) end: u64,
    /// The first sector behind the tables.
    pub(crate) first: u64,
    pub(crate) header: Header,
}

impl Blocks {
    pub(crate) fn bitmap_bytes(&self) -> u32 {
        bitmap_bytes(self.block_size)
    }

    /// Bytes of a block and its bitmap.
    pub(crate) fn whole(&self) -> u64 {
        u64::from(self.block_size + self.bitmap_bytes())
    }
}

/// A bit for each sector, in whole sectors.
pub(crate) fn bitmap_bytes(block_size: u32) -> u32 {
    (block_size / 512).div_ceil(8).next_multiple_of(512)
}

/// Programs whose size field is the truth. Virtual PC itself, its predecessors and qemu ("vpc ", "vs  ", "qemu")
/// go by the geometry, and so do we with files of unknown origin.
const BY_SIZE: [&[u8; 4]; 7] = [b"d2v ", b"win ", b"qem2", b"tap\0", b"CTXS", b"wa\0\0", b"VBox"];

fn visible_sectors(f: &Footer) -> u64 {
    let (size, by_geometry) = (f.current_size() / SECTOR, covered(f.geometry()));
    let stated = BY_SIZE.iter().any(|a| **a == f.creator_app());
    // The largest geometry stands for "more than a geometry can say"; none, or one beyond the size, says nothing.
    if stated || by_geometry >= MOST || by_geometry == 0 || by_geometry > size { size } else { by_geometry }
}

/// Reads a footer at `at`; None if there is none.
fn footer_at<S: Store + ?Sized>(s: &mut S, at: u64, len: usize) -> io::Result<Option<Footer>> {
    let mut bytes = [0; FOOTER];
    if at + len as u64 > s.len() {
        return Ok(None);
    }
    s.read_at(at, &mut bytes[..len])?;
    Ok(Footer::is_there(&bytes).then_some(Footer { bytes }))
}

/// Footer and its place. Virtual PC before 2004 wrote one of 511 bytes.
fn find_footer<S: Store + ?Sized>(
    s: &mut S,
    faults: &mut Vec<VhdFault>,
) -> io::Result<Option<(Footer, u64)>> {
    let len = s.len();
    let mut last = None;
    for size in [FOOTER, FOOTER - 1] {
        if let Some(at) = len.checked_sub(size as u64)
            && let Some(f) = footer_at(s, at, size)?
        {
            last = Some((f, at));
            break;
        }
    }
    // Is the last footer whole? Then it decides; else a whole copy of a dynamic disk does.
    let whole = |f: &Footer| f.checksum().0 == f.checksum().1;
    if let Some((f, at)) = last.as_ref().filter(|(f, _)| whole(f)) {
        if f.disk_type() != 2 {
            match footer_at(s, 0, FOOTER)?.filter(whole) {
                None => faults.push(VhdFault::FooterCopy),
                Some(c) if c != *f => faults.push(VhdFault::CopyDiffers),
                Some(_) => {}
            }
        }
        return Ok(Some((f.clone(), *at)));
    }
    if let Some(copy) = footer_at(s, 0, FOOTER)?.filter(|c| whole(c) && c.disk_type() != 2) {
        faults.push(VhdFault::LastFooter);
        // Blocks may reach up to the end; see `read_blocks` for where the footer goes.
        return Ok(Some((copy, len.next_multiple_of(SECTOR))));
    }
    match last {
        Some((f, _)) => {
            let (got, want) = f.checksum();
            faults.push(VhdFault::FooterSum { got, want });
        }
        None => faults.push(VhdFault::NoFooter),
    }
    Ok(None)
}

/// As much of a structure as can be made out.
pub(crate) struct Parts {
    pub(crate) footer: Footer,
    /// Where its place is.
    pub(crate) at: u64,
    pub(crate) sectors: u64,
    pub(crate) kind: Option<VhdType>,
    pub(crate) blocks: Option<Blocks>,
    pub(crate) parent: Option<Parent>,
}

/// Reads the structure and lists what is wrong. The layout is whole if no fault is fatal.
pub(crate) fn examine<S: Store + ?Sized>(s: &mut S) -> io::Result<(Option<Layout>, Vec<VhdFault>)> {
    let (parts, faults) = examine_parts(s)?;
    let whole = !faults.iter().any(VhdFault::fatal);
    let layout = parts.filter(|_| whole).map(|p| Layout {
        geometry: p.footer.geometry(),
        footer: p.footer,
        sectors: p.sectors,
        dynamic: p.blocks,
        parent: p.parent,
    });
    Ok((layout, faults))
}

/// The same, also of a file that cannot be used.
pub(crate) fn examine_parts<S: Store + ?Sized>(s: &mut S) -> io::Result<(Option<Parts>, Vec<VhdFault>)> {
    let mut faults = Vec::new();
    let Some((footer, at)) = find_footer(s, &mut faults)? else { return Ok((None, faults)) };
    if footer.version() >> 16 != 1 {
        faults.push(VhdFault::Version(footer.version()));
    }
    let size = footer.current_size();
    if size == 0 || size > MAX_BYTES || !size.is_multiple_of(SECTOR) {
        faults.push(VhdFault::Size(size));
    }
    if footer.in_saved_state() {
        faults.push(VhdFault::SavedState);
    }
    let sectors = visible_sectors(&footer);
    let kind = match footer.disk_type() {
        2 => Some(VhdType::Fixed),
        3 => Some(VhdType::Dynamic),
        4 => Some(VhdType::Differencing),
        n => {
            faults.push(VhdFault::Type(n));
            None
        }
    };
    let mut parts = Parts { footer, at, sectors, kind, blocks: None, parent: None };
    match kind {
        Some(VhdType::Fixed) if size > at && size <= MAX_BYTES => faults.push(VhdFault::Truncated {
            field: "the footer's current size",
            need: size.saturating_add(FOOTER as u64),
            have: s.len(),
        }),
        Some(VhdType::Dynamic | VhdType::Differencing) => {
            parts.blocks = read_blocks(s, &parts.footer, sectors, at.next_multiple_of(SECTOR), &mut faults)?;
        }
        _ => {}
    }
    if let Some(blocks) = parts.blocks.as_ref().filter(|_| kind == Some(VhdType::Differencing)) {
        if parts.footer.merging() {
            faults.push(VhdFault::Merging);
        }
        let mut parent = read_parent(s, blocks, &mut faults)?;
        parent.heir = parts.footer.merging().then(|| parts.footer.uuid());
        parts.parent = Some(parent);
    }
    Ok((Some(parts), faults))
}

fn read_blocks<S: Store + ?Sized>(
    s: &mut S,
    footer: &Footer,
    sectors: u64,
    end: u64,
    faults: &mut Vec<VhdFault>,
) -> io::Result<Option<Blocks>> {
    let at = footer.data_offset();
    let Some(header_end) = at.checked_add(HEADER as u64).filter(|_| at >= FOOTER as u64) else {
        faults.push(VhdFault::HeaderOffset(at));
        return Ok(None);
    };
    if header_end > end {
        faults.push(VhdFault::Truncated { field: "the dynamic header", need: header_end, have: s.len() });
        return Ok(None);
    }
    let mut header = Header { bytes: vec![0; HEADER] };
    s.read_at(at, &mut header.bytes)?;
    if !header.is_there() {
        faults.push(VhdFault::NoHeader(at));
        return Ok(None);
    }
    let (got, want) = header.checksum();
    if got != want {
        faults.push(VhdFault::HeaderSum { got, want });
    }
    if header.version() >> 16 != 1 {
        faults.push(VhdFault::HeaderVersion(header.version()));
    }
    let block_size = header.block_size();
    if !block_size.is_power_of_two() || !(MIN_BLOCK..=MAX_BLOCK).contains(&block_size) {
        faults.push(VhdFault::BlockSize(block_size));
        return Ok(None);
    }
    let need = (sectors * SECTOR).div_ceil(u64::from(block_size));
    if u64::from(header.entries()) < need {
        faults.push(VhdFault::Entries { got: header.entries(), need });
        return Ok(None);
    }
    let table = header.table_offset();
    if table < FOOTER as u64 || table < header_end && table.saturating_add(need * 4) > at {
        faults.push(VhdFault::TableOffset(table));
        return Ok(None);
    }
    let table_end = table.saturating_add(need * 4);
    if table_end > end {
        faults.push(VhdFault::Truncated { field: "the BAT", need: table_end, have: s.len() });
        return Ok(None);
    }
    let mut raw = vec![0; need as usize * 4];
    s.read_at(table, &mut raw)?;
    let bat: Vec<u32> = (0..need as usize).map(|n| be32(&raw, n * 4)).collect();
    let first = table_end.max(header_end).div_ceil(SECTOR);
    let mut blocks = Blocks { table, block_size, bat, end, first, header };
    let reach = blocks.bat.iter().filter(|s| **s != UNUSED).max();
    let reach = reach.map_or(0, |s| u64::from(*s) * SECTOR + blocks.whole());
    if faults.contains(&VhdFault::LastFooter) && reach > end {
        faults.push(VhdFault::CutOff { need: reach, have: s.len() });
    }
    check_bat(&blocks, faults);
    if faults.contains(&VhdFault::LastFooter) {
        // The footer's place is the file's last 512 bytes, unless the file was cut right behind a block.
        let last = s.len().saturating_sub(FOOTER as u64).next_multiple_of(SECTOR);
        let used = blocks.bat.iter().filter(|s| **s != UNUSED).max();
        let used = used.map_or(0, |s| u64::from(*s) * SECTOR + blocks.whole());
        blocks.end = last.max(used).max(first * SECTOR);
    }
    Ok(Some(blocks))
}

fn read_parent<S: Store + ?Sized>(
    s: &mut S,
    blocks: &Blocks,
    faults: &mut Vec<VhdFault>,
) -> io::Result<Parent> {
    let mut parent = Parent::of(&blocks.header);
    let len = blocks.whole();
    for l in &mut parent.locators {
        let there = l.offset..l.offset.saturating_add(u64::from(l.len));
        let mut starts = blocks.bat.iter().filter(|b| **b != UNUSED).map(|b| u64::from(*b) * SECTOR);
        if !l.fits(s.len()) || starts.any(|b| b < there.end && there.start < b + len) {
            faults.push(VhdFault::Locator { code: l.code() });
        } else {
            let mut bytes = vec![0; l.len as usize];
            s.read_at(l.offset, &mut bytes)?;
            l.learn(&bytes);
        }
    }
    Ok(parent)
}

/// Every block lies between the tables and the footer, and no two overlap.
fn check_bat(b: &Blocks, faults: &mut Vec<VhdFault>) {
    let (len, first, end) = (b.whole() / SECTOR, b.first, b.end / SECTOR);
    let mut placed: Vec<(u32, u32)> = Vec::new();
    for (entry, &sector) in (0..).zip(&b.bat).filter(|(_, s)| **s != UNUSED) {
        if u64::from(sector) < first || u64::from(sector) + len > end {
            faults.push(VhdFault::BatRange { entry, sector, first, end });
        } else {
            placed.push((sector, entry));
        }
    }
    placed.sort_unstable();
    for w in placed.windows(2) {
        let ((at_a, a), (at_b, b)) = (w[0], w[1]);
        if u64::from(at_a) + len > u64::from(at_b) {
            faults.push(VhdFault::Overlap { a, b, at_a, at_b });
        }
    }
}

impl Blocks {
    /// How many blocks there are.
    pub(crate) fn used(&self) -> usize {
        self.bat.iter().filter(|s| **s != UNUSED).count()
    }

    /// The blocks that are there, by their places in the file.
    pub(crate) fn in_order(&self) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.bat.len()).filter(|b| self.bat[*b] != UNUSED).collect();
        all.sort_unstable_by_key(|b| self.bat[*b]);
        all
    }

    /// Where what the disk needs ends.
    pub(crate) fn used_end(&self, link: Option<&Parent>) -> u64 {
        let len = self.whole();
        let blocks = self.bat.iter().filter(|s| **s != UNUSED).map(|s| u64::from(*s) * SECTOR + len);
        let locators = link.into_iter().flat_map(|p| &p.locators).map(|l| l.offset.saturating_add(l.room));
        let tables = self.table + u64::from(self.header.entries()) * 4;
        let end = blocks.chain(locators.filter(|l| *l <= self.end)).max().unwrap_or(0);
        end.max(tables).max((FOOTER + HEADER) as u64).next_multiple_of(SECTOR).min(self.end)
    }

    /// Bytes that belong to no block: what a killed process may leave.
    pub(crate) fn leaked(&self, link: Option<&Parent>) -> u64 {
        let blocks = self.used() as u64 * self.whole();
        let first = (self.table + self.bat.len() as u64 * 4).next_multiple_of(SECTOR);
        let links: u64 = link.map_or(0, |p| p.locators.iter().map(|l| l.room).sum());
        // Up to a block's worth is alignment and other programs' tables.
        self.end.saturating_sub(first + blocks + links) / u64::from(self.block_size)
            * u64::from(self.block_size)
    }
}
