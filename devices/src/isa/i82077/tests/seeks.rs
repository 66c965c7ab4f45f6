//! Heads, interrupts of seeks, and the disk change line.

use super::*;

#[test]
fn a_seek_takes_time_and_is_asked_for() {
    let mut r = Rig::ready(2880);
    r.command(&[0x0f, 0, 40]);
    assert_eq!(r.b.in8(MSR), 0x81, "drive 0 is busy, the controller is not");
    assert!(!r.irq());
    r.interrupt();
    assert_eq!(r.b.in8(MSR), 0x81, "until it is asked");
    assert_eq!(r.ask(&[0x08]), [0x20, 40]);
    assert!(!r.irq());
    assert_eq!(r.b.in8(MSR), 0x80);
    assert_eq!(r.ask(&[0x04, 0]), [0x28], "ST3: not at track 0");
}

#[test]
fn two_drives_seek_at_once_with_an_interrupt_each() {
    let mut r = Rig::ready(2880);
    let before = r.edges;
    r.command(&[0x0f, 0, 40]);
    r.command(&[0x07, 1]);
    assert_eq!(r.b.in8(MSR), 0x83);
    r.pass(100 * MS);
    assert!(r.irq());
    assert_eq!(r.ask(&[0x08]), [0x20, 40]);
    assert!(r.irq(), "the other one's");
    assert_eq!(r.ask(&[0x08]), [0x21, 0]);
    assert!(!r.irq());
    assert!(r.edges >= before + 2, "each with an edge");
}

#[test]
fn recalibrate_finds_track_0_or_fails() {
    let mut r = Rig::ready(2880);
    r.seek(0, 83);
    r.command(&[0x07, 0]);
    r.interrupt();
    assert_eq!(r.ask(&[0x08]), [0x70, 0], "79 steps are not enough");
    r.command(&[0x07, 0]);
    r.interrupt();
    assert_eq!(r.ask(&[0x08]), [0x20, 0]);
    assert_eq!(r.ask(&[0x04, 0]), [0x38]);
    // No drive, no track 0.
    r.command(&[0x07, 2]);
    r.interrupt();
    assert_eq!(r.ask(&[0x08]), [0x72, 0]);
}

#[test]
fn relative_seeks() {
    let mut r = Rig::ready(2880);
    r.command(&[0xcf, 0, 10]);
    r.interrupt();
    assert_eq!(r.ask(&[0x08]), [0x20, 10]);
    r.command(&[0x8f, 0, 4]);
    r.interrupt();
    assert_eq!(r.ask(&[0x08]), [0x20, 6]);
    assert_eq!(r.run(&[0x4a, 0])[3], 6);
}

/// A reset forgets where heads are, and a seek then goes wrong: drivers recalibrate.
#[test]
fn a_reset_loses_the_cylinder_but_not_the_head() {
    let mut r = Rig::ready(2880);
    r.seek(0, 10);
    r.reset();
    r.b.out8(DOR, 0x1c);
    assert_eq!(r.ask(&[0x0e])[0], 0);
    assert_eq!(r.run(&[0x4a, 0])[3], 10);
    r.seek(0, 5);
    assert_eq!(r.run(&[0x4a, 0])[3], 15);
}

#[test]
fn the_change_line_drops_with_a_step_and_a_medium() {
    let mut r = Rig::new(2880);
    r.reset();
    assert_eq!(r.b.in8(DIR), 0x7f, "motor off");
    r.b.out8(DOR, 0x1c);
    assert_eq!(r.b.in8(DIR), 0xff, "after power-on");
    r.seek(0, 0);
    assert_eq!(r.b.in8(DIR), 0xff, "no step, no news");
    r.seek(0, 1);
    assert_eq!(r.b.in8(DIR), 0x7f);
    r.media(0, None, false);
    assert_eq!(r.b.in8(DIR), 0xff);
    r.seek(0, 2);
    assert_eq!(r.b.in8(DIR), 0xff, "empty");
    r.media(0, Some(pattern(1440)), false);
    assert_eq!(r.b.in8(DIR), 0xff, "changed");
    r.seek(0, 1);
    assert_eq!(r.b.in8(DIR), 0x7f);
    // The other drive has its own line.
    r.b.out8(DOR, 0x3d);
    assert_eq!(r.b.in8(DIR), 0xff, "drive 1 is empty");
    r.b.out8(DOR, 0x4e);
    assert_eq!(r.b.in8(DIR), 0x7f, "no drive 2");
    // A medium that is put in where another lies is a change too.
    r.b.out8(DOR, 0x1c);
    r.media(0, Some(pattern(2880)), true);
    assert_eq!(r.b.in8(DIR), 0xff);
    r.seek(0, 0);
    assert_eq!(r.ask(&[0x04, 0]), [0x78], "protected");
}

#[test]
fn another_size_is_read_at_its_own_rate() {
    let mut r = Rig::ready(2880);
    r.media(0, Some(pattern(1440)), false);
    r.seek(0, 1);
    r.dma_to_memory(512);
    assert_eq!(r.run(&[0xe6, 0, 1, 0, 9, 2, 9, 0x2a, 0xff])[..2], [0x40, 0x01]);
    r.b.out8(CCR, 2);
    assert_eq!(r.run(&[0xe6, 0, 1, 0, 9, 2, 9, 0x2a, 0xff])[0], 0);
    assert_eq!(r.b.dma.taken, pattern(1440)[(18 + 8) * 512..][..512]);
}
