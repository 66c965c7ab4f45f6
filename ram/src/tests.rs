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

#[test]
fn main_ram_is_plain_where_both_directions_reach_it() {
    let r = ram();
    let rom = r.allocate(0x4_0000, false);
    let frame = r.allocate(0x1_0000, true);
    r.place(frame, Some(0x200_0000));
    assert!(
        r.is_plain(0) && r.is_plain(0x9_ffff) && r.is_plain(0x10_0000) && r.is_plain(16 * MIB as u32 - 1)
    );
    for at in [0xa_0000, 0xf_0000, 16 * MIB as u32, 0x200_0000, u32::MAX] {
        assert!(!r.is_plain(at), "{at:x}");
    }
    r.set_low(0xf0..=0xf0, LowTarget::Slot(rom, 0), LowTarget::Main);
    assert!(!r.is_plain(0xf_0000), "it reads ROM");
    r.set_low(0xf0..=0xf0, LowTarget::Main, LowTarget::Main);
    assert!(r.is_plain(0xf_0fff));
}

#[test]
fn what_is_filled_is_dirty_and_reported_and_what_is_lent_is_not() {
    let r = ram();
    r.arena().set_code(0x301, true);
    // It was given up half way: nobody knows how far it came.
    let given_up = r.fill(&[0x30_0ffe..0x30_1002, 0x50_0000..0x50_0000, 0x40_0000..0x40_0001], |p| {
        p[0][3].set(7);
        Err::<(), _>(())
    });
    assert!(given_up.is_err());
    assert_eq!(r.take_watched_writes(), [0x301]);
    let dirty = |r: &GuestRam| {
        let mut all = Vec::new();
        r.take_dirty(0x30_0000..0x60_0000, |at| all.push(at));
        all
    };
    assert_eq!(dirty(&r), [0x30_0000, 0x30_1000, 0x40_0000]);
    let seen = r.lend(&[0x30_1001..0x30_1002, 0x30_1000..0x30_1003], |p| (p[0][0].get(), p[1].len()));
    assert_eq!(seen, (7, 3));
    assert!(dirty(&r).is_empty());
}

#[test]
#[should_panic(expected = "main RAM")]
fn nothing_but_main_ram_is_lent() {
    let r = ram();
    r.allocate(0x1000, true);
    r.lend(&[0..1, 16 * MIB as u32 - 1..16 * MIB as u32 + 1], |_| ());
}

/// Memory that is in a file: what is looked at has come, by whatever way, and the rest has not.
#[test]
fn memory_comes_from_a_file_when_it_is_asked_for() {
    use std::io::Write;
    let path = std::env::temp_dir().join(format!("heirloom-ram-{}", std::process::id()));
    let byte = |at: u64| (at / 4096) as u8 ^ 0x5a;
    let mut f = std::fs::File::create(&path).unwrap();
    // At 4096 of the file; of 4 MiB the second has nothing.
    f.write_all(&[0xee; 4096]).unwrap();
    f.write_all(&(0..4 << 20).map(byte).collect::<Vec<u8>>()).unwrap();
    let ram = GuestRam::new(4 << 20, 1 << 20).unwrap();
    let there: Vec<u8> = (0..8).map(|b| if b == 2 || b == 3 { 0 } else { 0xff }).collect();
    ram.come_from(std::fs::File::open(&path).unwrap(), 4096, &there);
    std::fs::remove_file(path).unwrap();
    assert_eq!(ram.absent(), 48);
    let mut b = [0; 8192];
    // Over a border of two chunks; then by a bus master's write, which leaves the rest of its chunk as it was.
    ram.read(0x2f000, &mut b);
    assert_eq!((b[0], b[8191]), (byte(0x2f000), byte(0x30fff)));
    assert_eq!(ram.absent(), 46);
    ram.write(0x3a_0010, &[1, 2, 3]);
    ram.read(0x3a_0000, &mut b);
    assert_eq!((b[15], b[16], b[18], b[19]), (byte(0x3a_0000), 1, 3, byte(0x3a_0000)));
    ram.read(0x10_0000, &mut b);
    assert_eq!(b, [0; 8192], "what the file has not is zeros");
    assert_eq!(ram.absent(), 45);
    // Lent to the host, for it to read and to fill.
    ram.lend(&[0x20_0000..0x20_0004, 0x21_fff0..0x22_0010], |p| {
        assert_eq!(p[0][0].get(), byte(0x20_0000));
        assert_eq!((p[1][0].get(), p[1][31].get()), (byte(0x21_ffff), byte(0x22_0000)));
    });
    let one = 0x23_0000..0x23_0001;
    ram.fill(std::slice::from_ref(&one), |p| p[0][0].set(9));
    ram.read(0x23_0000, &mut b);
    assert_eq!((b[0], b[1]), (9, byte(0x23_0000)));
    assert_eq!(ram.absent(), 41);
    // By the map and the arena, as a processor does.
    let at = ram.resolve(0x31_2000).read.unwrap();
    assert_eq!(ram.arena().load_u8(at), byte(0x31_2000));
    ram.fetch_all().unwrap();
    assert_eq!((ram.absent(), ram.fetch_failed()), (0, false));
    assert_eq!(ram.arena().load_u8(0x3f_ffff), byte(0x3f_ffff));
    assert_eq!(ram.arena().load_u8(0x23_0000), 9, "what has come is not read again");
}

/// Bytes of host memory that the arena takes.
#[cfg(target_os = "linux")]
fn resident(ram: &GuestRam) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let path = format!("/proc/self/fd/{}", ram.arena().file().unwrap());
    std::fs::metadata(path).unwrap().blocks() * 512
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_cleared_reads_as_zeros_and_takes_no_memory() {
    let ram = GuestRam::new(4 << 20, 0).unwrap();
    let before = resident(&ram);
    ram.arena().fill(0x10_0000, 0x4_0000, 0x5a);
    assert_eq!(resident(&ram), before + 0x4_0000);
    ram.arena().clear(0x11_0000, 0x2_0000);
    assert_eq!(resident(&ram), before + 0x2_0000);
    // Not whole pages of every host.
    ram.arena().clear(0x13_1000, 0x1001);
    let mut b = vec![0; 0x4_0000];
    ram.arena().copy_out(0x10_0000, &mut b);
    let zeros = (0x1_0000..0x3_0000).chain(0x3_1000..0x3_2001);
    assert!(zeros.clone().all(|n| b[n] == 0));
    assert_eq!(b.iter().filter(|v| **v == 0x5a).count(), b.len() - zeros.count());
}
