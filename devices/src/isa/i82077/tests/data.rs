//! READ, WRITE and their kin by DMA.

use super::*;

fn read(c: u8, h: u8, s: u8, eot: u8) -> [u8; 9] {
    [0xe6, h << 2, c, h, s, 2, eot, 0x1b, 0xff]
}

#[test]
fn sectors_come_by_dma_until_tc() {
    let mut r = Rig::ready(2880);
    r.dma_to_memory(3 * 512);
    let before = r.edges;
    r.command(&read(0, 0, 5, 18));
    assert_eq!(r.b.in8(MSR), 0x10);
    assert!(!r.irq(), "never at once");
    r.interrupt();
    assert_eq!(r.b.in8(MSR), 0xd0);
    assert_eq!(r.edges, before + 1);
    assert_eq!(r.result(), [0, 0, 0, 0, 0, 8, 2]);
    assert!(!r.irq());
    assert_eq!(r.b.dma.taken, pattern(2880)[4 * 512..7 * 512]);
}

#[test]
fn multi_track_goes_on_to_the_other_side() {
    let mut r = Rig::ready(2880);
    r.seek(0, 3);
    r.dma_to_memory(36 * 512);
    assert_eq!(r.run(&read(3, 0, 1, 18)), [4, 0, 0, 4, 0, 1, 2]);
    assert_eq!(r.b.dma.taken, pattern(2880)[3 * 36 * 512..4 * 36 * 512]);
    r.dma_to_memory(512);
    assert_eq!(r.run(&read(3, 0, 18, 18)), [0, 0, 0, 3, 1, 1, 2], "TC at the end of side 0");
}

#[test]
fn the_end_of_the_cylinder_without_tc_is_an_error() {
    let mut r = Rig::ready(2880);
    r.dma_to_memory(4 * 512);
    assert_eq!(r.run(&[0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff]), [0x40, 0x80, 0, 1, 0, 1, 2]);
    assert_eq!(r.b.dma.taken.len(), 1024);
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut r = Rig::ready(2880);
    r.dma_to_memory(512);
    for (what, c, want) in [
        ("sector 19", read(0, 0, 19, 19), [0x40, 0x04, 0x00]),
        ("sector 0", read(0, 0, 0, 18), [0x40, 0x04, 0x00]),
        ("head of the ID", [0xe6, 0, 0, 1, 1, 2, 18, 0x1b, 0xff], [0x40, 0x04, 0x00]),
        ("cylinder of the ID", read(1, 0, 1, 18), [0x40, 0x04, 0x10]),
        ("size", [0xe6, 0, 0, 0, 1, 3, 18, 0x1b, 0xff], [0x40, 0x04, 0x00]),
        ("FM", [0x86, 0, 0, 0, 1, 2, 18, 0x1b, 0xff], [0x40, 0x01, 0x00]),
    ] {
        assert_eq!(r.run(&c)[..3], want, "{what}");
    }
    assert!(r.b.dma.taken.is_empty());
    // A sector too many on a track: those before it come.
    r.dma_to_memory(4 * 512);
    assert_eq!(r.run(&[0x46, 0, 0, 0, 17, 2, 21, 0x1b, 0xff])[..6], [0x40, 0x04, 0, 0, 0, 19]);
    assert_eq!(r.b.dma.taken.len(), 1024);
}

#[test]
fn only_the_right_rate_reads() {
    for (sectors, good) in [(2880, 0), (1440, 2), (5760, 3), (2400, 0), (720, 1), (3360, 0)] {
        let mut r = Rig::ready(sectors);
        for rate in 0..4 {
            r.b.out8(CCR, rate);
            let id = r.run(&[0x4a, 0]);
            if rate == good {
                assert_eq!((id[0], id[1], id[6]), (0, 0, 2), "{sectors} at rate {rate}");
            } else {
                assert_eq!(id[..2], [0x40, 0x01], "{sectors} at rate {rate}");
            }
        }
    }
}

#[test]
fn sectors_of_a_track_are_counted_by_what_cannot_be_read() {
    for (sectors, spt) in [(1440u64, 9u8), (2880, 18), (3360, 21), (3680, 23), (5760, 36)] {
        let mut r = Rig::ready(sectors);
        r.dma_to_memory(512);
        assert_eq!(r.run(&read(0, 0, spt, spt))[0], 0, "{sectors}");
        r.dma_to_memory(512);
        assert_eq!(r.run(&read(0, 0, spt + 1, spt + 1))[..2], [0x40, 0x04], "{sectors}");
    }
}

#[test]
fn a_40_track_diskette_takes_two_steps_in_this_drive() {
    let mut r = Rig::ready(720);
    r.seek(0, 6);
    r.dma_to_memory(512);
    assert_eq!(r.run(&read(3, 1, 2, 9))[0], 4);
    assert_eq!(r.b.dma.taken, pattern(720)[(3 * 18 + 9 + 1) * 512..][..512]);
    r.seek(0, 7);
    assert_eq!(r.run(&read(3, 1, 2, 9))[..2], [0x44, 0x01], "between two cylinders");
    let mut r = Rig::ready(320);
    assert_eq!(r.run(&[0x4a, 0x04])[..2], [0x44, 0x01], "one side only");
}

#[test]
fn what_is_written_is_in_the_image() {
    let mut r = Rig::ready(2880);
    r.seek(0, 79);
    let data: Vec<u8> = (0..36 * 512).map(|i| (i * 3 + 1) as u8).collect();
    r.dma_from_memory(&data);
    assert_eq!(r.run(&[0xc5, 0, 79, 0, 1, 2, 18, 0x1b, 0xff]), [4, 0, 0, 80, 0, 1, 2]);
    assert_eq!(r.images[0].as_ref().unwrap()[79 * 36 * 512..], data);
    // TC within a sector: the rest is zeros.
    r.dma_from_memory(&[0xee; 100]);
    assert_eq!(r.run(&[0xc5, 4, 79, 1, 18, 2, 18, 0x1b, 0xff])[0], 4);
    let last = &r.images[0].as_ref().unwrap()[2879 * 512..];
    assert!(last[..100].iter().all(|b| *b == 0xee) && last[100..].iter().all(|b| *b == 0));
    // With a deleted data mark it is written all the same.
    r.dma_from_memory(&[0x11; 512]);
    assert_eq!(r.run(&[0xc9, 0, 79, 0, 1, 2, 18, 0x1b, 0xff])[0], 0);
    assert_eq!(r.images[0].as_ref().unwrap()[79 * 36 * 512], 0x11);
}

#[test]
fn a_protected_diskette_is_not_written() {
    let mut r = Rig::with([spec(Some(2880), true), None]);
    r.start_up();
    assert_eq!(r.ask(&[0x04, 0]), [0x78], "ST3: WP");
    r.dma_from_memory(&[0x11; 512]);
    assert_eq!(r.run(&[0xc5, 0, 0, 0, 1, 2, 18, 0x1b, 0xff])[..3], [0x40, 0x02, 0]);
    r.dma_from_memory(&[0x11; 72]);
    assert_eq!(r.run(&[0x4d, 0, 2, 18, 0x6c, 0xf6])[..3], [0x40, 0x02, 0]);
    assert_eq!(r.images[0].as_ref().unwrap()[..], pattern(2880));
}

#[test]
fn nothing_in_the_drive_ends_in_time() {
    let mut r = Rig::with([spec(None, false), None]);
    r.start_up();
    let before = r.b.now();
    assert_eq!(r.run(&read(0, 0, 1, 18))[..3], [0x40, 0x01, 0]);
    assert!((10 * MS..200 * MS).contains(&(r.b.now() - before)));
    // A drive whose motor stands, and one that is not there.
    let mut r = Rig::ready(2880);
    r.b.out8(DOR, 0x0c);
    assert_eq!(r.run(&read(0, 0, 1, 18))[..2], [0x40, 0x01]);
    r.b.out8(DOR, 0xfd);
    assert_eq!(r.run(&[0x4a, 3])[..2], [0x43, 0x01]);
}

#[test]
fn a_host_that_fails_is_a_bad_diskette() {
    let mut r = Rig::ready(2880);
    r.broken = true;
    r.dma_to_memory(512);
    assert_eq!(r.run(&read(0, 0, 1, 18))[..3], [0x40, 0x20, 0x20]);
    r.dma_from_memory(&[1; 512]);
    assert_eq!(r.run(&[0xc5, 0, 0, 0, 1, 2, 18, 0x1b, 0xff])[..3], [0x40, 0x20, 0x20]);
}

#[test]
fn a_channel_that_is_late_is_waited_for_but_not_for_ever() {
    let mut r = Rig::ready(2880);
    r.b.dma.masked = true;
    r.command(&read(0, 0, 1, 18));
    r.pass(20 * MS);
    assert!(!r.irq());
    r.b.dma.masked = false;
    r.dma_to_memory(512);
    r.interrupt();
    assert_eq!(r.result()[0], 0);
    r.b.dma.masked = true;
    assert_eq!(r.run(&read(0, 0, 1, 18))[..2], [0x40, 0x10], "overrun");
}

#[test]
fn read_track_begins_at_the_index() {
    let mut r = Rig::ready(2880);
    r.dma_to_memory(3 * 512);
    assert_eq!(r.run(&[0x42, 0, 0, 0, 9, 2, 3, 0x1b, 0xff])[..3], [0, 0, 0]);
    assert_eq!(r.b.dma.taken, pattern(2880)[..3 * 512]);
    r.dma_to_memory(4 * 512);
    assert_eq!(
        r.run(&[0x42, 0, 5, 0, 1, 2, 2, 0x1b, 0xff])[..3],
        [0, 0x04, 0],
        "other IDs, data all the same"
    );
    assert_eq!(r.b.dma.taken.len(), 1024);
}

#[test]
fn deleted_data_is_not_there() {
    let mut r = Rig::ready(2880);
    r.dma_to_memory(4 * 512);
    assert_eq!(r.run(&[0x4c, 0, 0, 0, 1, 2, 18, 0x1b, 0xff])[..6], [0, 0, 0x40, 0, 0, 2]);
    assert_eq!(r.b.dma.taken.len(), 512);
    r.dma_to_memory(4 * 512);
    assert_eq!(r.run(&[0x6c, 0, 0, 0, 1, 2, 18, 0x1b, 0xff])[..3], [0x40, 0x80, 0x40], "all skipped");
    assert!(r.b.dma.taken.is_empty());
}

#[test]
fn verify_moves_nothing() {
    let mut r = Rig::ready(2880);
    r.dma_to_memory(512);
    assert_eq!(r.run(&[0x56, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]), [0, 0, 0, 1, 0, 1, 2]);
    assert_eq!(r.run(&[0xd6, 0x80, 0, 0, 1, 2, 18, 0x1b, 20])[..6], [4, 0, 0, 0, 1, 3], "20 sectors");
    assert_eq!(r.run(&[0x56, 0x80, 0, 0, 1, 2, 18, 0x1b, 19])[..2], [0x40, 0x80], "more than there are");
    assert!(r.b.dma.taken.is_empty());
}

#[test]
fn scans_compare() {
    let image = pattern(2880);
    let mut r = Rig::ready(2880);
    // Sector 3 is looked for from sector 1 on.
    let mut data = Vec::new();
    for _ in 0..18 {
        data.extend_from_slice(&image[2 * 512..3 * 512]);
    }
    r.dma_from_memory(&data);
    assert_eq!(r.run(&[0x51, 0, 0, 0, 1, 2, 18, 0x1b, 1])[..6], [0, 0, 0x08, 0, 0, 3]);
    r.dma_from_memory(&data);
    assert_eq!(r.run(&[0x51, 0, 0, 0, 4, 2, 18, 0x1b, 1])[..3], [0, 0, 0x04], "not among the rest");
    // All FFh is a wild card.
    r.dma_from_memory(&[0xff; 512 * 18]);
    assert_eq!(r.run(&[0x51, 0, 0, 0, 4, 2, 18, 0x1b, 1])[2], 0x08);
    r.dma_from_memory(&[0xfe; 512 * 18]);
    assert_eq!(r.run(&[0x59, 0, 0, 0, 1, 2, 18, 0x1b, 1])[2], 0, "all are lower");
    r.dma_from_memory(&[0x00; 512 * 18]);
    assert_eq!(r.run(&[0x5d, 0, 0, 0, 1, 2, 18, 0x1b, 2])[2], 0, "all are higher");
}

#[test]
fn implied_seeks() {
    let mut r = Rig::ready(2880);
    r.command(&[0x13, 0, 0x50, 0]);
    r.dma_to_memory(512);
    assert_eq!(r.run(&read(40, 0, 1, 18))[..4], [0, 0, 0, 40]);
    assert_eq!(r.b.dma.taken, pattern(2880)[40 * 36 * 512..][..512]);
    assert_eq!(r.ask(&[0x0e])[0], 40);
    // No sense interrupt for them.
    assert_eq!(r.ask(&[0x08]), [0x80]);
}
