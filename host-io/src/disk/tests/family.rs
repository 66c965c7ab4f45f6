//! Who lies over whom, and a parent's file that takes the child's place, interrupted at each step.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::layers::pour;
use super::super::{
    DiskError, Format, Mode, check, children, create, create_child, freeze, info, lineage, merge_over, open,
    open_disk, repair,
};
use super::{Dir, pattern};

const SIZE: u64 = 12 << 20;

fn write(path: &Path, lba: u64, data: &[u8]) {
    let mut d = open(path, false).unwrap();
    d.write(lba, data).unwrap();
    d.flush().unwrap();
}

fn all(path: &Path) -> Vec<u8> {
    let mut d = open(path, true).unwrap();
    let mut b = vec![0; (d.sectors() * 512) as usize];
    d.read(0, &mut b).unwrap();
    b
}

fn over(child: &Path) -> Result<(), DiskError> {
    merge_over(child, |_, _| (), |_| Ok(()))
}

fn hours_ago(path: &Path, hours: u64) {
    let f = fs::OpenOptions::new().write(true).open(path).unwrap();
    f.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
}

/// A disk that was frozen twice: `disk.vhd` over `disk.two.vhd` over `disk.one.vhd`, all with data of their own.
struct Frozen {
    dir: Dir,
    one: PathBuf,
    two: PathBuf,
    disk: PathBuf,
}

impl Frozen {
    fn new(name: &str, base: Format) -> Self {
        let dir = Dir::new(name);
        let [one, two, disk] = ["disk.one.vhd", "disk.two.vhd", "disk.vhd"].map(|n| dir.file(n));
        create(&disk, base, SIZE).unwrap();
        for n in 0..5 {
            write(&disk, n * 4700, &pattern(n, 60));
        }
        hours_ago(&disk, 3);
        freeze(&disk, &one).unwrap();
        write(&disk, 4730, &pattern(50, 90));
        hours_ago(&disk, 2);
        freeze(&disk, &two).unwrap();
        write(&disk, 4790, &pattern(70, 3));
        Self { dir, one, two, disk }
    }
}

#[test]
fn the_family_is_found_while_it_is_in_use() {
    let f = Frozen::new("lineage", Format::VhdDynamic);
    let beside = f.dir.file("beside.vhd");
    create_child(&beside, &f.one).unwrap();
    fs::write(f.dir.file("state"), [7; 5000]).unwrap();
    let user = open_disk(&f.disk, Mode::ReadWrite).unwrap();
    assert_eq!(lineage(&f.disk), [f.two.clone(), f.one.clone()]);
    assert_eq!(lineage(&f.one), [] as [PathBuf; 0]);
    assert_eq!(children(&f.one).unwrap(), [beside, f.two.clone()]);
    assert_eq!(children(&f.two).unwrap(), std::slice::from_ref(&f.disk));
    assert_eq!(children(&f.disk).unwrap(), [] as [PathBuf; 0]);
    drop(user);
    // What a killed process had half made is none.
    create_child(&f.dir.file("disk.vhd.new"), &f.two).unwrap();
    assert_eq!(children(&f.two).unwrap(), [f.disk]);
}

#[test]
fn a_parent_takes_its_childs_place_and_is_what_the_child_was() {
    for base in [Format::VhdFixed, Format::VhdDynamic] {
        let f = Frozen::new(&format!("over-{base}"), base);
        let [two, disk] = [&f.two, &f.disk].map(|p| all(p));
        let uuid = |p: &Path| info(p).unwrap().vhd.unwrap().uuid;
        let modified = |p: &Path| p.metadata().unwrap().modified().unwrap();
        let was = (uuid(&f.two), modified(&f.two));
        over(&f.two).unwrap();
        assert!(!f.one.exists());
        assert_eq!(info(&f.two).unwrap().format, base);
        assert_eq!((uuid(&f.two), modified(&f.two)), was);
        assert!(all(&f.two) == two && all(&f.disk) == disk);
        over(&f.disk).unwrap();
        assert!(!f.two.exists() && all(&f.disk) == disk);
        let r = check(&f.disk).unwrap();
        assert!(r.findings.is_empty() && r.leaked == 0, "{r:?}");
        assert!(matches!(over(&f.disk), Err(DiskError::NoParent { .. })));
    }
}

/// After each step all disks open and read as before, also when the machine ran meanwhile, and it can be done again.
#[test]
fn it_may_be_interrupted_after_any_step() {
    for base in [Format::VhdFixed, Format::VhdDynamic] {
        for step in 0..4 {
            let f = Frozen::new(&format!("steps-{base}-{step}"), base);
            let [two, mut disk] = [&f.two, &f.disk].map(|p| all(p));
            let modified = f.two.metadata().unwrap().modified().unwrap();
            match step {
                0 => {
                    let stop = |done, _| assert!(done == 0, "the power goes");
                    assert!(std::panic::catch_unwind(|| pour(&f.two, stop).map(drop)).is_err());
                }
                1 => drop(pour(&f.two, |_, _| ()).unwrap()),
                2 => pour(&f.two, |_, _| ()).unwrap().inherit().unwrap(),
                // Twice, as one that begins anew.
                _ => {
                    pour(&f.two, |_, _| ()).unwrap().inherit().unwrap();
                    pour(&f.two, |_, _| ()).unwrap().inherit().unwrap();
                }
            }
            assert!(all(&f.two) == two && all(&f.disk) == disk, "{base}, step {step}");
            assert_eq!(children(&f.one).unwrap(), std::slice::from_ref(&f.two));
            let new = pattern(90, 2);
            write(&f.disk, 9000, &new);
            disk[9000 * 512..][..new.len()].copy_from_slice(&new);
            over(&f.two).unwrap();
            assert!(!f.one.exists() && all(&f.two) == two && all(&f.disk) == disk, "{base}, step {step}");
            assert_eq!(f.two.metadata().unwrap().modified().unwrap(), modified);
        }
    }
}

/// Killed between the mark and its time of change.
#[test]
fn the_mark_of_a_merge_is_no_change_to_those_over_it() {
    let f = Frozen::new("marked", Format::VhdDynamic);
    let disk = all(&f.disk);
    drop(pour(&f.two, |_, _| ()).unwrap());
    hours_ago(&f.two, 0);
    assert!(all(&f.disk) == disk);
    over(&f.two).unwrap();
    assert!(all(&f.disk) == disk);
}

#[test]
fn a_repair_gives_it_up_at_any_step() {
    for step in 0..2 {
        let f = Frozen::new(&format!("given-up-{step}"), Format::VhdDynamic);
        let [two, disk] = [&f.two, &f.disk].map(|p| all(p));
        let poured = pour(&f.two, |_, _| ()).unwrap();
        if step > 0 {
            poured.inherit().unwrap();
        }
        drop(poured);
        let r = repair(&f.two, false).unwrap();
        assert!(r.after.findings.is_empty(), "{r:?}");
        assert!(all(&f.two) == two && all(&f.disk) == disk);
        assert_eq!(lineage(&f.disk), [f.two, f.one]);
    }
}

#[test]
fn a_disk_in_use_is_left_alone() {
    let f = Frozen::new("over-busy", Format::VhdDynamic);
    let before = [&f.one, &f.two].map(|p| fs::read(p).unwrap());
    let user = open_disk(&f.disk, Mode::ReadWrite).unwrap();
    for child in [&f.two, &f.disk] {
        let e = over(child).unwrap_err().to_string();
        assert!(e.contains("in use"), "{e}");
    }
    drop(user);
    assert!([&f.one, &f.two].map(|p| fs::read(p).unwrap()) == before);
}
