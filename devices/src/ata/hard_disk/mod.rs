//! An ATA hard disk as Virtual PC shows it: model "Virtual HD", firmware "1.1.0", at most 127.99 GiB.
//!
//! The command set is ATA-4's general feature set with power management, SMART, write cache, look-ahead and
//! READ/WRITE BUFFER, and ATA-6's 48-bit commands: Virtual PC had none, but a driver that has them (Linux) moves
//! up to 65,536 sectors at a time, and the rest doesn't ask. The capacity stays what 28 bits reach. Host
//! protected area, security and overlap are not offered and their commands abort.
//! A whole read or write command is one host job: reads begin when its
//! data has come, writes are handed over when the last sector has been taken, and INTRQ for the command's end
//! waits for the answer; with the write cache off (SET FEATURES 82h), that of a flush behind it. A DMA command is asked for when the bus master is ready for it: if all of its table is main
//! RAM, the host moves the data by itself, without a buffer. FLUSH CACHE, and every standby, wait until the host has the data on stable storage.
//!
//! A read that the host can't serve is tried again sector by sector, so that the guest gets the good ones and
//! the address of the bad one (UNC). A write that fails ends with ABRT and device fault; on a read-only image,
//! with ABRT.
//!
//! Not emulated: seek and rotation times, spin-down timers (a STANDBY's timer value is taken, the drive does
//! not stop by itself), SLEEP needing a reset (any command wakes it), error logs behind SMART READ LOG.

mod features;
mod identify;
mod smart;
mod state;
mod transfer;
mod trim;

use board::{Cx, DiskFault, Geometry};

pub(crate) use self::state::{HardDiskV1, dma_mode, load, save};
use super::task_file::{AtaCmd, Core, DmaMode, Flow, PendingOp, Status, TaskFile, error};

/// The largest disk of 28-bit addresses: 0FFFFFFFh sectors, 127.99 GiB.
pub const MAX_SECTORS: u32 = 0x0fff_ffff;
pub const SECTOR: usize = 512;
/// The most sectors in one DRQ block of READ/WRITE MULTIPLE.
const MAX_MULTIPLE: u8 = 128;

/// A disk as it is built into a machine.
#[derive(Clone, Debug)]
pub struct DiskSpec {
    /// 512-byte sectors; what is beyond [`MAX_SECTORS`] can't be reached.
    pub sectors: u64,
    /// Up to 20 ASCII characters.
    pub serial: String,
    /// The translation that the image states, if it fits an ATA drive; else the rule of ATA-5 annex B: 16
    /// heads, 63 sectors, at most 16383 cylinders.
    pub geometry: Option<Geometry>,
    /// False: what the host is given is on stable storage when it answers.
    pub write_cache: bool,
    /// DATA SET MANAGEMENT is offered, which no drive of the time had.
    pub trim: bool,
}

/// 8.12.4 and 8.5: what CHECK POWER MODE answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum PowerMode {
    #[default]
    Active,
    Standby,
}

/// Which command waits for data or for the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Doing {
    #[default]
    Nothing,
    PioRead,
    PioWrite,
    DmaRead,
    DmaWrite,
    Verify,
    Flush,
    /// WRITE BUFFER, FORMAT TRACK: data that goes no further than the buffer.
    ToBuffer,
    /// IDENTIFY DEVICE, READ BUFFER, SMART: data that came from no sector.
    FromBuffer,
    /// DATA SET MANAGEMENT.
    Trim,
}

/// A command in progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Active {
    pub(crate) doing: Doing,
    pub(crate) first: u32,
    /// Sectors asked for.
    pub(crate) asked: u32,
    /// Sectors, from `first`, that will be moved before `verdict` is given.
    pub(crate) good: u32,
    /// Bytes of a DRQ block.
    pub(crate) block: u32,
    /// Error register at the end; 0 = success.
    pub(crate) verdict: u8,
    /// The read failed as a whole and is repeated sector by sector; so many are in the buffer.
    pub(crate) singly: Option<u32>,
    /// A 48-bit command.
    pub(crate) ext: bool,
}

/// What SET FEATURES, SET MULTIPLE MODE, INITIALIZE DEVICE PARAMETERS and SMART left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Settings {
    /// The current translation, INITIALIZE DEVICE PARAMETERS.
    pub(crate) current: Geometry,
    /// 0 = READ MULTIPLE is off.
    pub(crate) multiple: u8,
    pub(crate) dma: DmaMode,
    pub(crate) write_cache: bool,
    pub(crate) look_ahead: bool,
    /// SET FEATURES CCh: a software reset brings the defaults back.
    pub(crate) revert: bool,
    pub(crate) smart: bool,
}

pub struct HardDisk {
    pub(crate) spec: Built,
    pub(crate) set: Settings,
    pub(crate) power: PowerMode,
    pub(crate) active: Active,
    /// READ BUFFER and WRITE BUFFER.
    pub(crate) buffer: Vec<u8>,
}

/// The spec with everything decided.
pub(crate) struct Built {
    pub(crate) sectors: u32,
    pub(crate) serial: String,
    pub(crate) geometry: Geometry,
    pub(crate) write_cache: bool,
    pub(crate) trim: bool,
}

/// ATA-5 annex B: the default translation of a disk.
pub fn default_geometry(sectors: u32) -> Geometry {
    Geometry { cylinders: (sectors / (16 * 63)).clamp(1, 16383) as u16, heads: 16, sectors: 63 }
}

fn usable(g: Geometry, sectors: u32) -> bool {
    (1..=16383).contains(&g.cylinders)
        && (1..=16).contains(&g.heads)
        && (1..=63).contains(&g.sectors)
        && g.total() <= sectors
}

impl Settings {
    fn defaults(geometry: Geometry) -> Self {
        Self {
            current: geometry,
            multiple: 0,
            dma: DmaMode::Ultra(2),
            // Without one nothing has to be flushed.
            write_cache: true,
            look_ahead: true,
            revert: false,
            smart: true,
        }
    }
}

impl HardDisk {
    pub fn new(spec: DiskSpec) -> Self {
        let sectors = u32::try_from(spec.sectors).unwrap_or(u32::MAX).min(MAX_SECTORS);
        let stated = spec.geometry.filter(|&g| usable(g, sectors));
        let geometry = stated.unwrap_or_else(|| default_geometry(sectors));
        let DiskSpec { write_cache, trim, .. } = spec;
        Self {
            spec: Built { sectors, serial: spec.serial, geometry, write_cache, trim },
            set: Settings::defaults(geometry),
            power: PowerMode::default(),
            active: Active::default(),
            buffer: vec![0; SECTOR],
        }
    }

    pub(crate) fn hard_reset(&mut self) {
        self.set = Settings::defaults(self.spec.geometry);
        self.power = PowerMode::Active;
        self.active = Active::default();
        self.buffer = vec![0; SECTOR];
    }

    /// SRST. The translation and the transfer mode stay, as on most drives; the rest stays too unless CCh asked
    /// for the defaults (ATA-4 8.37.7).
    pub(crate) fn soft_reset(&mut self) {
        self.active = Active::default();
        self.power = PowerMode::Active;
        if self.set.revert {
            let Settings { current, dma, .. } = self.set;
            self.set = Settings { current, dma, ..Settings::defaults(self.spec.geometry) };
        }
    }

    /// ATA-4 clause 8; table 9 lists what a device without PACKET must and may take.
    pub(crate) fn command(&mut self, core: &mut Core, cx: &mut Cx<'_>, cmd: AtaCmd) {
        let (cmd, ext) = cmd.modern().short();
        self.active = Active { ext, ..Active::default() };
        let pio = SECTOR as u32;
        let multi = pio * u32::from(self.set.multiple);
        match cmd {
            AtaCmd::READ_SECTORS | AtaCmd::READ_SECTORS_NORETRY => {
                self.start_read(core, cx, Doing::PioRead, pio);
            }
            AtaCmd::WRITE_SECTORS | AtaCmd::WRITE_SECTORS_NORETRY | AtaCmd::WRITE_VERIFY => {
                self.start_write(core, Doing::PioWrite, pio);
            }
            AtaCmd::READ_MULTIPLE if multi > 0 => self.start_read(core, cx, Doing::PioRead, multi),
            AtaCmd::WRITE_MULTIPLE if multi > 0 => self.start_write(core, Doing::PioWrite, multi),
            AtaCmd::READ_DMA | AtaCmd::READ_DMA_NORETRY => self.start_read(core, cx, Doing::DmaRead, 0),
            AtaCmd::WRITE_DMA | AtaCmd::WRITE_DMA_NORETRY => self.start_write(core, Doing::DmaWrite, 0),
            AtaCmd::READ_VERIFY | AtaCmd::READ_VERIFY_NORETRY => {
                self.start_read(core, cx, Doing::Verify, 0);
            }
            AtaCmd::DATA_SET_MANAGEMENT if self.spec.trim => self.data_set_management(core),
            AtaCmd::IDENTIFY_DEVICE => {
                let words = self.identify();
                self.give(core, words);
            }
            AtaCmd::READ_BUFFER => {
                let b = self.buffer.clone();
                self.give(core, b);
            }
            AtaCmd::WRITE_BUFFER | AtaCmd::FORMAT_TRACK => self.take_to_buffer(core, cmd),
            AtaCmd::SET_MULTIPLE_MODE => self.set_multiple(core),
            AtaCmd::SET_FEATURES => self.set_features(core, cx),
            AtaCmd::INITIALIZE_DEVICE_PARAMETERS => self.initialize_parameters(core),
            AtaCmd::SMART => self.smart(core),
            AtaCmd::FLUSH_CACHE => self.flush(core, cx, PowerMode::Active),
            AtaCmd::STANDBY_IMMEDIATE | AtaCmd::STANDBY | AtaCmd::SLEEP => {
                self.flush(core, cx, PowerMode::Standby);
            }
            AtaCmd::IDLE_IMMEDIATE | AtaCmd::IDLE => {
                self.power = PowerMode::Active;
                core.succeed();
            }
            AtaCmd::CHECK_POWER_MODE => {
                core.tf.count = if self.power == PowerMode::Standby { 0x00 } else { 0xff };
                core.succeed();
            }
            // RECALIBRATE and SEEK: heads are where they should be.
            AtaCmd(0x10..=0x1f) => {
                core.tf.set_cylinder(0);
                core.succeed();
            }
            AtaCmd(0x70..=0x7f) => match self.address(&core.tf) {
                Some(_) => core.succeed(),
                None => core.fail(error::IDNF),
            },
            // NOP, the packet commands, protected-area commands, READ/WRITE LONG (obsolete, and no
            // ECC bytes to give), MULTIPLE before SET MULTIPLE, all else.
            _ => core.abort(),
        }
    }

    /// The first block of a media command, if it is on the disk.
    fn address(&self, tf: &TaskFile) -> Option<u32> {
        let block = match self.active.ext {
            true => u32::try_from(tf.address_ext()).ok(),
            false => tf.address(self.set.current),
        };
        block.filter(|&a| a < self.spec.sectors)
    }

    /// One block of data for the host that comes from no sector.
    fn give(&mut self, core: &mut Core, data: Vec<u8>) {
        self.active = Active { doing: Doing::FromBuffer, ..Active::default() };
        core.buf = data;
        core.pos = 0;
        core.open_block(Flow::PioIn, SECTOR);
        core.intrq = true;
    }

    fn take_to_buffer(&mut self, core: &mut Core, cmd: AtaCmd) {
        if cmd == AtaCmd::FORMAT_TRACK && self.address(&core.tf).is_none() {
            return core.fail(error::IDNF);
        }
        self.active = Active { doing: Doing::ToBuffer, ..Active::default() };
        core.buf = vec![0; SECTOR];
        core.pos = 0;
        core.open_block(Flow::PioOut, SECTOR);
    }

    fn flush(&mut self, core: &mut Core, cx: &mut Cx<'_>, then: PowerMode) {
        self.active = Active { doing: Doing::Flush, ..Active::default() };
        self.power = then;
        core.submit(cx, PendingOp::Flush);
    }

    /// The host answered the pending job.
    pub(crate) fn host_done(
        &mut self,
        core: &mut Core,
        cx: &mut Cx<'_>,
        op: PendingOp,
        result: Result<Vec<u8>, DiskFault>,
    ) {
        match (op, result) {
            (PendingOp::Straight(_), Err(DiskFault::Later)) => self.dma_buffered(core, cx),
            (PendingOp::Straight(Flow::DmaIn), Ok(_)) => self.end(core, true),
            (PendingOp::Straight(Flow::DmaIn), Err(_)) => self.read_failed(core, cx),
            (PendingOp::Read { count, .. }, Ok(data)) if data.len() == count as usize * SECTOR => {
                self.read_came(core, cx, data);
            }
            (PendingOp::Read { .. }, _) => self.read_failed(core, cx),
            // SET FEATURES 82h: done is what is on the medium.
            (PendingOp::Write { .. } | PendingOp::Straight(_), Ok(_)) if !self.set.write_cache => {
                core.submit(cx, PendingOp::Flush);
            }
            (PendingOp::Write { .. } | PendingOp::Straight(_), Ok(_)) => self.end(core, true),
            (PendingOp::Discard { .. }, Ok(_)) => core.succeed(),
            (PendingOp::Flush, Ok(_)) if self.active.doing == Doing::Flush => core.succeed(),
            (PendingOp::Flush, Ok(_)) => self.end(core, true),
            (
                PendingOp::Write { .. }
                | PendingOp::Straight(_)
                | PendingOp::Flush
                | PendingOp::Discard { .. },
                Err(DiskFault::ReadOnly),
            ) => {
                self.active.good = 0;
                self.end_with(core, true, error::ABRT);
            }
            (_, Err(_)) => {
                self.active.good = 0;
                self.end_with(core, true, error::ABRT);
                core.tf.status = Status::FAILED.with_df(true);
            }
        }
    }
}
