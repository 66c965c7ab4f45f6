//! A VHD on a host whose disk is full now and then: what failed can be done again, and what was done stays.

use std::io;
use std::sync::{Arc, Mutex};

use board::Disk;

use super::super::Mode;
use super::super::store::{MemStore, Store};
use super::super::vhd::VhdType;
use super::{below, open_on, pattern, vhd};

const SECTORS: u64 = 700;
const BLOCK: u32 = 16 << 10;

/// A file that takes so many changes, then none until there is room.
#[derive(Clone)]
struct Host(Arc<Mutex<State>>);

struct State {
    file: MemStore,
    room: usize,
}

impl Host {
    fn change(&self, f: impl FnOnce(&mut MemStore, bool) -> io::Result<()>) -> io::Result<()> {
        let mut s = self.0.lock().unwrap();
        let fits = s.room > 0;
        s.room = s.room.saturating_sub(1);
        f(&mut s.file, fits)?;
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

impl Store for Host {
    fn len(&self) -> u64 {
        self.0.lock().unwrap().file.len()
    }
    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.lock().unwrap().file.read_at(at, buf)
    }
    /// One that does not fit comes in part.
    fn write_at(&mut self, at: u64, buf: &[u8]) -> io::Result<()> {
        self.change(|f, fits| f.write_at(at, if fits { buf } else { &buf[..buf.len() / 1024 * 512] }))
    }
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.change(|f, fits| if fits { f.set_len(len) } else { Ok(()) })
    }
    fn sync(&mut self) -> io::Result<()> {
        self.change(|_, _| Ok(()))
    }
}

/// Does it again, with more room each time, and leaves some for what comes then.
fn until_done(host: &Host, left: usize, mut f: impl FnMut() -> io::Result<()>) {
    for room in 0.. {
        match f() {
            Ok(()) => break,
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::StorageFull),
        }
        host.0.lock().unwrap().room = room;
    }
    host.0.lock().unwrap().room = left;
}

fn image(kind: VhdType) -> (Host, Box<dyn Disk>, Vec<u8>) {
    let host = Host(Arc::new(Mutex::new(State { file: MemStore(vhd(kind, SECTORS, BLOCK)), room: 0 })));
    let disk = open_on(host.clone(), Mode::ReadWrite).unwrap().image.into_disk();
    let model = below(kind, disk.sectors());
    (host, disk, model)
}

/// Runs that lie within blocks, over their ends, and over what was written before.
fn writes() -> impl Iterator<Item = (u64, Vec<u8>)> {
    (0..40_u64).map(|n| {
        let (lba, count) = (n * 37 % (SECTORS - 50), 1 + n as usize * 11 % 50);
        (lba, if n % 7 == 3 { vec![0; count * 512] } else { pattern(n << 20 | lba, count) })
    })
}

fn holds(host: &Host, model: &[u8], how: &str) {
    let file = host.0.lock().unwrap().file.clone();
    let opened = open_on(file, Mode::ReadWrite).unwrap_or_else(|e| panic!("{e}; {how}"));
    let mut all = vec![0; model.len()];
    opened.image.into_disk().read(0, &mut all).unwrap();
    assert!(all == model, "{how}");
}

#[test]
fn jobs_that_find_no_room_are_whole_when_done_again() {
    for kind in [VhdType::Dynamic, VhdType::Differencing] {
        // After so many changes the host is full, again and again.
        for room in 0..12 {
            let (host, mut disk, mut model) = image(kind);
            for (n, (lba, data)) in writes().enumerate() {
                until_done(&host, room, || disk.write(lba, &data));
                model[lba as usize * 512..][..data.len()].copy_from_slice(&data);
                match n % 5 {
                    0 => until_done(&host, room, || disk.flush()),
                    2 => until_done(&host, room, || disk.settle()),
                    _ => {}
                }
                let mut all = vec![0; model.len()];
                disk.read(0, &mut all).unwrap();
                assert!(all == model, "{kind:?}, room for {room}, write {n}");
            }
            host.0.lock().unwrap().room = usize::MAX;
            drop(disk);
            holds(&host, &model, &format!("{kind:?}, room for {room}"));
        }
    }
}

/// As when the user gives up and switches the machine off.
#[test]
fn closed_without_room_an_image_has_all_that_was_flushed() {
    for kind in [VhdType::Dynamic, VhdType::Differencing] {
        for room in 0..60 {
            let (host, mut disk, mut model) = image(kind);
            host.0.lock().unwrap().room = usize::MAX;
            for (lba, data) in writes().take(12) {
                disk.write(lba, &data).unwrap();
                model[lba as usize * 512..][..data.len()].copy_from_slice(&data);
            }
            disk.flush().unwrap();
            host.0.lock().unwrap().room = room;
            let mut touched = Vec::new();
            for (lba, data) in writes().skip(12) {
                touched.extend(lba..lba + data.len() as u64 / 512);
                if disk.write(lba, &data).is_err() {
                    break;
                }
            }
            drop(disk);
            let file = host.0.lock().unwrap().file.clone();
            let opened = open_on(file, Mode::ReadWrite).unwrap_or_else(|e| panic!("{e}; room for {room}"));
            let mut all = vec![0; model.len()];
            opened.image.into_disk().read(0, &mut all).unwrap();
            for (s, (got, want)) in (0..).zip(all.chunks(512).zip(model.chunks(512))) {
                assert!(got == want || touched.contains(&s), "{kind:?}, room for {room}, sector {s}");
            }
        }
    }
}
