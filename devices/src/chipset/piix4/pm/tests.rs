use board::testkit::Bench;
use board::{Decode, HostEvent, MILLISECOND, Power, Route, SECOND, Width};

use super::*;

const BASE: u16 = 0x400;

fn bench() -> (Bench<Piix4Pm>, Line) {
    let mut sci = None;
    let mut b = Bench::new(|l| {
        let line = l.connect(Route::Isa(9));
        sci = Some(line);
        Piix4Pm::new(line)
    });
    b.place(APM, Decode::Pio(0xb2));
    b.cfg_write(CONFIG, 0x40, Width::D, u32::from(BASE) | 1);
    b.cfg_write(CONFIG, 0x80, Width::B, 1);
    (b, sci.unwrap())
}

#[test]
fn identity_and_bases_read_as_the_datasheet_says() {
    let (mut b, _) = bench();
    assert_eq!(b.cfg_read(CONFIG, 0, Width::D), 0x7113_8086);
    assert_eq!(b.cfg_read(CONFIG, 8, Width::D), 0x0680_0003);
    assert_eq!(b.cfg_read(CONFIG, 0x40, Width::D), 0x401);
    b.cfg_write(CONFIG, 0x40, Width::D, 0xffff_ffff);
    assert_eq!(b.cfg_read(CONFIG, 0x40, Width::D), 0xffc1);
    assert_eq!(b.placed(PM), Some(0xffc0));
    b.cfg_write(CONFIG, 0x80, Width::B, 0);
    assert_eq!(b.placed(PM), None, "PMIOSE off");
}

#[test]
fn the_timer_counts_at_3_579545_mhz_in_any_width() {
    let (mut b, _) = bench();
    b.advance(SECOND);
    assert_eq!(b.in32(BASE + 8), 3_579_545);
    assert_eq!(b.in16(BASE + 8), 3_579_545_u32 as u16);
    assert_eq!(b.in8(BASE + 0xa), (3_579_545_u32 >> 16) as u8);
    b.out32(BASE + 8, 0);
    assert_eq!(b.in32(BASE + 8), 3_579_545, "read-only");
}

#[test]
fn acpi_is_switched_by_the_two_commands_of_the_fadt() {
    let (mut b, _) = bench();
    b.out8(0xb2, 0xe1);
    assert_eq!(b.in16(BASE + 4) & 1, 1);
    assert_eq!(b.in8(0xb2), 0xe1);
    b.out8(0xb2, 0x1e);
    assert_eq!(b.in16(BASE + 4) & 1, 0);
}

#[test]
fn the_power_button_is_a_level_on_the_sci_until_its_status_is_cleared() {
    let (mut b, sci) = bench();
    b.out8(0xb2, 0xe1);
    b.out16(BASE + 2, 0x0100);
    b.host(HostEvent::PowerButton);
    assert!(b.level(sci));
    assert_eq!(b.in16(BASE), 0x0100);
    b.out16(BASE, 0x0001);
    assert!(b.level(sci), "another status bit does not clear it");
    b.out8(BASE + 1, 0x01);
    assert!(!b.level(sci), "a byte write clears it too");
}

#[test]
fn without_sci_en_or_its_enable_nothing_interrupts() {
    let (mut b, sci) = bench();
    b.out16(BASE + 2, 0x0100);
    b.host(HostEvent::PowerButton);
    assert!(!b.level(sci));
    b.out8(0xb2, 0xe1);
    assert!(b.level(sci), "the level was waiting");
    b.out16(BASE + 2, 0);
    assert!(!b.level(sci));
}

#[test]
fn writing_sus_en_with_type_0_switches_off_and_type_1_is_s4() {
    let (mut b, _) = bench();
    b.out16(BASE + 4, 0x2001);
    assert_eq!(b.power(), Some(Power::Off));
    assert_eq!(b.in16(BASE + 4) & 0x2000, 0, "SUS_EN reads 0");
    b.out16(BASE + 4, 0x2401);
    assert_eq!(b.power(), Some(Power::S4));
    b.out16(BASE + 4, 0x3c01);
    assert_eq!(b.power(), None, "an undefined type does nothing");
    b.out8(BASE + 5, 0x20);
    assert_eq!(b.power(), Some(Power::Off), "a byte write of the high half");
}

#[test]
fn the_power_button_wakes_from_s1() {
    let (mut b, _) = bench();
    b.out16(BASE + 2, 0x0100);
    b.out16(BASE + 4, 0x3001);
    assert_eq!(b.power(), Some(Power::S1));
    b.host(HostEvent::PowerButton);
    assert_eq!(b.power(), Some(Power::Wake));
    assert_eq!(b.in16(BASE) & 0x8100, 0x8100);
}

#[test]
fn the_timer_interrupts_when_bit_31_toggles() {
    let (mut b, sci) = bench();
    b.out8(0xb2, 0xe1);
    b.out16(BASE + 2, 1);
    b.advance(599 * SECOND);
    assert!(!b.level(sci));
    b.advance(2 * SECOND);
    assert!(b.level(sci));
    b.out16(BASE, 1);
    assert!(!b.level(sci));
}

#[test]
fn an_idle_timer_arms_nothing() {
    let (b, _) = bench();
    assert_eq!(b.next_timer(), None);
}

#[test]
fn an_smbus_transfer_meets_nobody() {
    let (mut b, _) = bench();
    b.cfg_write(CONFIG, 0x90, Width::D, 0x5001);
    b.cfg_write(CONFIG, 0xd2, Width::B, 0x09);
    assert_eq!(b.placed(SMB), None, "COMMAND.IOSE is off");
    b.cfg_write(CONFIG, 4, Width::W, 1);
    b.out8(0x5004, 0xa1);
    b.out8(0x5002, 0x48);
    assert_eq!(b.in8(0x5000), 0x04);
    b.out8(0x5000, 0x1e);
    assert_eq!(b.in8(0x5000), 0);
}

#[test]
fn state_survives_saving() {
    let (mut b, sci) = bench();
    b.out8(0xb2, 0xe1);
    b.out16(BASE + 2, 0x0100);
    b.host(HostEvent::PowerButton);
    b.advance(MILLISECOND);
    b.save_and_load();
    assert!(b.level(sci));
    assert_eq!(b.placed(PM), Some(u32::from(BASE)));
}
