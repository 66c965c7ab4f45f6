//! System instructions: control, debug and descriptor table registers, flags with privilege, MSRs, HLT, far
//! transfers as the decoder names them.
//!
//! SDM vol. 2 for each; vol. 3, 2.5 for the control registers. Handlers find EIP at the next instruction.

use hv_vcpu::{DescTable, GuestIo, Width};

use crate::cpu::{Cpu, EAX, EBX, ECX, EDX, LDTR, Mode, SegReg, TR, cr0, cr4, eflags};
use crate::fault::{Exec, Fault};
use crate::insn::Insn;
use crate::interrupt::Source;
use crate::mem::Priv;
use crate::seg::is_null;

/// Bits of CR0 that exist; others stay 0 whatever is written.
pub(crate) const CR0_VALID: u32 = cr0::PE
    | cr0::MP
    | cr0::EM
    | cr0::TS
    | cr0::ET
    | cr0::NE
    | cr0::WP
    | cr0::AM
    | cr0::NW
    | cr0::CD
    | cr0::PG;

pub(crate) const EFER_NXE: u64 = 1 << 11;

/// Bits of CR4 that may be set: what CPUID shows. VME, PVI and MCE are reserved here.
pub(crate) const fn cr4_valid() -> u32 {
    cr4::TSD | cr4::DE | cr4::PSE | cr4::PAE | cr4::PGE | cr4::PCE | cr4::OSFXSR | cr4::OSXMMEXCPT
}

// Operands.

fn rm16(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Result<u16, Fault> {
    if i.is_mem() {
        cpu.read16(io, usize::from(i.seg), i.ea(cpu))
    } else {
        Ok(cpu.gpr[usize::from(i.rm & 7)] as u16)
    }
}

/// 16 bits to memory; to a register all of the operand size.
fn store_word(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn, v: u32) -> Exec {
    if i.is_mem() {
        return cpu.write16(io, usize::from(i.seg), i.ea(cpu), v as u16);
    }
    put_reg(cpu, usize::from(i.rm & 7), i.o32(), v);
    Ok(())
}

fn put_reg(cpu: &mut Cpu, reg: usize, wide: bool, v: u32) {
    let r = &mut cpu.gpr[reg];
    *r = if wide { v } else { *r & 0xffff_0000 | v & 0xffff };
}

fn far_pointer(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Result<(u16, u32), Fault> {
    let (seg, ea) = (usize::from(i.seg), i.ea(cpu));
    let (offset, size) =
        if i.o32() { (cpu.read32(io, seg, ea)?, 4) } else { (u32::from(cpu.read16(io, seg, ea)?), 2) };
    let selector = cpu.read16(io, seg, ea.wrapping_add(size) & i.amask)?;
    Ok((selector, offset))
}

fn privileged(cpu: &Cpu) -> Exec {
    if cpu.cpl == 0 { Ok(()) } else { Err(Fault::gp(0)) }
}

fn memory_only(i: &Insn) -> Exec {
    if i.is_mem() { Ok(()) } else { Err(Fault::ud()) }
}

fn protected_only(cpu: &Cpu) -> Exec {
    if cpu.protected() { Ok(()) } else { Err(Fault::ud()) }
}

fn boundary(cpu: &mut Cpu) -> Exec {
    cpu.end_block = true;
    Ok(())
}

// 0F 00: local descriptor table, task register, VERR, VERW.

pub(crate) fn sldt(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    protected_only(cpu)?;
    store_word(cpu, io, i, u32::from(cpu.seg[LDTR].selector))
}

pub(crate) fn str(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    protected_only(cpu)?;
    store_word(cpu, io, i, u32::from(cpu.seg[TR].selector))
}

pub(crate) fn lldt(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    protected_only(cpu)?;
    privileged(cpu)?;
    let selector = rm16(cpu, io, i)?;
    cpu.seg[LDTR] = if is_null(selector) {
        SegReg::null(selector)
    } else {
        cpu.check_ldt(io, selector, Fault::gp, Fault::np)?
    };
    Ok(())
}

pub(crate) fn ltr(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    protected_only(cpu)?;
    privileged(cpu)?;
    let selector = rm16(cpu, io, i)?;
    let d = cpu.available_tss(io, selector, Fault::gp)?;
    cpu.lin_write32(io, d.at.wrapping_add(4), d.hi | 0x200, Priv::Supervisor)?;
    cpu.seg[TR] = d.load(selector);
    cpu.seg[TR].attr |= 2;
    Ok(())
}

pub(crate) fn verr(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    verify(cpu, io, i, false)
}

pub(crate) fn verw(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    verify(cpu, io, i, true)
}

fn verify(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn, write: bool) -> Exec {
    protected_only(cpu)?;
    let selector = rm16(cpu, io, i)?;
    let ok = cpu.verify(io, selector, write)?;
    cpu.flags.set_zf(ok);
    Ok(())
}

pub(crate) fn arpl(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    protected_only(cpu)?;
    let src = cpu.gpr[usize::from(i.reg & 7)] as u16;
    // Memory is only written when the RPL goes up: a read-only operand may do.
    let dst = rm16(cpu, io, i)?;
    let raise = dst & 3 < src & 3;
    if raise {
        let v = dst & !3 | src & 3;
        if i.is_mem() {
            cpu.write16(io, usize::from(i.seg), i.ea(cpu), v)?;
        } else {
            put_reg(cpu, usize::from(i.rm & 7), false, u32::from(v));
        }
    }
    cpu.flags.set_zf(raise);
    Ok(())
}

pub(crate) fn lar(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    protected_only(cpu)?;
    let selector = rm16(cpu, io, i)?;
    let v = cpu.lar(io, selector)?;
    if let Some(v) = v {
        put_reg(cpu, usize::from(i.reg & 7), i.o32(), v);
    }
    cpu.flags.set_zf(v.is_some());
    Ok(())
}

pub(crate) fn lsl(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    protected_only(cpu)?;
    let selector = rm16(cpu, io, i)?;
    let v = cpu.lsl(io, selector)?;
    if let Some(v) = v {
        put_reg(cpu, usize::from(i.reg & 7), i.o32(), v);
    }
    cpu.flags.set_zf(v.is_some());
    Ok(())
}

// 0F 01: descriptor tables, machine status word, INVLPG.

fn store_table(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn, t: DescTable) -> Exec {
    memory_only(i)?;
    let mut b = [0; 6];
    b[..2].copy_from_slice(&t.limit.to_le_bytes());
    b[2..].copy_from_slice(&t.base.to_le_bytes());
    cpu.write_bytes(io, usize::from(i.seg), i.ea(cpu), &b)
}

fn load_table(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Result<DescTable, Fault> {
    memory_only(i)?;
    privileged(cpu)?;
    let (seg, ea) = (usize::from(i.seg), i.ea(cpu));
    let limit = cpu.read16(io, seg, ea)?;
    let base = cpu.read32(io, seg, ea.wrapping_add(2) & i.amask)?;
    Ok(DescTable { base: if i.o32() { base } else { base & 0xff_ffff }, limit })
}

pub(crate) fn sgdt(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    store_table(cpu, io, i, cpu.gdtr)
}

pub(crate) fn sidt(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    store_table(cpu, io, i, cpu.idtr)
}

pub(crate) fn lgdt(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.gdtr = load_table(cpu, io, i)?;
    cpu.seen.clear();
    Ok(())
}

pub(crate) fn lidt(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.idtr = load_table(cpu, io, i)?;
    Ok(())
}

pub(crate) fn smsw(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    store_word(cpu, io, i, cpu.cr0)
}

/// Cannot clear PE.
pub(crate) fn lmsw(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    privileged(cpu)?;
    let v = u32::from(rm16(cpu, io, i)?);
    let mask = cr0::MP | cr0::EM | cr0::TS | v & cr0::PE;
    cpu.set_cr0(io, cpu.cr0 & !mask | v & mask)
}

pub(crate) fn invlpg(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    memory_only(i)?;
    privileged(cpu)?;
    let lin = cpu.seg[usize::from(i.seg & 7)].base.wrapping_add(i.ea(cpu));
    cpu.tlb.flush_page(lin);
    cpu.views.flush_page(lin >> 12);
    boundary(cpu)
}

pub(crate) fn clts(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    privileged(cpu)?;
    cpu.cr0 &= !cr0::TS;
    boundary(cpu)
}

/// INVD and WBINVD: there is no cache to write back or lose.
pub(crate) fn invalidate_caches(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    privileged(cpu)
}

// 0F 20-23: control and debug registers. `reg` is the control register, `rm` the general one.

pub(crate) fn mov_from_cr(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = match i.reg {
        0 => cpu.cr0,
        2 => cpu.cr2,
        3 => cpu.cr3,
        4 => cpu.cr4,
        _ => return Err(Fault::ud()),
    };
    privileged(cpu)?;
    cpu.gpr[usize::from(i.rm & 7)] = v;
    Ok(())
}

pub(crate) fn mov_to_cr(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    if !matches!(i.reg, 0 | 2 | 3 | 4) {
        return Err(Fault::ud());
    }
    privileged(cpu)?;
    let v = cpu.gpr[usize::from(i.rm & 7)];
    match i.reg {
        0 => cpu.set_cr0(io, v),
        2 => {
            cpu.cr2 = v;
            Ok(())
        }
        3 => cpu.set_cr3(io, v),
        _ => cpu.set_cr4(io, v),
    }
}

pub(crate) fn mov_from_dr(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.gpr[usize::from(i.rm & 7)] = cpu.read_dr(i.reg)?;
    Ok(())
}

pub(crate) fn mov_to_dr(cpu: &mut Cpu, _: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.write_dr(i.reg, cpu.gpr[usize::from(i.rm & 7)])
}

impl Cpu {
    fn set_cr0(&mut self, io: &mut dyn GuestIo, v: u32) -> Exec {
        let v = v & CR0_VALID | cr0::ET;
        if v & cr0::PG != 0 && v & cr0::PE == 0 || v & cr0::NW != 0 && v & cr0::CD == 0 {
            return Err(Fault::gp(0));
        }
        let changed = self.cr0 ^ v;
        if v & cr0::PG != 0 && self.cr4 & cr4::PAE != 0 && changed & (cr0::PG | cr0::CD | cr0::NW) != 0 {
            self.pdpte = self.read_pdptes(io, self.cr3)?;
        }
        self.cr0 = v;
        if changed & (cr0::PG | cr0::WP | cr0::PE) != 0 {
            self.tlb.flush_all();
            self.views.flush_all();
            self.view_changed();
        }
        if changed & (cr0::PE | cr0::AM) != 0 {
            self.mode_changed();
        }
        boundary(self)
    }

    fn set_cr3(&mut self, io: &mut dyn GuestIo, v: u32) -> Exec {
        if self.paging() && self.cr4 & cr4::PAE != 0 {
            self.pdpte = self.read_pdptes(io, v)?;
        }
        if v == self.cr3 && self.paging() && self.cr4 & cr4::PAE == 0 {
            self.tlb.flush_changed(self.ram.arena());
            return boundary(self);
        }
        self.cr3 = v;
        self.tlb.flush_non_global();
        boundary(self)
    }

    fn set_cr4(&mut self, io: &mut dyn GuestIo, v: u32) -> Exec {
        if v & !cr4_valid() != 0 {
            return Err(Fault::gp(0));
        }
        let changed = self.cr4 ^ v;
        let paging = cr4::PAE | cr4::PGE | cr4::PSE;
        if self.paging() && v & cr4::PAE != 0 && changed & paging != 0 {
            self.pdpte = self.read_pdptes(io, self.cr3)?;
        }
        self.cr4 = v;
        if changed & paging != 0 {
            self.tlb.flush_all();
            self.views.flush_all();
            self.view_changed();
        }
        if changed & cr4::DE != 0 {
            self.breakpoints_changed();
        }
        boundary(self)
    }

    /// May this program make this access to `port`? SDM vol. 1, 13.5.
    #[inline]
    pub(crate) fn io_allowed(&mut self, io: &mut dyn GuestIo, port: u16, width: Width) -> Exec {
        match self.mode {
            Mode::Real => Ok(()),
            Mode::Protected if self.cpl <= self.iopl() => Ok(()),
            Mode::Protected | Mode::V86 => self.io_bitmap(io, port, width.bytes()),
        }
    }

    fn io_bitmap(&mut self, io: &mut dyn GuestIo, port: u16, len: u32) -> Exec {
        let tss = self.seg[TR];
        // A 286 TSS has no bitmap.
        if tss.attr & 8 == 0 || tss.limit < 0x67 {
            return Err(Fault::gp(0));
        }
        let base = u32::from(self.lin_read16(io, tss.base.wrapping_add(0x66), Priv::Supervisor)?);
        let at = base + u32::from(port >> 3);
        // Two bytes are read whatever the width.
        if at + 1 > tss.limit {
            return Err(Fault::gp(0));
        }
        let bits = u32::from(self.lin_read16(io, tss.base.wrapping_add(at), Priv::Supervisor)?);
        let mask = ((1 << len) - 1) << (port & 7);
        if bits & mask == 0 { Ok(()) } else { Err(Fault::gp(0)) }
    }
}

// Flags with privilege.

/// #GP(0) in V86 mode with IOPL below 3 (CR4.VME is not there).
fn v86_iopl(cpu: &Cpu) -> Exec {
    if cpu.v86() && cpu.iopl() < 3 { Err(Fault::gp(0)) } else { Ok(()) }
}

pub(crate) fn pushf(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    v86_iopl(cpu)?;
    let v = cpu.eflags() & !(eflags::VM | eflags::RF);
    if i.o32() { cpu.push32(io, v) } else { cpu.push16(io, v as u16) }
}

pub(crate) fn popf(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    v86_iopl(cpu)?;
    let v = if i.o32() { cpu.pop32(io)? } else { u32::from(cpu.pop16(io)?) };
    let mut mask = eflags::ARITH | eflags::TF | eflags::DF | eflags::NT;
    if cpu.cpl == 0 {
        mask |= eflags::IOPL;
    }
    if cpu.cpl <= cpu.iopl() {
        mask |= eflags::IF;
    }
    if i.o32() {
        mask |= eflags::AC | eflags::ID;
    }
    cpu.merge_flags(v, mask);
    boundary(cpu)
}

pub(crate) fn cli(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    may_touch_if(cpu)?;
    cpu.eflags &= !eflags::IF;
    Ok(())
}

/// INTR is held off until after the next instruction, if IF was clear.
pub(crate) fn sti(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    may_touch_if(cpu)?;
    if cpu.eflags & eflags::IF == 0 {
        cpu.eflags |= eflags::IF;
        cpu.sti_shadow = true;
    }
    boundary(cpu)
}

/// CPL is 0 in real mode and 3 in V86 mode, so one comparison serves all.
fn may_touch_if(cpu: &Cpu) -> Exec {
    if cpu.cpl <= cpu.iopl() || cpu.mode == Mode::Real { Ok(()) } else { Err(Fault::gp(0)) }
}

pub(crate) fn hlt(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    privileged(cpu)?;
    cpu.halted = true;
    boundary(cpu)
}

// CPUID, time-stamp counter, MSRs.

pub(crate) fn cpuid(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    let leaf = cpu.gpr[EAX];
    let l = cpu.cpuid.get(leaf);
    if leaf == 1 {
        // Reports the revision of the loaded microcode update: none.
        cpu.msrs.ucode_rev = 0;
    }
    cpu.gpr[EAX] = l.eax;
    cpu.gpr[EBX] = l.ebx;
    cpu.gpr[ECX] = l.ecx;
    cpu.gpr[EDX] = l.edx;
    boundary(cpu)
}

fn put_edx_eax(cpu: &mut Cpu, v: u64) {
    cpu.gpr[EAX] = v as u32;
    cpu.gpr[EDX] = (v >> 32) as u32;
}

pub(crate) fn rdtsc(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    if cpu.cr4 & cr4::TSD != 0 && cpu.cpl != 0 {
        return Err(Fault::gp(0));
    }
    let v = cpu.tsc(io);
    put_edx_eax(cpu, v);
    Ok(())
}

/// The 18 counters of a Pentium 4, none of which ever counts. Bit 31 asks for a fast 32-bit read.
pub(crate) fn rdpmc(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    let known = cpu.gpr[ECX] & 0x7fff_ffff < 18;
    if cpu.cr4 & cr4::PCE == 0 && cpu.cpl != 0 || !known {
        return Err(Fault::gp(0));
    }
    put_edx_eax(cpu, 0);
    Ok(())
}

pub(crate) fn rdmsr(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    privileged(cpu)?;
    let v = cpu.read_msr(io, cpu.gpr[ECX])?;
    put_edx_eax(cpu, v);
    Ok(())
}

pub(crate) fn wrmsr(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    privileged(cpu)?;
    let v = u64::from(cpu.gpr[EAX]) | u64::from(cpu.gpr[EDX]) << 32;
    cpu.write_msr(io, cpu.gpr[ECX], v)
}

// Far transfers. The decoder puts the offset of an immediate far pointer in `imm`, its selector in `disp`.

pub(crate) fn jmp_far_imm(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.end_block = true;
    cpu.far_jump(io, i.disp as u16, i.imm)
}

pub(crate) fn jmp_far_mem(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    memory_only(i)?;
    let (selector, offset) = far_pointer(cpu, io, i)?;
    cpu.end_block = true;
    cpu.far_jump(io, selector, offset)
}

pub(crate) fn call_far_imm(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.end_block = true;
    cpu.far_call(io, i.disp as u16, i.imm, i.o32())
}

pub(crate) fn call_far_mem(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    memory_only(i)?;
    let (selector, offset) = far_pointer(cpu, io, i)?;
    cpu.end_block = true;
    cpu.far_call(io, selector, offset, i.o32())
}

/// RET far, with or without an immediate (`imm` is 0 without).
pub(crate) fn ret_far(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.end_block = true;
    cpu.far_ret(io, i.o32(), i.imm as u16)
}

pub(crate) fn iret(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.end_block = true;
    cpu.iret(io, i.o32())
}

pub(crate) fn int(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.end_block = true;
    cpu.software_int(io, i.imm as u8, Source::Int)
}

pub(crate) fn int3(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    cpu.end_block = true;
    cpu.software_int(io, Fault::BP, Source::Int3)
}

pub(crate) fn into(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    if !cpu.flags.of() {
        return Ok(());
    }
    cpu.end_block = true;
    cpu.software_int(io, Fault::OF, Source::Int3)
}

pub(crate) fn int1(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    cpu.end_block = true;
    cpu.software_int(io, Fault::DB, Source::Int1)
}

pub(crate) fn sysenter(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    cpu.end_block = true;
    cpu.sysenter()
}

pub(crate) fn sysexit(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    cpu.end_block = true;
    cpu.sysexit()
}
