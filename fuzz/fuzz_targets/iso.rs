//! Any bytes as a CD's image. `cargo +nightly fuzz run iso -- -max_len=140000`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| host_io::disk::fuzz_iso(bytes));
