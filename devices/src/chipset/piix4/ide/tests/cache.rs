//! The write cache as SET FEATURES and IDENTIFY show it, and what that means for writes.

use board::DiskOp;

use super::bus_master::START_WRITE;
use super::{BMBA, IRQ14, Ide, P, SECTORS, spec};
use crate::ata::DriveSpec;

fn feature(i: &mut Ide, feature: u8) -> (u8, u8) {
    i.out8(P + 1, feature);
    i.out8(P + 7, 0xef);
    let auto = std::mem::replace(&mut i.auto, true);
    i.serve();
    i.auto = auto;
    (i.in8(P + 7), i.in8(P + 1))
}

/// Starts a write of two sectors in each way that there is.
fn writes() -> [fn(&mut Ide); 2] {
    [
        |i| {
            i.lba_command(P, 10, 2, 0x30);
            i.write_words(P, &[7; 1024]);
        },
        |i| {
            i.prd(&[(0x2_0000, 1024)]);
            i.lba_command(P, 10, 2, 0xca);
            i.out8(BMBA, START_WRITE);
        },
    ]
}

#[test]
fn with_the_cache_off_a_write_ends_when_it_is_on_the_medium() {
    for (straight, write) in [(true, writes()[0]), (true, writes()[1]), (false, writes()[1])] {
        let mut i = Ide { straight, ..Ide::one_disk() };
        assert_eq!(feature(&mut i, 0x82).0, 0x50);
        assert_eq!(i.log.pop().unwrap().op, DiskOp::Flush, "what was in the cache goes first");
        i.auto = false;
        write(&mut i);
        let step = |i: &mut Ide| {
            assert!(!i.irq(IRQ14));
            assert_eq!(i.in8(0x3f6), 0x80, "busy");
            i.step();
        };
        if !straight {
            // Later: through the buffer.
            i.step();
        }
        // The last request for data was heard.
        i.in8(P + 7);
        step(&mut i);
        assert!(matches!(i.log.last().unwrap().op, DiskOp::Write { .. } | DiskOp::WriteFrom { .. }));
        // Saved while it is flushed it is flushed again.
        i.b.save_and_load();
        step(&mut i);
        assert_eq!(i.log.last().unwrap().op, DiskOp::Flush);
        assert!(i.irq(IRQ14));
        assert_eq!((i.in8(P + 7), i.in8(P + 2), i.in8(P + 3)), (0x50, 0, 11));
        // On again.
        i.auto = true;
        assert_eq!(feature(&mut i, 0x02).0, 0x50);
        i.log.clear();
        write(&mut i);
        assert!(i.log.iter().all(|j| j.op != DiskOp::Flush));
    }
}

#[test]
fn a_write_that_does_not_get_to_the_medium_fails() {
    let mut i = Ide::one_disk();
    feature(&mut i, 0x82);
    i.flush_fails = true;
    writes()[0](&mut i);
    assert_eq!((i.in8(P + 7), i.in8(P + 1), i.in8(P + 2), i.in8(P + 3)), (0x71, 0x04, 2, 10));
}

#[test]
fn a_drive_without_a_cache_says_so_and_has_none_to_switch() {
    let mut i = Ide::with([
        Some(DriveSpec::Disk(super::DiskSpec { write_cache: false, ..spec(SECTORS) })),
        None,
        None,
        None,
    ]);
    let id = i.identify(P, 0xec);
    assert_eq!((id[82], id[85]), (0x3049, 0x3049));
    for f in [0x02, 0x82] {
        assert_eq!(feature(&mut i, f), (0x51, 0x04));
    }
    writes()[0](&mut i);
    assert_eq!(i.log.len(), 1, "the host needs no word");
    i.out8(P + 7, 0xe7);
    assert_eq!(i.in8(P + 7), 0x50, "FLUSH CACHE is mandatory all the same");
    let mut i = Ide::one_disk();
    let id = i.identify(P, 0xec);
    assert_eq!((id[82], id[85]), (0x3069, 0x3069));
}
