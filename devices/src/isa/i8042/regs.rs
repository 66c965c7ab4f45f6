//! Registers and commands of the controller, and its scan code translation. IBM PS/2 Hardware Interface Technical
//! Reference, "Keyboard and Auxiliary Device Controller".

use bitfield_struct::bitfield;

/// Status, port 64h.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Status {
    pub obf: bool,
    /// The controller takes every byte at once: always 0.
    pub ibf: bool,
    pub sys: bool,
    /// The last write was a command.
    pub cd: bool,
    /// Keyboard not locked.
    pub unlocked: bool,
    /// The byte in the output buffer is the auxiliary device's.
    pub aux: bool,
    pub timeout: bool,
    pub parity: bool,
}

/// Command byte, RAM 20h.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Ctr {
    pub int1: bool,
    pub int12: bool,
    pub sys: bool,
    __: bool,
    pub kbd_off: bool,
    pub aux_off: bool,
    pub xlat: bool,
    __: bool,
}

/// Output port P2, as command D0h reads it.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct P2 {
    /// Low resets the processor.
    pub reset_n: bool,
    pub a20: bool,
    #[bits(2)]
    __: u8,
    pub irq1: bool,
    pub irq12: bool,
    #[bits(2)]
    pub links: u8,
}

/// Input port P1: keyboard not locked.
pub const P1: u8 = 0x80;

/// A byte written to 64h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command(pub u8);

impl Command {
    pub const VERSION: Self = Self(0xa1);
    pub const PASSWORD_INSTALLED: Self = Self(0xa4);
    pub const AUX_OFF: Self = Self(0xa7);
    pub const AUX_ON: Self = Self(0xa8);
    pub const AUX_TEST: Self = Self(0xa9);
    pub const SELF_TEST: Self = Self(0xaa);
    pub const KBD_TEST: Self = Self(0xab);
    pub const KBD_OFF: Self = Self(0xad);
    pub const KBD_ON: Self = Self(0xae);
    pub const READ_P1: Self = Self(0xc0);
    pub const POLL_P1_LOW: Self = Self(0xc1);
    pub const POLL_P1_HIGH: Self = Self(0xc2);
    pub const READ_P2: Self = Self(0xd0);
    pub const WRITE_P2: Self = Self(0xd1);
    pub const WRITE_KBD_OUT: Self = Self(0xd2);
    pub const WRITE_AUX_OUT: Self = Self(0xd3);
    pub const WRITE_AUX: Self = Self(0xd4);
    pub const A20_OFF: Self = Self(0xdd);
    pub const A20_ON: Self = Self(0xdf);
    pub const READ_TESTS: Self = Self(0xe0);
}

const _: () =
    assert!(Ctr::new().with_int1(true).with_sys(true).with_aux_off(true).with_xlat(true).into_bits() == 0x65);

/// Scan code set 2 to set 1, as the controller translates: F0h apart, which turns into bit 7 of the next.
#[rustfmt::skip]
pub const XLAT: [u8; 0x80] = [
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
];

pub fn translate(code: u8) -> u8 {
    match code {
        0x83 => 0x41, // F7
        0x84 => 0x54, // Alt+PrtSc
        0..=0x7f => XLAT[usize::from(code)],
        _ => code,
    }
}
