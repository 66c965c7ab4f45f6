//! Where translated code finds what it uses, as displacements from RBP (the engine) and within table entries.

use std::mem::offset_of;

use super::{Hot, Jump};
use crate::cpu::{Cpu, SegReg};
use crate::mem::Slot;
use crate::run::Engine;

pub(super) const EIP: i32 = (offset_of!(Engine, cpu) + offset_of!(Cpu, eip)) as i32;
pub(super) const EFLAGS: i32 = (offset_of!(Engine, cpu) + offset_of!(Cpu, eflags)) as i32;
pub(super) const CPL: i32 = (offset_of!(Engine, cpu) + offset_of!(Cpu, cpl)) as i32;
const GPR: i32 = (offset_of!(Engine, cpu) + offset_of!(Cpu, gpr)) as i32;
const SEG: usize = offset_of!(Engine, cpu) + offset_of!(Cpu, seg);
const HOT: usize = offset_of!(Engine, hot);

pub(super) const FLAGS: i32 = (HOT + offset_of!(Hot, flags)) as i32;
pub(super) const SPILL: i32 = (HOT + offset_of!(Hot, spill)) as i32;
pub(super) const LEFT: i32 = (HOT + offset_of!(Hot, left)) as i32;
pub(super) const SET: i32 = (HOT + offset_of!(Hot, set)) as i32;
pub(super) const JUMPS_SUPERVISOR: i32 = (HOT + offset_of!(Hot, jumps)) as i32;
pub(super) const JUMPS_USER: i32 = JUMPS_SUPERVISOR + 8;

pub(super) const JUMP_EIP: i32 = offset_of!(Jump, eip) as i32;
pub(super) const JUMP_PAGE: i32 = offset_of!(Jump, page) as i32;
pub(super) const JUMP_CODE: i32 = offset_of!(Jump, code) as i32;
pub(super) const JUMP_MASK: u32 = super::JUMPS as u32 - 1;
/// Of an address shifted right by 8: the byte offset of its slot in a TLB set.
pub(super) const SLOT_MASK: u32 = (Slot::COUNT as u32 - 1) << 4;

const _: () = assert!(size_of::<Slot>() == 16 && size_of::<Jump>() == 32);
const _: () = assert!(offset_of!(Slot, addend) == offset_of!(Slot, fetch) + 4);

pub(super) fn gpr(r: usize) -> i32 {
    GPR + 4 * r as i32
}

fn segment(seg: usize) -> usize {
    SEG + seg * size_of::<SegReg>()
}

pub(super) fn segment_base(seg: usize) -> i32 {
    (segment(seg) + offset_of!(SegReg, base)) as i32
}

pub(super) fn segment_read_limit(seg: usize) -> i32 {
    (segment(seg) + offset_of!(SegReg, rlim)) as i32
}

pub(super) fn segment_write_limit(seg: usize) -> i32 {
    (segment(seg) + offset_of!(SegReg, wlim)) as i32
}

const WRITE: u32 = 1 << 8;
const RESTART: u32 = 1 << 9;

/// A memory access for the slow path: length, direction, whether the instruction may be tried again from its start.
pub(super) fn access(len: u32, write: bool, restart: bool) -> u32 {
    len | if write { WRITE } else { 0 } | if restart { RESTART } else { 0 }
}

pub(super) fn access_parts(access: u32) -> (u32, bool, bool) {
    (access & 0xff, access & WRITE != 0, access & RESTART != 0)
}
