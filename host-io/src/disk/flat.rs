//! An image whose file is the disk: raw, or a fixed VHD, which has only its footer behind the sectors.

use std::io;

use board::pieces::{self, Piece};
use board::{Disk, Geometry};

use super::store::Store;
use super::{Extents, SECTOR, span, zero};

pub(crate) struct Flat<S> {
    store: S,
    sectors: u64,
    geometry: Option<Geometry>,
    read_only: bool,
}

impl<S: Store> Flat<S> {
    /// All of the file.
    pub(crate) fn raw(store: S, read_only: bool) -> Self {
        let sectors = store.len() / SECTOR;
        Self { store, sectors, geometry: None, read_only }
    }

    pub(crate) fn vhd(store: S, sectors: u64, geometry: Geometry, read_only: bool) -> Self {
        Self { store, sectors, geometry: Some(geometry), read_only }
    }
}

/// Holes are looked at in such parts.
const LOOK: usize = 64 << 10;

impl<S: Store> Flat<S> {
    /// Would zeros written there change nothing, and take room? Where a file is said to have a hole it is read: not every
    /// file system's word is good while data wait in the cache.
    fn is_hole(&mut self, at: u64, len: usize) -> io::Result<bool> {
        let end = at + len as u64;
        if self.store.next_data(at).is_some_and(|d| d < end) {
            return Ok(false);
        }
        let mut buf = vec![0; len.min(LOOK)];
        for from in (0..len).step_by(LOOK) {
            let part = &mut buf[..LOOK.min(len - from)];
            match self.store.read_at(at + from as u64, part) {
                Ok(()) if zero(part) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(e),
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

impl<S: Store> Disk for Flat<S> {
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
        if zero(buf) && self.is_hole(at, buf.len())? {
            return Ok(());
        }
        self.store.write_at(at, buf)
    }

    fn read_to(&mut self, lba: u64, to: &[Piece<'_>]) -> io::Result<()> {
        let at = span(self.sectors, lba, pieces::total(to))?;
        self.store.read_to(at, to)
    }

    fn write_from(&mut self, lba: u64, from: &[Piece<'_>]) -> io::Result<()> {
        if self.read_only {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let len = pieces::total(from);
        let at = span(self.sectors, lba, len)?;
        if pieces::zero(from) && self.is_hole(at, len)? {
            return Ok(());
        }
        self.store.write_from(at, from)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.read_only { Ok(()) } else { self.store.sync() }
    }

    fn discard(&mut self, lba: u64, count: u64) -> io::Result<()> {
        if self.read_only {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let at = span(self.sectors, lba, (count * SECTOR) as usize)?;
        if count == 0 { Ok(()) } else { self.store.punch(at, count * SECTOR) }
    }

    fn at_once(&mut self, on: bool) -> bool {
        self.store.at_once(on)
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn geometry(&self) -> Option<Geometry> {
        self.geometry
    }
}

impl<S: Store> Extents for Flat<S> {
    fn next_data(&mut self, lba: u64) -> Option<u64> {
        self.store.next_data(lba * SECTOR).map(|at| at / SECTOR).filter(|&l| l < self.sectors)
    }
}
