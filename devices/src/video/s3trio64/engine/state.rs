//! Saved state of the engine: a part of the Trio64's.

use minicbor::{Decode, Encode};

use super::area::{Area, Kind};
use super::line::{Walk, Way};
use super::regs::{Cmd, FOURTEEN, Mix, MultMisc, MultMisc2, PixCntl, TWELVE, subsys};
use super::transfer::{Job, Transfer};
use super::{Engine, Regs, Scratch};

#[derive(Debug, Encode, Decode)]
pub struct EngineV1 {
    /// CUR_X, CUR_Y, CUR_X2, CUR_Y2, DESTY, DESTX, DESTY2, DESTX2, ERR_TERM, ERR_TERM2, MAJ_AXIS_PCNT, MAJ_AXIS_PCNT2.
    #[n(0)]
    places: [u16; 12],
    /// CMD, CMD2, SHORT_STROKE, BKGD_MIX, FRGD_MIX.
    #[n(1)]
    commands: [u16; 5],
    /// BKGD_COLOR, FRGD_COLOR, WRT_MASK, RD_MASK, COLOR_CMP.
    #[n(2)]
    colours: [u32; 5],
    /// MIN_AXIS_PCNT, SCISSORS_T, _L, _B, _R, PIX_CNTL, MULT_MISC2, MULT_MISC, READ_SEL, BEE8h's latch.
    #[n(3)]
    multifunc: [u16; 10],
    #[n(4)]
    pattern: [u16; 2],
    #[n(5)]
    pending: u8,
    #[n(6)]
    held: bool,
    #[n(7)]
    transfer: Option<TransferV1>,
}

#[derive(Debug, Encode, Decode)]
struct TransferV1 {
    #[n(0)]
    bytes: u32,
    #[n(1)]
    mono: bool,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    row: Vec<u8>,
    #[n(3)]
    drawn: u32,
    #[n(4)]
    unit: [u8; 4],
    #[n(5)]
    unit_len: u8,
    #[n(6)]
    area: Option<AreaV1>,
    #[n(7)]
    line: Option<LineV1>,
}

#[derive(Debug, Encode, Decode)]
struct AreaV1 {
    #[n(0)]
    at: [u16; 2],
    #[n(1)]
    width: u32,
    #[n(2)]
    rows: u32,
    #[n(3)]
    inc: [bool; 2],
    /// Of a BitBLT.
    #[n(4)]
    source: Option<[u16; 2]>,
    /// Of a pattern fill.
    #[n(5)]
    tile: Option<Vec<u32>>,
}

#[derive(Debug, Encode, Decode)]
struct LineV1 {
    #[n(0)]
    at: [u16; 2],
    #[n(1)]
    axial: [i8; 2],
    #[n(2)]
    diagonal: [i8; 2],
    #[n(3)]
    left: u32,
    #[n(4)]
    last: bool,
    /// 0: radial, 1: Bresenham (error, axial, diagonal), 2: two-point (error, minor, major).
    #[n(5)]
    way: u8,
    #[n(6)]
    constants: [i32; 3],
}

/// The field and value that no running chip can hold.
type Bad = (&'static str, u64);

impl Engine {
    pub fn save(&self) -> EngineV1 {
        let Self { regs, pending, transfer, held, scratch: _, commands: _ } = self;
        let Regs {
            cur_x,
            cur_y,
            cur_x2,
            cur_y2,
            desty_axstp,
            destx_diastp,
            desty_axstp2,
            destx_diastp2,
            err_term,
            err_term2,
            maj_axis_pcnt,
            maj_axis_pcnt2,
            cmd,
            cmd2,
            short_stroke,
            bkgd_color,
            frgd_color,
            wrt_mask,
            rd_mask,
            color_cmp,
            bkgd_mix,
            frgd_mix,
            min_axis_pcnt,
            scissors_t,
            scissors_l,
            scissors_b,
            scissors_r,
            pix_cntl,
            mult_misc2,
            mult_misc,
            read_sel,
            multifunc,
            pattern,
        } = regs;
        EngineV1 {
            places: [
                *cur_x,
                *cur_y,
                *cur_x2,
                *cur_y2,
                *desty_axstp,
                *destx_diastp,
                *desty_axstp2,
                *destx_diastp2,
                *err_term,
                *err_term2,
                *maj_axis_pcnt,
                *maj_axis_pcnt2,
            ],
            commands: [cmd.into_bits(), *cmd2, *short_stroke, bkgd_mix.into_bits(), frgd_mix.into_bits()],
            colours: [*bkgd_color, *frgd_color, *wrt_mask, *rd_mask, *color_cmp],
            multifunc: [
                *min_axis_pcnt,
                *scissors_t,
                *scissors_l,
                *scissors_b,
                *scissors_r,
                pix_cntl.into_bits(),
                mult_misc2.into_bits(),
                mult_misc.into_bits(),
                *read_sel,
                *multifunc,
            ],
            pattern: [pattern.0, pattern.1],
            pending: *pending,
            held: *held,
            transfer: transfer.as_ref().map(save_transfer),
        }
    }

    pub fn load(s: EngineV1) -> Result<Self, Bad> {
        let EngineV1 { places, commands, colours, multifunc, pattern, pending, held, transfer } = s;
        let [cur_x, cur_y, cur_x2, cur_y2] = [0, 1, 2, 3].map(|i: usize| places[i] & TWELVE);
        let [desty_axstp, destx_diastp, desty_axstp2, destx_diastp2, err_term, err_term2] =
            [4, 5, 6, 7, 8, 9].map(|i: usize| places[i] & FOURTEEN);
        let [maj_axis_pcnt, maj_axis_pcnt2] = [10, 11].map(|i: usize| places[i] & TWELVE);
        let [cmd, cmd2, short_stroke, bkgd_mix, frgd_mix] = commands;
        let [bkgd_color, frgd_color, wrt_mask, rd_mask, color_cmp] = colours;
        let [min_axis_pcnt, scissors_t, scissors_l, scissors_b, scissors_r] =
            [0, 1, 2, 3, 4].map(|i: usize| multifunc[i] & TWELVE);
        let regs = Regs {
            cur_x,
            cur_y,
            cur_x2,
            cur_y2,
            desty_axstp,
            destx_diastp,
            desty_axstp2,
            destx_diastp2,
            err_term,
            err_term2,
            maj_axis_pcnt,
            maj_axis_pcnt2,
            cmd: Cmd::from_bits(cmd),
            cmd2,
            short_stroke,
            bkgd_color,
            frgd_color,
            wrt_mask,
            rd_mask,
            color_cmp,
            bkgd_mix: Mix::from_bits(bkgd_mix & 0x6f),
            frgd_mix: Mix::from_bits(frgd_mix & 0x6f),
            min_axis_pcnt,
            scissors_t,
            scissors_l,
            scissors_b,
            scissors_r,
            pix_cntl: PixCntl::from_bits(multifunc[5] & 0xc4),
            mult_misc2: MultMisc2::from_bits(multifunc[6] & 0x77),
            mult_misc: MultMisc::from_bits(multifunc[7] & 0x3ff),
            read_sel: multifunc[8] & 15,
            multifunc: multifunc[9],
            pattern: (pattern[0] & TWELVE, pattern[1] & TWELVE),
        };
        Ok(Self {
            transfer: transfer.map(|t| load_transfer(t, regs.cmd)).transpose()?,
            regs,
            pending: pending & (subsys::ALL & !subsys::VSY),
            held,
            scratch: Scratch::default(),
            commands: 0,
        })
    }
}

fn save_transfer(t: &Transfer) -> TransferV1 {
    let Transfer { job, bytes, mono, row, drawn, unit, unit_len } = t;
    let area = match job {
        Job::Area(a) => {
            let Area { kind, x, y, width, rows, inc_x, inc_y } = a;
            let (source, tile) = match kind {
                Kind::Rectangle => (None, None),
                Kind::BitBlt { x, y } => (Some([*x, *y]), None),
                Kind::Pattern(tile) => (None, Some(tile.to_vec())),
            };
            Some(AreaV1 { at: [*x, *y], width: *width, rows: *rows, inc: [*inc_x, *inc_y], source, tile })
        }
        Job::Line(_) => None,
    };
    let line = match job {
        Job::Line(w) => {
            let Walk { way, x, y, axial, diagonal, left, last } = w;
            let (way, constants) = match *way {
                Way::Radial => (0, [0; 3]),
                Way::Bresenham { err, axial, diagonal } => (1, [err, axial, diagonal]),
                Way::TwoPoint { err, minor, major } => (2, [err, minor, major]),
            };
            Some(LineV1 {
                at: [*x, *y],
                axial: [axial.0, axial.1],
                diagonal: [diagonal.0, diagonal.1],
                left: *left,
                last: *last,
                way,
                constants,
            })
        }
        Job::Area(_) => None,
    };
    TransferV1 {
        bytes: *bytes,
        mono: *mono,
        row: row.clone(),
        drawn: *drawn,
        unit: *unit,
        unit_len: *unit_len,
        area,
        line,
    }
}

/// Most pixels in a row.
const MOST: u32 = 4096;

fn load_transfer(t: TransferV1, cmd: Cmd) -> Result<Transfer, Bad> {
    let TransferV1 { bytes, mono, row, drawn, unit, unit_len, area, line } = t;
    if !matches!(bytes, 1 | 2 | 4) {
        return Err(("transfer pixel bytes", u64::from(bytes)));
    }
    let job = match (area, line) {
        (Some(a), None) => Job::Area(load_area(a)?),
        (None, Some(l)) => Job::Line(load_line(&l)?),
        (a, _) => return Err(("transfer jobs", if a.is_some() { 2 } else { 0 })),
    };
    let t = Transfer { job, bytes, mono, row, drawn, unit, unit_len };
    if drawn > MOST || drawn > t.width() || !t.waits(cmd) {
        return Err(("transfer row", t.row.len() as u64));
    }
    Ok(t)
}

fn load_area(a: AreaV1) -> Result<Area, Bad> {
    let AreaV1 { at: [x, y], width, rows, inc: [inc_x, inc_y], source, tile } = a;
    if !(1..=MOST).contains(&width) {
        return Err(("transfer width", u64::from(width)));
    }
    if !(1..=MOST).contains(&rows) {
        return Err(("transfer rows", u64::from(rows)));
    }
    let kind = match (source, tile) {
        (None, None) => Kind::Rectangle,
        (Some([x, y]), _) => Kind::BitBlt { x: x & TWELVE, y: y & TWELVE },
        (None, Some(tile)) => {
            let len = tile.len() as u64;
            Kind::Pattern(tile.into_boxed_slice().try_into().map_err(|_| ("transfer tile", len))?)
        }
    };
    Ok(Area { kind, x: x & TWELVE, y: y & TWELVE, width, rows, inc_x, inc_y })
}

fn load_line(l: &LineV1) -> Result<Walk, Bad> {
    let LineV1 { at: [x, y], axial, diagonal, left, last, way, constants: [err, b, c] } = *l;
    // A two-point line has a pixel more than its longer way, for the one that is not drawn.
    if !(1..=MOST).contains(&left) {
        return Err(("transfer line", u64::from(left)));
    }
    if axial.into_iter().chain(diagonal).any(|s| !(-1..=1).contains(&s)) {
        return Err(("transfer steps", 0));
    }
    if [err, b, c].iter().any(|v| v.unsigned_abs() > 1 << 14) {
        return Err(("transfer constants", u64::from(err.unsigned_abs())));
    }
    let way = match way {
        0 => Way::Radial,
        1 => Way::Bresenham { err, axial: b, diagonal: c },
        2 => Way::TwoPoint { err, minor: b, major: c },
        n => return Err(("transfer way", u64::from(n))),
    };
    let pair = |[a, b]: [i8; 2]| (a, b);
    Ok(Walk { way, x: x & TWELVE, y: y & TWELVE, axial: pair(axial), diagonal: pair(diagonal), left, last })
}
