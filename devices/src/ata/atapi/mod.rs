//! An ATAPI CD/DVD-ROM drive, as Virtual PC shows it: "MS C/DVD-ROM", firmware "3.0".
//!
//! Protocol (this file): ATA-4 9.8 (PACKET) with PIO and DMA. A command packet of 12 bytes comes over the data
//! port without an interrupt (accelerated DRQ); data go in DRQ blocks of at most the byte count limit, an INTRQ
//! each, or by DMA; the end is INTRQ with the interrupt reason 03h. Commands: `commands.rs`; their answers:
//! `replies.rs`; sectors: `read.rs`, `sector.rs`; media and tray: `media.rs`.
//!
//! The medium is a data disc of one session and one track, mode 1. READ CD makes the sync, header, EDC and ECC
//! fields that an image lacks. Reads are host jobs of up to 64 blocks; a longer command takes several.
//!
//! Not emulated: audio (PLAY answers "illegal mode for this track"), sub-channel data in READ CD, C2 pointers,
//! mode 2 and multi-session discs, CSS keys, spin-up time.
//!
//! Sources: SFF-8020i revision 2.6, INF-8090 (MMC-2/DVD), ATA/ATAPI-4 clause 9.

mod commands;
mod media;
mod read;
mod replies;
mod sector;
mod sense;
mod state;

use board::{Cx, DiskFault, Media};

use self::media::{Change, Event};
use self::read::Reading;
use self::sense::Sense;
pub(crate) use self::state::{CdRomV1, load, save};
use super::task_file::{AtaCmd, Core, DmaMode, Flow, PendingOp, Status, Words, error};

const MODEL: &str = "MS C/DVD-ROM";
const FIRMWARE: &str = "3.0";
const CDB: usize = 12;

/// A CD-ROM drive as it is built into a machine.
#[derive(Clone, Debug)]
pub struct CdSpec {
    /// Up to 20 ASCII characters.
    pub serial: String,
    /// What lies in the tray at power-on.
    pub media: Option<Media>,
}

/// Interrupt reason, in the sector count register. ATA-4 9.8.
mod reason {
    /// C/D: the packet is awaited.
    pub(super) const COMMAND: u8 = 0x01;
    /// I/O: data to the host.
    pub(super) const IN: u8 = 0x02;
    pub(super) const OUT: u8 = 0x00;
    pub(super) const DONE: u8 = 0x03;
}

/// Where the PACKET protocol is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Phase {
    #[default]
    Idle,
    /// Waits for the command packet.
    Packet,
    /// Gives data to the host, or waits for it from the image.
    DataIn,
    /// Takes a parameter list.
    DataOut,
    /// IDENTIFY PACKET DEVICE: plain PIO, no interrupt reason.
    Identify,
}

pub struct CdRom {
    serial: String,
    media: Option<Media>,
    tray_open: bool,
    locked: bool,
    change: Change,
    /// The guest was told "no medium" since the last one went.
    empty_told: bool,
    event: Event,
    /// A reset that no command has been told of.
    was_reset: bool,
    sense: Sense,
    dma_mode: DmaMode,
    standby: bool,
    /// Mode page 01h byte 2 and retry count, page 0Eh's port bytes: what MODE SELECT may change.
    recovery: [u8; 2],
    volume: [u8; 8],
    phase: Phase,
    cdb: [u8; CDB],
    /// The packet command moves its data by DMA.
    by_dma: bool,
    /// Byte count limit of PIO.
    limit: u16,
    reading: Option<Reading>,
}

/// Both channels of page 0Eh at full volume.
const FULL_VOLUME: [u8; 8] = [1, 0xff, 2, 0xff, 0, 0, 0, 0];
const RETRIES: [u8; 2] = [0, 5];

impl CdRom {
    pub fn new(spec: CdSpec) -> Self {
        Self {
            serial: spec.serial,
            media: spec.media,
            tray_open: false,
            locked: false,
            change: Change::None,
            empty_told: false,
            event: Event::None,
            was_reset: true,
            sense: Sense::NONE,
            dma_mode: DmaMode::Ultra(2),
            standby: false,
            recovery: RETRIES,
            volume: FULL_VOLUME,
            phase: Phase::Idle,
            cdb: [0; CDB],
            by_dma: false,
            limit: 0,
            reading: None,
        }
    }

    /// Everything but the medium and the tray.
    pub(crate) fn hard_reset(&mut self) {
        self.soft_reset();
        self.locked = false;
        self.dma_mode = DmaMode::Ultra(2);
        self.recovery = RETRIES;
        self.volume = FULL_VOLUME;
        self.change = Change::None;
        self.event = Event::None;
    }

    /// SRST and DEVICE RESET. The next command is told by a unit attention.
    pub(crate) fn soft_reset(&mut self) {
        self.phase = Phase::Idle;
        self.reading = None;
        self.sense = Sense::NONE;
        self.standby = false;
        self.was_reset = true;
    }

    /// An ATA command. All but a few are for disks.
    pub(crate) fn command(&mut self, core: &mut Core, cmd: AtaCmd) {
        self.phase = Phase::Idle;
        self.reading = None;
        match cmd.modern() {
            AtaCmd::PACKET => self.packet(core),
            AtaCmd::IDENTIFY_PACKET_DEVICE => {
                core.buf = self.identify();
                core.pos = 0;
                self.phase = Phase::Identify;
                core.open_block(Flow::PioIn, 512);
                core.intrq = true;
            }
            AtaCmd::SET_FEATURES => self.set_features(core),
            AtaCmd::STANDBY | AtaCmd::STANDBY_IMMEDIATE | AtaCmd::SLEEP => {
                self.standby = true;
                core.succeed();
            }
            AtaCmd::IDLE | AtaCmd::IDLE_IMMEDIATE => {
                self.standby = false;
                core.succeed();
            }
            AtaCmd::CHECK_POWER_MODE => {
                core.tf.count = if self.standby { 0x00 } else { 0xff };
                core.succeed();
            }
            // 8.12, 8.27: who asks for a disk is shown what we are.
            AtaCmd::IDENTIFY_DEVICE | AtaCmd::READ_SECTORS => {
                let device = core.tf.device;
                core.tf.signature(true);
                core.tf.device = device;
                core.abort();
            }
            _ => core.abort(),
        }
    }

    fn set_features(&mut self, core: &mut Core) {
        match core.tf.features {
            0x03 => match DmaMode::from_count(core.tf.count) {
                Some(Some(mode)) => self.dma_mode = mode,
                Some(None) => {}
                None => return core.abort(),
            },
            0x66 | 0xcc => {}
            _ => return core.abort(),
        }
        core.succeed();
    }

    /// PACKET, 8.23.
    fn packet(&mut self, core: &mut Core) {
        // OVL: overlap is not offered.
        if core.tf.features & 0x02 != 0 {
            return core.abort();
        }
        self.standby = false;
        self.by_dma = core.tf.features & 0x01 != 0;
        // 0 and FFFFh mean FFFEh; a block within the data has an even length.
        self.limit = match core.tf.cylinder() {
            0 | 0xffff => 0xfffe,
            1 => 2,
            n => n & !1,
        };
        core.buf = vec![0; CDB];
        core.pos = 0;
        core.tf.count = reason::COMMAND;
        self.phase = Phase::Packet;
        core.open_block(Flow::PioOut, CDB);
    }

    /// The host took, or filled, a DRQ block.
    pub(crate) fn block_ended(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        match self.phase {
            Phase::Packet => {
                self.cdb.copy_from_slice(&core.buf[..CDB]);
                core.finish(Status::BUSY, 0);
                self.execute(core, cx);
            }
            Phase::DataIn => {
                if core.pos < core.buf.len() {
                    self.open_piece(core);
                } else {
                    self.go_on(core, cx);
                }
            }
            Phase::DataOut => {
                if core.pos < core.buf.len() {
                    self.open_piece(core);
                } else {
                    self.parameters_came(core);
                }
            }
            Phase::Identify | Phase::Idle => {
                self.phase = Phase::Idle;
                core.finish(Status::READY, 0);
            }
        }
    }

    /// The bus master moved what it could. A table too short for the data drops the rest.
    pub(crate) fn dma_ended(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        let short = core.pos < core.end;
        match self.phase {
            Phase::DataOut if short => self.fail(core, Sense::DATA_PHASE),
            Phase::DataOut => self.parameters_came(core),
            _ if short => self.done(core),
            _ => self.go_on(core, cx),
        }
    }

    pub(crate) fn dma_fault(&mut self, core: &mut Core) {
        self.fail(core, Sense::DATA_PHASE);
    }

    /// All of the buffer went to the host: more sectors, or the end.
    fn go_on(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        match self.reading {
            Some(r) if r.left > 0 => self.read_more(core, cx),
            _ => self.done(core),
        }
    }

    /// Offers the buffer, or what is left of it, to the host.
    fn give(&mut self, core: &mut Core, data: Vec<u8>) {
        if data.is_empty() {
            return self.done(core);
        }
        self.phase = Phase::DataIn;
        core.buf = data;
        core.pos = 0;
        if self.by_dma {
            core.tf.count = reason::IN;
            core.open_dma(Flow::DmaIn);
        } else {
            self.open_piece(core);
        }
    }

    /// A reply, cut to the packet's allocation length.
    fn reply(&mut self, core: &mut Core, mut data: Vec<u8>, allocated: usize) {
        data.truncate(allocated);
        self.give(core, data);
    }

    /// Asks the host for a parameter list.
    fn take(&mut self, core: &mut Core, len: usize) {
        if len == 0 {
            return self.done(core);
        }
        self.phase = Phase::DataOut;
        core.buf = vec![0; len];
        core.pos = 0;
        if self.by_dma {
            core.tf.count = reason::OUT;
            core.open_dma(Flow::DmaOut);
        } else {
            self.open_piece(core);
        }
    }

    /// One DRQ block of PIO, with its length in the cylinder registers.
    fn open_piece(&mut self, core: &mut Core) {
        let n = (core.buf.len() - core.pos).min(usize::from(self.limit));
        core.tf.set_cylinder(n as u16);
        let (flow, why) = if self.phase == Phase::DataOut {
            (Flow::PioOut, reason::OUT)
        } else {
            (Flow::PioIn, reason::IN)
        };
        core.tf.count = why;
        core.open_block(flow, n);
        core.intrq = true;
    }

    fn done(&mut self, core: &mut Core) {
        self.phase = Phase::Idle;
        self.reading = None;
        core.tf.count = reason::DONE;
        core.succeed();
    }

    fn fail(&mut self, core: &mut Core, sense: Sense) {
        self.phase = Phase::Idle;
        self.reading = None;
        self.sense = sense;
        core.tf.count = reason::DONE;
        core.fail(sense.key << 4 | error::ABRT);
    }

    pub(crate) fn host_done(
        &mut self,
        core: &mut Core,
        _cx: &mut Cx<'_>,
        op: PendingOp,
        result: Result<Vec<u8>, DiskFault>,
    ) {
        match (op, result) {
            (PendingOp::Read { count, .. }, Ok(data)) if data.len() == count as usize * 512 => {
                self.blocks_came(core, data);
            }
            (_, Err(DiskFault::Absent)) => self.fail(core, self.empty()),
            _ => self.fail(core, Sense::UNREADABLE),
        }
    }

    /// IDENTIFY PACKET DEVICE, ATA-4 8.13.
    fn identify(&self) -> Vec<u8> {
        let mut id = Words([0; 256]);
        let w = &mut id.0;
        w[0] = 0x85c0; // packet device, CD-ROM, removable, accelerated DRQ, 12-byte packets
        w[49] = 0x0b00; // IORDY, LBA, DMA
        w[53] = 0x0006; // words 64-70 and 88 are valid
        w[63] = self.dma_mode.multiword_word();
        w[64] = 0x0003;
        w[65] = 0x0078;
        w[66] = 0x0078;
        w[67] = 0x01fc;
        w[68] = 0x00b4;
        w[80] = 0x01f0;
        w[82] = 0x0218; // DEVICE RESET, PACKET, power management
        w[83] = 0x4000;
        w[84] = 0x4000;
        w[85] = 0x0218;
        w[87] = 0x4000;
        w[88] = self.dma_mode.ultra_word();
        id.text(10, 19, &self.serial);
        id.text(23, 26, FIRMWARE);
        id.text(27, 46, MODEL);
        id.bytes()
    }
}
