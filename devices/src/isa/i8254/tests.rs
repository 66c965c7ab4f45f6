use std::sync::{Arc, Mutex};

use board::testkit::Bench;
use board::{Decode, MILLISECOND, Route, SECOND, SOUND_HZ, SoundPort, Tick};

use super::{CLK_HZ, I8254, PORT61, TIMER};

fn bench() -> Bench<I8254> {
    placed(Bench::new(|l| I8254::new(l.connect(Route::Isa(0)))))
}

fn placed(mut b: Bench<I8254>) -> Bench<I8254> {
    b.place(TIMER, Decode::Pio(0x40));
    b.place(PORT61, Decode::Pio(0x61));
    b
}

/// To the first nanosecond of CLK `n` counted from power-on.
fn to_clk(b: &mut Bench<I8254>, n: u64) {
    let t = (u128::from(n) * u128::from(SECOND)).div_ceil(u128::from(CLK_HZ)) as Tick;
    b.advance(t - b.now());
}

fn set(b: &mut Bench<I8254>, ch: u16, mode: u8, count: u16) {
    b.out8(0x43, (ch as u8) << 6 | 0x30 | mode << 1);
    b.out8(0x40 + ch, count as u8);
    b.out8(0x40 + ch, (count >> 8) as u8);
}

fn latched(b: &mut Bench<I8254>, ch: u16) -> u16 {
    b.out8(0x43, (ch as u8) << 6);
    u16::from(b.in8(0x40 + ch)) | u16::from(b.in8(0x40 + ch)) << 8
}

fn status(b: &mut Bench<I8254>, ch: u16) -> u8 {
    b.out8(0x43, 0xe0 | 2 << ch);
    b.in8(0x40 + ch)
}

fn out2(b: &mut Bench<I8254>) -> bool {
    b.in8(0x61) & 0x20 != 0
}

/// The machine's side: takes IRQ0 whenever it is requested. Returns how often.
fn take(b: &mut Bench<I8254>) -> u64 {
    let Some((steady, now)) = b.lines.take_moved() else { return 0 };
    let rose = now & !steady & 1;
    if rose != 0 {
        b.lines.note_ack(0);
    }
    u64::from(rose)
}

/// Lets time pass in steps, with a processor that takes each tick. Returns how many.
fn run(b: &mut Bench<I8254>, by: Tick, step: Tick) -> u64 {
    let end = b.now() + by;
    let mut n = 0;
    while b.now() < end {
        b.advance(step.min(end - b.now()));
        n += take(b);
    }
    n
}

#[test]
fn mode_0_rises_n_plus_1_clocks_after_the_count() {
    let mut b = bench();
    b.out8(0x61, 1);
    set(&mut b, 2, 0, 10);
    assert!(!out2(&mut b));
    to_clk(&mut b, 1);
    assert_eq!(latched(&mut b, 2), 10);
    to_clk(&mut b, 10);
    assert!(!out2(&mut b));
    assert_eq!(latched(&mut b, 2), 1);
    to_clk(&mut b, 11);
    assert!(out2(&mut b));
    to_clk(&mut b, 12);
    assert_eq!(latched(&mut b, 2), 0xffff, "it wraps and counts on");
    to_clk(&mut b, 12 + 0x1_0000);
    assert_eq!(latched(&mut b, 2), 0xffff);
    assert!(out2(&mut b));
    b.out8(0x43, 0xb0);
    assert!(!out2(&mut b), "a new control word drops OUT at once");
}

#[test]
fn the_first_byte_of_a_count_stops_mode_0_and_the_gate_holds_it() {
    let mut b = bench();
    b.out8(0x61, 1);
    set(&mut b, 2, 0, 5);
    to_clk(&mut b, 10);
    assert!(out2(&mut b));
    b.out8(0x42, 8);
    assert!(!out2(&mut b));
    to_clk(&mut b, 20);
    b.out8(0x42, 0);
    to_clk(&mut b, 23);
    b.out8(0x61, 0); // CE is 6
    to_clk(&mut b, 100);
    assert_eq!(latched(&mut b, 2), 6);
    b.out8(0x61, 1);
    to_clk(&mut b, 105);
    assert!(!out2(&mut b));
    to_clk(&mut b, 106);
    assert!(out2(&mut b));
}

#[test]
fn mode_1_is_a_one_shot_that_the_gate_triggers_again() {
    let mut b = bench();
    set(&mut b, 2, 1, 4);
    assert!(out2(&mut b));
    to_clk(&mut b, 10);
    assert!(out2(&mut b), "no trigger, no pulse");
    b.out8(0x61, 1);
    to_clk(&mut b, 11);
    assert!(!out2(&mut b));
    to_clk(&mut b, 14);
    b.out8(0x61, 0);
    b.out8(0x61, 1); // retrigger: loads at 15
    to_clk(&mut b, 18);
    assert!(!out2(&mut b));
    to_clk(&mut b, 19);
    assert!(out2(&mut b));
}

#[test]
fn mode_2_is_low_for_the_last_clock_of_n() {
    let mut b = bench();
    b.out8(0x61, 1);
    set(&mut b, 2, 2, 4);
    let seen: Vec<(u16, bool)> = (1..=9)
        .map(|n| {
            to_clk(&mut b, n);
            (latched(&mut b, 2), out2(&mut b))
        })
        .collect();
    let period = [(4, true), (3, true), (2, true), (1, false)];
    assert_eq!(seen, [&period[..], &period[..], &period[..1]].concat());
}

#[test]
fn a_new_count_in_mode_2_waits_for_the_end_of_the_period() {
    let mut b = bench();
    b.out8(0x61, 1);
    set(&mut b, 2, 2, 10);
    to_clk(&mut b, 3);
    b.out8(0x42, 5);
    b.out8(0x42, 0);
    assert_eq!(status(&mut b, 2) & 0x40, 0x40, "null count: CE has not taken it");
    to_clk(&mut b, 10);
    assert_eq!(latched(&mut b, 2), 1);
    to_clk(&mut b, 11);
    assert_eq!(latched(&mut b, 2), 5);
    assert_eq!(status(&mut b, 2) & 0x40, 0);
    to_clk(&mut b, 16);
    assert_eq!(latched(&mut b, 2), 5);
}

#[test]
fn half_a_new_count_changes_nothing() {
    let mut b = bench();
    b.out8(0x61, 1);
    set(&mut b, 2, 2, 0x0300);
    to_clk(&mut b, 10);
    b.out8(0x42, 0x05);
    to_clk(&mut b, 1 + 0x300);
    assert_eq!(latched(&mut b, 2), 0x300, "the old count again");
    b.out8(0x42, 0x00);
    to_clk(&mut b, 1 + 0x600);
    assert_eq!(latched(&mut b, 2), 5);
}

#[test]
fn gate_low_sets_out_high_in_mode_2_and_high_starts_the_period_again() {
    let mut b = bench();
    b.out8(0x61, 1);
    set(&mut b, 2, 2, 4);
    to_clk(&mut b, 4);
    assert!(!out2(&mut b));
    b.out8(0x61, 0);
    assert!(out2(&mut b));
    to_clk(&mut b, 50);
    assert_eq!(latched(&mut b, 2), 1);
    b.out8(0x61, 1);
    to_clk(&mut b, 51);
    assert_eq!(latched(&mut b, 2), 4);
}

#[test]
fn mode_3_counts_by_two_and_is_a_square_wave() {
    let mut b = bench();
    b.out8(0x61, 1);
    set(&mut b, 2, 3, 6);
    let seen: Vec<(u16, bool)> = (1..=7)
        .map(|n| {
            to_clk(&mut b, n);
            (latched(&mut b, 2), out2(&mut b))
        })
        .collect();
    assert_eq!(seen, [(6, true), (4, true), (2, true), (6, false), (4, false), (2, false), (6, true)]);
}

#[test]
fn an_odd_count_in_mode_3_is_high_one_clock_longer() {
    let mut b = bench();
    b.out8(0x61, 1);
    set(&mut b, 2, 3, 5);
    let seen: Vec<(u16, bool)> = (1..=6)
        .map(|n| {
            to_clk(&mut b, n);
            (latched(&mut b, 2), out2(&mut b))
        })
        .collect();
    assert_eq!(seen, [(4, true), (2, true), (0, true), (4, false), (2, false), (4, true)]);
}

#[test]
fn mode_4_strobes_once_for_one_clock() {
    let mut b = bench();
    b.out8(0x61, 1);
    set(&mut b, 2, 4, 3);
    to_clk(&mut b, 3);
    assert!(out2(&mut b));
    to_clk(&mut b, 4);
    assert!(!out2(&mut b));
    to_clk(&mut b, 5);
    assert!(out2(&mut b));
    assert_eq!(latched(&mut b, 2), 0xffff);
    to_clk(&mut b, 5 + 0x2_0000);
    assert!(out2(&mut b), "never again");
}

#[test]
fn mode_5_strobes_after_a_trigger() {
    let mut b = bench();
    set(&mut b, 2, 5, 3);
    to_clk(&mut b, 20);
    assert!(out2(&mut b));
    b.out8(0x61, 1);
    to_clk(&mut b, 23);
    assert!(out2(&mut b));
    to_clk(&mut b, 24);
    assert!(!out2(&mut b));
    to_clk(&mut b, 25);
    assert!(out2(&mut b));
}

#[test]
fn bcd_counts_in_decimal_and_zero_is_ten_thousand() {
    let mut b = bench();
    b.out8(0x61, 1);
    b.out8(0x43, 0xb1); // channel 2, mode 0, BCD
    b.out8(0x42, 0x00);
    b.out8(0x42, 0x10); // 1000
    to_clk(&mut b, 2);
    assert_eq!(latched(&mut b, 2), 0x0999);
    b.out8(0x43, 0xb1);
    b.out8(0x42, 0);
    b.out8(0x42, 0);
    to_clk(&mut b, 4);
    assert_eq!(latched(&mut b, 2), 0x9999);
    to_clk(&mut b, 3 + 9_999);
    assert!(!out2(&mut b));
    to_clk(&mut b, 3 + 10_000);
    assert!(out2(&mut b));
}

#[test]
fn a_latched_count_holds_until_read_and_a_second_latch_is_ignored() {
    let mut b = bench();
    set(&mut b, 0, 2, 1000);
    to_clk(&mut b, 11);
    b.out8(0x43, 0);
    to_clk(&mut b, 500);
    b.out8(0x43, 0);
    assert_eq!(u16::from(b.in8(0x40)) | u16::from(b.in8(0x40)) << 8, 990);
    assert_eq!(latched(&mut b, 0), 501);
}

#[test]
fn read_back_latches_status_before_count_for_any_set_of_counters() {
    let mut b = bench();
    set(&mut b, 0, 2, 1000);
    b.out8(0x43, 0x56); // channel 1: LSB only, mode 3
    b.out8(0x41, 18);
    to_clk(&mut b, 3);
    b.out8(0x43, 0xc0 | 2 | 4); // status and count of 0 and 1
    to_clk(&mut b, 400);
    assert_eq!(b.in8(0x40), 0xb4, "OUT high, loaded, LSB then MSB, mode 2");
    assert_eq!(b.in8(0x40), 0xe6);
    assert_eq!(b.in8(0x40), 0x03);
    assert_eq!(b.in8(0x41), 0x96);
    assert_eq!(b.in8(0x41), 14);
}

#[test]
fn byte_pairs_without_latch_follow_the_running_count() {
    let mut b = bench();
    b.out8(0x61, 1);
    b.out8(0x43, 0xb0);
    b.out8(0x42, 0xff);
    b.out8(0x42, 0xff);
    let mut last = 0xff;
    for n in 1..50 {
        to_clk(&mut b, n * 600);
        b.in8(0x42);
        let high = b.in8(0x42);
        assert!(high <= last);
        last = high;
    }
    assert!(last < 0x90);
}

#[test]
fn one_byte_counts_leave_the_other_half_zero() {
    let mut b = bench();
    b.out8(0x61, 1);
    set(&mut b, 2, 0, 0xffff);
    b.out8(0x43, 0xa0); // MSB only, mode 0
    b.out8(0x42, 2);
    to_clk(&mut b, 1);
    assert_eq!(b.in8(0x42), 2);
    to_clk(&mut b, 512);
    assert!(!out2(&mut b));
    to_clk(&mut b, 513);
    assert!(out2(&mut b));
}

#[test]
fn port_61_keeps_its_low_bits_and_toggles_refresh_each_18_clocks() {
    let mut b = bench();
    b.out8(0x61, 0xff);
    assert_eq!(b.in8(0x61) & 0xcf, 0x0f);
    set(&mut b, 1, 2, 18);
    let mut last = b.in8(0x61) & 0x10;
    let mut toggles = 0;
    for n in 1..=1000 {
        to_clk(&mut b, n);
        let now = b.in8(0x61) & 0x10;
        toggles += u32::from(now != last);
        last = now;
    }
    assert_eq!(toggles, 1000 / 18);
}

#[test]
fn counter_0_ticks_exactly_over_an_hour() {
    let mut b = bench();
    set(&mut b, 0, 2, 11932);
    take(&mut b); // OUT rose by the control word
    let n = run(&mut b, 3600 * SECOND, 5 * MILLISECOND);
    assert_eq!(n, 3600 * CLK_HZ / 11932);
}

#[test]
fn count_zero_is_18_2_hertz_in_mode_3() {
    let mut b = bench();
    set(&mut b, 0, 3, 0);
    assert_eq!(
        run(&mut b, 10 * SECOND, MILLISECOND),
        10 * CLK_HZ / 65536 + 1,
        "the control word is one edge"
    );
}

#[test]
fn ticks_of_a_busy_host_come_later_one_by_one() {
    let mut b = bench();
    set(&mut b, 0, 2, 11932); // 10 ms
    take(&mut b);
    run(&mut b, 100 * MILLISECOND, MILLISECOND);
    b.stall(205 * MILLISECOND); // twenty ticks pass
    assert_eq!(take(&mut b), 1);
    let burst = run(&mut b, 20 * MILLISECOND, MILLISECOND);
    assert!((6..=10).contains(&burst), "at most a tick each 2.5 ms, and the two of the time itself: {burst}");
    let rest = run(&mut b, 675 * MILLISECOND, MILLISECOND);
    let all = 1 + 10 + 1 + burst + rest; // first edge of the control word included
    let due = b.now() * CLK_HZ / SECOND / 11932;
    assert!(all.abs_diff(due + 1) <= 1, "{all} ticks of {due}");
}

#[test]
fn a_tick_not_taken_in_time_is_not_merged_with_the_next() {
    let mut b = bench();
    set(&mut b, 0, 2, 11932);
    take(&mut b);
    b.advance(35 * MILLISECOND); // interrupts off: three ticks
    let n = run(&mut b, 65 * MILLISECOND, MILLISECOND);
    assert!((9..=10).contains(&n), "{n}");
}

#[test]
fn a_guest_that_masks_irq0_is_owed_nothing() {
    let mut b = bench();
    set(&mut b, 0, 2, 11932);
    for _ in 0..1000 {
        b.advance(10 * MILLISECOND);
    }
    let n = run(&mut b, 100 * MILLISECOND, MILLISECOND);
    assert!(n <= 12, "{n} ticks in 100 ms");
}

#[test]
fn mode_0_gives_one_interrupt_and_stopping_drops_the_line() {
    let mut b = bench();
    set(&mut b, 0, 0, 1000);
    assert_eq!(b.lines.irqs(), 0);
    assert_eq!(run(&mut b, SECOND, MILLISECOND), 1);
    assert_eq!(b.lines.irqs(), 1);
    b.out8(0x43, 0x30);
    assert_eq!(b.lines.irqs(), 0);
    assert_eq!(b.next_timer(), None, "nothing to wait for");
}

#[test]
fn mode_4_one_shots_follow_each_count_written() {
    let mut b = bench();
    b.out8(0x43, 0x38);
    take(&mut b);
    for _ in 0..5 {
        b.out8(0x40, 0xa9);
        b.out8(0x40, 0x04);
        assert_eq!(run(&mut b, 5 * MILLISECOND, 100_000), 1);
    }
}

#[test]
fn the_fastest_rate_does_not_flood_the_machine_with_timers() {
    let mut b = bench();
    set(&mut b, 0, 2, 2);
    let at = b.now();
    b.advance(MILLISECOND);
    assert!(b.next_timer().is_some_and(|t| t >= at + MILLISECOND + 10_000));
}

#[test]
fn the_write_only_port_is_an_open_bus() {
    let mut b = bench();
    assert_eq!(b.in8(0x43), 0xff);
    assert_eq!(b.unknowns(), 1);
}

/// What was heard, each frame with its number, and how often the port rested.
type Heard = (Vec<(u64, i16)>, u32);

#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Heard>>);

impl SoundPort for Ear {
    fn play(&mut self, first: u64, frames: &[[i16; 2]]) {
        let mut heard = self.0.lock().unwrap();
        for (n, f) in (first..).zip(frames) {
            assert!(f[0] == f[1] && heard.0.last().is_none_or(|l| l.0 < n), "each frame once");
            heard.0.push((n, f[0]));
        }
    }

    fn rest(&mut self) {
        self.0.lock().unwrap().1 += 1;
    }
}

impl Ear {
    fn samples(&self) -> Vec<i16> {
        self.0.lock().unwrap().0.iter().map(|f| f.1).collect()
    }

    fn rests(&self) -> u32 {
        self.0.lock().unwrap().1
    }
}

fn heard() -> (Bench<I8254>, Ear) {
    let ear = Ear::default();
    let port: Box<dyn SoundPort> = Box::new(ear.clone());
    let mut port = Some(port);
    (placed(Bench::new(|l| I8254::new(l.connect(Route::Isa(0))).with_speaker(port.take()))), ear)
}

/// Rises through 0, each by so many frames after the one before.
fn rises(x: &[i16]) -> usize {
    x.windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count()
}

/// The amplitude of one frequency.
fn amplitude(x: &[i16], hz: f64) -> f64 {
    let w = hz * std::f64::consts::TAU / SOUND_HZ as f64;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, v) in x.iter().enumerate() {
        re += f64::from(*v) * (w * n as f64).cos();
        im += f64::from(*v) * (w * n as f64).sin();
    }
    2.0 * re.hypot(im) / x.len() as f64
}

#[test]
fn the_speaker_plays_counter_2s_tone_until_port_61h_stops_it() {
    let (mut b, ear) = heard();
    set(&mut b, 2, 3, 1193);
    b.advance(SECOND);
    assert!(ear.samples().is_empty(), "port 61h lets nothing through");
    b.out8(0x61, 3);
    b.advance(SECOND / 2);
    b.out8(0x61, 0);
    b.advance(SECOND / 2);
    let x = ear.samples();
    // A square of 12,000 from top to bottom has 4/pi of half of that at its frequency, and a third of it at the third.
    let tone = &x[4800..19_200];
    assert!((299..=301).contains(&rises(tone)), "{}", rises(tone));
    let (first, third) = (amplitude(tone, 1000.15), amplitude(tone, 3000.45));
    assert!((7400.0..7900.0).contains(&first) && (2400.0..2700.0).contains(&third), "{first} {third}");
    assert_eq!(ear.rests(), 1, "nothing is to be heard any more");
    assert!(x.len() < 30_000 && x[x.len() - 1] == 0, "{}", x.len());
    assert_eq!(b.next_timer(), None, "and nothing to be done");
}

#[test]
fn a_saved_tone_goes_on_without_a_click() {
    let heard_with = |saves: bool| {
        let (mut b, ear) = heard();
        set(&mut b, 2, 3, 1193);
        b.out8(0x61, 3);
        for n in 0..40 {
            // Not in step with the tone.
            b.advance(7_130_417 + n * 1_001);
            b.in8(0x61);
            if saves {
                b.save_and_load();
            }
        }
        ear.samples()
    };
    assert!(heard_with(true) == heard_with(false));
}

#[test]
fn a_tone_of_a_high_pitch_does_not_fold_back() {
    let (mut b, ear) = heard();
    // 9943 Hz: of its harmonics only the first is below half the frame rate; the third would come back at 18,171 Hz.
    set(&mut b, 2, 3, 120);
    b.out8(0x61, 3);
    b.advance(SECOND / 2);
    let x = &ear.samples()[4800..19_200];
    assert!(amplitude(x, 9943.18) > 6000.0);
    assert!(amplitude(x, 48_000.0 - 29_829.55) < 40.0, "{}", amplitude(x, 48_000.0 - 29_829.55));
    // 298 kHz: nothing but its mean, which a speaker does not hold.
    set(&mut b, 2, 3, 4);
    b.advance(SECOND / 2);
    let x = ear.samples();
    let most = x[x.len() - 4800..].iter().map(|v| v.abs()).max();
    assert!(most < Some(60), "{most:?}");
}

#[test]
fn a_program_moves_the_cone_by_itself() {
    let (mut b, ear) = heard();
    set(&mut b, 2, 3, 1000);
    // The gate is closed, OUT2 high: bit 1 alone moves it, 400 times a second.
    for n in 0..400 {
        b.out8(0x61, if n % 2 == 0 { 2 } else { 0 });
        b.advance(SECOND / 800);
    }
    let x = ear.samples();
    let tone = &x[4800..19_200];
    assert!((7200.0..7900.0).contains(&amplitude(tone, 400.0)), "{}", amplitude(tone, 400.0));
}

#[test]
fn samples_by_pulse_width_are_heard_and_their_carrier_is_not() {
    let (mut b, ear) = heard();
    b.out8(0x61, 3);
    // As games did it: mode 0 with a count of up to 64, 18,643 times a second, makes a pulse that long.
    b.out8(0x43, 0x90);
    for n in 0..9_322_u32 {
        let v = (f64::from(n) * 440.0 / 18_643.0 * std::f64::consts::TAU).sin();
        b.out8(0x42, (32.0 + 28.0 * v) as u8);
        to_clk(&mut b, u64::from(n + 1) * 64);
    }
    let x = &ear.samples()[4800..19_200];
    let (tone, carrier) = (amplitude(x, 440.0), amplitude(x, 18_643.0));
    assert!(tone > 4000.0 && carrier < 5200.0, "{tone} {carrier}");
    // The method itself gives three parts in a hundred of the double frequency.
    for other in [880.0, 1320.0, 5000.0, 10_000.0] {
        assert!(amplitude(x, other) < tone / 25.0, "{other}: {}", amplitude(x, other));
    }
}

#[test]
fn a_restored_speaker_does_not_click() {
    let (mut b, ear) = heard();
    set(&mut b, 2, 3, 1000);
    b.out8(0x61, 2);
    b.advance(SECOND);
    let before = ear.samples().len();
    b.save_and_load();
    b.advance(SECOND);
    assert_eq!(ear.samples().len(), before);
    b.out8(0x61, 0);
    b.advance(SECOND / 100);
    assert!(ear.samples().len() > before);
}

#[test]
fn state_survives_in_mid_count() {
    let mut b = bench();
    b.out8(0x61, 1);
    set(&mut b, 2, 2, 1000);
    set(&mut b, 0, 2, 11932);
    to_clk(&mut b, 101);
    b.out8(0x43, 0x80); // latch
    b.out8(0x42, 0x55); // half a count
    b.save_and_load();
    assert_eq!(u16::from(b.in8(0x42)) | u16::from(b.in8(0x42)) << 8, 900);
    b.out8(0x42, 0x00);
    to_clk(&mut b, 1001);
    assert_eq!(latched(&mut b, 2), 0x55);
    take(&mut b);
    assert_eq!(run(&mut b, 100 * MILLISECOND, MILLISECOND), 10);
}
