use super::{ALL, Card, MAC, OTHER, RX, SR, ST, frame, hashed, perfect};
use crate::net::dec21140::filter::hash;

const GROUP: [u8; 6] = [0x01, 0x00, 0x5e, 0, 0, 1];

/// Which of these addresses get in: ours, another's, a group's, everybody's.
fn passes(kind: u32, setup: &[u8], mode: u32) -> [bool; 4] {
    [MAC, OTHER, GROUP, ALL].map(|to| {
        let mut c = Card::running();
        c.w(6, 0);
        c.setup(kind, setup);
        c.w(6, SR | ST | mode);
        c.comes(&frame(to, 60, 0));
        let status = c.b.read32(RX);
        let passed = status >> 31 == 0;
        if passed {
            assert_eq!(status & 0x400 != 0, to[0] & 1 != 0, "MF");
        }
        assert_eq!(c.seen("filtered"), u64::from(!passed));
        passed
    })
}

#[test]
fn hash_entries_are_where_the_manual_has_them() {
    assert_eq!(hash(ALL), 0xff);
    assert_eq!(hash(GROUP), 0x1fe);
}

#[test]
fn a_perfect_filter_passes_what_it_lists() {
    assert_eq!(passes(0, &perfect(&[MAC]), 0), [true, false, false, false], "broadcast is not for free");
    assert_eq!(passes(0, &perfect(&[ALL, MAC]), 0), [true, false, false, true]);
    let mut sixteen = [[2, 0, 0, 0, 0, 0]; 16];
    sixteen[15] = GROUP;
    assert_eq!(passes(0, &perfect(&sixteen), 0), [false, false, true, false]);
}

#[test]
fn an_inverse_filter_passes_the_others() {
    assert_eq!(passes(2, &perfect(&[MAC]), 0), [false, true, true, true]);
}

#[test]
fn a_hash_filter_is_for_groups_and_has_one_address() {
    assert_eq!(passes(1, &hashed(&[], MAC), 0), [true, false, false, false]);
    assert_eq!(passes(1, &hashed(&[0xff, hash(OTHER)], MAC), 0), [true, false, false, true]);
    assert_eq!(passes(1, &hashed(&[0x1fe], OTHER), 0), [false, true, true, false]);
}

#[test]
fn hash_only_is_for_every_address() {
    assert_eq!(passes(3, &hashed(&[hash(MAC), 0xff], OTHER), 0), [true, false, false, true]);
}

#[test]
fn the_modes_of_csr6_open_the_filter() {
    let none = perfect(&[[2, 0, 0, 0, 0, 1]]);
    assert_eq!(passes(0, &none, 0x80), [false, false, true, true], "PM");
    assert_eq!(passes(0, &none, 0x40), [true; 4], "PR");
    assert_eq!(passes(0, &none, 1 << 30), [true; 4], "RA");
}

#[test]
fn receive_all_marks_what_the_filter_would_have_kept_out() {
    let mut c = Card::running();
    c.w(6, SR | ST | 1 << 30);
    c.comes(&frame(OTHER, 60, 0));
    c.comes(&frame(MAC, 60, 0));
    assert_eq!((c.b.read32(RX) >> 30, c.b.read32(RX + 16) >> 30), (1, 0));
}

#[test]
fn csr6_shows_the_kind_of_the_last_setup_frame() {
    let mut c = Card::new();
    for (kind, shown) in [(1, 0x01), (2, 0x10), (3, 0x05), (0, 0x00)] {
        c.setup(kind, &perfect(&[MAC]));
        assert_eq!(c.r(6) & 0x15, shown);
        c.w(6, 0x15);
        assert_eq!(c.r(6) & 0x15, shown, "read only");
    }
}

#[test]
fn nothing_passes_before_there_was_a_setup_frame() {
    let mut c = Card::new();
    c.rx_ring(4);
    c.w(3, RX);
    c.w(6, SR);
    c.comes(&frame(MAC, 60, 0));
    assert_ne!(c.b.read32(RX) >> 31, 0);
}
