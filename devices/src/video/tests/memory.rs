//! The processor's path to the planes, register by register.

use super::*;
use proptest::prelude::*;

/// Mode 12h with the linear window open, so that all four planes of a byte can be seen at once.
fn planar() -> Card {
    let mut c = Card::new();
    c.program(&MODE_12);
    c.unlock();
    c.cr(0x58, 0x13);
    c
}

/// Planes 0-3 at a planar address.
fn planes(c: &mut Card, at: u32) -> [u8; 4] {
    c.b.read32(LFB + at * 4).to_le_bytes()
}

fn set_planes(c: &mut Card, at: u32, v: [u8; 4]) {
    c.b.write32(LFB + at * 4, u32::from_le_bytes(v));
}

#[test]
fn the_map_mask_picks_planes() {
    let mut c = planar();
    c.sr(2, 0b0101);
    c.b.write8(0xa_0010, 0xa5);
    assert_eq!(planes(&mut c, 0x10), [0xa5, 0, 0xa5, 0]);
}

#[test]
fn set_reset_replaces_data_in_enabled_planes() {
    let mut c = planar();
    c.gr(0, 0b0010);
    c.gr(1, 0b0011);
    c.b.write8(0xa_0000, 0x3c);
    assert_eq!(planes(&mut c, 0), [0, 0xff, 0x3c, 0x3c]);
}

#[test]
fn the_bit_mask_keeps_latched_bits() {
    let mut c = planar();
    set_planes(&mut c, 5, [0x11, 0x22, 0x33, 0x44]);
    c.gr(8, 0x0f);
    c.b.read8(0xa_0005);
    c.b.write8(0xa_0005, 0xff);
    assert_eq!(planes(&mut c, 5), [0x1f, 0x2f, 0x3f, 0x4f]);
}

#[test]
fn logical_functions_combine_rotated_data_with_the_latches() {
    for (function, want) in [(0, 0x78u8), (1, 0x78 & 0x5a), (2, 0x78 | 0x5a), (3, 0x78 ^ 0x5a)] {
        let mut c = planar();
        set_planes(&mut c, 0, [0x5a; 4]);
        c.b.read8(0xa_0000);
        c.gr(3, function << 3 | 1);
        c.b.write8(0xa_0000, 0xf0);
        assert_eq!(planes(&mut c, 0), [want; 4], "function {function}");
    }
}

#[test]
fn write_mode_1_copies_latches() {
    let mut c = planar();
    set_planes(&mut c, 7, [1, 2, 3, 4]);
    c.gr(5, 1);
    c.gr(8, 0);
    c.b.read8(0xa_0007);
    c.b.write8(0xa_0100, 0xff);
    assert_eq!(planes(&mut c, 0x100), [1, 2, 3, 4]);
}

#[test]
fn write_mode_2_spreads_a_colour() {
    let mut c = planar();
    set_planes(&mut c, 0, [0xff; 4]);
    c.b.read8(0xa_0000);
    c.gr(5, 2);
    c.gr(8, 0x18);
    c.b.write8(0xa_0000, 0b1010);
    assert_eq!(planes(&mut c, 0), [0xe7, 0xff, 0xe7, 0xff]);
}

#[test]
fn write_mode_3_masks_with_the_data() {
    let mut c = planar();
    set_planes(&mut c, 0, [0x0f, 0xf0, 0, 0xff]);
    c.b.read8(0xa_0000);
    c.gr(5, 3);
    c.gr(0, 0b0110);
    c.gr(8, 0x3c);
    c.gr(3, 4);
    // c3h rotated by four is 3ch.
    c.b.write8(0xa_0000, 0xc3);
    assert_eq!(planes(&mut c, 0), [0x03, 0xfc, 0x3c, 0xc3]);
}

#[test]
fn read_mode_1_compares_colours() {
    let mut c = planar();
    // Dots, from the left: 0 1 2 3 4 5 6 15.
    set_planes(&mut c, 0, [0b0101_0101, 0b0011_0011, 0b0000_1111, 0b0000_0001]);
    c.gr(5, 8);
    c.gr(2, 5);
    c.gr(7, 0x0f);
    assert_eq!(c.b.read8(0xa_0000), 0b0000_0100);
    c.gr(7, 0x07);
    assert_eq!(c.b.read8(0xa_0000), 0b0000_0100, "15 without plane 3 is 7, not 5");
    c.gr(7, 0x05);
    assert_eq!(c.b.read8(0xa_0000), 0b0000_0101);
    c.gr(7, 0);
    assert_eq!(c.b.read8(0xa_0000), 0xff, "nothing compared is always equal");
}

#[test]
fn cr22_reads_the_latch_of_the_read_plane() {
    let mut c = planar();
    set_planes(&mut c, 3, [9, 8, 7, 6]);
    c.b.read8(0xa_0003);
    c.gr(4, 2);
    assert_eq!(c.read_cr(0x22), 7);
}

#[test]
fn cr24_shows_the_attribute_flip_flop() {
    let mut c = planar();
    c.b.in8(0x3da);
    assert_eq!(c.read_cr(0x24), 0);
    c.b.out8(0x3c0, 0x20);
    assert_eq!(c.read_cr(0x24), 0x80);
    c.b.in8(0x3da);
    assert_eq!(c.read_cr(0x24), 0);
}

#[test]
fn odd_even_pairs_planes() {
    let mut c = Card::new();
    c.program(&MODE_3);
    c.unlock();
    c.cr(0x58, 0x13);
    c.b.write16(0xb_8002, 0x1741);
    assert_eq!(planes(&mut c, 2), [0x41, 0x17, 0, 0]);
    assert_eq!(c.b.read16(0xb_8002), 0x1741);
}

#[test]
fn windows_are_where_gr06_says() {
    let mut c = Card::new();
    c.program(&MODE_3);
    for (map, at, other) in [
        (0, 0xa_0000, None),
        (0, 0xb_ffff, None),
        (1, 0xa_ffff, Some(0xb_0000)),
        (2, 0xb_7fff, Some(0xa_0000)),
        (3, 0xb_8000, Some(0xb_0000)),
    ] {
        c.gr(6, map << 2);
        c.b.write8(at, 0x5b);
        assert_eq!(c.b.read8(at), 0x5b, "map {map}");
        if let Some(other) = other {
            c.b.write8(other, 0x11);
            assert_eq!(c.b.read8(other), 0xff, "map {map}");
        }
    }
}

#[test]
fn chain_4_bytes_are_plain_memory_until_the_graphics_controller_is_needed() {
    let mut c = Card::new();
    c.program(&MODE_13);
    c.unlock();
    c.cr(0x58, 0x13);
    assert!(c.b.ram.resolve(0xa_0000).write.is_some(), "plain");
    c.b.write32(0xa_1230, 0x0403_0201);
    assert_eq!(planes(&mut c, 0x1230 / 4), [1, 2, 3, 4]);
    // A plane mask in chain-4 takes whole columns away: not plain any more.
    c.sr(2, 0b0111);
    assert!(c.b.ram.resolve(0xa_0000).write.is_none());
    c.b.write32(0xa_1230, 0x0807_0605);
    assert_eq!(planes(&mut c, 0x1230 / 4), [5, 6, 7, 4]);
    assert_eq!(c.b.read32(0xa_1230), 0x0407_0605);
    c.sr(2, 0x0f);
    assert!(c.b.ram.resolve(0xa_0000).write.is_some());
    // Leaving chain-4 too.
    c.sr(4, 6);
    assert!(c.b.ram.resolve(0xa_0000).write.is_none());
    c.sr(4, 0x0e);
    c.b.cfg_write(CONFIG, 4, Width::W, 1);
    assert!(c.b.ram.resolve(0xa_0000).write.is_none(), "memory decoding off");
}

#[test]
fn planar_addresses_wrap_at_64_kib_without_banks() {
    let mut c = planar();
    c.gr(6, 1);
    c.b.write8(0xb_0004, 0x42);
    assert_eq!(planes(&mut c, 4), [0x42; 4]);
}

#[test]
fn cr11_locks_the_horizontal_registers_but_line_compare() {
    let mut c = Card::new();
    c.program(&MODE_12);
    assert_eq!(c.read_cr(0x11), 0x8c);
    c.cr(0, 0x12);
    assert_eq!(c.read_cr(0), 0x5f);
    c.cr(7, 0x00);
    assert_eq!(c.read_cr(7), 0x2e);
    c.cr(0x11, 0x0c);
    c.cr(0, 0x12);
    assert_eq!(c.read_cr(0), 0x12);
}

#[test]
fn the_dac_steps_through_triples() {
    let mut c = Card::new();
    c.b.out8(0x3c8, 0xfe);
    for v in 1..=6 {
        c.b.out8(0x3c9, v | 0xc0);
    }
    assert_eq!(c.b.in8(0x3c8), 0);
    assert_eq!(c.b.in8(0x3c7), 0);
    c.b.out8(0x3c7, 0xfe);
    assert_eq!(c.b.in8(0x3c7), 3);
    assert_eq!([(); 6].map(|()| c.b.in8(0x3c9)), [1, 2, 3, 4, 5, 6]);
    // Two of three bytes leave the entry as it was.
    c.b.out8(0x3c8, 0xfe);
    c.b.out8(0x3c9, 9);
    c.b.out8(0x3c9, 9);
    c.b.out8(0x3c7, 0xfe);
    assert_eq!(c.b.in8(0x3c9), 1);
    // CR33 b4 locks it.
    c.unlock();
    c.cr(0x33, 0x10);
    c.dac(0xfe, [7, 7, 7]);
    c.b.out8(0x3c7, 0xfe);
    assert_eq!(c.b.in8(0x3c9), 1);
}

/// The graphics controller as the reference manual's block diagram has it, bit by bit.
fn reference(gr: &[u8; 9], latch: [u8; 4], byte: u8) -> [u8; 4] {
    std::array::from_fn(|plane| {
        let rotated = byte >> (gr[3] & 7) | byte.checked_shl(8 - u32::from(gr[3] & 7)).unwrap_or(0);
        (0..8).fold(0, |out, bit| {
            let old = latch[plane] >> bit & 1;
            let mode = gr[5] & 3;
            let set = gr[0] >> plane & 1;
            let data = match mode {
                0 if gr[1] >> plane & 1 == 1 => set,
                0 => rotated >> bit & 1,
                2 => byte >> plane & 1,
                _ => set,
            };
            let mixed = match gr[3] >> 3 & 3 {
                0 => data,
                1 => data & old,
                2 => data | old,
                _ => data ^ old,
            };
            let mask = if mode == 3 { gr[8] & rotated } else { gr[8] } >> bit & 1;
            let new = if mode == 1 || mask == 0 { old } else { mixed };
            out | new << bit
        })
    })
}

proptest! {
    #[test]
    fn every_write_is_what_the_block_diagram_says(
        gr in any::<[u8; 9]>(), latch in any::<[u8; 4]>(), before in any::<[u8; 4]>(), byte: u8, mask in 0u8..16,
    ) {
        let mut c = planar();
        for n in [0, 1, 3, 8] {
            c.gr(n, gr[usize::from(n)]);
        }
        c.gr(5, gr[5] & 3);
        c.sr(2, mask);
        set_planes(&mut c, 0, latch);
        set_planes(&mut c, 1, before);
        c.b.read8(0xa_0000);
        c.b.write8(0xa_0001, byte);
        let value = reference(&gr, latch, byte);
        let want = std::array::from_fn(|p| if mask >> p & 1 == 1 { value[p] } else { before[p] });
        prop_assert_eq!(planes(&mut c, 1), want);
    }
}
