//! An ATAPI CD-ROM drive. (The packet commands follow; so far the drive answers with its signature only.)

use board::{Cx, DiskFault, Media};

use super::task_file::{AtaCmd, Core, PendingOp};

/// A CD-ROM drive as it is built into a machine.
#[derive(Clone, Debug)]
pub struct CdSpec {
    /// Up to 20 ASCII characters.
    pub serial: String,
    /// What lies in the tray at power-on.
    pub media: Option<Media>,
}

pub struct CdRom {}

impl CdRom {
    pub fn new(_spec: CdSpec) -> Self {
        Self {}
    }
    pub(crate) fn hard_reset(&mut self) {}
    pub(crate) fn soft_reset(&mut self) {}
    pub(crate) fn command(&mut self, core: &mut Core, _cx: &mut Cx<'_>, cmd: AtaCmd) {
        if cmd == AtaCmd::IDENTIFY_DEVICE || cmd == AtaCmd::READ_SECTORS {
            let device = core.tf.device;
            core.tf.signature(true);
            core.tf.device = device;
        }
        core.abort();
    }
    pub(crate) fn block_ended(&mut self, _core: &mut Core, _cx: &mut Cx<'_>) {}
    pub(crate) fn dma_ended(&mut self, _core: &mut Core, _cx: &mut Cx<'_>) {}
    pub(crate) fn dma_fault(&mut self, core: &mut Core) {
        core.abort();
    }
    pub(crate) fn host_done(
        &mut self,
        _core: &mut Core,
        _cx: &mut Cx<'_>,
        _op: PendingOp,
        _r: Result<Vec<u8>, DiskFault>,
    ) {
    }
    pub(crate) fn media_event(
        &mut self,
        _core: &mut Core,
        _cx: &mut Cx<'_>,
        _m: Option<Media>,
        _forced: bool,
    ) {
    }
}
