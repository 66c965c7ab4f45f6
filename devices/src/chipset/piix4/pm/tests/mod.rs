use board::testkit::Bench;
use board::{Decode, HostEvent, MILLISECOND, Power, Route, SECOND, Width};

use super::*;

mod smbus;

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
    b.cfg_write(CONFIG, 0x58, Width::D, 1 << 25);
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
    b.host(HostEvent::PowerButton { down: true });
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
    b.host(HostEvent::PowerButton { down: true });
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
    b.host(HostEvent::PowerButton { down: true });
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
fn a_button_that_is_held_for_four_seconds_switches_off() {
    let (mut b, _) = bench();
    b.host(HostEvent::PowerButton { down: true });
    b.advance(3 * SECOND);
    assert_eq!(b.power(), None);
    b.host(HostEvent::PowerButton { down: false });
    b.advance(3 * SECOND);
    assert_eq!(b.power(), None, "let go of in time");
    b.host(HostEvent::PowerButton { down: true });
    b.advance(2 * SECOND);
    b.save_and_load();
    b.advance(2 * SECOND);
    assert_eq!(b.power(), Some(Power::Off));
    assert_eq!(b.in16(BASE), 0x0800, "PWRBTNOR_STS in place of PWRBTN_STS");
    b.out16(BASE, 0x0800);
    assert_eq!(b.in16(BASE), 0);
}

#[test]
fn irq8_wakes_from_s1_if_rtc_en_is_set() {
    let (mut b, sci) = bench();
    b.out8(0xb2, 0xe1);
    b.out16(BASE + 4, 0x3001);
    assert_eq!(b.power(), Some(Power::S1));
    b.host(HostEvent::RtcAlarm);
    assert_eq!((b.power(), b.in16(BASE)), (None, 0x0400), "not enabled");
    b.out16(BASE, 0x0400);
    b.out16(BASE + 2, 0x0400);
    b.host(HostEvent::RtcAlarm);
    assert_eq!((b.power(), b.in16(BASE)), (Some(Power::Wake), 0x8400));
    assert!(b.level(sci));
}

#[test]
fn the_timer_wakes_from_s1_too() {
    let (mut b, _) = bench();
    b.out8(0xb2, 0xe1);
    b.out16(BASE + 2, 0x0001);
    b.out16(BASE + 4, 0x3001);
    b.advance(601 * SECOND);
    assert_eq!(b.power(), Some(Power::Wake));
}

#[test]
fn other_interrupts_wake_from_s1_if_irq_rsm_en_is_set() {
    let (mut b, _) = bench();
    b.out16(BASE + 4, 0x3000);
    b.host(HostEvent::Interrupt);
    assert_eq!(b.power(), Some(Power::S1));
    b.out16(BASE + 0x20, 0x0800);
    b.host(HostEvent::Interrupt);
    assert_eq!((b.power(), b.in16(BASE)), (Some(Power::Wake), 0x8000));
    assert_eq!(b.in16(BASE + 0x18), 0x0800, "IRQ_RSM_STS");
    b.host(HostEvent::Interrupt);
    assert_eq!(b.power(), None, "it is awake");
    b.out16(BASE + 0x18, 0x0800);
    assert_eq!(b.in16(BASE + 0x18), 0);
}

#[test]
fn an_event_that_is_there_already_ends_s1_at_once() {
    let (mut b, _) = bench();
    b.host(HostEvent::RtcAlarm);
    b.out16(BASE + 2, 0x0400);
    b.out16(BASE + 4, 0x3001);
    assert_eq!((b.power(), b.in16(BASE) & 0x8000), (None, 0x8000));
}

#[test]
fn global_status_sums_up() {
    let (mut b, _) = bench();
    b.host(HostEvent::PowerButton { down: true });
    assert_eq!(b.in16(BASE + 0x18), 0);
    b.out16(BASE + 2, 0x0100);
    assert_eq!(b.in16(BASE + 0x18), 0x0040, "PM1_STS");
    b.out16(BASE + 4, 0x0004);
    assert_eq!(b.in16(BASE + 0x18), 0x0042, "GBL_RLS: BIOS_STS");
    b.out16(BASE + 0x18, 0xffff);
    assert_eq!(b.in16(BASE + 0x18), 0x0040);
}

#[test]
fn bios_rls_sets_gbl_sts_and_interrupts() {
    let (mut b, sci) = bench();
    b.out8(0xb2, 0xe1);
    b.out16(BASE + 2, 0x0020);
    b.out8(BASE + 0x28, 0x02);
    assert_eq!((b.in16(BASE), b.level(sci)), (0x0020, true));
    assert_eq!(b.in8(BASE + 0x28) & 2, 0, "write-only");
}

#[test]
fn the_command_port_needs_apmc_en() {
    let (mut b, _) = bench();
    b.cfg_write(CONFIG, 0x58, Width::D, 0);
    b.out8(0xb2, 0xe1);
    assert_eq!((b.in8(0xb2), b.in16(BASE + 4)), (0xe1, 0));
}

#[test]
fn state_survives_saving() {
    let (mut b, sci) = bench();
    b.out8(0xb2, 0xe1);
    b.out16(BASE + 2, 0x0100);
    b.host(HostEvent::PowerButton { down: true });
    b.advance(MILLISECOND);
    b.save_and_load();
    assert!(b.level(sci));
    assert_eq!(b.placed(PM), Some(u32::from(BASE)));
}
