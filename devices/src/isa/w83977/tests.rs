use board::testkit::Bench;
use board::{Decode, Reset};

use super::*;

fn bench() -> Bench<W83977> {
    let mut b = Bench::new(|_| W83977::new());
    b.place(CONFIG, Decode::Pio(0x370));
    b
}

fn open(b: &mut Bench<W83977>) {
    b.out8(0x370, 0x87);
    b.out8(0x370, 0x87);
}

fn get(b: &mut Bench<W83977>, reg: u8) -> u8 {
    b.out8(0x370, reg);
    b.in8(0x371)
}

fn set(b: &mut Bench<W83977>, reg: u8, v: u8) {
    b.out8(0x370, reg);
    b.out8(0x371, v);
}

#[test]
fn only_two_keys_in_a_row_open_it() {
    let mut b = bench();
    assert_eq!(get(&mut b, 0x20), 0xff);
    b.out8(0x370, 0x87);
    assert_eq!(get(&mut b, 0x20), 0xff, "one key and something else");
    open(&mut b);
    assert_eq!(get(&mut b, 0x20), 0x97);
    assert_eq!(get(&mut b, 0x21), 0x71);
    b.out8(0x370, 0xaa);
    assert_eq!(get(&mut b, 0x20), 0xff);
}

#[test]
fn logical_devices_say_where_the_board_has_them() {
    let mut b = bench();
    open(&mut b);
    set(&mut b, 7, 3);
    assert_eq!((get(&mut b, 0x30), get(&mut b, 0x60), get(&mut b, 0x61), get(&mut b, 0x70)), (1, 2, 0xf8, 3));
    set(&mut b, 7, 5);
    assert_eq!((get(&mut b, 0x63), get(&mut b, 0x72)), (0x64, 12));
    set(&mut b, 7, 0x20);
    assert_eq!(get(&mut b, 0x30), 0xff, "no such logical device");
}

#[test]
fn registers_keep_what_is_written_and_identity_does_not() {
    let mut b = bench();
    open(&mut b);
    set(&mut b, 0x20, 0);
    assert_eq!(get(&mut b, 0x20), 0x97);
    set(&mut b, 7, 2);
    set(&mut b, 0x70, 0xf9);
    assert_eq!(get(&mut b, 0x70), 9);
    set(&mut b, 2, 1);
    set(&mut b, 7, 2);
    assert_eq!(get(&mut b, 0x70), 4, "soft reset");
}

#[test]
fn state_survives_saving_and_a_reset_locks() {
    let mut b = bench();
    open(&mut b);
    set(&mut b, 7, 1);
    set(&mut b, 0x70, 5);
    b.save_and_load();
    assert_eq!(get(&mut b, 0x70), 5);
    b.reset(Reset::Hard);
    assert_eq!(get(&mut b, 0x70), 0xff);
}
