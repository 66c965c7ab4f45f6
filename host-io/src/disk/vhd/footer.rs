//! The footer and the dynamic disk header. "Virtual Hard Disk Image Format Specification" 1.0 (October 2006),
//! "Hard Disk Footer Format" and "Dynamic Disk Header Format". All numbers big-endian.

use std::fmt;

use board::Geometry;
use serde::Serialize;

pub(crate) const FOOTER: usize = 512;
pub(crate) const HEADER: usize = 1024;
pub(crate) const COOKIE: &[u8; 8] = b"conectix";
const DYNAMIC_COOKIE: &[u8; 8] = b"cxsparse";
/// A BAT entry without a block.
pub(crate) const UNUSED: u32 = 0xffff_ffff;
/// Seconds from 1970 to the format's epoch, 2000-01-01 00:00 UTC.
const EPOCH: u64 = 946_684_800;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VhdType {
    Fixed,
    Dynamic,
    /// Holds what differs from its parent.
    Differencing,
}

impl VhdType {
    /// The footer's "disk type".
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Fixed => 2,
            Self::Dynamic => 3,
            Self::Differencing => 4,
        }
    }
}

/// The format's time: seconds since 2000 of seconds since 1970.
pub(crate) fn stamp(unix: u64) -> u32 {
    unix.saturating_sub(EPOCH) as u32
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, b) in self.0.iter().enumerate() {
            let dash = if matches!(n, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{b:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Uuid {
    /// A random one (version 4). The standard library's hasher keys come from the host's random source.
    pub fn random() -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        let mut b = [0; 16];
        for half in b.chunks_mut(8) {
            let mut h = RandomState::new().build_hasher();
            h.write_u128(std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_nanos()));
            half.copy_from_slice(&h.finish().to_ne_bytes());
        }
        b[6] = b[6] & 0x0f | 0x40;
        b[8] = b[8] & 0x3f | 0x80;
        Self(b)
    }
}

/// The footer's fields. What is reserved stays as it was when the footer is written again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Footer {
    pub(crate) bytes: [u8; FOOTER],
}

pub(crate) fn be32(b: &[u8], at: usize) -> u32 {
    b.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

pub(crate) fn be64(b: &[u8], at: usize) -> u64 {
    u64::from(be32(b, at)) << 32 | u64::from(be32(b, at + 4))
}

/// One's complement of the sum of all bytes but the checksum's own four.
pub(crate) fn checksum(b: &[u8], field: usize) -> u32 {
    let own = field..field + 4;
    let sum = b.iter().enumerate().filter(|(n, _)| !own.contains(n));
    !sum.fold(0_u32, |s, (_, v)| s.wrapping_add(u32::from(*v)))
}

const SUM: usize = 64;
/// The reserved part begins at 85.
const MERGING: usize = 96;
const MERGE_MARK: &[u8; 8] = b"hrlmerge";
const MERGE_TIME: usize = MERGING + MERGE_MARK.len();

impl Footer {
    pub(crate) fn is_there(b: &[u8]) -> bool {
        b.starts_with(COOKIE)
    }

    pub(crate) fn checksum(&self) -> (u32, u32) {
        (be32(&self.bytes, SUM), checksum(&self.bytes, SUM))
    }

    pub(crate) fn version(&self) -> u32 {
        be32(&self.bytes, 12)
    }

    /// Where the dynamic disk header is.
    pub(crate) fn data_offset(&self) -> u64 {
        be64(&self.bytes, 16)
    }

    pub(crate) fn created(&self) -> u64 {
        EPOCH + u64::from(be32(&self.bytes, 24))
    }

    pub(crate) fn creator_app(&self) -> [u8; 4] {
        [self.bytes[28], self.bytes[29], self.bytes[30], self.bytes[31]]
    }

    pub(crate) fn creator_version(&self) -> u32 {
        be32(&self.bytes, 32)
    }

    /// Bytes.
    pub(crate) fn current_size(&self) -> u64 {
        be64(&self.bytes, 48)
    }

    /// What the footer's geometry field says; not all of it need fit an ATA drive.
    pub(crate) fn geometry(&self) -> Geometry {
        let g = &self.bytes[56..60];
        Geometry { cylinders: u16::from_be_bytes([g[0], g[1]]), heads: g[2], sectors: g[3] }
    }

    pub(crate) fn disk_type(&self) -> u32 {
        be32(&self.bytes, 60)
    }

    pub(crate) fn uuid(&self) -> Uuid {
        let mut u = [0; 16];
        u.copy_from_slice(&self.bytes[68..84]);
        Uuid(u)
    }

    pub(crate) fn set_uuid(&mut self, uuid: Uuid) {
        self.bytes[68..84].copy_from_slice(&uuid.0);
        self.sum();
    }

    pub(crate) fn in_saved_state(&self) -> bool {
        self.bytes[84] != 0
    }

    pub(crate) fn set_data_offset(&mut self, at: u64) {
        self.bytes[16..24].copy_from_slice(&at.to_be_bytes());
        self.sum();
    }

    /// Ours, in the reserved part: this disk is being merged into its parent.
    pub(crate) fn merging(&self) -> bool {
        self.bytes[MERGING..].starts_with(MERGE_MARK)
    }

    /// The file's time of change before that, in nanoseconds since 1970, if the mark tells it.
    pub(crate) fn merged_from(&self) -> Option<u64> {
        Some(be64(&self.bytes, MERGE_TIME)).filter(|ns| self.merging() && *ns != 0)
    }

    pub(crate) fn set_merging(&mut self, from: u64) {
        self.bytes[MERGING..MERGE_TIME].copy_from_slice(MERGE_MARK);
        self.bytes[MERGE_TIME..MERGE_TIME + 8].copy_from_slice(&from.to_be_bytes());
        self.sum();
    }

    pub(crate) fn clear_merging(&mut self) {
        self.bytes[MERGING..MERGE_TIME + 8].fill(0);
        self.sum();
    }

    /// A new disk's footer.
    pub(crate) fn new(kind: VhdType, bytes: u64, geometry: Geometry, uuid: Uuid, now: u64) -> Self {
        let mut b = [0; FOOTER];
        b[0..8].copy_from_slice(COOKIE);
        b[8..12].copy_from_slice(&2_u32.to_be_bytes()); // features: the reserved bit that is always set
        b[12..16].copy_from_slice(&0x0001_0000_u32.to_be_bytes());
        let offset = if kind == VhdType::Fixed { u64::MAX } else { FOOTER as u64 };
        b[16..24].copy_from_slice(&offset.to_be_bytes());
        b[24..28].copy_from_slice(&stamp(now).to_be_bytes());
        b[28..32].copy_from_slice(b"hrlm");
        b[32..36].copy_from_slice(&0x0001_0000_u32.to_be_bytes());
        b[36..40].copy_from_slice(b"Wi2k");
        b[40..48].copy_from_slice(&bytes.to_be_bytes());
        b[48..56].copy_from_slice(&bytes.to_be_bytes());
        b[56..58].copy_from_slice(&geometry.cylinders.to_be_bytes());
        b[58] = geometry.heads;
        b[59] = geometry.sectors;
        b[60..64].copy_from_slice(&kind.number().to_be_bytes());
        b[68..84].copy_from_slice(&uuid.0);
        let mut f = Self { bytes: b };
        f.sum();
        f
    }

    /// Makes the checksum right.
    pub(crate) fn sum(&mut self) {
        let sum = checksum(&self.bytes, SUM);
        self.bytes[SUM..SUM + 4].copy_from_slice(&sum.to_be_bytes());
    }

    /// What decides, beside the numbers, how large readers think the disk is.
    pub(crate) fn take_size_from(&mut self, other: &Self) {
        for field in [28..36, 40..60] {
            self.bytes[field.clone()].copy_from_slice(&other.bytes[field]);
        }
        self.sum();
    }
}

/// The dynamic disk header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) bytes: Vec<u8>,
}

const HEADER_SUM: usize = 36;

impl Header {
    pub(crate) fn is_there(&self) -> bool {
        self.bytes.starts_with(DYNAMIC_COOKIE)
    }

    pub(crate) fn table_offset(&self) -> u64 {
        be64(&self.bytes, 16)
    }

    pub(crate) fn version(&self) -> u32 {
        be32(&self.bytes, 24)
    }

    pub(crate) fn entries(&self) -> u32 {
        be32(&self.bytes, 28)
    }

    pub(crate) fn block_size(&self) -> u32 {
        be32(&self.bytes, 32)
    }

    pub(crate) fn checksum(&self) -> (u32, u32) {
        (be32(&self.bytes, HEADER_SUM), checksum(&self.bytes, HEADER_SUM))
    }

    pub(crate) fn new(entries: u32, block_size: u32) -> Self {
        let mut b = vec![0; HEADER];
        b[0..8].copy_from_slice(DYNAMIC_COOKIE);
        b[8..16].fill(0xff);
        b[16..24].copy_from_slice(&((FOOTER + HEADER) as u64).to_be_bytes());
        b[24..28].copy_from_slice(&0x0001_0000_u32.to_be_bytes());
        b[28..32].copy_from_slice(&entries.to_be_bytes());
        b[32..36].copy_from_slice(&block_size.to_be_bytes());
        let mut h = Self { bytes: b };
        h.sum();
        h
    }

    /// UUID and time of the parent that it lies over.
    pub(crate) fn set_parent(&mut self, uuid: Uuid, stamp: u32) {
        self.bytes[40..56].copy_from_slice(&uuid.0);
        self.bytes[56..60].copy_from_slice(&stamp.to_be_bytes());
        self.sum();
    }

    pub(crate) fn set_table(&mut self, at: u64, entries: u32) {
        self.bytes[16..24].copy_from_slice(&at.to_be_bytes());
        self.bytes[28..32].copy_from_slice(&entries.to_be_bytes());
        self.sum();
    }

    pub(crate) fn sum(&mut self) {
        let sum = checksum(&self.bytes, HEADER_SUM);
        self.bytes[HEADER_SUM..HEADER_SUM + 4].copy_from_slice(&sum.to_be_bytes());
    }
}
