//! Where an image's bytes live: a file, or memory for tests and fuzzing.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

use board::Lost;
use board::pieces::{self, Piece};

#[cfg(target_os = "linux")]
use super::direct::Direct;
#[cfg(target_os = "linux")]
use super::vectored;

/// Bytes at offsets. A read that reaches beyond the end fails; a write there extends.
pub trait Store: Send {
    fn len(&self) -> u64;
    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()>;
    fn write_at(&mut self, at: u64, buf: &[u8]) -> io::Result<()>;
    /// See [`board::Disk::read_to`].
    fn read_to(&mut self, at: u64, to: &[Piece<'_>]) -> io::Result<()> {
        let mut buf = vec![0; pieces::total(to)];
        self.read_at(at, &mut buf)?;
        pieces::put(to, &buf);
        Ok(())
    }
    fn write_from(&mut self, at: u64, from: &[Piece<'_>]) -> io::Result<()> {
        self.write_at(at, &pieces::get(from))
    }
    fn set_len(&mut self, len: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    /// See [`board::Disk::at_once`].
    fn at_once(&mut self, _on: bool) -> bool {
        false
    }
    /// Frees what lies there, if that can be: it reads as zeros then, or as before.
    fn punch(&mut self, _at: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
    /// The first offset at or behind `at` that may hold something else than zeros; None: nothing up to the end.
    fn next_data(&mut self, at: u64) -> Option<u64> {
        (at < self.len()).then_some(at)
    }
    /// Bytes that the host has set aside, if it can tell.
    fn allocated(&self) -> Option<u64> {
        None
    }
}

/// A write that the host's cache did not just take: others will wait for its disk, too.
#[cfg(target_os = "linux")]
const SLOW: Duration = Duration::from_millis(5);
/// For how long that is expected to go on.
#[cfg(target_os = "linux")]
const CONGESTED: Duration = Duration::from_millis(100);

/// A file; its length is ours to keep, the lock on it keeps others away.
pub struct FileStore {
    file: File,
    len: u64,
    at_once: bool,
    /// The host's cache is not used.
    #[cfg(target_os = "linux")]
    direct: Option<Direct>,
    /// Writes have to wait until then.
    #[cfg(target_os = "linux")]
    congested: Option<Instant>,
}

impl FileStore {
    pub fn new(file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        // A disk of the host has no length of its own, but an end.
        let len = if meta.is_file() { meta.len() } else { (&file).seek(SeekFrom::End(0))? };
        Ok(Self {
            file,
            len,
            at_once: false,
            #[cfg(target_os = "linux")]
            direct: None,
            #[cfg(target_os = "linux")]
            congested: None,
        })
    }

    /// From now on the host's cache is not used. An error: the file system, or the host, can't do that.
    #[cfg(target_os = "linux")]
    pub(crate) fn go_direct(&mut self) -> io::Result<()> {
        self.direct = Some(Direct::new(&self.file)?);
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn go_direct(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(target_os = "linux")]
    fn is_direct(&self) -> bool {
        self.direct.is_some()
    }

    #[cfg(not(target_os = "linux"))]
    fn is_direct(&self) -> bool {
        false
    }

    fn read_now(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(d) = &mut self.direct {
            return d.read(&self.file, at, buf);
        }
        position::read(&self.file, at, buf)
    }

    fn write_now(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(d) = &mut self.direct {
            return d.write(&self.file, at, buf, self.len);
        }
        position::write(&self.file, at, buf)
    }

    /// The same file again, for another thread.
    pub(crate) fn again(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    pub(crate) fn set_modified(&self, at: std::time::SystemTime) -> io::Result<()> {
        self.file.set_modified(at)
    }

    /// From the host's cache, or not at all. preadv2(2), RWF_NOWAIT.
    #[cfg(target_os = "linux")]
    fn read_cached(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        use rustix::io::{ReadWriteFlags, preadv2};
        let len = buf.len();
        let n = preadv2(&self.file, &mut [io::IoSliceMut::new(buf)], at, ReadWriteFlags::NOWAIT);
        // Less than asked for is the part that is there; an error, also of systems that know nothing of this, is told
        // to whoever asks again.
        if n == Ok(len) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// Into the host's cache, unless it has lately been full. No file system tells beforehand.
    #[cfg(target_os = "linux")]
    fn cached<R>(&mut self, write: impl FnOnce(&File) -> io::Result<R>) -> io::Result<R> {
        let begin = Instant::now();
        if self.congested.is_some_and(|until| begin < until) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let waits = vectored::waits();
        let r = write(&self.file);
        // A host with too few processors takes its time, too, but a thread of ours would be no better off.
        let waited = begin.elapsed() > SLOW && waits != vectored::waits();
        self.congested = waited.then(|| Instant::now() + CONGESTED);
        r
    }

    #[cfg(target_os = "linux")]
    fn write_cached(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
        self.cached(|file| position::write(file, at, buf))
    }

    #[cfg(not(target_os = "linux"))]
    fn read_cached(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    #[cfg(not(target_os = "linux"))]
    fn write_cached(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

#[cfg(unix)]
mod position {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    pub(super) fn read(file: &File, at: u64, buf: &mut [u8]) -> io::Result<()> {
        file.read_exact_at(buf, at)
    }

    pub(super) fn write(file: &File, at: u64, buf: &[u8]) -> io::Result<()> {
        file.write_all_at(buf, at)
    }
}

#[cfg(windows)]
mod position {
    use std::fs::File;
    use std::io;
    use std::os::windows::fs::FileExt;

    pub(super) fn read(file: &File, mut at: u64, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match file.seek_read(buf, at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    buf = &mut buf[n..];
                    at += n as u64;
                }
            }
        }
        Ok(())
    }

    pub(super) fn write(file: &File, mut at: u64, mut buf: &[u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match file.seek_write(buf, at)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => {
                    buf = &buf[n..];
                    at += n as u64;
                }
            }
        }
        Ok(())
    }
}

impl Store for FileStore {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.at_once { self.read_cached(at, buf) } else { self.read_now(at, buf) }
    }

    fn write_at(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
        if self.at_once {
            self.write_cached(at, buf)?;
        } else {
            self.write_now(at, buf)?;
        }
        self.len = self.len.max(at + buf.len() as u64);
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn read_to(&mut self, at: u64, to: &[Piece<'_>]) -> io::Result<()> {
        if !self.is_direct() && vectored::read(&self.file, at, to, self.at_once) {
            return Ok(());
        }
        if self.at_once {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // What is amiss shows when it is read as a whole.
        let mut buf = vec![0; pieces::total(to)];
        self.read_at(at, &mut buf)?;
        pieces::put(to, &buf);
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn write_from(&mut self, at: u64, from: &[Piece<'_>]) -> io::Result<()> {
        if self.is_direct() {
            return self.write_at(at, &pieces::get(from));
        }
        let write = |file: &File| {
            if vectored::write(file, at, from) {
                return Ok(());
            }
            // Written again as a whole, it goes on behind an interruption, or tells what is amiss.
            position::write(file, at, &pieces::get(from))
        };
        if self.at_once {
            self.cached(write)?
        } else {
            write(&self.file)?
        }
        self.len = self.len.max(at + pieces::total(from) as u64);
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.len = len;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.at_once {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // The system drops what it could not write: a second sync would be content.
        self.file.sync_data().map_err(Lost::error)
    }

    fn at_once(&mut self, on: bool) -> bool {
        // Beside the cache all waits for the disk.
        let able = cfg!(target_os = "linux") && !self.is_direct();
        self.at_once = on && able;
        able
    }

    #[cfg(target_os = "linux")]
    fn punch(&mut self, at: u64, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        if self.at_once {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, len) {
            // Of a file system without holes nobody expects any.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            r => Ok(r?),
        }
    }

    #[cfg(target_os = "linux")]
    fn next_data(&mut self, at: u64) -> Option<u64> {
        use vmm_sys_util::seek_hole::SeekHole;
        if at >= self.len {
            return None;
        }
        // A file system that can't tell says so, and everything may be data.
        self.file.seek_data(at).unwrap_or(Some(at)).filter(|&d| d < self.len)
    }

    #[cfg(unix)]
    fn allocated(&self) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().ok().map(|m| m.blocks() * 512)
    }
}

/// Memory.
#[derive(Clone, Debug, Default)]
pub struct MemStore(pub Vec<u8>);

impl MemStore {
    /// Nothing grows beyond this: a lying image must not eat the host's memory.
    const MOST: u64 = 64 << 20;

    fn span(&self, at: u64, len: usize) -> io::Result<std::ops::Range<usize>> {
        let end = at.checked_add(len as u64).filter(|&e| e <= self.0.len() as u64);
        end.map(|e| at as usize..e as usize).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Store for MemStore {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let span = self.span(at, buf.len())?;
        buf.copy_from_slice(&self.0[span]);
        Ok(())
    }

    fn write_at(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
        let end = at.saturating_add(buf.len() as u64);
        if end > self.len() {
            self.set_len(end)?;
        }
        let span = self.span(at, buf.len())?;
        self.0[span].copy_from_slice(buf);
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if len > Self::MOST {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.resize(len as usize, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn at_once(&mut self, _: bool) -> bool {
        true
    }
}
