//! PIX_TRANS: what the processor sends while a command waits for it.
//!
//! Writes gather until a bus unit is full (8, 16 or 32 bits), its bytes are put in order, and rows are drawn as they fill up. A
//! row that is not full when something else happens is drawn as far as it came, so that nobody can tell it was held.

use super::area::{Area, Sent};
use super::line::Walk;
use super::pen::Pen;
use super::regs::Cmd;
use super::{Regs, Scratch};
use crate::video::vga::Vram;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    Area(Area),
    Line(Walk),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    pub job: Job,
    /// Bytes of a pixel when the command came.
    pub bytes: u32,
    pub mono: bool,
    /// Bytes of a row that came, whole units in order.
    pub row: Vec<u8>,
    /// Pixels of them that are drawn.
    pub drawn: u32,
    /// A unit that is not full yet.
    pub unit: [u8; 4],
    pub unit_len: u8,
}

/// Bytes of a bus unit.
fn unit(cmd: Cmd) -> usize {
    [1, 2, 4, 4][usize::from(cmd.bus_size())]
}

impl Transfer {
    pub fn new(job: Job, bytes: u32, mono: bool) -> Self {
        Self { job, bytes, mono, row: Vec::new(), drawn: 0, unit: [0; 4], unit_len: 0 }
    }

    /// Pixels in the row that is being filled; a line is one row.
    pub fn width(&self) -> u32 {
        match &self.job {
            Job::Area(a) => a.width,
            Job::Line(w) => w.left + self.drawn,
        }
    }

    /// Bytes until the row is full: pixels, and padding to a bus unit but for bus size 3.
    fn need(&self, cmd: Cmd) -> usize {
        let n = self.width() as usize;
        let bytes = if self.mono { n.div_ceil(8) } else { n * self.bytes as usize };
        if cmd.bus_size() == 3 { bytes } else { bytes.next_multiple_of(unit(cmd)) }
    }

    /// A write of `width` bytes. True: the command has all it waited for.
    pub fn write(
        &mut self,
        r: &Regs,
        pen: impl Fn() -> Pen,
        v: Vram<'_>,
        s: &mut Scratch,
        width: u32,
        data: u32,
    ) -> bool {
        let size = unit(r.cmd);
        // An eight-bit bus takes the low byte of any access.
        let width = if size == 1 { 1 } else { width };
        for i in 0..width {
            self.unit[usize::from(self.unit_len)] = (data >> (8 * i)) as u8;
            self.unit_len += 1;
            if usize::from(self.unit_len) < size {
                continue;
            }
            self.unit_len = 0;
            if !r.cmd.low_first() {
                self.unit[..size].reverse();
            }
            self.row.extend_from_slice(&self.unit[..size]);
            while self.row.len() >= self.need(r.cmd) {
                if self.row_done(r.cmd, &pen(), v, s) {
                    return true;
                }
            }
        }
        false
    }

    /// Draws the rest of a full row. True: it was the last.
    fn row_done(&mut self, cmd: Cmd, pen: &Pen, v: Vram<'_>, s: &mut Scratch) -> bool {
        let (need, width) = (self.need(cmd), self.width());
        self.draw(pen, v, s, width);
        self.row.drain(..need.min(self.row.len()));
        self.drawn = 0;
        match &mut self.job {
            Job::Area(a) => !a.next_row(),
            Job::Line(_) => true,
        }
    }

    fn draw(&mut self, pen: &Pen, v: Vram<'_>, s: &mut Scratch, to: u32) {
        if pen.bytes != self.bytes {
            // The pixel length changed in mid-transfer: what came can't be told apart any more.
            return;
        }
        let sent = Sent { bytes: &self.row, mono: self.mono };
        match &mut self.job {
            Job::Area(a) => a.draw(pen, v, s, sent, self.drawn, to),
            Job::Line(w) => w.draw(pen, v, sent, self.drawn, to - self.drawn),
        }
        self.drawn = to;
    }

    /// Is this one that the next write can go on with?
    pub fn waits(&self, cmd: Cmd) -> bool {
        usize::from(self.unit_len) < unit(cmd) && self.row.len() < self.need(cmd)
    }

    /// Draws all pixels that came.
    pub fn flush(&mut self, pen: &Pen, v: Vram<'_>, s: &mut Scratch) {
        let came = if self.mono { self.row.len() * 8 } else { self.row.len() / self.bytes as usize };
        let to = self.width().min(came as u32);
        if to > self.drawn {
            self.draw(pen, v, s, to);
        }
    }
}
