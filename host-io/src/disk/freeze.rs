//! Keeping a disk as it is, for a snapshot: its file gets another name, and a differencing disk over it takes its place.

use std::path::{Path, PathBuf};

use super::child::place;
use super::error::Medium;
use super::layers::sync_folder;
use super::store::FileStore;
use super::{Chain, DiskError, Mode, create_child, ends_as_vhd};

/// A disk's file gets the name `frozen`, and `path` becomes a differencing disk over it that holds nothing. At no instant is
/// there no disk at `path`. The disk must be a VHD that nobody has open.
pub fn freeze(path: &Path, frozen: &Path) -> Result<(), DiskError> {
    if frozen.symlink_metadata().is_ok() {
        return Err(DiskError::Exists { path: frozen.into() });
    }
    let failed = |source| DiskError::Create { path: frozen.into(), source };
    let path = &real(path);
    // File systems without second names have it without a disk for an instant.
    let linked = std::fs::hard_link(path, frozen).is_ok();
    if !linked {
        std::fs::rename(path, frozen).map_err(failed)?;
    }
    put_child(path, frozen).inspect_err(|_| {
        // As it was.
        let _ = if linked { std::fs::remove_file(frozen) } else { std::fs::rename(frozen, path) };
    })
}

/// Goes back to a frozen disk: what `path` holds, which lies over it or over what it lies over itself, is lost. A disk that
/// is not there is made.
pub fn revert(path: &Path, frozen: &Path) -> Result<(), DiskError> {
    let path = &real(path);
    if path.exists() {
        // Nobody else is at it.
        drop(Chain::default().open(path, Mode::ReadWrite)?);
        if !related(path, frozen)? {
            return Err(DiskError::OtherFamily { path: path.into(), frozen: frozen.into() });
        }
    }
    put_child(path, frozen)
}

/// Do two disks come from one, or the one from the other?
pub fn related(a: &Path, b: &Path) -> Result<bool, DiskError> {
    let mut chains = [(); 2].map(|()| Chain::default());
    for (chain, path) in chains.iter_mut().zip([a, b]) {
        chain.open(path, Mode::ReadOnly)?;
    }
    Ok(chains[0].shares(&chains[1]))
}

/// Another name of a link would be a link, and the disk the same.
pub(crate) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.into())
}

/// Is `path` a differencing disk straight over `parent` that holds nothing yet?
pub fn empty_over(path: &Path, parent: &Path) -> bool {
    let mut chain = Chain::default();
    let Ok(opened) = chain.open(path, Mode::ReadOnly) else { return false };
    let none = opened.layout.and_then(|l| l.dynamic).is_some_and(|blocks| blocks.used() == 0);
    none && chain.lies_straight_over(parent)
}

/// Is `path` a differencing disk with nothing between it and `parent`?
pub fn straight_over(path: &Path, parent: &Path) -> Result<bool, DiskError> {
    let mut chain = Chain::default();
    chain.open(path, Mode::ReadOnly)?;
    Ok(chain.lies_straight_over(parent))
}

/// Is it a VHD of any kind? It may be in use.
pub fn is_vhd(path: &Path) -> Result<bool, DiskError> {
    let failed = |source| DiskError::Open { path: path.into(), medium: Medium::Disk(Mode::ReadOnly), source };
    let mut s = std::fs::File::open(path).and_then(FileStore::new).map_err(failed)?;
    ends_as_vhd(&mut s).map_err(failed)
}

fn put_child(path: &Path, parent: &Path) -> Result<(), DiskError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    // Left by a process that was killed.
    let _ = std::fs::remove_file(&new);
    create_child(&new, parent)?;
    std::fs::rename(&new, path).map_err(|source| {
        let _ = std::fs::remove_file(&new);
        DiskError::Create { path: path.into(), source }
    })?;
    sync_folder(path);
    Ok(())
}

/// The name of a disk's file for a snapshot: beside it, with the snapshot's name.
pub fn frozen_name(path: &Path, snapshot: &str) -> PathBuf {
    let path = place(&real(path));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let end = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}.{snapshot}{end}"))
}
