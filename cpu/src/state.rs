//! [`CpuState`] in and out.

use hv_vcpu::{CpuState, DescTable, FXSAVE_LEN, Segment};

use crate::cpu::{CS, Cpu, LDTR, SS, SegReg, TR, cr0, eflags};
use crate::debug::{dr6, dr7};
use crate::system::{CR0_VALID, EFER_NXE, cr4_valid};

impl SegReg {
    fn save(&self) -> Segment {
        let Self { selector, base, limit, attr, rlim: _, wlim: _ } = *self;
        Segment { selector, base, limit, attr }
    }
}

impl Cpu {
    pub(crate) fn save(&self) -> CpuState {
        let mut fxsave = [0; FXSAVE_LEN];
        self.fpu.to_fxsave(&mut fxsave);
        let mut gpr = [0; 8];
        gpr.copy_from_slice(&self.gpr[..8]);
        CpuState {
            gpr,
            eip: self.eip,
            eflags: self.eflags(),
            seg: std::array::from_fn(|i| self.seg[i].save()),
            ldtr: self.seg[LDTR].save(),
            tr: self.seg[TR].save(),
            gdtr: self.gdtr,
            idtr: self.idtr,
            cr0: self.cr0,
            cr2: self.cr2,
            cr3: self.cr3,
            cr4: self.cr4,
            pdpte: self.pdpte,
            dr: [self.dr[0], self.dr[1], self.dr[2], self.dr[3], self.dr[6], self.dr[7]],
            msrs: self.msrs.clone(),
            fxsave,
            tsc_offset: self.tsc_offset,
            halted: self.halted,
            sti_shadow: self.sti_shadow,
            mov_ss_shadow: self.mov_ss_shadow,
            nmi_blocked: self.nmi_blocked,
            pending_debug: self.pending_debug,
            acked: self.acked,
        }
    }

    /// What is wrong with `s`: a state that no processor of this kind can be in.
    pub(crate) fn check(&self, s: &CpuState) -> Result<(), &'static str> {
        let paged = s.cr0 & cr0::PG != 0;
        if paged && s.cr0 & cr0::PE == 0 {
            return Err("CR0 has paging without protection");
        }
        if s.cr0 & !CR0_VALID != 0 {
            return Err("CR0 has bits that this processor lacks");
        }
        if s.cr4 & !cr4_valid() != 0 {
            return Err("CR4 has bits that this processor lacks");
        }
        if s.msrs.efer & !(if self.cpuid.has_nx() { EFER_NXE } else { 0 }) != 0 {
            return Err("EFER has bits that this processor lacks");
        }
        if s.cr0 & cr0::PE == 0 && s.eflags & eflags::VM != 0 {
            return Err("EFLAGS.VM without protection");
        }
        if s.fxsave[26] != 0 || s.fxsave[27] != 0 {
            return Err("MXCSR has reserved bits");
        }
        Ok(())
    }

    /// Takes over a checked state.
    pub(crate) fn restore(&mut self, s: &CpuState) {
        let CpuState {
            gpr,
            eip,
            eflags: flags,
            seg,
            ldtr,
            tr,
            gdtr: DescTable { .. },
            idtr: DescTable { .. },
            cr0,
            cr2,
            cr3,
            cr4,
            pdpte,
            dr,
            msrs,
            fxsave,
            tsc_offset,
            halted,
            sti_shadow,
            mov_ss_shadow,
            nmi_blocked,
            pending_debug,
            acked,
        } = s;
        self.gpr[..8].copy_from_slice(gpr);
        self.eip = *eip;
        self.insn_eip = *eip;
        self.set_eflags(*flags & EFLAGS_VALID);
        for (to, from) in self.seg.iter_mut().zip(seg.iter().chain([ldtr, tr])) {
            *to = SegReg::new(from);
        }
        self.gdtr = s.gdtr;
        self.seen.clear();
        self.idtr = s.idtr;
        self.cr0 = *cr0 | crate::cpu::cr0::ET;
        self.cr2 = *cr2;
        self.cr3 = *cr3;
        self.cr4 = *cr4;
        self.pdpte = *pdpte;
        self.dr = [dr[0], dr[1], dr[2], dr[3], 0, 0, dr[4], dr[5]];
        self.dr[6] = self.dr[6] & dr6::WRITABLE | dr6::FIXED;
        self.dr[7] = self.dr[7] & dr7::WRITABLE | dr7::FIXED;
        self.msrs = msrs.clone();
        // Whoever holds FERR# was put back too.
        self.fpu.ferr = false;
        self.fpu.load_fxsave(fxsave);
        self.tsc_offset = *tsc_offset;
        self.halted = *halted;
        self.sti_shadow = *sti_shadow;
        self.mov_ss_shadow = *mov_ss_shadow;
        self.nmi_blocked = *nmi_blocked;
        self.pending_debug = *pending_debug;
        self.acked = *acked;
        self.cpl = if self.cr0 & crate::cpu::cr0::PE == 0 {
            0
        } else if self.eflags & eflags::VM != 0 {
            3
        } else if self.seg[SS].usable() {
            self.seg[SS].dpl()
        } else {
            (self.seg[CS].selector & 3) as u8
        };
        self.tlb.flush_all();
        // Memory may have been filled behind our back.
        self.views.remove_all(self.ram.arena());
        self.breakpoints_changed();
        self.mode_changed();
    }
}

/// Bits of EFLAGS that can be set.
pub(crate) const EFLAGS_VALID: u32 = 0x3f_7fd7;
