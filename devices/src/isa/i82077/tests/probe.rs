//! What drivers ask before they trust a controller, and resets.

use super::*;

#[test]
fn registers_out_of_reset() {
    let mut r = Rig::new(2880);
    assert_eq!(r.b.in8(DOR), 0);
    assert_eq!(r.b.in8(MSR), 0, "held in reset");
    r.b.out8(FIFO, 0x10);
    assert_eq!(r.b.in8(MSR), 0);
    r.b.out8(DOR, 0x0c);
    assert_eq!(r.b.in8(MSR), 0, "not at once");
    r.pass(50 * MICROSECOND);
    assert_eq!(r.b.in8(MSR), 0x80);
    assert_eq!((r.b.in8(0x3f0), r.b.in8(0x3f1)), (0xff, 0xfc));
    r.b.out8(0x3f3, 0xfe);
    assert_eq!(r.b.in8(0x3f3), 0xfe);
    assert_eq!(r.b.unknowns(), 0);
}

#[test]
fn reset_interrupts_once_and_answers_four_times() {
    let mut r = Rig::new(2880);
    r.reset();
    assert_eq!(r.edges, 1);
    assert_eq!(r.ask(&[0x08]), [0x80], "nothing more to ask for");
    // By DSR it ends by itself.
    r.b.out8(DSR, 0x80);
    assert_eq!(r.b.in8(MSR), 0);
    r.interrupt();
    assert_eq!(r.ask(&[0x08]), [0xc0, 0]);
}

#[test]
fn without_the_gate_no_interrupt_gets_out() {
    let mut r = Rig::new(2880);
    r.b.out8(DOR, 0x04);
    r.pass(MS);
    assert!(!r.irq());
    r.b.out8(DOR, 0x0c);
    assert!(r.irq(), "it was pending inside");
}

#[test]
fn polling_can_be_switched_off_in_time() {
    let mut r = Rig::new(2880);
    r.b.out8(DOR, 0x0c);
    r.pass(30 * MICROSECOND);
    r.command(&[0x13, 0, 0x50, 0]);
    r.pass(10 * MS);
    assert!(!r.irq());
    assert_eq!(r.ask(&[0x08]), [0x80]);
}

/// Linux's get_fdc_version: DUMPREG has ten bytes, CONFIGURE and PERPENDICULAR are taken, UNLOCK answers 0, PART ID
/// tells an 82078 by its top bits.
#[test]
fn linux_takes_it_for_an_82078() {
    let mut r = Rig::ready(2880);
    assert_eq!(r.ask(&[0x0e]).len(), 10);
    assert_eq!(r.ask(&[0x13, 0, 0x1a, 0]), []);
    assert_eq!(r.ask(&[0x12, 0x80]), []);
    assert_eq!(r.ask(&[0x14]), [0]);
    assert_eq!(r.ask(&[0x18]), [0x01]);
    // And its rate table: DRIVE SPECIFICATION that ends with 80h+40h has no result.
    assert_eq!(r.ask(&[0x8e, 0x00, 0xc0]), []);
    assert_eq!(r.ask(&[0x8e, 0x21, 0x80]), [0, 1, 0, 0]);
}

#[test]
fn lock_keeps_the_fifo_through_software_resets() {
    let mut r = Rig::ready(2880);
    assert_eq!(r.ask(&[0x10]), [0x90]);
    r.command(&[0x13, 0, 0x0a, 0x05]);
    assert_eq!(r.ask(&[0x94]), [0x10]);
    r.reset();
    let dump = r.ask(&[0x0e]);
    assert_eq!((dump[7] & 0x80, dump[8] & 0x2f, dump[9]), (0x80, 0x0a, 5));
    assert_eq!(r.ask(&[0x14]), [0]);
    r.reset();
    let dump = r.ask(&[0x0e]);
    assert_eq!((dump[7] & 0x80, dump[8], dump[9]), (0, 0x20, 0));
}

#[test]
fn dumpreg_shows_what_was_set() {
    let mut r = Rig::ready(2880);
    r.command(&[0x03, 0xaf, 0x02]);
    r.command(&[0x12, 0x84 | 3]);
    r.seek(0, 7);
    assert_eq!(r.ask(&[0x0e])[..8], [7, 0, 0, 0, 0xaf, 0x02, 0, 0x07]);
    // Without OW the drive bits stay.
    r.command(&[0x12, 0x38]);
    assert_eq!(r.ask(&[0x0e])[7], 0x04);
    let saved = r.ask(&[0x2e]);
    assert_eq!((saved.len(), saved[2], saved[6]), (16, 7, 0xaf));
    r.command(&[0x03, 0x11, 0x22]);
    let mut restore = vec![0x4e];
    restore.extend(&saved);
    r.command(&restore);
    assert_eq!(r.ask(&[0x2e]), saved);
}

#[test]
fn commands_that_are_none_say_so() {
    let mut r = Rig::ready(2880);
    for v in [0x00, 0x01, 0x0b, 0x15, 0x1a, 0x1f, 0x47, 0xff, 0xaf, 0x88] {
        assert_eq!(r.ask(&[v]), [0x80], "{v:02x}");
    }
    assert!(!r.irq(), "and do not interrupt");
    assert_eq!(r.ask(&[0x17, 0x02]), [0x02]);
    assert_eq!(r.ask(&[0x33, 0x01]), [0x01]);
}

#[test]
fn wrong_phases_are_ignored() {
    let mut r = Rig::ready(2880);
    r.b.in8(FIFO);
    assert_eq!(r.b.in8(MSR), 0x80);
    r.command(&[0x04]);
    assert_eq!(r.b.in8(MSR), 0x90);
    r.b.in8(FIFO);
    assert_eq!(r.b.in8(MSR), 0x90);
    r.command(&[0x00]);
    r.b.out8(FIFO, 0x55);
    assert_eq!(r.result(), [0x38], "ST3: at track 0");
}

#[test]
fn a_reset_ends_a_command() {
    let mut r = Rig::ready(2880);
    r.dma_to_memory(512);
    r.command(&[0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]);
    assert_eq!(r.b.in8(MSR), 0x10, "busy, by DMA");
    r.reset();
    r.pass(200 * MS);
    assert!(!r.irq() && r.b.dma.taken.is_empty());
    assert_eq!(r.b.in8(MSR), 0x80);
}
