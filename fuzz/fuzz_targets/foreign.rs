//! Any bytes as an image of another program: QCOW2, VMDK, VHDX. `cargo +nightly fuzz run foreign -- -max_len=4000000`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| host_io::disk::fuzz_foreign(bytes));
