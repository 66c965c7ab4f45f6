//! The queue between two clocks, with a device and a machine of the test's own making.

use crate::audio::feed::{FADE, Feed, MOST, TARGET};
use crate::audio::player::PERIOD;

/// A machine that plays a sine, and how far it is.
struct Sine {
    hz: f64,
    at: u64,
}

impl Sine {
    const PEAK: f64 = 10_000.0;

    fn take(&mut self, frames: usize) -> Vec<[i16; 2]> {
        let f = |n: u64| ((n as f64 * self.hz / 48_000.0 * std::f64::consts::TAU).sin() * Self::PEAK) as i16;
        let v = (self.at..self.at + frames as u64).map(|n| [f(n); 2]).collect();
        self.at += frames as u64;
        v
    }

    /// The largest step between two samples that a sine makes, with the fade's and a little.
    fn step(&self) -> i32 {
        (Self::PEAK * self.hz / 48_000.0 * std::f64::consts::TAU * 1.02 + Self::PEAK / FADE as f64 + 3.0)
            as i32
    }
}

/// Runs a machine and a device whose clock is so much faster, for so many seconds; the machine may be late: it plays
/// what `given` says of each 5 ms. Returns what the device got.
fn run(fast: f64, secs: u32, sine: &mut Sine, mut given: impl FnMut(u32) -> usize) -> (Feed, Vec<i16>) {
    let mut feed = Feed::default();
    let mut out = Vec::new();
    let mut owed = 0.0;
    for n in 0..secs * 200 {
        let frames = given(n);
        if frames > 0 {
            feed.push(sine.take(frames));
        }
        owed += 240.0 * (1.0 + fast);
        while owed >= PERIOD as f64 {
            owed -= PERIOD as f64;
            let mut period = [[0; 2]; PERIOD];
            feed.pull(&mut period);
            out.extend(period.map(|f| f[0]));
        }
    }
    (feed, out)
}

fn smooth(out: &[i16], sine: &Sine) {
    let worst = out.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0);
    assert!(worst <= sine.step(), "a crackle: a step of {worst}, where {} is a sine's", sine.step());
}

fn pitch(out: &[i16]) -> f64 {
    let rises: Vec<usize> = (1..out.len()).filter(|&n| out[n - 1] < 0 && out[n] >= 0).collect();
    (rises.len() - 1) as f64 / (rises[rises.len() - 1] - rises[0]) as f64 * 48_000.0
}

#[test]
fn clocks_that_differ_are_brought_together_without_a_gap() {
    for fast in [0.0, 0.002, -0.002, 0.0001] {
        let mut sine = Sine { hz: 440.0, at: 0 };
        let (feed, out) = run(fast, 600, &mut sine, |_| 240);
        assert_eq!((feed.dry, feed.cut), (0, 0), "{fast}");
        smooth(&out, &sine);
        let hz = pitch(&out[48_000..]);
        assert!((hz / 440.0 - 1.0).abs() < 0.005, "{hz}");
        // Late by no more than the queue.
        let silence = out.iter().position(|v| *v != 0).expect("sound");
        assert!(silence <= TARGET + 2 * PERIOD, "{silence}");
    }
}

#[test]
fn a_machine_that_is_late_by_ten_milliseconds_is_not_heard() {
    let mut sine = Sine { hz: 300.0, at: 0 };
    let (feed, out) = run(0.0, 20, &mut sine, |n| match n % 20 {
        10..12 => 0,
        12 => 240 * 3,
        _ => 240,
    });
    assert_eq!((feed.dry, feed.cut), (0, 0));
    let sound = out.iter().position(|v| *v != 0).expect("sound") + FADE;
    let quiet = out[sound..].chunks(160).filter(|c| c.iter().all(|v| v.abs() < 9000)).count();
    assert_eq!(quiet, 0, "each turn reaches its peak");
}

#[test]
fn a_machine_that_stalls_fades_out_and_in() {
    // Twice a second it is late by 60 ms, and then gives all of it at once. After some of it the queue is long enough.
    let mut sine = Sine { hz: 300.0, at: 0 };
    let (feed, out) = run(0.0, 20, &mut sine, |n| match n % 100 {
        50..62 => 0,
        62 => 240 * 13,
        _ => 240,
    });
    assert!((2..=8).contains(&feed.dry), "{}", feed.dry);
    smooth(&out, &sine);
}

#[test]
fn a_machine_that_is_far_ahead_is_cut_smoothly() {
    let mut sine = Sine { hz: 300.0, at: 0 };
    let (feed, out) = run(0.0, 10, &mut sine, |n| if n % 200 == 199 { 240 * 30 } else { 240 });
    assert!(feed.cut >= 9 && feed.dry == 0, "{} {}", feed.cut, feed.dry);
    // Two sines of any phase, mixed: no step beyond twice a sine's.
    let worst = out.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0);
    assert!(worst <= 2 * sine.step() + (2.0 * Sine::PEAK / FADE as f64) as i32, "{worst}");
}

#[test]
fn a_short_sound_is_played_whole_when_nothing_follows() {
    let mut feed = Feed::default();
    feed.push([[5000; 2]; 600]);
    let mut out = [[0; 2]; 480];
    feed.pull(&mut out);
    assert!(out.iter().all(|f| *f == [0; 2]), "more may come");
    feed.rest();
    feed.pull(&mut out);
    assert!(out.iter().filter(|f| f[0] > 0).count() > 350);
    feed.pull(&mut out);
    feed.pull(&mut out);
    assert!(out.iter().all(|f| *f == [0; 2]) && feed.silent() >= 480 && feed.dry == 0);
}

#[test]
fn the_queue_is_bounded() {
    let mut feed = Feed::default();
    for _ in 0..100 {
        feed.push([[1; 2]; 4800]);
    }
    let mut out = vec![[0; 2]; MOST + TARGET + 480];
    feed.pull(&mut out);
    assert!(out.iter().rposition(|f| *f != [0; 2]).is_none_or(|n| n <= MOST + TARGET));
}
