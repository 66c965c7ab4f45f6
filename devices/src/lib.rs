//! Every chip of the Virtual PC board.
//!
//! A folder per chip: `mod.rs` (what it is, its windows, what is not emulated, sources), `regs.rs` (the register
//! map), `state.rs` (saved types), `tests.rs`. Chips know `board`, `ram` and wire formats alone: no other chip, no host, no
//! clock but guest time. How they are wired is `vmm/src/board_map.rs`.
#![forbid(unsafe_code)]

pub mod ata;
pub mod audio;
pub mod channel;
pub mod chipset;
pub mod isa;
pub mod net;
pub mod smbus;
pub mod video;
