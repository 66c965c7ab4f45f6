//! FORMAT TRACK, and what sizes mean.

use super::*;
use crate::isa::i82077::media::{Density, FORMATS};

fn ids(c: u8, h: u8, spt: u8) -> Vec<u8> {
    (1..=spt).flat_map(|r| [c, h, r, 2]).collect()
}

#[test]
fn a_track_is_filled_and_no_other() {
    for (sectors, gap) in [(1440u64, 0x50), (2880, 0x6c), (3360, 0x0c), (5760, 0x54)] {
        let f = Format::of(sectors).unwrap();
        let mut r = Rig::ready(sectors);
        r.seek(0, 9);
        r.dma_from_memory(&ids(9, 1, f.spt));
        let out = r.run(&[0x4d, 4, 2, f.spt, gap, 0xe5]);
        assert_eq!(out[..3], [4, 0, 0], "{sectors}");
        let spt = usize::from(f.spt) * 512;
        let at = (9 * 2 + 1) * spt;
        let image = r.images[0].as_ref().unwrap();
        assert!(image[at..at + spt].iter().all(|b| *b == 0xe5));
        let was = pattern(sectors);
        assert_eq!((&image[..at], &image[at + spt..]), (&was[..at], &was[at + spt..]));
    }
}

#[test]
fn interleaved_ids_fill_all_and_foreign_ones_nothing() {
    let mut r = Rig::ready(2880);
    let mut track = Vec::new();
    for n in 0..18u8 {
        track.extend([0, 0, n * 11 % 18 + 1, 2]);
    }
    r.dma_from_memory(&track);
    assert_eq!(r.run(&[0x4d, 0, 2, 18, 0x6c, 0xf6])[0], 0);
    assert!(r.images[0].as_ref().unwrap()[..18 * 512].iter().all(|b| *b == 0xf6));
    r.dma_from_memory(&ids(0x42, 0, 18));
    assert_eq!(r.run(&[0x4d, 0, 2, 18, 0x6c, 0x00])[0], 0);
    assert!(r.images[0].as_ref().unwrap()[..18 * 512].iter().all(|b| *b == 0xf6));
}

#[test]
fn a_format_that_the_image_has_no_room_for_fails() {
    let mut r = Rig::ready(2880);
    for (what, c) in [
        ("21 sectors", [0x4d, 0, 2, 21, 0x0c, 0xf6]),
        ("of 1024 bytes", [0x4d, 0, 3, 10, 0x0c, 0xf6]),
        ("none", [0x4d, 0, 2, 0, 0x0c, 0xf6]),
    ] {
        r.dma_from_memory(&ids(0, 0, 21));
        assert_eq!(r.run(&c)[..2], [0x40, 0x04], "{what}");
    }
    // 720K on a 1.44M diskette, and a cylinder that it has not.
    r.b.out8(CCR, 2);
    assert_eq!(r.run(&[0x4d, 0, 2, 9, 0x50, 0xf6])[..2], [0x40, 0x01]);
    r.b.out8(CCR, 0);
    r.seek(0, 80);
    assert_eq!(r.run(&[0x4d, 0, 2, 18, 0x6c, 0xf6])[..2], [0x40, 0x01]);
    assert_eq!(r.images[0].as_ref().unwrap()[..], pattern(2880));
}

#[test]
fn sizes_are_formats_and_drives_take_what_fits() {
    let sizes: Vec<u64> = FORMATS.iter().map(|f| f.sectors() * 512).collect();
    assert_eq!(
        sizes,
        [
            163840, 184320, 327680, 368640, 737280, 1228800, 1474560, 1720320, 1763328, 1784832, 1884160,
            2949120
        ]
    );
    assert_eq!(Format::of(2881), None);
    for f in FORMATS {
        assert!(DriveKind::of(Some(f)).takes(f), "{}", f.name);
        assert_eq!(DriveKind::Mini1440.takes(f), !f.wide && f.density != Density::Extra, "{}", f.name);
    }
    assert_eq!(DriveKind::of(None).cmos_type(), 4);
    // What does not fit cannot be read.
    let media = Some(Media { sectors: 5760, read_only: false });
    let mut r = Rig::with([Some(FloppySpec { kind: DriveKind::Mini1440, media }), None]);
    r.start_up();
    r.b.out8(CCR, 3);
    assert_eq!(r.run(&[0x4a, 0])[..2], [0x40, 0x01]);
}
