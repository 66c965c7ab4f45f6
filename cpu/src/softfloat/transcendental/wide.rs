//! Numbers with a 128-bit significand, and the constants in them (rounded to nearest from 400 bits).
//!
//! Results are cut off, not rounded: each operation is good to about one unit in the last place of 128 bits, and
//! what is kept of it in the end is 64 bits.

use super::super::Num;
use super::super::round::Wide;

/// `sig / 2^127 * 2^exp`; the top bit of `sig` is set, or `sig` is 0 for zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct X {
    pub neg: bool,
    pub exp: i32,
    pub sig: u128,
}

pub(super) const LN2: X = X { neg: false, exp: -1, sig: 0xb17217f7d1cf79abc9e3b39803f2f6af };
pub(super) const LOG2E: X = X { neg: false, exp: 0, sig: 0xb8aa3b295c17f0bbbe87fed0691d3e89 };
pub(super) const PI: X = X { neg: false, exp: 1, sig: 0xc90fdaa22168c234c4c6628b80dc1cd1 };
pub(super) const PI_2: X = X { neg: false, exp: 0, sig: 0xc90fdaa22168c234c4c6628b80dc1cd1 };
pub(super) const PI_4: X = X { neg: false, exp: -1, sig: 0xc90fdaa22168c234c4c6628b80dc1cd1 };
pub(super) const THREE_PI_4: X = X { neg: false, exp: 1, sig: 0x96cbe3f9990e91a79394c9e8a0a5159d };
pub(super) const LOG2_10: X = X { neg: false, exp: 1, sig: 0xd49a784bcd1b8afe492bf6ff4dafdb4d };
pub(super) const LOG10_2: X = X { neg: false, exp: -2, sig: 0x9a209a84fbcff7988f8959ac0b7c9178 };
/// atan(k / 16), k = 1..=16.
pub(super) const ATAN_16TH: [X; 16] = [
    X { neg: false, exp: -5, sig: 0xffaaddb967ef4e36cb2792dc0e2e0d51 },
    X { neg: false, exp: -4, sig: 0xfeadd4d5617b6e32c897989f3e888ef8 },
    X { neg: false, exp: -3, sig: 0xbdcbda5e72d811347b0b4f881c9c7488 },
    X { neg: false, exp: -3, sig: 0xfadbafc96406eb156dc79ef5f7a217e6 },
    X { neg: false, exp: -2, sig: 0x9b13b9b83f5e5e69c5abb498d27af328 },
    X { neg: false, exp: -2, sig: 0xb7b0ca0f26f784738aa32122dcfe4483 },
    X { neg: false, exp: -2, sig: 0xd327761e611fe5b6427c95e9001e7136 },
    X { neg: false, exp: -2, sig: 0xed63382b0dda7b456fe445ecbc3a8d03 },
    X { neg: false, exp: -1, sig: 0x832bf4a6d9867e2a4b6a09cb61a515c1 },
    X { neg: false, exp: -1, sig: 0x8f005d5ef7f59f9b5c835e1665c43748 },
    X { neg: false, exp: -1, sig: 0x9a2f80e671bdda204226f8e2204ff3bd },
    X { neg: false, exp: -1, sig: 0xa4bc7d1934f7092419a87f2a457dac9f },
    X { neg: false, exp: -1, sig: 0xaeac4c38b4d8c08014725e2f3e52070a },
    X { neg: false, exp: -1, sig: 0xb8053e2bc2319e73cb2da55210a4443d },
    X { neg: false, exp: -1, sig: 0xc0ce85b8ac52664089dd62c46e92fa25 },
    X { neg: false, exp: -1, sig: 0xc90fdaa22168c234c4c6628b80dc1cd1 },
];

impl X {
    pub(super) const ZERO: Self = Self { neg: false, exp: 0, sig: 0 };
    pub(super) const ONE: Self = Self { neg: false, exp: 0, sig: 1 << 127 };

    /// Of a finite number, sign dropped.
    pub(super) fn magnitude(n: &Num) -> Self {
        Self { neg: false, exp: n.exp, sig: u128::from(n.sig) << 64 }
    }

    pub(super) fn of(n: &Num) -> Self {
        Self { neg: n.neg, ..Self::magnitude(n) }
    }

    /// From `v / 2^127 * 2^exp` with leading zeroes.
    pub(super) fn normalised(neg: bool, exp: i32, v: u128) -> Self {
        if v == 0 {
            return Self::ZERO;
        }
        let lz = v.leading_zeros();
        Self { neg, exp: exp - lz as i32, sig: v << lz }
    }

    pub(super) fn from_int(v: i32) -> Self {
        Self::normalised(v < 0, 127, u128::from(v.unsigned_abs()))
    }

    pub(super) fn with_sign(self, neg: bool) -> Self {
        Self { neg, ..self }
    }

    pub(super) fn negated(self) -> Self {
        Self { neg: !self.neg, ..self }
    }

    /// In units of 2^-128, for magnitudes below 1.
    pub(super) fn fraction(self) -> u128 {
        self.sig.checked_shr((-1 - self.exp) as u32).unwrap_or(0)
    }

    pub(super) fn mul(self, o: Self) -> Self {
        let neg = self.neg != o.neg;
        Self::normalised(neg, self.exp + o.exp + 1, mul_high(self.sig, o.sig))
    }

    pub(super) fn add(self, o: Self) -> Self {
        if self.sig == 0 {
            return o;
        }
        if o.sig == 0 {
            return self;
        }
        let (a, b) = if (self.exp, self.sig) >= (o.exp, o.sig) { (self, o) } else { (o, self) };
        let d = (a.exp - b.exp) as u32;
        if a.neg == b.neg {
            let (sum, carry) = a.sig.overflowing_add(b.sig.checked_shr(d).unwrap_or(0));
            if carry {
                return Self { neg: a.neg, exp: a.exp + 1, sig: sum >> 1 | 1 << 127 };
            }
            return Self { neg: a.neg, exp: a.exp, sig: sum };
        }
        // What is shifted out still makes the difference smaller.
        let small = match b.sig.checked_shr(d) {
            Some(s) => s + u128::from(d != 0 && s << d != b.sig),
            None => 1,
        };
        Self::normalised(a.neg, a.exp, a.sig - small)
    }

    pub(super) fn sub(self, o: Self) -> Self {
        self.add(o.negated())
    }

    /// Cut off to the 67 bits that Intel's processors keep of intermediate results.
    pub(super) const fn cut(self) -> Self {
        Self { sig: self.sig >> 61 << 61, ..self }
    }

    pub(super) fn div(self, o: Self) -> Self {
        let neg = self.neg != o.neg;
        if self.sig == 0 {
            return Self::ZERO;
        }
        let exp = self.exp - o.exp;
        if self.sig >= o.sig {
            // 1.xxx
            let q = div_fraction(self.sig - o.sig, o.sig);
            return Self { neg, exp, sig: 1 << 127 | q >> 1 };
        }
        Self::normalised(neg, exp - 1, div_fraction(self.sig, o.sig))
    }

    /// For rounding. A transcendental value is never representable, so it is always inexact.
    pub(super) fn inexact(self) -> Wide {
        Wide::Sum { neg: self.neg, exp: self.exp, sig: self.sig | 1 }
    }
}

/// The high half of the product.
pub(super) fn mul_high(a: u128, b: u128) -> u128 {
    let (a1, a0) = (a >> 64, a & u128::from(u64::MAX));
    let (b1, b0) = (b >> 64, b & u128::from(u64::MAX));
    let (mid1, mid2) = (a1 * b0, a0 * b1);
    let low = ((a0 * b0) >> 64) + (mid1 & u128::from(u64::MAX)) + (mid2 & u128::from(u64::MAX));
    a1 * b1 + (mid1 >> 64) + (mid2 >> 64) + (low >> 64)
}

/// floor(a * 2^128 / b) for a < b, top bit of b set. Two steps of long division by 64-bit digits.
fn div_fraction(a: u128, b: u128) -> u128 {
    let (b1, b0) = (b >> 64, b & u128::from(u64::MAX));
    let digit = |a: u128| {
        // a * 2^64 / b, a < b. The estimate from the top digit is at most two too large.
        let mut q = (a / b1).min(u128::from(u64::MAX));
        let mut r = a - q * b1;
        while r >> 64 == 0 && q * b0 > r << 64 {
            q -= 1;
            r += b1;
        }
        let rest = (a << 64).wrapping_sub((q * b1) << 64).wrapping_sub(q * b0);
        (q, rest)
    };
    let (q1, r) = digit(a);
    let (q0, _) = digit(r);
    q1 << 64 | q0
}
