//! Random accesses to the whole board, on stable Rust; `fuzz/` has the same with coverage.

use std::time::{Duration, Instant};

/// Seconds for each target: `HEIRLOOM_FUZZ_SECS`.
fn patience() -> Duration {
    let secs = std::env::var("HEIRLOOM_FUZZ_SECS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(secs.unwrap_or(3))
}

#[test]
fn random_accesses_do_not_panic() {
    let end = Instant::now() + patience();
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    let mut runs = 0;
    while Instant::now() < end {
        let seed = x;
        let bytes: Vec<u8> = (0..20_000)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                (x >> 24) as u8
            })
            .collect();
        let done = std::panic::catch_unwind(|| crate::fuzz::board(&bytes));
        assert!(done.is_ok(), "seed {seed:#x}");
        runs += 1;
    }
    println!("{runs} boards of 4000 accesses");
}
