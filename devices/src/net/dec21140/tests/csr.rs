use board::Reset;

use super::{AIS, Card, IO, MAC, NIS, RI, RPS, RX, SR, ST, TI, TPS, TU, TX, frame};

const GTE: u32 = 1 << 11;

#[test]
fn reset_values_are_the_manuals() {
    let mut c = Card::running();
    c.b.reset(Reset::Hard);
    use board::Width::{D, W};
    c.b.cfg_write(super::CONFIG, 0x10, D, u32::from(IO));
    c.b.cfg_write(super::CONFIG, 0x04, W, 7);
    let values = [
        (0, 0xfe00_0000),
        (1, u32::MAX),
        (2, u32::MAX),
        (5, 0xfc00_0000),
        (6, 0x3200_0040),
        (7, 0xfffe_0000),
        (8, 0xe000_0000),
        (9, 0xfffc_83ff),
        (11, 0xfffe_0000),
        (12, 0xffff_fe40),
        (13, 0xffff_0000),
        (14, u32::MAX),
        (15, 0x8ff0_0000),
    ];
    for (n, v) in values {
        assert_eq!(c.r(n), v, "CSR{n}");
    }
}

#[test]
fn a_software_reset_keeps_the_configuration_and_the_port() {
    let mut c = Card::running();
    c.w(6, SR | ST | 1 << 18);
    c.comes(&frame(MAC, 60, 0));
    assert!(c.irq());
    c.w(0, 1);
    assert_eq!(c.r(0), 0xfe00_0000, "it is through at once");
    assert_eq!(c.r(5), 0xfc00_0000);
    assert_eq!(c.r(6), 0x3204_0040);
    assert!(!c.irq());
}

#[test]
fn only_defined_bits_are_kept() {
    let mut c = Card::new();
    c.w(0, 0xffff_fffe);
    assert_eq!(c.r(0), 0xffbe_fffe);
    c.w(3, 0xffff_ffff);
    assert_eq!(c.r(3), 0xffff_fffc);
    c.w(7, u32::MAX);
    assert_eq!(c.r(7), 0xffff_efef);
    c.w(15, u32::MAX);
    assert_eq!(c.r(15), 0x8ff0_0037);
}

#[test]
fn status_bits_are_cleared_one_by_one_and_the_line_follows() {
    let mut c = Card::running();
    c.queue(0, &frame(MAC, 60, 0), super::IC);
    c.w(1, 0);
    c.comes(&frame(MAC, 60, 0));
    assert_eq!(c.r(5) & 0x1_ffff, NIS | TI | TU | RI);
    assert!(c.irq());
    c.w(5, TI);
    assert_eq!(c.r(5) & 0x1_ffff, NIS | TU | RI);
    c.w(5, NIS | AIS);
    assert_eq!(c.r(5) & 0x1_ffff, NIS | TU | RI, "summaries are what they sum up");
    assert!(c.irq());
    c.w(5, TU | RI);
    assert_eq!(c.r(5) & 0x1_ffff, 0);
    assert!(!c.irq());
}

#[test]
fn the_line_is_high_for_what_the_mask_enables() {
    let mut c = Card::running();
    c.w(7, 0);
    c.comes(&frame(MAC, 60, 0));
    assert_eq!(c.r(5) & 0x1_ffff, RI, "no summary of what is not enabled");
    for (mask, high) in
        [(RI, false), (NIS, false), (AIS | RI, false), (NIS | TI, false), (NIS | RI, true), (0, false)]
    {
        c.w(7, mask);
        assert_eq!(c.irq(), high, "{mask:x}");
    }
    c.w(5, u32::MAX);
    c.w(7, AIS | TPS);
    c.w(6, SR);
    c.b.advance(5_000);
    assert!(c.irq(), "an abnormal one");
    assert_eq!(c.r(5) & 0x1_ffff, AIS | TPS);
}

#[test]
fn both_processes_tell_once_that_they_stopped() {
    let mut c = Card::running();
    assert_eq!(c.r(5) >> 17 & 0x3f, 6 << 3 | 3, "suspended, waiting for a frame");
    c.w(6, 0);
    assert_eq!(c.r(5), 0xfc00_0000, "stopped, before the interrupt");
    c.b.advance(4_999);
    assert!(!c.irq());
    c.b.advance(1);
    assert_eq!(c.r(5) & 0x3f_ffff & !(AIS | NIS), TPS | RPS);
    c.w(5, u32::MAX);
    c.w(6, 0);
    c.w(6, 0x40);
    c.b.advance(5_000);
    assert_eq!(c.r(5), 0xfc00_0000);
}

#[test]
fn the_timer_ends_once_or_again_and_again() {
    let mut c = Card::running();
    c.w(6, SR | ST | 1 << 18);
    c.w(11, 10);
    assert_eq!(c.r(11), 0xfffe_000a);
    c.b.advance(5 * 81_920);
    assert_eq!(c.r(11), 0xfffe_0005);
    assert_eq!(c.r(5) & GTE, 0);
    c.b.advance(5 * 81_920);
    assert_eq!(c.r(5) & GTE, GTE);
    assert!(c.irq());
    assert_eq!(c.r(11), 0xfffe_0000);
    c.w(5, GTE);
    c.b.advance(100 * 81_920);
    assert_eq!(c.r(5) & GTE, 0);

    c.w(11, 0x1_0004);
    for _ in 0..3 {
        c.b.advance(4 * 81_920);
        assert_eq!(c.r(5) & GTE, GTE);
        assert_eq!(c.r(11), 0xffff_0004);
        c.w(5, GTE);
    }
    c.b.stall(81_920 * 4_000_001);
    assert_eq!(c.r(11), 0xffff_0003, "late, it is where it would be");
    c.w(11, 0);
    assert_eq!(c.b.next_timer(), None);
}

#[test]
fn the_timer_counts_by_the_ports_clock() {
    let mut c = Card::new();
    for (mode, count) in [(0, 204_800), (1 << 18, 81_920), (1 << 18 | 1 << 22, 819_200)] {
        c.w(6, mode);
        c.w(11, 3);
        assert_eq!(c.b.next_timer(), Some(c.b.now() + 3 * count));
    }
}

#[test]
fn the_general_purpose_port_senses_the_link() {
    let mut c = Card::new();
    assert_eq!(c.r(12) & 0xff, 0x40);
    c.wire.ends().unplugged = true;
    assert_eq!(c.r(12) & 0xff, 0);
    c.w(12, 0x10f);
    c.w(12, 0x35);
    assert_eq!(c.r(12) & 0xff, 0x05, "outputs read back, inputs are the pins");
}

#[test]
fn parts_of_registers_can_be_read_and_written() {
    let mut c = Card::new();
    c.b.out16(IO + 0x3a, 1);
    c.b.out8(IO + 0x38, 0x41);
    assert_eq!(c.r(7), 0xffff_0041);
    assert_eq!(c.b.in8(IO + 0x38), 0x41);
    assert_eq!(c.b.in16(IO + 0x3a), 0xffff);
    assert_eq!(c.b.unknowns(), 0);
    assert_eq!(c.b.in32(IO + 4), u32::MAX, "between two registers there is none");
    assert_eq!(c.b.unknowns(), 1);
}

#[test]
fn without_leave_to_master_the_bus_nothing_moves_until_it_comes() {
    let mut c = Card::running();
    c.b.cfg_write(super::CONFIG, 4, board::Width::W, 3);
    c.queue(0, &frame(MAC, 60, 0), 0);
    c.w(1, 0);
    c.comes(&frame(MAC, 60, 0));
    assert!(c.sent().is_empty());
    assert_ne!(c.b.read32(RX) >> 31, 0);
    c.b.cfg_write(super::CONFIG, 4, board::Width::W, 7);
    assert_eq!(c.sent().len(), 1);
    assert_eq!((c.b.read32(RX) >> 31, c.b.read32(TX) >> 31), (0, 0));
}
