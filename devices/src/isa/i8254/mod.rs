//! The 8254 interval timer and port 61h, as they sit in the PIIX4.
//!
//! Windows: [`TIMER`] (40h-43h), [`PORT61`] (61h). Counter 0 drives IRQ0 with its rising OUT, counter 1 is the
//! refresh clock (seen as the toggle in port 61h), counter 2 has its gate in port 61h bit 0 and its OUT in bit 5.
//! All six modes, BCD, latch and read-back; counts follow guest time exactly at 1193182 Hz (`channel.rs`).
//!
//! Ticks: a rise that the host delivers late, or that finds the tick before still waiting, is owed in modes 2
//! and 3 and delivered later, once the processor has taken the last one ([`board::Lines::acks`]), at most one
//! extra tick in a quarter of a period. A guest that takes no IRQ0 while ticks come on time has it masked and is owed
//! nothing, as with the real chip.
//!
//! What the speaker does with OUT2 and port 61h bit 1 is heard ([`I8254::with_speaker`], `speaker.rs`).
//!
//! Not emulated: NMI sources of port 61h (bits 7:6 read 0: the board has neither parity nor IOCHK#), the alias 50h-53h.
//!
//! Page: docs/devices/i8254.md. Sources: Intel 8254 datasheet (231164); 82371AB (290562), timer and NMI registers.

mod channel;
mod regs;
mod speaker;
mod state;
#[cfg(test)]
mod tests;
mod ticks;

use board::{
    At, Cx, Device, Line, Reset, SoundPort, StateError, StateIn, StateOut, Tick, TimerId, Width, Win,
    WinSpec, end_of, periods,
};

use channel::Channel;
pub use regs::CLK_HZ;
use regs::{Control, Nmisc, ReadBack};
use speaker::Speaker;
use ticks::Ticks;

pub const TIMER: Win = Win(0);
pub const PORT61: Win = Win(1);

const WINDOWS: &[WinSpec] = &[WinSpec::pio(TIMER, 4, Width::B), WinSpec::pio(PORT61, 1, Width::B)];

/// Next rise of OUT0.
const RISE: TimerId = TimerId(0);
/// Next tick that is owed.
const CATCH_UP: TimerId = TimerId(1);
/// Sound that is made goes to its port.
const SOUND: TimerId = TimerId(2);
/// A guest may ask for a tick each two CLKs; it gets them in lumps of this.
const NEVER_SOONER: Tick = 20_000;
/// What a refresh request comes to when counter 1 is not set up: 15.085 us.
const REFRESH: u32 = 18;

/// CLK pulses since power-on.
fn clk(now: Tick) -> u64 {
    periods(now, CLK_HZ)
}

/// The first nanosecond of a CLK pulse.
fn tick_of(clk: u64) -> Tick {
    end_of(clk, CLK_HZ)
}

pub struct I8254 {
    irq0: Line,
    ch: [Channel; 3],
    port61: Nmisc,
    ticks: Ticks,
    speaker: Option<Speaker>,
}

impl I8254 {
    /// `irq0`: the wire to IRQ0.
    pub fn new(irq0: Line) -> Self {
        Self {
            irq0,
            ch: [Channel::new(true, 0), Channel::new(true, 0), Channel::new(false, 0)],
            port61: Nmisc::new(),
            ticks: Ticks::default(),
            speaker: None,
        }
    }

    /// Somebody hears the speaker.
    #[must_use]
    pub fn with_speaker(mut self, port: Option<Box<dyn SoundPort>>) -> Self {
        self.speaker = port.map(Speaker::new);
        self
    }

    /// Brings counter 2 to `now`, and the speaker up to it.
    fn advance_2(&mut self, now: u64) {
        let c = &mut self.ch[2];
        if let Some(s) = &mut self.speaker
            && self.port61.speaker()
        {
            c.advance(now.saturating_sub(speaker::MOST_CLKS));
            while let Some(to) = c.steady_until().filter(|&to| to < now) {
                c.advance(to);
                s.put(to, c.out);
            }
        }
        c.advance(now);
    }

    /// Where port 61h and OUT2 hold the speaker's cone.
    fn speaker_out(&self) -> bool {
        self.port61.speaker() && self.ch[2].out
    }

    /// Brings the counters to now; delivers what counter 0 did meanwhile.
    fn sync(&mut self, cx: &mut Cx<'_>) {
        let now = clk(cx.now());
        let due = self.ch[0].next_rise();
        let rises = self.ch[0].advance(now);
        self.ch[1].advance(now);
        self.advance_2(now);
        if let Some(s) = &mut self.speaker {
            s.play(now);
        }
        if rises > 0 {
            let late = due.map_or(0, |c| cx.now().saturating_sub(tick_of(c)));
            self.ticks.rose(cx, self.irq0, rises, late, self.ch[0].periodic());
        }
    }

    /// After any change: the wire and the timers.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        let out = self.speaker_out();
        if let Some(s) = &mut self.speaker {
            s.put(clk(cx.now()), out);
            if s.awake() {
                cx.wake_at(SOUND, cx.now() + speaker::CHUNK);
            } else {
                cx.cancel(SOUND);
            }
        }
        let c = &self.ch[0];
        // A tick that waits keeps its level through OUT's low half; elsewhere the wire is OUT.
        let held = c.periodic() && self.ticks.waiting(cx, self.irq0);
        if !c.out && !held {
            cx.lines.lower(self.irq0);
        }
        match c.next_rise() {
            Some(c) => cx.wake_at(RISE, tick_of(c).max(cx.now() + NEVER_SOONER)),
            None => cx.cancel(RISE),
        }
        match self.ticks.next(catch_up_step(&self.ch[0])) {
            Some(t) => cx.wake_at(CATCH_UP, t.max(cx.now())),
            None => cx.cancel(CATCH_UP),
        }
    }

    fn control(&mut self, cx: &mut Cx<'_>, v: u8) {
        let c = Control::from_bits(v);
        let n = usize::from(c.sc());
        if n == 3 {
            let rb = ReadBack::from_bits(v);
            for (i, ch) in self.ch.iter_mut().enumerate().filter(|(i, _)| rb.counters() & 1 << i != 0) {
                debug_assert!(i < 3);
                if !rb.no_count() {
                    ch.latch_count();
                }
                if !rb.no_status() {
                    ch.latch_status();
                }
            }
        } else if c.rw() == 0 {
            self.ch[n].latch_count();
        } else {
            let rises = self.ch[n].set_control(c);
            if n == 0 {
                self.ticks.forget();
                self.edge(cx, rises);
            }
        }
    }

    /// A rise of OUT0 by programming: an edge like any other, but never owed.
    fn edge(&mut self, cx: &mut Cx<'_>, rises: u64) {
        if rises > 0 {
            self.ticks.rose(cx, self.irq0, rises, 0, false);
        }
    }

    fn read_port61(&self, now: Tick) -> u8 {
        let refresh = if self.ch[1].loaded && self.ch[1].periodic() { self.ch[1].count() } else { REFRESH };
        let toggles = clk(now) / u64::from(refresh.max(1));
        self.port61.with_refresh(toggles & 1 == 1).with_out2(self.ch[2].out).into_bits()
    }
}

/// How far apart ticks that are owed come: a quarter of the period. A clock that lags shows against the TSC within
/// half a second (a watchdog in Linux looks), so half a period would be too slow; at once would be a burst.
fn catch_up_step(c: &Channel) -> Tick {
    tick_of(u64::from(c.count())) / 4
}

impl Device for I8254 {
    fn name(&self) -> &'static str {
        "i8254"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _kind: Reset) {
        let at = clk(cx.now());
        self.ch = [Channel::new(true, at), Channel::new(true, at), Channel::new(false, at)];
        self.port61 = Nmisc::new();
        self.ticks = Ticks::default();
        if let Some(s) = &mut self.speaker {
            s.reset(false);
        }
        self.ticks.start(cx, self.irq0);
        self.settle(cx);
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        self.sync(cx);
        let v = match (at.win, at.off) {
            (TIMER, n @ 0..=2) => self.ch[n as usize].read(),
            (PORT61, 0) => self.read_port61(cx.now()),
            // 43h is write-only.
            _ => return cx.open_bus(at),
        };
        self.settle(cx);
        u32::from(v)
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        self.sync(cx);
        let v = v as u8;
        match (at.win, at.off) {
            (TIMER, 0) => {
                let rises = self.ch[0].write(v);
                self.edge(cx, rises);
            }
            (TIMER, n @ 1..=2) => {
                self.ch[n as usize].write(v);
            }
            (TIMER, 3) => self.control(cx, v),
            (PORT61, 0) => {
                self.port61 = Nmisc::from_bits(v & 0x0f);
                self.ch[2].set_gate(self.port61.gate2());
            }
            _ => {
                cx.open_bus(at);
            }
        }
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, id: TimerId) {
        self.sync(cx);
        if id == CATCH_UP {
            self.ticks.catch_up(cx, self.irq0, catch_up_step(&self.ch[0]));
        }
        self.settle(cx);
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    /// Was the tick on the wire taken? A saved state has no acknowledge counts to tell.
    fn catch_up(&mut self, cx: &mut Cx<'_>) {
        self.ticks.waiting(cx, self.irq0);
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        self.ticks.resume(cx, self.irq0, self.ch[0].out);
        if let Some(s) = &mut self.speaker {
            s.restored();
        }
        self.settle(cx);
        // Not a program that counts so little that it must not be followed: the rise that was due already.
        if let Some(c) = self.ch[0].next_rise() {
            cx.wake_at(RISE, tick_of(c).max(cx.now()));
        }
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.ticks.metrics()
    }
}
