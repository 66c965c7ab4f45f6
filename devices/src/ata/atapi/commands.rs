//! The packet commands.

use board::Cx;

use super::media::Event;
use super::read::{Fields, Reading};
use super::sense::Sense;
use super::{CdRom, replies};
use crate::ata::task_file::Core;

/// Operation codes. SFF-8020i table 51, INF-8090 table 220.
mod op {
    pub(super) const TEST_UNIT_READY: u8 = 0x00;
    pub(super) const REQUEST_SENSE: u8 = 0x03;
    pub(super) const INQUIRY: u8 = 0x12;
    pub(super) const MODE_SELECT_6: u8 = 0x15;
    pub(super) const MODE_SENSE_6: u8 = 0x1a;
    pub(super) const START_STOP_UNIT: u8 = 0x1b;
    pub(super) const PREVENT_ALLOW: u8 = 0x1e;
    pub(super) const READ_FORMAT_CAPACITIES: u8 = 0x23;
    pub(super) const READ_CAPACITY: u8 = 0x25;
    pub(super) const READ_10: u8 = 0x28;
    pub(super) const SEEK: u8 = 0x2b;
    pub(super) const READ_SUBCHANNEL: u8 = 0x42;
    pub(super) const READ_TOC: u8 = 0x43;
    pub(super) const READ_HEADER: u8 = 0x44;
    pub(super) const PLAY_AUDIO_10: u8 = 0x45;
    pub(super) const GET_CONFIGURATION: u8 = 0x46;
    pub(super) const PLAY_AUDIO_MSF: u8 = 0x47;
    pub(super) const PLAY_AUDIO_TRACK: u8 = 0x48;
    pub(super) const GET_EVENT_STATUS: u8 = 0x4a;
    pub(super) const PAUSE_RESUME: u8 = 0x4b;
    pub(super) const STOP_PLAY: u8 = 0x4e;
    pub(super) const READ_DISC_INFORMATION: u8 = 0x51;
    pub(super) const READ_TRACK_INFORMATION: u8 = 0x52;
    pub(super) const MODE_SELECT_10: u8 = 0x55;
    pub(super) const MODE_SENSE_10: u8 = 0x5a;
    pub(super) const REPORT_KEY: u8 = 0xa4;
    pub(super) const PLAY_AUDIO_12: u8 = 0xa5;
    pub(super) const READ_12: u8 = 0xa8;
    pub(super) const READ_DVD_STRUCTURE: u8 = 0xad;
    pub(super) const READ_CD_MSF: u8 = 0xb9;
    pub(super) const SET_CD_SPEED: u8 = 0xbb;
    pub(super) const MECHANISM_STATUS: u8 = 0xbd;
    pub(super) const READ_CD: u8 = 0xbe;
}

fn be16(b: &[u8]) -> usize {
    usize::from(b[0]) << 8 | usize::from(b[1])
}

fn be32(b: &[u8]) -> u32 {
    u32::from_be_bytes([b[0], b[1], b[2], b[3]])
}

/// Minute, second, frame to block. The first two seconds lie before block 0.
fn block_of(msf: &[u8]) -> Option<u32> {
    let frames = (u32::from(msf[0]) * 60 + u32::from(msf[1])) * 75 + u32::from(msf[2]);
    frames.checked_sub(150)
}

impl CdRom {
    /// Runs the packet in `cdb`.
    pub(super) fn execute(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        let cdb = self.cdb;
        // These run whatever is pending, and leave it pending.
        match cdb[0] {
            op::REQUEST_SENSE => {
                let b = std::mem::take(&mut self.sense).bytes();
                return self.reply(core, b, usize::from(cdb[4]));
            }
            op::INQUIRY => return self.inquiry(core),
            op::GET_CONFIGURATION => return self.get_configuration(core),
            op::GET_EVENT_STATUS => return self.get_event_status(core),
            _ => {}
        }
        self.sense = Sense::NONE;
        if let Some(sense) = self.attention() {
            return self.fail(core, sense);
        }
        match cdb[0] {
            op::MODE_SENSE_6 => self.mode_sense(core, 4, usize::from(cdb[4])),
            op::MODE_SENSE_10 => self.mode_sense(core, 8, be16(&cdb[7..9])),
            op::MODE_SELECT_6 => self.mode_select(core, usize::from(cdb[4])),
            op::MODE_SELECT_10 => self.mode_select(core, be16(&cdb[7..9])),
            op::START_STOP_UNIT => self.start_stop(core, cx),
            op::PREVENT_ALLOW => {
                self.locked = cdb[4] & 1 != 0;
                self.done(core);
            }
            op::SET_CD_SPEED | op::STOP_PLAY => self.done(core),
            op::PAUSE_RESUME => self.fail(core, Sense::SEQUENCE),
            op::MECHANISM_STATUS => {
                self.reply(core, replies::mechanism_status(self.tray_open), be16(&cdb[8..10]));
            }
            op::REPORT_KEY => match cdb[10] & 0x3f {
                // RPC state: no region set, none enforced.
                8 => self.reply(core, vec![0, 6, 0, 0, 0x25, 0xff, 0, 0], be16(&cdb[8..10])),
                _ => self.fail(core, Sense::BAD_FIELD),
            },
            op::READ_FORMAT_CAPACITIES => {
                let b = replies::format_capacities(self.blocks());
                self.reply(core, b, be16(&cdb[7..9]));
            }
            _ => match self.blocks() {
                Some(blocks) => self.execute_on_medium(core, cx, blocks),
                None if needs_medium(cdb[0]) => {
                    self.empty_told = true;
                    self.fail(core, self.empty());
                }
                None => self.fail(core, Sense::BAD_OPCODE),
            },
        }
    }

    /// Commands that need a disc.
    fn execute_on_medium(&mut self, core: &mut Core, cx: &mut Cx<'_>, blocks: u32) {
        let cdb = self.cdb;
        let msf = cdb[1] & 2 != 0;
        let len = be16(&cdb[7..9]);
        match cdb[0] {
            op::TEST_UNIT_READY => self.done(core),
            op::READ_CAPACITY => {
                let mut b = blocks.saturating_sub(1).to_be_bytes().to_vec();
                b.extend(2048_u32.to_be_bytes());
                self.give(core, b);
            }
            op::READ_10 => self.read(core, cx, be32(&cdb[2..6]), len as u32, Fields::USER),
            op::READ_12 => self.read(core, cx, be32(&cdb[2..6]), be32(&cdb[6..10]), Fields::USER),
            op::READ_CD => {
                let count = u32::from(cdb[6]) << 16 | be16(&cdb[7..9]) as u32;
                self.read_cd(core, cx, Some((be32(&cdb[2..6]), count)));
            }
            op::READ_CD_MSF => {
                let span = block_of(&cdb[3..6]).zip(block_of(&cdb[6..9]));
                self.read_cd(core, cx, span.and_then(|(a, z)| Some((a, z.checked_sub(a)?))));
            }
            op::SEEK if be32(&cdb[2..6]) < blocks => self.done(core),
            op::SEEK => self.fail(core, Sense::OUT_OF_RANGE),
            op::READ_SUBCHANNEL => match replies::subchannel(cdb[2] & 0x40 != 0, cdb[3], msf) {
                Some(b) => self.reply(core, b, len),
                None => self.fail(core, Sense::BAD_FIELD),
            },
            op::READ_TOC => {
                // SFF-8020i has the format in the last byte's high bits, MMC in byte 2.
                let format = if cdb[2] & 15 != 0 { cdb[2] & 15 } else { cdb[9] >> 6 };
                match replies::toc(format, cdb[6], msf, blocks) {
                    Some(b) => self.reply(core, b, len),
                    None => self.fail(core, Sense::BAD_FIELD),
                }
            }
            op::READ_HEADER => {
                let lba = be32(&cdb[2..6]);
                if lba >= blocks {
                    return self.fail(core, Sense::OUT_OF_RANGE);
                }
                let mut b = vec![1, 0, 0, 0];
                b.extend(replies::address(lba, msf));
                self.reply(core, b, len);
            }
            op::READ_DISC_INFORMATION => self.reply(core, replies::disc_information(), len),
            op::READ_TRACK_INFORMATION => match replies::track_information(&cdb, blocks) {
                Some(b) => self.reply(core, b, len),
                None => self.fail(core, Sense::BAD_FIELD),
            },
            op::READ_DVD_STRUCTURE => {
                if !replies::is_dvd(blocks) {
                    return self.fail(core, Sense::INCOMPATIBLE);
                }
                match replies::dvd_structure(cdb[7], cdb[6], blocks) {
                    Some(b) => self.reply(core, b, be16(&cdb[8..10])),
                    None => self.fail(core, Sense::BAD_FIELD),
                }
            }
            // There is only a data track.
            op::PLAY_AUDIO_10 | op::PLAY_AUDIO_12 | op::PLAY_AUDIO_MSF | op::PLAY_AUDIO_TRACK => {
                self.fail(core, Sense::WRONG_TRACK);
            }
            _ => self.fail(core, Sense::BAD_OPCODE),
        }
    }

    fn inquiry(&mut self, core: &mut Core) {
        // EVPD, page code.
        if self.cdb[1] & 1 != 0 || self.cdb[2] != 0 {
            return self.fail(core, Sense::BAD_FIELD);
        }
        self.reply(core, replies::inquiry(), usize::from(self.cdb[4]));
    }

    fn get_configuration(&mut self, core: &mut Core) {
        let (how, first) = (self.cdb[1] & 3, be16(&self.cdb[2..4]) as u16);
        if how == 3 {
            return self.fail(core, Sense::BAD_FIELD);
        }
        let b = replies::configuration(how, first, self.blocks());
        self.reply(core, b, be16(&self.cdb[7..9]));
    }

    /// GET EVENT/STATUS NOTIFICATION: media events, polled only. INF-8090 13.9.
    fn get_event_status(&mut self, core: &mut Core) {
        const MEDIA: u8 = 0x10;
        if self.cdb[1] & 1 == 0 {
            return self.fail(core, Sense::BAD_FIELD);
        }
        let len = be16(&self.cdb[7..9]);
        if self.cdb[4] & MEDIA == 0 {
            // NEA: none of the classes asked for is supported.
            return self.reply(core, vec![0, 2, 0x80, MEDIA], len);
        }
        let event = match self.event {
            Event::None => 0,
            Event::EjectRequest => 1,
            Event::NewMedia => 2,
            Event::Removal => 3,
        };
        // An event is told once; a reply too short for it tells nothing.
        if len > 4 {
            self.event = Event::None;
        }
        let status = u8::from(self.tray_open) | u8::from(self.media.is_some()) << 1;
        self.reply(core, vec![0, 6, 4, MEDIA, event, status, 0, 0], len);
    }

    fn start_stop(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        match self.cdb[4] & 3 {
            // LoEj without Start: eject.
            2 if self.locked => self.fail(core, Sense::LOCKED),
            2 => {
                self.open_tray();
                core.eject(cx);
                // The guest knows, it asked for it.
                self.empty_told = true;
                self.event = Event::None;
                self.done(core);
            }
            // LoEj and Start: load.
            3 => {
                self.tray_open = false;
                self.done(core);
            }
            _ => self.done(core),
        }
    }

    /// MODE SENSE; `header` 4 or 8 bytes. No block descriptors.
    fn mode_sense(&mut self, core: &mut Core, header: usize, len: usize) {
        let (control, page) = (self.cdb[2] >> 6, self.cdb[2] & 0x3f);
        if control == 3 {
            return self.fail(core, Sense::NO_SAVED_PAGES);
        }
        let settings = replies::Settings {
            recovery: self.recovery,
            volume: self.volume,
            locked: self.locked,
            changeable: control == 1,
            default: control == 2,
        };
        let Some(pages) = replies::mode_pages(page, &settings) else {
            return self.fail(core, Sense::BAD_FIELD);
        };
        // Medium type: door open, no disc, data disc of 120 mm.
        let medium = match self.media {
            _ if self.tray_open => 0x71,
            None => 0x70,
            Some(_) => 0x01,
        };
        let mut b = vec![0; header];
        let total = header + pages.len();
        if header == 4 {
            b[0] = (total - 1) as u8;
            b[1] = medium;
        } else {
            b[1] = (total - 2) as u8;
            b[2] = medium;
        }
        b.extend(pages);
        self.reply(core, b, len);
    }

    fn mode_select(&mut self, core: &mut Core, len: usize) {
        // SP: there is nowhere to save pages.
        if self.cdb[1] & 1 != 0 {
            return self.fail(core, Sense::BAD_FIELD);
        }
        self.take(core, len);
    }

    /// The parameter list of MODE SELECT.
    pub(super) fn parameters_came(&mut self, core: &mut Core) {
        let list = std::mem::take(&mut core.buf);
        let header = if self.cdb[0] == op::MODE_SELECT_6 { 4 } else { 8 };
        if list.len() < header {
            return self.fail(core, Sense::LIST_LENGTH);
        }
        let descriptors = if header == 4 { usize::from(list[3]) } else { be16(&list[6..8]) };
        let mut at = header + descriptors;
        let (mut recovery, mut volume) = (self.recovery, self.volume);
        while at < list.len() {
            let Some((&[page, n], _)) = list[at..].split_first_chunk::<2>() else {
                return self.fail(core, Sense::LIST_LENGTH);
            };
            let Some(body) = list.get(at + 2..at + 2 + usize::from(n)) else {
                return self.fail(core, Sense::LIST_LENGTH);
            };
            match (page & 0x3f, body) {
                (0x01, [how, retries, ..]) => recovery = [*how, *retries],
                (0x0e, [_, _, _, _, _, _, ports @ ..]) if ports.len() == 8 => volume.copy_from_slice(ports),
                _ => return self.fail(core, Sense::BAD_PARAMETER),
            }
            at += 2 + usize::from(n);
        }
        (self.recovery, self.volume) = (recovery, volume);
        self.done(core);
    }

    /// READ CD and READ CD MSF. INF-8090 13.17.
    fn read_cd(&mut self, core: &mut Core, cx: &mut Cx<'_>, span: Option<(u32, u32)>) {
        let cdb = self.cdb;
        let Some((first, count)) = span else { return self.fail(core, Sense::BAD_FIELD) };
        // Neither C2 pointers nor sub-channels.
        if cdb[9] & 0x06 != 0 || cdb[10] & 7 != 0 {
            return self.fail(core, Sense::BAD_FIELD);
        }
        // Any sector, or mode 1; ours are mode 1.
        if !matches!(cdb[1] >> 2 & 7, 0 | 2) {
            return self.fail(core, Sense::WRONG_TRACK);
        }
        self.read(core, cx, first, count, Fields(cdb[9] & 0xf8));
    }

    fn read(&mut self, core: &mut Core, cx: &mut Cx<'_>, first: u32, count: u32, fields: Fields) {
        let blocks = self.blocks().unwrap_or(0);
        if first > blocks || count > blocks - first {
            return self.fail(core, Sense::OUT_OF_RANGE);
        }
        if count == 0 || fields.len() == 0 {
            return self.done(core);
        }
        self.reading = Some(Reading { next: first, left: count, fields });
        self.read_more(core, cx);
    }
}

/// Is it a command that an empty drive refuses for being empty, and not for being unknown?
fn needs_medium(code: u8) -> bool {
    matches!(
        code,
        op::TEST_UNIT_READY
            | op::READ_CAPACITY
            | op::READ_10
            | op::READ_12
            | op::READ_CD
            | op::READ_CD_MSF
            | op::SEEK
            | op::READ_SUBCHANNEL
            | op::READ_TOC
            | op::READ_HEADER
            | op::READ_DISC_INFORMATION
            | op::READ_TRACK_INFORMATION
            | op::READ_DVD_STRUCTURE
            | op::PLAY_AUDIO_10
            | op::PLAY_AUDIO_12
            | op::PLAY_AUDIO_MSF
            | op::PLAY_AUDIO_TRACK
    )
}
