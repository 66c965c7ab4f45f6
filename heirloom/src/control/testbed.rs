//! A machine with the routes of its control socket, for tests, without the socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use board::NoCable;
use host_io::disk::{self, Format};
use host_io::display::Frame;
use http_body_util::BodyExt;
use tower::ServiceExt;
use vmm::spec::{DiskSpec, MachineSpec, UndoClose};
use vmm::{ChannelParts, Choice, Drive, Engine, Events, Floppy, Handle, Machine, Outcome, Parts, Ports};

use super::server::{Target, routes};
use super::{Feed, HostCounters, UndoDiskBody};
use crate::run::state::States;
use crate::run::undo::UndoDisks;
use crate::run::watched::Watch;

/// An empty folder that goes with its owner.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let d = std::env::temp_dir().join(format!("hl-{}-{test}", std::process::id()));
        let _ = std::fs::remove_dir_all(&d);
        std::fs::create_dir_all(&d).expect("a folder");
        Self(d)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A machine that runs: a disk with an undo disk, an empty CD-ROM and diskette drive, an adapter without a cable.
pub(crate) struct Bed {
    pub(crate) routes: Router,
    pub(crate) events: Events,
    pub(crate) machine: Handle,
    running: Option<JoinHandle<Outcome>>,
    pub(crate) folder: Folder,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) kind: String,
    pub(crate) body: Vec<u8>,
}

impl Bed {
    pub(crate) fn new(test: &str) -> Self {
        let folder = Folder::new(test);
        let image = folder.0.join("disk.vhd");
        disk::create(&image, Format::VhdDynamic, 8 << 20).expect("a disk");
        let d = DiskSpec { path: image.clone(), undo: Some(UndoClose::Keep), ..DiskSpec::default() };
        let spec = MachineSpec { name: test.into(), disks: vec![d.clone()], ..MachineSpec::default() };
        let channel =
            ChannelParts { window_mib: 4, pci: true, serial: true, off: Vec::new(), name: test.into() };
        let parts = Parts {
            memory_mib: 4,
            engine: Choice::This(Engine::Software),
            channel: Some(channel),
            ..Parts::default()
        };
        let events = parts.events.clone();
        let watch = Watch::new(events.clone());
        let mut undo = UndoDisks::new(Vec::new());
        let own = undo
            .open(&image, d.undo_file(), UndoClose::Keep, host_io::disk::Cache::default())
            .expect("an undo disk");
        let frame = Frame::new();
        let ports = Ports {
            drives: [
                Some(Drive::disk(watch.over("disk1", &image, own))),
                None,
                Some(Drive::Cdrom { medium: None }),
                None,
            ],
            floppies: [Some(Floppy { medium: None }), None],
            serial: [None, None],
            net: [Some(Box::new(NoCable)), None, None, None],
            parallel: None,
            sound: None,
            display: Box::new(frame.scanout()),
        };
        let mut m = Machine::build(&parts, ports).expect("a machine");
        let machine = m.handle();
        let undo_disks =
            vec![UndoDiskBody { disk: 1, image, undo_file: d.undo_file(), action: UndoClose::Keep.into() }];
        let target = Target {
            name: test.into(),
            machine: machine.clone(),
            frame,
            pointer: Arc::default(),
            cdroms: vec![2],
            states: States::new(&spec, watch.clone()),
            undo_disks,
            undo: undo.actions(),
            feed: Feed::new(events.clone()),
            watch,
            counters: HostCounters { nets: vec![(1, Arc::default())], sound: Some(Arc::default()) },
            ready: Arc::default(),
        };
        let running = std::thread::spawn(move || {
            let outcome = m.run().expect("it runs");
            drop(m);
            undo.keep();
            outcome
        });
        Self { routes: routes(target), events, machine, running: Some(running), folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        self.ask_with(method, path, body, "application/json")
    }

    /// As a client would, with a body of this type.
    pub(crate) fn ask_with(&self, method: &str, path: &str, body: Option<&str>, kind: &str) -> Answer {
        let mut r = Request::builder().method(method.to_uppercase().as_str()).uri(path);
        if body.is_some() {
            r = r.header("content-type", kind);
        }
        let r = r.body(Body::from(body.unwrap_or_default().to_owned())).expect("a request");
        super::runtime().expect("a runtime").block_on(async {
            let a = self.routes.clone().oneshot(r).await.expect("an answer");
            let kind = text(a.headers(), "content-type");
            let status = a.status();
            let body = a.into_body().collect().await.expect("a body").to_bytes().to_vec();
            Answer { status, kind, body }
        })
    }

    /// Waits until the machine is off.
    pub(crate) fn outcome(&mut self) -> Outcome {
        self.running.take().expect("asked once").join().expect("it ends")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // One that has ended is as good.
            let _ = self.machine.power_off();
            let _ = running.join();
        }
    }
}

pub(crate) fn text(h: &HeaderMap, name: &str) -> String {
    h.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
}

/// An empty diskette.
pub(crate) fn diskette(at: &Path) {
    std::fs::write(at, vec![0; 1440 << 10]).expect("an image");
}
