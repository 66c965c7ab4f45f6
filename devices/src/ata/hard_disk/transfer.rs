//! Reads and writes of sectors. ATA-4 9.5 to 9.7 (protocols), ATA-6 6.2.1 (48-bit addresses).

use std::ops::Range;

use board::Cx;

use super::{Active, Doing, HardDisk, PowerMode, SECTOR};
use crate::ata::task_file::{Core, Flow, PendingOp, Status, error};

impl HardDisk {
    /// What a media command is about: the first block and how many of those asked for are on the disk.
    fn aim(&self, core: &Core, doing: Doing, block: u32) -> Option<Active> {
        let ext = self.active.ext;
        let first = self.address(&core.tf)?;
        let asked = core.tf.sectors(ext);
        let good = asked.min(self.spec.sectors - first);
        let verdict = if good < asked { error::IDNF } else { 0 };
        Some(Active { doing, first, asked, good, block, verdict, singly: None, ext })
    }

    pub(super) fn start_read(&mut self, core: &mut Core, cx: &mut Cx<'_>, doing: Doing, block: u32) {
        let Some(active) = self.aim(core, doing, block) else { return core.fail(error::IDNF) };
        self.active = active;
        self.power = PowerMode::Active;
        if doing == Doing::DmaRead {
            return core.open_dma(Flow::DmaIn);
        }
        core.submit(cx, PendingOp::Read { lba: u64::from(active.first), count: active.good });
    }

    pub(super) fn start_write(&mut self, core: &mut Core, doing: Doing, block: u32) {
        let Some(active) = self.aim(core, doing, block) else { return core.fail(error::IDNF) };
        self.active = active;
        self.power = PowerMode::Active;
        if doing == Doing::DmaWrite {
            return core.open_dma(Flow::DmaOut);
        }
        core.buf = vec![0; active.good as usize * SECTOR];
        core.pos = 0;
        // The first block is asked for without INTRQ.
        core.open_block(Flow::PioOut, block as usize);
    }

    /// The bus master is ready for a DMA transfer that has not begun: of so many bytes.
    pub(crate) fn dma_length(&self) -> usize {
        self.active.good as usize * SECTOR
    }

    /// It moves between the image and these ranges of memory.
    pub(crate) fn dma_straight(&mut self, core: &mut Core, cx: &mut Cx<'_>, ranges: Vec<Range<u32>>) {
        core.submit_straight(cx, u64::from(self.active.first), ranges);
    }

    /// It moves through the drive's buffer.
    pub(crate) fn dma_buffered(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        if self.active.doing == Doing::DmaRead {
            let Active { first, good, .. } = self.active;
            return core.submit(cx, PendingOp::Read { lba: u64::from(first), count: good });
        }
        core.buf = vec![0; self.dma_length()];
        core.open_dma(Flow::DmaOut);
    }

    /// The sectors of a read arrived: all of them, or one more while we go singly.
    pub(super) fn read_came(&mut self, core: &mut Core, cx: &mut Cx<'_>, data: Vec<u8>) {
        if let Some(n) = self.active.singly {
            core.buf.extend_from_slice(&data);
            self.active.singly = Some(n + 1);
            if n + 1 < self.active.good {
                let lba = u64::from(self.active.first + n + 1);
                return core.submit(cx, PendingOp::Read { lba, count: 1 });
            }
        } else {
            core.buf = data;
        }
        self.deliver(core);
    }

    /// The host could not read. Of several sectors some may be good: find the first that is not.
    pub(super) fn read_failed(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        match self.active.singly {
            None if self.active.good > 1 => {
                core.buf = Vec::with_capacity(self.active.good as usize * SECTOR);
                self.active.singly = Some(0);
                core.submit(cx, PendingOp::Read { lba: u64::from(self.active.first), count: 1 });
            }
            tried => {
                self.active.good = tried.unwrap_or(0);
                self.active.verdict = error::UNC;
                self.deliver(core);
            }
        }
    }

    fn deliver(&mut self, core: &mut Core) {
        core.pos = 0;
        if self.active.good == 0 || self.active.doing == Doing::Verify {
            return self.end(core, true);
        }
        if self.active.doing == Doing::DmaRead {
            core.open_dma(Flow::DmaIn);
        } else {
            core.open_block(Flow::PioIn, self.active.block as usize);
            core.intrq = true;
        }
    }

    /// The host took, or filled, a DRQ block.
    pub(crate) fn block_ended(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        let more = core.pos < core.buf.len();
        match self.active.doing {
            Doing::PioRead if more => {
                core.open_block(Flow::PioIn, self.active.block as usize);
                core.intrq = true;
            }
            // No INTRQ after the last word, unless an error is to be told.
            Doing::PioRead => self.end(core, self.active.verdict != 0),
            Doing::PioWrite if more => {
                core.open_block(Flow::PioOut, self.active.block as usize);
                core.intrq = true;
            }
            Doing::PioWrite => self.hand_over(core, cx),
            Doing::ToBuffer => {
                if core.buf.len() == SECTOR {
                    self.buffer.clone_from(&core.buf);
                }
                core.succeed();
            }
            _ => core.finish(Status::READY, 0),
        }
    }

    fn hand_over(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        let len = self.active.good * SECTOR as u32;
        core.submit(cx, PendingOp::Write { lba: u64::from(self.active.first), len });
    }

    /// The bus master moved what it could.
    pub(crate) fn dma_ended(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        let short = core.pos < core.end;
        match self.active.doing {
            Doing::DmaWrite => {
                // A table too short for a write: what came whole is written, the rest is not invented.
                let whole = (core.pos / SECTOR) as u32;
                if short {
                    self.active.good = whole;
                    self.active.verdict = error::ABRT;
                }
                if whole == 0 { self.end(core, true) } else { self.hand_over(core, cx) }
            }
            Doing::Trim => self.trim(core, cx),
            // A table too short for a read: the rest is dropped and the command ends as it would have.
            _ => self.end(core, true),
        }
    }

    pub(crate) fn dma_fault(&mut self, core: &mut Core) {
        self.active.good = 0;
        self.end_with(core, true, error::ABRT);
    }

    pub(super) fn end(&mut self, core: &mut Core, intrq: bool) {
        self.end_with(core, intrq, self.active.verdict);
    }

    /// Leaves the registers as 9.5 wants them: after success the last sector and a count of 0, after an error
    /// the first bad sector and how many are left.
    pub(super) fn end_with(&mut self, core: &mut Core, intrq: bool, verdict: u8) {
        let Active { first, asked, good, ext, .. } = std::mem::take(&mut self.active);
        let at = if verdict == 0 { first + asked.saturating_sub(1) } else { first + good };
        let left = if verdict == 0 { 0 } else { asked - good };
        if ext {
            core.tf.set_ext(at, left as u16);
        } else {
            core.tf.set_address(at, self.set.current);
            core.tf.count = left as u8;
        }
        core.finish(if verdict == 0 { Status::READY } else { Status::FAILED }, verdict);
        // A request from before that nobody acknowledged stays.
        core.intrq |= intrq;
    }
}
