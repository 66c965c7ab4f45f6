//! Any bytes as instructions, in both code sizes. `cargo +nightly fuzz run decoder -- -max_len=64`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for big in [false, true] {
        let mut rest = bytes;
        while let Some(d) = cpu::decode_bytes(rest, big) {
            assert!((1..=15).contains(&d.len) && d.len <= rest.len());
            rest = &rest[d.len..];
        }
    }
});
