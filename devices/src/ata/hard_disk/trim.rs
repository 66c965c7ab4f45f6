//! DATA SET MANAGEMENT, ATA8-ACS2 7.10: the system says which sectors hold nothing.
//!
//! What they read as is not promised (word 69 is 0): the host frees what its image's format lets it free.

use board::Cx;

use super::{Active, Doing, HardDisk, SECTOR};
use crate::ata::task_file::{Core, Flow, PendingOp, error, lba_ranges};

/// The most blocks of LBA range entries in a command, word 105.
pub(super) const TRIM_BLOCKS: u16 = 8;

/// Features bit 0; nothing else is defined.
const TRIM: u8 = 1;

impl HardDisk {
    pub(super) fn data_set_management(&mut self, core: &mut Core) {
        let blocks = core.tf.sectors(true);
        if core.tf.features & TRIM == 0 || blocks > u32::from(TRIM_BLOCKS) {
            return core.abort();
        }
        self.active = Active { doing: Doing::Trim, asked: blocks, ext: true, ..Active::default() };
        // Its data are the drive's: they go through the buffer.
        core.buf = vec![0; blocks as usize * SECTOR];
        core.open_dma(Flow::DmaOut);
    }

    /// The entries came. One that is not on the disk, and nothing is discarded.
    pub(super) fn trim(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        if core.pos < core.end {
            return core.abort();
        }
        let on_disk = |(lba, count): (u64, u32)| lba + u64::from(count) <= u64::from(self.spec.sectors);
        if !lba_ranges(&core.buf).into_iter().all(on_disk) {
            return core.fail(error::IDNF);
        }
        let len = core.buf.len() as u32;
        core.submit(cx, PendingOp::Discard { len });
    }
}
