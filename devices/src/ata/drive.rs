//! A drive of either kind on the common core.

use std::ops::Range;

use board::{Cx, DiskDone, DiskFault, Media};

use super::atapi::{CdRom, CdSpec};
use super::hard_disk::{DiskSpec, HardDisk};
use super::task_file::{AtaCmd, Core, Flow, PendingOp, Status};

/// What hangs on the cable.
#[derive(Clone, Debug)]
pub enum DriveSpec {
    Disk(DiskSpec),
    Cd(CdSpec),
}

pub(crate) enum Kind {
    Disk(HardDisk),
    Cd(CdRom),
}

pub struct Drive {
    pub(crate) core: Core,
    pub(crate) kind: Kind,
}

impl Drive {
    pub fn new(unit: u8, spec: DriveSpec) -> Self {
        let kind = match spec {
            DriveSpec::Disk(s) => Kind::Disk(HardDisk::new(s)),
            DriveSpec::Cd(s) => Kind::Cd(CdRom::new(s)),
        };
        Self { core: Core::new(unit), kind }
    }

    pub(crate) fn is_atapi(&self) -> bool {
        matches!(self.kind, Kind::Cd(_))
    }

    /// Power came on, or RESET- was asserted.
    pub(crate) fn hard_reset(&mut self) {
        self.core.abandon();
        match &mut self.kind {
            Kind::Disk(d) => d.hard_reset(),
            Kind::Cd(c) => c.hard_reset(),
        }
        self.ready_after_reset();
    }

    /// SRST rose: BSY until it falls.
    pub(crate) fn srst_begins(&mut self) {
        self.core.abandon();
        self.core.tf.status = Status::BUSY;
    }

    /// SRST fell. We are ready at once; ATA-4 9.3 allows 31 s.
    pub(crate) fn srst_ends(&mut self) {
        match &mut self.kind {
            Kind::Disk(d) => d.soft_reset(),
            Kind::Cd(c) => c.soft_reset(),
        }
        self.ready_after_reset();
    }

    /// Signature, and the status that goes with it: a packet device shows 00h until the first packet command
    /// (ATA-4 9.12), a disk is ready.
    pub(crate) fn ready_after_reset(&mut self) {
        self.core.tf.signature(self.is_atapi());
        self.core.tf.status = if self.is_atapi() { Status::new() } else { Status::READY };
    }

    /// The command register was written, this drive is selected.
    pub(crate) fn command(&mut self, cx: &mut Cx<'_>, cmd: AtaCmd) {
        if self.core.tf.status.bsy() && cmd != AtaCmd::DEVICE_RESET {
            return;
        }
        self.core.abandon();
        self.core.tf.error = 0;
        match &mut self.kind {
            Kind::Disk(d) => d.command(&mut self.core, cx, cmd),
            Kind::Cd(c) => {
                if cmd == AtaCmd::DEVICE_RESET {
                    // 8.7: ends with the signature and without an interrupt.
                    c.soft_reset();
                    let dev = self.core.tf.device.dev();
                    self.ready_after_reset();
                    self.core.tf.device.set_dev(dev);
                } else {
                    c.command(&mut self.core, cmd);
                }
            }
        }
    }

    /// The value, and whether a DRQ block ended with it: else nothing but the data port moved.
    #[inline]
    pub(crate) fn read_data(&mut self, cx: &mut Cx<'_>, n: usize) -> (u32, bool) {
        let (v, ended) = self.core.data_in(n);
        if ended {
            self.block_ended(cx);
        }
        (v, ended)
    }

    #[inline]
    pub(crate) fn write_data(&mut self, cx: &mut Cx<'_>, n: usize, v: u32) -> bool {
        let ended = self.core.data_out(n, v);
        if ended {
            self.block_ended(cx);
        }
        ended
    }

    fn block_ended(&mut self, cx: &mut Cx<'_>) {
        match &mut self.kind {
            Kind::Disk(d) => d.block_ended(&mut self.core, cx),
            Kind::Cd(c) => c.block_ended(&mut self.core, cx),
        }
    }

    /// Is DMARQ asserted, and which way?
    pub(crate) fn dmarq(&self) -> Option<Flow> {
        matches!(self.core.flow, Flow::DmaIn | Flow::DmaOut).then_some(self.core.flow)
    }

    /// Bytes of a DMA transfer that DMARQ is asserted for and that has not begun: it may go straight between the image and
    /// memory, without a buffer.
    pub(crate) fn dma_ahead(&self) -> Option<usize> {
        match &self.kind {
            Kind::Disk(d) => (self.dmarq().is_some() && self.core.buf.is_empty()).then(|| d.dma_length()),
            Kind::Cd(_) => None,
        }
    }

    /// Begins it: with ranges of main RAM, or through a buffer.
    pub(crate) fn dma_begin(&mut self, cx: &mut Cx<'_>, ranges: Option<Vec<Range<u32>>>) {
        let Kind::Disk(d) = &mut self.kind else { return };
        match ranges {
            Some(r) => d.dma_straight(&mut self.core, cx, r),
            None => d.dma_buffered(&mut self.core, cx),
        }
    }

    /// What is left of the DMA transfer.
    pub(crate) fn dma_data(&mut self) -> &mut [u8] {
        &mut self.core.buf[self.core.pos..self.core.end]
    }

    /// The controller moved `n` bytes. The rest, if any, will not come: its table ended, or (`fault`) memory
    /// did not answer.
    pub(crate) fn dma_moved(&mut self, cx: &mut Cx<'_>, n: usize, fault: bool) {
        self.core.pos = (self.core.pos + n).min(self.core.end);
        match &mut self.kind {
            _ if fault => self.dma_fault(),
            Kind::Disk(d) => d.dma_ended(&mut self.core, cx),
            Kind::Cd(c) => c.dma_ended(&mut self.core, cx),
        }
    }

    /// The bus master died in the middle. A real drive would wait with DMARQ up until the driver's time-out;
    /// ending the command spares the guest those seconds.
    fn dma_fault(&mut self) {
        match &mut self.kind {
            Kind::Disk(d) => d.dma_fault(&mut self.core),
            Kind::Cd(c) => c.dma_fault(&mut self.core),
        }
    }

    /// Of a DMA transfer that the host was to do by itself: did it move all, or take all and fail? `None`: it was none.
    pub(crate) fn host_done(&mut self, cx: &mut Cx<'_>, done: DiskDone) -> Option<bool> {
        let op = self.core.take_pending(&done)?;
        let moved = match (op, &done.result) {
            (PendingOp::Straight(_), Err(DiskFault::Later)) => Some(false),
            (PendingOp::Straight(flow), r) => Some(flow == Flow::DmaOut || r.is_ok()),
            _ => None,
        };
        match &mut self.kind {
            Kind::Disk(d) => d.host_done(&mut self.core, cx, op, done.result),
            Kind::Cd(c) => c.host_done(&mut self.core, cx, op, done.result),
        }
        moved
    }

    pub(crate) fn media(&mut self, cx: &mut Cx<'_>, media: Option<Media>, forced: bool) {
        match &mut self.kind {
            Kind::Disk(_) => {}
            Kind::Cd(c) => c.media_event(&mut self.core, cx, media, forced),
        }
    }
}
