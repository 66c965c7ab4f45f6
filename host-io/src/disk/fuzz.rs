//! The seam for fuzzing: any bytes as an image, opened and used as far as they allow.

use std::path::Path;

use board::Disk;

use super::flat::Flat;
use super::store::MemStore;
use super::{DiskError, Extents, Mode, SECTOR, iso, open_store, repair, vhd};

/// Reads and writes here and there, and reads back what was written.
fn use_it(disk: &mut dyn Disk) {
    let sectors = disk.sectors();
    let mut buf = vec![0; 3 * SECTOR as usize];
    for lba in [0, 1, sectors / 2, sectors.saturating_sub(3), sectors, u64::MAX] {
        let fits = lba.checked_add(3).is_some_and(|end| end <= sectors);
        let read = disk.read(lba, &mut buf);
        assert!(fits || read.is_err(), "a read of {lba} on {sectors} sectors");
        buf.fill(0x5a);
        if disk.write(lba, &buf).is_ok() {
            assert!(fits, "a write of {lba} on {sectors} sectors");
            buf.fill(0);
            assert!(disk.read(lba, &mut buf).is_ok() && buf.iter().all(|&b| b == 0x5a), "lost a write");
        }
    }
    let _ = disk.flush();
}

/// The same bytes with right checksums, so that random changes reach the code behind them.
fn summed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut b = bytes.to_vec();
    let last = b.len().checked_sub(512)?;
    let header = usize::try_from(u64::from_be_bytes(b[last..][16..24].try_into().ok()?)).ok()?;
    for (at, len, field) in [(header, 1024, 36), (0, 512, 64), (last, 512, 64)] {
        let Some(part) = at.checked_add(len).and_then(|end| b.get_mut(at..end)) else { continue };
        if part.starts_with(vhd::COOKIE) || part.starts_with(b"cxsparse") {
            let sum = vhd::checksum(part, field);
            part[field..field + 4].copy_from_slice(&sum.to_be_bytes());
        }
    }
    Some(b)
}

/// Something under a differencing disk, which is not its parent's size.
fn parent(_: &vhd::Layout, link: &vhd::Parent) -> Result<Box<dyn Extents>, DiskError> {
    let _ = link.places(Path::new("folder/fuzz.vhd"));
    Ok(Box::new(Flat::raw(MemStore(vec![7; 1 << 20]), true)))
}

/// Any bytes as a hard disk's image: must neither panic nor lose a write that it took.
pub fn fuzz_open(bytes: &[u8]) {
    for mode in [Mode::ReadWrite, Mode::ReadOnly] {
        for bytes in [Some(bytes.to_vec()), summed(bytes)].into_iter().flatten() {
            let opened = open_store(MemStore(bytes), Path::new("fuzz.vhd"), mode, &mut parent);
            if let Ok(mut o) = opened {
                use_it(o.image.disk.as_mut());
            }
        }
        // As a raw or foreign image, by content alone.
        let _ = open_store(MemStore(bytes.to_vec()), Path::new("fuzz"), mode, &mut parent);
    }
}

/// Any bytes as a VHD to repair: nothing is changed without a word, a disk that could be used reads as before, and there is
/// an end to it.
pub fn fuzz_repair(bytes: &[u8]) {
    repair::fuzz_undo(bytes);
    for bytes in [Some(bytes.to_vec()), summed(bytes)].into_iter().flatten() {
        let read = |bytes: &[u8]| {
            let opened =
                open_store(MemStore(bytes.to_vec()), Path::new("fuzz.vhd"), Mode::ReadOnly, &mut parent);
            let mut disk = opened.ok()?.image.disk;
            let mut all = vec![0; (disk.sectors().min(8192) * SECTOR) as usize];
            disk.read(0, &mut all).ok().map(|()| all)
        };
        let before = read(&bytes);
        for lose in [false, true] {
            let mut s = MemStore(bytes.clone());
            let Ok(done) = repair::repair_store(&mut s, lose) else { continue };
            assert!(!done.is_empty() || s.0 == bytes, "changed without a word");
            if before.is_some() {
                assert!(read(&s.0) == before, "a disk that could be used is another now: {done:?}");
            }
            // Once blocks are given up, what lies behind the last is junk.
            let second = repair::repair_store(&mut s, false);
            let once = s.0.clone();
            let third = repair::repair_store(&mut s, false);
            assert!(third.is_err() || s.0 == once, "it never ends: {done:?}, {second:?}, {third:?}");
        }
    }
}

/// Any bytes as a CD's image.
pub fn fuzz_iso(bytes: &[u8]) {
    let mut s = MemStore(bytes.to_vec());
    if let Ok(info) = iso::examine(&mut s)
        && !info.faults.iter().any(iso::IsoFault::fatal)
    {
        use_it(&mut iso::Iso::new(s));
    }
}
