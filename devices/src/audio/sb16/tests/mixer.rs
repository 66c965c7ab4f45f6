use super::{MS, card, sine8};
use crate::audio::sb16::{MPU, OPL};

#[test]
fn registers_read_back_what_was_written_and_reset_brings_the_defaults() {
    let mut c = card();
    for (index, v) in [(0x30, 0xd8), (0x3a, 0x48), (0x3b, 0x40), (0x3c, 0x1f), (0x41, 0x80), (0x46, 0x70)] {
        c.mixer(index, v);
        assert_eq!(c.mixer_read(index), v, "{index:#x}");
    }
    c.mixer(0x31, 0xff);
    assert_eq!(c.mixer_read(0x31), 0xf8, "five bits");
    c.mixer(0x00, 0x00);
    assert_eq!([0x30, 0x31, 0x3a, 0x3c, 0x46].map(|n| c.mixer_read(n)), [0xf8, 0xf8, 0x00, 0x1f, 0x80]);
}

#[test]
fn registers_of_the_sound_blaster_pro_are_halves_of_pairs() {
    let mut c = card();
    c.mixer(0x22, 0xf0);
    assert_eq!([0x30, 0x31].map(|n| c.mixer_read(n)), [0xf8, 0x08]);
    c.mixer(0x34, 0xa0);
    c.mixer(0x35, 0x50);
    assert_eq!(c.mixer_read(0x26), 0xa5);
    c.mixer(0x0a, 0x05);
    assert_eq!((c.mixer_read(0x0a), c.mixer_read(0x3a)), (0x05, 0xb8));
}

#[test]
fn unknown_registers_are_open_and_counted() {
    let mut c = card();
    assert_eq!(c.mixer_read(0x50), 0xff);
    assert_eq!(c.b.unknowns(), 1);
}

#[test]
fn interrupt_and_dma_set_up_move_the_card() {
    let mut c = card();
    assert_eq!([0x80, 0x81, 0x84].map(|n| c.mixer_read(n)), [0x02, 0x22, 0x00]);
    for (bit, line) in [(0x01, 0), (0x02, 1), (0x04, 2), (0x08, 3)] {
        c.mixer(0x80, bit);
        assert_eq!(c.mixer_read(0x80), bit);
        c.command(&[0xf2]);
        c.b.advance(20_000);
        let levels = c.irqs.map(|l| c.b.level(l));
        assert_eq!(levels, std::array::from_fn(|n| n == line));
        c.b.in8(0x22e);
    }
    for v in [0x21, 0x42, 0x88] {
        c.mixer(0x81, v);
        assert_eq!(c.mixer_read(0x81), v);
    }
    c.mixer(0x84, 0x04);
    assert_eq!((c.b.placed(MPU), c.b.placed(OPL)), (Some(0x300), Some(0x388)));
    c.mixer(0x84, 0x02);
    assert_eq!((c.b.placed(MPU), c.mixer_read(0x84)), (None, 2));
}

/// Peaks left and right of a sine at these volumes.
fn peaks(set: &[(u8, u8)]) -> [i16; 2] {
    let mut c = card();
    for &(index, v) in set {
        c.mixer(index, v);
    }
    c.memory(sine8(22_050.0, 1000.0, 4410));
    c.command(&[0x41, 0x56, 0x22, 0xc0, 0x00, 0x39, 0x11]);
    c.b.advance(250 * MS);
    [0, 1].map(|n| c.ear.tone(n).1)
}

#[test]
fn volumes_apply_in_steps_of_two_decibels() {
    let [full, other] = peaks(&[]);
    assert!((25_000..26_500).contains(&full) && full == other, "{full}: 100/128 of 32767");
    let ratio = |v: i16| f64::from(v) / f64::from(full);
    let near = |a: f64, b: f64| assert!((a - b).abs() < 0.01, "{a} is not {b}");
    // Three steps: 6 dB. One side only.
    let [left, right] = peaks(&[(0x30, 28 << 3)]);
    near(ratio(left), 0.501);
    near(ratio(right), 1.0);
    // The voice's own, and both.
    let [left, right] = peaks(&[(0x33, 26 << 3), (0x31, 26 << 3)]);
    near(ratio(left), 1.0);
    near(ratio(right), 0.1);
    assert_eq!(peaks(&[(0x32, 0), (0x33, 0)]), [0, 0], "off is off");
    // Output gain: 6 dB more, of a tenth of it.
    let [left, _] = peaks(&[(0x30, 21 << 3), (0x41, 0x40)]);
    near(ratio(left), 0.2);
}

#[test]
fn treble_and_bass_turn_their_own_range() {
    let flat = f64::from(peaks(&[])[0]);
    // 1 kHz lies between: little of either.
    let bass = f64::from(peaks(&[(0x46, 0x00)])[0]) / flat;
    let treble = f64::from(peaks(&[(0x44, 0x00)])[0]) / flat;
    assert!((0.7..1.05).contains(&bass) && (0.7..1.05).contains(&treble), "{bass} {treble}");
    let at = |hz: f64, set: &[(u8, u8)]| {
        let mut c = card();
        for &(index, v) in set {
            c.mixer(index, v);
        }
        c.memory(sine8(40_000.0, hz, 8000));
        c.command(&[0x41, 0x9c, 0x40, 0xc0, 0x00, 0x3f, 0x1f]);
        c.b.advance(250 * MS);
        f64::from(c.ear.tone(0).1)
    };
    let cut = |hz, index| at(hz, &[(index, 0x00)]) / at(hz, &[]);
    assert!(cut(50.0, 0x46) < 0.35, "14 dB less bass: {}", cut(50.0, 0x46));
    assert!(cut(10_000.0, 0x44) < 0.5, "14 dB less treble: {}", cut(10_000.0, 0x44));
}
