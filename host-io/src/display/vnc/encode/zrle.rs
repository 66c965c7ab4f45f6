//! ZRLE. RFC 6143 7.7.6: tiles of 64x64, run lengths and palettes, all through one zlib stream for each client.

use flate2::{Compress, Compression, FlushCompress};

use super::{Source, Tile, header, pieces};
use crate::display::Rect;
use crate::display::vnc::pixel::PixelFormat;

const PLAIN_RLE: u8 = 128;
/// Largest palette whose indices are packed into bits.
const PACKED: usize = 16;
/// Largest palette with run lengths.
const MOST_COLOURS: usize = 127;

/// The client's zlib stream: the decoder's window spans rectangles, so it lives as long as the connection.
pub struct Zrle {
    stream: Compress,
    plain: Vec<u8>,
}

impl Default for Zrle {
    fn default() -> Self {
        // Speed before size: most viewers are on this host or close to it.
        Self { stream: Compress::new(Compression::fast(), true), plain: Vec::new() }
    }
}

impl Zrle {
    pub fn rect(
        &mut self,
        out: &mut Vec<u8>,
        from: Source<'_>,
        r: Rect,
    ) -> Result<(), flate2::CompressError> {
        header(out, r, super::ZRLE);
        self.plain.clear();
        for piece in pieces(r, 64) {
            tile(&mut self.plain, &from.tile(piece), from.format);
        }
        let length = out.len();
        out.extend([0; 4]);
        let (begun, mut done) = (self.stream.total_in(), 0);
        loop {
            out.reserve(self.plain.len() / 4 + 1024);
            self.stream.compress_vec(&self.plain[done..], out, FlushCompress::Sync)?;
            done = (self.stream.total_in() - begun) as usize;
            // Room left over: the flush is complete.
            if done == self.plain.len() && out.len() < out.capacity() {
                break;
            }
        }
        let n = (out.len() - length - 4) as u32;
        out[length..length + 4].copy_from_slice(&n.to_be_bytes());
        Ok(())
    }
}

/// Colour and length of each run.
fn runs(px: &[u32]) -> Vec<(u32, usize)> {
    px.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

/// A run length: 255s, then the rest.
fn put_length(out: &mut Vec<u8>, length: usize) {
    let rest = length - 1;
    out.extend(std::iter::repeat_n(255, rest / 255));
    out.push((rest % 255) as u8);
}

fn length_bytes(length: usize) -> usize {
    (length - 1) / 255 + 1
}

/// Bits of an index in a packed palette.
fn index_bits(colours: usize) -> usize {
    match colours {
        0..=2 => 1,
        3..=4 => 2,
        _ => 4,
    }
}

/// Encodes a tile in the way that takes fewest bytes before compression.
fn tile(out: &mut Vec<u8>, t: &Tile, format: &PixelFormat) {
    let runs = runs(&t.px);
    let mut palette: Vec<u32> = runs.iter().map(|r| r.0).collect();
    palette.sort_unstable();
    palette.dedup();
    if let [colour] = palette[..] {
        out.push(1);
        format.put_compressed(out, colour);
        return;
    }
    let each = format.compressed_bytes();
    let colours = palette.len();
    let raw = t.px.len() * each;
    let plain_rle: usize = runs.iter().map(|r| each + length_bytes(r.1)).sum();
    let packed =
        (colours <= PACKED).then(|| colours * each + (t.width * index_bits(colours)).div_ceil(8) * t.height);
    let palette_rle = (colours <= MOST_COLOURS).then(|| {
        let run = |r: &(u32, usize)| if r.1 == 1 { 1 } else { 1 + length_bytes(r.1) };
        colours * each + runs.iter().map(run).sum::<usize>()
    });
    let least = [Some(raw), Some(plain_rle), packed, palette_rle].into_iter().flatten().min();
    let index = |c: u32| palette.binary_search(&c).unwrap_or(0);
    if packed.is_some() && packed == least {
        out.push(colours as u8);
        palette.iter().for_each(|&c| format.put_compressed(out, c));
        let bits = index_bits(colours);
        for row in t.px.chunks(t.width) {
            for byte in row.chunks(8 / bits) {
                let v = byte.iter().fold(0, |v, &c| v << bits | index(c));
                out.push((v << (bits * (8 / bits - byte.len()))) as u8);
            }
        }
    } else if palette_rle.is_some() && palette_rle == least {
        out.push(PLAIN_RLE + colours as u8);
        palette.iter().for_each(|&c| format.put_compressed(out, c));
        for (colour, length) in runs {
            if length == 1 {
                out.push(index(colour) as u8);
            } else {
                out.push(index(colour) as u8 | 128);
                put_length(out, length);
            }
        }
    } else if Some(plain_rle) == least {
        out.push(PLAIN_RLE);
        for (colour, length) in runs {
            format.put_compressed(out, colour);
            put_length(out, length);
        }
    } else {
        out.push(0);
        t.px.iter().for_each(|&c| format.put_compressed(out, c));
    }
}
