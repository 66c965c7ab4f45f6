//! The firmware of the machine: system BIOS, video BIOS, ACPI and SMBIOS tables.
//!
//! The ROM holds entry points and a small kernel of 16-bit code ([`rom`]). A service is a Rust `async fn` behind
//! the trap port ([`Firmware`], a chip of the board): the entry stub passes the caller's registers through the
//! port and then executes micro-operations for the service until it is done. All bus traffic is the guest
//! processor's own, so services work the same from real mode, V86 mode and under instruction emulators.
//! See docs/design/firmware.md.

mod acpi;
mod bda;
mod boot;
mod bus;
mod clock;
mod config;
mod disk;
mod font;
mod frame;
mod keyboard;
mod mouse;
mod pcibios;
mod post;
pub mod rom;
mod serial;
mod services;
mod smbios;
mod state;
mod system;
mod trap;
mod video;
pub mod wiring;
mod world;

use post::memory::put as post_put;

pub use config::{BootDevice, BootFile, Config, LinuxImage};
pub use state::{Drive, Shared};
pub use trap::{Firmware, TRAP, TRAP_AT};
pub use world::World;

/// The ROM image of 256 KiB, its first byte at physical C0000h and FFFC0000h; see [`rom`].
pub fn rom_image() -> Vec<u8> {
    world::rom().image
}

/// The video BIOS by itself, for a card in a machine with another BIOS. It needs the trap port ([`Firmware`]) too.
pub fn video_rom() -> Vec<u8> {
    let mut image = rom_image();
    image.truncate(rom::VIDEO_BYTES);
    image
}

#[cfg(test)]
mod tests;
