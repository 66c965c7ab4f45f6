//! What a user decides about an image: caches and discarding.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};

use board::{Disk, pieces};

use super::super::store::{MemStore, Store};
use super::super::vhd::VhdType;
use super::super::{Cache, Mode, Policy, open_disk_by};
use super::{Dir, open_on, pattern, vhd};

/// A file that knows how much of it is on the disk.
#[derive(Clone)]
struct Synced(Arc<Mutex<(MemStore, MemStore)>>);

impl Store for Synced {
    fn len(&self) -> u64 {
        self.0.lock().unwrap().0.len()
    }
    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.lock().unwrap().0.read_at(at, buf)
    }
    fn write_at(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().0.write_at(at, buf)
    }
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().0.set_len(len)
    }
    fn sync(&mut self) -> io::Result<()> {
        let (now, synced) = &mut *self.0.lock().unwrap();
        synced.clone_from(now);
        Ok(())
    }
    fn at_once(&mut self, _: bool) -> bool {
        true
    }
}

#[test]
fn written_through_a_write_is_on_the_disk_when_it_returns() {
    for kind in [VhdType::Fixed, VhdType::Dynamic, VhdType::Differencing] {
        let file = MemStore(vhd(kind, 700, 16 << 10));
        let store = Synced(Arc::new(Mutex::new((file.clone(), file))));
        let image = open_on(store.clone(), Mode::ReadWrite).unwrap().image.into_disk();
        let mut disk = Policy::new(image, Cache::WriteThrough, false);
        assert!(disk.writes_through());
        for n in 0..10_u64 {
            let (lba, data) = (n * 61 % 650, pattern(n << 32, 40));
            if n % 2 == 0 {
                disk.write(lba, &data).unwrap();
            } else {
                let memory: Vec<Cell<u8>> = data.iter().copied().map(Cell::new).collect();
                disk.write_from(lba, &memory.chunks(4096).collect::<Vec<_>>()).unwrap();
            }
            // The power goes.
            let left = store.0.lock().unwrap().1.clone();
            let mut after = open_on(left, Mode::ReadOnly).unwrap().image.into_disk();
            let mut got = vec![0; data.len()];
            after.read(lba, &mut got).unwrap();
            assert!(got == data, "{kind:?}, write {n}");
        }
    }
}

#[test]
fn written_through_only_reads_are_done_at_once() {
    let file = MemStore(vhd(VhdType::Fixed, 700, 16 << 10));
    let image = open_on(file, Mode::ReadWrite).unwrap().image.into_disk();
    let mut disk = Policy::new(image, Cache::WriteThrough, false);
    assert!(disk.at_once(true));
    let memory = [const { Cell::new(1) }; 512];
    let later = |r: io::Result<()>| r.unwrap_err().kind() == ErrorKind::WouldBlock;
    assert!(later(disk.write(0, &[1; 512])) && later(disk.write_from(0, &[&memory])));
    disk.read_to(0, &[&memory]).unwrap();
    assert!(pieces::get(&[&memory]) == [0; 512]);
    disk.at_once(false);
    disk.write(0, &[1; 512]).unwrap();
}

#[test]
fn beside_the_cache_every_format_is_what_it_is_within() {
    let dir = Dir::new("policy-none");
    for kind in [VhdType::Fixed, VhdType::Dynamic] {
        let path = dir.file(&format!("{kind:?}.vhd"));
        std::fs::write(&path, vhd(kind, 5000, 64 << 10)).unwrap();
        let image = match open_disk_by(&path, Mode::ReadWrite, Cache::None) {
            Ok(i) => i,
            Err(e) => {
                assert!(e.to_string().contains("use cache=writeback or writethrough"), "{e}");
                eprintln!("skipped: {e}");
                return;
            }
        };
        let mut disk = Policy::new(image.into_disk(), Cache::None, false);
        assert!(!disk.writes_through() && !disk.at_once(true), "all of it waits for the disk");
        for n in 0..30_u64 {
            disk.write(n * 157, &pattern(n * 157, 100)).unwrap();
        }
        disk.flush().unwrap();
        drop(disk);
        let mut disk = open_disk_by(&path, Mode::ReadOnly, Cache::default()).unwrap().into_disk();
        for n in 0..30_u64 {
            let mut got = vec![0; 51200];
            disk.read(n * 157, &mut got).unwrap();
            assert!(got == pattern(n * 157, 100), "{kind:?}, {n}");
        }
    }
}

/// Bytes that a file takes on its disk.
#[cfg(unix)]
fn taken(path: &std::path::Path) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&path.metadata().unwrap()) * 512
}

/// Can this folder's file system free a part of a file?
#[cfg(unix)]
fn frees(dir: &Dir) -> bool {
    let path = dir.file("probe");
    std::fs::write(&path, vec![1; 1 << 20]).unwrap();
    let mut disk = open_disk_by(&path, Mode::ReadWrite, Cache::default()).unwrap().into_disk();
    disk.discard(0, 2048).unwrap();
    let frees = taken(&path) < 1 << 19;
    if !frees {
        eprintln!("skipped: {} has no holes", path.display());
    }
    frees
}

#[cfg(unix)]
#[test]
fn zeros_leave_holes_as_they_are_and_overwrite_all_else() {
    let dir = Dir::new("policy-zeros");
    if !frees(&dir) {
        return;
    }
    let path = dir.file("raw.img");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(8 << 20).unwrap();
    let mut disk = open_disk_by(&path, Mode::ReadWrite, Cache::default()).unwrap().into_disk();
    let zeros = vec![Cell::new(0); 1 << 20];
    for at_once in [false, true] {
        disk.at_once(at_once);
        // At once it may have to wait, which is as good.
        let _ = disk.write(0, &vec![0; 4 << 20]);
        let _ = disk.write_from(8192, &zeros.chunks(4096).collect::<Vec<_>>());
        disk.at_once(false);
    }
    disk.flush().unwrap();
    assert!(taken(&path) < 64 << 10, "{}", taken(&path));
    disk.write(100, &pattern(1, 3)).unwrap();
    for lba in [0, 99, 101] {
        // What is partly a hole is written, whatever was there.
        disk.write(lba, &[0; 1024]).unwrap();
    }
    disk.write(102, &[0; 512]).unwrap();
    let mut got = vec![1; 256 * 512];
    disk.read(0, &mut got).unwrap();
    assert!(got.iter().all(|b| *b == 0));
    drop(disk);
    assert!(std::fs::read(&path).unwrap().iter().all(|b| *b == 0));
}

#[cfg(unix)]
#[test]
fn what_is_discarded_is_freed_and_reads_as_zeros() {
    let dir = Dir::new("policy-discard");
    if !frees(&dir) {
        return;
    }
    const SECTORS: u64 = 16 << 11;
    for kind in [None, Some(VhdType::Fixed), Some(VhdType::Dynamic)] {
        let path = dir.file(&format!("{kind:?}.vhd"));
        let path = if kind.is_none() { path.with_extension("img") } else { path };
        let bytes = kind.map_or(vec![0; (SECTORS * 512) as usize], |k| vhd(k, SECTORS, 2 << 20));
        std::fs::write(&path, bytes).unwrap();
        let open = |unmaps| {
            let image = open_disk_by(&path, Mode::ReadWrite, Cache::default()).unwrap();
            Policy::new(image.into_disk(), Cache::default(), unmaps)
        };
        let mut disk = open(false);
        disk.write(0, &pattern(0, SECTORS as usize)).unwrap();
        disk.flush().unwrap();
        let before = taken(&path);
        disk.discard(0, SECTORS).unwrap();
        assert!(!disk.discards() && taken(&path) == before, "it is ignored");
        drop(disk);
        let mut disk = open(true);
        assert!(disk.discards());
        // Not at the bounds of anything.
        disk.discard(77, SECTORS - 200).unwrap();
        assert!(disk.discard(SECTORS - 1, 1000).is_err());
        disk.flush().unwrap();
        assert!(taken(&path) < before / 8, "{kind:?}: {} of {before}", taken(&path));
        let mut got = vec![0; SECTORS as usize * 512];
        disk.read(0, &mut got).unwrap();
        let (head, rest) = got.split_at(77 * 512);
        let (freed, tail) = rest.split_at((SECTORS as usize - 200) * 512);
        assert!(head == pattern(0, 77) && tail == pattern(SECTORS - 123, 123), "{kind:?}");
        assert!(freed.iter().all(|b| *b == 0), "{kind:?}");
        // And it can be written to again.
        disk.write(1000, &pattern(1000, 300)).unwrap();
        drop(disk);
        let mut disk = open(false);
        let mut got = vec![0; 300 * 512];
        disk.read(1000, &mut got).unwrap();
        assert!(got == pattern(1000, 300));
        drop(disk);
        assert!(super::super::check(&path).unwrap().findings.is_empty());
    }
}
