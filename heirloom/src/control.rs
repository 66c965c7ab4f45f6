//! The control socket of a running machine: HTTP and JSON over a Unix socket, and its client side.
//!
//! `docs/control-api.md` describes it for others.

mod events;
mod metrics;
mod metrics_help;
mod openapi;
mod server;
#[cfg(test)]
mod testbed;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use events::What;
pub(crate) use events::{EventBody, Feed, NAMES};
pub(crate) use metrics::HostCounters;
pub(crate) use server::{Listener, Server, Target};

use vmm::spec::UndoClose;

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

/// What becomes of undo disks when the machine is off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UndoAction {
    /// They stay, and the next run goes on with them
    Keep,
    /// They are merged into their images
    Commit,
    /// They are removed
    Discard,
}

impl UndoAction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Commit => "commit",
            Self::Discard => "discard",
        }
    }
}

impl From<UndoClose> for UndoAction {
    fn from(c: UndoClose) -> Self {
        match c {
            UndoClose::Keep => Self::Keep,
            UndoClose::Commit => Self::Commit,
            UndoClose::Discard => Self::Discard,
        }
    }
}

impl From<UndoAction> for UndoClose {
    fn from(a: UndoAction) -> Self {
        match a {
            UndoAction::Keep => Self::Keep,
            UndoAction::Commit => Self::Commit,
            UndoAction::Discard => Self::Discard,
        }
    }
}

/// What `POST /v1/undo` takes. Without a disk: all that have an undo disk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndoBody {
    /// From 1, in the order of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) disk: Option<usize>,
    pub(crate) action: UndoAction,
}

/// A disk with an undo disk, as `GET /v1/undo` lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UndoDiskBody {
    pub(crate) disk: usize,
    pub(crate) image: PathBuf,
    pub(crate) undo_file: PathBuf,
    pub(crate) action: UndoAction,
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

/// Sends one request to a machine and waits for the head of its answer; an error if it is one.
async fn send(
    name: &str,
    method: &str,
    path: &str,
    body: Option<Vec<u8>>,
    patience: Duration,
) -> Result<hyper::Response<Incoming>> {
    let at = socket(name);
    if !alive(&at) {
        let running = names().unwrap_or_default();
        let others =
            if running.is_empty() { "none is".into() } else { format!("running: {}", running.join(", ")) };
        bail!("no machine named {name:?} is running ({others})");
    }
    let stream = tokio::net::UnixStream::connect(&at).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut r = hyper::Request::builder().method(method).uri(path).header("host", "heirloom");
    if body.is_some() {
        r = r.header("content-type", "application/json");
    }
    let request = r.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
    let answer = tokio::time::timeout(patience, sender.send_request(request))
        .await
        .with_context(|| format!("machine {name:?} does not answer"))??;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let bytes = answer.into_body().collect().await?.to_bytes();
    match serde_json::from_slice::<ErrorBody>(&bytes) {
        Ok(e) => bail!("{}", e.error),
        Err(_) => bail!("machine {name:?} answered {status} to {method} {path}"),
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// How long a machine may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

fn request_within(
    name: &str,
    method: &str,
    path: &str,
    body: Option<Vec<u8>>,
    patience: Duration,
) -> Result<Vec<u8>> {
    runtime()?.block_on(async {
        let answer = send(name, method, path, body, patience).await?;
        Ok(answer.into_body().collect().await?.to_bytes().to_vec())
    })
}

/// Sends one request to a machine; the body of the answer if it is a success, else its error.
pub(crate) fn request(name: &str, method: &str, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>> {
    // A character of a text to type is four strokes at most.
    let typing = 4 * PACE * body.as_ref().map_or(0, Vec::len) as u32;
    request_within(name, method, path, body, PATIENCE + typing)
}

pub(crate) fn get<T: DeserializeOwned>(name: &str, path: &str) -> Result<T> {
    get_within(name, path, PATIENCE)
}

pub(crate) fn get_within<T: DeserializeOwned>(name: &str, path: &str, patience: Duration) -> Result<T> {
    Ok(serde_json::from_slice(&request_within(name, "GET", path, None, patience)?)?)
}

pub(crate) fn post<T: Serialize>(name: &str, path: &str, body: &T) -> Result<Vec<u8>> {
    request(name, "POST", path, Some(serde_json::to_vec(body)?))
}

/// Why a reader of events stopped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Enough,
    Ended,
    TimedOut,
}

/// Reads events as they come, until the reader has enough (false), there are no more or the time is over.
pub(crate) fn stream(
    name: &str,
    path: &str,
    end: Option<Instant>,
    mut reader: impl FnMut(EventBody) -> bool,
) -> Result<Stream> {
    let read = async {
        let mut body = send(name, "GET", path, None, PATIENCE).await?.into_body();
        let mut lines = Lines::default();
        while let Some(frame) = body.frame().await {
            // Broken off: the machine's process was killed.
            let Ok(frame) = frame else { break };
            for line in lines.push(frame.data_ref().map_or(&[], |d| &d[..])) {
                if let Some(json) = line.strip_prefix("data: ")
                    && !reader(serde_json::from_str(json)?)
                {
                    return Ok(Stream::Enough);
                }
            }
        }
        Ok(Stream::Ended)
    };
    runtime()?.block_on(async {
        match end {
            None => read.await,
            Some(end) => tokio::time::timeout_at(end.into(), read).await.unwrap_or(Ok(Stream::TimedOut)),
        }
    })
}

/// Whole lines of what comes in pieces.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let whole = self.0.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        let lines: Vec<u8> = self.0.drain(..whole).collect();
        String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests;
