//! How other threads reach the machine: a queue, and a kick for the processor.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use board::{HostEvent, SlotId};
use hv_vcpu::Kicker;

use crate::api::Command;

pub(crate) enum Message {
    /// For a chip.
    Chip(SlotId, HostEvent),
    /// The port of a network adapter has news.
    Network(usize),
    /// A disk's failure pauses the machine.
    DiskFailed {
        slot: SlotId,
        unit: u8,
        why: String,
    },
    Command(Command),
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    kicker: Option<Kicker>,
    /// The machine sleeps until it is told of a message.
    waiting: bool,
    /// The machine is gone: nothing will be read any more.
    closed: bool,
}

/// Both ends of the queue; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Mailbox {
    inner: Arc<(Mutex<Queue>, Condvar)>,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A sender that panicked while it held the lock left a whole queue behind: pushes are atomic.
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_kicker(&self, k: Kicker) {
        self.lock().kicker = Some(k);
    }

    /// Puts a message in and wakes the machine. False if the machine is gone.
    pub(crate) fn send(&self, m: Message) -> bool {
        let mut q = self.lock();
        if q.closed {
            return false;
        }
        q.messages.push_back(m);
        if let Some(k) = &q.kicker {
            k.kick();
        }
        if q.waiting {
            self.inner.1.notify_one();
        }
        true
    }

    pub(crate) fn take(&self) -> Option<Message> {
        self.lock().messages.pop_front()
    }

    /// Sleeps until a message is there, or for so long.
    pub(crate) fn wait(&self, longest: Option<Duration>) {
        let mut q = self.lock();
        if !q.messages.is_empty() || longest.is_some_and(|d| d.is_zero()) {
            return;
        }
        q.waiting = true;
        let mut q = match longest {
            Some(d) => self.inner.1.wait_timeout(q, d).unwrap_or_else(PoisonError::into_inner).0,
            None => self.inner.1.wait(q).unwrap_or_else(PoisonError::into_inner),
        };
        q.waiting = false;
    }

    pub(crate) fn close(&self) {
        let mut q = self.lock();
        q.closed = true;
        let unread = std::mem::take(&mut q.messages);
        drop(q);
        // Dropping unread commands drops their reply senders: who waits is told that the machine is gone. What else is
        // in them may take its time, so nobody waits for the lock meanwhile.
        drop(unread);
    }
}
