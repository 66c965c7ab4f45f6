//! S3's registers beyond the VGA's. S3 Trio32/Trio64 Integrated Graphics Accelerators data book (DB014-B), as far as
//! VGADOC 4th edition, the RBIL ports list and the open drivers document it; bits named as there.

use bitfield_struct::bitfield;

/// CR31, Memory Configuration.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct MemCnfg {
    /// CPU Base Address Offset: banks are on.
    pub cpua_base: bool,
    pub two_page: bool,
    pub vga_16b: bool,
    /// Enhanced mapping: packed, linear, doublewords.
    pub enh_map: bool,
    /// Display start address 17-16.
    #[bits(2)]
    pub old_dsad: u8,
    pub hst_dff: bool,
    __: bool,
}

/// CR32, Backward Compatibility 1.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct BkwdComp1 {
    #[bits(4)]
    __: u8,
    /// Vertical retrace may drive the interrupt pin.
    pub int_en: bool,
    __: bool,
    /// The display wraps at 256 KiB.
    pub vga_fxpg: bool,
    __: bool,
}

/// CR51, Extended System Control 2.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct ExSctl2 {
    /// Display start address 19-18.
    #[bits(2)]
    pub old_dsad: u8,
    /// Bank bits 5-4.
    #[bits(2)]
    pub old_cpub: u8,
    /// Offset bits 9-8.
    #[bits(2)]
    pub log_scr_w: u8,
    #[bits(2)]
    __: u8,
}

/// CR58, Linear Address Window Control.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct LawCtl {
    #[bits(2)]
    pub law_size: u8,
    #[bits(2)]
    __: u8,
    pub ena_la: bool,
    #[bits(3)]
    __: u8,
}

impl LawCtl {
    /// Bytes of the window.
    pub fn bytes(self) -> u32 {
        [64 << 10, 1 << 20, 2 << 20, 4 << 20][usize::from(self.law_size())]
    }
}

/// CR5D, Extended Horizontal Overflow.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct ExHOvf {
    pub ht8: bool,
    pub hde8: bool,
    pub shb8: bool,
    pub ehb6: bool,
    pub shs8: bool,
    pub ehs5: bool,
    #[bits(2)]
    __: u8,
}

/// CR5E, Extended Vertical Overflow.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct ExVOvf {
    pub vt10: bool,
    pub vde10: bool,
    pub svb10: bool,
    __: bool,
    pub vrs10: bool,
    __: bool,
    pub lcm10: bool,
    __: bool,
}

/// 4AE8h, Advanced Function Control.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct AdvFunc {
    pub enb_ehfc: bool,
    __: bool,
    pub scrn_size: bool,
    __: bool,
    /// Linear addressing, as CR58 b4.
    pub la: bool,
    /// Memory-mapped engine registers, as CR53 b4.
    pub mio: bool,
    #[bits(2)]
    __: u8,
}

const _: () = assert!(MemCnfg::new().with_hst_dff(true).into_bits() == 0x40);
const _: () = assert!(ExSctl2::new().with_log_scr_w(3).into_bits() == 0x30);
const _: () = assert!(LawCtl::new().with_ena_la(true).into_bits() == 0x10);
const _: () = assert!(ExVOvf::new().with_lcm10(true).into_bits() == 0x40);
const _: () = assert!(AdvFunc::new().with_mio(true).into_bits() == 0x20);

/// Fixed and first values.
pub const CR2D_DEVICE_ID_HIGH: u8 = 0x88;
pub const CR2E_DEVICE_ID_LOW: u8 = 0x11;
pub const CR2F_REVISION: u8 = 0x00;
pub const CR30_CHIP_ID: u8 = 0xe1;
/// CR36 b4-0: PCI bus, EDO memory.
pub const CR36_BUS: u8 = 0x1a;
pub const CR37_CONFIG: u8 = 0xe5;
/// The quartz, in kHz.
pub const REFERENCE_KHZ: u32 = 14_318;
