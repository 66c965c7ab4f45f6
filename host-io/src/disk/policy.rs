//! What the user decides about an image beside its content: how the host caches it, and whether the guest may discard.

use std::io;

pub use board::Cache;
use board::pieces::Piece;
use board::{Disk, Geometry};

/// A disk under the user's decisions.
pub struct Policy {
    under: Box<dyn Disk>,
    through: bool,
    unmaps: bool,
    at_once: bool,
}

impl Policy {
    /// `unmaps`: what the guest discards is freed.
    pub fn new(under: Box<dyn Disk>, cache: Cache, unmaps: bool) -> Self {
        Self { under, through: cache == Cache::WriteThrough, unmaps, at_once: false }
    }

    /// A write, and what it takes to have it on the disk.
    fn write_by(&mut self, write: impl FnOnce(&mut dyn Disk) -> io::Result<()>) -> io::Result<()> {
        if !self.through {
            return write(self.under.as_mut());
        }
        if self.at_once {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        write(self.under.as_mut())?;
        self.under.flush()
    }
}

impl Disk for Policy {
    fn sectors(&self) -> u64 {
        self.under.sectors()
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        self.under.read(lba, buf)
    }

    fn write(&mut self, lba: u64, buf: &[u8]) -> io::Result<()> {
        self.write_by(|d| d.write(lba, buf))
    }

    fn read_to(&mut self, lba: u64, to: &[Piece<'_>]) -> io::Result<()> {
        self.under.read_to(lba, to)
    }

    fn write_from(&mut self, lba: u64, from: &[Piece<'_>]) -> io::Result<()> {
        self.write_by(|d| d.write_from(lba, from))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.under.flush()
    }

    fn discard(&mut self, lba: u64, count: u64) -> io::Result<()> {
        if self.unmaps { self.under.discard(lba, count) } else { Ok(()) }
    }

    fn discards(&self) -> bool {
        self.unmaps
    }

    fn writes_through(&self) -> bool {
        self.through
    }

    fn settle(&mut self) -> io::Result<()> {
        self.under.settle()
    }

    fn at_once(&mut self, on: bool) -> bool {
        let able = self.under.at_once(on);
        self.at_once = on && able;
        able
    }

    fn read_only(&self) -> bool {
        self.under.read_only()
    }

    fn geometry(&self) -> Option<Geometry> {
        self.under.geometry()
    }
}
