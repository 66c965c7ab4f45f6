//! Pixel formats. RFC 6143 7.4.

/// How a client wants its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelFormat {
    pub bits: u8,
    pub depth: u8,
    pub big_endian: bool,
    pub true_colour: bool,
    /// Red, green, blue.
    pub max: [u16; 3],
    pub shift: [u8; 3],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pixel format of {bits} bits, primaries up to {max:?} shifted by {shift:?}")]
pub struct BadFormat {
    bits: u8,
    max: [u16; 3],
    shift: [u8; 3],
}

impl PixelFormat {
    /// What a [`super::Frame`] holds.
    pub const NATIVE: Self =
        Self { bits: 32, depth: 24, big_endian: false, true_colour: true, max: [255; 3], shift: [16, 8, 0] };

    /// What a client that asks for a colour map gets: three bits of red, three of green, two of blue.
    pub const MAPPED: Self =
        Self { bits: 8, depth: 8, big_endian: false, true_colour: false, max: [7, 7, 3], shift: [5, 2, 0] };

    pub fn bytes(&self) -> usize {
        usize::from(self.bits / 8)
    }

    pub fn to_wire(self) -> [u8; 16] {
        let mut w = [0; 16];
        w[..4].copy_from_slice(&[
            self.bits,
            self.depth,
            u8::from(self.big_endian),
            u8::from(self.true_colour),
        ]);
        for i in 0..3 {
            w[4 + 2 * i..6 + 2 * i].copy_from_slice(&self.max[i].to_be_bytes());
            w[10 + i] = self.shift[i];
        }
        w
    }

    pub fn from_wire(w: [u8; 16]) -> Result<Self, BadFormat> {
        let max = std::array::from_fn(|i| u16::from_be_bytes([w[4 + 2 * i], w[5 + 2 * i]]));
        let f = Self {
            bits: w[0],
            depth: w[1],
            big_endian: w[2] != 0,
            true_colour: w[3] != 0,
            max,
            shift: [w[10], w[11], w[12]],
        };
        if f.bits == 8 && !f.true_colour {
            return Ok(Self::MAPPED);
        }
        let fits = |(max, shift): (u16, u8)| {
            // A primary is some bits side by side, inside the pixel.
            max.checked_add(1).is_none_or(u16::is_power_of_two)
                && max > 0
                && u32::from(shift) + (16 - max.leading_zeros()) <= u32::from(f.bits)
        };
        let sound = matches!(f.bits, 8 | 16 | 32) && f.true_colour && max.into_iter().zip(f.shift).all(fits);
        if sound { Ok(f) } else { Err(BadFormat { bits: f.bits, max, shift: f.shift }) }
    }

    /// A pixel 00RRGGBBh as the number that goes on the wire.
    pub fn convert(&self, px: u32) -> u32 {
        if self.max == [255; 3] {
            return (px >> 16 & 0xff) << self.shift[0]
                | (px >> 8 & 0xff) << self.shift[1]
                | (px & 0xff) << self.shift[2];
        }
        (0..3).fold(0, |out, i| {
            let v = px >> (16 - 8 * i) & 0xff;
            let v = (v * u32::from(self.max[i]) + 127) / 255;
            out | v << self.shift[i]
        })
    }

    /// Appends a converted pixel.
    pub fn put(&self, out: &mut Vec<u8>, value: u32) {
        match (self.bits, self.big_endian) {
            (8, _) => out.push(value as u8),
            (16, false) => out.extend((value as u16).to_le_bytes()),
            (16, true) => out.extend((value as u16).to_be_bytes()),
            (_, false) => out.extend(value.to_le_bytes()),
            (_, true) => out.extend(value.to_be_bytes()),
        }
    }

    /// Which three of four bytes a compressed pixel keeps (RFC 6143 7.7.5), if that format has one: where they begin.
    fn compressed(&self) -> Option<usize> {
        if self.bits != 32 || !self.true_colour || self.depth > 24 {
            return None;
        }
        let used = (0..3).fold(0, |m, i| m | u32::from(self.max[i]) << self.shift[i]);
        match (used & 0xff00_0000 == 0, used & 0xff == 0, self.big_endian) {
            (true, _, false) | (false, true, true) => Some(0),
            (true, _, true) | (false, true, false) => Some(1),
            _ => None,
        }
    }

    pub fn compressed_bytes(&self) -> usize {
        if self.compressed().is_some() { 3 } else { self.bytes() }
    }

    /// Appends a converted pixel as ZRLE wants it.
    pub fn put_compressed(&self, out: &mut Vec<u8>, value: u32) {
        let at = out.len();
        self.put(out, value);
        match self.compressed() {
            Some(0) => out.truncate(at + 3),
            Some(_) => {
                out.remove(at);
            }
            None => {}
        }
    }

    /// SetColourMapEntries for a client without true colour. RFC 6143 7.6.2.
    pub fn colour_map() -> Vec<u8> {
        let mut out = vec![1, 0, 0, 0];
        out.extend(256u16.to_be_bytes());
        for n in 0..256u32 {
            for (max, shift) in Self::MAPPED.max.into_iter().zip(Self::MAPPED.shift) {
                let v = n >> shift & u32::from(max);
                out.extend(((v * 0xffff / u32::from(max)) as u16).to_be_bytes());
            }
        }
        out
    }
}
