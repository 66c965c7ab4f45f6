//! Lines: Bresenham's, along one of eight directions, short strokes, from point to point; and polygons between two of them.

use super::area::{Area, Kind, Sent};
use super::pen::Pen;
use super::regs::{Cmd, FOURTEEN, TWELVE};
use super::{Regs, Scratch};
use crate::video::vga::Vram;

/// How a line goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// ERR_TERM, axial and diagonal step constants.
    Bresenham {
        err: i32,
        axial: i32,
        diagonal: i32,
    },
    Radial,
    /// The chip works the constants out: error, and the lengths along the minor and major axis.
    TwoPoint {
        err: i32,
        minor: i32,
        major: i32,
    },
}

/// What is left of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    pub way: Way,
    /// The pixel that is next.
    pub x: u16,
    pub y: u16,
    /// What is added on a step: each time, and when the minor axis moves too.
    pub axial: (i8, i8),
    pub diagonal: (i8, i8),
    /// Pixels to go, and whether the last of them is drawn.
    pub left: u32,
    pub last: bool,
}

/// Sign extension from fourteen bits.
fn signed_14(v: u16) -> i32 {
    i32::from((v << 2) as i16 >> 2)
}

fn signed_12(v: u16) -> i32 {
    i32::from((v << 4) as i16 >> 4)
}

/// A coordinate after a step.
fn moved(at: u16, by: i8) -> u16 {
    at.wrapping_add_signed(i16::from(by)) & TWELVE
}

/// DRWG-DIR: counter-clockwise in steps of 45 degrees, Y downwards.
fn along(direction: u8) -> (i8, i8) {
    [(1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1)][usize::from(direction & 7)]
}

impl Walk {
    /// CMD_LINE.
    pub fn line(r: &Regs) -> Self {
        let left = u32::from(r.maj_axis_pcnt) + 1;
        let last = !r.cmd.last_pixel_off();
        if r.cmd.radial() {
            return Self::radial(r, r.cmd.direction(), left, last);
        }
        let sign = |inc: bool| if inc { 1 } else { -1 };
        let (dx, dy) = (sign(r.cmd.inc_x()), sign(r.cmd.inc_y()));
        Self {
            way: Way::Bresenham {
                err: signed_14(r.err_term),
                axial: signed_14(r.desty_axstp),
                diagonal: signed_14(r.destx_diastp),
            },
            x: r.cur_x,
            y: r.cur_y,
            axial: if r.cmd.y_major() { (0, dy) } else { (dx, 0) },
            diagonal: (dx, dy),
            left,
            last,
        }
    }

    fn radial(r: &Regs, direction: u8, left: u32, last: bool) -> Self {
        let axial = along(direction);
        Self { way: Way::Radial, x: r.cur_x, y: r.cur_y, axial, diagonal: axial, left, last }
    }

    /// A stroke of SHORT_STROKE, and whether it draws or only moves.
    pub fn stroke(r: &Regs, stroke: u8) -> (Self, bool) {
        let left = u32::from(stroke & 15) + 1;
        (Self::radial(r, stroke >> 5, left, !r.cmd.last_pixel_off()), stroke & 0x10 != 0)
    }

    /// Polyline: to DESTX, DESTY, whose pixel belongs to the next line. `None`: the point is already there.
    pub fn two_point(r: &Regs) -> Option<Self> {
        let dx = signed_12(r.destx_diastp) - signed_12(r.cur_x);
        let dy = signed_12(r.desty_axstp.wrapping_sub(r.cur_y));
        let (h, v) = (dx.signum() as i8, dy.signum() as i8);
        let (major, minor, axial) =
            if dx.abs() > dy.abs() { (dx.abs(), dy.abs(), (h, 0)) } else { (dy.abs(), dx.abs(), (0, v)) };
        (major > 0).then_some(Self {
            way: Way::TwoPoint { err: major / 2, minor, major },
            x: r.cur_x,
            y: r.cur_y,
            axial,
            diagonal: (h, v),
            left: major as u32 + 1,
            last: false,
        })
    }

    fn step(&mut self) {
        let minor = match &mut self.way {
            Way::Radial => false,
            Way::Bresenham { err, axial, diagonal } => {
                let minor = *err >= 0;
                *err = signed_14((*err + if minor { *diagonal } else { *axial }) as u16 & FOURTEEN);
                minor
            }
            Way::TwoPoint { err, minor, major } => {
                *err -= *minor;
                let over = *err < 0;
                if over {
                    *err += *major;
                }
                over
            }
        };
        let (dx, dy) = if minor { self.diagonal } else { self.axial };
        (self.x, self.y) = (moved(self.x, dx), moved(self.y, dy));
    }

    /// Goes on by up to `n` pixels, for which the processor sent `sent` from its pixel `from` on. The walk ends on its last
    /// pixel.
    pub fn draw(&mut self, pen: &Pen, v: Vram<'_>, sent: Sent<'_>, from: u32, n: u32) {
        for i in from..from + n.min(self.left) {
            if pen.writes && (self.left > 1 || self.last) && pen.visible(self.x, self.y) {
                let at = pen.dest(u32::from(self.x), self.y);
                let d = v.pixel(at, pen.bytes);
                let p = pen.pixel(d, d, sent.colour(i, pen.bytes), sent.bit(i));
                v.set_pixel(at, pen.bytes, p);
            }
            self.left -= 1;
            if self.left > 0 {
                self.step();
            }
        }
    }

    /// What the walk leaves in the registers.
    pub fn leave(&self, r: &mut Regs) {
        (r.cur_x, r.cur_y) = (self.x, self.y);
        if let Way::Bresenham { err, .. } = self.way {
            r.err_term = err as u16 & FOURTEEN;
        }
    }
}

/// One edge of a polygon.
struct Edge {
    x: i32,
    dx: i32,
    /// Lines down.
    dy: i32,
}

impl Edge {
    fn new(from: (u16, u16), to: (u16, u16)) -> Self {
        let x = signed_12(from.0);
        Self { x, dx: signed_12(to.0) - x, dy: signed_12(to.1.wrapping_sub(from.1)) }
    }

    fn at(&self, row: i32) -> i32 {
        self.x + (self.dx * row).div_euclid(self.dy)
    }
}

/// Polygon fills: the rows between the edges CUR-DEST and CUR2-DEST2, both ends of a row included, up to before the line where
/// the first edge ends. The ends move on to there, so that the next vertex continues the figure. Without a way down nothing is
/// drawn; an end that is on its vertex' line goes to it.
pub fn polygon(r: &mut Regs, pen: &Pen, v: Vram<'_>, s: &mut Scratch, kind: Kind) {
    let a = Edge::new((r.cur_x, r.cur_y), (r.destx_diastp & TWELVE, r.desty_axstp & TWELVE));
    let b = Edge::new((r.cur_x2, r.cur_y2), (r.destx_diastp2 & TWELVE, r.desty_axstp2 & TWELVE));
    let rows = a.dy.min(b.dy);
    if rows <= 0 {
        if a.dy == 0 {
            r.cur_x = r.destx_diastp & TWELVE;
        }
        if b.dy == 0 {
            r.cur_x2 = r.destx_diastp2 & TWELVE;
        }
        return;
    }
    let mut area = Area { kind, x: 0, y: r.cur_y, width: 1, rows: rows as u32, inc_x: true, inc_y: true };
    for row in 0..rows {
        let (a, b) = (a.at(row), b.at(row));
        area.x = a.min(b) as u16 & TWELVE;
        area.width = ((a - b).unsigned_abs() + 1).min(4096);
        area.draw(pen, v, s, Sent::NOTHING, 0, area.width);
        area.next_row();
    }
    let down = |y: u16| y.wrapping_add(rows as u16) & TWELVE;
    (r.cur_x, r.cur_y) = (a.at(rows) as u16 & TWELVE, down(r.cur_y));
    (r.cur_x2, r.cur_y2) = (b.at(rows) as u16 & TWELVE, down(r.cur_y2));
}

/// One byte of SHORT_STROKE.
pub fn stroke(r: &mut Regs, pen: &Pen, v: Vram<'_>, byte: u8) {
    let (mut walk, draws) = Walk::stroke(r, byte);
    let mut pen = pen.clone();
    pen.writes &= draws;
    walk.draw(&pen, v, Sent::NOTHING, 0, u32::MAX);
    walk.leave(r);
}

/// The order of the two strokes of a write.
pub fn strokes(cmd: Cmd, v: u16) -> [u8; 2] {
    let [low, high] = v.to_le_bytes();
    if cmd.low_first() { [low, high] } else { [high, low] }
}
