//! Disk jobs: at once if the host need not wait for its own disk, else on a thread per disk; always at once when the run
//! must be repeatable. What goes straight between image and guest memory is done at once or not at all: a thread has no
//! business there.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use board::{Disk, DiskDone, DiskFault, DiskJob, DiskOp, HostEvent, SlotId};

use ram::GuestRam;

use crate::mailbox::{Mailbox, Message};

/// What serves one drive's jobs.
enum Worker {
    /// Jobs run inside `submit`; the machine delivers the answer at a fixed guest time.
    Inline(Box<dyn Disk>),
    Thread(DiskThread),
}

struct DiskThread {
    disk: Arc<Mutex<Box<dyn Disk>>>,
    /// Jobs that the thread has not done yet. They are done in order, so what comes behind one waits for it.
    waiting: Arc<AtomicUsize>,
    /// None: something was written beside the thread.
    jobs: Sender<Option<(SlotId, DiskJob)>>,
    /// Something was written that the thread has not settled yet.
    written: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Why a job was not done.
enum Failure {
    /// The drive is told.
    Fault(DiskFault),
    /// The host failed.
    Host(io::Error),
}

/// All drives of the machine, by controller and the controller's own unit number.
pub(crate) struct Disks {
    units: BTreeMap<(SlotId, u8), Worker>,
    mailbox: Mailbox,
    inline: bool,
    /// Jobs by who did them: `submit`, and threads.
    at_once: u64,
    by_threads: u64,
}

impl Disks {
    pub(crate) fn new(mailbox: Mailbox, inline: bool) -> Self {
        Self { units: BTreeMap::new(), mailbox, inline, at_once: 0, by_threads: 0 }
    }

    /// Puts a disk behind a drive.
    pub(crate) fn insert(&mut self, slot: SlotId, unit: u8, disk: Box<dyn Disk>) -> io::Result<()> {
        let worker =
            if self.inline { Worker::Inline(disk) } else { spawn(unit, disk, self.mailbox.clone())? };
        self.units.insert((slot, unit), worker);
        Ok(())
    }

    /// Lets go of the disk behind a drive, once what is queued for it is done.
    pub(crate) fn remove(&mut self, slot: SlotId, unit: u8) {
        self.units.remove(&(slot, unit));
    }

    /// Units of a controller whose disks can be written to.
    pub(crate) fn writable(&self, slot: SlotId) -> Vec<u8> {
        let read_only = |w: &Worker| match w {
            Worker::Inline(d) => d.read_only(),
            Worker::Thread(t) => t.disk.lock().unwrap_or_else(PoisonError::into_inner).read_only(),
        };
        let own = self.units.range((slot, 0)..=(slot, u8::MAX));
        own.filter(|(_, w)| !read_only(w)).map(|((_, unit), _)| *unit).collect()
    }

    /// The disk behind a drive, once what is queued for it is done and flushed; the drive has none then.
    pub(crate) fn take(&mut self, slot: SlotId, unit: u8) -> Option<Box<dyn Disk>> {
        match self.units.remove(&(slot, unit))? {
            Worker::Inline(disk) => Some(disk),
            Worker::Thread(t) => {
                let disk = t.disk.clone();
                drop(t);
                // The thread is gone.
                Arc::into_inner(disk).map(|d| d.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// Runs or queues a job. Some: the answer, to be delivered by the caller.
    pub(crate) fn submit(&mut self, slot: SlotId, job: DiskJob, ram: &GuestRam) -> Option<DiskDone> {
        let fault = |job: &DiskJob, f| Some(DiskDone { unit: job.unit, tag: job.tag, result: Err(f) });
        match self.units.get_mut(&(slot, job.unit)) {
            None => fault(&job, DiskFault::Absent),
            Some(_) if job.op == DiskOp::Eject => {
                self.units.remove(&(slot, job.unit));
                Some(DiskDone { unit: job.unit, tag: job.tag, result: Ok(Vec::new()) })
            }
            Some(Worker::Inline(d)) => Some(serve(d.as_mut(), &job, Some(ram))),
            Some(Worker::Thread(DiskThread { disk, waiting, jobs, written, .. })) => {
                let writes = matches!(job.op, DiskOp::Write { .. } | DiskOp::WriteFrom { .. });
                if writes && !written.swap(true, Ordering::AcqRel) {
                    // If the thread is gone the job finds out.
                    let _ = jobs.send(None);
                }
                if waiting.load(Ordering::Acquire) == 0
                    && let Ok(mut disk) = disk.try_lock()
                    && let Some(done) = serve_at_once(disk.as_mut(), &job, ram)
                {
                    self.at_once += 1;
                    return Some(done);
                }
                if matches!(job.op, DiskOp::ReadTo { .. } | DiskOp::WriteFrom { .. }) {
                    return fault(&job, DiskFault::Later);
                }
                self.by_threads += 1;
                waiting.fetch_add(1, Ordering::AcqRel);
                match jobs.send(Some((slot, job))) {
                    Err(mpsc::SendError(Some((_, job)))) => fault(&job, DiskFault::Io),
                    _ => None,
                }
            }
        }
    }

    pub(crate) fn metrics(&self) -> [(&'static str, u64); 2] {
        [("disk_jobs_at_once", self.at_once), ("disk_jobs_by_threads", self.by_threads)]
    }
}

impl Drop for DiskThread {
    fn drop(&mut self) {
        // Closing the queue ends the thread after what is queued: accepted writes reach the image.
        let (closed, _) = mpsc::channel();
        self.jobs = closed;
        if let Some(t) = self.thread.take()
            && t.join().is_err()
        {
            tracing::error!("a disk thread panicked");
        }
    }
}

/// So long after a write, what a disk keeps in memory gets into its image.
const SETTLES: Duration = Duration::from_secs(1);

fn spawn(unit: u8, disk: Box<dyn Disk>, mailbox: Mailbox) -> io::Result<Worker> {
    let (jobs, queue) = mpsc::channel::<Option<(SlotId, DiskJob)>>();
    let (disk, waiting) = (Arc::new(Mutex::new(disk)), Arc::new(AtomicUsize::new(0)));
    let written = Arc::new(AtomicBool::new(false));
    let ours = (disk.clone(), waiting.clone(), written.clone());
    let thread = std::thread::Builder::new().name(format!("disk{unit}")).spawn(move || {
        let (disk, waiting, written) = ours;
        let lock = || disk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due: Option<Instant> = None;
        loop {
            let left = due.map(|at| at.saturating_duration_since(Instant::now()));
            let next = match left {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                // Also if the next job is there already: else a busy disk would never be settled.
                Some(Duration::ZERO) => Err(RecvTimeoutError::Timeout),
                Some(left) => queue.recv_timeout(left),
            };
            match next {
                Ok(Some((slot, job))) => {
                    let done = serve(lock().as_mut(), &job, None);
                    waiting.fetch_sub(1, Ordering::AcqRel);
                    mailbox.send(Message::Chip(slot, HostEvent::Disk(done)));
                }
                Ok(None) => due = Some(Instant::now() + SETTLES),
                Err(RecvTimeoutError::Timeout) => {
                    due = None;
                    written.store(false, Ordering::Release);
                    if let Err(e) = lock().settle() {
                        tracing::error!("disk {unit}: {e}; what was written stays in memory for now");
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let mut disk = lock();
        if !disk.read_only()
            && let Err(e) = disk.flush()
        {
            tracing::error!("disk {unit}: the last flush failed: {e}");
        }
    })?;
    Ok(Worker::Thread(DiskThread { disk, waiting, jobs, written, thread: Some(thread) }))
}

/// `None`: it would have to wait, and is to be done again from its beginning.
fn serve_at_once(disk: &mut dyn Disk, job: &DiskJob, ram: &GuestRam) -> Option<DiskDone> {
    if !disk.at_once(true) {
        return None;
    }
    let r = perform(disk, &job.op, Some(ram));
    disk.at_once(false);
    match r {
        Err(Failure::Host(e)) if e.kind() == io::ErrorKind::WouldBlock => None,
        r => Some(answer(job, r)),
    }
}

fn serve(disk: &mut dyn Disk, job: &DiskJob, ram: Option<&GuestRam>) -> DiskDone {
    answer(job, perform(disk, &job.op, ram))
}

fn answer(job: &DiskJob, r: Result<Vec<u8>, Failure>) -> DiskDone {
    let result = r.map_err(|f| match f {
        Failure::Fault(f) => f,
        Failure::Host(e) => {
            let (what, lba) = match &job.op {
                DiskOp::Read { lba, .. } | DiskOp::ReadTo { lba, .. } => ("read", *lba),
                DiskOp::Write { lba, .. } | DiskOp::WriteFrom { lba, .. } => ("write", *lba),
                DiskOp::Flush | DiskOp::Eject => ("flush", 0),
            };
            tracing::error!("disk {}: {what} at sector {lba} failed: {e}", job.unit);
            DiskFault::Io
        }
    });
    DiskDone { unit: job.unit, tag: job.tag, result }
}

fn perform(disk: &mut dyn Disk, op: &DiskOp, ram: Option<&GuestRam>) -> Result<Vec<u8>, Failure> {
    match op {
        DiskOp::Read { lba, count } => {
            within(disk, *lba, u64::from(*count))?;
            let mut b = vec![0; *count as usize * 512];
            disk.read(*lba, &mut b).map(|()| b)
        }
        DiskOp::ReadTo { lba, to } => {
            let ram = ram.ok_or(Failure::Fault(DiskFault::Later))?;
            within(disk, *lba, sectors(to))?;
            ram.fill(to, |to| disk.read_to(*lba, to)).map(|()| Vec::new())
        }
        DiskOp::Write { .. } | DiskOp::WriteFrom { .. } if disk.read_only() => {
            return Err(Failure::Fault(DiskFault::ReadOnly));
        }
        DiskOp::WriteFrom { lba, from } => {
            let ram = ram.ok_or(Failure::Fault(DiskFault::Later))?;
            within(disk, *lba, sectors(from))?;
            ram.lend(from, |from| disk.write_from(*lba, from)).map(|()| Vec::new())
        }
        DiskOp::Write { lba, data } => {
            within(disk, *lba, data.len() as u64 / 512)?;
            disk.write(*lba, data).map(|()| Vec::new())
        }
        DiskOp::Flush if disk.read_only() => Ok(Vec::new()),
        DiskOp::Flush => disk.flush().map(|()| Vec::new()),
        DiskOp::Eject => Ok(Vec::new()),
    }
    .map_err(Failure::Host)
}

fn sectors(ranges: &[Range<u32>]) -> u64 {
    ranges.iter().map(|r| r.len() as u64).sum::<u64>() / 512
}

fn within(disk: &dyn Disk, lba: u64, count: u64) -> Result<(), Failure> {
    match lba.checked_add(count) {
        Some(end) if end <= disk.sectors() => Ok(()),
        _ => Err(Failure::Fault(DiskFault::Range)),
    }
}

#[cfg(test)]
#[path = "disks_tests.rs"]
mod tests;
