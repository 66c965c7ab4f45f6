use super::{ALL, CHAIN, Card, END, MAC, OTHER, OWN, RI, RPS, RU, RX, RX_BUFFERS, SR, ST, frame};
use crate::net::dec21140::crc::crc32;

const MS: u64 = 1_000_000;

fn status(c: &mut Card) -> u32 {
    let s = c.r(5) & 0x7fff;
    c.w(5, u32::MAX);
    s
}

fn checked(f: &[u8]) -> Vec<u8> {
    let mut v = f.to_vec();
    v.resize(f.len().max(60), 0);
    v.extend(crc32(&v).to_le_bytes());
    v
}

#[test]
fn a_frame_lies_in_its_buffer_with_its_check() {
    let mut c = Card::running();
    let f = frame(MAC, 100, 5);
    c.comes(&f);
    assert_eq!(c.b.read32(RX), 104 << 16 | 0x320, "FS, LS, an Ethernet type");
    assert_eq!(c.bytes(RX_BUFFERS, 104), checked(&f));
    assert_eq!(status(&mut c), RI);
    assert_eq!(c.b.read32(RX + 16), OWN);
    assert_eq!(c.r(5) >> 17 & 7, 3);
}

#[test]
fn the_status_tells_groups_types_and_lengths() {
    let mut c = Card::running();
    let mut ieee = frame(MAC, 60, 0);
    ieee[12..14].copy_from_slice(&46_u16.to_be_bytes());
    c.comes(&ieee);
    c.comes(&frame(ALL, 60, 0));
    c.comes(&frame(MAC, 1518, 0));
    c.comes(&frame(MAC, 30, 0));
    assert_eq!(c.b.read32(RX), 64 << 16 | 0x300);
    assert_eq!(c.b.read32(RX + 16), 64 << 16 | 0x720);
    assert_eq!(c.b.read32(RX + 32), 1522 << 16 | 0x3a0, "too long");
    assert_eq!(c.b.read32(RX + 48), 64 << 16 | 0x320, "whoever sent it padded it");
    assert_eq!(c.bytes(RX_BUFFERS + 3 * 0x800, 64), checked(&frame(MAC, 30, 0)));
}

#[test]
fn all_free_descriptors_are_filled_for_one_interrupt() {
    let mut c = Card::running();
    let before = c.seen("interrupts");
    c.wire.ends().waiting.extend((0..3).map(|n| frame(MAC, 60, n)));
    c.news();
    assert_eq!(c.seen("interrupts"), before + 1);
    assert_eq!(c.seen("received"), 3);
    assert_eq!(status(&mut c), RI);
}

#[test]
fn a_frame_goes_on_in_further_buffers_and_descriptors() {
    let mut c = Card::running();
    c.stop();
    // A ring with gaps; 40 + 20 bytes each, 12 longwords skipped.
    c.w(0, 12 << 2);
    for i in 0..3 {
        let end = if i == 2 { END } else { 0 };
        let at = RX_BUFFERS + 0x100 * i;
        c.descriptor(RX + 64 * i, [OWN, 40 | 20 << 11 | end, at, at + 0x80]);
    }
    c.w(3, RX);
    c.w(6, SR);
    c.w(5, u32::MAX);
    let f = frame(MAC, 124, 1);
    c.comes(&f);
    let words: Vec<u32> = (0..3).map(|i| c.b.read32(RX + 64 * i)).collect();
    assert_eq!(words, [0x200, 0, 128 << 16 | 0x120]);
    let want = checked(&f);
    assert_eq!(c.bytes(RX_BUFFERS, 40), want[..40]);
    assert_eq!(c.bytes(RX_BUFFERS + 0x80, 20), want[40..60]);
    assert_eq!(c.bytes(RX_BUFFERS + 0x200, 8), want[120..]);
    assert_eq!(status(&mut c), RI | RU, "the next one is the first again, which is the host's");
}

#[test]
fn a_chain_needs_no_ring() {
    let mut c = Card::running();
    c.stop();
    c.descriptor(RX, [OWN, 64 | CHAIN | 99 << 11, RX_BUFFERS, RX + 0x400]);
    c.descriptor(RX + 0x400, [OWN, 64 | CHAIN, RX_BUFFERS + 0x800, RX]);
    c.w(3, RX);
    c.w(6, SR);
    c.comes(&frame(MAC, 60, 1));
    c.comes(&frame(MAC, 60, 2));
    assert_eq!((c.b.read32(RX) >> 31, c.b.read32(RX + 0x400) >> 31), (0, 0));
    assert_eq!(c.bytes(RX_BUFFERS + 0x800, 60), frame(MAC, 60, 2));
}

#[test]
fn without_a_descriptor_the_chip_suspends_and_a_demand_resumes_it() {
    let mut c = Card::running();
    for n in 0..6 {
        c.comes(&frame(MAC, 60, n));
    }
    assert_eq!(status(&mut c), RI | RU);
    assert_eq!(c.r(5) >> 17 & 7, 4);
    c.w(2, 0);
    c.news();
    assert_eq!(status(&mut c), 0, "told once");
    c.rx_ring(4);
    c.w(2, 0);
    assert_eq!(status(&mut c), RI);
    assert_eq!(c.r(5) >> 17 & 7, 3);
    assert_eq!(c.bytes(RX_BUFFERS, 60), frame(MAC, 60, 4), "nothing was lost");
    assert_eq!(c.bytes(RX_BUFFERS + 0x800, 60), frame(MAC, 60, 5));
    assert_eq!(c.r(8), 0xe000_0000);
}

#[test]
fn the_next_frame_resumes_it_too() {
    let mut c = Card::running();
    for n in 0..4 {
        c.comes(&frame(MAC, 60, n));
    }
    assert_eq!(status(&mut c), RI | RU);
    c.rx_ring(4);
    c.comes(&frame(MAC, 60, 9));
    assert_eq!(c.bytes(RX_BUFFERS, 60), frame(MAC, 60, 9));
}

#[test]
fn a_driver_that_only_refills_gets_what_waited() {
    let mut c = Card::running();
    for n in 0..5 {
        c.comes(&frame(MAC, 60, n));
    }
    c.rx_ring(4);
    c.b.advance(2 * MS);
    assert_eq!(c.bytes(RX_BUFFERS, 60), frame(MAC, 60, 4));
    assert_eq!(c.b.next_timer(), None, "nothing waits any more");
}

#[test]
fn what_waits_for_long_is_missed_and_counted_once() {
    let mut c = Card::running();
    for n in 0..6 {
        c.comes(&frame(MAC, 60, n));
    }
    c.b.advance(105 * MS);
    assert_eq!(c.r(8), 0xe000_0001);
    c.b.advance(110 * MS);
    assert_eq!(c.r(8), 0xe000_0001);
    assert_eq!(c.r(8), 0xe000_0000, "reading clears");
    assert_eq!(c.seen("missed"), 2);
    c.b.advance(10 * MS);
    assert_eq!(c.b.next_timer(), None);
}

#[test]
fn a_frame_without_room_for_all_of_it_is_cut() {
    let mut c = Card::running();
    c.stop();
    c.descriptor(RX, [OWN, 40, RX_BUFFERS, 0]);
    c.descriptor(RX + 16, [0, 40, RX_BUFFERS, 0]);
    c.w(3, RX);
    c.w(6, SR);
    c.w(5, u32::MAX);
    c.comes(&frame(MAC, 60, 1));
    assert_eq!(c.b.read32(RX), 0xc300, "DE, ES, LS, FS");
    assert_eq!(status(&mut c), RI | RU);
}

#[test]
fn while_it_is_stopped_frames_pass_by() {
    let mut c = Card::running();
    c.w(6, ST);
    c.b.advance(5_000);
    assert_eq!(status(&mut c) & RPS, RPS);
    c.comes(&frame(MAC, 60, 1));
    assert!(c.wire.ends().waiting.is_empty());
    c.w(6, SR | ST);
    assert_eq!(c.b.read32(RX), OWN);
    c.comes(&frame(MAC, 60, 2));
    assert_eq!(c.bytes(RX_BUFFERS, 60), frame(MAC, 60, 2), "where it had stopped");
}

#[test]
fn a_buffer_in_no_memory_is_a_fatal_bus_error() {
    let mut c = Card::running();
    c.descriptor(RX, [OWN, 1536, 0xe000_0000, 0]);
    c.comes(&frame(MAC, 60, 1));
    assert_eq!(c.r(5) >> 13 & 1, 1);
    assert_eq!(c.r(5) >> 17 & 0x3f, 0, "both are stopped");
}

#[test]
fn a_flood_is_taken_in_parts() {
    let mut c = Card::running();
    c.wire.ends().waiting.extend((0..10_000).map(|_| frame(OTHER, 60, 0)));
    c.news();
    assert_eq!(c.wire.ends().waiting.len(), 10_000 - 4096);
    c.b.advance(MS);
    assert!(c.wire.ends().waiting.is_empty());
}

#[test]
fn a_list_without_room_or_end_holds_nothing_up() {
    let mut c = Card::running();
    let rom = c.b.ram.allocate(0x1000, false);
    c.b.ram.place(rom, Some(0xd000_0000));
    let at = c.b.ram.extent(rom).start;
    for (i, w) in [OWN, CHAIN, 0, 0xd000_0000].iter().enumerate() {
        c.b.ram.arena().copy_in(at + 4 * i as u32, &w.to_le_bytes());
    }
    c.stop();
    c.w(3, 0xd000_0000);
    c.w(6, SR);
    c.w(5, u32::MAX);
    c.comes(&frame(MAC, 60, 1));
    assert_eq!(status(&mut c), RI);
    assert!(c.wire.ends().waiting.is_empty());
}
