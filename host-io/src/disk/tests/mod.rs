//! Images by what they do: against a model, against qemu-img, broken in every way we know.

mod broken;
mod chain;
mod crash;
mod family;
mod files;
mod full;
mod iso;
mod model;
mod policy;
mod qemu;
mod split;

use std::path::{Path, PathBuf};

use super::chain::Opened;
use super::flat::Flat;
use super::store::{MemStore, Store};
use super::vhd::{self, Footer, Link, Uuid, VhdType};
use super::{DiskError, Mode, open_store};

/// A directory of its own for a test's files.
pub(super) struct Dir(PathBuf);

impl Dir {
    pub(super) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("heirloom-disk-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A small VHD in memory, with `sectors` or a few more.
pub(super) fn vhd(kind: VhdType, sectors: u64, block: u32) -> Vec<u8> {
    let mut s = MemStore::default();
    let bytes = vhd::round_up(sectors) * 512;
    match kind {
        VhdType::Fixed => vhd::format_fixed(&mut s, bytes).unwrap(),
        VhdType::Dynamic => vhd::format_dynamic(&mut s, bytes, block).unwrap(),
        VhdType::Differencing => {
            let parent = Footer::new(VhdType::Fixed, bytes, vhd::geometry(bytes / 512), Uuid::random(), 0);
            let link = Link::new(Path::new("/base.vhd"), Path::new("/child.vhd"), parent.uuid(), 7);
            vhd::format_child(&mut s, &parent, &link, block).unwrap();
        }
    }
    s.0
}

/// What a disk of `sectors` over nothing holds, or over the parent that [`open_on`] gives it.
pub(super) fn below(kind: VhdType, sectors: u64) -> Vec<u8> {
    match kind {
        VhdType::Differencing => parent_bytes(sectors),
        _ => vec![0; (sectors * 512) as usize],
    }
}

/// Data, holes and data again.
fn parent_bytes(sectors: u64) -> Vec<u8> {
    let mut b = pattern(1 << 40, sectors as usize);
    let len = b.len();
    b[len / 4..len / 2].fill(0);
    b
}

/// Opens a store, over a parent of its size if it wants one.
pub(super) fn open_on<S: Store + 'static>(s: S, mode: Mode) -> Result<Opened, DiskError> {
    open_named(s, "model.vhd", mode)
}

/// The same, of a file with that name.
pub(super) fn open_named<S: Store + 'static>(s: S, name: &str, mode: Mode) -> Result<Opened, DiskError> {
    open_store(s, Path::new(name), mode, &mut |layout, _| {
        Ok(Box::new(Flat::raw(MemStore(parent_bytes(layout.sectors)), true)))
    })
}

/// Sectors whose content tells where they are.
pub(super) fn pattern(lba: u64, sectors: usize) -> Vec<u8> {
    (lba..lba + sectors as u64)
        .flat_map(|s| (0..64).flat_map(move |i| (s << 16 | i | 1).to_le_bytes()))
        .collect()
}
