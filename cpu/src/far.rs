//! Far transfers: JMP, CALL, RET and IRET between segments, call gates, SYSENTER and SYSEXIT.
//!
//! SDM vol. 2, JMP, CALL, RET, IRET, SYSENTER, SYSEXIT; vol. 3, 5.8. Everything is read and checked, frames are
//! written, and only then do registers change. EIP is that of the next instruction on entry.

use hv_vcpu::{GuestIo, Segment};

use crate::cpu::{CS, Cpu, DS, ECX, EDX, ES, ESP, FS, GS, Mode, SS, SegReg, eflags};
use crate::fault::{Exec, Fault};
use crate::mem::Access;
use crate::seg::{Desc, code_of, is_null, rpl, sys};
use crate::task::Switch;

impl Cpu {
    /// JMP ptr16:16/32 and JMP m16:16/32. `offset` is cut to the operand size.
    pub(crate) fn far_jump(&mut self, io: &mut dyn GuestIo, selector: u16, offset: u32) -> Exec {
        if self.mode != Mode::Protected {
            return self.unprotected_cs(selector, offset);
        }
        let d = self.far_target(io, selector)?;
        if d.is_segment() {
            let cs = self.direct_cs(io, selector, &d, offset)?;
            self.set_cs(cs, self.cpl, offset);
            return Ok(());
        }
        self.check_gate_privilege(selector, &d)?;
        match d.kind() {
            sys::CALL16 | sys::CALL32 => {
                let (target, cs) = self.gate_target(io, selector, &d)?;
                // A jump never changes privilege.
                let may = if cs.is_conforming() { cs.dpl() <= self.cpl } else { cs.dpl() == self.cpl };
                if !may {
                    return Err(Fault::gp(code_of(target)));
                }
                let offset = d.gate_offset();
                let cs = self.finish_cs(io, target, &cs, offset)?;
                self.set_cs(cs, self.cpl, offset);
                Ok(())
            }
            _ => self.far_task(io, selector, &d, Switch::Jump),
        }
    }

    /// CALL ptr16:16/32 and CALL m16:16/32.
    pub(crate) fn far_call(&mut self, io: &mut dyn GuestIo, selector: u16, offset: u32, wide: bool) -> Exec {
        let back = [u32::from(self.seg[CS].selector), self.eip];
        if self.mode != Mode::Protected {
            if offset > self.real_cs_limit() {
                return Err(Fault::gp(0));
            }
            let sp = self.push_here(io, &back, wide)?;
            self.unprotected_cs(selector, offset)?;
            self.set_sp(sp);
            return Ok(());
        }
        let d = self.far_target(io, selector)?;
        if d.is_segment() {
            // The limit is looked at after the pushes, as the order of faults on processors shows.
            let cs = self.direct_cs(io, selector, &d, 0)?;
            let sp = self.push_here(io, &back, wide)?;
            if offset > cs.limit {
                return Err(Fault::gp(0));
            }
            self.set_sp(sp);
            self.set_cs(cs, self.cpl, offset);
            return Ok(());
        }
        self.check_gate_privilege(selector, &d)?;
        match d.kind() {
            sys::CALL16 | sys::CALL32 => self.call_gate(io, selector, &d),
            _ => self.far_task(io, selector, &d, Switch::Call),
        }
    }

    fn call_gate(&mut self, io: &mut dyn GuestIo, selector: u16, gate: &Desc) -> Exec {
        let (target, code) = self.gate_target(io, selector, gate)?;
        if code.dpl() > self.cpl {
            return Err(Fault::gp(code_of(target)));
        }
        if !code.present() {
            return Err(Fault::np(code_of(target)));
        }
        let (wide, offset) = (gate.kind() == sys::CALL32, gate.gate_offset());
        let back = [u32::from(self.seg[CS].selector), self.eip];
        if code.is_conforming() || code.dpl() == self.cpl {
            let cs = self.finish_cs(io, target, &code, offset)?;
            let sp = self.push_here(io, &back, wide)?;
            self.set_sp(sp);
            self.set_cs(cs, self.cpl, offset);
            return Ok(());
        }
        let cpl = code.dpl();
        let (new_ss, new_esp) = self.stack_of(io, cpl)?;
        let ss = self.check_ss(io, new_ss, cpl, Fault::ts)?;
        let cs = self.finish_cs(io, target, &code, offset)?;
        let params = gate.gate_params() as usize;
        let mut frame = [0; 2 + 31 + 2];
        frame[0] = u32::from(self.seg[SS].selector);
        frame[1] = self.gpr[ESP];
        let size = if wide { 4 } else { 2 };
        for i in 0..params {
            let at = self.gpr[ESP].wrapping_add(size * i as u32) & self.sp_mask();
            // The deepest parameter is pushed first.
            frame[1 + params - i] =
                if wide { self.read32(io, SS, at)? } else { u32::from(self.read16(io, SS, at)?) };
        }
        frame[2 + params..4 + params].copy_from_slice(&back);
        let sp = self.push_frame(io, &ss, new_esp, &frame[..4 + params], wide, false, code_of(new_ss))?;
        self.seg[SS] = ss;
        self.set_sp(sp);
        self.set_cs(cs, cpl, offset);
        Ok(())
    }

    /// RET far. `release`: bytes of parameters.
    pub(crate) fn far_ret(&mut self, io: &mut dyn GuestIo, wide: bool, release: u16) -> Exec {
        let size = if wide { 4 } else { 2 };
        // Processors read the selector first, and only the word of its slot (seen at the end of a page).
        let selector = self.peek_at(io, size, false)? as u16;
        let eip = self.peek(io, 0, wide)?;
        let release = u32::from(release);
        let popped = self.gpr[ESP].wrapping_add(2 * size).wrapping_add(release);
        if self.mode != Mode::Protected {
            if eip > self.real_cs_limit() {
                return Err(Fault::gp(0));
            }
            self.set_sp(popped);
            return self.unprotected_cs(selector, eip);
        }
        let cs = self.return_cs(io, selector)?;
        let cpl = rpl(selector);
        if cpl == self.cpl {
            if eip > cs.limit {
                return Err(Fault::gp(0));
            }
            self.set_sp(popped);
            self.set_cs(cs, cpl, eip);
            return Ok(());
        }
        // The outer stack pointer lies above the parameters.
        let at = 2 * size + release;
        let esp = self.peek_at(io, at, wide)?;
        let ss = self.peek_at(io, at + size, wide)? as u16;
        let ss = self.check_ss(io, ss, cpl, Fault::gp)?;
        if eip > cs.limit {
            return Err(Fault::gp(0));
        }
        self.return_outward(cs, ss, cpl, eip, esp.wrapping_add(release));
        Ok(())
    }

    fn return_outward(&mut self, cs: SegReg, ss: SegReg, cpl: u8, eip: u32, esp: u32) {
        self.seg[SS] = ss;
        // A 16-bit stack takes only SP: bits 31:16 of the inner ESP stay visible.
        self.set_sp(esp);
        self.set_cs(cs, cpl, eip);
        self.drop_inner_segments();
    }

    /// IRET.
    pub(crate) fn iret(&mut self, io: &mut dyn GuestIo, wide: bool) -> Exec {
        self.nmi_blocked = false;
        match self.mode {
            Mode::Real => self.iret_unprotected(io, wide, eflags::IOPL | eflags::IF),
            Mode::V86 if self.iopl() < 3 => Err(Fault::gp(0)),
            Mode::V86 => self.iret_unprotected(io, wide, eflags::IF),
            Mode::Protected if self.eflags & eflags::NT != 0 => self.return_from_task(io),
            Mode::Protected => self.iret_protected(io, wide),
        }
    }

    /// Flags that IRET and POPF may set without privilege.
    const FLAGS16: u32 = eflags::ARITH | eflags::TF | eflags::DF | eflags::NT;
    const FLAGS32: u32 = Self::FLAGS16 | eflags::RF | eflags::AC | eflags::ID;

    fn iret_unprotected(&mut self, io: &mut dyn GuestIo, wide: bool, more: u32) -> Exec {
        let eip = self.peek(io, 0, wide)?;
        let selector = self.peek(io, 1, wide)? as u16;
        let flags = self.peek(io, 2, wide)?;
        if eip > self.real_cs_limit() {
            return Err(Fault::gp(0));
        }
        let size = if wide { 4 } else { 2 };
        self.set_sp(self.gpr[ESP].wrapping_add(3 * size));
        self.unprotected_cs(selector, eip)?;
        let mask = if wide { Self::FLAGS32 } else { Self::FLAGS16 } | more;
        self.merge_flags(flags, mask);
        Ok(())
    }

    fn iret_protected(&mut self, io: &mut dyn GuestIo, wide: bool) -> Exec {
        // Processors read the flags first (seen by the address of a page fault).
        let flags = self.peek(io, 2, wide)?;
        let selector = self.peek(io, 1, wide)? as u16;
        let eip = self.peek(io, 0, wide)?;
        if wide && flags & eflags::VM != 0 && self.cpl == 0 {
            return self.iret_to_v86(io, eip, selector, flags);
        }
        let size = if wide { 4 } else { 2 };
        let mut mask = if wide { Self::FLAGS32 } else { Self::FLAGS16 };
        if self.cpl <= self.iopl() {
            mask |= eflags::IF;
        }
        if self.cpl == 0 {
            mask |= eflags::IOPL | if wide { eflags::VIF | eflags::VIP } else { 0 };
        }
        let cs = self.return_cs(io, selector)?;
        let cpl = rpl(selector);
        if cpl == self.cpl {
            if eip > cs.limit {
                return Err(Fault::gp(0));
            }
            self.set_sp(self.gpr[ESP].wrapping_add(3 * size));
            self.set_cs(cs, cpl, eip);
        } else {
            let esp = self.peek(io, 3, wide)?;
            let ss = self.peek(io, 4, wide)? as u16;
            let ss = self.check_ss(io, ss, cpl, Fault::gp)?;
            if eip > cs.limit {
                return Err(Fault::gp(0));
            }
            self.return_outward(cs, ss, cpl, eip, esp);
        }
        self.merge_flags(flags, mask);
        Ok(())
    }

    fn iret_to_v86(&mut self, io: &mut dyn GuestIo, eip: u32, selector: u16, flags: u32) -> Exec {
        let esp = self.peek(io, 3, true)?;
        let mut sel = [0; 5];
        for (i, s) in sel.iter_mut().enumerate() {
            *s = self.peek(io, 4 + i as u32, true)? as u16;
        }
        if eip > 0xffff {
            return Err(Fault::gp(0));
        }
        for (seg, s) in [SS, ES, DS, FS, GS].into_iter().zip(sel) {
            self.seg[seg] = SegReg::v86(s);
        }
        self.seg[CS] = SegReg::v86(selector);
        self.gpr[ESP] = esp;
        self.eip = eip;
        self.cpl = 3;
        self.set_eflags(flags & crate::state::EFLAGS_VALID);
        self.mode_changed();
        Ok(())
    }

    /// Takes the bits of `mask` from `v`.
    pub(crate) fn merge_flags(&mut self, v: u32, mask: u32) {
        let old = self.eflags();
        self.set_eflags(old & !mask | v & mask);
        if (old ^ v) & mask & eflags::AC != 0 {
            self.mode_changed();
        }
    }

    /// SYSENTER. SDM vol. 2; legal in V86 mode, #GP(0) in real mode.
    pub(crate) fn sysenter(&mut self) -> Exec {
        let cs = self.msrs.sysenter_cs as u16;
        if self.mode == Mode::Real || is_null(cs) {
            return Err(Fault::gp(0));
        }
        self.eflags &= !(eflags::VM | eflags::IF | eflags::RF);
        let cs = cs & !3;
        self.seg[SS] = flat(cs.wrapping_add(8), 0xc093);
        self.gpr[ESP] = self.msrs.sysenter_esp as u32;
        self.cpl = 0;
        self.set_cs(flat(cs, 0xc09b), 0, self.msrs.sysenter_eip as u32);
        self.mode_changed();
        Ok(())
    }

    /// SYSEXIT.
    pub(crate) fn sysexit(&mut self) -> Exec {
        let cs = self.msrs.sysenter_cs as u16;
        if self.mode != Mode::Protected || self.cpl != 0 || is_null(cs) {
            return Err(Fault::gp(0));
        }
        let cs = cs & !3;
        self.seg[SS] = flat(cs.wrapping_add(24) | 3, 0xc0f3);
        self.gpr[ESP] = self.gpr[ECX];
        self.set_cs(flat(cs.wrapping_add(16), 0xc0fb), 3, self.gpr[EDX]);
        Ok(())
    }

    // Parts.

    /// In real and V86 mode a far transfer keeps CS's limit, and EIP must lie below it.
    fn real_cs_limit(&self) -> u32 {
        if self.mode == Mode::V86 { 0xffff } else { self.seg[CS].limit }
    }

    fn unprotected_cs(&mut self, selector: u16, offset: u32) -> Exec {
        if offset > self.real_cs_limit() {
            return Err(Fault::gp(0));
        }
        let v86 = self.mode == Mode::V86;
        self.seg[CS] = if v86 { SegReg::v86(selector) } else { self.seg[CS].real(selector, CS) };
        self.eip = offset;
        Ok(())
    }

    /// The descriptor of a far JMP's or CALL's operand.
    fn far_target(&mut self, io: &mut dyn GuestIo, selector: u16) -> Result<Desc, Fault> {
        if is_null(selector) {
            return Err(Fault::gp(0));
        }
        self.descriptor(io, selector)?.ok_or(Fault::gp(code_of(selector)))
    }

    /// A code segment named directly by JMP or CALL. SDM vol. 3, 5.8.1.
    fn direct_cs(
        &mut self,
        io: &mut dyn GuestIo,
        selector: u16,
        d: &Desc,
        offset: u32,
    ) -> Result<SegReg, Fault> {
        let may = if d.is_conforming() {
            d.dpl() <= self.cpl
        } else {
            rpl(selector) <= self.cpl && d.dpl() == self.cpl
        };
        if !d.is_code() || !may {
            return Err(Fault::gp(code_of(selector)));
        }
        self.finish_cs(io, selector, d, offset)
    }

    /// Presence, limit and accessed bit of a code segment that may be entered.
    fn finish_cs(
        &mut self,
        io: &mut dyn GuestIo,
        selector: u16,
        d: &Desc,
        offset: u32,
    ) -> Result<SegReg, Fault> {
        if !d.present() {
            return Err(Fault::np(code_of(selector)));
        }
        if offset > d.limit() {
            return Err(Fault::gp(0));
        }
        self.mark_accessed(io, d)?;
        Ok(d.load(selector))
    }

    /// Gates and TSS descriptors: DPL against CPL and RPL, and the kinds that JMP and CALL know.
    fn check_gate_privilege(&self, selector: u16, d: &Desc) -> Exec {
        let known = matches!(d.kind(), sys::CALL16 | sys::CALL32 | sys::TASK_GATE | sys::TSS16 | sys::TSS32);
        if !known || d.dpl() < self.cpl || d.dpl() < rpl(selector) {
            return Err(Fault::gp(code_of(selector)));
        }
        Ok(())
    }

    /// The code segment behind a call gate; its selector's RPL does not matter.
    fn gate_target(
        &mut self,
        io: &mut dyn GuestIo,
        selector: u16,
        gate: &Desc,
    ) -> Result<(u16, Desc), Fault> {
        if !gate.present() {
            return Err(Fault::np(code_of(selector)));
        }
        let target = gate.gate_selector();
        let d = self.far_target(io, target)?;
        if !d.is_code() {
            return Err(Fault::gp(code_of(target)));
        }
        Ok((target, d))
    }

    /// A task gate or TSS descriptor as the operand of JMP or CALL.
    fn far_task(&mut self, io: &mut dyn GuestIo, selector: u16, d: &Desc, how: Switch) -> Exec {
        if !d.present() {
            return Err(Fault::np(code_of(selector)));
        }
        if d.kind() == sys::TASK_GATE {
            let selector = d.gate_selector();
            let tss = self.available_tss(io, selector, Fault::gp)?;
            return self.switch_task(io, selector, &tss, how);
        }
        let tss = self.available_tss(io, selector, Fault::gp)?;
        self.switch_task(io, selector, &tss, how)
    }

    /// CS as RET and IRET find it on the stack.
    fn return_cs(&mut self, io: &mut dyn GuestIo, selector: u16) -> Result<SegReg, Fault> {
        let d = self.far_target(io, selector)?;
        let to = rpl(selector);
        let may = if d.is_conforming() { d.dpl() <= to } else { d.dpl() == to };
        if to < self.cpl || !d.is_code() || !may {
            return Err(Fault::gp(code_of(selector)));
        }
        if !d.present() {
            return Err(Fault::np(code_of(selector)));
        }
        self.mark_accessed(io, &d)?;
        Ok(d.load(selector))
    }

    /// The `n`th item from the top of the stack, which stays as it is.
    fn peek(&mut self, io: &mut dyn GuestIo, n: u32, wide: bool) -> Result<u32, Fault> {
        self.peek_at(io, n * if wide { 4 } else { 2 }, wide)
    }

    fn peek_at(&mut self, io: &mut dyn GuestIo, at: u32, wide: bool) -> Result<u32, Fault> {
        let off = self.gpr[ESP].wrapping_add(at) & self.sp_mask();
        if wide { self.read32(io, SS, off) } else { self.read16(io, SS, off).map(u32::from) }
    }

    fn push_here(&mut self, io: &mut dyn GuestIo, items: &[u32], wide: bool) -> Result<u32, Fault> {
        let ss = self.seg[SS];
        let size = if wide { 4 } else { 2 };
        let first = self.sp().wrapping_sub(size) & self.sp_mask();
        self.align_at(SS, first, size, size, Access::Write)?;
        self.push_frame(io, &ss, self.gpr[ESP], items, wide, self.cpl == 3, 0)
    }
}

fn flat(selector: u16, attr: u32) -> SegReg {
    SegReg::new(&Segment { selector, base: 0, limit: u32::MAX, attr })
}
