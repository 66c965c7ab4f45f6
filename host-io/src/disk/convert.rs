//! New images, and copies from one format to another.

use std::fs::OpenOptions;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::early::Early;
use super::foreign::open_to_read;
use super::store::{FileStore, Store};
use super::vhd::{self, PIECE, Rewrite, Side};
use super::{DiskError, Format, SECTOR, zero};

const MIN_BYTES: u64 = 1 << 20;
const MAX_BYTES: u64 = 2040 << 30;

/// Makes a new, empty image of at least `bytes`; returns its size. VHDs round up to a size that a geometry
/// describes, raw images to whole sectors. Takes no time whatever the size: what is not written is a hole.
pub fn create(path: &Path, format: Format, bytes: u64) -> Result<u64, DiskError> {
    if !(MIN_BYTES..=MAX_BYTES).contains(&bytes) {
        return Err(DiskError::Size { bytes });
    }
    let mut s = new_image(path, format)?;
    let made = empty(&mut s, format, bytes.div_ceil(SECTOR));
    made.and_then(|n| s.sync().map(|()| n)).map_err(|source| give_up(path, "creating", source))
}

/// Makes an empty file an image of at least so many sectors; returns its bytes.
fn empty(s: &mut FileStore, format: Format, sectors: u64) -> io::Result<u64> {
    let bytes = vhd::round_up(sectors) * SECTOR;
    match format {
        Format::VhdFixed => vhd::format_fixed(s, bytes).map(|()| bytes),
        Format::VhdDynamic => vhd::format_dynamic(s, bytes, vhd::BLOCK).map(|()| bytes),
        Format::Raw | Format::Iso | Format::VhdDifferencing => {
            s.set_len(sectors * SECTOR).map(|()| sectors * SECTOR)
        }
    }
}

/// A file for an image that stands on its own.
fn new_image(path: &Path, format: Format) -> Result<FileStore, DiskError> {
    if format == Format::VhdDifferencing {
        return Err(DiskError::NeedsParent { path: path.into() });
    }
    new_file(path)
}

pub(crate) fn new_file(path: &Path) -> Result<FileStore, DiskError> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
    // Nobody is to use a half-made image. It is ours alone already where a file system has no locks.
    let locked = file.inspect(|f| drop(f.try_lock()));
    locked.and_then(FileStore::new).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => DiskError::Exists { path: path.into() },
        _ => DiskError::Create { path: path.into(), source },
    })
}

/// A half-made file is worth nothing and looks like an image.
pub(crate) fn give_up(path: &Path, doing: &'static str, source: io::Error) -> DiskError {
    // The first error is the one to tell; if the file can't be removed either, it stays.
    let _ = std::fs::remove_file(path);
    DiskError::Io { path: path.into(), doing, source }
}

/// Copies an image to a new file of another format. What reads as zeros takes no room in the copy (a fixed VHD
/// and a raw image get holes). `progress` is told bytes done and bytes in all.
pub fn convert(
    from: &Path,
    to: &Path,
    format: Format,
    mut progress: impl FnMut(u64, u64),
) -> Result<(), DiskError> {
    let mut source = open_to_read(from)?;
    let sectors = source.sectors();
    if !(1..=MAX_BYTES / SECTOR).contains(&sectors) {
        return Err(DiskError::Size { bytes: sectors.saturating_mul(SECTOR) });
    }
    let mut s = new_image(to, format)?;
    let at_to = |source| give_up(to, "writing", source);
    let mut target = match format {
        Format::VhdDynamic => {
            Target::Blocks(Box::new(Rewrite::new(vhd::round_up(sectors) * SECTOR, &mut s).map_err(at_to)?))
        }
        _ => {
            empty(&mut s, format, sectors).map_err(at_to)?;
            Target::Flat
        }
    };
    let total = sectors * SECTOR;
    progress(0, total);
    let mut early = Early::new(&s);
    let (mut lba, mut buf) = (0, vec![0; PIECE]);
    while let Some(at) = source.next_data(lba) {
        // Blocks are looked at as a whole. What a fixed VHD and a raw image hold lies where it does on the disk.
        let chunk = if matches!(target, Target::Flat) {
            PIECE as u64 / SECTOR
        } else {
            u64::from(vhd::BLOCK) / SECTOR
        };
        let at = at - at % chunk;
        let n = chunk.min(sectors - at);
        let copied = match &mut target {
            Target::Blocks(new) => {
                new.whole_block(&mut s, (at / chunk) as usize, n * SECTOR, &mut buf, |from, part| {
                    source.read(at + from / SECTOR, part)
                })
            }
            Target::Flat => {
                let part = &mut buf[..(n * SECTOR) as usize];
                let read = source.read(at, part).map_err(Side::Read);
                read.and_then(|()| write_data(&mut s, at * SECTOR, part).map_err(Side::Write))
            }
        };
        copied.map_err(|e| match e {
            Side::Read(e) => give_up_reading(from, to, e),
            Side::Write(e) => at_to(e),
        })?;
        lba = at + n;
        early.written(lba * SECTOR);
        progress(lba * SECTOR, total);
        if lba >= sectors {
            break;
        }
    }
    if let Target::Blocks(new) = target {
        new.end(&mut s).map_err(at_to)?;
    }
    early.end().and_then(|()| s.sync()).map_err(at_to)?;
    progress(total, total);
    Ok(())
}

/// How a copy is written.
enum Target {
    Flat,
    Blocks(Box<Rewrite>),
}

fn give_up_reading(from: &Path, to: &Path, source: io::Error) -> DiskError {
    let _ = std::fs::remove_file(to);
    DiskError::Io { path: from.into(), doing: "reading", source }
}

/// Writes the 64 KiB pieces that hold something.
fn write_data(s: &mut FileStore, at: u64, data: &[u8]) -> io::Result<()> {
    data_of(data).try_for_each(|part| s.write_at(at + part.start as u64, &data[part]))
}

/// The runs of pieces of 64 KiB that are not all zeros.
pub(crate) fn data_of(data: &[u8]) -> impl Iterator<Item = Range<usize>> {
    const PIECE: usize = 64 << 10;
    let mut at = 0;
    std::iter::from_fn(move || {
        at +=
            data[at.min(data.len())..].chunks(PIECE).take_while(|p| zero(p)).map(<[u8]>::len).sum::<usize>();
        let run = data[at..].chunks(PIECE).take_while(|p| !zero(p)).map(<[u8]>::len).sum::<usize>();
        let part = at..at + run;
        at = part.end;
        (run > 0).then_some(part)
    })
}
