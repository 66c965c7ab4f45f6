//! Debug registers: code, data and I/O breakpoints, general detect, and what #DB leaves in DR6.
//!
//! SDM vol. 3, chapter 15. Data and I/O breakpoints and single-step are traps: their DR6 bits gather in
//! `Cpu::pending_debug` while an instruction executes and are delivered at the next boundary. Code breakpoints and
//! general detect are faults. B0-B3 report enabled breakpoints only.
//!
//! A page with an enabled data breakpoint has no read or write tag in the TLB, so only the slow path looks here.

use crate::cpu::{CS, Cpu, cr4, eflags};
use crate::fault::{Exec, Fault};

/// Bits of DR6.
pub(crate) mod dr6 {
    pub(crate) const BD: u32 = 1 << 13;
    pub(crate) const BS: u32 = 1 << 14;
    pub(crate) const BT: u32 = 1 << 15;
    pub(crate) const WRITABLE: u32 = 0xe00f;
    pub(crate) const FIXED: u32 = 0xffff_0ff0;
}

/// Bits of DR7.
pub(crate) mod dr7 {
    /// L0-L3 and LE.
    pub(crate) const LOCAL: u32 = 0x155;
    pub(crate) const GD: u32 = 1 << 13;
    pub(crate) const WRITABLE: u32 = 0xffff_23ff;
    pub(crate) const FIXED: u32 = 0x400;
}

/// R/Wn field of DR7.
const EXECUTE: u32 = 0;
const WRITE: u32 = 1;
const IO: u32 = 2;

/// Which kinds of breakpoints DR7 enables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Breakpoints {
    pub(crate) code: bool,
    pub(crate) data: bool,
    pub(crate) io: bool,
}

impl Cpu {
    /// Enabled breakpoints: number, R/W field, length.
    fn armed(&self) -> impl Iterator<Item = (usize, u32, u32)> + use<> {
        let d7 = self.dr[7];
        (0..4).filter(move |n| d7 >> (2 * n) & 3 != 0).map(move |n| {
            let len = match d7 >> (18 + 4 * n) & 3 {
                0 => 1,
                1 => 2,
                2 => 8, // undefined on this model; eight bytes on later ones
                _ => 4,
            };
            (n, d7 >> (16 + 4 * n) & 3, len)
        })
    }

    fn hits(&self, n: usize, bp_len: u32, at: u32, len: u32) -> bool {
        let bp = self.dr[n] & !(bp_len - 1);
        // Ranges overlap, modulo 4 GiB.
        at.wrapping_sub(bp) < bp_len || bp.wrapping_sub(at) < len
    }

    /// A data breakpoint lies in the page of `lin`.
    #[inline]
    pub(crate) fn watched(&self, lin: u32) -> bool {
        self.breakpoints.data
            && self
                .armed()
                .any(|(n, rw, len)| rw & WRITE != 0 && (self.dr[n] & !(len - 1)) >> 12 == lin >> 12)
    }

    /// Matches a data access against the breakpoints.
    #[inline]
    pub(crate) fn watch(&mut self, lin: u32, len: u32, write: bool) {
        if self.breakpoints.data {
            self.watch_slow(lin, len, write);
        }
    }

    #[cold]
    fn watch_slow(&mut self, lin: u32, len: u32, write: bool) {
        for (n, rw, bp_len) in self.armed() {
            if (rw == 3 || rw == WRITE && write) && self.hits(n, bp_len, lin, len) {
                self.pending_debug |= 1 << n;
                self.end_block = true;
            }
        }
    }

    /// Matches a port access against the I/O breakpoints (CR4.DE). The trap comes after the instruction.
    #[inline]
    pub(crate) fn watch_io(&mut self, port: u16, len: u32) {
        if !self.breakpoints.io {
            return;
        }
        for (n, rw, bp_len) in self.armed() {
            if rw == IO && self.hits(n, bp_len, u32::from(port), len) {
                self.pending_debug |= 1 << n;
                self.end_block = true;
            }
        }
    }

    /// At an instruction boundary, before the instruction at EIP: #DB if a code breakpoint is there and RF is clear.
    #[inline]
    pub(crate) fn code_breakpoint(&mut self) -> Exec {
        if !self.breakpoints.code || self.eflags & eflags::RF != 0 {
            return Ok(());
        }
        let lin = self.seg[CS].base.wrapping_add(self.eip);
        let mut bits = 0;
        for (n, rw, _) in self.armed() {
            if rw == EXECUTE && self.dr[n] == lin {
                bits |= 1 << n;
            }
        }
        if bits == 0 {
            return Ok(());
        }
        self.dr[6] |= bits;
        Err(Fault::db_fault())
    }

    /// The debug trap that waits, if any: its bits go to DR6. The run loop calls this at boundaries outside the
    /// shadow of MOV SS, having added [`dr6::BS`] if TF was set when the instruction began.
    #[inline]
    pub(crate) fn take_debug_trap(&mut self) -> Option<Fault> {
        if self.pending_debug == 0 {
            return None;
        }
        self.dr[6] |= std::mem::take(&mut self.pending_debug);
        Some(Fault::db_trap())
    }

    /// MOV from DRn. `n` is 0-7.
    pub(crate) fn read_dr(&mut self, n: u8) -> Result<u32, Fault> {
        self.debug_access(n)?;
        Ok(match n {
            0..=3 => self.dr[usize::from(n)],
            4 | 6 => self.dr[6],
            _ => self.dr[7],
        })
    }

    /// MOV to DRn.
    pub(crate) fn write_dr(&mut self, n: u8, v: u32) -> Exec {
        self.debug_access(n)?;
        match n {
            0..=3 => self.dr[usize::from(n)] = v,
            4 | 6 => self.dr[6] = v & dr6::WRITABLE | dr6::FIXED,
            _ => self.dr[7] = v & dr7::WRITABLE | dr7::FIXED,
        }
        if n != 4 && n != 6 {
            self.breakpoints_changed();
        }
        Ok(())
    }

    fn debug_access(&mut self, n: u8) -> Exec {
        if self.cr4 & cr4::DE != 0 && matches!(n, 4 | 5) {
            return Err(Fault::ud());
        }
        if self.cpl != 0 {
            return Err(Fault::gp(0));
        }
        if self.dr[7] & dr7::GD != 0 {
            self.dr[6] |= dr6::BD;
            return Err(Fault::db_fault());
        }
        Ok(())
    }

    /// After a change of DR0-DR3, DR7 or CR4.DE.
    pub(crate) fn breakpoints_changed(&mut self) {
        let mut b = Breakpoints::default();
        for (_, rw, _) in self.armed() {
            match rw {
                EXECUTE => b.code = true,
                IO => b.io |= self.cr4 & cr4::DE != 0,
                _ => b.data = true,
            }
        }
        if b.data || self.breakpoints.data {
            // Pages with breakpoints must leave the TLB, pages without may enter again.
            self.tlb.flush_all();
        }
        self.breakpoints = b;
        self.view_changed();
        self.end_block = true;
    }
}
