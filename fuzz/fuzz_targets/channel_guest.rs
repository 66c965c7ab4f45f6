//! Any bytes in the channel's window, before the guest's end. `cargo +nightly fuzz run channel-guest -- -max_len=8192`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| channel::fuzz::guest(bytes));
