//! Disks that are looked at on their way to the machine: what the host fails is told, all is counted.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use board::pieces::{Piece, total};
use board::{Disk, Geometry};
use vmm::{DiskTrouble, Event, Events};

/// What was done with a drive's disks.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) faults: AtomicU64,
}

/// Watches all disks of a machine.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    events: Events,
    drives: Arc<Mutex<BTreeMap<String, Arc<Counts>>>>,
}

impl Watch {
    pub(crate) fn new(events: Events) -> Self {
        Self { events, ..Self::default() }
    }

    /// Watches the disk that goes into a drive: `disk1` and so on, or as `insert` calls it.
    pub(crate) fn over(&self, drive: &str, path: &Path, disk: Box<dyn Disk>) -> Box<dyn Disk> {
        let mut drives = self.drives.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = drives.entry(drive.to_owned()).or_default().clone();
        Box::new(Watched {
            disk,
            path: path.into(),
            events: self.events.clone(),
            counts,
            begun: Instant::now(),
            told: 0,
        })
    }

    /// By drive.
    pub(crate) fn counts(&self) -> Vec<(String, Arc<Counts>)> {
        let drives = self.drives.lock().unwrap_or_else(PoisonError::into_inner);
        drives.iter().map(|(n, c)| (n.clone(), c.clone())).collect()
    }
}

/// Faults of one disk that are told in a second; all are counted.
const MOST_TOLD: u32 = 10;

struct Watched {
    disk: Box<dyn Disk>,
    path: PathBuf,
    events: Events,
    counts: Arc<Counts>,
    /// The second that runs, and what was told in it.
    begun: Instant,
    told: u32,
}

impl Watched {
    fn note<T>(&mut self, operation: &'static str, sector: Option<u64>, r: io::Result<T>) -> io::Result<T> {
        let Err(e) = &r else { return r };
        // To be asked for again; no fault.
        if e.kind() == io::ErrorKind::WouldBlock {
            return r;
        }
        self.counts.faults.fetch_add(1, Ordering::Relaxed);
        if self.begun.elapsed() >= Duration::from_secs(1) {
            (self.begun, self.told) = (Instant::now(), 0);
        }
        self.told += 1;
        if self.told <= MOST_TOLD {
            self.events.tell(Event::DiskFault(DiskTrouble {
                path: self.path.clone(),
                operation,
                sector,
                full: matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded),
                error: e.to_string(),
            }));
        }
        r
    }

    fn read_of(&mut self, lba: u64, bytes: usize, r: io::Result<()>) -> io::Result<()> {
        if r.is_ok() {
            self.counts.reads.fetch_add(1, Ordering::Relaxed);
            self.counts.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.note("read", Some(lba), r)
    }

    fn write_of(&mut self, lba: u64, bytes: usize, r: io::Result<()>) -> io::Result<()> {
        if r.is_ok() {
            self.counts.writes.fetch_add(1, Ordering::Relaxed);
            self.counts.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.note("write", Some(lba), r)
    }
}

impl Disk for Watched {
    fn sectors(&self) -> u64 {
        self.disk.sectors()
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        let r = self.disk.read(lba, buf);
        self.read_of(lba, buf.len(), r)
    }

    fn write(&mut self, lba: u64, buf: &[u8]) -> io::Result<()> {
        let r = self.disk.write(lba, buf);
        self.write_of(lba, buf.len(), r)
    }

    fn read_to(&mut self, lba: u64, to: &[Piece<'_>]) -> io::Result<()> {
        let r = self.disk.read_to(lba, to);
        self.read_of(lba, total(to), r)
    }

    fn write_from(&mut self, lba: u64, from: &[Piece<'_>]) -> io::Result<()> {
        let r = self.disk.write_from(lba, from);
        self.write_of(lba, total(from), r)
    }

    fn flush(&mut self) -> io::Result<()> {
        let r = self.disk.flush();
        if r.is_ok() {
            self.counts.flushes.fetch_add(1, Ordering::Relaxed);
        }
        self.note("flush", None, r)
    }

    fn discard(&mut self, lba: u64, count: u64) -> io::Result<()> {
        let r = self.disk.discard(lba, count);
        self.note("discard", Some(lba), r)
    }

    fn discards(&self) -> bool {
        self.disk.discards()
    }

    fn writes_through(&self) -> bool {
        self.disk.writes_through()
    }

    fn settle(&mut self) -> io::Result<()> {
        let r = self.disk.settle();
        self.note("flush", None, r)
    }

    fn at_once(&mut self, on: bool) -> bool {
        self.disk.at_once(on)
    }

    fn read_only(&self) -> bool {
        self.disk.read_only()
    }

    fn geometry(&self) -> Option<Geometry> {
        self.disk.geometry()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails from sector 100 on; what is written there finds no room.
    struct Bad;

    impl Disk for Bad {
        fn sectors(&self) -> u64 {
            200
        }

        fn read(&mut self, lba: u64, _: &mut [u8]) -> io::Result<()> {
            if lba < 100 { Ok(()) } else { Err(io::Error::other("a scratch")) }
        }

        fn write(&mut self, lba: u64, _: &[u8]) -> io::Result<()> {
            match lba {
                0..100 => Ok(()),
                100 => Err(io::ErrorKind::StorageFull.into()),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::Error::other("a broken cable"))
        }
    }

    fn told(e: &Events) -> Vec<DiskTrouble> {
        let of = |r: vmm::Record| match r.event {
            Event::DiskFault(t) => t,
            e => panic!("{e:?}"),
        };
        e.after(0, usize::MAX).records.into_iter().map(of).collect()
    }

    #[test]
    fn what_the_host_fails_is_told_with_its_place() {
        let watch = Watch::new(Events::default());
        let mut d = watch.over("disk1", Path::new("/a.img"), Box::new(Bad));
        d.read(99, &mut [0; 1024]).unwrap();
        d.write(7, &[0; 512]).unwrap();
        assert_eq!(d.read(100, &mut [0; 512]).unwrap_err().to_string(), "a scratch");
        d.write(100, &[0; 512]).unwrap_err();
        // To be done again with time.
        d.write(101, &[0; 512]).unwrap_err();
        d.flush().unwrap_err();
        let all = told(&watch.events);
        let short: Vec<_> = all.iter().map(|t| (t.operation, t.sector, t.full)).collect();
        assert_eq!(short, [("read", Some(100), false), ("write", Some(100), true), ("flush", None, false)]);
        assert!(all.iter().all(|t| t.path == Path::new("/a.img")) && all[0].error == "a scratch");
        let (name, c) = watch.counts().remove(0);
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        assert_eq!(
            (
                name.as_str(),
                [&c.reads, &c.read_bytes, &c.writes, &c.written_bytes, &c.flushes, &c.faults].map(count)
            ),
            ("disk1", [1, 1024, 1, 512, 0, 3])
        );
    }

    #[test]
    fn a_guest_that_tries_again_and_again_does_not_push_all_else_out() {
        let watch = Watch::new(Events::default());
        let mut d = watch.over("disk1", Path::new("/a.img"), Box::new(Bad));
        let begun = Instant::now();
        (0..1000).for_each(|_| drop(d.read(150, &mut [0; 512])));
        let seconds = 1 + begun.elapsed().as_secs() as usize;
        assert!((10..=10 * seconds).contains(&told(&watch.events).len()));
        assert_eq!(watch.counts()[0].1.faults.load(Ordering::Relaxed), 1000);
    }
}
