//! One cable with up to two drives: selection, presence, device control, INTRQ.
//!
//! Who answers (ATA-4 9.15, "device 0 only" and "device 1 only" configurations):
//!
//! | selected | on the cable | registers | status |
//! | --- | --- | --- | --- |
//! | present | | its own | its own |
//! | device 1, absent | device 0 | device 0's | 00h |
//! | device 0, absent | device 1 | FFh, nobody drives | 7Fh |
//! | either | nothing | FFh | 7Fh: DD7 is pulled down, so that a driver sees BSY clear |

use board::{Cx, DiskDone, Media};

use super::drive::{Drive, DriveSpec};
use super::task_file::{AtaCmd, DevCtl, error};

/// What an undriven register reads.
const FLOATING: u8 = 0xff;
/// The same for the status register: the host pulls DD7 down (ATA-5, 4.2.1).
const NO_DRIVE: u8 = 0x7f;

pub struct Channel {
    pub(crate) drives: [Option<Drive>; 2],
    pub(crate) control: DevCtl,
    /// The DEV bit as last written.
    pub(crate) dev: bool,
}

impl Channel {
    /// `number` 0 or 1: units are `number`*2 and `number`*2 + 1.
    pub fn new(number: u8, drives: [Option<DriveSpec>; 2]) -> Self {
        let mut unit = number * 2;
        let drives = drives.map(|d| {
            let d = d.map(|d| Drive::new(unit, d));
            unit += 1;
            d
        });
        Self { drives, control: DevCtl::new(), dev: false }
    }

    pub(crate) fn hard_reset(&mut self) {
        self.control = DevCtl::new();
        self.dev = false;
        self.drives.iter_mut().flatten().for_each(Drive::hard_reset);
    }

    pub(crate) fn selected(&mut self) -> Option<&mut Drive> {
        self.drives[usize::from(self.dev)].as_mut()
    }

    /// The INTRQ pin: the selected drive's request, unless nIEN releases it (ATA-4 5.2.9).
    pub(crate) fn intrq(&self) -> bool {
        let drive = self.drives[usize::from(self.dev)].as_ref();
        !self.control.nien() && drive.is_some_and(|d| d.core.intrq)
    }

    /// The drive that moves data by DMA now.
    pub(crate) fn dma_drive(&mut self) -> Option<&mut Drive> {
        let first = usize::from(self.dev);
        let n = [first, 1 - first].into_iter().find(|&n| {
            let d = self.drives[n].as_ref();
            d.is_some_and(|d| d.dmarq().is_some())
        })?;
        self.drives[n].as_mut()
    }

    /// Does a drive still work on a command that the bus master served?
    pub(crate) fn busy(&self) -> bool {
        self.drives.iter().flatten().any(|d| d.core.tf.status.bsy() || d.dmarq().is_some())
    }

    /// The data port, by words or double words (8-bit reads take single bytes, as some DOS programs want). With
    /// the value, whether a DRQ block ended.
    #[inline]
    pub(crate) fn read_data(&mut self, cx: &mut Cx<'_>, n: usize) -> (u32, bool) {
        match self.selected() {
            Some(d) => d.read_data(cx, n),
            None => (u32::MAX, false),
        }
    }

    #[inline]
    pub(crate) fn write_data(&mut self, cx: &mut Cx<'_>, n: usize, v: u32) -> bool {
        self.selected().is_some_and(|d| d.write_data(cx, n, v))
    }

    /// Command block registers 1 to 7. Reading Status (7) takes INTRQ back.
    pub(crate) fn read_reg(&mut self, off: u32) -> u8 {
        if off == 7 {
            if let Some(d) = self.selected() {
                d.core.intrq = false;
            }
            return self.alternate_status();
        }
        let dev = usize::from(self.dev);
        let answers = match (&self.drives[dev], &self.drives[0]) {
            (Some(d), _) | (None, Some(d)) => d,
            (None, None) => return FLOATING,
        };
        let tf = &answers.core.tf;
        match off {
            // A drive of packets has no 48-bit commands.
            1..=5 => tf.read(off, self.control.hob() && !answers.is_atapi()),
            // Bits 7 and 5 are obsolete; drives show them set, and some programs compare with A0h/E0h as written.
            6 => tf.device.with_dev(self.dev).into_bits(),
            _ => FLOATING,
        }
    }

    /// Alternate Status: as Status, but INTRQ stays.
    pub(crate) fn alternate_status(&self) -> u8 {
        match (&self.drives[usize::from(self.dev)], &self.drives[0]) {
            (Some(d), _) => d.core.tf.status.into_bits(),
            (None, Some(_)) => 0x00,
            (None, None) => NO_DRIVE,
        }
    }

    /// Command block registers 1 to 6: both drives listen, one that is busy does not. Any of them clears HOB.
    pub(crate) fn write_reg(&mut self, off: u32, v: u8) {
        if off == 6 {
            self.dev = v & 0x10 != 0;
        }
        self.control.set_hob(false);
        for d in self.drives.iter_mut().flatten().filter(|d| !d.core.tf.status.bsy()) {
            d.core.tf.write(off, v);
        }
    }

    pub(crate) fn command(&mut self, cx: &mut Cx<'_>, cmd: AtaCmd) {
        self.control.set_hob(false);
        if cmd == AtaCmd::EXECUTE_DEVICE_DIAGNOSTIC {
            return self.diagnose();
        }
        if let Some(d) = self.selected() {
            d.command(cx, cmd);
        }
    }

    /// EXECUTE DEVICE DIAGNOSTIC, 8.8: both drives, whichever is selected; device 0 reports for both.
    fn diagnose(&mut self) {
        if self.selected().is_some_and(|d| d.core.tf.status.bsy()) {
            return;
        }
        self.dev = false;
        for d in self.drives.iter_mut().flatten() {
            d.core.abandon();
            d.ready_after_reset();
            d.core.tf.error = error::PASSED;
        }
        if let Some(d) = &mut self.drives[0] {
            d.core.intrq = true;
        }
    }

    /// Device Control, 7.2.3.
    pub(crate) fn write_control(&mut self, v: u8) {
        let was = std::mem::replace(&mut self.control, DevCtl::from(v & DevCtl::KNOWN));
        match (was.srst(), self.control.srst()) {
            (false, true) => {
                self.dev = false;
                self.drives.iter_mut().flatten().for_each(Drive::srst_begins);
            }
            (true, false) => {
                self.dev = false;
                self.drives.iter_mut().flatten().for_each(Drive::srst_ends);
            }
            _ => {}
        }
    }

    /// See [`Drive::host_done`].
    pub(crate) fn host_done(&mut self, cx: &mut Cx<'_>, done: DiskDone) -> Option<bool> {
        self.drives[usize::from(done.unit & 1)].as_mut()?.host_done(cx, done)
    }

    pub(crate) fn media(&mut self, cx: &mut Cx<'_>, dev: u8, media: Option<Media>, forced: bool) {
        if let Some(d) = &mut self.drives[usize::from(dev & 1)] {
            d.media(cx, media, forced);
        }
    }
}
