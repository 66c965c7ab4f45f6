//! A mode 1 sector of 2352 bytes round the 2048 that an image holds. ECMA-130 clause 14 and annex A.

use super::read::Fields;

const SYNC: [u8; 12] = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];

/// EDC, 14.3: CRC with P(x) = (x^16 + x^15 + x^2 + 1)(x^16 + x^2 + x + 1), least significant bit first.
const EDC: [u32; 256] = {
    let mut t = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut v = n as u32;
        let mut bit = 0;
        while bit < 8 {
            v = if v & 1 != 0 { v >> 1 ^ 0xd801_8001 } else { v >> 1 };
            bit += 1;
        }
        t[n] = v;
        n += 1;
    }
    t
};

fn edc(b: &[u8]) -> u32 {
    b.iter().fold(0, |c, v| c >> 8 ^ EDC[((c ^ u32::from(*v)) & 0xff) as usize])
}

/// Times alpha in GF(2^8), A.2: x^8 + x^4 + x^3 + x^2 + 1.
fn double(v: u8) -> u8 {
    v << 1 ^ if v & 0x80 != 0 { 0x1d } else { 0 }
}

fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        a = double(a);
        b >>= 1;
    }
    product
}

/// 1 / (alpha + 1).
const INVERSE: u8 = 0xf4;

/// Two parity bytes after a vector, so that both its sum and its sum weighted with powers of alpha vanish
/// (annex A: the check matrix has the rows 1 ... 1 and alpha^(n-1) ... alpha, 1).
fn parity(bytes: impl Iterator<Item = u8>) -> (u8, u8) {
    let (mut sum, mut weighted) = (0, 0);
    for v in bytes {
        sum ^= v;
        weighted = double(weighted) ^ v;
    }
    // With parities p, q: sum + p + q = 0 and alpha^2 * weighted + alpha * p + q = 0.
    let p = multiply(INVERSE, double(double(weighted)) ^ sum);
    (p, p ^ sum)
}

/// P and Q over bytes 12 to 2075 (and P for Q), into bytes 2076 to 2351.
fn ecc(s: &mut [u8; 2352]) {
    // Two planes, of the even and of the odd bytes; in each, 43 columns of 24 bytes.
    for plane in 0..2 {
        let at = |n: usize| 12 + 2 * n + plane;
        for column in 0..43 {
            let (p, q) = parity((0..24).map(|row| s[at(43 * row + column)]));
            s[at(43 * 24 + column)] = p;
            s[at(43 * 25 + column)] = q;
        }
        // 26 diagonals of 43 bytes, through data and P parity.
        for diagonal in 0..26 {
            let of = (0..43).map(|n| s[at((43 * diagonal + 44 * n) % 1118)]);
            let (p, q) = parity(of);
            s[at(43 * 26 + diagonal)] = p;
            s[at(43 * 26 + 26 + diagonal)] = q;
        }
    }
}

fn bcd(v: u32) -> u8 {
    (v / 10 % 10 * 16 + v % 10) as u8
}

/// The whole sector.
pub(super) fn whole(lba: u32, user: &[u8]) -> [u8; 2352] {
    let mut s = [0; 2352];
    s[..12].copy_from_slice(&SYNC);
    let frames = lba.saturating_add(150);
    s[12..16].copy_from_slice(&[bcd(frames / 75 / 60), bcd(frames / 75 % 60), bcd(frames % 75), 1]);
    s[16..2064].copy_from_slice(user);
    let sum = edc(&s[..2064]);
    s[2064..2068].copy_from_slice(&sum.to_le_bytes());
    ecc(&mut s);
    s
}

/// The fields asked for, in their order.
pub(super) fn append(out: &mut Vec<u8>, lba: u32, user: &[u8], fields: Fields) {
    let s = whole(lba, user);
    for (wanted, part) in [
        (fields.sync(), 0..12),
        (fields.header(), 12..16),
        (fields.user(), 16..2064),
        (fields.edc_ecc(), 2064..2352),
    ] {
        if wanted {
            out.extend_from_slice(&s[part]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ECMA-130 A: both syndromes of every P and Q vector are zero.
    #[test]
    fn every_vector_of_the_product_code_checks() {
        let user: Vec<u8> = (0..2048_u32).map(|n| (n * 7 + n / 256) as u8).collect();
        let s = whole(1234, &user);
        let check = |v: &[u8]| {
            let sum = v.iter().fold(0, |s, b| s ^ b);
            let weighted = v.iter().fold(0, |s, b| double(s) ^ b);
            assert_eq!((sum, weighted), (0, 0));
        };
        for plane in 0..2 {
            let at = |n: usize| s[12 + 2 * n + plane];
            for c in 0..43 {
                check(&(0..26).map(|r| at(43 * r + c)).collect::<Vec<_>>());
            }
            for d in 0..26 {
                let mut v: Vec<u8> = (0..43).map(|n| at((43 * d + 44 * n) % 1118)).collect();
                v.extend([at(1118 + d), at(1118 + 26 + d)]);
                check(&v);
            }
        }
        assert_eq!(edc(&s[..2068]), 0, "a CRC over data and its own value vanishes");
    }

    #[test]
    fn multiplication_has_the_inverse_that_we_use() {
        assert_eq!(multiply(INVERSE, 3), 1);
        assert_eq!(multiply(0x80, 2), 0x1d);
    }
}
