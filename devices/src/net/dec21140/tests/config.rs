use board::Width::{B, D, W};
use board::testkit::Bench;
use board::{Reset, Route};

use super::{Card, IO, MAC, MEMORY, Wire};
use crate::net::dec21140::{CONFIG, Dec21140, IO as IO_WIN, MEMORY as MEMORY_WIN, Place};

#[test]
fn the_device_is_the_one_that_virtual_pc_shows() {
    let mut c = Card::new();
    c.b.reset(Reset::PowerOn);
    let b = &mut c.b;
    assert_eq!(b.cfg_read(CONFIG, 0x00, D), 0x0009_1011);
    assert_eq!(b.cfg_read(CONFIG, 0x08, D), 0x0200_0020);
    assert_eq!(b.cfg_read(CONFIG, 0x04, D), 0x0280_0000);
    assert_eq!(b.cfg_read(CONFIG, 0x2c, D), 0x2114_0a00);
    assert_eq!(b.cfg_read(CONFIG, 0x3c, D), 0x2814_0100);
    assert_eq!(b.cfg_read(CONFIG, 0x0e, B), 0);
    assert_eq!(b.cfg_read(CONFIG, 0x30, D), 0, "no boot ROM");
}

#[test]
fn both_blocks_of_registers_have_128_bytes() {
    let mut c = Card::new();
    for (bar, fixed) in [(0x10, 1), (0x14, 0)] {
        c.b.cfg_write(CONFIG, bar, D, u32::MAX);
        assert_eq!(c.b.cfg_read(CONFIG, bar, D), 0xffff_ff80 | fixed);
    }
    for bar in [0x18, 0x1c, 0x20, 0x24] {
        c.b.cfg_write(CONFIG, bar, D, u32::MAX);
        assert_eq!(c.b.cfg_read(CONFIG, bar, D), 0);
    }
}

#[test]
fn ports_and_memory_show_the_same_registers() {
    let mut c = Card::new();
    c.w(7, 0x1234);
    c.b.write32(MEMORY + 0x18, 0x1_0000);
    assert_eq!(c.b.read32(MEMORY + 0x38), 0xfffe_0224);
    assert_eq!(c.r(3), 0x1_0000);
    c.b.cfg_write(CONFIG, 0x04, W, 2);
    assert_eq!((c.b.placed(IO_WIN), c.b.placed(MEMORY_WIN)), (None, Some(MEMORY)));
    c.b.cfg_write(CONFIG, 0x04, W, 1);
    assert_eq!((c.b.placed(IO_WIN), c.b.placed(MEMORY_WIN)), (Some(u32::from(IO)), None));
}

#[test]
fn functions_have_pins_and_subsystems_of_their_own() {
    for func in 0..4 {
        let place = Place { name: "dec21140-0", func, many: true };
        let mut b =
            Bench::new(|l| Dec21140::new(place, MAC, l.connect(Route::Pirq(0)), Box::new(Wire::default())));
        assert_eq!(b.cfg_read(CONFIG, 0x2c, D), 0x2114_0a00 + u32::from(func));
        assert_eq!(b.cfg_read(CONFIG, 0x3d, B), u32::from(func) + 1);
        assert_eq!(b.cfg_read(CONFIG, 0x0e, B), 0x80);
    }
}

#[test]
fn a_driver_wakes_the_chip_and_keeps_a_byte_there() {
    let mut c = Card::new();
    c.b.cfg_write(CONFIG, 0x40, D, 0xffff_ffff);
    assert_eq!(c.b.cfg_read(CONFIG, 0x40, D), 0xc000_ff00);
    c.b.cfg_write(CONFIG, 0x40, D, 0);
    assert_eq!(c.r(5) & 0x03ff_ffff, 0);
}
