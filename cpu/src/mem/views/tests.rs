//! How long an address space waits for a view.

use super::*;

const AFTER: u64 = 1000;

/// Runs an address space until it has a view; returns how many instructions that took.
fn waits(v: &mut Views, arena: &Arena, key: Key) -> u64 {
    v.select(Some(key));
    let before = v.ran_in_all;
    while !v.ran(arena, AFTER) {}
    v.ran_in_all - before
}

fn fails(v: &mut Views, arena: &Arena) {
    while !v.ran(arena, 1) {
        v.trapped();
    }
}

#[test]
fn an_address_space_whose_views_do_not_pay_waits_longer_for_each_but_never_for_ever() {
    let ram = ram::GuestRam::new(16 << 20, 0).unwrap();
    let (mut v, arena) = (Views::new(AFTER), ram.arena());
    let (bad, other) = (Key { cr3: 0x1000, ..Key::default() }, Key { cr3: 0x2000, ..Key::default() });
    assert_eq!(waits(&mut v, arena, bad), AFTER);
    for wait in [4, 16, 64, 256, 256, 256] {
        fails(&mut v, arena);
        assert_eq!(waits(&mut v, arena, bad), wait * AFTER);
    }
    fails(&mut v, arena);
    // What others run counts: the next program with this CR3 may be another one.
    v.select(Some(other));
    v.ran(arena, 256 * AFTER);
    assert_eq!(waits(&mut v, arena, bad), AFTER);
    // One that paid is a new beginning.
    v.ran(arena, MEMORY + 1);
    fails(&mut v, arena);
    assert_eq!(waits(&mut v, arena, bad), 4 * AFTER);
}
