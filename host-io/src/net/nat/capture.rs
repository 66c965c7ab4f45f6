//! Frames in a pcap file, for the tools that read them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::NetError;

/// Frames are kept whole up to here; none of ours is longer.
const SNAP: u32 = 65535;
const ETHERNET: u32 = 1;

pub(super) struct Capture {
    file: BufWriter<File>,
    path: PathBuf,
    /// The disk is full, or gone: said once, and no more is written.
    failed: bool,
}

impl Capture {
    /// A new file. One that another machine writes, or a disk image in use, is refused.
    pub(super) fn create(path: &Path) -> Result<Self, NetError> {
        let failed = |source| NetError::Capture { path: path.into(), source };
        // Emptied only once the lock is ours.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_file() {
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                return Err(NetError::CaptureInUse { path: path.into() });
            }
            file.set_len(0).map_err(failed)?;
        }
        let mut capture =
            Self { file: BufWriter::with_capacity(1 << 18, file), path: path.into(), failed: false };
        capture.header().map_err(failed)?;
        Ok(capture)
    }

    fn header(&mut self) -> io::Result<()> {
        let mut h = Vec::with_capacity(24);
        h.extend(0xa1b2_c3d4_u32.to_le_bytes());
        h.extend(2_u16.to_le_bytes());
        h.extend(4_u16.to_le_bytes());
        h.extend([0; 8]);
        h.extend(SNAP.to_le_bytes());
        h.extend(ETHERNET.to_le_bytes());
        self.file.write_all(&h)?;
        self.file.flush()
    }

    pub(super) fn record(&mut self, frame: &[u8]) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut h = [0; 16];
        h[..4].copy_from_slice(&(at.as_secs() as u32).to_le_bytes());
        h[4..8].copy_from_slice(&at.subsec_micros().to_le_bytes());
        h[8..12].copy_from_slice(&(frame.len() as u32).to_le_bytes());
        h[12..].copy_from_slice(&(frame.len() as u32).to_le_bytes());
        self.attempt(|f| f.write_all(&h).and_then(|()| f.write_all(frame)));
    }

    /// What was recorded can be read by others.
    pub(super) fn flush(&mut self) {
        self.attempt(Write::flush);
    }

    fn attempt(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        if self.failed {
            return;
        }
        if let Err(e) = write(&mut self.file) {
            self.failed = true;
            tracing::error!("network capture {}: {e}; it ends here", self.path.display());
        }
    }
}
