//! Commands of the display adapter's drawing engine. `cargo +nightly fuzz run video -- -max_len=12000`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| vmm::fuzz::video(bytes));
