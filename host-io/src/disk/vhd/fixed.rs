//! A fixed VHD: the disk's sectors, then the footer.

use std::io;

use board::{Disk, Geometry};

use super::Layout;
use crate::disk::store::Store;
use crate::disk::{Extents, SECTOR, span};

pub(crate) struct Fixed<S> {
    store: S,
    sectors: u64,
    geometry: Geometry,
    read_only: bool,
}

impl<S: Store> Fixed<S> {
    pub(crate) fn new(store: S, layout: Layout, read_only: bool) -> Self {
        let Layout { sectors, geometry, .. } = layout;
        Self { store, sectors, geometry, read_only }
    }
}

impl<S: Store> Disk for Fixed<S> {
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

    fn geometry(&self) -> Option<Geometry> {
        Some(self.geometry)
    }
}

impl<S: Store> Extents for Fixed<S> {
    fn next_data(&mut self, lba: u64) -> Option<u64> {
        self.store.next_data(lba * SECTOR).map(|at| at / SECTOR).filter(|&l| l < self.sectors)
    }
}
