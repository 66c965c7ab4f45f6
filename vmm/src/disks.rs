//! Disk jobs: at once if the host need not wait for its own disk, else on a thread per disk; always at once when the run
//! must be repeatable. What goes straight between image and guest memory is done at once or not at all: a thread has no
//! business there.
//!
//! A job that the host fails is answered with a fault, or kept, as the disk's [`OnError`](crate::spec::OnError) says: then the
//! machine is paused, and does it again when it goes on.

mod thread;
mod unit;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use board::{Disk, DiskDone, DiskFault, DiskJob, DiskOp, Media, SlotId};

use ram::GuestRam;

use self::thread::{Common, Task, Worker};
use self::unit::Served;
pub(crate) use self::unit::{NotExchanged, Unit};
use crate::api::NotFrozen;
use crate::mailbox::{Mailbox, Message};

/// What serves one drive's jobs.
enum Server {
    /// Jobs run inside `submit`; the machine delivers the answer at a fixed guest time.
    Inline {
        unit: Box<Unit>,
        /// What is to be done again, and what came behind it.
        held: VecDeque<DiskJob>,
    },
    Thread {
        common: Arc<Common>,
        tasks: Sender<Task>,
        thread: Option<JoinHandle<()>>,
    },
}

/// All drives of the machine, by controller and the controller's own unit number.
pub(crate) struct Disks {
    units: BTreeMap<(SlotId, u8), Server>,
    /// Disks whose failure paused the machine, and what to do about it.
    failed: BTreeMap<(SlotId, u8), String>,
    /// Those that were taken out and are still being closed.
    leaving: Vec<JoinHandle<()>>,
    mailbox: Mailbox,
    inline: bool,
    /// Jobs by who did them: `submit`, and threads.
    at_once: u64,
    by_threads: u64,
}

impl Disks {
    pub(crate) fn new(mailbox: Mailbox, inline: bool) -> Self {
        Self {
            units: BTreeMap::new(),
            failed: BTreeMap::new(),
            leaving: Vec::new(),
            mailbox,
            inline,
            at_once: 0,
            by_threads: 0,
        }
    }

    /// Puts a disk behind a drive.
    pub(crate) fn insert(&mut self, slot: SlotId, number: u8, unit: Unit) -> io::Result<()> {
        self.remove(slot, number, || ());
        let server = if self.inline {
            Server::Inline { unit: Box::new(unit), held: VecDeque::new() }
        } else {
            spawn(slot, number, unit, self.mailbox.clone())?
        };
        self.units.insert((slot, number), server);
        Ok(())
    }

    /// Lets go of the disk behind a drive, once what is queued for it is done: nobody waits for that; `gone` is called then.
    pub(crate) fn remove(&mut self, slot: SlotId, unit: u8, gone: impl FnOnce() + Send + 'static) {
        let Some(server) = self.units.remove(&(slot, unit)) else { return gone() };
        self.failed.remove(&(slot, unit));
        self.leaving.retain(|t| !t.is_finished());
        let close = move || {
            drop(server);
            gone();
        };
        // Where no thread can be had what was given to it is dropped, which closes the disk and tells nobody.
        match std::thread::Builder::new().name(format!("eject{unit}")).spawn(close) {
            Ok(t) => self.leaving.push(t),
            Err(e) => tracing::error!("no thread to close a disk: {e}"),
        }
    }

    /// What lies in a drive.
    pub(crate) fn media(&self, slot: SlotId, number: u8) -> Option<Media> {
        Some(match self.units.get(&(slot, number))? {
            Server::Inline { unit, .. } => unit.media(),
            Server::Thread { common, .. } => common.unit().media(),
        })
    }

    /// Units of a controller whose disks can be written to.
    pub(crate) fn writable(&self, slot: SlotId) -> Vec<u8> {
        let read_only = |s: &Server| match s {
            Server::Inline { unit, .. } => unit.read_only(),
            Server::Thread { common, .. } => common.unit().read_only(),
        };
        let own = self.units.range((slot, 0)..=(slot, u8::MAX));
        own.filter(|(_, s)| !read_only(s)).map(|((_, unit), _)| *unit).collect()
    }

    /// Has a drive go on with another disk, which `with` makes of the one that it has. Jobs that wait go to that one.
    pub(crate) fn exchange(
        &mut self,
        slot: SlotId,
        number: u8,
        with: impl FnOnce(Box<dyn Disk>) -> Result<Box<dyn Disk>, NotFrozen>,
    ) -> Result<(), NotExchanged> {
        match self.units.get_mut(&(slot, number)) {
            None => Ok(()),
            Some(Server::Inline { unit, .. }) => unit.exchange(with),
            Some(Server::Thread { common, .. }) => common.unit().exchange(with),
        }
    }

    /// Runs or queues a job. Some: the answer, to be delivered by the caller.
    pub(crate) fn submit(&mut self, slot: SlotId, job: DiskJob, ram: &GuestRam) -> Option<DiskDone> {
        let fault = |job: &DiskJob, f| Some(DiskDone { unit: job.unit, tag: job.tag, result: Err(f) });
        let number = job.unit;
        match self.units.get_mut(&(slot, number)) {
            None => fault(&job, DiskFault::Absent),
            Some(_) if job.op == DiskOp::Eject => {
                self.remove(slot, number, || ());
                Some(DiskDone { unit: number, tag: job.tag, result: Ok(Vec::new()) })
            }
            Some(Server::Inline { held, .. }) if !held.is_empty() => {
                held.push_back(job);
                None
            }
            Some(Server::Inline { unit, held }) => {
                let Served { done, pause } = unit.serve(&job, Some(ram));
                if let Some(why) = pause {
                    self.mailbox.send(Message::DiskFailed { slot, unit: number, why });
                }
                if done.is_none() {
                    held.push_back(job);
                }
                done
            }
            Some(Server::Thread { common, tasks, .. }) => {
                let writes = matches!(
                    job.op,
                    DiskOp::Write { .. } | DiskOp::WriteFrom { .. } | DiskOp::Discard { .. }
                );
                if writes && !common.written.swap(true, Ordering::AcqRel) {
                    // If the thread is gone the job finds out.
                    let _ = tasks.send(Task::Written);
                }
                if common.waiting.load(Ordering::Acquire) == 0
                    && let Ok(mut unit) = common.unit.try_lock()
                    && let Some(done) = unit.serve_at_once(&job, ram)
                {
                    self.at_once += 1;
                    return Some(done);
                }
                if matches!(job.op, DiskOp::ReadTo { .. } | DiskOp::WriteFrom { .. }) {
                    return fault(&job, DiskFault::Later);
                }
                self.by_threads += 1;
                common.waiting.fetch_add(1, Ordering::AcqRel);
                match tasks.send(Task::Job(job)) {
                    Err(mpsc::SendError(Task::Job(job))) => fault(&job, DiskFault::Io),
                    _ => None,
                }
            }
        }
    }

    /// A disk's failure pauses the machine.
    pub(crate) fn note_failed(&mut self, slot: SlotId, unit: u8, why: String) {
        self.failed.insert((slot, unit), why);
    }

    /// Why the machine is paused, if disks are it.
    pub(crate) fn failed(&self) -> Option<String> {
        let all: Vec<&str> = self.failed.values().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Gets into the images all that their guests were told is written. The error: why that can't be now, and the mend.
    pub(crate) fn flush(&mut self) -> Result<(), String> {
        if let Some(why) = self.failed() {
            return Err(why);
        }
        self.units.values_mut().try_for_each(|server| match server {
            Server::Inline { unit, .. } => unit.flush(),
            Server::Thread { common, .. } => common.unit().flush(),
        })
    }

    /// The machine goes on: what failed is done again. The answers that are there at once.
    pub(crate) fn again(&mut self, ram: &GuestRam) -> Vec<(SlotId, DiskDone)> {
        let mut answers = Vec::new();
        for (slot, number) in std::mem::take(&mut self.failed).into_keys() {
            match self.units.get_mut(&(slot, number)) {
                Some(Server::Thread { tasks, .. }) => drop(tasks.send(Task::Again)),
                Some(Server::Inline { held, .. }) => {
                    for job in std::mem::take(held) {
                        answers.extend(self.submit(slot, job, ram).map(|done| (slot, done)));
                    }
                }
                None => {}
            }
        }
        answers
    }

    pub(crate) fn metrics(&self) -> [(&'static str, u64); 2] {
        [("disk_jobs_at_once", self.at_once), ("disk_jobs_by_threads", self.by_threads)]
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.units.clear();
        for t in self.leaving.drain(..) {
            let _ = t.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::Thread { tasks, thread, .. } = self {
            // Closing the queue ends the thread after what is queued.
            let (closed, _) = mpsc::channel();
            *tasks = closed;
            if let Some(t) = thread.take()
                && t.join().is_err()
            {
                tracing::error!("a disk thread panicked");
            }
        }
    }
}

fn spawn(slot: SlotId, number: u8, unit: Unit, mailbox: Mailbox) -> io::Result<Server> {
    let (tasks, queue) = mpsc::channel();
    let common = Arc::new(Common {
        unit: Mutex::new(unit),
        waiting: AtomicUsize::new(0),
        written: AtomicBool::new(false),
    });
    let worker = Worker::new(slot, number, common.clone(), mailbox);
    let thread =
        std::thread::Builder::new().name(format!("disk{number}")).spawn(move || worker.run(&queue))?;
    Ok(Server::Thread { common, tasks, thread: Some(thread) })
}

#[cfg(test)]
mod tests;
