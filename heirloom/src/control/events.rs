//! `GET /v1/events`: what happened to the machine and what will, as server-sent events.
//!
//! That format has numbers to go on from, a way to say that a stream is still alive, and clients everywhere; each event
//! is one line of JSON in it. A reader fetches from the log at its own pace: the machine does not know of it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use vmm::{Bay, DiskTrouble, Event, Events, Phase, Pressed, Record};

use super::AgentBody;
use super::server::{Failed, Target, refused};

/// An event, as it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventBody {
    /// What `Last-Event-ID` and `after` take: the run of the machine, a hyphen, the event's number from 1.
    pub(crate) id: String,
    /// The host's time, UTC.
    pub(crate) time: String,
    /// Guest nanoseconds since power-on, as of the machine's last look.
    pub(crate) guest_ns: u64,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// Kinds of events. A new kind may come with any release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum What {
    Running,
    Paused,
    /// In S1.
    Asleep,
    Awake,
    /// The guest, or the chipset for it, switched the power off.
    SwitchedOff {
        hibernated: bool,
    },
    /// `by`: guest or user.
    Reset {
        by: String,
    },
    TripleFault {
        report: String,
    },
    /// The processor halted with interrupts off: only a reset gets it going.
    Stuck,
    /// `result`: told, woke, no-acpi, deaf or paused.
    PowerButton {
        result: String,
    },
    /// The guest took note of it.
    PowerButtonTaken,
    Lamps {
        lit: Vec<String>,
    },
    Display {
        width: u32,
        height: u32,
    },
    /// Adapters from 1.
    Link {
        adapter: usize,
        up: bool,
    },
    Inserted {
        drive: String,
        path: PathBuf,
        read_only: bool,
    },
    /// `by`: guest or user.
    Ejected {
        drive: String,
        by: String,
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
    /// Disks from 1.
    Undo {
        disk: usize,
        action: String,
    },
    /// The guest's agent came, goes another way now (`agent`), or is gone (without).
    Agent {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<AgentBody>,
    },
    DiskFault(Trouble),
    /// The host's disk has no more room.
    DiskFull(Trouble),
    Warning(Said),
    Error(Said),
    /// The last one. `reason`: guest, user, signal, timeout, expected, stop-after, crashed, saved or failed.
    Off {
        reason: String,
        exit_code: u8,
    },
    /// Events between the one that was asked for and this are not kept any more (`old`), or that one was of another run
    /// of the machine (`another-run`).
    Missed {
        why: String,
    },
    /// Of a newer release than this.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    pub(crate) path: PathBuf,
    /// read, write or flush.
    pub(crate) operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sector: Option<u64>,
    pub(crate) error: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// disk, network, audio, display, serial, clock or machine.
    pub(crate) area: String,
    pub(crate) message: String,
}

/// What [`What`] calls its kinds.
pub(crate) const NAMES: [&str; 26] = [
    "running",
    "paused",
    "asleep",
    "awake",
    "switched-off",
    "reset",
    "triple-fault",
    "stuck",
    "power-button",
    "power-button-taken",
    "lamps",
    "display",
    "link",
    "inserted",
    "ejected",
    "saving",
    "saved",
    "save-failed",
    "undo",
    "agent",
    "disk-fault",
    "disk-full",
    "warning",
    "error",
    "off",
    "missed",
];

/// A machine's log with what its readers need beside it.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) events: Events,
    /// Numbers of another run of the machine mean nothing here.
    run: String,
    news: watch::Receiver<()>,
}

impl Feed {
    pub(crate) fn new(events: Events) -> Self {
        let (tell, news) = watch::channel(());
        // Never waits; that nobody listens is no matter.
        events.on_news(move || {
            let _ = tell.send(());
        });
        let begun = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_micros());
        Self { events, run: format!("{begun:x}"), news }
    }

    fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    /// Where a reader goes on that has this event. Err: from the beginning, because it is of another run.
    fn number(&self, id: &str) -> Result<Result<u64, ()>, Failed> {
        let bad = || refused(format!("no event {id:?}; give the id of an event, as in {}", self.id(1)));
        let (run, number) = id.rsplit_once('-').ok_or_else(bad)?;
        let number: u64 = number.parse().map_err(|_| bad())?;
        if run.is_empty() || !run.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(bad());
        }
        if run != self.run {
            return Ok(Err(()));
        }
        if number <= self.events.last() { Ok(Ok(number)) } else { Err(bad()) }
    }

    fn body(&self, r: &Record, cdroms: &[u8]) -> EventBody {
        EventBody {
            id: self.id(r.number),
            time: time(r.at),
            guest_ns: r.guest_ns,
            what: what(&r.event, cdroms),
        }
    }

    fn missed(&self, up_to: u64, why: &str) -> EventBody {
        let what = What::Missed { why: why.into() };
        EventBody { id: self.id(up_to), time: time(SystemTime::now()), guest_ns: 0, what }
    }
}

/// To the millisecond.
fn time(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |t| format!("{t:.3}"))
}

fn what(e: &Event, cdroms: &[u8]) -> What {
    let by = |guest: bool| if guest { "guest" } else { "user" }.to_owned();
    match e.clone() {
        // It is built before anybody can ask.
        Event::Phase(Phase::Built | Phase::Running) => What::Running,
        Event::Phase(Phase::Paused) => What::Paused,
        // Of the processor; the machine's own end comes when its disks are closed. Not told (see `is_told`).
        Event::Phase(Phase::Off) => What::Unknown,
        Event::Asleep => What::Asleep,
        Event::Awake => What::Awake,
        Event::SwitchedOff { hibernated } => What::SwitchedOff { hibernated },
        Event::Reset { by_guest } => What::Reset { by: by(by_guest) },
        Event::TripleFault { report } => What::TripleFault { report },
        Event::Stuck => What::Stuck,
        Event::Button(p) => What::PowerButton {
            result: match p {
                Pressed::Told => "told",
                Pressed::Woke => "woke",
                Pressed::NoAcpi => "no-acpi",
                Pressed::Deaf => "deaf",
                Pressed::Paused => "paused",
            }
            .into(),
        },
        Event::ButtonTaken => What::PowerButtonTaken,
        Event::Leds(leds) => What::Lamps { lit: super::lit(leds) },
        Event::Display(m) => What::Display { width: m.width, height: m.height },
        Event::Link { adapter, up } => What::Link { adapter: adapter + 1, up },
        Event::EjectedByGuest(bay) => What::Ejected { drive: drive(bay, cdroms), by: by(true) },
        Event::Ejected { drive } => What::Ejected { drive, by: by(false) },
        Event::Inserted { drive, path, read_only } => What::Inserted { drive, path, read_only },
        Event::Saving { path } => What::Saving { path },
        Event::Saved { path } => What::Saved { path },
        Event::SaveFailed { path, error } => What::SaveFailed { path, error },
        Event::Undo { disk, action } => What::Undo { disk, action: action.into() },
        Event::Agent(a) => What::Agent { agent: a.as_ref().map(super::guest::agent) },
        Event::DiskFault(DiskTrouble { path, operation, sector, full, error }) => {
            let t = Trouble { path, operation: operation.into(), sector, error };
            if full { What::DiskFull(t) } else { What::DiskFault(t) }
        }
        Event::Notice { error, area, message } => {
            let said = Said { area: area.into(), message };
            if error { What::Error(said) } else { What::Warning(said) }
        }
        Event::Off { reason, exit_code } => What::Off { reason: reason.into(), exit_code },
    }
}

fn is_told(r: &Record) -> bool {
    r.event != Event::Phase(Phase::Off)
}

fn drive(bay: Bay, cdroms: &[u8]) -> String {
    match bay {
        Bay::Floppy(0) => "a".into(),
        Bay::Floppy(_) => "b".into(),
        Bay::Cdrom(unit) => match cdroms.iter().position(|u| *u == unit) {
            None | Some(0) => "cdrom".into(),
            Some(n) => format!("cdrom{}", n + 1),
        },
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// As `Last-Event-ID`, or `now`.
    after: Option<String>,
    /// False: only what there is.
    #[serde(default = "yes")]
    follow: bool,
}

fn yes() -> bool {
    true
}

/// What one reader has still to be sent.
struct Reading {
    feed: Feed,
    cdroms: Vec<u8>,
    number: u64,
    ready: VecDeque<EventBody>,
    follow: bool,
    ended: bool,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<Message, Infallible>, Self)> {
        /// Events that are fetched at once.
        const BATCH: usize = 64;
        loop {
            if let Some(body) = self.ready.pop_front() {
                return Some((Ok(message(&body)), self));
            }
            if self.ended {
                return None;
            }
            // Before the look: what comes from now on wakes.
            self.feed.news.mark_unchanged();
            let batch = self.feed.events.after(self.number, BATCH);
            self.ready.extend(batch.lost.map(|n| self.feed.missed(n, "old")));
            let told = batch.records.iter().filter(|r| is_told(r));
            self.ready.extend(told.map(|r| self.feed.body(r, &self.cdroms)));
            self.number = batch.records.last().map_or(self.number, |r| r.number);
            self.ended = batch.ended || !self.follow && batch.records.len() < BATCH;
            if batch.records.is_empty() && !self.ended && self.feed.news.changed().await.is_err() {
                return None;
            }
        }
    }
}

fn message(body: &EventBody) -> Message {
    let json = serde_json::to_value(body).unwrap_or_default();
    let name = json["event"].as_str().unwrap_or_default();
    Message::default().id(&body.id).event(name).data(json.to_string())
}

pub(super) async fn events(
    State(t): State<Target>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, Failed> {
    const ALIVE: Duration = Duration::from_secs(15);
    let Query(wanted) = wanted.map_err(|e| Failed(StatusCode::BAD_REQUEST, e.body_text()))?;
    let given = headers.get("last-event-id").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let feed = t.feed.clone();
    let mut ready = VecDeque::new();
    let number = match given.or(wanted.after).as_deref() {
        None => 0,
        Some("now") => feed.events.last(),
        Some(id) => feed.number(id)?.unwrap_or_else(|()| {
            ready.push_back(feed.missed(0, "another-run"));
            0
        }),
    };
    let reading = Reading { feed, cdroms: t.cdroms, number, ready, follow: wanted.follow, ended: false };
    let alive = KeepAlive::new().interval(ALIVE);
    Ok(Sse::new(stream::unfold(reading, Reading::next)).keep_alive(alive))
}

#[cfg(test)]
mod tests;
