//! Real disks and states of a machine that has not run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use host_io::disk::{self, Format, Mode};
use vmm::{Choice, Engine, Machine, Parts, Ports};

use super::found::Places;
use super::remove::{Done, Plan};
use super::{Entry, list};
use crate::run::extra::{Extra, Stamp};

struct Blind;

impl board::Scanout for Blind {
    fn mode(&mut self, _: board::VideoMode) {}
    fn rows(&mut self, _: std::ops::Range<u32>, _: &[u32]) {}
    fn wanted(&self) -> bool {
        false
    }
}

fn save(to: &Path) {
    let parts = Parts { memory_mib: 4, engine: Choice::This(Engine::Software), ..Parts::default() };
    let ports = Ports {
        drives: [const { None }; 4],
        floppies: [None, None],
        serial: [None, None],
        net: [const { None }; 4],
        parallel: None,
        sound: None,
        display: Box::new(Blind),
    };
    let mut f = fs::File::create(to).unwrap();
    Machine::build(&parts, ports).unwrap().save(&mut f).unwrap();
}

/// A folder with a disk, which goes when the test is over.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new(name: &str, base: Format) -> Self {
        let at = std::env::temp_dir().join(format!("heirloom-snapshots-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&at);
        fs::create_dir_all(&at).unwrap();
        let f = Self(at.canonicalize().unwrap());
        disk::create(&f.disk(), base, 12 << 20).unwrap();
        f.write(1, 100);
        f
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn disk(&self) -> PathBuf {
        self.file("disk.vhd")
    }

    /// Sectors that hold this from `lba` on.
    fn write(&self, v: u8, lba: u64) {
        let mut d = disk::open(&self.disk(), false).unwrap();
        d.write(lba, &[v; 512 * 40]).unwrap();
        d.flush().unwrap();
    }

    /// As `ctl snapshot` of a machine with this disk.
    fn snapshot(&self, name: &str) -> PathBuf {
        let (disk, state) = (self.disk(), self.file(name));
        // Not of this second.
        let then = SystemTime::now() - Duration::from_secs(100);
        fs::File::options().write(true).open(&disk).unwrap().set_modified(then).unwrap();
        let frozen = disk::frozen_name(&disk, name);
        save(&state);
        disk::freeze(&disk, &frozen).unwrap();
        let disks = vec![Stamp::of(&frozen).unwrap()];
        Extra { disks, media: None, frozen: Some(vec![frozen]), also: Vec::new() }.tie(&state).unwrap();
        state
    }

    fn list(&self) -> Vec<Entry> {
        let disks = [self.disk()];
        list(&disks, &Places::new(&disks, &[]).unwrap()).unwrap()
    }

    /// Each snapshot, and whether it can be gone back to.
    fn names(&self) -> Vec<(String, bool)> {
        let name = |p: &PathBuf| p.file_name().unwrap().to_string_lossy().into_owned();
        let of = |e: Entry| (e.state.as_ref().map_or_else(|| name(&e.disks[0].file), name), e.usable);
        self.list().into_iter().map(of).collect()
    }

    fn remove(&self, name: &str) -> Result<Done, String> {
        let done = Plan::new(&self.file(name), &[]).and_then(|p| p.carry_out(&mut |_, _| ()));
        done.map_err(|e| format!("{e:#}"))
    }

    /// All files, and what is in them.
    fn all(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let of = |e: std::io::Result<fs::DirEntry>| e.unwrap().path();
        let mut all: Vec<_> = fs::read_dir(&self.0).unwrap().map(of).collect();
        all.sort();
        all.into_iter().map(|p| (p.clone(), fs::read(p).unwrap())).collect()
    }
}

fn content(disk: &Path) -> Vec<u8> {
    let mut d = disk::open(disk, true).unwrap();
    let mut b = vec![0; (d.sectors() * 512) as usize];
    d.read(0, &mut b).unwrap();
    b
}

fn pairs(all: &[(&str, bool)]) -> Vec<(String, bool)> {
    all.iter().map(|(n, u)| ((*n).to_owned(), *u)).collect()
}

/// A disk with three snapshots, each with data of its own.
fn three(name: &str, base: Format) -> Folder {
    let f = Folder::new(name, base);
    for (n, snapshot) in (0..).zip(["one", "two", "three"]) {
        f.snapshot(snapshot);
        f.write(10 + n, 120 + u64::from(n) * 20);
    }
    f
}

#[test]
fn the_list_tells_each_snapshot_and_its_place_in_the_chain() {
    let f = three("list", Format::VhdDynamic);
    let user = disk::open_disk(&f.disk(), Mode::ReadWrite).unwrap();
    let all = f.list();
    drop(user);
    let [one, two, three] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((one.kind, one.memory_mib, one.usable), ("snapshot", Some(4), true));
    assert_eq!(two.state, Some(f.file("two")));
    let d = &two.disks[0];
    assert_eq!((&d.file, d.frozen, d.bytes.is_some()), (&f.file("disk.two.vhd"), true, true));
    assert_eq!(d.over, [f.file("disk.one.vhd")]);
    assert_eq!(d.under, [f.file("disk.three.vhd")]);
    assert_eq!(three.disks[0].under, [f.disk()]);
    // A changed disk, a lost state, another machine's.
    fs::File::options()
        .write(true)
        .open(f.file("disk.two.vhd"))
        .unwrap()
        .set_modified(SystemTime::now())
        .unwrap();
    fs::remove_file(f.file("three")).unwrap();
    fs::create_dir(f.file("other")).unwrap();
    assert_eq!(f.names(), pairs(&[("one", true), ("two", false), ("disk.three.vhd", true)]));
    let other = Folder::new("list-other", Format::VhdDynamic);
    assert_eq!(other.names(), []);
}

#[test]
fn what_a_snapshots_disk_holds_goes_to_the_one_over_it_and_nothing_else_changes() {
    for base in [Format::VhdFixed, Format::VhdDynamic] {
        for order in [["one", "two", "three"], ["three", "two", "one"], ["two", "one", "three"]] {
            let f = three(&format!("order-{base}-{}", order[0]), base);
            let kept = |f: &Folder| {
                let all = ["disk.vhd", "disk.one.vhd", "disk.two.vhd", "disk.three.vhd"].map(|n| f.file(n));
                all.map(|p| p.exists().then(|| content(&p)))
            };
            let before = kept(&f);
            let mut left = vec!["one", "two", "three"];
            for name in order {
                f.remove(name).unwrap();
                left.retain(|n| *n != name);
                let want: Vec<_> = left.iter().map(|n| (*n, true)).collect();
                assert_eq!(f.names(), pairs(&want), "{base}, {order:?}, {name}");
                for (was, now) in before.iter().zip(kept(&f)) {
                    assert!(now.is_none() || *was == now, "{base}, {order:?}, {name}");
                }
            }
            assert_eq!(f.all().len(), 1, "the disk is left");
            assert_eq!(disk::info(&f.disk()).unwrap().format, base);
        }
    }
}

#[test]
fn a_snapshot_that_nothing_lies_over_is_removed_with_its_disk() {
    let f = three("leaf", Format::VhdDynamic);
    let one = content(&f.file("disk.one.vhd"));
    // Back to the first: the others are beside it.
    disk::revert(&f.disk(), &f.file("disk.one.vhd")).unwrap();
    let e = f.remove("one").unwrap_err();
    assert!(e.contains("disk.two.vhd") && e.contains("disk.vhd both lie over it"), "{e}");
    f.remove("three").unwrap();
    assert!(!f.file("disk.three.vhd").exists());
    f.remove("two").unwrap();
    f.remove("one").unwrap();
    assert!(f.all().len() == 1 && content(&f.disk()) == one);
}

#[test]
fn what_cannot_be_removed_is_left_as_it_was() {
    let f = three("refused", Format::VhdDynamic);
    save(&f.file("saved"));
    let disks = vec![Stamp::of(&f.disk()).unwrap()];
    Extra { disks, media: None, frozen: Some(Vec::new()), also: Vec::new() }.tie(&f.file("saved")).unwrap();
    let before = f.all();
    let user = disk::open_disk(&f.disk(), Mode::ReadWrite).unwrap();
    for name in ["one", "three"] {
        let e = f.remove(name).unwrap_err();
        assert!(e.contains("in use"), "{e}");
    }
    drop(user);
    for (name, why) in [
        ("saved", "no snapshot"),
        ("disk.vhd", "neither a snapshot's state nor a disk"),
        ("disk.two.vhd", "two's, too"),
        ("four", "cannot open state"),
    ] {
        let e = f.remove(name).unwrap_err();
        assert!(e.contains(why), "{e}");
    }
    assert!(f.all() == before);
    // A state of the machine's own disk goes with it as before.
    f.remove("three").unwrap();
    assert_eq!(f.names(), pairs(&[("one", true), ("two", true), ("saved", true)]));
}

#[test]
fn states_elsewhere_are_asked_for() {
    let f = three("elsewhere", Format::VhdDynamic);
    let folder = f.file("states");
    fs::create_dir(&folder).unwrap();
    fs::rename(f.file("two"), folder.join("two")).unwrap();
    let e = f.remove("one").unwrap_err();
    assert!(e.contains("disk.two.vhd over it") && e.contains("--states"), "{e}");
    let plan = Plan::new(&f.file("one"), std::slice::from_ref(&folder)).unwrap();
    plan.carry_out(&mut |_, _| ()).unwrap();
    let places = Places::new([&f.disk()], std::slice::from_ref(&folder)).unwrap();
    let usable: Vec<_> = list(&[f.disk()], &places).unwrap().iter().map(|e| e.usable).collect();
    assert_eq!(usable, [true, true]);
    // By another name of its folder.
    #[cfg(unix)]
    {
        let link = f.file("link");
        std::os::unix::fs::symlink(&f.0, &link).unwrap();
        let e = Plan::new(&link.join("three"), &[]).and_then(|p| p.carry_out(&mut |_, _| ()));
        e.unwrap();
        fs::remove_file(link).unwrap();
        f.snapshot("three");
    }
    // Without its state the disk goes by its own name.
    fs::remove_dir_all(&folder).unwrap();
    let disk = content(&f.disk());
    f.remove("disk.two.vhd").unwrap();
    assert!(!f.file("disk.two.vhd").exists() && content(&f.disk()) == disk);
    assert_eq!(f.names(), pairs(&[("three", true)]));
}

#[test]
fn a_removal_that_was_interrupted_is_listed_and_goes_on() {
    let f = three("interrupted", Format::VhdFixed);
    let before = [f.disk(), f.file("disk.two.vhd")].map(|p| content(&p));
    let plan = Plan::new(&f.file("one"), &[]).unwrap();
    let mut stop = |done, _| assert!(done == 0, "the power goes");
    assert!(
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| plan.carry_out(&mut stop).is_ok())).is_err()
    );
    assert_eq!(f.list()[0].kind, "removing");
    assert_eq!(f.names(), pairs(&[("one", false), ("two", true), ("three", true)]));
    assert!([f.disk(), f.file("disk.two.vhd")].map(|p| content(&p)) == before);
    f.remove("one").unwrap();
    assert_eq!(f.names(), pairs(&[("two", true), ("three", true)]));
    // All was done but for the state's own end.
    fs::rename(f.file("two"), f.file("two.removing")).unwrap();
    disk::merge_over(&f.file("disk.three.vhd"), |_, _| (), |_| Ok::<(), disk::DiskError>(())).unwrap();
    f.remove("two").unwrap();
    assert!([f.disk()].map(|p| content(&p)) == before[..1]);
    assert!(!f.file("two.removing").exists());
}

/// Before and after its disk takes another file's place a state knows both.
#[test]
fn a_state_knows_its_disk_at_every_instant_of_another_ones_removal() {
    let f = three("instants", Format::VhdDynamic);
    let usable = |f: &Folder| f.names().iter().any(|n| *n == ("two".to_owned(), true));
    let two = super::found::State::read(&f.file("two")).unwrap().extra;
    disk::merge_over(
        &f.file("disk.two.vhd"),
        |_, _| (),
        |ready| {
            let mut extra = super::found::State::read(&f.file("two")).unwrap().extra;
            extra.also.push(Stamp::of(ready).unwrap().named(&extra.disks[0].path));
            extra.put(&f.file("two")).unwrap();
            assert!(usable(&f));
            Ok::<(), disk::DiskError>(())
        },
    )
    .unwrap();
    assert!(usable(&f));
    // Without that it is another disk.
    two.put(&f.file("two")).unwrap();
    assert!(!usable(&f));
}
