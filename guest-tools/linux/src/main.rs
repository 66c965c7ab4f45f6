//! `heirloom-agent`: the guest agent on Linux. One loop; it sleeps until something comes.

mod about;
mod map;
mod pci;
mod platform;
mod power;
mod programs;
mod sys;
mod users;

use std::fs::{File, TryLockError};
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::process::ExitCode;

use agent::{Agent, Level, Platform, Versions};

use platform::Linux;

const USAGE: &str = "\
heirloom-agent: makes this guest part of its host's desktop

usage: heirloom-agent [--serial DEVICE|none] [--pci auto|off] [--foreground] [--pid-file FILE]
                      [--bus NEWEST[-OLDEST]]

  --serial      the serial port that serves while there is no driver for the PCI function (default /dev/ttyS1)
  --pci         off: only the serial port
  --foreground  don't become a daemon, and log to standard error
  --pid-file    write the daemon's number there
  --bus         versions of the bus to speak, for tests: 1.1-1.0

example: heirloom-agent --foreground --serial /dev/ttyS1
";

/// After something came, more is looked for so often before sleep: an answer's answer is quicker there than an interrupt.
const SPINS: u32 = 50;

const LOCK: &str = "/run/heirloom-agent.lock";

struct Options {
    serial: Option<PathBuf>,
    pci: bool,
    foreground: bool,
    pid_file: Option<PathBuf>,
    bus: Versions,
}

/// "1.1-1.0": the newest and the oldest version of the bus.
fn versions(text: &str) -> Option<Versions> {
    let one = |t: &str| {
        let (major, minor) = t.split_once('.')?;
        Some(major.parse::<u16>().ok().map(u32::from)? << 16 | minor.parse::<u16>().ok().map(u32::from)?)
    };
    let (newest, oldest) = text.split_once('-').unwrap_or((text, text));
    let v = Versions { newest: one(newest)?, oldest: one(oldest)? };
    (v.oldest <= v.newest).then_some(v)
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut o = Options {
        serial: Some("/dev/ttyS1".into()),
        pci: true,
        foreground: false,
        pid_file: None,
        bus: Versions::default(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match &*word {
            "--serial" => o.serial = Some(value()?).filter(|v| v != "none").map(PathBuf::from),
            "--pci" => match &*value()? {
                "auto" => o.pci = true,
                "off" => o.pci = false,
                other => return Err(format!("--pci is auto or off, not {other}")),
            },
            "--pid-file" => o.pid_file = Some(value()?.into()),
            "--bus" => o.bus = versions(&value()?).ok_or("--bus is NEWEST-OLDEST, as 1.1-1.0")?,
            "--foreground" => o.foreground = true,
            other => return Err(format!("there is no option {other}; see --help")),
        }
    }
    Ok(o)
}

fn main() -> ExitCode {
    if std::env::args().any(|a| a == "--help" || a == "-h") {
        let _ = std::io::stdout().write_all(USAGE.as_bytes());
        return ExitCode::SUCCESS;
    }
    match options(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "heirloom-agent: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(o: Options) -> Result<(), String> {
    if !o.foreground {
        sys::daemon().map_err(|e| format!("cannot become a daemon: {e}"))?;
    }
    let lock = lock()?;
    if let Some(f) = &o.pid_file {
        let number = format!("{}\n", std::process::id());
        std::fs::write(f, number).map_err(|e| format!("cannot write {}: {e}", f.display()))?;
    }
    let signals = sys::signals().map_err(|e| format!("signals: {e}"))?;
    let mut platform = Linux::new(o.pci, o.serial);
    platform.syslog = !o.foreground;
    platform.log(Level::Info, concat!("version ", env!("CARGO_PKG_VERSION")));
    let mut agent = Agent::with_versions(platform, o.bus);
    let mut spins = 0;
    loop {
        let next = agent.poll();
        if agent.has_ended() {
            drop(lock);
            return Ok(());
        }
        if agent.was_busy() {
            spins = SPINS;
        }
        let now = agent.platform().now();
        if next <= now {
            continue;
        }
        if spins > 0 {
            spins -= 1;
            continue;
        }
        if agent.arm() {
            continue;
        }
        wait(&mut agent, signals.as_raw_fd(), next - now);
        while let Some(s) = sys::signal(&signals) {
            if s != libc::SIGCHLD {
                agent.end();
            }
        }
        agent.platform().orphans.reap();
    }
}

/// Two agents would take the channel from each other.
fn lock() -> Result<Option<File>, String> {
    // Without /run, as early in a boot, it goes without.
    let Ok(f) = File::create(LOCK) else { return Ok(None) };
    match f.try_lock() {
        Ok(()) => Ok(Some(f)),
        Err(TryLockError::WouldBlock) => Err(format!("an agent runs already: it has {LOCK}")),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Sleeps until something comes.
fn wait(agent: &mut Agent<Linux>, signals: RawFd, nanoseconds: u64) {
    let one = |fd: RawFd, events| libc::pollfd { fd, events, revents: 0 };
    let mut fds = vec![one(signals, libc::POLLIN)];
    let interrupt = agent.platform().interrupt().map(|i| i.fd());
    fds.push(one(interrupt.unwrap_or(-1), libc::POLLIN));
    fds.extend(agent.platform().serial_fd().map(|fd| one(fd, libc::POLLIN)));
    for (program, wants) in agent.programs() {
        let (input, outputs) = program.fds();
        fds.extend(input.filter(|_| wants.input).map(|fd| one(fd, libc::POLLOUT)));
        let outputs = outputs.into_iter().zip(wants.output).filter(|(_, wanted)| *wanted);
        fds.extend(outputs.filter_map(|(fd, _)| fd).map(|fd| one(fd, libc::POLLIN)));
    }
    sys::poll(&mut fds, nanoseconds);
    if fds[1].revents != 0 {
        if let Some(i) = agent.platform().interrupt() {
            i.take();
        }
        agent.interrupt();
        if let Some(i) = agent.platform().interrupt() {
            i.enable();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::options;

    #[test]
    fn options_are_taken_or_refused() {
        let of = |s: &str| options(s.split_whitespace().map(String::from));
        let o = of("--serial none --pci off --foreground").expect("options");
        assert!(o.serial.is_none() && !o.pci && o.foreground);
        assert_eq!(of("").expect("none").serial, Some("/dev/ttyS1".into()));
        let bus = of("--bus 1.2-1.0").expect("versions").bus;
        assert_eq!((bus.newest, bus.oldest), (0x1_0002, 0x1_0000));
        assert!(of("--bus 1").is_err() && of("--bus 1.0-1.1").is_err());
        assert!(of("--pci maybe").is_err() && of("--serial").is_err() && of("--what").is_err());
    }
}
