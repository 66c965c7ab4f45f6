//! Creative's ADPCM: codes of 4, 2.6 or 2 bits against the sample before. Sound Blaster Series Hardware Programming
//! Guide, DSP commands 16h, 17h, 74h to 77h; the step rule as players of such files agree on it.

/// What a byte holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Two codes of four bits.
    Four,
    /// Two codes of three bits and one of two.
    TwoSix,
    /// Four codes of two bits.
    Two,
}

impl Packing {
    /// Samples of a byte.
    pub(super) const fn samples(self) -> u32 {
        match self {
            Self::Four => 2,
            Self::TwoSix => 3,
            Self::Two => 4,
        }
    }

    /// Width of the `n`th code of a byte, and how far it lies from bit 0.
    const fn code(self, n: u8) -> (u8, u8) {
        match (self, n) {
            (Self::Four, 0) => (4, 4),
            (Self::Four, _) => (4, 0),
            (Self::TwoSix, 0) => (3, 5),
            (Self::TwoSix, 1) => (3, 2),
            (Self::TwoSix, _) => (2, 0),
            (Self::Two, n) => (2, 6 - 2 * (n & 3)),
        }
    }

    const fn last_step(self) -> u8 {
        match self {
            Self::Four => 3,
            Self::TwoSix => 4,
            Self::Two => 5,
        }
    }
}

/// A decoder in the middle of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Adpcm {
    pub packing: Packing,
    /// The next byte is a sample as it is.
    pub reference: bool,
    /// Unsigned 8-bit.
    pub sample: u8,
    pub step: u8,
    pub byte: u8,
    /// Codes of `byte` that are used up.
    pub used: u8,
}

impl Adpcm {
    pub(super) fn new(packing: Packing, reference: bool) -> Self {
        Self { packing, reference, sample: 0x80, step: 0, byte: 0, used: packing.samples() as u8 }
    }

    pub(super) fn is_empty(&self) -> bool {
        u32::from(self.used) >= self.packing.samples()
    }

    /// A byte from memory.
    pub(super) fn feed(&mut self, byte: u8) {
        if std::mem::take(&mut self.reference) {
            (self.sample, self.step) = (byte, 0);
        } else {
            (self.byte, self.used) = (byte, 0);
        }
    }

    /// The next sample; to be asked when not empty.
    pub(super) fn next(&mut self) -> u8 {
        let (width, shift) = self.packing.code(self.used);
        self.used += 1;
        let code = self.byte >> shift & ((1 << width) - 1);
        let sign = 1 << (width - 1);
        let size = code & (sign - 1);
        let delta = (i32::from(size) << self.step) + (1 << self.step) / 2;
        let to = i32::from(self.sample) + if code & sign != 0 { -delta } else { delta };
        self.sample = to.clamp(0, 255) as u8;
        // The two-bit code of 2.6 has one bit of size: it counts as large where a three-bit one would.
        let large = match width {
            4 => size >= 5,
            3 => size >= 3,
            _ => size >= 1,
        };
        if large {
            self.step = (self.step + 1).min(self.packing.last_step());
        } else if size == 0 {
            self.step = self.step.saturating_sub(1);
        }
        self.sample
    }

    /// Samples until `bytes` more and what is there are used up.
    pub(super) fn samples_of(&self, bytes: u32) -> u64 {
        let full = u64::from(bytes.saturating_sub(u32::from(self.reference)));
        let rest = u64::from(self.packing.samples()).saturating_sub(u64::from(self.used));
        full * u64::from(self.packing.samples()) + rest
    }
}
