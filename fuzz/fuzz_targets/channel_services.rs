//! Any bytes as a message of the channel's services. `cargo +nightly fuzz run channel-services`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| channel::fuzz::services(bytes));
