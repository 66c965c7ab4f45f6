//! Any text as a machine's spec. `cargo +nightly fuzz run spec`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| drop(vmm::spec::MachineSpec::parse(text, "fuzz.toml")));
