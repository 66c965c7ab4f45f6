//! The registers resolved into what is to be drawn.

use super::regs::{
    AttrMode, CharMap, ClockingMode, GraphicsMode, MaxScan, MemoryMode, ModeControl, PresetRow,
};
use super::{Direct, Vga, Vram};

/// How bytes become dots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Four planes, a bit each.
    Planar,
    /// CGA: two bits to a dot, even and odd bytes from planes 0 and 1.
    Cga,
    /// A byte to two dots: mode 13h, mode X.
    Low256,
    /// The same shift without AR10 b6: each half of a byte is a dot's high four bits.
    Nibbles,
    /// A byte to a dot.
    High256,
    Direct(Direct),
}

/// From the CRTC's counter to planar addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addressing {
    /// As it counts: byte mode, and all packed modes.
    Straight,
    /// Word mode: this counter bit comes round to bit 0.
    Word(u8),
    Double,
}

/// A whole screen's worth of register meaning. Two equal pictures show the same for the same memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    pub kind: Kind,
    /// False: a black screen of this size.
    pub on: bool,
    pub width: u32,
    pub height: u32,
    pub(super) chars: u32,
    /// Dots in a character clock.
    pub(super) cell: u32,
    /// 1 or 2: each dot so many times.
    pub(super) stretch: u32,
    pub(super) start: u32,
    pub(super) byte_pan: u32,
    pub(super) pan: u32,
    /// Counter steps from row to row.
    pub(super) pitch: u32,
    pub(super) rows: u32,
    pub(super) double: u32,
    pub(super) preset: u32,
    pub(super) line_compare: u32,
    pub(super) pan_split: bool,
    pub(super) addressing: Addressing,
    pub(super) cga_row: bool,
    pub(super) hercules_row: bool,
    /// Wraps planar addresses.
    pub(super) mask: u32,
    pub(super) fonts: [u32; 2],
    pub(super) fast_font: bool,
    /// The scan line that is underlined in monochrome text.
    pub(super) underline: u32,
    colours: u32,
}

/// Most characters and lines that the counters can hold make no monitor's picture.
const MOST_WIDTH: u32 = 2048;
const MOST_HEIGHT: u32 = 2048;

impl Vga {
    /// What the registers say to draw.
    pub fn picture(&self, v: Vram<'_>) -> Picture {
        let ext = &self.ext;
        let clocking = ClockingMode::from_bits(self.seq[1]);
        let memory = MemoryMode::from_bits(self.seq[4]);
        let mode = GraphicsMode::from_bits(self.gfx[5]);
        let attr = AttrMode::from_bits(self.attr[0x10]);
        let scan = MaxScan::from_bits(self.crtc[9]);
        let control = ModeControl::from_bits(self.crtc[0x17]);
        let preset = PresetRow::from_bits(self.crtc[8]);
        let fonts = CharMap::from_bits(self.seq[3]);

        let kind = match ext.direct {
            Some(d) => Kind::Direct(d),
            None if !attr.graphics() => Kind::Text,
            None if ext.packed_8 => Kind::High256,
            None if mode.shift_256() && !attr.pel_width() => Kind::Nibbles,
            None if mode.shift_256() => Kind::Low256,
            None if mode.shift_interleave() => Kind::Cga,
            None => Kind::Planar,
        };
        let plain = !matches!(kind, Kind::High256 | Kind::Direct(_));
        let packed = ext.linear || matches!(kind, Kind::Direct(_)) || memory.chain_4() && kind != Kind::Text;
        let cell = if kind == Kind::Text && !clocking.dots_8() { 9 } else { 8 };
        let stretch = if clocking.dot_clock_half() || ext.dots_double { 2 } else { 1 };
        let (_, chars) = self.horizontal();
        // Dots of a character clock: two clocks to a dot of sixteen bits.
        let each = if matches!(kind, Kind::Direct(Direct::Rgb15 | Direct::Rgb16)) { 4 } else { cell };
        let chars = chars.min(MOST_WIDTH / each / stretch);
        let dots = chars * each;
        let (display, blank, compare) = self.vertical();
        let lines = if plain && blank != 0 && blank < display { blank } else { display };
        let fields = if ext.interlace { 2 } else { 1 };

        let offset = u32::from(self.crtc[0x13]) + ext.offset;
        // Nothing written counts as 256: a DOS emulator relies on it.
        let offset = if offset == 0 { 256 } else { offset };
        let addressing = if packed {
            Addressing::Straight
        } else if self.crtc[0x14] & 0x40 != 0 {
            Addressing::Double
        } else if control.byte_mode() {
            Addressing::Straight
        } else {
            Addressing::Word(if control.address_wrap() { 15 } else { 13 })
        };
        let pan = self.attr[0x13] & 15;
        Picture {
            kind,
            on: self.attr_index & 0x20 != 0
                && !clocking.screen_off()
                && self.seq[0] & 3 == 3
                && control.run()
                && !ext.blank,
            width: dots * stretch,
            height: (lines * fields).min(MOST_HEIGHT),
            chars,
            cell,
            stretch,
            start: (u32::from(self.crtc[0xc]) << 8 | u32::from(self.crtc[0xd])) + ext.start,
            byte_pan: if plain { u32::from(preset.byte_pan()) } else { 0 },
            pan: match (plain, cell) {
                (false, _) => 0,
                (true, 9) => u32::from(if pan < 8 { pan + 1 } else { 0 }),
                _ => u32::from(pan & 7),
            },
            pitch: offset * 2,
            rows: u32::from(scan.max_scan()) + 1,
            double: u32::from(scan.double()),
            preset: u32::from(preset.row()),
            line_compare: compare * fields,
            pan_split: attr.pan_split(),
            addressing,
            cga_row: !packed && !control.cms0(),
            hercules_row: !packed && !control.cms1(),
            mask: if ext.large { v.len() / 4 - 1 } else { 0xffff & (v.len() / 4 - 1) },
            fonts: [fonts.map_b(), fonts.map_a()],
            fast_font: ext.fast_font,
            underline: u32::from(self.crtc[0x14] & 0x1f),
            colours: self.colours,
        }
    }
}

/// Where a line of the screen comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Counter of its first character clock.
    pub counter: u32,
    /// Row scan counter.
    pub row_scan: u32,
    pub(super) pan: u32,
}

impl Picture {
    /// The source of line `y`: split, panning, doubling and preset row worked in.
    pub fn line(&self, y: u32) -> Line {
        let below = y > self.line_compare;
        let (start, lines, pan) = match below {
            true if self.pan_split => (0, y - self.line_compare - 1, 0),
            true => (self.byte_pan, y - self.line_compare - 1, self.pan),
            false => (self.start + self.byte_pan, y, self.pan),
        };
        let n = (lines >> self.double) + if below { 0 } else { self.preset };
        let counter = start.wrapping_add((n / self.rows).wrapping_mul(self.pitch));
        Line { counter, row_scan: n % self.rows, pan }
    }

    /// Lines with the same key show the same cells of text.
    pub fn cells_key(&self, line: Line) -> (u32, u32) {
        let bits = u32::from(self.cga_row) | u32::from(self.hercules_row) << 1;
        (line.counter, line.row_scan & bits)
    }

    /// The planar address for a counter value. VGA memory address mapping: CR14 b6, CR17 b6, b5, b1, b0.
    #[inline]
    pub(super) fn planar(&self, counter: u32, row_scan: u32) -> u32 {
        let mut a = match self.addressing {
            Addressing::Straight => counter,
            Addressing::Word(bit) => counter << 1 | counter >> bit & 1,
            Addressing::Double => counter << 2 | counter >> 14 & 3,
        };
        if self.cga_row {
            a = a & !0x2000 | (row_scan & 1) << 13;
        }
        if self.hercules_row {
            a = a & !0x4000 | (row_scan >> 1 & 1) << 14;
        }
        a & self.mask
    }

    /// How many counter steps a line takes.
    fn steps(&self) -> u32 {
        match self.kind {
            Kind::High256 | Kind::Direct(Direct::Rgb15 | Direct::Rgb16) => self.chars * 2,
            Kind::Direct(Direct::Rgb32) => self.chars * 8,
            _ => self.chars + 1,
        }
    }

    /// Video memory bytes that a line shows, as (first, one past the last); everything if they wrap.
    pub fn extent(&self, line: Line, all: u32) -> (u32, u32) {
        let first = self.planar(line.counter, line.row_scan) * 4;
        let last = self.planar(line.counter + self.steps() - 1, line.row_scan) * 4;
        if last >= first { (first, last + 4) } else { (0, all) }
    }
}
