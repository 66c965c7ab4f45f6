//! DMA that the host does by itself, between the image and main RAM: what it is asked for, and that nobody can tell.

use board::{DiskFault, DiskOp, HostEvent, HostJob};

use super::bus_master::{START_READ, START_WRITE, TABLE};
use super::{BMBA, IRQ14, Ide, P};

/// The last page of the bench's RAM.
const LAST: u32 = (16 << 20) - 4096;

/// The ranges that the host was asked to fill, or to take: first bytes and ends.
fn ranges(i: &Ide) -> Vec<Vec<(u32, u32)>> {
    let of = |op: &DiskOp| match op {
        DiskOp::ReadTo { to: r, .. } | DiskOp::WriteFrom { from: r, .. } => {
            Some(r.iter().map(|r| (r.start, r.end)).collect())
        }
        _ => None,
    };
    i.log.iter().filter_map(|j| of(&j.op)).collect()
}

fn read(i: &mut Ide, lba: u32, count: u8) {
    i.lba_command(P, lba, count, 0xc8);
    i.out8(BMBA, START_READ);
}

fn write(i: &mut Ide, lba: u32, count: u8) {
    i.lba_command(P, lba, count, 0xca);
    i.out8(BMBA, START_WRITE);
}

/// The ends that a driver sees: bus master, drive.
fn ends(i: &mut Ide) -> (u8, u8, bool) {
    let irq = i.irq(IRQ14);
    (i.in8(BMBA + 2), i.in8(P + 7), irq)
}

#[test]
fn a_table_of_main_ram_is_one_job_of_merged_ranges() {
    let mut i = Ide::one_disk();
    i.prd(&[(0x2_0000, 4096), (0x2_1000, 1024), (0x5_0002, 510), (0x9_0000, 514)]);
    read(&mut i, 20, 12);
    assert_eq!(ranges(&i), [[(0x2_0000, 0x2_1400), (0x5_0002, 0x5_0200), (0x9_0000, 0x9_0202)]]);
    assert_eq!(i.log.len(), 1);
    assert_eq!(ends(&mut i), (0x04, 0x50, true));
    let got = [i.memory(0x2_0000, 5120), i.memory(0x5_0002, 510), i.memory(0x9_0000, 514)].concat();
    assert_eq!(got, i.images[0][20 * 512..32 * 512]);
    i.out8(BMBA, 0);
    // And back, to another place.
    write(&mut i, 100, 12);
    assert_eq!(i.log.len(), 2);
    assert_eq!(ends(&mut i), (0x04, 0x50, true));
    assert_eq!(i.images[0][100 * 512..112 * 512], i.images[0][20 * 512..32 * 512]);
}

#[test]
fn the_drives_buffer_gives_the_same_registers_and_bytes() {
    let tables: [&[(u32, u16)]; 5] = [
        &[(0x2_0000, 1024)],
        &[(0x2_0000, 2), (0x3_0000, 1022)],
        // Longer than the data, and odd: bit 0 counts for nothing.
        &[(0x2_0001, 1025), (0x3_0000, 512)],
        // Too short.
        &[(0x2_0000, 600)],
        // Once more into the same memory.
        &[(0x2_0000, 512), (0x2_0100, 512)],
    ];
    for table in tables {
        let run = |mut i: Ide| {
            i.b.ram.write(0x2_0000, &[0x55; 2048]);
            i.prd(table);
            read(&mut i, 9, 2);
            let first = (ends(&mut i), i.memory(0x2_0000, 2048), i.memory(0x3_0000, 2048));
            i.out8(BMBA, 0);
            write(&mut i, 40, 2);
            let task_file = [1, 2, 3, 4, 5, 6].map(|r| i.in8(P + r));
            (first, ends(&mut i), task_file, i.images[0][40 * 512..43 * 512].to_vec())
        };
        assert_eq!(run(Ide::one_disk()), run(Ide::buffered()), "{table:x?}");
    }
}

#[test]
fn what_is_no_main_ram_goes_through_the_buffer() {
    // Behind the end of RAM, in the VGA window, in an address that wraps.
    for (at, len) in [(LAST, 8192), (0x9_f000, 8192), (0xffff_f000, 8192)] {
        let mut i = Ide::one_disk();
        i.prd(&[(at, len)]);
        read(&mut i, 0, 16);
        assert_eq!(ranges(&i), Vec::<Vec<_>>::new(), "{at:x}");
        assert_eq!(ends(&mut i).0 & 2, 2, "no memory answers at the end of {at:x}");
        if at < 0xffff_f000 {
            assert_eq!(i.memory(at, 4096), i.images[0][..4096], "{at:x}: what came before did move");
        }
    }
    let mut i = Ide::one_disk();
    i.prd(&[(LAST, 4096)]);
    read(&mut i, 0, 8);
    assert_eq!(ranges(&i), [[(LAST, LAST + 4096)]], "up to the end");
    assert_eq!(ends(&mut i), (0x04, 0x50, true));
}

#[test]
fn a_table_in_its_own_buffer_is_read_as_it_changes() {
    let run = |mut i: Ide| {
        // The sector that comes first holds the table's second descriptor, at 8 bytes.
        i.images[0][8..16].copy_from_slice(&[0, 0, 4, 0, 0, 2, 0, 0x80]);
        i.b.write32(TABLE, TABLE);
        i.b.write32(TABLE + 4, 512);
        i.b.write32(TABLE + 8, 0x3_0000);
        i.b.write32(TABLE + 12, 0x8000_0200);
        i.b.out32(BMBA + 4, TABLE);
        read(&mut i, 0, 2);
        (ends(&mut i), i.memory(0x3_0000, 512), i.memory(0x4_0000, 512), ranges(&i))
    };
    let straight = run(Ide::one_disk());
    assert_eq!(straight, run(Ide::buffered()));
    assert_eq!(straight.2, super::pattern(2)[512..], "the new descriptor's memory");
    assert_eq!(straight.1, [0; 512]);
}

#[test]
fn a_table_that_wraps_within_64_kib_is_followed() {
    let mut i = Ide::one_disk();
    i.b.write32(0x1_fff8, 0x3_0000);
    i.b.write32(0x1_fffc, 512);
    i.b.write32(0x1_0000, 0x4_0000);
    i.b.write32(0x1_0004, 0x8000_0200);
    i.b.out32(BMBA + 4, 0x1_fff8);
    read(&mut i, 3, 2);
    assert_eq!(ranges(&i), [[(0x3_0000, 0x3_0200), (0x4_0000, 0x4_0200)]]);
    assert_eq!(i.memory(0x4_0000, 512), i.images[0][4 * 512..5 * 512]);
    assert_eq!(ends(&mut i), (0x04, 0x50, true));
}

#[test]
fn hundreds_of_pieces_go_through_the_buffer() {
    let mut i = Ide::one_disk();
    let table: Vec<(u32, u16)> = (0..512).map(|n| (0x10_0000 + n * 512, 256)).collect();
    i.prd(&table);
    read(&mut i, 0, 0);
    assert_eq!(ranges(&i), Vec::<Vec<_>>::new());
    assert_eq!(ends(&mut i), (0x04, 0x50, true));
    assert_eq!(i.memory(0x10_0000 + 511 * 512, 256), i.images[0][0x2_0000 - 256..0x2_0000]);
}

#[test]
fn code_and_dirty_bits_hear_of_it() {
    let mut i = Ide::one_disk();
    i.b.ram.arena().set_code(0x21, true);
    i.prd(&[(0x2_0800, 4096)]);
    let before = i.b.ram.generation();
    read(&mut i, 0, 8);
    assert_eq!(ranges(&i).len(), 1);
    assert_ne!(i.b.ram.generation(), before);
    assert_eq!(i.b.ram.take_watched_writes(), [0x21]);
    let mut dirty = Vec::new();
    i.b.ram.take_dirty(0x1_f000..0x2_3000, |at| dirty.push(at));
    assert_eq!(dirty, [0x2_0000, 0x2_1000]);
    i.out8(BMBA, 0);
    write(&mut i, 50, 8);
    i.b.ram.take_dirty(0x1_f000..0x2_3000, |at| panic!("{at:x} was only read"));
}

#[test]
fn a_bad_sector_and_a_failed_write_end_as_through_the_buffer() {
    let run = |mut i: Ide| {
        i.bad = vec![52];
        i.prd(&[(0x2_0000, 4096)]);
        read(&mut i, 50, 8);
        let task_file = [1, 2, 3, 4, 5].map(|r| i.in8(P + r));
        let r = (ends(&mut i), task_file, i.memory(0x2_0000, 1024));
        i.out8(BMBA, 0);
        i.out8(BMBA + 2, 4);
        write(&mut i, 50, 8);
        let task_file = [1, 2, 3, 4, 5].map(|r| i.in8(P + r));
        let w = (ends(&mut i), task_file);
        i.read_only = true;
        i.bad.clear();
        write(&mut i, 50, 8);
        (r, w, [1, 2, 3].map(|r| i.in8(P + r)), ends(&mut i))
    };
    let straight = run(Ide::one_disk());
    assert_eq!(straight, run(Ide::buffered()));
    let ((ends, task_file, memory), ..) = straight;
    assert_eq!((ends.1, task_file[..3].to_vec()), (0x51, vec![0x40, 6, 52]));
    assert_eq!(memory, super::pattern(54)[50 * 512..52 * 512]);
}

#[test]
fn stopped_before_the_host_is_done_the_place_in_the_table_is_lost_and_the_command_ends() {
    let mut i = Ide::one_disk();
    i.auto = false;
    i.prd(&[(0x2_0000, 512)]);
    read(&mut i, 7, 1);
    assert_eq!((i.in8(BMBA + 2), i.in8(0x3f6)), (0x01, 0x80));
    i.out8(BMBA, 0x08);
    i.serve();
    assert_eq!(ends(&mut i), (0x04, 0x50, true));
}

#[test]
fn an_answer_to_an_older_command_does_not_end_a_newer_ones_transfer() {
    let mut i = Ide::one_disk();
    i.auto = false;
    i.prd(&[(0x2_0000, 512)]);
    read(&mut i, 7, 1);
    let HostJob::Disk(old) = i.b.jobs().remove(0);
    i.out8(0x3f6, 4);
    i.out8(0x3f6, 0);
    i.out8(BMBA, 0);
    read(&mut i, 8, 1);
    i.b.host(HostEvent::Disk(board::DiskDone { unit: 0, tag: old.tag, result: Err(DiskFault::Later) }));
    assert_eq!((i.in8(BMBA + 2), i.in8(0x3f6)), (0x01, 0x80));
    i.serve();
    assert_eq!(ends(&mut i), (0x04, 0x50, true));
    assert_eq!(i.memory(0x2_0000, 4), 0x800_u32.to_le_bytes());
}

#[test]
fn saved_in_the_middle_it_begins_anew() {
    for (start, cmd) in [(START_READ, 0xc8), (START_WRITE, 0xca)] {
        let mut i = Ide::one_disk();
        i.auto = false;
        i.b.ram.write(0x2_0000, &[0x44; 1024]);
        i.prd(&[(0x2_0000, 1024)]);
        i.lba_command(P, 70, 2, cmd);
        i.b.save_and_load();
        assert_eq!(i.in8(0x3f6), 0x58, "not begun");
        i.out8(BMBA, start);
        assert_eq!(i.b.jobs().len(), 1);
        i.b.save_and_load();
        i.serve();
        assert_eq!(i.log.len(), 1);
        assert_eq!(ranges(&i), [[(0x2_0000, 0x2_0400)]]);
        assert_eq!(ends(&mut i), (0x04, 0x50, true));
        if start == START_READ {
            assert_eq!(i.memory(0x2_0000, 4), (70_u32 << 8).to_le_bytes());
        } else {
            assert_eq!(i.images[0][70 * 512..72 * 512], [0x44; 1024]);
        }
    }
}
