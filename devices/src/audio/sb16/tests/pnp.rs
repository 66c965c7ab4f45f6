//! The card as isapnp and XP find it.

use board::Reset;

use super::{Card, card};
use crate::audio::sb16::{DSP, MPU, OPL, PNP_READ};

const READ: u16 = 0x20b;

fn set(c: &mut Card, reg: u8, v: u8) {
    c.b.out8(0x279, reg);
    c.b.out8(0xa79, v);
}

fn get(c: &mut Card, reg: u8) -> u8 {
    c.b.out8(0x279, reg);
    c.b.in8(READ)
}

fn key(c: &mut Card) {
    c.b.out8(0x279, 0);
    c.b.out8(0x279, 0);
    for v in [
        0x6a, 0xb5, 0xda, 0xed, 0xf6, 0xfb, 0x7d, 0xbe, 0xdf, 0x6f, 0x37, 0x1b, 0x0d, 0x86, 0xc3, 0x61, 0xb0,
        0x58, 0x2c, 0x16, 0x8b, 0x45, 0xa2, 0xd1, 0xe8, 0x74, 0x3a, 0x9d, 0xce, 0xe7, 0x73, 0x39,
    ] {
        c.b.out8(0x279, v);
    }
}

/// Isolates the card, as the specification says software does; its nine bytes, if one answered.
fn isolate(c: &mut Card) -> Option<[u8; 9]> {
    set(c, 2, 0x05);
    set(c, 3, 0);
    set(c, 0, (READ >> 2) as u8);
    c.b.out8(0x279, 1);
    let mut id = [0; 9];
    let mut any = false;
    for n in 0..72 {
        let pair = [c.b.in8(READ), c.b.in8(READ)];
        let bit = pair == [0x55, 0xaa];
        any |= bit;
        assert!(bit || pair == [0xff, 0xff]);
        id[n / 8] |= u8::from(bit) << (n % 8);
    }
    any.then_some(id)
}

fn configured() -> Card {
    let mut c = card();
    key(&mut c);
    isolate(&mut c).expect("a card");
    set(&mut c, 6, 1);
    set(&mut c, 7, 0);
    c
}

#[test]
fn it_works_from_power_on_without_plug_and_play() {
    let mut c = card();
    assert_eq!([DSP, MPU, OPL].map(|w| c.b.placed(w)), [Some(0x220), Some(0x330), Some(0x388)]);
    assert_eq!(c.b.placed(PNP_READ), None);
    c.reset();
}

#[test]
fn it_is_isolated_by_its_serial_identifier() {
    let mut c = card();
    assert_eq!(isolate(&mut c), None, "not without the key");
    key(&mut c);
    assert_eq!(isolate(&mut c), Some([0xd0, 0x41, 0x03, 0xb0, 0, 0, 0, 0, 0x15]));
    set(&mut c, 6, 1);
    // Another round finds nobody: the card has its number.
    set(&mut c, 3, 0);
    c.b.out8(0x279, 1);
    assert!((0..144).all(|_| c.b.in8(READ) == 0xff));
    // Awake by its number it tells the identifier, then its resources.
    set(&mut c, 3, 1);
    let bytes: Vec<u8> = (0..9 + 67)
        .map(|_| {
            assert_eq!(get(&mut c, 5) & 1, 1);
            get(&mut c, 4)
        })
        .collect();
    assert_eq!(bytes[..9], [0xd0, 0x41, 0x03, 0xb0, 0, 0, 0, 0, 0x15]);
    let data = &bytes[9..];
    assert_eq!(data[..3], [0x0a, 0x10, 0x00]);
    assert_eq!(data[26..32], [0x15, 0x41, 0xd0, 0xb0, 0x03, 0x00]);
    assert_eq!(data[65], 0x79);
    assert_eq!(data.iter().fold(0_u8, |s, b| s.wrapping_add(*b)), 0);
}

#[test]
fn a_key_with_one_wrong_byte_opens_nothing() {
    let mut c = card();
    c.b.out8(0x279, 0x6a);
    c.b.out8(0x279, 0xb5);
    c.b.out8(0x279, 0xdb);
    for v in [0xed, 0xf6] {
        c.b.out8(0x279, v);
    }
    assert_eq!(isolate(&mut c), None);
    key(&mut c);
    assert!(isolate(&mut c).is_some());
}

#[test]
fn its_registers_show_where_it_is() {
    let mut c = configured();
    let got: Vec<u8> = [0x30, 0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x70, 0x71, 0x72, 0x74, 0x75, 0x40]
        .map(|r| get(&mut c, r))
        .to_vec();
    assert_eq!(got, [1, 2, 0x20, 3, 0x30, 3, 0x88, 0, 5, 2, 0, 1, 5, 0]);
    assert_eq!((get(&mut c, 6), get(&mut c, 7)), (1, 0));
}

#[test]
fn it_can_be_moved_and_switched_off() {
    let mut c = configured();
    set(&mut c, 0x30, 0);
    assert_eq!([DSP, MPU, OPL].map(|w| c.b.placed(w)), [None; 3]);
    for (reg, v) in [(0x60, 2), (0x61, 0x40), (0x62, 3), (0x63, 0), (0x70, 10), (0x74, 3), (0x75, 4)] {
        set(&mut c, reg, v);
    }
    assert_eq!(c.b.placed(DSP), None);
    set(&mut c, 0x30, 1);
    assert_eq!([DSP, MPU, OPL].map(|w| c.b.placed(w)), [Some(0x240), Some(0x300), Some(0x388)]);
    // The mixer shows the same.
    c.b.out8(0x244, 0x80);
    assert_eq!(c.b.in8(0x245), 0x08);
    c.b.out8(0x244, 0x81);
    assert_eq!(c.b.in8(0x245), 0x08, "channel 3, no high one");
    c.b.out8(0x24c, 0xf2);
    c.b.advance(20_000);
    assert_eq!(c.irqs.map(|l| c.b.level(l)), [false, false, false, true]);
    // Without power: home.
    c.b.reset(Reset::Hard);
    assert_eq!([DSP, MPU, OPL].map(|w| c.b.placed(w)), [Some(0x220), Some(0x330), Some(0x388)]);
}

#[test]
fn an_inactive_device_lets_its_ranges_be_checked() {
    let mut c = configured();
    set(&mut c, 0x30, 0);
    set(&mut c, 0x31, 3);
    assert_eq!([0x220, 0x22f, 0x331, 0x389].map(|p| c.b.in8(p)), [0x55; 4]);
    set(&mut c, 0x31, 2);
    assert_eq!([0x220, 0x22f, 0x331, 0x389].map(|p| c.b.in8(p)), [0xaa; 4]);
    set(&mut c, 0x31, 0);
    assert_eq!(c.b.placed(DSP), None);
}

#[test]
fn the_control_register_brings_it_home_and_to_sleep() {
    let mut c = configured();
    set(&mut c, 0x61, 0x80);
    assert_eq!(c.b.placed(DSP), Some(0x280));
    set(&mut c, 2, 1);
    assert_eq!(c.b.placed(DSP), Some(0x220));
    set(&mut c, 2, 4);
    assert_eq!(get(&mut c, 6), 0);
    set(&mut c, 2, 2);
    assert_eq!(c.b.placed(PNP_READ), None, "waits for the key again");
    set(&mut c, 0x61, 0x80);
    assert_eq!(c.b.placed(DSP), Some(0x220));
}

#[test]
fn the_read_port_is_only_where_the_specification_lets_it_be() {
    let mut c = card();
    key(&mut c);
    set(&mut c, 3, 0);
    set(&mut c, 0, 0x08);
    assert_eq!(c.b.placed(PNP_READ), None, "23h is the interrupt controller's");
    set(&mut c, 0, 0xff);
    assert_eq!(c.b.placed(PNP_READ), Some(0x3ff));
}

#[test]
fn a_saved_card_is_where_it_was() {
    let mut c = configured();
    set(&mut c, 0x61, 0x40);
    for _ in 0..12 {
        get(&mut c, 4);
    }
    c.b.save_and_load();
    assert_eq!((c.b.placed(DSP), c.b.placed(PNP_READ)), (Some(0x240), Some(u32::from(READ))));
    // 12 bytes behind the identifier.
    assert_eq!(get(&mut c, 4), b'B');
}
