//! The integration channel's PCI function, and the bus behind it: PCI 0:11.0, 484C:0001.
//!
//! Windows: [`CONFIG`] 256 bytes of configuration space; [`REGISTERS`] the registers, 4 KiB, where BAR0 says. BAR1's window is a
//! memory slot: no access to it comes here.
//!
//! Registers: `channel::regs`. Rings: `rings.rs`. Bus: `bus.rs`. Host's services: `services.rs` (the trait). Saved form: `state.rs`.
//!
//! Interrupts: INTA#, high while CONTROL.INTE is set and a bit of PENDING is, and the command register does not forbid it.
//!
//! What the guest rings for is done before its access ends, up to a bound; the rest follows by a timer. Every byte of the window is
//! copied before it is looked at.
//!
//! Source: docs/design/channel.md (our own); PCI 2.3, 6.2.2 and 6.2.3 for Interrupt Disable and Status.
//! Page: docs/devices/channel.md.

mod bus;
mod rings;
mod services;
mod state;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use board::{
    At, Bar, ConfigSpace, Cx, Decode, Device, HostEvent, Line, MICROSECOND, Reset, StateError, StateIn,
    StateOut, Tick, TimerId, Width, Win, WinSpec,
};
use channel::CHANNELS;
use channel::bus::{MOST, Rings};
use channel::packet::HEADER;
use channel::regs::{self, control, status};
use channel::serial::Link;
use ram::{GuestRam, Slot};

use self::bus::Bus;
use self::rings::{Memory, Pair};
pub use self::services::{Agent, Offered, Out, Refused, ServiceId, Services, Trouble, Way, Wire};

pub const CONFIG: Win = Win(0);
/// BAR0.
pub const REGISTERS: Win = Win(1);

const WINDOWS: &[WinSpec] = &[WinSpec::config(CONFIG), WinSpec::mmio(REGISTERS, regs::LEN, Width::D)];

/// A packet's longest payload.
const PACKET_MOST: u32 = 1 << 20;
/// Bytes of a service's messages that wait for the guest before the service is asked to wait, too.
const ROOM: usize = 1 << 20;
/// And before its channel is closed.
const OUTBOX_MOST: usize = 32 << 20;

const WORK: TimerId = TimerId(0);
const SERVICES: TimerId = TimerId(1);
const LINK: TimerId = TimerId(2);
/// When what one access left over goes on.
const SOON: Tick = 5 * MICROSECOND;

const BAR0: u8 = 0x10;
const BAR1: u8 = 0x14;
const INTERRUPT_DISABLE: u16 = 1 << 10;
const INTERRUPT_STATUS: u8 = 1 << 3;

/// The window's sizes: bytes.
pub const WINDOW_SIZES: [u32; 5] = [4 << 20, 8 << 20, 16 << 20, 32 << 20, 64 << 20];

pub struct Channel {
    inta: Line,
    config: ConfigSpace,
    ram: Arc<GuestRam>,
    window: Slot,
    window_len: u32,
    control: u32,
    /// STATUS.FAULT.
    fault: bool,
    pending: u64,
    tx: u32,
    rx: u32,
    size: u32,
    bus: Bus,
    wire: Option<Box<dyn Wire>>,
    interrupts: u64,
}

fn config_space(window: u32) -> ConfigSpace {
    ConfigSpace::new(regs::VENDOR, regs::DEVICE, regs::CLASS, 1)
        // Memory, master, Interrupt Disable.
        .reg(0x04, Width::W, 0, 0x0406)
        .reg(0x0c, Width::W, 0, 0xffff)
        .bar(0, Bar::Mem { len: regs::LEN, prefetch: false })
        .bar(1, Bar::Mem { len: window, prefetch: true })
        .reg(0x2c, Width::D, u32::from(regs::DEVICE) << 16 | u32::from(regs::VENDOR), 0)
        .interrupt(1)
}

impl Channel {
    /// `name`: the machine's, for the guest to see.
    ///
    /// # Panics
    /// If `window` is none of [`WINDOW_SIZES`]: specs are checked before.
    pub fn new(
        ram: &Arc<GuestRam>,
        window: u32,
        inta: Line,
        name: String,
        services: Box<dyn Services>,
    ) -> Self {
        assert!(WINDOW_SIZES.contains(&window), "a window of {window} bytes");
        Self {
            inta,
            config: config_space(window),
            ram: ram.clone(),
            window: ram.allocate(window, true),
            window_len: window,
            control: 0,
            fault: false,
            pending: 0,
            tx: 0,
            rx: 0,
            size: 0,
            bus: Bus::new(services, name),
            wire: None,
            interrupts: 0,
        }
    }

    /// An agent may come over COM2, too.
    #[must_use]
    pub fn with_serial(mut self, wire: Box<dyn Wire>) -> Self {
        self.wire = Some(wire);
        self.bus.link = Some(Link::new());
        self
    }

    /// Gives COM2 what there is for it.
    fn transmit(&mut self, cx: &mut Cx<'_>) {
        let (Some(link), Some(wire)) = (&mut self.bus.link, &mut self.wire) else { return };
        let mut buf = [0; 4096];
        loop {
            let n = link.take(cx.now(), &mut buf);
            if n == 0 {
                break;
            }
            wire.send(buf[..n].to_vec());
        }
        match link.deadline(cx.now()) {
            Some(t) => cx.wake_at(LINK, t),
            None => cx.cancel(LINK),
        }
    }

    fn decode(&self, cx: &mut Cx<'_>) {
        let on = self.config.memory_enabled();
        let at = |bar| Some(self.config.get32(bar) & !0xf).filter(|&a| on && a != 0);
        cx.remap(REGISTERS, at(BAR0).map(Decode::Mmio));
        cx.ram.place(self.window, at(BAR1).filter(|a| u64::from(*a) >= cx.ram.main_len()));
    }

    fn asks(&self) -> bool {
        self.control & control::INTE != 0 && self.pending != 0
    }

    /// After whatever may have changed PENDING, CONTROL or the command register.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        self.pending |= std::mem::take(&mut self.bus.pending);
        let asks = self.asks();
        let status = self.config.get8(6) & !INTERRUPT_STATUS;
        self.config.set8(6, status | if asks { INTERRUPT_STATUS } else { 0 });
        let on = asks && self.config.get16(4) & INTERRUPT_DISABLE == 0;
        if on && !cx.lines.level(self.inta) {
            self.interrupts += 1;
        }
        cx.lines.set(self.inta, on);
        if let Some(t) = self.bus.wake.take() {
            cx.wake_at(SERVICES, t);
        }
    }

    /// Serves what waits, with `first` done before.
    fn work(&mut self, cx: &mut Cx<'_>, first: impl FnOnce(&mut Bus)) {
        self.bus.set_now(cx.now());
        first(&mut self.bus);
        let m = Memory { ram: cx.ram, window: self.window };
        match self.bus.work(m) {
            Ok(true) => cx.wake_at(WORK, cx.now() + SOON),
            Ok(false) => {}
            Err(()) => {
                self.control &= !control::RUN;
                self.fault = true;
            }
        }
        self.transmit(cx);
        self.settle(cx);
    }

    fn running(&self) -> bool {
        self.control & control::RUN != 0
    }

    fn set_control(&mut self, cx: &mut Cx<'_>, v: u32) {
        let (was, is) = (self.running(), v & control::RUN != 0);
        self.control = v & (control::RUN | control::INTE);
        if was && !is {
            self.work(cx, Bus::stop);
            self.pending = 0;
        } else if !was && is {
            self.fault = false;
            self.pending = 0;
            let m = Memory { ram: cx.ram, window: self.window };
            let rings = Rings {
                tx: self.tx,
                rx: self.rx,
                tx_size: self.size as u16,
                rx_size: (self.size >> 16) as u16,
                rx_buffer: (HEADER + MOST) as u32,
            };
            match Pair::open(m, &rings) {
                Ok(pair) => self.work(cx, |bus| bus.start(pair)),
                Err(f) => {
                    self.control &= !control::RUN;
                    self.fault = true;
                    self.bus.fault = Some((f, 0));
                }
            }
        }
        self.settle(cx);
    }

    fn take_pending(&mut self, cx: &mut Cx<'_>, shift: u32) -> u32 {
        let v = (self.pending >> shift) as u32;
        self.clear_pending(cx, v, shift);
        v
    }

    fn clear_pending(&mut self, cx: &mut Cx<'_>, bits: u32, shift: u32) {
        self.pending &= !(u64::from(bits) << shift);
        self.settle(cx);
    }

    fn read_register(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        match at.off {
            regs::ID => regs::ID_VALUE,
            regs::VERSION => regs::VERSION_VALUE,
            regs::WINDOW => self.window_len,
            regs::CHANNELS => CHANNELS as u32,
            regs::CONTROL => self.control,
            regs::STATUS => {
                let running = if self.running() { status::RUNNING } else { 0 };
                running | if self.fault { status::FAULT } else { 0 }
            }
            regs::FAULT => self.bus.fault.map_or(0, |(f, n)| f as u32 | u32::from(n) << 16),
            regs::PENDING0 => self.pending as u32,
            regs::PENDING1 => (self.pending >> 32) as u32,
            regs::TAKE0 => self.take_pending(cx, 0),
            regs::TAKE1 => self.take_pending(cx, 32),
            regs::TX => self.tx,
            regs::RX => self.rx,
            regs::SIZE => self.size,
            _ => cx.open_bus(at),
        }
    }

    fn write_register(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        match at.off {
            regs::CONTROL => self.set_control(cx, v),
            regs::PENDING0 => self.clear_pending(cx, v, 0),
            regs::PENDING1 => self.clear_pending(cx, v, 32),
            regs::DOORBELL if self.running() => self.work(cx, |bus| bus.ready |= 1 << (v % CHANNELS as u32)),
            regs::DOORBELL => {}
            regs::TX if !self.running() => self.tx = v,
            regs::RX if !self.running() => self.rx = v,
            regs::SIZE if !self.running() => self.size = v,
            regs::TX | regs::RX | regs::SIZE => {}
            _ => {
                cx.open_bus(at);
            }
        }
    }
}

impl Device for Channel {
    fn name(&self) -> &'static str {
        "channel"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _kind: Reset) {
        self.bus.set_now(cx.now());
        self.bus.reset();
        self.config = config_space(self.window_len);
        (self.control, self.fault, self.pending) = (0, false, 0);
        (self.tx, self.rx, self.size) = (0, 0, 0);
        cx.cancel(WORK);
        cx.cancel(LINK);
        self.decode(cx);
        self.settle(cx);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        match (at.win, at.width) {
            (CONFIG, _) => self.config.read(at),
            (_, Width::D) => self.read_register(cx, at),
            _ => cx.open_bus(at),
        }
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        match (at.win, at.width) {
            (CONFIG, _) => {
                let of = |c: &ConfigSpace| (c.memory_enabled(), c.get32(BAR0), c.get32(BAR1));
                let was = of(&self.config);
                self.config.write(at, v);
                if of(&self.config) != was {
                    self.decode(cx);
                }
                self.settle(cx);
            }
            (_, Width::D) => self.write_register(cx, at, v),
            _ => {
                cx.open_bus(at);
            }
        }
    }

    fn timer(&mut self, cx: &mut Cx<'_>, id: TimerId) {
        self.work(cx, |bus| {
            if id == SERVICES {
                bus.call(|s, out| s.timer(out));
            }
        });
    }

    fn host(&mut self, cx: &mut Cx<'_>, ev: HostEvent) {
        match ev {
            HostEvent::Serial(bytes) => {
                let now = cx.now();
                self.work(cx, |bus| {
                    if let Some(link) = &mut bus.link {
                        link.feed(now, &bytes);
                    }
                });
            }
            // Whoever was at the other end is gone. No PCI function hears of INIT#; this one may.
            HostEvent::Restarted => {
                self.control = 0;
                self.pending = 0;
                self.work(cx, Bus::reset);
            }
            HostEvent::Channel => self.work(cx, |bus| bus.call(|s, out| s.inbox(out))),
            HostEvent::Missed(seconds) => self.work(cx, |bus| bus.call(|s, out| s.missed(out, seconds))),
            _ => {}
        }
    }

    fn save(&self, out: &mut StateOut) {
        self.save_to(out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        self.load_from(s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        self.decode(cx);
        self.work(cx, |bus| {
            // What this build offers may be something else.
            bus.call(|s, out| {
                out.offers_changed();
                s.restored(out);
            });
        });
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let s = &self.bus.seen;
        vec![
            ("packets_from_guest", s.packets_in),
            ("bytes_from_guest", s.bytes_in),
            ("packets_to_guest", s.packets_out),
            ("bytes_to_guest", s.bytes_out),
            ("faults", s.faults),
            ("sessions", s.sessions),
            ("interrupts", self.interrupts),
        ]
    }
}
