//! Which disks of a folder belong together. Nothing is locked, so that it can be asked while machines run on them.

use std::io;
use std::path::{Path, PathBuf};

use super::chain::{FileId, Identity, find};
use super::error::Medium;
use super::store::FileStore;
use super::vhd::{self, Footer, Layout};
use super::{DiskError, Mode, absolute, ends_as_vhd};

/// What a VHD's own file says.
struct Looked(Layout);

impl Identity for Looked {
    fn footer(&self) -> Option<&Footer> {
        Some(&self.0.footer)
    }
}

/// None: it is no VHD, or a damaged one.
fn look(path: &Path) -> io::Result<Option<Looked>> {
    let mut s = std::fs::File::open(path).and_then(FileStore::new)?;
    if !ends_as_vhd(&mut s)? {
        return Ok(None);
    }
    Ok(vhd::examine(&mut s)?.0.map(Looked))
}

fn parent(path: &Path) -> Option<PathBuf> {
    let link = look(path).ok()??.0.parent?;
    let open = |path: &Path| {
        let failed =
            |source| DiskError::Open { path: path.into(), medium: Medium::Disk(Mode::ReadOnly), source };
        let none = || failed(io::ErrorKind::InvalidData.into());
        look(path).map_err(failed)?.ok_or_else(none)
    };
    find(path, &link, |path, _| open(path)).ok().map(|found| absolute(&found.path))
}

fn id(path: &Path) -> Option<FileId> {
    Some(FileId::of(path, &path.metadata().ok()?))
}

/// The disks under a disk, the nearest first, as far as they are found.
pub fn lineage(path: &Path) -> Vec<PathBuf> {
    let (mut all, mut ids) = (Vec::new(), vec![id(path)]);
    let mut next = parent(path);
    // A loop is told where the disk is opened.
    while let Some(path) = next.filter(|p| !ids.contains(&id(p))) {
        next = parent(&path);
        ids.push(id(&path));
        all.push(path);
    }
    all
}

/// Is it one file, under whatever names?
pub fn same_file(a: &Path, b: &Path) -> bool {
    id(a).is_some_and(|a| Some(a) == id(b))
}

/// The VHDs in a disk's folder that lie straight over it.
pub fn children(of: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(folder) = of.parent() else { return Ok(Vec::new()) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() && !left_over(&path) && parent(&path).is_some_and(|p| same_file(&p, of)) {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

/// Left by a process of ours that was killed while it made a file beside another.
fn left_over(path: &Path) -> bool {
    let ours = path.extension().is_some_and(|e| e == "new" || e == "compacting");
    ours && path.with_extension("").is_file()
}
