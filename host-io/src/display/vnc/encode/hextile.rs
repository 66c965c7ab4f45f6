//! Hextile. RFC 6143 7.7.4.

use super::Tile;
use crate::display::vnc::pixel::PixelFormat;

const RAW: u8 = 1;
const BACKGROUND: u8 = 2;
const FOREGROUND: u8 = 4;
const SUBRECTS: u8 = 8;
const COLOURED: u8 = 16;

/// Background and foreground carry over from tile to tile of a rectangle.
#[derive(Default)]
pub struct State {
    background: Option<u32>,
    foreground: Option<u32>,
}

/// A rectangle of one colour in a tile.
struct Sub {
    x: usize,
    y: usize,
    w: usize,
    h: usize,
    colour: u32,
}

/// The colour that most pixels have.
fn commonest(px: &[u32]) -> u32 {
    let mut sorted = px.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).max_by_key(|run| run.len()).map_or(0, |run| run[0])
}

/// Covers everything that is not background with rectangles, greedily: as wide as the colour goes, then as high.
/// `None` if there are more than a tile can list.
fn subrects(t: &Tile, background: u32) -> Option<Vec<Sub>> {
    let mut todo: Vec<bool> = t.px.iter().map(|&p| p != background).collect();
    let mut out = Vec::new();
    for at in 0..todo.len() {
        if !todo[at] {
            continue;
        }
        let (x, y, colour) = (at % t.width, at / t.width, t.px[at]);
        let fits =
            |x: usize, y: usize, todo: &[bool]| todo[y * t.width + x] && t.px[y * t.width + x] == colour;
        let w = (x..t.width).take_while(|&x| fits(x, y, &todo)).count();
        let h = (y..t.height).take_while(|&y| (x..x + w).all(|x| fits(x, y, &todo))).count();
        for y in y..y + h {
            todo[y * t.width + x..y * t.width + x + w].fill(false);
        }
        out.push(Sub { x, y, w, h, colour });
        if out.len() > 255 {
            return None;
        }
    }
    Some(out)
}

impl State {
    pub fn tile(&mut self, out: &mut Vec<u8>, t: &Tile, format: &PixelFormat) {
        let background = commonest(&t.px);
        let raw = t.px.len() * format.bytes();
        let Some(subs) = subrects(t, background) else { return self.raw(out, t, format) };
        let foreground = subs.first().map(|s| s.colour);
        let coloured = subs.iter().any(|s| Some(s.colour) != foreground);
        let each = if coloured { 2 + format.bytes() } else { 2 };
        if 2 * format.bytes() + 1 + each * subs.len() >= raw {
            return self.raw(out, t, format);
        }
        let at = out.len();
        let mut flags = 0;
        out.push(0);
        if self.background.replace(background) != Some(background) {
            flags |= BACKGROUND;
            format.put(out, background);
        }
        if let Some(foreground) = foreground {
            flags |= SUBRECTS;
            if coloured {
                flags |= COLOURED;
                // Coloured subrectangles leave the foreground undefined.
                self.foreground = None;
            } else if self.foreground.replace(foreground) != Some(foreground) {
                flags |= FOREGROUND;
                format.put(out, foreground);
            }
            out.push(subs.len() as u8);
            for s in &subs {
                if coloured {
                    format.put(out, s.colour);
                }
                out.extend([(s.x << 4 | s.y) as u8, ((s.w - 1) << 4 | (s.h - 1)) as u8]);
            }
        }
        out[at] = flags;
    }

    fn raw(&mut self, out: &mut Vec<u8>, t: &Tile, format: &PixelFormat) {
        // What comes after a raw tile must state its colours again.
        *self = Self::default();
        out.push(RAW);
        for &v in &t.px {
            format.put(out, v);
        }
    }
}
