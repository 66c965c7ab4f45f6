//! One DMA lane of the DSP, 8-bit or 16-bit: what it plays or records now, by its sample clock.

use std::collections::VecDeque;

use board::{Cx, Dir, Dreq, Tick};

use super::adpcm::Adpcm;
use crate::audio::track::{Frame, Period, Track};

/// Bytes that are moved in one go at most.
const PIECE: usize = 4096;
/// Frames between the DMA channel and the converter. Drivers mask the channel for the moment in which they read its
/// count; the converter goes on from here meanwhile.
pub(super) const FIFO: usize = 8;

/// What the data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pcm {
        wide: bool,
        signed: bool,
        stereo: bool,
    },
    Adpcm(Adpcm),
    /// DSP command 80h: time without data.
    Silence,
}

/// A command that is being carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub kind: Kind,
    pub record: bool,
    pub auto: bool,
    /// Of a block: samples, each channel's counted; bytes of ADPCM.
    pub block: u32,
    pub left: u32,
    pub paused: bool,
    /// Auto-initialise ends with this block.
    pub ending: bool,
}

impl Run {
    pub(super) fn channels(&self) -> u64 {
        if let Kind::Pcm { stereo: true, .. } = self.kind { 2 } else { 1 }
    }

    /// Frames until the block is over.
    fn frames_left(&self) -> u64 {
        match &self.kind {
            Kind::Adpcm(a) => a.samples_of(self.left),
            _ => u64::from(self.left).div_ceil(self.channels()),
        }
    }
}

pub(super) struct Lane {
    pub track: Track,
    pub run: Option<Run>,
    /// Frames that the clock has asked for and the DMA channel has not given: taken when it does, up to [`FIFO`].
    pub owed: u64,
    pub fifo: VecDeque<Frame>,
    pub last: Frame,
    pub bytes: u64,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            track: Track::new(Period::hz(8000)),
            run: None,
            owed: 0,
            fifo: VecDeque::new(),
            last: [0; 2],
            bytes: 0,
        }
    }

    pub(super) fn start(&mut self, run: Run, period: Period) {
        self.track.restart(period);
        (self.run, self.owed) = (Some(run), 0);
        self.prime();
    }

    pub(super) fn stop(&mut self) {
        (self.run, self.owed) = (None, 0);
    }

    pub(super) fn pause(&mut self, paused: bool) {
        if let Some(run) = &mut self.run {
            run.paused = paused;
            if !paused {
                self.prime();
            }
        }
    }

    /// What was heard last stays for as long as it takes until new frames are through.
    pub(super) fn prime(&mut self) {
        if self.run.is_some_and(|r| !r.record) {
            let last = self.fifo.back().copied().unwrap_or(self.last);
            self.fifo.resize(FIFO.max(self.fifo.len()), last);
        }
    }

    /// Its DMA channel is to give or take.
    pub(super) fn wants_data(&self) -> bool {
        self.run.is_some_and(|r| !r.paused && r.kind != Kind::Silence)
    }

    fn goes(&self) -> bool {
        self.run.is_some_and(|r| !r.paused)
    }

    /// How long until the block ends.
    pub(super) fn block_end(&self) -> Option<Tick> {
        let run = self.run.as_ref().filter(|r| !r.paused)?;
        Some(self.track.until(run.frames_left().saturating_sub(self.owed)))
    }

    /// Moves what the clock asks for within `elapsed`; what is to be heard goes to `out`. True if a block ended.
    pub(super) fn advance(
        &mut self,
        cx: &mut Cx<'_>,
        dreq: Dreq,
        elapsed: Tick,
        out: &mut Vec<Frame>,
    ) -> bool {
        let mut ended = false;
        let asked = self.track.due(elapsed);
        let mut due = if self.goes() { asked + self.owed } else { 0 };
        self.owed = 0;
        while due > 0
            && let Some(run) = &mut self.run
        {
            let frames = due.min(run.frames_left());
            let (done, bytes) = run.step(cx, dreq, frames, &mut self.fifo);
            self.bytes += bytes;
            due -= done;
            if run.frames_left() > 0 && done < frames {
                self.owed = due.min(FIFO as u64);
                break;
            }
            if run.frames_left() == 0 {
                ended = true;
                if run.auto && !run.ending {
                    run.left = run.block;
                } else {
                    self.run = None;
                }
            }
            if frames == 0 {
                // A block without samples takes no time; the next one waits for the clock.
                break;
            }
        }
        let heard = self.fifo.len().min(asked as usize);
        out.extend(self.fifo.drain(..heard));
        self.last = out.last().copied().unwrap_or(self.last);
        ended
    }
}

impl Run {
    /// Plays or records `frames`, all of this block. Returns how many it did, and the bytes that it took.
    fn step(&mut self, cx: &mut Cx<'_>, dreq: Dreq, frames: u64, out: &mut VecDeque<Frame>) -> (u64, u64) {
        let channels = self.channels();
        match &mut self.kind {
            Kind::Silence => {
                self.left -= (frames as u32).min(self.left);
                (frames, 0)
            }
            Kind::Adpcm(a) => {
                let (mut done, mut bytes) = (0, 0);
                while done < frames {
                    if a.is_empty() {
                        let mut byte = [0];
                        if self.left == 0
                            || cx.dma.transfer(dreq, cx.ram, &mut byte, Dir::FromMemory).bytes == 0
                        {
                            break;
                        }
                        bytes += 1;
                        self.left -= 1;
                        a.feed(byte[0]);
                        continue;
                    }
                    let v = (i16::from(a.next()) - 0x80) << 8;
                    out.push_back([v, v]);
                    done += 1;
                }
                // A block that holds the reference alone has no samples.
                if a.is_empty() && a.reference && self.left == 1 {
                    let mut byte = [0];
                    if cx.dma.transfer(dreq, cx.ram, &mut byte, Dir::FromMemory).bytes == 1 {
                        bytes += 1;
                        self.left = 0;
                        a.feed(byte[0]);
                    }
                }
                (done, bytes)
            }
            &mut Kind::Pcm { wide, signed, stereo } => {
                let size = if wide { 2 } else { 1 };
                let samples = (frames * channels).min(u64::from(self.left));
                let mut data = vec![0; samples as usize * size];
                if self.record {
                    quiet(&mut data, wide, signed);
                }
                let dir = if self.record { Dir::ToMemory } else { Dir::FromMemory };
                let mut moved = 0;
                while moved < data.len() {
                    let end = data.len().min(moved + PIECE);
                    let m = cx.dma.transfer(dreq, cx.ram, &mut data[moved..end], dir).bytes;
                    if m == 0 {
                        break;
                    }
                    moved += m;
                }
                self.left -= (moved / size) as u32;
                if !self.record {
                    decode(&data[..moved], wide, signed, stereo, out);
                }
                (
                    (moved / size) as u64 / channels
                        + u64::from(self.left == 0 && !samples.is_multiple_of(channels)),
                    moved as u64,
                )
            }
        }
    }
}

/// What a line input without a source gives.
fn quiet(data: &mut [u8], wide: bool, signed: bool) {
    match (wide, signed) {
        (_, true) => data.fill(0),
        (false, false) => data.fill(0x80),
        (true, false) => data.chunks_exact_mut(2).for_each(|c| c.copy_from_slice(&[0x00, 0x80])),
    }
}

fn decode(data: &[u8], wide: bool, signed: bool, stereo: bool, out: &mut VecDeque<Frame>) {
    let flip = if signed { 0 } else { 0x8000 };
    let sample = |s: &[u8]| {
        let raw = if wide { u16::from_le_bytes([s[0], s[1]]) } else { u16::from(s[0]) << 8 };
        (raw ^ flip) as i16
    };
    let size = if wide { 2 } else { 1 };
    if stereo {
        // A transfer may end within a sample.
        let frames = data.chunks(2 * size).filter(|f| f.len() >= size);
        out.extend(frames.map(|f| {
            let left = sample(&f[..size]);
            [left, f.get(size..2 * size).map_or(left, sample)]
        }));
    } else {
        out.extend(data.chunks_exact(size).map(|s| [sample(s); 2]));
    }
}
