//! Control: FNINIT, FNCLEX, FLDCW, FNSTCW, FNSTSW, the environment, FNSAVE, FRSTOR, FXSAVE, FXRSTOR, FWAIT.
//!
//! Layouts of the environment: SDM vol. 1, figures 8-9 to 8-12. Reserved halves of the 32-bit forms are stored as
//! ones, as processors do.

use hv_vcpu::GuestIo;

use super::{enter, enter_no_wait, note, pending, settle};
use crate::cpu::{Cpu, Mode, cr0};
use crate::fault::{Exec, Fault};
use crate::fpu::{CW_FNINIT, CW_WRITABLE, FXSAVE_LEN, Fpu, MXCSR_MASK, sw};
use crate::insn::Insn;
use crate::mem::Access;
use crate::softfloat::F80;

pub(crate) fn fninit(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    enter_no_wait(cpu)?;
    cpu.fpu.init();
    settle(cpu, io);
    Ok(())
}

pub(crate) fn fnclex(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    enter_no_wait(cpu)?;
    cpu.fpu.sw &= !(sw::EXCEPTIONS | sw::SF | sw::ES | sw::B);
    settle(cpu, io);
    Ok(())
}

/// FNENI, FNDISI, FNSETPM of the 8087 and 287: no operation.
pub(crate) fn ignored(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    enter_no_wait(cpu)
}

pub(crate) fn fldcw(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let v = cpu.read16(io, usize::from(insn.seg), off)?;
    cpu.fpu.cw = v & CW_WRITABLE | 0x40;
    cpu.fpu.update_es();
    settle(cpu, io);
    Ok(())
}

pub(crate) fn fnstcw(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter_no_wait(cpu)?;
    let off = insn.ea(cpu);
    cpu.write16(io, usize::from(insn.seg), off, cpu.fpu.cw)
}

pub(crate) fn fnstsw(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter_no_wait(cpu)?;
    let off = insn.ea(cpu);
    cpu.write16(io, usize::from(insn.seg), off, cpu.fpu.status_word())
}

pub(crate) fn fnstsw_ax(cpu: &mut Cpu, _: &mut dyn GuestIo, _: &Insn) -> Exec {
    enter_no_wait(cpu)?;
    cpu.gpr[0] = cpu.gpr[0] & 0xffff_0000 | u32::from(cpu.fpu.status_word());
    Ok(())
}

/// WAIT: #NM needs both TS and MP. SDM vol. 3, 2.5.
pub(crate) fn fwait(cpu: &mut Cpu, io: &mut dyn GuestIo, _: &Insn) -> Exec {
    if cpu.cr0 & (cr0::MP | cr0::TS) == cr0::MP | cr0::TS {
        return Err(Fault::nm());
    }
    if cpu.fpu.sw & sw::ES != 0 {
        return pending(cpu, io);
    }
    Ok(())
}

impl Fpu {
    fn init(&mut self) {
        self.cw = CW_FNINIT;
        self.sw = 0;
        self.top = 0;
        self.tags = 0;
        (self.fop, self.fip, self.fcs, self.fdp, self.fds) = (0, 0, 0, 0, 0);
    }

    /// Two bits a register: 0 valid, 1 zero, 2 special, 3 empty.
    fn tag_word(&self) -> u16 {
        self.regs.iter().enumerate().fold(0, |tw, (i, r)| {
            let tag = if self.tags >> i & 1 == 0 {
                3
            } else if r.is_normal() {
                0
            } else if r.se & 0x7fff == 0 && r.m == 0 {
                1
            } else {
                2
            };
            tw | tag << (2 * i)
        })
    }

    fn set_tag_word(&mut self, tw: u16) {
        self.tags = (0..8).fold(0, |t, i| t | u8::from(tw >> (2 * i) & 3 != 3) << i);
    }
}

/// Which of the four layouts, by operand size and mode.
#[derive(Clone, Copy)]
struct Layout {
    wide: bool,
    protected: bool,
}

impl Layout {
    fn of(cpu: &Cpu, insn: &Insn) -> Self {
        Self { wide: insn.o32(), protected: cpu.mode == Mode::Protected }
    }

    const fn len(self) -> usize {
        if self.wide { 28 } else { 14 }
    }

    /// With alignment checking on. SDM vol. 3, table 6-7.
    const fn align(self) -> u32 {
        if self.wide { 4 } else { 2 }
    }

    /// The seven fields, before they are cut to their width.
    fn fields(self, f: &Fpu) -> [u32; 7] {
        let reserved = 0xffff_0000;
        let head = [u32::from(f.cw), u32::from(f.status_word()), u32::from(f.tag_word())];
        let fop = u32::from(f.fop & 0x7ff);
        let tail = if self.protected {
            [f.fip, u32::from(f.fcs) | fop << 16, f.fdp, u32::from(f.fds) | reserved]
        } else {
            // Linear addresses.
            let ip = (u32::from(f.fcs) << 4).wrapping_add(f.fip);
            let dp = (u32::from(f.fds) << 4).wrapping_add(f.fdp);
            if self.wide {
                [
                    ip & 0xffff | reserved,
                    (ip >> 16) << 12 & 0x0fff_f000 | fop,
                    dp & 0xffff | reserved,
                    (dp >> 16) << 12 & 0x0fff_f000,
                ]
            } else {
                [ip, (ip >> 16 & 15) << 12 | fop, dp, (dp >> 16 & 15) << 12]
            }
        };
        [head[0] | reserved, head[1] | reserved, head[2] | reserved, tail[0], tail[1], tail[2], tail[3]]
    }

    fn write(self, f: &Fpu, out: &mut [u8]) {
        let width = if self.wide { 4 } else { 2 };
        for (slot, v) in out.chunks_exact_mut(width).zip(self.fields(f)) {
            slot.copy_from_slice(&v.to_le_bytes()[..width]);
        }
    }

    fn read(self, f: &mut Fpu, image: &[u8]) {
        let width = if self.wide { 4 } else { 2 };
        let mut v = [0u32; 7];
        for (v, slot) in v.iter_mut().zip(image.chunks_exact(width)) {
            *v = slot.iter().rev().fold(0, |v, &b| v << 8 | u32::from(b));
        }
        f.cw = v[0] as u16 & CW_WRITABLE | 0x40;
        f.set_status_word(v[1] as u16);
        f.set_tag_word(v[2] as u16);
        if self.protected {
            f.fip = v[3];
            f.fcs = v[4] as u16;
            f.fdp = v[5];
            f.fds = v[6] as u16;
            // The 16-bit layout has no place for the opcode.
            f.fop = if self.wide { (v[4] >> 16) as u16 & 0x7ff } else { 0 };
        } else {
            f.fip = v[3] & 0xffff | v[4] >> 12 << 16;
            f.fop = v[4] as u16 & 0x7ff;
            f.fdp = v[5] & 0xffff | v[6] >> 12 << 16;
            (f.fcs, f.fds) = (0, 0);
        }
        f.update_es();
    }
}

/// The environment, after which all exceptions are masked.
pub(crate) fn fnstenv(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter_no_wait(cpu)?;
    let off = insn.ea(cpu);
    let layout = Layout::of(cpu, insn);
    cpu.align_at(usize::from(insn.seg), off, layout.align(), layout.len() as u32, Access::Write)?;
    let mut image = [0; 28];
    layout.write(&cpu.fpu, &mut image[..layout.len()]);
    cpu.write_bytes(io, usize::from(insn.seg), off, &image[..layout.len()])?;
    cpu.fpu.cw |= sw::EXCEPTIONS;
    cpu.fpu.update_es();
    settle(cpu, io);
    Ok(())
}

pub(crate) fn fldenv(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let layout = Layout::of(cpu, insn);
    cpu.align_at(usize::from(insn.seg), off, layout.align(), layout.len() as u32, Access::Read)?;
    let mut image = [0; 28];
    cpu.read_bytes(io, usize::from(insn.seg), off, &mut image[..layout.len()])?;
    layout.read(&mut cpu.fpu, &image[..layout.len()]);
    settle(cpu, io);
    Ok(())
}

/// Environment and registers in stack order, then FNINIT.
pub(crate) fn fnsave(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter_no_wait(cpu)?;
    let off = insn.ea(cpu);
    let layout = Layout::of(cpu, insn);
    let head = layout.len();
    cpu.align_at(usize::from(insn.seg), off, layout.align(), head as u32 + 80, Access::Write)?;
    let mut image = [0; 108];
    layout.write(&cpu.fpu, &mut image[..head]);
    for i in 0..8 {
        let at = head + 10 * usize::from(i);
        image[at..at + 10].copy_from_slice(&cpu.fpu.st(i).to_bytes());
    }
    cpu.write_bytes(io, usize::from(insn.seg), off, &image[..head + 80])?;
    cpu.fpu.init();
    settle(cpu, io);
    Ok(())
}

pub(crate) fn frstor(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    let off = insn.ea(cpu);
    let layout = Layout::of(cpu, insn);
    let head = layout.len();
    cpu.align_at(usize::from(insn.seg), off, layout.align(), head as u32 + 80, Access::Read)?;
    let mut image = [0; 108];
    cpu.read_bytes(io, usize::from(insn.seg), off, &mut image[..head + 80])?;
    layout.read(&mut cpu.fpu, &image[..head]);
    for i in 0..8u8 {
        let at = head + 10 * usize::from(i);
        let mut b = [0; 10];
        b.copy_from_slice(&image[at..at + 10]);
        let p = cpu.fpu.phys(i);
        cpu.fpu.regs[p] = F80::from_bytes(b);
    }
    settle(cpu, io);
    Ok(())
}

/// 16-byte alignment of a memory operand: #GP(0), of any segment, once its first byte is inside.
fn aligned(cpu: &Cpu, insn: &Insn, off: u32, access: Access) -> Exec {
    let seg = usize::from(insn.seg);
    let lin = cpu.segment(seg, off, 1, access)?;
    if lin & 15 != 0 { Err(Fault::gp(0)) } else { Ok(()) }
}

/// What FXSAVE writes: the rest of the 512 bytes is reserved and stays as it is.
const FXSAVE_WRITTEN: usize = 288;

pub(crate) fn fxsave(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter_no_wait(cpu)?;
    let off = insn.ea(cpu);
    aligned(cpu, insn, off, Access::Write)?;
    cpu.probe_write(io, usize::from(insn.seg), off, FXSAVE_LEN as u32)?;
    let mut image = [0; FXSAVE_LEN];
    cpu.fpu.to_fxsave(&mut image);
    cpu.write_bytes(io, usize::from(insn.seg), off, &image[..FXSAVE_WRITTEN])
}

pub(crate) fn fxrstor(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter_no_wait(cpu)?;
    let off = insn.ea(cpu);
    aligned(cpu, insn, off, Access::Read)?;
    let mut image = [0; FXSAVE_LEN];
    cpu.read_bytes(io, usize::from(insn.seg), off, &mut image)?;
    let mxcsr = u32::from_le_bytes([image[24], image[25], image[26], image[27]]);
    if mxcsr & !MXCSR_MASK != 0 {
        return Err(Fault::gp(0));
    }
    cpu.fpu.load_fxsave(&image);
    settle(cpu, io);
    Ok(())
}

/// Not a control instruction for FIP, but it touches nothing else.
pub(crate) fn fnop(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu, io)?;
    note(cpu, insn);
    Ok(())
}
