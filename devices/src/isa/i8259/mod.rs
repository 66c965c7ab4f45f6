//! The 8259A interrupt controller pair, as it sits in the PIIX4.
//!
//! Windows: [`MASTER`] (20h-21h), [`SLAVE`] (A0h-A1h), [`ELCR`] (4D0h-4D1h).
//! Registers (`regs.rs`): ICW1-4, OCW1-3, and ELCR1/2, which decides for each line between edge and level in
//! place of ICW1.LTIM. One controller is [`chip::Chip`]; this file is the cascade: the slave's INT is the
//! master's IR2, and the INTA cycle goes to the slave when the master answers with its cascade line.
//!
//! The machine hands in the sixteen request levels ([`IntCtl::set_levels`]) and runs INTA cycles
//! ([`IntCtl::ack`]). A request that vanished before INTA gives vector base+7 with no in-service bit. A slave's
//! request takes the master's IR2 along when it vanishes, so that too is the master's base+7; the slave's own
//! base+7, with IR2 in service, needs a request that vanishes between the two INTA pulses, which are one here.
//!
//! Not emulated: MCS-80/85 mode (CALL sequences; ICW4.uPM reads as set), buffered mode (no pins to see),
//! single mode wiring (the slave is always there), the aliases 24h-3Ch and A4h-BCh.
//!
//! Page: docs/devices/i8259.md. Sources: Intel 8259A datasheet (231468); 82371AB (290562), interrupt controller.

mod chip;
mod regs;
mod state;
#[cfg(test)]
mod tests;

use board::{At, Cx, Device, IntCtl, Reset, StateError, StateIn, StateOut, Width, Win, WinSpec};

use chip::Chip;

pub const MASTER: Win = Win(0);
pub const SLAVE: Win = Win(1);
pub const ELCR: Win = Win(2);

const WINDOWS: &[WinSpec] =
    &[WinSpec::pio(MASTER, 2, Width::B), WinSpec::pio(SLAVE, 2, Width::B), WinSpec::pio(ELCR, 2, Width::B)];

/// The master's input that the slave's INT is wired to.
const CASCADE: u8 = 2;
/// Lines that can be level triggered: not 0, 1, 2, 8 and 13. 82371AB, ELCR1 and ELCR2.
const ELCR_MASK: [u8; 2] = [0xf8, 0xde];

pub struct I8259 {
    master: Chip,
    slave: Chip,
    /// INT to the processor, kept current so that asking is cheap.
    int: bool,
    seen: Counters,
}

#[derive(Default)]
struct Counters {
    acks: u64,
    spurious: u64,
}

impl Default for I8259 {
    fn default() -> Self {
        Self::new()
    }
}

impl I8259 {
    pub fn new() -> Self {
        Self { master: Chip::default(), slave: Chip::default(), int: false, seen: Counters::default() }
    }

    /// Requests that are not masked, whatever their priority; bit n = IRQ n.
    pub fn unmasked(&self) -> u16 {
        let of = |c: &Chip| c.regs.irr & !c.regs.imr;
        u16::from(of(&self.master) & !(1 << CASCADE)) | u16::from(of(&self.slave)) << 8
    }

    fn settle(&mut self) {
        let slave_int = self.slave.highest(None).is_some();
        self.master.set_cascade(CASCADE, slave_int);
        self.int = self.master.highest(Some(CASCADE)).is_some();
    }
}

impl IntCtl for I8259 {
    fn set_levels(&mut self, irqs: u16) {
        // IR2 is the cascade: no device reaches it.
        self.master.set_lines(irqs as u8 & !(1 << CASCADE), 1 << CASCADE);
        self.slave.set_lines((irqs >> 8) as u8, 0);
        self.settle();
    }

    fn pending(&self) -> bool {
        self.int
    }

    fn ack(&mut self) -> (u8, Option<u8>) {
        self.seen.acks += 1;
        let (vector, irq) = match self.master.inta(Some(CASCADE)) {
            None => (self.master.vector(7), None),
            Some(CASCADE) => match self.slave.inta(None) {
                None => (self.slave.vector(7), None),
                Some(n) => (self.slave.vector(n), Some(8 + n)),
            },
            Some(n) => (self.master.vector(n), Some(n)),
        };
        self.seen.spurious += u64::from(irq.is_none());
        self.settle();
        (vector, irq)
    }
}

impl Device for I8259 {
    fn name(&self) -> &'static str {
        "i8259"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, _cx: &mut Cx<'_>, _kind: Reset) {
        self.master.reset();
        self.slave.reset();
        self.settle();
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        let v = match (at.win, at.off) {
            (MASTER, off @ 0..=1) => self.master.read(off, Some(CASCADE)),
            (SLAVE, off @ 0..=1) => self.slave.read(off, None),
            (ELCR, 0) => self.master.elcr(),
            (ELCR, 1) => self.slave.elcr(),
            _ => return cx.open_bus(at),
        };
        self.settle(); // a poll is an INTA cycle
        u32::from(v)
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        let v = v as u8;
        match (at.win, at.off) {
            (MASTER, off @ 0..=1) => self.master.write(off, v),
            (SLAVE, off @ 0..=1) => self.slave.write(off, v),
            (ELCR, 0) => self.master.set_elcr(v & ELCR_MASK[0]),
            (ELCR, 1) => self.slave.set_elcr(v & ELCR_MASK[1]),
            _ => {
                cx.open_bus(at);
            }
        }
        self.settle();
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)?;
        self.settle();
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![("acks", self.seen.acks), ("spurious", self.seen.spurious)]
    }
}
