//! Small numbers in few bytes, one behind the other: for what is kept of each translation, of which there are many, and
//! seldom looked at.

/// Seven bits a byte, low ones first; all bytes but the last have bit 7 set.
pub(super) fn put(to: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        to.push(n as u8 | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

/// A number that is near 0 on either side, modulo 2^32.
pub(super) fn put_signed(to: &mut Vec<u8>, n: u32) {
    put(to, n << 1 ^ (n as i32 >> 31) as u32);
}

/// Reads them again.
#[derive(Clone)]
pub(super) struct Numbers<'a>(pub(super) &'a [u8]);

impl Numbers<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// 0 behind the end.
    #[inline(always)]
    pub(super) fn take(&mut self) -> u32 {
        let (mut n, mut shift) = (0, 0);
        while let Some((&b, rest)) = self.0.split_first() {
            self.0 = rest;
            n |= u32::from(b & 0x7f) << shift;
            if b < 0x80 {
                break;
            }
            shift += 7;
        }
        n
    }

    #[inline(always)]
    pub(super) fn take_signed(&mut self) -> u32 {
        let n = self.take();
        n >> 1 ^ (n & 1).wrapping_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken() {
        let all: Vec<u32> =
            (0..32).flat_map(|n| [1 << n, (1_u32 << n) - 1, !(1 << n)]).chain([u32::MAX]).collect();
        let mut bytes = Vec::new();
        for &n in &all {
            put(&mut bytes, n);
            put_signed(&mut bytes, n);
        }
        let mut numbers = Numbers(&bytes);
        for &n in &all {
            assert_eq!([numbers.take(), numbers.take_signed()], [n, n]);
        }
        assert!(numbers.is_empty() && numbers.take() == 0);
    }

    #[test]
    fn small_ones_take_a_byte() {
        let mut bytes = Vec::new();
        put(&mut bytes, 127);
        for n in [0, 63, 0_u32.wrapping_sub(64)] {
            put_signed(&mut bytes, n);
        }
        assert_eq!(bytes.len(), 4);
    }
}
