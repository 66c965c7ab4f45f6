//! Disks of several files: what is done to them gives the same bytes as in one file.

use std::fs;
use std::path::{Path, PathBuf};

use seeded::Rng;

use super::super::{
    DiskError, Format, Mode, check, compact, convert, create, create_child, diff, info, merge, open,
    open_disk, repair,
};
use super::{Dir, pattern};

const SIZE: u64 = 40 << 20;
/// No multiple of anything but sectors.
const PIECE: usize = (3 << 20) + 512 * 77;

/// Cuts a file into pieces; returns all of them.
fn split(whole: &Path, first: &Path) -> Vec<PathBuf> {
    let bytes = fs::read(whole).unwrap();
    let place =
        |n: usize| if n == 0 { first.to_path_buf() } else { first.with_extension(format!("v{n:02}")) };
    bytes
        .chunks(PIECE)
        .enumerate()
        .map(|(n, b)| {
            fs::write(place(n), b).unwrap();
            place(n)
        })
        .collect()
}

/// The bytes of all pieces that there are.
fn joined(first: &Path) -> Vec<u8> {
    let mut all = fs::read(first).unwrap();
    for n in 1..65 {
        let Ok(b) = fs::read(first.with_extension(format!("v{n:02}"))) else { break };
        assert_eq!(all.len(), n * PIECE, "a piece that isn't the last is full");
        all.extend(b);
    }
    all
}

/// A disk in one file, and the same in pieces.
fn pair(dir: &Dir, format: Format) -> [PathBuf; 2] {
    let (one, many) = (dir.file("one.vhd"), dir.file("many.vhd"));
    create(&one, format, SIZE).unwrap();
    let mut d = open(&one, false).unwrap();
    for n in 0..4 {
        d.write(n * 14_000 + 4000, &pattern(n, 200)).unwrap();
    }
    drop(d);
    split(&one, &many);
    [one, many]
}

#[test]
fn a_split_disk_is_the_same_bytes_as_one_file() {
    for format in [Format::VhdDynamic, Format::VhdFixed] {
        let dir = Dir::new(&format!("split-{format}"));
        let paths = pair(&dir, format);
        assert_eq!(diff(&paths[0], &paths[1], |_, _| ()).unwrap(), []);
        let mut rng = Rng::new(5);
        for round in 0..6 {
            let mut disks = paths.each_ref().map(|p| open(p, false).unwrap());
            for _ in 0..15 {
                let lba = rng.below(disks[0].sectors() - 9000);
                let most = if rng.one_in(4) { 8000 } else { 60 };
                let data = pattern(rng.below(1 << 30), 1 + rng.index(most));
                let cells: Vec<_> = data.iter().copied().map(std::cell::Cell::new).collect();
                for d in &mut disks {
                    if lba.is_multiple_of(2) {
                        d.write(lba, &data).unwrap();
                    } else {
                        d.write_from(lba, &cells.chunks(5000).collect::<Vec<_>>()).unwrap();
                    }
                }
                let got = disks.each_mut().map(|d| {
                    let to: Vec<_> = data.iter().map(|_| std::cell::Cell::new(0)).collect();
                    d.read_to(lba, &[&to]).unwrap();
                    board::pieces::get(&[&to])
                });
                assert!(got[0] == data && got[1] == data);
            }
            for d in &mut disks {
                d.flush().unwrap();
            }
            drop(disks);
            assert!(joined(&paths[1]) == fs::read(&paths[0]).unwrap(), "{format}, {round}");
        }
        let i = info(&paths[1]).unwrap();
        assert_eq!(i.file_size, fs::metadata(&paths[0]).unwrap().len());
        assert!(i.pieces.len() as u64 == (i.file_size - 1) / PIECE as u64 && i.pieces.len() > 4);
        assert!(check(&paths[1]).unwrap().findings.is_empty());
        let back = dir.file("back.vhd");
        convert(&paths[1], &back, Format::VhdDynamic, |_, _| ()).unwrap();
        assert_eq!(diff(&back, &paths[0], |_, _| ()).unwrap(), []);
    }
}

/// What was grown ahead is cut off again with the pieces that it began.
#[test]
fn pieces_come_and_go() {
    let dir = Dir::new("split-grow");
    let [one, many] = pair(&dir, Format::VhdDynamic);
    let before = info(&many).unwrap().pieces.len();
    let mut disks = [&one, &many].map(|p| open(p, false).unwrap());
    for d in &mut disks {
        d.write(60_000, &pattern(3, 1)).unwrap();
    }
    // The file grew by sixteen blocks.
    assert!(many.with_extension("v12").exists() && before < 5);
    // A kill leaves it so.
    let killed = Dir::new("split-killed");
    for n in 0..20 {
        let name = if n == 0 { "many.vhd".to_owned() } else { format!("many.v{n:02}") };
        if dir.file(&name).exists() {
            fs::copy(dir.file(&name), killed.file(&name)).unwrap();
        }
    }
    drop(disks);
    assert!(joined(&many) == fs::read(&one).unwrap());
    assert!(!many.with_extension("v12").exists());
    let killed = killed.file("many.vhd");
    let r = repair(&killed, false).unwrap();
    assert!(r.done.len() == 1 && r.after.findings.is_empty(), "{r:?}");
    assert!(joined(&killed) == fs::read(&one).unwrap());
}

#[test]
fn a_piece_that_lacks_or_is_cut_off_is_named() {
    let dir = Dir::new("split-lost");
    let [one, many] = pair(&dir, Format::VhdDynamic);
    let pieces = [vec![many.clone()], info(&many).unwrap().pieces].concat();
    let says = |mode| open_disk(&many, mode).err().unwrap().to_string();
    let away = dir.file("away");
    for n in 1..pieces.len() {
        let name = pieces[n].file_name().unwrap().to_str().unwrap();
        fs::rename(&pieces[n], &away).unwrap();
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            let e = says(mode);
            assert!(e.contains(name) && e.contains("many.vhd") && e.contains("missing"), "{e}");
        }
        if n + 1 == pieces.len() {
            assert!(!check(&many).unwrap().usable());
        }
        fs::rename(&away, &pieces[n]).unwrap();
    }
    // All but the first.
    let alone = dir.file("alone.vhd");
    fs::copy(&many, &alone).unwrap();
    let e = open_disk(&alone, Mode::ReadOnly).err().unwrap().to_string();
    assert!(e.contains("alone.v01") && e.contains("missing"), "{e}");
    let good = fs::read(&pieces[1]).unwrap();
    for bad in [&good[..1000], &[]] {
        fs::write(&pieces[1], bad).unwrap();
        let e = says(Mode::ReadOnly);
        assert!(e.contains("many.v01") && (e.contains("cut off") || e.contains("empty")), "{e}");
    }
    fs::write(&pieces[1], [&good[..], &good[..]].concat()).unwrap();
    assert!(matches!(open_disk(&many, Mode::ReadOnly), Err(DiskError::PieceSize { .. })));
    fs::write(&pieces[1], good).unwrap();
    let e = open_disk(&pieces[2], Mode::ReadOnly).err().unwrap().to_string();
    assert!(e.contains("many.v02 is a piece") && e.contains("many.vhd"), "{e}");
    // A whole VHD has no pieces, whatever lies beside it.
    fs::copy(&pieces[1], one.with_extension("v01")).unwrap();
    assert!(info(&one).unwrap().pieces.is_empty());
    assert_eq!(diff(&one, &many, |_, _| ()).unwrap(), []);
}

#[test]
fn all_pieces_are_locked() {
    let dir = Dir::new("split-lock");
    let [_, many] = pair(&dir, Format::VhdFixed);
    let file = fs::File::open(many.with_extension("v03")).unwrap();
    file.lock_shared().unwrap();
    let e = open_disk(&many, Mode::ReadWrite).err().unwrap().to_string();
    assert!(e.contains("many.v03") && e.contains("in use"), "{e}");
    open_disk(&many, Mode::ReadOnly).unwrap();
}

#[test]
fn split_disks_have_children_and_are_some() {
    let dir = Dir::new("split-child");
    let [one, many] = pair(&dir, Format::VhdDynamic);
    assert!(matches!(compact(&many, |_, _| ()), Err(DiskError::IsSplit { .. })));
    let whole = dir.file("whole.vhd");
    create_child(&whole, &many).unwrap();
    open(&whole, false).unwrap().write(0, &pattern(8, 5000)).unwrap();
    let child = dir.file("child.vhd");
    split(&whole, &child);
    fs::remove_file(&whole).unwrap();
    assert!(info(&child).unwrap().pieces.len() == 1);
    merge(&child, |_, _| ()).unwrap();
    assert!(!child.exists() && !child.with_extension("v01").exists());
    open(&one, false).unwrap().write(0, &pattern(8, 5000)).unwrap();
    assert_eq!(diff(&one, &many, |_, _| ()).unwrap(), []);
    assert!(check(&many).unwrap().findings.is_empty());
}
