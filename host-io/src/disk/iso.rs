//! CD images: ISO 9660 (ECMA-119), UDF's bridge to it (ECMA-167), and El Torito boot records 1.0.

use std::io;

use board::Disk;
use serde::Serialize;

use super::store::Store;
use super::{Extents, SECTOR, span};

/// Bytes of a CD's block.
pub const BLOCK: u64 = 2048;
/// Volume descriptors begin here. ECMA-119 6.2.1.
const FIRST_DESCRIPTOR: u64 = 16;
/// More descriptors than any disc has.
const MOST_DESCRIPTORS: u64 = 64;
/// Run-out blocks that copies of discs often lack; nothing is in them.
const RUN_OUT: u64 = 300;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsoFault {
    #[error("no volume descriptor (\"CD001\" or \"BEA01\") at block 16")]
    NoVolume,
    #[error("the volume has {need} blocks of 2048 bytes, the file only {have}")]
    Truncated { need: u64, have: u64 },
    #[error("no boot record (El Torito)")]
    NoBootRecord,
    #[error("the boot record's catalog at block {0} is outside of the image or has no valid first entry")]
    Catalog(u32),
    #[error("the boot catalog's first entry is marked not bootable")]
    NotBootable,
    #[error("the boot catalog's image at block {0} is outside of the disc")]
    BootImage(u32),
}

impl IsoFault {
    pub fn fatal(&self) -> bool {
        matches!(self, Self::NoVolume | Self::Truncated { .. })
    }

    pub fn mend(&self) -> &'static str {
        match self {
            Self::NoVolume => "it is no CD image, or one of raw 2352-byte sectors: give an ISO file",
            Self::Truncated { .. } => "the file is cut off: copy or download it again",
            Self::NoBootRecord | Self::Catalog(_) | Self::NotBootable | Self::BootImage(_) => {
                "it cannot start a machine: use a bootable image, or boot from something else"
            }
        }
    }
}

/// How an El Torito boot image is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Emulation {
    None,
    Floppy1200,
    Floppy1440,
    Floppy2880,
    HardDisk,
}

/// The default entry of the boot catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BootEntry {
    pub emulation: Emulation,
    /// 0 stands for 07C0h.
    pub load_segment: u16,
    /// 512-byte sectors to load.
    pub sectors: u16,
    /// Block of 2048 bytes.
    pub lba: u32,
}

/// What an ISO says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IsoInfo {
    pub volume: String,
    pub blocks: u64,
    pub udf: bool,
    pub boot: Option<BootEntry>,
    #[serde(skip)]
    pub faults: Vec<IsoFault>,
}

pub struct Iso<S> {
    store: S,
    blocks: u64,
}

fn le32(b: &[u8], at: usize) -> u32 {
    b.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// A block, zeros behind the file's end.
fn block<S: Store + ?Sized>(s: &mut S, n: u64) -> io::Result<Option<Vec<u8>>> {
    let at = n * BLOCK;
    if at >= s.len() {
        return Ok(None);
    }
    let mut b = vec![0; BLOCK as usize];
    let have = (s.len() - at).min(BLOCK) as usize;
    s.read_at(at, &mut b[..have])?;
    Ok(Some(b))
}

/// Reads the volume descriptors and the boot catalog. A fatal fault means: not usable as a CD.
pub(crate) fn examine<S: Store + ?Sized>(s: &mut S) -> io::Result<IsoInfo> {
    let mut info = IsoInfo {
        volume: String::new(),
        blocks: s.len().div_ceil(BLOCK),
        udf: false,
        boot: None,
        faults: Vec::new(),
    };
    let (mut volume, mut catalog, mut need) = (false, None, 0);
    for n in FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + MOST_DESCRIPTORS {
        let Some(b) = block(s, n)? else { break };
        match (&b[1..6], b[0]) {
            (b"CD001", 0) if b[7..].starts_with(b"EL TORITO SPECIFICATION") => {
                catalog.get_or_insert(le32(&b, 0x47));
            }
            (b"CD001", 1) if !volume => {
                volume = true;
                need = u64::from(le32(&b, 80)); // volume space size, 8.4.8
                info.volume = String::from_utf8_lossy(&b[40..72]).trim_end_matches([' ', '\0']).to_owned();
            }
            (b"CD001", _) => {}
            (b"BEA01" | b"TEA01", _) => {}
            (b"NSR02" | b"NSR03", _) => info.udf = true,
            _ => break,
        }
    }
    if !volume && !info.udf {
        info.faults.push(IsoFault::NoVolume);
        return Ok(info);
    }
    if need > info.blocks + RUN_OUT {
        info.faults.push(IsoFault::Truncated { need, have: info.blocks });
    }
    match catalog {
        None => info.faults.push(IsoFault::NoBootRecord),
        Some(at) => match boot_entry(s, at, info.blocks)? {
            Ok(entry) => info.boot = Some(entry),
            Err(fault) => info.faults.push(fault),
        },
    }
    Ok(info)
}

/// Validation entry and default entry of the catalog. El Torito 1.0, 2.1 and 2.2.
fn boot_entry<S: Store + ?Sized>(s: &mut S, at: u32, blocks: u64) -> io::Result<Result<BootEntry, IsoFault>> {
    let Some(b) = block(s, u64::from(at))? else { return Ok(Err(IsoFault::Catalog(at))) };
    let sum = b[..32].chunks(2).fold(0_u16, |s, w| s.wrapping_add(u16::from_le_bytes([w[0], w[1]])));
    if b[0] != 1 || b[30..32] != [0x55, 0xaa] || sum != 0 {
        return Ok(Err(IsoFault::Catalog(at)));
    }
    let e = &b[32..64];
    let lba = le32(e, 8);
    let emulation = match e[1] & 15 {
        0 => Emulation::None,
        1 => Emulation::Floppy1200,
        2 => Emulation::Floppy1440,
        3 => Emulation::Floppy2880,
        4 => Emulation::HardDisk,
        _ => return Ok(Err(IsoFault::Catalog(at))),
    };
    Ok(match e[0] {
        0x88 if u64::from(lba) < blocks && lba != 0 => Ok(BootEntry {
            emulation,
            load_segment: u16::from_le_bytes([e[2], e[3]]),
            sectors: u16::from_le_bytes([e[6], e[7]]),
            lba,
        }),
        0x88 => Err(IsoFault::BootImage(lba)),
        _ => Err(IsoFault::NotBootable),
    })
}

impl<S: Store> Iso<S> {
    pub(crate) fn new(store: S) -> Self {
        let blocks = store.len().div_ceil(BLOCK);
        Self { store, blocks }
    }
}

impl<S: Store> Disk for Iso<S> {
    fn sectors(&self) -> u64 {
        self.blocks * (BLOCK / SECTOR)
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        let at = span(self.sectors(), lba, buf.len())?;
        // The last block may be cut.
        let have = self.store.len().saturating_sub(at).min(buf.len() as u64) as usize;
        buf[have..].fill(0);
        self.store.read_at(at, &mut buf[..have])
    }

    fn write(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn at_once(&mut self, on: bool) -> bool {
        self.store.at_once(on)
    }

    fn read_only(&self) -> bool {
        true
    }
}

impl<S: Store> Extents for Iso<S> {
    fn next_data(&mut self, lba: u64) -> Option<u64> {
        self.store.next_data(lba * SECTOR).map(|at| at / SECTOR)
    }
}
