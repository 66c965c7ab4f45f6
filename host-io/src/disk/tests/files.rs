//! Files: locks, sizes, creation, copies.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::Instant;

use board::{Disk, pieces};

use super::super::vhd::{geometry, round_up};
use super::super::{
    DiskError, Format, Mode, Overlay, check, convert, create, info, open, open_cdrom, open_disk, open_floppy,
};
use super::{Dir, pattern};

#[test]
fn one_writer_or_many_readers() {
    let dir = Dir::new("lock");
    let path = dir.file("a.vhd");
    create(&path, Format::VhdDynamic, 10 << 20).unwrap();
    let writer = open_disk(&path, Mode::ReadWrite).unwrap();
    for mode in [Mode::ReadWrite, Mode::ReadOnly] {
        let e = open_disk(&path, mode).err().unwrap();
        assert!(matches!(e, DiskError::InUse { .. }));
        assert!(e.to_string().contains("a.vhd"));
    }
    drop(writer);
    let reader = open_disk(&path, Mode::ReadOnly).unwrap();
    let second = open_disk(&path, Mode::ReadOnly).unwrap();
    assert!(matches!(open_disk(&path, Mode::ReadWrite), Err(DiskError::InUse { .. })));
    drop((reader, second));
    assert!(open_disk(&path, Mode::ReadWrite).is_ok());
}

#[test]
fn missing_directories_and_existing_files() {
    let dir = Dir::new("paths");
    assert!(matches!(open_disk(&dir.file("none"), Mode::ReadOnly), Err(DiskError::Missing { .. })));
    assert!(matches!(open_disk(dir.path(), Mode::ReadOnly), Err(DiskError::Directory { .. })));
    assert!(matches!(open_cdrom(&dir.file("none")), Err(DiskError::Missing { .. })));
    for e in
        [open_disk(Path::new("/dev/null"), Mode::ReadOnly).err(), open_cdrom(Path::new("/dev/null")).err()]
    {
        assert!(matches!(e, Some(DiskError::Special { .. })), "{e:?}");
    }
    let path = dir.file("a.img");
    fs::write(&path, [1; 512]).unwrap();
    assert!(matches!(create(&path, Format::Raw, 1 << 20), Err(DiskError::Exists { .. })));
    assert!(matches!(convert(&path, &path, Format::Raw, |_, _| ()), Err(DiskError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), [1; 512]);
    assert!(matches!(create(&dir.file("x/y"), Format::Raw, 1 << 20), Err(DiskError::Create { .. })));
    for bytes in [0, 1 << 19, 2041 << 30] {
        let e = create(&dir.file("s.vhd"), Format::VhdFixed, bytes).err().unwrap();
        assert!(matches!(e, DiskError::Size { .. }));
        assert!(!dir.file("s.vhd").exists());
    }
}

#[test]
fn a_diskette_is_raw_and_of_a_size_that_fits() {
    let dir = Dir::new("diskette");
    let path = dir.file("a.vfd");
    let fits = |s| if s == 2880 { Ok(()) } else { Err(format!("{s} sectors are too odd")) };
    let says = |mode| open_floppy(&path, mode, fits).err().unwrap().to_string();
    assert!(says(Mode::ReadWrite).contains("--floppy none"));
    fs::write(&path, []).unwrap();
    assert!(says(Mode::ReadWrite).contains("is empty"));
    fs::write(&path, vec![7; 1440 << 10]).unwrap();
    let mut d = open_floppy(&path, Mode::ReadWrite, fits).unwrap().into_disk();
    assert_eq!((d.sectors(), d.read_only()), (2880, false));
    d.write(2879, &[1; 512]).unwrap();
    assert!(says(Mode::ReadWrite).contains("in use"));
    drop(d);
    assert_eq!(fs::read(&path).unwrap()[2879 * 512], 1);
    assert!(open_floppy(&path, Mode::ReadOnly, fits).unwrap().into_disk().read_only());
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for (len, want) in [(1000 * 512, "a.vfd: 1000 sectors are too odd"), (1000, "1000 bytes are not a whole")]
    {
        file.set_len(len).unwrap();
        let told = says(Mode::ReadOnly);
        assert!(told.contains(want), "{told}");
    }
}

/// As root every file can be written.
#[test]
fn a_diskette_that_cannot_be_written_is_protected() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new("protected");
    let path = dir.file("a.img");
    fs::write(&path, vec![0; 1440 << 10]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let can = fs::OpenOptions::new().write(true).open(&path).is_ok();
    let d = open_floppy(&path, Mode::ReadWrite, |_| Ok(())).unwrap().into_disk();
    assert_eq!(d.read_only(), !can);
}

#[test]
fn opening_writes_nothing() {
    let dir = Dir::new("still");
    let path = dir.file("a.vhd");
    create(&path, Format::VhdDynamic, 10 << 20).unwrap();
    let before = fs::read(&path).unwrap();
    let mut d = open_disk(&path, Mode::ReadWrite).unwrap().into_disk();
    d.read(0, &mut [0; 512]).unwrap();
    d.flush().unwrap();
    drop(d);
    let mut d = open_disk(&path, Mode::ReadOnly).unwrap().into_disk();
    assert!(d.write(0, &[1; 512]).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn creation_takes_no_time_whatever_the_size() {
    let dir = Dir::new("big");
    let start = Instant::now();
    for (format, name) in [(Format::VhdDynamic, "d.vhd"), (Format::VhdFixed, "f.vhd"), (Format::Raw, "r.img")]
    {
        let path = dir.file(name);
        let got = create(&path, format, 127 << 30).unwrap();
        assert!((127 << 30..(127 << 30) + (16 << 20)).contains(&got));
        let mut d = open_disk(&path, Mode::ReadWrite).unwrap().into_disk();
        assert_eq!(d.sectors() * 512, got);
        let last = d.sectors() - 8;
        d.write(last, &pattern(1, 8)).unwrap();
        let mut b = vec![0; 4096];
        d.read(last, &mut b).unwrap();
        assert!(b == pattern(1, 8));
        drop(d);
        let i = info(&path).unwrap();
        assert!(i.allocated.unwrap() < 8 << 20, "{name}: {:?}", i.allocated);
    }
    // A copy of holes is quick as well.
    convert(&dir.file("r.img"), &dir.file("c.vhd"), Format::VhdDynamic, |_, _| ()).unwrap();
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn sizes_are_those_of_the_geometry() {
    // Values of the specification's algorithm, worked by hand.
    let g = |s| {
        let g = geometry(s);
        (g.cylinders, g.heads, g.sectors)
    };
    assert_eq!(g(2048), (30, 4, 17));
    assert_eq!(g(16 << 11), (481, 4, 17));
    assert_eq!(g(512 << 11), (1040, 16, 63));
    assert_eq!(g(240 << 11), (990, 16, 31));
    assert_eq!(g(40 << 21), (20560, 16, 255));
    assert_eq!(g(u64::MAX >> 10), (65535, 16, 255));
    for s in (1..3_000_000).step_by(7919).chain([66_059_279, 66_059_280, 267_386_879, 267_386_881]) {
        let r = round_up(s);
        let (c, h, t) = g(r);
        let covered = u64::from(c) * u64::from(h) * u64::from(t);
        assert!(r >= s && (covered == r || r > 65535 * 16 * 255), "{s} {r} {covered}");
    }
}

#[test]
fn the_visible_size_is_the_geometry_unless_the_creator_means_bytes() {
    let dir = Dir::new("visible");
    let path = dir.file("a.vhd");
    create(&path, Format::VhdFixed, 20 << 20).unwrap();
    let good = fs::read(&path).unwrap();
    for (app, by_size) in
        [(b"vpc ", false), (b"qemu", false), (b"abcd", false), (b"d2v ", true), (b"win ", true)]
    {
        let mut b = good.clone();
        let n = b.len() - 512;
        b[n + 28..n + 32].copy_from_slice(app);
        // One cylinder less than the size.
        let c = u16::from_be_bytes([b[n + 56], b[n + 57]]) - 1;
        b[n + 56..n + 58].copy_from_slice(&c.to_be_bytes());
        b[n + 64..n + 68].fill(0);
        let sum = !b[n..].iter().fold(0_u32, |s, v| s + u32::from(*v));
        b[n + 64..n + 68].copy_from_slice(&sum.to_be_bytes());
        fs::write(&path, b).unwrap();
        let i = info(&path).unwrap();
        let v = i.vhd.unwrap();
        let less = u64::from(v.heads) * u64::from(v.sectors_per_track) * 512;
        assert_eq!(i.virtual_size, v.stated_size - if by_size { 0 } else { less }, "{app:?}");
    }
}

#[test]
fn copies_through_all_formats_are_the_same_disk() {
    let dir = Dir::new("copy");
    let raw = dir.file("a.img");
    // A size that no geometry covers.
    let mut bytes = vec![0; 9_999_872];
    bytes[512..40 * 512].copy_from_slice(&pattern(1, 39));
    bytes[6_000_128..6_000_128 + 512].copy_from_slice(&pattern(9, 1));
    let n = bytes.len();
    bytes[n - 512..].copy_from_slice(&pattern(3, 1));
    fs::write(&raw, &bytes).unwrap();
    let mut from = raw;
    for (format, name) in [
        (Format::VhdDynamic, "b.vhd"),
        (Format::VhdFixed, "c.vhd"),
        (Format::VhdDynamic, "d.vhd"),
        (Format::Raw, "e.img"),
    ] {
        let to = dir.file(name);
        let mut seen = Vec::new();
        convert(&from, &to, format, |done, total| seen.push((done, total))).unwrap();
        assert!(seen.is_sorted() && seen.last().is_some_and(|(d, t)| d == t));
        assert!(check(&to).unwrap().findings.is_empty());
        assert_eq!(info(&to).unwrap().format, format);
        from = to;
    }
    let end = fs::read(&from).unwrap();
    assert!(end[..bytes.len()] == bytes[..] && end[bytes.len()..].iter().all(|b| *b == 0));
    assert!(info(&dir.file("d.vhd")).unwrap().vhd.unwrap().blocks_used == Some(3));
}

#[test]
fn a_copy_that_fails_leaves_no_file() {
    let dir = Dir::new("fails");
    let bad = dir.file("bad.vhd");
    fs::write(&bad, [0; 4096]).unwrap();
    assert!(convert(&bad, &dir.file("out.img"), Format::Raw, |_, _| ()).is_err());
    assert!(!dir.file("out.img").exists());
}

#[test]
fn an_overlay_keeps_writes_and_leaves_the_image() {
    let dir = Dir::new("overlay");
    let path = dir.file("a.img");
    // The last piece is cut: 100 sectors.
    let bytes = pattern(0, 2148);
    fs::write(&path, &bytes).unwrap();
    let mut d = Overlay::new(open(&path, true).unwrap());
    let mut model = bytes.clone();
    assert!(!d.read_only());
    for (lba, n) in [(0, 1), (60, 10), (127, 130), (2140, 8), (2048, 64), (63, 1)] {
        let data = pattern(lba + 7777, n);
        d.write(lba, &data).unwrap();
        model[lba as usize * 512..][..data.len()].copy_from_slice(&data);
        let mut got = vec![0; model.len()];
        d.read(0, &mut got).unwrap();
        assert!(got == model, "{lba}");
        let memory: Vec<Cell<u8>> = (0..model.len() - 512).map(|_| Cell::new(0xee)).collect();
        d.read_to(1, &memory.chunks(7000).collect::<Vec<_>>()).unwrap();
        assert!(pieces::get(&[&memory]) == model[512..], "straight, {lba}");
    }
    let data: Vec<Cell<u8>> = pattern(4444, 70).into_iter().map(Cell::new).collect();
    d.write_from(40, &[&data[..3], &data[3..]]).unwrap();
    let mut got = vec![0; 72 * 512];
    d.read(39, &mut got).unwrap();
    assert!(got[512..71 * 512] == pattern(4444, 70) && got[..512] == model[39 * 512..40 * 512]);
    assert!(d.write(2147, &[0; 1024]).is_err() && d.read(2148, &mut [0; 512]).is_err());
    d.flush().unwrap();
    drop(d);
    assert!(fs::read(&path).unwrap() == bytes);
}

/// What the host's cache has is read at once; what it has not is refused, and read when there is time.
#[test]
#[cfg(target_os = "linux")]
fn what_would_wait_is_refused_and_right_afterwards() {
    use rustix::fs::{Advice, fadvise};
    let dir = Dir::new("at-once");
    for (format, name) in
        [(Format::Raw, "a.img"), (Format::VhdFixed, "fixed.vhd"), (Format::VhdDynamic, "dynamic.vhd")]
    {
        let path = dir.file(name);
        create(&path, format, 8 << 20).unwrap();
        let mut d = open(&path, false).unwrap();
        let all = pattern(5, 64);
        assert!(d.at_once(true));
        // The first write to a block of a dynamic disk makes the file grow, for which it is synced.
        if format == Format::VhdDynamic {
            assert_eq!(d.write(7, &all).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
            d.at_once(false);
            d.write(7, &all).unwrap();
            d.at_once(true);
        }
        d.write(7, &all).unwrap();
        assert_eq!(d.flush().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        let mut got = vec![0; all.len()];
        d.read(7, &mut got).unwrap();
        assert!(got == all, "{name}");
        let memory: Vec<Cell<u8>> = all.iter().map(|_| Cell::new(0)).collect();
        let straight: Vec<_> = memory.chunks(1000).collect();
        d.read_to(7, &straight).unwrap();
        assert!(pieces::get(&straight) == all, "{name}");
        d.at_once(false);
        d.flush().unwrap();
        fadvise(fs::File::open(&path).unwrap(), 0, None, Advice::DontNeed).unwrap();
        d.at_once(true);
        got.fill(0);
        match d.read(7, &mut got) {
            // A file system in memory waits for nothing.
            Ok(()) => {}
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock, "{name}"),
        }
        pieces::fill(&straight, 0);
        match d.read_to(7, &straight) {
            Ok(()) => {}
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock, "{name}"),
        }
        d.at_once(false);
        d.read(7, &mut got).unwrap();
        assert!(got == all, "{name}");
        let beyond = d.sectors();
        d.at_once(true);
        assert_eq!(d.read(beyond, &mut [0; 512]).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    }
}

#[test]
fn files_take_and_give_pieces_of_any_number_and_length() {
    let dir = Dir::new("pieces");
    for (format, name) in
        [(Format::Raw, "a.img"), (Format::VhdFixed, "fixed.vhd"), (Format::VhdDynamic, "dynamic.vhd")]
    {
        let path = dir.file(name);
        create(&path, format, 8 << 20).unwrap();
        let mut d = open(&path, false).unwrap();
        // Over the end of a dynamic disk's first block; so many pieces that no call of the host takes all.
        let (at, all) = (4096 - 100, pattern(3, 256));
        let memory: Vec<Cell<u8>> = all.iter().copied().map(Cell::new).collect();
        for piece in [100, 131_072, 511] {
            d.write(at, &vec![0; all.len()]).unwrap();
            d.write_from(at, &memory.chunks(piece).collect::<Vec<_>>()).unwrap();
            let mut got = vec![0; all.len()];
            d.read(at, &mut got).unwrap();
            assert!(got == all, "{name}, {piece}");
            let to: Vec<Cell<u8>> = all.iter().map(|_| Cell::new(0)).collect();
            d.read_to(at, &to.chunks(piece).collect::<Vec<_>>()).unwrap();
            assert!(pieces::get(&[&to]) == all, "{name}, {piece}");
        }
        let end = d.sectors();
        for (lba, len) in [(end - 255, 256 * 512), (end, 512), (0, 100), (u64::MAX, 512)] {
            assert!(d.write_from(lba, &[&memory[..len]]).is_err(), "{name}, {lba}");
            assert!(d.read_to(lba, &[&memory[..len]]).is_err(), "{name}, {lba}");
        }
        drop(d);
        let mut d = open(&path, true).unwrap();
        assert!(d.write_from(0, &[&memory]).is_err(), "{name} is read-only");
        assert!(pieces::get(&[&memory]) == all);
        let mut got = vec![0; all.len()];
        d.read(at, &mut got).unwrap();
        assert!(got == all, "{name} again");
    }
}

/// An image that became shorter under us: what lacks is an error and no zeros.
#[test]
fn a_file_that_was_cut_short_is_an_error_to_straight_reads() {
    let dir = Dir::new("cut");
    let path = dir.file("a.img");
    fs::write(&path, pattern(0, 64)).unwrap();
    let mut d = open(&path, true).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(32 * 512).unwrap();
    let memory: Vec<Cell<u8>> = (0..4096).map(|_| Cell::new(0)).collect();
    d.read_to(24, &[&memory]).unwrap();
    assert_eq!(d.read_to(28, &[&memory]).unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}
