//! Any frames from a guest, each behind its length in two bytes. `cargo +nightly fuzz run nat -- -max_len=20000`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| host_io::net::nat::fuzz_frames(bytes));
