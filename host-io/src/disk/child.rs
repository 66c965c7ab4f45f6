//! Differencing disks: new ones, and their link to the parent written anew.

use std::path::{Path, PathBuf};

use super::chain::{Chain, Found, Opened, find, stamp};
use super::convert::{give_up, new_file};
use super::error::Medium;
use super::policy::Cache;
use super::split::Files;
use super::store::Store;
use super::vhd::{self, Layout, Link};
use super::{DiskError, Format, Image, Mode, SECTOR, absolute, open_file, tell};

/// A file's absolute path without `..` and links in its folder.
pub(crate) fn place(path: &Path) -> PathBuf {
    let all = absolute(path);
    // Windows' canonical paths are of a kind that other programs don't read.
    let folder = all.parent().filter(|_| cfg!(unix)).and_then(|f| f.canonicalize().ok());
    folder.zip(all.file_name()).map_or(all.clone(), |(folder, name)| folder.join(name))
}

/// Makes a new disk that reads as `parent` does and keeps what is written to it; returns its size. While the new disk is
/// in use, or any other over the same parent, the parent can't be written to.
pub fn create_child(path: &Path, parent: &Path) -> Result<u64, DiskError> {
    let Opened { image, layout, .. } = Chain::default().open(parent, Mode::ReadOnly)?;
    let Some(layout) = layout else {
        return Err(DiskError::NoChildren { path: parent.into(), format: image.format });
    };
    let link = link_to(parent, path, &layout)?;
    let mut s = new_file(path)?;
    vhd::format_child(&mut s, &layout.footer, &link, vhd::BLOCK)
        .and_then(|()| s.sync())
        .map_err(|source| give_up(path, "creating", source))?;
    Ok(layout.sectors * SECTOR)
}

/// Opens a differencing disk to write to, which must lie over `parent`, whatever is between them.
pub fn open_child(path: &Path, parent: &Path, cache: Cache) -> Result<Image, DiskError> {
    let mut chain = Chain::new(cache);
    let Opened { image, faults, .. } = chain.open(path, Mode::ReadWrite)?;
    if !chain.lies_over(parent) {
        return Err(DiskError::NotOver { path: path.into(), parent: parent.into() });
    }
    tell(path, &faults);
    Ok(image)
}

fn link_to(parent: &Path, child: &Path, layout: &Layout) -> Result<Link, DiskError> {
    let failed = |source| DiskError::Io { path: parent.into(), doing: "reading", source };
    let stamp = stamp(&parent.metadata().map_err(failed)?);
    Ok(Link::new(&place(parent), &place(child), layout.footer.uuid(), stamp))
}

/// What is only in this file of a chain: to work on it, not through it.
pub(crate) struct Layer {
    pub(crate) store: Files,
    pub(crate) layout: Layout,
    pub(crate) faults: Vec<vhd::VhdFault>,
}

impl Layer {
    /// Opens and locks a VHD's file.
    pub(crate) fn open(path: &Path) -> Result<Self, DiskError> {
        let mut store = open_file(path, Medium::Disk(Mode::ReadWrite))?;
        let io = |source| DiskError::Io { path: path.into(), doing: "reading", source };
        let (layout, faults) = vhd::examine(&mut store).map_err(io)?;
        match layout {
            Some(layout) => Ok(Self { store, layout, faults }),
            None => Err(DiskError::Vhd { path: path.into(), fault: vhd::VhdFault::to_tell(faults) }),
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.layout.kind().into()
    }
}

/// Links a differencing disk to its parent anew: to `parent`, or to what is found where the link says. The parent's time
/// is taken as it is; its UUID and size must be right. Returns the parent.
pub fn relink(child: &Path, parent: Option<&Path>) -> Result<PathBuf, DiskError> {
    let mut layer = Layer::open(child)?;
    let Some(link) = layer.layout.parent.clone() else {
        return Err(DiskError::NoParent { path: child.into(), format: layer.format() });
    };
    let open = |path: &Path| Chain::default().open(path, Mode::ReadOnly);
    let Found { path, opened, .. } = match parent {
        None => find(child, &link, |path, _| open(path))?,
        Some(path) => {
            let opened = open(path)?;
            if opened.layout.as_ref().is_none_or(|l| l.footer.uuid() != link.uuid) {
                return Err(DiskError::ParentOther { child: child.into(), parent: path.into() });
            }
            Found { path: path.into(), stamp: 0, opened }
        }
    };
    let (got, want) = (opened.image.disk.sectors() * SECTOR, layer.layout.sectors * SECTOR);
    if got != want {
        return Err(DiskError::ParentSize { child: child.into(), parent: path, got, want });
    }
    if let Some(layout) = &opened.layout {
        let link = link_to(&path, child, layout)?;
        // To this disk's own children it is what it was, and so is its time.
        let modified = child.metadata().and_then(|m| m.modified());
        let written = write_link(&mut layer, &link).and_then(|()| layer.store.set_modified(modified?));
        written.map_err(|source| DiskError::Io { path: child.into(), doing: "writing", source })?;
    }
    Ok(path)
}

/// Writes the locators where the old ones are, or behind the last block, and then the header.
fn write_link(layer: &mut Layer, link: &Link) -> std::io::Result<()> {
    let Layer { store: s, layout, .. } = layer;
    let (Some(blocks), Some(old)) = (&mut layout.dynamic, &layout.parent) else { return Ok(()) };
    let at = match old.place() {
        Some((at, room)) if room >= link.total() => at,
        _ => {
            let at = blocks.end;
            s.write_at(at + link.total(), &layout.footer.bytes)?;
            at
        }
    };
    let locators = link.set(&mut blocks.header, at);
    s.write_at(at, &locators)?;
    s.sync()?;
    s.write_at(layout.footer.data_offset(), &blocks.header.bytes)?;
    s.sync()
}
