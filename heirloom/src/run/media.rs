//! What lies in the drives whose medium can be changed. A state tells of it: a guest that goes on with another medium is told
//! that it was changed, as it would be by a drive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use vmm::Bay;
use vmm::spec::MachineSpec;

use super::extra::Stamp;
use super::ports::CDROMS;

const FLOPPIES: [&str; 2] = ["a", "b"];

/// A medium when the state was saved.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Medium {
    drive: String,
    #[serde(flatten)]
    stamp: Stamp,
}

/// The files in a running machine's drives.
#[derive(Clone, Default)]
pub(crate) struct InDrives(Arc<Mutex<BTreeMap<String, PathBuf>>>);

impl InDrives {
    pub(super) fn of(s: &MachineSpec) -> Self {
        let all = own(s).filter_map(|(drive, _, path)| Some((drive.to_owned(), path?.to_owned())));
        Self(Arc::new(Mutex::new(all.collect())))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, drive: &str, path: &Path) {
        self.lock().insert(drive.into(), path.into());
    }

    pub(crate) fn take(&self, drive: &str) {
        self.lock().remove(drive);
    }

    /// Once they are closed, or as they are now.
    pub(super) fn media(&self) -> Vec<Medium> {
        let of = |(drive, path): (&String, &PathBuf)| {
            Some(Medium { drive: drive.clone(), stamp: Stamp::of(path).ok()? })
        };
        self.lock().iter().filter_map(of).collect()
    }
}

/// Drives of a machine, by the name that `insert` has for them, and what is in them when it starts.
fn own(s: &MachineSpec) -> impl Iterator<Item = (&'static str, Bay, Option<&Path>)> {
    let floppies = FLOPPIES.into_iter().zip(&s.floppies);
    let floppies = (0..).zip(floppies).map(|(n, (name, f))| (name, Bay::Floppy(n), f.path.as_deref()));
    let cdroms = CDROMS.into_iter().zip(&s.cdroms);
    let units = s.first_cdrom() as u8..;
    floppies.chain(units.zip(cdroms).map(|(n, (name, c))| (name, Bay::Cdrom(n), c.as_deref())))
}

/// Drives with another medium than a state had in them.
pub(super) fn changed(s: &MachineSpec, then: &[Medium]) -> Vec<Bay> {
    let same = |drive: &str, path: &Path| {
        let m = then.iter().find(|m| m.drive == drive);
        // Its name, too: two that were made together are of one size and time.
        m.zip(Stamp::of(path).ok()).is_some_and(|(m, now)| m.stamp == now)
    };
    // An empty drive needs no word.
    own(s).filter(|(drive, _, path)| path.is_some_and(|p| !same(drive, p))).map(|(_, bay, _)| bay).collect()
}
