use board::testkit::Bench;
use board::{Decode, HostEvent, MICROSECOND, MILLISECOND, Reset, Route, SECOND};

use super::{Mc146818, RTC};

/// 2004-02-28 23:59:50, a Saturday.
const FEB_28_2004: i64 = 1_078_012_790;

fn bench_at(wall_clock: i64) -> Bench<Mc146818> {
    let mut b = Bench::new(|l| Mc146818::new(l.connect(Route::Isa(8)), wall_clock));
    b.place(RTC, Decode::Pio(0x70));
    b
}

fn bench() -> Bench<Mc146818> {
    bench_at(FEB_28_2004)
}

fn get(b: &mut Bench<Mc146818>, reg: u8) -> u8 {
    b.out8(0x70, reg | 0x80);
    b.in8(0x71)
}

fn put(b: &mut Bench<Mc146818>, reg: u8, v: u8) {
    b.out8(0x70, reg);
    b.out8(0x71, v);
}

/// Year, month, day, weekday, hour, minute, second as the bytes are.
fn time(b: &mut Bench<Mc146818>) -> [u8; 7] {
    [9, 8, 7, 6, 4, 2, 0].map(|r| get(b, r))
}

fn irq(b: &Bench<Mc146818>) -> bool {
    b.lines.irqs() == 1 << 8
}

#[test]
fn the_wall_clock_starts_in_bcd_and_24_hours() {
    let mut b = bench();
    assert_eq!(time(&mut b), [0x04, 0x02, 0x28, 7, 0x23, 0x59, 0x50]);
    assert_eq!(get(&mut b, 0x32), 0x20);
    assert_eq!(get(&mut b, 0x37), 0x20);
    assert_eq!(get(&mut b, 0x0a) & 0x7f, 0x26);
    assert_eq!(get(&mut b, 0x0b), 0x02);
    assert_eq!(get(&mut b, 0x0d), 0x80);
}

#[test]
fn dates_before_1970_and_far_on_are_right_too() {
    assert_eq!(time(&mut bench_at(-1)), [0x69, 0x12, 0x31, 4, 0x23, 0x59, 0x59]);
    assert_eq!(time(&mut bench_at(951_782_400)), [0x00, 0x02, 0x29, 3, 0, 0, 0]);
    assert_eq!(time(&mut bench_at(4_107_542_400)), [0x00, 0x03, 0x01, 2, 0, 0, 0], "2100 has no 29 February");
}

#[test]
fn february_has_29_days_in_a_leap_year() {
    let mut b = bench();
    b.advance(10 * SECOND);
    assert_eq!(time(&mut b), [0x04, 0x02, 0x29, 1, 0, 0, 0]);
    b.advance(86_400 * SECOND);
    assert_eq!(time(&mut b), [0x04, 0x03, 0x01, 2, 0, 0, 0]);
}

#[test]
fn months_years_and_centuries_roll_over() {
    let mut b = bench_at(1_096_588_799); // 2004-09-30 23:59:59
    b.advance(SECOND);
    assert_eq!(time(&mut b), [0x04, 0x10, 0x01, 6, 0, 0, 0]);
    let mut b = bench_at(4_102_444_799); // 2099-12-31 23:59:59
    b.advance(SECOND);
    assert_eq!(time(&mut b), [0x00, 0x01, 0x01, 6, 0, 0, 0]);
    assert_eq!((get(&mut b, 0x32), get(&mut b, 0x37)), (0x21, 0x21));
}

#[test]
fn twelve_hours_with_pm_and_binary() {
    let mut b = bench();
    put(&mut b, 0x0b, 0x84); // SET, binary, 12 h
    put(&mut b, 4, 11 | 0x80);
    put(&mut b, 2, 59);
    put(&mut b, 0, 59);
    put(&mut b, 7, 9);
    put(&mut b, 0x0b, 0x04);
    b.advance(SECOND);
    assert_eq!([get(&mut b, 4), get(&mut b, 7)], [12, 10], "11 pm to 12 am of the next day");
    b.advance(3600 * SECOND);
    assert_eq!(get(&mut b, 4), 1);
    b.advance(11 * 3600 * SECOND);
    assert_eq!(get(&mut b, 4), 12 | 0x80, "noon");
}

#[test]
fn set_stops_the_time_and_clears_uie() {
    let mut b = bench();
    put(&mut b, 0x0b, 0x92);
    assert_eq!(get(&mut b, 0x0b), 0x82);
    b.advance(5 * SECOND);
    assert_eq!(get(&mut b, 0), 0x50);
    put(&mut b, 0, 0x30);
    put(&mut b, 0x0b, 0x02);
    b.advance(SECOND);
    assert_eq!(get(&mut b, 0), 0x31);
}

#[test]
fn a_divider_let_go_updates_half_a_second_later() {
    let mut b = bench();
    b.advance(SECOND + 300 * MILLISECOND);
    put(&mut b, 0x0a, 0x76);
    b.advance(10 * SECOND);
    assert_eq!(get(&mut b, 0), 0x51, "held in reset");
    put(&mut b, 0x0a, 0x26);
    b.advance(499 * MILLISECOND);
    assert_eq!(get(&mut b, 0), 0x51);
    b.advance(2 * MILLISECOND);
    assert_eq!(get(&mut b, 0), 0x52);
}

#[test]
fn uip_is_up_for_2_ms_before_each_update() {
    let mut b = bench();
    let mut up = 0;
    let mut falls = 0;
    let mut last = false;
    for _ in 0..30_000 {
        b.advance(100 * MICROSECOND);
        let uip = get(&mut b, 0x0a) & 0x80 != 0;
        up += u32::from(uip);
        falls += u32::from(last && !uip);
        if last && !uip {
            assert_eq!(b.now() % SECOND, 0);
        }
        last = uip;
    }
    assert_eq!(falls, 3);
    assert!((22 * 3..=23 * 3).contains(&up), "{up}");
}

#[test]
fn update_ended_interrupts_once_until_c_is_read() {
    let mut b = bench();
    put(&mut b, 0x0b, 0x12);
    b.advance(999 * MILLISECOND);
    assert!(!irq(&b));
    b.advance(MILLISECOND);
    assert!(irq(&b));
    assert_eq!(get(&mut b, 0x0c), 0xd0, "IRQF, UF, and PF which needs no enable");
    assert!(!irq(&b));
    assert_eq!(get(&mut b, 0x0c), 0);
    b.advance(SECOND);
    assert!(irq(&b));
}

#[test]
fn a_flag_that_is_set_interrupts_when_it_is_enabled() {
    let mut b = bench();
    b.advance(SECOND);
    assert!(!irq(&b));
    put(&mut b, 0x0b, 0x12);
    assert!(irq(&b));
    assert_eq!(get(&mut b, 0x0c) & 0x90, 0x90);
}

#[test]
fn bytes_that_no_calendar_has_roll_over_and_do_no_harm() {
    let mut b = bench();
    put(&mut b, 0x0b, 0x86);
    for r in [0, 2, 4, 6, 7, 8, 9] {
        put(&mut b, r, 0xff);
    }
    put(&mut b, 0x0b, 0x06);
    b.advance(SECOND);
    assert_eq!([get(&mut b, 0), get(&mut b, 2)], [0, 0]);
}

#[test]
fn the_alarm_matches_time_and_wildcards() {
    let mut b = bench();
    put(&mut b, 1, 0x05);
    put(&mut b, 3, 0xff);
    put(&mut b, 5, 0xc0);
    put(&mut b, 0x0b, 0x22);
    b.advance(14 * SECOND);
    assert!(!irq(&b));
    b.advance(SECOND);
    assert!(irq(&b), "00:00:05");
    assert_eq!(get(&mut b, 0x0c) & 0xa0, 0xa0);
    b.advance(59 * SECOND);
    assert!(!irq(&b));
    b.advance(SECOND);
    assert!(irq(&b), "each minute");
}

#[test]
fn the_alarm_flag_rises_without_a_look_in_between() {
    let mut b = bench();
    put(&mut b, 1, 0x00);
    put(&mut b, 3, 0x30);
    put(&mut b, 5, 0x12);
    b.advance(200_000 * SECOND);
    assert_eq!(get(&mut b, 0x0c) & 0x20, 0x20);
}

#[test]
fn periodic_rates_are_as_register_a_says() {
    for (rs, hz) in [(1, 256), (2, 128), (3, 8192), (6, 1024), (15, 2)] {
        let mut b = bench();
        put(&mut b, 0x0a, 0x20 | rs);
        get(&mut b, 0x0c);
        put(&mut b, 0x0b, 0x42);
        let mut n = 0;
        while b.now() < SECOND {
            let t = b.next_timer().unwrap();
            b.advance(t - b.now());
            assert!(irq(&b));
            n += 1;
            assert_eq!(get(&mut b, 0x0c) & 0xc0, 0xc0);
        }
        assert_eq!(n, hz, "rate select {rs}");
    }
}

#[test]
fn rate_0_gives_none() {
    let mut b = bench();
    put(&mut b, 0x0a, 0x20);
    put(&mut b, 0x0b, 0x42);
    b.advance(SECOND);
    assert!(!irq(&b));
    assert_eq!(get(&mut b, 0x0c) & 0x40, 0);
}

#[test]
fn periodic_interrupts_of_a_busy_host_are_made_up_for() {
    let mut b = bench();
    put(&mut b, 0x0b, 0x42); // 1024 Hz
    b.stall(20 * MILLISECOND);
    let mut n = 0;
    while b.now() < 100 * MILLISECOND {
        if irq(&b) {
            n += 1;
            get(&mut b, 0x0c);
        }
        b.advance(100 * MICROSECOND);
    }
    assert!((101..=103).contains(&n), "{n} in 100 ms at 1024 Hz");
}

#[test]
fn flags_that_the_guest_leaves_unread_merge() {
    let mut b = bench();
    put(&mut b, 0x0b, 0x42);
    b.advance(50 * MILLISECOND);
    get(&mut b, 0x0c);
    b.advance(400 * MICROSECOND);
    assert!(!irq(&b));
}

#[test]
fn a_reset_clears_enables_and_keeps_what_the_battery_holds() {
    let mut b = bench();
    put(&mut b, 0x0b, 0x72);
    put(&mut b, 0x10, 0x40);
    b.out8(0x72, 0x7f);
    b.out8(0x73, 0xaa);
    b.advance(2 * SECOND);
    assert!(irq(&b));
    b.reset(Reset::Hard);
    assert!(!irq(&b));
    assert_eq!(get(&mut b, 0x0b), 0x02);
    assert_eq!(get(&mut b, 0x0c), 0);
    assert_eq!(get(&mut b, 0x10), 0x40);
    assert_eq!(get(&mut b, 0), 0x52);
    assert_eq!(b.in8(0x73), 0xaa);
}

#[test]
fn the_banks_are_apart_and_alias_at_74() {
    let mut b = bench();
    put(&mut b, 0x20, 1);
    b.out8(0x72, 0x20);
    b.out8(0x73, 2);
    b.out8(0x74, 0x20);
    assert_eq!(b.in8(0x75), 1);
    b.out8(0x76, 0x20);
    assert_eq!(b.in8(0x77), 2);
    assert_eq!(b.in8(0x72), 0x20);
    b.out8(0x72, 0x00);
    b.out8(0x73, 0x99);
    assert_eq!(get(&mut b, 0), 0x50, "the extended bank's first byte is no clock");
}

#[test]
fn c_and_d_take_no_writes_and_uip_is_read_only() {
    let mut b = bench();
    put(&mut b, 0x0c, 0xff);
    put(&mut b, 0x0d, 0x00);
    put(&mut b, 0x0a, 0xa6);
    assert_eq!(get(&mut b, 0x0c), 0);
    assert_eq!(get(&mut b, 0x0d), 0x80);
    assert_eq!(get(&mut b, 0x0a), 0x26);
}

#[test]
fn the_builder_fills_cmos_but_not_the_clock() {
    let mut b = bench();
    b.dev.set_cmos(0x10, 0x40);
    b.dev.set_cmos(0x00, 0x11);
    assert_eq!(get(&mut b, 0x10), 0x40);
    assert_eq!(get(&mut b, 0x00), 0x50);
    assert_eq!(b.dev.cmos(0x10), 0x40);
}

#[test]
fn memory_sizes_and_their_checksum_are_where_a_bios_looks() {
    let mut b = bench();
    b.dev.set_cmos(0x10, 0x40);
    b.dev.set_memory(256 << 20);
    assert_eq!([0x15, 0x16].map(|r| get(&mut b, r)), [0x80, 0x02]);
    assert_eq!([0x17, 0x18, 0x30, 0x31].map(|r| get(&mut b, r)), [0xff; 4], "63 MiB and more");
    assert_eq!([0x34, 0x35].map(|r| get(&mut b, r)), [0x00, 0x0f], "240 MiB above 16");
    let sum: u16 = (0x10..=0x2d).map(|r| u16::from(get(&mut b, r))).sum();
    assert_eq!(u16::from(get(&mut b, 0x2e)) << 8 | u16::from(get(&mut b, 0x2f)), sum);
}

#[test]
fn nothing_wakes_the_machine_while_no_interrupt_is_wanted() {
    let b = bench();
    assert_eq!(b.next_timer(), None);
}

#[test]
fn state_survives() {
    let mut b = bench();
    put(&mut b, 0x0b, 0x52);
    put(&mut b, 0x40, 0x77);
    b.advance(SECOND + MILLISECOND);
    b.save_and_load();
    assert!(irq(&b));
    assert_eq!(get(&mut b, 0), 0x51);
    assert_eq!(get(&mut b, 0x40), 0x77);
    get(&mut b, 0x0c);
    b.advance(SECOND);
    assert!(irq(&b));
    assert_eq!(get(&mut b, 0), 0x52);
}

#[test]
fn missed_seconds_move_the_calendar_and_leave_the_beat() {
    let mut b = bench();
    b.advance(SECOND / 4);
    b.host(HostEvent::Missed(86_400 + 12));
    assert_eq!(time(&mut b), [0x04, 0x03, 0x01, 2, 0, 0, 0x02], "a leap day later");
    // The next update comes when it would have come.
    b.advance(SECOND / 4 * 3 - MICROSECOND);
    assert_eq!(get(&mut b, 0), 0x02);
    b.advance(MICROSECOND);
    assert_eq!(get(&mut b, 0), 0x03);
}

#[test]
fn an_alarm_in_missed_time_rings_afterwards() {
    let mut b = bench();
    put(&mut b, 5, 0xc0);
    put(&mut b, 3, 0x00);
    put(&mut b, 1, 0x00);
    put(&mut b, 0x0b, 0x22); // AIE: at 00 minutes and seconds of any hour
    get(&mut b, 0x0c);
    b.host(HostEvent::Missed(9));
    assert!(!irq(&b));
    b.host(HostEvent::Missed(3600));
    assert!(irq(&b));
    assert_eq!(get(&mut b, 0x0c) & 0xf0, 0xb0, "IRQF, AF, UF; no periods were missed");
}

#[test]
fn missed_seconds_do_not_move_a_clock_that_is_held() {
    let mut b = bench();
    put(&mut b, 0x0b, 0x82); // SET
    b.host(HostEvent::Missed(100));
    put(&mut b, 0x0b, 0x02);
    put(&mut b, 0x0a, 0x66); // divider in reset
    b.host(HostEvent::Missed(100));
    assert_eq!(time(&mut b), [0x04, 0x02, 0x28, 7, 0x23, 0x59, 0x50]);
}
