//! Any bytes as a VHD to repair, and as what is kept of a repair. `cargo +nightly fuzz run repair -- -max_len=300000`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| host_io::disk::fuzz_repair(bytes));
