//! Jobs on disks that wait, fail and get full.

mod failures;

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use board::{Disk, HostEvent};

use super::thread::SETTLES;
use super::*;
use crate::spec::OnError;

const SLOT: SlotId = SlotId(9);

/// A disk of one sector whose host waits when the test says so. Each job takes a permit where it may wait.
struct Moody {
    waits: Arc<Mutex<bool>>,
    permits: Receiver<()>,
    at_once: bool,
    sector: [u8; 512],
    settled: Arc<AtomicUsize>,
}

impl Moody {
    fn new(waits: &Arc<Mutex<bool>>, permits: Receiver<()>, fill: u8) -> Self {
        let waits = waits.clone();
        Self { waits, permits, at_once: false, sector: [fill; 512], settled: Arc::default() }
    }

    fn ready(&self) -> io::Result<()> {
        if *self.waits.lock().unwrap() {
            if self.at_once {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.permits.recv().unwrap();
        }
        Ok(())
    }
}

impl Disk for Moody {
    fn sectors(&self) -> u64 {
        1
    }
    fn read(&mut self, _: u64, buf: &mut [u8]) -> io::Result<()> {
        self.ready()?;
        buf.copy_from_slice(&self.sector);
        Ok(())
    }
    fn write(&mut self, _: u64, buf: &[u8]) -> io::Result<()> {
        self.ready()?;
        self.sector.copy_from_slice(buf);
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        if *self.waits.lock().unwrap() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
    fn settle(&mut self) -> io::Result<()> {
        self.settled.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
    fn at_once(&mut self, on: bool) -> bool {
        self.at_once = on;
        true
    }
}

fn unit(disk: impl Disk + 'static) -> Unit {
    Unit::new(Box::new(disk), "a.vhd".into(), OnError::default())
}

fn job(tag: u32, op: DiskOp) -> DiskJob {
    DiskJob { unit: 0, tag, op }
}

fn write(tag: u32, v: u8) -> DiskJob {
    job(tag, DiskOp::Write { lba: 0, data: Arc::new(vec![v; 512]) })
}

fn read(tag: u32) -> DiskJob {
    job(tag, DiskOp::Read { lba: 0, count: 1 })
}

fn ram() -> GuestRam {
    GuestRam::new(4 << 20, 0).unwrap()
}

fn next(m: &Mailbox) -> DiskDone {
    loop {
        match m.take() {
            Some(Message::Chip(SLOT, HostEvent::Disk(done))) => return done,
            Some(_) => panic!("not a disk's"),
            None => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    }
}

#[test]
fn jobs_are_done_at_once_until_one_would_wait_and_in_order_behind_it() {
    let (mailbox, ram) = (Mailbox::default(), ram());
    let mut disks = Disks::new(mailbox.clone(), false);
    let waits = Arc::new(Mutex::new(false));
    let (permit, permits) = channel();
    let disk = Moody::new(&waits, permits, 1);
    disks.insert(SLOT, 0, unit(disk)).unwrap();
    let bytes = |d: DiskDone| d.result.unwrap()[0];
    assert_eq!(bytes(disks.submit(SLOT, read(1), &ram).expect("at once")), 1);
    assert!(disks.submit(SLOT, write(2, 2), &ram).expect("at once").result.is_ok());
    *waits.lock().unwrap() = true;
    assert_eq!(disks.submit(SLOT, write(3, 3), &ram), None);
    // The host is ready again, but the write is not done: the read must not overtake it.
    assert_eq!(disks.submit(SLOT, read(4), &ram), None);
    permit.send(()).unwrap();
    *waits.lock().unwrap() = false;
    permit.send(()).unwrap();
    assert_eq!(next(&mailbox).tag, 3);
    let done = next(&mailbox);
    assert_eq!((done.tag, bytes(done)), (4, 3));
    assert_eq!(bytes(disks.submit(SLOT, read(5), &ram).expect("at once again")), 3);
    assert_eq!(disks.metrics().map(|m| m.1), [3, 2]);
}

#[test]
fn a_failure_at_once_is_the_drives_and_not_tried_again() {
    let (mut disks, ram) = (Disks::new(Mailbox::default(), false), ram());
    let (_permit, permits) = channel();
    let waits = Arc::new(Mutex::new(true));
    disks.insert(SLOT, 0, unit(Moody::new(&waits, permits, 0))).unwrap();
    let done = disks.submit(SLOT, job(1, DiskOp::Flush), &ram).expect("at once");
    assert_eq!(done.result, Err(DiskFault::Io));
    let done = disks.submit(SLOT, job(2, DiskOp::Read { lba: 1, count: 1 }), &ram).expect("at once");
    assert_eq!(done.result, Err(DiskFault::Range));
}

#[test]
fn what_was_written_is_settled_a_second_later_and_once() {
    let (mut disks, ram) = (Disks::new(Mailbox::default(), false), ram());
    let (_permit, permits) = channel();
    let disk = Moody::new(&Arc::default(), permits, 0);
    let settled = disk.settled.clone();
    disks.insert(SLOT, 0, unit(disk)).unwrap();
    assert!(disks.submit(SLOT, read(1), &ram).is_some());
    let wait = |n: usize| {
        let begun = Instant::now();
        while settled.load(Ordering::Acquire) < n {
            assert!(begun.elapsed() < Duration::from_secs(60), "never settled");
            std::thread::sleep(Duration::from_millis(10));
        }
        begun.elapsed()
    };
    for n in 1..3 {
        assert!(disks.submit(SLOT, write(2, 2), &ram).is_some());
        assert!(disks.submit(SLOT, write(3, 3), &ram).is_some());
        assert!(wait(n) > SETTLES / 2, "before all of a burst was written");
        std::thread::sleep(SETTLES + SETTLES / 2);
        assert_eq!(settled.load(Ordering::Acquire), n, "nothing was written");
    }
}

/// As a drive asks: a sector into or from memory that does not lie in one piece.
fn straight(tag: u32, write: bool) -> DiskJob {
    let (lba, ranges) = (0, vec![0x1ff0..0x2010, 0x5000..0x51e0]);
    let op = if write { DiskOp::WriteFrom { lba, from: ranges } } else { DiskOp::ReadTo { lba, to: ranges } };
    job(tag, op)
}

#[test]
fn straight_jobs_are_done_at_once_or_not_at_all() {
    for inline in [false, true] {
        let (mut disks, ram) = (Disks::new(Mailbox::default(), inline), ram());
        let waits = Arc::new(Mutex::new(false));
        let (permit, permits) = channel();
        let disk = Moody::new(&waits, permits, 1);
        disks.insert(SLOT, 0, unit(disk)).unwrap();
        ram.arena().set_code(2, true);
        assert_eq!(disks.submit(SLOT, straight(1, false), &ram).expect("at once").result, Ok(Vec::new()));
        let mut b = [0; 34];
        ram.read(0x1fef, &mut b);
        assert_eq!((b[0], b[1..33].to_vec(), b[33]), (0, vec![1; 32], 0));
        assert_eq!(ram.take_watched_writes(), [2]);
        ram.write(0x5000, &[5; 512]);
        assert!(disks.submit(SLOT, straight(2, true), &ram).expect("at once").result.is_ok());
        let sector = disks.submit(SLOT, read(3), &ram).expect("at once").result.unwrap();
        assert_eq!((sector[31], sector[32], sector[511]), (1, 5, 5));
        *waits.lock().unwrap() = true;
        if inline {
            // There it may wait, and does.
            permit.send(()).unwrap();
            assert!(disks.submit(SLOT, straight(4, true), &ram).expect("inline").result.is_ok());
        } else {
            for write in [false, true] {
                let done = disks.submit(SLOT, straight(5, write), &ram).expect("an answer");
                assert_eq!((done.tag, done.result), (5, Err(DiskFault::Later)));
            }
            assert_eq!(disks.metrics().map(|m| m.1), [3, 0], "no thread heard of it");
        }
    }
}

#[test]
fn a_straight_job_waits_for_none_that_came_before() {
    let (mailbox, ram) = (Mailbox::default(), ram());
    let mut disks = Disks::new(mailbox.clone(), false);
    let waits = Arc::new(Mutex::new(true));
    let (permit, permits) = channel();
    let disk = Moody::new(&waits, permits, 1);
    disks.insert(SLOT, 0, unit(disk)).unwrap();
    assert_eq!(disks.submit(SLOT, write(1, 9), &ram), None);
    *waits.lock().unwrap() = false;
    let done = disks.submit(SLOT, straight(2, false), &ram).expect("an answer");
    assert_eq!(done.result, Err(DiskFault::Later), "a write is on its way");
    permit.send(()).unwrap();
    assert_eq!(next(&mailbox).tag, 1);
    // The thread lets go of the disk a moment before it is heard of.
    assert_eq!(disks.submit(SLOT, straight(3, false), &ram).expect("an answer").result, Ok(Vec::new()));
    let mut b = [0];
    ram.read(0x5000, &mut b);
    assert_eq!(b, [9]);
}

#[test]
fn straight_jobs_keep_to_the_disk_and_to_what_may_be_written() {
    struct ReadOnly;
    impl Disk for ReadOnly {
        fn sectors(&self) -> u64 {
            1
        }
        fn read(&mut self, _: u64, _: &mut [u8]) -> io::Result<()> {
            Ok(())
        }
        fn write(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
            panic!("it is read-only")
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
        fn read_only(&self) -> bool {
            true
        }
    }
    let (mut disks, ram) = (Disks::new(Mailbox::default(), true), ram());
    disks.insert(SLOT, 0, unit(ReadOnly)).unwrap();
    let mut result = |op| disks.submit(SLOT, job(1, op), &ram).unwrap().result;
    assert_eq!(result(DiskOp::WriteFrom { lba: 0, from: vec![0..256, 256..512] }), Err(DiskFault::ReadOnly));
    assert_eq!(result(DiskOp::Discard { runs: vec![(0, 1)] }), Err(DiskFault::ReadOnly));
    assert_eq!(result(DiskOp::ReadTo { lba: 1, to: vec![0..256, 256..512] }), Err(DiskFault::Range));
    assert_eq!(result(DiskOp::ReadTo { lba: 0, to: vec![0..512, 512..1024] }), Err(DiskFault::Range));
}
