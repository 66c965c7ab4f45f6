//! Whole frames against pictures that the test draws in its own way.

use super::*;

/// A glyph of the test's own font: bits of a row, leftmost in bit 7.
fn glyph(code: u8, row: u32) -> u8 {
    code.wrapping_mul(37).rotate_left(row) ^ (row as u8).wrapping_mul(0x1d)
}

fn load_font(c: &mut Card, at: u32, twist: u8) {
    // As BIOSes do: plane 2 alone, sequential, at A0000h.
    c.sr(2, 4);
    c.sr(4, 6);
    c.gr(4, 2);
    c.gr(5, 0);
    c.gr(6, 4);
    for code in 0..=255u8 {
        for row in 0..16 {
            c.b.write8(0xa_0000 + at + u32::from(code) * 32 + row, glyph(code, row) ^ twist);
        }
    }
    c.sr(2, 3);
    c.sr(4, 2);
    c.gr(4, 0);
    c.gr(5, 0x10);
    c.gr(6, 0x0e);
}

fn text_screen() -> Card {
    let mut c = Card::new();
    c.program(&MODE_3);
    test_palette(&mut c);
    load_font(&mut c, 0, 0);
    for cell in 0..80 * 25u32 {
        let code = (cell * 7 % 256) as u8;
        let attr = (cell / 3 % 128) as u8;
        c.b.write16(0xb_8000 + cell * 2, u16::from(attr) << 8 | u16::from(code));
    }
    c
}

/// The colour of attribute value `n` through palette and DAC.
fn ink(n: u8) -> u32 {
    test_pixel(EGA_PALETTE[usize::from(n)])
}

fn text_dot(x: u32, y: u32, cell: impl Fn(u32, u32) -> (u8, u8)) -> u32 {
    let (code, attr) = cell(x / 9, y / 16);
    let bits = glyph(code, y % 16);
    let bit = match x % 9 {
        8 if (0xc0..=0xdf).contains(&code) => bits & 1,
        8 => 0,
        n => bits >> (7 - n) & 1,
    };
    ink(if bit != 0 { attr & 15 } else { attr >> 4 & 7 })
}

fn cell_at(col: u32, row: u32) -> (u8, u8) {
    let cell = row * 80 + col;
    ((cell * 7 % 256) as u8, (cell / 3 % 128) as u8)
}

#[track_caller]
pub fn same(got: &(u32, u32, Vec<u32>), width: u32, height: u32, want: impl Fn(u32, u32) -> u32) {
    assert_eq!((got.0, got.1), (width, height), "size");
    for y in 0..height {
        for x in 0..width {
            let (g, w) = (got.2[(y * width + x) as usize], want(x, y));
            assert_eq!(g, w, "at {x},{y}: {g:06x}, not {w:06x}");
        }
    }
}

#[test]
fn text_80x25_shows_every_cell_in_nine_dots() {
    let mut c = text_screen();
    c.cr(0x0a, 0x20);
    let p = c.picture();
    same(&p, 720, 400, |x, y| text_dot(x, y, cell_at));
}

#[test]
fn the_cursor_covers_its_lines_and_blinks() {
    let mut c = text_screen();
    c.cr(0x0e, (1234u32 >> 8) as u8);
    c.cr(0x0f, 1234u32 as u8);
    let on = c.picture();
    let (row, col) = (1234 / 80, 1234 % 80);
    same(&on, 720, 400, |x, y| {
        if y / 16 == row && x / 9 == col && (13..=14).contains(&(y % 16)) {
            ink(cell_at(col, row).1 & 15)
        } else {
            text_dot(x, y, cell_at)
        }
    });
    // Eight frames later it is dark, and only its own row was drawn again.
    c.pushed();
    c.b.advance(130 * board::MILLISECOND);
    assert_eq!(c.pushed(), (row * 16..row * 16 + 16).collect::<Vec<_>>());
    let off = c.picture();
    same(&off, 720, 400, |x, y| text_dot(x, y, cell_at));
}

#[test]
fn a_cursor_that_moves_or_goes_leaves_nothing_behind() {
    let mut c = text_screen();
    for at in [1234u32, 100, 101, 1999, 4000, 0] {
        c.cr(0x0e, (at >> 8) as u8);
        c.cr(0x0f, at as u8);
        c.picture();
    }
    c.cr(0x0a, 0x20);
    let p = c.picture();
    same(&p, 720, 400, |x, y| text_dot(x, y, cell_at));
}

#[test]
fn text_with_cga_row_addressing_is_compared_where_it_is_drawn() {
    let mut c = text_screen();
    c.cr(0x11, 0);
    c.cr(0x17, 0xa2);
    c.picture();
    // Odd lines come from 2000h on.
    c.b.write16(0xb_a000, 0x1f41);
    c.picture();
    assert!(c.pushed().contains(&1));
}

#[test]
fn an_idle_text_screen_draws_nothing_and_a_changed_cell_its_row() {
    let mut c = text_screen();
    c.cr(0x0a, 0x20);
    c.picture();
    c.pushed();
    c.b.advance(2 * board::SECOND);
    assert_eq!(c.pushed(), Vec::<u32>::new());
    c.b.write8(0xb_8000 + (3 * 80 + 5) * 2, b'!');
    c.b.advance(20 * board::MILLISECOND);
    assert_eq!(c.pushed(), (48..64).collect::<Vec<_>>());
    // Writing the same again is no change.
    c.b.write8(0xb_8000 + (3 * 80 + 5) * 2, b'!');
    c.b.advance(20 * board::MILLISECOND);
    assert_eq!(c.pushed(), Vec::<u32>::new());
}

#[test]
fn blinking_cells_vanish_every_other_half_second_or_are_bright() {
    let mut c = text_screen();
    c.cr(0x0a, 0x20);
    c.b.write16(0xb_8000, 0x9c41);
    let blink = |x: u32, y: u32| if x < 9 && y < 16 { (0x41, 0x1c) } else { cell_at(x / 9, y / 16) };
    let on = c.picture();
    same(&on, 720, 400, |x, y| text_dot(x, y, |_, _| blink(x, y)));
    c.b.advance(270 * board::MILLISECOND);
    let off = c.picture();
    let dark =
        |x: u32, y: u32| if x < 9 && y < 16 { ink(1) } else { text_dot(x, y, |_, _| cell_at(x / 9, y / 16)) };
    same(&off, 720, 400, dark);
    // With AR10 b3 clear the bit is a bright background.
    c.ar(0x10, 0x04);
    let bright = c.picture().2;
    assert!(bright[..9].iter().all(|&p| p == ink(9) || p == ink(12)));
    assert!(bright[..9].contains(&ink(9)) && bright[..9].contains(&ink(12)));
}

#[test]
fn attribute_bit_3_picks_the_second_font() {
    let mut c = text_screen();
    c.cr(0x0a, 0x20);
    load_font(&mut c, 0x4000, 0xff);
    // Map A (bit 3 = 1) at 16K, map B at 0.
    c.sr(3, 0x04);
    let p = c.picture();
    same(&p, 720, 400, |x, y| {
        let (code, attr) = cell_at(x / 9, y / 16);
        let bits = glyph(code, y % 16) ^ if attr & 8 != 0 { 0xff } else { 0 };
        let bit = match x % 9 {
            8 if (0xc0..=0xdf).contains(&code) => bits & 1,
            8 => 0,
            n => bits >> (7 - n) & 1,
        };
        ink(if bit != 0 { attr & 15 } else { attr >> 4 & 7 })
    });
}

#[test]
fn text_scrolls_by_start_address_row_scan_and_dots_and_splits() {
    let mut c = text_screen();
    c.cr(0x0a, 0x20);
    // Two rows down, five lines more, three dots to the left; below line 299 the top of memory, unpanned.
    c.cr(0x0c, 0);
    c.cr(0x0d, 160);
    c.cr(0x08, 5);
    c.ar(0x13, 2);
    c.ar(0x10, 0x2c);
    c.cr(0x07, 0x1f);
    c.cr(0x09, 0x0f);
    c.cr(0x18, (299 & 0xff) as u8);
    let p = c.picture();
    same(&p, 720, 400, |x, y| {
        if y > 299 {
            text_dot(x, y - 300, cell_at)
        } else {
            // A line of characters is followed in memory by the next: panning shows its first.
            text_dot(x + 3, y + 5, |col, row| cell_at(col % 80, row + 2 + col / 80))
        }
    });
}

#[test]
fn mode_12h_shows_four_planes() {
    let mut c = Card::new();
    c.program(&MODE_12);
    test_palette(&mut c);
    let colour = |x: u32, y: u32| (x / 5 + y / 3 + x * y / 977) as u8 & 15;
    for y in 0..480 {
        for byte in 0..80 {
            for plane in 0..4 {
                c.sr(2, 1 << plane);
                let bits = (0..8).fold(0, |b, i| b << 1 | colour(byte * 8 + i, y) >> plane & 1);
                c.b.write8(0xa_0000 + y * 80 + byte, bits);
            }
        }
    }
    let p = c.picture();
    same(&p, 640, 480, |x, y| ink(colour(x, y)));
    // A write to one byte draws again what shares its page of memory, and no more.
    c.pushed();
    c.b.write8(0xa_0000 + 400 * 80, 0);
    c.b.advance(17 * board::MILLISECOND);
    let lines = c.pushed();
    assert!(lines.contains(&400) && lines.len() < 20, "{lines:?}");
    // AR12 takes planes away; panning moves dots.
    c.sr(2, 8);
    c.ar(0x12, 0x07);
    c.ar(0x13, 3);
    let p = c.picture();
    same_part(632, 400).of(&p, |x, y| ink(colour(x + 3, y) & 7));
}

/// Compares a part of a picture only.
struct Part(u32, u32);

fn same_part(w: u32, h: u32) -> Part {
    Part(w, h)
}

impl Part {
    #[track_caller]
    fn of(&self, got: &(u32, u32, Vec<u32>), want: impl Fn(u32, u32) -> u32) {
        for y in 0..self.1 {
            for x in 0..self.0 {
                let (g, w) = (got.2[(y * got.0 + x) as usize], want(x, y));
                assert_eq!(g, w, "at {x},{y}: {g:06x}, not {w:06x}");
            }
        }
    }
}

#[test]
fn mode_13h_doubles_dots_and_lines() {
    let mut c = Card::new();
    c.program(&MODE_13);
    test_palette(&mut c);
    let colour = |x: u32, y: u32| (x ^ y.wrapping_mul(3)) as u8;
    for y in 0..200 {
        for x in (0..320).step_by(4) {
            let v = (0..4).map(|i| u32::from(colour(x + i, y)) << (8 * i)).sum();
            c.b.write32(0xa_0000 + y * 320 + x, v);
        }
    }
    let p = c.picture();
    same(&p, 640, 400, |x, y| test_pixel(colour(x / 2, y / 2)));
    // The pel mask and a palette change reach the picture without a write to memory.
    c.b.out8(0x3c6, 0x0f);
    let p = c.picture();
    same(&p, 640, 400, |x, y| test_pixel(colour(x / 2, y / 2) & 15));
}

#[test]
fn mode_x_shows_planes_side_by_side_and_scrolls_and_splits() {
    let mut c = Card::new();
    c.program(&mode_x());
    test_palette(&mut c);
    let colour = |x: u32, y: u32| (x * 5 + y * 7) as u8;
    for plane in 0..4 {
        c.sr(2, 1 << plane);
        for y in 0..480 {
            for byte in 0..80 {
                c.b.write8(0xa_0000 + y * 80 + byte, colour(byte * 4 + plane, y));
            }
        }
    }
    let p = c.picture();
    same(&p, 640, 480, |x, y| test_pixel(colour(x / 2, y / 2)));
    // Page flip to line 100, with two pixels of panning and a split at line 300.
    let start = 100 * 80u32;
    c.cr(0x0c, (start >> 8) as u8);
    c.cr(0x0d, start as u8);
    c.ar(0x13, 4);
    c.ar(0x10, 0x61);
    c.cr(0x11, 0);
    c.cr(0x07, 0x3e);
    c.cr(0x09, 0x01);
    c.cr(0x18, (299 & 0xff) as u8);
    let p = c.picture();
    same_part(630, 480).of(&p, |x, y| {
        if y > 299 {
            test_pixel(colour(x / 2, (y - 300) / 2))
        } else {
            test_pixel(colour(x / 2 + 2, y / 2 + 100))
        }
    });
}

#[test]
fn cga_modes_interleave_lines() {
    let mut c = Card::new();
    c.program(&MODE_4);
    test_palette(&mut c);
    let colour = |x: u32, y: u32| (x / 3 + y) as u8 & 3;
    for y in 0..200 {
        for byte in 0..80 {
            let v = (0..4).fold(0, |b, i| b << 2 | colour(byte * 4 + i, y));
            c.b.write8(0xb_8000 + (y & 1) * 0x2000 + y / 2 * 80 + byte, v);
        }
    }
    let p = c.picture();
    let palette = [0, 0x13, 0x15, 0x17];
    same(&p, 640, 400, |x, y| test_pixel(palette[usize::from(colour(x / 2, y / 2))]));

    c.program(&MODE_6);
    let on = |x: u32, y: u32| (x * 3 + y * 5) & 4 != 0;
    for y in 0..200 {
        for byte in 0..80 {
            let v = (0..8).fold(0, |b, i| b << 1 | u8::from(on(byte * 8 + i, y)));
            c.b.write8(0xb_8000 + (y & 1) * 0x2000 + y / 2 * 80 + byte, v);
        }
    }
    let p = c.picture();
    same(&p, 640, 400, |x, y| test_pixel(if on(x, y / 2) { 0x17 } else { 0 }));
}

#[test]
fn mode_0dh_is_a_quarter_as_fine() {
    let mut c = Card::new();
    c.program(&MODE_D);
    test_palette(&mut c);
    for plane in 0..4u32 {
        c.sr(2, 1 << plane);
        for n in 0..8000 {
            c.b.write8(0xa_0000 + n, (n * (plane + 3) + n / 40) as u8);
        }
    }
    let p = c.picture();
    same(&p, 640, 400, |x, y| {
        let n = y / 2 * 40 + x / 16;
        let bit = |plane: u32| ((n * (plane + 3) + n / 40) as u8) >> (7 - x / 2 % 8) & 1;
        ink((0..4).fold(0, |c, plane| c | bit(plane) << plane))
    });
}

/// Horizontal values are twice as large at 15 and 16 bits: the counter goes beyond that of the widest picture.
#[test]
fn wide_screens_of_16_bits_are_whole() {
    for (width, height) in [(1152, 864), (1280, 1024), (1600, 1200)] {
        let mut c = Card::new();
        linear_mode(&mut c, width, height, 16);
        c.b.write16(LFB + (width * height - 1) * 2, 0xf81f);
        let p = c.picture();
        same(&p, width, height, |x, y| if (x + 1, y + 1) == (width, height) { 0xff_00ff } else { 0 });
    }
}

/// The register writes of a linear mode, as `docs/devices/s3trio64.md` gives them.
pub fn linear_mode(c: &mut Card, width: u32, height: u32, bits: u32) {
    let times = if bits == 15 || bits == 16 { 2 } else { 1 };
    let chars = width / 8 * times;
    let mut m = MODE_13;
    m.misc = 0xef;
    let h = [chars + 20, chars - 1, chars, 0, chars + 4, 0];
    for (n, v) in h.into_iter().enumerate() {
        m.crtc[n] = v as u8;
    }
    let (vt, vde, vrs) = (height + 40, height - 1, height + 10);
    m.crtc[0x06] = vt as u8;
    m.crtc[0x07] = (vt >> 8 & 1
        | (vde >> 8 & 1) << 1
        | (vrs >> 8 & 1) << 2
        | 0x10
        | (vt >> 9 & 1) << 5
        | (vde >> 9 & 1) << 6
        | (vrs >> 9 & 1) << 7) as u8;
    m.crtc[0x09] = 0x40;
    m.crtc[0x10] = vrs as u8;
    m.crtc[0x11] = (vrs as u8 + 2) & 15;
    m.crtc[0x12] = vde as u8;
    let pitch = width * bits.next_multiple_of(8) / 64;
    m.crtc[0x13] = pitch as u8;
    m.crtc[0x15] = 0xff;
    c.program(&m);
    c.unlock();
    let over = |v: u32| v >> 8 & 1;
    c.cr(0x5d, (over(chars + 20) | over(chars - 1) << 1 | over(chars) << 2 | over(chars + 4) << 4) as u8);
    c.cr(0x5e, ((vt >> 10 & 1) | (vde >> 10 & 1) << 1 | (vrs >> 10 & 1) << 4 | 0x40) as u8);
    c.cr(0x31, 0x8d);
    c.cr(0x32, 0);
    c.cr(0x3a, 0x15);
    c.cr(
        0x50,
        match bits {
            8 => 0,
            32 => 0x30,
            _ => 0x10,
        },
    );
    c.cr(0x51, (pitch >> 8 << 4) as u8);
    c.cr(
        0x67,
        match bits {
            8 => 0,
            15 => 0x30,
            16 => 0x50,
            _ => 0xd0,
        },
    );
    c.cr(0x69, 0);
    c.cr(0x6a, 0);
    c.cr(0x58, 0x13);
}

#[test]
fn linear_8_bits_goes_through_the_dac() {
    let mut c = Card::new();
    linear_mode(&mut c, 800, 600, 8);
    test_palette(&mut c);
    let colour = |x: u32, y: u32| ((x * 3) ^ y) as u8;
    for y in 0..600 {
        for x in (0..800).step_by(4) {
            let v = (0..4).map(|i| u32::from(colour(x + i, y)) << (8 * i)).sum();
            c.b.write32(LFB + y * 800 + x, v);
        }
    }
    let p = c.picture();
    same(&p, 800, 600, |x, y| test_pixel(colour(x, y)));
    // Only the lines of a written page are drawn again.
    c.pushed();
    c.b.write8(LFB + 800 * 300, 0xff);
    c.b.advance(17 * board::MILLISECOND);
    let lines = c.pushed();
    assert!(lines.contains(&300) && lines.len() <= 7, "{lines:?}");
    // Line 25 begins in one page, and its last part lies in the next: either draws it.
    for at in [800 * 25, 800 * 25 + 799] {
        c.b.write8(LFB + at, c.b.now() as u8);
        c.b.advance(17 * board::MILLISECOND);
        assert!(c.pushed().contains(&25), "byte {at}");
    }
    c.picture();
}

#[test]
fn linear_15_and_16_bits_program_the_width_twice() {
    for bits in [15, 16] {
        let mut c = Card::new();
        linear_mode(&mut c, 640, 480, bits);
        let value = |x: u32, y: u32| (x.wrapping_mul(0x5bd1) ^ y.wrapping_mul(0x1b35)) & 0xffff;
        for y in 0..480 {
            for x in (0..640).step_by(2) {
                c.b.write32(LFB + (y * 640 + x) * 2, value(x, y) | value(x + 1, y) << 16);
            }
        }
        let p = c.picture();
        // The high bits repeat below: full scale stays full scale.
        let scale = |v: u32, bits: u32| v << (8 - bits) | v >> (2 * bits - 8);
        same(&p, 640, 480, |x, y| {
            let v = value(x, y);
            let (r, g, b) = match bits {
                15 => (scale(v >> 10 & 31, 5), scale(v >> 5 & 31, 5), scale(v & 31, 5)),
                _ => (scale(v >> 11, 5), scale(v >> 5 & 63, 6), scale(v & 31, 5)),
            };
            r << 16 | g << 8 | b
        });
    }
}

#[test]
fn linear_32_bits_starts_where_cr69_says() {
    let mut c = Card::new();
    linear_mode(&mut c, 1024, 768, 32);
    let value = |x: u32, y: u32| x.wrapping_mul(0x0101_4d35) ^ y.wrapping_mul(0x0042_1f0b);
    // One line less than fits, so that the start address can move by one.
    for y in 0..769 {
        for x in 0..1024 {
            c.b.write32(LFB + (y * 1024 + x) * 4, value(x, y));
        }
    }
    let p = c.picture();
    same(&p, 1024, 768, |x, y| value(x, y) & 0xff_ffff);
    c.cr(0x0c, (1024u32 >> 8) as u8);
    c.cr(0x0d, 0);
    let p = c.picture();
    same(&p, 1024, 768, |x, y| value(x, y + 1) & 0xff_ffff);
    // 65536 doublewords on: line 64.
    c.cr(0x0c, 0);
    c.cr(0x69, 1);
    let p = c.picture();
    same_part(1024, 700).of(&p, |x, y| value(x, y + 64) & 0xff_ffff);
}

#[test]
fn text_comes_back_after_a_linear_mode() {
    let mut c = text_screen();
    c.cr(0x0a, 0x20);
    linear_mode(&mut c, 640, 480, 16);
    assert_eq!(c.picture().0, 640);
    c.cr(0x31, 0x05);
    c.cr(0x32, 0x40);
    c.cr(0x3a, 0x05);
    for n in [0x50, 0x51, 0x5d, 0x5e, 0x67, 0x69, 0x6a] {
        c.cr(n, 0);
    }
    c.program(&MODE_3);
    c.cr(0x0a, 0x20);
    let p = c.picture();
    same(&p, 720, 400, |x, y| text_dot(x, y, cell_at));
}

#[test]
fn a_screen_that_is_off_is_black_and_keeps_its_size() {
    let mut c = text_screen();
    c.picture();
    c.sr(1, 0x20);
    let p = c.picture();
    same(&p, 720, 400, |_, _| 0);
}
