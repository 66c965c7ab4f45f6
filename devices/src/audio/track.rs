//! One source of sound with a sample clock of its own, brought to the frames of the sound port.
//!
//! A source's frames come at exact times: the `n`th one `n` periods after the clock began. An output frame is what a
//! band-limited interpolation (a windowed sine of [`TAPS`] source frames) gives at its own time, which lets pass what the
//! source can hold and keeps away the images that a card's output filter takes out.

use std::f32::consts::PI;

use board::Tick;
use minicbor::{Decode, Encode};

/// Source frames that make an output frame.
pub(crate) const TAPS: usize = 16;
/// Steps between two source frames that are tabulated; between them the table is a straight line.
const PHASES: usize = 128;
/// Of the source's rate; half would be all that it can hold.
const CUTOFF: f32 = 0.46;
/// How long the last frame stays when the source gives none: gaps between blocks are no clicks.
const STAYS: f32 = 2_000_000.0;
/// How fast it goes after that, as a card's coupling capacitor lets a level go that stays.
const GOES: f32 = 500_000.0;

/// A frame: left, right.
pub(super) type Frame = [i16; 2];

/// The interpolation's weights by phase.
pub(crate) struct Kernel(Vec<[f32; TAPS]>);

impl Kernel {
    pub(crate) fn new() -> Self {
        let row = |phase: usize| {
            let at = |tap: usize| tap as f32 - (TAPS as f32 / 2.0 - 1.0) - phase as f32 / PHASES as f32;
            let mut w: [f32; TAPS] = std::array::from_fn(|tap| {
                let x = at(tap);
                let sinc =
                    if x == 0.0 { 1.0 } else { (2.0 * PI * CUTOFF * x).sin() / (2.0 * PI * CUTOFF * x) };
                // Blackman's window over all taps.
                let u = PI * x / (TAPS as f32 / 2.0);
                sinc * (0.42 + 0.5 * u.cos() + 0.08 * (2.0 * u).cos())
            });
            let sum: f32 = w.iter().sum();
            w.iter_mut().for_each(|w| *w /= sum);
            w
        };
        Self((0..=PHASES).map(row).collect())
    }

    /// Of the taps around a place between two of them. Their sum is 1.
    pub(crate) fn weights(&self, fraction: f32) -> impl Iterator<Item = f32> {
        let place = fraction.clamp(0.0, 1.0) * PHASES as f32;
        let row = (place as usize).min(PHASES - 1);
        let t = place - row as f32;
        self.0[row].iter().zip(&self.0[row + 1]).map(move |(a, b)| a + (b - a) * t)
    }

    fn weight(&self, fraction: f32, history: &[[f32; 2]]) -> [f32; 2] {
        let mut out = [0.0; 2];
        for (w, f) in self.weights(fraction).zip(history) {
            out[0] += f[0] * w;
            out[1] += f[1] * w;
        }
        out
    }
}

/// `num / den` nanoseconds. Chosen so that `den` times half a second fits into 63 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub num: u64,
    pub den: u64,
}

impl Period {
    pub(super) const fn hz(hz: u64) -> Self {
        Self { num: board::SECOND, den: hz }
    }
}

/// What is still being heard of a track, for saved states.
#[derive(Encode, Decode)]
pub(super) struct HeardV1 {
    /// The newest [`TAPS`] frames, oldest first.
    #[n(0)]
    frames: Vec<[f32; 2]>,
    #[n(1)]
    hold: [f32; 2],
    #[n(2)]
    held: u32,
}

impl HeardV1 {
    /// Of this many frames, all of them numbers that samples can make.
    pub(super) fn is_sane(&self) -> bool {
        let all = self.frames.iter().chain([&self.hold]).flatten();
        self.frames.len() == TAPS && all.into_iter().all(|v| v.abs() <= 1e6)
    }
}

pub(super) struct Track {
    pub period: Period,
    /// Of the frame that comes next: what of its period is over, in 1/`den` ns.
    pub part: u64,
    /// The newest [`TAPS`] frames, oldest first, twice in a row so that they always lie side by side.
    history: [[f32; 2]; 2 * TAPS],
    at: usize,
    hold: [f32; 2],
    /// Frames that the source did not give.
    held: u32,
}

impl Track {
    pub(super) fn new(period: Period) -> Self {
        Self { period, part: 0, history: [[0.0; 2]; 2 * TAPS], at: 0, hold: [0.0; 2], held: u32::MAX }
    }

    /// None: nothing is.
    pub(super) fn heard(&self) -> Option<HeardV1> {
        let frames = self.history[self.at..self.at + TAPS].to_vec();
        (!self.is_silent()).then_some(HeardV1 { frames, hold: self.hold, held: self.held })
    }

    /// That goes on. It must be sane.
    pub(super) fn hear(&mut self, h: &HeardV1) {
        h.frames.iter().for_each(|f| self.push(*f));
        (self.hold, self.held) = (h.hold, h.held);
    }

    /// The clock begins a new period now.
    pub(super) fn restart(&mut self, period: Period) {
        (self.period, self.part) = (period, 0);
    }

    /// The clock changes its rate within a period.
    pub(super) fn set_period(&mut self, period: Period) {
        self.part =
            (u128::from(self.part) * u128::from(period.num) / u128::from(self.period.num.max(1))) as u64;
        self.period = period;
    }

    /// How many frames the clock asks for within `elapsed`.
    pub(super) fn due(&self, elapsed: Tick) -> u64 {
        (elapsed * self.period.den + self.part) / self.period.num
    }

    /// How long until `frames` more were asked for.
    pub(super) fn until(&self, frames: u64) -> Tick {
        let all = u128::from(frames) * u128::from(self.period.num);
        let left = all.saturating_sub(u128::from(self.part));
        u64::try_from(left.div_ceil(u128::from(self.period.den))).unwrap_or(u64::MAX)
    }

    /// Lets time pass with nobody listening.
    pub(super) fn pass(&mut self, elapsed: Tick) {
        self.part = (elapsed * self.period.den + self.part) % self.period.num;
    }

    /// Nothing is heard of it, now and as long as no frames come.
    pub(super) fn is_silent(&self) -> bool {
        self.held > TAPS as u32 && self.hold == [0.0; 2]
    }

    fn push(&mut self, f: [f32; 2]) {
        self.history[self.at] = f;
        self.history[self.at + TAPS] = f;
        self.at = (self.at + 1) % TAPS;
    }

    fn next(&mut self, frame: Option<&Frame>) {
        match frame {
            Some(f) => (self.hold, self.held) = (f.map(f32::from), 0),
            None => {
                self.held = self.held.saturating_add(1);
                let period = self.period.num as f32 / self.period.den as f32;
                if self.held as f32 * period > STAYS {
                    let rest = (1.0 - period / GOES).max(0.0);
                    self.hold = self.hold.map(|v| if v.abs() < 1.0 { 0.0 } else { v * rest });
                }
            }
        }
        self.push(self.hold);
    }

    /// Lets `elapsed` pass: the source gave `frames`; adds what is heard of them to the output frames, which are at the
    /// times `at` in it.
    pub(super) fn render(
        &mut self,
        kernel: &Kernel,
        elapsed: Tick,
        frames: &[Frame],
        at: &[Tick],
        gain: [f32; 2],
        out: &mut [[f32; 2]],
    ) {
        let Period { num, den } = self.period;
        let mut pushed = 0;
        for (t, o) in at.iter().zip(out) {
            let place = t * den + self.part;
            while (pushed as u64) < place / num {
                self.next(frames.get(pushed));
                pushed += 1;
            }
            let fraction = (place % num) as f32 / num as f32;
            let v = kernel.weight(fraction, &self.history[self.at..self.at + TAPS]);
            o[0] += v[0] * gain[0];
            o[1] += v[1] * gain[1];
        }
        let all = self.due(elapsed) as usize;
        while pushed < all.max(frames.len()) {
            self.next(frames.get(pushed));
            pushed += 1;
        }
        self.pass(elapsed);
    }
}
