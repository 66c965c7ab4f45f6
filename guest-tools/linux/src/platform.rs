//! The agent's platform: Linux.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use agent::{Level, Platform};
use channel::bus::System;
use channel::services::information::{About, Package, Pair};
use channel::services::power::Action;
use channel::services::programs::Run;

use crate::map::Mapped;
use crate::pci::{self, Interrupt};
use crate::programs::{self, Orphans, Running};
use crate::{about, power, sys};

/// Bytes in the serial port's queue: more only delays what is more urgent.
const QUEUE: usize = 512;

pub(crate) struct Linux {
    /// The function is looked for.
    pub(crate) pci: bool,
    pub(crate) serial_path: Option<PathBuf>,
    /// Log to syslog, not to standard error.
    pub(crate) syslog: bool,
    serial: Option<File>,
    interrupt: Option<Interrupt>,
    pub(crate) orphans: Orphans,
    asleep: u64,
    said: String,
    random: Option<File>,
    seed: Cell<u64>,
}

impl Linux {
    pub(crate) fn new(pci: bool, serial_path: Option<PathBuf>) -> Self {
        Self {
            pci,
            serial_path,
            syslog: false,
            serial: None,
            interrupt: None,
            orphans: Orphans::default(),
            asleep: asleep(),
            said: String::new(),
            random: File::open("/dev/urandom").ok(),
            seed: Cell::new(sys::clock(libc::CLOCK_MONOTONIC) ^ u64::from(std::process::id()) << 40),
        }
    }

    pub(crate) fn serial_fd(&self) -> Option<RawFd> {
        self.serial.as_ref().map(AsRawFd::as_raw_fd)
    }

    pub(crate) fn interrupt(&mut self) -> Option<&mut Interrupt> {
        self.interrupt.as_mut()
    }

    /// The same thing is not said again and again.
    fn say_once(&mut self, text: String) {
        if self.said != text {
            self.log(Level::Warning, &text);
            self.said = text;
        }
    }
}

/// How long the guest slept since it began.
fn asleep() -> u64 {
    sys::clock(libc::CLOCK_BOOTTIME).saturating_sub(sys::clock(libc::CLOCK_MONOTONIC))
}

impl Platform for Linux {
    type Function = Mapped;
    type Program = Running;

    const SYSTEM: System = System::Linux;

    fn function(&mut self) -> Option<Mapped> {
        if !self.pci {
            return None;
        }
        match pci::open() {
            Ok(Some((mapped, interrupt))) => {
                self.interrupt = Some(interrupt);
                Some(mapped)
            }
            Ok(None) => None,
            Err(e) => {
                self.say_once(e);
                None
            }
        }
    }

    fn open_serial(&mut self) -> bool {
        let Some(path) = self.serial_path.clone() else { return false };
        let mut o = OpenOptions::new();
        o.read(true).write(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK);
        let opened = o.open(&path).and_then(|f| sys::make_raw(&f).map(|()| f));
        match opened {
            Ok(f) => {
                self.serial = Some(f);
                true
            }
            Err(e) => {
                self.say_once(format!("cannot use {} for the channel: {e}", path.display()));
                false
            }
        }
    }

    fn close_serial(&mut self) {
        self.serial = None;
    }

    fn read_serial(&mut self, into: &mut [u8]) -> usize {
        self.serial.as_mut().and_then(|f| f.read(into).ok()).unwrap_or(0)
    }

    fn serial_room(&mut self) -> usize {
        self.serial.as_ref().map_or(0, |f| QUEUE.saturating_sub(sys::output_queue(f)))
    }

    fn write_serial(&mut self, bytes: &[u8]) {
        // There is room for it; what is lost all the same is sent again.
        if let Some(f) = &mut self.serial {
            let _ = f.write(bytes);
        }
    }

    fn now(&mut self) -> u64 {
        sys::clock(libc::CLOCK_MONOTONIC)
    }

    fn utc(&mut self) -> u64 {
        sys::clock(libc::CLOCK_REALTIME)
    }

    fn set_clock(&mut self, utc: u64) -> Result<(), String> {
        // What an older one has still to slew is of no use.
        let _ = sys::slew_clock(0);
        sys::set_clock(utc).map_err(|e| e.to_string())
    }

    fn slew_clock(&mut self, gain: i64) -> Result<(), String> {
        sys::slew_clock(gain).map_err(|e| e.to_string())
    }

    fn slept(&mut self) -> bool {
        let now = asleep();
        // The two clocks are read one after the other.
        let slept = now > self.asleep + 100_000_000;
        self.asleep = now;
        slept
    }

    fn power(&mut self, action: Action, force: bool, message: &str) -> Result<(), String> {
        power::begin(action, force, message)
    }

    fn about(&mut self) -> About {
        about::about()
    }

    fn software(&mut self) -> Vec<Package> {
        about::software()
    }

    fn host_pair(&mut self, pair: &Pair) {
        about::host_pair(pair);
    }

    fn guest_pairs(&mut self) -> Vec<Pair> {
        about::guest_pairs()
    }

    fn run(&mut self, run: &Run) -> Result<Running, String> {
        programs::run(run, &self.orphans)
    }

    fn log(&mut self, level: Level, text: &str) {
        let mut line = String::new();
        if self.syslog {
            let severity = match level {
                Level::Error => 3,
                Level::Warning => 4,
                Level::Info => 6,
            };
            // Facility 3: daemons.
            let _ = write!(line, "<{}>heirloom-agent[{}]: {text}", 24 + severity, std::process::id());
            let _ = UnixDatagram::unbound().and_then(|s| s.send_to(line.as_bytes(), "/dev/log"));
        } else {
            let _ = writeln!(std::io::stderr(), "heirloom-agent: {text}");
        }
    }

    fn random(&mut self) -> u64 {
        let mut b = [0; 8];
        if self.random.as_mut().is_some_and(|f| f.read_exact(&mut b).is_ok()) {
            return u64::from_le_bytes(b);
        }
        // Without /dev/urandom it only has to differ each time.
        let x = self
            .seed
            .get()
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(sys::clock(libc::CLOCK_MONOTONIC) | 1);
        self.seed.set(x);
        x
    }
}
