//! The synthesizer's tables. Yamaha YMF262 application manual; the two ROMs are a logarithm of a quarter sine and an
//! exponential, both to the base 2 with 8 fractional bits.

use std::f64::consts::PI;

/// Attenuation beyond everything that is heard, in 1/256 of a power of two.
pub(super) const SILENT: u32 = 0x1000;

pub(super) struct Tables {
    /// -log2 of the sine at the middle of each 1/1024 turn of the first quarter.
    log_sin: [u16; 256],
    /// Mantissa of 2^-x.
    exp: [u16; 256],
}

/// Frequency multiples, doubled.
pub(super) const MULTIPLE: [u8; 16] = [1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 24, 24, 30, 30];

/// Key scale level at the highest octave by the frequency number's upper four bits, in 0.75 dB.
pub(super) const KEY_SCALE: [u8; 16] = [0, 32, 40, 45, 48, 51, 53, 55, 56, 58, 59, 60, 61, 62, 63, 64];

/// How far the level shifts down for KSL 1 to 3: 3, 1.5 and 6 dB an octave.
pub(super) const KEY_SCALE_SHIFT: [u8; 4] = [8, 1, 2, 0];

/// What an envelope moves in each of eight steps, by the rate's lower two bits.
const STEPS: [[u8; 8]; 4] =
    [[0, 1, 0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 1, 1, 0, 1], [0, 1, 1, 1, 0, 1, 1, 1], [0, 1, 1, 1, 1, 1, 1, 1]];

/// How much an envelope of this rate (0 to 63) moves at this tick of the envelope clock.
pub(super) fn envelope_step(rate: u8, clock: u64) -> u16 {
    let (high, low) = (rate >> 2, usize::from(rate & 3));
    match high {
        _ if rate < 4 => 0,
        // Every 2^(12-high) ticks one of eight steps.
        0..=12 => {
            let shift = 12 - high;
            if clock & ((1 << shift) - 1) != 0 {
                return 0;
            }
            u16::from(STEPS[low][(clock >> shift & 7) as usize])
        }
        // Each tick, by one, two or four, and in some of them by twice as much.
        13 | 14 => {
            let base = 1 << (high - 13);
            // The low rates' steps at rates 0 to 3 within: none, one of four, two of four, three of four are doubled.
            let doubled = match low {
                0 => false,
                1 => clock & 3 == 3,
                2 => clock & 1 == 1,
                _ => clock & 3 != 0,
            };
            if doubled { 2 * base } else { base }
        }
        _ => 4,
    }
}

impl Tables {
    pub(super) fn new() -> Self {
        let log_sin = std::array::from_fn(|n| {
            let s = ((n as f64 + 0.5) * PI / 512.0).sin();
            (-s.log2() * 256.0).round() as u16
        });
        let exp = std::array::from_fn(|n| (((255 - n) as f64 / 256.0).exp2() * 1024.0).round() as u16);
        Self { log_sin, exp }
    }

    /// Attenuation and sign of a waveform at a phase of 10 bits.
    fn wave(&self, form: u8, phase: u32) -> (u32, bool) {
        let phase = phase & 0x3ff;
        let second = phase & 0x200 != 0;
        let sine = |p: u32| {
            let p = p & 0x1ff;
            u32::from(self.log_sin[(if p < 0x100 { p } else { 0x1ff - p }) as usize])
        };
        match form {
            0 => (sine(phase), second),
            // Only the positive half.
            1 => (if second { SILENT } else { sine(phase) }, false),
            2 => (sine(phase), false),
            // Only the rising quarters.
            3 => (if phase & 0x100 != 0 { SILENT } else { sine(phase) }, false),
            // A whole turn in the first half.
            4 | 5 if second => (SILENT, false),
            4 => (sine(phase << 1), phase & 0x100 != 0),
            5 => (sine(phase << 1), false),
            6 => (0, second),
            // An exponential fall in each half.
            _ => ((if second { 0x3ff - phase } else { phase }) << 3, second),
        }
    }

    /// What an operator gives: 13 bits signed. `attenuation` in 1/32 of a power of two (0.1875 dB), 0 to 511.
    pub(super) fn output(&self, form: u8, phase: u32, attenuation: u32) -> i32 {
        let (level, negative) = self.wave(form, phase);
        let level = (level + (attenuation << 3)).min(0x1fff);
        let size = (i32::from(self.exp[(level & 0xff) as usize]) << 1) >> (level >> 8);
        if negative { !size } else { size }
    }
}
