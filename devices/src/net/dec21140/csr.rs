//! The CSRs: HRM chapter 3. Reserved bits read as the manual's reset values have them, mostly 1.

use board::{At, Cx, Tick};

use super::descriptor::Process;
use super::regs::{self, BusMode, OpMode, status};
use super::{Dec21140, GENERAL, RECEIVE, STOPPED, TELLS, TRANSMIT};

/// CSR9: the pins of the serial ROM, its select, and those of the PHY.
mod serial {
    pub const CS: u32 = 1;
    pub const SK: u32 = 1 << 1;
    pub const DI: u32 = 1 << 2;
    pub const DO: u32 = 1 << 3;
    pub const SR: u32 = 1 << 11;
    pub const MDC: u32 = 1 << 16;
    pub const MDO: u32 = 1 << 17;
    /// The chip listens.
    pub const MII: u32 = 1 << 18;
    pub const MDI: u32 = 1 << 19;
    pub const WRITABLE: u32 = 0x0007_fc07;
    pub const ONES: u32 = 0xfff0_03f0;
}
pub(super) const CSR9_RESET: u32 = 0x0004_8007;

const CSR8_ONES: u32 = 0xe000_0000;
const CSR10_WRITABLE: u32 = 0x0003_ffff;
const CSR11_ONES: u32 = 0xfffe_0000;
const CSR12_ONES: u32 = 0xffff_fe00;
const CSR13: u32 = 0xffff_0000;
const CSR14: u32 = 0xffff_ffff;
const CSR15_ONES: u32 = 0x8ff0_0000;
/// JBD, HUJ, JCK, RWD and RWR.
const CSR15_WRITABLE: u32 = 0x37;

/// CSR8: frames lost for want of descriptors, and in a full FIFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counters {
    pub(super) missed: u32,
    pub(super) overflowed: u32,
}

impl Counters {
    /// Both stop one above what their field holds: the overflow bit is the next one.
    pub(super) const MISSED_MOST: u32 = 0x1_ffff;
    pub(super) const OVERFLOWED_MOST: u32 = 0xfff;

    pub(super) fn miss(&mut self) {
        self.missed = self.missed + 1 & 0xffff
            | self.missed & 0x1_0000
            | u32::from(self.missed & 0xffff == 0xffff) << 16;
    }

    pub(super) fn overflow(&mut self) {
        let full = self.overflowed & 0x7ff == 0x7ff;
        self.overflowed = self.overflowed + 1 & 0x7ff | self.overflowed & 0x800 | u32::from(full) << 11;
    }

    /// Reading clears.
    fn take(&mut self) -> u32 {
        let Self { missed, overflowed } = std::mem::take(self);
        CSR8_ONES | overflowed << 17 | missed
    }
}

/// CSR11, the general-purpose timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct GeneralTimer {
    pub(super) value: u16,
    /// CON: it begins again at its end.
    pub(super) continuous: bool,
    /// Begin, and the length of one count, while it runs.
    pub(super) runs: Option<(Tick, Tick)>,
}

impl GeneralTimer {
    fn end(&self) -> Option<Tick> {
        self.runs.map(|(from, count)| from + u64::from(self.value) * count)
    }

    fn read(&self, now: Tick) -> u32 {
        let left =
            self.end().zip(self.runs).map_or(0, |(end, (_, count))| end.saturating_sub(now).div_ceil(count));
        CSR11_ONES | u32::from(self.continuous) << 16 | left as u32 & 0xffff
    }

    pub(super) fn arm(&self, cx: &mut Cx<'_>) {
        match self.end() {
            Some(t) => cx.wake_at(GENERAL, t),
            None => cx.cancel(GENERAL),
        }
    }
}

/// One count of CSR11 by the port's clock: serial, MII/SYM at 100 Mb/s, MII at 10 Mb/s.
fn count(mode: OpMode) -> Tick {
    match (mode.ps(), mode.ttm()) {
        (false, _) => 204_800,
        (true, false) => 81_920,
        (true, true) => 819_200,
    }
}

/// CSR12, the general-purpose port: direction (1 = output) and output latch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Gpr {
    pub(super) direction: u8,
    pub(super) out: u8,
}

impl Gpr {
    /// The pin that the serial ROM names as the sense of the link.
    const LINK: u8 = 1 << 6;

    /// Pins without a wire read 0.
    fn read(self, link: bool) -> u32 {
        let inputs = if link { Self::LINK } else { 0 };
        CSR12_ONES | u32::from(self.out & self.direction | inputs & !self.direction)
    }

    /// GPC (bit 8) says which of the two is written.
    fn write(&mut self, v: u32) {
        if v & 0x100 != 0 {
            self.direction = v as u8;
        } else {
            self.out = v as u8;
        }
    }
}

impl Dec21140 {
    /// AIS and NIS: what CSR7 enables of CSR5.
    fn summaries(&self) -> u32 {
        let seen = self.status & self.mask;
        let normal = if seen & status::NORMAL != 0 { status::NIS } else { 0 };
        let abnormal = if seen & status::ABNORMAL != 0 { status::AIS } else { 0 };
        normal | abnormal
    }

    pub(super) fn interrupting(&self) -> bool {
        self.summaries() & self.mask != 0
    }

    fn read_status(&self) -> u32 {
        let rs = match self.rx.process {
            Process::Stopped => 0,
            Process::Running => 3,
            Process::Suspended => 4,
        };
        let ts = match self.tx.process {
            Process::Stopped => 0,
            Process::Running => 1,
            Process::Suspended => 6,
        };
        let error = if self.status & status::FBE != 0 { status::EB_MASTER_ABORT } else { 0 };
        status::ONES | self.status | self.summaries() | rs << 17 | ts << 20 | error
    }

    fn read_op_mode(&self) -> u32 {
        self.op_mode.into_bits() | regs::OP_MODE_ONES | self.filter.kind.shown()
    }

    fn read_serial(&self) -> u32 {
        let bit = |on: bool, bit: u32| if on { bit } else { 0 };
        serial::ONES | self.csr9 | bit(self.srom.data_out, serial::DO) | bit(self.mii.mdi, serial::MDI)
    }

    fn write_serial(&mut self, v: u32) {
        self.csr9 = v & serial::WRITABLE;
        let has = |bit: u32| v & bit != 0;
        self.srom.drive(has(serial::SR) && has(serial::CS), has(serial::SK), has(serial::DI));
        let mdio = (!has(serial::MII)).then_some(has(serial::MDO));
        self.mii.drive(has(serial::MDC), mdio, self.port.link());
    }

    /// A whole register; accesses of less than a longword get their part of it.
    pub(super) fn read_csr(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        if at.off & 4 != 0 {
            return cx.open_bus(at);
        }
        let v = match at.off >> 3 {
            0 => self.bus_mode.into_bits() | regs::BUS_MODE_ONES,
            1 | 2 => u32::MAX,
            3 => self.rx.base,
            4 => self.tx.base,
            5 => self.read_status(),
            6 => self.read_op_mode(),
            7 => self.mask | status::MASK_ONES,
            8 => self.counters.take(),
            9 => self.read_serial(),
            10 => self.csr10 | !CSR10_WRITABLE,
            11 => self.general.read(cx.now()),
            12 => self.gpr.read(self.port.link()),
            13 => CSR13,
            14 => CSR14,
            _ => self.csr15 | CSR15_ONES,
        };
        v >> (8 * (at.off & 3))
    }

    /// What a register holds of its own, for writes of a part of it.
    fn held(&self, csr: u32) -> u32 {
        match csr {
            0 => self.bus_mode.into_bits(),
            3 => self.rx.base,
            4 => self.tx.base,
            6 => self.op_mode.into_bits(),
            7 => self.mask,
            9 => self.csr9,
            10 => self.csr10,
            15 => self.csr15,
            // Ones that clear, demands, and registers whose parts mean something else each.
            _ => 0,
        }
    }

    pub(super) fn write_csr(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        if at.off & 4 != 0 {
            cx.open_bus(at);
            return;
        }
        let (csr, shift) = (at.off >> 3, 8 * (at.off & 3));
        let v = self.held(csr) & !(at.width.ones() << shift) | v << shift;
        match csr {
            0 => self.write_bus_mode(cx, v),
            1 => self.demand(cx),
            2 => self.receive_demand(cx),
            3 => self.rx.set_base(v),
            4 => self.tx.set_base(v),
            5 => self.write_status(cx, v),
            6 => self.write_op_mode(cx, v),
            7 => self.mask = v & (status::ALL | status::AIS | status::NIS),
            9 => self.write_serial(v),
            10 => self.csr10 = v & CSR10_WRITABLE,
            11 => {
                self.general.value = v as u16;
                self.general.continuous = v & 0x1_0000 != 0;
                self.general.runs = (v as u16 != 0).then(|| (cx.now(), count(self.op_mode)));
                self.general.arm(cx);
            }
            12 => self.gpr.write(v),
            15 => self.csr15 = v & CSR15_WRITABLE,
            // CSR8 is read only; CSR13 and CSR14 are other chips'.
            _ => {
                cx.open_bus(at);
            }
        }
    }

    fn write_bus_mode(&mut self, cx: &mut Cx<'_>, v: u32) {
        if BusMode::from_bits(v).swr() {
            self.software_reset(cx);
        } else {
            self.bus_mode = BusMode::from_bits(v & regs::BUS_MODE_WRITABLE);
        }
    }

    fn write_status(&mut self, cx: &mut Cx<'_>, v: u32) {
        self.status &= !v;
        // Who clears RU or RI has often made room, and not every driver says so by CSR2.
        if !self.fifo.is_empty() && v & (status::RU | status::RI) != 0 {
            self.receive(cx);
        }
    }

    fn receive_demand(&mut self, cx: &mut Cx<'_>) {
        if self.rx.process == Process::Suspended && self.may_master() && self.look_ahead(cx).is_err() {
            self.bus_error();
        }
        self.receive(cx);
    }

    /// Starts and stops both processes; between two frames, where they always are.
    fn write_op_mode(&mut self, cx: &mut Cx<'_>, v: u32) {
        self.op_mode = OpMode::from_bits(v & regs::OP_MODE_WRITABLE);
        if !self.op_mode.st() && !self.tx.stopped() {
            self.tx.process = Process::Stopped;
            self.stopping |= status::TPS;
            cx.cancel(TRANSMIT);
        }
        if !self.op_mode.sr() && !self.rx.stopped() {
            self.rx.process = Process::Stopped;
            self.stopping |= status::RPS;
            cx.cancel(RECEIVE);
        }
        if self.stopping != 0 {
            cx.wake_at(STOPPED, cx.now() + TELLS);
        }
        if self.aborted {
            return;
        }
        // The receiver first: what is sent may come back in loopback.
        if self.op_mode.sr() && self.rx.stopped() {
            self.rx.process = Process::Running;
            if self.may_master() && self.look_ahead(cx).is_err() {
                self.bus_error();
            }
            self.receive(cx);
        }
        if self.op_mode.st() && self.tx.stopped() && !self.aborted {
            self.tx.process = Process::Running;
            self.transmit(cx, true);
        }
    }

    /// CSR11 came to its end. Late, it has to come to those that it missed, too: they are one interrupt.
    pub(super) fn general_timer(&mut self, cx: &mut Cx<'_>) {
        let Some(end) = self.general.end().filter(|&t| t <= cx.now()) else { return };
        self.status |= status::GTE;
        self.general.runs = match self.general.runs {
            Some((_, count)) if self.general.continuous => {
                let round = u64::from(self.general.value) * count;
                Some((end + (cx.now() - end) / round * round, count))
            }
            _ => None,
        };
        self.general.arm(cx);
    }
}
