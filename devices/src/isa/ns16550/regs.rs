//! Registers. PC16550D datasheet (National), chapter 8.

use bitfield_struct::bitfield;

/// IER, 8.7.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Ier {
    pub erbfi: bool,
    pub etbei: bool,
    pub elsi: bool,
    pub edssi: bool,
    #[bits(4)]
    __: u8,
}

/// FCR, 8.5.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Fcr {
    pub enable: bool,
    pub reset_rx: bool,
    pub reset_tx: bool,
    pub dma_mode: bool,
    #[bits(2)]
    __: u8,
    #[bits(2)]
    pub trigger: u8,
}

impl Fcr {
    pub fn trigger_level(self) -> usize {
        if self.enable() { [1, 4, 8, 14][usize::from(self.trigger())] } else { 1 }
    }
}

/// LCR, 8.1.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Lcr {
    #[bits(2)]
    pub wls: u8,
    pub stb: bool,
    pub pen: bool,
    pub eps: bool,
    pub stick: bool,
    pub set_break: bool,
    pub dlab: bool,
}

/// MCR, 8.8.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Mcr {
    pub dtr: bool,
    pub rts: bool,
    pub out1: bool,
    pub out2: bool,
    pub loopback: bool,
    #[bits(3)]
    __: u8,
}

/// LSR, 8.4.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Lsr {
    pub dr: bool,
    pub oe: bool,
    pub pe: bool,
    pub fe: bool,
    pub bi: bool,
    pub thre: bool,
    pub temt: bool,
    pub rx_fifo_error: bool,
}

/// MSR, 8.9.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Msr {
    pub dcts: bool,
    pub ddsr: bool,
    pub teri: bool,
    pub ddcd: bool,
    pub cts: bool,
    pub dsr: bool,
    pub ri: bool,
    pub dcd: bool,
}

/// IIR bits 3:0 by priority, 8.6.
pub const IIR_LINE: u8 = 0x06;
pub const IIR_DATA: u8 = 0x04;
pub const IIR_TIMEOUT: u8 = 0x0c;
pub const IIR_THRE: u8 = 0x02;
pub const IIR_MODEM: u8 = 0x00;
pub const IIR_NONE: u8 = 0x01;
pub const IIR_FIFOS: u8 = 0xc0;

const _: () = assert!(Lsr::new().with_thre(true).with_temt(true).into_bits() == 0x60);
const _: () = assert!(Mcr::new().with_loopback(true).with_out2(true).with_rts(true).into_bits() == 0x1a);
