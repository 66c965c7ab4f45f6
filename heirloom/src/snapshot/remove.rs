//! A snapshot is forgotten. All that can be wrong is found before anything is changed; then the state gets another name, and one
//! disk after the other goes. Killed at any point, all disks open, and the same command goes on.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use host_io::disk::{self, DiskError, Mode};
use serde::Serialize;

use super::found::{Places, State, name_before, removing};
use crate::doctor::say;
use crate::run::extra::Stamp;
use crate::run::state::is_state;

/// What is to be done.
pub(super) struct Plan {
    /// None: only the disk is left of it.
    state: Option<State>,
    steps: Vec<Step>,
}

/// One disk.
struct Step {
    frozen: PathBuf,
    /// What lies over it and takes what it holds.
    child: Option<PathBuf>,
    /// Files of the child's states that can be used, and which of their disks it is.
    states: Vec<(PathBuf, usize)>,
}

/// What was done.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Done {
    removed: PathBuf,
    disks: Vec<Gone>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Gone {
    disk: PathBuf,
    /// What it held is there now; None: nothing lay over it.
    into: Option<PathBuf>,
}

impl Plan {
    pub(super) fn new(snapshot: &Path, states: &[PathBuf]) -> Result<Self> {
        let going = removing(snapshot);
        let file = if !snapshot.exists() && going.exists() { &going } else { snapshot };
        let (state, frozen) = if file.exists() && !is_state(file) {
            (None, vec![loose(file)?])
        } else {
            let state = State::read(file)?;
            let frozen = state.frozen();
            if frozen.is_empty() {
                bail!(
                    "{} is no snapshot: the machine ended with it, and no disk was kept for it; remove the file itself to \
                     forget it",
                    snapshot.display()
                );
            }
            (Some(state), frozen)
        };
        let places = Places::new(frozen.iter().chain([&file.to_owned()]), states)?;
        let mut steps = Vec::new();
        // One that is gone was done before.
        for frozen in frozen.into_iter().filter(|f| f.exists()) {
            steps.push(step(frozen, state.as_ref(), &places)?);
        }
        Ok(Self { state, steps })
    }

    pub(super) fn carry_out(self, bar: &mut dyn FnMut(u64, u64)) -> Result<Done> {
        let removed = match &self.state {
            Some(s) => s.path.clone(),
            None => self.steps.first().map(|s| s.frozen.clone()).unwrap_or_default(),
        };
        let again = || {
            format!(
                "removing {} was interrupted; mend the cause, then `heirloom snapshot remove {}` again",
                removed.display(),
                removed.display()
            )
        };
        if let Some(s) = self.state.as_ref().filter(|s| !s.going) {
            let failed = || format!("cannot rename {}; check its folder's permissions", s.path.display());
            fs::rename(&s.path, removing(&s.path)).with_context(failed)?;
            // Before its disks are changed.
            disk::sync_folder(&s.path);
        }
        let mut disks = Vec::new();
        for step in self.steps {
            disks.push(Gone { disk: step.frozen.clone(), into: step.child.clone() });
            step.carry_out(bar).with_context(again)?;
        }
        if let Some(s) = &self.state {
            fs::remove_file(removing(&s.path)).with_context(again)?;
            disk::sync_folder(&s.path);
        }
        Ok(Done { removed, disks })
    }
}

/// A disk that was kept for a snapshot whose state is gone.
fn loose(file: &Path) -> Result<PathBuf> {
    let file = file.canonicalize()?;
    let kept = name_before(&file).is_some_and(|before| before.exists());
    if !disk::is_vhd(&file)? || !kept {
        bail!(
            "{} is neither a snapshot's state nor a disk that was kept for one; `heirloom snapshot list` has them",
            file.display()
        );
    }
    Ok(file)
}

/// Who needs the disk, and who lies over it? Nobody else may be at it.
fn step(frozen: PathBuf, own: Option<&State>, places: &Places) -> Result<Step> {
    let name = frozen.display();
    let is_own = |s: &State| own.is_some_and(|own| disk::same_file(&own.file(), &s.file()));
    let others: Vec<_> = places.states()?.into_iter().filter(|s| !is_own(s)).collect();
    if let Some((s, _)) = tied(others, &frozen).first() {
        bail!(
            "disk {name} is state {}'s, too; remove that first, with `heirloom snapshot remove` if it is a snapshot",
            s.path.display()
        );
    }
    let children = disk::children(&frozen)?;
    let child = match children.as_slice() {
        [] => None,
        [child] => Some(child.clone()),
        [first, second, ..] => bail!(
            "disk {name} can't go: {} and {} both lie over it; remove one of them first, with `heirloom snapshot remove` if \
             it is a snapshot's",
            first.display(),
            second.display()
        ),
    };
    drop(disk::open_disk(&frozen, Mode::ReadWrite)?);
    let mut states = Vec::new();
    if let Some(child) = &child {
        drop(disk::open_disk(child, Mode::ReadWrite)?);
        states = tied(places.states()?, child);
        let kept = name_before(child).is_some_and(|b| b.exists()) || !disk::children(child)?.is_empty();
        if kept && states.is_empty() {
            bail!(
                "disk {} over it is a snapshot's whose state is not in {places}, and which could not be gone back to any more: \
                 name the state's folder with --states; if there is none, `heirloom snapshot remove {}` first",
                child.display(),
                child.display()
            );
        }
        // What is of no use any more stays so.
        states.retain(|(s, n)| s.extra.is_there(&s.extra.disks[*n]));
    }
    let states = states.into_iter().map(|(s, n)| (s.file(), n)).collect();
    Ok(Step { frozen, child, states })
}

/// The states that go with a disk.
fn tied(states: Vec<State>, to: &Path) -> Vec<(State, usize)> {
    let place = |s: &State| s.extra.disks.iter().position(|d| disk::same_file(&d.path, to));
    states.into_iter().filter_map(|s| place(&s).map(|n| (s, n))).collect()
}

impl Step {
    fn carry_out(self, bar: &mut dyn FnMut(u64, u64)) -> Result<()> {
        let Some(child) = &self.child else {
            // Locked until it is gone.
            let lock = disk::open_disk(&self.frozen, Mode::ReadWrite)?;
            fs::remove_file(&self.frozen).map_err(|source| DiskError::Io {
                path: self.frozen.clone(),
                doing: "removing",
                source,
            })?;
            drop(lock);
            disk::sync_folder(&self.frozen);
            return Ok(());
        };
        disk::merge_over(child, bar, |ready| -> Result<()> {
            // Until it is in its place they know both.
            for (file, n) in &self.states {
                let mut extra = State::read(file)?.extra;
                let new = Stamp::of(ready)?.named(&extra.disks[*n].path);
                extra.also.push(new);
                extra.put(file)?;
            }
            Ok(())
        })?;
        for (file, n) in &self.states {
            let mut extra = State::read(file)?.extra;
            let new = Stamp::of(child)?.named(&extra.disks[*n].path);
            extra.also.retain(|a| a.path != new.path);
            extra.disks[*n] = new;
            extra.put(file)?;
        }
        Ok(())
    }
}

impl Done {
    pub(super) fn tell(&self) {
        for d in &self.disks {
            match &d.into {
                Some(into) => say(&format!("{} is merged into {}", d.disk.display(), into.display())),
                None => say(&format!("{} is removed: nothing lay over it", d.disk.display())),
            }
        }
        say(&format!("{} is forgotten", self.removed.display()));
    }
}
