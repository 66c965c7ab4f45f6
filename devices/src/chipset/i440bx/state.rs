//! Saved state of the host bridge.

use board::{StateError, StateIn, StateOut};
use minicbor::{Decode, Encode};

use super::{I440bx, Regs};

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct BridgeV1 {
    #[cbor(n(0), with = "minicbor::bytes")]
    config: [u8; 256],
    #[n(1)]
    svid_written: bool,
}

pub(super) fn save(b: &I440bx, out: &mut StateOut) {
    let I440bx { rom: _, rom_pages: _, regs: Regs { config, svid_written } } = b;
    out.put(VERSION, &BridgeV1 { config: *config.bytes(), svid_written: *svid_written });
}

pub(super) fn load(b: &mut I440bx, s: &StateIn<'_>) -> Result<(), StateError> {
    let BridgeV1 { config, svid_written } = s.get(VERSION)?;
    b.regs.config.set_bytes(&config);
    b.regs.svid_written = svid_written;
    Ok(())
}
