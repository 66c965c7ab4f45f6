//! The RFB fuzz target for every build: random and near-right messages for a time (`HEIRLOOM_FUZZ_SECS`, 2 unless told).

use std::time::{Duration, Instant};

use host_io::display::vnc::parse_client_message;

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
fn any_bytes_are_a_message_a_wait_or_a_refusal() {
    let secs = std::env::var("HEIRLOOM_FUZZ_SECS").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    let end = Instant::now() + Duration::from_secs(secs);
    let mut rng = Rng(0x0123_4567_89ab_cdef);
    let mut runs = 0_u64;
    let mut messages = 0_u64;
    while !runs.is_multiple_of(1024) || Instant::now() < end {
        runs += 1;
        let len = (rng.next() % 200) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| (rng.next() >> 40) as u8).collect();
        // Mostly a type that exists, and small counts.
        if let Some(first) = bytes.first_mut()
            && !rng.next().is_multiple_of(4)
        {
            *first = (rng.next() % 7) as u8;
        }
        for b in bytes.iter_mut().take(4).skip(1) {
            if rng.next().is_multiple_of(2) {
                *b = 0;
            }
        }
        let mut rest = &bytes[..];
        while let Ok(Some((_, n))) = parse_client_message(rest) {
            assert!(n > 0 && n <= rest.len(), "run {runs}: {rest:02x?} took {n}");
            messages += 1;
            rest = &rest[n..];
        }
    }
    println!("{runs} byte strings, {messages} messages");
    assert!(messages > 0, "nothing was a message: the test tests nothing");
}
