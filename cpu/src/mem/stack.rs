//! PUSH and POP: by SS.B, not by operand or address size. A fault leaves ESP as it was.

use hv_vcpu::GuestIo;

use crate::cpu::{Cpu, ESP, SS};
use crate::fault::{Exec, Fault};

impl Cpu {
    /// The stack pointer as an offset into SS.
    #[inline(always)]
    pub(crate) fn sp(&self) -> u32 {
        if self.seg[SS].big() { self.gpr[ESP] } else { self.gpr[ESP] & 0xffff }
    }

    /// Sets ESP or SP; with a 16-bit stack bits 31:16 stay.
    #[inline(always)]
    pub(crate) fn set_sp(&mut self, v: u32) {
        let mask = self.sp_mask();
        self.gpr[ESP] = self.gpr[ESP] & !mask | v & mask;
    }

    #[inline(always)]
    pub(crate) fn sp_mask(&self) -> u32 {
        if self.seg[SS].big() { u32::MAX } else { 0xffff }
    }

    #[inline(always)]
    pub(crate) fn push16(&mut self, io: &mut dyn GuestIo, v: u16) -> Exec {
        let sp = self.gpr[ESP].wrapping_sub(2);
        self.write16(io, SS, sp & self.sp_mask(), v)?;
        self.set_sp(sp);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn push32(&mut self, io: &mut dyn GuestIo, v: u32) -> Exec {
        let sp = self.gpr[ESP].wrapping_sub(4);
        self.write32(io, SS, sp & self.sp_mask(), v)?;
        self.set_sp(sp);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn pop16(&mut self, io: &mut dyn GuestIo) -> Result<u16, Fault> {
        let v = self.read16(io, SS, self.sp())?;
        self.set_sp(self.gpr[ESP].wrapping_add(2));
        Ok(v)
    }

    #[inline(always)]
    pub(crate) fn pop32(&mut self, io: &mut dyn GuestIo) -> Result<u32, Fault> {
        let v = self.read32(io, SS, self.sp())?;
        self.set_sp(self.gpr[ESP].wrapping_add(4));
        Ok(v)
    }
}
