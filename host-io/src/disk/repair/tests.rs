//! Each damage, what is done about it, and that the guest's data stays.

use std::fs;
use std::path::{Path, PathBuf};

use seeded::for_a_while;

use super::super::store::MemStore;
use super::super::tests::{Dir, open_named, pattern, vhd as empty};
use super::super::vhd::{self, VhdType, checksum};
use super::super::{
    DiskError, Format, Mode, check, create, create_child, fuzz_repair, merge, open, relink, repair,
    undo_repair,
};
use super::undo::working;
use super::*;

const BLOCK: u32 = 64 << 10;
const WHOLE: usize = (64 << 10) + 512;

/// With three blocks in use.
fn dynamic() -> Vec<u8> {
    written(empty(VhdType::Dynamic, 5000, BLOCK))
}

fn written(bytes: Vec<u8>) -> Vec<u8> {
    let dir = Dir::new(&format!("repair-{:?}", std::thread::current().id()));
    let path = dir.file("a.vhd");
    fs::write(&path, bytes).unwrap();
    let mut d = open(&path, false).unwrap();
    for n in 0..3 {
        d.write(n * 128, &pattern(n, 2)).unwrap();
    }
    drop(d);
    fs::read(&path).unwrap()
}

/// Over whole-MiB size, as its geometry doesn't cover.
fn fixed() -> Vec<u8> {
    written(empty(VhdType::Fixed, 5000, 0))
}

fn read(bytes: &[u8]) -> Vec<u8> {
    let mut d = open_named(MemStore(bytes.to_vec()), "x.vhd", Mode::ReadOnly).unwrap().image.disk;
    let mut all = vec![0; (d.sectors() * 512) as usize];
    d.read(0, &mut all).unwrap();
    all
}

fn mend(bytes: &[u8], lose: bool) -> (Vec<u8>, Vec<String>) {
    let mut s = MemStore(bytes.to_vec());
    let done = repair_store(&mut s, lose).unwrap();
    (s.0, done)
}

fn usable(bytes: &[u8]) -> bool {
    open_named(MemStore(bytes.to_vec()), "x.vhd", Mode::ReadWrite).is_ok()
}

fn put32(b: &mut [u8], at: usize, v: u32) {
    b[at..at + 4].copy_from_slice(&v.to_be_bytes());
}

fn resum(b: &mut [u8], at: usize, len: usize, field: usize) {
    let sum = checksum(&b[at..at + len], field);
    put32(b, at + field, sum);
}

#[test]
fn nothing_wrong_nothing_touched() {
    for good in [dynamic(), fixed(), empty(VhdType::Differencing, 5000, BLOCK)] {
        let (after, done) = mend(&good, true);
        assert!(after == good && done.is_empty(), "{done:?}");
    }
}

#[test]
fn each_footer_is_mended_from_the_other() {
    let good = dynamic();
    let n = good.len();
    for (at, word) in [(0, "copy at offset 0"), (n - 512, "at the end")] {
        for damage in [at..at + 512, at + 40..at + 50, at..at + 1] {
            let mut b = good.clone();
            b[damage.clone()].fill(0xa5);
            let (after, done) = mend(&b, false);
            assert!(after == good, "{damage:?}");
            assert!(done.len() == 1 && done[0].contains(word), "{done:?}");
        }
    }
    let (after, _) = mend(&good[..n - 512], false);
    assert!(after == good, "the footer was cut off");
    let mut b = good.clone();
    b[24] ^= 0x55;
    resum(&mut b, 0, 512, 64);
    assert!(mend(&b, false).0 == good, "the last footer decides");
}

#[test]
fn two_damaged_footers_are_made_good_where_the_checksum_proves_it() {
    let good = dynamic();
    let n = good.len();
    for damage in [0..8, 8..16, 300..400, 16..24] {
        let mut b = good.clone();
        for at in [0, n - 512] {
            b[at + damage.start..at + damage.end].fill(0x77);
        }
        let (after, done) = mend(&b, false);
        assert!(after == good && done.len() == 2, "{damage:?}: {done:?}");
    }
    // The UUID nobody knows.
    let mut b = good.clone();
    for at in [0, n - 512] {
        b[at + 70] ^= 0xff;
    }
    let (after, done) = mend(&b, true);
    assert!(after == b && done.is_empty() && !usable(&after), "{done:?}");
}

#[test]
fn a_header_is_made_good_by_its_checksum_or_by_the_table() {
    let good = {
        let mut s = MemStore::default();
        vhd::format_dynamic(&mut s, vhd::round_up(40_000) * 512, vhd::BLOCK).unwrap();
        written(s.0)
    };
    for damage in [0..8, 8..16, 16..24, 24..28, 28..32, 32..36, 40..100, 500..1000] {
        let mut b = good.clone();
        b[512 + damage.start..512 + damage.end].fill(0x11);
        let (after, done) = mend(&b, false);
        assert!(after == good && done.len() == 1 && done[0].contains("proves"), "{damage:?}: {done:?}");
    }
    // Its checksum; all of it.
    for damage in [36..40, 0..1024] {
        let mut b = good.clone();
        b[512 + damage.start..512 + damage.end].fill(0x11);
        let (after, done) = mend(&b, false);
        assert!(after == good && done.len() == 1, "{damage:?}: {done:?}");
    }
    // Where the table is damaged, too, nobody can say what is right.
    let mut b = good.clone();
    b[512..1536].fill(0);
    put32(&mut b, 1536, 3);
    assert!(mend(&b, true).0 == b);
    let mut child = empty(VhdType::Differencing, 5000, BLOCK);
    child[512 + 41] ^= 1;
    let (after, done) = mend(&child, false);
    assert!(done.len() == 1 && done[0].contains("checksum is made right"), "{done:?}");
    assert!(usable(&after));
    child[512..1536].fill(0);
    assert!(mend(&child, true).0 == child, "its parent nobody knows");
}

#[test]
fn blocks_are_given_up_only_when_asked_for() {
    let good = dynamic();
    let entry = |n: usize| 1536 + 4 * n;
    let first = u32::from_be_bytes(good[1536..1540].try_into().unwrap());
    let step = (WHOLE / 512) as u32;
    // Entry, what it says, the one that goes.
    for (n, sector, gone, word) in [
        (5, 0, 5, "outside"),
        (5, 0x7fff_ffff, 5, "outside"),
        (5, first, 5, "lies over block 0"),
        (1, first + 3, 1, "lies over block 0"),
        (0, first + step - 7, 0, "lies over block 1"),
    ] {
        let mut b = good.clone();
        put32(&mut b, entry(n), sector);
        let (after, done) = mend(&b, false);
        assert!(after == b && done.is_empty(), "{done:?}");
        let (after, done) = mend(&b, true);
        assert!(usable(&after), "{n}, {sector}");
        assert!(done.len() == 1 && done[0].contains(word), "{done:?}");
        assert!(done[0].contains(&format!("sectors {} to {}", gone * 128, gone * 128 + 127)), "{done:?}");
        let mut want = read(&good);
        want[gone * 65536..(gone + 1) * 65536].fill(0);
        assert!(read(&after) == want, "{n}, {sector}");
        assert_eq!(after.len(), good.len(), "what may be a lost block's data stays");
    }
}

#[test]
fn a_block_that_is_cut_off_keeps_what_is_there() {
    let good = dynamic();
    let want = read(&good);
    for (cut, footer) in [(1200, false), (WHOLE - 2000, false), (2048, true)] {
        let mut b = good[..good.len() - cut].to_vec();
        if footer {
            let at = b.len() - 512;
            b[at..].copy_from_slice(&good[..512]);
        }
        assert!(!usable(&b) && mend(&b, false).0 == b);
        let (after, done) = mend(&b, true);
        assert!(done[0].contains("block 2") && done[0].contains("cut off"), "{done:?}");
        assert_eq!(after.len(), good.len());
        let got = read(&after);
        assert!(got == want, "only zeros were cut off");
    }
}

#[test]
fn junk_behind_the_last_block_is_cut_off() {
    let good = dynamic();
    let n = good.len();
    let mut b = good[..n - 512].to_vec();
    b.extend(vec![0x99; WHOLE * 2]);
    b.extend_from_slice(&good[..512]);
    let (after, done) = mend(&b, false);
    assert!(after == good && done[0].contains("behind the last block"), "{done:?}");
    // Less than a block may be another program's.
    let mut b = good[..n - 512].to_vec();
    b.extend(vec![0x99; 4096]);
    b.extend_from_slice(&good[..512]);
    assert!(mend(&b, false).0 == b);
}

#[test]
fn a_fixed_disk_gets_its_footer_back() {
    let good = fixed();
    let n = good.len() - 512;
    let want = read(&good);
    // What the checksum proves comes back as it was.
    for damage in [0..8, 10..20, 40..60, 56..60, 60..64, 84..200] {
        let mut b = good.clone();
        b[n + damage.start..n + damage.end].fill(0xee);
        let (after, done) = mend(&b, false);
        assert!(after == good && done.len() == 1, "{damage:?}: {done:?}");
    }
    for damage in [24..28, 28..40, 64..68, 70..80] {
        let mut b = good.clone();
        b[n + damage.start..n + damage.end].fill(0xee);
        let (after, done) = mend(&b, false);
        assert!(read(&after) == want && after[..n] == good[..n], "{damage:?}: {done:?}");
        assert!(done[0].contains("anew"), "{done:?}");
    }
    // Behind it something, before it nothing.
    let mut b = good.clone();
    b.extend(vec![0; 4096]);
    assert!(mend(&b, false).0 == good);
    assert!(mend(&good[..n], false).0 == good[..n], "without a partition table it may be anything");
    let mut parted = good.clone();
    parted[510..512].copy_from_slice(&[0x55, 0xaa]);
    let (after, done) = mend(&parted[..n], false);
    assert!(read(&after) == read(&parted), "{done:?}");
    let mut b = parted.clone();
    b[n..].fill(0x31);
    let (after, done) = mend(&b, false);
    assert!(read(&after) == read(&parted) && done[0].contains("overwritten"), "{done:?}");
    // Cut in the middle.
    let b = [&good[..40 * 512], &good[60 * 512..]].concat();
    assert!(mend(&b, true).0 == b);
}

#[test]
fn a_size_that_no_geometry_covers_stays_what_it_is() {
    let bytes = 5 << 20;
    let mut b = vec![7; bytes];
    b[510..512].copy_from_slice(&[0x55, 0xaa]);
    let (after, _) = mend(&b, false);
    assert_eq!(read(&after).len(), bytes);
    assert_eq!(after.len(), bytes + 512);
}

/// Any part of the changes, as a loss of power leaves it: the file that is kept brings the old image back.
#[test]
fn a_repair_that_was_interrupted_is_taken_back_and_made_anew() {
    let dir = Dir::new("repair-power");
    let path = dir.file("a.vhd");
    let good = dynamic();
    let n = good.len();
    let mut b = good.clone();
    b[512 + 900] ^= 1;
    b[n - 512..].fill(0x44);
    b[0] ^= 2;
    // Both footers are gone, so only the first is made good by its checksum; a block lies over another.
    let first = u32::from_be_bytes(good[1536..1540].try_into().unwrap());
    put32(&mut b, 1536 + 4 * 7, first + 1);
    fs::write(&path, &b).unwrap();
    let r = repair(&path, true).unwrap();
    assert!(r.done.len() >= 2 && r.undo.is_some() || r.done.is_empty(), "{r:?}");
    let undo = r.undo.unwrap();
    let new = fs::read(&path).unwrap();
    let sectors = n / 512;
    let changed: Vec<usize> = (0..sectors).filter(|s| b[s * 512..][..512] != new[s * 512..][..512]).collect();
    assert!(changed.len() >= 2);
    let log = fs::read(&undo).unwrap();
    fs::remove_file(&undo).unwrap();
    for part in 0..1_usize << changed.len() {
        let mut half = b.clone();
        for (n, s) in changed.iter().enumerate().filter(|(n, _)| part & 1 << n != 0) {
            assert!(n < 16);
            half[s * 512..][..512].copy_from_slice(&new[s * 512..][..512]);
        }
        fs::write(&path, &half).unwrap();
        fs::write(working(&path), &log).unwrap();
        assert!(matches!(open(&path, false), Err(DiskError::HalfRepaired { .. })));
        let again = repair(&path, true).unwrap();
        assert!(again.done[0].contains("interrupted"), "{again:?}");
        assert!(fs::read(&path).unwrap() == new, "{part}");
        assert_eq!(undo_repair(&path).unwrap(), undo);
        assert!(fs::read(&path).unwrap() == b, "{part}");
    }
    // A log that is not whole: the image was not touched yet.
    fs::write(working(&path), &log[..log.len() - 3]).unwrap();
    repair(&path, true).unwrap();
    assert!(fs::read(&path).unwrap() == new && !working(&path).exists());
}

#[test]
fn a_repair_can_be_taken_back_until_the_image_is_changed() {
    let dir = Dir::new("repair-back");
    let path = dir.file("a.vhd");
    let good = dynamic();
    // Junk that is cut off comes back, with its holes.
    let mut b = good[..good.len() - 512].to_vec();
    b.extend(vec![0; 3 << 20]);
    b.extend(vec![0x99; 70_000]);
    b.extend_from_slice(&good[..512]);
    fs::write(&path, &b).unwrap();
    let r = repair(&path, false).unwrap();
    assert!(fs::read(&path).unwrap() == good && r.after.findings.is_empty());
    assert!(undo_repair(&path).unwrap() == r.undo.unwrap());
    assert!(fs::read(&path).unwrap() == b);
    assert!(matches!(undo_repair(&path), Err(DiskError::NoUndo { .. })));
    // Two repairs, two files.
    let undo = repair(&path, false).unwrap().undo.unwrap();
    let mut again = good.clone();
    again[..512].fill(0);
    fs::write(&path, &again).unwrap();
    let second = repair(&path, false).unwrap().undo.unwrap();
    assert!(second != undo && undo.exists());
    open(&path, false).unwrap().write(1, &pattern(4, 1)).unwrap();
    assert_eq!(undo_repair(&path).unwrap(), second, "the copy at the beginning is as it was made");
    open(&path, false).unwrap().write(4000, &pattern(4, 1)).unwrap();
    let e = undo_repair(&path).unwrap_err().to_string();
    assert!(e.contains("changed since") && e.contains("before-repair"), "{e}");
}

fn family(dir: &Dir) -> [PathBuf; 2] {
    let paths = ["base.vhd", "child.vhd"].map(|n| dir.file(n));
    create(&paths[0], Format::VhdDynamic, 20 << 20).unwrap();
    open(&paths[0], false).unwrap().write(5, &pattern(1, 9)).unwrap();
    create_child(&paths[1], &paths[0]).unwrap();
    open(&paths[1], false).unwrap().write(9, &pattern(2, 9)).unwrap();
    paths
}

fn whole(path: &Path) -> Vec<u8> {
    let mut d = open(path, true).unwrap();
    let mut b = vec![0; (d.sectors() * 512) as usize];
    d.read(0, &mut b).unwrap();
    b
}

fn later(path: &Path) {
    let f = fs::OpenOptions::new().write(true).open(path).unwrap();
    f.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(900)).unwrap();
}

#[test]
fn an_interrupted_merge_is_given_up() {
    let dir = Dir::new("repair-merge");
    let [base, child] = family(&dir);
    let was = whole(&child);
    assert!(std::panic::catch_unwind(|| merge(&child, |_, _| panic!("the power goes"))).is_err());
    later(&base);
    let r = check(&child).unwrap();
    assert!(r.usable() && r.findings[0].what.contains("interrupted"), "{r:?}");
    let r = repair(&child, false).unwrap();
    assert!(r.done.len() == 1 && r.done[0].contains("base.vhd") && r.after.findings.is_empty(), "{r:?}");
    assert!(whole(&child) == was);
    later(&base);
    undo_repair(&child).unwrap();
    assert!(whole(&child) == was && !check(&child).unwrap().findings.is_empty());
}

#[test]
fn a_repaired_parent_is_still_the_childs() {
    let dir = Dir::new("repair-parent");
    let [base, child] = family(&dir);
    let was = whole(&child);
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(9000);
    let f = fs::OpenOptions::new().write(true).open(&base).unwrap();
    f.set_modified(long_ago).unwrap();
    relink(&child, None).unwrap();
    let mut b = fs::read(&base).unwrap();
    b[..512].fill(0);
    fs::write(&base, b).unwrap();
    f.set_modified(long_ago).unwrap();
    drop(f);
    assert_eq!(repair(&base, false).unwrap().done.len(), 1);
    assert!(whole(&child) == was);
    // A parent of another time is not the child's fault to mend.
    later(&base);
    let r = repair(&child, false).unwrap();
    assert!(r.done.is_empty() && r.undo.is_none() && !r.after.usable());
    assert!(r.after.findings.iter().any(|f| f.mend.contains("relink")), "{r:?}");
}

#[test]
fn an_image_in_use_is_not_repaired() {
    let dir = Dir::new("repair-used");
    let path = dir.file("a.vhd");
    fs::write(&path, dynamic()).unwrap();
    let user = open(&path, true).unwrap();
    assert!(matches!(repair(&path, false), Err(DiskError::InUse { .. })));
    drop(user);
    assert!(matches!(repair(&dir.file("none.vhd"), false), Err(DiskError::Missing { .. })));
}

#[test]
fn mutated_images_are_repaired_or_left() {
    let good = [dynamic(), fixed(), empty(VhdType::Differencing, 5000, BLOCK)];
    let runs = for_a_while(|rng| {
        let mut b = good[rng.index(3)].clone();
        for _ in 0..rng.below(4) {
            let n = b.len();
            let places = [(0, 512), (512, 1024), (1536, 200), (n - n.min(512), 512), (0, n)];
            let (first, len) = rng.pick(&places);
            let at = (first + rng.index(len)).min(n - 1);
            match rng.below(4) {
                0 => b[at] ^= 1 << rng.below(8),
                1 => {
                    let end = (at + 1 + rng.index(600)).min(n);
                    b[at..end].fill(rng.byte());
                }
                2 => b.truncate(at.max(1)),
                _ => b.resize(n + rng.index(200_000), rng.byte()),
            }
        }
        fuzz_repair(&b);
    });
    assert!(runs > 10);
}

#[test]
fn a_damaged_log_of_a_repair_is_refused() {
    let dir = Dir::new("repair-log");
    let path = dir.file("a.vhd");
    let good = dynamic();
    let mut b = good.clone();
    b[..512].fill(3);
    fs::write(&path, &b).unwrap();
    let undo = repair(&path, false).unwrap().undo.unwrap();
    let log = fs::read(&undo).unwrap();
    for at in 0..log.len() {
        let mut damaged = log.clone();
        damaged[at] ^= 0x10;
        super::fuzz_undo(&damaged);
        if at % 97 == 0 {
            fs::write(&undo, &damaged).unwrap();
            let e = undo_repair(&path).unwrap_err().to_string();
            assert!(e.contains("before-repair") && !e.contains('\n'), "{at}: {e}");
            assert!(fs::read(&path).unwrap() == good);
        }
    }
}
