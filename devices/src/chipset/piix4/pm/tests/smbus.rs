use board::testkit::Bench;
use board::{Line, MICROSECOND, MILLISECOND, Route, Width};

use super::super::*;
use crate::smbus::{Bus, modules};

const SMBUS: u16 = 0x5000;
/// Commands with START.
const QUICK: u8 = 0x40;
const BYTE: u8 = 0x44;
const BYTE_DATA: u8 = 0x48;
const WORD_DATA: u8 = 0x4c;
const BLOCK: u8 = 0x54;
/// 256 MiB: one module at 50h.
const READ: u8 = 0xa1;
const WRITE: u8 = 0xa0;

fn bench() -> (Bench<Piix4Pm>, Line) {
    let mut sci = None;
    let mut b = Bench::new(|l| {
        let line = l.connect(Route::Isa(9));
        sci = Some(line);
        Piix4Pm::new(line).with_smbus(Bus::with_modules(modules(256 << 20)))
    });
    b.cfg_write(CONFIG, 0x90, Width::D, u32::from(SMBUS) | 1);
    b.cfg_write(CONFIG, 0xd2, Width::B, 0x09);
    assert_eq!(b.placed(SMB), None, "COMMAND.IOSE is off");
    b.cfg_write(CONFIG, 4, Width::W, 1);
    (b, sci.unwrap())
}

/// Runs a command to its end; how it ended. Leaves the status clean.
fn run(b: &mut Bench<Piix4Pm>, address: u8, command: u8) -> u8 {
    b.out8(SMBUS + 4, address);
    b.out8(SMBUS + 2, command);
    assert_eq!(b.in8(SMBUS), 0x01, "HOST_BUSY");
    b.advance(4 * MILLISECOND);
    let status = b.in8(SMBUS);
    b.out8(SMBUS, status);
    assert_eq!(b.in8(SMBUS), 0);
    status
}

#[test]
fn who_is_there_acknowledges_and_nobody_else() {
    let (mut b, _) = bench();
    for address in 0..0x80 {
        let want = if address == 0x50 { 0x02 } else { 0x04 };
        for direction in 0..2 {
            assert_eq!(run(&mut b, address << 1 | direction, QUICK), want, "{address:02x}");
        }
    }
    assert_eq!(b.unknowns(), 0);
}

#[test]
fn each_protocol_reads_the_eeprom() {
    let (mut b, _) = bench();
    b.out8(SMBUS + 3, 2);
    assert_eq!(run(&mut b, READ, BYTE_DATA), 0x02);
    assert_eq!(b.in8(SMBUS + 5), 4, "SDRAM");
    assert_eq!(run(&mut b, READ, BYTE), 0x02);
    assert_eq!(b.in8(SMBUS + 5), 13, "the next one: row address bits");
    b.out8(SMBUS + 3, 3);
    assert_eq!(run(&mut b, READ, WORD_DATA), 0x02);
    assert_eq!([b.in8(SMBUS + 5), b.in8(SMBUS + 6)], [13, 10]);
    // A byte written alone is an address.
    b.out8(SMBUS + 3, 31);
    assert_eq!(run(&mut b, WRITE, BYTE), 0x02);
    assert_eq!(run(&mut b, READ, BYTE), 0x02);
    assert_eq!(b.in8(SMBUS + 5), 0x40, "256 MiB");
}

/// An EEPROM knows no blocks: the first byte that it gives is the count.
#[test]
fn a_block_is_as_long_as_its_first_byte_says() {
    let (mut b, _) = bench();
    b.out8(SMBUS + 3, 1);
    assert_eq!(run(&mut b, READ, BLOCK), 0x02);
    assert_eq!(b.in8(SMBUS + 5), 8);
    let _ = b.in8(SMBUS + 2);
    let bytes: Vec<u8> = (0..9).map(|_| b.in8(SMBUS + 7)).collect();
    assert_eq!(bytes, [4, 13, 10, 1, 64, 0, 1, 0x80, 0]);
    let _ = b.in8(SMBUS + 2);
    assert_eq!(b.in8(SMBUS + 7), 4, "reading the control register goes back to the first");
}

#[test]
fn the_eeprom_is_write_protected() {
    let (mut b, _) = bench();
    b.out8(SMBUS + 3, 2);
    b.out8(SMBUS + 5, 0xff);
    for command in [BYTE_DATA, WORD_DATA, BLOCK] {
        assert_eq!(run(&mut b, WRITE, command), 0x04, "{command:02x}");
    }
    b.out8(SMBUS + 3, 2);
    assert_eq!(run(&mut b, READ, BYTE_DATA), 0x02);
    assert_eq!(b.in8(SMBUS + 5), 4);
}

#[test]
fn protocols_that_are_none_fail() {
    let (mut b, _) = bench();
    for command in [0x50, 0x58, 0x5c] {
        assert_eq!(run(&mut b, READ, command), 0x04, "{command:02x}");
    }
}

#[test]
fn a_command_takes_the_time_of_its_bits() {
    let (mut b, _) = bench();
    b.out8(SMBUS + 4, READ);
    b.out8(SMBUS + 2, BYTE_DATA);
    b.advance(370 * MICROSECOND);
    assert_eq!(b.in8(SMBUS), 0x01);
    b.advance(10 * MICROSECOND);
    assert_eq!(b.in8(SMBUS), 0x02, "four bytes, start and stop");
    assert_eq!(b.in8(SMBUS + 2), 0x08, "START reads 0");
}

#[test]
fn kill_ends_a_command() {
    let (mut b, _) = bench();
    b.out8(SMBUS + 4, READ);
    b.out8(SMBUS + 2, BYTE_DATA);
    b.out8(SMBUS + 2, 0x02);
    assert_eq!(b.in8(SMBUS), 0x10);
    b.out8(SMBUS + 2, 0x00);
    b.out8(SMBUS, 0x10);
    b.advance(MILLISECOND);
    assert_eq!(b.in8(SMBUS), 0);
}

#[test]
fn the_end_interrupts_on_irq9_if_asked_for_and_routed_there() {
    let (mut b, sci) = bench();
    b.out8(SMBUS + 4, READ);
    b.out8(SMBUS + 2, BYTE_DATA | 1);
    assert!(!b.level(sci));
    b.advance(MILLISECOND);
    assert!(b.level(sci));
    b.out8(SMBUS, 0x02);
    assert!(!b.level(sci));
    b.cfg_write(CONFIG, 0xd2, Width::B, 0x01);
    b.out8(SMBUS + 2, BYTE_DATA | 1);
    b.advance(MILLISECOND);
    assert!(!b.level(sci), "SMI#");
}

#[test]
fn the_slave_half_keeps_its_settings_and_has_nothing_to_tell() {
    let (mut b, _) = bench();
    for (off, v, want) in
        [(1, 0xff, 0), (8, 0xff, 0x0f), (9, 1, 0), (10, 0x12, 0x12), (11, 0x34, 0x34), (12, 1, 0)]
    {
        b.out8(SMBUS + off, v);
        assert_eq!(b.in8(SMBUS + off), want, "offset {off}");
    }
    assert_eq!(b.unknowns(), 0);
}

#[test]
fn a_command_that_runs_survives_saving() {
    let (mut b, _) = bench();
    b.out8(SMBUS + 3, 30);
    assert_eq!(run(&mut b, WRITE, BYTE), 0x02);
    b.out8(SMBUS + 4, READ);
    b.out8(SMBUS + 2, BYTE);
    b.save_and_load();
    assert_eq!(b.in8(SMBUS), 0x01);
    b.advance(MILLISECOND);
    assert_eq!((b.in8(SMBUS), b.in8(SMBUS + 5)), (0x02, 50), "the EEPROM's counter stood there");
}
