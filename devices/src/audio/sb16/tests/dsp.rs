//! What drivers ask the DSP before they play.

use board::{Device, Reset};

use super::{Card, MS, card};

fn midi_bytes(c: &Card) -> u64 {
    c.b.dev.metrics().iter().find(|(n, _)| *n == "midi_bytes").map_or(0, |m| m.1)
}

#[test]
fn a_reset_answers_aah_within_a_hundred_microseconds() {
    let mut c = card();
    c.b.out8(0x226, 1);
    c.b.advance(3000);
    c.b.out8(0x226, 0);
    assert_eq!(c.b.in8(0x22e) & 0x80, 0, "not at once");
    c.b.advance(100_000);
    assert_eq!(c.b.in8(0x22e) & 0x80, 0x80);
    assert_eq!(c.b.in8(0x22a), 0xaa);
    assert_eq!(c.b.in8(0x22e) & 0x80, 0, "one byte only");
    assert_eq!(c.b.in8(0x22a), 0xaa, "an empty port repeats the last byte");
}

#[test]
fn a_reset_needs_the_one_before_the_zero() {
    let mut c = card();
    c.b.out8(0x226, 0);
    c.b.advance(MS);
    assert_eq!(c.b.in8(0x22e) & 0x80, 0);
}

#[test]
fn it_is_a_sound_blaster_16() {
    let mut c = card();
    c.reset();
    c.command(&[0xe1]);
    assert_eq!([c.b.in8(0x22a), c.b.in8(0x22a)], [4, 5]);
    c.command(&[0xe3]);
    let text: Vec<u8> = std::iter::from_fn(|| Some(c.b.in8(0x22a)).filter(|b| *b != 0)).collect();
    assert_eq!(text, b"COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.");
}

#[test]
fn the_write_port_is_busy_for_a_moment_after_each_byte() {
    let mut c = card();
    c.b.out8(0x22c, 0xd1);
    assert_eq!(c.b.in8(0x22c), 0xff);
    c.b.advance(1000);
    assert_eq!(c.b.in8(0x22c), 0x7f);
}

#[test]
fn tests_of_the_wires_come_back() {
    let mut c = card();
    c.reset();
    c.command(&[0xe0, 0x5a]);
    assert_eq!(c.b.in8(0x22a), 0xa5);
    c.command(&[0xe4, 0x37, 0xe8]);
    assert_eq!(c.b.in8(0x22a), 0x37);
    c.command(&[0xd1, 0xd8]);
    assert_eq!(c.b.in8(0x22a), 0xff);
    c.command(&[0xd3, 0xd8]);
    assert_eq!(c.b.in8(0x22a), 0x00);
    c.command(&[0xfa, 0x12, 0x77, 0xf9, 0x12]);
    assert_eq!(c.b.in8(0x22a), 0x77);
    c.command(&[0x20]);
    assert_eq!(c.b.in8(0x22a), 0x80, "silence at the input");
}

#[test]
fn the_challenge_is_answered_in_memory() {
    let mut c = card();
    c.b.dma.left = 4;
    // AAh, and 1 - 106; then 2 and 40h, and 165; modulo 256.
    c.command(&[0xe2, 0x01]);
    c.command(&[0xe2, 0x42]);
    assert_eq!(c.b.dma.taken, [0x41, 0x28]);
}

#[test]
fn forced_interrupts_come_after_ten_microseconds_and_are_told_apart() {
    let mut c = card();
    c.reset();
    for (command, bit, ack) in [(0xf2, 1, 0x22e), (0xf3, 2, 0x22f)] {
        c.command(&[command]);
        assert!(!c.irq5());
        assert_eq!(c.until_irq(MS), 10_000);
        assert_eq!(c.mixer_read(0x82), 0x20 | bit);
        // The other acknowledge does nothing.
        c.b.in8(if ack == 0x22e { 0x22f } else { 0x22e });
        assert!(c.irq5());
        c.b.in8(ack);
        assert!(!c.irq5());
        assert_eq!(c.mixer_read(0x82), 0x20);
    }
}

#[test]
fn a_second_interrupt_makes_an_edge_while_the_first_one_waits() {
    let mut c = card();
    c.command(&[0xf2]);
    c.b.advance(20_000);
    c.b.lines.take_moved();
    c.command(&[0xf3]);
    c.b.advance(20_000);
    let (steady, now) = c.b.lines.take_moved().expect("the line moved");
    assert_eq!((steady & 0x20, now & 0x20), (0, 0x20), "low between two highs");
}

#[test]
fn a_reset_takes_interrupts_and_transfers_back() {
    let mut c = card();
    c.command(&[0xf2, 0x48, 99, 0, 0x1c]);
    c.b.advance(20_000);
    assert!(c.irq5());
    c.reset();
    assert!(!c.irq5());
    c.memory(vec![0x80; 1000]);
    c.b.advance(100 * MS);
    assert_eq!((c.dma_left(), c.irq5()), (1000, false));
}

#[test]
fn unknown_commands_are_counted_and_take_no_bytes() {
    let mut c = card();
    c.reset();
    let before = c.b.unknowns();
    c.command(&[0x63, 0xe0, 0xff]);
    assert_eq!(c.b.in8(0x22a), 0x00);
    assert_eq!(c.b.unknowns(), before + 1);
}

#[test]
fn the_mpu_401_acknowledges_and_enters_uart_mode() {
    let mut c = card();
    assert_eq!(c.b.in8(0x331), 0xbf, "ready for a byte, nothing to read");
    c.b.out8(0x331, 0xff);
    assert_eq!(c.b.in8(0x331) & 0x80, 0);
    assert_eq!(c.mixer_read(0x82), 0x24);
    assert!(c.irq5());
    assert_eq!(c.b.in8(0x330), 0xfe);
    assert!(!c.irq5());
    c.b.out8(0x331, 0x3f);
    assert_eq!(c.b.in8(0x330), 0xfe);
    // In UART mode bytes go out, and commands but the reset mean nothing.
    c.b.out8(0x330, 0x90);
    c.b.out8(0x331, 0x3f);
    assert_eq!(c.b.in8(0x331) & 0x80, 0x80);
    assert_eq!(midi_bytes(&c), 1);
}

#[test]
fn midi_by_the_dsp_goes_on_until_a_reset() {
    let mut c = card();
    c.command(&[0x38, 0x90]);
    c.command(&[0x34, 0xe1, 0x3c, 0x40]);
    assert_eq!(midi_bytes(&c), 4);
    assert_eq!(c.b.in8(0x22e) & 0x80, 0, "no version");
    c.reset();
    c.command(&[0xe1]);
    assert_eq!(c.b.in8(0x22a), 4);
}

#[test]
fn the_synthesizers_timers_are_found_at_all_three_places() {
    let mut c = card();
    // As AdLib's programming guide detects one.
    for (index, data, status) in [(0x388, 0x389, 0x388), (0x220, 0x221, 0x220), (0x228, 0x229, 0x228)] {
        let mut write = |reg, v| {
            c.b.out8(index, reg);
            c.b.out8(data, v);
        };
        write(4, 0x60);
        write(4, 0x80);
        assert_eq!(c.b.in8(status), 0x00);
        c.b.out8(index, 2);
        c.b.out8(data, 0xff);
        c.b.out8(index, 4);
        c.b.out8(data, 0x21);
        c.b.advance(79_000);
        assert_eq!(c.b.in8(status), 0x00);
        c.b.advance(2_000);
        assert_eq!(c.b.in8(status), 0xc0);
        c.b.out8(index, 4);
        c.b.out8(data, 0x60);
        c.b.out8(index, 4);
        c.b.out8(data, 0x80);
        assert_eq!(c.b.in8(status), 0x00);
    }
}

#[test]
fn a_hardware_reset_is_as_power_on() {
    let mut c = card();
    c.mixer(0x30, 0x10);
    c.command(&[0xf2]);
    c.b.advance(20_000);
    c.b.reset(Reset::Hard);
    assert!(!c.irq5());
    assert_eq!(c.mixer_read(0x30), 0xf8);
    assert_eq!(c.b.placed(crate::audio::sb16::DSP), Some(0x220));
}
