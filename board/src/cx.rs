//! What a chip can do while it is called.

use std::cell::Cell;
use std::collections::BTreeMap;

use ram::GuestRam;

use crate::{At, Decode, HostJob, IsaDma, Lines, Tick, TimerId, Timers, Win};

/// Index of a chip on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u16);

/// Changes of the machine's life that a chip can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// INIT# or RSTDRV: processor and chips start again.
    Reset,
    /// INIT# alone: the processor starts again, chips and memory stay (KBC pulse, port 92h, shutdown special cycle).
    Init,
    /// S5: soft off.
    Off,
    /// S1: processor stopped until a wake event.
    S1,
    /// S4: soft off after the guest saved itself.
    S4,
    /// A wake event while in S1.
    Wake,
}

/// Accesses that no register answers, per chip and offset.
#[derive(Debug, Clone, Default)]
pub struct Unknowns {
    seen: BTreeMap<(SlotId, Win, u32), u64>,
}

impl Unknowns {
    const MOST: usize = 4096;

    pub fn count(&mut self, slot: SlotId, at: At) {
        let key = (slot, at.win, at.off);
        if self.seen.len() < Self::MOST || self.seen.contains_key(&key) {
            *self.seen.entry(key).or_insert(0) += 1;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (SlotId, Win, u32, u64)> + '_ {
        self.seen.iter().map(|(&(s, w, o), &n)| (s, w, o, n))
    }

    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

/// What chips asked for and the machine has not yet carried out. Timers and unknowns take effect at once.
#[derive(Default)]
pub struct Effects {
    pub timers: Timers,
    pub remaps: Vec<(SlotId, Win, Option<Decode>)>,
    pub jobs: Vec<(SlotId, HostJob)>,
    pub power: Option<Power>,
    pub unknowns: Unknowns,
}

/// The machine, as the chip that is being called sees it.
pub struct Cx<'a> {
    pub lines: &'a mut Lines,
    pub ram: &'a GuestRam,
    /// The 8237 pair, for ISA chips with DREQ wires.
    pub dma: &'a mut dyn IsaDma,
    clock: &'a dyn Fn() -> Tick,
    now: Cell<Option<Tick>>,
    slot: SlotId,
    fx: &'a mut Effects,
}

impl<'a> Cx<'a> {
    pub fn new(
        slot: SlotId,
        clock: &'a dyn Fn() -> Tick,
        lines: &'a mut Lines,
        ram: &'a GuestRam,
        dma: &'a mut dyn IsaDma,
        fx: &'a mut Effects,
    ) -> Self {
        Self { lines, ram, dma, clock, now: Cell::new(None), slot, fx }
    }

    /// Guest time, the same for the whole call. Most accesses of a driver have nothing to do with time, so the clock is read
    /// when it is asked for.
    pub fn now(&self) -> Tick {
        let now = self.now.get().unwrap_or_else(self.clock);
        self.now.set(Some(now));
        now
    }

    /// Calls [`crate::Device::timer`] with `id` at `t` (at once after this call if `t` has passed). Moves the timer if it is armed.
    pub fn wake_at(&mut self, id: TimerId, t: Tick) {
        self.fx.timers.set(self.slot, id, t);
    }

    /// The same at `t` at the latest: earlier, if the processor has nothing to do. For work that is better done together
    /// with what comes in the next moments.
    pub fn wake_by(&mut self, id: TimerId, t: Tick) {
        self.fx.timers.set_latest(self.slot, id, t);
    }

    pub fn cancel(&mut self, id: TimerId) {
        self.fx.timers.cancel(self.slot, id);
    }

    /// Moves one of the chip's windows, or takes it off the bus.
    pub fn remap(&mut self, win: Win, to: Option<Decode>) {
        self.fx.remaps.push((self.slot, win, to));
    }

    /// Hands a job to the host; its end comes back as [`crate::HostEvent`] to this chip, never before this call returned.
    pub fn submit(&mut self, job: HostJob) {
        self.fx.jobs.push((self.slot, job));
    }

    pub fn power(&mut self, p: Power) {
        // A reset or an end is not undone by a later, milder wish of the same access.
        if !matches!(self.fx.power, Some(Power::Off | Power::S4 | Power::Reset)) {
            self.fx.power = Some(p);
        }
    }

    /// For an access that no register answers: counts it (`ctl unknowns`), returns what an open bus reads.
    pub fn open_bus(&mut self, at: At) -> u32 {
        self.fx.unknowns.count(self.slot, at);
        at.width.ones()
    }
}
