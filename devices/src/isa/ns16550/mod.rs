//! The PC16550D UART behind a COM port.
//!
//! Window: [`UART`] (8 ports). Registers: `regs.rs`. FIFOs of 16 with trigger levels and the character timeout, line and
//! modem status with their interrupts, loopback with the modem bits crossed, break, divisor latch.
//! Interrupt: the request wire is up while an enabled source waits and OUT2 lets it through (the PC's gate; in loopback
//! OUT2's pin is off).
//!
//! Speed: a byte leaves at once, so THR is empty again when the write returns, and THRE interrupts come as fast as the
//! guest serves them; [`Ns16550::paced`] keeps the line's bit rate instead. Bytes from outside wait until the receiver
//! has room: they never overrun it. CTS, DSR and DCD are on while somebody is at the other end.
//!
//! Not emulated: parity and framing errors of the line (it has none; break comes only by loopback), DMA pins, OUT1.
//!
//! Page: docs/devices/ns16550.md. Source: National PC16550D datasheet (TL/C/8652).

mod regs;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use board::{
    At, Cx, Device, HostEvent, Line, Reset, SECOND, SerialPort, StateError, StateIn, StateOut, Tick, TimerId,
    Width, Win, WinSpec,
};

use regs::{
    Fcr, IIR_DATA, IIR_FIFOS, IIR_LINE, IIR_MODEM, IIR_NONE, IIR_THRE, IIR_TIMEOUT, Ier, Lcr, Lsr, Mcr, Msr,
};

pub const UART: Win = Win(0);

const WINDOWS: &[WinSpec] = &[WinSpec::pio(UART, 8, Width::B)];

/// Nothing happened to the receiver for four characters.
const TIMEOUT: TimerId = TimerId(0);
/// The shift register is empty.
const SHIFTED: TimerId = TimerId(1);

const FIFO: usize = 16;
/// The bit clock: 1.8432 MHz / 16.
const BIT_HZ: u64 = 115_200;
/// What arrives while the guest does not read, and then no more.
const MOST_INCOMING: usize = 64 << 10;

pub struct Ns16550 {
    name: &'static str,
    irq: Line,
    port: Box<dyn SerialPort>,
    paced: bool,
    /// From outside, not yet received.
    incoming: VecDeque<u8>,
    regs: Regs,
    seen: Counters,
}

#[derive(Clone)]
struct Regs {
    ier: Ier,
    fcr: Fcr,
    lcr: Lcr,
    mcr: Mcr,
    /// BI, FE and PE of the character on top, and OE.
    errors: Lsr,
    msr: Msr,
    scr: u8,
    divisor: u16,
    /// Received: character and its error bits.
    rx: VecDeque<(u8, u8)>,
    /// RBR when nothing is there.
    last: u8,
    tx: VecDeque<u8>,
    /// Being sent, and when it is out.
    shift: Option<(u8, Tick)>,
    /// The THRE interrupt waits.
    thre: bool,
    /// The character timeout interrupt waits, or when it will.
    timed_out: bool,
    timeout_at: Option<Tick>,
}

impl Default for Regs {
    fn default() -> Self {
        Self {
            ier: Ier::new(),
            fcr: Fcr::new(),
            lcr: Lcr::new(),
            mcr: Mcr::new(),
            errors: Lsr::new(),
            msr: Msr::new(),
            scr: 0,
            divisor: 12,
            rx: VecDeque::new(),
            last: 0,
            tx: VecDeque::new(),
            shift: None,
            thre: false,
            timed_out: false,
            timeout_at: None,
        }
    }
}

#[derive(Default)]
struct Counters {
    sent: u64,
    received: u64,
    dropped: u64,
}

impl Ns16550 {
    /// `name`: key of this port in saved state, "com1"; `irq`: its request wire; `port`: the far end.
    pub fn new(name: &'static str, irq: Line, port: Box<dyn SerialPort>) -> Self {
        Self {
            name,
            irq,
            port,
            paced: false,
            incoming: VecDeque::new(),
            regs: Regs::default(),
            seen: Counters::default(),
        }
    }

    /// Sends at the programmed bit rate instead of at once.
    #[must_use]
    pub fn paced(mut self) -> Self {
        self.paced = true;
        self
    }

    /// Another far end: what the guest sends from now on goes there.
    pub fn connect(&mut self, port: Box<dyn SerialPort>) {
        self.port = port;
        self.tell_modem();
    }

    /// Time on the line for one character.
    fn character(&self) -> Tick {
        let l = self.regs.lcr;
        let bits = 7 + u64::from(l.wls()) + u64::from(l.pen()) + u64::from(l.stb());
        bits * u64::from(self.regs.divisor.max(1)) * SECOND / BIT_HZ
    }

    fn room(&self) -> usize {
        if self.regs.fcr.enable() { FIFO } else { 1 }
    }

    /// A character of the receiver's line.
    fn receive(&mut self, now: Tick, v: u8, errors: u8) {
        let r = &mut self.regs;
        let room = if r.fcr.enable() { FIFO } else { 1 };
        if r.rx.len() >= room {
            r.errors.set_oe(true);
            // Without FIFOs the new character replaces the old; with them it is lost.
            if !r.fcr.enable() {
                r.rx.clear();
            } else {
                return;
            }
        }
        r.rx.push_back((v, errors));
        if r.rx.len() == 1 {
            r.errors = Lsr::from_bits(r.errors.into_bits() | errors);
        }
        self.seen.received += 1;
        self.restart_timeout(now);
    }

    fn restart_timeout(&mut self, now: Tick) {
        let four = 4 * self.character();
        let r = &mut self.regs;
        r.timed_out = false;
        r.timeout_at = (r.fcr.enable() && !r.rx.is_empty()).then_some(now + four);
    }

    /// Takes in what came from outside, as far as the receiver has room.
    fn take_in(&mut self, now: Tick) {
        // Once the guest has emptied the receiver: no read-out loop goes on for ever that way, and every refill makes its
        // interrupt.
        if self.regs.mcr.loopback() || !self.regs.rx.is_empty() {
            return;
        }
        for _ in 0..self.room() {
            let Some(v) = self.incoming.pop_front() else { break };
            self.receive(now, v, 0);
        }
    }

    /// A character leaves the shift register.
    fn transmit(&mut self, now: Tick, v: u8) {
        let v = v & (0xff >> (3 - self.regs.lcr.wls()));
        self.seen.sent += 1;
        if self.regs.mcr.loopback() {
            self.receive(now, v, 0);
        } else {
            self.port.send(v);
        }
    }

    fn write_thr(&mut self, cx: &mut Cx<'_>, v: u8) {
        self.regs.thre = false;
        self.drive(cx); // the request drops, and rises again once THR is empty
        if self.regs.tx.len() >= self.room() {
            self.regs.tx.pop_back(); // written over
        }
        self.regs.tx.push_back(v);
        if !self.paced {
            while let Some(v) = self.regs.tx.pop_front() {
                self.transmit(cx.now(), v);
            }
            self.regs.thre = true;
        } else if self.regs.shift.is_none() {
            self.shift_next(cx.now());
        }
    }

    /// Loads the shift register from THR or its FIFO.
    fn shift_next(&mut self, from: Tick) {
        self.regs.shift = self.regs.tx.pop_front().map(|v| (v, from + self.character()));
        if self.regs.shift.is_some() && self.regs.tx.is_empty() {
            self.regs.thre = true;
        }
    }

    fn shifted(&mut self, now: Tick) {
        while let Some((v, at)) = self.regs.shift.filter(|(_, at)| *at <= now) {
            self.transmit(at, v);
            self.shift_next(at);
        }
    }

    fn lsr(&self) -> Lsr {
        let r = &self.regs;
        let bad = r.fcr.enable() && r.rx.iter().any(|(_, e)| *e != 0);
        r.errors
            .with_dr(!r.rx.is_empty())
            .with_thre(r.tx.is_empty())
            .with_temt(r.tx.is_empty() && r.shift.is_none())
            .with_rx_fifo_error(bad)
    }

    /// Modem inputs as they are now; changes leave their delta bits.
    fn sense_modem(&mut self) {
        let m = self.regs.mcr;
        let on = self.port.connected();
        let (cts, dsr, ri, dcd) =
            if m.loopback() { (m.rts(), m.dtr(), m.out1(), m.out2()) } else { (on, on, false, on) };
        let old = self.regs.msr;
        self.regs.msr = old
            .with_dcts(old.dcts() || cts != old.cts())
            .with_ddsr(old.ddsr() || dsr != old.dsr())
            .with_teri(old.teri() || old.ri() && !ri)
            .with_ddcd(old.ddcd() || dcd != old.dcd())
            .with_cts(cts)
            .with_dsr(dsr)
            .with_ri(ri)
            .with_dcd(dcd);
    }

    fn tell_modem(&mut self) {
        let m = self.regs.mcr;
        let pins = !m.loopback();
        self.port.modem(pins && m.dtr(), pins && m.rts());
    }

    /// The source of the highest priority, as IIR says it.
    fn source(&self) -> u8 {
        let r = &self.regs;
        let errors = r.errors.oe() || r.errors.pe() || r.errors.fe() || r.errors.bi();
        let deltas = r.msr.into_bits() & 0x0f != 0;
        if r.ier.elsi() && errors {
            IIR_LINE
        } else if r.ier.erbfi() && r.rx.len() >= r.fcr.trigger_level() {
            IIR_DATA
        } else if r.ier.erbfi() && r.timed_out {
            IIR_TIMEOUT
        } else if r.ier.etbei() && r.thre {
            IIR_THRE
        } else if r.ier.edssi() && deltas {
            IIR_MODEM
        } else {
            IIR_NONE
        }
    }

    fn drive(&self, cx: &mut Cx<'_>) {
        let gate = self.regs.mcr.out2() && !self.regs.mcr.loopback();
        cx.lines.set(self.irq, gate && self.source() != IIR_NONE);
    }

    fn settle(&mut self, cx: &mut Cx<'_>) {
        if self.regs.timeout_at.is_some_and(|t| t <= cx.now()) {
            self.regs.timeout_at = None;
            self.regs.timed_out = true;
        }
        self.take_in(cx.now());
        self.drive(cx);
        match self.regs.timeout_at {
            // Only an interrupt needs to come by itself.
            Some(t) if self.regs.ier.erbfi() => cx.wake_at(TIMEOUT, t),
            _ => cx.cancel(TIMEOUT),
        }
        match self.regs.shift {
            Some((_, t)) => cx.wake_at(SHIFTED, t),
            None => cx.cancel(SHIFTED),
        }
    }

    fn read_rbr(&mut self, cx: &mut Cx<'_>) -> u8 {
        let Some((v, _)) = self.regs.rx.pop_front() else { return self.regs.last };
        self.regs.last = v;
        if let Some((_, next)) = self.regs.rx.front() {
            self.regs.errors = Lsr::from_bits(self.regs.errors.into_bits() | next);
        }
        self.restart_timeout(cx.now());
        self.drive(cx); // the request drops before a refill raises it again
        v
    }

    fn write_fcr(&mut self, v: u8) {
        let new = Fcr::from_bits(v);
        let r = &mut self.regs;
        let switched = new.enable() != r.fcr.enable();
        if switched || new.enable() && new.reset_rx() {
            r.rx.clear();
            r.timed_out = false;
            r.timeout_at = None;
        }
        if switched || new.enable() && new.reset_tx() {
            r.thre |= !r.tx.is_empty();
            r.tx.clear();
        }
        // The other bits count only together with bit 0.
        r.fcr = if new.enable() { new.with_reset_rx(false).with_reset_tx(false) } else { Fcr::new() };
    }

    fn write_ier(&mut self, v: u8) {
        let new = Ier::from_bits(v & 0x0f);
        // Enabling asks at once when THR is empty.
        if new.etbei() && !self.regs.ier.etbei() && self.regs.tx.is_empty() {
            self.regs.thre = true;
        }
        self.regs.ier = new;
    }

    fn write_lcr(&mut self, now: Tick, v: u8) {
        let new = Lcr::from_bits(v);
        let starts = new.set_break() && !self.regs.lcr.set_break();
        self.regs.lcr = new;
        if starts && self.regs.mcr.loopback() {
            self.receive(now, 0, Lsr::new().with_bi(true).into_bits());
        }
    }

    fn write_mcr(&mut self, v: u8) {
        self.regs.mcr = Mcr::from_bits(v & 0x1f);
        self.sense_modem();
        self.tell_modem();
    }
}

impl Device for Ns16550 {
    fn name(&self) -> &'static str {
        self.name
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _kind: Reset) {
        // SCR and the divisor are not touched by MR. 8.0, table III.
        let Regs { scr, divisor, .. } = self.regs;
        self.regs = Regs { scr, divisor, ..Regs::default() };
        self.sense_modem();
        self.regs.msr = Msr::from_bits(self.regs.msr.into_bits() & 0xf0);
        self.tell_modem();
        self.settle(cx);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        self.shifted(cx.now());
        self.settle(cx);
        let dlab = self.regs.lcr.dlab();
        let v = match at.off {
            0 if dlab => self.regs.divisor as u8,
            1 if dlab => (self.regs.divisor >> 8) as u8,
            0 => self.read_rbr(cx),
            1 => self.regs.ier.into_bits(),
            2 => {
                let source = self.source();
                if source == IIR_THRE {
                    self.regs.thre = false;
                }
                source | if self.regs.fcr.enable() { IIR_FIFOS } else { 0 }
            }
            3 => self.regs.lcr.into_bits(),
            4 => self.regs.mcr.into_bits(),
            5 => {
                let v = self.lsr().into_bits();
                self.regs.errors = Lsr::new();
                if let Some(top) = self.regs.rx.front_mut() {
                    top.1 = 0; // told
                }
                v
            }
            6 => {
                self.sense_modem();
                let v = self.regs.msr.into_bits();
                self.regs.msr = Msr::from_bits(v & 0xf0);
                v
            }
            7 => self.regs.scr,
            _ => return cx.open_bus(at),
        };
        self.settle(cx);
        u32::from(v)
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        self.shifted(cx.now());
        let v = v as u8;
        let dlab = self.regs.lcr.dlab();
        match at.off {
            0 if dlab => self.regs.divisor = self.regs.divisor & 0xff00 | u16::from(v),
            1 if dlab => self.regs.divisor = self.regs.divisor & 0x00ff | u16::from(v) << 8,
            0 => self.write_thr(cx, v),
            1 => self.write_ier(v),
            2 => self.write_fcr(v),
            3 => self.write_lcr(cx.now(), v),
            4 => self.write_mcr(v),
            5 | 6 => {} // factory tests
            7 => self.regs.scr = v,
            _ => {
                cx.open_bus(at);
            }
        }
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _id: TimerId) {
        self.shifted(cx.now());
        self.settle(cx);
    }

    fn host(&mut self, cx: &mut Cx<'_>, ev: HostEvent) {
        if let HostEvent::Serial(bytes) = ev {
            let room = MOST_INCOMING.saturating_sub(self.incoming.len());
            self.seen.dropped += bytes.len().saturating_sub(room) as u64;
            self.incoming.extend(bytes.into_iter().take(room));
        }
        // Somebody may have come to the other end, or left it.
        self.sense_modem();
        self.settle(cx);
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        self.tell_modem();
        self.settle(cx);
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![("sent", self.seen.sent), ("received", self.seen.received), ("dropped", self.seen.dropped)]
    }
}
