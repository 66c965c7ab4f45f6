//! Any bytes and moments for an end of the channel's serial link. `cargo +nightly fuzz run channel-serial`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| channel::fuzz::serial(bytes));
