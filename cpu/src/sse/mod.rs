//! SSE and SSE2.
//!
//! Register and memory forms share a handler. Floating point goes through `softfloat` except where the host's own
//! arithmetic must give the same bits and flags (`float.rs`). An unmasked exception leaves the destination as it
//! was, sets the flags and raises #XM, or #UD without CR4.OSXMMEXCPT. SDM vol. 1, chapters 10 and 11.
//!
//! - `packed.rs`: integer operations, shared with MMX; `integer.rs`: their XMM handlers
//! - `mov.rs`: moves, shuffles, masks, MXCSR, cache control
//! - `float.rs`: arithmetic, comparison, RCP and RSQRT; `convert.rs`: conversions
//!
//! Not emulated: caches and write combining, so MOVNT is a store, PREFETCH and the fences do nothing, and CLFLUSH
//! only checks its operand.

pub(crate) mod convert;
pub(crate) mod estimate;
pub(crate) mod float;
pub(crate) mod integer;
pub(crate) mod mov;
pub(crate) mod packed;

use hv_vcpu::GuestIo;

use crate::cpu::{Cpu, cr0, cr4};
use crate::fault::{Exec, Fault};
use crate::insn::Insn;
use crate::softfloat::{DE, Env, IE, OE, PE, UE, ZE};

/// #UD by EM or without OSFXSR, #NM by TS. SDM vol. 3, 13.1.
#[inline(always)]
pub(crate) fn enter(cpu: &Cpu) -> Exec {
    if cpu.cr0 & (cr0::EM | cr0::TS) == 0 && cpu.cr4 & cr4::OSFXSR != 0 {
        return Ok(());
    }
    refuse(cpu)
}

#[cold]
fn refuse(cpu: &Cpu) -> Exec {
    if cpu.cr0 & cr0::EM != 0 || cpu.cr4 & cr4::OSFXSR == 0 {
        return Err(Fault::ud());
    }
    Err(Fault::nm())
}

#[inline(always)]
fn xmm(cpu: &Cpu, i: u8) -> u128 {
    cpu.fpu.xmm[usize::from(i & 7)]
}

#[inline(always)]
fn set_xmm(cpu: &mut Cpu, i: u8, v: u128) {
    cpu.fpu.xmm[usize::from(i & 7)] = v;
}

/// xmm/m128, aligned.
#[inline(always)]
fn source(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Result<u128, Fault> {
    if insn.is_mem() {
        let off = insn.ea(cpu);
        return Ok(u128::from_le_bytes(cpu.read128_aligned(io, usize::from(insn.seg), off)?));
    }
    Ok(xmm(cpu, insn.rm))
}

/// xmm/m64: the low half.
#[inline(always)]
fn source64(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Result<u64, Fault> {
    if insn.is_mem() {
        let off = insn.ea(cpu);
        return cpu.read64(io, usize::from(insn.seg), off);
    }
    Ok(xmm(cpu, insn.rm) as u64)
}

/// xmm/m32: the lowest quarter.
#[inline(always)]
fn source32(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Result<u32, Fault> {
    if insn.is_mem() {
        let off = insn.ea(cpu);
        return cpu.read32(io, usize::from(insn.seg), off);
    }
    Ok(xmm(cpu, insn.rm) as u32)
}

const LOW64: u128 = u64::MAX as u128;
const LOW32: u128 = u32::MAX as u128;

#[inline(always)]
fn env(cpu: &Cpu) -> Env {
    Env::sse(cpu.fpu.mxcsr)
}

/// Merges what an instruction raised into MXCSR. `Err`: an unmasked exception, the destination must not change.
#[inline(always)]
fn commit(cpu: &mut Cpu, env: &Env) -> Exec {
    if env.unmasked() != 0 {
        return Err(unmasked(cpu, env));
    }
    cpu.fpu.mxcsr |= u32::from(env.flags & 0x3f);
    Ok(())
}

#[cold]
fn unmasked(cpu: &mut Cpu, env: &Env) -> Fault {
    let mut flags = env.flags & 0x3f;
    if env.unmasked() & (IE | DE | ZE) != 0 {
        // Found before computing, so nothing that computing would have raised.
        flags &= !(OE | UE | PE);
    }
    cpu.fpu.mxcsr |= u32::from(flags);
    if cpu.cr4 & cr4::OSXMMEXCPT != 0 { Fault::xm() } else { Fault::ud() }
}
