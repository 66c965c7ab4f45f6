//! Names for translated blocks, as Linux's `perf report` looks them up: one line for each, address, length and name.

use std::fs::File;
use std::io::Write;

pub(super) struct PerfMap {
    file: File,
}

impl PerfMap {
    /// `None`: the file can't be made. A profile without names is no reason to stop a guest.
    pub(super) fn new() -> Option<Self> {
        let path = std::env::temp_dir().join(format!("perf-{}.map", std::process::id()));
        Some(Self { file: File::create(path).ok()? })
    }

    pub(super) fn add(&mut self, address: *const u8, len: u32, eip: u32) {
        // As above: an incomplete map is still of use.
        let _ = writeln!(self.file, "{:x} {len:x} guest:{eip:08x}", address.addr());
    }
}
