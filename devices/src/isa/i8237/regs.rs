//! Registers of the 8237A. Datasheet 231466, "Register Description".

use bitfield_struct::bitfield;

/// Command register, 08h/D0h. Write only; RESET clears it.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Command {
    /// 0: memory-to-memory; not in the PIIX4.
    pub mem_to_mem: bool,
    /// 1: channel 0 address hold.
    pub address_hold: bool,
    /// 2: controller disable.
    pub disable: bool,
    /// 3: compressed timing.
    pub compressed: bool,
    /// 4: rotating priority.
    pub rotating: bool,
    /// 5: extended write.
    pub extended_write: bool,
    /// 6: DREQ active low.
    pub dreq_low: bool,
    /// 7: DACK active high.
    pub dack_high: bool,
}

/// Transfer type of a mode register: any two bits may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer(pub u8);

impl Transfer {
    pub const VERIFY: Self = Self(0);
    /// To memory.
    pub const WRITE: Self = Self(1);
    /// From memory.
    pub const READ: Self = Self(2);

    const fn into_bits(self) -> u8 {
        self.0
    }

    const fn from_bits(v: u8) -> Self {
        Self(v & 3)
    }
}

/// Mode register, 0Bh/D6h, one for each channel (bits 1:0 select it when written).
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Mode {
    #[bits(2)]
    __: u8,
    /// 3:2
    #[bits(2)]
    pub transfer: Transfer,
    /// 4: autoinitialise.
    pub auto: bool,
    /// 5: address decrement.
    pub dec: bool,
    /// 7:6: 0 demand, 1 single, 2 block, 3 cascade.
    #[bits(2)]
    pub kind: u8,
}

impl Mode {
    pub(super) const fn is_cascade(self) -> bool {
        self.kind() == 3
    }
}

const _: () = assert!(Mode::from_bits(0x58).auto() && Mode::from_bits(0x46).transfer().0 == 1);
const _: () = assert!(Mode::from_bits(0xc0).is_cascade() && Command::from_bits(4).disable());
