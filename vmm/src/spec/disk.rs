//! Hard disks: what is behind them, and how the host treats it.

pub use board::Cache;
use std::io;
use std::path::PathBuf;

use super::reader::Table;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskSpec {
    pub path: PathBuf,
    pub read_only: bool,
    /// Writes go to a temporary layer that is dropped at the end.
    pub overlay: bool,
    /// Writes go to an undo disk, and this becomes of it.
    pub undo: Option<UndoClose>,
    /// The undo disk's file; else one beside the image.
    pub undo_file: Option<PathBuf>,
    /// What becomes of failures of the host.
    pub on_error: OnError,
    pub cache: Cache,
    /// The drive offers TRIM, and what the guest discards is freed.
    pub unmap: bool,
}

/// What becomes of a job that the host fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The machine is paused if the host's disk is full; of all else the guest is told.
    #[default]
    Auto,
    /// The guest is told.
    Report,
    /// The machine is paused, and the job done again when it goes on.
    Pause,
}

impl OnError {
    pub(crate) fn pauses(self, e: &io::Error) -> bool {
        match self {
            Self::Auto => Self::full(e),
            Self::Report => false,
            Self::Pause => true,
        }
    }

    /// Does it lack room?
    pub(crate) fn full(e: &io::Error) -> bool {
        matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// What becomes of an undo disk when the machine is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoClose {
    /// It stays, and the next run goes on with it.
    Keep,
    /// It is merged into the image.
    Commit,
    /// It is removed: the image is as it was.
    Discard,
}

impl DiskSpec {
    /// The undo disk's file.
    pub fn undo_file(&self) -> PathBuf {
        self.undo_file.clone().unwrap_or_else(|| self.path.with_extension("vud"))
    }

    pub(super) fn check(&self, bad: &mut Vec<String>) {
        let path = self.path.display();
        if self.undo.is_some() && (self.read_only || self.overlay) {
            bad.push(format!("disk {path}: undo beside ro or overlay; a disk's writes go to one place"));
        }
        if self.unmap && (self.read_only || self.overlay) {
            bad.push(format!(
                "disk {path}: discard=unmap beside ro or overlay, where nothing can be freed; leave one out"
            ));
        }
        if self.undo.is_none() && self.undo_file.is_some() {
            bad.push(format!("disk {path}: an undo file without undo; say what becomes of it: undo=keep"));
        }
        if self.undo.is_some() && self.undo_file() == self.path {
            bad.push(format!("disk {path}: the undo file is the disk itself; choose another name"));
        }
    }
}

pub fn disk(s: &str) -> Result<DiskSpec, String> {
    let mut words = s.split(',');
    let path = words.next().unwrap_or_default();
    let mut d = DiskSpec { path: path.into(), ..DiskSpec::default() };
    if path.is_empty() {
        return Err("disk without a path".into());
    }
    for w in words {
        match w {
            "ro" => d.read_only = true,
            "overlay" => d.overlay = true,
            "undo" => d.undo = Some(UndoClose::Keep),
            w => match w.split_once('=') {
                Some(("undo", close)) => d.undo = Some(undo(close)?),
                Some(("undo-file", file)) if !file.is_empty() => d.undo_file = Some(file.into()),
                Some(("on-error", then)) => d.on_error = on_error(then)?,
                Some(("cache", how)) => d.cache = cache(how)?,
                Some(("discard", what)) => d.unmap = discard(what)?,
                _ => {
                    return Err(format!(
                        "disk option {w:?}; use ro, overlay, undo[=commit|=discard], undo-file=PATH, \
                         cache=writeback|writethrough|none, discard=ignore|unmap or on-error=auto|report|pause"
                    ));
                }
            },
        }
    }
    Ok(d)
}

fn undo(s: &str) -> Result<UndoClose, String> {
    match s {
        "keep" => Ok(UndoClose::Keep),
        "commit" => Ok(UndoClose::Commit),
        "discard" => Ok(UndoClose::Discard),
        _ => Err(format!("undo {s:?}; use keep, commit or discard")),
    }
}

fn on_error(s: &str) -> Result<OnError, String> {
    match s {
        "auto" => Ok(OnError::Auto),
        "report" => Ok(OnError::Report),
        "pause" => Ok(OnError::Pause),
        _ => Err(format!("on-error {s:?}; use auto, report or pause")),
    }
}

fn cache(s: &str) -> Result<Cache, String> {
    match s {
        "writeback" => Ok(Cache::WriteBack),
        "writethrough" => Ok(Cache::WriteThrough),
        "none" => Ok(Cache::None),
        _ => Err(format!("cache {s:?}; use writeback, writethrough or none")),
    }
}

fn discard(s: &str) -> Result<bool, String> {
    match s {
        "ignore" => Ok(false),
        "unmap" => Ok(true),
        _ => Err(format!("discard {s:?}; use ignore or unmap")),
    }
}

/// A `[[disk]]`.
pub(super) fn read(t: &mut Table<'_, '_>) -> DiskSpec {
    let path = |p: &str| if p.is_empty() { Err("an empty path".to_owned()) } else { Ok(PathBuf::from(p)) };
    let mut d = DiskSpec::default();
    t.text("path", path, |v| d.path = v);
    t.flag("read_only", |v| d.read_only = v);
    t.flag("overlay", |v| d.overlay = v);
    t.text("undo", undo, |v| d.undo = Some(v));
    t.text("undo_file", path, |v| d.undo_file = Some(v));
    t.text("on_error", on_error, |v| d.on_error = v);
    t.text("cache", cache, |v| d.cache = v);
    t.text("discard", discard, |v| d.unmap = v);
    t.needs("path");
    d
}
