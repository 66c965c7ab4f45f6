//! The decoder's fuzz target for every build: random bytes for a time (`HEIRLOOM_FUZZ_SECS`, 2 unless told).

use std::time::{Duration, Instant};

/// xorshift64*: repeatable, and good enough to mix bytes.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[test]
fn any_bytes_decode_within_fifteen_and_within_what_is_there() {
    const PREFIXES: [u8; 11] = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
    let secs = std::env::var("HEIRLOOM_FUZZ_SECS").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    let end = Instant::now() + Duration::from_secs(secs);
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    let mut runs = 0_u64;
    while !runs.is_multiple_of(1024) || Instant::now() < end {
        runs += 1;
        let len = (rng.next() % 24) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| (rng.next() >> 32) as u8).collect();
        for b in bytes.iter_mut().take((rng.next() % 16) as usize) {
            if rng.next().is_multiple_of(2) {
                *b = PREFIXES[(rng.next() % 11) as usize];
            }
        }
        for big in [false, true] {
            let Some(d) = cpu::decode_bytes(&bytes, big) else { continue };
            assert!(
                (1..=15).contains(&d.len) && d.len <= bytes.len(),
                "run {runs}: {bytes:02x?} big {big}: {d:?}"
            );
            // What lies behind an instruction does not change it.
            let again = cpu::decode_bytes(&bytes[..d.len], big);
            assert_eq!(
                again.map(|a| (a.len, a.name)),
                Some((d.len, d.name)),
                "run {runs}: {bytes:02x?} big {big}"
            );
        }
    }
    println!("{runs} byte strings");
}
