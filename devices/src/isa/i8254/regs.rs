//! Control words and port 61h. 8254 datasheet (231164), "Programming the 8254"; 82371AB, NMI registers.

use bitfield_struct::bitfield;

/// Input clock: 14.31818 MHz / 12.
pub const CLK_HZ: u64 = 1_193_182;

/// Control word at 43h, for one counter.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Control {
    pub bcd: bool,
    #[bits(3)]
    pub m: u8,
    #[bits(2)]
    pub rw: u8,
    #[bits(2)]
    pub sc: u8,
}

/// Read-back command: SC=11. COUNT and STATUS are active low.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct ReadBack {
    __: bool,
    #[bits(3)]
    pub counters: u8,
    pub no_status: bool,
    pub no_count: bool,
    #[bits(2)]
    pub sc: u8,
}

/// Status byte that the read-back command latches.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Status {
    pub bcd: bool,
    #[bits(3)]
    pub m: u8,
    #[bits(2)]
    pub rw: u8,
    pub null_count: bool,
    pub output: bool,
}

/// NMI status and control, port 61h.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Nmisc {
    pub gate2: bool,
    pub speaker: bool,
    /// SERR# NMI off.
    pub serr_off: bool,
    /// IOCHK# NMI off.
    pub iochk_off: bool,
    /// RO: toggles with each refresh request.
    pub refresh: bool,
    /// RO: OUT2.
    pub out2: bool,
    #[bits(2)]
    __: u8,
}

const _: () = assert!(Control::new().with_rw(3).with_m(2).into_bits() == 0x34);
const _: () = assert!(Nmisc::new().with_out2(true).into_bits() == 0x20);
