use board::{MICROSECOND, MILLISECOND};

use super::{
    ALL, CHAIN, Card, END, FIRST, IC, LAST, MAC, OTHER, OWN, RI, RX_BUFFERS, ST, TI, TPS, TU, TX, TX_BUFFERS,
    frame, perfect,
};
use crate::net::dec21140::crc::crc32;

const DPD: u32 = 1 << 23;
const AC: u32 = 1 << 26;
const SETUP_BIT: u32 = 1 << 27;
const TJT: u32 = 8;
const UNF: u32 = 0x20;
const FBE: u32 = 1 << 13;

fn status(c: &mut Card) -> u32 {
    let s = c.r(5) & 0x7fff;
    c.w(5, u32::MAX);
    s
}

#[test]
fn a_demand_sends_all_that_is_the_chips_and_then_suspends() {
    let mut c = Card::running();
    let frames: Vec<_> = (0..3).map(|n| frame(OTHER, 100 + usize::from(n), n)).collect();
    for (i, f) in (0..).zip(&frames) {
        c.queue(i, f, if i == 2 { IC } else { 0 });
    }
    assert!(c.sent().is_empty());
    c.w(1, 0);
    assert_eq!(c.sent(), frames);
    assert_eq!(c.wire.ends().flushes, 1, "one batch");
    for i in 0..3 {
        assert_eq!(c.b.read32(TX + 16 * i), 0, "no error, no carrier lost");
    }
    assert_eq!(c.r(5) >> 20 & 7, 6);
    assert_eq!(status(&mut c), TI | TU);
    c.b.advance(MILLISECOND);
    c.queue(3, &frames[0], 0);
    c.queue(0, &frames[1], 0);
    c.w(1, 0);
    assert_eq!(c.sent(), frames[..2], "the ring goes round");
    assert_eq!(status(&mut c), TU, "nobody asked for an interrupt");
}

#[test]
fn frames_of_a_burst_go_together_behind_the_first() {
    let mut c = Card::running();
    let frames: Vec<_> = (0..4).map(|n| frame(OTHER, 100 + usize::from(n), n)).collect();
    c.queue(0, &frames[0], 0);
    c.w(1, 0);
    assert_eq!(c.sent(), frames[..1], "the first does not wait");
    for i in 1..3 {
        c.b.advance(10 * MICROSECOND);
        c.queue(i, &frames[i as usize], 0);
        c.w(1, 0);
        assert_eq!(c.r(5) >> 20 & 7, 1, "it runs");
    }
    assert!(c.sent().is_empty());
    // One that is resumed sends what waited.
    c.b.save_and_load();
    c.b.advance(40 * MICROSECOND);
    assert_eq!(c.sent(), frames[1..3]);
    assert_eq!(c.wire.ends().flushes, 2);
    assert_eq!((c.r(5) >> 20 & 7, status(&mut c)), (6, TU));
    c.b.advance(MILLISECOND);
    c.queue(3, &frames[3], 0);
    c.w(1, 0);
    assert_eq!(c.sent(), frames[3..], "nor does the first after a while");
}

#[test]
fn behind_a_longer_batch_more_are_gathered() {
    for (batch, us) in [(1, 40), (2, 80), (4, 160), (7, 160)] {
        let mut c = Card::running();
        c.tx_ring(8);
        let one = frame(OTHER, 100, 0);
        for i in 0..batch {
            c.queue(i, &one, 0);
        }
        c.w(1, 0);
        assert_eq!(c.sent().len() as u32, batch);
        c.queue(batch, &one, 0);
        c.b.advance((us - 1) * MICROSECOND);
        c.w(1, 0);
        assert!(c.sent().is_empty(), "{batch}");
        c.b.advance(MICROSECOND);
        assert_eq!(c.sent().len(), 1, "{batch}");
    }
}

#[test]
fn what_is_answered_at_once_comes_in_the_same_access() {
    let mut c = Card::running();
    let (question, answer) = (frame(OTHER, 100, 1), frame(MAC, 200, 2));
    c.wire.ends().answers.push(answer.clone());
    c.queue(0, &question, IC);
    let before = c.seen("interrupts");
    c.w(1, 0);
    assert_eq!(c.sent(), [question]);
    assert_eq!(c.bytes(RX_BUFFERS, 200), answer);
    assert!(c.irq());
    assert_eq!(status(&mut c), TI | TU | RI);
    assert_eq!(c.seen("interrupts"), before + 1);
    // While nobody listens it is lost, as on a wire.
    c.w(6, ST);
    c.b.advance(MILLISECOND);
    c.wire.ends().answers.push(frame(MAC, 200, 3));
    c.queue(1, &frame(OTHER, 100, 4), 0);
    c.w(1, 0);
    assert_eq!(c.sent().len(), 1);
    assert!(c.wire.ends().waiting.is_empty());
}

#[test]
fn descriptors_lie_as_far_apart_as_csr0_says() {
    let mut c = Card::running();
    c.stop();
    c.w(0, 5 << 2);
    for i in 0..3 {
        let end = if i == 2 { END } else { 0 };
        c.b.ram.write(u64::from(TX_BUFFERS), &frame(OTHER, 60, 9));
        c.descriptor(TX + 36 * i, [OWN, 60 | FIRST | LAST | end, TX_BUFFERS, 0]);
    }
    c.w(4, TX);
    c.w(6, ST);
    assert_eq!(c.sent().len(), 3);
}

#[test]
fn a_chain_goes_where_its_second_addresses_say() {
    let mut c = Card::running();
    c.stop();
    let at = [0x2_0000, 0x2_8000, 0x2_4000];
    for (i, &d) in at.iter().enumerate() {
        c.b.ram.write(u64::from(TX_BUFFERS) + 0x800 * i as u64, &frame(OTHER, 60, i as u8));
        let buffer = TX_BUFFERS + 0x800 * i as u32;
        c.descriptor(d, [OWN, 60 | 33 << 11 | FIRST | LAST | CHAIN, buffer, at[(i + 1) % 3]]);
    }
    c.w(4, at[0]);
    c.w(6, ST);
    let sent = c.sent();
    assert_eq!(sent, [0, 1, 2].map(|n| frame(OTHER, 60, n)), "and it ends where it bites its tail");
}

#[test]
fn a_frame_is_gathered_from_both_buffers_of_many_descriptors() {
    let mut c = Card::running();
    let f = frame(OTHER, 1000, 3);
    c.b.ram.write(u64::from(TX_BUFFERS), &f);
    // 10 + 20, nothing at all, 0 + 70, 900 + 0.
    let parts = [(10, 20, FIRST), (0, 0, 0), (0, 70, 0), (900, 0, LAST | IC | END)];
    let mut from = TX_BUFFERS;
    for (i, (one, two, bits)) in (0..).zip(parts) {
        c.descriptor(TX + 16 * i, [OWN, one | two << 11 | bits, from, from + one]);
        from += one + two;
    }
    c.w(1, 0);
    assert_eq!(c.sent(), [f]);
    for i in 0..4 {
        assert_eq!(c.b.read32(TX + 16 * i), 0);
    }
    assert_eq!(status(&mut c), TI | TU);
}

#[test]
fn short_frames_are_padded_unless_the_driver_will_have_it() {
    let mut c = Card::running();
    c.queue(0, &frame(OTHER, 20, 1), 0);
    c.queue(1, &frame(OTHER, 20, 1), DPD);
    c.queue(2, &frame(OTHER, 13, 1), DPD);
    c.w(1, 0);
    let mut padded = frame(OTHER, 20, 1);
    padded.resize(60, 0);
    assert_eq!(c.sent(), [padded, frame(OTHER, 20, 1)]);
    assert_eq!(c.seen("unsent"), 1);
}

#[test]
fn a_check_that_the_driver_brings_must_be_right() {
    let mut c = Card::running();
    let f = frame(OTHER, 100, 1);
    let mut checked = f.clone();
    checked.extend(crc32(&f).to_le_bytes());
    c.queue(0, &checked, AC);
    checked[50] ^= 1;
    c.queue(1, &checked, AC);
    c.queue(2, &frame(OTHER, 20, 1), AC);
    c.w(1, 0);
    let sent = c.sent();
    assert_eq!(sent[0], f);
    assert_eq!(sent[1].len(), 60, "padding brings a check of its own");
    assert_eq!((sent.len(), c.seen("unsent")), (2, 1));
}

#[test]
fn frames_beyond_a_wires_longest_go_nowhere() {
    let mut c = Card::running();
    c.queue(0, &frame(OTHER, 1518, 1), 0);
    c.queue(1, &frame(OTHER, 1600, 1), 0);
    c.w(1, 0);
    assert_eq!(c.sent(), [frame(OTHER, 1518, 1)]);
    assert_eq!(c.seen("unsent"), 1);
}

#[test]
fn setup_frames_and_empty_descriptors_are_no_frames() {
    let mut c = Card::running();
    c.b.ram.write(u64::from(TX_BUFFERS), &perfect(&[ALL]));
    c.descriptor(TX, [OWN, 0, 0, 0]);
    c.descriptor(TX + 16, [OWN, 192 | SETUP_BIT | IC, TX_BUFFERS, 0]);
    c.queue(2, &frame(OTHER, 60, 1), 0);
    c.w(1, 0);
    assert_eq!(c.b.read32(TX) >> 31, 0);
    assert_eq!(c.b.read32(TX + 16), 0x7fff_ffff);
    assert_eq!(c.sent().len(), 1);
    assert_eq!(status(&mut c), TI | TU);
    c.comes(&frame(MAC, 60, 1));
    assert_eq!(c.seen("filtered"), 1);
}

#[test]
fn a_frame_that_the_host_does_not_finish_underflows() {
    let mut c = Card::running();
    c.descriptor(TX, [OWN, 30 | FIRST, TX_BUFFERS, 0]);
    c.w(1, 0);
    assert!(c.sent().is_empty());
    assert_eq!(c.b.read32(TX), 0x8002);
    assert_eq!(status(&mut c), UNF | TU);
    // What the host adds later has no beginning.
    c.descriptor(TX + 16, [OWN, 30 | LAST, TX_BUFFERS, 0]);
    c.queue(2, &frame(OTHER, 60, 1), 0);
    c.w(1, 0);
    assert_eq!(c.sent(), [frame(OTHER, 60, 1)]);
}

#[test]
fn who_talks_too_long_is_stopped() {
    let mut c = Card::running();
    c.w(15, 4);
    for i in 0..2 {
        let bits = if i == 0 { FIRST } else { LAST };
        c.descriptor(TX + 16 * i, [OWN, 1500 | bits, TX_BUFFERS, 0]);
    }
    c.w(1, 0);
    assert_eq!(c.b.read32(TX + 16), 0xc000);
    assert_eq!(status(&mut c), TJT | TPS);
    assert_eq!(c.r(5) >> 20 & 7, 0);
    c.queue(2, &frame(OTHER, 60, 1), 0);
    c.w(6, ST);
    assert_eq!(c.sent().len(), 1, "started anew");
}

#[test]
fn a_list_in_no_memory_is_a_fatal_bus_error() {
    let mut c = Card::running();
    c.stop();
    c.w(4, 0xf000_0000);
    c.w(6, ST);
    let s = c.r(5);
    assert_eq!((s & FBE, s >> 23 & 7, s >> 20 & 7), (FBE, 1, 0));
    assert!(c.irq());
    c.w(5, u32::MAX);
    c.w(4, TX);
    c.queue(0, &frame(OTHER, 60, 1), 0);
    c.stop();
    c.w(6, ST);
    assert!(c.sent().is_empty(), "until a software reset");
    c.w(0, 1);
    c.w(4, TX);
    c.w(6, ST);
    assert_eq!(c.sent().len(), 1);
}

#[test]
fn a_buffer_in_no_memory_is_one_too() {
    let mut c = Card::running();
    c.descriptor(TX, [OWN, 60 | FIRST | LAST, 0xffff_fff0, 0]);
    c.w(1, 0);
    assert_eq!(c.r(5) & FBE, FBE);
}

#[test]
fn automatic_polling_needs_no_demand() {
    let mut c = Card::running();
    c.stop();
    c.w(0, 1 << 17);
    c.w(4, TX);
    c.w(6, ST);
    c.w(5, u32::MAX);
    c.b.advance(1_000_000);
    assert_eq!(status(&mut c), 0, "what it does not find it does not tell");
    c.queue(0, &frame(OTHER, 60, 1), IC);
    c.b.advance(200_000);
    assert_eq!(c.sent().len(), 1);
    assert_eq!(status(&mut c), TI | TU);
    c.stop();
    assert_eq!(c.b.next_timer(), None);
}

#[test]
fn a_list_that_goes_on_for_ever_holds_nothing_up() {
    let mut c = Card::running();
    // A frame that ends where it begins, in memory that does not take the status: it stays the chip's.
    let rom = c.b.ram.allocate(0x1000, false);
    c.b.ram.place(rom, Some(0xd000_0000));
    let at = c.b.ram.extent(rom).start;
    let words = [OWN, 60 | FIRST | LAST | CHAIN, TX_BUFFERS, 0xd000_0000];
    for (i, w) in words.iter().enumerate() {
        c.b.ram.arena().copy_in(at + 4 * i as u32, &w.to_le_bytes());
    }
    c.stop();
    c.w(4, 0xd000_0000);
    c.w(6, ST);
    assert_eq!(c.sent().len(), 4096);
    assert_eq!(c.r(5) >> 20 & 7, 1);
    c.b.advance(10_000);
    assert_eq!(c.sent().len(), 4096, "more in a moment");
    // One without an end.
    c.b.ram.arena().copy_in(at + 4, &(60 | FIRST | CHAIN).to_le_bytes());
    c.b.advance(10_000);
    assert_ne!(c.r(5) & (TJT | UNF), 0);
}
