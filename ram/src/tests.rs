use crate::{GuestRam, LowTarget, Mapping, Region};

const MIB: u64 = 1 << 20;

fn ram() -> GuestRam {
    GuestRam::new(16 * MIB, MIB).unwrap()
}

#[test]
fn memory_sizes_outside_4_to_3712_mib_are_refused() {
    assert!(GuestRam::new(3 * MIB, 0).is_err());
    assert!(GuestRam::new(3713 * MIB, 0).is_err());
    assert!(GuestRam::new(4 * MIB + 1, 0).is_err());
    assert!(GuestRam::new(4 * MIB, 0).is_ok());
}

#[test]
fn the_vga_and_rom_hole_is_a_chips_at_reset() {
    let r = ram();
    assert_eq!(r.resolve(0xa_0000), Mapping { read: None, write: None });
    assert_eq!(r.resolve(0x9_f000), Mapping { read: Some(0x9_f000), write: Some(0x9_f000) });
    assert_eq!(r.resolve(16 * MIB), Mapping { read: None, write: None });
    assert_eq!(r.resolve(1 << 32), Mapping { read: None, write: None });
}

#[test]
fn low_pages_read_and_write_different_targets_and_move_the_generation() {
    let r = ram();
    let rom = r.allocate(0x4_0000, false);
    let g = r.generation();
    r.set_low(0xf0..=0xff, LowTarget::Slot(rom, 0x3_0000), LowTarget::Main);
    assert_ne!(r.generation(), g);
    let at = r.extent(rom).start + 0x3_f000;
    assert_eq!(r.resolve(0xf_f000), Mapping { read: Some(at), write: Some(0xf_f000) });
    let g = r.generation();
    r.set_low(0xf0..=0xff, LowTarget::Slot(rom, 0x3_0000), LowTarget::Main);
    assert_eq!(r.generation(), g, "the same map again is no change");
}

#[test]
fn bus_writes_cross_pages_and_skip_what_is_not_memory() {
    let r = ram();
    r.write(0x9_fffe, &[1, 2, 3, 4]);
    let mut b = [0; 4];
    r.read(0x9_fffe, &mut b);
    assert_eq!(b, [1, 2, 0xff, 0xff]);
}

#[test]
fn writes_into_decoded_code_are_reported_once() {
    let r = ram();
    r.arena().set_code(0x300, true);
    let g = r.generation();
    r.write(0x30_0000 + 10, &[0x90]);
    assert_ne!(r.generation(), g);
    assert_eq!(r.take_watched_writes(), [0x300]);
    assert!(r.take_watched_writes().is_empty());
}

#[test]
fn dirty_pages_are_taken_once() {
    let r = ram();
    r.write(0x5000, &[1]);
    let mut seen = Vec::new();
    r.take_dirty(0..0x10_0000, |at| seen.push(at));
    r.take_dirty(0..0x10_0000, |at| seen.push(at));
    assert_eq!(seen, [0x5000]);
}

#[test]
fn placed_slots_appear_in_the_regions_in_address_order() {
    let r = ram();
    let rom = r.allocate(0x1_0000, false);
    let fb = r.allocate(0x8_0000, true);
    r.place(rom, Some(0xffff_0000));
    r.place(fb, Some(0xf800_0000));
    let regions = r.regions();
    assert_eq!(regions[0], Region { gpa: 0, len: 0xa_0000, arena: 0, writable: true });
    assert_eq!(regions[1], Region { gpa: MIB, len: 15 * MIB, arena: MIB as u32, writable: true });
    assert_eq!(regions[2].gpa, 0xf800_0000);
    assert_eq!(
        regions[3],
        Region { gpa: 0xffff_0000, len: 0x1_0000, arena: r.extent(rom).start, writable: false }
    );
    assert_eq!(r.resolve(0xf807_f123).write, Some(r.extent(fb).start + 0x7_f000));
    assert_eq!(r.resolve(0xffff_fff0).write, None);
    r.place(fb, None);
    assert_eq!(r.resolve(0xf800_0000).read, None);
}
