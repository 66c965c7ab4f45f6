//! The speaker: a cone that port 61h bit 1 and OUT2 move between two places.
//!
//! Each move is a step at its exact CLK, which is put into the frames as a band-limited step (the integral of a windowed
//! sine), so that neither a tone's harmonics nor the carrier of a program that plays samples by pulse width fold back into
//! what is heard. A speaker does not hold a place: what stays is let go within some hundredths of a second.

use std::f32::consts::PI;

use board::{MILLISECOND, SOUND_HZ, SoundPort, Tick, periods};

use super::regs::CLK_HZ;

/// How often frames go to the port.
pub(super) const CHUNK: Tick = 5 * MILLISECOND;
/// Frames that a step spreads over; it is heard half as many late.
const TAPS: usize = 16;
/// Places within a frame that are tabulated; between them the table is a straight line.
const PHASES: usize = 64;
/// Of the frame rate; half would be all that it can hold.
const CUTOFF: f32 = 0.46;
/// From one place of the cone to the other, in the frames' units. A full scale sound of the card is 65535.
const STROKE: f32 = 12_000.0;
/// Of the cone's place, that is gone with each frame: a corner at about 30 Hz.
const GOES: f32 = 0.004;
/// After a longer stall the rest is skipped: half a second, in frames and in CLKs.
const MOST: u64 = SOUND_HZ / 2;
pub(super) const MOST_CLKS: u64 = CLK_HZ / 2;

pub(super) struct Speaker {
    port: Box<dyn SoundPort>,
    /// By phase, the impulse of which a step is the sum.
    kernel: Vec<[f32; TAPS]>,
    /// The frame that `steps` begins with.
    first: u64,
    /// Steps by the frame in which they have their effect.
    steps: Vec<f32>,
    /// Where the cone is.
    place: f32,
    out: bool,
    awake: bool,
    frames: Vec<[i16; 2]>,
}

impl Speaker {
    pub(super) fn new(port: Box<dyn SoundPort>) -> Self {
        let row = |phase: usize| {
            let mut w: [f32; TAPS] = std::array::from_fn(|tap| {
                let x = tap as f32 - (TAPS as f32 / 2.0 - 1.0) - phase as f32 / PHASES as f32;
                let y = 2.0 * PI * CUTOFF * x;
                let sinc = if x == 0.0 { 1.0 } else { y.sin() / y };
                // Blackman's window over all taps.
                let u = PI * x / (TAPS as f32 / 2.0);
                sinc * (0.42 + 0.5 * u.cos() + 0.08 * (2.0 * u).cos())
            });
            let sum: f32 = w.iter().sum();
            w.iter_mut().for_each(|w| *w *= STROKE / sum);
            w
        };
        Self {
            port,
            kernel: (0..=PHASES).map(row).collect(),
            first: 0,
            steps: Vec::new(),
            place: 0.0,
            out: false,
            awake: false,
            frames: Vec::new(),
        }
    }

    /// Is there something to be heard, or to be told?
    pub(super) fn awake(&self) -> bool {
        self.awake
    }

    /// At this CLK the cone goes to one place or the other. CLKs don't go back.
    pub(super) fn put(&mut self, clk: u64, out: bool) {
        if out == self.out {
            return;
        }
        self.out = out;
        let at = u128::from(clk) * u128::from(SOUND_HZ);
        let frame = (at / u128::from(CLK_HZ)) as u64;
        let place = (at % u128::from(CLK_HZ)) as f32 / CLK_HZ as f32 * PHASES as f32;
        let phase = (place as usize).min(PHASES - 1);
        let t = place - phase as f32;
        if !self.awake {
            (self.awake, self.first) = (true, frame);
            self.port.play(frame, &[]);
        }
        // A frame that has gone out, or that is too far away, takes its step in the first or the last one.
        let n = frame.saturating_sub(self.first).min(MOST) as usize;
        if self.steps.len() < n + TAPS {
            self.steps.resize(n + TAPS, 0.0);
        }
        let sign = if out { 1.0 } else { -1.0 };
        let (a, b) = (&self.kernel[phase], &self.kernel[phase + 1]);
        for (n, s) in self.steps[n..n + TAPS].iter_mut().enumerate() {
            *s += sign * (a[n] + (b[n] - a[n]) * t);
        }
    }

    /// Time has come to `now`: frames that no step can change any more go out.
    pub(super) fn play(&mut self, now: Tick) {
        if !self.awake {
            return;
        }
        let due = periods(now, SOUND_HZ).saturating_sub(self.first);
        if due == 0 {
            return;
        }
        let n = due.min(MOST) as usize;
        self.steps.resize(self.steps.len().max(n), 0.0);
        self.frames.clear();
        for s in self.steps.drain(..n) {
            self.place += s - self.place * GOES;
            self.frames.push([self.place.round() as i16; 2]);
        }
        self.port.play(self.first, &self.frames);
        self.first += due;
        if self.steps.is_empty() && self.place.abs() < 0.5 {
            (self.awake, self.place) = (false, 0.0);
            self.port.rest();
        }
    }

    /// Power is gone, or time has jumped: the cone has come to rest where it is held.
    pub(super) fn reset(&mut self, out: bool) {
        (self.place, self.out) = (0.0, out);
        self.steps.clear();
        if std::mem::take(&mut self.awake) {
            self.port.rest();
        }
    }
}
