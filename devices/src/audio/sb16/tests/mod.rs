mod dsp;
mod mixer;
mod play;
mod pnp;

use std::sync::{Arc, Mutex};

use board::testkit::Bench;
use board::{Cx, Decode, Line, MILLISECOND, Route, SoundPort};

use super::*;

/// What came out of the card: frames by their number.
#[derive(Clone, Default)]
pub(super) struct Ear(Arc<Mutex<Heard>>);

#[derive(Default)]
pub(super) struct Heard {
    pub frames: Vec<[i16; 2]>,
    /// Number of the first one.
    pub first: Option<u64>,
    next: u64,
    pub rests: u32,
}

impl SoundPort for Ear {
    fn play(&mut self, first: u64, frames: &[[i16; 2]]) {
        let mut h = self.0.lock().expect("nobody panicked with it");
        if h.first.is_none() {
            (h.first, h.next) = (Some(first), first);
        }
        assert!(first >= h.next, "frames come in order: {first} after {}", h.next);
        while h.next < first {
            h.frames.push([0; 2]);
            h.next += 1;
        }
        h.frames.extend_from_slice(frames);
        h.next += frames.len() as u64;
    }

    fn rest(&mut self) {
        self.0.lock().expect("nobody panicked with it").rests += 1;
    }
}

impl Ear {
    pub(super) fn frames(&self) -> Vec<[i16; 2]> {
        self.0.lock().expect("nobody panicked with it").frames.clone()
    }

    pub(super) fn rests(&self) -> u32 {
        self.0.lock().expect("nobody panicked with it").rests
    }

    /// Frequency of a channel by its rises through 0, and its peak, between beginning and end.
    pub(super) fn tone(&self, channel: usize) -> (f64, i16) {
        let frames = self.frames();
        let x: Vec<i16> =
            frames[frames.len() / 10..frames.len() / 10 * 8].iter().map(|f| f[channel]).collect();
        let rises: Vec<f64> = (1..x.len())
            .filter(|&n| x[n - 1] < 0 && x[n] >= 0)
            .map(|n| n as f64 - f64::from(x[n]) / (f64::from(x[n]) - f64::from(x[n - 1])))
            .collect();
        let span = rises.last().copied().unwrap_or(0.0) - rises.first().copied().unwrap_or(0.0);
        let peak = x.iter().map(|v| v.saturating_abs()).max().unwrap_or(0);
        ((rises.len() as f64 - 1.0) / span * 48_000.0, peak)
    }
}

pub(super) struct Card {
    pub b: Bench<Sb16>,
    pub ear: Ear,
    /// To IRQ 9, 5, 7, 10.
    pub irqs: [Line; 4],
}

pub(super) fn card() -> Card {
    let ear = Ear::default();
    let mut irqs = [Line(0); 4];
    let port = ear.clone();
    let mut b = Bench::new(|l| {
        irqs = [9, 5, 7, 10].map(|n| l.connect(Route::Isa(n)));
        Sb16::new(irqs, Some(Box::new(port)))
    });
    b.place(PNP_ADDRESS, Decode::Pio(0x279));
    b.place(PNP_WRITE, Decode::Pio(0xa79));
    Card { b, ear, irqs }
}

impl Card {
    pub(super) fn reset(&mut self) {
        self.b.out8(0x226, 1);
        self.b.advance(3000);
        self.b.out8(0x226, 0);
        self.b.advance(100_000);
        assert_eq!(self.b.in8(0x22a), 0xaa);
    }

    /// A command with its bytes, as a driver gives them: when the DSP is not busy.
    pub(super) fn command(&mut self, bytes: &[u8]) {
        for &v in bytes {
            while self.b.in8(0x22c) & 0x80 != 0 {
                self.b.advance(100);
            }
            self.b.out8(0x22c, v);
        }
    }

    pub(super) fn irq5(&self) -> bool {
        self.b.level(self.irqs[1])
    }

    /// Lets time pass until IRQ 5; returns how long that was.
    pub(super) fn until_irq(&mut self, most: u64) -> u64 {
        let begin = self.b.now();
        while !self.irq5() && self.b.now() - begin < most {
            let step = self.b.next_timer().map_or(most, |t| t.saturating_sub(self.b.now())).max(1);
            self.b.advance(step);
        }
        self.b.now() - begin
    }

    pub(super) fn mixer(&mut self, index: u8, v: u8) {
        self.b.out8(0x224, index);
        self.b.out8(0x225, v);
    }

    pub(super) fn mixer_read(&mut self, index: u8) -> u8 {
        self.b.out8(0x224, index);
        self.b.in8(0x225)
    }

    /// What the DMA channel still has, when somebody looks at it now.
    pub(super) fn dma_left(&mut self) -> usize {
        self.b.call(|d, cx: &mut Cx<'_>| d.catch_up(cx));
        self.b.dma.left
    }

    /// Gives the DMA channel bytes.
    pub(super) fn memory(&mut self, bytes: Vec<u8>) {
        self.b.dma.left = bytes.len();
        self.b.dma.given = bytes;
    }
}

/// Unsigned 8-bit samples of a sine.
pub(super) fn sine8(rate: f64, hz: f64, samples: usize) -> Vec<u8> {
    let at = |n: usize| (n as f64 * hz / rate * std::f64::consts::TAU).sin();
    (0..samples).map(|n| (128.0 + 100.0 * at(n)).round() as u8).collect()
}

pub(super) const MS: u64 = MILLISECOND;
