//! Saved states that somebody changed. `cargo +nightly fuzz run state -- -max_len=64`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = vmm::fuzz::state(bytes);
});
