//! Which rises of OUT0 the processor still has to see.

use board::{Cx, Line, MILLISECOND, Tick};

/// A rise that comes this much after its time was delayed by the host.
const LATE: Tick = MILLISECOND;
/// So many rises in a row on time and not taken: the guest has IRQ0 masked and would not get them from a real
/// chip either.
const MASKED: u32 = 16;
/// More are not made up for.
const MOST: u64 = 5000;
/// Extra ticks come no closer than this.
const CLOSEST: Tick = 100_000;

#[derive(Debug, Clone, Default)]
pub(super) struct Ticks {
    /// Rises to be delivered beyond the one on the wire.
    pub owed: u64,
    /// A tick is on the wire; taken once the acknowledge count has left `mark`.
    pub on_wire: bool,
    pub mark: u64,
    /// When the tick on the wire was put there.
    pub put: Tick,
    /// Rises on time since the last one that was taken.
    pub untaken: u32,
    pub delivered: u64,
    pub made_up: u64,
    pub given_up: u64,
}

fn acks(cx: &Cx<'_>, irq0: Line) -> u64 {
    cx.lines.irq_of(irq0).map_or(0, |irq| cx.lines.acks(irq))
}

impl Ticks {
    /// From a reset.
    pub fn start(&mut self, cx: &Cx<'_>, irq0: Line) {
        self.mark = acks(cx, irq0);
    }

    /// From a saved state: acknowledge counts start anew. The wire follows OUT0, but stays high for a tick that waits.
    pub fn resume(&mut self, cx: &mut Cx<'_>, irq0: Line, out: bool) {
        self.mark = acks(cx, irq0);
        cx.lines.set(irq0, self.on_wire || out);
    }

    /// The counter was programmed anew: what the old period owes is gone.
    pub fn forget(&mut self) {
        self.owed = 0;
        self.untaken = 0;
    }

    /// A tick is on the wire and not taken.
    pub fn waiting(&mut self, cx: &Cx<'_>, irq0: Line) -> bool {
        if self.on_wire && acks(cx, irq0) != self.mark {
            self.on_wire = false;
            self.untaken = 0;
        }
        self.on_wire
    }

    fn put(&mut self, cx: &mut Cx<'_>, irq0: Line) {
        self.mark = acks(cx, irq0);
        self.on_wire = true;
        self.put = cx.now();
        self.delivered += 1;
        cx.lines.pulse(irq0);
    }

    /// OUT0 rose `n` times; the first of them `late` ns before now.
    pub fn rose(&mut self, cx: &mut Cx<'_>, irq0: Line, n: u64, late: Tick, periodic: bool) {
        let waiting = self.waiting(cx, irq0);
        let more = if waiting { n } else { n - 1 };
        // Also when one waits: a PIC that was initialised meanwhile has forgotten its edge.
        self.put(cx, irq0);
        if !periodic {
            return;
        }
        if n == 1 && late < LATE {
            self.untaken = self.untaken.saturating_add(1);
        }
        if self.untaken > MASKED {
            self.given_up += more + std::mem::take(&mut self.owed);
        } else {
            self.owed = (self.owed + more).min(MOST);
        }
    }

    pub fn catch_up(&mut self, cx: &mut Cx<'_>, irq0: Line, step: Tick) {
        let due = self.next(step).is_some_and(|t| t <= cx.now());
        if !due {
            return;
        }
        if self.waiting(cx, irq0) {
            self.put = cx.now(); // look again a step later
        } else {
            self.owed -= 1;
            self.made_up += 1;
            self.put(cx, irq0);
        }
    }

    /// When to look at the next tick that is owed.
    pub fn next(&self, step: Tick) -> Option<Tick> {
        (self.owed > 0).then(|| self.put + step.max(CLOSEST))
    }

    pub fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("ticks", self.delivered),
            ("ticks_made_up", self.made_up),
            ("ticks_given_up", self.given_up),
            ("ticks_owed", self.owed),
        ]
    }
}
