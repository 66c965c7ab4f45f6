use board::testkit::Bench;
use board::{Decode, Dir, Dreq, IsaDma, Moved, Reset};

use super::*;

fn bench() -> Bench<I8237> {
    let mut b = Bench::new(|_| I8237::new());
    b.place(LOW, Decode::Pio(0));
    b.place(HIGH, Decode::Pio(0xc0));
    b.place(PAGE81, Decode::Pio(0x81));
    b.place(PAGE87, Decode::Pio(0x87));
    b.place(PAGE89, Decode::Pio(0x89));
    b.place(PAGE8F, Decode::Pio(0x8f));
    // As every BIOS does: channel 4 in cascade mode, unmasked.
    b.out8(0xd6, 0xc0);
    b.out8(0xd4, 0x00);
    b
}

/// Programs channel 2 as a floppy driver does.
fn program_2(b: &mut Bench<I8237>, mode: u8, at: u32, count: u16) {
    b.out8(0x0a, 0x06);
    b.out8(0x0c, 0);
    b.out8(0x0b, mode);
    b.out8(0x04, at as u8);
    b.out8(0x04, (at >> 8) as u8);
    b.out8(0x81, (at >> 16) as u8);
    b.out8(0x05, count as u8);
    b.out8(0x05, (count >> 8) as u8);
    b.out8(0x0a, 0x02);
}

fn transfer(b: &mut Bench<I8237>, dreq: u8, buf: &mut [u8], dir: Dir) -> Moved {
    let ram = b.ram.clone();
    b.dev.transfer(Dreq(dreq), &ram, buf, dir)
}

fn ram(b: &Bench<I8237>, at: u64, len: usize) -> Vec<u8> {
    let mut v = vec![0; len];
    b.ram.read(at, &mut v);
    v
}

#[test]
fn a_write_transfer_fills_memory_and_ends_at_terminal_count() {
    let mut b = bench();
    program_2(&mut b, 0x46, 0x1_2340, 3);
    assert_eq!(b.dev.left(Dreq(2)), Some(4));
    let m = transfer(&mut b, 2, &mut [1, 2, 3, 4, 5], Dir::ToMemory);
    assert_eq!(m, Moved { bytes: 4, terminal: true });
    assert_eq!(ram(&b, 0x1_2340, 5), [1, 2, 3, 4, 0]);
    assert_eq!(b.in8(0x08) & 0x0f, 0x04, "status: TC of channel 2");
    assert_eq!(b.in8(0x08) & 0x0f, 0, "reading status clears it");
    assert_eq!(b.in8(0x0f) & 0x0f, 0x0f, "masked again without autoinitialise");
    assert_eq!(b.dev.left(Dreq(2)), None);
}

#[test]
fn autoinitialise_reloads_and_stays_unmasked() {
    let mut b = bench();
    program_2(&mut b, 0x56, 0x2000, 1);
    transfer(&mut b, 2, &mut [1, 2], Dir::ToMemory);
    let m = transfer(&mut b, 2, &mut [3], Dir::ToMemory);
    assert_eq!(m, Moved { bytes: 1, terminal: false });
    assert_eq!(ram(&b, 0x2000, 2), [3, 2]);
}

#[test]
fn the_address_wraps_within_its_page() {
    let mut b = bench();
    program_2(&mut b, 0x46, 0x3_ffff, 1);
    transfer(&mut b, 2, &mut [0xaa, 0xbb], Dir::ToMemory);
    assert_eq!(ram(&b, 0x3_ffff, 1), [0xaa]);
    assert_eq!(ram(&b, 0x3_0000, 1), [0xbb]);
}

#[test]
fn decrement_walks_down_and_read_transfers_give_memory() {
    let mut b = bench();
    b.ram.write(0x5000, &[7, 8]);
    program_2(&mut b, 0x6a, 0x5001, 1);
    let mut buf = [0; 2];
    let m = transfer(&mut b, 2, &mut buf, Dir::FromMemory);
    assert!(m.terminal);
    assert_eq!(buf, [8, 7]);
}

#[test]
fn the_wrong_direction_moves_nothing() {
    let mut b = bench();
    program_2(&mut b, 0x46, 0x5000, 1);
    assert_eq!(transfer(&mut b, 2, &mut [0; 2], Dir::FromMemory), Moved::default());
}

#[test]
fn verify_counts_without_touching_memory() {
    let mut b = bench();
    program_2(&mut b, 0x42, 0x5000, 1);
    let m = transfer(&mut b, 2, &mut [9, 9], Dir::ToMemory);
    assert_eq!(m, Moved { bytes: 2, terminal: true });
    assert_eq!(ram(&b, 0x5000, 2), [0, 0]);
}

#[test]
fn word_channels_shift_their_address() {
    let mut b = bench();
    b.out8(0xd4, 0x05);
    b.out8(0xd8, 0);
    b.out8(0xd6, 0x45);
    // Words at 20100h: counter = 0080h, page 02h (bit 0 unused: 03h means the same).
    b.out8(0xc4, 0x80);
    b.out8(0xc4, 0x00);
    b.out8(0x8b, 0x03);
    b.out8(0xc6, 1);
    b.out8(0xc6, 0);
    b.out8(0xd4, 0x01);
    assert_eq!(b.dev.left(Dreq(5)), Some(4));
    let m = transfer(&mut b, 5, &mut [1, 2, 3, 4], Dir::ToMemory);
    assert_eq!(m, Moved { bytes: 4, terminal: true });
    assert_eq!(ram(&b, 0x2_0100, 4), [1, 2, 3, 4]);
}

#[test]
fn the_flip_flop_gives_low_then_high_and_clears() {
    let mut b = bench();
    program_2(&mut b, 0x46, 0x1234, 0x4321);
    b.out8(0x0c, 0);
    assert_eq!((b.in8(0x04), b.in8(0x04)), (0x34, 0x12));
    assert_eq!(b.in8(0x05), 0x21);
    b.out8(0x0c, 0);
    assert_eq!(b.in8(0x05), 0x21);
}

#[test]
fn masked_disabled_or_uncascaded_channels_hold_still() {
    let mut b = bench();
    program_2(&mut b, 0x46, 0x5000, 9);
    b.out8(0x0a, 0x06);
    assert_eq!(b.dev.left(Dreq(2)), None);
    b.out8(0x0e, 0);
    assert_eq!(b.dev.left(Dreq(2)), Some(10));
    b.out8(0x08, 0x04);
    assert_eq!(b.dev.left(Dreq(2)), None, "controller disable");
    b.out8(0x08, 0x00);
    b.out8(0xd4, 0x04);
    assert_eq!(b.dev.left(Dreq(2)), None, "the cascade channel is masked");
}

#[test]
fn master_clear_masks_everything() {
    let mut b = bench();
    b.out8(0x0e, 0);
    b.out8(0x0d, 0);
    assert_eq!(b.in8(0x0f) & 0x0f, 0x0f);
}

#[test]
fn state_survives_saving_and_page_registers_read_back() {
    let mut b = bench();
    program_2(&mut b, 0x56, 0xab_1234, 0x10);
    b.out8(0x8f, 0x5a);
    b.save_and_load();
    assert_eq!(b.in8(0x81), 0xab);
    assert_eq!(b.in8(0x8f), 0x5a);
    assert_eq!(b.dev.left(Dreq(2)), Some(0x11));
    b.reset(Reset::Hard);
    assert_eq!(b.dev.left(Dreq(2)), None);
}
