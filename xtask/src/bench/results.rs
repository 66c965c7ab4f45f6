//! Readings of lines in columns, and what follows from them.

use std::collections::BTreeMap;

use super::lines::{Group, How, LINES, Line, PROMISES, Promise, Rule};
use super::parse::End;
use super::process::Took;
use super::stats::{geometric_mean, median};

/// Who runs the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    /// The same 32-bit program on the host
    Native,
    Qemu,
    /// `--engine software`
    Heirloom,
    /// `--engine software,jit=off`
    Interpreter,
}

impl Column {
    pub(crate) const ALL: &[Self] = &[Self::Native, Self::Qemu, Self::Heirloom, Self::Interpreter];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Qemu => "QEMU TCG",
            Self::Heirloom => "Heirloom",
            Self::Interpreter => "Heirloom, jit=off",
        }
    }

    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Qemu => "qemu_tcg",
            Self::Heirloom => "heirloom",
            Self::Interpreter => "heirloom_jit_off",
        }
    }
}

/// What time is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum By {
    /// The guest's clock where the host was left alone, else processor time
    Auto,
    /// The guest's clock
    Clock,
    /// Processor time that the host spent
    Processor,
}

/// One reading; times are for all rounds of the line.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) clock: f64,
    pub(crate) processor: f64,
    /// Seconds of the host's clock between the marks, and of the guest's between the readings: as they were taken.
    pub(crate) host: f64,
    pub(crate) guest: f64,
    pub(crate) rounds: (u32, u32),
    pub(crate) sum: Option<u32>,
    pub(crate) more: Vec<(String, u64)>,
}

impl Sample {
    /// `host`: what passed and what the emulator used between the marks; natively the program counts for itself.
    pub(crate) fn of_line(column: Column, e: &End, host: Took) -> Self {
        let processor = if column == Column::Native { e.cpu } else { host.cpu };
        Self {
            clock: e.secs * e.scale(),
            processor: processor * e.scale(),
            host: host.wall,
            guest: e.since,
            rounds: e.rounds,
            sum: Some(e.sum),
            more: e.more.clone(),
        }
    }

    pub(crate) fn of_boot(t: Took) -> Self {
        let more = Vec::new();
        Self { clock: t.wall, processor: t.cpu, host: t.wall, guest: t.wall, rounds: (1, 1), sum: None, more }
    }

    fn time(&self, by: By) -> f64 {
        if by == By::Processor { self.processor } else { self.clock }
    }
}

#[derive(Default)]
pub(crate) struct Results {
    samples: BTreeMap<(&'static str, Column), Vec<Sample>>,
}

/// What became of a promise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// The mean, or the worst line's
    pub(crate) value: f64,
    pub(crate) kept: bool,
    /// Lines beyond the bar where each counts
    pub(crate) beyond: Vec<&'static str>,
}

impl Results {
    pub(crate) fn add(&mut self, line: &'static str, column: Column, s: Sample) {
        self.samples.entry((line, column)).or_default().push(s);
    }

    /// Forgets what is not of these lines: a guest that boots for others is a reading, too.
    pub(crate) fn keep_only(&mut self, lines: &[&Line]) {
        self.samples.retain(|(name, _), _| lines.iter().any(|l| l.name == *name));
    }

    pub(crate) fn of(&self, line: &'static str, column: Column) -> &[Sample] {
        self.samples.get(&(line, column)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn has(&self, column: Column) -> bool {
        self.samples.keys().any(|(_, c)| *c == column)
    }

    /// Lines with a reading, in the table's order.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &'static Line> {
        LINES.iter().filter(|l| Column::ALL.iter().any(|c| !self.of(l.name, *c).is_empty()))
    }

    pub(crate) fn median(&self, line: &'static str, column: Column, by: By) -> Option<f64> {
        median(&self.of(line, column).iter().map(|s| s.time(by)).collect::<Vec<_>>())
    }

    /// How long the one takes against the other.
    pub(crate) fn ratio(&self, line: &'static str, a: Column, b: Column, by: By) -> Option<f64> {
        let (a, b) = (self.median(line, a, by)?, self.median(line, b, by)?);
        (b > 0.0).then(|| a / b)
    }

    /// Geometric mean of a group's ratios, over the lines that both have.
    pub(crate) fn mean(&self, g: Group, a: Column, b: Column, by: By) -> Option<f64> {
        let of = LINES.iter().filter(|l| l.group == g).filter_map(|l| self.ratio(l.name, a, b, by));
        geometric_mean(&of.collect::<Vec<_>>())
    }

    /// None where a line of the promise was not measured on both sides.
    pub(crate) fn verdict(&self, p: &Promise, by: By) -> Option<Verdict> {
        let (other, bar) = match p.rule {
            Rule::NativeMean(b) | Rule::NativeEach(b) => (Column::Native, b),
            Rule::QemuEach(b) => (Column::Qemu, b),
        };
        let mut all = Vec::new();
        for n in p.of() {
            let (a, b) = match p.rule {
                // Times as fast: the other's time against ours.
                Rule::QemuEach(_) => (other, Column::Heirloom),
                _ => (Column::Heirloom, other),
            };
            all.push((n, self.ratio(n, a, b, by)?));
        }
        let values: Vec<f64> = all.iter().map(|(_, v)| *v).collect();
        let good = |v: f64| if matches!(p.rule, Rule::QemuEach(_)) { v >= bar } else { v <= bar };
        let value = match p.rule {
            Rule::NativeMean(_) => geometric_mean(&values)?,
            Rule::NativeEach(_) => values.iter().copied().fold(0.0, f64::max),
            Rule::QemuEach(_) => values.iter().copied().fold(f64::INFINITY, f64::min),
        };
        let beyond = match p.rule {
            Rule::NativeMean(_) => Vec::new(),
            _ => all.iter().filter(|(_, v)| !good(*v)).map(|(n, _)| *n).collect(),
        };
        Some(Verdict { value, kept: good(value), beyond })
    }

    /// Promises of which something was measured.
    pub(crate) fn promises(&self) -> impl Iterator<Item = &'static Promise> {
        PROMISES
            .iter()
            .filter(|p| p.of().iter().any(|l| Column::ALL.iter().any(|c| !self.of(l, *c).is_empty())))
    }

    /// Lines whose checksums are not the same in all readings.
    pub(crate) fn wrong_sums(&self) -> Vec<&'static str> {
        let differs = |l: &&Line| {
            let mut sums = Column::ALL.iter().flat_map(|c| self.of(l.name, *c)).filter_map(|s| s.sum);
            sums.next().is_some_and(|first| sums.any(|s| s != first))
        };
        LINES.iter().filter(differs).map(|l| l.name).collect()
    }

    /// Part of the time that a column's computing lines had a processor: 1 on a host that is left alone.
    pub(crate) fn served(&self, column: Column) -> Option<f64> {
        let of = LINES.iter().filter(|l| l.how == How::Everywhere).flat_map(|l| self.of(l.name, column));
        let (got, asked) = of.fold((0.0, 0.0), |(p, c), s| (p + s.processor, c + s.clock));
        (asked > 0.0).then(|| got / asked)
    }

    /// Seconds of the host for one of the guest's clock, over all lines.
    pub(crate) fn clock_error(&self, column: Column) -> Option<f64> {
        let of = LINES.iter().filter(|l| l.how != How::Booting).flat_map(|l| self.of(l.name, column));
        let (host, guest) = of.fold((0.0, 0.0), |(h, g), s| (h + s.host, g + s.guest));
        (guest > 0.0).then(|| host / guest)
    }
}

#[cfg(test)]
#[path = "results_tests.rs"]
mod tests;
