//! Configuration space of function 0 and the chip's own ports. 82371AB (290562), PCI to ISA bridge registers.

use bitfield_struct::bitfield;
use board::{ConfigSpace, Width};

pub const PIRQRCA: u8 = 0x60;

/// PIRQRC[A:D].
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Pirqrc {
    #[bits(4)]
    pub irq: u8,
    #[bits(3)]
    __: u8,
    /// Routing off.
    pub off: bool,
}

impl Pirqrc {
    /// Lines that a PIRQ may be routed to: 3-7, 9-12, 14, 15.
    const LEGAL: u16 = 0xdef8;

    pub fn route(self) -> Option<u8> {
        (!self.off() && Self::LEGAL & 1 << self.irq() != 0).then(|| self.irq())
    }
}

/// Port 92h.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct P92 {
    pub fast_init: bool,
    pub fast_a20: bool,
    #[bits(6)]
    __: u8,
}

/// RC, reset control, CF9h.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Rc {
    __: bool,
    /// SRST: the reset is a hard one.
    pub srst: bool,
    /// RCPU: rising, it resets.
    pub rcpu: bool,
    #[bits(5)]
    __: u8,
}

const _: () = assert!(Rc::new().with_srst(true).with_rcpu(true).into_bits() == 0x06);
const _: () = assert!(Pirqrc::new().with_off(true).into_bits() == 0x80);

pub fn reset_values() -> ConfigSpace {
    use Width::{B, D, W};
    let mut c = ConfigSpace::new(0x8086, 0x7110, 0x06_0100, 0x03)
        .reg(0x04, W, 0x0007, 0x0108) // PCICMD: I/O, memory and master fixed on
        .reg(0x06, W, 0x0200, 0) // PCISTS
        .w1c(0x06, W, 0x7800)
        .reg(0x0e, B, 0x80, 0) // several functions
        .reg(0x4c, B, 0x4d, 0xff) // IORT
        .reg(0x4e, W, 0x0003, 0x07ff) // XBCS
        .reg(0x64, B, 0x10, 0xc3) // SERIRQC
        .reg(0x69, B, 0x02, 0xfe) // TOM
        .reg(0x6a, W, 0x0000, 0x8080) // MSTAT
        .reg(0x76, B, 0x04, 0x8f) // MBDMA0
        .reg(0x77, B, 0x04, 0x8f) // MBDMA1
        .reg(0x80, B, 0x00, 0x7f) // APICBASE
        .reg(0x82, B, 0x00, 0x0f) // DLC
        .reg(0x90, W, 0x0000, 0xffff) // PDMACFG
        .reg(0x92, W, 0x0000, 0xffc0) // DDMABP0
        .reg(0x94, W, 0x0000, 0xffc0) // DDMABP1
        .reg(0xb0, D, 0x0000_0000, 0xffff_ffff) // GENCFG
        .reg(0xcb, B, 0x25, 0x3d) // RTCCFG: both banks on
        .reg(0xf8, D, 0x0000_0f30, 0);
    for n in 0..4 {
        c = c.reg(PIRQRCA + n, B, 0x80, 0x8f);
    }
    c
}
