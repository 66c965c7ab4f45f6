//! Differencing disks and the disks under them: finds each parent, makes sure that it is the one that the child was made
//! over and still as it was, and opens it for reading, so that nobody writes to it while a child lives.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::error::Medium;
use super::policy::Cache;
use super::store::Store;
use super::vhd::{self, Layout, Parent, VhdFault};
use super::{DiskError, Extents, Image, Mode, SECTOR, absolute, open_file, open_store, tell};

/// The files of a chain that is being opened, the child first.
#[derive(Default)]
pub(crate) struct Chain {
    files: Vec<(PathBuf, FileId)>,
    cache: Cache,
}

/// The same for two names of one file.
#[derive(PartialEq, Eq)]
pub(crate) struct FileId(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl FileId {
    #[cfg(unix)]
    pub(crate) fn of(_: &Path, m: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self((m.dev(), m.ino()))
    }

    #[cfg(not(unix))]
    pub(crate) fn of(path: &Path, _: &Metadata) -> Self {
        Self(path.canonicalize().unwrap_or_else(|_| path.into()))
    }
}

/// A file's time of change, as a child keeps it.
pub(crate) fn stamp(m: &Metadata) -> u32 {
    let unix = m.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    vhd::stamp(unix.map_or(0, |d| d.as_secs()))
}

/// File systems round to 2 s.
const ROUNDING: u32 = 2;

/// What an open image is made of.
pub(crate) struct Opened {
    pub(crate) image: Image,
    pub(crate) layout: Option<Layout>,
    pub(crate) faults: Vec<vhd::VhdFault>,
}

impl Chain {
    pub(crate) fn new(cache: Cache) -> Self {
        Self { files: Vec::new(), cache }
    }

    /// Opens an image and what is under it.
    pub(crate) fn open(&mut self, path: &Path, mode: Mode) -> Result<Opened, DiskError> {
        let mut store = open_file(path, Medium::Disk(mode))?;
        if self.cache == Cache::None {
            store.go_direct().map_err(|source| DiskError::Direct { path: path.into(), source })?;
        }
        let next = store.next_piece(path);
        self.open_on(store, path, mode).map_err(|e| match (e, next) {
            // Its blocks go on where it ends.
            (DiskError::Vhd { fault: VhdFault::CutOff { .. }, .. }, Some(piece)) => {
                DiskError::PieceMissing { path: path.into(), piece }
            }
            (e, _) => e,
        })
    }

    pub(crate) fn open_on<S: Store + 'static>(
        &mut self,
        store: S,
        path: &Path,
        mode: Mode,
    ) -> Result<Opened, DiskError> {
        if let Ok(m) = path.metadata() {
            self.files.push((absolute(path), FileId::of(path, &m)));
        }
        open_store(store, path, mode, &mut |layout, link| self.parent(path, layout, link))
    }

    /// The chain of a file that is open already.
    pub(crate) fn at(path: &Path) -> Self {
        let id = path.metadata().ok().map(|m| (absolute(path), FileId::of(path, &m)));
        Self { files: id.into_iter().collect(), ..Self::default() }
    }

    /// The files under the first, the nearest first.
    pub(crate) fn parents(&self) -> Vec<PathBuf> {
        self.files.iter().skip(1).map(|(p, _)| p.clone()).collect()
    }

    /// Is that file one of those under the first?
    pub(crate) fn lies_over(&self, parent: &Path) -> bool {
        self.depth(parent).is_some_and(|n| n > 0)
    }

    /// Is it the next one?
    pub(crate) fn lies_straight_over(&self, parent: &Path) -> bool {
        self.depth(parent) == Some(1)
    }

    /// Is there a file in both?
    pub(crate) fn shares(&self, other: &Self) -> bool {
        self.files.iter().any(|(_, f)| other.files.iter().any(|(_, o)| o == f))
    }

    fn depth(&self, file: &Path) -> Option<usize> {
        let id = FileId::of(file, &file.metadata().ok()?);
        self.files.iter().position(|(_, f)| *f == id)
    }

    /// Finds and opens what a child lies over.
    pub(crate) fn parent(
        &mut self,
        child: &Path,
        layout: &Layout,
        link: &Parent,
    ) -> Result<Box<dyn Extents>, DiskError> {
        let known = self.files.len();
        let found = find(child, link, |path, meta| {
            self.files.truncate(known);
            if self.files.iter().any(|(_, id)| *id == FileId::of(path, meta)) {
                return Err(DiskError::ParentLoop { child: child.into(), parent: path.into() });
            }
            self.open(path, Mode::ReadOnly)
        })?;
        check_parent(child, layout, link, &found)?;
        Ok(found.opened.image.disk)
    }
}

/// Is the parent that was found as it was when the child was made?
pub(crate) fn check_parent(
    child: &Path,
    layout: &Layout,
    link: &Parent,
    found: &Found<Opened>,
) -> Result<(), DiskError> {
    let Found { path, stamp, opened } = found;
    // A merge that was interrupted has written nothing to the parent but what the child holds itself.
    if !layout.footer.merging() && link.stamp != 0 && link.stamp.abs_diff(*stamp) > ROUNDING {
        return Err(DiskError::ParentChanged { child: child.into(), parent: path.clone() });
    }
    let (sectors, want) = (opened.image.disk.sectors(), layout.sectors);
    if sectors != want {
        let (got, want) = (sectors * SECTOR, want * SECTOR);
        return Err(DiskError::ParentSize { child: child.into(), parent: path.clone(), got, want });
    }
    tell(path, &opened.faults);
    Ok(())
}

pub(crate) struct Found<T> {
    pub(crate) path: PathBuf,
    pub(crate) stamp: u32,
    pub(crate) opened: T,
}

/// What can say which VHD it is.
pub(crate) trait Identity {
    fn footer(&self) -> Option<&vhd::Footer>;
}

impl Identity for Opened {
    fn footer(&self) -> Option<&vhd::Footer> {
        self.layout.as_ref().map(|l| &l.footer)
    }
}

/// Looks for a parent in all places where it may be.
pub(crate) fn find<T: Identity>(
    child: &Path,
    link: &Parent,
    mut open: impl FnMut(&Path, &Metadata) -> Result<T, DiskError>,
) -> Result<Found<T>, DiskError> {
    let places = link.places(child);
    let mut other = None;
    for path in &places {
        let Ok(meta) = path.metadata() else { continue };
        match open(path, &meta) {
            Ok(opened) if opened.footer().is_some_and(|f| link.is(f.uuid())) => {
                // The mark of a merge is no change to those over it.
                let before = opened.footer().and_then(vhd::Footer::merged_from);
                let stamp = before.map_or_else(|| stamp(&meta), |ns| vhd::stamp(ns / 1_000_000_000));
                return Ok(Found { path: path.clone(), stamp, opened });
            }
            Ok(_) => {
                other.get_or_insert(DiskError::ParentOther { child: child.into(), parent: path.clone() });
            }
            Err(e @ (DiskError::ParentLoop { .. } | DiskError::Parent { .. })) => return Err(e),
            Err(e) => {
                let e = DiskError::Parent { child: child.into(), source: Box::new(e) };
                other.get_or_insert(e);
            }
        }
    }
    Err(other.unwrap_or_else(|| {
        let tried: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        let tried = if tried.is_empty() { "nowhere: it has no name".to_owned() } else { tried.join(", ") };
        DiskError::ParentMissing { child: child.into(), tried }
    }))
}
