//! A file beside the host's cache: O_DIRECT, open(2). Offsets, lengths and addresses must be multiples of what the file
//! system says; what is not goes by a buffer that is.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, OFlags, StatxFlags, fcntl_getfl, fcntl_setfl, statx};

/// Where a file system does not say what it wants: no disk has larger sectors.
const UNTOLD: usize = 4096;
/// More than this goes in parts.
const MOST: usize = 1 << 20;

pub(super) struct Direct {
    /// A power of two.
    align: usize,
    /// One more alignment than fits into it, so that an aligned part is there.
    bounce: Vec<u8>,
}

impl Direct {
    /// Takes a file out of the host's cache. An error: its file system has no such thing.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        cached(file, false)?;
        let told = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)?;
        let told =
            [told.stx_dio_mem_align, told.stx_dio_offset_align].into_iter().max().unwrap_or(0) as usize;
        Self::with(file, if told.is_power_of_two() { told.max(512) } else { UNTOLD })
    }

    fn with(file: &File, align: usize) -> io::Result<Self> {
        if align > MOST {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut d = Self { align, bounce: vec![0; MOST + align] };
        // Some say no only when they are asked for data.
        d.get(file, 0..align, 0)?;
        Ok(d)
    }

    /// Reads a part of the buffer; what is behind the file's end is zeros.
    fn get(&mut self, file: &File, part: Range<usize>, at: u64) -> io::Result<()> {
        let buf = &mut self.buffer()[part];
        let have = file.read_at(buf, at)?;
        buf[have..].fill(0);
        Ok(())
    }

    fn buffer(&mut self) -> &mut [u8] {
        let at = self.bounce.as_ptr().align_offset(self.align);
        &mut self.bounce[at..at + MOST]
    }

    fn fits(&self, at: u64, buf: &[u8]) -> bool {
        let aligned = |n: u64| n.is_multiple_of(self.align as u64);
        aligned(at) && aligned(buf.len() as u64) && buf.as_ptr().align_offset(self.align) == 0
    }

    /// The aligned run around `len` bytes, or so much of it as the buffer takes: its begin and length, and what of it is
    /// asked for.
    fn around(&self, at: u64, len: usize) -> (u64, usize, Range<usize>) {
        let first = at % self.align as u64;
        let end = (first as usize + len).min(MOST);
        (at - first, end.next_multiple_of(self.align), first as usize..end)
    }

    pub(super) fn read(&mut self, file: &File, mut at: u64, mut buf: &mut [u8]) -> io::Result<()> {
        if self.fits(at, buf) {
            return file.read_exact_at(buf, at);
        }
        while !buf.is_empty() {
            let (begin, len, part) = self.around(at, buf.len());
            let n = file.read_at(&mut self.buffer()[..len], begin)?;
            // At the file's end it may be less than asked for.
            let have = n.min(part.end).saturating_sub(part.start);
            if have == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buf[..have].copy_from_slice(&self.buffer()[part.start..part.start + have]);
            buf = &mut buf[have..];
            at += have as u64;
        }
        Ok(())
    }

    /// `end`: of the file.
    pub(super) fn write(&mut self, file: &File, mut at: u64, mut buf: &[u8], end: u64) -> io::Result<()> {
        if self.fits(at, buf) {
            return file.write_all_at(buf, at);
        }
        while !buf.is_empty() {
            let (begin, len, part) = self.around(at, buf.len());
            let n = part.len();
            if begin + len as u64 > end.max(at + n as u64) {
                // The rest of the last block is not the file's, and must not become so.
                cached(file, true)?;
                let r = file.write_all_at(&buf[..n], at);
                cached(file, false)?;
                r?;
            } else {
                // What is around it stays as it is: it is read first.
                let (align, last) = (self.align, len - self.align);
                if part.start != 0 || n < align {
                    self.get(file, 0..align, begin)?;
                }
                if part.end != len && last != 0 {
                    self.get(file, last..len, begin + last as u64)?;
                }
                self.buffer()[part].copy_from_slice(&buf[..n]);
                file.write_all_at(&self.buffer()[..len], begin)?;
            }
            buf = &buf[n..];
            at += n as u64;
        }
        Ok(())
    }
}

/// Puts a file under the host's cache, or takes it out. The system keeps both views of it the same.
fn cached(file: &File, on: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, !on);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(test)]
mod tests;
