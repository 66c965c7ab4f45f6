//! The control socket of a running machine: HTTP and JSON over a Unix socket, and its client side.
//!
//! `docs/control-api.md` describes it for others.

mod client;
mod events;
mod guest;
mod metrics;
mod metrics_help;
mod openapi;
mod server;
#[cfg(test)]
mod testbed;
mod undo;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

#[cfg(test)]
use client::{Lines, runtime};
pub(crate) use client::{Stream, get, get_within, post, post_within, request, stream, stream_of};
#[cfg(test)]
pub(crate) use events::What;
pub(crate) use events::{EventBody, Feed, NAMES};
pub(crate) use guest::{
    AgentBody, GuestBody, InputBody, KillBody, OfferBody, PackageBody, PowerAction, PowerBody, RunBody,
    RunEvent, TestBody, TestName, TestedBody, ValueBody,
};
pub(crate) use metrics::HostCounters;
pub(crate) use server::{Listener, Server, Target};
pub(crate) use undo::{UndoAction, UndoBody, UndoDiskBody};

use crate::run::state::Frozen;

/// What `GET /v1/status` answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StatusBody {
    pub(crate) name: String,
    pub(crate) phase: String,
    pub(crate) engine: String,
    pub(crate) memory_mib: u64,
    pub(crate) guest_ns: u64,
    pub(crate) instructions: u64,
    pub(crate) halted: bool,
    pub(crate) eip: u32,
    pub(crate) pid: u32,
    // A machine of an older release does not tell of what follows.
    /// In S1.
    #[serde(default)]
    pub(crate) asleep: bool,
    /// The guest has switched ACPI on.
    #[serde(default)]
    pub(crate) acpi: bool,
    /// The power button was pressed and the guest has not taken note of it.
    #[serde(default)]
    pub(crate) button_waits: bool,
    /// Lamps of the keyboard that are lit: scroll, num, caps.
    #[serde(default)]
    pub(crate) leds: Vec<String>,
    /// For each network adapter, whether it has a link.
    #[serde(default)]
    pub(crate) links: Vec<bool>,
    /// Why the machine paused by itself, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// What `POST /v1/shutdown` takes, if anything.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShutdownBody {
    /// Hold the button until the chipset switches off.
    #[serde(default)]
    pub(crate) hold: bool,
}

/// What `POST /v1/shutdown` answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PressedBody {
    /// The guest was in S1: the press woke it, and that was all.
    pub(crate) woke: bool,
}

/// Cable of a network adapter, from 1.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkBody {
    pub(crate) adapter: usize,
    pub(crate) up: bool,
}

/// What `POST /v1/save` takes: where the state goes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaveBody {
    pub(crate) path: PathBuf,
}

/// What `POST /v1/snapshot` answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotBody {
    /// How long the machine stood still, in microseconds.
    pub(crate) stood_us: u64,
    /// Disks that go on over what they were, which belongs to the state.
    pub(crate) disks: Vec<Frozen>,
}

/// What `POST /v1/link` answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LinkedBody {
    pub(crate) link: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypeBody {
    pub(crate) text: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyBody {
    pub(crate) chord: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MouseBody {
    pub(crate) x: i32,
    pub(crate) y: i32,
    #[serde(default)]
    pub(crate) buttons: u8,
    /// Detents, towards the user positive.
    #[serde(default)]
    pub(crate) wheel: i32,
}

/// A medium for a drive: `a`, `b`, `cdrom` (the first CD-ROM drive) or `cdrom2` to `cdrom4`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InsertBody {
    pub(crate) drive: String,
    pub(crate) path: PathBuf,
    #[serde(default)]
    pub(crate) read_only: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EjectBody {
    pub(crate) drive: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UnknownBody {
    pub(crate) chip: String,
    pub(crate) window: u8,
    pub(crate) offset: u32,
    pub(crate) count: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) error: String,
}

/// The lamps that are lit.
fn lit(leds: board::Leds) -> Vec<String> {
    let all = [(leds.scroll, "scroll"), (leds.num, "num"), (leds.caps, "caps")];
    all.into_iter().filter(|(on, _)| *on).map(|(_, name)| name.to_owned()).collect()
}

/// Between two strokes of a typed text.
const PACE: Duration = Duration::from_millis(5);

/// Where this user's control sockets are.
pub(crate) fn directory() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|d| !d.is_empty()) {
        Some(d) => PathBuf::from(d).join("heirloom"),
        None => std::env::temp_dir().join(format!("heirloom-{}", rustix::process::getuid().as_raw())),
    }
}

pub(crate) fn socket(name: &str) -> PathBuf {
    socket_in(&directory(), name)
}

fn socket_in(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.sock"))
}

const MEND_DIRECTORY: &str = "set XDG_RUNTIME_DIR to a directory of your own";

/// Makes the directory, for this user alone. One that belongs to somebody else is not used.
fn make_directory(d: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(d) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => {
            bail!("cannot create the control directory {}: {e}; {MEND_DIRECTORY}", d.display());
        }
    }
    let m = fs::symlink_metadata(d).with_context(|| format!("cannot look at {}", d.display()))?;
    if !m.is_dir() || m.uid() != rustix::process::getuid().as_raw() {
        bail!("the control directory {} belongs to somebody else; {MEND_DIRECTORY}", d.display());
    }
    Ok(fs::set_permissions(d, fs::Permissions::from_mode(0o700))?)
}

/// Does a machine of this name run?
pub(crate) fn runs(name: &str) -> bool {
    alive(&socket(name))
}

/// Is a machine behind this socket? A socket that nobody listens on is removed: a machine's has its name only once it
/// listens.
fn alive(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let file = || fs::symlink_metadata(path).map(|m| m.ino()).ok();
    let before = file();
    match UnixStream::connect(path) {
        Ok(_) => true,
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            // Not one that took its place meanwhile.
            if file() == before {
                let _ = fs::remove_file(path);
            }
            false
        }
        Err(_) => false,
    }
}

/// Fails if a machine of this name runs.
pub(crate) fn free(name: &str) -> Result<()> {
    free_in(&directory(), name)
}

fn free_in(directory: &Path, name: &str) -> Result<()> {
    if alive(&socket_in(directory, name)) {
        bail!("a machine named {name:?} is already running; use --name");
    }
    Ok(())
}

/// Names of running machines.
pub(crate) fn names() -> Result<Vec<String>> {
    names_in(&directory())
}

fn names_in(d: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(d) {
        Ok(e) => e,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => {
            return Err(e).with_context(|| format!("cannot read the control directory {}", d.display()));
        }
    };
    let files: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    files.iter().filter(|f| is_left_over(f)).for_each(|f| drop(fs::remove_file(d.join(f))));
    let named = |f: &String| f.strip_suffix(".sock").map(str::to_owned);
    let mut names: Vec<String> = files.iter().filter_map(named).filter(|n| alive(&socket_in(d, n))).collect();
    names.sort();
    Ok(names)
}

/// A socket that has no name yet (`NAME.PID.new`), of a process that was killed before it had one?
fn is_left_over(file: &str) -> bool {
    let pid =
        file.strip_suffix(".new").and_then(|f| f.rsplit_once('.')).and_then(|(_, pid)| pid.parse().ok());
    let process = pid.and_then(rustix::process::Pid::from_raw);
    process.is_some_and(|p| rustix::process::test_kill_process(p) == Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests;
