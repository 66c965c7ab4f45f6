//! MOVS STOS LODS CMPS SCAS INS OUTS, alone and repeated. SDM vol. 2, REP.
//!
//! A repeated instruction works through its elements here until it is done, the clock says that events are due, or
//! something happened that must be looked at between two elements; then EIP goes back to it and RF is set, so that a
//! code breakpoint on it does not hit again. Each element counts as one instruction.
//!
//! Upwards and within one page of plain memory, elements move in bulk. What is not plain (chips, decoded code, pages
//! that are not dirty yet, the end of a segment) goes element by element.

use hv_vcpu::GuestIo;

use super::operand::Operand;
use super::port::{self, Port};
use crate::block::MAX_INSNS;
use crate::cpu::{Cpu, ECX, EDI, EDX, ES, ESI, eflags};
use crate::fault::Exec;
use crate::flags::{Flags, Size};
use crate::insn::Insn;

/// Elements that go one by one before the run loop gets a look at the kicker.
const SLOW_RUN: u32 = 2048;

#[inline(always)]
fn repeated(i: &Insn) -> bool {
    i.flags & (Insn::REP | Insn::REPNE) != 0
}

#[inline(always)]
fn at(cpu: &Cpu, i: &Insn, r: usize) -> u32 {
    cpu.gpr[r] & i.amask
}

#[inline(always)]
fn add(cpu: &mut Cpu, i: &Insn, r: usize, by: u32) {
    cpu.gpr[r] = cpu.gpr[r] & !i.amask | cpu.gpr[r].wrapping_add(by) & i.amask;
}

/// Moves a pointer past one element.
#[inline(always)]
fn pass<S: Size>(cpu: &mut Cpu, i: &Insn, r: usize) {
    let by = if cpu.eflags & eflags::DF != 0 { S::BYTES.wrapping_neg() } else { S::BYTES };
    add(cpu, i, r, by);
}

/// Where a run of plain memory starts in the arena, and how many bytes of it may be used upwards: to the end of the
/// page, of the segment and of the address size.
fn plain(cpu: &Cpu, i: &Insn, seg: usize, off: u32, write: bool) -> Option<(u32, u32)> {
    let s = &cpu.seg[seg & 7];
    let limit = if write { s.wlim } else { s.rlim };
    let in_segment = limit.checked_sub(i64::from(off)).filter(|&n| n >= 0)?;
    let lin = s.base.wrapping_add(off);
    let slot = cpu.tlb.known(lin);
    let tag = if write { slot.write } else { slot.read };
    let beside_code = write && slot.is_seen(lin);
    if tag != lin & !0xfff && !beside_code {
        return None;
    }
    // All three one less than the count, so that none overflows.
    let last = (0xfff - (lin & 0xfff)).min(i.amask - off).min(in_segment.min(0xfff) as u32);
    let at = lin.wrapping_add(slot.addend);
    if beside_code {
        let n = if cpu.ram.arena().is_table(at >> 12) { 0 } else { cpu.code.clear_before(at, last + 1) };
        return (n != 0).then_some((at, n));
    }
    Some((at, last + 1))
}

/// Must what a call out, a store or a breakpoint did be looked at before the next element?
fn must_stop(cpu: &Cpu, io: &dyn GuestIo, generation: u32) -> bool {
    cpu.ram_generation != generation
        || cpu.code.anything_written()
        || cpu.pending_debug != 0
        || (cpu.eflags & eflags::IF != 0 && io.intr_pending())
}

/// Runs a repeated instruction. `one` does one element; `bulk` as many as it can, up to its last argument, and
/// says how many (0: none); both move the pointers but not the count. `over` ends the repetition.
#[inline(always)]
fn repeat(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
    one: impl Fn(&mut Cpu, &mut dyn GuestIo, &Insn) -> Exec,
    bulk: impl Fn(&mut Cpu, &Insn, u32) -> u32,
    over: impl Fn(Flags) -> bool,
) -> Exec {
    let mut left = at(cpu, i, ECX);
    if left == 0 {
        return Ok(());
    }
    let flags = cpu.flags;
    let generation = cpu.ram_generation;
    let upwards = cpu.eflags & eflags::DF == 0;
    let stepping = cpu.eflags & eflags::TF != 0;
    let mut slow = 0;
    loop {
        let due = if stepping { 1 } else { cpu.poll_at.saturating_sub(cpu.retired()).max(1) };
        let max = u64::from(left).min(due) as u32;
        let mut n = if upwards && max > 1 { bulk(cpu, i, max) } else { 0 };
        if n == 0 {
            // A page fault in CMPS or SCAS leaves the flags as they were.
            one(cpu, io, i).inspect_err(|_| cpu.flags = flags)?;
            n = 1;
            slow += 1;
        }
        left -= n;
        cpu.gpr[ECX] = cpu.gpr[ECX] & !i.amask | left;
        cpu.icount = cpu.icount.wrapping_add(u64::from(n));
        if left == 0 || over(cpu.flags) {
            break;
        }
        let events = cpu.end_block && must_stop(cpu, io, generation);
        if u64::from(n) == due || slow == SLOW_RUN || events {
            // The flags change when CMPS or SCAS is through, not before.
            cpu.flags = flags;
            cpu.eip = i.start(cpu);
            cpu.eflags |= eflags::RF;
            cpu.end_block = true;
            break;
        }
    }
    // The run loop counts one for the instruction.
    cpu.icount = cpu.icount.wrapping_sub(1);
    // It cut the block to what was left before the elements were counted.
    cpu.end_block |= cpu.poll_at.saturating_sub(cpu.retired()) <= MAX_INSNS as u64;
    Ok(())
}

fn none(_: &mut Cpu, _: &Insn, _: u32) -> u32 {
    0
}

fn never(_: Flags) -> bool {
    false
}

/// REPE goes on while ZF is set, REPNE while it is clear.
#[inline(always)]
fn unequal(i: &Insn) -> impl Fn(Flags) -> bool {
    let equal = i.flags & Insn::REP != 0;
    move |f| f.zf() != equal
}

fn movs_one<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = S::load(cpu, io, i.seg, at(cpu, i, ESI))?;
    S::store(cpu, io, ES as u8, at(cpu, i, EDI), v)?;
    pass::<S>(cpu, i, ESI);
    pass::<S>(cpu, i, EDI);
    Ok(())
}

fn movs_bulk<S: Operand>(cpu: &mut Cpu, i: &Insn, max: u32) -> u32 {
    let Some((from, room)) = plain(cpu, i, usize::from(i.seg), at(cpu, i, ESI), false) else { return 0 };
    let Some((to, space)) = plain(cpu, i, ES, at(cpu, i, EDI), true) else { return 0 };
    let n = max.min(room.min(space) / S::BYTES);
    let bytes = n * S::BYTES;
    let ahead = to.wrapping_sub(from);
    let arena = cpu.ram.arena();
    if ahead >= bytes {
        // Apart, or towards lower addresses.
        arena.copy_within(from, to, bytes as usize);
    } else if ahead < S::BYTES {
        return 0;
    } else {
        // Upwards into itself: what was written is read again.
        let run = ahead - ahead % S::BYTES;
        let mut done = 0;
        while done < bytes {
            let len = run.min(bytes - done);
            arena.copy_within(from + done, to + done, len as usize);
            done += len;
        }
    }
    add(cpu, i, ESI, bytes);
    add(cpu, i, EDI, bytes);
    n
}

pub(crate) fn movs<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    if repeated(i) {
        return repeat(cpu, io, i, movs_one::<S>, movs_bulk::<S>, never);
    }
    movs_one::<S>(cpu, io, i)
}

fn stos_one<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    S::store(cpu, io, ES as u8, at(cpu, i, EDI), S::reg(cpu, 0))?;
    pass::<S>(cpu, i, EDI);
    Ok(())
}

fn stos_bulk<S: Operand>(cpu: &mut Cpu, i: &Insn, max: u32) -> u32 {
    let Some((to, space)) = plain(cpu, i, ES, at(cpu, i, EDI), true) else { return 0 };
    let n = max.min(space / S::BYTES);
    let bytes = n * S::BYTES;
    if n == 0 {
        return 0;
    }
    let arena = cpu.ram.arena();
    let v = S::reg(cpu, 0).zext();
    let first = v as u8;
    if v == u32::from(first) * (S::MASK / 0xff) {
        arena.fill(to, bytes as usize, first);
    } else {
        arena.copy_in(to, &v.to_le_bytes()[..S::BYTES as usize]);
        let mut done = S::BYTES;
        while done < bytes {
            let len = done.min(bytes - done);
            arena.copy_within(to, to + done, len as usize);
            done += len;
        }
    }
    add(cpu, i, EDI, bytes);
    n
}

pub(crate) fn stos<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    if repeated(i) {
        return repeat(cpu, io, i, stos_one::<S>, stos_bulk::<S>, never);
    }
    stos_one::<S>(cpu, io, i)
}

fn lods_one<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = S::load(cpu, io, i.seg, at(cpu, i, ESI))?;
    S::set_reg(cpu, 0, v);
    pass::<S>(cpu, i, ESI);
    Ok(())
}

pub(crate) fn lods<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    if repeated(i) {
        return repeat(cpu, io, i, lods_one::<S>, none, never);
    }
    lods_one::<S>(cpu, io, i)
}

#[inline(always)]
fn compare<S: Size>(a: S, b: S) -> Flags {
    Flags::sub(a, b, S::cut(a.zext().wrapping_sub(b.zext())))
}

fn cmps_one<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    // Where both fault, processors report ES:EDI.
    let b = S::load(cpu, io, ES as u8, at(cpu, i, EDI))?;
    let a = S::load(cpu, io, i.seg, at(cpu, i, ESI))?;
    cpu.flags = compare(a, b);
    pass::<S>(cpu, i, ESI);
    pass::<S>(cpu, i, EDI);
    Ok(())
}

/// An element straight from the arena.
#[inline(always)]
fn element<S: Size>(cpu: &Cpu, at: u32) -> S {
    let arena = cpu.ram.arena();
    match S::BITS {
        8 => S::cut(u32::from(arena.load_u8(at))),
        16 => S::cut(u32::from(arena.load_u16(at))),
        _ => S::cut(arena.load_u32(at)),
    }
}

/// Whether an element of the eight bytes ends the repetition, given what differs in them: the first that is not zero if
/// `equal`, that is zero otherwise.
#[inline(always)]
fn ends<S: Size>(differs: u64, equal: bool) -> bool {
    // The lowest bit of each element.
    let ones = u64::MAX / (u64::MAX >> (64 - S::BITS));
    let zeros = differs.wrapping_sub(ones) & !differs & ones << (S::BITS - 1);
    if equal { differs != 0 } else { zeros != 0 }
}

/// Compares up to `n` pairs and stops after the first that ends the repetition; how many were looked at. `differs`:
/// the exclusive or of eight bytes of each side.
#[inline(always)]
fn search<S: Size>(
    cpu: &mut Cpu,
    n: u32,
    equal: bool,
    differs: impl Fn(&Cpu, u32) -> u64,
    pair: impl Fn(&Cpu, u32) -> (S, S),
) -> u32 {
    const STEP: u32 = 8;
    let mut k = 0;
    // The last one is left for its flags.
    while k + STEP / S::BYTES < n && !ends::<S>(differs(cpu, k * S::BYTES), equal) {
        k += STEP / S::BYTES;
    }
    while k < n {
        let (a, b) = pair(cpu, k * S::BYTES);
        k += 1;
        if (a == b) != equal || k == n {
            cpu.flags = compare(a, b);
            break;
        }
    }
    k
}

fn cmps_bulk<S: Operand>(cpu: &mut Cpu, i: &Insn, max: u32) -> u32 {
    let Some((from, room)) = plain(cpu, i, usize::from(i.seg), at(cpu, i, ESI), false) else { return 0 };
    let Some((to, space)) = plain(cpu, i, ES, at(cpu, i, EDI), false) else { return 0 };
    let n = max.min(room.min(space) / S::BYTES);
    let equal = i.flags & Insn::REP != 0;
    let eight = |cpu: &Cpu, at| cpu.ram.arena().load_u64(at);
    let differs = |cpu: &Cpu, d| eight(cpu, from + d) ^ eight(cpu, to + d);
    let k = search::<S>(cpu, n, equal, differs, |cpu, d| (element(cpu, from + d), element(cpu, to + d)));
    add(cpu, i, ESI, k * S::BYTES);
    add(cpu, i, EDI, k * S::BYTES);
    k
}

pub(crate) fn cmps<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    if repeated(i) {
        return repeat(cpu, io, i, cmps_one::<S>, cmps_bulk::<S>, unequal(i));
    }
    cmps_one::<S>(cpu, io, i)
}

fn scas_one<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let b = S::load(cpu, io, ES as u8, at(cpu, i, EDI))?;
    cpu.flags = compare(S::reg(cpu, 0), b);
    pass::<S>(cpu, i, EDI);
    Ok(())
}

fn scas_bulk<S: Operand>(cpu: &mut Cpu, i: &Insn, max: u32) -> u32 {
    let Some((to, space)) = plain(cpu, i, ES, at(cpu, i, EDI), false) else { return 0 };
    let a = S::reg(cpu, 0);
    let equal = i.flags & Insn::REP != 0;
    let everywhere = u64::from(a.zext()) * (u64::MAX / (u64::MAX >> (64 - S::BITS)));
    let differs = |cpu: &Cpu, d| cpu.ram.arena().load_u64(to + d) ^ everywhere;
    let n = max.min(space / S::BYTES);
    let k = if S::BYTES == 1 && !equal && n != 0 {
        // The last one is looked at for its flags anyway.
        let found = cpu.ram.arena().find(to, n as usize - 1, a.zext() as u8);
        let k = found.map_or(n - 1, |d| d as u32);
        cpu.flags = compare(a, element(cpu, to + k));
        k + 1
    } else {
        search::<S>(cpu, n, equal, differs, |cpu, d| (a, element(cpu, to + d)))
    };
    add(cpu, i, EDI, k * S::BYTES);
    k
}

pub(crate) fn scas<S: Operand>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    if repeated(i) {
        return repeat(cpu, io, i, scas_one::<S>, scas_bulk::<S>, unequal(i));
    }
    scas_one::<S>(cpu, io, i)
}

/// The destination is checked before the port gives up its datum.
fn ins_one<S: Port>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let off = at(cpu, i, EDI);
    if plain(cpu, i, ES, off, true).is_none_or(|(_, space)| space < S::BYTES) {
        cpu.probe_write(io, ES, off, S::BYTES)?;
    }
    let v = port::read::<S>(cpu, io, cpu.gpr[EDX] as u16);
    S::store(cpu, io, ES as u8, off, v)?;
    pass::<S>(cpu, i, EDI);
    Ok(())
}

pub(crate) fn ins<S: Port>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.io_allowed(io, cpu.gpr[EDX] as u16, S::WIDTH)?;
    if repeated(i) {
        return repeat(cpu, io, i, ins_one::<S>, none, never);
    }
    ins_one::<S>(cpu, io, i)
}

fn outs_one<S: Port>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    let v = S::load(cpu, io, i.seg, at(cpu, i, ESI))?;
    port::write::<S>(cpu, io, cpu.gpr[EDX] as u16, v);
    pass::<S>(cpu, i, ESI);
    Ok(())
}

pub(crate) fn outs<S: Port>(cpu: &mut Cpu, io: &mut dyn GuestIo, i: &Insn) -> Exec {
    cpu.io_allowed(io, cpu.gpr[EDX] as u16, S::WIDTH)?;
    if repeated(i) {
        return repeat(cpu, io, i, outs_one::<S>, none, never);
    }
    outs_one::<S>(cpu, io, i)
}
