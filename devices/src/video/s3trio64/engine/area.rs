//! Rectangles, bit block transfers and patterns: operations that go row by row.

use super::Scratch;
use super::pen::{ByteSource, Pen, Plan, Step};
use crate::video::vga::Vram;

/// Coordinates wrap here.
const SPACE: u32 = 4096;

/// An 8x8 pattern, as pixels.
pub type Tile = [u32; 64];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Whose source in display memory, if it asks for one, is the destination itself.
    Rectangle,
    /// Source in display memory at these coordinates of the next row.
    BitBlt { x: u16, y: u16 },
    /// Read when the command came.
    Pattern(Box<Tile>),
}

/// What is left of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    pub kind: Kind,
    /// The next row begins here.
    pub x: u16,
    pub y: u16,
    /// Pixels in a row, 1 to 4096.
    pub width: u32,
    /// Rows to go.
    pub rows: u32,
    pub inc_x: bool,
    pub inc_y: bool,
}

/// What the processor sent for a row, in the order in which the row is walked.
#[derive(Clone, Copy)]
pub struct Sent<'a> {
    pub bytes: &'a [u8],
    pub mono: bool,
}

impl Sent<'_> {
    pub const NOTHING: Sent<'static> = Sent { bytes: &[], mono: false };

    /// The bit of the `n`th pixel.
    #[inline]
    pub fn bit(&self, n: u32) -> bool {
        self.mono && self.bytes.get(n as usize / 8).is_some_and(|b| b << (n % 8) & 0x80 != 0)
    }

    /// The colour of the `n`th pixel.
    #[inline]
    pub fn colour(&self, n: u32, bytes: u32) -> u32 {
        let at = (n * bytes) as usize;
        match self.bytes.get(at..at + bytes as usize) {
            Some(p) if !self.mono => load(p),
            _ => 0,
        }
    }
}

#[inline]
fn load(p: &[u8]) -> u32 {
    p.iter().rev().fold(0, |v, &b| v << 8 | u32::from(b))
}

#[inline]
fn at(buf: &[u8], k: u32, bytes: u32) -> u32 {
    let i = (k * bytes) as usize;
    match bytes {
        1 => u32::from(buf[i]),
        2 => u32::from(u16::from_le_bytes([buf[i], buf[i + 1]])),
        _ => u32::from_le_bytes([buf[i], buf[i + 1], buf[i + 2], buf[i + 3]]),
    }
}

#[inline]
fn put(buf: &mut [u8], k: u32, bytes: u32, v: u32) {
    let i = (k * bytes) as usize;
    buf[i..i + bytes as usize].copy_from_slice(&v.to_le_bytes()[..bytes as usize]);
}

/// A part of a row that is contiguous in memory and visible.
struct Run {
    /// Its leftmost pixel.
    x: u32,
    n: u32,
    /// Which pixel of the row, in walking order, is the one of this run that is walked first.
    nth: u32,
    /// Where its leftmost pixel's source is, for bit block transfers.
    src: u32,
}

impl Area {
    /// The coordinate after `n` steps.
    fn after(&self, from: u16, n: u32) -> u32 {
        let n = if self.inc_x { n } else { SPACE - n % SPACE };
        (u32::from(from) + n) % SPACE
    }

    /// Draws pixels `from` to before `to`, in walking order, of the row that is next.
    pub fn draw(&self, pen: &Pen, v: Vram<'_>, s: &mut Scratch, sent: Sent<'_>, from: u32, to: u32) {
        if !pen.writes {
            return;
        }
        let mut i = from;
        while i < to {
            let x = self.after(self.x, i);
            let left = |x: u32| if self.inc_x { SPACE - x } else { x + 1 };
            let mut n = (to - i).min(left(x));
            let mut src = 0;
            if let Kind::BitBlt { x: sx, .. } = self.kind {
                src = self.after(sx, i);
                n = n.min(left(src));
            }
            let first = if self.inc_x { x } else { x + 1 - n };
            let mut runs = pen.visible_runs(self.y, first, first + n);
            if !self.inc_x {
                runs.swap(0, 1);
            }
            for (a, b) in runs.into_iter().filter(|(a, b)| a < b) {
                let nth = i + if self.inc_x { a - x } else { x + 1 - b };
                let src = match self.kind {
                    Kind::BitBlt { y, .. } => pen.src(src + a - x, y),
                    _ => 0,
                };
                self.run(pen, v, s, sent, &Run { x: a, n: b - a, nth, src });
            }
            i += n;
        }
    }

    fn run(&self, pen: &Pen, v: Vram<'_>, s: &mut Scratch, sent: Sent<'_>, r: &Run) {
        let bytes = pen.bytes;
        let (dest, len) = (pen.dest(r.x, self.y), (r.n * bytes) as usize);
        let blt = matches!(self.kind, Kind::BitBlt { .. });
        if let Plan::Constant(step) = pen.plan {
            constant(v, s, dest, len, step);
            return;
        }
        if blt && let Some(ahead) = self.ahead(dest, r.src, len as u32, v.len()) {
            self.overlapped(pen, v, s, sent, r, ahead);
            return;
        }
        if pen.plan == Plan::Copy && blt && v.copy_within(r.src, dest, len) {
            return;
        }
        s.dest.resize(len, 0);
        v.copy(dest, &mut s.dest);
        self.source(pen, v, s, sent, r, len);
        let (source, out) = (&s.source[..], &mut s.dest[..]);
        // Where in walking order the `k`th pixel from the left is.
        let nth = |k: u32| if self.inc_x { r.nth + k } else { r.nth + r.n - 1 - k };
        match pen.plan {
            Plan::Copy => out.copy_from_slice(source),
            Plan::Bytes(_) => pen.mix_bytes(source, out),
            Plan::Bits(f, b) => {
                for k in 0..r.n {
                    let step = if sent.bit(nth(k)) { f } else { b };
                    put(out, k, bytes, step.on(at(out, k, bytes)));
                }
            }
            Plan::Pixels | Plan::Constant(_) => {
                for k in 0..r.n {
                    let (d, n) = (at(out, k, bytes), nth(k));
                    let p = pen.pixel(d, at(source, k, bytes), sent.colour(n, bytes), sent.bit(n));
                    put(out, k, bytes, p);
                }
            }
        }
        v.store(dest, out);
    }

    /// Fills the source row: display memory, or for [`ByteSource::Cpu`] what was sent.
    fn source(&self, pen: &Pen, v: Vram<'_>, s: &mut Scratch, sent: Sent<'_>, r: &Run, len: usize) {
        let bytes = pen.bytes;
        s.source.resize(len, 0);
        match (pen.plan, &self.kind) {
            (Plan::Bits(..), _) => {}
            (Plan::Bytes(ByteSource::Cpu), _) => {
                let first = (r.nth * bytes) as usize;
                match sent.bytes.get(first..first + len) {
                    Some(row) if !sent.mono && self.inc_x => s.source.copy_from_slice(row),
                    _ => {
                        for k in 0..r.n {
                            let n = if self.inc_x { r.nth + k } else { r.nth + r.n - 1 - k };
                            put(&mut s.source, k, bytes, sent.colour(n, bytes));
                        }
                    }
                }
            }
            (_, Kind::Rectangle) => s.source.copy_from_slice(&s.dest),
            (_, Kind::BitBlt { .. }) => v.copy(r.src, &mut s.source),
            (_, Kind::Pattern(tile)) => {
                let row = usize::from(self.y & 7) * 8;
                for k in 0..r.n {
                    put(&mut s.source, k, bytes, tile[row + ((r.x + k) & 7) as usize]);
                }
            }
        }
    }

    /// How many bytes the destination is ahead of the source, in the direction of the walk, if pixels written on the way
    /// are read again as sources.
    fn ahead(&self, dest: u32, src: u32, len: u32, vram: u32) -> Option<u32> {
        let by = if self.inc_x { dest.wrapping_sub(src) } else { src.wrapping_sub(dest) } & (vram - 1);
        (1..len).contains(&by).then_some(by)
    }

    fn overlapped(&self, pen: &Pen, v: Vram<'_>, s: &mut Scratch, sent: Sent<'_>, r: &Run, ahead: u32) {
        let (bytes, len) = (pen.bytes, r.n * pen.bytes);
        let dest = pen.dest(r.x, self.y);
        let (low, from, to) = if self.inc_x { (r.src, 0, ahead) } else { (dest, ahead, 0) };
        s.dest.resize((len + ahead) as usize, 0);
        v.copy(low, &mut s.dest);
        let (from, to) = (from / bytes, to / bytes);
        for i in 0..r.n {
            let k = if self.inc_x { i } else { r.n - 1 - i };
            let (d, m) = (at(&s.dest, to + k, bytes), at(&s.dest, from + k, bytes));
            let n = r.nth + i;
            let p = pen.pixel(d, m, sent.colour(n, bytes), sent.bit(n));
            put(&mut s.dest, to + k, bytes, p);
        }
        let to = (to * bytes) as usize;
        v.store(dest, &s.dest[to..to + len as usize]);
    }

    /// On to the next row. False: there is none.
    pub fn next_row(&mut self) -> bool {
        let step = |y: u16| if self.inc_y { y + 1 } else { y.wrapping_sub(1) } & super::regs::TWELVE;
        self.y = step(self.y);
        if let Kind::BitBlt { y, .. } = &mut self.kind {
            *y = step(*y);
        }
        self.rows -= 1;
        self.rows != 0
    }

    /// The whole of it at once.
    pub fn all(&mut self, pen: &Pen, v: Vram<'_>, s: &mut Scratch) {
        loop {
            self.draw(pen, v, s, Sent::NOTHING, 0, self.width);
            if !self.next_row() {
                return;
            }
        }
    }
}

fn constant(v: Vram<'_>, s: &mut Scratch, dest: u32, len: usize, step: Step) {
    if step == (Step { keep: u32::MAX, flip: 0 }) {
        return;
    }
    s.dest.resize(len, 0);
    let flip = step.flip.to_le_bytes();
    if step.keep == 0 {
        if flip == [flip[0]; 4] {
            s.dest.fill(flip[0]);
        } else {
            for p in s.dest.chunks_mut(4) {
                p.copy_from_slice(&flip[..p.len()]);
            }
        }
    } else {
        v.copy(dest, &mut s.dest);
        let keep = step.keep.to_le_bytes();
        for p in s.dest.chunks_mut(4) {
            for ((d, k), f) in p.iter_mut().zip(keep).zip(flip) {
                *d = *d & k ^ f;
            }
        }
    }
    v.store(dest, &s.dest);
}
