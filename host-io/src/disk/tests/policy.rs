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
        let mut disk = Policy::new(image, Cache::WriteThrough);
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
    let mut disk = Policy::new(image, Cache::WriteThrough);
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
        let mut disk = Policy::new(image.into_disk(), Cache::None);
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
