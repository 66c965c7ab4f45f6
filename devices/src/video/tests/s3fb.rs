//! The registers that Linux's s3fb writes, in its order: it programs less than a BIOS does and leans on S3's own bits.

use super::golden::same;
use super::*;

#[derive(Clone, Copy, PartialEq)]
enum Depth {
    Text,
    Packed4,
    Planar4,
    Bits(u32),
}

fn mask_cr(c: &mut Card, n: u8, v: u8, mask: u8) {
    let old = c.read_cr(n);
    c.cr(n, old & !mask | v & mask);
}

fn set_par(c: &mut Card, width: u32, height: u32, depth: Depth) {
    c.unlock();
    mask_cr(c, 0x11, 0, 0x80);
    c.sr(1, 0x21);
    mask_cr(c, 0x17, 0, 0x80);
    for (n, v) in (0..).zip([0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff]) {
        c.gr(n, v);
    }
    for n in 0..16 {
        c.ar(n, n);
    }
    for (n, v) in (0x10..).zip([1, 0, 0x0f, 0, 0]) {
        c.ar(n, v);
    }
    for (n, v) in [(2, 0x0f), (3, 0), (4, 0x0e), (0, 3)] {
        c.sr(n, v);
    }
    for (n, v) in [(8, 0), (9, 0x40), (0x14, 0), (0x17, 0x63), (0x18, 0xff), (0x0c, 0), (0x0d, 0), (0x69, 0)]
    {
        c.cr(n, v);
    }
    mask_cr(c, 0x5e, 0x40, 0x40);
    mask_cr(c, 0x58, 0x10, 0x10);
    mask_cr(c, 0x31, 0x08, 0x08);
    mask_cr(c, 0x33, 0, 8);
    mask_cr(c, 0x43, 0, 1);
    mask_cr(c, 0x5d, 0, 0x28);
    let offset = match depth {
        Depth::Text => width / 16,
        Depth::Packed4 | Depth::Planar4 => width * 4 / 64,
        Depth::Bits(b) => width * b.next_multiple_of(8) / 64,
    };
    c.cr(0x13, offset as u8);
    mask_cr(c, 0x51, (offset >> 8 << 4) as u8, 0x30);
    for (n, v) in [(0x54, 0x18), (0x60, 0xff), (0x61, 0xff), (0x62, 0xff), (0x3a, 0x35)] {
        c.cr(n, v);
    }
    // It writes AR13 with the screen left on: index 33h.
    c.b.in8(0x3da);
    c.b.out8(0x3c0, 0x33);
    c.b.out8(0x3c0, 0);
    mask_cr(c, 0x67, 0, 0x0c);
    c.cr(0x34, 0x10);
    mask_cr(c, 0x31, 0, 0x40);
    let (pixel_length, colour, enhanced) = match depth {
        Depth::Bits(8) => (0, 0, true),
        Depth::Bits(15) => (0x10, 0x30, true),
        Depth::Bits(16) => (0x10, 0x50, true),
        Depth::Bits(_) => (0x30, 0xd0, true),
        _ => (0, 0, false),
    };
    mask_cr(c, 0x50, pixel_length, 0x30);
    mask_cr(c, 0x67, colour, 0xf0);
    if !enhanced {
        mask_cr(c, 0x3a, 0, 0x30);
    }
    match depth {
        Depth::Text => {
            for (n, v) in [(9, 0x4f), (0x14, 0x1f), (0x17, 0x23), (0x0a, 0x20)] {
                c.cr(n, v);
            }
            c.sr(2, 3);
            c.sr(4, 2);
            c.gr(5, 0x10);
            c.gr(6, 0x0e);
            c.ar(0x10, 0x0c);
            c.ar(0x13, 8);
            mask_cr(c, 0x31, 0x40, 0x40);
        }
        Depth::Packed4 => c.gr(5, 0x40),
        _ => {}
    }
    let times = if matches!(depth, Depth::Bits(15 | 16)) { 2 } else { 1 };
    let misc = c.b.in8(0x3cc);
    c.b.out8(0x3c2, misc | 0x0c);
    let chars = width / 8 * times;
    for (n, v) in [(0, chars + 15), (1, chars - 1), (2, chars), (4, chars + 3)] {
        c.cr(n, v as u8);
    }
    mask_cr(c, 0x5d, ((chars + 15) >> 8 | (chars - 1) >> 8 << 1) as u8, 3);
    for (n, v) in [(6, height + 38), (0x10, height + 9), (0x12, height - 1), (0x15, height)] {
        c.cr(n, v as u8);
    }
    let nine = |v: u32, low: u32, high: u32| (v >> 8 & 1) << low | (v >> 9 & 1) << high;
    let overflow = nine(height + 38, 0, 5) | nine(height - 1, 1, 6) | nine(height + 9, 2, 7) | 0x10;
    c.cr(7, (overflow | (height >> 8 & 1) << 3) as u8);
    mask_cr(c, 9, (height >> 9 << 5) as u8, 0x20);
    mask_cr(c, 0x17, 0x80, 0x80);
    c.sr(1, 0x01);
}

fn card(depth: Depth) -> Card {
    let mut c = Card::new();
    test_palette(&mut c);
    set_par(&mut c, 640, 480, depth);
    c
}

fn glyph(code: u32, row: u32) -> u8 {
    (code * 73 + row * 41) as u8
}

#[test]
fn text_with_high_speed_fonts() {
    let mut c = card(Depth::Text);
    // Fonts at byte 2 of each doubleword, a row of all characters after the other; cells a doubleword apart.
    for code in 0..256 {
        for row in 0..16 {
            c.b.write8(LFB + 2 + 4 * code + 1024 * row, glyph(code, row));
        }
    }
    for cell in 0..80 * 30 {
        c.b.write16(LFB + cell * 4, ((cell * 5 % 128 * 256) + cell % 256) as u16);
    }
    let p = c.picture();
    same(&p, 640, 480, |x, y| {
        let cell = y / 16 * 80 + x / 8;
        let attr = (cell * 5 % 128) as u8;
        let bit = glyph(cell % 256, y % 16) >> (7 - x % 8) & 1;
        test_pixel(if bit != 0 { attr & 15 } else { attr >> 4 & 7 })
    });
}

#[test]
fn four_bits_packed_through_the_high_half_of_the_dac() {
    let mut c = card(Depth::Packed4);
    c.b.out8(0x3c6, 0xf0);
    let colour = |x: u32, y: u32| (x * 3 + y) as u8 & 15;
    for y in 0..480 {
        for byte in 0..320 {
            c.b.write8(LFB + y * 320 + byte, colour(byte * 2, y) << 4 | colour(byte * 2 + 1, y));
        }
    }
    let p = c.picture();
    same(&p, 640, 480, |x, y| test_pixel(colour(x, y) << 4));
}

#[test]
fn four_bits_in_interleaved_planes() {
    let mut c = card(Depth::Planar4);
    let colour = |x: u32, y: u32| (x / 7 + y * 5) as u8 & 15;
    for y in 0..480 {
        for at in 0..80 {
            let v = (0..8).fold(0u32, |v, dot| {
                let n = u32::from(colour(at * 8 + dot, y));
                (0..4).fold(v, |v, plane| v | (n >> plane & 1) << (8 * plane + 7 - dot))
            });
            c.b.write32(LFB + (y * 80 + at) * 4, v);
        }
    }
    let p = c.picture();
    same(&p, 640, 480, |x, y| test_pixel(colour(x, y)));
}

#[test]
fn eight_bits_need_cr3a_alone() {
    let mut c = card(Depth::Bits(8));
    let colour = |x: u32, y: u32| (x + y * 3) as u8;
    for y in 0..480 {
        for x in 0..640 {
            c.b.write8(LFB + y * 640 + x, colour(x, y));
        }
    }
    let p = c.picture();
    same(&p, 640, 480, |x, y| test_pixel(colour(x, y)));
}

#[test]
fn true_colour() {
    for (bits, value, want) in [(15, 0x7c1f, 0xff_00ff), (16, 0x07e0, 0x00_ff00), (32, 0x12_3456, 0x12_3456)]
    {
        let mut c = card(Depth::Bits(bits));
        let bytes = if bits == 32 { 4 } else { 2 };
        for n in 0..640 * 480 {
            if bytes == 4 { c.b.write32(LFB + n * 4, value) } else { c.b.write16(LFB + n * 2, value as u16) }
        }
        same(&c.picture(), 640, 480, |_, _| want);
    }
}
