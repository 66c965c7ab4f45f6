//! The PHY at the other end of MDC and MDIO. IEEE 802.3, 22.2.4; what Virtual PC's showed to a driver that looked.

/// The one address that answers.
pub(super) const ADDRESS: u8 = 1;

pub(super) const BMCR: usize = 0;
const BMSR: usize = 1;
const ANAR: usize = 4;
const ANLPAR: usize = 5;
pub(super) const REGISTERS: usize = 32;

/// Auto-negotiation on, 100 Mb/s, full duplex.
const BMCR_RESET: u16 = 0x3100;
/// 100BASE-TX and 10BASE-T, both duplexes; can negotiate.
const BMSR_FIXED: u16 = 0x7808;
/// Negotiation complete, link up.
const BMSR_UP: u16 = 0x0024;

/// Registers after reset.
const RESET: [u16; REGISTERS] = {
    let mut r = [0; REGISTERS];
    r[BMCR] = BMCR_RESET;
    r[BMSR] = BMSR_FIXED;
    r[2] = 0x0fff;
    r[3] = 0xfc41;
    r[ANAR] = 0x01e1;
    r[ANLPAR] = 0x41e1;
    r[16] = 0x0400;
    r[17] = 0x8008;
    r[18] = 0x7800;
    r
};

/// Where in a management frame the PHY is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Ones; `zero`: the first bit of a start came.
    Idle { zero: bool },
    /// So many bits of operation, PHY address and register came.
    Command { bits: u8, value: u16 },
    /// So many bits of turnaround and data went out.
    Read { bits: u8, value: u16 },
    /// So many bits of turnaround and data came; for us, or for nobody.
    Write { bits: u8, register: Option<u8>, value: u16 },
    /// Another PHY's answer, which does not come.
    Skip { bits: u8 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mii {
    pub(super) registers: [u16; REGISTERS],
    pub(super) step: Step,
    pub(super) mdc: bool,
    /// What the PHY drives; high when nobody does.
    pub(super) mdi: bool,
    /// The link was down since BMSR was last read: its bit shows that once.
    pub(super) lost: bool,
}

impl Default for Mii {
    fn default() -> Self {
        Self { registers: RESET, step: Step::Idle { zero: false }, mdc: false, mdi: true, lost: false }
    }
}

impl Mii {
    /// The pins as CSR9 drives them. `mdio`: None while the chip listens; the line is pulled up then. The PHY takes a bit
    /// at the rising edge of MDC, and its own next bit is there from then on: drivers look just before the edge after
    /// it, or just after this one.
    pub(super) fn drive(&mut self, mdc: bool, mdio: Option<bool>, link: bool) {
        let rising = mdc && !self.mdc;
        self.mdc = mdc;
        self.sense(link);
        if rising {
            self.clock(mdio.unwrap_or(true), link);
        }
    }

    /// The state of the link. A loss is kept until it was told.
    pub(super) fn sense(&mut self, link: bool) {
        self.lost |= !link;
    }

    fn clock(&mut self, bit: bool, link: bool) {
        self.mdi = true;
        self.step = match self.step {
            Step::Idle { zero: true } if bit => Step::Command { bits: 0, value: 0 },
            Step::Idle { .. } => Step::Idle { zero: !bit },
            Step::Command { bits, value } => {
                let value = value << 1 | u16::from(bit);
                if bits < 11 { Step::Command { bits: bits + 1, value } } else { self.command(value, link) }
            }
            Step::Read { bits: 0, value } => {
                // The second bit of the turnaround.
                self.mdi = false;
                Step::Read { bits: 1, value }
            }
            Step::Read { bits, value } => {
                self.mdi = value >> (16 - bits) & 1 != 0;
                if bits < 16 { Step::Read { bits: bits + 1, value } } else { Step::Idle { zero: false } }
            }
            Step::Write { bits, register, value } => {
                let value = value << 1 | u16::from(bit);
                if bits < 17 {
                    Step::Write { bits: bits + 1, register, value }
                } else {
                    if let Some(r) = register {
                        self.write(usize::from(r), value);
                    }
                    Step::Idle { zero: false }
                }
            }
            Step::Skip { bits } if bits < 16 => Step::Skip { bits: bits + 1 },
            Step::Skip { .. } => Step::Idle { zero: false },
        };
    }

    fn command(&mut self, value: u16, link: bool) -> Step {
        let (op, phy, register) = (value >> 10, (value >> 5 & 31) as u8, (value & 31) as u8);
        let ours = phy == ADDRESS;
        match op {
            0b10 if ours => Step::Read { bits: 0, value: self.read(usize::from(register), link) },
            0b10 => Step::Skip { bits: 0 },
            0b01 => Step::Write { bits: 0, register: ours.then_some(register), value: 0 },
            _ => Step::Idle { zero: false },
        }
    }

    fn read(&mut self, register: usize, link: bool) -> u16 {
        match register {
            BMSR => {
                let up = link && !std::mem::take(&mut self.lost);
                self.registers[BMSR] | if up { BMSR_UP } else { 0 }
            }
            // Nobody is there to say what it can do.
            ANLPAR if !link => 0,
            r => self.registers[r],
        }
    }

    fn write(&mut self, register: usize, v: u16) {
        match register {
            BMCR if v & 0x8000 != 0 => self.registers = RESET,
            // Restarting negotiation ends at once.
            BMCR => self.registers[BMCR] = v & 0x7d80,
            ANAR => self.registers[ANAR] = v & 0x2de0 | 1,
            _ => {}
        }
    }
}
