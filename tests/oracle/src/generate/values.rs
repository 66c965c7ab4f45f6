//! Operand values that find mistakes, and the memory images they fill.

use crate::layout::{DATA, DATA_LEN, DATA_RW, Memory, STACK, STACK_LEN};
use crate::rng::Rng;
use crate::snapshot::Fx;

const F32: [u32; 24] = [
    0x0000_0000,
    0x8000_0000,
    0x3f80_0000,
    0xbf80_0000,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0xffc0_0000,
    0x7f80_0001,
    0xff80_0001,
    0x7fa5_5555,
    0x0000_0001,
    0x8000_0001,
    0x007f_ffff,
    0x0080_0000,
    0x7f7f_ffff,
    0xff7f_ffff,
    0x4f00_0000,
    0xcf00_0000,
    0x4eff_ffff,
    0x3f00_0000,
    0x4020_0000,
    0x4b80_0001,
    0x7fc1_2345,
];

const F64: [u64; 26] = [
    0,
    0x8000_0000_0000_0000,
    0x3ff0_0000_0000_0000,
    0xbff0_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x7ff8_0000_0000_0000,
    0xfff8_0000_0000_0000,
    0x7ff0_0000_0000_0001,
    0xfff0_0000_0000_0001,
    0x7ff4_5555_5555_5555,
    1,
    0x8000_0000_0000_0001,
    0x000f_ffff_ffff_ffff,
    0x0010_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
    0xffef_ffff_ffff_ffff,
    0x41e0_0000_0000_0000,
    0xc1e0_0000_0000_0000,
    0x41df_ffff_ffc0_0000,
    0x43e0_0000_0000_0000,
    0x3fe0_0000_0000_0000,
    0x4004_0000_0000_0000,
    0x36a0_0000_0000_0000,
    0x3810_0000_0000_0000,
    0x47ef_ffff_f000_0000,
];

/// Significand and sign-exponent.
const F80: [(u64, u16); 27] = [
    (0, 0),
    (0, 0x8000),
    (1 << 63, 0x3fff),
    (1 << 63, 0xbfff),
    (1 << 63, 0x7fff),
    (1 << 63, 0xffff),
    (3 << 62, 0x7fff),
    (3 << 62, 0xffff),
    ((1 << 63) | 1, 0x7fff),
    ((1 << 63) | 0x1234, 0xffff),
    (0xc90f_daa2_2168_c235, 0x4000),
    (0xc90f_daa2_2168_c235, 0x3ffe),
    (1, 0),
    (0x7fff_ffff_ffff_ffff, 0),
    (1 << 63, 0),                    // pseudo-denormal
    (0x8000_0000_0000_0001, 0),      // the same
    (0x4000_0000_0000_0000, 0x3fff), // unnormal
    (0, 0x4000),
    (0, 0x7fff),      // pseudo-infinity
    (0x1234, 0x7fff), // pseudo-NaN
    (u64::MAX, 0x7ffe),
    (1 << 63, 1),
    (0xb504_f333_f9de_6484, 0x3fff),
    (u64::MAX, 0x403e),
    (1 << 63, 0xc03e),
    (0xde0b_6b3a_7640_0000, 0x403a), // 10^18
    (0xffff_ff00_0000_0001, 0x3ffe),
];

pub(super) fn int32(r: &mut Rng) -> u32 {
    match r.below(10) {
        0 => 0,
        1 => 1,
        2 => u32::MAX,
        3 => 0x8000_0000,
        4 => 0x7fff_ffff,
        5 => r.pick(&[0x80, 0x7f, 0xff, 0x100, 0x8000, 0x7fff, 0xffff, 0x1_0000, 0x0808_0000, 0x9999_9999]),
        6 => r.below(64),
        7 => r.u32() & 0xff,
        _ => r.u32(),
    }
}

pub(super) fn f32_bits(r: &mut Rng) -> u32 {
    match r.below(8) {
        0..=2 => r.pick(&F32),
        3 => r.u32(),
        4 => (r.below(200) as f32 - 100.0).to_bits(),
        // Near one, with few or many bits.
        5 => 0x3f80_0000 + (r.below(0x200) << 14),
        6 => (r.u32() & 0x8000_0000) | (0x7f + r.below(40) - 20) << 23 | (r.u32() & 0x7f_ffff),
        _ => (r.u32() & 0x807f_ffff) | r.pick(&[0, 1, 2, 0xfe, 0xfd, 0x9d, 0x9e, 0x9f]) << 23,
    }
}

pub(super) fn f64_bits(r: &mut Rng) -> u64 {
    match r.below(8) {
        0..=2 => r.pick(&F64),
        3 => r.u64(),
        4 => (f64::from(r.below(2000)) - 1000.0).to_bits(),
        5 => f64::from(f32::from_bits(f32_bits(r))).to_bits(),
        6 => (r.u64() & 1 << 63) | u64::from(0x3ff + r.below(80) - 40) << 52 | r.u64() >> 12,
        _ => {
            let e = r.pick(&[0, 1, 2, 0x7fe, 0x7fd, 0x41d, 0x41e, 0x43d, 0x43e, 0x36a, 0x381, 0x47e]);
            (r.u64() & 1 << 63) | e << 52 | r.u64() >> 12
        }
    }
}

pub(super) fn f80(r: &mut Rng) -> (u64, u16) {
    let sign = (r.u32() as u16) & 0x8000;
    match r.below(9) {
        0..=2 => {
            let (m, e) = r.pick(&F80);
            (m, e ^ if r.per_mille(200) { 0x8000 } else { 0 })
        }
        3 => (r.u64(), r.u32() as u16),
        4 => {
            // A small integer.
            let n = u64::from(r.below(1000) + 1);
            let shift = n.leading_zeros();
            (n << shift, sign | (0x403e - shift) as u16)
        }
        5 => (r.u64() | 1 << 63, sign | (0x3fff + r.below(80) - 40) as u16),
        // What a load from double or single leaves.
        6 => ((r.u64() | 1 << 63) & !0x7ff, sign | (0x3fff + r.below(20) - 10) as u16),
        7 => ((r.u64() | 1 << 63) & !0xff_ffff_ffff, sign | (0x3fff + r.below(20) - 10) as u16),
        _ => {
            let e = r.pick(&[
                0u32, 1, 2, 0x7ffe, 0x7ffd, 0x3c01, 0x3c00, 0x3bcd, 0x3f81, 0x3f80, 0x3f6a, 0x43fe, 0x43ff,
                0x407e, 0x407f, 0x403d, 0x403e, 0x401d, 0x401e, 0x400d,
            ]);
            (r.u64() | 1 << 63, sign | e as u16)
        }
    }
}

fn f80_bytes(r: &mut Rng) -> [u8; 10] {
    let (m, e) = f80(r);
    let mut v = [0; 10];
    v[..8].copy_from_slice(&m.to_le_bytes());
    v[8..].copy_from_slice(&e.to_le_bytes());
    v
}

fn packed_bcd(r: &mut Rng) -> [u8; 10] {
    let mut v = [0; 10];
    let digits = r.index(10);
    for b in v.iter_mut().take(digits) {
        *b = (r.below(10) << 4 | r.below(10)) as u8;
    }
    v[9] = if r.per_mille(500) { 0x80 } else { 0 };
    v
}

pub(super) fn xmm(r: &mut Rng) -> [u8; 16] {
    let mut v = [0; 16];
    match r.below(4) {
        0 => v.chunks_exact_mut(4).for_each(|c| c.copy_from_slice(&f32_bits(r).to_le_bytes())),
        1 => v.chunks_exact_mut(8).for_each(|c| c.copy_from_slice(&f64_bits(r).to_le_bytes())),
        2 => v.chunks_exact_mut(4).for_each(|c| c.copy_from_slice(&int32(r).to_le_bytes())),
        _ => {
            let kinds = [0, 0x7f, 0x80, 0xff, 1];
            v.iter_mut().for_each(|b| *b = if r.per_mille(500) { r.pick(&kinds) } else { r.u8() });
        }
    }
    v
}

/// x87, MMX and SSE registers to start with. `quiet`: everything masked, as most programs have it.
pub(super) fn fx(r: &mut Rng, quiet: bool) -> Fx {
    let mut f = Fx::default();
    let precision = r.pick(&[0x000, 0x200, 0x300, 0x300, 0x300, 0x100]);
    let rounding = r.below(4) << 10;
    let masks = if quiet || r.per_mille(700) { 0x3f } else { r.below(64) };
    let control = 0x40 | masks | precision | if r.per_mille(400) { rounding } else { 0 };
    let mut status = r.below(8) << 11;
    if r.per_mille(300) {
        status |= r.below(0x80) | (r.below(16) & 7) << 8 | (r.below(2) << 14);
        if r.per_mille(800) {
            // Nothing pending to begin with.
            status &= !0x3f | masks;
        }
    }
    if status & !control & 0x3f != 0 {
        status |= 0x8080;
    } else {
        status &= !0x8080;
    }
    f.set16(0, control as u16);
    f.set16(2, status as u16);
    f.0[4] = match r.below(4) {
        0 => 0xff,
        1 => 0,
        _ => r.u8(),
    };
    for i in 0..8 {
        let (m, e) = f80(r);
        f.set_st(i, m, e);
    }
    for i in 0..8 {
        f.set_xmm(i, xmm(r));
    }
    let mut mxcsr = 0x1f80;
    if r.per_mille(400) {
        mxcsr |= r.below(4) << 13;
    }
    if r.per_mille(200) {
        mxcsr |= 0x8000;
    }
    if r.per_mille(200) {
        mxcsr |= r.below(64);
    }
    if !quiet && r.per_mille(300) {
        mxcsr &= !0x1f80 | r.below(64) << 7;
    }
    f.set32(24, mxcsr);
    f
}

/// A few hundred memory images to start from, made once.
pub struct Images(Vec<Memory>);

impl Images {
    pub const COUNT: usize = 64;

    pub fn new() -> Self {
        Self((0..Self::COUNT as u64).map(Self::make).collect())
    }

    pub fn get(&self, n: usize) -> &Memory {
        &self.0[n % Self::COUNT]
    }

    fn make(n: u64) -> Memory {
        let mut r = Rng::new(0x1357_9bdf_0000_0000 ^ n);
        let mut m = Memory::default();
        let mut at = 0;
        while at + 16 <= DATA_LEN {
            let cell = &mut m.data[at..at + 16];
            match r.below(8) {
                0 | 1 => cell.copy_from_slice(&xmm(&mut r)),
                2 => cell[..10].copy_from_slice(&f80_bytes(&mut r)),
                3 => cell[..10].copy_from_slice(&packed_bcd(&mut r)),
                4 => {
                    cell.chunks_exact_mut(8).for_each(|c| c.copy_from_slice(&f64_bits(&mut r).to_le_bytes()))
                }
                5 => {
                    cell.chunks_exact_mut(4).for_each(|c| c.copy_from_slice(&f32_bits(&mut r).to_le_bytes()))
                }
                6 => cell.chunks_exact_mut(4).for_each(|c| {
                    let p = DATA + r.below(DATA_LEN as u32);
                    c.copy_from_slice(&p.to_le_bytes());
                }),
                _ => cell.chunks_exact_mut(4).for_each(|c| c.copy_from_slice(&int32(&mut r).to_le_bytes())),
            }
            at += 16;
        }
        // The read-only page is the same in all, so that nobody has to write it.
        let mut fixed = Rng::new(0x2468_ace0);
        m.data[DATA_RW..].chunks_exact_mut(16).for_each(|c| c.copy_from_slice(&xmm(&mut fixed)));
        for c in m.stack.chunks_exact_mut(4) {
            let v = if r.per_mille(200) { STACK + r.below(STACK_LEN as u32) } else { int32(&mut r) };
            c.copy_from_slice(&v.to_le_bytes());
        }
        m
    }
}

impl Default for Images {
    fn default() -> Self {
        Self::new()
    }
}
