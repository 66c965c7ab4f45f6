//! The drawing engine: IBM's 8514/A as S3 extended it.
//!
//! - [`regs`]: the registers' bits; `ports.rs`: how they are reached, by ports, by their numbers in memory and packed.
//! - `pen.rs`: what happens to one pixel or one row of them; `area.rs`: rectangles, BitBLT, patterns; `line.rs`: lines, short
//!   strokes, polygons; `transfer.rs`: data that the processor sends.
//!
//! A command is carried out when its high byte is written, as a whole; one that waits for the processor's data row by row as
//! they come. So the engine is always idle and its FIFO always empty, and a driver never waits. One command touches at most
//! 4096 by 4096 pixels, and rows outside the scissors cost nothing.

mod area;
mod line;
mod pen;
mod ports;
pub mod regs;
mod state;
mod transfer;

pub use self::state::EngineV1;

use self::area::{Area, Kind};
use self::line::Walk;
use self::regs::{Cmd, Mix, MultMisc, MultMisc2, Operation, PixCntl, TWELVE, subsys};
use self::transfer::{Job, Transfer};
use crate::video::vga::Vram;

/// What CR50, CR31 and ADVFUNC say of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a pixel: 1, 2 or 4.
    pub bytes: u32,
    /// Bytes from row to row.
    pub pitch: u32,
}

/// The registers. Counts and coordinates hold only the bits that the chip has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regs {
    pub cur_x: u16,
    pub cur_y: u16,
    pub cur_x2: u16,
    pub cur_y2: u16,
    pub desty_axstp: u16,
    pub destx_diastp: u16,
    pub desty_axstp2: u16,
    pub destx_diastp2: u16,
    pub err_term: u16,
    pub err_term2: u16,
    pub maj_axis_pcnt: u16,
    pub maj_axis_pcnt2: u16,
    pub cmd: Cmd,
    pub cmd2: u16,
    pub short_stroke: u16,
    pub bkgd_color: u32,
    pub frgd_color: u32,
    pub wrt_mask: u32,
    pub rd_mask: u32,
    pub color_cmp: u32,
    pub bkgd_mix: Mix,
    pub frgd_mix: Mix,
    pub min_axis_pcnt: u16,
    pub scissors_t: u16,
    pub scissors_l: u16,
    pub scissors_b: u16,
    pub scissors_r: u16,
    pub pix_cntl: PixCntl,
    pub mult_misc2: MultMisc2,
    pub mult_misc: MultMisc,
    pub read_sel: u16,
    /// BEE8h as written: the low byte waits here for the high byte.
    pub multifunc: u16,
    /// Where the last pattern fill's pattern is: a pattern polygon uses it again.
    pub pattern: (u16, u16),
}

impl Default for Regs {
    /// The data book leaves power-on values open; with these everything can be written.
    fn default() -> Self {
        Self {
            cur_x: 0,
            cur_y: 0,
            cur_x2: 0,
            cur_y2: 0,
            desty_axstp: 0,
            destx_diastp: 0,
            desty_axstp2: 0,
            destx_diastp2: 0,
            err_term: 0,
            err_term2: 0,
            maj_axis_pcnt: 0,
            maj_axis_pcnt2: 0,
            cmd: Cmd::new(),
            cmd2: 0,
            short_stroke: 0,
            bkgd_color: 0,
            frgd_color: 0,
            wrt_mask: u32::MAX,
            rd_mask: u32::MAX,
            color_cmp: 0,
            bkgd_mix: Mix::new(),
            frgd_mix: Mix::new(),
            min_axis_pcnt: 0,
            scissors_t: 0,
            scissors_l: 0,
            scissors_b: TWELVE,
            scissors_r: TWELVE,
            pix_cntl: PixCntl::new(),
            mult_misc2: MultMisc2::new(),
            mult_misc: MultMisc::new(),
            read_sel: 0,
            multifunc: 0,
            pattern: (0, 0),
        }
    }
}

/// Rows on their way; neither saved nor reset.
#[derive(Debug, Default)]
struct Scratch {
    dest: Vec<u8>,
    source: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Engine {
    regs: Regs,
    /// 42E8h b3-1: interrupts that are pending.
    pending: u8,
    /// The command that waits for data.
    transfer: Option<Transfer>,
    /// SUBSYS_CNTL holds it in reset.
    held: bool,
    scratch: Scratch,
    /// For metrics.
    pub commands: u64,
}

impl Engine {
    /// Registers as after power-on.
    pub fn reset(&mut self) {
        let Self { regs, pending, transfer, held, scratch: _, commands: _ } = self;
        (*regs, *pending, *transfer, *held) = (Regs::default(), 0, None, false);
    }

    /// SUBSYS_STAT b3-1.
    pub fn pending(&self) -> u8 {
        self.pending
    }

    /// SUBSYS_CNTL b3-0: ones clear.
    pub fn clear(&mut self, bits: u8) {
        self.pending &= !bits;
    }

    /// GE-RST: 1 lets the engine run, 2 holds it in reset; 0 changes nothing. CR66 b1 holds it too.
    pub fn hold(&mut self, on: bool) {
        self.held = on;
        if on {
            self.transfer = None;
        }
    }

    /// CR50's pixel length changed: halves of 32-bit registers begin anew.
    pub fn pixel_length_changed(&mut self) {
        self.regs.mult_misc.set_rsf(false);
    }

    /// Before anything but data reaches the engine: what waits in a row is drawn.
    fn drain(&mut self, v: Vram<'_>, g: Geometry) {
        if let Some(t) = &mut self.transfer {
            t.flush(&self.regs.pen(g), v, &mut self.scratch);
            if let Job::Line(w) = &t.job {
                w.leave(&mut self.regs);
            }
        }
    }

    /// CMD is complete.
    fn command(&mut self, v: Vram<'_>, g: Geometry) {
        self.transfer = None;
        self.regs.mult_misc.set_rsf(false);
        if self.held {
            return;
        }
        self.commands += 1;
        let r = &mut self.regs;
        let pen = r.pen(g);
        let area = |kind: Kind, x: u16, y: u16| {
            Job::Area(Area {
                kind,
                x,
                y,
                width: u32::from(r.maj_axis_pcnt) + 1,
                rows: u32::from(r.min_axis_pcnt) + 1,
                inc_x: r.cmd.inc_x(),
                inc_y: r.cmd.inc_y(),
            })
        };
        let (x, y) = (r.destx_diastp & TWELVE, r.desty_axstp & TWELVE);
        let job = match r.cmd.operation() {
            Operation::LINE => Job::Line(Walk::line(r)),
            Operation::TWO_POINT => match Walk::two_point(r) {
                Some(w) => Job::Line(w),
                None => return self.done(),
            },
            Operation::RECTANGLE => area(Kind::Rectangle, r.cur_x, r.cur_y),
            Operation::BITBLT => area(Kind::BitBlt { x: r.cur_x, y: r.cur_y }, x, y),
            Operation::PATTERN => {
                let job = area(Kind::Pattern(tile(&pen, v, (r.cur_x, r.cur_y))), x, y);
                r.pattern = (r.cur_x, r.cur_y);
                job
            }
            Operation::POLYGON => {
                line::polygon(r, &pen, v, &mut self.scratch, Kind::Rectangle);
                return self.done();
            }
            Operation::PATTERN_POLYGON => {
                let kind = Kind::Pattern(tile(&pen, v, r.pattern));
                line::polygon(r, &pen, v, &mut self.scratch, kind);
                return self.done();
            }
            // Short strokes follow, or it is a code of another chip.
            _ => return,
        };
        if r.cmd.wait() {
            self.transfer = Some(Transfer::new(job, g.bytes, r.mono()));
            return;
        }
        let job = match job {
            Job::Area(mut a) => {
                a.all(&pen, v, &mut self.scratch);
                Job::Area(a)
            }
            Job::Line(mut w) => {
                w.draw(&pen, v, area::Sent::NOTHING, 0, u32::MAX);
                Job::Line(w)
            }
        };
        self.finish(&job);
    }

    /// What an operation leaves in the registers: rectangles move CUR_Y, the others DESTY, to behind their last row.
    fn finish(&mut self, job: &Job) {
        match job {
            Job::Area(a) if a.kind == Kind::Rectangle => self.regs.cur_y = a.y,
            Job::Area(a) => self.regs.desty_axstp = a.y,
            Job::Line(w) => w.leave(&mut self.regs),
        }
        self.done();
    }

    fn done(&mut self) {
        self.pending |= subsys::GE_BSY;
    }

    /// SHORT_STROKE is complete.
    fn short_stroke(&mut self, v: Vram<'_>, g: Geometry) {
        self.transfer = None;
        if self.held {
            return;
        }
        self.commands += 1;
        let pen = self.regs.pen(g);
        for byte in line::strokes(self.regs.cmd, self.regs.short_stroke) {
            line::stroke(&mut self.regs, &pen, v, byte);
        }
        self.done();
    }

    /// PIX_TRANS, `width` bytes. Data that nobody waits for go nowhere.
    pub fn pix_trans(&mut self, v: Vram<'_>, g: Geometry, width: u32, data: u32) {
        self.pending |= subsys::FIFO_EMP;
        let Some(mut t) = self.transfer.take() else { return };
        if t.write(&self.regs, || self.regs.pen(g), v, &mut self.scratch, width, data) {
            self.finish(&t.job);
        } else {
            self.transfer = Some(t);
        }
    }
}

/// The eight rows of eight pixels at a place of the source.
fn tile(pen: &pen::Pen, v: Vram<'_>, at: (u16, u16)) -> Box<area::Tile> {
    Box::new(std::array::from_fn(|i| {
        let (x, y) = (u32::from(at.0) + i as u32 % 8, at.1.wrapping_add(i as u16 / 8) & TWELVE);
        v.pixel(pen.src(x & u32::from(TWELVE), y), pen.bytes)
    }))
}
