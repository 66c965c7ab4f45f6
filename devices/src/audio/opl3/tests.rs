use board::{MICROSECOND, Tick};

use super::operator::Stage;
use super::tables::Tables;
use super::*;

const RATE: f64 = 14_318_180.0 / 288.0;

/// Writes a register of the first bank, or from 100h of the second.
fn set(o: &mut Opl3, reg: u16, v: u8) {
    let port = u32::from(reg >> 8) * 2;
    o.write(0, port, reg as u8);
    o.write(0, port + 1, v);
}

fn samples(o: &mut Opl3, n: u64) -> Vec<[i16; 2]> {
    let mut out = Vec::new();
    o.generate(n, &mut out);
    out
}

/// An operator at register offset `at`: a held sine at this total level, at once there and at once gone.
fn sine(o: &mut Opl3, at: u16, level: u8) {
    for (group, v) in [(0x20, 0x21), (0x40, level), (0x60, 0xf0), (0x80, 0x0f), (0xe0, 0)] {
        set(o, group + at, v);
    }
}

/// A note of channel 0: modulator silent, carrier as loud as can be.
fn note() -> Opl3 {
    let mut o = Opl3::new();
    sine(&mut o, 0x00, 0x3f);
    sine(&mut o, 0x03, 0x00);
    o
}

fn key(o: &mut Opl3, channel: u16, fnum: u16, block: u8, on: bool) {
    set(o, 0xa0 + channel, fnum as u8);
    set(o, 0xb0 + channel, (fnum >> 8) as u8 | block << 2 | u8::from(on) << 5);
}

/// Frequency by rises through 0.
fn pitch(x: &[[i16; 2]]) -> f64 {
    let rises: Vec<usize> = (1..x.len()).filter(|&n| x[n - 1][0] < 0 && x[n][0] >= 0).collect();
    (rises.len() - 1) as f64 / (rises[rises.len() - 1] - rises[0]) as f64 * RATE
}

fn peak(x: &[[i16; 2]], side: usize) -> i16 {
    x.iter().map(|f| f[side].saturating_abs()).max().unwrap_or(0)
}

#[test]
fn a_note_has_the_frequency_of_its_number_and_block() {
    for (fnum, block) in [(0x244, 4), (0x16b, 3), (0x3ff, 0), (0x200, 7)] {
        let mut o = note();
        key(&mut o, 0, fnum, block, true);
        let want = f64::from(fnum) * RATE / f64::from(1_u32 << (20 - block));
        let got = pitch(&samples(&mut o, 50_000));
        assert!((got / want - 1.0).abs() < 0.002, "{fnum:x}/{block}: {got} is not {want}");
    }
}

#[test]
fn multiples_are_those_of_the_manual() {
    let factors = [0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 10.0, 12.0, 12.0, 15.0, 15.0];
    for (n, factor) in factors.into_iter().enumerate() {
        let mut o = note();
        set(&mut o, 0x23, 0x20 | n as u8);
        key(&mut o, 0, 0x100, 4, true);
        let want = 256.0 * RATE / 65_536.0 * factor;
        let got = pitch(&samples(&mut o, 50_000));
        assert!((got / want - 1.0).abs() < 0.005, "{n}: {got} is not {want}");
    }
}

/// The eight waveforms as the manual draws them.
fn drawn(form: u8, turn: f64) -> f64 {
    let s = (turn * std::f64::consts::TAU).sin();
    let double = (turn * 2.0 * std::f64::consts::TAU).sin();
    let first = turn < 0.5;
    match form {
        0 => s,
        1 => s.max(0.0),
        2 => s.abs(),
        3 if turn % 0.5 < 0.25 => s.abs(),
        4 if first => double,
        5 if first => double.abs(),
        6 => {
            if first {
                1.0
            } else {
                -1.0
            }
        }
        // Falls by half each sixteenth of a turn; the second half is the first one from its end, negative.
        7 if first => 0.5_f64.powf(turn * 32.0),
        7 => -(0.5_f64.powf((1.0 - turn) * 32.0)),
        _ => 0.0,
    }
}

#[test]
fn all_eight_waveforms_are_as_drawn() {
    let t = Tables::new();
    for form in 0..8 {
        for phase in 0..1024 {
            let got = t.output(form, phase, 0);
            let want = drawn(form, (f64::from(phase) + 0.5) / 1024.0) * 4084.0;
            assert!((f64::from(got) - want).abs() < 60.0, "{form} at {phase}: {got} is not {want}");
        }
    }
    assert_eq!(t.output(0, 255, 0), 4084);
    assert_eq!(t.output(0, 256 + 512, 0), -4085, "one's complement");
    assert_eq!(t.output(0, 255, 511), 0);
}

#[test]
fn the_first_mode_has_four_waveforms_and_both_outputs() {
    let mut o = note();
    set(&mut o, 0xe3, 6);
    set(&mut o, 0xc0, 0x00);
    key(&mut o, 0, 0x244, 4, true);
    // Form 6 without its upper bit is form 2: no negative half.
    let x = samples(&mut o, 1000);
    assert!(x.iter().all(|f| f[0] >= -1 && f[0] == f[1]) && peak(&x, 0) > 4000);
    set(&mut o, 0x105, 1);
    assert!(samples(&mut o, 1000).iter().all(|f| *f == [0, 0]), "now C0h switches the outputs");
    set(&mut o, 0xc0, 0x10);
    let x = samples(&mut o, 1000);
    assert!(peak(&x, 0) > 4000 && peak(&x, 1) == 0);
    assert!(x.iter().any(|f| f[0] < -4000), "and form 6 is a square");
    set(&mut o, 0xc0, 0x20);
    let x = samples(&mut o, 1000);
    assert!(peak(&x, 0) == 0 && peak(&x, 1) > 4000);
}

#[test]
fn the_second_bank_is_there_in_the_new_mode_only() {
    let mut o = note();
    for at in [0x100, 0x103] {
        sine(&mut o, at, 0);
    }
    assert_eq!(o.ops[18].character, 0);
    assert_eq!(o.ops[0].character, 0x21, "what was meant for the second bank went to the first");
    set(&mut o, 0x105, 1);
    sine(&mut o, 0x103, 0);
    set(&mut o, 0x1c0, 0x30);
    key(&mut o, 0x100, 0x244, 4, true);
    assert!(peak(&samples(&mut o, 1000), 0) > 4000);
}

#[test]
fn total_level_is_in_steps_of_three_quarters_of_a_decibel() {
    let level = |tl: u8| {
        let mut o = note();
        set(&mut o, 0x43, tl);
        key(&mut o, 0, 0x244, 4, true);
        f64::from(peak(&samples(&mut o, 2000), 0))
    };
    let full = level(0);
    for tl in [1, 8, 16, 32] {
        let db = 20.0 * (level(tl) / full).log10();
        assert!((db + 0.75 * f64::from(tl)).abs() < 0.15, "{tl}: {db}");
    }
}

#[test]
fn key_scaling_takes_decibels_an_octave() {
    // At the highest number, each octave takes 6, 3 or 1.5 dB.
    let level = |ksl: u8, block: u8| {
        let mut o = note();
        set(&mut o, 0x43, ksl << 6);
        key(&mut o, 0, 0x3c0, block, true);
        f64::from(peak(&samples(&mut o, 4000), 0))
    };
    for (ksl, step) in [(0, 0.0), (1, 3.0), (2, 1.5), (3, 6.0)] {
        let db = 20.0 * (level(ksl, 4) / level(ksl, 5)).log10();
        assert!((db - step).abs() < 0.2, "{ksl}: {db}");
    }
}

/// Samples until `done`.
fn until(o: &mut Opl3, mut done: impl FnMut(&Opl3) -> bool) -> f64 {
    let mut n = 0;
    while !done(o) {
        samples(o, 1);
        n += 1;
        assert!(n < 5_000_000);
    }
    f64::from(n) / RATE
}

#[test]
fn envelopes_take_the_times_of_the_manual() {
    // Rates without key scaling, in ms: attack 0 to 100 %, decay and release 0 to 100 %, at 4 times the register's value.
    for (value, attack, decay) in [(8_u8, 22.0, 307.0), (10, 5.6, 76.7), (12, 1.4, 19.2), (13, 0.7, 9.6)] {
        let mut o = note();
        set(&mut o, 0x63, value << 4 | value);
        set(&mut o, 0x83, 0xff);
        key(&mut o, 0, 0x100, 0, true);
        let a = until(&mut o, |o| o.ops[3].stage != Stage::Attack) * 1000.0;
        // To the sustain level, 93 dB below.
        let d = until(&mut o, |o| o.ops[3].stage == Stage::Sustain) * 1000.0;
        assert!((a / attack - 1.0).abs() < 0.35, "{value}: attack {a} ms is not {attack}");
        assert!((d / decay - 1.0).abs() < 0.12, "{value}: decay {d} ms is not {decay}");
    }
    // Each four of the rate halve the time; attack at rate 15 takes none, at 0 it never comes.
    let mut o = note();
    key(&mut o, 0, 0x100, 0, true);
    assert!(until(&mut o, |o| o.ops[3].stage != Stage::Attack) < 0.0001);
    set(&mut o, 0x60, 0);
    set(&mut o, 0x63, 0);
    key(&mut o, 0, 0x100, 0, false);
    samples(&mut o, 1000);
    assert!(o.is_silent());
    key(&mut o, 0, 0x100, 0, true);
    assert!(peak(&samples(&mut o, 10_000), 0) == 0 && o.is_silent());
}

#[test]
fn sustain_holds_only_with_egt() {
    for (character, stays) in [(0x21, true), (0x01, false)] {
        let mut o = note();
        set(&mut o, 0x23, character);
        // Decay at once to -6 dB, release slowly.
        set(&mut o, 0x63, 0xff);
        set(&mut o, 0x83, 0x28);
        key(&mut o, 0, 0x244, 4, true);
        samples(&mut o, 1000);
        assert!((1950..2150).contains(&peak(&samples(&mut o, 500), 0)) || !stays);
        samples(&mut o, 30_000);
        assert_eq!(peak(&samples(&mut o, 1000), 0) > 1900, stays);
    }
}

#[test]
fn a_released_note_dies_and_the_chip_is_silent() {
    let mut o = note();
    key(&mut o, 0, 0x244, 4, true);
    samples(&mut o, 500);
    assert!(!o.is_silent());
    key(&mut o, 0, 0x244, 4, false);
    samples(&mut o, 500);
    assert!(o.is_silent());
}

#[test]
fn modulation_feedback_and_addition_are_what_c0_says() {
    // Spectrum at the carrier's multiples, by correlation.
    let spectrum = |c0: u8, level: u8| {
        let mut o = note();
        set(&mut o, 0x40, level);
        set(&mut o, 0xc0, c0);
        key(&mut o, 0, 0x244, 4, true);
        let x = samples(&mut o, 49_716);
        let hz = f64::from(0x244) * RATE / 65_536.0;
        [1.0, 2.0, 3.0].map(|n| {
            let (mut re, mut im) = (0.0, 0.0);
            for (k, f) in x.iter().enumerate() {
                let a = k as f64 * hz * n / RATE * std::f64::consts::TAU;
                re += f64::from(f[0]) * a.cos();
                im += f64::from(f[0]) * a.sin();
            }
            (re * re + im * im).sqrt() * 2.0 / x.len() as f64
        })
    };
    let plain = spectrum(0x00, 0x3f);
    assert!(plain[0] > 4000.0 && plain[1] < 250.0, "{plain:?}");
    let modulated = spectrum(0x00, 0x10);
    assert!(modulated[1] > 400.0, "harmonics: {modulated:?}");
    let added = spectrum(0x01, 0x00);
    assert!((added[0] / plain[0] - 2.0).abs() < 0.02 && added[1] < 40.0, "{added:?}");
    let fed_back = spectrum(0x09, 0x00);
    assert!(fed_back[1] > 300.0 && fed_back[2] > 100.0, "a sawtooth's: {fed_back:?}");
}

#[test]
fn four_operator_channels_connect_in_four_ways() {
    // Carriers by (connection of the first half, of the second): operators that are heard.
    for (links, heard) in [
        ((0, 0), [false, false, false, true]),
        ((0, 1), [false, true, false, true]),
        ((1, 0), [true, false, false, true]),
        ((1, 1), [true, false, true, true]),
    ] {
        for (n, want) in heard.into_iter().enumerate() {
            let mut o = Opl3::new();
            set(&mut o, 0x105, 1);
            set(&mut o, 0x104, 1);
            for (k, at) in [0x00, 0x03, 0x08, 0x0b].into_iter().enumerate() {
                sine(&mut o, at, if k == n { 0 } else { 0x3f });
            }
            set(&mut o, 0xc0, 0x30 | links.0);
            set(&mut o, 0xc3, 0x30 | links.1);
            // The first half's pitch and key alone.
            key(&mut o, 3, 0x3ff, 7, true);
            key(&mut o, 0, 0x244, 4, true);
            let x = samples(&mut o, 20_000);
            assert_eq!(peak(&x, 0) > 3000, want, "{links:?} operator {n}: {}", peak(&x, 0));
            if want {
                let hz = f64::from(0x244) * RATE / 65_536.0;
                assert!((pitch(&x) / hz - 1.0).abs() < 0.01);
            }
        }
    }
}

#[test]
fn percussion_sounds_by_its_own_keys() {
    for (bit, ops) in [
        (0x10, [0x10, 0x13]),
        (0x08, [0x14, 0x14]),
        (0x04, [0x12, 0x12]),
        (0x02, [0x15, 0x15]),
        (0x01, [0x11, 0x11]),
    ] {
        let mut o = Opl3::new();
        for at in ops {
            sine(&mut o, at, 0);
        }
        for channel in 6..9 {
            key(&mut o, channel, 0x200, 2, false);
        }
        set(&mut o, 0xbd, bit);
        assert_eq!(peak(&samples(&mut o, 1000), 0), 0, "not without rhythm mode");
        set(&mut o, 0xbd, 0x20 | bit);
        let p = peak(&samples(&mut o, 5000), 0);
        assert!((5500..8300).contains(&p), "{bit:x}: {p}: twice a note");
        set(&mut o, 0xbd, 0x20);
        samples(&mut o, 1000);
        assert!(o.is_silent(), "{bit:x}");
    }
}

#[test]
fn tremolo_and_vibrato_have_their_speed_and_depth() {
    let mut o = note();
    set(&mut o, 0x23, 0xa1);
    set(&mut o, 0xbd, 0x80);
    key(&mut o, 0, 0x3ff, 5, true);
    let x = samples(&mut o, 49_716);
    let windows: Vec<f64> = x.chunks(100).map(|w| f64::from(peak(w, 0))).collect();
    let (low, high) = windows.iter().fold((f64::MAX, 0.0_f64), |(l, h), w| (l.min(*w), h.max(*w)));
    let db = 20.0 * (high / low).log10();
    assert!((db - 4.8).abs() < 0.4, "{db}");
    let middle = (low + high) / 2.0;
    let rises = (1..windows.len()).filter(|&n| windows[n - 1] < middle && windows[n] >= middle).count();
    assert!((3..=4).contains(&rises), "3.7 Hz: {rises}");

    let mut o = note();
    set(&mut o, 0x23, 0x61);
    set(&mut o, 0xbd, 0x40);
    key(&mut o, 0, 0x380, 5, true);
    let x = samples(&mut o, 8192 * 4);
    let by_eighth: Vec<f64> = x.chunks(1024).map(pitch).collect();
    let (low, high) = by_eighth.iter().fold((f64::MAX, 0.0_f64), |(l, h), w| (l.min(*w), h.max(*w)));
    let cents = 1200.0 * (high / low).log2();
    assert!((cents - 28.0).abs() < 6.0, "14 cents either way: {cents}");
}

#[test]
fn timers_run_over_in_guest_time() {
    const AT: Tick = 5_000_000;
    let mut o = Opl3::new();
    let mut put = |at, reg, v| {
        o.write(at, 0, reg);
        o.write(at, 1, v);
    };
    put(AT, 2, 0xf0);
    put(AT, 3, 0xfe);
    put(AT, 4, 0x03);
    assert_eq!(o.read(AT + 639 * MICROSECOND, 0), 0x00);
    assert_eq!(o.read(AT + 640 * MICROSECOND, 0), 0xa0, "timer 2: two steps of 320 us");
    assert_eq!(o.read(AT + 1280 * MICROSECOND, 0), 0xe0, "timer 1: sixteen of 80 us");
    o.write(AT + 1300 * MICROSECOND, 0, 4);
    o.write(AT + 1300 * MICROSECOND, 1, 0x80);
    assert_eq!(o.read(AT + 1300 * MICROSECOND, 0), 0x00);
    // They go on; masked ones leave no flag.
    assert_eq!(o.read(AT + 1930 * MICROSECOND, 0), 0xa0);
    o.write(AT + 1930 * MICROSECOND, 1, 0x80);
    o.write(AT + 1930 * MICROSECOND, 1, 0x63);
    assert_eq!(o.read(AT + 99_999 * MICROSECOND, 0), 0x00);
}
