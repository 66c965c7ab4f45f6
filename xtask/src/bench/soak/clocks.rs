//! The guest's clocks against the host's.
//!
//! A mark comes a little late, or later on a busy host, never early. So of some marks together the earliest counts.

use serde_json::{Value, json};

use super::super::report::{Bar, Report};
use super::super::stats::slope;
use super::marks::{Mark, Phase};

/// Samples a second that the guest plays.
pub(super) const RATE: f64 = 44_100.0;
/// How far a clock may come away from the host's, ms.
const BAR: f64 = 50.0;
/// Marks that count together: half a minute.
const TOGETHER: usize = 15;

const CLOCKS: &[(&str, &str)] = &[
    ("mono", "CLOCK_MONOTONIC"),
    ("raw", "CLOCK_MONOTONIC_RAW"),
    ("real", "CLOCK_REALTIME"),
    ("tsc", "TSC at 1.8 GHz"),
];

/// How far a clock is behind the host's, ms; from where it was at rest before the work.
struct Behind {
    /// By then, at the end of the work, at rest.
    last: f64,
    /// Half minutes, in hours of the host's clock.
    series: Vec<(f64, f64)>,
    /// The same where what the host owes is no fault of the clock's.
    not_owed: Vec<f64>,
}

fn earliest<'a>(marks: impl Iterator<Item = &'a Mark>, of: impl Fn(&Mark) -> f64) -> f64 {
    marks.map(of).fold(f64::INFINITY, f64::min)
}

fn behind(marks: &[Mark], clock: &str) -> Behind {
    let late = |m: &Mark| (m.host - m.clock(clock)) * 1e3;
    let phase = |p| marks.iter().filter(move |m| m.phase == p);
    let begin = earliest(phase(Phase::First), late);
    let busy: Vec<&Mark> = phase(Phase::Busy).collect();
    let together = || busy.chunks(TOGETHER).filter(|c| c.len() == TOGETHER || busy.len() < TOGETHER);
    let of = |c: &[&Mark]| (c[c.len() / 2].host / 3600.0, earliest(c.iter().copied(), late) - begin);
    Behind {
        last: earliest(phase(Phase::Last), late) - begin,
        series: together().map(of).collect(),
        not_owed: together().map(|c| earliest(c.iter().copied(), |m| late(m) - m.owed) - begin).collect(),
    }
}

fn farthest(all: impl Iterator<Item = f64>) -> f64 {
    all.fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a })
}

pub(super) fn report(r: &mut Report, marks: &[Mark]) {
    for (name, what) in CLOCKS {
        let b = behind(marks, name);
        r.add(&format!("{what}: behind the host's after the work"), b.last, "ms", Bar::Within(BAR));
        let most = farthest(b.series.iter().map(|s| s.1));
        r.add(&format!("{what}: farthest from it, busy"), most, "ms", Bar::Within(BAR));
        // What is owed is asked for a moment after the mark: good for seconds, not for milliseconds.
        let most = farthest(b.not_owed.iter().copied());
        r.add(&format!("{what}: the same without what the host owes"), most, "ms", Bar::None);
        if let Some(s) = slope(&b.series) {
            r.add(&format!("{what}: falls behind"), s, "ms an hour", Bar::None);
        }
    }
    chips(r, marks);
}

/// Clocks that the guest's kernel has nothing to do with, against its own.
fn chips(r: &mut Report, marks: &[Mark]) {
    let busy: Vec<&Mark> = marks.iter().filter(|m| m.phase == Phase::Busy).collect();
    let (Some(first), Some(last)) = (busy.iter().find(|m| m.did("seconds") > 0.0), busy.last()) else {
        return;
    };
    let made = |name: &str| last.did(name) - first.did(name);
    let clock = (made("second_at") - made("seconds")) * 1e3;
    r.add("battery clock's seconds: behind CLOCK_MONOTONIC", clock, "ms", Bar::Within(BAR));
    let sound = (made("samples_at") - made("samples") / RATE) * 1e3;
    r.add("sound card's samples: behind CLOCK_MONOTONIC", sound, "ms", Bar::Within(BAR));
}

/// Of each mark: the host's seconds, by how many ms CLOCK_MONOTONIC and the TSC are behind, and what the host owes.
pub(super) fn series(marks: &[Mark]) -> Value {
    let round = |v: f64| (v * 1e3).round() / 1e3;
    let late = |m: &Mark, clock: &str| (m.host - m.clock(clock)) * 1e3;
    let begin = |clock| earliest(marks.iter().filter(|m| m.phase == Phase::First), |m| late(m, clock));
    let (mono, tsc) = (begin("mono"), begin("tsc"));
    let of =
        |m: &Mark| json!([round(m.host), round(late(m, "mono") - mono), round(late(m, "tsc") - tsc), m.owed]);
    marks.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::super::marks::Reader;
    use super::*;

    /// A guest that does all it should, whose clocks are behind by so many ms at a mark; the mark comes late by so many.
    fn guest(behind: &[f64], late: &[f64], owed: f64) -> Vec<Mark> {
        let mut r = Reader::default();
        let all = behind.len();
        for (n, (b, l)) in behind.iter().zip(late).enumerate() {
            let host = 100.0 + 2.0 * n as f64;
            let t = host - b / 1e3;
            let phase = if n < 2 {
                "first"
            } else if n < all - 2 {
                "busy"
            } else {
                "last"
            };
            let tsc = (t * 1.8e9) as u64;
            r.take(
                &format!(
                    "soak at {phase} mono={t} raw={t} real={t} tsc={:08x}:{:08x}",
                    tsc >> 32,
                    tsc as u32
                ),
                host + l / 1e3,
            );
            let (second, samples) = (t.floor(), (t * RATE).floor());
            r.take(
                &format!("soak did seconds={second} second_at={second} samples={samples} samples_at={t}"),
                host,
            );
            r.take("soak irq", host);
        }
        let mut marks = r.into_parts().0;
        marks[all / 2].owed = owed;
        marks
    }

    fn missed(behind: &[f64], late: &[f64]) -> usize {
        let mut r = Report::default();
        report(&mut r, &guest(behind, late, 0.0));
        r.missed()
    }

    #[test]
    fn a_reader_that_is_late_is_no_drift() {
        let late = [0.0, 70.0, 0.0, 80.0, 90.0, 300.0, 60.0, 0.0];
        assert_eq!(missed(&[0.0; 8], &late), 0);
        assert_eq!(missed(&[5.0; 8], &late), 0, "nor is where it began");
    }

    #[test]
    fn a_clock_that_is_behind_at_the_end_is_told_in_ms() {
        let mut b = [0.0; 8];
        b[6..].fill(60.0);
        // Each of four clocks.
        assert_eq!(missed(&b, &[0.0; 8]), 4);
        b[6..].fill(-60.0);
        assert_eq!(missed(&b, &[0.0; 8]), 4, "and one that is ahead");
    }

    #[test]
    fn what_the_host_owes_is_told_apart() {
        let mut b = [0.0; 7];
        b[2..5].fill(400.0);
        let marks = guest(&b, &[0.0; 7], 400.0);
        let found = behind(&marks, "mono");
        assert!((found.series[0].1 - 400.0).abs() < 1e-3 && found.not_owed[0].abs() < 1e-3);
        assert!(found.last.abs() < 1e-3);
    }
}
