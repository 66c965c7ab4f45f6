//! Model-specific registers: the ones of a Pentium 4 that period systems touch; all others are #GP(0).
//!
//! SDM vol. 3, appendix B.1 (family 15) and 11.11 (MTRRs), 11.12 (PAT). The memory types are kept and checked but
//! have no effect: there is no cache to control. Not there, as CPUID says: APIC (1Bh reads 0 and ignores writes),
//! machine checks (their registers read 0), thermal control. Last-branch records read 0 and DEBUGCTL keeps
//! nothing: branch tracing is not emulated.

use hv_vcpu::GuestIo;

use crate::cpu::Cpu;
use crate::fault::{Exec, Fault};
use crate::system::EFER_NXE;

const TSC: u32 = 0x10;
const PLATFORM_ID: u32 = 0x17;
const APIC_BASE: u32 = 0x1b;
const EBC_HARD_POWERON: u32 = 0x2a;
const EBC_SOFT_POWERON: u32 = 0x2b;
const EBC_FREQUENCY_ID: u32 = 0x2c;
const BIOS_UPDT_TRIG: u32 = 0x79;
const BIOS_SIGN_ID: u32 = 0x8b;
const MTRRCAP: u32 = 0xfe;
const SYSENTER_CS: u32 = 0x174;
const SYSENTER_ESP: u32 = 0x175;
const SYSENTER_EIP: u32 = 0x176;
const MCG_CAP: u32 = 0x179;
const MCG_STATUS: u32 = 0x17a;
const MISC_ENABLE: u32 = 0x1a0;
const LER_FROM: u32 = 0x1d7;
const LER_TO: u32 = 0x1d8;
const DEBUGCTL: u32 = 0x1d9;
const LASTBRANCH_TOS: u32 = 0x1da;
const LASTBRANCH_3: u32 = 0x1de;
const MTRR_VAR: u32 = 0x200;
const MTRR_VAR_LAST: u32 = 0x20f;
const PAT: u32 = 0x277;
const MTRR_DEF_TYPE: u32 = 0x2ff;
const MC0_CTL: u32 = 0x400;
const MC3_MISC: u32 = 0x40f;
const EFER: u32 = 0xc000_0080;

/// Eight variable ranges, fixed ranges, write combining.
const MTRRCAP_VALUE: u64 = 0x508;
/// The bus at 100 MHz times 18.
const FREQUENCY: u64 = 18 << 24;
/// Branch trace store and precise event sampling are unavailable.
const MISC_ENABLE_FIXED: u64 = 3 << 11;
/// Fast strings, FOP compatibility, TM1, split-lock, third-level cache, lock suppression, prefetch, FERR# mode.
const MISC_ENABLE_WRITABLE: u64 = 0x75d;
/// Read-only bits, ignored when written: performance monitoring, BTS, PEBS.
const MISC_ENABLE_READ_ONLY: u64 = 1 << 7 | MISC_ENABLE_FIXED;
const PHYS: u64 = 0xf_ffff_f000;

/// Index into `Msrs::mtrr_fixed`.
fn fixed_range(msr: u32) -> Option<usize> {
    match msr {
        0x250 => Some(0),
        0x258 | 0x259 => Some((msr - 0x258) as usize + 1),
        0x268..=0x26f => Some((msr - 0x268) as usize + 3),
        _ => None,
    }
}

fn mtrr_type(t: u8) -> bool {
    matches!(t, 0 | 1 | 4 | 5 | 6)
}

fn pat_type(t: u8) -> bool {
    mtrr_type(t) || t == 7
}

fn only(v: u64, bits: u64) -> Exec {
    if v & !bits == 0 { Ok(()) } else { Err(Fault::gp(0)) }
}

fn demand(ok: bool) -> Exec {
    if ok { Ok(()) } else { Err(Fault::gp(0)) }
}

impl Cpu {
    pub(crate) fn tsc(&mut self, io: &mut dyn GuestIo) -> u64 {
        self.report(io);
        let t = io.tsc().wrapping_add(self.tsc_offset);
        self.after_io();
        t
    }

    /// RDMSR, privilege already checked.
    pub(crate) fn read_msr(&mut self, io: &mut dyn GuestIo, msr: u32) -> Result<u64, Fault> {
        let m = &self.msrs;
        Ok(match msr {
            TSC => self.tsc(io),
            PLATFORM_ID | EBC_HARD_POWERON | EBC_SOFT_POWERON => 0,
            EBC_FREQUENCY_ID => FREQUENCY,
            APIC_BASE => m.apic_base,
            BIOS_SIGN_ID => m.ucode_rev,
            MTRRCAP => MTRRCAP_VALUE,
            SYSENTER_CS => m.sysenter_cs,
            SYSENTER_ESP => m.sysenter_esp,
            SYSENTER_EIP => m.sysenter_eip,
            MCG_CAP => 0,
            MCG_STATUS => m.mcg_status,
            MISC_ENABLE => m.misc_enable | MISC_ENABLE_FIXED,
            LER_FROM | LER_TO | LASTBRANCH_TOS..=LASTBRANCH_3 => 0,
            DEBUGCTL => m.debugctl,
            MTRR_VAR..=MTRR_VAR_LAST => {
                let (base, mask) = m.mtrr_var[((msr - MTRR_VAR) / 2) as usize];
                if msr & 1 == 0 { base } else { mask }
            }
            PAT => m.pat,
            MTRR_DEF_TYPE => m.mtrr_def_type,
            MC0_CTL..=MC3_MISC => 0,
            EFER if self.cpuid.has_nx() => m.efer,
            _ => match fixed_range(msr) {
                Some(i) => m.mtrr_fixed[i],
                None => return Err(Fault::gp(0)),
            },
        })
    }

    /// WRMSR, privilege already checked.
    pub(crate) fn write_msr(&mut self, io: &mut dyn GuestIo, msr: u32, v: u64) -> Exec {
        let m = &mut self.msrs;
        match msr {
            // Models before 3 take 32 bits and clear the rest (SDM vol. 3, 15.9).
            TSC => {
                let now = self.tsc(io).wrapping_sub(self.tsc_offset);
                self.tsc_offset = (v & 0xffff_ffff).wrapping_sub(now);
            }
            APIC_BASE | BIOS_UPDT_TRIG | EBC_HARD_POWERON | EBC_SOFT_POWERON => {}
            BIOS_SIGN_ID => m.ucode_rev = v,
            SYSENTER_CS => m.sysenter_cs = v & 0xffff_ffff,
            SYSENTER_ESP => m.sysenter_esp = v & 0xffff_ffff,
            SYSENTER_EIP => m.sysenter_eip = v & 0xffff_ffff,
            MCG_STATUS => m.mcg_status = v & 7,
            MISC_ENABLE => {
                only(v, MISC_ENABLE_WRITABLE | MISC_ENABLE_READ_ONLY)?;
                m.misc_enable = v & MISC_ENABLE_WRITABLE;
            }
            DEBUGCTL => only(v, 0x7f)?,
            LER_FROM | LER_TO | LASTBRANCH_TOS..=LASTBRANCH_3 => {}
            MTRR_VAR..=MTRR_VAR_LAST => {
                let pair = &mut m.mtrr_var[((msr - MTRR_VAR) / 2) as usize];
                if msr & 1 == 0 {
                    only(v, PHYS | 0xff)?;
                    demand(mtrr_type(v as u8))?;
                    pair.0 = v;
                } else {
                    only(v, PHYS | 1 << 11)?;
                    pair.1 = v;
                }
            }
            PAT => {
                demand(v.to_le_bytes().into_iter().all(pat_type))?;
                m.pat = v;
            }
            MTRR_DEF_TYPE => {
                only(v, 0xcff)?;
                demand(mtrr_type(v as u8))?;
                m.mtrr_def_type = v;
            }
            MC0_CTL..=MC3_MISC => {}
            EFER if self.cpuid.has_nx() => {
                only(v, EFER_NXE)?;
                if m.efer != v {
                    m.efer = v;
                    self.tlb.flush_all();
                    self.views.flush_all();
                    self.view_changed();
                    self.end_block = true;
                }
            }
            _ => {
                let i = fixed_range(msr).ok_or(Fault::gp(0))?;
                demand(v.to_le_bytes().into_iter().all(mtrr_type))?;
                m.mtrr_fixed[i] = v;
            }
        }
        Ok(())
    }
}
