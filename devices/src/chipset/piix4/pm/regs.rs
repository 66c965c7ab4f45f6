//! Registers of function 3. 82371AB chapter 7: 7.1 configuration, 7.2 I/O.

use bitfield_struct::bitfield;
use board::{ConfigSpace, Width};

pub(super) const PMBA: u8 = 0x40;
pub(super) const PMREGMISC: u8 = 0x80;
pub(super) const SMBBA: u8 = 0x90;
pub(super) const SMBHSTCFG: u8 = 0xd2;

/// Configuration space after reset (7.1). The resource registers 44h-7Fh have no effect here and read back.
pub(super) fn config_reset() -> ConfigSpace {
    let mut c = ConfigSpace::new(0x8086, 0x7113, 0x06_8000, 3)
        .reg(0x04, Width::W, 0, 0x0001)
        .reg(0x06, Width::W, 0x0280, 0)
        .w1c(0x06, Width::W, 0x7800)
        // Interrupt pin: INTA#; the specification says 1, early silicon read 0.
        .interrupt(1)
        // PMBA: bits 15:6, bit 0 hardwired 1.
        .reg(PMBA, Width::D, 1, 0xffc0)
        .reg(PMREGMISC, Width::B, 0, 0x01)
        // SMBBA: bits 15:4, bit 0 hardwired 1.
        .reg(SMBBA, Width::D, 1, 0xfff0)
        .reg(SMBHSTCFG, Width::B, 0, 0x0f)
        .reg(0xd3, Width::B, 0, 0xff)
        .reg(0xd4, Width::B, 0, 0xfe)
        .reg(0xd5, Width::B, 0, 0xfe)
        .reg(0xf8, Width::D, 0x0000_0f30, 0);
    for off in (0x44..0x80).step_by(4) {
        c = c.reg(off, Width::D, 0, 0xffff_ffff);
    }
    c
}

/// PMSTS, offset 00h. 7.2.1.
#[bitfield(u16, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Pmsts {
    pub tmrof_sts: bool, // 0 R/WC
    #[bits(3)]
    __: u8,
    pub bm_sts: bool,  // 4 R/WC
    pub gbl_sts: bool, // 5 R/WC
    #[bits(2)]
    __: u8,
    pub pwrbtn_sts: bool, // 8 R/WC
    #[bits(1)]
    __: u8,
    pub rtc_sts: bool,      // 10 R/WC
    pub pwrbtnor_sts: bool, // 11 R/WC
    #[bits(3)]
    __: u8,
    pub wak_sts: bool, // 15 R/WC
}

/// PMEN, offset 02h. 7.2.2. Each bit stands where its status stands.
pub(super) const PMEN_MASK: u16 = 0x0521;
pub(super) const TMROF_EN: u16 = 1;

/// PMCNTRL, offset 04h. 7.2.3.
#[bitfield(u16, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Pmcntrl {
    pub sci_en: bool,     // 0 R/W
    pub brld_en_bm: bool, // 1 R/W
    pub gbl_rls: bool,    // 2 W: raises an SMI, which goes nowhere here; reads 0
    #[bits(7)]
    __: u8,
    #[bits(3)]
    pub sus_typ: u8, // 12:10 R/W
    pub sus_en: bool, // 13 W: reads 0
    #[bits(2)]
    __: u8,
}

/// The bits of PMSTS that software clears.
pub(super) const PMSTS_MASK: u16 = 0x8d31;
/// DEVACTB: the command port works (APMC_EN).
pub(super) const DEVACTB: u8 = 0x58;
pub(super) const APMC_EN: u32 = 1 << 25;
/// GLBSTS, offset 18h: what happened, and the three sums of other registers (DEVSTS, PMSTS, GPSTS).
pub(super) const BIOS_STS: u16 = 1 << 1;
pub(super) const PM1_STS: u16 = 1 << 6;
pub(super) const GP_STS: u16 = 1 << 7;
pub(super) const IRQ_RSM_STS: u16 = 1 << 11;
/// LEGACY_USB_STS, BIOS_STS, APM_STS, GSTBY_STS, EXTSMI_STS, IRQ_RSM_STS: software clears them.
pub(super) const GLBSTS_MASK: u16 = 0x0d23;
/// GLBEN, offset 20h.
pub(super) const GLBEN_MASK: u16 = 0x8f3d;
pub(super) const IRQ_RSM_EN: u16 = 1 << 11;
/// GPSTS and GPEN, offsets 0Ch and 0Eh. 7.2.5, 7.2.6.
pub(super) const GPSTS_MASK: u16 = 0x0f81;
pub(super) const GPEN_MASK: u16 = 0x0f01;
/// PCNTRL, offset 10h. 7.2.7.
pub(super) const PCNTRL_MASK: u32 = 0x0002_3e1e;
/// GPO after reset, offset 34h, and which bits can be written. 7.2.16.
pub(super) const GPO_RESET: u32 = 0x7fff_bfff;

const _: () = assert!(Pmsts::new().with_pwrbtn_sts(true).with_wak_sts(true).into_bits() == 0x8100);
const _: () = assert!(Pmcntrl::from_bits(0x3400).sus_typ() == 5 && Pmcntrl::from_bits(0x2000).sus_en());
