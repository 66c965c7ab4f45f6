//! What a hard disk and a packet device have in common: registers, data port, DMARQ, INTRQ, one host job.

use std::ops::Range;
use std::sync::Arc;

use board::{Cx, DiskDone, DiskJob, DiskOp, HostJob};

use super::{Status, TaskFile, error};

/// What the data port or the DMA channel is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Flow {
    #[default]
    None,
    /// DRQ is set, the host reads.
    PioIn,
    /// DRQ is set, the host writes.
    PioOut,
    /// DMARQ is asserted, the device gives.
    DmaIn,
    /// DMARQ is asserted, the device takes.
    DmaOut,
}

/// A host job without its data, which stays in the drive's buffer until the answer has come: so it can be
/// handed over again after a restore.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PendingOp {
    Read {
        lba: u64,
        count: u32,
    },
    /// Writes the first `len` bytes of the buffer.
    Write {
        lba: u64,
        len: u32,
    },
    Flush,
    /// Discards the LBA range entries in the first `len` bytes of the buffer.
    Discard {
        len: u32,
    },
    /// A DMA transfer that the host does by itself, between image and guest memory. Until it has, nothing has begun: so it
    /// is saved.
    Straight(Flow),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    pub tag: u32,
    pub op: PendingOp,
}

/// The common part of a drive.
pub struct Core {
    /// Channel*2 + device.
    pub(crate) unit: u8,
    pub(crate) tf: TaskFile,
    pub(crate) flow: Flow,
    /// The data on its way, whole sectors of a command.
    pub(crate) buf: Vec<u8>,
    /// That of a write, once the host has it, too.
    pub(crate) sent: Option<Arc<Vec<u8>>>,
    /// Next byte of the data port or of the DMA transfer.
    pub(crate) pos: usize,
    /// End of the DRQ block, or of the DMA transfer.
    pub(crate) end: usize,
    /// The device's own interrupt request, before nIEN and selection.
    pub(crate) intrq: bool,
    pub(crate) pending: Option<Pending>,
    /// The last tag given; answers to older ones are of an aborted command.
    pub(crate) tag: u32,
}

/// LBA range entries, ATA8-ACS2 table 31: 48 bits of address, 16 of count, which is 0 where the entry says nothing.
pub(crate) fn lba_ranges(entries: &[u8]) -> Vec<(u64, u32)> {
    let (entries, _) = entries.as_chunks::<8>();
    let split = |e: &[u8; 8]| {
        let e = u64::from_le_bytes(*e);
        (e & 0xffff_ffff_ffff, (e >> 48) as u32)
    };
    entries.iter().map(split).filter(|(_, count)| *count > 0).collect()
}

impl Core {
    pub(crate) fn new(unit: u8) -> Self {
        Self {
            unit,
            sent: None,
            tf: TaskFile::default(),
            flow: Flow::None,
            buf: Vec::new(),
            pos: 0,
            end: 0,
            intrq: false,
            pending: None,
            tag: 0,
        }
    }

    /// Drops whatever goes on. A host job in flight runs on, its answer is ignored.
    pub(crate) fn abandon(&mut self) {
        self.flow = Flow::None;
        self.buf = Vec::new();
        (self.pos, self.end) = (0, 0);
        self.intrq = false;
        self.pending = None;
        self.sent = None;
    }

    /// Sets BSY and hands a job to the host.
    pub(crate) fn submit(&mut self, cx: &mut Cx<'_>, op: PendingOp) {
        self.flow = Flow::None;
        self.tf.status = Status::BUSY;
        self.tag = self.tag.wrapping_add(1);
        self.pending = Some(Pending { tag: self.tag, op });
        self.hand_over(cx);
    }

    /// Sets BSY and lets the host move the data of a DMA transfer.
    pub(crate) fn submit_straight(&mut self, cx: &mut Cx<'_>, lba: u64, ranges: Vec<Range<u32>>) {
        let op = match self.flow {
            Flow::DmaIn => DiskOp::ReadTo { lba, to: ranges },
            _ => DiskOp::WriteFrom { lba, from: ranges },
        };
        self.tag = self.tag.wrapping_add(1);
        self.pending = Some(Pending { tag: self.tag, op: PendingOp::Straight(self.flow) });
        self.flow = Flow::None;
        self.tf.status = Status::BUSY;
        cx.submit(HostJob::Disk(DiskJob { unit: self.unit, tag: self.tag, op }));
    }

    /// Hands the pending job over again: the host that had it is gone.
    pub(crate) fn resubmit(&mut self, cx: &mut Cx<'_>) {
        if let Some(p) = &mut self.pending {
            self.tag = self.tag.wrapping_add(1);
            p.tag = self.tag;
            self.hand_over(cx);
        }
    }

    fn hand_over(&mut self, cx: &mut Cx<'_>) {
        let Some(p) = self.pending else { return };
        let op = match p.op {
            PendingOp::Read { lba, count } => DiskOp::Read { lba, count },
            // Both have it: a saved machine repeats the write.
            PendingOp::Write { lba, len } => {
                let buf = &mut self.buf;
                (self.pos, self.end) = (0, 0);
                let data = self.sent.get_or_insert_with(|| {
                    buf.truncate(len as usize);
                    Arc::new(std::mem::take(buf))
                });
                DiskOp::Write { lba, data: data.clone() }
            }
            PendingOp::Flush => DiskOp::Flush,
            PendingOp::Discard { len } => DiskOp::Discard { runs: lba_ranges(&self.buf[..len as usize]) },
            PendingOp::Straight(_) => return,
        };
        cx.submit(HostJob::Disk(DiskJob { unit: self.unit, tag: p.tag, op }));
    }

    /// Tells the host to let go of the medium. Nobody waits for the answer.
    pub(crate) fn eject(&mut self, cx: &mut Cx<'_>) {
        self.tag = self.tag.wrapping_add(1);
        cx.submit(HostJob::Disk(DiskJob { unit: self.unit, tag: self.tag, op: DiskOp::Eject }));
    }

    /// Is this the answer that we wait for?
    pub(crate) fn take_pending(&mut self, done: &DiskDone) -> Option<PendingOp> {
        let p = self.pending.filter(|p| p.tag == done.tag)?;
        self.pending = None;
        self.sent = None;
        Some(p.op)
    }

    /// The command ended well, and says so.
    pub(crate) fn succeed(&mut self) {
        self.finish(Status::READY, 0);
        self.intrq = true;
    }

    /// The command ended with an error.
    pub(crate) fn fail(&mut self, error: u8) {
        self.finish(Status::FAILED, error);
        self.intrq = true;
    }

    pub(crate) fn abort(&mut self) {
        self.fail(error::ABRT);
    }

    /// The end of a command, without INTRQ.
    pub(crate) fn finish(&mut self, status: Status, error: u8) {
        self.flow = Flow::None;
        (self.pos, self.end) = (0, 0);
        self.buf = Vec::new();
        self.tf.status = status;
        self.tf.error = error;
    }

    /// Opens a DRQ block of `len` bytes at `pos`.
    pub(crate) fn open_block(&mut self, flow: Flow, len: usize) {
        self.flow = flow;
        self.end = (self.pos + len).min(self.buf.len());
        self.tf.status = Status::DATA;
    }

    /// Asserts DMARQ for the buffer; without one, for a transfer that has not begun. DRQ is set with it, ATA-4 9.7.
    pub(crate) fn open_dma(&mut self, flow: Flow) {
        self.flow = flow;
        self.pos = 0;
        self.end = self.buf.len();
        self.tf.status = Status::DATA;
    }

    /// Reads `n` (1, 2 or 4) bytes from the data port. True if the DRQ block ended with them. A read without
    /// DRQ changes nothing and sees an undriven bus.
    #[inline]
    pub(crate) fn data_in(&mut self, n: usize) -> (u32, bool) {
        if self.flow != Flow::PioIn {
            return (u32::MAX, false);
        }
        let have = n.min(self.end - self.pos);
        let mut v = [0; 4];
        v[..have].copy_from_slice(&self.buf[self.pos..self.pos + have]);
        self.pos += have;
        (u32::from_le_bytes(v), self.pos == self.end)
    }

    /// Writes `n` bytes to the data port. True if the DRQ block is full.
    #[inline]
    pub(crate) fn data_out(&mut self, n: usize, v: u32) -> bool {
        if self.flow != Flow::PioOut {
            return false;
        }
        let room = n.min(self.end - self.pos);
        self.buf[self.pos..self.pos + room].copy_from_slice(&v.to_le_bytes()[..room]);
        self.pos += room;
        self.pos == self.end
    }
}
