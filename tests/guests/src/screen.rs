//! Reads a text screen from a picture of it: cells of 16 lines are compared with the font of our video BIOS.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::path::Path;
use std::sync::OnceLock;

const LINES: usize = 16;
const COLUMNS: usize = 80;
/// Where the 8x16 font lies in the ROM image; see `firmware::rom`.
const FONT: usize = 0x1000;

type Glyph = [u8; LINES];

fn font() -> &'static HashMap<Glyph, char> {
    static FONT_MAP: OnceLock<HashMap<Glyph, char>> = OnceLock::new();
    FONT_MAP.get_or_init(|| {
        let rom = firmware::rom_image();
        let mut map = HashMap::new();
        for (c, g) in rom[FONT..FONT + 256 * LINES].chunks(LINES).enumerate() {
            let shown = if (0x20..0x7f).contains(&c) { c as u8 as char } else { '.' };
            let mut glyph = Glyph::default();
            glyph.copy_from_slice(g);
            // ASCII wins over a look-alike.
            let known = map.entry(glyph).or_insert(shown);
            if *known == '.' {
                *known = shown;
            }
        }
        map.insert(Glyph::default(), ' ');
        map
    })
}

/// A screenshot.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Screen {
    pub width: usize,
    pub height: usize,
    /// 0xRRGGBB.
    pub pixels: Vec<u32>,
}

impl Screen {
    pub fn load(path: &Path) -> io::Result<Self> {
        let mut d = png::Decoder::new(BufReader::new(File::open(path)?));
        d.set_transformations(png::Transformations::normalize_to_color8());
        let mut r = d.read_info()?;
        let size = r.output_buffer_size().ok_or_else(|| io::Error::other("the picture is too large"))?;
        let mut b = vec![0; size];
        let info = r.next_frame(&mut b)?;
        let step = info.color_type.samples();
        if step < 3 {
            return Err(io::Error::other("the picture is not in colour (RGB)"));
        }
        let rgb = |p: &[u8]| u32::from(p[0]) << 16 | u32::from(p[1]) << 8 | u32::from(p[2]);
        let pixels = b[..info.buffer_size()].chunks_exact(step).map(rgb).collect();
        Ok(Self { width: info.width as usize, height: info.height as usize, pixels })
    }

    /// Writes a PNG file.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let mut e =
            png::Encoder::new(BufWriter::new(File::create(path)?), self.width as u32, self.height as u32);
        e.set_color(png::ColorType::Rgb);
        e.set_depth(png::BitDepth::Eight);
        let rgb: Vec<u8> =
            self.pixels.iter().flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8]).collect();
        e.write_header()?.write_image_data(&rgb)?;
        Ok(())
    }

    /// The text on it, a line for each row; empty in a graphics mode's resolution that has no 80 columns.
    pub fn text(&self) -> String {
        let cell = self.width / COLUMNS;
        if !matches!(cell, 8 | 9) || !self.width.is_multiple_of(COLUMNS) {
            return String::new();
        }
        let row = |y: usize| (0..COLUMNS).map(move |x| self.cell(x * cell, y * LINES)).collect::<String>();
        (0..self.height / LINES).map(|y| row(y).trim_end().to_owned() + "\n").collect()
    }

    fn cell(&self, left: usize, top: usize) -> char {
        let at = |x: usize, y: usize| self.pixels[(top + y) * self.width + left + x];
        let back = at(0, 0);
        let mut glyph = Glyph::default();
        for (y, line) in glyph.iter_mut().enumerate() {
            for x in 0..8 {
                *line |= u8::from(at(x, y) != back) << (7 - x);
            }
        }
        // The corner may belong to the character.
        let other = glyph.map(|l| !l);
        let known = |g: &Glyph| font().get(g).copied();
        known(&glyph).or_else(|| known(&other)).unwrap_or('?')
    }
}
