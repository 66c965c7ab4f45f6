//! What random tests share: numbers from a seed, so that a failure comes again, and for how long to draw them.
//!
//! A dev-dependency only; nothing that is shipped depends on it.

use std::time::{Duration, Instant};

/// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The one seed that it can't have is taken for another.
    pub const fn new(seed: u64) -> Self {
        Self(if seed == 0 { 0x9e37_79b9_7f4a_7c15 } else { seed })
    }

    /// The seed from which it would go on as it does.
    pub fn state(&self) -> u64 {
        self.0
    }

    #[expect(clippy::should_implement_trait, reason = "it has no end, and is no iterator in any test")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to n - 1; n is not 0. The highest bits are the best ones.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.byte()).collect()
    }

    pub fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
}

/// Runs a fuzz target's sister test again and again for `HEIRLOOM_FUZZ_SECS` seconds, 2 unless told; returns how
/// often. A panic is preceded by the seed with which that run began.
pub fn for_a_while(mut run: impl FnMut(&mut Rng)) -> u64 {
    struct Tell(u64);
    impl Drop for Tell {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the run that failed began with Rng::new({:#x})", self.0);
            }
        }
    }
    let secs = std::env::var("HEIRLOOM_FUZZ_SECS").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    let end = Instant::now() + Duration::from_secs(secs);
    let mut rng = Rng::new(0);
    let mut runs = 0;
    while Instant::now() < end {
        let tell = Tell(rng.state());
        run(&mut rng);
        drop(tell);
        runs += 1;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_a_seed() {
        let mut a = Rng::new(7);
        a.bytes(100);
        let mut b = Rng::new(a.state());
        assert_eq!(a.bytes(100), b.bytes(100));
    }

    #[test]
    fn every_number_below_comes_about_equally_often() {
        let mut r = Rng::new(0);
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[r.index(10)] += 1);
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
    }
}
