//! Guest time: the one clock that all chips and the TSC are derived from.

use std::time::{Duration, Instant};

use board::Tick;

/// What moves guest time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClockKind {
    /// The host's monotonic clock, while the machine runs.
    #[default]
    Host,
    /// Retired guest instructions, so that a run is repeatable bit by bit. While the processor is halted time
    /// jumps to the next timer.
    Instructions,
}

/// One instruction's time on the instruction clock: a 100 MIPS machine.
pub(crate) const NS_PER_INSTRUCTION: u64 = 10;

pub(crate) struct Clock {
    kind: ClockKind,
    /// Guest time at `since`, or now if `since` is None.
    base: Tick,
    /// Host clock only: when the machine was last set going.
    since: Option<Instant>,
    retired: u64,
}

impl Clock {
    pub(crate) fn new(kind: ClockKind, base: Tick) -> Self {
        Self { kind, base, since: None, retired: 0 }
    }

    pub(crate) fn kind(&self) -> ClockKind {
        self.kind
    }

    pub(crate) fn start(&mut self) {
        if self.kind == ClockKind::Host && self.since.is_none() {
            self.since = Some(Instant::now());
        }
    }

    pub(crate) fn stop(&mut self) {
        self.base = self.now();
        self.since = None;
    }

    pub(crate) fn now(&self) -> Tick {
        self.base + self.since.map_or(0, |s| s.elapsed().as_nanos() as u64)
    }

    pub(crate) fn retired(&mut self, n: u64) {
        self.retired += n;
        if self.kind == ClockKind::Instructions {
            self.base += n * NS_PER_INSTRUCTION;
        }
    }

    /// Instructions since power-on.
    pub(crate) fn instructions(&self) -> u64 {
        self.retired
    }

    /// The processor sleeps until `t`: on the instruction clock that takes no host time.
    pub(crate) fn skip_to(&mut self, t: Tick) {
        if self.kind == ClockKind::Instructions {
            self.base = self.base.max(t);
        }
    }

    /// How long the host has to sleep until guest time `t`.
    pub(crate) fn until(&self, t: Tick) -> Duration {
        Duration::from_nanos(t.saturating_sub(self.now()))
    }

    /// How many instructions may run before somebody must look at the time again.
    pub(crate) fn budget(&self, next: Option<Tick>) -> u64 {
        // On the host clock: often enough that a timer is late by tens of microseconds at most.
        const LOOK: u64 = 4096;
        const LONGEST: u64 = 1_000_000;
        match self.kind {
            ClockKind::Host => LOOK,
            ClockKind::Instructions => {
                let left =
                    next.map_or(u64::MAX, |t| t.saturating_sub(self.base).div_ceil(NS_PER_INSTRUCTION));
                left.clamp(1, LONGEST)
            }
        }
    }
}
