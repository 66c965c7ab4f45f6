//! Command bytes, commands that move no data, and result bytes. 82077AA section 5.0, tables 5-1 to 5-3.

use board::Cx;

use super::drive::Target;
use super::regs::{Config, Op, op, st0, st3};
use super::{I82077, Phase, UNITS};

/// The 82077AA and its successors.
const VERSION: u8 = 0x90;
/// 82078, as on Virtual PC.
const PART_ID: u8 = 0x01;
const UNKNOWN: &[u8] = &[st0::INVALID];
/// Last byte of DRIVE SPECIFICATION, and in it: no result bytes.
const SPEC_DONE: u8 = 0x80;
const SPEC_SILENT: u8 = 0x40;

/// Bytes of a command with its first; `None`: there is no such command. DRIVE SPECIFICATION ends by itself earlier.
fn length(first: u8) -> Option<usize> {
    if let Some(o) = Op::decode(first) {
        return Some(match o {
            Op::ReadId => 2,
            Op::Format => 6,
            _ => 9,
        });
    }
    Some(match first {
        op::SENSE_INTERRUPT | op::DUMPREG | op::VERSION | op::UNLOCK | op::PART_ID | op::SAVE | op::LOCK => 1,
        op::SENSE_DRIVE | op::RECALIBRATE | op::PERPENDICULAR | op::POWERDOWN | op::OPTION => 2,
        op::SPECIFY | op::SEEK | op::SEEK_OUT | op::SEEK_IN => 3,
        op::CONFIGURE => 4,
        op::DRIVE_SPEC => 6,
        op::RESTORE => 17,
        _ => return None,
    })
}

impl I82077 {
    pub(super) fn command_byte(&mut self, cx: &mut Cx<'_>, v: u8) {
        self.regs.command.push(v);
        let bytes = &self.regs.command;
        let Some(want) = length(bytes[0]) else {
            self.seen.commands += 1;
            return self.results(UNKNOWN);
        };
        let ended = bytes.len() > 1 && bytes[0] == op::DRIVE_SPEC && v & SPEC_DONE != 0;
        if bytes.len() >= want || ended {
            self.seen.commands += 1;
            let all = std::mem::take(&mut self.regs.command);
            self.execute(cx, &all);
        }
    }

    fn execute(&mut self, cx: &mut Cx<'_>, c: &[u8]) {
        if let Some(o) = Op::decode(c[0]) {
            return self.begin(cx, o, c);
        }
        let unit = c.get(1).map_or(0, |v| usize::from(v & 3));
        let head = c.get(1).map_or(0, |v| v >> 2 & 1);
        match c[0] {
            op::SPECIFY => self.regs.specify = [c[1], c[2]],
            op::SENSE_DRIVE => self.results(&[self.st3(unit, head)]),
            op::RECALIBRATE => self.start_seek(cx, unit, 0, Target::Track0),
            op::SENSE_INTERRUPT => match self.sense_interrupt(cx) {
                Some(r) => self.results(&r),
                None => self.results(UNKNOWN),
            },
            op::SEEK => self.start_seek(cx, unit, head, self.target(unit, c[2])),
            op::SEEK_OUT | op::SEEK_IN => {
                let by = if c[0] == op::SEEK_IN { i16::from(c[2]) } else { -i16::from(c[2]) };
                let pcn = self.drives[unit].pcn.wrapping_add(by as u8);
                self.start_seek(cx, unit, head, Target::Steps { by, pcn });
            }
            op::DUMPREG => self.dump(),
            op::VERSION => self.results(&[VERSION]),
            op::PART_ID => self.results(&[PART_ID]),
            op::PERPENDICULAR => self.perpendicular(c[1]),
            op::CONFIGURE => (self.regs.config, self.regs.pretrk) = (Config::from_bits(c[2] & 0x7f), c[3]),
            op::LOCK | op::UNLOCK => {
                self.regs.lock = c[0] == op::LOCK;
                self.results(&[u8::from(self.regs.lock) << 4]);
            }
            op::POWERDOWN => {
                self.regs.powerdown = c[1];
                self.results(&[c[1]]);
            }
            op::OPTION => {
                self.regs.option = c[1];
                self.results(&[c[1]]);
            }
            op::SAVE => self.save_registers(),
            op::RESTORE => self.restore_registers(&c[1..]),
            op::DRIVE_SPEC => self.drive_spec(&c[1..]),
            _ => {}
        }
    }

    fn st3(&self, unit: usize, head: u8) -> u8 {
        let d = &self.drives[unit];
        let wp = if d.write_protected() { st3::WRITE_PROTECT } else { 0 };
        let t0 = if d.at_track0() { st3::TRACK0 } else { 0 };
        st3::ONES | wp | t0 | head << 2 | unit as u8
    }

    /// OW lets the drive bits be written. 82077AA 6.6.
    fn perpendicular(&mut self, v: u8) {
        let p = &mut self.regs.perpendicular;
        *p = if v & 0x80 != 0 { v & 0x3f } else { *p & 0x3c | v & 3 };
    }

    fn pcns(&self) -> [u8; UNITS] {
        self.drives.map(|d| d.pcn)
    }

    fn dump(&mut self) {
        let r = &self.regs;
        let [a, b, c, d] = self.pcns();
        let lock = u8::from(r.lock) << 7 | r.perpendicular;
        let all = [a, b, c, d, r.specify[0], r.specify[1], r.eot, lock, r.config.into_bits(), r.pretrk];
        self.results(&all);
    }

    /// 82078 section 6.4, SAVE.
    fn save_registers(&mut self) {
        let r = &self.regs;
        let [a, b, c, d] = self.pcns();
        let lock = u8::from(r.lock) << 7 | r.perpendicular;
        let config = r.config.into_bits();
        let [srt, hlt] = r.specify;
        let all = [
            r.dsr >> 2 & 7,
            r.option,
            a,
            b,
            c,
            d,
            srt,
            hlt,
            r.eot,
            lock,
            config,
            r.pretrk,
            r.powerdown,
            0,
            0,
            0,
        ];
        self.results(&all);
    }

    fn restore_registers(&mut self, v: &[u8]) {
        let [_, option, a, b, c, d, srt, hlt, eot, lock, config, pretrk, powerdown, ..] = *v else { return };
        for (drive, pcn) in self.drives.iter_mut().zip([a, b, c, d]) {
            drive.pcn = pcn;
        }
        let r = &mut self.regs;
        (r.option, r.specify, r.eot, r.pretrk, r.powerdown) = (option, [srt, hlt], eot, pretrk, powerdown);
        (r.lock, r.perpendicular, r.config) =
            (lock & 0x80 != 0, lock & 0x3f, Config::from_bits(config & 0x7f));
    }

    /// 82078 section 6.4: a byte for each drive (number in bits 6:5), then one that ends it.
    fn drive_spec(&mut self, v: &[u8]) {
        let mut silent = false;
        for &b in v {
            if b & SPEC_DONE != 0 {
                silent = b & SPEC_SILENT != 0;
                break;
            }
            self.regs.drive_spec[usize::from(b >> 5 & 3)] = b & 0x1f;
        }
        if !silent {
            let all = self.regs.drive_spec;
            self.results(&all);
        }
    }

    /// The result phase begins.
    pub(super) fn results(&mut self, bytes: &[u8]) {
        let r = &mut self.regs;
        r.phase = Phase::Result;
        r.command.clear();
        r.result.clear();
        r.result.extend_from_slice(bytes);
        r.taken = 0;
    }

    /// The first byte read of a data command's result takes INT back.
    pub(super) fn read_result(&mut self, cx: &mut Cx<'_>) {
        self.withdraw(cx);
        let r = &mut self.regs;
        if let Some(v) = r.result.get(r.taken) {
            r.last = *v;
            r.taken += 1;
        }
        if r.taken >= r.result.len() {
            r.phase = Phase::Command;
            r.result.clear();
            r.taken = 0;
            self.more_seeks(cx);
        }
    }
}
