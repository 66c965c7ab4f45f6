//! The hardware cursor over pictures, dot for dot.

use super::golden::{linear_mode, same};
use super::*;
use board::MILLISECOND;
use proptest::prelude::*;

const BACKGROUND: u8 = 3;
const FOREGROUND: u8 = 0xc5;

/// AND and XOR bits of the test's pattern.
fn bits(x: u32, y: u32) -> (bool, bool) {
    let n = (x / 3 + y * 5 + x * y / 7) % 4;
    (n & 2 != 0, n & 1 != 0)
}

/// Writes the pattern: sixteen AND bits, sixteen XOR bits, leftmost dot in the highest bit of the first byte.
fn store(c: &mut Card, at: u32, of: impl Fn(u32) -> u32) {
    for y in 0..64 {
        for byte in 0..16 {
            let (group, xor, half) = (byte / 4, byte % 4 / 2, byte % 2);
            let v = (0..8).fold(0u8, |v, i| {
                let (a, b) = bits(group * 16 + half * 8 + i, y);
                v << 1 | u8::from(if xor == 1 { b } else { a })
            });
            c.b.write8(LFB + of(at + y * 16 + byte), v);
        }
    }
}

/// A screen of 640x480 with something on it, and a cursor.
fn screen(depth: u32, x11: bool) -> Card {
    let mut c = Card::new();
    linear_mode(&mut c, 640, 480, depth);
    test_palette(&mut c);
    for n in 0..640 * 480 * depth / 8 / 4 {
        c.b.write32(LFB + n * 4, n.wrapping_mul(0x9e37_79b9));
    }
    store(&mut c, 2 << 20, |at| at);
    c.cr(0x55, if x11 { 0x10 } else { 0 });
    c.cr(0x4c, 0x08);
    c.cr(0x4d, 0x00);
    for (stack, colour) in [(0x4b, BACKGROUND), (0x4a, FOREGROUND)] {
        c.read_cr(0x45);
        for i in 0..3 {
            c.cr(stack, colour.wrapping_add(i * 0x3b));
        }
    }
    c.cr(0x45, 1);
    c
}

fn place(c: &mut Card, x: u32, y: u32, left: u8, top: u8) {
    // The order that XFree86 has: the high byte of Y last.
    for (n, v) in
        [(0x46, x >> 8), (0x47, x), (0x49, y), (0x4e, left.into()), (0x4f, top.into()), (0x48, y >> 8)]
    {
        c.cr(n, v as u8);
    }
}

/// The colour of a stack at this depth.
fn colour(first: u8, depth: u32) -> u32 {
    let b = [first, first.wrapping_add(0x3b), first.wrapping_add(0x76)].map(u32::from);
    let five = |v: u32| v << 3 | v >> 2;
    match depth {
        8 => test_pixel(first),
        16 => {
            let w = b[1] << 8 | b[0];
            let green = w >> 5 & 63;
            five(w >> 11) << 16 | (green << 2 | green >> 4) << 8 | five(w & 31)
        }
        _ => b[2] << 16 | b[1] << 8 | b[0],
    }
}

fn dot(under: u32, x: u32, y: u32, depth: u32, x11: bool) -> u32 {
    let (fore, back) = (colour(FOREGROUND, depth), colour(BACKGROUND, depth));
    match (x11, bits(x, y)) {
        (false, (false, false)) | (true, (true, false)) => back,
        (false, (false, true)) | (true, (true, true)) => fore,
        (false, (true, false)) | (true, (false, _)) => under,
        (false, (true, true)) => under ^ 0xff_ffff,
    }
}

fn without(c: &mut Card) -> (u32, u32, Vec<u32>) {
    c.cr(0x45, 0);
    let p = c.picture();
    c.cr(0x45, 1);
    p
}

#[track_caller]
fn shows(c: &mut Card, at: (u32, u32), from: (u32, u32), depth: u32, x11: bool) {
    let under = without(c).2;
    let got = c.picture();
    same(&got, 640, 480, |x, y| {
        let u = under[(y * 640 + x) as usize];
        if (at.0..at.0 + 64 - from.0).contains(&x) && (at.1..at.1 + 64 - from.1).contains(&y) {
            dot(u, x - at.0 + from.0, y - at.1 + from.1, depth, x11)
        } else {
            u
        }
    });
}

#[test]
fn every_dot_in_both_manners_at_every_depth() {
    for depth in [8, 16, 32] {
        for x11 in [false, true] {
            let mut c = screen(depth, x11);
            place(&mut c, 101, 57, 0, 0);
            shows(&mut c, (101, 57), (0, 0), depth, x11);
        }
    }
}

#[test]
fn parts_beyond_an_edge_are_not_seen() {
    let mut c = screen(8, false);
    place(&mut c, 600, 450, 0, 0);
    shows(&mut c, (600, 450), (0, 0), 8, false);
    place(&mut c, 0, 0, 23, 40);
    shows(&mut c, (0, 0), (23, 40), 8, false);
    place(&mut c, 0x7ff, 0x7ff, 63, 63);
    let p = c.picture();
    assert!(p == without(&mut c));
}

#[test]
fn the_position_counts_from_the_write_of_cr48() {
    let mut c = screen(16, true);
    place(&mut c, 10, 10, 0, 0);
    for (n, v) in [(0x46, 1), (0x47, 0x20), (0x49, 90)] {
        c.cr(n, v);
    }
    shows(&mut c, (10, 10), (0, 0), 16, true);
    c.cr(0x48, 0);
    shows(&mut c, (0x120, 90), (0, 0), 16, true);
}

#[test]
fn a_read_of_cr45_rewinds_the_colours() {
    let mut c = screen(8, false);
    c.read_cr(0x45);
    assert_eq!([(); 3].map(|()| c.read_cr(0x4a)), [0xc5, 0x00, 0x3b]);
    c.read_cr(0x45);
    c.cr(0x4a, 0x11);
    c.read_cr(0x45);
    assert_eq!([(); 3].map(|()| c.read_cr(0x4a)), [0x11, 0x00, 0x3b]);
    assert_eq!([(); 3].map(|()| c.read_cr(0x4b)), [3, 0x3e, 0x79]);
}

/// Only the lines of where it was and where it is are drawn again.
#[test]
fn a_cursor_that_moves_draws_its_lines_only() {
    let mut c = screen(8, false);
    place(&mut c, 50, 100, 0, 0);
    c.picture();
    c.pushed();
    place(&mut c, 60, 300, 0, 32);
    c.b.advance(17 * MILLISECOND);
    assert_eq!(c.pushed(), (100..164).chain(300..332).collect::<Vec<_>>());
    c.cr(0x45, 0);
    c.b.advance(17 * MILLISECOND);
    assert_eq!(c.pushed(), (300..332).collect::<Vec<_>>());
    c.b.advance(170 * MILLISECOND);
    assert_eq!(c.pushed(), Vec::<u32>::new());
}

#[test]
fn a_pattern_or_colour_that_changes_is_seen() {
    let mut c = screen(8, false);
    place(&mut c, 50, 100, 0, 0);
    let before = c.picture();
    for n in 0..1024 / 4 {
        c.b.write32(LFB + (2 << 20) + n * 4, 0x0f0f_f0f0);
    }
    let after = c.picture();
    assert!(before != after);
    // The palette entry of the background.
    c.dac(BACKGROUND, [63, 0, 21]);
    assert!(c.picture() != after);
    // Another pattern, elsewhere.
    c.cr(0x4d, 1);
    assert!(c.picture() != after);
}

#[test]
fn a_cursor_over_text_and_doubled_lines() {
    for mode in [&MODE_3, &MODE_13] {
        let mut c = Card::new();
        c.program(mode);
        test_palette(&mut c);
        c.unlock();
        c.cr(0x0a, 0x20);
        for n in 0..0x1000 {
            c.b.write16(
                if mode.misc == 0x67 { 0xb_8000 } else { 0xa_0000 } + n * 2,
                (n * 0x0123) as u16 & 0x7fff,
            );
        }
        let under = c.picture();
        c.cr(0x58, 0x13);
        store(&mut c, 1 << 20, |at| at);
        c.cr(0x4c, 0x04);
        c.cr(0x45, 1);
        place(&mut c, 33, 91, 0, 0);
        c.read_cr(0x45);
        c.cr(0x4a, FOREGROUND);
        c.cr(0x4b, BACKGROUND);
        let got = c.picture();
        same(&got, under.0, under.1, |x, y| {
            let u = under.2[(y * under.0 + x) as usize];
            if (33..97).contains(&x) && (91..155).contains(&y) { dot(u, x - 33, y - 91, 8, false) } else { u }
        });
    }
}

/// 86Box's reading of Right Storage: address bit 9 goes to bit 11, bits 10-9 are ones.
#[test]
fn right_storage_puts_the_pattern_beside_the_picture() {
    let mut c = screen(8, false);
    store(&mut c, 3 << 20, |at| at & !0xe00 | (at & 0x200) << 2 | 0x600);
    c.cr(0x4c, 0x0c);
    c.cr(0x45, 0x11);
    place(&mut c, 5, 6, 0, 0);
    let got = c.picture();
    let under = {
        c.cr(0x45, 0);
        c.picture().2
    };
    same(&got, 640, 480, |x, y| {
        let u = under[(y * 640 + x) as usize];
        if (5..69).contains(&x) && (6..70).contains(&y) { dot(u, x - 5, y - 6, 8, false) } else { u }
    });
}

#[test]
fn a_cursor_survives_being_saved() {
    let mut c = screen(16, false);
    place(&mut c, 77, 88, 1, 2);
    c.cr(0x47, 5);
    c.read_cr(0x45);
    c.cr(0x4a, FOREGROUND);
    let before = c.picture();
    c.b.save_and_load();
    assert!(c.picture() == before);
    // The stack is where it was, and so is a position that is only half written.
    assert_eq!(c.read_cr(0x4a), FOREGROUND.wrapping_add(0x3b));
    c.cr(0x48, 0);
    shows(&mut c, (5, 88), (1, 2), 16, false);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// What a viewer got by refreshes is what a screenshot shows, wherever cursors go.
    #[test]
    fn cursors_leave_nothing_behind(
        depth in prop_oneof![Just(8u32), Just(16), Just(32)],
        steps in prop::collection::vec((0u32..0x800, 0u32..0x800, 0u8..64, 0u8..64, 0u8..8), 1..12),
    ) {
        let mut c = screen(depth, false);
        for (x, y, left, top, what) in steps {
            match what {
                0 => c.cr(0x45, x as u8 & 1),
                1 => c.b.write32(LFB + (2 << 20) + (x & 0x3fc), y.wrapping_mul(0x0101_0101)),
                2 => c.b.write32(LFB + (y * 640 + x & 0xf_fffc), x),
                3 => c.cr(0x55, (x as u8 & 1) << 4),
                _ => place(&mut c, x % 700, y % 500, left, top),
            }
            c.picture();
        }
    }
}
