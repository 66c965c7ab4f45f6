//! Main RAM that is still in a file: each chunk comes when its map is first asked for it. A machine that goes on from a
//! saved state so reads of it what it uses.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::arena::Arena;

/// What comes at once.
pub const CHUNK: u32 = 64 << 10;

/// Where the chunks are that have not come.
pub(crate) struct Absent {
    file: File,
    /// Of arena offset 0.
    at: u64,
    /// Bytes of main RAM.
    len: u32,
    /// A bit for each chunk that has not come.
    missing: Box<[AtomicU64]>,
    left: AtomicU32,
    failed: AtomicBool,
}

impl Absent {
    /// `there`: a bit for each chunk that the file has; the others are zeros, as memory is.
    pub(crate) fn new(file: File, at: u64, len: u32, there: &[u8]) -> Self {
        let chunks = len.div_ceil(CHUNK);
        let has = |n: u32| there.get(n as usize / 8).is_some_and(|b| b & 1 << (n % 8) != 0);
        let word = |w: u32| {
            (0..64).filter(|b| w * 64 + b < chunks && has(w * 64 + b)).fold(0_u64, |v, b| v | 1 << b)
        };
        let missing: Box<[AtomicU64]> = (0..chunks.div_ceil(64)).map(|w| AtomicU64::new(word(w))).collect();
        let left = missing.iter().map(|w| w.load(Ordering::Relaxed).count_ones()).sum();
        Self { file, at, len, missing, left: AtomicU32::new(left), failed: AtomicBool::new(false) }
    }

    pub(crate) fn left(&self) -> u32 {
        self.left.load(Ordering::Relaxed)
    }

    /// The file could not be read: what should be there is not.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Has the chunk with this arena offset come, if it is main RAM's?
    pub(crate) fn fetch(&self, arena: &Arena, off: u32) -> io::Result<()> {
        let n = off / CHUNK;
        let Some(word) = self.missing.get(n as usize / 64) else { return Ok(()) };
        let bit = 1 << (n % 64);
        if word.load(Ordering::Relaxed) & bit == 0 {
            return Ok(());
        }
        let first = n * CHUNK;
        let read = self.read(arena, first, CHUNK.min(self.len - first));
        // Also if not: a guest that looks again finds zeros, and the machine is stopped.
        word.fetch_and(!bit, Ordering::Relaxed);
        self.left.fetch_sub(1, Ordering::Relaxed);
        if read.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        read
    }

    pub(crate) fn fetch_all(&self, arena: &Arena) -> io::Result<()> {
        (0..self.len.div_ceil(CHUNK)).try_for_each(|n| self.fetch(arena, n * CHUNK))
    }

    #[cfg(unix)]
    fn read(&self, arena: &Arena, off: u32, len: u32) -> io::Result<()> {
        arena.read_from(&self.file, self.at + u64::from(off), off, len as usize)
    }

    #[cfg(not(unix))]
    fn read(&self, arena: &Arena, off: u32, len: u32) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut buf = vec![0; len as usize];
        let mut f = &self.file;
        f.seek(SeekFrom::Start(self.at + u64::from(off)))?;
        f.read_exact(&mut buf)?;
        arena.copy_in(off, &buf);
        Ok(())
    }
}
