//! The DSP's registers: its ports' state, and what its commands set. Sound Blaster Series Hardware Programming Guide,
//! chapter 6.

use std::collections::VecDeque;

use board::{MICROSECOND, SECOND, Tick};

use crate::audio::track::Period;

use super::lane::Lane;

/// From the end of a reset to its AAh.
pub(super) const AWAKE: Tick = 15 * MICROSECOND;
/// After a byte was written, until the next is taken.
pub(super) const BUSY: Tick = MICROSECOND;
/// From commands F2h and F3h to their interrupt.
pub(super) const FORCED: Tick = 10 * MICROSECOND;
/// Bytes that wait to be read.
pub(super) const MOST_OUT: usize = 64;

/// 4.05: a late DSP of the first generation of cards.
pub(super) const VERSION: [u8; 2] = [4, 5];
/// What 82h of the mixer shows of it in its upper half.
pub(super) const VERSION_BITS: u8 = 0x20;

/// Lanes, and bits of interrupts.
pub(super) const EIGHT: usize = 0;
pub(super) const SIXTEEN: usize = 1;

/// The sample clock as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rate {
    /// 40h: 256 less the microseconds of a byte.
    Constant(u8),
    /// 41h, 42h: frames a second.
    Hz(u16),
}

impl Rate {
    /// What power-on and reset leave.
    pub(super) const RESET: Self = Self::Hz(8000);
    /// The fastest time constant: 22 us, 45454 Hz.
    const FASTEST: u8 = 234;

    /// The time of a frame. A time constant counts bytes of all channels.
    pub(super) fn period(self, channels: u64) -> Period {
        match self {
            Self::Constant(tc) => {
                let us = 256 - u64::from(tc.min(Self::FASTEST));
                Period { num: us * 1000 * channels, den: 1 }
            }
            Self::Hz(hz) => Period { num: SECOND, den: u64::from(hz.clamp(4000, 45_454)) },
        }
    }
}

pub(super) struct Dsp {
    /// Port 6 bit 0.
    pub held: bool,
    /// The oldest byte of `out` is there from then on.
    pub ready_at: Tick,
    pub busy_until: Tick,
    pub out: VecDeque<u8>,
    pub last: u8,
    pub command: Option<u8>,
    pub args: Vec<u8>,
    /// Commands 34h to 37h: bytes are MIDI's until a reset.
    pub midi: bool,
    /// Output, input.
    pub rate: [Rate; 2],
    /// 48h: bytes of a block less one.
    pub block: u16,
    pub speaker: bool,
    pub stereo_in: bool,
    pub test: u8,
    /// E2h: the sum so far, and how many bytes made it.
    pub challenge: (u8, u8),
    /// Of the 8051: F9h, FAh.
    pub ram: Box<[u8; 256]>,
    pub lanes: [Lane; 2],
    /// 10h: the level, and since when.
    pub level: i16,
    pub level_at: Tick,
    /// Interrupts that F2h and F3h have asked for.
    pub forced: [Option<Tick>; 2],
}

impl Dsp {
    pub(super) fn new() -> Self {
        Self {
            held: false,
            ready_at: 0,
            busy_until: 0,
            out: VecDeque::new(),
            last: 0xff,
            command: None,
            args: Vec::new(),
            midi: false,
            rate: [Rate::RESET; 2],
            block: 0,
            speaker: false,
            stereo_in: false,
            test: 0,
            challenge: (0xaa, 0),
            ram: Box::new([0; 256]),
            lanes: [Lane::new(), Lane::new()],
            level: 0,
            level_at: 0,
            forced: [None; 2],
        }
    }

    /// A reset by port 6: commands, transfers and bytes that wait are gone; what was heard last fades by itself.
    pub(super) fn reset(&mut self) {
        let Self { held, ready_at, busy_until, out, last, command, args, midi, rate, block, speaker, .. } =
            self;
        (*held, *ready_at, *busy_until, *last) = (false, 0, 0, 0xff);
        out.clear();
        args.clear();
        (*command, *midi, *rate, *block, *speaker) = (None, false, [Rate::RESET; 2], 0, false);
        (self.stereo_in, self.test, self.challenge, self.forced) = (false, 0, (0xaa, 0), [None; 2]);
        for l in &mut self.lanes {
            l.stop();
        }
    }

    pub(super) fn give(&mut self, bytes: &[u8]) {
        let room = MOST_OUT - self.out.len();
        self.out.extend(bytes.iter().take(room));
    }

    pub(super) fn has_data(&self, now: Tick) -> bool {
        !self.out.is_empty() && now >= self.ready_at
    }

    /// Port Ah: an empty one repeats the last byte.
    pub(super) fn take(&mut self, now: Tick) -> u8 {
        if self.has_data(now)
            && let Some(b) = self.out.pop_front()
        {
            self.last = b;
        }
        self.last
    }
}
