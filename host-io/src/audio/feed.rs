//! Between the machine's sound and a device with a clock of its own: a queue that is kept at [`TARGET`].
//!
//! The two clocks differ by some parts in ten thousand: the queue is read a little faster or slower than it was written,
//! by what its level says, at most [`STRETCH`], which nobody hears. A machine that is late lets the queue run dry: the
//! sound fades out over [`FADE`], and fades in again when the queue is full enough; it is kept fuller from then on. One that catches up a lot is cut,
//! with a fade from the old place to the new one.

use std::collections::VecDeque;

use board::SOUND_HZ;

/// Frames that wait, as a rule: 30 ms.
pub(super) const TARGET: usize = (SOUND_HZ * 30 / 1000) as usize;
/// A machine that is late again and again gets a longer queue: by so much each time, up to [`LONGEST`], and back after
/// [`CALM`] frames without.
const LONGER: usize = (SOUND_HZ / 100) as usize;
const LONGEST: usize = 3 * TARGET;
const CALM: u64 = 30 * SOUND_HZ;
/// So much more than the target is cut to it: 90 ms.
pub(super) const MOST: usize = 3 * TARGET;
/// 3 ms.
pub(super) const FADE: usize = (SOUND_HZ * 3 / 1000) as usize;
/// Of the reading speed.
pub(super) const STRETCH: f64 = 0.005;
/// The four frames that the interpolation looks at.
const TAPS: usize = 4;

type Frame = [f32; 2];

pub(super) struct Feed {
    queue: VecDeque<Frame>,
    /// Frames that are to wait.
    target: usize,
    /// Frames played since the target last changed.
    calm: u64,
    /// Between the second and the third frame of the queue.
    fraction: f64,
    /// The queue's level without the steps that its writer makes.
    level: f64,
    gain: f32,
    playing: bool,
    /// The machine has said that nothing follows: what is there is to be played however little it is.
    ends: bool,
    /// Frames of silence since the last sound.
    silent: u64,
    /// How often sound stopped because nothing was there, and how often it was cut.
    pub(super) dry: u64,
    pub(super) cut: u64,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            target: TARGET,
            calm: 0,
            fraction: 0.0,
            level: 0.0,
            gain: 0.0,
            playing: false,
            ends: false,
            silent: 0,
            dry: 0,
            cut: 0,
        }
    }
}

impl Feed {
    pub(super) fn push(&mut self, frames: impl IntoIterator<Item = [i16; 2]>) {
        self.ends = false;
        self.queue.extend(frames.into_iter().map(|f| f.map(f32::from)));
        if self.queue.len() > self.target + MOST {
            self.skip(self.queue.len() - self.target);
        }
    }

    pub(super) fn rest(&mut self) {
        self.ends = true;
    }

    /// The device goes on after a stop.
    pub(super) fn wake(&mut self) {
        self.silent = 0;
    }

    /// How long nothing was heard, in frames.
    pub(super) fn silent(&self) -> u64 {
        self.silent
    }

    /// Leaves out so many frames: the first ones that stay are mixed with those that would have come.
    fn skip(&mut self, frames: usize) {
        self.cut += 1;
        if !self.playing {
            self.queue.drain(..frames);
            return;
        }
        for n in 0..FADE.min(self.queue.len() - frames) {
            let t = n as f32 / FADE as f32;
            let (old, new) = (self.queue[n], self.queue[n + frames]);
            self.queue[n + frames] = [0, 1].map(|c| old[c] + (new[c] - old[c]) * t);
        }
        self.queue.drain(..frames);
        self.level = self.queue.len() as f64;
    }

    /// The next frames for the device: all of `out`.
    pub(super) fn pull(&mut self, out: &mut [[i16; 2]]) {
        let ready = self.queue.len() >= self.target || self.ends && self.queue.len() >= TAPS;
        if !self.playing && ready {
            (self.playing, self.fraction, self.gain) = (true, 0.0, 0.0);
            self.level = self.queue.len() as f64;
        }
        self.level += (self.queue.len() as f64 - self.level) * 0.05;
        let off = (self.level - self.target as f64) / TARGET as f64;
        let speed = 1.0 + (off * 0.01).clamp(-STRETCH, STRETCH);
        for o in out {
            *o = self.next(speed);
        }
    }

    fn next(&mut self, speed: f64) -> [i16; 2] {
        if !self.playing {
            self.silent += 1;
            return [0; 2];
        }
        self.calm += 1;
        if self.calm == CALM {
            (self.target, self.calm) = ((self.target - LONGER / 2).max(TARGET), 0);
        }
        let fades = self.queue.len() < FADE + TAPS;
        self.gain = (self.gain + if fades { -1.0 } else { 1.0 } / FADE as f32).clamp(0.0, 1.0);
        if self.queue.len() < TAPS || fades && self.gain == 0.0 {
            if !self.ends {
                self.dry += 1;
                (self.target, self.calm) = ((self.target + LONGER).min(LONGEST), 0);
            }
            self.playing = false;
            self.queue.clear();
            self.silent += 1;
            return [0; 2];
        }
        let q = |n: usize, c: usize| self.queue[n][c];
        let t = self.fraction as f32;
        let v = [0, 1].map(|c| hermite([q(0, c), q(1, c), q(2, c), q(3, c)], t) * self.gain);
        self.fraction += speed;
        while self.fraction >= 1.0 {
            self.fraction -= 1.0;
            self.queue.pop_front();
        }
        self.silent = if v == [0.0; 2] { self.silent + 1 } else { 0 };
        v.map(|v| v.round() as i16)
    }
}

/// Catmull and Rom's cubic between the second and the third of four values.
fn hermite([a, b, c, d]: [f32; 4], t: f32) -> f32 {
    let slope = (c - a) / 2.0;
    let curve = a - 2.5 * b + 2.0 * c - 0.5 * d;
    let twist = (d - a) / 2.0 + 1.5 * (b - c);
    ((twist * t + curve) * t + slope) * t + b
}
