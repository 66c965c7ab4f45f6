use super::{ALL, Card, IC, MAC, OTHER, RI, RX, RX_BUFFERS, SR, ST, TI, TU, TX, frame};
use crate::net::dec21140::crc::crc32;

const INTERNAL: u32 = 1 << 10;
const EXTERNAL: u32 = 2 << 10;
const AC: u32 = 1 << 26;
const DPD: u32 = 1 << 23;

#[test]
fn what_is_sent_comes_back_and_reaches_nobody() {
    for (mode, data_type) in [(INTERNAL, 1), (EXTERNAL, 2)] {
        let mut c = Card::running();
        c.w(6, SR | ST | mode);
        c.queue(0, &frame(MAC, 80, 4), IC);
        c.w(1, 0);
        assert!(c.sent().is_empty());
        assert_eq!(c.r(5) & 0x7fff, TI | TU | RI);
        assert_eq!(c.b.read32(RX), 84 << 16 | 0x320 | data_type << 12);
        assert_eq!(c.bytes(RX_BUFFERS, 80), frame(MAC, 80, 4));
    }
}

#[test]
fn the_filter_holds_there_too_and_the_wire_is_cut() {
    let mut c = Card::running();
    c.w(6, SR | ST | INTERNAL);
    c.queue(0, &frame(OTHER, 80, 4), 0);
    c.w(1, 0);
    c.comes(&frame(MAC, 60, 0));
    assert_ne!(c.b.read32(RX) >> 31, 0);
}

#[test]
fn a_wrong_check_is_told() {
    let mut c = Card::running();
    c.w(6, SR | ST | INTERNAL);
    let mut f = frame(ALL, 80, 4);
    f.extend((crc32(&f) ^ 1).to_le_bytes());
    c.queue(0, &f, AC);
    c.w(1, 0);
    assert_eq!(c.b.read32(RX), 84 << 16 | 0x9722);
}

#[test]
fn runts_are_for_those_who_pass_bad_frames() {
    let mut c = Card::running();
    c.w(6, SR | ST | INTERNAL);
    c.queue(0, &frame(MAC, 20, 4), DPD);
    c.w(1, 0);
    assert_ne!(c.b.read32(RX) >> 31, 0);
    c.w(6, SR | ST | INTERNAL | 8);
    c.queue(1, &frame(MAC, 20, 4), DPD);
    c.w(1, 0);
    assert_eq!(c.b.read32(RX), 24 << 16 | 0x9b20);
}

#[test]
fn forced_collisions_are_too_many() {
    let mut c = Card::running();
    c.w(6, SR | ST | INTERNAL | 1 << 12);
    c.queue(0, &frame(MAC, 60, 4), 0);
    c.w(1, 0);
    assert_eq!(c.b.read32(TX), 0x8100);
    assert_ne!(c.b.read32(RX) >> 31, 0);
}

#[test]
fn a_full_fifo_is_counted() {
    let mut c = Card::running();
    c.w(6, SR | ST | INTERNAL);
    for _ in 0..6 {
        (0..4).for_each(|i| c.queue(i, &frame(MAC, 60, 4), 0));
        c.w(1, 0);
    }
    // Four in memory, sixteen in the FIFO.
    assert_eq!(c.r(8), 0xe000_0000 | 4 << 17);
}
