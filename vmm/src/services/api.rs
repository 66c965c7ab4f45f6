//! How an embedder asks the guest, from any thread.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use board::HostEvent;
use channel::bus::System;
use channel::services::information::{About, Package};
use channel::services::power::Do;
use channel::services::programs::{Run, Stream};
use channel::services::{self as wire};
use devices::channel::ServiceId;

use super::Shared;
use crate::api::{Handle, Phase};
use crate::mailbox::Message;

/// The guest's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSeen {
    /// Its name and version, as it says.
    pub name: String,
    pub system: System,
    /// Of the bus.
    pub version: u32,
    /// It speaks over COM2, not through the PCI function.
    pub serial: bool,
}

/// What is known of the guest.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    pub agent: Option<AgentSeen>,
    /// By service, in the order of [`super::NAMES`]: is it offered, has the agent opened it?
    pub on: Vec<bool>,
    pub open: Vec<bool>,
    /// Heartbeats that were asked for since the last answer.
    pub unanswered: u32,
    /// Milliseconds since the guest began, as of its last heartbeat.
    pub up: Option<u64>,
    pub about: Option<About>,
    /// Keys and values that the guest has left for the host.
    pub values: Vec<(String, String)>,
    /// Nanoseconds that the guest's clock was ahead, as it last said, and whether it was set then.
    pub ahead: Option<(i64, bool)>,
}

/// Wishes of an embedder, for one of the services.
pub(crate) enum Request {
    /// Offer the service, or don't.
    Offer(bool),
    Power {
        order: Do,
        done: Sender<Result<(), GuestError>>,
    },
    Set {
        key: String,
        value: String,
    },
    Software(Sender<Result<Vec<Package>, GuestError>>),
    Run {
        run: Run,
        output: Sender<Output>,
        done: Sender<u32>,
    },
    /// Bytes for a program's input, or its end; `done` when there is room for more.
    Input {
        id: u32,
        bytes: Vec<u8>,
        done: Sender<()>,
    },
    Took {
        id: u32,
        bytes: u32,
    },
    Kill {
        id: u32,
    },
    Test {
        kind: TestKind,
        size: u32,
        count: u32,
        done: Sender<Result<TestResult, GuestError>>,
    },
}

/// Why the guest did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    #[error(
        "the machine has no integration channel; start it with --channel on, or channel = \"on\" in its spec"
    )]
    NoChannel,
    #[error("no agent runs in the guest; install Heirloom's guest tools there")]
    NoAgent,
    #[error("service {0} is off; the spec's channel or `ctl NAME channel offer` decides that")]
    Off(&'static str),
    #[error("the guest's agent does not have service {0}; install newer guest tools")]
    Lacks(&'static str),
    #[error("the guest's agent went away meanwhile")]
    Left,
    #[error("the guest's agent gave no answer within {0} s")]
    Silent(u64),
    #[error("the guest's agent is of another version and does not know how")]
    Unsupported,
    #[error("the program has ended")]
    Ended,
    #[error("the guest: {0}")]
    Guest(String),
    #[error("{0}")]
    Bad(String),
    #[error("the machine is not running any more")]
    Gone,
}

/// What a program in the guest gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The guest's number for the process.
    Started(u32),
    Data(Stream, Vec<u8>),
    /// The last one.
    Ended(Result<u32, GuestError>),
}

/// How the channel is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestKind {
    /// One message at a time, there and back.
    RoundTrip,
    ToHost,
    ToGuest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestResult {
    /// By the guest's clock.
    pub nanoseconds: u64,
    pub size: u32,
    pub count: u32,
}

/// The guest as its agent gives access to it.
#[derive(Clone)]
pub struct Guest {
    machine: Handle,
    shared: Arc<Shared>,
    slot: board::SlotId,
}

fn id(kind: wire::Kind) -> ServiceId {
    wire::KINDS.iter().position(|k| *k == kind).unwrap_or_default() as ServiceId
}

/// How long the guest may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Guest {
    pub(crate) fn new(machine: Handle, shared: Arc<Shared>, slot: board::SlotId) -> Self {
        Self { machine, shared, slot }
    }

    /// What is known now.
    pub fn shown(&self) -> Shown {
        self.shared.shown().clone()
    }

    fn put(&self, service: ServiceId, r: Request) -> Result<(), GuestError> {
        self.shared.inbox().push_back((service, r));
        let told = self.machine.mailbox.send(Message::Chip(self.slot, HostEvent::Channel));
        if told { Ok(()) } else { Err(GuestError::Gone) }
    }

    /// Asks a service that must be open.
    fn ask(&self, kind: wire::Kind, r: Request) -> Result<(), GuestError> {
        let n = id(kind);
        let shown = self.shared.shown();
        let is = |v: &[bool]| v.get(usize::from(n)).copied().unwrap_or_default();
        if !is(&shown.on) {
            return Err(GuestError::Off(kind.name));
        }
        if shown.agent.is_none() {
            return Err(GuestError::NoAgent);
        }
        if !is(&shown.open) {
            return Err(GuestError::Lacks(kind.name));
        }
        drop(shown);
        self.put(n, r)
    }

    fn answer<T>(rx: &Receiver<Result<T, GuestError>>, patience: Duration) -> Result<T, GuestError> {
        match rx.recv_timeout(patience) {
            Ok(r) => r,
            Err(RecvTimeoutError::Timeout) => Err(GuestError::Silent(patience.as_secs())),
            Err(RecvTimeoutError::Disconnected) => Err(GuestError::Left),
        }
    }

    /// Offers a service to the guest, or takes it away.
    pub fn offer(&self, service: &str, on: bool) -> Result<(), GuestError> {
        let n = super::NAMES.iter().position(|n| *n == service).ok_or_else(|| {
            GuestError::Bad(format!("no service {service:?}; there are {}", super::NAMES.join(", ")))
        })?;
        self.put(n as ServiceId, Request::Offer(on))
    }

    /// Shut down, restart, log off, lock. Returns when it has begun.
    pub fn power(&self, order: Do) -> Result<(), GuestError> {
        let (done, rx) = mpsc::channel();
        let ends = order.action == channel::services::power::Action::ShutDown;
        self.ask(wire::POWER, Request::Power { order, done })?;
        match Self::answer(&rx, PATIENCE) {
            // It was faster than its agent's answer.
            Err(GuestError::Left) if ends && self.machine.phase() == Phase::Off => Ok(()),
            r => r,
        }
    }

    /// Leaves a value for the guest; an empty one takes the key away.
    pub fn set(&self, key: &str, value: &str) -> Result<(), GuestError> {
        use channel::services::information::{KEY_MOST, VALUE_MOST};
        if key.is_empty() || key.len() > KEY_MOST || value.len() > VALUE_MOST {
            let got = (key.len(), value.len());
            return Err(GuestError::Bad(format!(
                "a key of {} bytes and a value of {}; use 1 to {KEY_MOST}, and up to {VALUE_MOST}",
                got.0, got.1
            )));
        }
        self.ask(wire::INFORMATION, Request::Set { key: key.into(), value: value.into() })
    }

    /// What is installed.
    pub fn software(&self) -> Result<Vec<Package>, GuestError> {
        let (done, rx) = mpsc::channel();
        self.ask(wire::INFORMATION, Request::Software(done))?;
        Self::answer(&rx, PATIENCE)
    }

    /// Starts a program; `run.id` is of no account.
    pub fn run(&self, run: Run) -> Result<Program, GuestError> {
        if run.arguments.first().is_none_or(String::is_empty) {
            return Err(GuestError::Bad("no program; name one".into()));
        }
        let (output, rx) = mpsc::channel();
        let (done, id) = mpsc::channel();
        self.ask(wire::PROGRAMS, Request::Run { run, output, done })?;
        let id = id.recv_timeout(PATIENCE).map_err(|e| match e {
            RecvTimeoutError::Timeout => GuestError::Silent(PATIENCE.as_secs()),
            RecvTimeoutError::Disconnected => GuestError::Left,
        })?;
        Ok(Program { guest: self.clone(), id, all: rx, ended: false })
    }

    /// Bytes for the standard input of a program; none: its end. Returns when there is room for more: a program that does not
    /// read holds up whoever writes.
    pub fn input(&self, id: u32, bytes: Vec<u8>) -> Result<(), GuestError> {
        let (done, rx) = mpsc::channel();
        self.ask(wire::PROGRAMS, Request::Input { id, bytes, done })?;
        rx.recv().map_err(|_| GuestError::Ended)
    }

    pub fn kill(&self, id: u32) -> Result<(), GuestError> {
        self.ask(wire::PROGRAMS, Request::Kill { id })
    }

    /// Measures the channel from the guest: `count` messages of `size` bytes.
    pub fn test(&self, kind: TestKind, size: u32, count: u32) -> Result<TestResult, GuestError> {
        if !(1..=1 << 20).contains(&size) || count == 0 {
            return Err(GuestError::Bad(format!(
                "{count} messages of {size} bytes; use at least one, of 1 to 1048576"
            )));
        }
        let (done, rx) = mpsc::channel();
        self.ask(wire::DIAGNOSTICS, Request::Test { kind, size, count, done })?;
        Self::answer(&rx, Duration::from_secs(600))
    }
}

/// A program that was started. Dropped before its end, it is killed.
pub struct Program {
    guest: Guest,
    id: u32,
    all: Receiver<Output>,
    ended: bool,
}

impl Program {
    /// For [`Guest::input`] and [`Guest::kill`].
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What comes next, until it ended. Waits for it.
    pub fn output(&mut self) -> Option<Output> {
        if self.ended {
            return None;
        }
        let next = self.all.recv().unwrap_or(Output::Ended(Err(GuestError::Left)));
        match &next {
            Output::Data(_, bytes) => {
                let _ = self
                    .guest
                    .put(id(wire::PROGRAMS), Request::Took { id: self.id, bytes: bytes.len() as u32 });
            }
            Output::Ended(_) => self.ended = true,
            Output::Started(_) => {}
        }
        Some(next)
    }

    /// It goes on when this is dropped; its output is not wanted.
    pub fn leave(mut self) {
        self.ended = true;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.guest.kill(self.id);
        }
    }
}
