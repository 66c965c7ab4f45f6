//! Moving heads: SEEK, RELATIVE SEEK, RECALIBRATE, their end, and the interrupt that polling gives after a reset.
//! 82077AA 6.2.

use board::Cx;

use super::drive::{Seek, Target};
use super::regs::st0;
use super::{I82077, SETTLE, STEP, T_POLL};

impl I82077 {
    /// Starts a seek of a unit; its timer ends it.
    pub(super) fn start_seek(&mut self, cx: &mut Cx<'_>, unit: usize, head: u8, to: Target) {
        let d = &mut self.drives[unit];
        d.pending = None;
        d.seek = Some(Seek { to, head });
        let time = u64::from(d.steps(to)) * STEP + SETTLE;
        self.arm(cx, unit, cx.now() + time);
    }

    /// The target of a SEEK to a cylinder, from where the controller thinks that the head is.
    pub(super) fn target(&self, unit: usize, ncn: u8) -> Target {
        let by = i16::from(ncn) - i16::from(self.drives[unit].pcn);
        Target::Steps { by, pcn: ncn }
    }

    pub(super) fn seek_ended(&mut self, cx: &mut Cx<'_>, unit: usize) {
        let Some(d) = self.drives.get_mut(unit) else { return };
        let Some(Seek { to, head }) = d.seek.take() else { return };
        let bad = if d.arrive(to) { 0 } else { st0::ABNORMAL | st0::EQUIPMENT_CHECK };
        d.pending = Some(st0::SEEK_END | bad | head << 2 | unit as u8);
        self.interrupt(cx);
    }

    /// After a reset each of the four drives seems to have become ready.
    pub(super) fn polled(&mut self, cx: &mut Cx<'_>) {
        if self.found_ready() {
            self.interrupt(cx);
        }
    }

    /// False: polling is off.
    fn found_ready(&mut self) -> bool {
        let polls = !self.regs.config.poll();
        for (n, d) in self.drives.iter_mut().enumerate().filter(|(_, d)| polls && d.seek.is_none()) {
            d.pending = Some(st0::POLLED | n as u8);
        }
        polls
    }

    /// SENSE INTERRUPT STATUS: the lowest unit that has something to say.
    pub(super) fn sense_interrupt(&mut self, cx: &mut Cx<'_>) -> Option<[u8; 2]> {
        // Software that does not wait for the interrupt of polling gets its answers all the same.
        if self.regs.due[T_POLL].is_some() {
            self.disarm(cx, T_POLL);
            self.found_ready();
        }
        self.withdraw(cx);
        let d = self.drives.iter_mut().find(|d| d.pending.is_some())?;
        let st0 = d.pending.take()?;
        Some([st0, d.pcn])
    }

    /// Another seek has ended meanwhile: INT comes again once the answer about the last was read.
    pub(super) fn more_seeks(&mut self, cx: &mut Cx<'_>) {
        if self.drives.iter().any(|d| d.pending.is_some_and(|s| s & st0::SEEK_END != 0)) {
            self.interrupt(cx);
        }
    }
}
