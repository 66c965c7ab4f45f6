//! The sound card and the DMA controller. `cargo +nightly fuzz run sound -- -max_len=12000`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| vmm::fuzz::sound(bytes));
