//! The standard VGA modes: register values and palettes. IBM PS/2 Hardware Interface Technical Reference, Video
//! Subsystem; RBIL's INT 10h AH=00h.

/// How pixels or characters lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Text,
    /// Two bits a pixel, odd rows 8 KiB on.
    Cga4,
    /// One bit a pixel, odd rows 8 KiB on.
    Cga2,
    /// Four planes.
    Planar,
    /// One byte a pixel.
    Linear8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dac {
    Mono,
    Cga,
    Ega,
    Vga256,
}

#[derive(Debug, Clone, Copy)]
pub struct Mode {
    pub number: u8,
    pub layout: Layout,
    pub columns: u8,
    pub rows: u8,
    pub height: u8,
    pub page_size: u16,
    pub segment: u16,
    pub dac: Dac,
    pub misc: u8,
    pub seq: [u8; 4],
    pub crtc: [u8; 25],
    pub attr: [u8; 20],
    pub gfx: [u8; 9],
}

const ATTR_TEXT: [u8; 20] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c,
    0x00, 0x0f, 0x08,
];
const ATTR_MONO: [u8; 20] = [
    0x00, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x10, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x0e,
    0x00, 0x0f, 0x08,
];
const ATTR_CGA4: [u8; 20] = [
    0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x01,
    0x00, 0x03, 0x00,
];
const ATTR_CGA2: [u8; 20] = [
    0x00, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x01,
    0x00, 0x01, 0x00,
];
const ATTR_EGA200: [u8; 20] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x01,
    0x00, 0x0f, 0x00,
];
const ATTR_0F: [u8; 20] = [
    0x00, 0x08, 0x00, 0x00, 0x18, 0x18, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x18, 0x00, 0x00, 0x0b,
    0x00, 0x05, 0x00,
];
const ATTR_EGA: [u8; 20] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x01,
    0x00, 0x0f, 0x00,
];
const ATTR_11: [u8; 20] = [
    0x00, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x01,
    0x00, 0x0f, 0x00,
];
const ATTR_13: [u8; 20] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x41,
    0x00, 0x0f, 0x00,
];

const GFX_TEXT: [u8; 9] = [0, 0, 0, 0, 0, 0x10, 0x0e, 0x00, 0xff];
const GFX_MONO: [u8; 9] = [0, 0, 0, 0, 0, 0x10, 0x0a, 0x00, 0xff];
const GFX_CGA4: [u8; 9] = [0, 0, 0, 0, 0, 0x30, 0x0f, 0x00, 0xff];
const GFX_CGA2: [u8; 9] = [0, 0, 0, 0, 0, 0x00, 0x0d, 0x00, 0xff];
const GFX_PLANAR: [u8; 9] = [0, 0, 0, 0, 0, 0x00, 0x05, 0x0f, 0xff];
const GFX_0F: [u8; 9] = [0, 0, 0, 0, 0, 0x00, 0x05, 0x05, 0xff];
const GFX_11: [u8; 9] = [0, 0, 0, 0, 0, 0x00, 0x05, 0x01, 0xff];
const GFX_256: [u8; 9] = [0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff];

const CRTC_40: [u8; 25] = [
    0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f,
    0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
];
const CRTC_80: [u8; 25] = [
    0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f,
    0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
];
const CRTC_MONO: [u8; 25] = [
    0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f,
    0x28, 0x0f, 0x96, 0xb9, 0xa3, 0xff,
];
const CRTC_CGA4: [u8; 25] = [
    0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14,
    0x00, 0x96, 0xb9, 0xa2, 0xff,
];
const CRTC_CGA2: [u8; 25] = [
    0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28,
    0x00, 0x96, 0xb9, 0xc2, 0xff,
];
const CRTC_0D: [u8; 25] = [
    0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc0, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14,
    0x00, 0x96, 0xb9, 0xe3, 0xff,
];
const CRTC_0E: [u8; 25] = [
    0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0xc0, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28,
    0x00, 0x96, 0xb9, 0xe3, 0xff,
];
const CRTC_350: [u8; 25] = [
    0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x40, 0, 0, 0, 0, 0, 0, 0x83, 0x85, 0x5d, 0x28,
    0x0f, 0x63, 0xba, 0xe3, 0xff,
];
const CRTC_480: [u8; 25] = [
    0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28,
    0x00, 0xe7, 0x04, 0xe3, 0xff,
];
const CRTC_13: [u8; 25] = [
    0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28,
    0x40, 0x96, 0xb9, 0xa3, 0xff,
];

const TEXT80: Mode = Mode {
    number: 3,
    layout: Layout::Text,
    columns: 80,
    rows: 25,
    height: 16,
    page_size: 0x1000,
    segment: 0xb800,
    dac: Dac::Ega,
    misc: 0x67,
    seq: [0x00, 0x03, 0x00, 0x02],
    crtc: CRTC_80,
    attr: ATTR_TEXT,
    gfx: GFX_TEXT,
};
const TEXT40: Mode =
    Mode { number: 1, columns: 40, page_size: 0x800, seq: [0x08, 0x03, 0x00, 0x02], crtc: CRTC_40, ..TEXT80 };
const CGA320: Mode = Mode {
    number: 4,
    layout: Layout::Cga4,
    columns: 40,
    rows: 25,
    height: 8,
    page_size: 0x4000,
    segment: 0xb800,
    dac: Dac::Cga,
    misc: 0x63,
    seq: [0x09, 0x03, 0x00, 0x02],
    crtc: CRTC_CGA4,
    attr: ATTR_CGA4,
    gfx: GFX_CGA4,
};
const EGA640: Mode = Mode {
    number: 0x0e,
    layout: Layout::Planar,
    columns: 80,
    rows: 25,
    height: 8,
    page_size: 0x4000,
    segment: 0xa000,
    dac: Dac::Cga,
    misc: 0x63,
    seq: [0x01, 0x0f, 0x00, 0x06],
    crtc: CRTC_0E,
    attr: ATTR_EGA200,
    gfx: GFX_PLANAR,
};
const EGA350: Mode = Mode {
    number: 0x10,
    height: 14,
    page_size: 0x8000,
    dac: Dac::Ega,
    misc: 0xa3,
    crtc: CRTC_350,
    attr: ATTR_EGA,
    ..EGA640
};
const VGA480: Mode =
    Mode { number: 0x12, rows: 30, height: 16, page_size: 0xa000, misc: 0xe3, crtc: CRTC_480, ..EGA350 };

pub const MODES: &[Mode] = &[
    Mode { number: 0, ..TEXT40 },
    TEXT40,
    Mode { number: 2, ..TEXT80 },
    TEXT80,
    CGA320,
    Mode { number: 5, ..CGA320 },
    Mode {
        number: 6,
        layout: Layout::Cga2,
        columns: 80,
        seq: [0x01, 0x01, 0x00, 0x06],
        crtc: CRTC_CGA2,
        attr: ATTR_CGA2,
        gfx: GFX_CGA2,
        ..CGA320
    },
    Mode {
        number: 7,
        segment: 0xb000,
        dac: Dac::Mono,
        misc: 0x66,
        crtc: CRTC_MONO,
        attr: ATTR_MONO,
        gfx: GFX_MONO,
        ..TEXT80
    },
    Mode {
        number: 0x0d,
        columns: 40,
        page_size: 0x2000,
        seq: [0x09, 0x0f, 0x00, 0x06],
        crtc: CRTC_0D,
        ..EGA640
    },
    EGA640,
    Mode { number: 0x0f, dac: Dac::Mono, misc: 0xa2, attr: ATTR_0F, gfx: GFX_0F, ..EGA350 },
    EGA350,
    Mode { number: 0x11, attr: ATTR_11, gfx: GFX_11, ..VGA480 },
    VGA480,
    Mode {
        number: 0x13,
        layout: Layout::Linear8,
        columns: 40,
        rows: 25,
        height: 8,
        page_size: 0,
        dac: Dac::Vga256,
        misc: 0x63,
        seq: [0x01, 0x0f, 0x00, 0x0e],
        crtc: CRTC_13,
        attr: ATTR_13,
        gfx: GFX_256,
        ..EGA640
    },
];

pub fn find(number: u8) -> Option<&'static Mode> {
    MODES.iter().find(|m| m.number == number)
}

/// The save area's video parameter table: 29 entries of 64 bytes in the order of the IBM VGA.
pub fn parameter_table() -> Vec<u8> {
    const ORDER: [u8; 29] = [
        0, 1, 2, 3, 4, 5, 6, 7, 3, 3, 3, 3, 3, 0x0d, 0x0e, 0x0f, 0x10, 0x0f, 0x10, 0, 1, 2, 3, 1, 3, 7, 0x11,
        0x12, 0x13,
    ];
    let mut out = Vec::new();
    for n in ORDER {
        let Some(m) = find(n) else { continue };
        out.extend([m.columns, m.rows - 1, m.height]);
        out.extend(m.page_size.to_le_bytes());
        out.extend(m.seq);
        out.push(m.misc);
        out.extend(m.crtc);
        out.extend(m.attr);
        out.extend(m.gfx);
    }
    out
}

/// Red, green, blue of six bits each for the whole DAC.
pub fn palette(dac: Dac) -> Vec<u8> {
    let mut p = Vec::with_capacity(768);
    match dac {
        Dac::Mono => {
            for i in 0..64u8 {
                p.extend([[0, 0x2a, 0, 0x3f][usize::from(i >> 3 & 3)]; 3]);
            }
        }
        Dac::Cga => {
            for i in 0..64u8 {
                p.extend(rgbi(i & 7 | i >> 1 & 8));
            }
        }
        Dac::Ega => {
            // rgbRGB: the low bits give two thirds, the high bits one third.
            for i in 0..64u8 {
                let gun = |n: u8| (i >> n & 1) * 0x2a + (i >> (n + 3) & 1) * 0x15;
                p.extend([gun(2), gun(1), gun(0)]);
            }
        }
        Dac::Vga256 => {
            for i in 0..16 {
                p.extend(rgbi(i));
            }
            for g in [0, 5, 8, 11, 14, 17, 20, 24, 28, 32, 36, 40, 45, 50, 56, 63] {
                p.extend([g; 3]);
            }
            for levels in HUES {
                for i in 0..24 {
                    p.extend(hue(&levels, i));
                }
            }
        }
    }
    p.resize(768, 0);
    p
}

/// The sixteen CGA colours, with brown.
fn rgbi(i: u8) -> [u8; 3] {
    if i == 6 {
        return [0x2a, 0x15, 0];
    }
    let high = if i & 8 != 0 { 0x15 } else { 0 };
    let gun = |n: u8| if i >> n & 1 != 0 { 0x2a + high } else { high };
    [gun(2), gun(1), gun(0)]
}

/// Five steps from the weakest to the strongest gun: three intensities by three saturations.
const HUES: [[u8; 5]; 9] = [
    [0, 16, 31, 47, 63],
    [31, 39, 47, 55, 63],
    [45, 49, 54, 58, 63],
    [0, 7, 14, 21, 28],
    [14, 17, 21, 24, 28],
    [20, 22, 24, 26, 28],
    [0, 4, 8, 12, 16],
    [8, 10, 12, 14, 16],
    [11, 12, 13, 15, 16],
];

/// One of 24 colours around the circle from blue through red and green.
fn hue(l: &[u8; 5], i: usize) -> [u8; 3] {
    let (part, step) = (i / 4, i % 4);
    let (up, down) = (l[step], l[4 - step]);
    match part {
        0 => [up, l[0], l[4]],
        1 => [l[4], l[0], down],
        2 => [l[4], up, l[0]],
        3 => [down, l[4], l[0]],
        4 => [l[0], l[4], up],
        _ => [l[0], down, l[4]],
    }
}
