//! What a repair overwrites, kept beside the image: to finish with the old image or the new one whatever happens in
//! between, and to take the repair back.
//!
//! The file: "hrlmundo", old and new length of the image, then for each run of bytes its place, a kind, its length (of
//! both, at most 1 MiB), the old bytes, and for kind 2 as many new ones (kind 1 is of what was cut off). Last comes a run
//! of kind 0 and a CRC-32 of all before it. Numbers are little-endian.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Crc;

use super::plan::{Changes, read_there};
use crate::disk::store::Store;
use crate::disk::{DiskError, sync_folder};

const MAGIC: &[u8; 8] = b"hrlmundo";
const MOST: usize = 1 << 20;
const END: u8 = 0;
const CUT: u8 = 1;
const CHANGED: u8 = 2;

/// While it goes on.
pub(crate) fn working(image: &Path) -> PathBuf {
    beside(image, ".repairing")
}

/// When it is done.
fn kept(image: &Path, n: u32) -> PathBuf {
    if n < 2 { beside(image, ".before-repair") } else { beside(image, &format!(".before-repair-{n}")) }
}

fn beside(image: &Path, end: &str) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(end);
    name.into()
}

struct Summed<W> {
    to: W,
    crc: Crc,
}

impl<W: Write> Summed<W> {
    fn put(&mut self, b: &[u8]) -> io::Result<()> {
        self.crc.update(b);
        self.to.write_all(b)
    }

    fn run(&mut self, kind: u8, at: u64, old: &[u8], new: &[u8]) -> io::Result<()> {
        self.put(&at.to_le_bytes())?;
        self.put(&[kind])?;
        self.put(&(old.len() as u32).to_le_bytes())?;
        self.put(old)?;
        self.put(new)
    }
}

/// Makes the changes, and returns the file that can take them back.
pub(crate) fn change(image: &Path, s: &mut dyn Store, changes: &Changes) -> Result<PathBuf, DiskError> {
    let file = working(image);
    write_log(&file, s, changes).map_err(|source| {
        let _ = std::fs::remove_file(&file);
        DiskError::Io { path: file.clone(), doing: "writing", source }
    })?;
    sync_folder(&file);
    apply(s, changes).map_err(|source| DiskError::Io { path: image.into(), doing: "repairing", source })?;
    let end = (1..).map(|n| kept(image, n)).find(|p| !p.exists()).unwrap_or_else(|| kept(image, 1));
    std::fs::rename(&file, &end).map_err(|source| DiskError::Io { path: file, doing: "renaming", source })?;
    sync_folder(&end);
    Ok(end)
}

/// In two steps, so that a footer is in the file at each moment.
pub(crate) fn apply(s: &mut dyn Store, changes: &Changes) -> io::Result<()> {
    for (at, new) in &changes.runs {
        s.write_at(*at, new)?;
    }
    s.sync()?;
    if s.len() != changes.len {
        s.set_len(changes.len)?;
        s.sync()?;
    }
    Ok(())
}

fn write_log(path: &Path, s: &mut dyn Store, changes: &Changes) -> io::Result<()> {
    let file = File::create_new(path)?;
    let mut out = Summed { to: BufWriter::new(&file), crc: Crc::new() };
    let old_len = s.len();
    out.put(MAGIC)?;
    out.put(&old_len.to_le_bytes())?;
    out.put(&changes.len.to_le_bytes())?;
    let mut buf = vec![0; MOST];
    for (at, new) in &changes.runs {
        for (n, new) in new.chunks(MOST).enumerate() {
            let at = at + (n * MOST) as u64;
            read_there(s, at, &mut buf[..new.len()])?;
            out.run(CHANGED, at, &buf[..new.len()], new)?;
        }
    }
    let mut from = changes.len;
    while let Some(at) = s.next_data(from).filter(|at| *at < old_len) {
        let n = ((old_len - at) as usize).min(MOST);
        s.read_at(at, &mut buf[..n])?;
        if !crate::disk::zero(&buf[..n]) {
            out.run(CUT, at, &buf[..n], &[])?;
        }
        from = at + n as u64;
    }
    out.run(END, 0, &[], &[])?;
    let sum = out.crc.sum();
    out.to.write_all(&sum.to_le_bytes())?;
    out.to.flush()?;
    drop(out);
    file.sync_all()
}

/// A run of bytes, as the log has it.
struct Run {
    kind: u8,
    at: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// A log that is read.
struct Log<R> {
    from: R,
    crc: Crc,
    old_len: u64,
    new_len: u64,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<R: Read> Log<R> {
    fn open(from: R) -> io::Result<Self> {
        let mut log = Self { from, crc: Crc::new(), old_len: 0, new_len: 0 };
        if log.take::<8>()? != *MAGIC {
            return Err(bad("it is none"));
        }
        log.old_len = u64::from_le_bytes(log.take()?);
        log.new_len = u64::from_le_bytes(log.take()?);
        Ok(log)
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut b = [0; N];
        self.from.read_exact(&mut b)?;
        self.crc.update(&b);
        Ok(b)
    }

    fn bytes(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let mut b = vec![0; n];
        self.from.read_exact(&mut b)?;
        self.crc.update(&b);
        Ok(b)
    }

    /// The next run; None behind the last, whose sum is right.
    fn next(&mut self) -> io::Result<Option<Run>> {
        let at = u64::from_le_bytes(self.take()?);
        let [kind] = self.take()?;
        let len = u32::from_le_bytes(self.take()?) as usize;
        if kind == END {
            let want = self.crc.sum();
            let sum = u32::from_le_bytes(self.take()?);
            return if sum == want { Ok(None) } else { Err(bad("its checksum is wrong")) };
        }
        let most = self.old_len.max(self.new_len);
        if kind > CHANGED || len > MOST || at.checked_add(len as u64).is_none_or(|end| end > most) {
            return Err(bad("it is damaged"));
        }
        let old = self.bytes(len)?;
        let new = if kind == CHANGED { self.bytes(len)? } else { Vec::new() };
        Ok(Some(Run { kind, at, old, new }))
    }
}

fn open(path: &Path) -> io::Result<Log<BufReader<File>>> {
    Log::open(BufReader::new(File::open(path)?))
}

/// Is it whole, and does each run pass?
fn all(path: &Path, mut pass: impl FnMut(&Run) -> io::Result<bool>) -> io::Result<bool> {
    let mut log = open(path)?;
    while let Some(run) = log.next()? {
        if !pass(&run)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Puts the old bytes back.
fn put_back(path: &Path, s: &mut dyn Store) -> io::Result<()> {
    let mut log = open(path)?;
    let (old_len, new_len) = (log.old_len, log.new_len);
    // What was cut off and is in no run was zeros.
    if s.len() > new_len.min(old_len) {
        s.set_len(new_len.min(old_len))?;
    }
    s.set_len(old_len)?;
    while let Some(run) = log.next()? {
        let there = old_len.saturating_sub(run.at).min(run.old.len() as u64) as usize;
        if there > 0 {
            s.write_at(run.at, &run.old[..there])?;
        }
    }
    s.sync()
}

fn failed(path: &Path, source: &io::Error) -> DiskError {
    DiskError::Undo { path: path.into(), why: source.to_string() }
}

/// A repair that was interrupted is taken back. Returns if there was one.
pub(crate) fn recover(image: &Path, s: &mut dyn Store) -> Result<bool, DiskError> {
    let file = working(image);
    if !file.exists() {
        return Ok(false);
    }
    // One that is not whole was interrupted before the image was touched.
    let whole = match all(&file, |_| Ok(true)) {
        Ok(_) => true,
        Err(e) if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) => false,
        Err(e) => return Err(failed(&file, &e)),
    };
    if whole {
        put_back(&file, s).map_err(|e| failed(&file, &e))?;
    }
    std::fs::remove_file(&file).map_err(|e| failed(&file, &e))?;
    Ok(whole)
}

/// The last repair is taken back. Returns the file that said how; it is removed.
pub(crate) fn undo(image: &Path, s: &mut dyn Store) -> Result<PathBuf, DiskError> {
    let last = (1..).map(|n| kept(image, n)).take_while(|p| p.exists()).last();
    let Some(file) = last else { return Err(DiskError::NoUndo { path: image.into() }) };
    let mut new = Vec::new();
    let len = open(&file).map_err(|e| failed(&file, &e))?.new_len;
    let same = all(&file, |run| {
        new.resize(run.new.len(), 0);
        Ok(run.kind != CHANGED || s.len() == len && s.read_at(run.at, &mut new).is_ok() && new == run.new)
    });
    match same {
        Ok(true) if s.len() == len => {}
        Ok(_) => return Err(failed(&file, &bad("the image was changed since"))),
        Err(e) => return Err(failed(&file, &e)),
    }
    // From here on it is a repair that was interrupted.
    std::fs::rename(&file, working(image)).map_err(|e| failed(&file, &e))?;
    recover(image, s)?;
    Ok(file)
}

/// Any bytes as such a file.
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(mut log) = Log::open(bytes) {
        while let Ok(Some(run)) = log.next() {
            assert!(run.new.is_empty() || run.new.len() == run.old.len());
        }
    }
}
