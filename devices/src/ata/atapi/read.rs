//! Blocks from the image to the host.

use board::Cx;

use super::{CdRom, Phase, sector};
use crate::ata::task_file::{Core, PendingOp};

/// Blocks in one host job: 128 KiB.
const JOB: u32 = 64;

/// Which fields of a sector READ CD wants: byte 9, bits 7:3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fields(pub(crate) u8);

impl Fields {
    pub(crate) const USER: Self = Self(0x10);

    pub(crate) fn sync(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// The header; mode 1 has no sub-header (bit 6).
    pub(crate) fn header(self) -> bool {
        self.0 & 0x20 != 0
    }

    pub(crate) fn user(self) -> bool {
        self.0 & 0x10 != 0
    }

    pub(crate) fn edc_ecc(self) -> bool {
        self.0 & 0x08 != 0
    }

    /// Bytes of each sector.
    pub(crate) fn len(self) -> usize {
        usize::from(self.sync()) * 12
            + usize::from(self.header()) * 4
            + usize::from(self.user()) * 2048
            + usize::from(self.edc_ecc()) * 288
    }
}

/// A read in progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    /// Next block to fetch.
    pub(crate) next: u32,
    pub(crate) left: u32,
    pub(crate) fields: Fields,
}

impl CdRom {
    /// Fetches the next blocks.
    pub(super) fn read_more(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        let Some(r) = self.reading else { return self.done(core) };
        self.phase = Phase::DataIn;
        core.submit(cx, PendingOp::Read { lba: u64::from(r.next) * 4, count: r.left.min(JOB) * 4 });
    }

    /// The host read them.
    pub(super) fn blocks_came(&mut self, core: &mut Core, data: Vec<u8>) {
        let Some(r) = &mut self.reading else { return self.done(core) };
        let (first, n) = (r.next, (data.len() / 2048) as u32);
        r.next += n;
        r.left -= n.min(r.left);
        let fields = r.fields;
        let data = if fields == Fields::USER {
            data
        } else {
            let mut out = Vec::with_capacity(fields.len() * n as usize);
            for (lba, user) in (first..).zip(data.chunks_exact(2048)) {
                sector::append(&mut out, lba, user, fields);
            }
            out
        };
        self.give(core, data);
    }
}
