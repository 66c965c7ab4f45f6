use board::{DiskOp, HostJob};

use super::{BMBA, IRQ14, Ide, P, SECTORS, disk, pattern};

fn text(words: &[u16]) -> String {
    let b: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
    String::from_utf8(b).unwrap()
}

#[test]
fn identify_words() {
    let mut i = Ide::one_disk();
    let id = i.identify(P, 0xec);
    assert_eq!(id[0], 0x045a);
    assert_eq!((id[1], id[3], id[6]), (4, 16, 63));
    assert_eq!(text(&id[10..20]), format!("{:20}", "HL-0001"));
    assert_eq!(text(&id[27..47]), format!("{:40}", "Virtual HD"));
    assert_eq!(text(&id[23..27]), format!("{:8}", "1.1.0"));
    assert_eq!((id[47], id[49], id[53], id[59]), (0x8080, 0x0f00, 7, 0));
    assert_eq!(id[48], 0, "Linux would look for a security log");
    assert_eq!((id[60], id[61]), (SECTORS as u16, 0));
    assert_eq!((id[63], id[88]), (0x0007, 0x0407));
    assert_eq!(id[83] & 0xc000, 0x4000, "the command set words are valid");
    assert_eq!((id[83], id[86]), (0x7400, 0x3400), "48-bit, FLUSH CACHE (EXT); no host protected area");
    assert_eq!(id[100..104], [SECTORS as u16, 0, 0, 0]);
    assert_eq!(id[82] & 0x0402, 0);
    assert_eq!(id[87] & 0xc000, 0x4000);
    assert_eq!(i.in8(P + 7), 0x50);
    assert!(!i.irq(IRQ14));
}

#[test]
fn capacity_ends_at_28_bits() {
    let mut i = Ide::with([disk(0x2000_0000), None, None, None]);
    let id = i.identify(P, 0xec);
    assert_eq!((id[60], id[61]), (0xffff, 0x0fff));
    assert_eq!(id[100..104], [0xffff, 0x0fff, 0, 0], "48-bit commands reach no further");
    assert_eq!((id[1], id[3], id[6]), (16383, 16, 63));
}

#[test]
fn pio_read_interrupts_once_a_sector_and_not_after_the_last_word() {
    let mut i = Ide::one_disk();
    i.lba_command(P, 100, 3, 0x20);
    for s in 0..3_usize {
        assert!(i.irq(IRQ14), "sector {s}");
        assert_eq!(i.in8(P + 7), 0x58);
        assert!(!i.irq(IRQ14), "status takes INTRQ back");
        let got = i.read_words(P, 256);
        assert_eq!(got, pattern(103)[(100 + s) * 512..][..512]);
    }
    assert!(!i.irq(IRQ14));
    assert_eq!(i.in8(P + 7), 0x50);
    assert_eq!((i.in8(P + 2), i.in8(P + 3)), (0, 102));
    assert_eq!(i.log.len(), 1, "one host job for the command");
}

#[test]
fn data_port_takes_32_bits_and_single_bytes() {
    let mut i = Ide::one_disk();
    i.lba_command(P, 1, 1, 0x20);
    assert_eq!(i.b.in32(P), 0x100);
    assert_eq!(i.b.in8(P), 0x01);
    assert_eq!(i.b.in8(P), 0x01);
    assert_eq!(i.b.in16(P), 0);
    assert_eq!(i.b.in32(P), 0x102);
}

#[test]
fn reading_without_drq_changes_nothing() {
    let mut i = Ide::one_disk();
    assert_eq!(i.b.in16(P), 0xffff);
    i.b.out16(P, 0x1234);
    assert_eq!(i.in8(P + 7), 0x50);
}

#[test]
fn pio_write_asks_for_the_first_block_without_interrupt() {
    let mut i = Ide::one_disk();
    i.lba_command(P, 10, 2, 0x30);
    assert!(!i.irq(IRQ14));
    assert_eq!(i.in8(P + 7), 0x58);
    i.write_words(P, &[0xab; 512]);
    assert!(i.irq(IRQ14));
    assert_eq!(i.in8(P + 7), 0x58);
    i.write_words(P, &[0xcd; 512]);
    assert!(i.irq(IRQ14));
    assert_eq!(i.in8(P + 7), 0x50);
    assert_eq!(i.images[0][10 * 512..12 * 512], [[0xab; 512], [0xcd; 512]].concat());
    assert_eq!(i.log.len(), 1);
}

#[test]
fn the_drive_is_busy_until_the_host_has_written() {
    let mut i = Ide::one_disk();
    i.auto = false;
    i.lba_command(P, 10, 1, 0x30);
    i.write_words(P, &[1; 512]);
    assert_eq!(i.in8(P + 7), 0x80);
    assert!(!i.irq(IRQ14));
    i.out8(P + 3, 0x77);
    i.out8(P + 7, 0xec);
    assert_eq!(i.in8(P + 7), 0x80, "a command while busy is not taken");
    i.serve();
    assert!(i.irq(IRQ14));
    assert_eq!(i.in8(P + 7), 0x50);
    assert_eq!(i.in8(P + 3), 10);
}

#[test]
fn a_count_of_0_is_256_sectors() {
    let mut i = Ide::one_disk();
    i.lba_command(P, 7, 0, 0x20);
    let got = i.read_words(P, 256 * 256);
    assert_eq!(got, i.images[0][7 * 512..263 * 512]);
    assert_eq!(i.in8(P + 7), 0x50);
    assert_eq!(i.log[0].op, DiskOp::Read { lba: 7, count: 256 });
}

#[test]
fn multiple_needs_set_multiple_and_interrupts_once_a_block() {
    let mut i = Ide::one_disk();
    i.lba_command(P, 0, 5, 0xc4);
    assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x51, 0x04));
    for (n, ok) in [(3, false), (128, true), (129, false), (2, true)] {
        i.out8(P + 2, n);
        i.out8(P + 7, 0xc6);
        assert_eq!(i.in8(P + 7), if ok { 0x50 } else { 0x51 }, "{n}");
    }
    assert_eq!(i.identify(P, 0xec)[59], 0x0102);
    i.lba_command(P, 0, 5, 0xc4);
    for words in [512, 512, 256] {
        assert!(i.irq(IRQ14));
        assert_eq!(i.in8(P + 7), 0x58);
        i.read_words(P, words - 1);
        assert!(!i.irq(IRQ14));
        i.read_words(P, 1);
    }
    assert!(!i.irq(IRQ14));
    assert_eq!(i.in8(P + 7), 0x50);
    i.lba_command(P, 0, 3, 0xc5);
    i.write_words(P, &[9; 1024]);
    assert!(i.irq(IRQ14));
    i.write_words(P, &[9; 512]);
    assert_eq!(i.in8(P + 7), 0x50);
    assert_eq!(i.images[0][..1536], [9; 1536]);
}

#[test]
fn chs_follows_initialize_device_parameters() {
    let mut i = Ide::one_disk();
    let chs = |i: &mut Ide, c: u16, h: u8, s: u8| {
        i.b.out8(P + 6, 0xa0 | h);
        i.b.out8(P + 2, 1);
        i.b.out8(P + 3, s);
        i.b.out8(P + 4, c as u8);
        i.b.out8(P + 5, (c >> 8) as u8);
        i.out8(P + 7, 0x20);
        i.in8(P + 7)
    };
    assert_eq!(chs(&mut i, 1, 2, 3), 0x58);
    assert_eq!(i.b.in32(P), (1008 + 2 * 63 + 2) << 8);
    assert_eq!(chs(&mut i, 0, 0, 0), 0x51, "sectors count from 1");
    assert_eq!(i.in8(P + 1), 0x10);
    // 7 heads, 17 sectors.
    i.out8(P + 6, 0xa6);
    i.out8(P + 2, 17);
    i.out8(P + 7, 0x91);
    assert_eq!(i.in8(P + 7), 0x50);
    assert_eq!(chs(&mut i, 2, 6, 17), 0x58);
    assert_eq!(i.b.in32(P), (2 * 119 + 118) << 8);
    assert_eq!(chs(&mut i, 2, 7, 1), 0x51);
    let id = i.identify(P, 0xec);
    assert_eq!(id[54..57], [(SECTORS / 119) as u16, 7, 17]);
    assert_eq!((id[1], id[3], id[6]), (4, 16, 63), "the default translation stays");
}

#[test]
fn reading_past_the_end_delivers_the_good_sectors_and_names_the_bad_one() {
    let mut i = Ide::one_disk();
    i.lba_command(P, SECTORS as u32 - 2, 5, 0x20);
    i.read_words(P, 512);
    assert!(i.irq(IRQ14));
    assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x51, 0x10));
    assert_eq!((i.in8(P + 4), i.in8(P + 3)), ((SECTORS >> 8) as u8, SECTORS as u8));
    assert_eq!(i.in8(P + 2), 3);
    i.lba_command(P, SECTORS as u32, 1, 0x20);
    assert!(i.irq(IRQ14));
    assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x51, 0x10));
}

#[test]
fn a_host_read_error_is_unc_at_its_sector() {
    let mut i = Ide::one_disk();
    i.bad = vec![52];
    i.lba_command(P, 50, 8, 0x20);
    assert_eq!(i.read_words(P, 512), i.images[0][50 * 512..52 * 512]);
    assert!(i.irq(IRQ14));
    assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x51, 0x40));
    assert_eq!((i.in8(P + 3), i.in8(P + 2)), (52, 6));
    i.lba_command(P, 50, 8, 0x40);
    assert_eq!((i.in8(P + 7), i.in8(P + 1), i.in8(P + 3)), (0x51, 0x40, 52), "verify reads too");
    i.lba_command(P, 52, 1, 0x30);
    i.write_words(P, &[0; 512]);
    assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x71, 0x04));
}

#[test]
fn a_read_only_image_aborts_writes() {
    let mut i = Ide::one_disk();
    i.read_only = true;
    i.lba_command(P, 5, 1, 0x30);
    i.write_words(P, &[0; 512]);
    assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x51, 0x04));
}

#[test]
fn unknown_commands_abort() {
    let mut i = Ide::one_disk();
    for cmd in [0x00, 0x26, 0x29, 0x36, 0x39, 0x27, 0x37, 0x2f, 0x3d, 0xf8, 0xf9, 0xf1, 0xa0, 0xa1, 0xff] {
        i.out8(P + 7, cmd);
        assert!(i.irq(IRQ14), "{cmd:02x}");
        assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x51, 0x04), "{cmd:02x}");
        assert!(!i.irq(IRQ14));
    }
}

#[test]
fn transfer_modes_show_in_identify_one_at_a_time() {
    let mut i = Ide::one_disk();
    for (count, ok, w63, w88) in [
        (0x42, true, 0x0007, 0x0407),
        (0x40, true, 0x0007, 0x0107),
        (0x21, true, 0x0207, 0x0007),
        (0x0c, true, 0x0207, 0x0007),
        (0x43, false, 0x0207, 0x0007),
        (0x0d, false, 0x0207, 0x0007),
        (0x01, true, 0x0207, 0x0007),
    ] {
        i.out8(P + 1, 0x03);
        i.out8(P + 2, count);
        i.out8(P + 7, 0xef);
        assert_eq!(i.in8(P + 7), if ok { 0x50 } else { 0x51 }, "{count:02x}");
        let id = i.identify(P, 0xec);
        assert_eq!((id[63], id[88]), (w63, w88), "{count:02x}");
    }
}

#[test]
fn write_cache_and_look_ahead_show_in_word_85() {
    let mut i = Ide::one_disk();
    for (feature, bit) in [(0x82, 0x20), (0x55, 0x40)] {
        assert_ne!(i.identify(P, 0xec)[85] & bit, 0);
        i.out8(P + 1, feature);
        i.out8(P + 7, 0xef);
        assert_eq!(i.identify(P, 0xec)[85] & bit, 0);
    }
    i.out8(P + 1, 0x05);
    i.out8(P + 7, 0xef);
    assert_eq!(i.in8(P + 7), 0x51, "APM is not offered");
}

#[test]
fn flush_and_standby_wait_for_the_host() {
    let mut i = Ide::one_disk();
    for cmd in [0xe7, 0xe0, 0xe2, 0x94] {
        i.log.clear();
        i.auto = false;
        i.out8(P + 7, cmd);
        assert_eq!(i.in8(0x3f6), 0x80);
        assert!(!i.irq(IRQ14));
        i.serve();
        assert!(i.irq(IRQ14));
        assert_eq!(i.in8(P + 7), 0x50);
        assert_eq!(i.log[0].op, DiskOp::Flush);
    }
    i.auto = true;
    i.out8(P + 7, 0xe5);
    assert_eq!(i.in8(P + 2), 0x00, "standby");
    i.lba_command(P, 0, 1, 0x20);
    i.read_words(P, 256);
    i.out8(P + 7, 0x98);
    assert_eq!(i.in8(P + 2), 0xff, "a read wakes it");
}

#[test]
fn smart_wants_its_key_and_is_well() {
    let mut i = Ide::one_disk();
    let smart = |i: &mut Ide, sub: u8, high: u8| {
        i.out8(P + 1, sub);
        i.out8(P + 4, 0x4f);
        i.out8(P + 5, high);
        i.out8(P + 7, 0xb0);
        i.in8(P + 7)
    };
    assert_eq!(smart(&mut i, 0xda, 0xc2), 0x50);
    assert_eq!((i.in8(P + 4), i.in8(P + 5)), (0x4f, 0xc2));
    assert_eq!(smart(&mut i, 0xda, 0x00), 0x51);
    for sub in [0xd0, 0xd1] {
        assert_eq!(smart(&mut i, sub, 0xc2), 0x58);
        let b = i.read_words(P, 256);
        assert_eq!(b.iter().fold(0_u8, |s, v| s.wrapping_add(*v)), 0);
    }
    assert_eq!(smart(&mut i, 0xd9, 0xc2), 0x50);
    assert_eq!(smart(&mut i, 0xda, 0xc2), 0x51);
    assert_eq!(i.identify(P, 0xec)[85] & 1, 0);
    assert_eq!(smart(&mut i, 0xd8, 0xc2), 0x50);
}

#[test]
fn the_buffer_holds_what_was_written_to_it() {
    let mut i = Ide::one_disk();
    i.out8(P + 7, 0xe8);
    assert!(!i.irq(IRQ14));
    i.write_words(P, &pattern(5)[2048..]);
    assert!(i.irq(IRQ14));
    i.out8(P + 7, 0xe4);
    assert_eq!(i.read_words(P, 256), pattern(5)[2048..]);
    assert!(i.log.is_empty());
}

#[test]
fn nien_holds_the_pin_and_keeps_the_request() {
    let mut i = Ide::one_disk();
    i.out8(0x3f6, 2);
    i.lba_command(P, 0, 1, 0x20);
    assert!(!i.irq(IRQ14));
    assert_eq!(i.in8(0x3f6), 0x58, "alternate status leaves the request");
    i.out8(0x3f6, 0);
    assert!(i.irq(IRQ14));
    assert_eq!(i.in8(0x3f6), 0x58);
    assert!(i.irq(IRQ14));
    i.in8(P + 7);
    assert!(!i.irq(IRQ14));
}

#[test]
fn the_request_is_hidden_while_the_other_drive_is_selected() {
    let mut i = Ide::with([disk(SECTORS), disk(SECTORS), None, None]);
    i.lba_command(P, 0, 1, 0x20);
    assert!(i.irq(IRQ14));
    i.out8(P + 6, 0xb0);
    assert!(!i.irq(IRQ14));
    i.in8(P + 7);
    i.out8(P + 6, 0xa0);
    assert!(i.irq(IRQ14));
}

#[test]
fn an_answer_to_an_aborted_command_is_ignored() {
    let mut i = Ide::one_disk();
    i.auto = false;
    i.lba_command(P, 0, 1, 0x20);
    i.out8(0x3f6, 4);
    i.out8(0x3f6, 0);
    i.lba_command(P, 9, 1, 0x20);
    assert_eq!(i.in8(P + 7), 0x80);
    i.serve();
    assert_eq!(i.in8(P + 7), 0x58);
    assert_eq!(i.b.in32(P), 9 << 8);
}

#[test]
fn a_48_bit_command_takes_what_was_written_before() {
    let mut i = Ide::one_disk();
    i.ext_command(P, 0x0123, 0x0203, 0x24);
    assert_eq!(i.log[0].op, DiskOp::Read { lba: 0x0123, count: 0x0203 });
    for s in 0..0x0203_usize {
        assert!(i.irq(IRQ14), "sector {s}");
        assert_eq!(i.in8(P + 7), 0x58);
        assert_eq!(i.read_words(P, 256), i.images[0][(0x0123 + s) * 512..][..512]);
    }
    assert_eq!(i.in8(P + 7), 0x50);
    let last = 0x0123 + 0x0202;
    assert_eq!((i.in8(P + 3), i.in8(P + 4), i.in8(P + 2)), (last as u8, (last >> 8) as u8, 0));
}

#[test]
fn a_48_bit_count_of_0_is_65536_sectors() {
    let mut i = Ide::with([disk(0x2_0000), None, None, None]);
    i.auto = false;
    i.ext_command(P, 5, 0, 0x24);
    let HostJob::Disk(job) = i.b.jobs().remove(0);
    assert_eq!(job.op, DiskOp::Read { lba: 5, count: 0x1_0000 });
}

#[test]
fn hob_shows_the_high_order_bytes_until_a_register_is_written() {
    let mut i = Ide::one_disk();
    i.out8(0x3f6, 0x02);
    i.ext_command(P, 0x0504_0302_0100 + SECTORS, 0x0706, 0x24);
    assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x51, 0x10), "beyond the disk");
    i.out8(0x3f6, 0x82);
    assert_eq!([2, 3, 4, 5].map(|r| i.in8(P + r)), [0x07, 0x03, 0x04, 0x05]);
    i.out8(P + 6, 0xe0);
    assert_eq!([2, 3, 4, 5].map(|r| i.in8(P + r)), [0x06, 0x00, 0x11, 0x02], "HOB fell");
}

#[test]
fn a_48_bit_command_over_the_end_names_the_first_bad_sector_and_what_is_left() {
    let mut i = Ide::one_disk();
    i.ext_command(P, SECTORS - 1, 0x0300, 0x42);
    assert!(i.irq(IRQ14));
    assert_eq!((i.in8(P + 7), i.in8(P + 1)), (0x51, 0x10));
    assert_eq!([2, 3, 4, 5].map(|r| i.in8(P + r)), [0xff, SECTORS as u8, (SECTORS >> 8) as u8, 0]);
    i.out8(0x3f6, 0x80);
    assert_eq!([2, 3, 4, 5].map(|r| i.in8(P + r)), [0x02, 0, 0, 0]);
    // One of 28 bits after it isn't misled by them.
    i.lba_command(P, 9, 1, 0x20);
    assert_eq!(i.log.last().map(|j| &j.op), Some(&DiskOp::Read { lba: 9, count: 1 }));
}

#[test]
fn multiple_and_dma_have_48_bit_forms() {
    let mut i = Ide::one_disk();
    i.out8(P + 2, 4);
    i.out8(P + 7, 0xc6);
    i.ext_command(P, 8, 6, 0x39);
    for sectors in [4, 2] {
        assert_eq!(i.in8(P + 7), 0x58);
        i.write_words(P, &vec![7; sectors * 512]);
    }
    assert_eq!(i.in8(P + 7), 0x50);
    assert_eq!(i.images[0][8 * 512..14 * 512], [7; 6 * 512]);
    i.ext_command(P, 8, 6, 0x29);
    assert_eq!(i.read_words(P, 6 * 256), [7; 6 * 512]);

    // 300 sectors by a table of three regions.
    for (n, (at, len)) in
        [(0x10_0000_u32, 0), (0x12_0000, 0), (0x14_0000, 0x8000_5800_u32)].iter().enumerate()
    {
        i.b.write32(0x1_0000 + 8 * n as u32, *at);
        i.b.write32(0x1_0004 + 8 * n as u32, *len);
    }
    i.b.out32(BMBA + 4, 0x1_0000);
    i.out8(BMBA, 0x09);
    i.ext_command(P, 100, 300, 0x25);
    assert_eq!((i.in8(BMBA + 2), i.in8(P + 7)), (0x04, 0x50));
    assert_eq!((i.b.read32(0x10_0000), i.b.read32(0x14_0000)), (100 << 8, 356 << 8));
    i.out8(BMBA + 2, 0x04);
    i.out8(BMBA, 0x00);
    i.out8(BMBA, 0x01);
    i.ext_command(P, 1000, 300, 0x35);
    assert_eq!((i.in8(BMBA + 2), i.in8(P + 7)), (0x04, 0x50));
    assert_eq!(i.images[0][1000 * 512..1300 * 512], pattern(400)[100 * 512..]);
    i.ext_command(P, 0, 0, 0xea);
    assert_eq!(i.log.last().map(|j| &j.op), Some(&DiskOp::Flush));
}
