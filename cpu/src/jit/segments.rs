//! Loads of DS, ES, FS and GS by the supervisor, and VERW: selectors that were loaded before, whose descriptors lie in
//! memory as they did ([`crate::seen`]). All else is for the interpreter.

use std::mem::offset_of;

use super::asm::{Asm, R15, RAX, RBP, RCX, RDX, Rm, Size, cond};
use super::layout as at;
use super::thunks::emit_lookup;
use super::units;
use crate::cpu::{DS, ES, FS, GS, SegReg};
use crate::seen::{For, PLACES, Seen};

/// Called with the selector in ECX; they return with the zero flag set if the instruction is done but for ESP or ZF,
/// else clear, and nothing happened. The host's flags, RAX, RCX and RDX are lost.
pub(super) struct Loads([u32; 5]);

impl Loads {
    pub(super) fn emit(a: &mut Asm) -> Self {
        let registers = [(For::Es, ES), (For::Ds, DS), (For::Fs, FS), (For::Gs, GS)];
        let [es, ds, fs, gs] = registers.map(|(whom, seg)| emit(a, whom, Some(seg)));
        Self([es, ds, fs, gs, emit(a, For::Verw, None)])
    }

    pub(super) fn get(&self, whom: For) -> u32 {
        self.0[whom as usize]
    }
}

fn emit(a: &mut Asm, whom: For, seg: Option<usize>) -> u32 {
    const REG: i32 = offset_of!(Seen, reg) as i32;
    let start = a.here();
    let (out, null) = (a.label(), a.label());
    a.alu_imm(Size::B, 7, Rm::Base(RBP, at::CPL), 0);
    a.jcc(cond::NE, out);
    let may_be_null = seg.filter(|s| matches!(*s, FS | GS));
    if may_be_null.is_some() {
        // TEST
        a.rm(Size::D, &[0xf7], 0, Rm::Reg(RCX));
        a.imm(Size::D, 0xfffc);
        a.jcc(cond::E, null);
    }
    let find = |a: &mut Asm| {
        const { assert!(size_of::<Seen>() == 64) };
        a.alu_imm(Size::D, 4, Rm::Reg(RDX), (PLACES as u32 - 1) << 3);
        a.shift_imm(Size::D, 4, RDX, 3);
        a.rm(Size::Q, &[0x8d], RDX, Rm::Index(RBP, RDX, 0, at::seen(whom)));
    };
    a.mov(Size::D, RDX, RCX);
    find(a);
    a.rm(Size::D, &[0x3b], RCX, Rm::Base(RDX, offset_of!(Seen, selector) as i32));
    a.jcc(cond::NE, out);
    a.store(Size::D, Rm::Base(RBP, at::SPILL), RCX);
    a.load(Size::D, RAX, Rm::Base(RDX, offset_of!(Seen, lin) as i32));
    emit_lookup(a, 8, false, out);
    a.load(Size::Q, RAX, Rm::Index(R15, RAX, 0, 0));
    a.load(Size::D, RDX, Rm::Base(RBP, at::SPILL));
    find(a);
    if let Some(seg) = seg {
        units::emit_keep_selector(a, seg, RCX);
    }
    a.rm(Size::Q, &[0x3b], RAX, Rm::Base(RDX, offset_of!(Seen, descriptor) as i32));
    if let Some(seg) = seg {
        a.jcc(cond::NE, out);
        const { assert!(size_of::<SegReg>().is_multiple_of(8)) };
        for n in (0..size_of::<SegReg>() as i32).step_by(8) {
            a.load(Size::Q, RAX, Rm::Base(RDX, REG + n));
            a.store(Size::Q, Rm::Base(RBP, at::segment(seg) + n), RAX);
        }
    }
    a.bind(out);
    a.ret();
    a.bind(null);
    if let Some(seg) = may_be_null {
        units::emit_keep_selector(a, seg, RAX);
        a.rm(Size::D, &[0x33], RAX, Rm::Reg(RAX));
        a.store(Size::W, Rm::Base(RBP, at::segment_selector(seg)), RCX);
        a.store_imm(Size::D, Rm::Base(RBP, at::segment_base(seg)), SegReg::NULL.base);
        a.store_imm(
            Size::D,
            Rm::Base(RBP, at::segment(seg) + offset_of!(SegReg, limit) as i32),
            SegReg::NULL.limit,
        );
        a.store_imm(
            Size::D,
            Rm::Base(RBP, at::segment(seg) + offset_of!(SegReg, attr) as i32),
            SegReg::NULL.attr,
        );
        // Sign-extended: -1.
        const { assert!(SegReg::NULL.rlim == -1 && SegReg::NULL.wlim == -1) };
        for write in [false, true] {
            a.store_imm(Size::Q, Rm::Base(RBP, at::segment_limit(seg, write)), u32::MAX);
        }
        a.ret();
    }
    start
}
