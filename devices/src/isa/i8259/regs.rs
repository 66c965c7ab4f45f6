//! Command words. 8259A datasheet, "Programming the 8259A".

use bitfield_struct::bitfield;

/// ICW1, at A0=0 with D4=1.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Icw1 {
    pub ic4: bool,
    pub sngl: bool,
    pub adi: bool,
    pub ltim: bool,
    pub one: bool,
    #[bits(3)]
    pub a7_5: u8,
}

/// ICW4.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Icw4 {
    pub upm: bool,
    pub aeoi: bool,
    pub ms: bool,
    pub buf: bool,
    pub sfnm: bool,
    #[bits(3)]
    __: u8,
}

/// OCW2, at A0=0 with D4:3=00.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Ocw2 {
    #[bits(3)]
    pub level: u8,
    #[bits(2)]
    __: u8,
    pub eoi: bool,
    pub sl: bool,
    pub r: bool,
}

/// OCW3, at A0=0 with D4:3=01.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct Ocw3 {
    pub ris: bool,
    pub rr: bool,
    pub p: bool,
    pub one: bool,
    pub zero: bool,
    pub smm: bool,
    pub esmm: bool,
    __: bool,
}

const _: () = assert!(Icw4::new().with_sfnm(true).into_bits() == 0x10);
const _: () = assert!(Ocw2::new().with_r(true).with_level(5).into_bits() == 0x85);
const _: () = assert!(Ocw3::new().with_one(true).with_esmm(true).into_bits() == 0x48);
