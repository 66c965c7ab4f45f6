//! Configurations of Virtual PC. `cargo +nightly fuzz run vmc -- -max_len=8000`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = vmm::fuzz::vmc(bytes);
});
