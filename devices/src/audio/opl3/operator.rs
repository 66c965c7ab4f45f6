//! One operator: an envelope, a phase, and its registers 20h, 40h, 60h, 80h and E0h.

use super::tables::{KEY_SCALE, KEY_SCALE_SHIFT, MULTIPLE, Tables, envelope_step};

/// The envelope's floor.
pub(super) const OFF: u16 = 511;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Attack,
    Decay,
    Sustain,
    Release,
}

/// What two operators of a channel share: A0h, B0h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pitch {
    pub fnum: u16,
    pub block: u8,
}

impl Pitch {
    /// Key scale number, 0 to 15. `nts`: register 08h bit 6.
    fn key(self, nts: bool) -> u8 {
        let bit = if nts { 8 } else { 9 };
        self.block << 1 | (self.fnum >> bit & 1) as u8
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    /// 20h: AM 7, VIB 6, EGT 5, KSR 4, MULT 3:0.
    pub character: u8,
    /// 40h: KSL 7:6, TL 5:0.
    pub level: u8,
    /// 60h: AR 7:4, DR 3:0.
    pub attack_decay: u8,
    /// 80h: SL 7:4, RR 3:0.
    pub sustain_release: u8,
    /// E0h.
    pub wave: u8,
    pub stage: Stage,
    /// 0 loudest to [`OFF`], in 0.1875 dB.
    pub envelope: u16,
    /// 10.9 bits of a turn.
    pub phase: u32,
    /// The last two samples.
    pub out: [i16; 2],
    /// Bit 0: by the channel; bit 1: by the rhythm register.
    pub keys: u8,
}

/// What is the same for all operators in one sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub clock: u64,
    pub nts: bool,
    /// Attenuation by the tremolo.
    pub tremolo: u16,
    /// 0 to 7, a turn of the vibrato.
    pub vibrato: u8,
    pub deep_vibrato: bool,
}

impl Operator {
    pub(super) const fn new() -> Self {
        Self {
            character: 0,
            level: 0,
            attack_decay: 0,
            sustain_release: 0,
            wave: 0,
            stage: Stage::Release,
            envelope: OFF,
            phase: 0,
            out: [0; 2],
            keys: 0,
        }
    }

    /// `by`: bit of `keys`.
    pub(super) fn key(&mut self, by: u8, on: bool) {
        let before = self.keys;
        self.keys = if on { before | by } else { before & !by };
        if before == 0 && self.keys != 0 {
            (self.stage, self.phase) = (Stage::Attack, 0);
        } else if before != 0 && self.keys == 0 {
            self.stage = Stage::Release;
        }
    }

    /// Nothing is heard of it, and nothing will until a register is written.
    pub(super) fn is_off(&self) -> bool {
        let rises = self.stage == Stage::Attack && self.attack_decay >> 4 != 0;
        self.envelope >= OFF && !rises && self.out == [0; 2]
    }

    fn rate(&self, value: u8, pitch: Pitch, nts: bool) -> u8 {
        if value == 0 {
            return 0;
        }
        let key = pitch.key(nts) >> if self.character & 0x10 != 0 { 0 } else { 2 };
        (value * 4 + key).min(63)
    }

    fn sustain_level(&self) -> u16 {
        match self.sustain_release >> 4 {
            15 => 31 * 16,
            v => u16::from(v) * 16,
        }
    }

    /// One sample of the envelope.
    pub(super) fn step_envelope(&mut self, pitch: Pitch, m: Moment) {
        match self.stage {
            Stage::Attack => {
                let rate = self.rate(self.attack_decay >> 4, pitch, m.nts);
                if rate >= 60 {
                    self.envelope = 0;
                } else {
                    let step = envelope_step(rate, m.clock);
                    let left = u32::from(self.envelope) + 1;
                    self.envelope = self.envelope.saturating_sub((left * u32::from(step)).div_ceil(8) as u16);
                }
                if self.envelope == 0 {
                    self.stage = Stage::Decay;
                }
            }
            Stage::Decay => {
                if self.envelope >= self.sustain_level() {
                    self.stage = Stage::Sustain;
                } else {
                    let rate = self.rate(self.attack_decay & 15, pitch, m.nts);
                    self.fall(rate, m.clock);
                }
            }
            // EGT holds the level; without it the note dies away by itself.
            Stage::Sustain if self.character & 0x20 != 0 => {}
            Stage::Sustain | Stage::Release => {
                let rate = self.rate(self.sustain_release & 15, pitch, m.nts);
                self.fall(rate, m.clock);
            }
        }
    }

    fn fall(&mut self, rate: u8, clock: u64) {
        self.envelope = (self.envelope + envelope_step(rate, clock)).min(OFF);
    }

    /// One sample of the phase; returns the phase before it, 10 bits.
    pub(super) fn step_phase(&mut self, pitch: Pitch, m: Moment) -> u32 {
        let now = self.phase >> 9;
        let mut fnum = i32::from(pitch.fnum);
        if self.character & 0x40 != 0 {
            // The upper three bits of the number, whole at the turn's quarters and half beside them.
            let mut by = fnum >> 7 & 7;
            by = match m.vibrato & 3 {
                0 => 0,
                2 => by,
                _ => by >> 1,
            };
            if !m.deep_vibrato {
                by >>= 1;
            }
            fnum += if m.vibrato & 4 != 0 { -by } else { by };
        }
        let base = ((fnum as u32) << pitch.block) >> 1;
        let step = (base * u32::from(MULTIPLE[usize::from(self.character & 15)])) >> 1;
        self.phase = (self.phase + step) & 0x7_ffff;
        now
    }

    fn attenuation(&self, pitch: Pitch, m: Moment) -> u32 {
        let scale =
            i32::from(KEY_SCALE[usize::from(pitch.fnum >> 6 & 15)]) * 4 - (8 - i32::from(pitch.block)) * 32;
        let scale = (scale.max(0) as u32) >> KEY_SCALE_SHIFT[usize::from(self.level >> 6)];
        let tremolo = if self.character & 0x80 != 0 { m.tremolo } else { 0 };
        u32::from(self.envelope) + u32::from(self.level & 0x3f) * 4 + scale + u32::from(tremolo)
    }

    /// A sample at this phase.
    pub(super) fn sound(&mut self, tables: &Tables, pitch: Pitch, m: Moment, form: u8, phase: u32) -> i32 {
        let v = if self.envelope >= OFF {
            0
        } else {
            tables.output(form, phase, self.attenuation(pitch, m).min(OFF.into()))
        };
        self.out = [v as i16, self.out[0]];
        v
    }
}
