//! MMX, SSE and SSE2 instructions: MMX registers are those of the host's x87 unit, XMM0-7 those of the host, so each
//! becomes itself. SDM vol. 2, tables.

use super::asm::{RCX, Rm, Size, cond};
use super::effects::{ALL, Effects};
use super::lower::{GPR, Kind, Lower};
use super::units::{MXCSR_MASKED, SSE, X87};
use crate::cpu::{DS, ES, SS};
use crate::fpu::MXCSR_MASK;
use crate::insn::Insn;

/// What an instruction becomes.
#[derive(Clone, Copy)]
struct Shape {
    /// Mandatory prefix, as the opcode map counts: none, 66, F3, F2.
    prefix: u8,
    opcode: u8,
    /// Length of the memory operand.
    mem: u32,
    /// #GP if it is not aligned to its length.
    aligned: bool,
    store: bool,
    /// These operands are general registers.
    reg_gpr: bool,
    rm_gpr: bool,
    imm: Option<u8>,
    units: u8,
    sets_flags: bool,
}

impl Shape {
    fn aligned(self) -> Self {
        Self { mem: 16, aligned: true, ..self }
    }

    fn plain(self, mem: u32) -> Self {
        Self { mem, aligned: false, ..self }
    }

    fn stores(self) -> Self {
        Self { store: true, ..self }
    }

    fn imm(self, v: u32) -> Self {
        Self { imm: Some(v as u8), ..self }
    }

    fn to_gpr(self) -> Self {
        Self { reg_gpr: true, ..self }
    }

    fn rm_gpr(self) -> Self {
        Self { rm_gpr: true, ..self }
    }

    fn both(self) -> Self {
        Self { units: X87 | SSE, ..self }
    }
}

fn prefix(i: &Insn) -> u8 {
    if i.flags & Insn::REP != 0 {
        2
    } else if i.flags & Insn::REPNE != 0 {
        3
    } else {
        u8::from(i.flags & Insn::P66 != 0)
    }
}

/// `None`: not one of these, or one for the interpreter: estimates, masked stores, FXSAVE and its kin, CLFLUSH.
fn shape(i: &Insn) -> Option<Shape> {
    if i.opcode >> 8 != 0x0f {
        return None;
    }
    let (p, opcode, mem) = (prefix(i), i.opcode as u8, i.is_mem());
    let mm = Shape {
        prefix: p,
        opcode,
        mem: 8,
        aligned: false,
        store: false,
        reg_gpr: false,
        rm_gpr: false,
        imm: None,
        units: X87,
        sets_flags: false,
    };
    let xmm = Shape { units: SSE, ..mm }.aligned();
    // MMX without a prefix.
    let either = if p == 0 { mm } else { xmm };
    // Packed or scalar.
    let real = match p {
        2 => xmm.plain(4),
        3 => xmm.plain(8),
        _ => xmm,
    };
    Some(match (opcode, p) {
        (0x10, 0 | 1) => xmm.plain(16),
        (0x11, 0 | 1) => xmm.plain(16).stores(),
        (0x10, _) => real,
        (0x11, _) => real.stores(),
        (0x12 | 0x16, 0 | 1) => xmm.plain(8),
        (0x13 | 0x17, 0 | 1) => xmm.plain(8).stores(),
        (0x14 | 0x15 | 0x28 | 0x54..=0x57, 0 | 1) => xmm,
        (0x29, 0 | 1) => xmm.stores(),
        // In program order, as the interpreter stores.
        (0x2b, 0 | 1) => Shape { opcode: 0x29, ..xmm.stores() },
        // What this does to MMX differs among processors.
        (0x2a, 0) if mem => return None,
        // CVTDQ2PD does the same.
        (0x2a, 1) if mem => Shape { prefix: 2, opcode: 0xe6, ..xmm.plain(8) },
        (0x2a, 0 | 1) => xmm.plain(8).both(),
        (0x2a, _) => xmm.plain(4).rm_gpr(),
        (0x2c | 0x2d, 0) => xmm.plain(8).both(),
        (0x2c | 0x2d, 1) => xmm.both(),
        (0x2c | 0x2d, _) => real.to_gpr(),
        (0x2e | 0x2f, 0) => Shape { sets_flags: true, ..xmm.plain(4) },
        (0x2e | 0x2f, 1) => Shape { sets_flags: true, ..xmm.plain(8) },
        (0x50, 0 | 1) => xmm.to_gpr(),
        (0x51 | 0x58 | 0x59 | 0x5c..=0x5f, _) => real,
        (0x5a, 0) => xmm.plain(8),
        (0x5a, _) => real,
        (0x5b, 0..=2) => xmm,
        (0x60..=0x62, 0) => mm.plain(4),
        (0x60..=0x6b | 0x74..=0x76, 0 | 1) | (0x6c | 0x6d, 1) => either,
        (0x6e, 0 | 1) => either.plain(4).rm_gpr(),
        (0x6f, 0 | 1) => either,
        (0x6f, 2) => xmm.plain(16),
        (0x70, _) => either.imm(i.imm),
        (0x71..=0x73, 0 | 1) => either.imm(i.imm),
        (0x77, 0) => mm,
        (0x7e, 0 | 1) => either.plain(4).rm_gpr().stores(),
        (0x7e, 2) => xmm.plain(8),
        (0x7f, 0 | 1) => either.stores(),
        (0x7f, 2) => xmm.plain(16).stores(),
        (0xae, 0) if mem && i.reg == 2 => xmm.plain(4),
        (0xae, 0) if mem && i.reg == 3 => xmm.plain(4).stores(),
        (0xc2, _) => real.imm(i.imm & 7),
        (0xc4, 0 | 1) => either.plain(2).rm_gpr().imm(i.imm),
        (0xc5, 0 | 1) => either.to_gpr().imm(i.imm),
        (0xc6, 0 | 1) => xmm.imm(i.imm),
        (0xd1..=0xd5 | 0xd8..=0xe5 | 0xe8..=0xef | 0xf1..=0xf6 | 0xf8..=0xfe, 0 | 1) => either,
        (0xd6, 1) => xmm.plain(8).stores(),
        (0xd6, 2 | 3) => xmm.both(),
        (0xd7, 0 | 1) => either.to_gpr(),
        (0xe6, 2) => xmm.plain(8),
        (0xe6, 1 | 3) => xmm,
        (0xe7, 0 | 1) => Shape { opcode: 0x7f, ..either.stores() },
        _ => return None,
    })
}

/// `None`: the interpreter runs it.
pub(super) fn effects(i: &Insn) -> Option<Effects> {
    let s = shape(i)?;
    if s.aligned && i.is_mem() && !matches!(usize::from(i.seg), DS | ES | SS) {
        // Aligned where the segment's base puts it.
        return None;
    }
    let kills = if s.sets_flags { ALL } else { 0 };
    Some(Effects { reads: 0, kills, observes: i.is_mem(), units: s.units })
}

impl Lower<'_> {
    pub(super) fn simd(&mut self, k: usize, i: &Insn) {
        if i.opcode == 0x0fae {
            self.lose_flags(k);
        }
        let Some(s) = shape(i) else { unreachable!("opcode {:#x} has effects but no translation", i.opcode) };
        let rm = if i.is_mem() {
            let kind = if s.store { Kind::Write } else { Kind::Read };
            if s.aligned { self.memory_aligned(k, i, kind) } else { self.memory_of(k, i, s.mem, kind) }
        } else if s.rm_gpr {
            Rm::Reg(GPR[usize::from(i.rm & 7)])
        } else {
            Rm::Reg(i.rm & 7)
        };
        if i.opcode == 0x0fae && i.reg == 2 {
            self.check_mxcsr(k, rm);
        }
        if s.prefix != 0 {
            self.a.bytes(&[[0x66, 0xf3, 0xf2][usize::from(s.prefix) - 1]]);
        }
        if i.opcode == 0x0f77 {
            self.a.bytes(&[0x0f, 0x77]);
        } else {
            let reg = if s.reg_gpr { GPR[usize::from(i.reg & 7)] } else { i.reg };
            self.a.rm(Size::D, &[0x0f, s.opcode], reg, rm);
        }
        if let Some(imm) = s.imm {
            self.a.bytes(&[imm]);
        }
        if s.sets_flags {
            self.set_flags();
        }
    }

    /// LDMXCSR: reserved bits, and what unmasks an exception, are the interpreter's.
    fn check_mxcsr(&mut self, k: usize, m: Rm) {
        self.a.load(Size::D, RCX, m);
        self.a.alu_imm(Size::D, 4, Rm::Reg(RCX), !MXCSR_MASK | MXCSR_MASKED);
        self.a.alu_imm(Size::D, 7, Rm::Reg(RCX), MXCSR_MASKED);
        self.interpret_if(cond::NE, k);
    }
}
