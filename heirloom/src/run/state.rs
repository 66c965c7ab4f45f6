//! Saved states in files: written under another name until they are whole, tied to the disks that they were saved with.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, anyhow, bail};
use board::Disk;
use host_io::disk;
use serde::{Deserialize, Serialize};
use vmm::snapshot::LoadError;
use vmm::spec::{DiskSpec, MachineSpec, UndoClose};
use vmm::{Bay, ClockKind, Drive, FreezeDisks, Machine, NotFrozen, Parts, Saved};

use super::extra::{Extra, Stamp};
use super::media::{InDrives, changed};
use super::ports::reopen_disk;
use super::watched::Watch;

/// The files that the machine writes to, or in which its disks are: an undo disk that is not there yet holds nothing.
pub(crate) fn disk_files(s: &MachineSpec) -> Vec<PathBuf> {
    let undo = |d: &DiskSpec| Some(d.undo_file()).filter(|f| d.undo.is_some() && f.exists());
    s.disks.iter().map(|d| undo(d).unwrap_or_else(|| d.path.clone())).collect()
}

/// Where the state goes that a machine is asked to save.
#[derive(Clone)]
pub(crate) struct States {
    disks: Vec<PathBuf>,
    /// Why none can be saved.
    refused: Option<String>,
    /// Disks that can be written to, by IDE unit.
    writable: Arc<BTreeMap<u8, DiskSpec>>,
    watch: Watch,
    pub(crate) media: InDrives,
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
    pub(crate) fn new(s: &MachineSpec, watch: Watch) -> Self {
        let overlay = s.disks.iter().find(|d| d.overlay).map(|d| d.path.display());
        let refused = overlay.map(|d| {
            format!(
                "disk {d} has an overlay in memory, which ends with the machine; start it with undo instead of overlay to save \
                 its state"
            )
        });
        let writable = (0..).zip(s.disks.clone()).filter(|(_, d)| !d.read_only).collect();
        Self {
            disks: disk_files(s),
            refused,
            writable: Arc::new(writable),
            watch,
            media: InDrives::of(s),
            under_way: Arc::default(),
        }
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

    /// Prepares the machine's disks for a state after which it goes on.
    pub(crate) fn freezer(&self, file: &Path) -> Result<Freezer, String> {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let mut disks = BTreeMap::new();
        for (unit, spec) in self.writable.iter() {
            let path = &self.disks[usize::from(*unit)];
            let frozen = disk::frozen_name(path, &name);
            if frozen.symlink_metadata().is_ok() {
                return Err(format!(
                    "{} is there, where disk {} would be kept; give the state another name",
                    frozen.display(),
                    path.display()
                ));
            }
            if !disk::is_vhd(path).map_err(|e| e.to_string())? {
                return Err(format!(
                    "disk {} is no VHD of one file, so nothing can be put over it; convert it with `heirloom disk convert`, or save the \
                     state and end the machine",
                    path.display()
                ));
            }
            // What waits in the host's cache would be waited for while the machine stands still.
            let _ = File::open(path).and_then(|f| f.sync_data());
            disks.insert(*unit, (spec.clone(), Frozen { disk: path.clone(), frozen }));
        }
        Ok(Freezer { disks, watch: self.watch.clone(), done: Arc::default() })
    }

    /// The machine's disks are closed: the state gets to know them, and its name, which is returned.
    pub(crate) fn finish(&self) -> Result<Option<PathBuf>> {
        self.finish_with(&self.disks, Vec::new())
    }

    /// The machine goes on, and the disks of the state are what was frozen.
    pub(crate) fn finish_frozen(&self, frozen: &[Frozen]) -> Result<Option<PathBuf>> {
        let kept = |d: &PathBuf| frozen.iter().find(|f| f.disk == *d).map_or(d, |f| &f.frozen).clone();
        let all: Vec<_> = self.disks.iter().map(kept).collect();
        self.finish_with(&all, frozen.iter().map(|f| f.frozen.clone()).collect())
    }

    fn finish_with(&self, disks: &[PathBuf], frozen: Vec<PathBuf>) -> Result<Option<PathBuf>> {
        let Some(file) = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(None);
        };
        let part = partial(&file);
        let done = self.tie(&part, disks, frozen).and_then(|()| Ok(fs::rename(&part, &file)?));
        done.with_context(|| {
            format!(
                "the state was not saved to {}; check the host's disk for errors and free space",
                file.display()
            )
        })?;
        disk::sync_folder(&file);
        Ok(Some(file))
    }

    fn tie(&self, part: &Path, disks: &[PathBuf], frozen: Vec<PathBuf>) -> Result<()> {
        let disks = disks.iter().map(|d| Stamp::of(d)).collect::<io::Result<_>>()?;
        let media = Some(self.media.media());
        Extra { disks, media, frozen: Some(frozen), also: Vec::new() }.tie(part)
    }
}

/// A disk that goes on over what it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frozen {
    pub(crate) disk: PathBuf,
    /// What it was, under its new name.
    pub(crate) frozen: PathBuf,
}

/// Freezes the disks of a running machine.
pub(crate) struct Freezer {
    /// By IDE unit.
    disks: BTreeMap<u8, (DiskSpec, Frozen)>,
    watch: Watch,
    done: Arc<Mutex<Vec<Frozen>>>,
}

impl Freezer {
    /// What was frozen, for who gives the freezer away.
    pub(crate) fn done(&self) -> Arc<Mutex<Vec<Frozen>>> {
        self.done.clone()
    }
}

impl FreezeDisks for Freezer {
    fn freeze(&mut self, unit: u8, disk: Box<dyn Disk>) -> Result<Box<dyn Disk>, NotFrozen> {
        // Not of this machine's spec: nothing is kept of it.
        let Some((spec, both)) = self.disks.get(&unit) else { return Ok(disk) };
        drop(disk);
        let kept = disk::freeze(&both.disk, &both.frozen).map_err(|e| e.to_string());
        let again = reopen_disk(spec, &both.disk)
            .map(|d| self.watch.over(&format!("disk{}", unit + 1), &both.disk, d));
        match (kept, again) {
            (Ok(()), Ok(disk)) => {
                self.done.lock().unwrap_or_else(PoisonError::into_inner).push(both.clone());
                Ok(disk)
            }
            (Err(why), disk) => Err(NotFrozen { why, disk: disk.ok() }),
            (Ok(()), Err(e)) => Err(NotFrozen { why: e.to_string(), disk: None }),
        }
    }
}

/// Has the machine's disks go back to what they were when a state was saved.
pub(crate) fn revert(path: &Path, s: &MachineSpec, parts: &Parts) -> Result<()> {
    let mut file = open(path)?;
    let saved = Saved::read(&mut file).map_err(|e| explain(path, e))?;
    saved.fits(parts).map_err(|e| explain(path, e))?;
    // An undo disk that was discarded is made again.
    let own: Vec<_> =
        s.disks.iter().map(|d| if d.undo.is_some() { d.undo_file() } else { d.path.clone() }).collect();
    let extra = Extra::of(path, &saved, &own)?;
    // All that can be wrong is found before a disk is changed.
    for then in &extra.disks {
        let at = then.path.display();
        let now =
            Stamp::of(&then.path).map_err(|e| anyhow!("cannot look at disk {at}: {e}; check the path"))?;
        if !extra.fits(then, &now) {
            bail!("disk {at} was changed after state {} was saved; restore it as it was", path.display());
        }
    }
    fits_drives(path, &saved, s, parts, extra.disks.iter().map(|d| d.path.as_path()))?;
    for (disk, then) in own.iter().zip(&extra.disks) {
        if std::path::absolute(disk)? != then.path && !Stamp::of(disk).is_ok_and(|now| extra.fits(then, &now))
        {
            disk::revert(disk, &then.path)?;
            tracing::info!("{} is as {} again", disk.display(), then.path.display());
        }
    }
    Ok(())
}

pub(crate) fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| anyhow!("cannot open state {}: {e}; check the path", path.display()))
}

pub(crate) fn is_state(file: &Path) -> bool {
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
    /// The files of the disks that it was saved with.
    pub(crate) disks: Vec<PathBuf>,
    /// Drives in which another medium lies now.
    changed: Vec<Bay>,
}

impl Resumed {
    /// Opens a state and makes sure that it belongs to the machine's disks as they are.
    pub(crate) fn open(path: &Path, s: &MachineSpec, parts: &Parts) -> Result<Self> {
        let name = path.display();
        let mut file = open(path)?;
        let saved = Saved::read(&mut file).map_err(|e| explain(path, e))?;
        saved.fits(parts).map_err(|e| explain(path, e))?;
        let mut own = disk_files(s);
        let extra = Extra::of(path, &saved, &own)?;
        for ((disk, then), spec) in own.iter_mut().zip(&extra.disks).zip(&s.disks) {
            // What a killed run left over a disk that the state is of will be discarded.
            if spec.undo == Some(UndoClose::Discard)
                && Stamp::of(&spec.path).is_ok_and(|s| extra.fits(then, &s))
            {
                disk.clone_from(&spec.path);
            }
            let at = disk.display();
            let now =
                Stamp::of(disk).map_err(|e| anyhow!("cannot look at disk {at}: {e}; check the path"))?;
            if extra.fits(then, &now) || extra.fresh_over(&now, then) {
                continue;
            }
            let was = then.path.display();
            let there = extra.is_there(then);
            if now.path != then.path && there && disk::related(disk, &then.path).unwrap_or_default() {
                bail!(
                    "disk {at} holds what came after state {name}, whose disk is {was}: add --revert to lose that and go back, \
                     or start another machine with --disk {was},undo=keep"
                );
            }
            bail!(
                "disk {at} was changed after state {name} was saved (then it was {was}): the guest would damage it; \
                 restore the disk as it was, or start the machine without the state"
            );
        }
        fits_drives(path, &saved, s, parts, own.iter().map(PathBuf::as_path))?;
        let changed = extra.media.map_or_else(Vec::new, |then| changed(s, &then));
        Ok(Self { path: path.into(), file, saved, disks: own, changed })
    }

    /// Makes the machine what it was.
    pub(crate) fn into_machine(self, machine: &mut Machine, clock: ClockKind) -> Result<()> {
        let now = UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
        let away = match clock {
            ClockKind::Host => now.saturating_sub(self.saved.saved_at()),
            ClockKind::Instructions => 0,
        };
        machine.restore_from(&self.saved, self.file, away).map_err(|e| explain(&self.path, e))?;
        self.changed.into_iter().for_each(|bay| machine.medium_changed(bay));
        Ok(())
    }
}

/// Before a port is opened, or a disk changed: are all drives and adapters those of the state? `disks` are as they will be.
fn fits_drives<'a>(
    path: &Path,
    saved: &Saved,
    s: &MachineSpec,
    parts: &Parts,
    disks: impl Iterator<Item = &'a Path>,
) -> Result<()> {
    let mut drives = [const { None }; 4];
    for ((drive, file), spec) in drives.iter_mut().zip(disks).zip(&s.disks) {
        let image = disk::open_disk(file, disk::Mode::ReadOnly)?.into_disk();
        *drive = Some(Drive::disk(Box::new(disk::Policy::new(image, spec.cache, spec.unmap))));
    }
    for drive in drives.iter_mut().skip(s.first_cdrom()).take(s.cdroms.len()) {
        *drive = Some(Drive::Cdrom { medium: None });
    }
    let fit = saved.fits_drives(parts, &drives, s.floppies.len(), s.nets.len());
    fit.map_err(|e| explain(path, e))
}

pub(crate) fn explain(path: &Path, e: LoadError) -> anyhow::Error {
    anyhow::Error::from(e).context(format!("cannot go on from state {}", path.display()))
}
