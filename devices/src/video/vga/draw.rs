//! A [`Picture`] as pixels, a line at a time.

use super::picture::{Kind, Line, Picture};
use super::regs::AttrMode;
use super::{Direct, Vga, Vram};

/// The parts of a text screen that change by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextLook {
    /// The cursor is in the lit half of its blinking.
    pub cursor: bool,
    /// Blinking characters are.
    pub blink: bool,
}

impl TextLook {
    /// By the number of frames since power-on: the cursor changes every 8, characters every 16.
    pub fn at_frame(n: u64) -> Self {
        Self { cursor: n & 8 == 0, blink: n & 16 == 0 }
    }
}

/// A text cursor as the registers describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// CRTC counter.
    pub at: u32,
    first: u32,
    last: u32,
}

/// Bit 7 - i of a byte as byte i.
const BITS: [u64; 256] = {
    let mut t = [0; 256];
    let mut v = 0;
    while v < 256 {
        let mut i = 0;
        while i < 8 {
            t[v] |= (v as u64 >> (7 - i) & 1) << (8 * i);
            i += 1;
        }
        v += 1;
    }
    t
};

/// What drawing needs over and over, worked out once for a picture.
pub struct Brush {
    dots: Vec<u32>,
    bytes: Vec<u8>,
    palette: [u32; 16],
    colours: [u32; 256],
    cursor: Option<Cursor>,
    attr: AttrMode,
}

impl Vga {
    /// The sixteen colours of text and planar modes: palette, AR14, DAC.
    fn palette(&self) -> [u32; 16] {
        let attr = AttrMode::from_bits(self.attr[0x10]);
        let select = self.attr[0x14];
        std::array::from_fn(|i| {
            let p = self.attr[i & usize::from(self.attr[0x12] & 15)];
            let low = if attr.p54s() { p & 0x0f | (select & 3) << 4 } else { p & 0x3f };
            self.dac.rgb(low | (select & 0x0c) << 4)
        })
    }

    /// The text cursor, if it is on.
    pub fn cursor(&self) -> Option<Cursor> {
        let (start, end) = (self.crtc[0x0a], self.crtc[0x0b]);
        let (first, last) = (u32::from(start & 0x1f), u32::from(end & 0x1f));
        (start & 0x20 == 0 && first <= last).then_some(Cursor {
            at: u32::from(self.crtc[0x0e]) << 8 | u32::from(self.crtc[0x0f]),
            first,
            last,
        })
    }

    pub fn brush(&self) -> Brush {
        Brush {
            dots: Vec::new(),
            bytes: Vec::new(),
            palette: self.palette(),
            colours: self.dac.colours(),
            cursor: self.cursor(),
            attr: AttrMode::from_bits(self.attr[0x10]),
        }
    }

    /// Does attribute bit 7 blink?
    pub fn blinks(&self) -> bool {
        AttrMode::from_bits(self.attr[0x10]).blink()
    }

    /// Draws a line of the picture into `out`, which is as long as the picture is wide.
    pub fn draw(
        &self,
        v: Vram<'_>,
        pic: &Picture,
        line: Line,
        look: TextLook,
        brush: &mut Brush,
        out: &mut [u32],
    ) {
        if !pic.on {
            out.fill(0);
            return;
        }
        brush.dots.clear();
        match pic.kind {
            Kind::Text => self.text(v, pic, line, look, brush),
            Kind::Planar => planar(v, pic, line, brush),
            Kind::Cga => cga(v, pic, line, brush),
            Kind::Low256 => low_256(v, pic, line, brush, |p| [p, p]),
            // Four bits come from the next dot; the pel mask that goes with this mode hides them.
            Kind::Nibbles => low_256(v, pic, line, brush, |p| [p & 0xf0 | p >> 4, p << 4 | p & 0x0f]),
            Kind::High256 => high_256(v, pic, line, brush),
            Kind::Direct(d) => direct(v, pic, line, d, brush),
        }
        let dots = brush.dots.get(line.pan as usize..).unwrap_or_default();
        if pic.stretch == 1 {
            let n = out.len().min(dots.len());
            out[..n].copy_from_slice(&dots[..n]);
        } else {
            for (pair, &dot) in out.chunks_mut(2).zip(dots) {
                pair.fill(dot);
            }
        }
    }

    fn text(&self, v: Vram<'_>, pic: &Picture, line: Line, look: TextLook, b: &mut Brush) {
        let underline = pic.underline;
        for n in 0..=pic.chars {
            let counter = line.counter + n;
            let cell = v.planes(pic.planar(counter, line.row_scan));
            let (code, attr) = (cell & 0xff, (cell >> 8) as u8);
            let font = pic.fonts[usize::from(attr >> 3 & 1)];
            let mut bits = if line.row_scan < 32 {
                let glyph =
                    if pic.fast_font { line.row_scan * 256 + code } else { code * 32 + line.row_scan };
                v.planes((font + glyph) & pic.mask) >> 16 & 0xff
            } else {
                0
            };
            let (mut ink, mut paper) = (attr & 15, attr >> 4);
            if b.attr.blink() {
                paper &= 7;
                if attr & 0x80 != 0 && !look.blink {
                    ink = paper;
                }
            }
            // Bits beyond the eighth dot of a nine-dot cell: the background, or the eighth again.
            let mut ninth = b.attr.line_graphics() && (0xc0..=0xdf).contains(&code) && bits & 1 != 0;
            if attr & 0x77 == 1 && line.row_scan == underline {
                (bits, ninth) = (0xff, true);
            }
            if let Some(c) = b.cursor
                && look.cursor
                && c.at == counter & 0xffff
                && (c.first..=c.last).contains(&line.row_scan)
            {
                (bits, ninth) = (0xff, true);
                // The cursor takes the character's colour, blinking or not.
                ink = attr & 15;
            }
            let (ink, paper) = (b.palette[usize::from(ink)], b.palette[usize::from(paper)]);
            b.dots.extend((0..8).map(|i| if bits >> (7 - i) & 1 != 0 { ink } else { paper }));
            if pic.cell == 9 {
                b.dots.push(if ninth { ink } else { paper });
            }
        }
    }

    /// The cells (code and attribute) that a line of text shows.
    pub fn cells(&self, v: Vram<'_>, pic: &Picture, line: Line, out: &mut Vec<u16>) {
        out.extend((0..=pic.chars).map(|n| v.planes(pic.planar(line.counter + n, line.row_scan)) as u16));
    }

    /// The fonts of a text picture: twice the same if there is one.
    pub fn fonts(&self, v: Vram<'_>, pic: &Picture, out: &mut Vec<u8>) {
        let mut planes = [0; 4 * 256 * 32];
        for font in pic.fonts {
            v.copy(font * 4, &mut planes);
            out.extend(planes.chunks_exact(4).map(|p| p[2]));
        }
    }
}

fn planar(v: Vram<'_>, pic: &Picture, line: Line, b: &mut Brush) {
    for n in 0..=pic.chars {
        let [p0, p1, p2, p3] = v.planes(pic.planar(line.counter + n, line.row_scan)).to_le_bytes();
        let bits = |p: u8| BITS[usize::from(p)];
        let dots = bits(p0) | bits(p1) << 1 | bits(p2) << 2 | bits(p3) << 3;
        b.dots.extend(dots.to_le_bytes().map(|d| b.palette[usize::from(d)]));
    }
}

fn cga(v: Vram<'_>, pic: &Picture, line: Line, b: &mut Brush) {
    for n in 0..=pic.chars {
        let [p0, p1, p2, p3] = v.planes(pic.planar(line.counter + n, line.row_scan)).to_le_bytes();
        for (low, high) in [(p0, p2), (p1, p3)] {
            for shift in [6, 4, 2, 0] {
                let i = low >> shift & 3 | (high >> shift & 3) << 2;
                b.dots.push(b.palette[usize::from(i)]);
            }
        }
    }
}

fn low_256(v: Vram<'_>, pic: &Picture, line: Line, b: &mut Brush, dots: impl Fn(u8) -> [u8; 2]) {
    for n in 0..=pic.chars {
        for p in v.planes(pic.planar(line.counter + n, line.row_scan)).to_le_bytes() {
            b.dots.extend(dots(p).map(|d| b.colours[usize::from(d)]));
        }
    }
}

fn high_256(v: Vram<'_>, pic: &Picture, line: Line, b: &mut Brush) {
    for n in 0..pic.chars * 2 {
        let px = v.planes(pic.planar(line.counter + n, line.row_scan)).to_le_bytes();
        b.dots.extend(px.map(|p| b.colours[usize::from(p)]));
    }
}

fn direct(v: Vram<'_>, pic: &Picture, line: Line, d: Direct, b: &mut Brush) {
    let dots = (pic.width / pic.stretch) as usize;
    let each = if d == Direct::Rgb32 { 4 } else { 2 };
    b.bytes.resize(dots * each, 0);
    v.copy(pic.planar(line.counter, 0) * 4, &mut b.bytes);
    let px = &mut b.dots;
    let pixels = b.bytes.chunks_exact(each);
    if each == 2 {
        px.extend(pixels.map(|p| d.rgb(u32::from(u16::from_le_bytes([p[0], p[1]])))));
    } else {
        px.extend(pixels.map(|p| d.rgb(u32::from_le_bytes([p[0], p[1], p[2], p[3]]))));
    }
}
