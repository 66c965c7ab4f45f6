//! How an embedder talks to a running machine.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use board::{HostEvent, Key, Lamps, Leds, Media, Pointer, Scanout, SlotId, VideoMode};

use crate::board_map::Roles;
use crate::events::{Event, Events};
use crate::mailbox::{Mailbox, Message};
use crate::services::{self, Guest, GuestError};
use crate::snapshot::live::Live;
use crate::snapshot::{SaveError, StateSink};
use crate::spec::NETS_MOST;

/// Where a machine is in its life: `Built -> Running <-> Paused -> Off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    Built,
    Running,
    Paused,
    Off,
}

/// How a machine's life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The guest switched the power off, or the embedder did.
    PoweredOff,
    /// A triple fault that was not a deliberate reset.
    Crashed { report: String },
    /// The state was saved: it goes on where it is restored.
    Saved,
}

/// A state that is to be saved.
pub struct Saving {
    pub(crate) to: SaveTo,
    /// How often a good moment was looked for.
    pub(crate) looks: u32,
}

pub(crate) enum SaveTo {
    /// The machine ends with it.
    End { file: Box<dyn StateSink>, done: Sender<Result<(), SaveError>> },
    /// The machine goes on.
    GoOn(Live),
}

impl From<SaveTo> for Saving {
    fn from(to: SaveTo) -> Self {
        Self { to, looks: 0 }
    }
}

/// Has the disks of a machine that runs on go on in new files, so that the old ones stay as they are.
pub trait FreezeDisks: Send {
    /// Closes the disk of an IDE unit; gives the one that reads the same and takes the writes from now on.
    fn freeze(&mut self, unit: u8, disk: Box<dyn board::Disk>) -> Result<Box<dyn board::Disk>, NotFrozen>;
}

/// A disk that could not be put on a new file.
pub struct NotFrozen {
    pub why: String,
    /// The old one, if it can still be used.
    pub disk: Option<Box<dyn board::Disk>>,
}

/// What pressing the power button led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressed {
    /// The guest was interrupted: it decides what the button does.
    Told,
    /// The guest was in S1 and wakes.
    Woke,
    /// Not pressed: no system has switched ACPI on.
    NoAcpi,
    /// Not pressed: the system has ACPI on and doesn't listen to the button.
    Deaf,
    /// Not pressed: the machine is paused.
    Paused,
}

/// An access that no register answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    pub chip: String,
    pub window: u8,
    pub offset: u32,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub phase: Phase,
    /// Guest nanoseconds since power-on.
    pub guest_ns: u64,
    /// Retired instructions, 0 on engines that don't count.
    pub instructions: u64,
    pub engine: &'static str,
    pub memory_mib: u64,
    pub halted: bool,
    pub eip: u32,
    /// In S1.
    pub asleep: bool,
    /// A system has switched ACPI on: SCI_EN.
    pub acpi: bool,
    /// The power button was pressed and the guest has not taken note of it.
    pub button_waits: bool,
    pub leds: Leds,
    /// Which network adapters there are, and whether each had a link when it last looked.
    pub links: Vec<bool>,
    /// Why the machine paused by itself, and what to do about it.
    pub reason: Option<String>,
}

/// A drive whose medium can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bay {
    /// A CD-ROM drive: IDE channel * 2 + device.
    Cdrom(u8),
    /// A diskette drive: 0 is A:, 1 is B:.
    Floppy(u8),
}

/// A wish of the embedder; answers go through the senders inside.
pub enum Command {
    Pause(Sender<()>),
    Resume(Sender<()>),
    Reset(Sender<()>),
    PowerOff,
    /// Presses the power button for a moment.
    PowerButton(Sender<Pressed>),
    /// Presses it, or lets go of it.
    HoldPowerButton {
        down: bool,
    },
    /// Plugs the cable of a network adapter in, or pulls it out; answers whether there is a link then, `None` if
    /// there is no such adapter.
    SetLink {
        adapter: usize,
        up: bool,
        done: Sender<Option<bool>>,
    },
    Key {
        key: Key,
        down: bool,
    },
    Pointer(Pointer),
    /// Pushes a whole frame to the scanout, then answers.
    Redraw(Sender<()>),
    Status(Sender<Status>),
    Unknowns(Sender<Vec<Unknown>>),
    Metrics(Sender<Vec<(String, u64)>>),
    /// Writes the state, and ends the machine or goes on.
    Save(Saving),
    /// Puts a medium into a drive, or takes it out.
    Insert {
        bay: Bay,
        disk: Option<(Box<dyn board::Disk>, Media)>,
        done: Sender<Result<(), String>>,
    },
}

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) phase: AtomicU8,
    pub(crate) guest_ns: AtomicU64,
    pub(crate) instructions: AtomicU64,
    pub(crate) events: Events,
    /// The keyboard's lamps.
    pub(crate) leds: AtomicU8,
    /// Adapters with a message in the mailbox.
    pub(crate) net_told: [AtomicBool; NETS_MOST],
}

impl Shared {
    pub(crate) fn set_phase(&self, p: Phase) {
        self.phase.store(p as u8, Ordering::Relaxed);
        self.events.tell(Event::Phase(p));
    }
}

/// The keyboard's lamps: kept for who asks, told to who listens.
pub(crate) struct Lit(pub(crate) Arc<Shared>);

impl Lamps for Lit {
    fn show(&mut self, leds: Leds) {
        self.0.leds.store(leds.into_bits(), Ordering::Relaxed);
        self.0.events.tell(Event::Leds(leds));
    }
}

/// A display whose changes of size are told.
pub(crate) struct Seen {
    pub(crate) display: Box<dyn Scanout>,
    pub(crate) events: Events,
}

impl Scanout for Seen {
    fn mode(&mut self, m: VideoMode) {
        self.events.tell(Event::Display(m));
        self.display.mode(m);
    }

    fn rows(&mut self, y: Range<u32>, px: &[u32]) {
        self.display.rows(y, px);
    }

    fn frame(&mut self) {
        self.display.frame();
    }

    fn wanted(&self) -> bool {
        self.display.wanted()
    }
}

/// A machine's remote control: clone it, send it to any thread.
#[derive(Clone)]
pub struct Handle {
    pub(crate) mailbox: Mailbox,
    pub(crate) roles: Roles,
    pub(crate) shared: Arc<Shared>,
    /// Of the integration channel, if there is one.
    pub(crate) services: Option<Arc<services::Shared>>,
}

/// Why the machine gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It has ended; nothing was done.
    #[error("the machine is not running any more")]
    Gone,
    /// It may still do what was asked.
    #[error("the machine gave no answer within {} s: the host keeps it busy, or it was not started", PATIENCE.as_secs())]
    Busy,
    #[error("the machine has 2 serial ports; there is no number {0}")]
    NoPort(usize),
    #[error("the machine has no network adapter {0}")]
    NoAdapter(usize),
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Handle {
    fn put(&self, m: Message) -> Result<(), NoAnswer> {
        self.mailbox.send(m).then_some(()).ok_or(NoAnswer::Gone)
    }

    fn send(&self, c: Command) -> Result<(), NoAnswer> {
        self.put(Message::Command(c))
    }

    fn ask<T>(&self, f: impl FnOnce(Sender<T>) -> Command) -> Result<T, NoAnswer> {
        let (tx, rx) = mpsc::channel();
        self.send(f(tx))?;
        rx.recv_timeout(PATIENCE).map_err(|e| match e {
            RecvTimeoutError::Disconnected => NoAnswer::Gone,
            RecvTimeoutError::Timeout => NoAnswer::Busy,
        })
    }

    pub fn phase(&self) -> Phase {
        match self.shared.phase.load(Ordering::Relaxed) {
            0 => Phase::Built,
            1 => Phase::Running,
            2 => Phase::Paused,
            _ => Phase::Off,
        }
    }

    pub fn pause(&self) -> Result<(), NoAnswer> {
        self.ask(Command::Pause)
    }

    pub fn resume(&self) -> Result<(), NoAnswer> {
        self.ask(Command::Resume)
    }

    pub fn reset(&self) -> Result<(), NoAnswer> {
        self.ask(Command::Reset)
    }

    /// Pulls the plug.
    pub fn power_off(&self) -> Result<(), NoAnswer> {
        self.send(Command::PowerOff)
    }

    /// Presses the power button, if the guest listens: an ACPI system shuts down.
    pub fn press_power_button(&self) -> Result<Pressed, NoAnswer> {
        self.ask(Command::PowerButton)
    }

    /// Presses the power button down, or lets go of it: after four seconds of guest time the chipset switches off.
    pub fn hold_power_button(&self, down: bool) -> Result<(), NoAnswer> {
        self.send(Command::HoldPowerButton { down })
    }

    /// Plugs the cable of network adapter `adapter` (from 0, in the order of the ports) in, or pulls it out. Is there a
    /// link then? Not if the port's own other end is down.
    pub fn set_link(&self, adapter: usize, up: bool) -> Result<bool, NoAnswer> {
        self.ask(|done| Command::SetLink { adapter, up, done })?.ok_or(NoAnswer::NoAdapter(adapter))
    }

    /// Writes the machine's state into a file, and ends it. Where that fails the machine goes on.
    pub fn save(&self, file: Box<dyn StateSink>) -> Result<Result<(), SaveError>, NoAnswer> {
        let (done, rx) = mpsc::channel();
        self.send(Command::Save(SaveTo::End { file, done }.into()))?;
        // A file takes the time that it takes.
        rx.recv().map_err(|_| NoAnswer::Gone)
    }

    /// Writes the machine's state into a file while it runs, and has its disks go on in new ones. Returns how long the
    /// machine stood still.
    pub fn snapshot(
        &self,
        file: Box<dyn StateSink>,
        disks: Box<dyn FreezeDisks>,
    ) -> Result<Result<Duration, SaveError>, NoAnswer> {
        let (done, rx) = mpsc::channel();
        match Live::begin(file, disks, done) {
            Ok(live) => self.send(Command::Save(SaveTo::GoOn(live).into()))?,
            Err(e) => return Ok(Err(e.into())),
        }
        rx.recv().map_err(|_| NoAnswer::Gone)
    }

    /// The keyboard's lamps as of now.
    pub fn leds(&self) -> Leds {
        Leds::from_bits(self.shared.leds.load(Ordering::Relaxed))
    }

    pub fn key(&self, key: Key, down: bool) -> Result<(), NoAnswer> {
        self.send(Command::Key { key, down })
    }

    pub fn pointer(&self, p: Pointer) -> Result<(), NoAnswer> {
        self.send(Command::Pointer(p))
    }

    /// Returns when the scanout has a whole, current picture.
    pub fn redraw(&self) -> Result<(), NoAnswer> {
        self.ask(Command::Redraw)
    }

    /// Asks for a whole picture without waiting for it.
    pub fn request_redraw(&self) -> Result<(), NoAnswer> {
        let (tx, _) = mpsc::channel();
        self.send(Command::Redraw(tx))
    }

    pub fn status(&self) -> Result<Status, NoAnswer> {
        self.ask(Command::Status)
    }

    pub fn unknowns(&self) -> Result<Vec<Unknown>, NoAnswer> {
        self.ask(Command::Unknowns)
    }

    pub fn metrics(&self) -> Result<Vec<(String, u64)>, NoAnswer> {
        self.ask(Command::Metrics)
    }

    /// Puts a disk into a drive, or takes out what is there. The inner error: the machine has no such drive, the disk does
    /// not fit into it, or the host has no thread for the disk.
    pub fn insert(
        &self,
        bay: Bay,
        disk: Option<(Box<dyn board::Disk>, Media)>,
    ) -> Result<Result<(), String>, NoAnswer> {
        self.ask(|done| Command::Insert { bay, disk, done })
    }

    /// Bytes for the guest's COM port `n` (0 or 1).
    pub fn serial_input(&self, n: usize, bytes: Vec<u8>) -> Result<(), NoAnswer> {
        let slot: SlotId = *self.roles.com.get(n).ok_or(NoAnswer::NoPort(n))?;
        self.put(Message::Chip(slot, HostEvent::Serial(bytes)))
    }

    /// The port of network adapter `n` may have frames, or its link changed. May be called for every frame: the
    /// machine hears of it once until it has looked.
    pub fn network(&self, n: usize) -> Result<(), NoAnswer> {
        let told = self.shared.net_told.get(n).filter(|_| self.roles.net[n].is_some());
        if told.ok_or(NoAnswer::NoAdapter(n))?.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.put(Message::Network(n))
    }

    /// The guest, through its agent.
    pub fn guest(&self) -> Result<Guest, GuestError> {
        match (&self.services, self.roles.channel) {
            (Some(shared), Some(slot)) => Ok(Guest::new(self.clone(), shared.clone(), slot)),
            _ => Err(GuestError::NoChannel),
        }
    }

    /// What happened to the machine, and what will.
    pub fn events(&self) -> Events {
        self.shared.events.clone()
    }

    /// Guest nanoseconds and instructions as of the last look; also after the machine ended.
    pub fn progress(&self) -> (u64, u64) {
        (self.shared.guest_ns.load(Ordering::Relaxed), self.shared.instructions.load(Ordering::Relaxed))
    }
}
