//! ROL ROR RCL RCR SHL SHR SAR SHLD SHRD. SDM vol. 2.
//!
//! The count is masked to five bits; a count of 0 changes no flag, yet a memory operand is written back. Where the
//! SDM leaves OF undefined (counts above 1) it is that of the last single-bit step. AF after shifts is 0.

use hv_vcpu::GuestIo;

use super::operand::{Operand, modify};
use crate::cpu::{Cpu, ECX};
use crate::fault::Exec;
use crate::flags::{Flags, Size};
use crate::insn::Insn;

pub(crate) trait Shift {
    /// `n` is 1 to 31.
    fn op<S: Size>(f: Flags, a: S, n: u32) -> (S, Flags);
}

pub(crate) struct Rol;
pub(crate) struct Ror;
pub(crate) struct Rcl;
pub(crate) struct Rcr;
pub(crate) struct Shl;
pub(crate) struct Shr;
pub(crate) struct Sar;

#[inline(always)]
fn msb<S: Size>(v: S) -> bool {
    v.zext() & S::SIGN != 0
}

/// The two top bits of a value differ.
#[inline(always)]
fn top_differ<S: Size>(v: S) -> bool {
    (v.zext() ^ (v.zext() << 1)) & S::SIGN != 0
}

#[inline(always)]
fn rotated(mut f: Flags, cf: bool, of: bool) -> Flags {
    f.set_cf_of(cf, of);
    f
}

impl Shift for Rol {
    #[inline(always)]
    fn op<S: Size>(f: Flags, a: S, n: u32) -> (S, Flags) {
        let n = n % S::BITS;
        let a = a.zext();
        let r = S::cut(if n == 0 { a } else { a << n | a >> (S::BITS - n) });
        let cf = r.zext() & 1 != 0;
        (r, rotated(f, cf, msb(r) != cf))
    }
}

impl Shift for Ror {
    #[inline(always)]
    fn op<S: Size>(f: Flags, a: S, n: u32) -> (S, Flags) {
        let n = n % S::BITS;
        let a = a.zext();
        let r = S::cut(if n == 0 { a } else { a >> n | a << (S::BITS - n) });
        (r, rotated(f, msb(r), top_differ(r)))
    }
}

/// `a` with CF above its top bit, rotated left by `n` of `BITS + 1` bits.
#[inline(always)]
fn rotate_through<S: Size>(f: Flags, a: S, n: u32) -> (S, bool) {
    let wide = u64::from(a.zext()) | u64::from(f.cf()) << S::BITS;
    let n = n % (S::BITS + 1);
    let r = wide << n | wide >> (S::BITS + 1 - n);
    (S::cut(r as u32), r >> S::BITS & 1 != 0)
}

impl Shift for Rcl {
    #[inline(always)]
    fn op<S: Size>(f: Flags, a: S, n: u32) -> (S, Flags) {
        let (r, cf) = rotate_through(f, a, n);
        (r, rotated(f, cf, msb(r) != cf))
    }
}

impl Shift for Rcr {
    #[inline(always)]
    fn op<S: Size>(f: Flags, a: S, n: u32) -> (S, Flags) {
        let (r, cf) = rotate_through(f, a, S::BITS + 1 - n % (S::BITS + 1));
        (r, rotated(f, cf, top_differ(r)))
    }
}

impl Shift for Shl {
    #[inline(always)]
    fn op<S: Size>(_: Flags, a: S, n: u32) -> (S, Flags) {
        let wide = u64::from(a.zext()) << n;
        let r = S::cut(wide as u32);
        let cf = wide >> S::BITS & 1 != 0;
        (r, Flags::with(r, cf, msb(r) != cf, false))
    }
}

impl Shift for Shr {
    #[inline(always)]
    fn op<S: Size>(_: Flags, a: S, n: u32) -> (S, Flags) {
        let before = a.zext() >> (n - 1);
        let r = S::cut(before >> 1);
        (r, Flags::with(r, before & 1 != 0, before & S::SIGN != 0, false))
    }
}

impl Shift for Sar {
    #[inline(always)]
    fn op<S: Size>(_: Flags, a: S, n: u32) -> (S, Flags) {
        let before = a.sext() as i32 >> (n - 1);
        let r = S::cut((before >> 1) as u32);
        (r, Flags::with(r, before & 1 != 0, false, false))
    }
}

#[inline(always)]
fn shift<O: Shift, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
    n: u32,
) -> Exec {
    let n = n & 31;
    let flags =
        modify::<S, _, MEM>(
            cpu,
            io,
            i,
            |cpu, a| if n == 0 { (a, cpu.flags) } else { O::op(cpu.flags, a, n) },
        )?;
    cpu.flags = flags;
    Ok(())
}

pub(crate) fn by_1<O: Shift, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    shift::<O, S, MEM>(cpu, io, i, 1)
}

pub(crate) fn by_imm<O: Shift, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    shift::<O, S, MEM>(cpu, io, i, i.imm)
}

pub(crate) fn by_cl<O: Shift, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    let n = cpu.gpr[ECX];
    shift::<O, S, MEM>(cpu, io, i, n)
}

pub(crate) trait Double {
    fn op<S: Size>(dst: S, src: S, n: u32) -> (S, Flags);
}

pub(crate) struct Shld;
pub(crate) struct Shrd;

// 16-bit counts of 17 to 31 are undefined; processors shift dst:src:src and src:src:dst.
impl Double for Shld {
    #[inline(always)]
    fn op<S: Size>(dst: S, src: S, n: u32) -> (S, Flags) {
        let (d, s) = (u64::from(dst.zext()), u64::from(src.zext()));
        let wide = if S::BITS == 16 { d << 48 | s << 32 | s << 16 } else { d << 32 | s };
        let r = S::cut((wide << n >> (64 - S::BITS)) as u32);
        let cf = wide >> (64 - n) & 1 != 0;
        (r, Flags::with(r, cf, msb(r) != cf, false))
    }
}

impl Double for Shrd {
    #[inline(always)]
    fn op<S: Size>(dst: S, src: S, n: u32) -> (S, Flags) {
        let (d, s) = (u64::from(dst.zext()), u64::from(src.zext()));
        let wide = if S::BITS == 16 { s << 32 | s << 16 | d } else { s << 32 | d };
        let r = S::cut((wide >> n) as u32);
        let cf = wide >> (n - 1) & 1 != 0;
        (r, Flags::with(r, cf, top_differ(r), false))
    }
}

#[inline(always)]
fn double<O: Double, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
    n: u32,
) -> Exec {
    let n = n & 31;
    let src = S::reg(cpu, i.reg);
    let flags =
        modify::<S, _, MEM>(cpu, io, i, |cpu, a| if n == 0 { (a, cpu.flags) } else { O::op(a, src, n) })?;
    cpu.flags = flags;
    Ok(())
}

pub(crate) fn double_imm<O: Double, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    double::<O, S, MEM>(cpu, io, i, i.imm)
}

pub(crate) fn double_cl<O: Double, S: Operand, const MEM: bool>(
    cpu: &mut Cpu,
    io: &mut dyn GuestIo,
    i: &Insn,
) -> Exec {
    let n = cpu.gpr[ECX];
    double::<O, S, MEM>(cpu, io, i, n)
}
