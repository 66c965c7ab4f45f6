//! x87 instructions: the host's x87 stack is the guest's, so each becomes itself.
//!
//! FIP and FDP would lead to translated code: FDP is stored with each memory operand, FIP on the ways out of a block
//! ([`Note`]), and calls of Rust find it by where they came from.

use super::asm::{RAX, RBP, RCX, Rm, Size, cond};
use super::effects::{ALL, CF, Effects, ZF};
use super::lower::{GPR, Kind, Lower, Moved};
use super::units::{self, X87};
use crate::insn::Insn;

const PF: u8 = 1 << 2;

/// What the last x87 instructions of a block leave for FIP and FDP.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Note {
    fip: Option<u32>,
    seg: Option<u8>,
}

/// Length and direction of the memory operand; `None` for what the interpreter runs: environments, BCD.
fn operand(i: &Insn) -> Option<(u32, Kind)> {
    use Kind::{Read, Write};
    Some(match (i.opcode & 7, i.reg) {
        (0 | 2, _) => (4, Read),
        (4, _) => (8, Read),
        (6, _) => (2, Read),
        (1 | 3, 0) => (4, Read),
        (1 | 3, 2 | 3) => (4, Write),
        (1, 5) => (2, Read),
        (1, 7) => (2, Write),
        (3, 5) => (10, Read),
        (3, 7) => (10, Write),
        (5, 0) => (8, Read),
        (5, 2 | 3) => (8, Write),
        (5, 7) => (2, Write),
        (7, 0) => (2, Read),
        (7, 2 | 3) => (2, Write),
        (7, 5) => (8, Read),
        (7, 7) => (8, Write),
        _ => return None,
    })
}

fn is_x87(i: &Insn) -> bool {
    matches!(i.opcode, 0xd8..=0xdf)
}

/// FLDCW, FNSTCW, FNSTSW, FNCLEX: FIP and FDP do not follow them.
fn is_control(i: &Insn) -> bool {
    if i.is_mem() {
        return matches!((i.opcode, i.reg), (0xd9, 5 | 7) | (0xdd, 7));
    }
    matches!((i.opcode, i.modrm), (0xdb, 0xe2) | (0xdf, 0xe0))
}

/// FIP follows this instruction, which translated code ran.
pub(super) fn is_noted(i: &Insn) -> bool {
    is_x87(i) && !is_control(i)
}

/// FCOMI, FUCOMI and their popping forms.
fn sets_flags(i: &Insn) -> bool {
    !i.is_mem() && matches!((i.opcode, i.reg), (0xdb | 0xdf, 5 | 6))
}

/// What FCMOVcc looks at.
fn reads(i: &Insn) -> u8 {
    if i.is_mem() {
        return 0;
    }
    match (i.opcode, i.reg) {
        (0xda | 0xdb, 0) => CF,
        (0xda | 0xdb, 1) => ZF,
        (0xda | 0xdb, 2) => CF | ZF,
        (0xda | 0xdb, 3) => PF,
        _ => 0,
    }
}

/// `None`: the interpreter runs it.
pub(super) fn effects(i: &Insn) -> Option<Effects> {
    if !is_x87(i) {
        // WAIT finds no exception where x87 instructions run here.
        return (i.opcode == 0x9b).then_some(Effects { reads: 0, kills: 0, observes: false, units: X87 });
    }
    if i.is_mem() {
        operand(i)?;
    } else if matches!((i.opcode, i.modrm), (0xdb, 0xe0 | 0xe1 | 0xe3 | 0xe4)) {
        // FNENI, FNDISI, FNINIT, FNSETPM.
        return None;
    }
    let kills = if sets_flags(i) { ALL } else { 0 };
    Some(Effects { reads: reads(i), kills, observes: i.is_mem(), units: X87 })
}

impl Lower<'_> {
    pub(super) fn x87(&mut self, k: usize, i: &Insn) {
        if i.opcode == 0x9b {
            return;
        }
        if i.is_mem() {
            self.x87_memory(k, i);
        } else if (i.opcode, i.modrm) == (0xdf, 0xe0) {
            self.a.bytes(&[0xdf, 0xe0]);
            self.a.mov(Size::W, GPR[0], RAX);
        } else {
            if reads(i) != 0 {
                self.want_flags();
            }
            self.a.bytes(&[i.opcode as u8, i.modrm]);
            if sets_flags(i) {
                self.set_flags();
            }
        }
        if !is_control(i) {
            self.note.fip = Some(self.next(k).wrapping_sub(u32::from(i.len)));
        }
    }

    fn x87_memory(&mut self, k: usize, i: &Insn) {
        let Some((len, kind)) = operand(i) else { unreachable!("not translated") };
        if (i.opcode, i.reg) == (0xd9, 5) {
            self.lose_flags(k);
        }
        let m = self.memory_of(k, i, len, kind);
        if (i.opcode, i.reg) == (0xd9, 5) {
            // FLDCW: what unmasks an exception goes to the interpreter. MOVZX, NOT, TEST.
            self.a.rm(Size::D, &[0x0f, 0xb7], RCX, m);
            self.a.rm(Size::D, &[0xf7], 2, Rm::Reg(RCX));
            self.a.rm(Size::B, &[0xf6], 0, Rm::Reg(RCX));
            self.a.bytes(&[0x3f]);
            self.interpret_if(cond::NE, k);
        }
        self.a.rm(Size::D, &[i.opcode as u8], i.reg, m);
        if !is_control(i) {
            self.address(i, RAX);
            self.a.store(Size::D, Rm::Base(RBP, units::FDP), RAX);
            self.note.seg = Some(i.seg);
        }
    }

    /// Stores what [`Lower::note`] says. Leaves the flags.
    pub(super) fn emit_note(&mut self) {
        let Note { fip: Some(fip), seg } = self.note else { return };
        self.a.store_imm(Size::D, Rm::Base(RBP, units::FIP), fip);
        self.holds(Moved::Eip);
        let noted = Rm::Base(RBP, units::NOTED);
        match seg {
            Some(seg) => self.a.store_imm(Size::W, noted, 1 | u32::from(seg) << 8),
            None => self.a.store_imm(Size::B, noted, 1),
        }
    }
}
