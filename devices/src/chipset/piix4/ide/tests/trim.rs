//! DATA SET MANAGEMENT, as Linux's libata gives it.

use board::DiskOp;

use super::bus_master::START_WRITE;
use super::{BMBA, DiskSpec, IRQ14, Ide, P, SECTORS, spec};
use crate::ata::DriveSpec;

fn trims() -> Ide {
    Ide::with([Some(DriveSpec::Disk(DiskSpec { trim: true, ..spec(SECTORS) })), None, None, None])
}

/// Puts entries into memory, and gives the command for so many blocks of them and a table of so many bytes.
fn trim(i: &mut Ide, entries: &[(u64, u16)], blocks: u16, bytes: u16, features: u8) -> (u8, u8) {
    for n in 0..u32::from(blocks) * 64 {
        let (lba, count) = entries.get(n as usize).copied().unwrap_or_default();
        i.b.write32(0x2_0000 + n * 8, lba as u32);
        i.b.write32(0x2_0004 + n * 8, (lba >> 32) as u32 | u32::from(count) << 16);
    }
    i.prd(&[(0x2_0000, bytes)]);
    i.b.out8(P + 1, 0);
    i.b.out8(P + 1, features);
    i.ext_command(P, 0, blocks, 0x06);
    i.out8(BMBA, START_WRITE);
    assert!(i.irq(IRQ14));
    let end = (i.in8(P + 7), i.in8(P + 1));
    i.out8(BMBA, 0);
    end
}

#[test]
fn only_a_drive_that_has_it_shows_and_takes_it() {
    let mut i = trims();
    let id = i.identify(P, 0xec);
    assert_eq!((id[169], id[105], id[69]), (1, 8, 0));
    assert!(id[80] & 0x80 != 0, "Linux looks for ATA-7 or later");
    let mut i = Ide::one_disk();
    let id = i.identify(P, 0xec);
    assert_eq!((id[169], id[105]), (0, 0), "as Virtual PC's drive");
    assert_eq!(trim(&mut i, &[(1, 1)], 1, 512, 1), (0x51, 0x04));
    assert!(i.log.is_empty());
}

#[test]
fn entries_are_discarded_and_empty_ones_mean_nothing() {
    let mut i = trims();
    let before = i.images[0].clone();
    assert_eq!(trim(&mut i, &[(10, 2), (0, 0), (SECTORS - 1, 1), (77, 0)], 2, 1024, 1), (0x50, 0));
    let [job] = &i.log[..] else { panic!("{:?}", i.log) };
    assert_eq!(job.op, DiskOp::Discard { runs: vec![(10, 2), (SECTORS - 1, 1)] });
    let (image, end) = (&i.images[0], (SECTORS as usize - 1) * 512);
    assert!(image[5120..6144].iter().chain(&image[end..]).all(|b| *b == 0));
    assert!(image[..5120] == before[..5120] && image[6144..end] == before[6144..end]);
}

#[test]
fn what_is_amiss_discards_nothing() {
    for (entries, blocks, bytes, features, error) in [
        (&[(10, 2), (SECTORS - 1, 2)][..], 1, 512, 1, 0x10),
        (&[(1 << 47, 1)], 1, 512, 1, 0x10),
        // A table that is too short, no TRIM bit, more blocks than word 105 says.
        (&[(10, 2)], 2, 512, 1, 0x04),
        (&[(10, 2)], 1, 512, 0, 0x04),
        (&[(10, 2)], 9, 4608, 1, 0x04),
    ] {
        let mut i = trims();
        assert_eq!(trim(&mut i, entries, blocks, bytes, features), (0x51, error), "{entries:x?}, {blocks}");
        assert!(i.log.is_empty());
    }
    let mut i = trims();
    i.read_only = true;
    assert_eq!(trim(&mut i, &[(10, 2)], 1, 512, 1), (0x51, 0x04));
}

#[test]
fn saved_in_the_middle_it_is_asked_for_again() {
    let mut i = trims();
    i.auto = false;
    i.b.write32(0x2_0000, 10);
    i.b.write32(0x2_0004, 2 << 16);
    i.prd(&[(0x2_0000, 512)]);
    i.b.out8(P + 1, 1);
    i.ext_command(P, 0, 1, 0x06);
    i.out8(BMBA, START_WRITE);
    assert_eq!(i.in8(0x3f6), 0x80);
    assert_eq!(i.b.jobs().len(), 1, "lost with its host");
    i.b.save_and_load();
    i.serve();
    assert_eq!(i.log[0].op, DiskOp::Discard { runs: vec![(10, 2)] });
    assert!(i.irq(IRQ14));
    assert_eq!(i.in8(P + 7), 0x50);
}
