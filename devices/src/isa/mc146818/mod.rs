//! The real-time clock with 256 bytes of CMOS RAM: an MC146818 as it sits in the PIIX4.
//!
//! Windows: [`RTC`] (70h-77h): index and data of the standard bank, the same of the extended bank, and both again.
//! Registers: `regs.rs`; the calendar: `calendar.rs`. Time runs on guest time from the wall clock that the board
//! gives; nothing ticks while nobody looks, the bytes are counted on when they are read. An update ends each second
//! with UIP up for the 2228 us before it (244 us and 1984 us, as with a 32.768 kHz crystal). Periodic, alarm and
//! update-ended flags; IRQ8 is up while IRQF is, a read of C drops it. Periodic interrupts that the host delays are
//! owed and made up for, half a period after C was read. Seconds that guest time does not count (a pause, a host that
//! slept) come by [`HostEvent::Missed`] and move time, calendar and alarm, not the periodic interrupt: the battery kept on.
//!
//! A reset clears the interrupt enables and flags, nothing else: the battery keeps the rest.
//!
//! Not emulated: daylight saving (DSE is a plain bit, the datasheet's dates are no longer the law), SQW, dividers
//! for other crystals (the clock stands still), the NMI mask in port 70h.
//!
//! Page: docs/devices/mc146818.md. Sources: Motorola MC146818 datasheet; 82371AB (290562), RTC registers.

mod calendar;
mod regs;
mod state;
#[cfg(test)]
mod tests;

use board::{
    At, Cx, Device, HostEvent, Line, MICROSECOND, Reset, SECOND, StateError, StateIn, StateOut, Tick,
    TimerId, Width, Win, WinSpec, end_of, periods,
};

use calendar::{Calendar, next_century, set_century};
use regs::{REG_A, REG_B, REG_C, REG_D, RegA, RegB, RegC, VRT};

pub const RTC: Win = Win(0);

const WINDOWS: &[WinSpec] = &[WinSpec::pio(RTC, 8, Width::B)];

const UPDATE: TimerId = TimerId(0);
const PERIODIC: TimerId = TimerId(1);
const MADE_UP: TimerId = TimerId(2);

/// UIP rises this much before the time moves.
const UIP: Tick = 2228 * MICROSECOND;
const CRYSTAL_HZ: u64 = 32_768;
/// Alarms repeat daily at most, so no more than a day is looked through.
const DAY: u64 = 86_400;
/// More periodic interrupts are not made up for.
const MOST_OWED: u32 = 5000;

pub struct Mc146818 {
    irq8: Line,
    regs: Regs,
}

struct Regs {
    /// Both banks. The clock's bytes are as of second `seconds` of the divider.
    bytes: [u8; 256],
    index: [u8; 2],
    /// When the divider was at 0.
    phase: Tick,
    /// Seconds and periodic interrupts of the divider that were seen to.
    seconds: u64,
    periods: u64,
    /// Periodic interrupts that came late, to be made up for.
    owed: u32,
    /// When the next of them is given.
    give_at: Option<Tick>,
}

impl Mc146818 {
    /// `irq8`: the wire to IRQ8. `wall_clock`: seconds since 1970 as the guest shall see them (local time for
    /// DOS and Windows) at guest time 0.
    pub fn new(irq8: Line, wall_clock: i64) -> Self {
        let mut bytes = [0; 256];
        let b = RegB::new().with_h24(true);
        bytes[REG_A] = RegA::new().with_dv(2).with_rs(6).into_bits();
        bytes[REG_B] = b.into_bits();
        bytes[REG_D] = VRT;
        let (calendar, century) = Calendar::from_wall_clock(wall_clock);
        calendar.store(&mut bytes, b);
        set_century(&mut bytes, century);
        let regs = Regs { bytes, index: [0; 2], phase: 0, seconds: 0, periods: 0, owed: 0, give_at: None };
        Self { irq8, regs }
    }

    /// A byte of CMOS RAM (0Eh-FFh) as the machine's builder or firmware wants it. The clock's registers are left
    /// alone.
    pub fn set_cmos(&mut self, reg: u8, v: u8) {
        if usize::from(reg) > REG_D {
            self.regs.bytes[usize::from(reg)] = v;
        }
    }

    /// The diskette drives (10h, and the equipment byte 14h) as a BIOS not our own looks for them; before `set_memory`,
    /// which makes the checksum.
    pub fn set_floppies(&mut self, [a, b]: [u8; 2]) {
        self.set_cmos(0x10, a << 4 | b & 0x0f);
        let count = u8::from(a != 0) + u8::from(b != 0);
        let equipment = self.cmos(0x14) & !0xc1;
        self.set_cmos(0x14, equipment | if count > 0 { 1 | (count - 1) << 6 } else { 0 });
    }

    /// The memory sizes that a BIOS not our own looks for: base and extended KiB (15h-18h, 30h, 31h), 64 KiB pieces
    /// above 16 MiB (34h, 35h), and the checksum over 10h-2Dh.
    pub fn set_memory(&mut self, ram: u64) {
        let extended = (ram >> 10).saturating_sub(1024).min(0xffff) as u16;
        let above = (ram >> 16).saturating_sub(256).min(0xffff) as u16;
        for (reg, v) in [(0x15, 640), (0x17, extended), (0x30, extended), (0x34, above)] {
            let [low, high] = u16::to_le_bytes(v);
            self.set_cmos(reg, low);
            self.set_cmos(reg + 1, high);
        }
        let sum = self.regs.bytes[0x10..=0x2d].iter().map(|b| u16::from(*b)).sum::<u16>();
        let [low, high] = sum.to_le_bytes();
        self.set_cmos(0x2e, high);
        self.set_cmos(0x2f, low);
    }

    pub fn cmos(&self, reg: u8) -> u8 {
        self.regs.bytes[usize::from(reg)]
    }

    fn a(&self) -> RegA {
        RegA::from_bits(self.regs.bytes[REG_A])
    }

    fn b(&self) -> RegB {
        RegB::from_bits(self.regs.bytes[REG_B])
    }

    fn c(&self) -> RegC {
        RegC::from_bits(self.regs.bytes[REG_C])
    }

    fn since(&self, now: Tick) -> Tick {
        now.saturating_sub(self.regs.phase)
    }

    /// Counts the registers on to now.
    fn sync(&mut self, cx: &mut Cx<'_>) {
        if !self.a().runs() {
            return;
        }
        let since = self.since(cx.now());
        self.sync_seconds(since / SECOND);
        if let Some(shift) = self.a().periodic_shift() {
            self.sync_periods(crystal(since) >> shift);
        }
    }

    fn sync_seconds(&mut self, to: u64) {
        let n = to.saturating_sub(std::mem::replace(&mut self.regs.seconds, to));
        self.count_on(n);
    }

    /// `n` updates of time and calendar.
    fn count_on(&mut self, n: u64) {
        let b = self.b();
        if n == 0 || b.set() {
            return;
        }
        let mut c = self.c().with_uf(true);
        let mut calendar = Calendar::load(&self.regs.bytes, b);
        for left in (0..n).rev() {
            if calendar.tick() {
                next_century(&mut self.regs.bytes);
            }
            if left < DAY && calendar.alarm(&self.regs.bytes, b) {
                c.set_af(true);
            }
        }
        calendar.store(&mut self.regs.bytes, b);
        self.regs.bytes[REG_C] = c.into_bits();
    }

    fn sync_periods(&mut self, to: u64) {
        let n = to.saturating_sub(std::mem::replace(&mut self.regs.periods, to));
        if n == 0 {
            return;
        }
        let c = self.c();
        // A flag that nobody cleared merges with the next, as on the chip. One that the host was late to set stands
        // for several.
        if self.b().pie() && !c.pf() {
            self.regs.owed =
                self.regs.owed.saturating_add((n - 1).min(u64::from(MOST_OWED)) as u32).min(MOST_OWED);
        }
        self.regs.bytes[REG_C] = c.with_pf(true).into_bits();
    }

    fn period(&self) -> Option<Tick> {
        self.a().periodic_shift().map(|shift| tick_of(1 << shift))
    }

    /// After any change: IRQF, the wire, the timers.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        let (a, b, c) = (self.a(), self.b(), self.c());
        let irqf = c.pf() && b.pie() || c.af() && b.aie() || c.uf() && b.uie();
        self.regs.bytes[REG_C] = c.with_irqf(irqf).into_bits();
        cx.lines.set(self.irq8, irqf);

        let ticking = a.runs() && !b.set();
        let update = ticking && (b.uie() && !c.uf() || b.aie() && !c.af());
        arm(cx, UPDATE, update.then(|| self.regs.phase + (self.regs.seconds + 1) * SECOND));

        let periodic = a.periodic_shift().filter(|_| a.runs() && b.pie() && !c.pf());
        arm(cx, PERIODIC, periodic.map(|shift| self.regs.phase + tick_of((self.regs.periods + 1) << shift)));
        arm(cx, MADE_UP, periodic.and(self.regs.give_at));
    }

    /// Starts the divider as if it had run for `elapsed` already.
    fn restart(&mut self, now: Tick, elapsed: Tick) {
        // Guest time has no negative: shortly after power-on the phase lies at 0.
        self.regs.phase = now.saturating_sub(elapsed);
        self.regs.seconds = 0;
        self.regs.periods = self.a().periodic_shift().map_or(0, |s| crystal(now - self.regs.phase) >> s);
    }

    fn read_reg(&mut self, now: Tick, reg: usize) -> u8 {
        match reg {
            REG_A => {
                let a = self.a();
                let until = SECOND - self.since(now) % SECOND;
                a.with_uip(a.runs() && !self.b().set() && until <= UIP).into_bits()
            }
            REG_C => {
                let c = self.c();
                self.regs.bytes[REG_C] = 0;
                if c.pf() && self.regs.owed > 0 {
                    self.regs.give_at = self.period().map(|p| now + p / 2);
                }
                c.into_bits()
            }
            _ => self.regs.bytes[reg],
        }
    }

    fn write_reg(&mut self, now: Tick, reg: usize, v: u8) {
        match reg {
            REG_A => {
                let (old, new) = (self.a(), RegA::from_bits(v).with_uip(false));
                self.regs.bytes[REG_A] = new.into_bits();
                if new.runs() && !old.runs() {
                    // The first update comes half a second after the divider was let go.
                    self.restart(now, SECOND / 2);
                } else if new.rs() != old.rs() {
                    self.regs.periods = new.periodic_shift().map_or(0, |s| crystal(self.since(now)) >> s);
                    self.regs.owed = 0;
                    self.regs.give_at = None;
                }
            }
            REG_B => {
                let new = RegB::from_bits(v);
                // SET clears UIE.
                self.regs.bytes[REG_B] = new.with_uie(new.uie() && !new.set()).into_bits();
                if !new.pie() {
                    self.regs.owed = 0;
                    self.regs.give_at = None;
                }
            }
            REG_C | REG_D => {}
            _ => self.regs.bytes[reg] = v,
        }
    }
}

/// Periods of the crystal in so many ns, and back (rounded up).
fn crystal(ns: Tick) -> u64 {
    periods(ns, CRYSTAL_HZ)
}

fn tick_of(crystals: u64) -> Tick {
    end_of(crystals, CRYSTAL_HZ)
}

fn arm(cx: &mut Cx<'_>, id: TimerId, at: Option<Tick>) {
    match at {
        Some(t) => cx.wake_at(id, t.max(cx.now())),
        None => cx.cancel(id),
    }
}

impl Device for Mc146818 {
    fn name(&self) -> &'static str {
        "mc146818"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _kind: Reset) {
        self.sync(cx);
        let b = self.b().with_pie(false).with_aie(false).with_uie(false).with_sqwe(false);
        self.regs.bytes[REG_B] = b.into_bits();
        self.regs.bytes[REG_C] = 0;
        self.regs.owed = 0;
        self.regs.give_at = None;
        self.settle(cx);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        let bank = (at.off >> 1 & 1) as usize;
        let index = self.regs.index[bank];
        if at.off & 1 == 0 {
            // 70h is write-only, 72h reads back.
            return if bank == 0 { cx.open_bus(at) } else { u32::from(index) };
        }
        self.sync(cx);
        let v = self.read_reg(cx.now(), bank << 7 | usize::from(index));
        self.settle(cx);
        u32::from(v)
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        let bank = (at.off >> 1 & 1) as usize;
        if at.off & 1 == 0 {
            self.regs.index[bank] = v as u8 & 0x7f; // bit 7 of 70h masks NMI
            return;
        }
        self.sync(cx);
        self.write_reg(cx.now(), bank << 7 | usize::from(self.regs.index[bank]), v as u8);
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, id: TimerId) {
        self.sync(cx);
        if id == MADE_UP && self.regs.give_at.take().is_some() && !self.c().pf() && self.regs.owed > 0 {
            self.regs.owed -= 1;
            self.regs.bytes[REG_C] = self.c().with_pf(true).into_bits();
        }
        self.settle(cx);
    }

    fn host(&mut self, cx: &mut Cx<'_>, ev: HostEvent) {
        if let HostEvent::Missed(seconds) = ev {
            self.sync(cx);
            if self.a().runs() {
                self.count_on(seconds);
            }
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
        self.settle(cx);
    }
}
