//! Which instructions are translated, and what they do to the arithmetic flags.
//!
//! A translated instruction leaves its flags in the host's; they are saved to memory only where somebody may look:
//! an instruction that reads them, one that may fault or call out, an exit of the block. [`Survey`] finds out, from the
//! end of the block to its start.

use super::{simd, x87};
use crate::insn::Insn;

/// The arithmetic flags as bits of the low byte of EFLAGS; OF takes the place of the fixed bit 1.
pub(super) const CF: u8 = 1 << 0;
pub(super) const OF: u8 = 1 << 1;
pub(super) const ZF: u8 = 1 << 6;
pub(super) const ALL: u8 = 0xd7;

/// What a translated instruction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effects {
    /// Flags that it needs.
    pub(super) reads: u8,
    /// Flags that it sets whatever happens (or leaves undefined).
    pub(super) kills: u8,
    /// It may fault, call out or leave the block: all flags must be in memory before it.
    pub(super) observes: bool,
    /// Floating point units that must be live.
    pub(super) units: u8,
}

const QUIET: Effects = Effects { reads: 0, kills: 0, observes: false, units: 0 };

/// What the condition code `cc` looks at.
fn condition(cc: u8) -> u8 {
    match cc & 14 {
        0 => OF,
        2 => CF,
        4 => ZF,
        6 => CF | ZF,
        8 => 1 << 7,
        10 => 1 << 2,
        12 => 1 << 7 | OF,
        _ => 1 << 7 | OF | ZF,
    }
}

/// AH to BH as an operand.
fn high(r: u8) -> bool {
    (4..8).contains(&r)
}

/// `None`: the interpreter runs it.
pub(super) fn effects(i: &Insn) -> Option<Effects> {
    if i.is_mem() && !i.a32() {
        return None;
    }
    let mem = i.is_mem();
    let base = Effects { observes: mem, ..QUIET };
    let kills = |kills| Some(Effects { kills, ..base });
    let jump = |reads| Some(Effects { reads, observes: true, ..QUIET });
    let o32 = i.o32();
    // A byte operation on registers that all have a number of their own on the host.
    let low = !high(i.reg) && (mem || !high(i.rm));
    match i.opcode {
        0x00..=0x3f if i.opcode & 7 < 6 => {
            let op = i.opcode >> 3;
            let reads = if op == 2 || op == 3 { CF } else { 0 };
            Some(Effects { reads, kills: ALL, ..base })
        }
        0x80..=0x83 => {
            let reads = if i.reg == 2 || i.reg == 3 { CF } else { 0 };
            Some(Effects { reads, kills: ALL, ..base })
        }
        0x84 | 0x85 | 0xa8 | 0xa9 => kills(ALL),
        0x40..=0x4f => kills(ALL & !CF),
        0xfe if i.reg < 2 && (mem || !high(i.rm)) => kills(ALL & !CF),
        0xff => match i.reg {
            0 | 1 => kills(ALL & !CF),
            2 | 4 if o32 => jump(0),
            6 if o32 => Some(Effects { observes: true, ..QUIET }),
            _ => None,
        },
        0x50..=0x5f | 0x68 | 0x6a | 0xc9 if o32 => Some(Effects { observes: true, ..QUIET }),
        0x69 | 0x6b | 0x0faf => kills(ALL),
        0x70..=0x7f | 0x0f80..=0x0f8f if o32 => jump(condition(i.opcode as u8)),
        0xe2 | 0xe3 if o32 && i.a32() => jump(0),
        0xe8 | 0xe9 | 0xeb | 0xc2 | 0xc3 if o32 => jump(0),
        0x86 | 0x0fc0 | 0x0fb0 if !low => None,
        0x86 | 0x87 => Some(base),
        0x0fc0 | 0x0fc1 | 0x0fb0 | 0x0fb1 => kills(ALL),
        0x88..=0x8b | 0xa0..=0xa3 | 0xb0..=0xbf => Some(base),
        // C7 and C6 have one form only.
        0xc6 | 0xc7 => Some(base),
        0x8d | 0x90 => Some(QUIET),
        0x0f18 | 0x0f1f => Some(QUIET),
        0x91..=0x97 => Some(QUIET),
        0x98 | 0x99 if o32 => Some(QUIET),
        0xc0 | 0xc1 | 0xd0 | 0xd1 => {
            let byte = i.opcode & 1 == 0;
            let count = if i.opcode < 0xd0 { i.imm & 31 } else { 1 };
            match i.reg {
                _ if count == 0 || byte && !mem && high(i.rm) => None,
                0 | 1 => kills(CF | OF),
                2 | 3 => None,
                _ => kills(ALL),
            }
        }
        0xd3 if matches!(i.reg, 0 | 1 | 4..=7) => Some(base),
        0xf6 if i.reg < 2 => kills(ALL),
        0xf6 if !mem && high(i.rm) => None,
        0xf6 | 0xf7 => match i.reg {
            0 | 1 | 3 => kills(ALL),
            2 => Some(base),
            4 | 5 if i.opcode == 0xf7 && o32 => kills(ALL),
            6 | 7 if i.opcode == 0xf7 && o32 => Some(Effects { observes: true, ..QUIET }),
            _ => None,
        },
        0x9e => Some(Effects { kills: ALL & !OF, ..QUIET }),
        0xf5 => Some(Effects { reads: CF, kills: CF, ..QUIET }),
        // MOVS STOS, also repeated.
        0xa4 | 0xa5 | 0xaa | 0xab if i.a32() => Some(Effects { observes: true, ..QUIET }),
        // REPNE SCASB, which leaves the flags alone if ECX is 0.
        0xae if i.a32() && i.flags & Insn::REPNE != 0 => Some(Effects { observes: true, ..QUIET }),
        // LODS SCAS CMPS, not repeated.
        0xac | 0xad if i.a32() && i.flags & (Insn::REP | Insn::REPNE) == 0 => {
            Some(Effects { observes: true, ..QUIET })
        }
        0xa6 | 0xa7 | 0xae | 0xaf if i.a32() && i.flags & (Insn::REP | Insn::REPNE) == 0 => {
            Some(Effects { kills: ALL, observes: true, ..QUIET })
        }
        // LFENCE, MFENCE, SFENCE: there is one processor.
        0x0fae if !mem && i.flags & (Insn::P66 | Insn::REP | Insn::REPNE) == 0 && i.reg >= 5 => Some(QUIET),
        0x06 | 0x0e | 0x16 | 0x1e | 0x0fa0 | 0x0fa8 if o32 => Some(Effects { observes: true, ..QUIET }),
        0x9d if o32 => Some(Effects { kills: ALL, observes: true, ..QUIET }),
        0x9c if o32 => Some(Effects { reads: ALL, observes: true, ..QUIET }),
        0xfa | 0xfb => Some(Effects { observes: true, ..QUIET }),
        // Loads of segment registers but SS; VERW.
        0x8e if i.reg != 2 => Some(Effects { observes: true, ..QUIET }),
        0x07 | 0x1f | 0x0fa1 | 0x0fa9 if o32 => Some(Effects { observes: true, ..QUIET }),
        0x0f00 if i.reg == 5 => Some(Effects { observes: true, ..QUIET }),
        0xf8 | 0xf9 => Some(Effects { kills: CF, ..QUIET }),
        0xfc | 0xfd => Some(QUIET),
        0x0f40..=0x0f4f => Some(Effects { reads: condition(i.opcode as u8), ..base }),
        0x0f90..=0x0f9f => Some(Effects { reads: condition(i.opcode as u8), ..base }),
        0x0fb6 | 0x0fb7 | 0x0fbe | 0x0fbf => Some(base),
        0x0fa3 | 0x0fab | 0x0fb3 | 0x0fbb if !mem => kills(CF),
        0x0fa3 | 0x0fab | 0x0fb3 | 0x0fbb if o32 => Some(base),
        // CMPXCHG8B
        0x0fc7 if i.reg == 1 && mem => Some(base),
        0x8c if i.reg < 6 => Some(base),
        0x0fba => kills(CF),
        0x0fbc | 0x0fbd => kills(ALL),
        0x0fa4 | 0x0fac if i.imm & 31 != 0 && o32 => kills(ALL),
        0x0fa5 | 0x0fad if o32 => Some(base),
        0x0fc8..=0x0fcf if o32 => Some(QUIET),
        0x9b | 0xd8..=0xdf => x87::effects(i),
        _ => simd::effects(i),
    }
}

/// It is translated though the run loop looks at everything after it: if nothing changes that it would look at. POPF and
/// STI.
pub(super) fn stays(i: &Insn) -> bool {
    i.opcode == 0x9d && i.o32() || i.opcode == 0xfb
}

/// Of the instructions after which the run loop looks at everything: those that translated code goes on behind, if
/// there is nothing to look at. POPF, STI, RDTSC, IN and OUT, and loads of segment registers other than CS and SS.
pub(super) fn goes_on(i: &Insn) -> bool {
    match i.opcode {
        0x9d | 0x07 | 0x1f | 0x0fa1 | 0x0fa9 | 0x0f31 => true,
        0xe4..=0xe7 | 0xec..=0xef | 0xfb => true,
        0x8e => i.reg != 2,
        _ => false,
    }
}

/// A load of a segment register that has a translation.
pub(super) fn loads_selector(i: &Insn) -> bool {
    matches!(i.opcode, 0x07 | 0x1f | 0x0fa1 | 0x0fa9 | 0x8e)
}

/// A conditional jump by EIP's displacement.
fn is_conditional(i: &Insn) -> bool {
    matches!(i.opcode, 0x70..=0x7f | 0x0f80..=0x0f8f | 0xe2 | 0xe3)
}

/// The instruction of the same block that the conditional jump `k` skips to.
fn skips_to(insns: &[Insn], k: usize) -> Option<usize> {
    let i = &insns[k];
    if !is_conditional(i) || effects(i).is_none() {
        return None;
    }
    let target = u32::from(i.end).wrapping_add(i.imm);
    let skipped = insns[k + 1..].iter().position(|j| u32::from(j.end) == target)?;
    let t = k + 2 + skipped;
    (t < insns.len()).then_some(t)
}

/// What translation wants to know of a block's instructions beforehand.
#[derive(Default)]
pub(super) struct Survey {
    /// For each instruction, the later one of the same block that it may jump to, or 0.
    pub(super) skips: Vec<u8>,
    /// For each instruction, the flags that somebody may look at after it before they are set again.
    pub(super) needs: Vec<u8>,
    /// For each, the units that may not be live yet.
    pub(super) checks: Vec<u8>,
    /// The same for the block's entry, where flags are in memory anyway.
    pub(super) entry: u8,
}

impl Survey {
    pub(super) fn of(&mut self, insns: &[Insn]) {
        self.find_units(insns);
        self.find_skips(insns);
        self.find_needs(insns);
    }

    fn find_units(&mut self, insns: &[Insn]) {
        self.checks.clear();
        self.entry = 0;
        // Up to the first way out: what lies behind it may never run.
        let mut certain = true;
        let mut live = 0;
        for i in insns {
            let mut check = 0;
            match effects(i) {
                None => {
                    certain = false;
                    live = 0;
                }
                Some(e) => {
                    check = e.units & !live;
                    live |= e.units;
                    if certain {
                        self.entry |= std::mem::take(&mut check);
                    }
                    certain &= !is_conditional(i);
                }
            }
            self.checks.push(check);
        }
    }

    /// Where units are used, which of them are live differs between the ways to an instruction: there a jump leaves the
    /// block.
    fn find_skips(&mut self, insns: &[Insn]) {
        let units = self.entry != 0 || self.checks.iter().any(|&c| c != 0);
        let skip = |k| if units { 0 } else { skips_to(insns, k).unwrap_or(0) as u8 };
        self.skips.clear();
        self.skips.extend((0..insns.len()).map(skip));
    }

    fn find_needs(&mut self, insns: &[Insn]) {
        self.needs.clear();
        self.needs.resize(insns.len(), ALL);
        let mut need = ALL;
        for (k, i) in insns.iter().enumerate().rev() {
            self.needs[k] = need;
            let skip = usize::from(self.skips[k]);
            need = match effects(i) {
                None => ALL,
                Some(e) if skip != 0 => need | self.needs[skip - 1] | e.reads,
                Some(e) if e.observes || self.checks[k] != 0 => ALL,
                Some(e) => need & !e.kills | e.reads,
            };
        }
    }
}
