//! The adapter as a driver drives it: ports and memory in, pictures out.

mod cursor;
mod engine;
mod engine_model;
mod engine_regs;
mod golden;
mod memory;
mod s3fb;
mod trio;

use std::sync::{Arc, Mutex};

use board::testkit::Bench;
use board::{Decode, Line, Route, Scanout, VideoMode, Width};

use super::s3trio64::{CONFIG, S3Trio64};
use super::screen::REFRESH;

/// Where the tests put BAR0.
pub const LFB: u32 = 0xe000_0000;

/// What a viewer would have seen.
#[derive(Default)]
pub struct Seen {
    pub mode: Option<VideoMode>,
    pub px: Vec<u32>,
    /// Lines pushed since the test last looked.
    pub lines: Vec<u32>,
    pub wanted: bool,
}

pub struct Viewer(pub Arc<Mutex<Seen>>);

impl Scanout for Viewer {
    fn mode(&mut self, m: VideoMode) {
        let mut s = self.0.lock().unwrap();
        s.mode = Some(m);
        s.px = vec![0xdead_beef; (m.width * m.height) as usize];
    }

    fn rows(&mut self, y: std::ops::Range<u32>, px: &[u32]) {
        let mut s = self.0.lock().unwrap();
        let w = s.mode.expect("a mode before rows").width;
        assert_eq!(px.len() as u32, w * (y.end - y.start), "whole lines");
        s.px[(y.start * w) as usize..(y.end * w) as usize].copy_from_slice(px);
        s.lines.extend(y);
    }

    fn wanted(&self) -> bool {
        self.0.lock().unwrap().wanted
    }
}

pub struct Card {
    pub b: Bench<S3Trio64>,
    pub seen: Arc<Mutex<Seen>>,
    pub inta: Line,
}

impl Card {
    /// A card that firmware has given its resources.
    pub fn new() -> Self {
        Self::with_vram(4 << 20)
    }

    /// The same with another amount of video memory.
    pub fn with_vram(bytes: u32) -> Self {
        let mut c = Self::cold_with(bytes);
        c.b.cfg_write(CONFIG, 0x10, Width::D, LFB);
        c.b.cfg_write(CONFIG, 0x04, Width::W, 3);
        c.b.out8(0x3c2, 0x63);
        c
    }

    /// A card as reset leaves it.
    pub fn cold() -> Self {
        Self::cold_with(4 << 20)
    }

    fn cold_with(vram: u32) -> Self {
        let seen = Arc::new(Mutex::new(Seen { wanted: true, ..Seen::default() }));
        let to = Box::new(Viewer(seen.clone()));
        let mut inta = None;
        let mut b = Bench::with_ram(|lines, ram| {
            let line = lines.connect(Route::Pirq(0));
            inta = Some(line);
            S3Trio64::new(ram, vram, line, to)
        });
        b.place(CONFIG, Decode::Config { dev: 8, func: 0 });
        Self { b, seen, inta: inta.unwrap() }
    }

    pub fn sr(&mut self, n: u8, v: u8) {
        self.b.out16(0x3c4, u16::from(v) << 8 | u16::from(n));
    }

    pub fn gr(&mut self, n: u8, v: u8) {
        self.b.out16(0x3ce, u16::from(v) << 8 | u16::from(n));
    }

    pub fn cr(&mut self, n: u8, v: u8) {
        self.b.out16(0x3d4, u16::from(v) << 8 | u16::from(n));
    }

    pub fn read_cr(&mut self, n: u8) -> u8 {
        self.b.out8(0x3d4, n);
        self.b.in8(0x3d5)
    }

    pub fn read_sr(&mut self, n: u8) -> u8 {
        self.b.out8(0x3c4, n);
        self.b.in8(0x3c5)
    }

    pub fn ar(&mut self, n: u8, v: u8) {
        self.b.in8(0x3da);
        self.b.out8(0x3c0, n);
        self.b.out8(0x3c0, v);
        self.b.out8(0x3c0, 0x20);
    }

    pub fn unlock(&mut self) {
        self.cr(0x38, 0x48);
        self.cr(0x39, 0xa5);
        self.sr(8, 6);
    }

    pub fn dac(&mut self, n: u8, [r, g, b]: [u8; 3]) {
        self.b.out8(0x3c8, n);
        self.b.out8(0x3c9, r);
        self.b.out8(0x3c9, g);
        self.b.out8(0x3c9, b);
    }

    pub fn program(&mut self, m: &Mode) {
        self.b.out8(0x3c2, m.misc);
        self.sr(0, 1);
        for (n, &v) in (1..).zip(&m.seq) {
            self.sr(n, v);
        }
        self.sr(0, 3);
        self.cr(0x11, 0);
        for (n, &v) in (0..).zip(&m.crtc) {
            self.cr(n, v);
        }
        for (n, &v) in (0..).zip(&m.gfx) {
            self.gr(n, v);
        }
        for (n, &v) in (0..).zip(&m.attr) {
            self.ar(n, v);
        }
    }

    /// The picture now, which must be what a viewer got by refreshes too.
    #[track_caller]
    pub fn picture(&mut self) -> (u32, u32, Vec<u32>) {
        self.b.advance(17 * board::MILLISECOND);
        let (m, px) = self.b.dev.snapshot(&self.b.ram, self.b.now());
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.mode, Some(m));
        // The last refresh is up to a frame old, and the cursor may have gone on or off since.
        let before = self.b.dev.snapshot(&self.b.ram, self.b.now() - REFRESH).1;
        assert!(seen.px == px || seen.px == before, "the viewer has what a snapshot shows");
        (m.width, m.height, px)
    }

    /// Lines pushed since the last call.
    pub fn pushed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.seen.lock().unwrap().lines)
    }
}

/// Register values of a BIOS mode. IBM PS/2 Hardware Interface Technical Reference, BIOS mode tables.
#[derive(Clone)]
pub struct Mode {
    pub misc: u8,
    /// SR01-SR04.
    pub seq: [u8; 4],
    pub crtc: [u8; 25],
    pub gfx: [u8; 9],
    pub attr: [u8; 21],
}

const EGA_PALETTE: [u8; 16] = [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f];
const IDENTITY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

const fn attr(palette: [u8; 16], rest: [u8; 5]) -> [u8; 21] {
    let mut a = [0; 21];
    let mut i = 0;
    while i < 21 {
        a[i] = if i < 16 { palette[i] } else { rest[i - 16] };
        i += 1;
    }
    a
}

/// 80x25 text, 720x400.
pub const MODE_3: Mode = Mode {
    misc: 0x67,
    seq: [0x00, 0x03, 0x00, 0x02],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f,
        0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
    ],
    gfx: [0, 0, 0, 0, 0, 0x10, 0x0e, 0x00, 0xff],
    attr: attr(EGA_PALETTE, [0x0c, 0x00, 0x0f, 0x08, 0x00]),
};

/// 320x200, four colours.
pub const MODE_4: Mode = Mode {
    misc: 0x63,
    seq: [0x09, 0x03, 0x00, 0x02],
    crtc: [
        0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14,
        0x00, 0x96, 0xb9, 0xa2, 0xff,
    ],
    gfx: [0, 0, 0, 0, 0, 0x30, 0x0f, 0x00, 0xff],
    attr: attr(
        [0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17],
        [0x01, 0x00, 0x03, 0x00, 0x00],
    ),
};

/// 640x200, two colours.
pub const MODE_6: Mode = Mode {
    misc: 0x63,
    seq: [0x01, 0x01, 0x00, 0x06],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28,
        0x00, 0x96, 0xb9, 0xc2, 0xff,
    ],
    gfx: [0, 0, 0, 0, 0, 0x00, 0x0d, 0x00, 0xff],
    attr: attr([0, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0x01, 0x00, 0x01, 0x00, 0x00]),
};

/// 320x200, sixteen colours.
pub const MODE_D: Mode = Mode {
    misc: 0x63,
    seq: [0x09, 0x0f, 0x00, 0x06],
    crtc: [
        0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc0, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14,
        0x00, 0x96, 0xb9, 0xe3, 0xff,
    ],
    gfx: [0, 0, 0, 0, 0, 0x00, 0x05, 0x0f, 0xff],
    attr: attr(EGA_PALETTE, [0x01, 0x00, 0x0f, 0x00, 0x00]),
};

/// 640x480, sixteen colours.
pub const MODE_12: Mode = Mode {
    misc: 0xe3,
    seq: [0x01, 0x0f, 0x00, 0x06],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28,
        0x00, 0xe7, 0x04, 0xe3, 0xff,
    ],
    gfx: [0, 0, 0, 0, 0, 0x00, 0x05, 0x0f, 0xff],
    attr: attr(EGA_PALETTE, [0x01, 0x00, 0x0f, 0x00, 0x00]),
};

/// 320x200, 256 colours.
pub const MODE_13: Mode = Mode {
    misc: 0x63,
    seq: [0x01, 0x0f, 0x00, 0x0e],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28,
        0x40, 0x96, 0xb9, 0xa3, 0xff,
    ],
    gfx: [0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff],
    attr: attr(IDENTITY, [0x41, 0x00, 0x0f, 0x00, 0x00]),
};

/// Mode X: 320x240, planar. Abrash, Graphics Programming Black Book, chapter 47.
pub fn mode_x() -> Mode {
    let mut m = MODE_13;
    m.misc = 0xe3;
    m.seq[3] = 0x06;
    for (n, v) in [
        (0x06, 0x0d),
        (0x07, 0x3e),
        (0x09, 0x41),
        (0x10, 0xea),
        (0x11, 0xac),
        (0x12, 0xdf),
        (0x14, 0x00),
        (0x15, 0xe7),
        (0x16, 0x06),
        (0x17, 0xe3),
    ] {
        m.crtc[n] = v;
    }
    m
}

/// A colour for each DAC entry that no two entries share.
pub fn test_colour(n: u8) -> [u8; 3] {
    [n & 0x3f, n >> 2 & 0x3f, (n ^ 0x2a) & 0x3f]
}

/// The same as a pixel: six bits to eight by repeating the highest two.
pub fn test_pixel(n: u8) -> u32 {
    let wide = |v: u8| u32::from(v) << 2 | u32::from(v) >> 4;
    let [r, g, b] = test_colour(n).map(wide);
    r << 16 | g << 8 | b
}

pub fn test_palette(c: &mut Card) {
    for n in 0..=255 {
        c.dac(n, test_colour(n));
    }
}
