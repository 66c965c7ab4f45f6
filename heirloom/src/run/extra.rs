//! What a state tells of the files that go with it: its disks, and what lay in other drives.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Result, anyhow, bail};
use host_io::disk;
use serde::{Deserialize, Serialize};
use vmm::{Saved, snapshot};

use super::media::Medium;

/// What goes with a state: its disks, in the order of the spec, and what lay in other drives.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Extra {
    pub(crate) disks: Vec<Stamp>,
    /// None: it is of an older version, which did not tell.
    #[serde(default)]
    pub(crate) media: Option<Vec<Medium>>,
    /// Which of the disks were frozen for it: a snapshot's. None: as `media`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) frozen: Option<Vec<PathBuf>>,
    /// While another snapshot is removed: what one of the disks is about to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) also: Vec<Stamp>,
}

impl Extra {
    /// Of a state of any machine; None: it is none that is whole.
    pub(crate) fn read(saved: &Saved) -> Option<Self> {
        serde_json::from_slice(saved.extra()).ok()
    }

    /// For a state that was just written.
    pub(crate) fn tie(&self, state: &Path) -> Result<()> {
        let mut f = OpenOptions::new().read(true).write(true).open(state)?;
        snapshot::set_extra(&mut f, &serde_json::to_vec(self)?)?;
        Ok(f.sync_all()?)
    }

    /// For one that is in use.
    pub(crate) fn put(&self, state: &Path) -> Result<()> {
        let mut f = OpenOptions::new().read(true).write(true).open(state)?;
        Ok(snapshot::replace_extra(&mut f, &serde_json::to_vec(self)?)?)
    }

    /// The disks that were frozen for the state, which was given this name.
    pub(crate) fn frozen(&self, state: &Path) -> Vec<PathBuf> {
        let end = format!(".{}", state.file_stem().unwrap_or_default().to_string_lossy());
        let named = |p: &PathBuf| p.file_stem().is_some_and(|s| s.to_string_lossy().ends_with(&end));
        let by_name = || self.disks.iter().map(|d| d.path.clone()).filter(named).collect();
        self.frozen.clone().unwrap_or_else(by_name)
    }

    /// Is a disk now what it was?
    pub(crate) fn fits(&self, then: &Stamp, now: &Stamp) -> bool {
        now.same(then) || self.also.iter().any(|a| a.path == then.path && now.same(a))
    }

    /// The disk's own file is what it was.
    pub(crate) fn is_there(&self, then: &Stamp) -> bool {
        Stamp::of(&then.path).is_ok_and(|now| self.fits(then, &now))
    }

    /// Is it a disk over that one that holds nothing yet? Such is a disk that went back, or was never written to.
    pub(super) fn fresh_over(&self, now: &Stamp, then: &Stamp) -> bool {
        self.is_there(then) && disk::empty_over(&now.path, &then.path)
    }

    pub(super) fn of(path: &Path, saved: &Saved, own: &[PathBuf]) -> Result<Self> {
        let name = path.display();
        let extra: Self = serde_json::from_slice(saved.extra()).map_err(|_| {
            anyhow!("state {name} is not whole; save it again, or start the machine without it")
        })?;
        if own.len() != extra.disks.len() {
            bail!(
                "state {name} is of a machine with {} disks, this one has {}; start it with the same ones",
                extra.disks.len(),
                own.len()
            );
        }
        Ok(extra)
    }
}

/// A disk's file when the state was saved. Written to since then, it is not what the guest has in mind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// Nanoseconds since 1970.
    changed: u64,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let m = path.metadata()?;
        let changed = m.modified()?.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        Ok(Self { path, bytes: m.len(), changed })
    }

    /// Of a file that is to have this name.
    pub(crate) fn named(self, path: &Path) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Is it the same content, whatever its name?
    pub(crate) fn same(&self, other: &Self) -> bool {
        (self.bytes, self.changed) == (other.bytes, other.changed)
    }
}
