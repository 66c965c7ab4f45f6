//! Every fault is found, named and changes nothing.

use seeded::{Rng, for_a_while};

use super::super::store::MemStore;
use super::super::vhd::{VhdFault, VhdType};
use super::super::{DiskError, Mode, fuzz_iso, fuzz_open, vhd as v};
use super::{open_named, pattern, vhd};

const BLOCK: u32 = 64 << 10;

/// A dynamic VHD with three blocks in use.
fn used() -> Vec<u8> {
    let mut s = MemStore(vhd(VhdType::Dynamic, 5000, BLOCK));
    let (layout, _) = v::examine(&mut s).unwrap();
    let layout = layout.unwrap();
    let blocks = layout.dynamic.clone().unwrap();
    let path = std::env::temp_dir().join(format!(
        "heirloom-used-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, &s.0).unwrap();
    drop((layout, blocks));
    // The name has no .vhd, the content says it all.
    let mut d = super::super::open_disk(&path, Mode::ReadWrite).unwrap();
    for n in 0..3 {
        d.disk.write(n * 128, &pattern(n, 2)).unwrap();
    }
    drop(d);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    bytes
}

fn put32(b: &mut [u8], at: usize, v: u32) {
    b[at..at + 4].copy_from_slice(&v.to_be_bytes());
}

/// Makes a checksum right again.
fn resum(b: &mut [u8], at: usize, len: usize, field: usize) {
    put32(b, at + field, 0);
    let sum = !b[at..at + len].iter().fold(0_u32, |s, v| s.wrapping_add(u32::from(*v)));
    put32(b, at + field, sum);
}

/// Changes both footers and sums them anew.
fn footers(b: &mut [u8], f: impl Fn(&mut [u8])) {
    for at in [0, b.len() - 512] {
        f(&mut b[at..at + 512]);
        resum(b, at, 512, 64);
    }
}

fn header(b: &mut [u8], f: impl Fn(&mut [u8])) {
    f(&mut b[512..1536]);
    resum(b, 512, 1024, 36);
}

fn fault(b: Vec<u8>) -> VhdFault {
    match open_named(MemStore(b), "x.vhd", Mode::ReadWrite) {
        Err(DiskError::Vhd { fault, path }) => {
            let e = DiskError::Vhd { fault: fault.clone(), path };
            let line = e.to_string();
            assert!(line.contains("x.vhd") && !line.contains('\n') && line.contains(';'), "{line}");
            fault
        }
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn the_footer() {
    let good = used();
    assert_eq!(fault(vec![0; 4096]), VhdFault::NoFooter);
    let mut b = good.clone();
    let n = b.len();
    b[n - 512 + 50] ^= 1;
    b[50] ^= 1;
    assert!(matches!(fault(b), VhdFault::FooterSum { .. }));
    let mut b = good.clone();
    footers(&mut b, |f| put32(f, 12, 0x0002_0000));
    assert_eq!(fault(b), VhdFault::Version(0x0002_0000));
    let mut b = good.clone();
    footers(&mut b, |f| put32(f, 60, 77));
    assert_eq!(fault(b), VhdFault::Type(77));
    let mut b = good.clone();
    footers(&mut b, |f| put32(f, 52, 1234));
    assert!(matches!(fault(b), VhdFault::Size(1234)));
    let mut b = good.clone();
    footers(&mut b, |f| f[48..56].fill(0xff));
    assert!(matches!(fault(b), VhdFault::Size(u64::MAX)));
    let mut b = good.clone();
    footers(&mut b, |f| f[16..24].fill(0xff));
    assert_eq!(fault(b), VhdFault::HeaderOffset(u64::MAX));
    let mut b = good;
    footers(&mut b, |f| put32(f, 16, 1));
    assert!(matches!(fault(b), VhdFault::Truncated { field: "the dynamic header", .. }));
}

#[test]
fn a_fixed_disk_that_was_cut_and_footed_anew() {
    let mut b = vhd(VhdType::Fixed, 5000, 0);
    let n = b.len();
    b.drain(1024..4096);
    assert_eq!(
        fault(b),
        VhdFault::Truncated { field: "the footer's current size", need: n as u64, have: n as u64 - 3072 }
    );
    let mut b = vhd(VhdType::Fixed, 5000, 0);
    b.truncate(n - 512);
    assert_eq!(fault(b), VhdFault::NoFooter, "by its name it must be a VHD");
}

#[test]
fn the_dynamic_header() {
    let good = used();
    let mut b = good.clone();
    b[512] = 0;
    assert_eq!(fault(b), VhdFault::NoHeader(512));
    let mut b = good.clone();
    b[512 + 100] = 1;
    assert!(matches!(fault(b), VhdFault::HeaderSum { .. }));
    let mut b = good.clone();
    header(&mut b, |h| put32(h, 24, 5));
    assert_eq!(fault(b), VhdFault::HeaderVersion(5));
    for size in [0, 512, 65535, 1 << 30] {
        let mut b = good.clone();
        header(&mut b, |h| put32(h, 32, size));
        assert_eq!(fault(b), VhdFault::BlockSize(size));
    }
    let mut b = good.clone();
    header(&mut b, |h| put32(h, 28, 3));
    assert!(matches!(fault(b), VhdFault::Entries { got: 3, .. }));
    for at in [0, 600] {
        let mut b = good.clone();
        header(&mut b, |h| put32(h, 20, at));
        assert_eq!(fault(b), VhdFault::TableOffset(u64::from(at)));
    }
    let mut b = good;
    header(&mut b, |h| put32(h, 16, 0x1000));
    assert!(matches!(fault(b), VhdFault::Truncated { field: "the BAT", .. }));
}

#[test]
fn the_table() {
    let good = used();
    let entry = |n: usize| 1536 + 4 * n;
    for sector in [0, 3, 0x7fff_ffff, 0xffff_fffe] {
        let mut b = good.clone();
        put32(&mut b, entry(5), sector);
        assert!(matches!(fault(b), VhdFault::BatRange { entry: 5, sector: s, .. } if s == sector));
    }
    let first = u32::from_be_bytes([good[1536], good[1537], good[1538], good[1539]]);
    for at in [first, first + 1] {
        let mut b = good.clone();
        put32(&mut b, entry(6), at);
        assert!(matches!(fault(b), VhdFault::Overlap { .. }), "{at}");
    }
    // All faults are listed, not just the first.
    let mut b = good;
    put32(&mut b, entry(5), 1);
    put32(&mut b, entry(6), first);
    put32(&mut b, entry(7), 0xffff_0000);
    let (layout, faults) = v::examine(&mut MemStore(b)).unwrap();
    assert!(layout.is_none());
    assert_eq!(faults.len(), 3);
}

#[test]
fn one_good_footer_is_enough_and_the_other_is_noted() {
    let good = used();
    let notes = |b: Vec<u8>| open_named(MemStore(b), "x.vhd", Mode::ReadWrite).map(|o| o.faults).unwrap();
    assert_eq!(notes(good.clone()), []);
    let n = good.len();
    let mut b = good.clone();
    b[n - 512..].fill(0);
    assert_eq!(notes(b), [VhdFault::LastFooter]);
    let mut b = good.clone();
    b[..512].fill(0);
    assert_eq!(notes(b), [VhdFault::FooterCopy]);
    let mut b = good.clone();
    b[..8].fill(0);
    b[n - 500] ^= 1;
    assert!(matches!(fault(b), VhdFault::FooterSum { .. }));
    let mut b = good;
    footers(&mut b, |f| f[84] = 1);
    assert_eq!(notes(b), [VhdFault::SavedState]);
}

#[test]
fn the_first_write_mends_a_footer() {
    let path = std::env::temp_dir().join(format!("heirloom-mend-{}.vhd", std::process::id()));
    let good = used();
    let n = good.len();
    for damage in [0..512, n - 512..n] {
        let mut b = good.clone();
        b[damage].fill(0x55);
        std::fs::write(&path, &b).unwrap();
        drop(super::super::open(&path, false).unwrap());
        assert!(std::fs::read(&path).unwrap() == b, "opening changes nothing");
        let mut d = super::super::open(&path, false).unwrap();
        let mut sector = [0; 512];
        d.read(0, &mut sector).unwrap();
        d.write(0, &sector).unwrap();
        drop(d);
        assert!(std::fs::read(&path).unwrap() == good);
    }
    // Cut off right behind the last block.
    std::fs::write(&path, &good[..n - 512]).unwrap();
    let mut d = super::super::open(&path, false).unwrap();
    d.write(1, &pattern(1, 1)).unwrap();
    drop(d);
    let after = std::fs::read(&path).unwrap();
    assert!(after.len() == n && after[n - 512..] == good[n - 512..]);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn other_formats_are_named() {
    for (magic, name) in
        [(&b"QFI\xfb"[..], "QCOW2"), (b"KDMV", "VMDK"), (b"vhdxfile", "VHDX"), (b"<<< Oracle", "VDI")]
    {
        let mut b = magic.to_vec();
        b.resize(4096, 0);
        let e = open_named(MemStore(b), "x.img", Mode::ReadOnly).err().unwrap().to_string();
        assert!(e.contains(name) && e.contains("x.img") && e.contains(" convert"), "{e}");
    }
    let e = open_named(MemStore(vec![1; 700]), "x.img", Mode::ReadOnly).err().unwrap();
    assert!(matches!(e, DiskError::Ragged { got: 700, .. }));
    let e = open_named(MemStore(vec![]), "x.img", Mode::ReadOnly).err().unwrap();
    assert!(matches!(e, DiskError::Empty { .. }));
}

/// Random changes, mostly where the image's structure is: `places` as (first, length).
fn mutate(b: &mut Vec<u8>, rng: &mut Rng, places: &[(usize, usize)]) {
    for _ in 0..1 + rng.below(6) {
        let n = b.len();
        let (first, len) = if rng.one_in(places.len() as u64 + 1) { (0, n) } else { rng.pick(places) };
        let at = (first + rng.index(len)).min(n - 1);
        match rng.below(4) {
            0 => b[at] ^= 1 << rng.below(8),
            1 => b[at] = rng.byte(),
            2 => {
                let v = [0, u32::MAX, 0x7fff_ffff, rng.next() as u32];
                let end = (at + 4).min(n);
                b[at..end].copy_from_slice(&rng.pick(&v).to_be_bytes()[..end - at]);
            }
            _ => b.truncate(at.max(1)),
        }
    }
}

#[test]
fn mutated_vhds_neither_panic_nor_lose_writes() {
    let good = [used(), vhd(VhdType::Fixed, 300, 0)];
    let runs = for_a_while(|rng| {
        let mut b = good[rng.index(2)].clone();
        let end = b.len() - 512;
        mutate(&mut b, rng, &[(0, 1536), (512, 1536), (end, 512)]);
        // Right checksums let the mutation through to the code behind them.
        let n = b.len();
        if n > 4096 && !rng.one_in(4) {
            resum(&mut b, 512, 1024, 36);
            resum(&mut b, 0, 512, 64);
            if b[n - 512..].starts_with(b"conectix") {
                resum(&mut b, n - 512, 512, 64);
            }
        }
        fuzz_open(&b);
    });
    assert!(runs > 10);
}

#[test]
fn mutated_isos_do_not_panic() {
    let good = super::iso::iso(true);
    let runs = for_a_while(|rng| {
        let mut b = good.clone();
        // The volume's descriptors, the boot record's, the catalog.
        mutate(&mut b, rng, &[(16 * 2048, 160), (17 * 2048, 0x60), (20 * 2048, 64)]);
        fuzz_iso(&b);
        fuzz_open(&b);
    });
    assert!(runs > 10);
}
