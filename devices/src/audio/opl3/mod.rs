//! The OPL3 synthesizer (Yamaha YMF262): ports of two banks of registers, two timers, eighteen channels.
//!
//! It is a part of the sound card, which gives it four ports. Samples come at 14.31818 MHz / 288 = 49716 Hz, generated
//! when the card asks for them; between two of them registers may be written at any time.
//!
//! - `operator.rs`: envelope and phase; `synth.rs`: channels, four-operator channels, percussion; `tables.rs`: sine,
//!   exponential, rates.
//! - With NEW (105h bit 0) clear it is the two-operator OPL2: four waveforms, one bank, both outputs.
//!
//! Not emulated: the test registers, the outputs C and D (not connected on the card), the wait states that a program must
//! leave between writes (none is ever too fast).
//!
//! Sources: Yamaha YMF262 data sheet and application manual; Sound Blaster Series Hardware Programming Guide, chapter 5.

mod operator;
mod state;
mod synth;
mod tables;
#[cfg(test)]
mod tests;
mod timers;

use board::Tick;

use operator::Operator;
use synth::{FOUR, operator_at, operators_of};
use tables::Tables;
use timers::Timers;

pub(crate) use state::Opl3V1;

use crate::audio::track::Period;

const CHANNELS: usize = 18;
const OPERATORS: usize = 36;
const REGISTERS: usize = 0x200;
/// Between two samples: 288 periods of 14.31818 MHz.
pub(super) const SAMPLE: Period = Period { num: 288_000_000_000, den: 14_318_180 };

/// NEW: the second bank and all that is the OPL3's own.
const NEW: usize = 0x105;
const RHYTHM: usize = 0xbd;

pub struct Opl3 {
    /// As they were written; the second bank from 100h.
    regs: [u8; REGISTERS],
    index: u16,
    timers: Timers,
    ops: [Operator; OPERATORS],
    /// Samples since power-on.
    clock: u64,
    noise: u32,
    tables: Tables,
}

impl Default for Opl3 {
    fn default() -> Self {
        Self::new()
    }
}

impl Opl3 {
    pub fn new() -> Self {
        Self {
            regs: [0; REGISTERS],
            index: 0,
            timers: Timers::default(),
            ops: [Operator::new(); OPERATORS],
            clock: 0,
            noise: 1,
            tables: Tables::new(),
        }
    }

    /// All registers to 0, as the RESET pin brings them.
    pub fn reset(&mut self) {
        self.regs = [0; REGISTERS];
        (self.index, self.timers) = (0, Timers::default());
        (self.ops, self.noise) = ([Operator::new(); OPERATORS], 1);
    }

    fn is_new(&self) -> bool {
        self.regs[NEW] & 1 != 0
    }

    /// Reads a port, 0 to 3: status at the even ones.
    pub fn read(&mut self, now: Tick, port: u32) -> u8 {
        if port & 1 == 0 { self.timers.status(now) } else { 0xff }
    }

    /// Writes a port: index of the first bank, data, index of the second bank, data.
    pub fn write(&mut self, now: Tick, port: u32, v: u8) {
        match port & 3 {
            0 => self.index = v.into(),
            // Without NEW only its own register of the second bank is there.
            2 => self.index = u16::from(v) | if self.is_new() || v == 5 { 0x100 } else { 0 },
            _ => self.write_register(now, self.index.into(), v),
        }
    }

    fn write_register(&mut self, now: Tick, reg: usize, v: u8) {
        match reg {
            2..=4 => self.timers.write(now, reg, v),
            _ => self.regs[reg] = v,
        }
        let (bank, low) = (reg >> 8, reg & 0xff);
        match low {
            0x20..=0x95 | 0xe0..=0xf5 => {
                if let Some(n) = operator_at(low & 0x1f) {
                    self.write_operator(bank * OPERATORS / 2 + n, low & 0xe0, v);
                }
            }
            0xb0..=0xb8 => self.key(bank * 9 + low - 0xb0, v & 0x20 != 0),
            0xbd if reg == RHYTHM => self.rhythm(v),
            _ => {}
        }
    }

    fn write_operator(&mut self, n: usize, group: usize, v: u8) {
        let o = &mut self.ops[n];
        match group {
            0x20 => o.character = v,
            0x40 => o.level = v,
            0x60 => o.attack_decay = v,
            0x80 => o.sustain_release = v,
            _ => o.wave = v & 7,
        }
    }

    /// KEY ON of a channel. One that is the second half of a four-operator channel is keyed by the first.
    fn key(&mut self, channel: usize, on: bool) {
        let four = |first: usize| FOUR.iter().position(|&c| c == first).is_some_and(|bit| self.is_four(bit));
        let whole = four(channel);
        if channel >= 3 && four(channel - 3) {
            return;
        }
        let second = if whole { operators_of(channel + 3) } else { operators_of(channel) };
        for n in operators_of(channel).into_iter().chain(second) {
            self.ops[n].key(1, on);
        }
    }

    /// BDh: five percussion keys, which count only in rhythm mode.
    fn rhythm(&mut self, v: u8) {
        let on = |bit: u8| v & 0x20 != 0 && v & bit != 0;
        let [bass, snare_hat, tom_cymbal] = [6, 7, 8].map(operators_of);
        for (op, bit) in [
            (bass[0], 0x10),
            (bass[1], 0x10),
            (snare_hat[1], 0x08),
            (tom_cymbal[0], 0x04),
            (tom_cymbal[1], 0x02),
            (snare_hat[0], 0x01),
        ] {
            self.ops[op].key(2, on(bit));
        }
    }
}
