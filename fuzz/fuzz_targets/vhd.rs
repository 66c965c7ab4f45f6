//! Any bytes as a hard disk's image: opened, read, written. `cargo +nightly fuzz run vhd -- -max_len=300000`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| host_io::disk::fuzz_open(bytes));
