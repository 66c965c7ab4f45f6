//! Random port and memory accesses over the whole board. `cargo +nightly fuzz run board -- -max_len=20000`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| vmm::fuzz::board(bytes));
