//! The guest agent's core: takes what the host's services say and does it, by way of a [`Platform`]. No operating system here.
//!
//! The platform's loop: [`Agent::poll`]; sleep until the time that it says, unless [`Agent::arm`] says that there is
//! something already, or until the function's interrupt ([`Agent::interrupt`]), a byte on COM2, or a program's output or end.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod classes;
mod diagnostics;
mod heartbeat;
mod information;
mod platform;
mod power;
mod programs;
mod time;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use channel::guest::{Event, Gone, Guest, Settings, Way};
use channel::services::{Unknown, Unsupported};

pub use classes::Service;
pub use platform::{Level, Piped, Platform, Program};

const SECOND: u64 = 1_000_000_000;
/// The function is looked for so often while COM2 serves.
const LOOK: u64 = 3 * SECOND;
/// Messages that one call of [`Agent::poll`] takes.
const BATCH: usize = 512;
/// Bytes of COM2 at once, and how long they take to go out at its usual speed, less a bit.
const SERIAL: usize = 256;
const DRAIN: u64 = SECOND / 100;

/// Versions of the bus that the agent speaks.
#[derive(Debug, Clone, Copy)]
pub struct Versions {
    pub newest: u32,
    pub oldest: u32,
}

impl Default for Versions {
    fn default() -> Self {
        Self { newest: channel::VERSION, oldest: channel::VERSION }
    }
}

/// What services work with.
pub(crate) struct Cx<'a, P: Platform> {
    pub(crate) p: &'a mut P,
    pub(crate) guest: &'a mut Guest<P::Function>,
    pub(crate) now: u64,
}

impl<P: Platform> Cx<'_, P> {
    /// Says something on a channel. One that the host does not read is closed: a host that waits for answers takes them.
    pub(crate) fn say<T: minicbor::Encode<()>>(&mut self, channel: u16, m: &T) {
        if self.guest.send(channel, channel::services::bytes(m)).is_err() {
            self.guest.close(channel);
        }
    }
}

pub struct Agent<P: Platform> {
    p: P,
    guest: Guest<P::Function>,
    now: u64,
    look_at: u64,
    /// The way that was last told of.
    told: Option<Way>,
    /// COM2 is open.
    serial: bool,
    busy: bool,
    ending: Option<u64>,
    ended: bool,
    buffer: Vec<u8>,
    heartbeat: heartbeat::Heartbeat,
    time: time::Time,
    information: information::Information,
    programs: programs::Programs<P::Program>,
    diagnostics: diagnostics::Diagnostics,
}

impl<P: Platform> Agent<P> {
    pub fn new(p: P) -> Self {
        Self::with_versions(p, Versions::default())
    }

    pub fn with_versions(mut p: P, versions: Versions) -> Self {
        let settings = Settings {
            system: P::SYSTEM,
            name: format!("heirloom-agent {}", env!("CARGO_PKG_VERSION")),
            newest: versions.newest,
            oldest: versions.oldest,
            session: p.random(),
            classes: classes::classes(),
        };
        let now = p.now();
        Self {
            p,
            guest: Guest::new(settings),
            now,
            look_at: now,
            told: None,
            serial: false,
            busy: false,
            ending: None,
            ended: false,
            buffer: Vec::new(),
            heartbeat: heartbeat::Heartbeat::default(),
            time: time::Time::default(),
            information: information::Information::default(),
            programs: programs::Programs::new(),
            diagnostics: diagnostics::Diagnostics::default(),
        }
    }

    pub fn platform(&mut self) -> &mut P {
        &mut self.p
    }

    pub fn way(&self) -> Way {
        self.guest.way()
    }

    /// Programs that run: the platform waits for their pipes.
    pub fn programs(&mut self) -> impl Iterator<Item = (&mut P::Program, programs::Wants)> {
        self.programs.all()
    }

    /// The function's interrupt came.
    pub fn interrupt(&mut self) {
        self.guest.interrupt();
    }

    /// Before sleeping: have the function interrupt when something comes. True: something has come, and sleep is not due.
    pub fn arm(&mut self) -> bool {
        self.guest.arm()
    }

    /// The agent is to end: it says BYE. [`Self::has_ended`] tells when that is answered, or nobody answers.
    pub fn end(&mut self) {
        if self.ending.is_none() {
            let now = self.p.now();
            self.programs.end();
            self.ending = Some(now + SECOND);
            self.ended |= !self.guest.is_welcome();
            self.guest.bye(now);
        }
    }

    /// The last [`Self::poll`] had something to do: more may come at once.
    pub fn was_busy(&self) -> bool {
        self.busy
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The function is to be let go of: its driver goes. The agent goes on over COM2.
    pub fn release_function(&mut self) {
        drop(self.guest.take_function());
        self.look_at = self.now + LOOK;
    }

    /// Does what there is to do; when it has to be called again at the latest. Not later than now: at once.
    pub fn poll(&mut self) -> u64 {
        self.now = self.p.now();
        let now = self.now;
        if self.ending.is_some_and(|t| now >= t) {
            self.ended = true;
        }
        self.look();
        self.serial_in();
        self.guest.poll(now);
        let mut more = false;
        self.busy = false;
        let mut buffer = core::mem::take(&mut self.buffer);
        for n in 0.. {
            let Some(e) = self.guest.event(&mut buffer) else { break };
            self.event(e, &buffer);
            self.busy = true;
            if n == BATCH {
                more = true;
                break;
            }
        }
        self.buffer = buffer;
        let services = self.services();
        // What was answered goes out.
        self.guest.poll(now);
        let serial = self.serial_out();
        self.tell();
        if self.ended {
            self.guest.stop();
            return now;
        }
        let look = if self.guest.has_function() { u64::MAX } else { self.look_at };
        let next =
            self.guest.deadline(now).min(services).min(look).min(serial).min(self.ending.unwrap_or(u64::MAX));
        if more { now } else { next }
    }

    /// Looks for the function, or opens COM2.
    fn look(&mut self) {
        if self.ending.is_some() || self.guest.has_function() || self.now < self.look_at {
            return;
        }
        self.look_at = self.now + LOOK;
        if let Some(f) = self.p.function() {
            if self.guest.set_function(self.now, f).is_ok() {
                return;
            }
            self.p.log(Level::Error, "the channel's function is of another version than this agent");
        }
        if !self.guest.has_serial() || self.guest.serial_is_down() {
            self.serial = self.serial || self.p.open_serial();
            if self.serial {
                let life = self.p.random() as u32;
                self.guest.start_serial(self.now, life);
            }
        }
    }

    fn serial_in(&mut self) {
        if !self.guest.has_serial() {
            return;
        }
        let mut buf = [0; SERIAL];
        // Not without end: the other work must be done, too.
        for _ in 0..16 {
            let n = self.p.read_serial(&mut buf);
            self.guest.serial_in(self.now, &buf[..n]);
            if n < SERIAL {
                break;
            }
        }
    }

    /// When COM2 is to be looked at again.
    fn serial_out(&mut self) -> u64 {
        if !self.guest.has_serial() {
            if core::mem::take(&mut self.serial) {
                self.p.close_serial();
            }
            return u64::MAX;
        }
        let mut buf = [0; SERIAL];
        loop {
            let room = self.p.serial_room().min(SERIAL);
            let n = self.guest.serial_out(self.now, &mut buf[..room]);
            if n == 0 {
                let earliest = if room == 0 { self.now + DRAIN } else { self.now };
                return self.guest.serial_deadline(self.now).unwrap_or(u64::MAX).max(earliest);
            }
            self.p.write_serial(&buf[..n]);
        }
    }

    fn event(&mut self, e: Event, bytes: &[u8]) {
        let mut cx = Cx { p: &mut self.p, guest: &mut self.guest, now: self.now };
        match e {
            Event::Message { channel, class } => {
                let r = match Service::of(class) {
                    Service::Heartbeat => self.heartbeat.message(&mut cx, channel, bytes),
                    Service::Time => self.time.message(&mut cx, channel, bytes),
                    Service::Power => power::message(&mut cx, channel, bytes),
                    Service::Information => self.information.message(&mut cx, channel, bytes),
                    Service::Programs => self.programs.message(&mut cx, channel, bytes),
                    Service::Diagnostics => self.diagnostics.message(&mut cx, channel, bytes),
                };
                match r {
                    Ok(()) => {}
                    // Kind 0 of any service.
                    Err(Unknown::Kind(kind)) => cx.say(channel, &(0u32, Unsupported { kind })),
                    Err(Unknown::Malformed) => {
                        let name = Service::of(class).name();
                        cx.p.log(
                            Level::Warning,
                            &format!("the host's service {name} said what is no message"),
                        );
                        cx.guest.close(channel);
                    }
                }
            }
            Event::Opened { channel, class, .. } => match Service::of(class) {
                Service::Information => self.information.opened(channel),
                Service::Programs => self.programs.opened(channel),
                Service::Time => self.time.opened(channel),
                _ => {}
            },
            Event::Closed { class, why, .. } => {
                match Service::of(class) {
                    Service::Information => self.information.closed(),
                    Service::Programs => self.programs.closed(),
                    Service::Diagnostics => self.diagnostics.closed(),
                    Service::Time => self.time.closed(),
                    Service::Heartbeat | Service::Power => {}
                }
                if let Gone::Breach | Gone::Host(channel::bus::Closed::Fault) = why {
                    let name = Service::of(class).name();
                    cx.p.log(Level::Warning, &format!("the channel of service {name} is closed: {why:?}"));
                }
            }
            Event::Welcome { version, name } => {
                let (major, minor) = (version >> 16, version & 0xffff);
                let text = format!("the host of machine {name:?} speaks version {major}.{minor} of the bus");
                cx.p.log(Level::Info, &text);
            }
            Event::Refused => {
                cx.p.log(Level::Error, "the host has no version of the bus in common with this agent")
            }
            Event::Moved => {}
            Event::Bye => self.ended = true,
        }
    }

    /// What services do by themselves, and when again.
    fn services(&mut self) -> u64 {
        let mut cx = Cx { p: &mut self.p, guest: &mut self.guest, now: self.now };
        let time = self.time.poll(&mut cx);
        let information = self.information.poll(&mut cx);
        let programs = self.programs.poll(&mut cx);
        let diagnostics = self.diagnostics.poll(&mut cx);
        time.min(information).min(programs).min(diagnostics)
    }

    fn tell(&mut self) {
        let way = self.guest.way();
        if self.guest.is_welcome() && self.told != Some(way) {
            self.told = Some(way);
            let by: String = match way {
                Way::Function => "the PCI function".into(),
                Way::Serial => "COM2".into(),
                Way::None => return,
            };
            self.p.log(Level::Info, &format!("the channel goes over {by}"));
        }
    }
}

#[cfg(test)]
mod tests;
