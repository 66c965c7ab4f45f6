//! Configuration space of device 0. 82443BX datasheet (290633), chapter 3.3.

use bitfield_struct::bitfield;
use board::{ConfigSpace, Width};

pub const SVID: u8 = 0x2c;
pub const DRB0: u8 = 0x60;
pub const PAM0: u8 = 0x59;
pub const SMRAM: u8 = 0x72;
/// T_EN 0, TSEG_SZ 2:1, cache status 5:3 (fixed 111), E_SMERR 6 R/WC, H_SMRAME 7.
pub const ESMRAMC: u8 = 0x73;

/// One nibble of PAM0-PAM6: who answers a part of C0000h-FFFFFh.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Pam {
    /// RE: reads go to DRAM, else to PCI.
    pub re: bool,
    /// WE: writes go to DRAM, else to PCI.
    pub we: bool,
    #[bits(6)]
    __: u8,
}

/// SMRAM, system management RAM control.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Smram {
    #[bits(3)]
    pub c_base_seg: u8,
    pub g_smrame: bool,
    pub d_lck: bool,
    pub d_cls: bool,
    pub d_open: bool,
    __: bool,
}

const _: () = assert!(Smram::new().with_d_open(true).with_g_smrame(true).into_bits() == 0x48);

/// The parts that PAM registers rule, in order of PAM0 high nibble, PAM1 low, PAM1 high and so on: first page
/// (4 KiB) and how many.
pub const SEGMENTS: [(u8, u8); 13] = [
    (0xf0, 16),
    (0xc0, 4),
    (0xc4, 4),
    (0xc8, 4),
    (0xcc, 4),
    (0xd0, 4),
    (0xd4, 4),
    (0xd8, 4),
    (0xdc, 4),
    (0xe0, 4),
    (0xe4, 4),
    (0xe8, 4),
    (0xec, 4),
];

/// Reset values and write masks. The part with AGP switched off by strap (device 7192h) has no capability list,
/// no aperture and no bridge behind it: those registers read 0.
pub fn reset_values() -> ConfigSpace {
    use Width::{B, D, W};
    let mut c = ConfigSpace::new(0x8086, 0x7192, 0x06_0000, 0x03)
        .reg(0x04, W, 0x0006, 0x0140) // PCICMD: memory and master fixed on
        .reg(0x06, W, 0x0200, 0) // PCISTS: medium DEVSEL#
        .w1c(0x06, W, 0xf900)
        .reg(0x0d, B, 0x00, 0xf8) // MLT
        .reg(0x50, D, 0x0000_0004, 0xff05_8ff8) // NBXCFG: 100 MHz, queue depth by strap
        .reg(0x57, B, 0x28, 0x3f) // DRAMC: SDRAM
        .reg(0x58, B, 0x03, 0xff) // DRAMT
        .reg(PAM0, B, 0x00, 0x70)
        .reg(0x68, B, 0x00, 0xc0) // FDHC
        .reg(0x69, D, 0x0000_0000, 0xffff_ffff) // MBSC 69h-6Eh
        .reg(0x6d, W, 0x0000, 0xffff)
        .reg(SMRAM, B, 0x02, 0x78)
        .reg(ESMRAMC, B, 0x38, 0x87)
        .w1c(ESMRAMC, B, 0x40)
        .reg(0x74, W, 0x0000, 0xffff) // RPS
        .reg(0x76, W, 0x0000, 0x1ffd) // SDRAMC
        .reg(0x78, W, 0x0000, 0xff0f) // PGPOL
        .reg(0x7a, B, 0x0a, 0xf5) // PMCR: AGP off and quick start are straps
        .reg(0x7b, W, 0x0038, 0x1fff) // SCRR
        .w1c(0x80, B, 0x03) // EAP
        .reg(0x90, B, 0x80, 0xff) // ERRCMD
        .w1c(0x91, W, 0x07ff) // ERRSTS
        .reg(0xca, W, 0x0000, 0xffff) // MBFS
        .reg(0xcc, B, 0x00, 0xff)
        .reg(0xd0, D, 0, 0xffff_ffff) // BSPAD
        .reg(0xd4, D, 0, 0xffff_ffff)
        .reg(0xe0, D, 0, 0xffff_ffff) // DWTC
        .reg(0xe4, D, 0, 0xffff_ffff)
        .reg(0xe8, D, 0, 0xffff_ffff) // DRTC
        .reg(0xec, D, 0, 0xffff_ffff)
        .reg(0xf0, W, 0, 0xffff) // BUFFC
        .reg(0xf8, D, 0x0000_0f20, 0);
    for n in 1..7 {
        c = c.reg(PAM0 + n, B, 0x00, 0x77);
    }
    for n in 0..8 {
        c = c.reg(DRB0 + n, B, 0x01, 0xff);
    }
    c
}
