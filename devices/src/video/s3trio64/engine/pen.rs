//! What happens to a pixel: source, mix, compare, masks, scissors.
//!
//! Every mix is a function of one source and one destination bit, so it can be written as `d & keep ^ flip` with two
//! values that depend on the source alone. Rows whose `keep` and `flip` are the same for all pixels, or follow from one
//! row of source bytes, are worked on as bytes, whatever the depth; the rest goes pixel by pixel.

use super::regs::{Mix, MultMisc, MultMisc2, PixCntl};
use super::{Geometry, Regs};

/// For each mix code the result for (source, destination) = (0, 0), (0, 1), (1, 0), (1, 1), in bits 0-3.
const TRUTH: [u8; 16] = [
    0b0101, 0b0000, 0b1111, 0b1010, 0b0011, 0b0110, 0b1001, 0b1100, 0b0111, 0b1011, 0b1101, 0b1110, 0b1000,
    0b0100, 0b0010, 0b0001,
];

/// `d & keep ^ flip`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub keep: u32,
    pub flip: u32,
}

impl Step {
    #[inline]
    pub fn on(self, d: u32) -> u32 {
        d & self.keep ^ self.flip
    }
}

/// One of the sixteen functions, as masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Function {
    s0d0: u32,
    s0d1: u32,
    s1d0: u32,
    s1d1: u32,
}

impl Function {
    fn of(mix: u8) -> Self {
        let bit = |n: u32| if TRUTH[usize::from(mix & 15)] >> n & 1 != 0 { u32::MAX } else { 0 };
        Self { s0d0: bit(0), s0d1: bit(1), s1d0: bit(2), s1d1: bit(3) }
    }

    #[inline]
    fn step(self, s: u32, mask: u32) -> Step {
        let zero = s & self.s1d0 | !s & self.s0d0;
        let one = s & self.s1d1 | !s & self.s0d1;
        Step { keep: zero ^ one | !mask, flip: zero & mask }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Colour(u32),
    Cpu,
    Memory,
}

/// FRGD_MIX or BKGD_MIX with what it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Side {
    function: Function,
    source: Source,
}

/// What chooses between the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Select {
    Foreground,
    CpuBits,
    Memory,
}

/// How a row can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// The same for all pixels.
    Constant(Step),
    /// The source bytes, as they are.
    Copy,
    /// By source bytes.
    Bytes(ByteSource),
    /// By bits from the processor: foreground, background.
    Bits(Step, Step),
    Pixels,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteSource {
    Memory,
    Cpu,
}

/// The registers that say how pixels are drawn, resolved. Lives as long as one row or line.
#[derive(Debug, Clone)]
pub struct Pen {
    /// Bytes of a pixel: 1, 2 or 4.
    pub bytes: u32,
    pub pitch: u32,
    pub dest_base: u32,
    pub src_base: u32,
    /// Left, top, right, bottom; the last two belong to the rectangle.
    clip: [u16; 4],
    outside: bool,
    /// False: nothing is written.
    pub writes: bool,
    /// WRT_MASK, and the bits of a pixel, repeated through 32 bits.
    mask: u32,
    foreground: Side,
    background: Side,
    select: Select,
    /// COLOR_CMP, and whether a source must be that colour (else: must not).
    compare: Option<(u32, bool)>,
    rd_mask: u32,
    pub plan: Plan,
}

/// The low pixel of a register, through 32 bits.
fn repeat(v: u32, bytes: u32) -> u32 {
    match bytes {
        1 => (v & 0xff) * 0x0101_0101,
        2 => (v & 0xffff) * 0x0001_0001,
        _ => v,
    }
}

/// Bits of one pixel.
fn pixel_bits(bytes: u32) -> u32 {
    u32::MAX >> (32 - 8 * bytes)
}

impl Regs {
    /// Data from the processor is a bit to a pixel: across the planes, or choosing the mix, and not wanted as colours.
    pub fn mono(&self) -> bool {
        let colours = |m: Mix| m.source() == 2;
        let bits = self.cmd.across_plane() || self.pix_cntl.mix_select() == 2;
        bits && !(colours(self.frgd_mix) && colours(self.bkgd_mix))
    }

    pub fn pen(&self, g: Geometry) -> Pen {
        let bytes = g.bytes;
        let mask = repeat(self.wrt_mask, bytes);
        let side = |m: Mix| Side {
            function: Function::of(m.mix()),
            source: match m.source() {
                0 => Source::Colour(repeat(self.bkgd_color, bytes)),
                1 => Source::Colour(repeat(self.frgd_color, bytes)),
                2 => Source::Cpu,
                _ => Source::Memory,
            },
        };
        let (foreground, background) = (side(self.frgd_mix), side(self.bkgd_mix));
        let select = match PixCntl::mix_select(&self.pix_cntl) {
            3 => Select::Memory,
            _ if self.cmd.wait() && self.mono() => Select::CpuBits,
            _ => Select::Foreground,
        };
        let (misc, misc2): (MultMisc, MultMisc2) = (self.mult_misc, self.mult_misc2);
        let base = |new: u8, old: u8| u32::from(if new != 0 { new } else { old }) << 20;
        let mut pen = Pen {
            bytes,
            pitch: g.pitch,
            dest_base: base(misc2.dest_base(), misc.dest_base()),
            src_base: base(misc2.src_base(), misc.src_base()),
            clip: [self.scissors_l, self.scissors_t, self.scissors_r, self.scissors_b],
            outside: misc.ext_clip(),
            writes: self.cmd.write() && self.cmd.draw() && mask != 0,
            mask,
            foreground,
            background,
            select,
            compare: misc.compare().then(|| (repeat(self.color_cmp, bytes), misc.src_ne())),
            rd_mask: self.rd_mask & pixel_bits(bytes),
            plan: Plan::Pixels,
        };
        pen.plan = pen.plan();
        pen
    }
}

impl Pen {
    fn plan(&self) -> Plan {
        if self.compare.is_some() {
            return Plan::Pixels;
        }
        let constant = |side: Side| match side.source {
            Source::Colour(s) => Some(side.function.step(s, self.mask)),
            // Nothing of the source is left: black, white, nothing, inverse.
            _ if side.function.s0d0 == side.function.s1d0 && side.function.s0d1 == side.function.s1d1 => {
                Some(side.function.step(0, self.mask))
            }
            _ => None,
        };
        let (f, b) = (constant(self.foreground), constant(self.background));
        match (self.select, self.foreground.source) {
            (Select::Foreground, source) => match (f, source) {
                (Some(step), _) => Plan::Constant(step),
                (None, Source::Memory) if self.copies() => Plan::Copy,
                (None, Source::Memory) => Plan::Bytes(ByteSource::Memory),
                (None, _) => Plan::Bytes(ByteSource::Cpu),
            },
            (Select::CpuBits, _) => match (f, b) {
                (Some(f), Some(b)) => Plan::Bits(f, b),
                _ => Plan::Pixels,
            },
            (Select::Memory, _) => Plan::Pixels,
        }
    }

    fn copies(&self) -> bool {
        self.foreground.function == Function::of(7) && self.mask == u32::MAX
    }

    /// What a source byte row makes of destination bytes. For [`Plan::Bytes`].
    pub fn mix_bytes(&self, source: &[u8], dest: &mut [u8]) {
        let f = self.foreground.function;
        let [a, b, c, e] = [f.s0d0, f.s0d1, f.s1d0, f.s1d1].map(|m| m as u8);
        let mask = self.mask.to_le_bytes();
        let one = |s: u8, d: u8, mask: u8| {
            let (zero, one) = (s & c | !s & a, s & e | !s & b);
            d & (zero ^ one | !mask) ^ zero & mask
        };
        if mask == [0xff; 4] {
            for (d, &s) in dest.iter_mut().zip(source) {
                *d = one(s, *d, 0xff);
            }
            return;
        }
        for (d, s) in dest.chunks_mut(4).zip(source.chunks(4)) {
            for ((d, &s), &m) in d.iter_mut().zip(s).zip(&mask) {
                *d = one(s, *d, m);
            }
        }
    }

    /// Is this pixel one that the scissors let through?
    #[inline]
    pub fn visible(&self, x: u16, y: u16) -> bool {
        let [l, t, r, b] = self.clip;
        ((l..=r).contains(&x) && (t..=b).contains(&y)) != self.outside
    }

    /// The parts of a run of pixels that the scissors let through, in ascending order; empty ones too.
    pub fn visible_runs(&self, y: u16, first: u32, end: u32) -> [(u32, u32); 2] {
        let [l, t, r, b] = self.clip.map(u32::from);
        let y = u32::from(y);
        let crosses = (t..=b).contains(&y) && l <= r;
        let none = (0, 0);
        match (self.outside, crosses) {
            (false, false) => [none; 2],
            (false, true) => [(first.max(l), end.min(r + 1)), none],
            (true, false) => [(first, end), none],
            (true, true) => [(first, end.min(l)), (first.max(r + 1), end)],
        }
    }

    /// Video memory offset of a destination pixel, before it wraps.
    #[inline]
    pub fn dest(&self, x: u32, y: u16) -> u32 {
        self.dest_base + u32::from(y) * self.pitch + x * self.bytes
    }

    #[inline]
    pub fn src(&self, x: u32, y: u16) -> u32 {
        self.src_base + u32::from(y) * self.pitch + x * self.bytes
    }

    /// A pixel anew. `memory`: the source pixel, or for operations without one the destination's; `cpu` and `bit`: what the
    /// processor sent. All repeated through 32 bits or not as they like: only the pixel's own bits of the answer count.
    #[inline]
    pub fn pixel(&self, d: u32, memory: u32, cpu: u32, bit: bool) -> u32 {
        let front = match self.select {
            Select::Foreground => true,
            Select::CpuBits => bit,
            Select::Memory => memory & self.rd_mask == self.rd_mask,
        };
        let side = if front { &self.foreground } else { &self.background };
        let s = match side.source {
            Source::Colour(c) => c,
            Source::Cpu => cpu,
            Source::Memory => memory,
        };
        if let Some((colour, equal)) = self.compare
            && ((s ^ colour) & pixel_bits(self.bytes) == 0) != equal
        {
            return d;
        }
        side.function.step(s, self.mask).on(d)
    }
}
