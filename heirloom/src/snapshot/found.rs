//! States in folders, and disks that were kept for snapshots.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use host_io::disk;
use vmm::Saved;

use crate::run::extra::Extra;
use crate::run::state;

/// Behind a state's name while its snapshot is removed.
const REMOVING: &str = ".removing";

/// A state's name while its snapshot is removed.
pub(super) fn removing(state: &Path) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(REMOVING);
    name.into()
}

/// A whole state.
pub(super) struct State {
    /// By the name that the user gave it.
    pub(super) path: PathBuf,
    /// Its removal has begun.
    pub(super) going: bool,
    pub(super) taken: u64,
    pub(super) memory_mib: u64,
    pub(super) extra: Extra,
}

impl State {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let saved = Saved::read(&mut state::open(file)?)
            .with_context(|| format!("cannot read state {}", file.display()))?;
        let extra = Extra::read(&saved).with_context(|| {
            format!("state {} does not tell of its disks; remove the file itself", file.display())
        })?;
        let file = std::path::absolute(file)?;
        let whole = file.to_string_lossy();
        let before = whole.strip_suffix(REMOVING);
        Ok(Self {
            path: before.map_or_else(|| file.clone(), PathBuf::from),
            going: before.is_some(),
            taken: saved.saved_at(),
            memory_mib: saved.memory_mib(),
            extra,
        })
    }

    /// The file that it is in now.
    pub(super) fn file(&self) -> PathBuf {
        if self.going { removing(&self.path) } else { self.path.clone() }
    }

    /// Disks that were kept for it.
    pub(super) fn frozen(&self) -> Vec<PathBuf> {
        self.extra.frozen(&self.path)
    }
}

/// Where states are looked for.
pub(super) struct Places(BTreeSet<PathBuf>);

impl Places {
    /// The folders of these files, those that are named, and the current one.
    pub(super) fn new<'a>(beside: impl IntoIterator<Item = &'a PathBuf>, named: &[PathBuf]) -> Result<Self> {
        let mut all = BTreeSet::from([std::env::current_dir().unwrap_or_default()]);
        for file in beside {
            let file = file.canonicalize().or_else(|_| std::path::absolute(file))?;
            all.extend(file.parent().map(Path::to_owned));
        }
        for folder in named {
            let at = folder.canonicalize();
            all.insert(at.with_context(|| format!("cannot look into {}; check the path", folder.display()))?);
        }
        Ok(Self(all))
    }

    /// All states there; what is damaged is told and left out.
    pub(super) fn states(&self) -> Result<Vec<State>> {
        let mut all = Vec::new();
        for folder in &self.0 {
            let entries =
                fs::read_dir(folder).with_context(|| format!("cannot look into {}", folder.display()))?;
            for entry in entries {
                let path = entry?.path();
                // One that is being written is none yet.
                let half = path.extension().is_some_and(|e| e == "saving");
                if half || !path.is_file() || !state::is_state(&path) {
                    continue;
                }
                match State::read(&path) {
                    Ok(s) => all.push(s),
                    Err(e) => tracing::warn!("{e:#}"),
                }
            }
        }
        Ok(all)
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(|p| p.display().to_string()).collect();
        f.write_str(&all.join(", "))
    }
}

/// The name before it was kept for a snapshot, if it can have been: `DISK.vhd` of `DISK.SNAPSHOT.vhd`.
pub(super) fn name_before(file: &Path) -> Option<PathBuf> {
    let (stem, end) = (file.file_stem()?.to_str()?, file.extension()?.to_str()?);
    Some(file.with_file_name(format!("{}.{end}", stem.rsplit_once('.')?.0)))
}

/// VHDs beside a disk that have the name of one that was kept for a snapshot of it.
pub(super) fn frozen_beside(of: &Path) -> Vec<PathBuf> {
    let real = of.canonicalize().unwrap_or_else(|_| of.into());
    let Some(Ok(entries)) = real.parent().map(fs::read_dir) else { return Vec::new() };
    let kept = |p: &PathBuf| p.is_file() && name_before(p).is_some_and(|b| b == real);
    let mut all: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).filter(kept).collect();
    all.retain(|p| disk::is_vhd(p).unwrap_or_default());
    all.sort();
    all
}
