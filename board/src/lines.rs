//! Wires: interrupt requests from chips to the 8259 pair.
//!
//! A [`Line`] is one source's own wire. Sources that share an interrupt are ORed, so a chip only ever states
//! its own level, and restoring a level makes no edge. PCI interrupt pins go through the PIIX4's PIRQ router
//! first ([`Lines::set_pirq_route`]).

/// One source's wire, given to the chip when the board is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line(pub u8);

/// Where a source's wire ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A request line of the 8259 pair, 0-15.
    Isa(u8),
    /// PIRQA# to PIRQD#, 0-3, through the router.
    Pirq(u8),
    /// Not connected.
    None,
}

#[derive(Debug, Clone, Default)]
pub struct Lines {
    level: Vec<bool>,
    route: Vec<Route>,
    pirq: [Option<u8>; 4],
    irqs: u16,
    acks: [u64; 16],
    /// Request lines that were high all the time since the machine last looked.
    steady: u16,
    moved: bool,
}

impl Lines {
    /// Adds a source; the board does this once for each wire.
    ///
    /// # Panics
    /// Beyond 256 sources: the board is fixed.
    pub fn connect(&mut self, route: Route) -> Line {
        let n = u8::try_from(self.level.len()).unwrap_or_else(|_| panic!("a board has at most 256 wires"));
        self.level.push(false);
        self.route.push(route);
        Line(n)
    }

    /// Drives a source's wire.
    pub fn set(&mut self, line: Line, high: bool) {
        let l = &mut self.level[usize::from(line.0)];
        if *l != high {
            *l = high;
            self.update();
        }
    }

    pub fn raise(&mut self, line: Line) {
        self.set(line, true);
    }

    pub fn lower(&mut self, line: Line) {
        self.set(line, false);
    }

    /// A low-high-low pulse: the edge is kept even if nobody looks between the two calls.
    pub fn pulse(&mut self, line: Line) {
        self.lower(line);
        self.raise(line);
    }

    pub fn level(&self, line: Line) -> bool {
        self.level[usize::from(line.0)]
    }

    /// The PIRQ router: which ISA request line PIRQA-D (0-3) drives.
    pub fn set_pirq_route(&mut self, pirq: u8, irq: Option<u8>) {
        self.pirq[usize::from(pirq & 3)] = irq.filter(|&i| i < 16);
        self.update();
    }

    /// Levels of the sixteen request lines, bit n = IRQ n.
    pub fn irqs(&self) -> u16 {
        self.irqs
    }

    /// What the machine hands to the 8259 pair after a call: None if nothing moved, else the lines that stayed
    /// high throughout, then the levels now. Given one after the other, no edge of a pulse is lost.
    pub fn take_moved(&mut self) -> Option<(u16, u16)> {
        if !std::mem::take(&mut self.moved) {
            return None;
        }
        let steady = std::mem::replace(&mut self.steady, self.irqs);
        Some((steady & self.irqs, self.irqs))
    }

    /// The machine notes that the processor took IRQ n.
    pub fn note_ack(&mut self, irq: u8) {
        self.acks[usize::from(irq & 15)] += 1;
    }

    /// How many times the processor has taken IRQ n: a clock chip uses it to hold back the next tick until
    /// the last was seen, so that ticks a busy host delayed are delivered later and not merged.
    pub fn acks(&self, irq: u8) -> u64 {
        self.acks[usize::from(irq & 15)]
    }

    /// The request line that a source ends at now.
    pub fn irq_of(&self, line: Line) -> Option<u8> {
        match self.route[usize::from(line.0)] {
            Route::Isa(n) => Some(n & 15),
            Route::Pirq(p) => self.pirq[usize::from(p & 3)],
            Route::None => None,
        }
    }

    fn update(&mut self) {
        let mut irqs = 0;
        for n in 0..self.level.len() {
            if self.level[n]
                && let Some(irq) = self.irq_of(Line(n as u8))
            {
                irqs |= 1 << irq;
            }
        }
        self.moved = self.moved || irqs != self.irqs;
        self.irqs = irqs;
        self.steady &= irqs;
    }
}
