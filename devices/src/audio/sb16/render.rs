//! What is heard: DSP and synthesizer through the mixer, as frames of the sound port.

use board::{MILLISECOND, SECOND, SOUND_HZ, SoundPort, Tick, end_of, periods};

use super::dsp::{Dsp, EIGHT, SIXTEEN};
use super::mixer::{Mixer, Tone};
use crate::audio::desk::WaitingV1;
use crate::audio::opl3::{Opl3, SAMPLE};
use crate::audio::track::{Frame, Kernel, Track};

/// How long the level of direct output (10h) stays when no other comes.
const LEVEL_STAYS: Tick = 20 * MILLISECOND;

pub(super) struct Output {
    port: Option<Box<dyn SoundPort>>,
    kernel: Kernel,
    /// Of the two lanes since the last time.
    pub frames: [Vec<Frame>; 2],
    notes: Vec<Frame>,
    pub track: Track,
    pub tone: [Tone; 2],
    times: Vec<Tick>,
    mix: Vec<[f32; 2]>,
    out: Vec<Frame>,
    /// The port has heard something since it last rested.
    pub awake: bool,
    pub played: u64,
    /// Of a saved state, until all chips are there.
    waits: Option<WaitingV1>,
}

impl Output {
    pub(super) fn new(port: Option<Box<dyn SoundPort>>) -> Self {
        Self {
            port,
            kernel: Kernel::new(),
            frames: [Vec::new(), Vec::new()],
            notes: Vec::new(),
            track: Track::new(SAMPLE),
            tone: [Tone::default(); 2],
            times: Vec::new(),
            mix: Vec::new(),
            out: Vec::new(),
            awake: false,
            played: 0,
            waits: None,
        }
    }

    /// Frames that are given and not heard yet.
    pub(super) fn waiting(&self) -> Option<WaitingV1> {
        self.port.as_deref().and_then(WaitingV1::of)
    }

    /// Sound goes on from `last`, with frames that are to be given again. They must be sane.
    pub(super) fn load(&mut self, awake: bool, last: Tick, waits: Option<WaitingV1>) {
        (self.awake, self.waits) = (awake, waits);
        match (&mut self.port, &self.waits) {
            (Some(p), Some(w)) => w.begin(p.as_mut()),
            (Some(p), None) if awake => p.play(periods(last, SOUND_HZ), &[]),
            _ => {}
        }
    }

    /// All chips are there.
    pub(super) fn restored(&mut self) {
        if let (Some(w), Some(p)) = (self.waits.take(), &mut self.port) {
            w.give(p.as_mut(), self.awake);
        }
    }

    pub(super) fn begin(&mut self) {
        self.frames.iter_mut().for_each(Vec::clear);
    }

    /// Is somebody listening, and is there something to hear?
    pub(super) fn sounds(&self, dsp: &Dsp, opl: &Opl3) -> bool {
        let plays = |n: usize| {
            let lane = &dsp.lanes[n];
            !lane.track.is_silent() || lane.run.is_some_and(|r| !r.paused && !r.record)
        };
        let any =
            plays(EIGHT) || plays(SIXTEEN) || dsp.level != 0 || !opl.is_silent() || !self.track.is_silent();
        self.port.is_some() && any
    }

    /// Has the port to be given something, or be told that nothing follows?
    pub(super) fn waits(&self, dsp: &Dsp, opl: &Opl3) -> bool {
        self.awake || self.sounds(dsp, opl)
    }

    /// Time passed up to `now`.
    pub(super) fn render(&mut self, now: Tick, elapsed: Tick, dsp: &mut Dsp, mixer: &Mixer, opl: &mut Opl3) {
        let notes = self.track.due(elapsed);
        if !self.sounds(dsp, opl) && self.frames.iter().all(Vec::is_empty) {
            dsp.lanes.iter_mut().for_each(|l| l.track.pass(elapsed));
            self.track.pass(elapsed);
            opl.pass(notes);
            if std::mem::take(&mut self.awake)
                && let Some(p) = &mut self.port
            {
                p.rest();
            }
            return;
        }
        if self.port.is_none() {
            // Samples that nobody hears were moved all the same.
            dsp.lanes.iter_mut().for_each(|l| l.track.pass(elapsed));
            self.track.pass(elapsed);
            opl.pass(notes);
            return;
        }
        let from = now - elapsed;
        let (first, end) = (periods(from, SOUND_HZ), periods(now, SOUND_HZ));
        self.times.clear();
        self.times.extend((first..end).map(|n| end_of(n + 1, SOUND_HZ) - from));
        self.mix.clear();
        self.mix.resize(self.times.len(), [0.0; 2]);

        let voice = mixer.voice();
        for (lane, frames) in dsp.lanes.iter_mut().zip(&self.frames) {
            if lane.track.is_silent() && frames.is_empty() {
                lane.track.pass(elapsed);
            } else {
                lane.track.render(&self.kernel, elapsed, frames, &self.times, voice, &mut self.mix);
            }
        }
        if dsp.level != 0 {
            for (t, m) in self.times.iter().zip(&mut self.mix) {
                if from + t > dsp.level_at.saturating_add(LEVEL_STAYS) {
                    dsp.level -= dsp.level / 64 + dsp.level.signum();
                }
                m[0] += f32::from(dsp.level) * voice[0];
                m[1] += f32::from(dsp.level) * voice[1];
            }
        }
        if opl.is_silent() && self.track.is_silent() {
            self.track.pass(elapsed);
            opl.pass(notes);
        } else {
            self.notes.clear();
            if opl.is_silent() {
                // The filter runs empty.
                opl.pass(notes);
            } else {
                opl.generate(notes, &mut self.notes);
            }
            let midi = mixer.midi();
            self.track.render(&self.kernel, elapsed, &self.notes, &self.times, midi, &mut self.mix);
        }
        self.give(first, mixer);
    }

    fn give(&mut self, first: u64, mixer: &Mixer) {
        let tones = [mixer.tone(0), mixer.tone(1)];
        let tone = &mut self.tone;
        self.out.clear();
        self.out.extend(self.mix.iter().map(|m| {
            let side = |tone: &mut Tone, n: usize| tone.apply(m[n], tones[n]).round() as i16;
            let [left, right] = tone;
            [side(left, 0), side(right, 1)]
        }));
        if let Some(p) = &mut self.port
            && !self.out.is_empty()
        {
            self.awake = true;
            self.played += self.out.len() as u64;
            p.play(first, &self.out);
        }
    }
}

const _: () = assert!(SOUND_HZ < SECOND);
