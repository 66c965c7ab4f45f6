//! A file written from its beginning to its end, in pieces that begin and end where pages do: blocks of a VHD do not, and a
//! page that is written in two parts costs as much as two.

use std::io;
use std::ops::Range;

use crate::disk::store::Store;

/// Small enough to stay in a processor's cache until it is written.
pub(crate) const PIECE: usize = 256 << 10;

pub(super) struct Sequence {
    /// Where what is kept goes.
    at: u64,
    kept: Vec<u8>,
    /// Where its bytes are: as far from the buffer's beginning as they will be from a piece's.
    full: Range<usize>,
}

impl Sequence {
    pub(super) fn new() -> Self {
        Self { at: 0, kept: vec![0; PIECE], full: 0..0 }
    }

    /// Puts bytes somewhere behind all that was put before. What is left out in between is a hole.
    pub(super) fn put(&mut self, to: &mut (impl Store + ?Sized), at: u64, mut data: &[u8]) -> io::Result<()> {
        if at != self.at + self.full.len() as u64 {
            self.write(to)?;
            self.at = at;
        }
        while !data.is_empty() {
            if self.full.is_empty() {
                let inside = (self.at % PIECE as u64) as usize;
                self.full = inside..inside;
            }
            let (now, later) = data.split_at((PIECE - self.full.end).min(data.len()));
            self.kept[self.full.end..][..now.len()].copy_from_slice(now);
            self.full.end += now.len();
            if self.full.end == PIECE {
                self.write(to)?;
            }
            data = later;
        }
        Ok(())
    }

    /// Writes what is kept.
    pub(super) fn write(&mut self, to: &mut (impl Store + ?Sized)) -> io::Result<()> {
        if !self.full.is_empty() {
            to.write_at(self.at, &self.kept[self.full.clone()])?;
            self.at += self.full.len() as u64;
            self.full = 0..0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::store::MemStore;

    #[test]
    fn what_is_put_is_written_once_in_whole_pieces() {
        struct Seen(MemStore, Vec<(u64, usize)>);
        impl Store for Seen {
            fn len(&self) -> u64 {
                self.0.len()
            }
            fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
                self.0.read_at(at, buf)
            }
            fn write_at(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
                self.1.push((at, buf.len()));
                self.0.write_at(at, buf)
            }
            fn set_len(&mut self, len: u64) -> io::Result<()> {
                self.0.set_len(len)
            }
            fn sync(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut s, mut q) = (Seen(MemStore::default(), Vec::new()), Sequence::new());
        let mut want = Vec::new();
        let mut at = 1000_u64;
        for (n, len) in [512, 2 << 20, 512, 100_000, 1, 0, PIECE, 300].into_iter().enumerate() {
            let data = vec![n as u8 + 1; len];
            q.put(&mut s, at, &data).unwrap();
            want.resize(at as usize, 0);
            want.extend(&data);
            at += len as u64;
            // A hole now and then.
            if n % 3 == 2 {
                at += 700_000;
            }
        }
        q.write(&mut s).unwrap();
        assert!(s.0.0 == want);
        assert!(s.1.iter().all(|(_, n)| *n <= PIECE));
        // But for the first and the last of each run they are whole.
        let whole = s.1.iter().filter(|(at, n)| *n == PIECE && at.is_multiple_of(PIECE as u64)).count();
        assert!(whole >= s.1.len() - 6, "{:?}", s.1);
    }
}
