//! Configuration registers of function 1 and the bus master's registers. 82371AB 5.1 and 5.2.

use bitfield_struct::bitfield;
use board::{ConfigSpace, Width};

/// Bus Master Interface Base Address, 5.1.9.
pub(super) const BMIBA: u8 = 0x20;
/// IDE timing of the primary channel; the secondary's follows. 5.1.11.
const IDETIM: u8 = 0x40;
const SIDETIM: u8 = 0x44;
const UDMACTL: u8 = 0x48;
const UDMATIM: u8 = 0x4a;

/// IDETIM, IDE Timing. 5.1.11. Default 0000h.
#[bitfield(u16, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Idetim {
    /// TIME, IE, PPE and DTE for drive 0, then for drive 1.
    pub(super) drives: u8,
    #[bits(2)]
    pub(super) rtc: u8,
    #[bits(2)]
    __: u8,
    #[bits(2)]
    pub(super) isp: u8,
    /// Slave has a timing of its own in SIDETIM.
    pub(super) sitre: bool,
    /// IDE decode enable: the channel's legacy ports answer.
    pub(super) ide: bool,
}
const _: () = assert!(Idetim::new().with_ide(true).into_bits() == 0x8000);
const _: () = assert!(Idetim::new().with_rtc(3).into_bits() == 0x0300);

/// BMICX, Bus Master IDE Command. 5.2.1. Default 00h.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Bmicx {
    /// Start/Stop Bus Master.
    pub(super) ssbm: bool,
    #[bits(2)]
    __: u8,
    /// Bus Master Read/Write Control: 1 = to memory.
    pub(super) rwcon: bool,
    #[bits(4)]
    __: u8,
}
const _: () = assert!(Bmicx::new().with_rwcon(true).into_bits() == 0x08);

/// BMISX, Bus Master IDE Status. 5.2.2. Default 00h.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Bmisx {
    /// RO: transfer active.
    pub(super) bmidea: bool,
    /// R/WC: target or master abort.
    pub(super) error: bool,
    /// R/WC: the drive raised its interrupt.
    pub(super) ideints: bool,
    #[bits(2)]
    __: u8,
    /// R/W, left to software: drive 0, drive 1 can do DMA.
    pub(super) dma0cap: bool,
    pub(super) dma1cap: bool,
    /// Simplex; hardwired 0.
    #[bits(1)]
    __: u8,
}
const _: () = assert!(Bmisx::new().with_ideints(true).with_dma1cap(true).into_bits() == 0x44);

/// A Physical Region Descriptor: base, byte count (0 = 64 KiB), and EOT in the last entry. 5.2.3.
#[bitfield(u64, order = Lsb)]
pub(super) struct Prd {
    pub(super) base: u32,
    pub(super) count: u16,
    #[bits(15)]
    __: u16,
    pub(super) eot: bool,
}

/// Function 1 after reset. 5.1, table 12; BMIBA bits 31:16 are zeros but with `wide_bmiba`.
pub(super) fn config_space(wide_bmiba: bool) -> ConfigSpace {
    ConfigSpace::new(0x8086, 0x7111, 0x01_0180, 0x01)
        .reg(0x04, Width::W, 0, 0x0005)
        .reg(0x06, Width::W, 0x0280, 0)
        .w1c(0x06, Width::W, 0x3800)
        .reg(0x0d, Width::B, 0, 0xf0)
        .reg(BMIBA, Width::D, 1, if wide_bmiba { 0xffff_fff0 } else { 0xfff0 })
        .reg(IDETIM, Width::D, 0, 0xf3ff_f3ff)
        .reg(SIDETIM, Width::B, 0, 0xff)
        .reg(UDMACTL, Width::B, 0, 0x0f)
        .reg(UDMATIM, Width::W, 0, 0x3333)
        // Manufacturer's ID, F8h.
        .reg(0xf8, Width::D, 0x0f30, 0)
}

pub(super) fn idetim(c: &ConfigSpace, ch: usize) -> Idetim {
    c.get16(IDETIM + 2 * ch as u8).into()
}
