//! One 8259A.

use super::regs::{Icw1, Icw4, Ocw2, Ocw3};

/// Which initialisation word port A0=1 takes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// No ICW1 since power-on: requests are not passed on.
    Cold,
    Icw2,
    Icw3,
    Icw4,
    Ready,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Regs {
    pub step: Step,
    pub icw1: Icw1,
    pub icw2: u8,
    pub icw3: u8,
    pub icw4: Icw4,
    pub irr: u8,
    pub isr: u8,
    pub imr: u8,
    pub elcr: u8,
    /// The input with the lowest priority; 7 after ICW1.
    pub lowest: u8,
    pub special_mask: bool,
    pub rotate_in_aeoi: bool,
    /// Port A0=0 reads the ISR, not the IRR.
    pub read_isr: bool,
    /// The next read is a poll.
    pub poll: bool,
}

impl Default for Regs {
    fn default() -> Self {
        Self {
            step: Step::Cold,
            icw1: Icw1::new(),
            icw2: 0,
            icw3: 0,
            icw4: Icw4::new(),
            irr: 0,
            isr: 0,
            imr: 0,
            elcr: 0,
            lowest: 7,
            special_mask: false,
            rotate_in_aeoi: false,
            read_isr: false,
            poll: false,
        }
    }
}

#[derive(Default)]
pub(super) struct Chip {
    /// Levels of IR0-IR7: wires, not registers.
    pub lines: u8,
    pub regs: Regs,
}

impl Chip {
    pub fn reset(&mut self) {
        self.regs = Regs::default();
    }

    pub fn elcr(&self) -> u8 {
        self.regs.elcr
    }

    /// A line that becomes level triggered requests by its level at once; one that becomes edge triggered
    /// keeps no request it made by its level alone.
    pub fn set_elcr(&mut self, v: u8) {
        let r = &mut self.regs;
        let to_edge = r.elcr & !v;
        r.elcr = v;
        r.irr = r.irr & !to_edge & !v | self.lines & v;
    }

    /// New levels of the inputs; those in `keep` stay as they are.
    pub fn set_lines(&mut self, lines: u8, keep: u8) {
        let lines = lines & !keep | self.lines & keep;
        let risen = lines & !self.lines;
        self.lines = lines;
        let r = &mut self.regs;
        // An edge request lives until INTA or until its line drops ("IR inputs must remain high until after
        // the falling edge of the first INTA"); a level request is the line.
        r.irr = (r.irr | risen) & lines & !r.elcr | lines & r.elcr;
    }

    /// The slave's INT on its input: it requests as long as it is high.
    pub fn set_cascade(&mut self, input: u8, high: bool) {
        let bit = 1 << input;
        if high {
            self.lines |= bit;
            self.regs.irr |= bit;
        } else {
            self.lines &= !bit;
            self.regs.irr &= !bit;
        }
    }

    pub fn vector(&self, n: u8) -> u8 {
        self.regs.icw2 & 0xf8 | n
    }

    /// Inputs from the highest priority to the lowest.
    fn by_priority(&self) -> impl Iterator<Item = u8> + use<> {
        let lowest = self.regs.lowest;
        (1..=8).map(move |i| (lowest + i) & 7)
    }

    /// The request that INT is raised for. `cascade`: the input a slave sits at, for special fully nested mode.
    pub fn highest(&self, cascade: Option<u8>) -> Option<u8> {
        let r = &self.regs;
        if r.step != Step::Ready {
            return None;
        }
        let requests = r.irr & !r.imr;
        if requests == 0 {
            return None;
        }
        // In special mask mode an in-service input that is masked holds nothing back.
        let holding = if r.special_mask { r.isr & !r.imr } else { r.isr };
        for n in self.by_priority() {
            let bit = 1 << n;
            if holding & bit != 0 {
                // Special fully nested: the slave in service may interrupt itself with a better request.
                return (r.icw4.sfnm() && cascade == Some(n) && requests & bit != 0).then_some(n);
            }
            if requests & bit != 0 {
                return Some(n);
            }
        }
        None
    }

    /// The INTA cycle (also what a poll does).
    pub fn inta(&mut self, cascade: Option<u8>) -> Option<u8> {
        let n = self.highest(cascade)?;
        let bit = 1 << n;
        let r = &mut self.regs;
        r.irr &= !bit | r.elcr;
        if r.icw4.aeoi() {
            if r.rotate_in_aeoi {
                r.lowest = n;
            }
        } else {
            r.isr |= bit;
        }
        Some(n)
    }

    pub fn read(&mut self, off: u32, cascade: Option<u8>) -> u8 {
        if std::mem::take(&mut self.regs.poll) {
            return self.inta(cascade).map_or(0, |n| 0x80 | n);
        }
        match off {
            0 if self.regs.read_isr => self.regs.isr,
            0 => self.regs.irr,
            _ => self.regs.imr,
        }
    }

    pub fn write(&mut self, off: u32, v: u8) {
        if off == 0 {
            match v >> 3 & 3 {
                0 => self.ocw2(Ocw2::from_bits(v)),
                1 => self.ocw3(Ocw3::from_bits(v)),
                _ => self.icw1(Icw1::from_bits(v)),
            }
            return;
        }
        let r = &mut self.regs;
        let after_icw3 = if r.icw1.ic4() { Step::Icw4 } else { Step::Ready };
        match r.step {
            Step::Icw2 => {
                r.icw2 = v;
                r.step = if r.icw1.sngl() { after_icw3 } else { Step::Icw3 };
            }
            Step::Icw3 => {
                r.icw3 = v;
                r.step = after_icw3;
            }
            Step::Icw4 => {
                r.icw4 = Icw4::from_bits(v);
                r.step = Step::Ready;
            }
            Step::Cold | Step::Ready => r.imr = v, // OCW1
        }
    }

    /// Starts initialisation: edge sense and masks are cleared, IR7 is lowest, special mask mode is off and
    /// the status read is the IRR; ELCR stays.
    fn icw1(&mut self, v: Icw1) {
        let old = &self.regs;
        self.regs = Regs {
            step: Step::Icw2,
            icw1: v,
            icw2: old.icw2,
            icw3: old.icw3,
            elcr: old.elcr,
            irr: self.lines & old.elcr,
            ..Regs::default()
        };
    }

    fn ocw2(&mut self, v: Ocw2) {
        let level = v.level();
        match (v.r(), v.sl(), v.eoi()) {
            (false, false, true) => {
                self.eoi();
            }
            (false, true, true) => self.regs.isr &= !(1 << level),
            (true, false, true) => {
                if let Some(n) = self.eoi() {
                    self.regs.lowest = n;
                }
            }
            (true, true, true) => {
                self.regs.isr &= !(1 << level);
                self.regs.lowest = level;
            }
            (true, false, false) => self.regs.rotate_in_aeoi = true,
            (false, false, false) => self.regs.rotate_in_aeoi = false,
            (true, true, false) => self.regs.lowest = level,
            (false, true, false) => {} // no operation
        }
    }

    /// Non-specific EOI: ends the in-service input of the highest priority. In special mask mode one that is
    /// masked is passed over.
    fn eoi(&mut self) -> Option<u8> {
        let r = &self.regs;
        let isr = if r.special_mask { r.isr & !r.imr } else { r.isr };
        let n = self.by_priority().find(|n| isr & 1 << n != 0)?;
        self.regs.isr &= !(1 << n);
        Some(n)
    }

    fn ocw3(&mut self, v: Ocw3) {
        let r = &mut self.regs;
        r.poll = v.p();
        if v.rr() {
            r.read_isr = v.ris();
        }
        if v.esmm() {
            r.special_mask = v.smm();
        }
    }
}
