//! Any bytes from a VNC viewer. `cargo +nightly fuzz run rfb`
#![no_main]

use host_io::display::vnc::parse_client_message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((_, n))) = parse_client_message(rest) {
        rest = &rest[n..];
    }
});
