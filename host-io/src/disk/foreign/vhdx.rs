//! VHDX, fixed and dynamic. [MS-VHDX]. Numbers are little-endian.

use std::io;

use super::{Found, Pieces, bad, damaged, read_padded, table, unknown};
use crate::disk::SECTOR;
use crate::disk::store::Store;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// 4 TiB in the smallest blocks.
const MOST_BAT: u64 = 32 * MIB;
const MOST_METADATA: u64 = 64 * KIB;

/// As they lie in the file.
pub(super) const BAT: [u8; 16] = guid(0x2dc2_7766, 0xf623, 0x4200, 0x9d64_115e_9bfd_4a08);
pub(super) const METADATA: [u8; 16] = guid(0x8b7c_a206, 0x4790, 0x4b9a, 0xb8fe_575f_050f_886e);
pub(super) const FILE_PARAMETERS: [u8; 16] = guid(0xcaa1_6737, 0xfa36, 0x4d43, 0xb3b6_33f0_aa44_e76b);
pub(super) const DISK_SIZE: [u8; 16] = guid(0x2fa5_4224, 0xcd1b, 0x4876, 0xb211_5dbe_d83b_f4b8);
pub(super) const LOGICAL_SECTOR: [u8; 16] = guid(0x8141_bf1d, 0xa96f, 0x4709, 0xba47_f233_a8fa_ab5f);

const fn guid(a: u32, b: u16, c: u16, d: u64) -> [u8; 16] {
    let (a, b, c, d) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes(), d.to_be_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

fn le32(b: &[u8], at: usize) -> u32 {
    b.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn le64(b: &[u8], at: usize) -> u64 {
    u64::from(le32(b, at + 4)) << 32 | u64::from(le32(b, at))
}

/// CRC-32C of a structure whose own sum, at 4, counts as zeros.
pub(super) fn sum(b: &[u8]) -> u32 {
    let byte = |crc: u32, (n, v): (usize, &u8)| {
        let v = if (4..8).contains(&n) { 0 } else { *v };
        (0..8).fold(crc ^ u32::from(v), |c, _| if c & 1 != 0 { c >> 1 ^ 0x82f6_3b78 } else { c >> 1 })
    };
    !b.iter().enumerate().fold(u32::MAX, byte)
}

pub(super) struct Vhdx<S> {
    store: S,
    sectors: u64,
    block: u64,
    /// Entries between those of sector bitmaps.
    ratio: u64,
    bat: Vec<u64>,
}

/// Of two copies the whole one, or the one that is newer.
fn whole<S: Store>(s: &mut S, places: [u64; 2], len: u64, magic: &[u8; 4]) -> Found<Option<Vec<u8>>> {
    let mut best: Option<Vec<u8>> = None;
    for at in places {
        let mut b = vec![0; len as usize];
        read_padded(s, at, &mut b)?;
        let good = b.starts_with(magic) && le32(&b, 4) == sum(&b);
        if good && best.as_ref().is_none_or(|o| magic == b"head" && le64(&b, 8) > le64(o, 8)) {
            best = Some(b);
        }
    }
    Ok(best)
}

impl<S: Store> Vhdx<S> {
    pub(super) fn open(mut s: S) -> Found<Self> {
        let Some(header) = whole(&mut s, [64 * KIB, 128 * KIB], 4 * KIB, b"head")? else {
            return bad("neither of its headers is whole");
        };
        let version = u16::from_le_bytes([header[66], header[67]]);
        if version != 1 {
            return unknown(format!("version {version}"));
        }
        if header[48..64] != [0; 16] {
            return unknown(
                "it was not closed and its log has to be replayed, which the program that wrote it does, or `qemu-img \
                 check -r all`",
            );
        }
        let Some(regions) = whole(&mut s, [192 * KIB, 256 * KIB], 64 * KIB, b"regi")? else {
            return bad("neither of its region tables is whole");
        };
        let count = le32(&regions, 8).min(2047) as usize;
        let (mut bat_at, mut metadata_at) = (None, None);
        for e in regions[16..].chunks_exact(32).take(count) {
            let place = (le64(e, 16), u64::from(le32(e, 24)));
            match &e[..16] {
                id if *id == BAT => bat_at = Some(place),
                id if *id == METADATA => metadata_at = Some(place),
                _ if le32(e, 28) & 1 != 0 => return unknown("a region that has to be known"),
                _ => {}
            }
        }
        let (Some(bat_at), Some(metadata_at)) = (bat_at, metadata_at) else {
            return bad("its region table lacks the block table or the metadata");
        };
        let meta = Metadata::read(&mut s, metadata_at)?;
        let Metadata { block, size, sector } = meta;
        if sector != 512 {
            return unknown(format!("sectors of {sector} bytes"));
        }
        if !block.is_power_of_two() || !(MIB..=256 * MIB).contains(&block) {
            return bad(format!("blocks of {block} bytes"));
        }
        let ratio = (1 << 23) * sector / block;
        let blocks = size.div_ceil(block);
        let need = blocks + blocks.saturating_sub(1) / ratio;
        if need.saturating_mul(8) > bat_at.1 {
            return bad(format!(
                "its block table has {} bytes, the size needs {}",
                bat_at.1,
                need.saturating_mul(8)
            ));
        }
        let bat = table(&mut s, "the block table", bat_at.0, need * 8, MOST_BAT)?;
        let bat = bat.as_chunks::<8>().0.iter().map(|e| u64::from_le_bytes(*e)).collect();
        Ok(Self { store: s, sectors: size / SECTOR, block, ratio, bat })
    }

    /// Where a byte's block is; None: it reads as zeros.
    fn place(&self, at: u64) -> io::Result<Option<u64>> {
        let block = at / self.block;
        let entry = self.bat.get((block + block / self.ratio) as usize).copied().unwrap_or_default();
        match entry & 7 {
            0..=3 | 5 => Ok(None),
            6 if entry >> 20 > 0 => Ok(Some(entry >> 20 << 20)),
            _ => Err(damaged("the block table has a state that no disk without a parent has")),
        }
    }
}

struct Metadata {
    block: u64,
    size: u64,
    sector: u64,
}

impl Metadata {
    fn read<S: Store>(s: &mut S, (at, len): (u64, u64)) -> Found<Self> {
        let b = table(s, "the metadata's table", at, len.min(MOST_METADATA), MOST_METADATA)?;
        if !b.starts_with(b"metadata") {
            return bad("the metadata's table is not where it should be");
        }
        let count = u16::from_le_bytes([b[10], b[11]]).min(2047) as usize;
        let mut item = |id: &[u8; 16], len: u64| -> Found<Vec<u8>> {
            let e = b.get(32..).and_then(|e| e.chunks_exact(32).take(count).find(|e| e.starts_with(id)));
            match e {
                Some(e) => table(s, "a metadata item", at.saturating_add(le32(e, 16).into()), len, 64),
                None => bad("a metadata item is missing"),
            }
        };
        let parameters = item(&FILE_PARAMETERS, 8)?;
        if le32(&parameters, 4) & 2 != 0 {
            return unknown("it is a differencing disk");
        }
        let size = le64(&item(&DISK_SIZE, 8)?, 0);
        let sector = le32(&item(&LOGICAL_SECTOR, 4)?, 0).into();
        // 64 TiB.
        if size > 64 << 40 || !size.is_multiple_of(SECTOR) {
            return bad(format!("a size of {size} bytes"));
        }
        Ok(Self { block: le32(&parameters, 0).into(), size, sector })
    }
}

impl<S: Store> Pieces for Vhdx<S> {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn piece(&self) -> u64 {
        self.block
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        match self.place(at)? {
            None => buf.fill(0),
            Some(place) if place >= self.store.len() => {
                return Err(damaged("a block lies outside of the file"));
            }
            Some(place) => read_padded(&mut self.store, place + at % self.block, buf)?,
        }
        Ok(())
    }

    fn empty_until(&mut self, at: u64) -> io::Result<Option<u64>> {
        let next = (at / self.block + 1) * self.block;
        Ok(self.place(at)?.is_none().then_some(next))
    }
}
