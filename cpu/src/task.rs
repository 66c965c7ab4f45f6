//! Hardware task switches through 32-bit and 16-bit task state segments.
//!
//! SDM vol. 3, chapter 7. Until the old state is saved a fault belongs to the old task and nothing has changed; after
//! the new registers are in, faults belong to the new task, with its EIP. CS is looked at after LDTR, because it
//! may lie in the new LDT.

use hv_vcpu::{GuestIo, Segment};

use crate::cpu::{CS, Cpu, DS, ES, FS, GS, LDTR, SS, SegReg, TR, cr0, cr4, eflags};
use crate::debug::{dr6, dr7};
use crate::fault::{Exec, Fault};
use crate::mem::{Access, Priv};
use crate::seg::{Desc, code_of, data_segment, is_null, rpl, sys};

/// What started the switch: decides about busy bits, back link and NT. SDM vol. 3, table 7-2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    Jump,
    /// CALL, interrupt or exception: nested.
    Call,
    Iret,
}

/// Bytes that a TSS must have at least, less one.
const LIMIT32: u32 = 0x67;
const LIMIT16: u32 = 0x2b;

/// Offsets in a 32-bit TSS; registers follow at four bytes each, segments in encoding order.
mod tss32 {
    pub(super) const CR3: usize = 0x1c;
    pub(super) const EIP: usize = 0x20;
    pub(super) const SEGS: usize = 0x48;
    pub(super) const LDT: usize = 0x60;
    pub(super) const TRAP: usize = 0x64;
}

/// Offsets in a 16-bit TSS.
mod tss16 {
    pub(super) const IP: usize = 0x0e;
    pub(super) const SEGS: usize = 0x22;
    pub(super) const LDT: usize = 0x2a;
}

/// What a TSS holds.
struct Image {
    cr3: Option<u32>,
    eip: u32,
    eflags: u32,
    gpr: [u32; 8],
    /// ES CS SS DS FS GS.
    seg: [u16; 6],
    ldt: u16,
    trap: bool,
}

impl Image {
    fn parse(b: &[u8], wide: bool) -> Self {
        let w = |at: usize| u16::from_le_bytes([b[at], b[at + 1]]);
        let d = |at: usize| u32::from(w(at)) | u32::from(w(at + 2)) << 16;
        if wide {
            Self {
                cr3: Some(d(tss32::CR3)),
                eip: d(tss32::EIP),
                eflags: d(tss32::EIP + 4),
                gpr: std::array::from_fn(|i| d(tss32::EIP + 8 + 4 * i)),
                seg: std::array::from_fn(|i| w(tss32::SEGS + 4 * i)),
                ldt: w(tss32::LDT),
                trap: b[tss32::TRAP] & 1 != 0,
            }
        } else {
            Self {
                cr3: None,
                eip: u32::from(w(tss16::IP)),
                eflags: u32::from(w(tss16::IP + 2)),
                // The upper halves are undefined; ones, as on the processors that were measured.
                gpr: std::array::from_fn(|i| 0xffff_0000 | u32::from(w(tss16::IP + 4 + 2 * i))),
                seg: std::array::from_fn(|i| if i < 4 { w(tss16::SEGS + 2 * i) } else { 0 }),
                ldt: w(tss16::LDT),
                trap: false,
            }
        }
    }
}

impl Cpu {
    /// The available TSS that `selector` names, for CALL, JMP and task gates.
    pub(crate) fn available_tss(
        &mut self,
        io: &mut dyn GuestIo,
        selector: u16,
        bad: fn(u16) -> Fault,
    ) -> Result<Desc, Fault> {
        let code = code_of(selector);
        if is_null(selector) || selector & 4 != 0 {
            return Err(bad(code));
        }
        let d = self.descriptor(io, selector)?.ok_or(bad(code))?;
        if d.is_segment() || !matches!(d.kind(), sys::TSS16 | sys::TSS32) {
            return Err(bad(code));
        }
        if !d.present() {
            return Err(Fault::np(code));
        }
        Ok(d)
    }

    /// IRET with NT set: back to the task that the back link names.
    pub(crate) fn return_from_task(&mut self, io: &mut dyn GuestIo) -> Exec {
        let selector = self.lin_read16(io, self.seg[TR].base, Priv::Supervisor)?;
        let bad = Fault::ts(code_of(selector));
        if is_null(selector) || selector & 4 != 0 {
            return Err(bad);
        }
        let d = self.descriptor(io, selector)?.ok_or(bad)?;
        if d.is_segment() || !matches!(d.kind(), sys::TSS16_BUSY | sys::TSS32_BUSY) {
            return Err(bad);
        }
        if !d.present() {
            return Err(Fault::np(code_of(selector)));
        }
        self.switch_task(io, selector, &d, Switch::Iret)
    }

    /// `desc` has been checked for presence, type and privilege. EIP is where the old task will go on.
    pub(crate) fn switch_task(
        &mut self,
        io: &mut dyn GuestIo,
        selector: u16,
        desc: &Desc,
        how: Switch,
    ) -> Exec {
        let wide = desc.kind() & 8 != 0;
        let (limit, min) = (desc.limit(), if wide { LIMIT32 } else { LIMIT16 });
        if limit < min {
            return Err(Fault::ts(code_of(selector)));
        }
        let old = self.seg[TR];
        let old_wide = old.attr & 8 != 0;
        if old.limit < if old_wide { LIMIT32 } else { LIMIT16 } {
            return Err(Fault::ts(code_of(old.selector)));
        }

        // Everything that can fault in the old task.
        let saved = self.task_image(old_wide, how);
        let save_at = old.base.wrapping_add(if old_wide { tss32::EIP } else { tss16::IP } as u32);
        self.lin_probe(io, save_at, saved.len() as u32, Access::Write, false)?;
        let old_busy = self.gdtr.base.wrapping_add(u32::from(old.selector & !7) + 4);
        if how != Switch::Call {
            self.lin_probe(io, old_busy, 4, Access::Write, false)?;
        }
        if how != Switch::Iret {
            self.lin_probe(io, desc.at.wrapping_add(4), 4, Access::Write, false)?;
        }
        let base = desc.base();
        if how == Switch::Call {
            self.lin_probe(io, base, 2, Access::Write, false)?;
        }
        let mut image = [0; LIMIT32 as usize + 1];
        self.lin_read(io, base, &mut image[..=min as usize], false)?;
        let cr3 = Image::parse(&image, wide).cr3.filter(|_| self.paging());
        let pdptes = match cr3 {
            Some(cr3) if self.cr4 & cr4::PAE != 0 => Some(self.read_pdptes(io, cr3)?),
            _ => None,
        };

        // Commit. None of these can fault any more.
        if how != Switch::Call {
            let hi = self.lin_read32(io, old_busy, Priv::Supervisor)?;
            self.lin_write32(io, old_busy, hi & !0x200, Priv::Supervisor)?;
        }
        self.lin_write(io, save_at, &saved, false)?;
        // Again: a task may return to itself.
        self.lin_read(io, base, &mut image[..=min as usize], false)?;
        let mut new = Image::parse(&image, wide);
        if how == Switch::Call {
            self.lin_write16(io, base, old.selector, Priv::Supervisor)?;
            new.eflags |= eflags::NT;
        }
        if how != Switch::Iret {
            self.lin_write32(io, desc.at.wrapping_add(4), desc.hi | 0x200, Priv::Supervisor)?;
        }
        self.seg[TR] = SegReg::new(&Segment { selector, base, limit, attr: desc.attr() | 2 });
        self.cr0 |= cr0::TS;
        if let Some(cr3) = cr3 {
            self.cr3 = cr3;
            self.pdpte = pdptes.unwrap_or(self.pdpte);
            self.tlb.flush_non_global();
        }
        self.dr[7] &= !dr7::LOCAL;
        self.breakpoints_changed();
        self.enter_task(io, &new).map_err(Fault::in_new_task)
    }

    /// The registers of the old task, as they lie in its TSS from EIP on.
    fn task_image(&self, wide: bool, how: Switch) -> Vec<u8> {
        let mut flags = self.eflags();
        if how == Switch::Iret {
            flags &= !eflags::NT;
        }
        let mut out = Vec::with_capacity(64);
        let segs: &[usize] = if wide { &[ES, CS, SS, DS, FS, GS] } else { &[ES, CS, SS, DS] };
        let words = [self.eip, flags]
            .into_iter()
            .chain(self.gpr[..8].iter().copied())
            .chain(segs.iter().map(|&s| u32::from(self.seg[s].selector)));
        for w in words {
            out.extend_from_slice(&w.to_le_bytes()[..if wide { 4 } else { 2 }]);
        }
        out
    }

    /// Registers, then the checks that belong to the new task.
    fn enter_task(&mut self, io: &mut dyn GuestIo, new: &Image) -> Exec {
        self.gpr[..8].copy_from_slice(&new.gpr);
        self.eip = new.eip;
        self.set_eflags(new.eflags & crate::state::EFLAGS_VALID);
        let v86 = self.eflags & eflags::VM != 0;
        for (i, &s) in new.seg.iter().enumerate() {
            self.seg[i] = if v86 { SegReg::v86(s) } else { SegReg::null(s) };
        }
        self.seg[LDTR] = SegReg::null(new.ldt);
        self.cpl = if v86 { 3 } else { rpl(new.seg[CS]) };
        self.mode_changed();
        self.end_block = true;
        if new.trap {
            self.pending_debug |= dr6::BT;
        }

        if !is_null(new.ldt) {
            self.seg[LDTR] = self.check_ldt(io, new.ldt, Fault::ts, Fault::ts)?;
        }
        if !v86 {
            self.enter_task_segments(io, new)?;
        }
        if new.eip > self.seg[CS].limit {
            return Err(Fault::gp(0));
        }
        Ok(())
    }

    fn enter_task_segments(&mut self, io: &mut dyn GuestIo, new: &Image) -> Exec {
        let selector = new.seg[CS];
        let bad = Fault::ts(code_of(selector));
        if is_null(selector) {
            return Err(bad);
        }
        let d = self.descriptor(io, selector)?.ok_or(bad)?;
        let privileged = if d.is_conforming() { d.dpl() <= self.cpl } else { d.dpl() == self.cpl };
        if !d.is_code() || !privileged {
            return Err(bad);
        }
        if !d.present() {
            return Err(Fault::np(code_of(selector)));
        }
        self.mark_accessed(io, &d)?;
        self.seg[CS] = d.load(selector);
        self.seg[SS] = self.check_ss(io, new.seg[SS], self.cpl, Fault::ts)?;
        for s in [ES, DS, FS, GS] {
            let d = self.check_data(io, new.seg[s], Fault::ts)?;
            self.seg[s] = data_segment(d, new.seg[s]);
        }
        Ok(())
    }

    /// The LDT that `selector` names: LLDT and task switches. `absent` is the fault for a clear present bit.
    pub(crate) fn check_ldt(
        &mut self,
        io: &mut dyn GuestIo,
        selector: u16,
        bad: fn(u16) -> Fault,
        absent: fn(u16) -> Fault,
    ) -> Result<SegReg, Fault> {
        let code = code_of(selector);
        if selector & 4 != 0 {
            return Err(bad(code));
        }
        let d = self.descriptor(io, selector)?.ok_or(bad(code))?;
        if d.is_segment() || d.kind() != sys::LDT {
            return Err(bad(code));
        }
        if !d.present() {
            return Err(absent(code));
        }
        Ok(d.load(selector))
    }
}
