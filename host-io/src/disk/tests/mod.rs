//! Images by what they do: against a model, against qemu-img, broken in every way we know.

mod broken;
mod files;
mod iso;
mod model;
mod qemu;

use std::path::{Path, PathBuf};

use super::store::MemStore;
use super::vhd::{self, VhdType};

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
    }
    s.0
}

/// Sectors whose content tells where they are.
pub(super) fn pattern(lba: u64, sectors: usize) -> Vec<u8> {
    (lba..lba + sectors as u64)
        .flat_map(|s| (0..64).flat_map(move |i| (s << 16 | i | 1).to_le_bytes()))
        .collect()
}
