//! The agent's platform on Windows, over the modules of [`crate::platform`].

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use agent::{Level, Piped, Platform};
use channel::bus::System;
use channel::services::information::{About, Adapter, Package, Pair};
use channel::services::power::Action;
use channel::services::programs::{Run, Stream};
use xp_base::handle::{Event, Handle};
use xp_base::log;

use crate::platform::bus::{Bus, Port};
use crate::platform::clock::{self, Slew};
use crate::platform::programs::{Program, Spec};
use crate::platform::serial::Serial;
use crate::platform::{info, pairs, power, session};

/// A jump of the clock against the one that only goes on: somebody else set it, or the machine slept.
const JUMP: i64 = 2_000_000_000;

pub(crate) struct Windows<'a> {
    port: &'a str,
    serial: Option<Serial>,
    bus: Option<Bus>,
    woke: &'a Event,
    /// It was signalled.
    slept: bool,
    slew: Option<Slew>,
    /// UTC less the clock that only goes on, when it was looked at last.
    apart: Option<i64>,
    /// What was said last of something that is tried again and again.
    said: [String; 2],
}

const OF_SERIAL: usize = 0;
const OF_BUS: usize = 1;

impl<'a> Windows<'a> {
    pub(crate) fn new(port: &'a str, woke: &'a Event) -> Self {
        Self {
            port,
            serial: None,
            bus: None,
            woke,
            slept: false,
            slew: None,
            apart: None,
            said: [String::new(), String::new()],
        }
    }

    /// What can't be done is said once, not each time that it is tried.
    fn say_once(&mut self, of: usize, what: String) {
        if self.said[of] != what {
            log::line(format_args!("{what}"));
            self.said[of] = what;
        }
    }

    pub(crate) fn bus(&mut self) -> Option<&mut Bus> {
        self.bus.as_mut()
    }

    pub(crate) fn close_bus(&mut self) {
        self.bus = None;
    }

    /// Goes on writing, takes note of a wake-up, ends a slew that is over. When it has to be called again, in nanoseconds of `now`.
    pub(crate) fn tend(&mut self) -> u64 {
        if let Some(s) = &mut self.serial
            && let Err(e) = s.push()
        {
            log::line(format_args!("{}: {e}", self.port));
            self.serial = None;
        }
        if self.woke.handle().is_signalled() {
            self.woke.clear();
            self.slept = true;
        }
        if self.slew.as_ref().is_some_and(|s| clock::nanoseconds() >= s.until) {
            self.slew = None;
        }
        self.slew.as_ref().map_or(u64::MAX, |s| s.until)
    }

    /// What to wait for.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Handle> {
        let serial = self.serial.iter().flat_map(Serial::events);
        serial.chain(self.bus.iter().map(Bus::event))
    }
}

impl Platform for Windows<'_> {
    type Function = Port;
    type Program = Program;

    const SYSTEM: System = System::Windows;

    fn function(&mut self) -> Option<Port> {
        // The one that nobody drives any more is closed first: the driver has one opener at a time.
        if self.bus.as_ref().is_some_and(Bus::is_driven) {
            return None;
        }
        self.bus = None;
        match Bus::open() {
            Ok(b) => self.bus = b,
            Err(e) => self.say_once(OF_BUS, e.to_string()),
        }
        self.bus.as_ref().map(Bus::port)
    }

    fn open_serial(&mut self) -> bool {
        self.serial = None;
        match Serial::open(self.port) {
            Ok(s) => {
                self.said[OF_SERIAL].clear();
                self.serial = Some(s);
            }
            Err(e) => self.say_once(OF_SERIAL, e.to_string()),
        }
        self.serial.is_some()
    }

    fn close_serial(&mut self) {
        self.serial = None;
    }

    fn read_serial(&mut self, into: &mut [u8]) -> usize {
        match self.serial.as_mut().map_or(Ok(0), |s| s.read(into)) {
            Ok(n) => n,
            Err(e) => {
                self.say_once(OF_SERIAL, format!("{}: {e}", self.port));
                self.serial = None;
                0
            }
        }
    }

    fn serial_room(&mut self) -> usize {
        self.serial.as_ref().map_or(0, Serial::room)
    }

    fn write_serial(&mut self, bytes: &[u8]) {
        if let Err(e) = self.serial.as_mut().map_or(Ok(0), |s| s.write(bytes)) {
            self.say_once(OF_SERIAL, format!("{}: {e}", self.port));
            self.serial = None;
        }
    }

    fn now(&mut self) -> u64 {
        clock::nanoseconds()
    }

    fn utc(&mut self) -> u64 {
        u64::try_from(clock::time_of_day() * 100).unwrap_or(0)
    }

    fn set_clock(&mut self, utc: u64) -> Result<(), String> {
        self.slew = None;
        self.apart = None;
        clock::set_time_of_day(i64::try_from(utc / 100).unwrap_or(i64::MAX)).map_err(|e| e.to_string())
    }

    fn slew_clock(&mut self, gain: i64) -> Result<(), String> {
        self.slew = None;
        self.slew = Slew::begin(gain).map_err(|e| e.to_string())?;
        Ok(())
    }

    fn slept(&mut self) -> bool {
        let told = core::mem::take(&mut self.slept);
        let apart = clock::time_of_day() * 100 - clock::nanoseconds() as i64;
        let jumped = self.apart.is_some_and(|a| (apart - a).abs() > JUMP);
        // Slewing moves it little by little.
        self.apart = Some(apart);
        told || jumped
    }

    fn power(&mut self, action: Action, force: bool, message: &str) -> Result<(), String> {
        match action {
            Action::ShutDown => power::shut_down(false, force, message),
            Action::Restart => power::shut_down(true, force, message),
            Action::LogOff => power::log_off(force),
            Action::Lock => power::lock(),
        }
        .map_err(|e| e.to_string())
    }

    fn about(&mut self) -> About {
        let (system, version) = info::system();
        let (name, domain) = info::names();
        let (memory, memory_free) = info::memory();
        let adapters = info::adapters();
        About {
            system,
            version,
            name,
            domain,
            adapters: adapters
                .into_iter()
                .map(|a| Adapter { name: a.name, mac: a.mac, addresses: a.addresses })
                .collect(),
            users: session::users().into_iter().map(|(_, user)| user).collect(),
            memory,
            memory_free,
            zone: info::zone(),
            ..About::default()
        }
    }

    fn software(&mut self) -> Vec<Package> {
        info::software()
            .into_iter()
            .map(|p| Package { name: p.name, version: p.version, publisher: p.publisher })
            .collect()
    }

    fn host_pair(&mut self, pair: &Pair) {
        if let Err(e) = pairs::set_host(&pair.key, &pair.value) {
            log::line(format_args!("{e}"));
        }
    }

    fn guest_pairs(&mut self) -> Vec<Pair> {
        pairs::guest().into_iter().map(|(key, value)| Pair { key, value }).collect()
    }

    fn run(&mut self, run: &Run) -> Result<Program, String> {
        let as_user = match run.user.as_str() {
            "" => false,
            "@session" => true,
            other => return Err(format!("programs run as the agent, or as @session, not as {other}")),
        };
        let command = xp_words::command_line(&run.arguments);
        let spec = Spec {
            command: &command,
            folder: &run.folder,
            environment: &run.environment,
            as_user,
            hidden: !run.shown,
            piped: !run.detached,
        };
        Program::start(&spec).map_err(|e| e.to_string())
    }

    fn log(&mut self, level: Level, text: &str) {
        match level {
            Level::Info => log::line(format_args!("{text}")),
            Level::Warning => log::line(format_args!("warning: {text}")),
            Level::Error => log::line(format_args!("error: {text}")),
        }
    }

    fn random(&mut self) -> u64 {
        crate::platform::random()
    }
}

impl agent::Program for Program {
    fn process(&self) -> u32 {
        self.number()
    }

    fn read(&mut self, stream: Stream, into: &mut [u8]) -> Piped {
        piped(self.output(stream == Stream::Error, into))
    }

    fn write(&mut self, bytes: &[u8]) -> Piped {
        piped(self.put(bytes))
    }

    fn close_input(&mut self) {
        self.end_input();
    }

    fn ended(&mut self) -> Option<u32> {
        self.exit_code()
    }

    fn kill(&mut self) {
        self.end();
    }
}

fn piped(n: Option<usize>) -> Piped {
    match n {
        None => Piped::End,
        Some(0) => Piped::Later,
        Some(n) => Piped::Bytes(n),
    }
}
