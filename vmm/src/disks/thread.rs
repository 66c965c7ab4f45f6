//! The thread of a disk: does in order what would have kept the machine waiting.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use board::{DiskJob, HostEvent, SlotId};

use super::unit::{Served, Unit};
use crate::mailbox::{Mailbox, Message};

/// So long after a write, what a disk keeps in memory gets into its image.
pub(super) const SETTLES: Duration = Duration::from_secs(1);

/// What the thread is told.
pub(super) enum Task {
    Job(DiskJob),
    /// Something was written beside the thread.
    Written,
    /// The machine goes on: what failed is to be done again.
    Again,
}

/// What machine and thread share.
pub(super) struct Common {
    pub(super) unit: Mutex<Unit>,
    /// Jobs that the thread has not done yet. They are done in order, so what comes behind one waits for it.
    pub(super) waiting: AtomicUsize,
    /// Something was written that the thread has not settled yet.
    pub(super) written: AtomicBool,
}

impl Common {
    /// Waits for what is being done on it.
    pub(super) fn unit(&self) -> MutexGuard<'_, Unit> {
        self.unit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Worker {
    slot: SlotId,
    number: u8,
    common: Arc<Common>,
    mailbox: Mailbox,
    /// Jobs in their order.
    jobs: VecDeque<DiskJob>,
    /// The first of them failed, and waits for the machine to go on.
    held: bool,
    /// When to settle, and whether that failed before.
    due: Option<Instant>,
    unsettled: bool,
}

impl Worker {
    pub(super) fn new(slot: SlotId, number: u8, common: Arc<Common>, mailbox: Mailbox) -> Self {
        let jobs = VecDeque::new();
        Self { slot, number, common, mailbox, jobs, held: false, due: None, unsettled: false }
    }

    /// Works until the queue is closed and empty: accepted writes reach the image.
    pub(super) fn run(mut self, queue: &Receiver<Task>) {
        loop {
            let left = self.due.map(|at| at.saturating_duration_since(Instant::now()));
            let next = match left {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                // Also if the next job is there already: else a busy disk would never be settled.
                Some(Duration::ZERO) => Err(RecvTimeoutError::Timeout),
                Some(left) => queue.recv_timeout(left),
            };
            match next {
                Ok(Task::Job(job)) => {
                    self.jobs.push_back(job);
                    if !self.held {
                        self.work();
                    }
                }
                Ok(Task::Again) => self.work(),
                Ok(Task::Written) => self.due = Some(Instant::now() + SETTLES),
                Err(RecvTimeoutError::Timeout) => self.settle(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // A last try of what was held: nobody will ask again.
        while let Some(job) = self.jobs.pop_front() {
            self.common.unit().serve(&job, None);
        }
        self.common.unit().close();
    }

    fn work(&mut self) {
        self.held = false;
        while let Some(job) = self.jobs.front()
            && !self.held
        {
            let Served { done, pause } = self.common.unit().serve(job, None);
            self.held = done.is_none();
            // First: an answer that is to be looked at later finds the machine paused.
            if let Some(why) = pause {
                self.mailbox.send(Message::DiskFailed { slot: self.slot, unit: self.number, why });
            }
            if let Some(done) = done {
                self.jobs.pop_front();
                self.common.waiting.fetch_sub(1, Ordering::AcqRel);
                self.mailbox.send(Message::Chip(self.slot, HostEvent::Disk(done)));
            }
        }
    }

    fn settle(&mut self) {
        self.common.written.store(false, Ordering::Release);
        let settled = self.common.unit().settle(self.unsettled);
        self.unsettled = !settled;
        self.due = (!settled).then(|| Instant::now() + SETTLES);
    }
}
