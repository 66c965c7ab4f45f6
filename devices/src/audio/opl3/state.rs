//! Saved state of the synthesizer: a part of the card's own.

use board::{StateError, StateIn};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::operator::{OFF, Operator, Stage};
use super::timers::Timers;
use super::{OPERATORS, Opl3, REGISTERS};

#[derive(Encode, Decode)]
struct OperatorV1 {
    /// 20h, 40h, 60h, 80h, E0h.
    #[n(0)]
    regs: (u8, u8, u8, u8, u8),
    /// 0 attack, 1 decay, 2 sustain, 3 release.
    #[n(1)]
    stage: u8,
    #[n(2)]
    envelope: u16,
    #[n(3)]
    phase: u32,
    #[n(4)]
    out: (i16, i16),
    #[n(5)]
    keys: u8,
}

#[derive(Encode, Decode)]
pub(crate) struct Opl3V1 {
    #[n(0)]
    regs: ByteVec,
    #[n(1)]
    index: u16,
    #[n(2)]
    preset: (u8, u8),
    #[n(3)]
    mask: u8,
    #[n(4)]
    flags: u8,
    #[n(5)]
    next: (Option<u64>, Option<u64>),
    #[n(6)]
    ops: Vec<OperatorV1>,
    #[n(7)]
    clock: u64,
    #[n(8)]
    noise: u32,
}

fn operator_v1(o: &Operator) -> OperatorV1 {
    let Operator { character, level, attack_decay, sustain_release, wave, stage, envelope, phase, out, keys } =
        *o;
    let stage = match stage {
        Stage::Attack => 0,
        Stage::Decay => 1,
        Stage::Sustain => 2,
        Stage::Release => 3,
    };
    let regs = (character, level, attack_decay, sustain_release, wave);
    OperatorV1 { regs, stage, envelope, phase, out: (out[0], out[1]), keys }
}

fn operator(s: &StateIn<'_>, v: &OperatorV1) -> Result<Operator, StateError> {
    let stage = match v.stage {
        0 => Stage::Attack,
        1 => Stage::Decay,
        2 => Stage::Sustain,
        3 => Stage::Release,
        n => return Err(s.bad("opl3 stage", n.into())),
    };
    let (character, level, attack_decay, sustain_release, wave) = v.regs;
    if v.envelope > OFF || v.phase > 0x7_ffff || v.keys > 3 || wave > 7 {
        return Err(s.bad("opl3 operator", v.phase.into()));
    }
    let in_range = |o: i16| (-8192..8192).contains(&o);
    if !in_range(v.out.0) || !in_range(v.out.1) {
        return Err(s.bad("opl3 output", v.out.0 as u64));
    }
    Ok(Operator {
        character,
        level,
        attack_decay,
        sustain_release,
        wave,
        stage,
        envelope: v.envelope,
        phase: v.phase,
        out: [v.out.0, v.out.1],
        keys: v.keys,
    })
}

impl Opl3 {
    pub(crate) fn save(&self) -> Opl3V1 {
        let Self { regs, index, timers, ops, clock, noise, tables: _ } = self;
        let Timers { preset, mask, flags, next } = *timers;
        Opl3V1 {
            regs: regs.to_vec().into(),
            index: *index,
            preset: (preset[0], preset[1]),
            mask,
            flags,
            next: (next[0], next[1]),
            ops: ops.iter().map(operator_v1).collect(),
            clock: *clock,
            noise: *noise,
        }
    }

    pub(crate) fn load(&mut self, s: &StateIn<'_>, v: &Opl3V1) -> Result<(), StateError> {
        let regs: [u8; REGISTERS] =
            v.regs.as_slice().try_into().map_err(|_| s.bad("opl3 registers", v.regs.len() as u64))?;
        if usize::from(v.index) >= REGISTERS || v.mask & !0x60 != 0 || v.flags & !0x60 != 0 {
            return Err(s.bad("opl3 index or timers", v.index.into()));
        }
        if v.noise == 0 || v.noise >= 1 << 23 {
            return Err(s.bad("opl3 noise", v.noise.into()));
        }
        let ops: Vec<Operator> = v.ops.iter().map(|o| operator(s, o)).collect::<Result<_, _>>()?;
        let ops: [Operator; OPERATORS] =
            ops.try_into().map_err(|o: Vec<Operator>| s.bad("opl3 operators", o.len() as u64))?;
        let timers = Timers {
            preset: [v.preset.0, v.preset.1],
            mask: v.mask,
            flags: v.flags,
            next: [v.next.0, v.next.1],
        };
        (self.regs, self.index, self.timers, self.ops) = (regs, v.index, timers, ops);
        (self.clock, self.noise) = (v.clock, v.noise);
        Ok(())
    }
}
