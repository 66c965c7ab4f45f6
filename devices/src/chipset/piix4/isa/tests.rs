use board::testkit::Bench;
use board::{Decode, Line, Power, Reset, Route, Width};

use super::{CONFIG, COPROC, PORT92, POST8C, POST80, POST84, POST88, Piix4Isa, RESET_CONTROL};

fn bench() -> (Bench<Piix4Isa>, [Line; 4]) {
    let mut pins = [Line(0); 4];
    let mut b = Bench::new(|l| {
        for (n, p) in pins.iter_mut().enumerate() {
            *p = l.connect(Route::Pirq(n as u8));
        }
        Piix4Isa::new(l.connect(Route::Isa(13)))
    });
    for (win, port) in [
        (POST80, 0x80),
        (POST84, 0x84),
        (POST88, 0x88),
        (POST8C, 0x8c),
        (PORT92, 0x92),
        (COPROC, 0xf0),
        (RESET_CONTROL, 0xcf9),
    ] {
        b.place(win, Decode::Pio(port));
    }
    (b, pins)
}

#[test]
fn the_header_is_a_piix4() {
    let (mut b, _) = bench();
    assert_eq!(b.cfg_read(CONFIG, 0x00, Width::D), 0x7110_8086);
    assert_eq!(b.cfg_read(CONFIG, 0x04, Width::D), 0x0200_0007);
    assert_eq!(b.cfg_read(CONFIG, 0x08, Width::D), 0x0601_0003);
    assert_eq!(b.cfg_read(CONFIG, 0x0e, Width::B), 0x80);
    b.cfg_write(CONFIG, 0x04, Width::W, 0);
    assert_eq!(b.cfg_read(CONFIG, 0x04, Width::W), 7);
    assert_eq!(b.cfg_read(CONFIG, 0x4e, Width::W), 3);
}

#[test]
fn a_pirq_goes_where_its_register_says_and_moves_while_high() {
    let (mut b, pins) = bench();
    b.lines.raise(pins[0]);
    assert_eq!(b.lines.irqs(), 0, "off after reset");
    b.cfg_write(CONFIG, 0x60, Width::B, 0x0b);
    assert_eq!(b.lines.irqs(), 1 << 11);
    b.cfg_write(CONFIG, 0x60, Width::B, 0x09);
    assert_eq!(b.lines.irqs(), 1 << 9);
    b.cfg_write(CONFIG, 0x60, Width::B, 0x89);
    assert_eq!(b.lines.irqs(), 0);
}

#[test]
fn several_pirqs_share_a_line_and_a_dword_write_sets_all() {
    let (mut b, pins) = bench();
    b.cfg_write(CONFIG, 0x60, Width::D, 0x800a_0a0a);
    assert_eq!(b.cfg_read(CONFIG, 0x60, Width::D), 0x800a_0a0a);
    b.lines.raise(pins[1]);
    b.lines.raise(pins[2]);
    b.lines.raise(pins[3]);
    assert_eq!(b.lines.irqs(), 1 << 10);
    b.lines.lower(pins[1]);
    assert_eq!(b.lines.irqs(), 1 << 10);
    b.lines.lower(pins[2]);
    assert_eq!(b.lines.irqs(), 0);
}

#[test]
fn a_pirq_cannot_take_a_line_of_the_board() {
    let (mut b, pins) = bench();
    b.lines.raise(pins[0]);
    for irq in [0, 1, 2, 8, 13] {
        b.cfg_write(CONFIG, 0x60, Width::B, irq);
        assert_eq!(b.lines.irqs(), 0, "IRQ{irq}");
    }
    b.cfg_write(CONFIG, 0x60, Width::B, 0xff);
    assert_eq!(b.cfg_read(CONFIG, 0x60, Width::B), 0x8f);
}

#[test]
fn port_92_is_a20_and_shows_what_another_writer_did() {
    let (mut b, _) = bench();
    assert_eq!(b.in8(0x92), 0x02);
    b.out8(0x92, 0);
    assert!(!b.ram.a20());
    assert_eq!(b.in8(0x92), 0);
    b.ram.set_a20(true);
    assert_eq!(b.in8(0x92), 0x02);
    b.out8(0x92, 0x02);
    assert_eq!(b.power(), None);
}

#[test]
fn port_92_bit_0_rising_is_init() {
    let (mut b, _) = bench();
    b.out8(0x92, 0x03);
    assert_eq!(b.power(), Some(Power::Init));
    assert_eq!(b.in8(0x92), 0x03);
    b.out8(0x92, 0x03);
    assert_eq!(b.power(), None, "it did not rise again");
}

#[test]
fn cf9_resets_on_the_rise_of_rcpu() {
    let (mut b, _) = bench();
    b.out8(0xcf9, 0x02);
    assert_eq!(b.power(), None);
    b.out8(0xcf9, 0x06);
    assert_eq!(b.power(), Some(Power::Reset));
    b.reset(Reset::Hard);
    assert_eq!(b.in8(0xcf9), 0);
    b.out8(0xcf9, 0x04);
    assert_eq!(b.power(), Some(Power::Init));
    b.out8(0xcf9, 0x06);
    assert_eq!(b.power(), None, "RCPU was high");
}

#[test]
fn the_post_latches_keep_bytes_each() {
    let (mut b, _) = bench();
    for (i, port) in [0x80, 0x84, 0x85, 0x86, 0x88, 0x8c, 0x8d, 0x8e].into_iter().enumerate() {
        b.out8(port, 0xa0 + i as u8);
    }
    for (i, port) in [0x80, 0x84, 0x85, 0x86, 0x88, 0x8c, 0x8d, 0x8e].into_iter().enumerate() {
        assert_eq!(b.in8(port), 0xa0 + i as u8);
    }
    assert_eq!(b.dev.post_code(), 0xa0);
}

#[test]
fn ferr_is_irq_13_until_f0_and_ignne_lasts_as_long_as_ferr() {
    let (mut b, _) = bench();
    b.out8(0xf0, 0);
    assert!(!b.dev.ignne(), "no error, no IGNNE#");
    b.call(|d, cx| d.ferr(cx, true));
    assert_eq!(b.lines.irqs(), 1 << 13);
    b.out8(0xf1, 0);
    assert_eq!(b.lines.irqs(), 1 << 13);
    b.out8(0xf0, 0);
    assert_eq!(b.lines.irqs(), 0);
    assert!(b.dev.ignne());
    b.call(|d, cx| d.ferr(cx, false));
    assert!(!b.dev.ignne());
    b.call(|d, cx| d.ferr(cx, true));
    assert_eq!(b.lines.irqs(), 1 << 13, "the next error interrupts again");
    assert_eq!(b.in8(0xf0), 0xff);
}

#[test]
fn state_survives_with_routes() {
    let (mut b, pins) = bench();
    b.cfg_write(CONFIG, 0x62, Width::B, 0x05);
    b.lines.raise(pins[2]);
    b.out8(0x80, 0x5a);
    b.call(|d, cx| d.ferr(cx, true));
    b.save_and_load();
    assert_eq!(b.lines.irqs(), 1 << 13 | 1 << 5);
    assert_eq!(b.in8(0x80), 0x5a);
}
