//! Registers A to D. MC146818 datasheet (Motorola), "Registers"; 82371AB, RTC registers.

use bitfield_struct::bitfield;

/// Addresses of the clock's bytes.
pub const SECONDS: usize = 0x00;
pub const SECONDS_ALARM: usize = 0x01;
pub const MINUTES: usize = 0x02;
pub const MINUTES_ALARM: usize = 0x03;
pub const HOURS: usize = 0x04;
pub const HOURS_ALARM: usize = 0x05;
pub const DAY_OF_WEEK: usize = 0x06;
pub const DATE: usize = 0x07;
pub const MONTH: usize = 0x08;
pub const YEAR: usize = 0x09;
pub const REG_A: usize = 0x0a;
pub const REG_B: usize = 0x0b;
pub const REG_C: usize = 0x0c;
pub const REG_D: usize = 0x0d;
/// Century in BCD: RAM to the chip, named in the FADT, and its copy.
pub const CENTURY: usize = 0x32;
pub const CENTURY_COPY: usize = 0x37;

/// Register A.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct RegA {
    #[bits(4)]
    pub rs: u8,
    #[bits(3)]
    pub dv: u8,
    /// RO.
    pub uip: bool,
}

impl RegA {
    /// The divider runs from 32.768 kHz.
    pub fn runs(self) -> bool {
        self.dv() == 2
    }

    /// Periods of the 32.768 kHz clock between two periodic interrupts, as a power of two.
    pub fn periodic_shift(self) -> Option<u32> {
        match self.rs() {
            0 => None,
            n @ 1..=2 => Some(u32::from(n) + 6),
            n => Some(u32::from(n) - 1),
        }
    }
}

/// Register B.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct RegB {
    pub dse: bool,
    /// 24/12: 1 is 24-hour mode.
    pub h24: bool,
    /// DM: 1 is binary, 0 BCD.
    pub dm: bool,
    pub sqwe: bool,
    pub uie: bool,
    pub aie: bool,
    pub pie: bool,
    pub set: bool,
}

/// Register C: all bits RO, a read clears them.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct RegC {
    #[bits(4)]
    __: u8,
    pub uf: bool,
    pub af: bool,
    pub pf: bool,
    pub irqf: bool,
}

/// Register D: VRT, contents valid.
pub const VRT: u8 = 0x80;

const _: () = assert!(RegA::new().with_dv(2).with_rs(6).into_bits() == 0x26);
const _: () = assert!(RegC::new().with_irqf(true).with_uf(true).into_bits() == 0x90);
