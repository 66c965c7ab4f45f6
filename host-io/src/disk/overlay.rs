//! Writes kept in memory over an image that stays as it is: gone when the machine ends.

use std::collections::HashMap;
use std::io;

use board::pieces::{self, Piece};
use board::{Disk, Geometry};

use super::{SECTOR, span};

/// Sectors of one piece of the overlay: 32 KiB.
const PIECE: u64 = 64;
const PIECE_BYTES: usize = (PIECE * SECTOR) as usize;

/// A disk whose writes never reach the image under it.
pub struct Overlay {
    under: Box<dyn Disk>,
    pieces: HashMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub fn new(under: Box<dyn Disk>) -> Self {
        Self { under, pieces: HashMap::new() }
    }

    /// Parts of a run, each within a piece: (piece, first byte in it, bytes of the buffer).
    fn parts(lba: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = lba + done as u64 / SECTOR;
            let first = (at % PIECE * SECTOR) as usize;
            let n = (PIECE_BYTES - first).min(len - done);
            let part = (n > 0).then_some((at / PIECE, first, done..done + n));
            done += n;
            part
        })
    }
}

impl Disk for Overlay {
    fn sectors(&self) -> u64 {
        self.under.sectors()
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        span(self.sectors(), lba, buf.len())?;
        // One read of all that lies under, then what was written over it.
        self.under.read(lba, buf)?;
        for (piece, first, part) in Self::parts(lba, buf.len()) {
            if let Some(p) = self.pieces.get(&piece) {
                let n = part.len();
                buf[part].copy_from_slice(&p[first..first + n]);
            }
        }
        Ok(())
    }

    fn read_to(&mut self, lba: u64, to: &[Piece<'_>]) -> io::Result<()> {
        let len = pieces::total(to);
        span(self.sectors(), lba, len)?;
        self.under.read_to(lba, to)?;
        for (piece, first, part) in Self::parts(lba, len) {
            if let Some(p) = self.pieces.get(&piece) {
                let over = &p[first..first + part.len()];
                pieces::put(&pieces::part(to, part), over);
            }
        }
        Ok(())
    }

    fn write(&mut self, lba: u64, buf: &[u8]) -> io::Result<()> {
        let total = self.sectors();
        span(total, lba, buf.len())?;
        for (piece, first, part) in Self::parts(lba, buf.len()) {
            if !self.pieces.contains_key(&piece) {
                let mut p = vec![0; PIECE_BYTES].into_boxed_slice();
                if part.len() < PIECE_BYTES {
                    let inside = ((total - piece * PIECE).min(PIECE) * SECTOR) as usize;
                    self.under.read(piece * PIECE, &mut p[..inside])?;
                }
                self.pieces.insert(piece, p);
            }
            if let Some(p) = self.pieces.get_mut(&piece) {
                p[first..first + part.len()].copy_from_slice(&buf[part]);
            }
        }
        Ok(())
    }

    /// There is nothing that could last.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn at_once(&mut self, on: bool) -> bool {
        self.under.at_once(on)
    }

    fn geometry(&self) -> Option<Geometry> {
        self.under.geometry()
    }
}
