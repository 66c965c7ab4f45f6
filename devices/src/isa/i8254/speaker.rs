//! The speaker: a cone that port 61h bit 1 and OUT2 move between two places.
//!
//! Each move is a step at its exact CLK, which is put into the frames as a band-limited step (the integral of a windowed
//! sine), so that neither a tone's harmonics nor the carrier of a program that plays samples by pulse width fold back into
//! what is heard. A speaker does not hold a place: what stays is let go within some hundredths of a second.

use board::{MILLISECOND, SOUND_HZ, SoundPort, Tick};
use minicbor::{Decode, Encode};

use super::regs::CLK_HZ;
use crate::audio::desk::{WaitingV1, is_frame};
use crate::audio::track::{Kernel, TAPS};

/// How often frames go to the port.
pub(super) const CHUNK: Tick = 5 * MILLISECOND;
/// From one place of the cone to the other, in the frames' units. A full scale sound of the card is 65535.
const STROKE: f32 = 12_000.0;
/// Of the cone's place, that is gone with each frame: a corner at about 30 Hz.
const GOES: f32 = 0.004;
/// After a longer stall the rest is skipped: half a second, in frames and in CLKs.
const MOST: u64 = SOUND_HZ / 2;
pub(super) const MOST_CLKS: u64 = CLK_HZ / 2;

/// The frame that a CLK falls into, and where.
fn place(clk: u64) -> (u64, f32) {
    let at = u128::from(clk) * u128::from(SOUND_HZ);
    let hz = u128::from(CLK_HZ);
    ((at / hz) as u64, (at % hz) as f32 / CLK_HZ as f32)
}

/// A sound that goes on.
#[derive(Encode, Decode)]
pub(super) struct SpeakerV1 {
    #[n(0)]
    first: u64,
    #[n(1)]
    steps: Vec<f32>,
    #[n(2)]
    place: f32,
    #[n(3)]
    out: bool,
}

pub(super) struct Speaker {
    port: Box<dyn SoundPort>,
    /// The impulse of which a step is the sum. It is heard half of its frames late.
    kernel: Kernel,
    /// The frame that `steps` begins with.
    first: u64,
    /// Steps by the frame in which they have their effect.
    steps: Vec<f32>,
    /// Where the cone is.
    place: f32,
    out: bool,
    awake: bool,
    frames: Vec<[i16; 2]>,
    /// Of a saved state, until all chips are there.
    waits: Option<WaitingV1>,
}

impl Speaker {
    pub(super) fn new(port: Box<dyn SoundPort>) -> Self {
        Self {
            port,
            kernel: Kernel::new(),
            first: 0,
            steps: Vec::new(),
            place: 0.0,
            out: false,
            awake: false,
            frames: Vec::new(),
            waits: None,
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
        let (frame, fraction) = place(clk);
        if !self.awake {
            (self.awake, self.first) = (true, frame);
            self.port.play(frame, &[]);
        }
        // A frame that has gone out, or that is too far away, takes its step in the first or the last one.
        let n = frame.saturating_sub(self.first).min(MOST) as usize;
        if self.steps.len() < n + TAPS {
            self.steps.resize(n + TAPS, 0.0);
        }
        let stroke = if out { STROKE } else { -STROKE };
        for (s, w) in self.steps[n..].iter_mut().zip(self.kernel.weights(fraction)) {
            *s += stroke * w;
        }
    }

    /// Time has come to this CLK: frames that no step from here on can change go out.
    pub(super) fn play(&mut self, clk: u64) {
        if !self.awake {
            return;
        }
        let due = place(clk).0.saturating_sub(self.first);
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

    /// None: nothing is heard.
    pub(super) fn save(&self) -> Option<SpeakerV1> {
        let Self { first, steps, place, out, .. } = self;
        self.awake.then(|| SpeakerV1 { first: *first, steps: steps.clone(), place: *place, out: *out })
    }

    /// Frames that are given and not heard yet.
    pub(super) fn waiting(&self) -> Option<WaitingV1> {
        WaitingV1::of(self.port.as_ref())
    }

    /// They are to be given again. False: they can't have been.
    pub(super) fn load_waiting(&mut self, v: Option<WaitingV1>) -> bool {
        if v.as_ref().is_some_and(|w| !w.is_sane()) {
            return false;
        }
        self.waits = v;
        if let Some(w) = &self.waits {
            w.begin(self.port.as_mut());
        }
        true
    }

    /// All chips are there.
    pub(super) fn restored(&mut self) {
        if let Some(w) = self.waits.take() {
            w.give(self.port.as_mut(), self.awake);
        }
    }

    /// That goes on. False: it can't have been.
    pub(super) fn load(&mut self, v: SpeakerV1) -> bool {
        let sane = |v: &f32| v.abs() <= 1e6;
        let fits = v.steps.len() <= MOST as usize + TAPS && is_frame(v.first);
        if !fits || !v.steps.iter().chain([&v.place]).all(sane) {
            return false;
        }
        (self.first, self.steps, self.place, self.out) = (v.first, v.steps, v.place, v.out);
        self.awake = true;
        if self.waits.is_none() {
            self.port.play(self.first, &[]);
        }
        true
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
