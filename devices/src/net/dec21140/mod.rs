//! The DEC (later Intel) 21140A, the Ethernet controller of the Virtual PC board: PCI 0:10.0, 1011:0009 revision 20h. Up
//! to four of them are functions of that device.
//!
//! Windows: [`CONFIG`] 256 bytes of configuration space; [`IO`] and [`MEMORY`] the CSRs, 128 bytes each, which the chip
//! places where CBIO and CBMA say.
//!
//! Registers: `regs.rs`, `csr.rs`. Descriptor lists: `descriptor.rs`, `transmit.rs`, `receive.rs`. Address filter:
//! `filter.rs`. Serial ROM and PHY behind CSR9: `srom.rs`, `mii.rs`.
//!
//! Interrupts: the function's own pin (INTA# for function 0), high while an enabled summary of CSR5 is.
//!
//! A frame takes no time: CSR1 sends all that is ours before the access ends. One access visits at most some thousands
//! of descriptors; the rest follows by a timer, so lists that bite their tail or lie in ROM hold nothing up.
//!
//! Not emulated: 10BASE-T and AUI, collisions, big-endian descriptors and buffers, sleep, the boot ROM.
//!
//! Source: 21140A PCI Fast Ethernet LAN Controller Hardware Reference Manual (EC-QN7NF-TE); 21X4 Serial ROM Format.
//! Page: docs/devices/dec21140.md.

mod crc;
mod csr;
mod descriptor;
mod filter;
mod mii;
mod receive;
mod regs;
mod srom;
mod state;
mod transmit;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use board::{
    At, ConfigSpace, Cx, Decode, Device, HostEvent, Line, MICROSECOND, NetPort, Reset, StateError, StateIn,
    StateOut, Tick, TimerId, Width, Win, WinSpec,
};

use self::csr::{Counters, GeneralTimer, Gpr};
use self::descriptor::{List, Process};
use self::filter::Filter;
use self::mii::Mii;
use self::receive::Frame;
use self::regs::{BusMode, OpMode, status};
use self::srom::Srom;

pub const CONFIG: Win = Win(0);
/// CBIO.
pub const IO: Win = Win(1);
/// CBMA.
pub const MEMORY: Win = Win(2);

const WINDOWS: &[WinSpec] = &[
    WinSpec::config(CONFIG),
    WinSpec::pio(IO, regs::CSRS, Width::D),
    WinSpec::mmio(MEMORY, regs::CSRS, Width::D),
];

/// CSR11.
const GENERAL: TimerId = TimerId(0);
const TRANSMIT: TimerId = TimerId(1);
const RECEIVE: TimerId = TimerId(2);
/// Processes that were stopped tell so.
const STOPPED: TimerId = TimerId(3);

/// Descriptors that one access visits.
const VISITS: u32 = 4096;
/// When what one access left over goes on.
const SOON: Tick = 10 * MICROSECOND;
/// How long a process that was stopped takes to tell. A driver that waits for it sees that it has stopped before its own
/// interrupt handler does: Linux's starts it again.
const TELLS: Tick = 5 * MICROSECOND;

/// Which adapter of the board's.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its name in logs, metrics and saved state.
    pub name: &'static str,
    /// Its PCI function.
    pub func: u8,
    /// The device has more than one function.
    pub many: bool,
}

/// Counters for `ctl metrics`.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    sent: u64,
    sent_bytes: u64,
    /// Frames that no switch would let through.
    unsent: u64,
    received: u64,
    received_bytes: u64,
    filtered: u64,
    missed: u64,
    setups: u64,
    interrupts: u64,
}

pub struct Dec21140 {
    place: Place,
    inta: Line,
    port: Box<dyn NetPort>,
    config: ConfigSpace,
    srom: Srom,
    mii: Mii,
    filter: Filter,
    /// CSR0.
    bus_mode: BusMode,
    /// CSR5 without summaries and process states.
    status: u32,
    /// CSR6 without HP, HO and IF.
    op_mode: OpMode,
    /// CSR7.
    mask: u32,
    /// CSR8.
    counters: Counters,
    /// CSR9 as written.
    csr9: u32,
    csr10: u32,
    /// CSR11.
    general: GeneralTimer,
    /// CSR12.
    gpr: Gpr,
    csr15: u32,
    tx: List,
    rx: List,
    /// After a fatal bus error, until a software reset.
    aborted: bool,
    /// TPS and RPS that are still to come.
    stopping: u32,
    fifo: VecDeque<Frame>,
    /// Since when the FIFO's first frame waits for a descriptor, and how long until the next look.
    waits: Option<Tick>,
    look: Tick,
    /// A frame on its way out.
    buffer: Vec<u8>,
    /// Room for the next one on its way in.
    spare: Vec<u8>,
    /// So many frames were given to the port.
    unflushed: u32,
    /// When it was last given some, and how many together.
    sent_at: Option<(Tick, u32)>,
    seen: Seen,
}

impl Dec21140 {
    /// An adapter with this address, at the end of this cable.
    pub fn new(place: Place, mac: [u8; 6], inta: Line, port: Box<dyn NetPort>) -> Self {
        Self {
            place,
            inta,
            port,
            config: regs::config_space(place.func, place.many),
            srom: Srom::new(srom::image(place.func, mac)),
            mii: Mii::default(),
            filter: Filter::default(),
            bus_mode: BusMode::new(),
            status: 0,
            op_mode: OpMode::from_bits(regs::OP_MODE_RESET),
            mask: 0,
            counters: Counters::default(),
            csr9: csr::CSR9_RESET,
            csr10: 0,
            general: GeneralTimer::default(),
            gpr: Gpr::default(),
            csr15: 0,
            tx: List::default(),
            rx: List::default(),
            aborted: false,
            stopping: 0,
            fifo: VecDeque::new(),
            waits: None,
            look: receive::FIRST_LOOK,
            buffer: Vec::new(),
            spare: Vec::new(),
            unflushed: 0,
            sent_at: None,
            seen: Seen::default(),
        }
    }

    /// CSR0.SWR: everything but the configuration registers and PS of CSR6. ROM and PHY are other chips.
    fn software_reset(&mut self, cx: &mut Cx<'_>) {
        let ps = self.op_mode.ps();
        self.reset_csrs(cx);
        self.op_mode.set_ps(ps);
    }

    fn reset_csrs(&mut self, cx: &mut Cx<'_>) {
        self.filter = Filter::default();
        self.bus_mode = BusMode::new();
        self.status = 0;
        self.op_mode = OpMode::from_bits(regs::OP_MODE_RESET);
        self.mask = 0;
        self.counters = Counters::default();
        self.csr9 = csr::CSR9_RESET;
        self.csr10 = 0;
        self.general = GeneralTimer::default();
        self.gpr = Gpr::default();
        self.csr15 = 0;
        self.tx = List::default();
        self.rx = List::default();
        self.aborted = false;
        self.stopping = 0;
        self.fifo.clear();
        self.waits = None;
        self.look = receive::FIRST_LOOK;
        for id in [GENERAL, TRANSMIT, RECEIVE, STOPPED] {
            cx.cancel(id);
        }
    }

    fn may_master(&self) -> bool {
        self.config.bus_master_enabled() && !self.aborted
    }

    /// Nobody answered: the chip leaves the bus alone until a software reset.
    fn bus_error(&mut self) {
        self.status |= status::FBE;
        self.aborted = true;
        self.tx.process = Process::Stopped;
        self.rx.process = Process::Stopped;
    }

    /// After whatever may have changed CSR5 or CSR7.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        let on = self.interrupting();
        if on && !cx.lines.level(self.inta) {
            self.seen.interrupts += 1;
        }
        cx.lines.set(self.inta, on);
    }

    fn decode(&self, cx: &mut Cx<'_>) {
        let io = self.config.get32(regs::CBIO) & !(regs::CSRS - 1);
        let on = self.config.io_enabled() && io != 0 && io <= 0xffff;
        cx.remap(IO, on.then_some(Decode::Pio(io as u16)));
        let memory = self.config.get32(regs::CBMA) & !(regs::CSRS - 1);
        let on = self.config.memory_enabled() && memory != 0;
        cx.remap(MEMORY, on.then_some(Decode::Mmio(memory)));
    }

    fn decoded_by(&self) -> (u16, u32, u32) {
        (self.config.get16(4), self.config.get32(regs::CBIO), self.config.get32(regs::CBMA))
    }

    fn write_config(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        let before = self.decoded_by();
        self.config.write(at, v);
        if self.decoded_by() != before {
            self.decode(cx);
            // What waited for the bus.
            self.transmit(cx, false);
            self.receive(cx);
        }
    }
}

impl Device for Dec21140 {
    fn name(&self) -> &'static str {
        self.place.name
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _: Reset) {
        self.config = regs::config_space(self.place.func, self.place.many);
        self.mii = Mii::default();
        self.srom = Srom::new(self.srom.words);
        self.reset_csrs(cx);
        self.decode(cx);
        self.settle(cx);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        match at.win {
            CONFIG => self.config.read(at),
            IO | MEMORY => self.read_csr(cx, at),
            _ => cx.open_bus(at),
        }
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        match at.win {
            CONFIG => self.write_config(cx, at, v),
            IO | MEMORY => self.write_csr(cx, at, v),
            _ => {
                cx.open_bus(at);
            }
        }
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, id: TimerId) {
        match id {
            GENERAL => self.general_timer(cx),
            TRANSMIT => self.transmit(cx, false),
            STOPPED => self.status |= std::mem::take(&mut self.stopping),
            RECEIVE if self.rx.stopped() => self.discard(cx),
            _ => self.receive(cx),
        }
        self.settle(cx);
    }

    fn host(&mut self, cx: &mut Cx<'_>, ev: HostEvent) {
        if ev == HostEvent::Network {
            self.mii.sense(self.port.link());
            self.news(cx);
            self.settle(cx);
        }
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        self.decode(cx);
        self.general.arm(cx);
        if !self.tx.stopped() {
            cx.wake_at(TRANSMIT, cx.now() + SOON);
        }
        if self.stopping != 0 {
            cx.wake_at(STOPPED, cx.now() + TELLS);
        }
        // The port may have frames that nobody will tell of again.
        if !self.rx.stopped() {
            cx.wake_at(RECEIVE, cx.now() + SOON);
        }
        self.settle(cx);
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let Seen { sent, sent_bytes, unsent, received, received_bytes, filtered, missed, setups, interrupts } =
            self.seen;
        vec![
            ("sent", sent),
            ("sent_bytes", sent_bytes),
            ("unsent", unsent),
            ("received", received),
            ("received_bytes", received_bytes),
            ("filtered", filtered),
            ("missed", missed),
            ("setups", setups),
            ("interrupts", interrupts),
        ]
    }
}
