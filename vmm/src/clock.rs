//! Guest time: the one clock that all chips and the TSC are derived from.
//!
//! [`ClockKind::Host`]: the host's time while the machine runs, freed of what the host took away ([`pace`]). Every
//! interval that the guest can measure between two of its own instructions is then about what they took.
//! [`ClockKind::Instructions`]: the count of retired instructions. Page: docs/design/time.md.

mod host;
mod pace;
#[cfg(test)]
mod tests;

use std::time::Duration;

use board::{SECOND, Tick};

use pace::Pace;

/// What moves guest time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClockKind {
    /// The host's clock, while the machine runs.
    #[default]
    Host,
    /// Retired guest instructions, so that a run is repeatable bit by bit. While the processor is halted time
    /// jumps to the next timer.
    Instructions,
}

/// One instruction's time on the instruction clock: a 100 MIPS machine.
const NS_PER_INSTRUCTION: u64 = 10;

/// Where guest time comes from.
enum Source {
    Host(Pace),
    /// Guest time.
    Instructions(Tick),
}

pub(crate) struct Clock {
    source: Source,
    retired: u64,
    speed: Speed,
}

/// How fast the guest ran lately, on the host's clock.
struct Speed {
    /// When it was looked at, in guest time and in instructions.
    at: Tick,
    retired: u64,
    /// Instructions in a microsecond.
    rate: u64,
}

impl Speed {
    /// Guest time between two looks at the clock: by so much a timer is late at most.
    const LOOK_NS: u64 = 40_000;
    const SHORTEST: u64 = 512;
    const LONGEST: u64 = 131_072;
    /// Interpreted code.
    const FIRST: u64 = 200;

    fn note(&mut self, now: Tick, retired: u64) {
        let (ns, n) = (now.saturating_sub(self.at), retired - self.retired);
        (self.at, self.retired) = (now, retired);
        // A guest that slept says nothing, and neither does a moment.
        if (1_000..10 * Self::LOOK_NS).contains(&ns) {
            let rate = (n * 1_000 / ns).clamp(50, 5_000);
            // Down at once, up by and by: code is not all alike.
            self.rate = if rate < self.rate { rate } else { (3 * self.rate + rate).div_ceil(4) };
        }
    }

    fn budget(&self, now: Tick, next: Option<Tick>) -> u64 {
        let left = next.map_or(Self::LOOK_NS, |t| t.saturating_sub(now).min(Self::LOOK_NS));
        (left * self.rate / 1_000).clamp(Self::SHORTEST, Self::LONGEST)
    }
}

impl Clock {
    /// `even`: stolen time is held back, for engines whose TSC is this clock. Where the guest reads the host's own
    /// TSC the chips must not run away from it.
    pub(crate) fn new(kind: ClockKind, even: bool) -> Self {
        let source = match kind {
            ClockKind::Host if even => Source::Host(Pace::even(Box::new(host::Even::new()))),
            ClockKind::Host => Source::Host(Pace::plain(Box::new(host::Plain::new()))),
            ClockKind::Instructions => Source::Instructions(0),
        };
        Self { source, retired: 0, speed: Speed { at: 0, retired: 0, rate: Speed::FIRST } }
    }

    pub(crate) fn kind(&self) -> ClockKind {
        match self.source {
            Source::Host(_) => ClockKind::Host,
            Source::Instructions(_) => ClockKind::Instructions,
        }
    }

    /// Before the first start: goes on from a guest time and a count of instructions. `away`: so many seconds are missed, as
    /// after a pause.
    pub(crate) fn set(&mut self, now: Tick, retired: u64, away: u64) {
        self.retired = retired;
        self.speed.at = now;
        self.speed.retired = retired;
        match &mut self.source {
            Source::Host(p) => p.set(now, away),
            Source::Instructions(t) => *t = now,
        }
    }

    /// From now on time runs; on the thread that runs the processor.
    pub(crate) fn start(&mut self) {
        if let Source::Host(p) = &mut self.source {
            p.start();
        }
    }

    pub(crate) fn stop(&mut self) {
        if let Source::Host(p) = &mut self.source {
            p.stop();
        }
    }

    pub(crate) fn now(&mut self) -> Tick {
        match &mut self.source {
            Source::Host(p) => p.now(),
            Source::Instructions(t) => *t,
        }
    }

    pub(crate) fn retired(&mut self, n: u64) {
        self.retired += n;
        match &mut self.source {
            Source::Host(p) => p.retired(n),
            Source::Instructions(t) => *t += n * NS_PER_INSTRUCTION,
        }
    }

    /// Instructions since power-on.
    pub(crate) fn instructions(&self) -> u64 {
        self.retired
    }

    /// The processor has nothing to do until guest time `next`, or until `wait` returns: it sleeps until something
    /// comes, or for so long.
    pub(crate) fn sleep(&mut self, next: Option<Tick>, wait: impl FnOnce(Option<Duration>)) {
        match (&mut self.source, next) {
            (Source::Host(p), next) => p.sleep(next, wait),
            // On the instruction clock a sleep takes no host time.
            (Source::Instructions(t), Some(next)) => *t = next.max(*t),
            (Source::Instructions(_), None) => wait(None),
        }
    }

    /// How many instructions may run before somebody must look at the time again.
    pub(crate) fn budget(&mut self, now: Tick, next: Option<Tick>) -> u64 {
        const LONGEST: u64 = 1_000_000;
        match &self.source {
            Source::Host(_) => {
                self.speed.note(now, self.retired);
                self.speed.budget(now, next)
            }
            Source::Instructions(_) => {
                let left = next.map_or(u64::MAX, |t| t.saturating_sub(now).div_ceil(NS_PER_INSTRUCTION));
                left.clamp(1, LONGEST)
            }
        }
    }

    /// The time after so many more instructions, where they make it.
    pub(crate) fn after(&self, instructions: u64) -> Option<Tick> {
        match &self.source {
            Source::Host(_) => None,
            Source::Instructions(t) => Some(*t + instructions * NS_PER_INSTRUCTION),
        }
    }

    /// A user holds a key down: guest time doesn't leap meanwhile.
    pub(crate) fn set_key_down(&mut self, down: bool) {
        if let Source::Host(p) = &mut self.source {
            p.set_key_down(down);
        }
    }

    /// Has at least a second passed for the host that guest time will never count?
    pub(crate) fn has_missed(&self) -> bool {
        matches!(&self.source, Source::Host(p) if p.missed() >= SECOND)
    }

    /// Takes the whole seconds of that time.
    pub(crate) fn take_missed(&mut self) -> u64 {
        match &mut self.source {
            Source::Host(p) => p.take_missed(),
            Source::Instructions(_) => 0,
        }
    }

    pub(crate) fn metrics(&self) -> [(&'static str, u64); 2] {
        match &self.source {
            Source::Host(p) => p.metrics(),
            Source::Instructions(_) => [("behind_us", 0), ("held_us", 0)],
        }
    }
}
