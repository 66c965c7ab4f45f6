use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use super::*;

const SLOT: SlotId = SlotId(9);

/// A disk of one sector whose host waits when the test says so. Each job takes a permit where it may wait.
struct Moody {
    waits: Arc<Mutex<bool>>,
    permits: Receiver<()>,
    at_once: bool,
    sector: [u8; 512],
}

impl Moody {
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
        if *self.waits.lock().unwrap() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
    fn at_once(&mut self, on: bool) -> bool {
        self.at_once = on;
        true
    }
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
    let mailbox = Mailbox::default();
    let mut disks = Disks::new(mailbox.clone(), false);
    let waits = Arc::new(Mutex::new(false));
    let (permit, permits) = channel();
    let disk = Moody { waits: waits.clone(), permits, at_once: false, sector: [1; 512] };
    disks.insert(SLOT, 0, Box::new(disk)).unwrap();
    let bytes = |d: DiskDone| d.result.unwrap()[0];
    assert_eq!(bytes(disks.submit(SLOT, read(1)).expect("at once")), 1);
    assert!(disks.submit(SLOT, write(2, 2)).expect("at once").result.is_ok());
    *waits.lock().unwrap() = true;
    assert_eq!(disks.submit(SLOT, write(3, 3)), None);
    // The host is ready again, but the write is not done: the read must not overtake it.
    assert_eq!(disks.submit(SLOT, read(4)), None);
    permit.send(()).unwrap();
    *waits.lock().unwrap() = false;
    permit.send(()).unwrap();
    assert_eq!(next(&mailbox).tag, 3);
    let done = next(&mailbox);
    assert_eq!((done.tag, bytes(done)), (4, 3));
    assert_eq!(bytes(disks.submit(SLOT, read(5)).expect("at once again")), 3);
    assert_eq!(disks.metrics().map(|m| m.1), [3, 2]);
}

#[test]
fn a_failure_at_once_is_the_drives_and_not_tried_again() {
    let mut disks = Disks::new(Mailbox::default(), false);
    let (_permit, permits) = channel();
    let waits = Arc::new(Mutex::new(true));
    disks.insert(SLOT, 0, Box::new(Moody { waits, permits, at_once: false, sector: [0; 512] })).unwrap();
    let done = disks.submit(SLOT, job(1, DiskOp::Flush)).expect("at once");
    assert_eq!(done.result, Err(DiskFault::Io));
    let done = disks.submit(SLOT, job(2, DiskOp::Read { lba: 1, count: 1 })).expect("at once");
    assert_eq!(done.result, Err(DiskFault::Range));
}
