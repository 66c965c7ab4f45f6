//! Changes of an image that are thought over before any of them is made.

use std::collections::BTreeMap;
use std::io;

use crate::disk::SECTOR;
use crate::disk::store::Store;

/// An image as it would be with some changes.
pub(crate) struct Plan<'a> {
    file: &'a mut dyn Store,
    len: u64,
    /// By sector, whole ones.
    changed: BTreeMap<u64, [u8; SECTOR as usize]>,
}

/// What is to be done.
pub(crate) struct Changes {
    /// Places, and what they will hold.
    pub(crate) runs: Vec<(u64, Vec<u8>)>,
    /// Of the file then.
    pub(crate) len: u64,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(file: &'a mut dyn Store) -> Self {
        let len = file.len();
        Self { file, len, changed: BTreeMap::new() }
    }

    /// What is as it was is no change.
    pub(crate) fn end(mut self) -> io::Result<Changes> {
        let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
        for (sector, new) in std::mem::take(&mut self.changed) {
            let at = sector * SECTOR;
            let new = &new[..(self.len.saturating_sub(at)).min(SECTOR) as usize];
            let mut old = vec![0; new.len()];
            let there = read_there(self.file, at, &mut old)?;
            if new.is_empty() || there == new.len() && old == new {
                continue;
            }
            match runs.last_mut() {
                Some((begin, run)) if *begin + run.len() as u64 == at => run.extend_from_slice(new),
                _ => runs.push((at, new.to_vec())),
            }
        }
        Ok(Changes { runs, len: self.len })
    }
}

/// Reads what lies in the file, and zeros behind it. Returns how much is there.
pub(super) fn read_there(file: &mut dyn Store, at: u64, buf: &mut [u8]) -> io::Result<usize> {
    let there = file.len().saturating_sub(at).min(buf.len() as u64) as usize;
    buf[there..].fill(0);
    if there > 0 {
        file.read_at(at, &mut buf[..there])?;
    }
    Ok(there)
}

impl Store for Plan<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(buf.len() as u64).filter(|e| *e <= self.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        read_there(self.file, at, buf)?;
        for (sector, new) in self.changed.range(at / SECTOR..end.div_ceil(SECTOR)) {
            let here = sector * SECTOR;
            let (from, to) = (here.max(at), (here + SECTOR).min(end));
            buf[(from - at) as usize..(to - at) as usize]
                .copy_from_slice(&new[(from - here) as usize..(to - here) as usize]);
        }
        Ok(())
    }

    fn write_at(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
        let end = at.checked_add(buf.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        for sector in at / SECTOR..end.div_ceil(SECTOR) {
            let here = sector * SECTOR;
            let mut bytes = match self.changed.get(&sector) {
                Some(b) => *b,
                None => {
                    let mut b = [0; SECTOR as usize];
                    read_there(self.file, here, &mut b)?;
                    b
                }
            };
            let (from, to) = (here.max(at), (here + SECTOR).min(end));
            bytes[(from - here) as usize..(to - here) as usize]
                .copy_from_slice(&buf[(from - at) as usize..(to - at) as usize]);
            self.changed.insert(sector, bytes);
        }
        self.len = self.len.max(end);
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.changed.split_off(&len.div_ceil(SECTOR));
        self.len = len;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
