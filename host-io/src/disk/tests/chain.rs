//! Chains of files: made, opened, merged, compacted, compared, and all that can be wrong with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::{
    DiskError, Format, Mode, check, compact, convert, create, create_child, diff, freeze, frozen_name, info,
    merge, open, open_disk, relink, revert,
};
use super::{Dir, pattern};

const SIZE: u64 = 20 << 20;

fn write(path: &Path, lba: u64, data: &[u8]) {
    let mut d = open(path, false).unwrap();
    d.write(lba, data).unwrap();
    d.flush().unwrap();
}

fn read(path: &Path, lba: u64, sectors: usize) -> Vec<u8> {
    let mut b = vec![0; sectors * 512];
    open(path, true).unwrap().read(lba, &mut b).unwrap();
    b
}

fn all(path: &Path) -> Vec<u8> {
    let mut d = open(path, true).unwrap();
    let mut b = vec![0; (d.sectors() * 512) as usize];
    d.read(0, &mut b).unwrap();
    b
}

fn says(path: &Path) -> String {
    open_disk(path, Mode::ReadOnly).err().unwrap().to_string()
}

/// A base with data here and there, and a child of a child over it.
fn family(dir: &Dir, base: Format) -> [PathBuf; 3] {
    let paths = ["base.vhd", "child.vhd", "grandchild.vhd"].map(|n| dir.file(n));
    create(&paths[0], base, SIZE).unwrap();
    for n in 0..8 {
        write(&paths[0], n * 4700, &pattern(n, 100));
    }
    create_child(&paths[1], &paths[0]).unwrap();
    for n in 0..4 {
        write(&paths[1], n * 9400 + 30, &pattern(100 + n, 7));
    }
    create_child(&paths[2], &paths[1]).unwrap();
    write(&paths[2], 35, &pattern(200, 3));
    write(&paths[2], 20_000, &vec![0; 512 * 100]);
    paths
}

#[test]
fn a_child_reads_as_its_parent_until_it_is_written_to() {
    for format in [Format::VhdFixed, Format::VhdDynamic] {
        let dir = Dir::new(&format!("family-{format}"));
        let [base, child, grandchild] = family(&dir, format);
        let before = fs::read(&base).unwrap();
        let mut want = pattern(0, 100);
        want[30 * 512..37 * 512].copy_from_slice(&pattern(100, 7));
        assert!(read(&child, 0, 100) == want);
        want[35 * 512..38 * 512].copy_from_slice(&pattern(200, 3));
        assert!(read(&grandchild, 0, 100) == want);
        assert!(fs::read(&base).unwrap() == before, "the base stays as it is");
        let i = info(&grandchild).unwrap();
        assert_eq!(i.format, Format::VhdDifferencing);
        assert_eq!(i.virtual_size, info(&base).unwrap().virtual_size);
        let real = |p: &PathBuf| p.canonicalize().unwrap();
        assert_eq!(i.parents.iter().map(real).collect::<Vec<_>>(), [real(&child), real(&base)]);
        for path in [&child, &grandchild] {
            let r = check(path).unwrap();
            assert!(r.findings.is_empty() && r.leaked == 0, "{r:?}");
        }
        // A copy of all is one disk.
        let (raw, flat) = (dir.file("flat.img"), all(&grandchild));
        convert(&grandchild, &raw, Format::Raw, |_, _| ()).unwrap();
        let got = fs::read(&raw).unwrap();
        assert!(got == flat);
        assert_eq!(diff(&raw, &grandchild, |_, _| ()).unwrap(), []);
    }
}

#[test]
fn a_parent_is_locked_while_a_child_lives() {
    let dir = Dir::new("locked");
    let [base, child, _] = family(&dir, Format::VhdDynamic);
    let second = dir.file("second.vhd");
    create_child(&second, &base).unwrap();
    let users = [open(&child, false).unwrap(), open(&second, false).unwrap()];
    assert!(matches!(open_disk(&base, Mode::ReadWrite), Err(DiskError::InUse { .. })));
    assert!(open_disk(&base, Mode::ReadOnly).is_ok());
    drop(users);
    let writer = open_disk(&base, Mode::ReadWrite).unwrap();
    let e = says(&child);
    assert!(e.contains("base.vhd is in use") && e.contains("child.vhd"), "{e}");
    drop(writer);
}

#[test]
fn a_parent_that_is_not_there_or_not_the_one_is_told_with_a_mend() {
    let dir = Dir::new("lost");
    let [base, child, grandchild] = family(&dir, Format::VhdDynamic);
    let was = all(&grandchild);
    // Moved away.
    fs::create_dir(dir.file("moved")).unwrap();
    let moved = dir.file("moved").join("b.vhd");
    fs::rename(&base, &moved).unwrap();
    let e = says(&grandchild);
    assert!(
        e.contains("child.vhd holds what differs") && e.contains("base.vhd") && e.contains("relink"),
        "{e}"
    );
    // Another disk in its place.
    create(&base, Format::VhdDynamic, SIZE).unwrap();
    let e = says(&child);
    assert!(e.contains("is not the parent") && e.contains("UUID"), "{e}");
    assert!(matches!(relink(&child, Some(&base)), Err(DiskError::ParentOther { .. })));
    assert!(matches!(relink(&base, None), Err(DiskError::NoParent { .. })));
    // No VHD at all.
    fs::write(&base, [0; 100]).unwrap();
    assert!(says(&child).contains("base.vhd"), "{}", says(&child));
    assert!(check(&child).unwrap().findings.iter().any(|f| f.fatal));
    assert!(relink(&child, Some(&moved)).unwrap() == moved);
    // To its own child it is the disk that it was.
    assert!(all(&grandchild) == was);
    // All of them in another place, together: the relative way leads there.
    let other = dir.file("other");
    fs::create_dir(&other).unwrap();
    for name in ["child.vhd", "grandchild.vhd", "moved"] {
        fs::rename(dir.file(name), other.join(name)).unwrap();
    }
    assert!(all(&other.join("grandchild.vhd")) == was);
}

fn touch(path: &Path, later: u64) {
    let f = fs::OpenOptions::new().write(true).open(path).unwrap();
    f.set_modified(SystemTime::now() + Duration::from_secs(later)).unwrap();
}

#[test]
fn a_parent_that_was_changed_is_refused_until_it_is_accepted() {
    let dir = Dir::new("changed");
    let [base, child, _] = family(&dir, Format::VhdFixed);
    let was = all(&child);
    touch(&base, 1000);
    let e = says(&child);
    assert!(e.contains("was changed after") && e.contains("`heirloom disk relink"), "{e}");
    let before = fs::read(&child).unwrap();
    assert!(open_disk(&child, Mode::ReadWrite).is_err());
    assert!(fs::read(&child).unwrap() == before, "the child is not touched");
    relink(&child, None).unwrap();
    assert!(all(&child) == was);
    // A longer way fits, or goes behind the blocks; either way nothing is lost.
    let far = dir.file(&"long ".repeat(40));
    fs::create_dir(&far).unwrap();
    fs::rename(&base, far.join("base.vhd")).unwrap();
    for _ in 0..3 {
        relink(&child, Some(&far.join("base.vhd"))).unwrap();
        assert!(all(&child) == was);
        let r = check(&child).unwrap();
        assert!(r.findings.is_empty(), "{r:?}");
    }
    write(&child, 40_000, &pattern(5, 3));
    relink(&child, None).unwrap();
    assert!(read(&child, 40_000, 3) == pattern(5, 3));
}

#[test]
fn a_chain_that_comes_back_to_itself_is_refused() {
    let dir = Dir::new("loop");
    let [base, child, _] = family(&dir, Format::VhdDynamic);
    let copy = fs::read(&child).unwrap();
    // The base becomes a child of the child: with the base's UUID.
    let uuid = |b: &[u8]| b[68..84].to_vec();
    let base_uuid = uuid(&fs::read(&base).unwrap());
    let mut b = copy.clone();
    let n = b.len();
    for at in [0, n - 512] {
        b[at + 68..at + 84].copy_from_slice(&base_uuid);
        let sum = super::super::vhd::checksum(&b[at..at + 512], 64);
        b[at + 64..at + 68].copy_from_slice(&sum.to_be_bytes());
    }
    b[512 + 40..512 + 56].copy_from_slice(&uuid(&copy));
    let sum = super::super::vhd::checksum(&b[512..1536], 36);
    b[512 + 36..512 + 40].copy_from_slice(&sum.to_be_bytes());
    // Its locators still say base.vhd: itself.
    fs::write(&base, b).unwrap();
    let e = open_disk(&child, Mode::ReadOnly).err().unwrap();
    assert!(matches!(&e, DiskError::ParentLoop { .. }), "{e}");
}

#[test]
fn a_merged_child_is_in_its_parent() {
    for format in [Format::VhdFixed, Format::VhdDynamic] {
        let dir = Dir::new(&format!("merge-{format}"));
        let [base, child, grandchild] = family(&dir, format);
        let was = all(&grandchild);
        let mut told = Vec::new();
        assert_eq!(merge(&grandchild, |done, total| told.push((done, total))).unwrap(), child);
        assert!(told.is_sorted() && told.last().is_some_and(|t| t.0 == t.1 && t.1 > 0));
        assert!(!grandchild.exists() && all(&child) == was);
        assert_eq!(merge(&child, |_, _| ()).unwrap(), base);
        assert!(!child.exists() && all(&base) == was);
        assert!(check(&base).unwrap().findings.is_empty());
        assert!(matches!(merge(&base, |_, _| ()), Err(DiskError::NoParent { .. })));
    }
}

#[test]
fn an_interrupted_merge_leaves_a_child_that_can_be_used_and_merged() {
    let dir = Dir::new("half");
    let [base, child, _] = family(&dir, Format::VhdDynamic);
    let was = all(&child);
    let stopped = std::panic::catch_unwind(|| {
        merge(&child, |done, _| assert!(done == 0, "the power goes")).unwrap();
    });
    assert!(stopped.is_err() && child.exists());
    touch(&base, 500);
    assert!(all(&child) == was);
    write(&child, 39_000, &pattern(77, 2));
    merge(&child, |_, _| ()).unwrap();
    assert!(read(&base, 39_000, 2) == pattern(77, 2));
}

#[test]
fn a_parent_in_use_is_not_merged_into() {
    let dir = Dir::new("busy");
    let [base, child, grandchild] = family(&dir, Format::VhdDynamic);
    let user = open(&child, true).unwrap();
    let e = merge(&grandchild, |_, _| ()).unwrap_err().to_string();
    assert!(e.contains("in use"), "{e}");
    drop(user);
    let before = fs::read(&base).unwrap();
    merge(&grandchild, |_, _| ()).unwrap();
    assert!(fs::read(&base).unwrap() == before);
}

#[test]
fn compacting_leaves_out_what_reads_the_same_without() {
    let dir = Dir::new("compact");
    let [base, child, grandchild] = family(&dir, Format::VhdDynamic);
    let was = all(&grandchild);
    // In the grandchild: a block of zeros over zeros, and sectors that are as the parent's.
    write(&grandchild, 12_300, &vec![0; 512 * 50]);
    let same = read(&child, 28_200, 100);
    write(&grandchild, 28_200, &same);
    let c = compact(&grandchild, |_, _| ()).unwrap();
    assert!(c.after + (2 << 20) <= c.before, "{c:?}");
    assert!(all(&grandchild) == was);
    // The base: a block that is all zeros now. Its child still takes it for what it was.
    let (block, sectors) = (4700 * 3 / 4096 * 4096, 4096);
    write(&base, block, &vec![0; 512 * sectors]);
    relink(&child, None).unwrap();
    let middle = all(&child);
    let c = compact(&base, |_, _| ()).unwrap();
    assert!(c.after < c.before, "{c:?}");
    assert!(all(&child) == middle);
    for path in [&base, &child] {
        let r = check(path).unwrap();
        assert!(r.findings.is_empty() && r.leaked == 0, "{r:?}");
    }
    // And it can be written to as before.
    relink(&grandchild, None).unwrap();
    write(&grandchild, 12_300, &pattern(3, 4));
    assert!(read(&grandchild, 12_300, 4) == pattern(3, 4));
    let fixed = dir.file("fixed.vhd");
    create(&fixed, Format::VhdFixed, SIZE).unwrap();
    assert!(matches!(compact(&fixed, |_, _| ()), Err(DiskError::NotDynamic { .. })));
}

#[test]
fn differences_are_told_by_sector() {
    let dir = Dir::new("diff");
    let (a, b) = (dir.file("a.vhd"), dir.file("b.img"));
    create(&a, Format::VhdDynamic, SIZE).unwrap();
    write(&a, 4000, &pattern(1, 200));
    convert(&a, &b, Format::Raw, |_, _| ()).unwrap();
    assert_eq!(diff(&a, &b, |_, _| ()).unwrap(), []);
    write(&b, 4090, &pattern(2, 12));
    write(&b, 9, &pattern(3, 1));
    assert_eq!(diff(&a, &b, |_, _| ()).unwrap(), [9..10, 4090..4102]);
    assert_eq!(diff(&b, &a, |_, _| ()).unwrap(), [9..10, 4090..4102]);
    // A larger one, with something in what the other has not.
    let mut raw = fs::read(&b).unwrap();
    let end = raw.len() as u64 / 512;
    raw.extend(vec![0; 1024]);
    raw.extend(pattern(4, 1));
    fs::write(&b, raw).unwrap();
    assert_eq!(diff(&a, &b, |_, _| ()).unwrap(), [9..10, 4090..4102, end + 2..end + 3]);
}

#[test]
fn a_raw_image_has_no_children() {
    let dir = Dir::new("raw-parent");
    let raw = dir.file("a.img");
    create(&raw, Format::Raw, SIZE).unwrap();
    let e = create_child(&dir.file("c.vhd"), &raw).unwrap_err().to_string();
    assert!(e.contains("a.img") && e.contains("convert"), "{e}");
    assert!(!dir.file("c.vhd").exists());
    assert!(matches!(
        create(&dir.file("d.vhd"), Format::VhdDifferencing, SIZE),
        Err(DiskError::NeedsParent { .. })
    ));
}

#[test]
fn a_frozen_disk_stays_as_it_was_under_what_comes_later() {
    for format in [Format::VhdFixed, Format::VhdDynamic, Format::VhdDifferencing] {
        let dir = Dir::new(&format!("frozen-{format}"));
        let [base, child, _] = family(&dir, Format::VhdDynamic);
        let disk = match format {
            Format::VhdDifferencing => child,
            Format::VhdDynamic => base,
            _ => {
                let disk = dir.file("fixed.vhd");
                create(&disk, format, SIZE).unwrap();
                disk
            }
        };
        let before = all(&disk);
        let frozen = frozen_name(&disk, "monday");
        assert!(frozen.to_string_lossy().ends_with(".monday.vhd"), "{}", frozen.display());
        freeze(&disk, &frozen).unwrap();
        assert!(all(&disk) == before && all(&frozen) == before);
        write(&disk, 100, &pattern(77, 5));
        assert!(all(&frozen) == before && read(&disk, 100, 5) == pattern(77, 5));
        // Not twice under one name; nothing is changed.
        assert!(matches!(freeze(&disk, &frozen), Err(DiskError::Exists { .. })));
        assert!(read(&disk, 100, 5) == pattern(77, 5));
        // A second one lies between.
        let second = frozen_name(&disk, "tuesday");
        freeze(&disk, &second).unwrap();
        write(&disk, 200, &pattern(78, 5));
        assert_eq!(info(&disk).unwrap().parents.len(), info(&second).unwrap().parents.len() + 1);
        revert(&disk, &second).unwrap();
        assert!(read(&disk, 100, 5) == pattern(77, 5) && read(&disk, 200, 5) == before[200 * 512..205 * 512]);
        revert(&disk, &frozen).unwrap();
        assert!(all(&disk) == before);
        // And forward again, to what was not lost.
        revert(&disk, &second).unwrap();
        assert!(read(&disk, 100, 5) == pattern(77, 5));
        fs::remove_file(&disk).unwrap();
        revert(&disk, &frozen).unwrap();
        assert!(all(&disk) == before);
        let other = dir.file("other.vhd");
        create(&other, Format::VhdDynamic, SIZE).unwrap();
        assert!(matches!(revert(&other, &frozen), Err(DiskError::OtherFamily { .. })));
    }
}

/// Whoever can't be frozen is there as before.
#[test]
fn what_cannot_be_frozen_stays() {
    let dir = Dir::new("unfrozen");
    let raw = dir.file("a.img");
    fs::write(&raw, pattern(0, 2048)).unwrap();
    let e = freeze(&raw, &dir.file("b.img")).unwrap_err();
    assert!(matches!(e, DiskError::NoChildren { .. }), "{e}");
    assert!(fs::read(&raw).unwrap() == pattern(0, 2048));
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(left, ["a.img"]);
}

#[cfg(unix)]
#[test]
fn a_disk_behind_a_link_is_frozen_where_it_is() {
    let dir = Dir::new("frozen-link");
    let (disk, link) = (dir.file("disk.vhd"), dir.file("link.vhd"));
    create(&disk, Format::VhdDynamic, SIZE).unwrap();
    std::os::unix::fs::symlink(&disk, &link).unwrap();
    write(&link, 10, &pattern(1, 2));
    freeze(&link, &frozen_name(&link, "now")).unwrap();
    assert!(link.is_symlink() && !disk.is_symlink());
    assert_eq!(info(&link).unwrap().format, Format::VhdDifferencing);
    assert!(read(&link, 10, 2) == pattern(1, 2));
}
