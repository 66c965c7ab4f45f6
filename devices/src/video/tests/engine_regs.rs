//! The drawing engine's registers, reset and interrupts.

use super::engine::{By, card, vram};
use super::engine_model::Setup;
use super::*;
use board::{MILLISECOND, Reset, SECOND};

#[test]
fn halves_of_wide_registers_come_in_turn() {
    let (mut c, _) = card(4, 1024);
    c.multifunc(By::Ports, 0xe, 0);
    c.b.out16(0xa6e8, 0x1122);
    c.b.out16(0xa6e8, 0x3344);
    assert_eq!(c.b.in32(0xa6e8), 0x3344_1122);
    assert_eq!((c.b.in16(0xa6e8), c.b.in16(0xa6e8)), (0x1122, 0x3344));
    // The flag is MULT_MISC's and can be set.
    c.multifunc(By::Ports, 0xe, 0x10);
    c.b.out16(0xa2e8, 0xaaaa);
    assert_eq!(c.b.in32(0xa2e8), 0xaaaa_0000);
    c.b.out16(0xa2e8, 0x5555);
    assert_eq!(c.b.in32(0xa2e8), 0xaaaa_5555);
    // A command, and a change of the pixel length, begin at the low half again.
    for begin in [0, 1] {
        c.multifunc(By::Ports, 0xe, 0);
        c.b.out16(0xa6e8, 1);
        if begin == 0 {
            c.b.out16(0x9ae8, 0);
        } else {
            c.cr(0x50, 0);
            c.cr(0x50, 0x30);
        }
        c.b.out16(0xa6e8, 0x7777);
        assert_eq!(c.b.in16(0xa6ea), 0x3344, "{begin}");
        c.b.out16(0xa6e8, 0x3344);
        assert_eq!(c.b.in32(0xa6e8), 0x3344_7777);
    }
    // One doubleword, if MULT_MISC says so.
    c.multifunc(By::Ports, 0xe, 0x200);
    c.b.out32(0xb2e8, 0xdead_beef);
    assert_eq!(c.b.in32(0xb2e8), 0xdead_beef);
}

#[test]
fn multifunction_registers_read_back_in_turn() {
    let (mut c, _) = card(1, 1024);
    for (index, v) in
        [(0, 0x123), (1, 0x234), (2, 0x345), (3, 0x456), (4, 0x567), (0xa, 0xc0), (0xe, 0x1a5), (0xd, 0x35)]
    {
        c.multifunc(By::Ports, index, v);
    }
    c.b.out16(0x9ae8, 0x1001);
    c.b.out16(0x42e8, 0x0500);
    c.b.out8(0x46e8, 0x08);
    c.multifunc(By::Ports, 0xf, 0);
    // MULT_MISC b4 fell with the command.
    let want = [0x123, 0x234, 0x345, 0x456, 0x567, 0xc0, 0x1a5, 0x1001, 0x0500, 0x08, 0x35];
    for w in want {
        assert_eq!(c.b.in16(0xbee8), w);
    }
    assert_eq!(c.b.unknowns(), 0);
    assert_eq!(c.b.in16(0xbee8), 0xffff, "READ_SEL 11 is nothing");
}

#[test]
fn registers_hold_the_bits_they_have() {
    let (mut c, _) = card(1, 1024);
    for (port, bits) in [
        (0x82e8, 0xfff),
        (0x82ea, 0xfff),
        (0x86e8, 0xfff),
        (0x86ea, 0xfff),
        (0x8ae8, 0x3fff),
        (0x8aea, 0x3fff),
        (0x8ee8, 0x3fff),
        (0x8eea, 0x3fff),
        (0x92e8, 0x3fff),
        (0x92ea, 0x3fff),
        (0x96e8, 0xfff),
        (0x96ea, 0xfff),
        (0xb6e8, 0x6f),
        (0xbae8, 0x6f),
    ] {
        c.b.out16(port, 0xffff);
        assert_eq!(c.b.in16(port), bits, "{port:04x}");
        c.b.out8(port, 0);
        assert_eq!(c.b.in16(port), bits & 0xff00, "{port:04x}");
    }
    // What can only be written, and what is not there.
    for port in [0x9ee8, 0x9aea, 0xe2e8] {
        let before = c.b.unknowns();
        assert_eq!(c.b.in16(port), 0xffff);
        assert_eq!(c.b.unknowns(), before + 1, "{port:04x}");
    }
}

#[test]
fn the_engine_answers_while_cr40_opens_it() {
    let (mut c, before) = card(1, 1024);
    let mut s = Setup::new(0x40b1);
    (s.maj, s.min) = (9, 9);
    c.cr(0x40, 0);
    c.draw(&s, By::Ports, 1);
    assert_eq!(c.b.in16(0x9ae8), 0xffff);
    c.cr(0x53, 0x10);
    c.draw(&s, By::Packed, 1);
    assert!(vram(&c) == before, "nothing was drawn");
    assert_eq!(c.b.unknowns(), 0, "it is as if nobody were there");
    c.cr(0x40, 1);
    // SR09 b7 leaves the memory only.
    c.sr(9, 0x80);
    assert_eq!(c.b.in16(0x9ae8), 0xffff);
    assert_eq!(c.b.read16(0xa_9ae8), 0x0400);
    c.draw(&s, By::Packed, 1);
    assert!(vram(&c) != before);
}

#[test]
fn the_engine_s_memory_covers_the_window_and_goes_again() {
    let (mut c, _) = card(1, 1024);
    linear_mode_8(&mut c);
    c.b.write8(0xa_0000, 0x5a);
    c.cr(0x53, 0x10);
    let before = vram(&c);
    c.b.write32(0xa_0000, 0xdead_beef);
    assert!(vram(&c) == before);
    // ADVFUNC b5 does the same; the text and Hercules windows above stay.
    c.cr(0x53, 0);
    assert_eq!(c.b.read8(0xa_0000), 0x5a);
    c.b.out8(0x4ae8, 0x27);
    assert_eq!(c.b.read16(0xa_9ae8), 0x0400);
    c.b.out8(0x4ae8, 0x07);
    assert_eq!(c.b.read8(0xa_0000), 0x5a);
    assert_eq!(c.b.unknowns(), 0);
}

#[test]
fn a_reset_ends_transfers_and_holds_the_engine() {
    let (mut c, before) = card(1, 1024);
    let mut s = Setup::new(0x51b1);
    (s.maj, s.min, s.frgd_mix) = (63, 63, 0x47);
    s.data = vec![0x33; 4096];
    c.set_up(&s, By::Ports, 1);
    c.start(&s, By::Ports);
    c.b.out16(0x42e8, 0x8000);
    c.send(&s, By::Ports, 0, 4096);
    assert!(vram(&c) == before);
    let mut fill = Setup::new(0x40b1);
    (fill.maj, fill.min) = (9, 9);
    c.draw(&fill, By::Ports, 1);
    assert!(vram(&c) == before, "held");
    c.b.out16(0x42e8, 0x4000);
    c.draw(&fill, By::Ports, 1);
    assert!(vram(&c) != before);
    // CR66 b1 is the other way to it.
    let drawn = vram(&c);
    c.cr(0x66, 2);
    fill.frgd_color = 0x99;
    c.draw(&fill, By::Ports, 1);
    assert!(vram(&c) == drawn);
    c.cr(0x66, 0);
    c.draw(&fill, By::Ports, 1);
    assert!(vram(&c) != drawn);
}

#[test]
fn done_and_fifo_empty_interrupt_until_they_are_cleared() {
    let (mut c, _) = card(1, 1024);
    c.b.out16(0x42e8, 0x000f);
    assert_eq!(c.b.in8(0x42e8) & 0x0f, 0);
    c.b.out8(0x42e9, 0x02);
    assert!(!c.b.level(c.inta));
    c.b.out16(0x86e8, 1);
    assert_eq!(c.b.in8(0x42e8) & 0x0f, 8, "a register went through the FIFO");
    assert!(!c.b.level(c.inta));
    c.b.out16(0x9ae8, 0x40b1);
    assert_eq!(c.b.in16(0x42e8) & 0xf0f, 0x20a);
    assert!(c.b.level(c.inta));
    c.b.out8(0x42e8, 0x02);
    assert!(!c.b.level(c.inta));
    // FIFO empty, now enabled, is still pending.
    c.b.out8(0x42e9, 0x08);
    assert!(c.b.level(c.inta));
    c.b.out8(0x42e9, 0);
    assert!(!c.b.level(c.inta));
    c.b.reset(Reset::Hard);
    assert!(!c.b.level(c.inta));
}

#[test]
fn the_vertical_interrupt_of_the_subsystem_comes_each_frame() {
    let mut c = Card::new();
    c.program(&MODE_12);
    c.unlock();
    c.b.advance(SECOND);
    c.b.out8(0x42e8, 1);
    assert_eq!(c.b.in8(0x42e8) & 1, 0);
    c.b.out8(0x42e9, 1);
    assert!(!c.b.level(c.inta));
    for _ in 0..3 {
        c.b.advance(17 * MILLISECOND);
        assert!(c.b.level(c.inta));
        assert_eq!(c.b.in8(0x42e8) & 1, 1);
        c.b.save_and_load();
        assert!(c.b.level(c.inta), "saved and loaded");
        c.b.out8(0x42e8, 1);
        assert!(!c.b.level(c.inta));
    }
}

fn linear_mode_8(c: &mut Card) {
    c.cr(0x31, 0x8d);
    c.gr(6, 5);
}
