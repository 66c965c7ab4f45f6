//! Where translated code finds what it uses, as displacements from RBP ([`Hot`], within the engine) and within table entries.

use std::mem::offset_of;

use super::trap::Trapped;
use super::{Hot, Jump};
use crate::cpu::{Cpu, SegReg};
use crate::fpu::Fpu;
use crate::mem::Slot;
use crate::run::Engine;
use crate::seen::{For, PLACES, Seen};

/// From RBP back to the engine.
pub(super) const ENGINE: i32 = -(offset_of!(Engine, hot) as i32);
const CPU: i32 = ENGINE + offset_of!(Engine, cpu) as i32;
pub(super) const EIP: i32 = CPU + offset_of!(Cpu, eip) as i32;
pub(super) const EFLAGS: i32 = CPU + offset_of!(Cpu, eflags) as i32;
pub(super) const CPL: i32 = CPU + offset_of!(Cpu, cpl) as i32;
const GPR: i32 = CPU + offset_of!(Cpu, gpr) as i32;
const SEG: i32 = CPU + offset_of!(Cpu, seg) as i32;
const FPU: i32 = CPU + offset_of!(Cpu, fpu) as i32;
pub(super) const MXCSR: i32 = FPU + offset_of!(Fpu, mxcsr) as i32;

pub(super) const FLAGS: i32 = offset_of!(Hot, flags) as i32;
pub(super) const SPILL: i32 = offset_of!(Hot, spill) as i32;
pub(super) const LIN: i32 = offset_of!(Hot, lin) as i32;
pub(super) const LEFT: i32 = offset_of!(Hot, left) as i32;
pub(super) const SET: i32 = offset_of!(Hot, set) as i32;
pub(super) const RESUME: i32 = offset_of!(Hot, resume) as i32;
pub(super) const JUMPS: i32 = offset_of!(Hot, jumps) as i32;
pub(super) const CODE: i32 = offset_of!(Hot, code) as i32;
pub(super) const TRAP_RAX: i32 = offset_of!(Hot, trap) as i32 + offset_of!(Trapped, rax) as i32;
pub(super) const TRAP_RCX: i32 = offset_of!(Hot, trap) as i32 + offset_of!(Trapped, rcx) as i32;
pub(super) const TRAP_RDX: i32 = offset_of!(Hot, trap) as i32 + offset_of!(Trapped, rdx) as i32;
pub(super) const TRAP_RFLAGS: i32 = offset_of!(Hot, trap) as i32 + offset_of!(Trapped, rflags) as i32;
pub(super) const SP: i32 = offset_of!(Hot, sp) as i32;
pub(super) const INTR: i32 = offset_of!(Hot, intr) as i32;
pub(super) const UNITS: i32 = offset_of!(Hot, units) as i32;

pub(super) const JUMP_ARENA: i32 = offset_of!(Jump, arena) as i32;
pub(super) const JUMP_CODE: i32 = offset_of!(Jump, code) as i32;
pub(super) const JUMP_MASK: u32 = super::JUMPS as u32 - 1;
/// Of an address shifted right by 8: the byte offset of its slot in a TLB set.
pub(super) const SLOT_MASK: u32 = (Slot::COUNT as u32 - 1) << 4;
/// The same of its place in the second table, whose offset in the set this is.
pub(super) const SECOND_MASK: u32 = (Slot::SECOND_COUNT as u32 - 1) << 4;
pub(super) const SECOND: usize = Slot::COUNT * size_of::<Slot>();

const _: () = assert!(size_of::<Slot>() == 16 && size_of::<Jump>() == 8);
const _: () = assert!(offset_of!(Slot, addend) == offset_of!(Slot, fetch) + 4);

pub(super) fn gpr(r: usize) -> i32 {
    GPR + 4 * r as i32
}

/// The descriptors that `whom` has seen.
pub(super) fn seen(whom: For) -> i32 {
    const SET: usize = PLACES * size_of::<Seen>();
    CPU + offset_of!(Cpu, seen) as i32 + (whom as usize * SET) as i32
}

pub(super) fn xmm(r: u8) -> i32 {
    FPU + offset_of!(Fpu, xmm) as i32 + 16 * i32::from(r)
}

pub(super) fn segment(seg: usize) -> i32 {
    SEG + (seg * size_of::<SegReg>()) as i32
}

pub(super) fn segment_selector(seg: usize) -> i32 {
    segment(seg) + offset_of!(SegReg, selector) as i32
}

pub(super) fn segment_base(seg: usize) -> i32 {
    segment(seg) + offset_of!(SegReg, base) as i32
}

pub(super) fn segment_limit(seg: usize, write: bool) -> i32 {
    segment(seg) + if write { offset_of!(SegReg, wlim) } else { offset_of!(SegReg, rlim) } as i32
}

/// An instruction for the interpreter: its block, and its place in it.
pub(super) fn site(id: u32, k: usize) -> u32 {
    id << 6 | k as u32
}

pub(super) fn site_parts(site: u32) -> (u32, usize) {
    (site >> 6, (site & 63) as usize)
}

const WRITE: u32 = 1 << 8;
const REFUSED: u32 = 1 << 9;

/// A memory access for the slow path: length, direction.
pub(super) fn access(len: u32, write: bool) -> u32 {
    len | if write { WRITE } else { 0 }
}

/// One that a segment limit refused.
pub(super) const REFUSED_ACCESS: u32 = REFUSED;

/// Length and direction; `None` if the interpreter must see to it.
pub(super) fn access_parts(access: u32) -> Option<(u32, bool)> {
    (access & REFUSED == 0).then_some((access & 0xff, access & WRITE != 0))
}
