//! What the soak's guest says; `guests/soak/main.c` has the format.

use std::collections::BTreeMap;

use super::super::load::Reading;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// At rest before the work
    First,
    Busy,
    /// At rest after it
    Last,
}

/// The guest at a moment.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) phase: Phase,
    /// Seconds by the host's clock.
    pub(super) host: f64,
    /// And by the guest's, by name.
    pub(super) clocks: BTreeMap<String, f64>,
    /// What the host took and has not given back yet, ms.
    pub(super) owed: f64,
    did: BTreeMap<String, f64>,
    /// Interrupts by the last word of what they are of.
    interrupts: BTreeMap<String, f64>,
}

impl Mark {
    pub(super) fn did(&self, name: &str) -> f64 {
        self.did.get(name).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn interrupts(&self, of: &str) -> f64 {
        self.interrupts.get(of).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn clock(&self, name: &str) -> f64 {
        self.clocks.get(name).copied().unwrap_or(f64::NAN)
    }
}

pub(super) struct Followed {
    pub(super) marks: Vec<Mark>,
    pub(super) memory: Vec<Reading>,
    pub(super) faults: Vec<String>,
}

#[derive(Default)]
pub(super) struct Reader {
    marks: Vec<Mark>,
    faults: Vec<String>,
    worked: bool,
    over: bool,
}

impl Reader {
    /// Takes a line that came at this moment. True: it ends a mark.
    pub(super) fn take(&mut self, text: &str, host: f64) -> bool {
        // A kernel's message may stand before it.
        let Some(at) = text.find("soak ") else { return false };
        let mut words = text[at..].split_whitespace().skip(1);
        match words.next() {
            Some("at") => self.marks.extend(mark(words, host)),
            Some("did") => {
                if let Some(m) = self.marks.last_mut() {
                    m.did = words.filter_map(named).collect();
                }
            }
            Some("irq") => {
                let Some(m) = self.marks.last_mut() else { return false };
                m.interrupts = interrupts(words);
                return true;
            }
            // What it started with; what it gives up later the kernel tells.
            Some("clock") => match words.next() {
                Some("tsc") => {}
                other => self.faults.push(format!("the guest's kernel has the clock {other:?}, not the TSC")),
            },
            Some("failed" | "kernel:") => self.faults.push(text[at..].to_owned()),
            Some("over") => self.worked = true,
            Some("ends") => {
                self.over = true;
                if !self.worked {
                    self.faults.push("the guest's program did not come to its end".into());
                }
            }
            _ => {}
        }
        false
    }

    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    pub(super) fn last_mark(&mut self) -> Option<&mut Mark> {
        self.marks.last_mut()
    }

    /// The guest has said all.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Marks and faults.
    pub(super) fn into_parts(self) -> (Vec<Mark>, Vec<String>) {
        (self.marks, self.faults)
    }
}

fn named(word: &str) -> Option<(String, f64)> {
    let (name, value) = word.split_once('=')?;
    Some((name.to_owned(), value.parse().ok()?))
}

fn mark<'a>(mut words: impl Iterator<Item = &'a str>, host: f64) -> Option<Mark> {
    let phase = match words.next()? {
        "first" => Phase::First,
        "busy" => Phase::Busy,
        "last" => Phase::Last,
        _ => return None,
    };
    let mut clocks = BTreeMap::new();
    for w in words {
        if let Some(tsc) = w.strip_prefix("tsc=") {
            let (high, low) = tsc.split_once(':')?;
            let half = |s| u32::from_str_radix(s, 16).ok().map(u64::from);
            let ticks = half(high)? << 32 | half(low)?;
            // docs/design/time.md
            clocks.insert("tsc".to_owned(), ticks as f64 / 1.8e9);
        } else {
            clocks.extend(named(w));
        }
    }
    Some(Mark { phase, host, clocks, owed: 0.0, did: BTreeMap::new(), interrupts: BTreeMap::new() })
}

/// "14=3223:ata_piix": both channels' are the disk's. "ERR=0" stands for itself.
fn interrupts<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for w in words {
        let Some((line, value)) = w.split_once('=') else { continue };
        let (count, of) = value.split_once(':').unwrap_or((value, line));
        *all.entry(of.to_owned()).or_insert(0.0) += count.parse::<f64>().unwrap_or(f64::NAN);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Reader {
        let mut r = Reader::default();
        for (n, l) in lines.iter().enumerate() {
            r.take(l, n as f64);
        }
        r
    }

    const AT: &str =
        "[ 1.2] x: soak at busy mono=10.500000000 raw=10.4 real=1795984826.25 tsc=00000001:00000000";

    #[test]
    fn a_mark_is_three_lines() {
        let mut r = read(&[AT, "soak did commands=3251 samples_at=2.25"]);
        assert!(r.take("soak irq 0=5067:timer 14=3:ata_piix 15=2:ata_piix ERR=1", 9.0));
        let m = &r.marks()[0];
        assert_eq!(
            (m.phase, m.host, m.clock("mono"), m.clock("real")),
            (Phase::Busy, 0.0, 10.5, 1_795_984_826.25)
        );
        assert!((m.clock("tsc") - 2.386).abs() < 1e-3, "{}", m.clock("tsc"));
        assert_eq!((m.did("commands"), m.did("samples_at")), (3251.0, 2.25));
        assert_eq!(
            [m.interrupts("timer"), m.interrupts("ata_piix"), m.interrupts("ERR")],
            [5067.0, 5.0, 1.0]
        );
        assert!(m.did("nothing").is_nan() && m.interrupts("eth0").is_nan());
    }

    #[test]
    fn what_fails_and_what_the_kernel_says_are_faults() {
        let mut r =
            read(&["soak failed verify-disk 3", "soak kernel: [1.0] ata1: lost interrupt", "soak over"]);
        assert!(!r.is_over());
        r.take("soak ends", 1.0);
        assert!(r.is_over());
        assert_eq!(r.faults.len(), 2, "{:?}", r.faults);
    }

    #[test]
    fn a_kernel_that_gave_the_tsc_up_while_it_started_is_a_fault() {
        assert!(read(&["soak clock tsc"]).faults.is_empty());
        assert_eq!(read(&["soak clock acpi_pm"]).faults.len(), 1);
    }

    #[test]
    fn a_guest_that_only_ends_has_failed() {
        assert_eq!(read(&["soak ends"]).faults, ["the guest's program did not come to its end"]);
    }

    #[test]
    fn what_is_cut_off_is_no_mark() {
        for bad in
            ["soak at", "soak at noon mono=1", "soak at busy tsc=1", "soak", "other", "soak irq 0=1:timer"]
        {
            assert!(read(&[bad]).marks().is_empty(), "{bad}");
        }
    }
}
