//! What happened to a machine: numbered, and the last of it kept, for readers that go at their own pace.
//!
//! Machine and embedder tell into one [`Events`]; telling never waits for a reader. A reader asks for what comes after a
//! number that it has, and hears if some of that is not kept any more.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use board::{Leds, VideoMode};

use crate::api::{Bay, Phase, Pressed};
use crate::services::AgentSeen;

/// As many are kept.
pub const KEPT: usize = 1024;

/// What a machine tells, and what its embedder tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Phase(Phase),
    /// In S1.
    Asleep,
    Awake,
    /// The guest, or the chipset for it, switched the power off; `hibernated`: by S4.
    SwitchedOff {
        hibernated: bool,
    },
    Reset {
        by_guest: bool,
    },
    /// One that was not a deliberate reset.
    TripleFault {
        report: String,
    },
    /// The processor stopped with interrupts off: only a reset gets it going.
    Stuck,
    /// The power button was to be pressed.
    Button(Pressed),
    /// The guest took note of it.
    ButtonTaken,
    /// The guest lit other lamps of the keyboard.
    Leds(Leds),
    /// The screen has another size. Noticed only while somebody looks.
    Display(VideoMode),
    /// The cable of a network adapter (from 0) has a link, or lost it.
    Link {
        adapter: usize,
        up: bool,
    },
    /// The guest put a medium out.
    EjectedByGuest(Bay),
    /// The user did.
    Ejected {
        drive: String,
    },
    Inserted {
        drive: String,
        path: PathBuf,
        read_only: bool,
    },
    Saving {
        path: PathBuf,
    },
    Saved {
        path: PathBuf,
    },
    SaveFailed {
        path: PathBuf,
        error: String,
    },
    /// Another thing will become of an undo disk.
    Undo {
        disk: usize,
        action: &'static str,
    },
    DiskFault(DiskTrouble),
    /// The guest's agent came, goes another way now, or is gone.
    Agent(Option<AgentSeen>),
    /// What ran in the host's process came to say so: a warning, or an error.
    Notice {
        error: bool,
        area: &'static str,
        message: String,
    },
    /// The last one: disks are closed.
    Off {
        reason: &'static str,
        exit_code: u8,
    },
}

/// A host's disk that failed a machine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskTrouble {
    pub path: PathBuf,
    /// read, write or flush.
    pub operation: &'static str,
    /// Where it began, unless it was a flush.
    pub sector: Option<u64>,
    /// The host's disk has no more room.
    pub full: bool,
    pub error: String,
}

impl Event {
    /// An older one tells nothing beside this: a guest that changes lamps all day long does not push all else out.
    fn supersedes(&self, older: &Self) -> bool {
        matches!((self, older), (Self::Leds(_), Self::Leds(_)) | (Self::Display(_), Self::Display(_)))
    }
}

/// An event with its number, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub number: u64,
    pub at: SystemTime,
    /// Guest nanoseconds since power-on, as of the machine's last look.
    pub guest_ns: u64,
    pub event: Event,
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Some up to this number are not kept any more.
    pub lost: Option<u64>,
    pub records: Vec<Record>,
    /// There is no more, and there will be none.
    pub ended: bool,
}

#[derive(Default)]
struct Log {
    last: u64,
    /// The newest that was dropped for its age.
    lost: u64,
    kept: VecDeque<Record>,
    closed: bool,
    wakers: Vec<Box<dyn Fn() + Send>>,
}

#[derive(Default)]
struct Inner {
    log: Mutex<Log>,
    news: Condvar,
    guest_ns: AtomicU64,
}

/// A machine's events. Clones are the same log; anybody may tell and read.
#[derive(Clone, Default)]
pub struct Events(Arc<Inner>);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("last", &self.last()).finish_non_exhaustive()
    }
}

impl Events {
    fn lock(&self) -> MutexGuard<'_, Log> {
        // A waker that panicked left a whole log behind.
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tell(&self, event: Event) {
        let at = SystemTime::now();
        let guest_ns = self.0.guest_ns.load(Ordering::Relaxed);
        let mut log = self.lock();
        if log.closed {
            return;
        }
        log.last += 1;
        let number = log.last;
        if let Some(older) = log.kept.iter().position(|r| event.supersedes(&r.event)) {
            log.kept.remove(older);
        }
        log.kept.push_back(Record { number, at, guest_ns, event });
        if log.kept.len() > KEPT
            && let Some(old) = log.kept.pop_front()
        {
            log.lost = old.number;
        }
        self.news(&log);
    }

    fn news(&self, log: &Log) {
        log.wakers.iter().for_each(|w| w());
        self.0.news.notify_all();
    }

    /// There will be no more: readers come to their end.
    pub fn close(&self) {
        let mut log = self.lock();
        log.closed = true;
        self.news(&log);
    }

    /// The newest number.
    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// How many are not kept any more that no newer one superseded.
    pub fn lost(&self) -> u64 {
        self.lock().lost
    }

    pub(crate) fn set_guest_ns(&self, ns: u64) {
        self.0.guest_ns.store(ns, Ordering::Relaxed);
    }

    /// `f` is called whenever there is news. It must neither wait nor call back.
    pub fn on_news(&self, f: impl Fn() + Send + 'static) {
        self.lock().wakers.push(Box::new(f));
    }

    /// What comes after a number; `most` of it.
    pub fn after(&self, number: u64, most: usize) -> Batch {
        let log = self.lock();
        Self::batch(&log, number, most)
    }

    fn batch(log: &Log, number: u64, most: usize) -> Batch {
        let from = log.kept.partition_point(|r| r.number <= number);
        let records: Vec<Record> = log.kept.range(from..).take(most).cloned().collect();
        let ended = log.closed && from + records.len() == log.kept.len();
        Batch { lost: (number < log.lost).then_some(log.lost), records, ended }
    }

    /// All from now on, one by one. Waits for each, until the log is closed.
    pub fn follow(&self) -> Follow {
        Follow { events: self.clone(), number: self.last() }
    }
}

/// A reader that waits.
pub struct Follow {
    events: Events,
    number: u64,
}

impl Iterator for Follow {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let mut log = self.events.lock();
        loop {
            let b = Events::batch(&log, self.number, 1);
            if let Some(r) = b.records.into_iter().next() {
                self.number = r.number;
                return Some(r);
            }
            if b.ended {
                return None;
            }
            log = self.events.0.news.wait(log).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn link(adapter: usize) -> Event {
        Event::Link { adapter, up: true }
    }

    fn numbers(b: &Batch) -> Vec<u64> {
        b.records.iter().map(|r| r.number).collect()
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let e = Events::default();
        (0..10).for_each(|n| e.tell(link(n)));
        let first = e.after(0, 4);
        assert_eq!((numbers(&first), first.lost, first.ended), (vec![1, 2, 3, 4], None, false));
        assert_eq!(numbers(&e.after(4, 100)), [5, 6, 7, 8, 9, 10]);
        assert_eq!(e.after(10, 100), Batch::default());
        assert_eq!(e.after(99, 100), Batch::default());
    }

    #[test]
    fn what_is_not_kept_is_told() {
        let e = Events::default();
        (0..KEPT + 7).for_each(|n| e.tell(link(n)));
        let late = e.after(3, usize::MAX);
        assert_eq!((late.lost, late.records.len(), late.records[0].number), (Some(7), KEPT, 8));
        assert_eq!(late.records[0].event, link(7));
        let in_time = e.after(7, usize::MAX);
        assert_eq!((in_time.lost, in_time.records.len()), (None, KEPT));
        assert_eq!((e.last(), e.lost()), (KEPT as u64 + 7, 7));
    }

    #[test]
    fn lamps_do_not_push_out_all_else() {
        let e = Events::default();
        e.tell(link(0));
        for n in 0..5000_u32 {
            e.tell(Event::Leds(Leds::from_bits(n as u8 & 7)));
            e.tell(Event::Display(VideoMode { width: n, height: 1 }));
        }
        let b = e.after(0, usize::MAX);
        assert_eq!((numbers(&b), b.lost), (vec![1, 10000, 10001], None));
        assert_eq!(b.records[2].event, Event::Display(VideoMode { width: 4999, height: 1 }));
    }

    #[test]
    fn a_closed_log_ends_its_readers_once_they_have_all() {
        let e = Events::default();
        e.tell(link(0));
        let mut old = e.follow();
        let reader = std::thread::spawn({
            let follow = e.follow();
            move || follow.map(|r| r.event).collect::<Vec<_>>()
        });
        e.tell(link(1));
        e.close();
        e.tell(link(2));
        assert_eq!(reader.join().unwrap(), [link(1)]);
        assert_eq!(old.next().map(|r| r.number), Some(2));
        assert!(old.next().is_none());
        assert!(!e.after(0, 1).ended && e.after(0, 2).ended && e.after(2, 1).ended);
    }

    #[test]
    fn wakers_hear_of_each() {
        let (e, heard) = (Events::default(), Arc::new(AtomicUsize::new(0)));
        let h = heard.clone();
        e.on_news(move || {
            h.fetch_add(1, Ordering::Relaxed);
        });
        e.tell(link(0));
        e.tell(link(1));
        e.close();
        assert_eq!(heard.load(Ordering::Relaxed), 3);
    }
}
