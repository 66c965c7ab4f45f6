//! Undo disks, as Virtual PC's .vud: differencing VHDs that take a machine's writes, and what becomes of them when it is off.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use board::Disk;
use host_io::disk;
use vmm::spec::UndoClose;

/// The undo disks of a machine. Dropped before the machine ran, they leave no new file.
pub(crate) struct UndoDisks {
    all: Vec<Undo>,
    actions: UndoActions,
    /// The machine goes on from a state, and with these, which it had then.
    saved: Vec<PathBuf>,
}

struct Undo {
    image: PathBuf,
    file: PathBuf,
    new: bool,
}

/// What becomes of the undo disks when the machine is off; may be changed until then.
#[derive(Clone, Default)]
pub(crate) struct UndoActions(Arc<Mutex<Vec<UndoClose>>>);

impl UndoActions {
    /// In the order of the disks that have one.
    pub(crate) fn all(&self) -> Vec<UndoClose> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// False: there is no such disk.
    pub(crate) fn set(&self, n: usize, close: UndoClose) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(n).map(|c| *c = close).is_some()
    }

    fn push(&self, close: UndoClose) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(close);
    }
}

impl UndoDisks {
    pub(crate) fn new(saved: Vec<PathBuf>) -> Self {
        Self { all: Vec::new(), actions: UndoActions::default(), saved }
    }

    pub(crate) fn actions(&self) -> UndoActions {
        self.actions.clone()
    }

    /// Opens the undo disk of `image`, or makes one.
    pub(crate) fn open(
        &mut self,
        image: &Path,
        file: PathBuf,
        close: UndoClose,
        cache: disk::Cache,
    ) -> Result<Box<dyn Disk>> {
        if close == UndoClose::Discard && !self.saved.contains(&file) && file.exists() {
            // A run that was killed could not remove it. In use it is another machine's; what is no undo disk stays.
            drop(disk::open_child(&file, image, cache)?);
            std::fs::remove_file(&file)
                .with_context(|| format!("cannot remove the undo disk {}", file.display()))?;
            tracing::info!("{}: what an earlier run left is discarded", file.display());
        }
        let new = !file.exists();
        if new {
            disk::create_child(&file, image)?;
        }
        self.all.push(Undo { image: image.into(), file: file.clone(), new });
        self.actions.push(close);
        Ok(disk::open_child(&file, image, cache)?.into_disk())
    }

    /// The machine's state was saved: it needs them.
    pub(crate) fn keep(mut self) {
        self.all.clear();
    }

    /// When the machine is off and its disks are closed. `clean`: it came to its end by itself or was switched off; else
    /// nothing is committed.
    pub(crate) fn close(mut self, clean: bool) -> Result<()> {
        let actions = self.actions.all();
        for (Undo { image, file, .. }, close) in std::mem::take(&mut self.all).into_iter().zip(actions) {
            let file_name = file.display();
            match close {
                UndoClose::Keep => {}
                UndoClose::Commit if !clean => tracing::warn!(
                    "{file_name} keeps this run's writes; `heirloom disk merge {file_name}` commits them"
                ),
                UndoClose::Commit if !disk::straight_over(&file, &image)? => tracing::warn!(
                    "{file_name} is not committed: a snapshot's disk lies between it and {}; `heirloom snapshot list {file_name}` \
                     has it, `heirloom snapshot remove` forgets it, and then `heirloom disk merge {file_name}` commits",
                    image.display()
                ),
                UndoClose::Commit => {
                    disk::merge(&file, |_, _| ()).with_context(|| {
                        format!(
                            "the undo disk {file_name} was not committed and keeps this run's writes; mend the cause, \
                             then `heirloom disk merge {file_name}`"
                        )
                    })?;
                }
                UndoClose::Discard => {
                    std::fs::remove_file(&file).with_context(|| {
                        format!(
                            "cannot remove the undo disk {file_name}; remove it to discard the run's writes"
                        )
                    })?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for UndoDisks {
    fn drop(&mut self) {
        for Undo { file, .. } in self.all.iter().filter(|u| u.new) {
            // The run failed, and says why.
            let _ = std::fs::remove_file(file);
        }
    }
}
