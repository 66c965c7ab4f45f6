//! The standard parallel port (SPP) behind LPT1, as Virtual PC has it: no byte mode, no EPP, no ECP.
//!
//! Window: [`LPT`], 3 ports: data, status, control. The STROBE bit's rising edge hands the data latch to the
//! [`ParallelPort`]; BUSY and then ACK# answer in guest time, and the end of ACK# raises the interrupt if control lets it.
//!
//! Not emulated: the direction bit (reading gives the latch, so software finds no PS/2 port), a printer's paper and
//! errors: what is connected is always ready.
//!
//! Page: docs/devices/lpt.md. Source: IEEE 1284-1994, compatibility mode; IBM PC/AT Technical Reference, parallel port.

mod state;
#[cfg(test)]
mod tests;

use board::{
    At, Cx, Device, Line, MICROSECOND, ParallelPort, Reset, StateError, StateIn, StateOut, Tick, TimerId,
    Width, Win, WinSpec,
};

pub const LPT: Win = Win(0);

const WINDOWS: &[WinSpec] = &[WinSpec::pio(LPT, 3, Width::B)];

/// Status: NOT BUSY, ACK#, PE, SELECT, ERROR#; the rest read as ones.
const NOT_BUSY: u8 = 0x80;
const NACK: u8 = 0x40;
/// A printer that is ready: selected, with paper.
const READY: u8 = 0xdf;
/// Nobody there: the inputs are pulled up, and BUSY is inverted.
const OPEN: u8 = 0x7f;

/// Control: STROBE 0, AUTO FEED 1, INIT# 2, SELECT IN 3, interrupt enable 4.
const STROBE: u8 = 0x01;
const IRQ_ENABLE: u8 = 0x10;
const CONTROL: u8 = 0x1f;
const CONTROL_ONES: u8 = 0xc0;

/// From the strobe to ACK#, and how long that lasts.
const BUSY_TIME: Tick = 2 * MICROSECOND;
const ACK_TIME: Tick = MICROSECOND;
const HANDSHAKE: TimerId = TimerId(0);

/// How far the printer has come with a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Printer {
    Ready,
    /// BUSY until then.
    Busy(Tick),
    /// ACK# until then.
    Ack(Tick),
}

pub struct Lpt {
    irq: Line,
    port: Option<Box<dyn ParallelPort>>,
    data: u8,
    control: u8,
    printer: Printer,
    /// The interrupt that status was not read after.
    pending: bool,
    bytes: u64,
}

impl Lpt {
    /// With what is plugged in.
    pub fn new(irq: Line, port: Option<Box<dyn ParallelPort>>) -> Self {
        Self { irq, port, data: 0, control: 0, printer: Printer::Ready, pending: false, bytes: 0 }
    }

    fn status(&self) -> u8 {
        match self.printer {
            _ if self.port.is_none() => OPEN,
            Printer::Ready => READY,
            Printer::Busy(_) => READY & !NOT_BUSY,
            Printer::Ack(_) => READY & !(NOT_BUSY | NACK),
        }
    }

    fn drive_line(&self, cx: &mut Cx<'_>) {
        cx.lines.set(self.irq, self.pending && self.control & IRQ_ENABLE != 0);
    }

    fn write_control(&mut self, cx: &mut Cx<'_>, v: u8) {
        let strobed = v & !self.control & STROBE != 0;
        self.control = v & CONTROL;
        if v & IRQ_ENABLE == 0 {
            self.pending = false;
        }
        if strobed
            && self.printer == Printer::Ready
            && let Some(port) = &mut self.port
        {
            port.strobe(self.data);
            self.bytes += 1;
            self.pending = false;
            let end = cx.now() + BUSY_TIME;
            self.printer = Printer::Busy(end);
            cx.wake_at(HANDSHAKE, end);
        }
        self.drive_line(cx);
    }
}

impl Device for Lpt {
    fn name(&self) -> &'static str {
        "lpt1"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _kind: Reset) {
        (self.data, self.control, self.printer, self.pending) = (0, 0, Printer::Ready, false);
        cx.cancel(HANDSHAKE);
        self.drive_line(cx);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        u32::from(match at.off {
            0 => self.data,
            1 => {
                let v = self.status();
                self.pending = false;
                self.drive_line(cx);
                v
            }
            _ => CONTROL_ONES | self.control,
        })
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        match at.off {
            0 => self.data = v as u8,
            // Status is the printer's.
            1 => {}
            _ => self.write_control(cx, v as u8),
        }
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _id: TimerId) {
        match self.printer {
            Printer::Ready => {}
            Printer::Busy(_) => {
                let end = cx.now() + ACK_TIME;
                self.printer = Printer::Ack(end);
                cx.wake_at(HANDSHAKE, end);
            }
            Printer::Ack(_) => {
                self.printer = Printer::Ready;
                self.pending = self.control & IRQ_ENABLE != 0;
                self.drive_line(cx);
            }
        }
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        match self.printer {
            Printer::Ready => cx.cancel(HANDSHAKE),
            Printer::Busy(end) | Printer::Ack(end) => cx.wake_at(HANDSHAKE, end),
        }
        self.drive_line(cx);
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![("bytes", self.bytes)]
    }
}
