//! VMDK: sparse extents, compressed ones, flat ones, in one file or several. VMware, "Virtual Disk Format 5.0". Numbers
//! are little-endian.

use std::io;

use board::Disk;

use super::inflate::inflate;
use super::{EXTENT, Fault, Found, Others, Pieces, Reader, bad, damaged, read_padded, table, unknown};
use crate::disk::store::Store;
use crate::disk::{Extents, SECTOR};

const MAGIC: &[u8] = b"KDMV";
const MOST_DESCRIPTOR: u64 = 1 << 20;
const MOST_DIRECTORY: u64 = 64 << 20;
/// Pieces of a disk in several files, at most.
const MOST_EXTENTS: usize = 4096;

/// Flags.
const ZEROED_GRAINS: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;

fn le32(b: &[u8], at: usize) -> u32 {
    b.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn le64(b: &[u8], at: usize) -> u64 {
    u64::from(le32(b, at + 4)) << 32 | u64::from(le32(b, at))
}

fn entries(b: &[u8]) -> Vec<u32> {
    b.as_chunks::<4>().0.iter().map(|e| u32::from_le_bytes(*e)).collect()
}

/// A disk of one sparse file, or one that a text describes.
pub(super) fn open<S: Store + 'static>(mut s: S, others: &mut Others<'_>) -> Found<Box<dyn Extents>> {
    let mut head = [0; 4];
    read_padded(&mut s, 0, &mut head)?;
    if head == *MAGIC {
        return Ok(Box::new(Reader(Sparse::open(s)?)));
    }
    let len = s.len();
    let text = table(&mut s, "the descriptor", 0, len, MOST_DESCRIPTOR)?;
    let text = String::from_utf8_lossy(&text);
    without_parent(&text)?;
    let mut parts = Vec::new();
    let mut sectors: u64 = 0;
    for line in text.lines().map(str::trim).filter(|l| is_extent(l)) {
        if parts.len() >= MOST_EXTENTS {
            return bad("it has too many extents");
        }
        let (count, what) = extent(line, others)?;
        let end = sectors.checked_add(count).filter(|n| n.checked_mul(SECTOR).is_some());
        let Some(end) = end else { return bad("its extents are too large") };
        parts.push(Part { first: sectors, count, what });
        sectors = end;
    }
    if parts.is_empty() {
        return bad("its descriptor names no extent");
    }
    Ok(Box::new(Parts { parts, sectors }))
}

fn is_extent(line: &str) -> bool {
    ["RW ", "RDONLY ", "NOACCESS "].iter().any(|a| line.starts_with(a))
}

fn without_parent(text: &str) -> Found<()> {
    let parent = text.lines().filter_map(|l| l.split_once('=')).find(|(k, _)| k.trim() == "parentCID");
    match parent {
        Some((_, v)) if !v.trim().eq_ignore_ascii_case("ffffffff") => {
            unknown("it lies over another disk (a snapshot)")
        }
        _ => Ok(()),
    }
}

/// Another file, and the sector in it where an extent begins.
type Place = (Box<dyn Extents>, u64);

/// Sectors, and what holds them, if not zeros.
fn extent(line: &str, others: &mut Others<'_>) -> Found<(u64, Option<Place>)> {
    let (words, name) = match line.split_once('"') {
        Some((words, rest)) => (words, Some(rest)),
        None => (line, None),
    };
    let mut words = words.split_whitespace().skip(1);
    let count = words.next().and_then(|n| n.parse().ok());
    let Some(count) = count else { return bad(format!("the extent {line:?} has no size")) };
    let kind = words.next().unwrap_or("ZERO");
    if kind == "ZERO" {
        return Ok((count, None));
    }
    let Some((name, behind)) = name.and_then(|n| n.split_once('"')) else {
        return bad(format!("the extent {line:?} names no file"));
    };
    let (format, from) = match kind {
        "FLAT" | "VMFS" => (Some("raw"), behind.trim().parse().unwrap_or(0)),
        "SPARSE" => (Some(EXTENT), 0),
        _ => return unknown(format!("an extent of kind {kind}")),
    };
    Ok((count, Some((others(name, format)?, from))))
}

struct Part {
    first: u64,
    count: u64,
    what: Option<Place>,
}

/// Extents one after the other.
struct Parts {
    parts: Vec<Part>,
    sectors: u64,
}

impl Parts {
    /// The one that a sector is in.
    fn at(&mut self, lba: u64) -> Option<&mut Part> {
        let n = self.parts.partition_point(|p| p.first + p.count <= lba);
        self.parts.get_mut(n)
    }
}

impl Disk for Parts {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        crate::disk::span(self.sectors, lba, buf.len())?;
        let (mut at, mut rest) = (lba, buf);
        while !rest.is_empty() {
            let part = self.at(at).ok_or(io::ErrorKind::UnexpectedEof)?;
            let inside = at - part.first;
            let n = (part.count - inside).min(rest.len() as u64 / SECTOR);
            let to = rest.split_off_mut(..(n * SECTOR) as usize).unwrap_or_default();
            match &mut part.what {
                None => to.fill(0),
                Some((disk, from)) => disk.read(from.saturating_add(inside), to)?,
            }
            at += n;
        }
        Ok(())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn read_only(&self) -> bool {
        true
    }
}

impl Extents for Parts {
    fn next_data(&mut self, lba: u64) -> Option<u64> {
        let mut at = lba;
        while at < self.sectors {
            let part = self.at(at)?;
            let (first, end, inside) = (part.first, part.first + part.count, at - part.first);
            if let Some((disk, from)) = &mut part.what
                && let Some(data) = disk.next_data(from.saturating_add(inside))
                && data - *from < part.count
            {
                return Some(first + (data - *from));
            }
            at = end;
        }
        None
    }
}

struct Sparse<S> {
    store: S,
    sectors: u64,
    /// Bytes.
    grain: u64,
    per_table: u64,
    directory: Vec<u32>,
    /// The grain table that was last looked at, and its sector.
    grains: (u32, Vec<u32>),
    zeroed: bool,
    compressed: bool,
    /// The grain that was last unpacked, by its sector.
    unpacked: (u32, Vec<u8>),
}

impl<S: Store> Sparse<S> {
    fn open(mut s: S) -> Found<Self> {
        let mut h = [0; 512];
        read_padded(&mut s, 0, &mut h)?;
        let descriptor = (le64(&h, 28).saturating_mul(SECTOR), le64(&h, 36).saturating_mul(SECTOR));
        if descriptor.0 > 0 && descriptor.1 > 0 {
            let text = table(&mut s, "the descriptor", descriptor.0, descriptor.1, MOST_DESCRIPTOR)?;
            without_parent(&String::from_utf8_lossy(&text))?;
        }
        if le64(&h, 56) == u64::MAX {
            // A stream's header is written again at its end, before the last marker.
            let at = s.len().saturating_sub(1024);
            read_padded(&mut s, at, &mut h)?;
            if !h.starts_with(MAGIC) {
                return bad("its footer is missing: it was cut off");
            }
        }
        let version = le32(&h, 4);
        if !(1..=3).contains(&version) {
            return unknown(format!("version {version}"));
        }
        let flags = le32(&h, 8);
        let (sectors, grain, per_table) = (le64(&h, 12), le64(&h, 20), u64::from(le32(&h, 44)));
        if !grain.is_power_of_two() || !(8..=2048).contains(&grain) {
            return bad(format!("grains of {grain} sectors"));
        }
        if !(1..=65536).contains(&per_table) || sectors == 0 || sectors > u64::MAX >> 16 {
            return bad(format!("{sectors} sectors in tables of {per_table}"));
        }
        let compressed = flags & COMPRESSED != 0;
        if compressed && u16::from_le_bytes([h[77], h[78]]) != 1 {
            return unknown("it is compressed by another way than deflate");
        }
        let count = sectors.div_ceil(grain * per_table);
        let place = le64(&h, 56).saturating_mul(SECTOR);
        let directory = table(&mut s, "the grain directory", place, count.saturating_mul(4), MOST_DIRECTORY)?;
        Ok(Self {
            store: s,
            sectors,
            grain: grain * SECTOR,
            per_table,
            directory: entries(&directory),
            grains: (0, Vec::new()),
            zeroed: flags & ZEROED_GRAINS != 0,
            compressed,
            unpacked: (0, Vec::new()),
        })
    }

    /// Bytes that a grain table is for.
    fn per_entry(&self) -> u64 {
        self.grain * self.per_table
    }

    /// A byte's grain, as a sector of the file; 0: none. None: nor is there a table.
    fn entry(&mut self, at: u64) -> io::Result<Option<u32>> {
        let sector = self.directory.get((at / self.per_entry()) as usize).copied().unwrap_or_default();
        if sector == 0 {
            return Ok(None);
        }
        if self.grains.0 != sector {
            let b = table(
                &mut self.store,
                "a grain table",
                u64::from(sector) * SECTOR,
                self.per_table * 4,
                u64::MAX,
            );
            let b = b.map_err(|e| match e {
                Fault::Io(e) => e,
                _ => damaged("a grain table lies outside of the file"),
            })?;
            self.grains = (sector, entries(&b));
        }
        let grain =
            self.grains.1.get((at % self.per_entry() / self.grain) as usize).copied().unwrap_or_default();
        Ok(Some(if grain == 1 && self.zeroed { 0 } else { grain }))
    }

    fn unpack(&mut self, sector: u32) -> io::Result<()> {
        if self.unpacked.0 == sector {
            return Ok(());
        }
        // A marker before it: the grain's place on the disk, and its length.
        let at = u64::from(sector) * SECTOR;
        let mut marker = [0; 12];
        self.store.read_at(at, &mut marker)?;
        let len = u64::from(le32(&marker, 8));
        if len > 2 * self.grain + SECTOR {
            return Err(damaged("a compressed grain is too long"));
        }
        let mut packed = vec![0; len as usize];
        self.store.read_at(at + 12, &mut packed)?;
        let mut b = vec![0; self.grain as usize];
        inflate(&packed, true, &mut b)?;
        self.unpacked = (sector, b);
        Ok(())
    }
}

impl<S: Store> Pieces for Sparse<S> {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn piece(&self) -> u64 {
        self.grain
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let inside = at % self.grain;
        match self.entry(at)? {
            None | Some(0) => buf.fill(0),
            Some(sector) if self.compressed => {
                self.unpack(sector)?;
                buf.copy_from_slice(&self.unpacked.1[inside as usize..inside as usize + buf.len()]);
            }
            Some(sector) => {
                let place = u64::from(sector) * SECTOR;
                if place >= self.store.len() {
                    return Err(damaged("a grain lies outside of the file"));
                }
                read_padded(&mut self.store, place + inside, buf)?;
            }
        }
        Ok(())
    }

    fn empty_until(&mut self, at: u64) -> io::Result<Option<u64>> {
        let next = |step: u64| (at / step + 1).saturating_mul(step);
        Ok(match self.entry(at)? {
            None => Some(next(self.per_entry())),
            Some(0) => Some(next(self.grain)),
            Some(_) => None,
        })
    }
}
