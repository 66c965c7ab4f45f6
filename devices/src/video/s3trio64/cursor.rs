//! The hardware graphics cursor: CR45-CR4F, CR55 b4, and 1 KiB of video memory.

use super::crtc_ext::CrtcExt;
use crate::video::sprite::{Dot, Sprite};
use crate::video::vga::{Direct, Vga, Vram};

const SIDE: u32 = 64;
/// Bytes of a row: four groups of sixteen AND bits and sixteen XOR bits.
const ROW: u32 = 16;

/// What the cursor needs beside the registers as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// CR46, CR47, CR49 and CR48 as they were when CR48 was written: the position that counts.
    pub at: (u16, u16),
    pub foreground: [u8; 4],
    pub background: [u8; 4],
    /// Where the next bytes of CR4A and CR4B go. Reading CR45 brings both back to 0.
    pub next: (u8, u8),
}

impl Cursor {
    /// CR4A or CR4B.
    fn stack(&mut self, foreground: bool) -> (&mut [u8; 4], &mut u8) {
        if foreground {
            (&mut self.foreground, &mut self.next.0)
        } else {
            (&mut self.background, &mut self.next.1)
        }
    }

    pub fn push(&mut self, foreground: bool, v: u8) {
        let (stack, next) = self.stack(foreground);
        stack[usize::from(*next & 3)] = v;
        *next = (*next + 1) & 3;
    }

    pub fn pop(&mut self, foreground: bool) -> u8 {
        let (stack, next) = self.stack(foreground);
        let v = stack[usize::from(*next & 3)];
        *next = (*next + 1) & 3;
        v
    }

    pub fn rewind(&mut self) {
        self.next = (0, 0);
    }

    /// CR48 is written: the position is taken over.
    pub fn latch(&mut self, cr: &[u8; 0x80]) {
        let word = |high: usize| u16::from(cr[high] & 7) << 8 | u16::from(cr[high + 1]);
        self.at = (word(0x46), word(0x48));
    }
}

/// A byte of the pattern's address with Right Storage: the last quarter of each kilobyte row of a picture 1280 wide.
fn right_storage(at: u32) -> u32 {
    at & 0xffff_f1ff | (at & 0x200) << 2 | 0x600
}

/// The cursor as the registers have it, if it is on.
pub fn sprite(ext: &CrtcExt, vga: &Vga, v: Vram<'_>) -> Option<Sprite> {
    let cr = &ext.cr;
    if cr[0x45] & 1 == 0 {
        return None;
    }
    let base = (u32::from(cr[0x4c] & 0x1f) << 8 | u32::from(cr[0x4d])) << 10;
    let right = cr[0x45] & 0x10 != 0 && cr[0x3a] & 0x10 != 0;
    let x11 = cr[0x55] & 0x10 != 0;
    let (left, top) = (u32::from(cr[0x4e] & 63), u32::from(cr[0x4f] & 63));
    let colour = |c: [u8; 4]| {
        let word = u32::from(u16::from_le_bytes([c[0], c[1]]));
        match vga.ext.direct {
            None => vga.dac.rgb(c[0]),
            Some(d @ (Direct::Rgb15 | Direct::Rgb16)) => d.rgb(word),
            Some(d @ Direct::Rgb32) => d.rgb(u32::from_le_bytes([c[0], c[1], c[2], 0])),
        }
    };
    let (foreground, background) =
        (Dot::Colour(colour(ext.cursor.foreground)), Dot::Colour(colour(ext.cursor.background)));
    let dot = |and: bool, xor: bool| match (x11, and, xor) {
        (false, false, false) | (true, true, false) => background,
        (false, false, true) | (true, true, true) => foreground,
        (false, true, false) | (true, false, _) => Dot::Screen,
        (false, true, true) => Dot::Invert,
    };
    let mut dots = Vec::with_capacity((SIDE * SIDE) as usize);
    for y in top..SIDE {
        let row: [u8; ROW as usize] = std::array::from_fn(|i| {
            let at = base + y * ROW + i as u32;
            v.byte(if right { right_storage(at) } else { at })
        });
        dots.extend((left..SIDE).map(|x| {
            let group = x as usize / 16 * 4;
            let bit = |at: usize| row[at + x as usize % 16 / 8] << (x % 8) & 0x80 != 0;
            dot(bit(group), bit(group + 2))
        }));
    }
    let (x, y) = ext.cursor.at;
    Some(Sprite { x: x.into(), y: y.into(), width: SIDE - left, dots })
}
