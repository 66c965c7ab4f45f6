//! Segment registers: descriptors, loads with their checks, and the instructions that only look.
//!
//! SDM vol. 3, chapters 3.4-3.5 and 5; vol. 2, MOV, LAR, LSL, VERR, ARPL.

use hv_vcpu::{GuestIo, Segment};

use crate::cpu::{CS, Cpu, DS, ES, LDTR, Mode, SS, SegReg};
use crate::fault::{Exec, Fault};
use crate::mem::Priv;
use crate::seen::For;

/// Types of system descriptors (S = 0). SDM vol. 3, table 3-2.
pub(crate) mod sys {
    pub(crate) const TSS16: u32 = 1;
    pub(crate) const LDT: u32 = 2;
    pub(crate) const TSS16_BUSY: u32 = 3;
    pub(crate) const CALL16: u32 = 4;
    pub(crate) const TASK_GATE: u32 = 5;
    pub(crate) const INT16: u32 = 6;
    pub(crate) const TRAP16: u32 = 7;
    pub(crate) const TSS32: u32 = 9;
    pub(crate) const TSS32_BUSY: u32 = 11;
    pub(crate) const CALL32: u32 = 12;
    pub(crate) const INT32: u32 = 14;
    pub(crate) const TRAP32: u32 = 15;
}

/// The index and table part of a selector, as error codes have it.
#[inline]
pub(crate) fn code_of(selector: u16) -> u16 {
    selector & !3
}

#[inline]
pub(crate) fn is_null(selector: u16) -> bool {
    selector & !3 == 0
}

#[inline]
pub(crate) fn rpl(selector: u16) -> u8 {
    (selector & 3) as u8
}

/// A descriptor as it lies in the table, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Desc {
    pub(crate) lo: u32,
    pub(crate) hi: u32,
    /// Linear address.
    pub(crate) at: u32,
}

impl Desc {
    pub(crate) fn base(&self) -> u32 {
        self.lo >> 16 | (self.hi & 0xff) << 16 | self.hi & 0xff00_0000
    }

    pub(crate) fn limit(&self) -> u32 {
        let l = self.lo & 0xffff | self.hi & 0xf_0000;
        if self.hi & 1 << 23 != 0 { l << 12 | 0xfff } else { l }
    }

    pub(crate) fn attr(&self) -> u32 {
        self.hi >> 8 & 0xf0ff
    }

    /// The four type bits.
    pub(crate) fn kind(&self) -> u32 {
        self.hi >> 8 & 0xf
    }

    /// A code or data segment.
    pub(crate) fn is_segment(&self) -> bool {
        self.hi & 1 << 12 != 0
    }

    pub(crate) fn is_code(&self) -> bool {
        self.hi >> 11 & 3 == 3
    }

    pub(crate) fn is_conforming(&self) -> bool {
        self.is_code() && self.hi & 1 << 10 != 0
    }

    pub(crate) fn is_writable_data(&self) -> bool {
        self.hi & 0x1a00 == 0x1200
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.is_segment() && (!self.is_code() || self.hi & 1 << 9 != 0)
    }

    pub(crate) fn dpl(&self) -> u8 {
        (self.hi >> 13 & 3) as u8
    }

    pub(crate) fn present(&self) -> bool {
        self.hi & 1 << 15 != 0
    }

    // Gates.
    pub(crate) fn gate_selector(&self) -> u16 {
        (self.lo >> 16) as u16
    }

    /// Offset of a gate; 16 bits of it in a 286 gate.
    pub(crate) fn gate_offset(&self) -> u32 {
        if self.kind() & 8 != 0 { self.lo & 0xffff | self.hi & 0xffff_0000 } else { self.lo & 0xffff }
    }

    pub(crate) fn gate_params(&self) -> u32 {
        self.hi & 31
    }

    /// As a segment register holds it, the accessed bit set.
    pub(crate) fn load(&self, selector: u16) -> SegReg {
        let accessed = if self.is_segment() { 1 } else { 0 };
        SegReg::new(&Segment {
            selector,
            base: self.base(),
            limit: self.limit(),
            attr: self.attr() | accessed,
        })
    }
}

impl SegReg {
    /// A null selector in a data segment register or LDTR.
    pub(crate) fn null(selector: u16) -> Self {
        Self { selector, ..Self::NULL }
    }

    /// As V86 mode has it.
    pub(crate) fn v86(selector: u16) -> Self {
        Self::new(&Segment { selector, base: u32::from(selector) << 4, limit: 0xffff, attr: 0xf3 })
    }

    /// Loaded in real mode: limit and size stay, which is what "unreal mode" lives on.
    pub(crate) fn real(&self, selector: u16, seg: usize) -> Self {
        let attr = if seg == CS || !self.usable() { self.attr & 0xc000 | 0x93 } else { self.attr };
        SegReg::new(&Segment { selector, base: u32::from(selector) << 4, limit: self.limit, attr })
    }
}

impl Cpu {
    /// The descriptor that a selector names; `None` outside its table. The selector is not null.
    pub(crate) fn descriptor(&mut self, io: &mut dyn GuestIo, selector: u16) -> Result<Option<Desc>, Fault> {
        let (base, limit) = if selector & 4 != 0 {
            let ldt = &self.seg[LDTR];
            if !ldt.usable() {
                return Ok(None);
            }
            (ldt.base, ldt.limit)
        } else {
            (self.gdtr.base, u32::from(self.gdtr.limit))
        };
        if u32::from(selector | 7) > limit {
            return Ok(None);
        }
        let at = base.wrapping_add(u32::from(selector & !7));
        let v = self.lin_read64(io, at, Priv::Supervisor)?;
        Ok(Some(Desc { lo: v as u32, hi: (v >> 32) as u32, at }))
    }

    /// Sets the accessed bit in memory, if it is clear. May fault on a read-only table.
    pub(crate) fn mark_accessed(&mut self, io: &mut dyn GuestIo, d: &Desc) -> Exec {
        if d.hi & 1 << 8 != 0 {
            return Ok(());
        }
        self.lin_write8(io, d.at.wrapping_add(5), (d.hi >> 8) as u8 | 1, Priv::Supervisor)
    }

    /// MOV, POP, LDS and the like: loads ES, SS, DS, FS or GS with all checks.
    pub(crate) fn load_seg(&mut self, io: &mut dyn GuestIo, seg: usize, selector: u16) -> Exec {
        let was_flat = self.seg[seg].is_flat();
        self.seg[seg] = match self.mode {
            Mode::Real => self.seg[seg].real(selector, seg),
            Mode::V86 => SegReg::v86(selector),
            Mode::Protected if seg == SS => self.check_ss(io, selector, self.cpl, Fault::gp)?,
            Mode::Protected => {
                let d = self.check_data(io, selector, Fault::gp)?;
                let reg = data_segment(d, selector);
                if let (0, Some(d), Some(whom)) = (self.cpl, d, For::register(seg)) {
                    self.seen.remember(whom, selector, &d, true, reg);
                }
                reg
            }
        };
        // Translated code takes for granted what DS and ES are.
        self.end_block |= matches!(seg, DS | ES) && self.seg[seg].is_flat() != was_flat;
        Ok(())
    }

    /// The stack segment `selector` for privilege `cpl`. `bad` is #GP, or #TS for a stack or selector out of a TSS.
    pub(crate) fn check_ss(
        &mut self,
        io: &mut dyn GuestIo,
        selector: u16,
        cpl: u8,
        bad: fn(u16) -> Fault,
    ) -> Result<SegReg, Fault> {
        let code = code_of(selector);
        if is_null(selector) {
            return Err(bad(0));
        }
        let d = self.descriptor(io, selector)?.ok_or(bad(code))?;
        if rpl(selector) != cpl || !d.is_writable_data() || d.dpl() != cpl {
            return Err(bad(code));
        }
        if !d.present() {
            return Err(Fault::ss(code));
        }
        self.mark_accessed(io, &d)?;
        Ok(d.load(selector))
    }

    /// The data segment `selector` for the current privilege; `None` if it is null.
    pub(crate) fn check_data(
        &mut self,
        io: &mut dyn GuestIo,
        selector: u16,
        bad: fn(u16) -> Fault,
    ) -> Result<Option<Desc>, Fault> {
        if is_null(selector) {
            return Ok(None);
        }
        let code = code_of(selector);
        let d = self.descriptor(io, selector)?.ok_or(bad(code))?;
        if !d.is_readable() {
            return Err(bad(code));
        }
        if !d.is_conforming() && (rpl(selector) > d.dpl() || self.cpl > d.dpl()) {
            return Err(bad(code));
        }
        if !d.present() {
            return Err(Fault::np(code));
        }
        self.mark_accessed(io, &d)?;
        Ok(Some(d))
    }

    /// On a return to an outer privilege: data segments that the new privilege may not use become null. Base and
    /// limit stay behind, unusable. SDM vol. 2, RET.
    pub(crate) fn drop_inner_segments(&mut self) {
        for seg in [crate::cpu::ES, crate::cpu::DS, crate::cpu::FS, crate::cpu::GS] {
            let s = &mut self.seg[seg];
            let conforming = s.attr & 0x1c == 0x1c;
            if s.usable() && !conforming && s.dpl() < self.cpl {
                s.selector = 0;
                s.attr |= Segment::UNUSABLE;
                s.derive();
            }
        }
    }

    /// Puts CS, privilege and EIP in place: the end of every far transfer.
    pub(crate) fn set_cs(&mut self, mut cs: SegReg, cpl: u8, eip: u32) {
        cs.selector = cs.selector & !3 | u16::from(cpl);
        self.seg[CS] = cs;
        self.eip = eip;
        if self.cpl != cpl {
            self.cpl = cpl;
            self.mode_changed();
        }
    }

    /// LAR: the access rights, if the selector may be looked at. Never faults on the selector.
    pub(crate) fn lar(&mut self, io: &mut dyn GuestIo, selector: u16) -> Result<Option<u32>, Fault> {
        let Some(d) = self.visible(io, selector)? else { return Ok(None) };
        let known = d.is_segment()
            || matches!(
                d.kind(),
                sys::TSS16
                    | sys::LDT
                    | sys::TSS16_BUSY
                    | sys::CALL16
                    | sys::TASK_GATE
                    | sys::TSS32
                    | sys::TSS32_BUSY
                    | sys::CALL32
            );
        // Bits 19:16, the limit, are undefined by the manual; processors let them through.
        Ok(known.then_some(d.hi & 0x00ff_ff00))
    }

    /// LSL: the limit in bytes.
    pub(crate) fn lsl(&mut self, io: &mut dyn GuestIo, selector: u16) -> Result<Option<u32>, Fault> {
        let Some(d) = self.visible(io, selector)? else { return Ok(None) };
        let known = d.is_segment()
            || matches!(d.kind(), sys::TSS16 | sys::LDT | sys::TSS16_BUSY | sys::TSS32 | sys::TSS32_BUSY);
        Ok(known.then_some(d.limit()))
    }

    fn visible(&mut self, io: &mut dyn GuestIo, selector: u16) -> Result<Option<Desc>, Fault> {
        if is_null(selector) {
            return Ok(None);
        }
        let d = self.descriptor(io, selector)?;
        Ok(d.filter(|d| d.is_conforming() || d.dpl() >= self.cpl && d.dpl() >= rpl(selector)))
    }

    /// VERR and VERW.
    pub(crate) fn verify(&mut self, io: &mut dyn GuestIo, selector: u16, write: bool) -> Result<bool, Fault> {
        let Some(d) = self.visible(io, selector)? else { return Ok(false) };
        let may = if write { d.is_writable_data() } else { d.is_readable() };
        if write && may && self.cpl == 0 {
            self.seen.remember(For::Verw, selector, &d, false, SegReg::NULL);
        }
        Ok(may)
    }
}

/// What [`Cpu::check_data`] found, in a segment register.
pub(crate) fn data_segment(d: Option<Desc>, selector: u16) -> SegReg {
    d.map_or_else(|| SegReg::null(selector), |d| d.load(selector))
}
