use board::Width::{B, D, W};
use board::{Reset, testkit::Bench};

use super::{Ide, SECTORS, disk};
use crate::chipset::piix4::ide::{BM, CMD0, CMD1, CONFIG, CTL0, CTL1};

#[test]
fn identity_is_the_piix4_in_legacy_mode() {
    let mut i = Ide::one_disk();
    i.b.reset(Reset::PowerOn);
    let b = &mut i.b;
    assert_eq!(b.cfg_read(CONFIG, 0x00, D), 0x7111_8086);
    assert_eq!(b.cfg_read(CONFIG, 0x08, D), 0x0101_8001);
    assert_eq!(b.cfg_read(CONFIG, 0x04, D), 0x0280_0000);
    assert_eq!(b.cfg_read(CONFIG, 0x20, D), 1);
    assert_eq!(b.cfg_read(CONFIG, 0x3c, D), 0);
    assert_eq!(b.cfg_read(CONFIG, 0x54, D), 0, "no UDMA66 here");
}

#[test]
fn only_the_defined_bits_take_a_write() {
    let mut i = Ide::one_disk();
    let b: &mut Bench<_> = &mut i.b;
    b.cfg_write(CONFIG, 0x04, W, 0xffff);
    assert_eq!(b.cfg_read(CONFIG, 0x04, W), 5);
    for bar in [0x10, 0x14, 0x18, 0x1c, 0x24, 0x30] {
        b.cfg_write(CONFIG, bar, D, 0xffff_ffff);
        assert_eq!(b.cfg_read(CONFIG, bar, D), 0);
    }
    b.cfg_write(CONFIG, 0x20, D, 0xffff_ffff);
    assert_eq!(b.cfg_read(CONFIG, 0x20, D), 0xfff1);
    b.cfg_write(CONFIG, 0x4a, W, 0xffff);
    assert_eq!(b.cfg_read(CONFIG, 0x4a, W), 0x3333);
    b.cfg_write(CONFIG, 0x48, B, 0xff);
    assert_eq!(b.cfg_read(CONFIG, 0x48, B), 0x0f);
}

#[test]
fn legacy_ports_need_io_space_and_the_decode_bit_of_the_channel() {
    let mut i = Ide::one_disk();
    let b = &mut i.b;
    b.reset(Reset::Hard);
    assert_eq!(b.placed(CMD0), None);
    b.cfg_write(CONFIG, 0x04, W, 1);
    assert_eq!(b.placed(CMD0), None);
    b.cfg_write(CONFIG, 0x41, B, 0x80);
    assert_eq!((b.placed(CMD0), b.placed(CTL0)), (Some(0x1f0), Some(0x3f6)));
    assert_eq!((b.placed(CMD1), b.placed(CTL1)), (None, None));
    b.cfg_write(CONFIG, 0x43, B, 0x80);
    assert_eq!((b.placed(CMD1), b.placed(CTL1)), (Some(0x170), Some(0x376)));
    b.cfg_write(CONFIG, 0x04, W, 4);
    assert_eq!((b.placed(CMD0), b.placed(CTL1)), (None, None));
}

#[test]
fn the_bus_master_block_needs_io_space_and_bus_mastering() {
    let mut i = Ide::with([disk(SECTORS), None, None, None]);
    let b = &mut i.b;
    assert_eq!(b.placed(BM), Some(0xffa0));
    b.cfg_write(CONFIG, 0x04, W, 1);
    assert_eq!(b.placed(BM), None);
    b.cfg_write(CONFIG, 0x04, W, 5);
    b.cfg_write(CONFIG, 0x20, D, 0xc000);
    assert_eq!(b.placed(BM), Some(0xc000));
}
