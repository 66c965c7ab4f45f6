//! Playing and recording: how long, how high, how many interrupts.

use board::SECOND;

use super::{MS, card, sine8};

/// Little-endian 16-bit samples.
fn words(samples: impl Iterator<Item = i16>) -> Vec<u8> {
    samples.flat_map(i16::to_le_bytes).collect()
}

#[test]
fn a_single_block_takes_its_time_and_interrupts_once() {
    // By a time constant and by a rate, old and new commands.
    for (set, start) in [
        (vec![0x40, 131], vec![0x14, 0x1f, 0x03]),
        (vec![0x41, 0x1f, 0x40], vec![0xc0, 0x00, 0x1f, 0x03]),
        (vec![0x40, 131, 0x48, 0x1f, 0x03], vec![0x91]),
    ] {
        let mut c = card();
        c.memory(vec![0x80; 1000]);
        c.command(&set);
        c.command(&start);
        // 800 samples at 8000 Hz.
        assert_eq!(c.until_irq(SECOND), 100 * MS, "{start:02x?}");
        assert_eq!(c.b.dma.left, 200);
        c.b.in8(0x22e);
        assert!(!c.irq5());
        c.b.advance(SECOND);
        assert!(!c.irq5(), "no second one");
        assert_eq!(c.dma_left(), 200);
    }
}

#[test]
fn auto_initialise_interrupts_at_each_block_until_it_is_ended() {
    let mut c = card();
    c.memory(vec![0; 1 << 20]);
    c.command(&[0x41, 0xac, 0x44]);
    // Signed 16-bit stereo, blocks of 4410 samples: 2205 frames, 50 ms.
    c.command(&[0xb6, 0x30, 0x39, 0x11]);
    let mut at = c.b.now();
    let begin = at;
    for n in 1..=5 {
        c.until_irq(SECOND);
        at = c.b.now();
        assert_eq!(c.mixer_read(0x82) & 3, 2);
        c.b.in8(0x22f);
        let late = (at - begin) as i64 - n * 50 * MS as i64;
        assert!((0..=n).contains(&late), "block {n} is {late} ns late");
    }
    c.command(&[0xd9]);
    let left = c.dma_left();
    assert_eq!(c.until_irq(SECOND).next_multiple_of(MS), 50 * MS);
    c.b.in8(0x22f);
    c.b.advance(SECOND);
    assert!(!c.irq5());
    assert_eq!(left - c.dma_left(), 8820, "the block that ran was played to its end");
}

#[test]
fn continuing_takes_the_end_of_auto_initialise_back() {
    let mut c = card();
    c.memory(vec![0x80; 10_000]);
    c.command(&[0x40, 131, 0x48, 0x1f, 0x03, 0x1c]);
    c.command(&[0xda, 0x45]);
    for _ in 0..3 {
        assert!(c.until_irq(SECOND) <= 100 * MS);
        c.b.in8(0x22e);
    }
}

#[test]
fn whoever_looks_sees_the_count_of_now() {
    let mut c = card();
    c.memory(vec![0x80; 10_000]);
    c.command(&[0x41, 0x1f, 0x40, 0xc6, 0x00, 0xff, 0x0f]);
    let begin = c.dma_left();
    for n in 1..=40 {
        c.b.advance(125_000);
        assert_eq!(begin - c.dma_left(), n, "a byte each 125 us");
    }
}

#[test]
fn pause_stops_the_clock_and_continue_goes_on_in_the_same_block() {
    for (start, pause, go) in [([0xc0, 0x00], 0xd0, 0xd4), ([0xb0, 0x10], 0xd5, 0xd6)] {
        let mut c = card();
        c.memory(vec![0x80; 4000]);
        c.command(&[0x41, 0x1f, 0x40]);
        c.command(&start);
        c.command(&[0x1f, 0x03]);
        let begin = c.b.now();
        c.b.advance(30 * MS);
        c.command(&[pause]);
        let left = c.dma_left();
        c.b.advance(500 * MS);
        assert_eq!((c.dma_left(), c.irq5()), (left, false));
        c.command(&[go]);
        c.until_irq(SECOND);
        let took = c.b.now() - begin;
        assert!(took.abs_diff(600 * MS) < MS, "{took}");
    }
}

#[test]
fn a_masked_channel_stalls_without_an_interrupt() {
    let mut c = card();
    c.memory(vec![0x80; 1000]);
    c.command(&[0x41, 0x1f, 0x40, 0xc0, 0x00, 0x1f, 0x03]);
    c.b.advance(50 * MS);
    c.dma_left();
    c.b.dma.masked = true;
    c.b.advance(SECOND);
    assert!(!c.irq5());
    c.dma_left();
    c.b.dma.masked = false;
    c.dma_left();
    // The other half, less the eight samples that the card took at once.
    assert_eq!(c.until_irq(SECOND), 49 * MS);
}

#[test]
fn a_channel_that_is_masked_for_a_moment_is_not_heard() {
    let mut c = card();
    let sine = |n: usize| ((n as f64 * 1000.0 / 44_100.0 * std::f64::consts::TAU).sin() * 16_000.0) as i16;
    c.memory(words((0..44_100).map(sine)));
    c.command(&[0x41, 0xac, 0x44, 0xb6, 0x10, 0xff, 0x03]);
    // As a driver that reads the count does, every now and then; on a busy host, which stops the guest anywhere.
    for n in 0..400 {
        c.b.advance(997_000 + n * 1000);
        c.dma_left();
        c.b.dma.masked = true;
        c.b.advance(if n % 40 == 7 { n * 40_000 } else { 30_000 });
        c.dma_left();
        c.b.dma.masked = false;
        c.dma_left();
    }
    let x: Vec<f64> = c.ear.frames().iter().map(|f| f64::from(f[0])).collect();
    let turn = 2.0 * (1000.0 / 48_000.0 * std::f64::consts::TAU).cos();
    let worst = (4000..x.len() - 2000).map(|n| (x[n] - turn * x[n - 1] + x[n - 2]).abs()).fold(0.0, f64::max);
    assert!(worst < 12.0, "a pure sine is the sum of what was before: off by {worst}");
}

#[test]
fn sixteen_bits_go_over_the_low_channel_when_there_is_no_high_one() {
    let mut c = card();
    c.mixer(0x81, 0x02);
    c.memory(vec![0; 100]);
    c.command(&[0x41, 0x1f, 0x40, 0xb0, 0x10, 0x0f, 0x00]);
    c.until_irq(SECOND);
    assert_eq!(c.b.dma.left, 68, "two bytes a sample");
}

#[test]
fn a_tone_has_its_pitch_and_length_at_every_rate() {
    for rate in [4000_u16, 8000, 11_025, 22_050, 32_000, 44_100] {
        let mut c = card();
        let n = usize::from(rate);
        c.memory(sine8(f64::from(rate), 440.0, n));
        let [hi, lo] = rate.to_be_bytes();
        let [cl, ch] = (rate - 1).to_le_bytes();
        c.command(&[0x41, hi, lo, 0xc0, 0x00, cl, ch]);
        assert!(c.until_irq(2 * SECOND).abs_diff(SECOND) < 2);
        c.b.advance(100 * MS);
        let (hz, peak) = c.ear.tone(0);
        assert!((hz - 440.0).abs() < 0.5, "{hz} at {rate}");
        assert!((24_500..27_000).contains(&peak), "{peak} at {rate}");
        let frames = c.ear.frames();
        let last = frames.iter().rposition(|f| f[0].saturating_abs() > 500).expect("sound");
        assert!(last.abs_diff(48_000) < 480, "{last} at {rate}");
        assert_eq!(c.ear.rests(), 1, "it says when nothing follows");
    }
}

#[test]
fn a_time_constant_counts_the_bytes_of_both_channels() {
    let mut c = card();
    c.memory(vec![0x80; 4000]);
    // 22.7 us a byte as near as it gets: 23 us; two of them a frame.
    c.command(&[0x40, 233, 0xc0, 0x20, 0xe7, 0x03]);
    assert_eq!(c.until_irq(SECOND), 500 * 2 * 23_000);
}

#[test]
fn left_and_right_are_the_samples_in_their_order() {
    let mut c = card();
    let at = |n: usize, hz: f64| ((n as f64 * hz / 44_100.0 * std::f64::consts::TAU).sin() * 16_000.0) as i16;
    c.memory(words((0..44_100).map(|n| at(n / 2, [500.0, 1500.0][n % 2]))));
    c.command(&[0x41, 0xac, 0x44, 0xb0, 0x30, 0x43, 0xac]);
    c.b.advance(600 * MS);
    let (left, right) = (c.ear.tone(0), c.ear.tone(1));
    assert!((left.0 - 500.0).abs() < 1.0 && (right.0 - 1500.0).abs() < 1.0, "{left:?} {right:?}");
    assert!((15_500..16_500).contains(&left.1) && (15_500..16_500).contains(&right.1), "{left:?} {right:?}");
}

#[test]
fn unsigned_words_and_signed_bytes_are_what_they_say() {
    let mut c = card();
    let at = |n: usize| ((n as f64 / 20.0 * std::f64::consts::TAU).sin() * 12_800.0) as i16;
    c.memory(words((0..4000).map(|n| at(n) ^ i16::MIN)));
    c.command(&[0x41, 0x4e, 0x20, 0xb0, 0x00, 0x9f, 0x0f]);
    c.b.advance(300 * MS);
    let unsigned = c.ear.tone(0);
    let mut c = card();
    c.memory((0..4000).map(|n| (at(n) >> 8) as u8).collect());
    c.command(&[0x41, 0x4e, 0x20, 0xc0, 0x10, 0x9f, 0x0f]);
    c.b.advance(300 * MS);
    for (hz, peak) in [unsigned, c.ear.tone(0)] {
        assert!((hz - 1000.0).abs() < 1.0 && (12_000..14_000).contains(&peak), "{hz} {peak}");
    }
}

#[test]
fn recording_gives_silence() {
    let mut c = card();
    c.b.dma.left = 100;
    c.command(&[0x42, 0x1f, 0x40, 0xc8, 0x00, 0x07, 0x00]);
    assert_eq!(c.until_irq(SECOND), MS);
    assert_eq!(c.b.dma.taken, [0x80; 8]);
    c.b.in8(0x22e);
    c.b.dma.taken.clear();
    c.command(&[0xb8, 0x10, 0x03, 0x00]);
    c.until_irq(SECOND);
    assert_eq!((c.b.dma.taken.clone(), c.ear.frames().len()), (vec![0; 8], 0));
}

#[test]
fn a_block_of_silence_is_time_without_data() {
    let mut c = card();
    c.memory(vec![1; 10]);
    c.command(&[0x40, 156, 0x80, 0x0f, 0x27]);
    assert_eq!(c.until_irq(2 * SECOND), SECOND);
    assert_eq!(c.b.dma.left, 10);
}

#[test]
fn adpcm_decodes_by_its_steps() {
    use crate::audio::sb16::adpcm::{Adpcm, Packing};
    let decode = |packing, reference, bytes: &[u8]| {
        let mut a = Adpcm::new(packing, reference);
        let mut out = Vec::new();
        for &b in bytes {
            a.feed(b);
            while !a.is_empty() {
                out.push(a.next());
            }
        }
        out
    };
    // From 80h: +7 (then steps of 2), +7*2+1, -(7*4+2), 0 of 4 halves the step.
    assert_eq!(decode(Packing::Four, true, &[0x80, 0x77, 0xf0]), [0x87, 0x96, 0x78, 0x7c]);
    assert_eq!(decode(Packing::Two, true, &[0x40, 0b0101_1100]), [0x41, 0x44, 0x3e, 0x42]);
    // Codes of 3, 3 and 2 bits: +3, -(3*2+1), +(1*4+2).
    assert_eq!(decode(Packing::TwoSix, true, &[0x80, 0b0111_1101]), [0x83, 0x7c, 0x82]);
    assert_eq!(decode(Packing::Four, false, &[0x00]), [0x80, 0x80], "without a reference from the middle");
}

#[test]
fn adpcm_blocks_count_bytes_and_take_the_time_of_their_samples() {
    for (command, samples) in [(0x75, 2), (0x77, 3), (0x17, 4)] {
        let mut c = card();
        c.memory(vec![0x80; 200]);
        // A reference and 100 bytes at 8000 samples a second.
        c.command(&[0x40, 131, command, 100, 0]);
        assert_eq!(c.until_irq(SECOND), 100 * samples * 125_000, "{command:02x}");
        assert_eq!(c.b.dma.left, 99);
    }
    let mut c = card();
    c.memory(vec![0x80; 1000]);
    c.command(&[0x40, 131, 0x48, 99, 0, 0x7d]);
    for blocks in [198, 200, 200] {
        assert_eq!(c.until_irq(SECOND), blocks * 125_000);
        c.b.in8(0x22e);
    }
}

#[test]
fn direct_output_is_heard_as_long_as_it_comes() {
    let mut c = card();
    for n in 0..800 {
        c.command(&[0x10, if n / 5 % 2 == 0 { 0xc0 } else { 0x40 }]);
        let t = (n + 1) * 100_000;
        c.b.advance(t - c.b.now());
    }
    let (hz, peak) = c.ear.tone(0);
    assert!((hz - 1000.0).abs() < 5.0 && peak == 0x4000, "{hz} {peak}");
    c.b.advance(SECOND);
    assert_eq!(
        (c.ear.frames().last(), c.ear.rests()),
        (Some(&[0, 0]), 1),
        "the level does not stay for ever"
    );
    assert_eq!(c.b.next_timer(), None, "and then the card sleeps");
}

#[test]
fn a_note_of_the_synthesizer_is_heard_through_the_mixer() {
    let mut c = card();
    let mut write = |reg: u8, v: u8| {
        c.b.out8(0x388, reg);
        c.b.out8(0x389, v);
    };
    // Modulator silent; carrier at full level, held.
    for (reg, v) in [(0x20, 0x21), (0x40, 0x3f), (0x60, 0xf0), (0x80, 0x0f)] {
        write(reg, v);
    }
    for (reg, v) in [(0x23, 0x21), (0x43, 0x00), (0x63, 0xf0), (0x83, 0x0f)] {
        write(reg, v);
    }
    write(0xa0, 0x44);
    write(0xb0, 0x32);
    c.b.advance(SECOND);
    // F-number 244h in block 4.
    let want = f64::from(0x244) * 49_716.0 / f64::from(1 << 16);
    let (hz, peak) = c.ear.tone(0);
    assert!((hz - want).abs() < 0.2 && (4000..4150).contains(&peak), "{hz} is not {want}; {peak}");
    c.b.out8(0x388, 0xb0);
    c.b.out8(0x389, 0x12);
    c.b.advance(SECOND);
    assert_eq!((c.ear.rests(), c.b.next_timer()), (1, None));
}

#[test]
fn a_saved_card_goes_on_in_the_middle_of_a_block() {
    for start in [
        vec![0x41, 0x1f, 0x40, 0xc6, 0x00, 0x1f, 0x03],
        vec![0x40, 131, 0x7d],
        vec![0x40, 131, 0x80, 0x1f, 3],
    ] {
        let mut c = card();
        c.memory(vec![0x80; 10_000]);
        c.command(&[0x48, 0x8f, 0x01]);
        c.mixer(0x30, 0x48);
        c.command(&start);
        c.b.advance(43 * MS);
        let left = c.dma_left();
        c.b.save_and_load();
        assert_eq!(c.dma_left(), left);
        let rest = c.until_irq(SECOND);
        assert!(rest.abs_diff(57 * MS) < 300_000, "{start:02x?}: {rest}");
        assert_eq!(c.mixer_read(0x30), 0x48);
    }
}

/// Frame for frame, through samples, their filters and the synthesizer's.
#[test]
fn what_is_heard_of_a_saved_card_has_no_gap() {
    let heard_with = |saves: bool| {
        let mut c = card();
        c.memory(sine8(22_050.0, 440.0, 30_000));
        c.mixer(0x46, 0x40);
        c.command(&[0x41, 0x56, 0x22, 0x48, 0xff, 0x0f, 0x90]);
        for (reg, v) in [
            (0x20, 0x21),
            (0x40, 0x10),
            (0x60, 0xf0),
            (0x80, 0x77),
            (0xa0, 0x98),
            (0x23, 0x21),
            (0x63, 0xf0),
            (0xb0, 0x31),
        ] {
            c.b.out8(0x388, reg);
            c.b.out8(0x389, v);
        }
        for n in 0..25 {
            c.b.advance(3_970_001 + n * 997);
            if saves {
                c.b.save_and_load();
            } else {
                c.b.call(board::Device::catch_up);
            }
        }
        c.ear.frames()
    };
    let (got, want) = (heard_with(true), heard_with(false));
    assert!(want.iter().filter(|f| f[0].abs() > 1000).count() > 2000, "it is loud");
    let differs = got.iter().zip(&want).position(|(a, b)| a != b);
    assert!(differs.is_none() && got.len() == want.len(), "frame {differs:?} of {}", want.len());
}
