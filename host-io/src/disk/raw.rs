//! A raw image: the file is the disk.

use std::io;

use board::Disk;

use super::store::Store;
use super::{Extents, SECTOR, span};

pub struct Raw<S> {
    store: S,
    sectors: u64,
    read_only: bool,
}

impl<S: Store> Raw<S> {
    pub(crate) fn new(store: S, read_only: bool) -> Self {
        let sectors = store.len() / SECTOR;
        Self { store, sectors, read_only }
    }
}

impl<S: Store> Disk for Raw<S> {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        let at = span(self.sectors, lba, buf.len())?;
        self.store.read_at(at, buf)
    }

    fn write(&mut self, lba: u64, buf: &[u8]) -> io::Result<()> {
        if self.read_only {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let at = span(self.sectors, lba, buf.len())?;
        self.store.write_at(at, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.read_only { Ok(()) } else { self.store.sync() }
    }

    fn read_only(&self) -> bool {
        self.read_only
    }
}

impl<S: Store> Extents for Raw<S> {
    fn next_data(&mut self, lba: u64) -> Option<u64> {
        self.store.next_data(lba * SECTOR).map(|at| at / SECTOR).filter(|&l| l < self.sectors)
    }
}
