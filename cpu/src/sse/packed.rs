//! Packed integer operations on 8 (MMX) or 16 bytes (SSE2). SDM vol. 2.

/// An operation of two operands; `a` is the destination's old value.
pub(crate) trait Packed {
    fn apply<const N: usize>(a: [u8; N], b: [u8; N]) -> [u8; N];
}

#[inline(always)]
fn bytes<const N: usize>(a: [u8; N], b: [u8; N], f: impl Fn(u8, u8) -> u8) -> [u8; N] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

#[inline(always)]
fn words<const N: usize>(a: [u8; N], b: [u8; N], f: impl Fn(u16, u16) -> u16) -> [u8; N] {
    let mut r = [0; N];
    for ((r, a), b) in r.chunks_exact_mut(2).zip(a.chunks_exact(2)).zip(b.chunks_exact(2)) {
        r.copy_from_slice(
            &f(u16::from_le_bytes([a[0], a[1]]), u16::from_le_bytes([b[0], b[1]])).to_le_bytes(),
        );
    }
    r
}

#[inline(always)]
fn dword(b: &[u8]) -> u32 {
    u32::from_le_bytes([b[0], b[1], b[2], b[3]])
}

#[inline(always)]
fn qword(b: &[u8]) -> u64 {
    u64::from(dword(b)) | u64::from(dword(&b[4..])) << 32
}

#[inline(always)]
fn dwords<const N: usize>(a: [u8; N], b: [u8; N], f: impl Fn(u32, u32) -> u32) -> [u8; N] {
    let mut r = [0; N];
    for ((r, a), b) in r.chunks_exact_mut(4).zip(a.chunks_exact(4)).zip(b.chunks_exact(4)) {
        r.copy_from_slice(&f(dword(a), dword(b)).to_le_bytes());
    }
    r
}

#[inline(always)]
fn qwords<const N: usize>(a: [u8; N], b: [u8; N], f: impl Fn(u64, u64) -> u64) -> [u8; N] {
    let mut r = [0; N];
    for ((r, a), b) in r.chunks_exact_mut(8).zip(a.chunks_exact(8)).zip(b.chunks_exact(8)) {
        r.copy_from_slice(&f(qword(a), qword(b)).to_le_bytes());
    }
    r
}

/// Elements of `SIZE` bytes taken in turn from both, from the low or high half.
#[inline(always)]
fn interleave<const SIZE: usize, const HIGH: bool, const N: usize>(a: [u8; N], b: [u8; N]) -> [u8; N] {
    let from = if HIGH { N / 2 } else { 0 };
    let mut r = [0; N];
    let halves = a[from..].chunks_exact(SIZE).zip(b[from..].chunks_exact(SIZE));
    for (pair, (a, b)) in r.chunks_exact_mut(2 * SIZE).zip(halves) {
        pair[..SIZE].copy_from_slice(a);
        pair[SIZE..].copy_from_slice(b);
    }
    r
}

/// The words or doublewords of both, narrowed.
#[inline(always)]
fn pack_words<const N: usize>(a: [u8; N], b: [u8; N], f: impl Fn(i16) -> u8) -> [u8; N] {
    let mut r = [0; N];
    for (r, s) in r.iter_mut().zip(a.chunks_exact(2).chain(b.chunks_exact(2))) {
        *r = f(i16::from_le_bytes([s[0], s[1]]));
    }
    r
}

fn pack_dwords<const N: usize>(a: [u8; N], b: [u8; N]) -> [u8; N] {
    let mut r = [0; N];
    for (r, s) in r.chunks_exact_mut(2).zip(a.chunks_exact(4).chain(b.chunks_exact(4))) {
        let v = (dword(s) as i32).clamp(i32::from(i16::MIN), i32::from(i16::MAX));
        r.copy_from_slice(&(v as i16).to_le_bytes());
    }
    r
}

/// All ones for true.
const fn mask8(c: bool) -> u8 {
    0u8.wrapping_sub(c as u8)
}
const fn mask16(c: bool) -> u16 {
    0u16.wrapping_sub(c as u16)
}
const fn mask32(c: bool) -> u32 {
    0u32.wrapping_sub(c as u32)
}

macro_rules! packed {
    ($($name:ident: |$a:ident, $b:ident| $e:expr;)*) => {
        $(
            pub(crate) struct $name;
            impl Packed for $name {
                #[inline(always)]
                fn apply<const N: usize>($a: [u8; N], $b: [u8; N]) -> [u8; N] {
                    $e
                }
            }
        )*
    };
}

packed! {
    Punpcklbw: |a, b| interleave::<1, false, N>(a, b);
    Punpcklwd: |a, b| interleave::<2, false, N>(a, b);
    Punpckldq: |a, b| interleave::<4, false, N>(a, b);
    Punpcklqdq: |a, b| interleave::<8, false, N>(a, b);
    Punpckhbw: |a, b| interleave::<1, true, N>(a, b);
    Punpckhwd: |a, b| interleave::<2, true, N>(a, b);
    Punpckhdq: |a, b| interleave::<4, true, N>(a, b);
    Punpckhqdq: |a, b| interleave::<8, true, N>(a, b);
    Packsswb: |a, b| pack_words(a, b, |v| v.clamp(-128, 127) as u8);
    Packuswb: |a, b| pack_words(a, b, |v| v.clamp(0, 255) as u8);
    Packssdw: |a, b| pack_dwords(a, b);
    Pcmpgtb: |a, b| bytes(a, b, |x, y| mask8(x as i8 > y as i8));
    Pcmpgtw: |a, b| words(a, b, |x, y| mask16(x as i16 > y as i16));
    Pcmpgtd: |a, b| dwords(a, b, |x, y| mask32(x as i32 > y as i32));
    Pcmpeqb: |a, b| bytes(a, b, |x, y| mask8(x == y));
    Pcmpeqw: |a, b| words(a, b, |x, y| mask16(x == y));
    Pcmpeqd: |a, b| dwords(a, b, |x, y| mask32(x == y));
    Paddb: |a, b| bytes(a, b, u8::wrapping_add);
    Paddw: |a, b| words(a, b, u16::wrapping_add);
    Paddd: |a, b| dwords(a, b, u32::wrapping_add);
    Paddq: |a, b| qwords(a, b, u64::wrapping_add);
    Psubb: |a, b| bytes(a, b, u8::wrapping_sub);
    Psubw: |a, b| words(a, b, u16::wrapping_sub);
    Psubd: |a, b| dwords(a, b, u32::wrapping_sub);
    Psubq: |a, b| qwords(a, b, u64::wrapping_sub);
    Paddusb: |a, b| bytes(a, b, u8::saturating_add);
    Paddusw: |a, b| words(a, b, u16::saturating_add);
    Psubusb: |a, b| bytes(a, b, u8::saturating_sub);
    Psubusw: |a, b| words(a, b, u16::saturating_sub);
    Paddsb: |a, b| bytes(a, b, |x, y| (x as i8).saturating_add(y as i8) as u8);
    Paddsw: |a, b| words(a, b, |x, y| (x as i16).saturating_add(y as i16) as u16);
    Psubsb: |a, b| bytes(a, b, |x, y| (x as i8).saturating_sub(y as i8) as u8);
    Psubsw: |a, b| words(a, b, |x, y| (x as i16).saturating_sub(y as i16) as u16);
    Pminub: |a, b| bytes(a, b, Ord::min);
    Pmaxub: |a, b| bytes(a, b, Ord::max);
    Pminsw: |a, b| words(a, b, |x, y| (x as i16).min(y as i16) as u16);
    Pmaxsw: |a, b| words(a, b, |x, y| (x as i16).max(y as i16) as u16);
    Pavgb: |a, b| bytes(a, b, |x, y| ((u16::from(x) + u16::from(y) + 1) >> 1) as u8);
    Pavgw: |a, b| words(a, b, |x, y| ((u32::from(x) + u32::from(y) + 1) >> 1) as u16);
    Pmullw: |a, b| words(a, b, u16::wrapping_mul);
    Pmulhw: |a, b| words(a, b, |x, y| ((i32::from(x as i16) * i32::from(y as i16)) >> 16) as u16);
    Pmulhuw: |a, b| words(a, b, |x, y| ((u32::from(x) * u32::from(y)) >> 16) as u16);
    Pmuludq: |a, b| qwords(a, b, |x, y| u64::from(x as u32) * u64::from(y as u32));
    Pmaddwd: |a, b| dwords(a, b, |x, y| {
        let low = i32::from(x as i16) * i32::from(y as i16);
        let high = i32::from((x >> 16) as i16) * i32::from((y >> 16) as i16);
        low.wrapping_add(high) as u32
    });
    Psadbw: |a, b| {
        let mut r = [0; N];
        for ((r, a), b) in r.chunks_exact_mut(8).zip(a.chunks_exact(8)).zip(b.chunks_exact(8)) {
            let sum: u16 = a.iter().zip(b).map(|(&x, &y)| u16::from(x.abs_diff(y))).sum();
            r[..2].copy_from_slice(&sum.to_le_bytes());
        }
        r
    };
    Pand: |a, b| bytes(a, b, |x, y| x & y);
    Pandn: |a, b| bytes(a, b, |x, y| !x & y);
    Por: |a, b| bytes(a, b, |x, y| x | y);
    Pxor: |a, b| bytes(a, b, |x, y| x ^ y);
}

/// A shift by one count for all elements: PSLLW and so on. A count of the element's width or more gives zero, or
/// the sign for PSRAW and PSRAD.
pub(crate) trait Shift {
    fn apply<const N: usize>(a: [u8; N], count: u64) -> [u8; N];
}

macro_rules! shifts {
    ($($name:ident: $each:ident $t:ty, |$x:ident, $n:ident| $e:expr, $over:expr;)*) => {
        $(
            pub(crate) struct $name;
            impl Shift for $name {
                #[inline(always)]
                fn apply<const N: usize>(a: [u8; N], count: u64) -> [u8; N] {
                    if count >= u64::from(<$t>::BITS) {
                        return $each(a, a, |$x, _| $over);
                    }
                    let $n = count as u32;
                    $each(a, a, |$x, _| $e)
                }
            }
        )*
    };
}

shifts! {
    Psrlw: words u16, |x, n| x >> n, { _ = x; 0 };
    Psrld: dwords u32, |x, n| x >> n, { _ = x; 0 };
    Psrlq: qwords u64, |x, n| x >> n, { _ = x; 0 };
    Psllw: words u16, |x, n| x << n, { _ = x; 0 };
    Pslld: dwords u32, |x, n| x << n, { _ = x; 0 };
    Psllq: qwords u64, |x, n| x << n, { _ = x; 0 };
    Psraw: words u16, |x, n| ((x as i16) >> n) as u16, ((x as i16) >> 15) as u16;
    Psrad: dwords u32, |x, n| ((x as i32) >> n) as u32, ((x as i32) >> 31) as u32;
}

/// The top bit of every byte.
pub(crate) fn sign_mask(b: &[u8]) -> u32 {
    b.iter().enumerate().fold(0, |m, (i, &b)| m | u32::from(b >> 7) << i)
}

/// PSHUFW, PSHUFLW, PSHUFHW: four words by two bits each.
pub(crate) fn shuffle_words(v: u64, order: u32) -> u64 {
    (0..4).fold(0, |r, i| r | (v >> ((order >> (2 * i) & 3) * 16) & 0xffff) << (16 * i))
}
