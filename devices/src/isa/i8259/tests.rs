use board::testkit::Bench;
use board::{Decode, IntCtl, Reset};

use super::{ELCR, I8259, MASTER, SLAVE};

fn cold() -> Bench<I8259> {
    let mut b = Bench::new(|_| I8259::new());
    b.place(MASTER, Decode::Pio(0x20));
    b.place(SLAVE, Decode::Pio(0xa0));
    b.place(ELCR, Decode::Pio(0x4d0));
    b
}

fn init(b: &mut Bench<I8259>, icw4: u8) {
    for (port, v) in [(0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, icw4)] {
        b.out8(port, v);
    }
    for (port, v) in [(0xa0, 0x11), (0xa1, 0x70), (0xa1, 2), (0xa1, icw4 & !0x10)] {
        b.out8(port, v);
    }
    b.out8(0x21, 0);
    b.out8(0xa1, 0);
}

fn bench() -> Bench<I8259> {
    let mut b = cold();
    init(&mut b, 1);
    b
}

fn levels(b: &mut Bench<I8259>, v: u16) {
    b.dev.set_levels(v);
}

fn isr(b: &mut Bench<I8259>, port: u16) -> u8 {
    b.out8(port, 0x0b);
    b.in8(port)
}

fn irr(b: &mut Bench<I8259>, port: u16) -> u8 {
    b.out8(port, 0x0a);
    b.in8(port)
}

#[test]
fn nothing_is_requested_before_initialisation_ends() {
    let mut b = cold();
    levels(&mut b, 1);
    assert!(!b.dev.pending());
    b.out8(0x20, 0x11);
    b.out8(0x21, 0x08);
    levels(&mut b, 3);
    assert!(!b.dev.pending());
    b.out8(0x21, 0x04);
    b.out8(0x21, 0x01);
    assert!(b.dev.pending(), "IRQ1 rose after ICW1");
    assert_eq!(b.dev.ack(), (9, Some(1)));
}

#[test]
fn the_mask_reads_back_without_initialisation_as_a_presence_test_wants() {
    let mut b = cold();
    b.out8(0xa1, 0xff);
    b.out8(0x21, 0xfb);
    assert_eq!(b.in8(0x21), 0xfb);
}

#[test]
fn icw1_clears_masks_and_edges_and_keeps_elcr() {
    let mut b = bench();
    b.out8(0x4d1, 0x02);
    b.out8(0x21, 0xff);
    levels(&mut b, 1 << 4 | 1 << 9);
    b.out8(0x20, 0x11);
    for v in [0x20, 0x04, 0x01] {
        b.out8(0x21, v);
    }
    assert_eq!(b.in8(0x21), 0);
    assert_eq!(b.in8(0x4d1), 0x02);
    assert_eq!(irr(&mut b, 0x20) & 0x10, 0, "a line that was high makes no edge");
    assert_eq!(irr(&mut b, 0xa0), 0x02, "a level line still requests");
    levels(&mut b, 1 << 9);
    levels(&mut b, 1 << 4 | 1 << 9);
    assert_eq!(irr(&mut b, 0x20) & 0x10, 0x10);
}

#[test]
fn without_ic4_the_features_of_icw4_are_off() {
    let mut b = cold();
    init(&mut b, 3);
    for (port, v) in [(0x20, 0x10), (0x21, 8), (0x21, 4), (0x21, 0)] {
        b.out8(port, v);
    }
    levels(&mut b, 0);
    levels(&mut b, 2);
    assert_eq!(b.dev.ack(), (9, Some(1)));
    assert_eq!(isr(&mut b, 0x20), 2, "AEOI is off again");
}

#[test]
fn single_mode_skips_icw3() {
    let mut b = cold();
    for (port, v) in [(0x20, 0x13), (0x21, 0x40), (0x21, 0x01), (0x21, 0xfe)] {
        b.out8(port, v);
    }
    assert_eq!(b.in8(0x21), 0xfe);
}

#[test]
fn an_edge_requests_once_until_the_line_drops() {
    let mut b = bench();
    levels(&mut b, 1 << 4);
    assert_eq!(b.dev.ack(), (12, Some(4)));
    b.out8(0x20, 0x20);
    assert!(!b.dev.pending());
    levels(&mut b, 0);
    levels(&mut b, 1 << 4);
    assert!(b.dev.pending());
}

#[test]
fn a_level_line_requests_again_after_eoi_while_high() {
    let mut b = bench();
    b.out8(0x4d1, 0x02);
    levels(&mut b, 1 << 9);
    assert_eq!(b.dev.ack(), (0x71, Some(9)));
    assert!(!b.dev.pending());
    b.out8(0xa0, 0x61);
    b.out8(0x20, 0x62);
    assert!(b.dev.pending());
    levels(&mut b, 0);
    assert!(!b.dev.pending());
}

#[test]
fn elcr_takes_only_lines_that_may_be_level() {
    let mut b = bench();
    b.out8(0x4d0, 0xff);
    b.out8(0x4d1, 0xff);
    assert_eq!((b.in8(0x4d0), b.in8(0x4d1)), (0xf8, 0xde));
    b.reset(Reset::Hard);
    assert_eq!((b.in8(0x4d0), b.in8(0x4d1)), (0, 0));
}

#[test]
fn switching_a_high_line_to_level_requests_at_once() {
    let mut b = bench();
    levels(&mut b, 1 << 11);
    b.dev.ack();
    b.out8(0xa0, 0x20);
    b.out8(0x20, 0x20);
    assert!(!b.dev.pending());
    b.out8(0x4d1, 0x08);
    assert!(b.dev.pending());
    b.out8(0x4d1, 0x00);
    assert!(!b.dev.pending(), "back to edge: the level alone is no request");
}

#[test]
fn a_request_that_vanished_is_spurious_7_without_an_in_service_bit() {
    let mut b = bench();
    levels(&mut b, 1 << 4);
    levels(&mut b, 0);
    assert_eq!(b.dev.ack(), (15, None));
    assert_eq!(isr(&mut b, 0x20), 0);
}

#[test]
fn a_slave_request_that_vanished_takes_ir2_along_and_the_master_is_the_spurious_one() {
    let mut b = bench();
    levels(&mut b, 1 << 10);
    assert!(b.dev.pending());
    levels(&mut b, 0);
    assert!(!b.dev.pending(), "the slave's INT drops with its request");
    assert_eq!(b.dev.ack(), (15, None));
    assert_eq!(isr(&mut b, 0x20), 0);
}

#[test]
fn better_requests_interrupt_and_worse_wait_for_eoi() {
    let mut b = bench();
    levels(&mut b, 1 << 6);
    assert_eq!(b.dev.ack().1, Some(6));
    levels(&mut b, 1 << 6 | 1 << 7);
    assert!(!b.dev.pending());
    levels(&mut b, 1 << 6 | 1 << 7 | 1 << 14);
    assert_eq!(b.dev.ack(), (0x76, Some(14)), "the slave ranks as IR2");
    levels(&mut b, 1 << 6 | 1 << 7 | 1 << 14 | 1);
    assert_eq!(b.dev.ack().1, Some(0));
    assert_eq!(isr(&mut b, 0x20), 0x45);
    b.out8(0x20, 0x20);
    assert_eq!(isr(&mut b, 0x20), 0x44, "non-specific EOI ends the best");
    b.out8(0x20, 0x66);
    assert_eq!(isr(&mut b, 0x20), 0x04, "specific EOI ends its own");
    b.out8(0xa0, 0x20);
    b.out8(0x20, 0x62);
    assert_eq!(b.dev.ack().1, Some(7));
}

#[test]
fn a_device_on_ir2_is_not_heard() {
    let mut b = bench();
    levels(&mut b, 1 << 2);
    assert!(!b.dev.pending());
    levels(&mut b, 1 << 2 | 1 << 9);
    assert_eq!(b.dev.ack().1, Some(9));
}

#[test]
fn masks_hold_back_but_keep_the_request() {
    let mut b = bench();
    b.out8(0x21, 0x10);
    levels(&mut b, 1 << 4);
    assert!(!b.dev.pending());
    assert_eq!(irr(&mut b, 0x20), 0x10);
    b.out8(0x21, 0);
    assert_eq!(b.dev.ack().1, Some(4));
}

#[test]
fn rotate_on_non_specific_eoi_makes_the_served_input_lowest() {
    let mut b = bench();
    levels(&mut b, 1 << 4);
    b.dev.ack();
    b.out8(0x20, 0xa0);
    levels(&mut b, 0);
    levels(&mut b, 1 << 4 | 1 << 5);
    assert_eq!(b.dev.ack().1, Some(5), "5 now ranks first");
    b.out8(0x20, 0x20);
    assert_eq!(b.dev.ack().1, Some(4));
}

#[test]
fn set_priority_and_rotate_on_specific_eoi() {
    let mut b = bench();
    b.out8(0x20, 0xc3); // IR3 lowest: IR4 first
    levels(&mut b, 1 | 1 << 6);
    assert_eq!(b.dev.ack().1, Some(6));
    b.out8(0x20, 0xe7); // end 7 (not in service), 7 lowest
    assert_eq!(isr(&mut b, 0x20), 0x40);
    assert_eq!(b.dev.ack().1, Some(0), "IR0 ranks first again");
}

#[test]
fn automatic_eoi_leaves_nothing_in_service_and_can_rotate() {
    let mut b = cold();
    init(&mut b, 3);
    levels(&mut b, 1 << 3);
    assert_eq!(b.dev.ack().1, Some(3));
    assert_eq!(isr(&mut b, 0x20), 0);
    b.out8(0x20, 0x80); // rotate in AEOI
    levels(&mut b, 0);
    levels(&mut b, 1 << 3 | 1 << 4);
    assert_eq!(b.dev.ack().1, Some(3));
    levels(&mut b, 0);
    levels(&mut b, 1 << 3 | 1 << 4);
    assert_eq!(b.dev.ack().1, Some(4), "3 went last");
    b.out8(0x20, 0x00);
    levels(&mut b, 0);
    levels(&mut b, 1 << 4 | 1 << 5);
    assert_eq!(b.dev.ack().1, Some(5), "rotation of before stays: 4 went last");
    levels(&mut b, 0);
    levels(&mut b, 1 << 4 | 1 << 5);
    assert_eq!(b.dev.ack().1, Some(5), "and no further");
}

#[test]
fn special_mask_mode_lets_worse_requests_through_a_masked_service() {
    let mut b = bench();
    levels(&mut b, 1 << 3);
    b.dev.ack();
    levels(&mut b, 1 << 3 | 1 << 6);
    assert!(!b.dev.pending());
    b.out8(0x21, 0x08);
    b.out8(0x20, 0x68); // ESMM, SMM
    assert_eq!(b.dev.ack().1, Some(6));
    b.out8(0x20, 0x20);
    assert_eq!(isr(&mut b, 0x20), 0x08, "the masked one is passed over by non-specific EOI");
    b.out8(0x20, 0x48); // ESMM, no SMM
    b.out8(0x20, 0x20);
    assert_eq!(isr(&mut b, 0x20), 0);
}

#[test]
fn special_fully_nested_mode_lets_the_slave_interrupt_itself() {
    let mut plain = bench();
    levels(&mut plain, 1 << 12);
    plain.dev.ack();
    levels(&mut plain, 1 << 12 | 1 << 8);
    assert!(!plain.dev.pending());
    let mut b = cold();
    init(&mut b, 0x11);
    levels(&mut b, 1 << 12);
    assert_eq!(b.dev.ack().1, Some(12));
    levels(&mut b, 1 << 12 | 1 << 13);
    assert!(!b.dev.pending(), "a worse one of the same slave still waits");
    levels(&mut b, 1 << 12 | 1 << 8);
    assert_eq!(b.dev.ack(), (0x70, Some(8)));
}

#[test]
fn a_poll_answers_and_acknowledges() {
    let mut b = bench();
    b.out8(0x20, 0x0c);
    assert_eq!(b.in8(0x20), 0, "nothing to do");
    levels(&mut b, 1 << 5);
    b.out8(0x20, 0x0c);
    assert_eq!(b.in8(0x20), 0x85);
    assert_eq!(isr(&mut b, 0x20), 0x20);
    assert!(!b.dev.pending());
    levels(&mut b, 0);
    b.out8(0x20, 0x20);
    levels(&mut b, 1 << 8);
    b.out8(0x20, 0x0c);
    assert_eq!(b.in8(0x21), 0x82, "either address reads the poll word");
    b.out8(0xa0, 0x0c);
    assert_eq!(b.in8(0xa0), 0x80);
}

#[test]
fn the_status_read_select_stays_until_changed() {
    let mut b = bench();
    levels(&mut b, 1 << 7);
    b.dev.ack();
    b.out8(0x20, 0x0b);
    assert_eq!((b.in8(0x20), b.in8(0x20)), (0x80, 0x80));
    b.out8(0x20, 0x08); // neither RR nor ESMM
    assert_eq!(b.in8(0x20), 0x80);
    b.out8(0x20, 0x0a);
    assert_eq!(b.in8(0x20), 0);
}

#[test]
fn an_ended_slave_request_with_another_waiting_requests_again() {
    let mut b = bench();
    levels(&mut b, 1 << 14 | 1 << 15);
    assert_eq!(b.dev.ack().1, Some(14));
    b.out8(0xa0, 0x20);
    b.out8(0x20, 0x20);
    assert_eq!(b.dev.ack().1, Some(15));
}

#[test]
fn state_survives() {
    let mut b = bench();
    b.out8(0x4d1, 0x0e);
    b.out8(0x21, 0x60);
    levels(&mut b, 1 << 9 | 1 << 4);
    assert_eq!(b.dev.ack().1, Some(9));
    b.save_and_load();
    assert_eq!(b.in8(0x21), 0x60);
    assert_eq!(b.in8(0x4d1), 0x0e);
    assert_eq!(isr(&mut b, 0xa0), 0x02);
    b.out8(0xa0, 0x61);
    b.out8(0x20, 0x62);
    assert_eq!(b.dev.ack().1, Some(9), "still high, level");
    levels(&mut b, 1 << 4);
    b.out8(0xa0, 0x61);
    b.out8(0x20, 0x62);
    assert_eq!(b.dev.ack().1, Some(4), "the edge of before is kept");
}
