//! A VHD that Virtual PC split into several files where one can't be as large (FAT32): NAME.vhd, NAME.v01 and so on up
//! to NAME.v64, in one folder. They hold the image's bytes one after the other; its footer ends the last. VHD
//! specification 1.0, "Splitting Hard Disk Images". It doesn't say how large they are: all but the last are alike here.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use board::pieces::{self, Piece};

use super::error::Medium;
use super::layers::sync_folder;
use super::store::{FileStore, Store};
use super::vhd::{FOOTER, Footer};
use super::{DiskError, lock, named_vhd, open_one};

/// Files besides the first.
const MOST: usize = 64;

/// An image's file, or files.
pub(crate) enum Files {
    One(FileStore),
    Split(Split),
}

pub(crate) struct Split {
    first: PathBuf,
    medium: Medium,
    files: Vec<FileStore>,
    /// Bytes of each file but the last.
    size: u64,
    at_once: bool,
    /// The host's cache is not used.
    direct: bool,
}

fn ending(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}

/// The name of piece `n`; letters as in the first's.
fn name(first: &Path, n: usize) -> PathBuf {
    let v = if ending(first).is_some_and(|e| e.starts_with('V')) { 'V' } else { 'v' };
    first.with_extension(format!("{v}{n:02}"))
}

/// A piece that is there, in large letters or small ones.
fn there(first: &Path, n: usize) -> Option<PathBuf> {
    [name(first, n), first.with_extension(format!("v{n:02}")), first.with_extension(format!("V{n:02}"))]
        .into_iter()
        .find(|p| p.exists())
}

/// Is it named as a piece that isn't the first?
fn is_piece(path: &Path) -> bool {
    let number = ending(path).and_then(|e| e.strip_prefix(['v', 'V'])).filter(|n| n.len() == 2);
    number.and_then(|n| n.parse().ok()).is_some_and(|n: usize| (1..=MOST).contains(&n))
}

/// The pieces behind the first, if it is one.
pub(crate) fn others(first: &Path) -> Result<Vec<PathBuf>, DiskError> {
    if !named_vhd(first) {
        return Ok(Vec::new());
    }
    let all: Vec<Option<PathBuf>> = (1..=MOST).map(|n| there(first, n)).collect();
    let Some(last) = all.iter().rposition(Option::is_some) else { return Ok(Vec::new()) };
    if ends_in_footer(first) {
        tracing::warn!(
            path = %first.display(),
            "the file is a whole VHD, those that are named as if they were further pieces of it are left out"
        );
        return Ok(Vec::new());
    }
    let missing = |n: usize| DiskError::PieceMissing { path: first.into(), piece: name(first, n) };
    all.into_iter().take(last + 1).enumerate().map(|(n, p)| p.ok_or_else(|| missing(n + 1))).collect()
}

fn ends_in_footer(path: &Path) -> bool {
    let read = || -> io::Result<bool> {
        let mut s = FileStore::new(std::fs::File::open(path)?)?;
        let mut bytes = [0; FOOTER];
        let Some(at) = s.len().checked_sub(FOOTER as u64) else { return Ok(false) };
        s.read_at(at, &mut bytes)?;
        let footer = Footer { bytes };
        let (got, want) = footer.checksum();
        Ok(Footer::is_there(&footer.bytes) && got == want)
    };
    // What can't be read is told where it is opened.
    read().unwrap_or(false)
}

/// Removes an image with all its pieces.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let others = others(path).unwrap_or_default();
    std::fs::remove_file(path)?;
    others.iter().try_for_each(std::fs::remove_file)
}

impl Files {
    /// Opens and locks all of an image's files.
    pub(crate) fn open(path: &Path, medium: Medium) -> Result<Self, DiskError> {
        if matches!(medium, Medium::Disk(_)) && is_piece(path) && path.exists() {
            let first = path.with_extension(if ending(path).is_some_and(|e| e.starts_with('V')) {
                "VHD"
            } else {
                "vhd"
            });
            return Err(DiskError::IsPiece { path: path.into(), first });
        }
        let first = open_one(path, medium)?;
        let others = if matches!(medium, Medium::Disk(_)) { others(path)? } else { Vec::new() };
        if others.is_empty() {
            return Ok(Self::One(first));
        }
        let size = first.len();
        let mut files = vec![first];
        for (n, piece) in others.iter().enumerate() {
            let file = open_one(piece, medium)?;
            let (got, last) = (file.len(), n + 1 == others.len());
            if got > size || got == 0 || got < size && !last {
                return Err(DiskError::PieceSize {
                    path: path.into(),
                    piece: piece.clone(),
                    got,
                    want: size,
                });
            }
            files.push(file);
        }
        Ok(Self::Split(Split { first: path.into(), medium, files, size, at_once: false, direct: false }))
    }

    /// From now on the host's cache is not used.
    pub(crate) fn go_direct(&mut self) -> io::Result<()> {
        match self {
            Self::One(f) => f.go_direct(),
            Self::Split(s) => {
                s.direct = true;
                s.files.iter_mut().try_for_each(FileStore::go_direct)
            }
        }
    }

    pub(crate) fn set_modified(&self, at: SystemTime) -> io::Result<()> {
        match self {
            Self::One(f) => f.set_modified(at),
            // It is the first's that a child looks at.
            Self::Split(s) => s.files[0].set_modified(at),
        }
    }

    /// The piece that lacks, if one does, of an image that ends before what it holds.
    pub(crate) fn next_piece(&self, path: &Path) -> Option<PathBuf> {
        match self {
            Self::One(_) if named_vhd(path) => Some(name(path, 1)),
            Self::One(_) => None,
            Self::Split(s) => Some(name(path, s.files.len())),
        }
    }
}

impl Split {
    /// Which file, the place in it, and bytes up to its end.
    fn place(&self, at: u64) -> (usize, u64, u64) {
        let inside = at % self.size;
        ((at / self.size) as usize, inside, self.size - inside)
    }

    /// Runs of bytes, each in one file: (file, place in it, bytes of the buffer).
    fn parts(&self, at: u64, len: usize) -> Vec<(usize, u64, std::ops::Range<usize>)> {
        let (mut all, mut done) = (Vec::new(), 0);
        while done < len {
            let (file, inside, room) = self.place(at + done as u64);
            let n = room.min((len - done) as u64) as usize;
            all.push((file, inside, done..done + n));
            done += n;
        }
        all
    }

    /// The files that an image of so many bytes needs.
    fn grow(&mut self, len: u64) -> io::Result<()> {
        while self.files.len() as u64 * self.size < len {
            if self.at_once {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let n = self.files.len();
            if n > MOST {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            if let Some(last) = self.files.last_mut().filter(|f| f.len() < self.size) {
                last.set_len(self.size)?;
            }
            let path = name(&self.first, n);
            let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
            lock(&file, &path, self.medium).map_err(io::Error::other)?;
            let mut file = FileStore::new(file)?;
            if self.direct {
                file.go_direct()?;
            }
            self.files.push(file);
            sync_folder(&path);
        }
        Ok(())
    }
}

impl Store for Split {
    fn len(&self) -> u64 {
        let last = self.files.last().map_or(0, FileStore::len);
        (self.files.len() as u64).saturating_sub(1) * self.size + last
    }

    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        for (n, inside, part) in self.parts(at, buf.len()) {
            let file = self.files.get_mut(n).ok_or(io::ErrorKind::UnexpectedEof)?;
            file.read_at(inside, &mut buf[part])?;
        }
        Ok(())
    }

    fn write_at(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
        self.grow(at + buf.len() as u64)?;
        for (n, inside, part) in self.parts(at, buf.len()) {
            self.files[n].write_at(inside, &buf[part])?;
        }
        Ok(())
    }

    fn read_to(&mut self, at: u64, to: &[Piece<'_>]) -> io::Result<()> {
        for (n, inside, part) in self.parts(at, pieces::total(to)) {
            let file = self.files.get_mut(n).ok_or(io::ErrorKind::UnexpectedEof)?;
            file.read_to(inside, &pieces::part(to, part))?;
        }
        Ok(())
    }

    fn write_from(&mut self, at: u64, from: &[Piece<'_>]) -> io::Result<()> {
        self.grow(at + pieces::total(from) as u64)?;
        for (n, inside, part) in self.parts(at, pieces::total(from)) {
            self.files[n].write_from(inside, &pieces::part(from, part))?;
        }
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.grow(len)?;
        let need = len.div_ceil(self.size).max(1) as usize;
        while self.files.len() > need {
            let path = there(&self.first, self.files.len() - 1).ok_or(io::ErrorKind::NotFound)?;
            std::fs::remove_file(path)?;
            self.files.pop();
        }
        let before = (need as u64 - 1) * self.size;
        self.files.last_mut().map_or(Ok(()), |f| f.set_len(len - before))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.files.iter_mut().try_for_each(FileStore::sync)
    }

    fn at_once(&mut self, on: bool) -> bool {
        self.at_once = on;
        let mut able = true;
        for f in &mut self.files {
            able &= f.at_once(on);
        }
        able
    }

    fn punch(&mut self, at: u64, len: u64) -> io::Result<()> {
        for (n, inside, part) in self.parts(at, len as usize) {
            if let Some(file) = self.files.get_mut(n) {
                file.punch(inside, part.len() as u64)?;
            }
        }
        Ok(())
    }

    fn next_data(&mut self, at: u64) -> Option<u64> {
        let (first, mut inside, _) = self.place(at);
        for n in first..self.files.len() {
            if let Some(d) = self.files[n].next_data(inside) {
                return Some(n as u64 * self.size + d);
            }
            inside = 0;
        }
        None
    }

    fn allocated(&self) -> Option<u64> {
        self.files.iter().map(FileStore::allocated).sum()
    }
}

/// Runs a method of whichever it is.
macro_rules! either {
    ($files:expr, $s:ident => $what:expr) => {
        match $files {
            Files::One($s) => $what,
            Files::Split($s) => $what,
        }
    };
}

impl Store for Files {
    fn len(&self) -> u64 {
        either!(self, s => s.len())
    }

    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        either!(self, s => s.read_at(at, buf))
    }

    fn write_at(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
        either!(self, s => s.write_at(at, buf))
    }

    fn read_to(&mut self, at: u64, to: &[Piece<'_>]) -> io::Result<()> {
        either!(self, s => s.read_to(at, to))
    }

    fn write_from(&mut self, at: u64, from: &[Piece<'_>]) -> io::Result<()> {
        either!(self, s => s.write_from(at, from))
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        either!(self, s => s.set_len(len))
    }

    fn sync(&mut self) -> io::Result<()> {
        either!(self, s => s.sync())
    }

    fn at_once(&mut self, on: bool) -> bool {
        either!(self, s => s.at_once(on))
    }

    fn punch(&mut self, at: u64, len: u64) -> io::Result<()> {
        either!(self, s => s.punch(at, len))
    }

    fn next_data(&mut self, at: u64) -> Option<u64> {
        either!(self, s => s.next_data(at))
    }

    fn allocated(&self) -> Option<u64> {
        either!(self, s => s.allocated())
    }
}
