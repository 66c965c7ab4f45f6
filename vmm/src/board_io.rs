//! The board: all chips, their wires and the bus, as the processor reaches them.
//!
//! Order of one access: decode -> the chip's `read`/`write` with a fresh [`Cx`] -> settle what it asked for
//! (8259 levels, windows, host jobs, power) -> back into the instruction. Nothing here is called from another thread.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use board::{
    At, CONFIG_ADDRESS, CONFIG_DATA, Cx, Decode, Decoder, Device, DiskDone, DiskOp, Effects, Hit, HostEvent,
    HostJob, IntCtl, Lines, Moment, NoDma, Power, Reset, SlotId, Tick, Width, Win,
};
use devices::chipset::piix4::isa::Piix4Isa;
use devices::isa::i8237::I8237;
use devices::isa::i8259::I8259;
use hv_vcpu::{CpuidTable, GuestIo, Kicker};
use ram::GuestRam;

use crate::api::Bay;
use crate::clock::{Clock, ClockKind};
use crate::disks::Disks;
use crate::events::{Event, Events};

// Chips that are called in the middle of instructions or of other chips' calls are concrete fields; the rest is boxed.
const PIC: usize = 0;
const DMA: usize = 1;
const ISA: usize = 2;
const FIRST_CHIP: usize = 3;

const RTC_IRQ: u16 = 8;

/// How long a disk takes on the instruction clock, where the host's own time may not show.
const INLINE_DISK: Tick = 100 * board::MICROSECOND;

/// At this guest time the drive is to be answered.
pub(crate) struct DueAnswer {
    pub(crate) slot: SlotId,
    pub(crate) unit: u8,
    pub(crate) at: Tick,
}

pub(crate) struct Board {
    pub(crate) ram: Arc<GuestRam>,
    pub(crate) clock: Clock,
    pub(crate) disks: Disks,
    pic: I8259,
    dma: I8237,
    isa: Piix4Isa,
    chips: Vec<Box<dyn Device>>,
    lazy: SlotId,
    lines: Lines,
    fx: Effects,
    decoder: Decoder,
    config_address: u32,
    kicker: Kicker,
    power: Option<Power>,
    /// Who listens to the clock chip's IRQ8# besides the 8259s.
    rtc_listener: Option<SlotId>,
    /// When the power goes off by itself, if the embedder wants that.
    off_at: Option<Tick>,
    /// When the processor will poll next, on the instruction clock; 0 elsewhere, and where it polls at once.
    polled_again: Tick,
    /// INTR, kept so that the processor's look at it costs a load.
    intr: bool,
    /// Answers of inline disk jobs, by guest time.
    later: BTreeMap<(Tick, u64), (SlotId, HostEvent)>,
    later_seq: u64,
    /// When a chip's drive was to be answered: of a state's jobs, which are asked for again.
    due_again: Vec<DueAnswer>,
    /// Answers of jobs that were done at once, for the end of the access that asked for them.
    done: VecDeque<(SlotId, HostEvent)>,
    delivering: bool,
    /// Chips drive again what they drove when they were saved.
    restoring: bool,
    /// When the run loop wants to look at something.
    look_at: Option<Tick>,
    stats: Stats,
    events: Events,
}

#[derive(Default)]
struct Stats {
    pio: u64,
    mmio: u64,
    interrupts: u64,
    timers: u64,
    polls: u64,
}

/// Chips and wires as `board_map` made them.
pub(crate) struct Built {
    pub(crate) pic: I8259,
    pub(crate) dma: I8237,
    pub(crate) isa: Piix4Isa,
    pub(crate) chips: Vec<Box<dyn Device>>,
    pub(crate) places: Vec<(SlotId, Win, Decode)>,
    pub(crate) lines: Lines,
    /// The chip that moves its DMA data only when somebody looks.
    pub(crate) lazy: SlotId,
}

impl Built {
    pub(crate) fn devices(&mut self) -> Vec<&mut dyn Device> {
        devices(&mut self.pic, &mut self.dma, &mut self.isa, &mut self.chips)
    }
}

/// In the order of their slots.
fn devices<'a>(
    pic: &'a mut I8259,
    dma: &'a mut I8237,
    isa: &'a mut Piix4Isa,
    chips: &'a mut [Box<dyn Device>],
) -> Vec<&'a mut dyn Device> {
    let mut all: Vec<&mut dyn Device> = vec![pic, dma, isa];
    all.extend(chips.iter_mut().map(|d| d.as_mut() as &mut dyn Device));
    all
}

impl Board {
    pub(crate) const PIC_SLOT: SlotId = SlotId(PIC as u16);
    pub(crate) const DMA_SLOT: SlotId = SlotId(DMA as u16);
    pub(crate) const ISA_SLOT: SlotId = SlotId(ISA as u16);

    /// Slot of the `n`th boxed chip.
    pub(crate) const fn slot(n: usize) -> SlotId {
        SlotId((n + FIRST_CHIP) as u16)
    }

    pub(crate) fn new(ram: Arc<GuestRam>, clock: Clock, disks: Disks, built: Built, events: Events) -> Self {
        let Built { pic, dma, isa, chips, places, lines, lazy } = built;
        let mut b = Self {
            ram,
            clock,
            disks,
            pic,
            dma,
            isa,
            chips,
            lazy,
            lines,
            fx: Effects::default(),
            decoder: Decoder::default(),
            config_address: 0,
            kicker: Kicker::new(),
            power: None,
            rtc_listener: None,
            off_at: None,
            polled_again: 0,
            intr: false,
            later: BTreeMap::new(),
            later_seq: 0,
            due_again: Vec::new(),
            done: VecDeque::new(),
            delivering: false,
            restoring: false,
            look_at: None,
            stats: Stats::default(),
            events,
        };
        for (slot, win, to) in places {
            b.put(slot, win, Some(to));
        }
        b
    }

    pub(crate) fn set_kicker(&mut self, k: Kicker) {
        self.kicker = k;
    }

    /// Wires the clock chip's IRQ8# to the power management chip.
    pub(crate) fn wire_rtc(&mut self, to: SlotId) {
        self.rtc_listener = Some(to);
    }

    /// An interrupt that is not masked waits for the processor. Not the timer's, which stands in S1, and the clock's,
    /// which has an enable of its own.
    pub(crate) fn interrupt_waits(&self) -> bool {
        self.pic.unmasked() & !(1 | 1 << RTC_IRQ) != 0
    }

    /// The power goes off at this guest time.
    pub(crate) fn set_off_at(&mut self, at: Tick) {
        self.off_at = Some(at);
    }

    /// Takes that back; false if it went off by it.
    pub(crate) fn clear_off_at(&mut self) -> bool {
        self.off_at.take().is_some()
    }

    /// How good an instant is this to save all chips?
    pub(crate) fn moment(&self) -> Moment {
        self.slots().map(|s| self.device(s).moment()).max().unwrap_or(Moment::Good)
    }

    pub(crate) fn config_address(&self) -> u32 {
        self.config_address
    }

    /// The run loop looks at something at this guest time, or before.
    pub(crate) fn set_look_at(&mut self, at: Tick) {
        self.look_at = Some(self.look_at.map_or(at, |other| other.min(at)));
    }

    pub(crate) fn devices(&mut self) -> Vec<&mut dyn Device> {
        devices(&mut self.pic, &mut self.dma, &mut self.isa, &mut self.chips)
    }

    /// All chips were loaded: what they drive is driven again. The levels that the 8259s saw are in their own state, so
    /// that nothing of this is an edge to them.
    pub(crate) fn resume(&mut self, config_address: u32, a20: bool, due: Vec<DueAnswer>) {
        self.fx.timers.clear();
        self.later.clear();
        self.due_again = due;
        self.config_address = config_address;
        self.restoring = true;
        for slot in self.slots() {
            self.call(slot, |d, cx| d.restored(cx));
        }
        self.restoring = false;
        self.fx.power = None;
        self.ram.set_a20(a20);
        self.pic.set_levels(self.lines.irqs());
        self.intr = self.pic.pending();
        // The jobs that were asked for again.
        self.settle(Self::PIC_SLOT);
        self.due_again.clear();
    }

    /// Answers that drives wait for, on the instruction clock.
    pub(crate) fn due_answers(&self) -> impl Iterator<Item = DueAnswer> {
        self.later.iter().filter_map(|((at, _), (slot, ev))| match ev {
            HostEvent::Disk(done) => Some(DueAnswer { slot: *slot, unit: done.unit, at: *at }),
            _ => None,
        })
    }

    pub(crate) fn device(&self, slot: SlotId) -> &dyn Device {
        match usize::from(slot.0) {
            PIC => &self.pic,
            DMA => &self.dma,
            ISA => &self.isa,
            n => self.chips[n - FIRST_CHIP].as_ref(),
        }
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotId> + use<> {
        (0..self.chips.len() + FIRST_CHIP).map(|n| SlotId(n as u16))
    }

    pub(crate) fn name(&self, slot: SlotId) -> &'static str {
        self.device(slot).name()
    }

    /// Calls one chip and settles what it asked for.
    pub(crate) fn call<R>(&mut self, slot: SlotId, f: impl FnOnce(&mut dyn Device, &mut Cx<'_>) -> R) -> R {
        let clock = RefCell::new(&mut self.clock);
        let now: &dyn Fn() -> Tick = &|| clock.borrow_mut().now();
        let (lines, ram, fx) = (&mut self.lines, &*self.ram, &mut self.fx);
        let r = match usize::from(slot.0) {
            PIC => f(&mut self.pic, &mut Cx::new(slot, now, lines, ram, &mut self.dma, fx)),
            DMA => f(&mut self.dma, &mut Cx::new(slot, now, lines, ram, &mut NoDma, fx)),
            ISA => f(&mut self.isa, &mut Cx::new(slot, now, lines, ram, &mut self.dma, fx)),
            n => {
                f(self.chips[n - FIRST_CHIP].as_mut(), &mut Cx::new(slot, now, lines, ram, &mut self.dma, fx))
            }
        };
        self.settle(slot);
        r
    }

    fn settle(&mut self, slot: SlotId) {
        if self.restoring {
            self.lines.take_moved();
        } else if let Some((steady, levels)) = self.lines.take_moved() {
            self.pic.set_levels(steady);
            self.pic.set_levels(levels);
            self.intr = self.pic.pending();
            if levels & !steady & 1 << RTC_IRQ != 0
                && let Some(to) = self.rtc_listener
            {
                self.call(to, |d, cx| d.host(cx, HostEvent::RtcAlarm));
            }
        } else if slot == Self::PIC_SLOT {
            self.intr = self.pic.pending();
        }
        while !self.fx.remaps.is_empty() {
            for (slot, win, to) in std::mem::take(&mut self.fx.remaps) {
                self.put(slot, win, to);
            }
        }
        // While chips are restored, not all may be there that an answer reaches.
        if !self.fx.jobs.is_empty() && !self.restoring {
            for (slot, job) in std::mem::take(&mut self.fx.jobs) {
                self.start(slot, job);
            }
            self.deliver();
        }
        if let Some(p) = self.fx.power.take() {
            self.power = Some(p);
            self.kicker.kick();
        }
        // A timer that an access armed must not wait for a poll that was promised before. Every engine looks at the
        // kicker behind the instruction that reached a port or a chip's memory. (The host's clock is asked so often that
        // nobody could tell.)
        if self.polled_again != 0 && self.next_due().is_some_and(|t| t < self.polled_again) {
            self.polled_again = 0;
            self.kicker.kick();
        }
    }

    fn put(&mut self, slot: SlotId, win: Win, to: Option<Decode>) {
        let Some(spec) = self.device(slot).windows().iter().find(|s| s.win == win).copied() else {
            debug_assert!(false, "{} has no window {win:?}", self.name(slot));
            return;
        };
        self.decoder.place(slot, spec, to);
    }

    fn start(&mut self, slot: SlotId, job: HostJob) {
        let HostJob::Disk(job) = job;
        if job.op == DiskOp::Eject {
            self.events.tell(Event::EjectedByGuest(Bay::Cdrom(job.unit)));
        }
        if let Some(done) = self.disks.submit(slot, job, &self.ram) {
            self.answer(slot, done);
        }
    }

    /// The machine goes on after failures of its disks: those jobs are done again.
    pub(crate) fn disks_again(&mut self) {
        for (slot, done) in self.disks.again(&self.ram) {
            self.answer(slot, done);
        }
        self.deliver();
    }

    fn answer(&mut self, slot: SlotId, done: DiskDone) {
        if self.clock.kind() == ClockKind::Host {
            self.done.push_back((slot, HostEvent::Disk(done)));
            return;
        }
        self.later_seq += 1;
        let again = self.due_again.iter().position(|d| (d.slot, d.unit) == (slot, done.unit));
        let due = again.map(|n| self.due_again.remove(n).at);
        let due = due.unwrap_or(self.clock.now() + INLINE_DISK);
        self.later.insert((due, self.later_seq), (slot, HostEvent::Disk(done)));
        self.kicker.kick();
    }

    /// Hands out the answers that are there. A chip that asks for more with one of them is answered behind it.
    fn deliver(&mut self) {
        if std::mem::replace(&mut self.delivering, true) {
            return;
        }
        while let Some((slot, ev)) = self.done.pop_front() {
            self.host_event(slot, ev);
        }
        self.delivering = false;
    }

    /// A message from outside for a chip.
    pub(crate) fn host_event(&mut self, slot: SlotId, ev: HostEvent) {
        self.call(slot, |d, cx| d.host(cx, ev));
    }

    /// What a chip did to the machine's life since the last look.
    pub(crate) fn take_power(&mut self) -> Option<Power> {
        self.power.take()
    }

    /// There is something for [`Board::take_power`].
    pub(crate) fn power_is_due(&self) -> bool {
        self.power.is_some()
    }

    pub(crate) fn reset(&mut self, kind: Reset) {
        self.fx.timers.clear();
        self.later.clear();
        self.config_address = 0;
        self.ram.set_a20(true);
        for slot in self.slots() {
            self.call(slot, |d, cx| d.reset(cx, kind));
        }
        self.intr = self.pic.pending();
    }

    /// When something is due next, in guest time.
    pub(crate) fn next_due(&self) -> Option<Tick> {
        let later = self.later.first_key_value().map(|((t, _), _)| *t);
        [self.fx.timers.next(), later, self.off_at, self.look_at].into_iter().flatten().min()
    }

    /// Fires everything that is due.
    pub(crate) fn fire_due(&mut self) {
        // A chip that keeps arming a timer for the past must not hold the machine for ever.
        const MOST: usize = 1000;
        let now = self.clock.now();
        if self.off_at.is_some_and(|t| t <= now) {
            self.off_at = None;
            self.power = Some(Power::Off);
            self.kicker.kick();
            return;
        }
        if self.look_at.is_some_and(|t| t <= now) {
            self.look_at = None;
            self.kicker.kick();
        }
        for _ in 0..MOST {
            if let Some((&key, _)) = self.later.first_key_value()
                && key.0 <= now
            {
                if let Some((slot, ev)) = self.later.remove(&key) {
                    self.host_event(slot, ev);
                }
                continue;
            }
            let Some((_, slot, id)) = self.fx.timers.pop(now) else { return };
            self.stats.timers += 1;
            self.call(slot, |d, cx| d.timer(cx, id));
        }
    }

    /// The processor has nothing to do: what may come early comes now. False: nothing may.
    pub(crate) fn fire_early(&mut self) -> bool {
        // One at a time: the caller looks at what it brought.
        let Some((slot, id)) = self.fx.timers.pop_early() else { return false };
        self.stats.timers += 1;
        self.call(slot, |d, cx| d.timer(cx, id));
        true
    }

    pub(crate) fn unknowns(&self) -> impl Iterator<Item = (SlotId, Win, u32, u64)> + '_ {
        self.fx.unknowns.iter()
    }

    pub(crate) fn metrics(&self) -> Vec<(String, u64)> {
        let Stats { pio, mmio, interrupts, timers, polls } = self.stats;
        let own =
            [("pio", pio), ("mmio", mmio), ("interrupts", interrupts), ("timers", timers), ("polls", polls)];
        let own = own.into_iter().chain(self.clock.metrics()).chain(self.disks.metrics());
        let mut all: Vec<(String, u64)> = own.map(|(n, v)| (format!("board.{n}"), v)).collect();
        for slot in self.slots() {
            let d = self.device(slot);
            all.extend(d.metrics().into_iter().map(|(n, v)| (format!("{}.{n}", d.name()), v)));
        }
        all
    }

    fn access(&mut self, hit: Hit, len: u32, v: &mut u32, write: bool) -> u32 {
        if hit.slot != Self::DMA_SLOT {
            return self.parts(hit, len, v, write);
        }
        // Counts are of now, and what a write lets go on goes on from now.
        self.call(self.lazy, |d, cx| d.catch_up(cx));
        let done = self.parts(hit, len, v, write);
        if write {
            self.call(self.lazy, |d, cx| d.catch_up(cx));
        }
        done
    }

    fn parts(&mut self, hit: Hit, len: u32, v: &mut u32, write: bool) -> u32 {
        // Almost every access is one part.
        if let Some(width) = Width::from_bytes(len)
            && width <= hit.widest
            && len <= hit.left
            && hit.off.is_multiple_of(len)
        {
            let at = At { win: hit.win, off: hit.off, width };
            if write {
                self.call(hit.slot, |d, cx| d.write(cx, at, *v & width.ones()));
            } else {
                *v = self.call(hit.slot, |d, cx| d.read(cx, at)) & width.ones();
            }
            return len;
        }
        let mut parts = [(0, 0, Width::B); 4];
        let mut n = 0;
        let done = hit.parts(len, |off, pos, width| {
            parts[n] = (off, pos, width);
            n += 1;
        });
        let mut got = 0;
        for &(off, pos, width) in &parts[..n] {
            let at = At { win: hit.win, off, width };
            if write {
                self.call(hit.slot, |d, cx| d.write(cx, at, *v >> (8 * pos) & width.ones()));
            } else {
                got |= (self.call(hit.slot, |d, cx| d.read(cx, at)) & width.ones()) << (8 * pos);
            }
        }
        if !write {
            *v = got;
        }
        done
    }

    /// One port access, byte lanes that nobody answers left open.
    fn pio(&mut self, port: u16, len: u32, v: &mut u32, write: bool) {
        self.stats.pio += 1;
        if !write {
            *v = 0;
        }
        let mut done = 0;
        while done < len {
            let at = port.wrapping_add(done as u16);
            let rest = len - done;
            let mut part = *v >> (8 * done);
            let n = if (CONFIG_ADDRESS..CONFIG_DATA + 4).contains(&at) && self.is_config(at, rest) {
                // Bytes behind CFFh are another port's.
                let n = if at == CONFIG_ADDRESS { rest } else { rest.min(4 - u32::from(at & 3)) };
                self.config_port(at, n, &mut part, write);
                n
            } else if let Some(hit) = self.decoder.port(at) {
                self.access(hit, rest, &mut part, write)
            } else {
                part = 0xff;
                1
            };
            if !write {
                let mask = if n >= 4 { u32::MAX } else { (1 << (8 * n)) - 1 };
                *v |= (part & mask) << (8 * done);
            }
            done += n;
        }
    }

    /// Configuration mechanism 1 takes doubleword accesses to CF8h and any access to CFCh-CFFh; the other
    /// bytes of CF8h-CFBh are ordinary ports (CF9h is the PIIX4's). PCI 2.1, 3.7.4.1.
    fn is_config(&self, port: u16, len: u32) -> bool {
        if port == CONFIG_ADDRESS { len == 4 } else { port >= CONFIG_DATA }
    }

    fn config_port(&mut self, port: u16, len: u32, v: &mut u32, write: bool) {
        if port == CONFIG_ADDRESS {
            if write {
                self.config_address = *v & 0x80ff_fffc;
            } else {
                *v = self.config_address;
            }
            return;
        }
        let a = self.config_address;
        let (bus, dev, func) = (a >> 16 & 0xff, (a >> 11 & 31) as u8, (a >> 8 & 7) as u8);
        let found = if a >> 31 == 1 && bus == 0 { self.decoder.config(dev, func) } else { None };
        let Some((slot, win)) = found else {
            if !write {
                *v = u32::MAX;
            }
            return;
        };
        let off = (a & 0xfc) + u32::from(port & 3);
        let hit = Hit { slot, win, off, left: 256 - off, widest: Width::D };
        self.access(hit, len, v, write);
    }
}

impl GuestIo for Board {
    fn pio_read(&mut self, port: u16, width: hv_vcpu::Width) -> u32 {
        let mut v = 0;
        self.pio(port, width.bytes(), &mut v, false);
        v
    }

    fn pio_write(&mut self, port: u16, width: hv_vcpu::Width, v: u32) {
        let mut v = v;
        self.pio(port, width.bytes(), &mut v, true);
    }

    fn mmio_read(&mut self, gpa: u64, buf: &mut [u8]) {
        self.stats.mmio += 1;
        let mut done = 0;
        while done < buf.len() {
            let Some(hit) = self.decoder.memory(gpa + done as u64) else {
                buf[done] = 0xff;
                done += 1;
                continue;
            };
            let mut v = 0;
            let n = self.access(hit, (buf.len() - done).min(4) as u32, &mut v, false) as usize;
            buf[done..done + n].copy_from_slice(&v.to_le_bytes()[..n]);
            done += n;
        }
    }

    fn mmio_write(&mut self, gpa: u64, buf: &[u8]) {
        self.stats.mmio += 1;
        let mut done = 0;
        while done < buf.len() {
            let Some(hit) = self.decoder.memory(gpa + done as u64) else {
                done += 1;
                continue;
            };
            let n = (buf.len() - done).min(4);
            let mut le = [0; 4];
            le[..n].copy_from_slice(&buf[done..done + n]);
            done += self.access(hit, n as u32, &mut u32::from_le_bytes(le), true) as usize;
        }
    }

    fn intr_pending(&self) -> bool {
        self.intr
    }

    fn ack_intr(&mut self) -> u8 {
        let (vector, irq) = self.pic.ack();
        if let Some(irq) = irq {
            self.lines.note_ack(irq);
        }
        self.stats.interrupts += 1;
        self.intr = self.pic.pending();
        vector
    }

    fn retired(&mut self, instructions: u64) {
        self.clock.retired(instructions);
    }

    fn poll(&mut self) -> u64 {
        self.stats.polls += 1;
        self.polled_again = 0;
        if self.clock.has_missed() {
            // The run loop tells the chip that has to know.
            self.kicker.kick();
        }
        let now = self.clock.now();
        if self.next_due().is_some_and(|t| t <= now) {
            self.fire_due();
        }
        let next = self.next_due();
        let budget = self.clock.budget(now, next);
        self.polled_again = self.clock.after(budget).unwrap_or(0);
        budget
    }

    fn polls_are_exact(&self) -> bool {
        self.clock.kind() == ClockKind::Instructions
    }

    fn deadline_ns(&mut self) -> Option<u64> {
        self.next_due().map(|t| t.saturating_sub(self.clock.now()))
    }

    fn tsc(&mut self) -> u64 {
        board::periods(self.clock.now(), CpuidTable::TSC_HZ)
    }

    fn ferr(&mut self, asserted: bool) {
        let now = self.clock.now();
        let clock = || now;
        let mut cx = Cx::new(Self::ISA_SLOT, &clock, &mut self.lines, &self.ram, &mut self.dma, &mut self.fx);
        self.isa.ferr(&mut cx, asserted);
        self.settle(Self::ISA_SLOT);
    }

    fn ignne(&self) -> bool {
        self.isa.ignne()
    }
}
