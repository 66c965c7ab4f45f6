//! Disk images: raw, VHD fixed, dynamic and differencing, ISO. Each is a [`board::Disk`].
//!
//! [`open_disk`] and [`open_cdrom`] find out by content what a file is, check it whole before the machine sees
//! it, and lock it: one writer, or many readers. [`create()`], [`info()`], [`check()`] and [`convert()`] are what
//! `heirloom disk` offers, with [`create_child`], [`merge()`], [`compact()`], [`diff()`] and
//! [`relink()`]. [`Overlay`] keeps a machine's writes away from its image.
//!
//! No image is written to by opening it. What is wrong with one is a [`DiskError`] of one line.

mod chain;
mod child;
mod convert;
#[cfg(target_os = "linux")]
mod direct;
mod early;
mod error;
mod family;
mod flat;
mod foreign;
mod freeze;
mod fuzz;
mod info;
pub mod iso;
mod layers;
mod overlay;
mod policy;
mod repair;
mod split;
mod store;
#[cfg(target_os = "linux")]
mod vectored;
pub mod vhd;

use std::fs::{File, FileType, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use board::Disk;
use board::pieces::zero_bytes as zero;
use serde::{Deserialize, Serialize};

use self::chain::{Chain, Opened};
pub use self::child::{create_child, open_child, relink};
pub use self::convert::{convert, create};
pub use self::error::{DiskError, Finding, Medium};
pub use self::family::{children, lineage, same_file};
use self::flat::Flat;
pub use self::foreign::fuzz_foreign;
pub use self::freeze::{empty_over, freeze, frozen_name, is_vhd, related, revert, straight_over};
pub use self::fuzz::{fuzz_iso, fuzz_open, fuzz_repair};
pub use self::info::{CheckReport, ImageInfo, VhdInfo, check, info};
pub use self::layers::{Compacted, compact, diff, merge, merge_over, sync_folder};
pub use self::overlay::Overlay;
pub use self::policy::{Cache, Policy};
pub use self::repair::{Repaired, repair, undo_repair};
use self::split::Files;
use self::store::{FileStore, Store};
pub use self::vhd::VhdType;

pub(crate) const SECTOR: u64 = 512;

/// How an image's file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    Raw,
    VhdFixed,
    VhdDynamic,
    VhdDifferencing,
    Iso,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::VhdFixed => "vhd-fixed",
            Self::VhdDynamic => "vhd-dynamic",
            Self::VhdDifferencing => "vhd-differencing",
            Self::Iso => "iso",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    ReadOnly,
    ReadWrite,
}

/// Which sectors may hold something else than zeros: for copies that leave holes as holes.
pub(crate) trait Extents: Disk {
    /// So many bytes will be written soon, where there may have been nothing.
    fn expect(&mut self, _bytes: u64) {}
    /// The first such sector at or behind `lba`.
    fn next_data(&mut self, lba: u64) -> Option<u64>;
}

/// An open image.
pub struct Image {
    pub(crate) disk: Box<dyn Extents>,
    pub format: Format,
}

impl Image {
    /// The image as the machine wants it.
    pub fn into_disk(self) -> Box<dyn Disk> {
        self.disk
    }
}

/// Byte offset of a run of sectors that lies on the disk.
fn span(sectors: u64, lba: u64, len: usize) -> io::Result<u64> {
    let count = len as u64 / SECTOR;
    let inside =
        (len as u64).is_multiple_of(SECTOR) && lba.checked_add(count).is_some_and(|end| end <= sectors);
    if inside { Ok(lba * SECTOR) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Opens and locks a file. The lock is the file's: it goes when the store is dropped or the process ends.
fn open_file(path: &Path, medium: Medium) -> Result<Files, DiskError> {
    if medium == Medium::Disk(Mode::ReadWrite) && repair::working(path).exists() {
        return Err(DiskError::HalfRepaired { path: path.into() });
    }
    Files::open(path, medium)
}

/// Opens and locks one file, of an image or of a part of it.
fn open_one(path: &Path, medium: Medium) -> Result<FileStore, DiskError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => DiskError::Missing { path: path.into(), medium },
        _ => DiskError::Open { path: path.into(), medium, source },
    };
    // Before it is opened: opening a pipe would wait for its other end.
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err(DiskError::Directory { path: path.into(), medium });
    }
    if !kind.is_file() && !is_disk_device(kind) {
        return Err(DiskError::Special { path: path.into(), medium });
    }
    let write = medium.mode() == Mode::ReadWrite;
    let file = OpenOptions::new().read(true).write(write).open(path).map_err(failed)?;
    lock(&file, path, medium)?;
    FileStore::new(file).map_err(failed)
}

#[cfg(unix)]
fn is_disk_device(kind: FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&kind)
}

#[cfg(not(unix))]
fn is_disk_device(_: FileType) -> bool {
    false
}

fn lock(file: &File, path: &Path, medium: Medium) -> Result<(), DiskError> {
    let write = medium.mode() == Mode::ReadWrite;
    match if write { file.try_lock() } else { file.try_lock_shared() } {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(DiskError::InUse { path: path.into(), medium }),
        // Some network file systems have no locks; an image there is still better used than refused.
        Err(TryLockError::Error(e)) => {
            tracing::warn!(path = %path.display(), error = %e, "image can't be locked against a second use");
            Ok(())
        }
    }
}

/// The beginnings of formats that are not ours, to name them.
const FOREIGN: [(&[u8], &str); 5] = [
    (b"QFI\xfb", "QCOW2"),
    (b"KDMV", "VMDK"),
    (b"# Disk DescriptorFile", "VMDK"),
    (b"<<< ", "VDI"),
    (b"vhdxfile", "VHDX"),
];

/// Finds and opens what a differencing disk lies over.
type Parents<'a> = dyn FnMut(&vhd::Layout, &vhd::Parent) -> Result<Box<dyn Extents>, DiskError> + 'a;

/// What a store holds, and what is wrong with it. `path` is for messages.
fn open_store<S: Store + 'static>(
    mut s: S,
    path: &Path,
    mode: Mode,
    parents: &mut Parents<'_>,
) -> Result<Opened, DiskError> {
    let io = |source| DiskError::Io { path: path.into(), doing: "reading", source };
    let len = s.len();
    if len == 0 {
        return Err(DiskError::Empty { path: path.into(), medium: Medium::Disk(mode) });
    }
    let mut head = [0; 512];
    let have = len.min(512) as usize;
    s.read_at(0, &mut head[..have]).map_err(io)?;
    if let Some((_, what)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(DiskError::Foreign { path: path.into(), what });
    }
    let read_only = mode == Mode::ReadOnly;
    if head.starts_with(vhd::COOKIE) || ends_as_vhd(&mut s).map_err(io)? || named_vhd(path) {
        let (layout, faults) = vhd::examine(&mut s).map_err(io)?;
        let Some(layout) = layout else {
            return Err(DiskError::Vhd { path: path.into(), fault: vhd::VhdFault::to_tell(faults) });
        };
        let copy = layout.clone();
        let (disk, format): (Box<dyn Extents>, _) = match copy.dynamic.clone() {
            Some(blocks) => {
                let parent = layout.parent.as_ref().map(|link| parents(&layout, link)).transpose()?;
                let format = if parent.is_some() { Format::VhdDifferencing } else { Format::VhdDynamic };
                (Box::new(vhd::Dynamic::new(s, copy, blocks, &faults, read_only, parent)), format)
            }
            None => (Box::new(Flat::vhd(s, copy.sectors, copy.geometry, read_only)), Format::VhdFixed),
        };
        return Ok(Opened { image: Image { disk, format }, layout: Some(layout), faults });
    }
    if !len.is_multiple_of(SECTOR) {
        return Err(DiskError::Ragged { path: path.into(), got: len });
    }
    let partitioned = head[510..] == [0x55, 0xaa];
    if !partitioned && !iso::examine(&mut s).map_err(io)?.faults.iter().any(iso::IsoFault::fatal) {
        return Err(DiskError::IsCd { path: path.into() });
    }
    let image = Image { disk: Box::new(Flat::raw(s, read_only)), format: Format::Raw };
    Ok(Opened { image, layout: None, faults: Vec::new() })
}

fn ends_as_vhd<S: Store>(s: &mut S) -> io::Result<bool> {
    for back in [512, 511] {
        if let Some(at) = s.len().checked_sub(back) {
            let mut b = [0; 8];
            s.read_at(at, &mut b)?;
            if b == *vhd::COOKIE {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A file called .vhd must be one: a cut-off fixed VHD would pass for a raw image, and lose its end.
fn named_vhd(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("vhd"))
}

/// Opens a hard disk's image, of whatever format.
pub fn open_disk(path: &Path, mode: Mode) -> Result<Image, DiskError> {
    open_disk_by(path, mode, Cache::default())
}

/// The same; `cache` is for all files of a chain.
pub fn open_disk_by(path: &Path, mode: Mode, cache: Cache) -> Result<Image, DiskError> {
    let Opened { image, faults, .. } = Chain::new(cache).open(path, mode)?;
    tell(path, &faults);
    Ok(image)
}

/// Faults that do not keep an image from use.
fn tell(path: &Path, faults: &[vhd::VhdFault]) {
    for fault in faults {
        tracing::warn!(path = %path.display(), "{fault}; {}", fault.mend());
    }
}

/// Opens a CD's image. Whether it can start a machine is in [`iso::IsoInfo::boot`].
pub fn open_cdrom(path: &Path) -> Result<(Image, iso::IsoInfo), DiskError> {
    let mut s = open_file(path, Medium::Cd)?;
    if s.len() == 0 {
        return Err(DiskError::Empty { path: path.into(), medium: Medium::Cd });
    }
    let io = |source| DiskError::Io { path: path.into(), doing: "reading", source };
    let info = iso::examine(&mut s).map_err(io)?;
    if let Some(fault) = info.faults.iter().find(|f| f.fatal()) {
        return Err(DiskError::Iso { path: path.into(), fault: fault.clone() });
    }
    Ok((Image { disk: Box::new(iso::Iso::new(s)), format: Format::Iso }, info))
}

/// Opens a diskette's image: raw, of a size that `fits` takes (else it says why not). One that cannot be written is
/// opened read-only: a write-protected diskette.
pub fn open_floppy(
    path: &Path,
    mode: Mode,
    fits: impl FnOnce(u64) -> Result<(), String>,
) -> Result<Image, DiskError> {
    let (mode, mut s) = match open_file(path, Medium::Floppy(mode)) {
        Err(DiskError::Open { source, .. }) if mode == Mode::ReadWrite && protected(&source) => {
            (Mode::ReadOnly, open_file(path, Medium::Floppy(Mode::ReadOnly))?)
        }
        s => (mode, s?),
    };
    let len = s.len();
    if len == 0 {
        return Err(DiskError::Empty { path: path.into(), medium: Medium::Floppy(mode) });
    }
    let mut head = [0; 512];
    s.read_at(0, &mut head[..len.min(512) as usize]).map_err(|source| DiskError::Io {
        path: path.into(),
        doing: "reading",
        source,
    })?;
    if let Some((_, what)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(DiskError::Foreign { path: path.into(), what });
    }
    let fault = if len.is_multiple_of(SECTOR) {
        fits(len / SECTOR)
    } else {
        Err(format!("{len} bytes are not a whole number of 512-byte sectors; copy it again"))
    };
    fault.map_err(|why| DiskError::Diskette { path: path.into(), why })?;
    Ok(Image { disk: Box::new(Flat::raw(s, mode == Mode::ReadOnly)), format: Format::Raw })
}

/// May the file be read only?
fn protected(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// A hard disk's image as the machine wants it.
pub fn open(path: &Path, read_only: bool) -> Result<Box<dyn Disk>, DiskError> {
    open_disk(path, if read_only { Mode::ReadOnly } else { Mode::ReadWrite }).map(Image::into_disk)
}

/// A CD's image as the machine wants it.
pub fn open_iso(path: &Path) -> Result<Box<dyn Disk>, DiskError> {
    open_cdrom(path).map(|(image, _)| image.into_disk())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

#[cfg(test)]
mod tests;
