//! Samples: eighteen channels of two operators, six pairs of which can be one of four, and five percussion instruments
//! in place of three channels.

use super::operator::{Moment, Operator, Pitch};
use super::{CHANNELS, OPERATORS, Opl3};
use crate::audio::track::Frame;

/// First operators of a bank's channels; the second one is three further.
const FIRST: [usize; 9] = [0, 1, 2, 6, 7, 8, 12, 13, 14];
/// Operators of a bank.
const BANK: usize = 18;
/// Channels that can be the first half of a four-operator one, by bit of register 104h.
pub(super) const FOUR: [usize; 6] = [0, 1, 2, 9, 10, 11];

/// Operators of the percussion.
const HI_HAT: usize = 13;
const SNARE: usize = 16;
const TOM: usize = 14;
const CYMBAL: usize = 17;

/// Samples between two steps of the tremolo and the vibrato.
const TREMOLO_STEP: u64 = 64;
const TREMOLO_STEPS: u64 = 210;
const VIBRATO_STEP: u64 = 1024;

pub(super) fn operators_of(channel: usize) -> [usize; 2] {
    let first = channel / 9 * BANK + FIRST[channel % 9];
    [first, first + 3]
}

/// Register offset of an operator within its bank.
pub(super) fn operator_at(offset: usize) -> Option<usize> {
    let (group, n) = (offset / 8, offset % 8);
    (group < 3 && n < 6).then_some(group * 6 + n)
}

impl Opl3 {
    fn moment(&self) -> Moment {
        let bd = self.regs[0xbd];
        let t = self.clock / TREMOLO_STEP % TREMOLO_STEPS;
        let t = if t < TREMOLO_STEPS / 2 { t } else { TREMOLO_STEPS - t } as u16;
        Moment {
            clock: self.clock,
            nts: self.regs[0x08] & 0x40 != 0,
            tremolo: t >> if bd & 0x80 != 0 { 2 } else { 4 },
            vibrato: (self.clock / VIBRATO_STEP & 7) as u8,
            deep_vibrato: bd & 0x40 != 0,
        }
    }

    /// Is nothing to be heard until a register is written?
    pub fn is_silent(&self) -> bool {
        self.ops.iter().all(Operator::is_off)
    }

    /// Lets time pass in silence.
    pub fn pass(&mut self, samples: u64) {
        self.clock += samples;
    }

    /// The pitch of an operator: the second pair of a four-operator channel has its own register, and does not use it.
    fn pitches(&self) -> [Pitch; CHANNELS] {
        let mut p: [Pitch; CHANNELS] = std::array::from_fn(|n| {
            let at = n / 9 * 0x100 + n % 9;
            let (low, high) = (self.regs[0xa0 + at], self.regs[0xb0 + at]);
            Pitch { fnum: u16::from(low) | u16::from(high & 3) << 8, block: high >> 2 & 7 }
        });
        for (bit, first) in FOUR.into_iter().enumerate() {
            if self.is_four(bit) {
                p[first + 3] = p[first];
            }
        }
        p
    }

    pub(super) fn is_four(&self, bit: usize) -> bool {
        self.is_new() && self.regs[0x104] >> bit & 1 != 0
    }

    /// C0h of a channel: feedback 3:1, connection 0, outputs 5:4.
    fn link(&self, channel: usize) -> u8 {
        self.regs[0xc0 + channel / 9 * 0x100 + channel % 9]
    }

    /// Generates `n` samples.
    pub(crate) fn generate(&mut self, n: u64, out: &mut Vec<Frame>) {
        let pitches = self.pitches();
        for _ in 0..n {
            out.push(self.sample(&pitches));
        }
    }

    fn sample(&mut self, pitches: &[Pitch; CHANNELS]) -> Frame {
        let m = self.moment();
        let mut phases = [0; OPERATORS];
        for (channel, &pitch) in pitches.iter().enumerate() {
            for op in operators_of(channel) {
                let o = &mut self.ops[op];
                if !o.is_off() || o.keys != 0 {
                    o.step_envelope(pitch, m);
                }
                phases[op] = o.step_phase(pitch, m);
            }
        }
        let rhythm = self.regs[0xbd] & 0x20 != 0;
        let mut sum = [0_i32; 2];
        let mut channel = 0;
        let mut second_half = [false; CHANNELS];
        while channel < CHANNELS {
            let four = FOUR.iter().position(|&c| c == channel).is_some_and(|bit| self.is_four(bit));
            let v = if second_half[channel] {
                0
            } else if rhythm && (6..9).contains(&channel) {
                self.percussion(channel, pitches[channel], m, &phases)
            } else if four {
                second_half[channel + 3] = true;
                self.four(channel, pitches[channel], m, &phases)
            } else {
                self.two(channel, pitches[channel], m, &phases)
            };
            // The two outputs are switched in the new mode only.
            let on = if self.is_new() { self.link(channel) >> 4 } else { 3 };
            sum[0] += if on & 1 != 0 { v } else { 0 };
            sum[1] += if on & 2 != 0 { v } else { 0 };
            channel += 1;
        }
        self.clock += 1;
        let bit = (self.noise ^ self.noise >> 14) & 1;
        self.noise = self.noise >> 1 | bit << 22;
        sum.map(|v| v.clamp(i16::MIN.into(), i16::MAX.into()) as i16)
    }

    fn op(&mut self, op: usize, pitch: Pitch, m: Moment, phase: u32, by: i32) -> i32 {
        let form = self.ops[op].wave & if self.is_new() { 7 } else { 3 };
        self.ops[op].sound(&self.tables, pitch, m, form, phase.wrapping_add_signed(by))
    }

    /// The first operator modulates itself.
    fn fed_back(
        &mut self,
        channel: usize,
        op: usize,
        pitch: Pitch,
        m: Moment,
        phases: &[u32; OPERATORS],
    ) -> i32 {
        let feedback = self.link(channel) >> 1 & 7;
        let [a, b] = self.ops[op].out.map(i32::from);
        let by = if feedback == 0 { 0 } else { (a + b) >> (9 - feedback) };
        self.op(op, pitch, m, phases[op], by)
    }

    fn two(&mut self, channel: usize, pitch: Pitch, m: Moment, phases: &[u32; OPERATORS]) -> i32 {
        let [a, b] = operators_of(channel);
        if self.ops[a].is_off() && self.ops[b].is_off() {
            return 0;
        }
        let first = self.fed_back(channel, a, pitch, m, phases);
        if self.link(channel) & 1 == 0 {
            self.op(b, pitch, m, phases[b], first)
        } else {
            first + self.op(b, pitch, m, phases[b], 0)
        }
    }

    fn four(&mut self, channel: usize, pitch: Pitch, m: Moment, phases: &[u32; OPERATORS]) -> i32 {
        let ([a, b], [c, d]) = (operators_of(channel), operators_of(channel + 3));
        if [a, b, c, d].iter().all(|&n| self.ops[n].is_off()) {
            return 0;
        }
        let first = self.fed_back(channel, a, pitch, m, phases);
        let links = (self.link(channel) & 1, self.link(channel + 3) & 1);
        let mut op = |n: usize, by: i32| self.op(n, pitch, m, phases[n], by);
        match links {
            (0, 0) => {
                let second = op(b, first);
                let third = op(c, second);
                op(d, third)
            }
            (0, _) => {
                let second = op(b, first);
                let third = op(c, 0);
                second + op(d, third)
            }
            (_, 0) => {
                let second = op(b, 0);
                let third = op(c, second);
                first + op(d, third)
            }
            _ => {
                let second = op(b, 0);
                let third = op(c, second);
                first + third + op(d, 0)
            }
        }
    }

    /// Bass drum (channel 6), hi-hat and snare (7), tom-tom and cymbal (8): twice as loud as a note.
    fn percussion(&mut self, channel: usize, pitch: Pitch, m: Moment, phases: &[u32; OPERATORS]) -> i32 {
        let noise = self.noise & 1;
        let bit = |op: usize, n: u32| phases[op] >> n & 1;
        // What hi-hat and cymbal have in common: bits of both their phases.
        let ring = (bit(HI_HAT, 2) ^ bit(HI_HAT, 7))
            | (bit(HI_HAT, 3) ^ bit(CYMBAL, 5))
            | (bit(CYMBAL, 3) ^ bit(CYMBAL, 5));
        let v = match channel {
            6 => {
                let [a, b] = operators_of(channel);
                let first = self.fed_back(channel, a, pitch, m, phases);
                // In parallel only the second operator is heard.
                let by = if self.link(channel) & 1 == 0 { first } else { 0 };
                self.op(b, pitch, m, phases[b], by)
            }
            7 => {
                let hat = ring << 9 | if ring ^ noise != 0 { 0xd0 } else { 0x34 };
                let high = bit(HI_HAT, 8);
                let snare = high << 9 | (high ^ noise) << 8;
                self.op(HI_HAT, pitch, m, hat, 0) + self.op(SNARE, pitch, m, snare, 0)
            }
            _ => {
                let tom = self.op(TOM, pitch, m, phases[TOM], 0);
                tom + self.op(CYMBAL, pitch, m, ring << 9 | 0x80, 0)
            }
        };
        v * 2
    }
}
