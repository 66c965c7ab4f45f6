//! The control socket of a running machine: HTTP and JSON over a Unix socket, and its client side.
//!
//! `docs/control-api.md` describes it for others.

mod server;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use server::{Listener, Server, Target};

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
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// What `POST /v1/shutdown` takes, if anything.
#[derive(Debug, Default, Serialize, Deserialize)]
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
pub(crate) struct LinkBody {
    pub(crate) adapter: usize,
    pub(crate) up: bool,
}

/// What `POST /v1/save` takes: where the state goes.
#[derive(Debug, Serialize, Deserialize)]
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
pub(crate) struct TypeBody {
    pub(crate) text: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyBody {
    pub(crate) chord: String,
}

#[derive(Debug, Serialize, Deserialize)]
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
pub(crate) struct InsertBody {
    pub(crate) drive: String,
    pub(crate) path: PathBuf,
    #[serde(default)]
    pub(crate) read_only: bool,
}

#[derive(Debug, Serialize, Deserialize)]
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
    directory().join(format!("{name}.sock"))
}

const MEND_DIRECTORY: &str = "set XDG_RUNTIME_DIR to a directory of your own";

/// Makes the directory, for this user alone. One that belongs to somebody else is not used.
fn make_directory() -> Result<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let d = directory();
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(&d) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => {
            bail!("cannot create the control directory {}: {e}; {MEND_DIRECTORY}", d.display());
        }
    }
    let m = fs::symlink_metadata(&d).with_context(|| format!("cannot look at {}", d.display()))?;
    if !m.is_dir() || m.uid() != rustix::process::getuid().as_raw() {
        bail!("the control directory {} belongs to somebody else; {MEND_DIRECTORY}", d.display());
    }
    fs::set_permissions(&d, fs::Permissions::from_mode(0o700))?;
    Ok(d)
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
    if alive(&socket(name)) {
        bail!("a machine named {name:?} is already running; use --name");
    }
    Ok(())
}

/// Names of running machines.
pub(crate) fn names() -> Result<Vec<String>> {
    let d = directory();
    let entries = match fs::read_dir(&d) {
        Ok(e) => e,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => {
            return Err(e).with_context(|| format!("cannot read the control directory {}", d.display()));
        }
    };
    let mut names: Vec<String> = entries
        .filter_map(|e| e.ok()?.file_name().to_str()?.strip_suffix(".sock").map(str::to_owned))
        .filter(|n| alive(&socket(n)))
        .collect();
    names.sort();
    Ok(names)
}

/// Sends one request to a machine; the body of the answer if it is a success, else its error.
pub(crate) fn request(name: &str, method: &str, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>> {
    // A character of a text to type is four strokes at most.
    let patience = Duration::from_secs(30) + 4 * PACE * body.as_ref().map_or(0, Vec::len) as u32;
    let at = socket(name);
    if !alive(&at) {
        let running = names().unwrap_or_default();
        let others =
            if running.is_empty() { "none is".into() } else { format!("running: {}", running.join(", ")) };
        bail!("no machine named {name:?} is running ({others})");
    }
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    rt.block_on(async {
        let stream = tokio::net::UnixStream::connect(&at).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let json = body.is_some();
        let mut r = hyper::Request::builder().method(method).uri(path).header("host", "heirloom");
        if json {
            r = r.header("content-type", "application/json");
        }
        let request = r.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        let answer = tokio::time::timeout(patience, sender.send_request(request))
            .await
            .with_context(|| format!("machine {name:?} does not answer"))??;
        let status = answer.status();
        let bytes = answer.into_body().collect().await?.to_bytes().to_vec();
        if status.is_success() {
            return Ok(bytes);
        }
        match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(e) => bail!("{}", e.error),
            Err(_) => bail!("machine {name:?} answered {status} to {method} {path}"),
        }
    })
}

pub(crate) fn get<T: DeserializeOwned>(name: &str, path: &str) -> Result<T> {
    Ok(serde_json::from_slice(&request(name, "GET", path, None)?)?)
}

pub(crate) fn post<T: Serialize>(name: &str, path: &str, body: &T) -> Result<Vec<u8>> {
    request(name, "POST", path, Some(serde_json::to_vec(body)?))
}
