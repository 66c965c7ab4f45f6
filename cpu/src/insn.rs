//! A decoded instruction: everything its handler needs, in 32 bytes.

use hv_vcpu::GuestIo;

use crate::cpu::Cpu;
use crate::fault::Exec;

/// Executes one instruction. `cpu.eip` is the address of the next one already.
///
/// `Err`: the run loop puts EIP back to the instruction (unless the fault is a trap) and delivers it.
pub(crate) type Handler = fn(&mut Cpu, &mut dyn GuestIo, &Insn) -> Exec;

/// `Insn::rm` and `Insn::index` of an address without base or index: `Cpu::gpr[ZERO]` is always 0.
pub(crate) const ZERO: u8 = 8;

#[derive(Clone, Copy)]
pub(crate) struct Insn {
    pub(crate) exec: Handler,
    /// Immediate operand, sign-extended where the instruction says so; branch displacement; the absolute offset of
    /// MOV AL/eAX, moffs is in `disp`; offset of a far pointer.
    pub(crate) imm: u32,
    /// Displacement of the memory operand. Without a memory operand: the second immediate (selector of a far
    /// pointer, nesting level of ENTER).
    pub(crate) disp: u32,
    /// FFFFh or FFFFFFFFh: address size.
    pub(crate) amask: u32,
    /// Register form: the register's number. Memory form: the base register or [`ZERO`].
    pub(crate) rm: u8,
    /// Index register or [`ZERO`].
    pub(crate) index: u8,
    /// Shift count for the index: 0 to 3.
    pub(crate) scale: u8,
    /// Segment of the memory operand (default or override); of string instructions' source.
    pub(crate) seg: u8,
    /// The reg field of ModRM (a register or the opcode's extension); for opcodes with a register in their low
    /// three bits, that register is in `rm`.
    pub(crate) reg: u8,
    /// Length in bytes, with prefixes.
    pub(crate) len: u8,
    /// The ModRM byte itself, 0 without one.
    pub(crate) modrm: u8,
    /// `Insn::O32` and so on.
    pub(crate) flags: u8,
    /// Opcode: 00xxh one-byte, 0Fxxh two-byte.
    pub(crate) opcode: u16,
    /// Distance from the start of the block to the end of this instruction.
    pub(crate) end: u16,
}

impl Insn {
    /// Operand size is 32 bits.
    pub(crate) const O32: u8 = 1 << 0;
    /// Address size is 32 bits.
    pub(crate) const A32: u8 = 1 << 1;
    /// The ModRM operand is in memory.
    pub(crate) const MEM: u8 = 1 << 2;
    /// Prefix F3 (REP, REPE) stood last of F2 and F3.
    pub(crate) const REP: u8 = 1 << 3;
    /// Prefix F2 (REPNE) stood last of F2 and F3.
    pub(crate) const REPNE: u8 = 1 << 4;
    pub(crate) const LOCK: u8 = 1 << 5;
    /// Prefix 66 was there (mandatory prefix of SSE2).
    pub(crate) const P66: u8 = 1 << 6;
    /// A segment override was there.
    pub(crate) const OVERRIDE: u8 = 1 << 7;

    #[inline(always)]
    pub(crate) fn o32(&self) -> bool {
        self.flags & Self::O32 != 0
    }

    #[inline(always)]
    pub(crate) fn a32(&self) -> bool {
        self.flags & Self::A32 != 0
    }

    #[inline(always)]
    pub(crate) fn is_mem(&self) -> bool {
        self.flags & Self::MEM != 0
    }

    /// Offset of the memory operand in segment `self.seg`, cut to the address size.
    #[inline(always)]
    pub(crate) fn ea(&self, cpu: &Cpu) -> u32 {
        let base = cpu.gpr[usize::from(self.rm & 15)];
        let index = cpu.gpr[usize::from(self.index & 15)];
        base.wrapping_add(index << (self.scale & 3)).wrapping_add(self.disp) & self.amask
    }

    /// EIP of this instruction's first byte, while its handler runs and has not changed EIP.
    #[inline(always)]
    pub(crate) fn start(&self, cpu: &Cpu) -> u32 {
        cpu.eip.wrapping_sub(u32::from(self.len))
    }

    /// Low 11 bits of the opcode of an x87 instruction (FOP). SDM vol. 1, 8.1.9.
    pub(crate) fn fop(&self) -> u16 {
        (self.opcode & 7) << 8 | u16::from(self.modrm)
    }
}

const _: () = assert!(size_of::<Insn>() == 32);
