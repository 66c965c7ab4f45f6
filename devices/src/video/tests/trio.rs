//! Identity, locks, windows, banks, interrupt, saved state.

use super::*;
use crate::video::s3trio64::{APERTURE, COLOUR, MEMORY, MONO, VGA};
use board::{HostEvent, Reset, SECOND};
use proptest::prelude::*;

#[test]
fn configuration_space_is_a_trio64_with_virtual_pcs_window() {
    let mut c = Card::cold();
    assert_eq!(c.b.cfg_read(CONFIG, 0, Width::D), 0x8811_5333);
    assert_eq!(c.b.cfg_read(CONFIG, 8, Width::D), 0x0300_0000);
    assert_eq!(c.b.cfg_read(CONFIG, 4, Width::D), 0);
    for bar in 0..6 {
        c.b.cfg_write(CONFIG, 0x10 + 4 * bar, Width::D, u32::MAX);
        let want = if bar == 0 { 0xfc00_0000 } else { 0 };
        assert_eq!(c.b.cfg_read(CONFIG, 0x10 + 4 * bar, Width::D), want, "BAR {bar}");
    }
    c.b.cfg_write(CONFIG, 0x30, Width::D, u32::MAX);
    assert_eq!(c.b.cfg_read(CONFIG, 0x30, Width::D), 0);
    assert_eq!(c.b.cfg_read(CONFIG, 0x3d, Width::B), 1);
}

#[test]
fn command_bits_put_ports_and_memory_on_the_bus() {
    let mut c = Card::cold();
    assert_eq!((c.b.placed(VGA), c.b.placed(MEMORY), c.b.placed(APERTURE)), (None, None, None));
    c.b.cfg_write(CONFIG, 0x10, Width::D, LFB);
    c.b.cfg_write(CONFIG, 4, Width::W, 1);
    assert_eq!((c.b.placed(VGA), c.b.placed(MEMORY)), (Some(0x3c0), None));
    c.b.cfg_write(CONFIG, 4, Width::W, 3);
    // Memory waits for MISC b1 as well.
    assert_eq!((c.b.placed(MEMORY), c.b.placed(APERTURE)), (None, Some(LFB)));
    c.b.out8(0x3c2, 2);
    assert_eq!(c.b.placed(MEMORY), Some(0xa_0000));
    c.b.reset(Reset::Hard);
    assert_eq!((c.b.placed(VGA), c.b.placed(MEMORY), c.b.placed(APERTURE)), (None, None, None));
}

#[test]
fn the_crtc_moves_with_misc_bit_0() {
    let mut c = Card::new();
    c.cr(0x0e, 0x12);
    c.b.out8(0x3c2, 0x62);
    assert_eq!(c.b.in8(0x3d5), 0xff);
    c.b.out8(0x3b4, 0x0e);
    assert_eq!(c.b.in8(0x3b5), 0x12);
    assert_eq!((c.b.placed(MONO), c.b.placed(COLOUR)), (Some(0x3b0), None));
    c.b.out8(0x3c2, 0x63);
    assert_eq!((c.b.placed(MONO), c.b.placed(COLOUR)), (None, Some(0x3d0)));
    // What systems look for at the other range is no unknown register of this chip: Linux reads an ISA PnP card's
    // identification at 3B3h, 144 times.
    let before = c.b.unknowns();
    assert_eq!((c.b.in8(0x3b3), c.b.in8(0x3b5)), (0xff, 0xff));
    assert_eq!(c.b.unknowns(), before);
}

#[test]
fn s3fb_and_vgadoc_recognise_the_chip() {
    let mut c = Card::new();
    c.unlock();
    assert_eq!([0x2d, 0x2e, 0x2f, 0x30].map(|n| c.read_cr(n)), [0x88, 0x11, 0x00, 0xe1]);
    c.cr(0x30, 0);
    assert_eq!(c.read_cr(0x30), 0xe1);
    assert_eq!(c.read_cr(0x36) >> 5, 0, "4 MiB");
    // VGADOC's probe: CR35 is fixed while locked, and not while open.
    c.cr(0x38, 0);
    c.cr(0x35, 0x0f);
    assert_eq!(c.read_cr(0x35), 0);
    c.cr(0x38, 0x48);
    c.cr(0x35, 0x0f);
    assert_eq!(c.read_cr(0x35), 0x0f);
}

#[test]
fn locks_hold_writes_and_straps_want_a5h() {
    let mut c = Card::new();
    c.cr(0x39, 0xa0);
    c.cr(0x40, 0x31);
    assert_eq!(c.read_cr(0x40), 0x31);
    let strap = c.read_cr(0x36);
    c.cr(0x38, 0x48);
    c.cr(0x36, 0);
    assert_eq!(c.read_cr(0x36), strap);
    c.cr(0x39, 0xa5);
    c.cr(0x36, 0x82);
    assert_eq!(c.read_cr(0x36), 0x82);
    c.cr(0x39, 0x5a);
    c.cr(0x40, 0x30);
    assert_eq!(c.read_cr(0x40), 0x31);
    assert_eq!(c.read_sr(0x10), 0, "locked");
    c.sr(8, 6);
    assert_eq!((c.read_sr(0x10), c.read_sr(0x11)), (0x42, 0x3b));
    c.sr(0x12, 0x41);
    c.sr(8, 0);
    assert_eq!(c.read_sr(0x12), 0);
    c.sr(8, 6);
    assert_eq!(c.read_sr(0x12), 0x41);
}

#[test]
fn bar0_and_cr59_are_one_latch() {
    let mut c = Card::new();
    c.unlock();
    assert_eq!((c.read_cr(0x59), c.read_cr(0x5a)), (0xe0, 0));
    c.cr(0x59, 0xd8);
    assert_eq!(c.b.cfg_read(CONFIG, 0x10, Width::D), 0xd800_0000);
    c.cr(0x58, 0x13);
    c.b.write32(0xd800_0000, 0x1234_5678);
    assert_eq!(c.b.read32(0xd800_0000), 0x1234_5678);
    // XFree86 writes back what it read: the window stays.
    c.cr(0x59, 0xd8);
    c.cr(0x5a, 0x00);
    assert_eq!(c.b.read32(0xd800_0000), 0x1234_5678);
}

#[test]
fn the_linear_window_opens_by_cr58_or_advfunc_and_closes_with_the_command() {
    let mut c = Card::new();
    c.unlock();
    let slot = c.b.dev.slot();
    assert_eq!(c.b.ram.placed(slot), None);
    assert_eq!(c.b.read32(LFB), u32::MAX);
    c.cr(0x58, 0x13);
    assert_eq!(c.b.ram.placed(slot), Some(LFB));
    c.b.out8(0x4ae8, 0x10);
    c.cr(0x58, 0x03);
    assert_eq!(c.b.ram.placed(slot), Some(LFB));
    assert_eq!(c.b.in16(0x4ae8), 0x0010);
    c.b.out8(0x4ae8, 0);
    assert_eq!(c.b.ram.placed(slot), None);
    c.cr(0x58, 0x10);
    assert_eq!(c.b.ram.placed(slot), Some(LFB));
    // Sizing the BAR with memory off maps nothing.
    c.b.cfg_write(CONFIG, 4, Width::W, 0);
    c.b.cfg_write(CONFIG, 0x10, Width::D, u32::MAX);
    assert_eq!(c.b.ram.placed(slot), None);
    c.b.cfg_write(CONFIG, 0x10, Width::D, 0);
    c.b.cfg_write(CONFIG, 4, Width::W, 3);
    assert_eq!(c.b.ram.placed(slot), None, "never at 0");
    // Beyond video memory the window reads ones.
    c.b.cfg_write(CONFIG, 0x10, Width::D, LFB);
    assert_eq!(c.b.read32(LFB + (4 << 20)), u32::MAX);
}

#[test]
fn the_linear_window_stays_inside_bar0() {
    let mut c = Card::new();
    c.unlock();
    c.cr(0x59, 0xe3);
    c.cr(0x5a, 0xff);
    c.cr(0x58, 0x10);
    assert_eq!(c.b.ram.placed(c.b.dev.slot()), Some(LFB + (60 << 20)));
}

/// The byte of video memory that A0000h reads.
fn first_byte(c: &mut Card) -> u8 {
    c.b.read8(0xa_0000)
}

#[test]
fn banks_come_from_cr6a_or_from_cr35_and_cr51() {
    let mut c = Card::new();
    linear_mode(&mut c, 640, 480, 8);
    for bank in 0..64u32 {
        c.b.write8(LFB + bank * 0x1_0000, bank as u8 + 1);
    }
    assert_eq!(first_byte(&mut c), 1);
    c.cr(0x6a, 37);
    assert_eq!(first_byte(&mut c), 38);
    c.cr(0x35, 5);
    assert_eq!(first_byte(&mut c), 6, "the last one written counts");
    c.cr(0x51, 0x04);
    assert_eq!(first_byte(&mut c), 22);
    c.cr(0x6a, 63);
    assert_eq!(first_byte(&mut c), 64);
    c.cr(0x6a, 0);
    assert_eq!(first_byte(&mut c), 22, "0 gives way to the old bits");
    // Written through the window, seen in the linear window.
    c.b.write32(0xa_fffc, 0xcafe_f00d);
    assert_eq!(c.b.read32(LFB + 22 * 0x1_0000 - 4), 0xcafe_f00d);
    c.cr(0x31, 0x8c);
    assert_eq!(first_byte(&mut c), 1, "no banks without CR31 b0");
}

use super::golden::linear_mode;

#[test]
fn a_bank_beyond_video_memory_reads_ones() {
    let mut c = Card::new();
    linear_mode(&mut c, 640, 480, 8);
    c.cr(0x6a, 64);
    c.b.write8(0xa_0000, 0x55);
    assert_eq!(first_byte(&mut c), 0xff);
    assert_eq!(c.b.read8(LFB), 0);
}

#[test]
fn planar_banks_move_by_16_kib_of_each_plane() {
    let mut c = Card::new();
    c.program(&MODE_12);
    c.unlock();
    c.cr(0x31, 0x05);
    c.cr(0x58, 0x13);
    c.cr(0x6a, 4);
    c.sr(2, 2);
    c.b.write8(0xa_0003, 0x99);
    assert_eq!(c.b.read32(LFB + 4 * (4 * 0x4000 + 3)), 0x9900);
}

#[test]
fn retrace_and_display_enable_follow_the_programmed_raster() {
    let mut c = Card::new();
    c.program(&MODE_12);
    // 800 dots by 525 lines at 25.175 MHz: 59.94 Hz, two lines of retrace, 480 of 525 lines shown.
    let (mut edges, mut retrace, mut shown, mut was) = (0, 0, 0, false);
    let (step, steps) = (1_003, 1_000_000);
    for _ in 0..steps {
        let s = c.b.in8(0x3da);
        retrace += u32::from(s & 8 != 0);
        shown += u32::from(s & 1 == 0);
        edges += u32::from(s & 8 != 0 && !was);
        was = s & 8 != 0;
        c.b.advance(step);
    }
    assert!((59..=61).contains(&edges), "{edges} retraces in {} ms", step * steps / 1_000_000);
    let share = |n: u32| f64::from(n) / steps as f64;
    assert!((0.0030..0.0050).contains(&share(retrace)), "retrace {}", share(retrace));
    // 640 of 800 dots in 480 of 525 lines.
    assert!((0.71..0.75).contains(&share(shown)), "shown {}", share(shown));
}

#[test]
fn a_nonsense_raster_still_retraces() {
    let mut c = Card::new();
    for n in 0..0x19 {
        c.cr(n, 0xff);
    }
    c.cr(0x11, 0);
    for v in [0, 0xff] {
        for n in [0, 1, 6, 7, 0x10, 0x12] {
            c.cr(n, v);
        }
        let mut seen = [false; 2];
        for _ in 0..200_000 {
            seen[usize::from(c.b.in8(0x3da) >> 3 & 1)] = true;
            c.b.advance(500);
        }
        assert_eq!(seen, [true, true]);
    }
}

#[test]
fn vertical_retrace_interrupts_once_for_each_clearing() {
    let mut c = Card::new();
    c.program(&MODE_3);
    c.unlock();
    c.cr(0x11, 0x0e);
    c.b.advance(SECOND / 10);
    assert!(!c.b.level(c.inta), "CR32 b4 is off");
    c.cr(0x32, 0x10);
    c.cr(0x11, 0x0e);
    c.cr(0x11, 0x1e);
    assert!(!c.b.level(c.inta));
    c.b.advance(SECOND / 60);
    assert!(c.b.level(c.inta));
    assert_eq!(c.b.in8(0x3c2) & 0x80, 0x80);
    c.cr(0x11, 0x0e);
    assert!(!c.b.level(c.inta));
    assert_eq!(c.b.in8(0x3c2) & 0x80, 0);
    c.cr(0x11, 0x1e);
    c.b.advance(SECOND / 60);
    assert!(c.b.level(c.inta));
    c.cr(0x11, 0x3e);
    assert!(!c.b.level(c.inta), "disabled");
}

#[test]
fn nothing_is_drawn_while_nobody_looks_and_all_on_a_redraw() {
    let mut c = Card::new();
    c.program(&MODE_3);
    c.seen.lock().unwrap().wanted = false;
    c.b.advance(2 * SECOND);
    c.pushed();
    c.b.write8(0xb_8000, 1);
    c.b.advance(2 * SECOND);
    assert_eq!(c.pushed(), Vec::<u32>::new());
    // And the chip hardly wakes up for it.
    let next = c.b.next_timer().unwrap();
    c.b.advance(next - c.b.now());
    assert_eq!(c.b.next_timer(), Some(next + SECOND / 2));
    c.b.host(HostEvent::Redraw);
    assert_eq!(c.pushed(), (0..400).collect::<Vec<_>>());
}

#[test]
fn state_survives() {
    let mut c = Card::new();
    linear_mode(&mut c, 800, 600, 16);
    test_palette(&mut c);
    c.cr(0x6a, 9);
    for n in 0..480_000u32 / 4 {
        c.b.write32(LFB + n * 4, n.wrapping_mul(0x9e37_79b9));
    }
    c.b.out8(0x3c8, 7);
    c.b.out8(0x3c9, 1);
    let before = c.picture();
    c.b.write8(0xa_0001, 0x77);
    c.b.save_and_load();
    assert_eq!(c.b.placed(MEMORY), Some(0xa_0000));
    assert_eq!(c.b.ram.placed(c.b.dev.slot()), Some(LFB));
    assert_eq!(c.b.read8(0xa_0001), 0x77);
    assert_eq!(c.b.read8(LFB + 0x9_0001), 0x77);
    c.b.write8(0xa_0001, before_byte(0x9_0001));
    assert!(c.picture() == before);
    // In the middle of a DAC triple.
    c.b.out8(0x3c9, 2);
    c.b.out8(0x3c9, 3);
    c.b.out8(0x3c7, 7);
    assert_eq!([(); 3].map(|()| c.b.in8(0x3c9)), [1, 2, 3]);
}

/// What `state_survives` wrote at this byte.
fn before_byte(at: u32) -> u8 {
    if at < 480_000 { ((at / 4).wrapping_mul(0x9e37_79b9) >> (8 * (at % 4))) as u8 } else { 0 }
}

#[test]
fn unknown_indices_are_open_bus_and_counted() {
    let mut c = Card::new();
    let before = c.b.unknowns();
    c.b.out8(0x3ce, 0x0c);
    assert_eq!(c.b.in8(0x3cf), 0xff);
    c.sr(0x20, 1);
    assert_eq!(c.b.unknowns(), before + 2);
}

/// Linux's vgastate saves CR00-CR6F and SR00-SR1F, whatever is there.
#[test]
fn a_driver_may_save_and_restore_all_indices() {
    let mut c = Card::new();
    c.unlock();
    let crtc: Vec<u8> = (0..0x70).map(|n| c.read_cr(n)).collect();
    let seq: Vec<u8> = (0..0x20).map(|n| c.read_sr(n)).collect();
    assert_eq!((crtc[0x1c], crtc[0x2b], seq[0x1e]), (0xff, 0xff, 0xff), "nothing is there");
    for (n, v) in (0..).zip(&crtc) {
        c.cr(n, *v);
    }
    for (n, v) in (0..).zip(&seq) {
        c.sr(n, *v);
    }
    assert_eq!(c.b.unknowns(), 0);
}

#[test]
fn locks_of_timing_clock_dots_and_colours() {
    let mut c = Card::new();
    c.program(&MODE_12);
    c.unlock();
    c.cr(0x11, 0x0c);
    let vertical =
        [(0x06, 0xff), (0x07, 0xad), (0x09, 0x20), (0x10, 0xff), (0x11, 0x0f), (0x15, 0xff), (0x16, 0xff)];
    let horizontal = [(0u8, 0xff), (1, 0xff), (2, 0xff), (3, 0xff), (4, 0xff), (5, 0xff), (0x17, 0x04)];
    for (lock, held) in [(0x10, vertical), (0x20, horizontal)] {
        c.cr(0x35, lock);
        for (n, bits) in held {
            let old = c.read_cr(n);
            c.cr(n, !old);
            assert_eq!(c.read_cr(n), old & bits | !old & !bits, "CR{n:02X}");
            c.cr(0x35, 0);
            c.cr(n, old);
            c.cr(0x35, lock);
        }
    }
    c.cr(0x35, 0);
    // CR11 b7 holds CR07, but for what CR33 b1 frees.
    c.cr(0x11, 0x8c);
    let old = c.read_cr(7);
    c.cr(7, !old);
    assert_eq!(c.read_cr(7), old ^ 0x10);
    c.cr(0x33, 2);
    c.cr(7, !old);
    assert_eq!(c.read_cr(7), old ^ 0x52);
    c.cr(0x33, 0);
    // CR34 b7: MISC b3-2; b5: SR01 b0.
    c.cr(0x34, 0xa0);
    c.b.out8(0x3c2, 0x6f);
    assert_eq!(c.b.in8(0x3cc), 0x63);
    let old = c.read_sr(1);
    c.sr(1, !old);
    assert_eq!(c.read_sr(1), !old ^ 1);
    c.cr(0x34, 0);
    // CR33 b6: palette and overscan, and the flip-flop goes on.
    let attr = |c: &mut Card, n: u8| {
        c.b.in8(0x3da);
        c.b.out8(0x3c0, n | 0x20);
        c.b.in8(0x3c1)
    };
    c.ar(1, 0x11);
    c.cr(0x33, 0x40);
    c.ar(1, 0x22);
    c.ar(0x11, 0x22);
    c.ar(0x12, 0x05);
    assert_eq!([1, 0x11, 0x12].map(|n| attr(&mut c, n)), [0x11, 0x00, 0x05]);
}

/// An underline that moves changes the picture, though no cell does.
#[test]
fn a_moved_underline_is_drawn() {
    let mut c = Card::new();
    c.program(&MODE_3);
    test_palette(&mut c);
    c.unlock();
    c.cr(0x11, 0);
    c.b.write32(0xb_8000, 0x0141_0141);
    let (.., before) = c.picture();
    c.cr(0x14, 5);
    let (.., after) = c.picture();
    assert!(before != after, "the same picture");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// No sequence of guest accesses stops the chip, and it draws whatever comes out.
    #[test]
    fn any_accesses_leave_a_chip_that_draws(ops in prop::collection::vec((0u8..8, any::<u16>(), any::<u32>()), 1..400)) {
        let mut c = Card::new();
        c.unlock();
        for (op, a, v) in ops {
            match op {
                0 => c.b.out8(0x3b0 + a % 48, v as u8),
                1 => { c.b.in8(0x3b0 + a % 48); }
                2 => c.cr(a as u8, v as u8),
                3 => c.sr(a as u8 & 31, v as u8),
                4 => c.gr(a as u8 & 15, v as u8),
                5 => c.b.write32(0xa_0000 + u32::from(a), v),
                6 => { c.b.read16(0xa_0000 + u32::from(a)); }
                _ => c.b.cfg_write(CONFIG, a as u8 & 0x3f & !3, Width::D, v),
            }
        }
        c.b.cfg_write(CONFIG, 4, Width::W, 3);
        c.b.out8(0x3c2, 0x63);
        c.sr(0, 3);
        c.ar(0x11, 0);
        c.b.host(HostEvent::Redraw);
        c.b.save_and_load();
    }

    /// Whatever a guest changes, lines that were not pushed again look as before: the viewer has the whole picture.
    #[test]
    fn refreshes_leave_nothing_behind(
        mode in 0usize..8,
        ops in prop::collection::vec((0u8..12, any::<u32>(), any::<u8>(), 0u64..40), 1..60),
    ) {
        let mut c = Card::new();
        match mode {
            6 => linear_mode(&mut c, 640, 480, 8),
            7 => linear_mode(&mut c, 640, 400, 16),
            n => c.program(&[MODE_3, MODE_4, MODE_6, MODE_12, MODE_13, mode_x()][n]),
        }
        test_palette(&mut c);
        c.unlock();
        c.cr(0x58, 0x13);
        c.cr(0x11, 0);
        for (op, at, v, wait) in ops {
            match op {
                0..=4 => c.b.write32(0xa_0000 + at % 0x2_0000 / 4 * 4, u32::from(v).wrapping_mul(0x0123_4567)),
                5 | 6 => c.b.write32(LFB + at % 0x10_0000 / 4 * 4, u32::from(v).wrapping_mul(0x0123_4567)),
                7 => c.cr([0x0c, 0x0d, 0x13, 0x08, 0x18, 0x0e, 0x0f, 0x0a, 0x0b][at as usize % 9], v),
                8 => c.cr([0x07, 0x09, 0x14, 0x69, 0x51][at as usize % 5], v),
                9 => c.ar([0x10, 0x12, 0x13, 0x14, at as u8 & 15][at as usize % 5], v),
                10 => c.dac(at as u8, [v, v >> 1, v >> 2]),
                _ => c.sr([2, 3][at as usize % 2], v),
            }
            if wait < 8 {
                c.b.advance(wait * 10 * board::MILLISECOND);
                c.picture();
            }
        }
        c.picture();
    }
}
