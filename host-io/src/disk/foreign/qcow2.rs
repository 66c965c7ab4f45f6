//! QCOW2, versions 2 and 3. QEMU, docs/interop/qcow2.txt. Numbers are big-endian.

use std::io;

use super::inflate::inflate;
use super::{Found, Others, Pieces, bad, damaged, read_padded, table, unknown};
use crate::disk::store::Store;
use crate::disk::{Extents, SECTOR};

/// As QEMU has it.
const MOST_L1: u64 = 32 << 20;
/// The longest name of a file below.
const MOST_NAME: u32 = 1023;
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;

/// Incompatible features.
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

pub(super) struct Qcow2<S> {
    store: S,
    sectors: u64,
    version: u32,
    cluster_bits: u32,
    l1: Vec<u64>,
    /// The level 2 table that was last looked at, and where it is.
    l2: (u64, Vec<u64>),
    /// The compressed cluster that was last unpacked, by its entry.
    unpacked: (u64, Vec<u8>),
    backing: Option<Box<dyn Extents>>,
}

fn be32(b: &[u8], at: usize) -> u32 {
    b.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

fn be64(b: &[u8], at: usize) -> u64 {
    u64::from(be32(b, at)) << 32 | u64::from(be32(b, at + 4))
}

fn entries(b: &[u8]) -> Vec<u64> {
    b.as_chunks::<8>().0.iter().map(|e| u64::from_be_bytes(*e)).collect()
}

impl<S: Store> Qcow2<S> {
    pub(super) fn open(mut s: S, others: &mut Others<'_>) -> Found<Self> {
        let mut h = [0; 112];
        read_padded(&mut s, 0, &mut h)?;
        let (version, cluster_bits, size) = (be32(&h, 4), be32(&h, 20), be64(&h, 24));
        if !(2..=3).contains(&version) {
            return unknown(format!("version {version}"));
        }
        let features = if version == 3 { be64(&h, 72) } else { 0 };
        if features & CORRUPT != 0 {
            return bad("it is marked as corrupt");
        }
        if be32(&h, 32) != 0 {
            return unknown("it is encrypted");
        }
        if features & EXTERNAL_DATA != 0 {
            return unknown("its data is in another file");
        }
        if features & EXTENDED_L2 != 0 {
            return unknown("it has subclusters (extended_l2)");
        }
        if features & COMPRESSION != 0 && h[104] != 0 {
            return unknown("it is compressed by another way than zlib");
        }
        if features >> 5 != 0 {
            return unknown(format!("incompatible features {features:#x}"));
        }
        if !(9..=21).contains(&cluster_bits) {
            return bad(format!("clusters of 2^{cluster_bits} bytes"));
        }
        if size > 1 << 60 {
            return bad(format!("a size of {size} bytes"));
        }
        let per_l2 = u128::from(1_u64 << cluster_bits) << (cluster_bits - 3);
        let need = u128::from(size).div_ceil(per_l2) as u64;
        if u64::from(be32(&h, 36)) < need {
            return bad(format!("its level 1 table has {} entries, the size needs {need}", be32(&h, 36)));
        }
        let l1 = table(&mut s, "the level 1 table", be64(&h, 40), need.saturating_mul(8), MOST_L1)?;
        let backing = match (be64(&h, 8), be32(&h, 16)) {
            (0, _) | (_, 0) => None,
            (at, len) => {
                let name = table(&mut s, "the backing file's name", at, len.into(), MOST_NAME.into())?;
                let name = String::from_utf8_lossy(&name).into_owned();
                let header = if version == 3 { be32(&h, 100) } else { 72 };
                let format = backing_format(&mut s, header.into(), 1 << cluster_bits)?;
                match format.as_deref() {
                    None | Some("raw" | "qcow2" | "vpc" | "vmdk" | "vhdx") => {}
                    Some(other) => return unknown(format!("it lies over an image of format {other:?}")),
                }
                Some(others(&name, format.as_deref())?)
            }
        };
        let l1 = entries(&l1);
        let sectors = size.div_ceil(SECTOR);
        let (l2, unpacked) = ((0, Vec::new()), (0, Vec::new()));
        Ok(Self { store: s, sectors, version, cluster_bits, l1, l2, unpacked, backing })
    }

    fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Bytes that a level 2 table is for.
    fn per_l2(&self) -> u64 {
        1 << (2 * self.cluster_bits - 3)
    }

    /// The level 2 entry for a byte; None: there is no table.
    fn entry(&mut self, at: u64) -> io::Result<Option<u64>> {
        let l1 = self.l1.get((at / self.per_l2()) as usize).map_or(0, |e| e & OFFSET);
        if l1 == 0 {
            return Ok(None);
        }
        if self.l2.0 != l1 {
            let mut b = vec![0; self.cluster() as usize];
            if !l1.is_multiple_of(self.cluster()) || l1 + self.cluster() > self.store.len() {
                return Err(damaged("a level 2 table lies outside of the file"));
            }
            self.store.read_at(l1, &mut b)?;
            self.l2 = (l1, entries(&b));
        }
        Ok(self.l2.1.get((at % self.per_l2() / self.cluster()) as usize).copied())
    }

    fn below(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.fill(0);
        let Some(b) = &mut self.backing else { return Ok(()) };
        // It may be smaller.
        let there = (b.sectors() * SECTOR).saturating_sub(at).min(buf.len() as u64) as usize;
        if there > 0 { b.read(at / SECTOR, &mut buf[..there]) } else { Ok(()) }
    }

    fn unpack(&mut self, entry: u64) -> io::Result<()> {
        if self.unpacked.0 == entry {
            return Ok(());
        }
        let bits = 62 - (self.cluster_bits - 8);
        let at = entry & ((1 << bits) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> bits;
        let len = (sectors + 1) * SECTOR - at % SECTOR;
        let mut packed = vec![0; len as usize];
        read_padded(&mut self.store, at, &mut packed)?;
        let mut b = vec![0; self.cluster() as usize];
        inflate(&packed, false, &mut b)?;
        self.unpacked = (entry, b);
        Ok(())
    }
}

impl<S: Store> Pieces for Qcow2<S> {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn piece(&self) -> u64 {
        self.cluster()
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let inside = at % self.cluster();
        match self.entry(at)? {
            None | Some(0) => self.below(at, buf),
            Some(e) if e & COMPRESSED != 0 => {
                self.unpack(e)?;
                buf.copy_from_slice(&self.unpacked.1[inside as usize..inside as usize + buf.len()]);
                Ok(())
            }
            Some(e) if self.version == 3 && e & ZERO != 0 => {
                buf.fill(0);
                Ok(())
            }
            Some(e) if e & OFFSET == 0 => self.below(at, buf),
            Some(e) if !(e & OFFSET).is_multiple_of(self.cluster()) => {
                Err(damaged("a cluster is not where clusters are"))
            }
            Some(e) => read_padded(&mut self.store, (e & OFFSET) + inside, buf),
        }
    }

    fn empty_until(&mut self, at: u64) -> io::Result<Option<u64>> {
        let (own, step) = match self.entry(at)? {
            None => (false, self.per_l2()),
            Some(e) if e & COMPRESSED == 0 && self.version == 3 && e & ZERO != 0 => {
                return Ok(Some((at / self.cluster() + 1) * self.cluster()));
            }
            Some(e) => (e & (OFFSET | COMPRESSED) != 0, self.cluster()),
        };
        if own {
            return Ok(None);
        }
        let end = (at / step + 1).saturating_mul(step);
        let below = self.backing.as_mut().and_then(|b| b.next_data(at / SECTOR)).map(|lba| lba * SECTOR);
        Ok(match below {
            Some(data) if data <= at => None,
            Some(data) => Some(data.min(end)),
            None => Some(end),
        })
    }
}

/// The header extension that tells the format of what lies below.
fn backing_format<S: Store>(s: &mut S, from: u64, cluster: u64) -> Found<Option<String>> {
    const BACKING_FORMAT: u32 = 0xe279_2aca;
    let mut at = from;
    while at + 8 <= cluster.min(s.len()) {
        let head = table(s, "a header extension", at, 8, 8)?;
        let (kind, len) = (be32(&head, 0), be32(&head, 4));
        if kind == 0 {
            break;
        }
        if kind == BACKING_FORMAT {
            let name = table(s, "the backing file's format", at + 8, len.into(), 64)?;
            return Ok(Some(String::from_utf8_lossy(&name).into_owned()));
        }
        at += 8 + u64::from(len).next_multiple_of(8);
    }
    Ok(None)
}
