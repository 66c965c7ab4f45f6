//! The server half: routes to [`vmm::Handle`].

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, OptionalFromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use board::{Disk, Media};
use host_io::display::{Frame, encode_png};
use host_io::input::{self, PointerAt, PointerPath};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use vmm::{Bay, Event, Handle, NoAnswer, Pressed};

use super::events::{Feed, events};
use super::guest;
use super::metrics::{self, HostCounters, Metrics};
use super::openapi::openapi;
use super::undo::{undo, undo_disks};
use super::{
    EjectBody, ErrorBody, InsertBody, KeyBody, LinkBody, LinkedBody, MouseBody, PressedBody, SaveBody,
    ShutdownBody, SnapshotBody, StatusBody, TypeBody, UndoDiskBody, UnknownBody,
};
use crate::run::ports::{CDROMS, open_diskette, point};
use crate::run::state::{Freezer, States};
use crate::run::undo::UndoActions;
use crate::run::watched::Watch;

/// What the routes act on.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) machine: Handle,
    pub(crate) frame: Frame,
    pub(crate) pointer: Arc<Mutex<PointerPath>>,
    /// IDE units of the CD-ROM drives.
    pub(crate) cdroms: Vec<u8>,
    pub(crate) states: States,
    /// Disks with undo disks, as they were started, and what shall become of them.
    pub(crate) undo_disks: Vec<UndoDiskBody>,
    pub(crate) undo: UndoActions,
    pub(crate) feed: Feed,
    pub(crate) watch: Watch,
    pub(crate) counters: HostCounters,
    /// How long after the process's start the machine began to run.
    pub(crate) ready: Arc<OnceLock<Duration>>,
}

/// A socket's file, as long as it is held.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A machine's name, taken: its control socket, on which nobody is answered yet.
pub(crate) struct Listener {
    socket: UnixListener,
    file: SocketFile,
}

impl Listener {
    /// Fails if a machine of that name runs.
    pub(crate) fn bind(name: &str) -> Result<Self> {
        Self::bind_in(&super::directory(), name)
    }

    pub(super) fn bind_in(directory: &Path, name: &str) -> Result<Self> {
        super::make_directory(directory)?;
        super::free_in(directory, name)?;
        let path = super::socket_in(directory, name);
        // It gets its name when it listens and is ours alone: who looks before that would take it for an orphan.
        let new = SocketFile(path.with_extension(format!("{}.new", std::process::id())));
        let _ = fs::remove_file(&new.0);
        let failed = |e: std::io::Error| {
            let (at, mend) = (path.display(), super::MEND_DIRECTORY);
            anyhow::anyhow!("cannot create control socket {at}: {e}; use a shorter --name, or {mend}")
        };
        let socket = UnixListener::bind(&new.0).map_err(failed)?;
        fs::set_permissions(&new.0, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        if let Err(e) = fs::hard_link(&new.0, &path) {
            if e.kind() != std::io::ErrorKind::AlreadyExists {
                return Err(failed(e));
            }
            // Another machine was faster, unless it is gone already.
            super::free_in(directory, name)?;
            fs::hard_link(&new.0, &path).map_err(failed)?;
        }
        let file = SocketFile(path.clone());
        socket.set_nonblocking(true)?;
        Ok(Self { socket, file })
    }
}

/// Answers until dropped; then the socket's file is gone too.
pub(crate) struct Server {
    _file: SocketFile,
    stop: Option<oneshot::Sender<()>>,
    ended: Receiver<()>,
}

impl Server {
    pub(crate) fn start(listener: Listener, target: Target) -> Result<Self> {
        let Listener { socket, file } = listener;
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        std::thread::Builder::new().name("control".into()).spawn(move || {
            rt.block_on(async {
                let stopped = async move { drop(stopped.await) };
                let served = match tokio::net::UnixListener::from_std(socket) {
                    Ok(l) => axum::serve(l, routes(target)).with_graceful_shutdown(stopped).await,
                    Err(e) => Err(e),
                };
                if let Err(e) = served {
                    tracing::error!("the control socket failed: {e}");
                }
            });
            // Nobody waits any more if it took too long.
            let _ = end.send(());
        })?;
        Ok(Self { _file: file, stop: Some(stop), ended })
    }
}

impl Drop for Server {
    /// Who asked for the end of the machine still gets an answer.
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}

/// An answer that names what went wrong.
#[derive(Debug)]
pub(super) struct Failed(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, Json(ErrorBody { error: self.1 })).into_response()
    }
}

/// A JSON body. What is wrong with one that came is told as all else is.
#[derive(Default)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl From<JsonRejection> for Failed {
    fn from(e: JsonRejection) -> Self {
        Self(e.status(), format!("{}; GET /v1/openapi.json says what a body holds", e.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failed;

    async fn from_request(r: Request, s: &S) -> Result<Self, Failed> {
        let axum::Json(b) = <axum::Json<T> as FromRequest<S>>::from_request(r, s).await?;
        Ok(Self(b))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Failed;

    async fn from_request(r: Request, s: &S) -> Result<Option<Self>, Failed> {
        let b = <axum::Json<T> as OptionalFromRequest<S>>::from_request(r, s).await?;
        Ok(b.map(|axum::Json(b)| Self(b)))
    }
}

/// The machine ended while it was asked, or has no time for an answer.
pub(super) fn gone(e: NoAnswer) -> Failed {
    let status = match e {
        NoAnswer::Gone => StatusCode::GONE,
        NoAnswer::Busy => StatusCode::SERVICE_UNAVAILABLE,
        NoAnswer::NoPort(_) | NoAnswer::NoAdapter(_) => StatusCode::NOT_FOUND,
    };
    Failed(status, e.to_string())
}

/// Asks the machine on a thread that may block.
pub(super) async fn ask<T: Send + 'static>(
    f: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    tokio::task::spawn_blocking(f)
        .await
        .unwrap_or_else(|e| Err(Failed(StatusCode::INTERNAL_SERVER_ERROR, e.to_string())))
}

type Done = Result<StatusCode, Failed>;

/// Method and path of each route, as in the OpenAPI document, and who answers.
pub(super) fn table() -> Vec<(&'static str, &'static str, MethodRouter<Target>)> {
    macro_rules! act {
        ($method:ident) => {
            post(|State(t): State<Target>| async move {
                ask(move || t.machine.$method().map_err(gone)).await.map(|()| StatusCode::NO_CONTENT)
            })
        };
    }
    macro_rules! all {
        ($($method:ident $path:literal $answer:expr;)+) => {
            vec![$((stringify!($method), $path, $method($answer))),+]
        };
    }
    let mut all = all! {
        get "/v1/status" status;
        post "/v1/shutdown" shutdown;
        post "/v1/save" save;
        post "/v1/snapshot" snapshot;
        post "/v1/link" link;
        get "/v1/screenshot" screenshot;
        post "/v1/type" type_text;
        post "/v1/key" key;
        post "/v1/mouse" mouse;
        post "/v1/insert" insert;
        post "/v1/eject" eject;
        get "/v1/undo" undo_disks;
        post "/v1/undo" undo;
        get "/v1/events" events;
        get "/v1/guest" guest::guest;
        get "/v1/guest/software" guest::software;
        post "/v1/guest/set" guest::set;
        post "/v1/guest/offer" guest::offer;
        post "/v1/guest/power" guest::power;
        post "/v1/guest/run" guest::run;
        post "/v1/guest/input" guest::input;
        post "/v1/guest/kill" guest::kill;
        post "/v1/guest/test" guest::test;
        get "/v1/unknowns" unknowns;
        get "/v1/metrics" metrics;
        get "/v1/openapi.json" openapi;
    };
    all.extend([
        ("post", "/v1/pause", act!(pause)),
        ("post", "/v1/resume", act!(resume)),
        ("post", "/v1/reset", act!(reset)),
        ("post", "/v1/poweroff", act!(power_off)),
    ]);
    all
}

pub(super) fn routes(t: Target) -> Router {
    const MEND: &str = "GET /v1/openapi.json lists what there is";
    table()
        .into_iter()
        .fold(Router::new(), |r, (_, path, answer)| r.route(path, answer))
        .fallback(async |r: Request| Failed(StatusCode::NOT_FOUND, format!("no {}; {MEND}", r.uri().path())))
        .method_not_allowed_fallback(async |r: Request| {
            let (method, path) = (r.method(), r.uri().path());
            Failed(StatusCode::METHOD_NOT_ALLOWED, format!("no {method} for {path}; {MEND}"))
        })
        .with_state(t)
}

async fn status(State(t): State<Target>) -> Result<Json<StatusBody>, Failed> {
    let name = t.name.clone();
    let s = ask(move || t.machine.status().map_err(gone)).await?;
    let phase = format!("{:?}", s.phase).to_lowercase();
    Ok(Json(StatusBody {
        name,
        phase,
        engine: s.engine.into(),
        memory_mib: s.memory_mib,
        guest_ns: s.guest_ns,
        instructions: s.instructions,
        halted: s.halted,
        eip: s.eip,
        pid: std::process::id(),
        asleep: s.asleep,
        acpi: s.acpi,
        button_waits: s.button_waits,
        leds: super::lit(s.leds),
        links: s.links,
        reason: s.reason,
    }))
}

/// Longer than the chipset's four seconds, for a guest whose time a busy host holds back.
const HOLD: Duration = Duration::from_secs(10);

async fn shutdown(
    State(t): State<Target>,
    body: Option<Json<ShutdownBody>>,
) -> Result<Json<PressedBody>, Failed> {
    let Json(body) = body.unwrap_or_default();
    let machine = t.machine.clone();
    const PAUSED: &str = "the machine is paused and does not see the power button; resume it first";
    if body.hold {
        if machine.phase() == vmm::Phase::Paused {
            return Err(Failed(StatusCode::CONFLICT, PAUSED.into()));
        }
        machine.hold_power_button(true).map_err(gone)?;
        let end = tokio::time::Instant::now() + HOLD;
        while machine.phase() != vmm::Phase::Off && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // It may be off, which was the wish.
        let _ = machine.hold_power_button(false);
        return match machine.phase() {
            vmm::Phase::Off => Ok(Json(PressedBody { woke: false })),
            _ => Err(Failed(
                StatusCode::CONFLICT,
                format!("the chipset did not switch off within {} s; use poweroff", HOLD.as_secs()),
            )),
        };
    }
    let refused = match ask(move || machine.press_power_button().map_err(gone)).await? {
        Pressed::Told => return Ok(Json(PressedBody { woke: false })),
        Pressed::Woke => return Ok(Json(PressedBody { woke: true })),
        Pressed::NoAcpi => {
            "the guest has not switched ACPI on, so it does not see the power button; \
            shut it down from inside, or use poweroff"
        }
        Pressed::Deaf => {
            "the guest does not listen to the power button; shut it down from inside, or use poweroff"
        }
        Pressed::Paused => PAUSED,
    };
    Err(Failed(StatusCode::CONFLICT, refused.into()))
}

/// Answers once the machine has written its state; the file has its name when the machine is gone.
async fn save(State(t): State<Target>, Json(b): Json<SaveBody>) -> Done {
    ask(move || {
        let file = t.states.begin(&b.path).map_err(refused)?;
        t.feed.events.tell(Event::Saving { path: b.path.clone() });
        let saved = t.machine.save(Box::new(file)).map_err(gone).and_then(|r| r.map_err(refused));
        if let Err(e) = &saved {
            t.states.give_up();
            t.feed.events.tell(Event::SaveFailed { path: b.path, error: e.1.clone() });
        }
        saved.map(|()| StatusCode::NO_CONTENT)
    })
    .await
}

/// Answers once the state is whole, while the machine runs on.
async fn snapshot(State(t): State<Target>, Json(b): Json<SaveBody>) -> Result<Json<SnapshotBody>, Failed> {
    let taken = ask(move || {
        let freezer = t.states.freezer(&b.path).map_err(refused)?;
        let file = t.states.begin(&b.path).map_err(refused)?;
        t.feed.events.tell(Event::Saving { path: b.path.clone() });
        let taken = take_snapshot(&t, file, freezer);
        match &taken {
            Ok(_) => t.feed.events.tell(Event::Saved { path: b.path }),
            Err(e) => t.feed.events.tell(Event::SaveFailed { path: b.path, error: e.1.clone() }),
        }
        taken
    });
    Ok(Json(taken.await?))
}

fn take_snapshot(t: &Target, file: fs::File, freezer: Freezer) -> Result<SnapshotBody, Failed> {
    let frozen = freezer.done();
    let taken = t.machine.snapshot(Box::new(file), Box::new(freezer));
    let disks = std::mem::take(&mut *frozen.lock().unwrap_or_else(PoisonError::into_inner));
    let stood = taken.map_err(gone).and_then(|r| r.map_err(refused)).map_err(|Failed(status, why)| {
        t.states.give_up();
        let kept: Vec<String> = disks.iter().map(|f| f.frozen.display().to_string()).collect();
        let mend = "what disks were is kept all the same, and can be merged";
        Failed(status, if kept.is_empty() { why } else { format!("{why} ({mend}: {})", kept.join(", ")) })
    })?;
    t.states.finish_frozen(&disks).map_err(|e| refused(format!("{e:#}")))?;
    Ok(SnapshotBody { stood_us: stood.as_micros() as u64, disks })
}

async fn link(State(t): State<Target>, Json(b): Json<LinkBody>) -> Result<Json<LinkedBody>, Failed> {
    let link = ask(move || {
        let none =
            || refused(format!("the machine has no network adapter {}; they are numbered from 1", b.adapter));
        let adapter = b.adapter.checked_sub(1).ok_or_else(none)?;
        t.machine.set_link(adapter, b.up).map_err(|e| match e {
            NoAnswer::NoAdapter(_) => none(),
            e => gone(e),
        })
    })
    .await?;
    Ok(Json(LinkedBody { link }))
}

async fn screenshot(State(t): State<Target>) -> Result<Response, Failed> {
    let png = ask(move || {
        t.machine.redraw().map_err(gone)?;
        let (mode, px) = t.frame.snapshot();
        encode_png(mode, &px).map_err(|e| Failed(StatusCode::CONFLICT, e.to_string()))
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

async fn type_text(State(t): State<Target>, Json(b): Json<TypeBody>) -> Done {
    let keys =
        input::type_text(&b.text).map_err(|e| Failed(StatusCode::UNPROCESSABLE_ENTITY, e.to_string()))?;
    press(t, keys).await
}

async fn key(State(t): State<Target>, Json(b): Json<KeyBody>) -> Done {
    let keys = input::chord(&b.chord).map_err(|e| Failed(StatusCode::UNPROCESSABLE_ENTITY, e.to_string()))?;
    press(t, keys).await
}

/// A guest's keyboard buffer holds sixteen bytes: keys go at the pace of a fast typist, not all at once.
async fn press(t: Target, keys: Vec<(board::Key, bool)>) -> Done {
    for (key, down) in keys {
        t.machine.key(key, down).map_err(gone)?;
        tokio::time::sleep(super::PACE).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn mouse(State(t): State<Target>, Json(b): Json<MouseBody>) -> Done {
    const MOST: i32 = 16383;
    if ![b.x, b.y].iter().all(|v| (0..=MOST).contains(v)) {
        let what = format!("pointer {},{} lies outside of every screen; use 0 to {MOST}", b.x, b.y);
        return Err(Failed(StatusCode::UNPROCESSABLE_ENTITY, what));
    }
    const TURNS: i32 = 127;
    if !(-TURNS..=TURNS).contains(&b.wheel) {
        return Err(refused(format!("wheel {}; use -{TURNS} to {TURNS}", b.wheel)));
    }
    if b.buttons > 31 {
        return Err(refused(format!(
            "buttons {}; add 1 left, 2 right, 4 middle, 8 and 16 at the sides",
            b.buttons
        )));
    }
    let to =
        PointerAt { x: b.x, y: b.y, wheel: b.wheel, buttons: b.buttons, screen: t.frame.mode(), anew: false };
    point(&t.machine, &t.pointer, to).map_err(gone)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn refused(what: impl ToString) -> Failed {
    Failed(StatusCode::UNPROCESSABLE_ENTITY, what.to_string())
}

impl Target {
    fn bay(&self, drive: &str) -> Result<Bay, Failed> {
        let nth = match drive {
            "a" => return Ok(Bay::Floppy(0)),
            "b" => return Ok(Bay::Floppy(1)),
            _ => CDROMS.iter().position(|c| *c == drive).ok_or_else(|| {
                refused(format!("no drive {drive:?}; use a, b, cdrom, or cdrom2 to cdrom4"))
            })?,
        };
        let unit = self.cdroms.get(nth).copied().ok_or_else(|| match self.cdroms.len() {
            0 => refused("the machine has no CD-ROM drive; start it with --cdrom none"),
            n => refused(format!("the machine has no {drive}; it has {n} CD-ROM drives")),
        })?;
        Ok(Bay::Cdrom(unit))
    }

    fn change(&self, bay: Bay, disk: Option<(Box<dyn Disk>, Media)>) -> Done {
        self.machine.insert(bay, disk).map_err(gone)?.map_err(refused)?;
        Ok(StatusCode::NO_CONTENT)
    }
}

/// The image that is in the drive stays there if the new one cannot be opened.
async fn insert(State(t): State<Target>, Json(b): Json<InsertBody>) -> Done {
    ask(move || {
        let bay = t.bay(&b.drive)?;
        let disk = match bay {
            Bay::Floppy(_) => open_diskette(&b.path, b.read_only).map_err(refused)?,
            Bay::Cdrom(_) => host_io::disk::open_iso(&b.path).map_err(refused)?,
        };
        let media = Media { sectors: disk.sectors(), read_only: disk.read_only() };
        let done = t.change(bay, Some((t.watch.over(&b.drive, &b.path, disk), media)))?;
        t.states.media.put(&b.drive, &b.path);
        let InsertBody { drive, path, .. } = b;
        t.feed.events.tell(Event::Inserted { drive, path, read_only: media.read_only });
        Ok(done)
    })
    .await
}

async fn eject(State(t): State<Target>, Json(b): Json<EjectBody>) -> Done {
    ask(move || {
        let done = t.change(t.bay(&b.drive)?, None)?;
        t.states.media.take(&b.drive);
        t.feed.events.tell(Event::Ejected { drive: b.drive });
        Ok(done)
    })
    .await
}

async fn unknowns(State(t): State<Target>) -> Result<Json<Vec<UnknownBody>>, Failed> {
    let all = ask(move || t.machine.unknowns().map_err(gone)).await?;
    let body =
        |u: vmm::Unknown| UnknownBody { chip: u.chip, window: u.window, offset: u.offset, count: u.count };
    Ok(Json(all.into_iter().map(body).collect()))
}

async fn metrics(State(t): State<Target>) -> Result<Response, Failed> {
    let (h, ready) = (t.machine.clone(), t.ready.get().map_or(0, Duration::as_micros));
    let (all, status) = ask(move || Ok((h.metrics().map_err(gone)?, h.status().map_err(gone)?))).await?;
    let mut m = Metrics::default();
    m.add("process.ready_us", &[], u64::try_from(ready).unwrap_or(u64::MAX));
    m.machine(&all);
    m.status(&status);
    m.disks(&t.watch);
    m.host(&t.counters);
    m.events(&t.feed.events);
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], m.text()).into_response())
}
