//! What becomes of jobs that the host fails.

use std::sync::MutexGuard;

use board::Lost;

use super::*;

const SECTORS: usize = 64;

/// A disk in memory whose host fails as the test says.
#[derive(Clone)]
struct Faulty(Arc<Mutex<Host>>);

struct Host {
    bytes: Vec<u8>,
    /// What the next accesses fail with, in their order.
    next: VecDeque<Option<io::Error>>,
    /// No write succeeds.
    full: bool,
    /// Jobs are tried on the machine's thread.
    at_once: bool,
    flushes: u32,
}

impl Faulty {
    fn new(at_once: bool) -> Self {
        let (bytes, next) = (vec![0; SECTORS * 512], VecDeque::new());
        Self(Arc::new(Mutex::new(Host { bytes, next, full: false, at_once, flushes: 0 })))
    }

    fn host(&self) -> MutexGuard<'_, Host> {
        self.0.lock().unwrap()
    }

    /// An access after `n` others fails.
    fn fail(&self, n: usize, e: io::Error) {
        self.host().next = (0..n).map(|_| None).chain([Some(e)]).collect();
    }

    fn access(&self, write: bool) -> io::Result<MutexGuard<'_, Host>> {
        let mut h = self.host();
        match h.next.pop_front().flatten() {
            Some(e) => Err(e),
            None if h.full && write => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(h),
        }
    }
}

impl Disk for Faulty {
    fn sectors(&self) -> u64 {
        SECTORS as u64
    }
    fn read(&mut self, lba: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.copy_from_slice(&self.access(false)?.bytes[lba as usize * 512..][..buf.len()]);
        Ok(())
    }
    fn write(&mut self, lba: u64, buf: &[u8]) -> io::Result<()> {
        self.access(true)?.bytes[lba as usize * 512..][..buf.len()].copy_from_slice(buf);
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.access(true)?.flushes += 1;
        Ok(())
    }
    fn at_once(&mut self, _: bool) -> bool {
        self.host().at_once
    }
}

/// Disks with one that fails, and who is told.
struct Bench {
    disks: Disks,
    mailbox: Mailbox,
    ram: GuestRam,
    /// Answers that came with `submit`, or when the machine went on.
    answers: VecDeque<DiskDone>,
}

impl Bench {
    fn new(disk: &Faulty, on_error: OnError, inline: bool) -> Self {
        let mailbox = Mailbox::default();
        let mut disks = Disks::new(mailbox.clone(), inline);
        disks.insert(SLOT, 0, Unit::new(Box::new(disk.clone()), "a.vhd".into(), on_error)).unwrap();
        Self { disks, mailbox, ram: ram(), answers: VecDeque::new() }
    }

    fn submit(&mut self, job: DiskJob) {
        self.answers.extend(self.disks.submit(SLOT, job, &self.ram));
    }

    fn again(&mut self) {
        self.answers.extend(self.disks.again(&self.ram).into_iter().map(|(_, done)| done));
    }

    /// The next answer, or why the machine is to be paused.
    fn next(&mut self) -> Result<DiskDone, String> {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            match self.mailbox.take() {
                Some(Message::Chip(SLOT, HostEvent::Disk(done))) => return Ok(done),
                Some(Message::DiskFailed { slot, unit, why }) => {
                    self.disks.note_failed(slot, unit, why.clone());
                    return Err(why);
                }
                Some(_) => panic!("not a disk's"),
                None => {}
            }
            if let Some(done) = self.answers.pop_front() {
                return Ok(done);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("neither an answer nor a failure")
    }

    fn ok(&mut self, tag: u32) -> Vec<u8> {
        let done = self.next().unwrap();
        assert_eq!(done.tag, tag);
        done.result.unwrap()
    }
}

/// Inline, on a thread, and tried at once first.
const WAYS: [(bool, bool); 3] = [(true, false), (false, false), (false, true)];

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

fn broken() -> io::Error {
    io::Error::other("the cable is out")
}

fn flush(tag: u32) -> DiskJob {
    job(tag, DiskOp::Flush)
}

#[test]
fn a_full_disk_keeps_its_jobs_in_order_until_there_is_room() {
    for (inline, at_once) in WAYS {
        let disk = Faulty::new(at_once);
        let mut b = Bench::new(&disk, OnError::Auto, inline);
        disk.host().full = true;
        b.submit(write(1, 7));
        let why = b.next().unwrap_err();
        assert!(why.starts_with("a.vhd: write at sector 0 failed: "), "{why}");
        assert!(why.ends_with("make room on the host, then resume the machine"), "{why}");
        assert_eq!(b.disks.failed(), Some(why));
        // Behind a reset a drive asks for more.
        b.submit(read(2));
        b.submit(flush(3));
        b.again();
        assert!(b.next().is_err(), "there is no room yet");
        disk.host().full = false;
        b.again();
        assert_eq!(b.disks.failed(), None);
        b.ok(1);
        assert_eq!(b.ok(2)[0], 7, "the write came first");
        b.ok(3);
        assert!(b.mailbox.take().is_none() && disk.host().flushes == 1, "each was done once");
        b.submit(read(4));
        assert_eq!(b.ok(4)[0], 7, "and it goes on");
    }
}

#[test]
fn a_straight_write_to_a_full_disk_is_held_with_a_buffer_or_inline() {
    let disk = Faulty::new(true);
    let mut b = Bench::new(&disk, OnError::Auto, false);
    disk.host().full = true;
    b.submit(straight(1, true));
    assert_eq!(b.next().unwrap().result, Err(DiskFault::Later), "the drive asks again with a buffer");
    let mut b = Bench::new(&disk, OnError::Auto, true);
    b.ram.write(0x5000, &[5; 512]);
    b.submit(straight(1, true));
    assert!(b.next().is_err());
    disk.host().full = false;
    b.again();
    b.ok(1);
    assert_eq!(disk.host().bytes[511], 5);
}

#[test]
fn a_full_disk_of_a_guest_that_is_told_pauses_nothing() {
    for (inline, at_once) in WAYS {
        let disk = Faulty::new(at_once);
        let mut b = Bench::new(&disk, OnError::Report, inline);
        disk.host().full = true;
        for j in [write(1, 1), flush(1)] {
            b.submit(j);
            assert_eq!(b.next().unwrap().result, Err(DiskFault::Io));
        }
        b.submit(read(2));
        b.ok(2);
    }
}

#[test]
fn other_failures_are_told_or_pause_as_it_was_asked_for() {
    for (inline, at_once) in WAYS {
        let disk = Faulty::new(at_once);
        let mut b = Bench::new(&disk, OnError::Auto, inline);
        for j in [write(1, 1), read(1), flush(1)] {
            disk.fail(0, broken());
            b.submit(j);
            assert_eq!(b.next().unwrap().result, Err(DiskFault::Io));
        }
        let mut b = Bench::new(&disk, OnError::Pause, inline);
        for j in [write(1, 1), read(1), flush(1)] {
            // At once it is the thread that has the last word.
            disk.host().next = (0..1 + usize::from(at_once)).map(|_| Some(broken())).collect();
            b.submit(j);
            let why = b.next().unwrap_err();
            assert!(why.ends_with("the cable is out; mend the cause, then resume the machine"), "{why}");
            b.again();
            b.ok(1);
        }
        // What the guest asks for in vain is no failure of the host.
        b.submit(job(2, DiskOp::Read { lba: SECTORS as u64, count: 1 }));
        assert_eq!(b.next().unwrap().result, Err(DiskFault::Range));
    }
}

#[test]
fn what_a_failed_sync_may_have_lost_is_told_and_not_tried_again() {
    for on_error in [OnError::Auto, OnError::Report, OnError::Pause] {
        for inline in [true, false] {
            for e in [full, broken] {
                let disk = Faulty::new(false);
                let mut b = Bench::new(&disk, on_error, inline);
                disk.fail(0, Lost::error(e()));
                b.submit(flush(1));
                if on_error.pauses(&e()) {
                    let why = b.next().unwrap_err();
                    assert!(why.contains("may be lost; the guest is told of it"), "{why}");
                    b.again();
                }
                assert_eq!(b.next().unwrap().result, Err(DiskFault::Io));
                assert_eq!(disk.host().flushes, 0, "a second sync would hide it");
                b.submit(flush(2));
                b.ok(2);
            }
        }
    }
}

#[test]
fn what_a_sync_within_a_write_may_have_lost_the_next_flush_tells_too() {
    for inline in [true, false] {
        let disk = Faulty::new(false);
        let mut b = Bench::new(&disk, OnError::Auto, inline);
        disk.fail(0, Lost::error(broken()));
        b.submit(write(1, 1));
        assert_eq!(b.next().unwrap().result, Err(DiskFault::Io));
        for (tag, result) in [(2, Err(DiskFault::Io)), (3, Ok(Vec::new()))] {
            b.submit(flush(tag));
            assert_eq!(b.next().unwrap().result, result);
        }
    }
}

#[test]
fn whichever_access_finds_the_disk_full_nothing_is_lost() {
    for (inline, at_once) in WAYS {
        for n in 0..24 {
            let disk = Faulty::new(at_once);
            let mut b = Bench::new(&disk, OnError::Auto, inline);
            disk.fail(n, full());
            for round in 1..=8_u8 {
                let lba = u64::from(round % 5) * 8;
                let op = DiskOp::Write { lba, data: Arc::new(vec![round; 4096]) };
                for (tag, op) in [(1, op), (2, DiskOp::Flush), (3, DiskOp::Read { lba, count: 8 })] {
                    b.submit(job(tag, op));
                    let done = b.next().or_else(|_| {
                        b.again();
                        b.next()
                    });
                    let done = done.unwrap();
                    assert_eq!(
                        (done.tag, done.result.as_ref().map(Vec::len)),
                        (tag, Ok(if tag == 3 { 4096 } else { 0 }))
                    );
                    assert!(done.result.unwrap().iter().all(|v| *v == round), "access {n}, round {round}");
                }
            }
        }
    }
}

#[test]
fn a_machine_that_ends_with_a_job_held_tries_it_once_more() {
    let disk = Faulty::new(false);
    let mut b = Bench::new(&disk, OnError::Auto, false);
    disk.fail(0, full());
    b.submit(write(1, 9));
    assert!(b.next().is_err());
    drop(b);
    assert_eq!(disk.host().bytes[0], 9);
}

/// As before a state is saved.
#[test]
fn a_flush_of_the_machines_own_says_what_the_images_lack() {
    for inline in [true, false] {
        let disk = Faulty::new(false);
        let mut b = Bench::new(&disk, OnError::Auto, inline);
        disk.host().full = true;
        let told = b.disks.flush().unwrap_err();
        assert!(told.starts_with("a.vhd: flush failed: ") && told.contains("make room"), "{told}");
        b.submit(write(1, 1));
        let why = b.next().unwrap_err();
        assert_eq!(b.disks.flush(), Err(why), "a job is held");
        disk.host().full = false;
        b.again();
        b.ok(1);
        assert_eq!(b.disks.flush(), Ok(()));
        disk.fail(0, Lost::error(broken()));
        assert!(b.disks.flush().is_err());
        b.submit(flush(2));
        assert_eq!(b.next().unwrap().result, Err(DiskFault::Io), "the guest hears of it");
    }
}
