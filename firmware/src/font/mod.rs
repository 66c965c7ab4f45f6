//! The three VGA fonts: 8x16, 8x14 and 8x8, code page 437.

mod glyphs;

use glyphs::{BOLD13, SMALL8};

/// Arms of the box drawing characters B3h-DAh: left, right, up, down; 1 single, 2 double.
const ARMS: [[u8; 4]; 40] = [
    [0, 0, 1, 1],
    [1, 0, 1, 1],
    [2, 0, 1, 1],
    [1, 0, 2, 2],
    [1, 0, 0, 2],
    [2, 0, 0, 1],
    [2, 0, 2, 2],
    [0, 0, 2, 2],
    [2, 0, 0, 2],
    [2, 0, 2, 0],
    [1, 0, 2, 0],
    [2, 0, 1, 0],
    [1, 0, 0, 1],
    [0, 1, 1, 0],
    [1, 1, 1, 0],
    [1, 1, 0, 1],
    [0, 1, 1, 1],
    [1, 1, 0, 0],
    [1, 1, 1, 1],
    [0, 2, 1, 1],
    [0, 1, 2, 2],
    [0, 2, 2, 0],
    [0, 2, 0, 2],
    [2, 2, 2, 0],
    [2, 2, 0, 2],
    [0, 2, 2, 2],
    [2, 2, 0, 0],
    [2, 2, 2, 2],
    [2, 2, 1, 0],
    [1, 1, 2, 0],
    [2, 2, 0, 1],
    [1, 1, 0, 2],
    [0, 1, 2, 0],
    [0, 2, 1, 0],
    [0, 2, 0, 1],
    [0, 1, 0, 2],
    [1, 1, 2, 2],
    [2, 2, 1, 1],
    [1, 0, 1, 0],
    [0, 1, 0, 1],
];

pub fn font16() -> Vec<u8> {
    font(16, |c, row| row.checked_sub(1).and_then(|r| BOLD13[c].get(r)).copied())
}

pub fn font14() -> Vec<u8> {
    font(14, |c, row| BOLD13[c].get(row).copied())
}

pub fn font8() -> Vec<u8> {
    font(8, |c, row| SMALL8[c].get(row).copied())
}

fn font(height: usize, glyph: impl Fn(usize, usize) -> Option<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 * height);
    for c in 0..256usize {
        match c {
            0xb0..=0xb2 => {
                let [even, odd] = [[0x11, 0x44], [0x55, 0xaa], [0xdd, 0x77]][c - 0xb0];
                out.extend((0..height).map(|y| if y % 2 == 0 { even } else { odd }));
            }
            0xb3..=0xda => out.extend(boxes(ARMS[c - 0xb3], height)),
            0xdb => out.extend((0..height).map(|_| 0xff)),
            0xdc => out.extend((0..height).map(|y| if y >= height / 2 { 0xff } else { 0 })),
            0xdd => out.extend((0..height).map(|_| 0xf0)),
            0xde => out.extend((0..height).map(|_| 0x0f)),
            0xdf => out.extend((0..height).map(|y| if y < height / 2 { 0xff } else { 0 })),
            _ => out.extend((0..height).map(|y| glyph(c, y).unwrap_or(0))),
        }
    }
    out
}

/// A cell as a grid that lines are drawn into.
struct Cell {
    rows: Vec<u8>,
}

impl Cell {
    fn fill(&mut self, x: std::ops::RangeInclusive<usize>, y: std::ops::RangeInclusive<usize>, on: bool) {
        for row in &mut self.rows[y] {
            for x in x.clone() {
                let bit = 0x80 >> x;
                *row = if on { *row | bit } else { *row & !bit };
            }
        }
    }
}

/// Double lines are thick bars with a core cut out, so that corners and crossings come out hollow; single lines are
/// drawn over them, from the far side of a bar at corners, from the near side at tees, and through it at crossings.
fn boxes([l, r, u, d]: [u8; 4], height: usize) -> Vec<u8> {
    let mut c = Cell { rows: vec![0; height] };
    let (mid, end) = (height / 2 - 1, height - 1);
    let (top, core) = (mid - 2, mid - 1);
    let (dh, dv) = (l == 2 || r == 2, u == 2 || d == 2);
    let any_v = u + d > 0;
    let h_left = if dv { 6 } else { 4 };
    let h_right = if dv { 2 } else { 3 };
    for on in [true, false] {
        let (rows, cols) = if on { (top..=mid, 2..=6) } else { (core..=core, 4..=4) };
        let (stop_left, start_right) = if on { (h_left, h_right) } else { (4, 4) };
        if l == 2 {
            c.fill(0..=if any_v { stop_left } else { 7 }, rows.clone(), on);
        }
        if r == 2 {
            c.fill(if any_v { start_right } else { 0 }..=7, rows, on);
        }
        let (stop_up, start_down) = match (dh, on) {
            (true, true) => (mid, top),
            (true, false) => (core, core),
            (false, _) => (mid, mid),
        };
        if u == 2 {
            c.fill(cols.clone(), 0..=stop_up, on);
        }
        if d == 2 {
            c.fill(cols, start_down..=end, on);
        }
    }
    let tee_v = u > 0 && d > 0;
    if l == 1 {
        let stop = match (dv, r == 1, tee_v) {
            (false, ..) => 4,
            (true, true, _) => 7,
            (true, false, true) => 3,
            (true, false, false) => 6,
        };
        c.fill(0..=stop, mid..=mid, true);
    }
    if r == 1 {
        let start = match (dv, l == 1, tee_v) {
            (false, ..) => 3,
            (true, true, _) => 0,
            (true, false, true) => 5,
            (true, false, false) => 2,
        };
        c.fill(start..=7, mid..=mid, true);
    }
    let tee_h = l > 0 && r > 0;
    if u == 1 {
        let stop = match (dh, d == 1, tee_h) {
            (false, ..) => mid,
            (true, true, _) => end,
            (true, false, true) => top,
            (true, false, false) => mid,
        };
        c.fill(3..=4, 0..=stop, true);
    }
    if d == 1 {
        let start = match (dh, u == 1, tee_h) {
            (false, ..) => mid,
            (true, true, _) => 0,
            (true, false, true) => mid,
            (true, false, false) => top,
        };
        c.fill(3..=4, start..=end, true);
    }
    c.rows
}
