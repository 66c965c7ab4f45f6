//! Images of other programs, for reading: QCOW2, VMDK, VHDX. `convert` and `diff` take them; a machine does not.
//!
//! Their files are not trusted: whatever they say is checked before it is used, tables have bounds, and other files
//! that they name are only opened in the image's own folder.

mod inflate;
mod qcow2;
#[cfg(test)]
mod tests;
mod vhdx;
mod vmdk;

use std::io;
use std::path::{Component, Path, PathBuf};

use board::Disk;

use super::error::Medium;
use super::flat::Flat;
use super::store::{FileStore, Store};
use super::{DiskError, Extents, FOREIGN, Mode, SECTOR, open_disk, open_one, span};

/// What a VMDK's part is: sparse, in one file.
const EXTENT: &str = "extent";
/// Images over images, at most.
const DEEPEST: u32 = 16;

/// Why an image isn't read.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(io::Error),
    /// It can't be right.
    Bad(String),
    /// Right, but nothing that we know of.
    Unknown(String),
    /// Of a file that it names.
    Other(Box<DiskError>),
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

type Found<T> = Result<T, Fault>;

fn bad<T>(what: impl Into<String>) -> Found<T> {
    Err(Fault::Bad(what.into()))
}

fn unknown<T>(what: impl Into<String>) -> Found<T> {
    Err(Fault::Unknown(what.into()))
}

/// Damage that shows when a part is read.
fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Opens files that an image names.
type Others<'a> = dyn FnMut(&str, Option<&str>) -> Found<Box<dyn Extents>> + 'a;

/// An image in pieces of the same size.
trait Pieces: Send {
    fn sectors(&self) -> u64;
    /// Bytes of a piece.
    fn piece(&self) -> u64;
    /// Reads bytes of one piece.
    fn read(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()>;
    /// Does a piece hold anything? If not: where the next one begins that may.
    fn empty_until(&mut self, at: u64) -> io::Result<Option<u64>>;
}

/// Such an image as a disk.
struct Reader<P>(P);

impl<P: Pieces> Disk for Reader<P> {
    fn sectors(&self) -> u64 {
        self.0.sectors()
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut at = span(self.0.sectors(), lba, buf.len())?;
        let piece = self.0.piece();
        let mut rest = buf;
        while !rest.is_empty() {
            let n = (piece - at % piece).min(rest.len() as u64) as usize;
            let part = rest.split_off_mut(..n).unwrap_or_default();
            self.0.read(at, part)?;
            at += n as u64;
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

impl<P: Pieces> Extents for Reader<P> {
    fn next_data(&mut self, lba: u64) -> Option<u64> {
        let mut at = lba.checked_mul(SECTOR)?;
        while at / SECTOR < self.0.sectors() {
            match self.0.empty_until(at) {
                Ok(Some(next)) => at = next.max(at + 1).next_multiple_of(SECTOR),
                // What is wrong shows when it is read.
                Ok(None) | Err(_) => return Some(at / SECTOR),
            }
        }
        None
    }
}

/// Reads what lies in the file; behind its end are zeros.
fn read_padded<S: Store>(s: &mut S, at: u64, buf: &mut [u8]) -> io::Result<()> {
    let there = s.len().saturating_sub(at).min(buf.len() as u64) as usize;
    buf[there..].fill(0);
    if there > 0 { s.read_at(at, &mut buf[..there]) } else { Ok(()) }
}

/// A table that has to lie in the file, of at most so many bytes.
fn table<S: Store>(s: &mut S, what: &str, at: u64, len: u64, most: u64) -> Found<Vec<u8>> {
    if len > most {
        return bad(format!("{what} of {len} bytes is too large"));
    }
    if at.checked_add(len).is_none_or(|end| end > s.len()) {
        return bad(format!("{what} at {at:#x} lies outside of the file"));
    }
    let mut b = vec![0; len as usize];
    s.read_at(at, &mut b)?;
    Ok(b)
}

fn open_on<S: Store + 'static>(s: S, what: &str, others: &mut Others<'_>) -> Found<Box<dyn Extents>> {
    Ok(match what {
        "QCOW2" => Box::new(Reader(qcow2::Qcow2::open(s, others)?)),
        "VHDX" => Box::new(Reader(vhdx::Vhdx::open(s)?)),
        "VMDK" => vmdk::open(s, others)?,
        _ => return unknown("no reader of the format"),
    })
}

/// Which format a file has, if it is one of another program's.
fn format_of(s: &mut FileStore) -> io::Result<Option<&'static str>> {
    let mut head = [0; 32];
    read_padded(s, 0, &mut head)?;
    Ok(FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what))
}

/// A file beside the image. Names that lead elsewhere, and those that are none, are not followed: whoever made the image
/// would choose what of this host is read.
fn beside(image: &Path, name: &str) -> Found<PathBuf> {
    let path = Path::new(name);
    let plain = !name.is_empty() && !name.contains(':') && !name.contains('\\');
    if !plain || !path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return unknown(format!("it names {name:?}, which is not in its own folder and is not opened"));
    }
    let folder = image.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let path = folder.join(path);
    // A link may lead elsewhere, too. What isn't there is told by who opens it.
    if let (Ok(real), Ok(folder)) = (path.canonicalize(), folder.canonicalize())
        && !real.starts_with(folder)
    {
        return unknown(format!(
            "it names {name:?}, a link that leads out of its folder and is not followed"
        ));
    }
    Ok(path)
}

/// Opens any image for reading, also one of another program.
pub(crate) fn open_to_read(path: &Path) -> Result<Box<dyn Extents>, DiskError> {
    open_at(path, None, 0)
}

fn open_at(path: &Path, stated: Option<&str>, depth: u32) -> Result<Box<dyn Extents>, DiskError> {
    let medium = Medium::Disk(Mode::ReadOnly);
    let io = |source| DiskError::Io { path: path.into(), doing: "reading", source };
    if stated == Some("raw") {
        return Ok(Box::new(Flat::raw(open_one(path, medium)?, true)));
    }
    let mut s = open_one(path, medium)?;
    let Some(what) = format_of(&mut s).map_err(io)? else {
        drop(s);
        return Ok(open_disk(path, Mode::ReadOnly)?.disk);
    };
    if stated == Some(EXTENT) && what != "VMDK" {
        return Err(DiskError::ForeignBad {
            path: path.into(),
            what: "VMDK",
            why: "it is no extent".to_owned(),
        });
    }
    let mut others = |name: &str, format: Option<&str>| -> Found<Box<dyn Extents>> {
        // The extents of a disk have none themselves.
        if stated == Some(EXTENT) {
            return bad("it is an extent that names others");
        }
        if depth >= DEEPEST {
            return bad("it lies over too many others, or over itself");
        }
        let path = beside(path, name)?;
        open_at(&path, format, depth + 1).map_err(|e| Fault::Other(Box::new(e)))
    };
    open_on(s, what, &mut others).map_err(|e| match e {
        Fault::Io(source) => io(source),
        Fault::Bad(why) => DiskError::ForeignBad { path: path.into(), what, why },
        Fault::Unknown(why) => DiskError::ForeignUnknown { path: path.into(), what, why },
        Fault::Other(e) => *e,
    })
}

/// Any bytes as such an image: must neither panic nor take for ever.
pub fn fuzz_foreign(bytes: &[u8]) {
    use super::store::MemStore;
    for (magic, what) in &FOREIGN {
        if !bytes.starts_with(magic) {
            continue;
        }
        let mut others = |_: &str, _: Option<&str>| -> Found<Box<dyn Extents>> {
            Ok(Box::new(Flat::raw(MemStore(vec![7; 1 << 20]), true)))
        };
        if let Ok(mut disk) = open_on(MemStore(bytes.to_vec()), what, &mut others) {
            let sectors = disk.sectors();
            let mut buf = vec![0; 70 << 10];
            let mut lba = 0;
            for _ in 0..40 {
                let Some(at) = disk.next_data(lba) else { break };
                assert!(at >= lba && at < sectors, "{what}: data at {at} of {sectors} behind {lba}");
                let n = (sectors - at).min(140);
                let _ = disk.read(at, &mut buf[..(n * SECTOR) as usize]);
                lba = at + n;
            }
            assert!(disk.read(sectors, &mut buf[..512]).is_err());
        }
    }
}
