//! MMX, with what SSE and SSE2 added for its registers.
//!
//! MMi is the significand of the x87 register Ri. Every instruction but EMMS makes all tags valid and TOP zero;
//! a write also sets sign and exponent to ones. SDM vol. 1, 9.5; vol. 3, chapter 12.

use hv_vcpu::GuestIo;

use crate::cpu::{Cpu, EDI, cr0};
use crate::fault::{Exec, Fault};
use crate::fpu::{Fpu, sw};
use crate::insn::Insn;
use crate::softfloat::F80;
use crate::sse::packed::{Packed, Shift, shuffle_words, sign_mask};
use crate::x87::pending;

/// #UD by EM, #NM by TS, then a pending x87 exception.
#[inline(always)]
pub(crate) fn enter(cpu: &mut Cpu, io: &mut dyn GuestIo) -> Exec {
    if cpu.cr0 & (cr0::EM | cr0::TS) != 0 {
        return Err(if cpu.cr0 & cr0::EM != 0 { Fault::ud() } else { Fault::nm() });
    }
    if cpu.fpu.sw & sw::ES != 0 {
        return pending(cpu, io);
    }
    Ok(())
}

impl Fpu {
    #[inline(always)]
    pub(crate) fn mm(&self, i: u8) -> u64 {
        self.regs[usize::from(i & 7)].m
    }

    #[inline(always)]
    pub(crate) fn set_mm(&mut self, i: u8, v: u64) {
        self.regs[usize::from(i & 7)] = F80 { m: v, se: 0xffff };
    }

    /// From x87 to MMX.
    #[inline(always)]
    pub(crate) fn enter_mmx(&mut self) {
        self.top = 0;
        self.tags = 0xff;
    }
}

/// mm/m64.
#[inline(always)]
pub(crate) fn source(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Result<u64, Fault> {
    if insn.is_mem() {
        let off = insn.ea(cpu);
        return cpu.read64(io, usize::from(insn.seg), off);
    }
    Ok(cpu.fpu.mm(insn.rm))
}

/// r/m32.
#[inline(always)]
fn source32(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Result<u32, Fault> {
    if insn.is_mem() {
        let off = insn.ea(cpu);
        return cpu.read32(io, usize::from(insn.seg), off);
    }
    Ok(cpu.gpr[usize::from(insn.rm & 7)])
}

pub(crate) fn emms(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    enter(cpu, io)?;
    cpu.fpu.top = 0;
    cpu.fpu.tags = 0;
    Ok(())
}

/// op mm, mm/m64.
pub(crate) fn op<O: Packed>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let b = source(cpu, io, insn)?;
    let fpu = &mut cpu.fpu;
    fpu.enter_mmx();
    let v = O::apply(fpu.mm(insn.reg).to_le_bytes(), b.to_le_bytes());
    fpu.set_mm(insn.reg, u64::from_le_bytes(v));
    Ok(())
}

/// PUNPCKLBW and its kin read only 32 bits of memory.
pub(crate) fn unpack_low<O: Packed>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let b = if insn.is_mem() { u64::from(source32(cpu, io, insn)?) } else { cpu.fpu.mm(insn.rm) };
    let fpu = &mut cpu.fpu;
    fpu.enter_mmx();
    let v = O::apply(fpu.mm(insn.reg).to_le_bytes(), b.to_le_bytes());
    fpu.set_mm(insn.reg, u64::from_le_bytes(v));
    Ok(())
}

/// Shift by mm/m64.
pub(crate) fn shift<S: Shift>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let count = source(cpu, io, insn)?;
    let fpu = &mut cpu.fpu;
    fpu.enter_mmx();
    let v = S::apply(fpu.mm(insn.reg).to_le_bytes(), count);
    fpu.set_mm(insn.reg, u64::from_le_bytes(v));
    Ok(())
}

/// Shift by an immediate: groups 12 to 14.
pub(crate) fn shift_imm<S: Shift>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let fpu = &mut cpu.fpu;
    fpu.enter_mmx();
    let v = S::apply(fpu.mm(insn.rm).to_le_bytes(), u64::from(insn.imm & 0xff));
    fpu.set_mm(insn.rm, u64::from_le_bytes(v));
    Ok(())
}

/// MOVD mm, r/m32.
pub(crate) fn movd_load(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let v = source32(cpu, io, insn)?;
    cpu.fpu.enter_mmx();
    cpu.fpu.set_mm(insn.reg, u64::from(v));
    Ok(())
}

/// MOVD r/m32, mm.
pub(crate) fn movd_store(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let v = cpu.fpu.mm(insn.reg) as u32;
    // A store that faults leaves TOP at zero and the tags as they were: so do processors.
    cpu.fpu.top = 0;
    if insn.is_mem() {
        let off = insn.ea(cpu);
        cpu.write32(io, usize::from(insn.seg), off, v)?;
    } else {
        cpu.gpr[usize::from(insn.rm & 7)] = v;
    }
    cpu.fpu.enter_mmx();
    Ok(())
}

/// MOVQ mm, mm/m64.
pub(crate) fn movq_load(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let v = source(cpu, io, insn)?;
    cpu.fpu.enter_mmx();
    cpu.fpu.set_mm(insn.reg, v);
    Ok(())
}

/// MOVQ mm/m64, mm; MOVNTQ.
pub(crate) fn movq_store(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let v = cpu.fpu.mm(insn.reg);
    cpu.fpu.top = 0;
    if insn.is_mem() {
        let off = insn.ea(cpu);
        cpu.write64(io, usize::from(insn.seg), off, v)?;
    } else {
        cpu.fpu.set_mm(insn.rm, v);
    }
    cpu.fpu.enter_mmx();
    Ok(())
}

pub(crate) fn pshufw(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let v = source(cpu, io, insn)?;
    cpu.fpu.enter_mmx();
    cpu.fpu.set_mm(insn.reg, shuffle_words(v, insn.imm));
    Ok(())
}

/// PINSRW mm, r32/m16, imm8.
pub(crate) fn pinsrw(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let v = if insn.is_mem() {
        let off = insn.ea(cpu);
        cpu.read16(io, usize::from(insn.seg), off)?
    } else {
        cpu.gpr[usize::from(insn.rm & 7)] as u16
    };
    cpu.fpu.enter_mmx();
    let at = (insn.imm & 3) * 16;
    let old = cpu.fpu.mm(insn.reg) & !(0xffff << at);
    cpu.fpu.set_mm(insn.reg, old | u64::from(v) << at);
    Ok(())
}

/// PEXTRW r32, mm, imm8.
pub(crate) fn pextrw(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    cpu.fpu.enter_mmx();
    cpu.gpr[usize::from(insn.reg & 7)] = (cpu.fpu.mm(insn.rm) >> ((insn.imm & 3) * 16)) as u32 & 0xffff;
    Ok(())
}

pub(crate) fn pmovmskb(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    cpu.fpu.enter_mmx();
    cpu.gpr[usize::from(insn.reg & 7)] = sign_mask(&cpu.fpu.mm(insn.rm).to_le_bytes());
    Ok(())
}

pub(crate) fn maskmovq(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let (v, mask) = (cpu.fpu.mm(insn.reg), cpu.fpu.mm(insn.rm));
    cpu.fpu.enter_mmx();
    store_masked(cpu, io, insn, &v.to_le_bytes(), sign_mask(&mask.to_le_bytes()))
}

/// Stores the bytes that the mask selects at (E)DI of DS or its override. A mask of zero touches nothing: whether
/// it faults is left to the processor.
pub(crate) fn store_masked(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn, v: &[u8], mask: u32) -> Exec {
    let at = |cpu: &Cpu, i: usize| cpu.gpr[EDI].wrapping_add(i as u32) & insn.amask;
    let seg = usize::from(insn.seg);
    let chosen = (0..v.len()).filter(|i| mask >> i & 1 != 0);
    for i in chosen.clone() {
        let off = at(cpu, i);
        cpu.probe_write(io, seg, off, 1)?;
    }
    for i in chosen {
        let off = at(cpu, i);
        cpu.write8(io, seg, off, v[i])?;
    }
    Ok(())
}
