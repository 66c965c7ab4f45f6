//! Saved states in files: written under another name until they are whole, tied to the disks that they were saved with.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use vmm::snapshot::{self, LoadError};
use vmm::spec::MachineSpec;
use vmm::{ClockKind, Machine, Parts, Saved};

/// The disks of a state.
#[derive(Debug, Serialize, Deserialize)]
struct Extra {
    disks: Vec<Stamp>,
}

/// A disk's file when the state was saved. Written to since then, it is not what the guest has in mind.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Stamp {
    path: PathBuf,
    bytes: u64,
    /// Nanoseconds since 1970.
    changed: u64,
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let m = path.metadata()?;
        let changed = m.modified()?.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        Ok(Self { path, bytes: m.len(), changed })
    }
}

/// The files that the machine writes to.
fn disk_files(s: &MachineSpec) -> Vec<PathBuf> {
    s.disks.iter().map(|d| if d.undo.is_some() { d.undo_file() } else { d.path.clone() }).collect()
}

/// Where the state goes that a machine is asked to save.
#[derive(Clone)]
pub(crate) struct States {
    disks: Vec<PathBuf>,
    /// Why none can be saved.
    refused: Option<String>,
    /// The file that is wanted, while it is being written under another name.
    under_way: Arc<Mutex<Option<PathBuf>>>,
}

/// The state's name while it is not whole.
pub(crate) fn partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".saving");
    name.into()
}

impl States {
    pub(crate) fn new(s: &MachineSpec) -> Self {
        let overlay = s.disks.iter().find(|d| d.overlay).map(|d| d.path.display());
        let refused = overlay.map(|d| {
            format!(
                "disk {d} has an overlay in memory, which ends with the machine; start it with undo instead of overlay to save \
                 its state"
            )
        });
        Self { disks: disk_files(s), refused, under_way: Arc::default() }
    }

    /// Makes the file that the machine writes to.
    pub(crate) fn begin(&self, file: &Path) -> Result<File, String> {
        if let Some(why) = &self.refused {
            return Err(why.clone());
        }
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.is_some() {
            return Err("a state is being saved already".into());
        }
        let path = file.display();
        if file.exists() && !is_state(file) {
            return Err(format!("{path} is there and is no saved state; choose another name"));
        }
        let part = partial(file);
        // What is there was left by a process that was killed, unless somebody has it.
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part);
        let made = made.map_err(|e| {
            format!("cannot create {}: {e}; check that its directory exists and is writable", part.display())
        })?;
        if let Err(TryLockError::WouldBlock) = made.try_lock() {
            return Err(format!("another machine is saving its state to {path}; choose another name"));
        }
        made.set_len(0).map_err(|e| format!("cannot write {}: {e}", part.display()))?;
        *under_way = Some(file.into());
        Ok(made)
    }

    /// It was not written.
    pub(crate) fn give_up(&self) {
        if let Some(file) = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = fs::remove_file(partial(&file));
        }
    }

    /// The machine's disks are closed: the state gets to know them, and its name, which is returned.
    pub(crate) fn finish(&self) -> Result<Option<PathBuf>> {
        let Some(file) = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(None);
        };
        let part = partial(&file);
        let done = self.tie(&part).and_then(|()| Ok(fs::rename(&part, &file)?));
        done.with_context(|| {
            format!(
                "the state was not saved to {}; check the host's disk for errors and free space",
                file.display()
            )
        })?;
        host_io::disk::sync_folder(&file);
        Ok(Some(file))
    }

    fn tie(&self, part: &Path) -> Result<()> {
        let disks = self.disks.iter().map(|d| Stamp::of(d)).collect::<io::Result<_>>()?;
        let mut f = OpenOptions::new().read(true).write(true).open(part)?;
        snapshot::set_extra(&mut f, &serde_json::to_vec(&Extra { disks })?)?;
        Ok(f.sync_all()?)
    }
}

fn is_state(file: &Path) -> bool {
    let other = File::open(file).and_then(|mut f| {
        let mut b = [0; 8];
        f.read_exact(&mut b).map(|()| b != *b"Heirloom")
    });
    !other.unwrap_or(true)
}

/// A state that a machine goes on from.
pub(crate) struct Resumed {
    path: PathBuf,
    file: File,
    saved: Saved,
}

impl Resumed {
    /// Opens a state and makes sure that it belongs to the machine's disks as they are.
    pub(crate) fn open(path: &Path, s: &MachineSpec, parts: &Parts) -> Result<Self> {
        let name = path.display();
        let mut file =
            File::open(path).map_err(|e| anyhow!("cannot open state {name}: {e}; check the path"))?;
        let saved = Saved::read(&mut file).map_err(|e| explain(path, e))?;
        saved.fits(parts).map_err(|e| explain(path, e))?;
        let extra: Extra = serde_json::from_slice(saved.extra()).map_err(|_| {
            anyhow!("state {name} is not whole; save it again, or start the machine without it")
        })?;
        let own = disk_files(s);
        if own.len() != extra.disks.len() {
            bail!(
                "state {name} is of a machine with {} disks, this one has {}; start it with the same ones",
                extra.disks.len(),
                own.len()
            );
        }
        for (disk, then) in own.iter().zip(&extra.disks) {
            let at = disk.display();
            let now =
                Stamp::of(disk).map_err(|e| anyhow!("cannot look at disk {at}: {e}; check the path"))?;
            if (now.bytes, now.changed) != (then.bytes, then.changed) {
                bail!(
                    "disk {at} was changed after state {name} was saved (then it was {}): the guest would damage it; \
                     restore the disk as it was, or start the machine without the state",
                    then.path.display()
                );
            }
        }
        Ok(Self { path: path.into(), file, saved })
    }

    /// Makes the machine what it was.
    pub(crate) fn into_machine(self, machine: &mut Machine, clock: ClockKind) -> Result<()> {
        let now = UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
        let away = match clock {
            ClockKind::Host => now.saturating_sub(self.saved.saved_at()),
            ClockKind::Instructions => 0,
        };
        machine.restore_from(&self.saved, self.file, away).map_err(|e| explain(&self.path, e))
    }
}

fn explain(path: &Path, e: LoadError) -> anyhow::Error {
    anyhow::Error::from(e).context(format!("cannot go on from state {}", path.display()))
}
