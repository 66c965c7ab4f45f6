//! RCPPS, RCPSS, RSQRTPS, RSQRTSS.
//!
//! The SDM asks for a relative error of at most 1.5 * 2^-12. Intel's processors look the result up by the top 11
//! bits of the significand (RSQRT: 10 bits and the exponent's lowest); measured over all significands, every entry
//! is the exact value at the middle of its interval, rounded to 12 bits. The tables are built from that rule.

use hv_vcpu::GuestIo;

use super::float::Real;
use super::{enter, set_xmm, source, source32, xmm};
use crate::cpu::Cpu;
use crate::fault::Exec;
use crate::insn::Insn;
use crate::softfloat::F32;

/// Fraction bits of the entries.
const BITS: u32 = 12;

/// 1 / (1 + (i + 1/2) / 2048), doubled, without the leading one.
static RCP: [u16; 2048] = {
    let mut t = [0; 2048];
    let mut i = 0;
    while i < 2048 {
        let d = 4097 + 2 * i as u64;
        t[i] = (((1 << 26) + d) / (2 * d) - 4096) as u16;
        i += 1;
    }
    t
};

/// 1 / sqrt((1 + (i + 1/2) / 1024) * 2^odd), doubled, without the leading one; `odd` is the index's top bit.
static RSQRT: [u16; 2048] = {
    let mut t = [0; 2048];
    let mut i = 0;
    while i < 2048 {
        let d = (2049 + 2 * (i as u64 & 1023)) << (i >> 10);
        t[i] = (((1u64 << 39) / d).isqrt().div_ceil(2) - 4096) as u16;
        i += 1;
    }
    t
};

const SIGN: u32 = 1 << 31;
const INF: u32 = 0x7f80_0000;
const QUIET: u32 = 1 << 22;
const INDEFINITE: u32 = 0xffc0_0000;

pub(crate) fn rcp(v: u32) -> u32 {
    let (sign, exp, frac) = (v & SIGN, v >> 23 & 0xff, v & 0x7f_ffff);
    match exp {
        // Denormals count as zero.
        0 => sign | INF,
        0xff if frac != 0 => v | QUIET,
        // The result would be denormal: zero.
        253.. => sign,
        _ => sign | (253 - exp) << 23 | u32::from(RCP[(frac >> 12) as usize]) << (23 - BITS),
    }
}

pub(crate) fn rsqrt(v: u32) -> u32 {
    let (sign, exp, frac) = (v & SIGN, v >> 23 & 0xff, v & 0x7f_ffff);
    match exp {
        0 => sign | INF,
        0xff if frac != 0 => v | QUIET,
        _ if sign != 0 => INDEFINITE,
        0xff => 0,
        _ => {
            // exp = 127 + 2q + odd; the result lies in [2^(-q-1), 2^-q).
            let odd = (exp + 1) & 1;
            let half = (exp - odd).div_ceil(2);
            let entry = RSQRT[(odd << 10 | frac >> 13) as usize];
            (126 + 64 - half) << 23 | u32::from(entry) << (23 - BITS)
        }
    }
}

/// All four elements. No exceptions, no rounding control, no DAZ.
pub(crate) fn packed<const SQRT: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source(cpu, io, insn)?;
    let f = if SQRT { rsqrt } else { rcp };
    let r = (0..4).fold(0, |r, i| r | F32(f(F32::lane(v, i).0)).place(i));
    set_xmm(cpu, insn.reg, r);
    Ok(())
}

pub(crate) fn scalar<const SQRT: bool>(cpu: &mut Cpu, io: &mut dyn GuestIo, insn: &Insn) -> Exec {
    enter(cpu)?;
    let v = source32(cpu, io, insn)?;
    let f = if SQRT { rsqrt } else { rcp };
    let old = xmm(cpu, insn.reg);
    set_xmm(cpu, insn.reg, old & !F32::MASK | u128::from(f(v)));
    Ok(())
}
