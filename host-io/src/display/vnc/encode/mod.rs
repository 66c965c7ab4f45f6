//! Rectangles of pixels as bytes. RFC 6143 7.7.

mod hextile;
mod zrle;

use super::pixel::PixelFormat;
use crate::display::Rect;

pub use zrle::Zrle;

pub const RAW: i32 = 0;
pub const HEXTILE: i32 = 5;
pub const ZRLE: i32 = 16;
pub const DESKTOP_SIZE: i32 = -223;
/// QEMU LED State, of the community's RFB specification.
pub const LED_STATE: i32 = -261;
pub const EXTENDED_DESKTOP_SIZE: i32 = -308;

/// Pixels already in the client's format, row by row.
pub struct Tile {
    pub width: usize,
    pub height: usize,
    pub px: Vec<u32>,
}

/// A picture to take rectangles from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub px: &'a [u32],
    pub width: u32,
    pub height: u32,
    pub format: &'a PixelFormat,
}

impl Source<'_> {
    /// The pixels of `r`, converted; black outside the picture.
    pub fn tile(&self, r: Rect) -> Tile {
        let mut px = Vec::with_capacity((r.width * r.height) as usize);
        for y in r.y..r.y + r.height {
            let end = (r.x + r.width).min(self.width);
            let row = if y < self.height && r.x < end {
                let at = (y * self.width) as usize;
                &self.px[at + r.x as usize..at + end as usize]
            } else {
                &[]
            };
            px.extend(row.iter().map(|&p| self.format.convert(p)));
            px.resize(((y - r.y + 1) * r.width) as usize, 0);
        }
        Tile { width: r.width as usize, height: r.height as usize, px }
    }
}

/// `r` in pieces of at most `size` by `size`, row by row: the tiles of Hextile and ZRLE.
pub fn pieces(r: Rect, size: u32) -> impl Iterator<Item = Rect> {
    (0..r.height.div_ceil(size)).flat_map(move |row| {
        (0..r.width.div_ceil(size)).map(move |col| {
            let (x, y) = (col * size, row * size);
            Rect { x: r.x + x, y: r.y + y, width: size.min(r.width - x), height: size.min(r.height - y) }
        })
    })
}

/// The rectangle header that all encodings begin with.
pub fn header(out: &mut Vec<u8>, r: Rect, encoding: i32) {
    for v in [r.x, r.y, r.width, r.height] {
        out.extend((v as u16).to_be_bytes());
    }
    out.extend(encoding.to_be_bytes());
}

pub fn raw(out: &mut Vec<u8>, from: Source<'_>, r: Rect) {
    header(out, r, RAW);
    for v in from.tile(r).px {
        from.format.put(out, v);
    }
}

pub fn hextile(out: &mut Vec<u8>, from: Source<'_>, r: Rect) {
    header(out, r, HEXTILE);
    let mut state = hextile::State::default();
    for piece in pieces(r, 16) {
        state.tile(out, &from.tile(piece), from.format);
    }
}
