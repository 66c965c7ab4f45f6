//! The drawing engine once more, as plainly as can be: one pixel at a time, no rows, no masks made beforehand. What the chip
//! draws is compared with this.

use proptest::prelude::*;

/// Everything that a driver sets before a command. Field names are the registers'.
#[derive(Debug, Clone)]
pub struct Setup {
    pub cmd: u16,
    pub cur: (u16, u16),
    pub cur2: (u16, u16),
    pub dest: (u16, u16),
    pub dest2: (u16, u16),
    pub err_term: u16,
    pub maj: u16,
    pub min: u16,
    pub bkgd_color: u32,
    pub frgd_color: u32,
    pub wrt_mask: u32,
    pub rd_mask: u32,
    pub color_cmp: u32,
    pub bkgd_mix: u16,
    pub frgd_mix: u16,
    /// Left, top, right, bottom.
    pub scissors: [u16; 4],
    pub pix_cntl: u16,
    pub mult_misc: u16,
    pub mult_misc2: u16,
    pub short_stroke: u16,
    /// Sent to PIX_TRANS.
    pub data: Vec<u8>,
}

impl Setup {
    /// A plain command that draws, with everything open.
    pub fn new(cmd: u16) -> Self {
        Self {
            cmd,
            cur: (0, 0),
            cur2: (0, 0),
            dest: (0, 0),
            dest2: (0, 0),
            err_term: 0,
            maj: 0,
            min: 0,
            bkgd_color: 0,
            frgd_color: 0,
            wrt_mask: u32::MAX,
            rd_mask: u32::MAX,
            color_cmp: 0,
            bkgd_mix: 0x07,
            frgd_mix: 0x27,
            scissors: [0, 0, 0xfff, 0xfff],
            pix_cntl: 0,
            mult_misc: 0,
            mult_misc2: 0,
            short_stroke: 0,
            data: Vec::new(),
        }
    }

    fn bit(&self, n: u16) -> bool {
        self.cmd >> n & 1 != 0
    }

    pub fn operation(&self) -> u16 {
        self.cmd >> 13 | (self.cmd >> 11 & 1) << 3
    }

    pub fn waits(&self) -> bool {
        self.bit(8)
    }

    /// Bytes of a bus unit.
    pub fn unit(&self) -> usize {
        [1, 2, 4, 4][usize::from(self.cmd >> 9 & 3)]
    }

    /// Bits from the processor choose the mix of each pixel.
    fn mono(&self) -> bool {
        let cpu = |mix: u16| mix >> 5 & 3 == 2;
        (self.bit(1) || self.pix_cntl >> 6 & 3 == 2) && !(cpu(self.bkgd_mix) && cpu(self.frgd_mix))
    }

    /// Bytes that the whole command takes from the processor.
    pub fn wants(&self, bytes: usize) -> usize {
        let (w, h) = match self.operation() {
            2 | 6 | 7 => (usize::from(self.maj) + 1, usize::from(self.min) + 1),
            _ => (usize::from(self.maj) + 1, 1),
        };
        let row = if self.mono() { w.div_ceil(8) } else { w * bytes };
        let row = if self.cmd >> 9 & 3 == 3 { row } else { row.div_ceil(self.unit()) * self.unit() };
        (row * h).div_ceil(self.unit()) * self.unit()
    }

    /// The byte of the stream at `n`, in the order in which the chip takes them.
    fn byte(&self, n: usize) -> u8 {
        let size = self.unit();
        let within = if self.bit(12) { n % size } else { size - 1 - n % size };
        self.data.get(n / size * size + within).copied().unwrap_or(0)
    }

    /// What the processor sent for pixel `i` of row `row`: a bit, a colour.
    fn sent(&self, bytes: usize, row: usize, i: usize, width: usize) -> (bool, u32) {
        if !self.waits() {
            return (true, 0);
        }
        let len = if self.mono() { width.div_ceil(8) } else { width * bytes };
        let len = if self.cmd >> 9 & 3 == 3 { len } else { len.div_ceil(self.unit()) * self.unit() };
        if self.mono() {
            return (self.byte(row * len + i / 8) >> (7 - i % 8) & 1 != 0, 0);
        }
        let at = row * len + i * bytes;
        (true, (0..bytes).map(|b| u32::from(self.byte(at + b)) << (8 * b)).sum())
    }
}

/// Names as the data book's table has them.
pub fn mix(code: u16, s: bool, d: bool) -> bool {
    match code & 15 {
        0 => !d,
        1 => false,
        2 => true,
        3 => d,
        4 => !s,
        5 => s != d,
        6 => s == d,
        7 => s,
        8 => !(s && d),
        9 => !s || d,
        10 => s || !d,
        11 => s || d,
        12 => s && d,
        13 => s && !d,
        14 => !s && d,
        _ => !(s || d),
    }
}

pub struct Model {
    pub vram: Vec<u8>,
    /// Of a pixel: 1, 2 or 4.
    pub bytes: usize,
    /// Pixels from row to row.
    pub width: usize,
    /// Where the last pattern was.
    pattern: (u16, u16),
}

/// CUR_X, CUR_Y, CUR_X2, CUR_Y2, DESTX, DESTY, ERR_TERM after a command.
pub type After = [u16; 7];

impl Model {
    pub fn new(vram: Vec<u8>, bytes: usize, width: usize) -> Self {
        Self { vram, bytes, width, pattern: (0, 0) }
    }

    fn at(&self, base: usize, x: u16, y: u16) -> usize {
        (base + (usize::from(y) * self.width + usize::from(x)) * self.bytes) % self.vram.len()
    }

    fn get(&self, at: usize) -> u32 {
        (0..self.bytes).map(|b| u32::from(self.vram[at + b]) << (8 * b)).sum()
    }

    fn base(s: &Setup, source: bool) -> usize {
        let shift = if source { (2, 4) } else { (0, 0) };
        let (old, new) = (s.mult_misc >> shift.0 & 3, s.mult_misc2 >> shift.1 & 7);
        usize::from(if new != 0 { new } else { old }) << 20
    }

    /// One pixel. `memory`: the source pixel of transfers and patterns.
    fn plot(&mut self, s: &Setup, x: u16, y: u16, memory: Option<u32>, (bit, cpu): (bool, u32)) {
        let [l, t, r, b] = s.scissors;
        let inside = l <= x && x <= r && t <= y && y <= b;
        if inside == (s.mult_misc & 0x20 != 0) || !s.bit(0) || !s.bit(4) {
            return;
        }
        let at = self.at(Self::base(s, false), x, y);
        let d = self.get(at);
        let memory = memory.unwrap_or(d);
        let all = (1u64 << (8 * self.bytes)) - 1;
        let all = all as u32;
        let front = match s.pix_cntl >> 6 & 3 {
            3 => memory & s.rd_mask & all == s.rd_mask & all,
            _ if s.waits() && s.mono() => bit,
            _ => true,
        };
        let with = if front { s.frgd_mix } else { s.bkgd_mix };
        let source = match with >> 5 & 3 {
            0 => s.bkgd_color,
            1 => s.frgd_color,
            2 => cpu,
            _ => memory,
        } & all;
        if s.mult_misc & 0x100 != 0 {
            let same = source == s.color_cmp & all;
            if same != (s.mult_misc & 0x80 != 0) {
                return;
            }
        }
        let mut out = d;
        for n in 0..8 * self.bytes {
            if s.wrt_mask >> n & 1 != 0 {
                let v = mix(with, source >> n & 1 != 0, d >> n & 1 != 0);
                out = out & !(1 << n) | u32::from(v) << n;
            }
        }
        for b in 0..self.bytes {
            self.vram[at + b] = (out >> (8 * b)) as u8;
        }
    }

    fn line(&mut self, s: &Setup, after: &mut After) {
        let sign = |n| if s.bit(n) { 1i16 } else { -1 };
        let (sx, sy) = (sign(5), sign(7));
        let fourteen = |v: u16| i32::from(v & 0x3fff) - if v & 0x2000 != 0 { 0x4000 } else { 0 };
        let (axial, diagonal) = (fourteen(s.dest.1), fourteen(s.dest.0));
        let mut err = fourteen(s.err_term);
        let (mut x, mut y) = s.cur;
        let n = usize::from(s.maj) + 1;
        for i in 0..n {
            if i + 1 < n || !s.bit(2) {
                self.plot(s, x, y, None, s.sent(self.bytes, 0, i, n));
            }
            if i + 1 == n {
                break;
            }
            let (mut dx, mut dy) = (0, 0);
            if s.bit(3) {
                (dx, dy) = direction(s.cmd >> 5 & 7);
            } else {
                if s.bit(6) {
                    dy = sy
                } else {
                    dx = sx
                }
                if err >= 0 {
                    (dx, dy) = (sx, sy);
                    err += diagonal;
                } else {
                    err += axial;
                }
                err = fourteen(err as u16);
            }
            x = x.wrapping_add_signed(dx) & 0xfff;
            y = y.wrapping_add_signed(dy) & 0xfff;
        }
        (after[0], after[1]) = (x, y);
        if !s.bit(3) {
            after[6] = err as u16 & 0x3fff;
        }
    }

    fn strokes(&mut self, s: &Setup, after: &mut After) {
        let [low, high] = s.short_stroke.to_le_bytes();
        let (mut x, mut y) = s.cur;
        for stroke in if s.bit(12) { [low, high] } else { [high, low] } {
            let (dx, dy) = direction(u16::from(stroke >> 5));
            for i in 0..=stroke & 15 {
                let last = i == stroke & 15;
                if stroke & 0x10 != 0 && !(last && s.bit(2)) {
                    self.plot(s, x, y, None, (true, 0));
                }
                if !last {
                    x = x.wrapping_add_signed(dx) & 0xfff;
                    y = y.wrapping_add_signed(dy) & 0xfff;
                }
            }
        }
        (after[0], after[1]) = (x, y);
    }

    fn two_point(&mut self, s: &Setup, after: &mut After) {
        let dx = sx(s.dest.0) - sx(s.cur.0);
        let dy = sx(s.dest.1.wrapping_sub(s.cur.1));
        let (mut x, mut y) = (i32::from(s.cur.0), i32::from(s.cur.1));
        let long = dx.abs().max(dy.abs());
        let mut acc = long / 2;
        for _ in 0..long {
            self.plot(s, x as u16 & 0xfff, y as u16 & 0xfff, None, (true, 0));
            let (h, v) = (dx.signum(), dy.signum());
            acc -= dx.abs().min(dy.abs());
            let both = acc < 0;
            if both {
                acc += long;
            }
            if dx.abs() > dy.abs() || both {
                x += h;
            }
            if dx.abs() <= dy.abs() || both {
                y += v;
            }
        }
        (after[0], after[1]) = (x as u16 & 0xfff, y as u16 & 0xfff);
    }

    fn polygon(&mut self, s: &Setup, after: &mut After) {
        let tile = (s.operation() == 11).then(|| self.tile(s, self.pattern));
        let fall = |from: (u16, u16), to: (u16, u16)| sx(to.1.wrapping_sub(from.1));
        let (fall_a, fall_b) = (fall(s.cur, s.dest), fall(s.cur2, s.dest2));
        let x_at = |from: (u16, u16), to: (u16, u16), n: i32, of: i32| {
            let (a, b) = (f64::from(sx(from.0)), f64::from(sx(to.0)));
            // Twelve bits times twelve bits: a double is exact up to the division, and floors right.
            sx(from.0) + ((b - a) * f64::from(n) / f64::from(of)).floor() as i32
        };
        if fall_a <= 0 || fall_b <= 0 {
            if fall_a == 0 {
                after[0] = s.dest.0 & 0xfff;
            }
            if fall_b == 0 {
                after[2] = s.dest2.0 & 0xfff;
            }
            return;
        }
        let rows = fall_a.min(fall_b);
        for n in 0..rows {
            let y = s.cur.1.wrapping_add(n as u16) & 0xfff;
            let (a, b) = (x_at(s.cur, s.dest, n, fall_a), x_at(s.cur2, s.dest2, n, fall_b));
            for x in a.min(b)..=a.max(b) {
                let x = x as u16 & 0xfff;
                let from = tile.as_ref().map(|t| t[usize::from(y % 8) * 8 + usize::from(x % 8)]);
                self.plot(s, x, y, from, (true, 0));
            }
        }
        after[0] = x_at(s.cur, s.dest, rows, fall_a) as u16 & 0xfff;
        after[1] = s.cur.1.wrapping_add(rows as u16) & 0xfff;
        after[2] = x_at(s.cur2, s.dest2, rows, fall_b) as u16 & 0xfff;
        after[3] = s.cur2.1.wrapping_add(rows as u16) & 0xfff;
    }

    fn tile(&self, s: &Setup, at: (u16, u16)) -> Vec<u32> {
        let mut tile = Vec::new();
        for y in 0..8 {
            for x in 0..8 {
                let (x, y) = ((at.0 + x) & 0xfff, (at.1 + y) & 0xfff);
                tile.push(self.get(self.at(Self::base(s, true), x, y)));
            }
        }
        tile
    }

    fn area(&mut self, s: &Setup, after: &mut After) {
        let go = |from: u16, n: u16, up: bool| if up { from.wrapping_add(n) } else { from.wrapping_sub(n) } & 0xfff;
        let (right, down) = (s.bit(5), s.bit(7));
        let tile = (s.operation() == 7).then(|| self.tile(s, s.cur));
        let to = if s.operation() == 2 { s.cur } else { (s.dest.0 & 0xfff, s.dest.1 & 0xfff) };
        for row in 0..=s.min {
            for i in 0..=s.maj {
                let (x, y) = (go(to.0, i, right), go(to.1, row, down));
                let memory = match s.operation() {
                    6 => {
                        let (x, y) = (go(s.cur.0, i, right), go(s.cur.1, row, down));
                        Some(self.get(self.at(Self::base(s, true), x, y)))
                    }
                    7 => tile.as_ref().map(|t| t[usize::from(y % 8) * 8 + usize::from(x % 8)]),
                    _ => None,
                };
                let sent = s.sent(self.bytes, row.into(), i.into(), usize::from(s.maj) + 1);
                self.plot(s, x, y, memory, sent);
            }
        }
        let end = go(to.1, s.min + 1, down);
        if s.operation() == 2 {
            after[1] = end
        } else {
            after[5] = end
        }
        if s.operation() == 7 {
            self.pattern = s.cur;
        }
    }

    /// Carries the command out.
    pub fn run(&mut self, s: &Setup) -> After {
        let mut after = [s.cur.0, s.cur.1, s.cur2.0, s.cur2.1, s.dest.0, s.dest.1, s.err_term];
        match s.operation() {
            0 => self.strokes(s, &mut after),
            1 => self.line(s, &mut after),
            2 | 6 | 7 => self.area(s, &mut after),
            3 | 11 => self.polygon(s, &mut after),
            9 => self.two_point(s, &mut after),
            _ => {}
        }
        after
    }
}

/// Twelve bits, signed.
fn sx(v: u16) -> i32 {
    let v = i32::from(v & 0xfff);
    if v >= 0x800 { v - 0x1000 } else { v }
}

/// Counter-clockwise from the right, Y downwards.
fn direction(n: u16) -> (i16, i16) {
    match n & 7 {
        0 => (1, 0),
        1 => (1, -1),
        2 => (0, -1),
        3 => (-1, -1),
        4 => (-1, 0),
        5 => (-1, 1),
        6 => (0, 1),
        _ => (1, 1),
    }
}

/// Coordinates: most near the origin, some round the ends, some anywhere.
fn coordinate() -> impl Strategy<Value = u16> {
    prop_oneof![6 => 0u16..80, 1 => 0xfd0u16..0x1000, 1 => 0x7e0u16..0x820, 1 => 0u16..0x1000]
}

fn point() -> impl Strategy<Value = (u16, u16)> {
    (coordinate(), coordinate())
}

/// Masks and colours: often all or nothing or a few values, so that comparisons hit.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![Just(u32::MAX), Just(0), (0u32..4).prop_map(|v| v * 0x5555_5555), any::<u32>()]
}

fn count() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 0u16..70, 1 => 0u16..300]
}

fn scissors() -> impl Strategy<Value = [u16; 4]> {
    prop_oneof![
        Just([0, 0, 0xfff, 0xfff]),
        (0u16..40, 0u16..40, 20u16..80, 20u16..80).prop_map(|(l, t, r, b)| [l, t, r, b]),
        (coordinate(), coordinate(), coordinate(), coordinate()).prop_map(|(l, t, r, b)| [l, t, r, b]),
    ]
}

/// Any command of any kind.
pub fn setups() -> impl Strategy<Value = Setup> {
    let operation = prop_oneof![Just(0u16), Just(1), Just(2), Just(3), Just(6), Just(7), Just(9), Just(11)];
    commands(operation.boxed(), any::<bool>().boxed())
}

/// Any command that waits for data.
pub fn transfers(operations: &'static [u16]) -> impl Strategy<Value = Setup> {
    commands(prop::sample::select(operations).boxed(), Just(true).boxed())
}

/// (Bits that stop all drawing come up less often than chance would have them.)
fn commands(operation: BoxedStrategy<u16>, wait: BoxedStrategy<bool>) -> impl Strategy<Value = Setup> {
    let command =
        (operation, any::<u16>(), 0u8..12, 0u8..12, wait).prop_map(|(op, bits, write, draw, wait)| {
            let mut cmd = bits & 0x16fe & !0x10 | op << 13 | (op >> 3) << 11;
            cmd |= u16::from(write != 0) | u16::from(draw != 0) << 4;
            // Polygons, strokes and lines from point to point take no data.
            cmd | u16::from(wait && matches!(op, 1 | 2 | 6 | 7)) << 8
        });
    let places = (point(), point(), point(), point(), 0u16..0x4000, count(), count());
    let colours = (word(), word(), word(), word(), word());
    let mixes = (0u16..0x80, 0u16..0x80, prop_oneof![Just(0u16), Just(0x80), Just(0xc0), Just(0x40)]);
    let misc = (0u16..16, any::<bool>(), 0u16..4, 0u16..0x80);
    (command, places, colours, mixes, misc, scissors(), any::<u16>(), any::<u64>()).prop_map(
        |(cmd, places, colours, mixes, misc, scissors, short_stroke, seed)| {
            let mut s = Setup::new(cmd);
            (s.cur, s.cur2, s.dest, s.dest2, s.err_term, s.maj, s.min) = places;
            if cmd >> 13 == 1 && cmd & 0x800 == 0 && seed & 1 != 0 {
                // A line as a driver has it: constants of lengths in the proportion of DESTX to DESTY.
                let (a, b) = (s.dest.0.max(1) & 0x7ff, s.dest.1 & 0x7ff);
                let (long, short) = (i32::from(a.max(b)), i32::from(a.min(b)));
                s.dest = (((2 * (short - long)) & 0x3fff) as u16, ((2 * short) & 0x3fff) as u16);
                s.err_term = ((2 * short - long) & 0x3fff) as u16;
            }
            (s.bkgd_color, s.frgd_color, s.wrt_mask, s.rd_mask, s.color_cmp) = colours;
            (s.bkgd_mix, s.frgd_mix, s.pix_cntl) = (mixes.0 & 0x6f, mixes.1 & 0x6f, mixes.2);
            s.mult_misc = misc.0 | u16::from(misc.1) << 5 | misc.2 << 7;
            s.mult_misc2 = if seed & 6 == 0 { misc.3 & 0x77 } else { 0 };
            s.scissors = scissors;
            s.short_stroke = short_stroke;
            if s.waits() {
                let mut v = seed | 1;
                s.data = (0..s.wants(4) + 8)
                    .map(|_| {
                        v ^= v << 13;
                        v ^= v >> 7;
                        v ^= v << 17;
                        v as u8
                    })
                    .collect();
            }
            s
        },
    )
}
