//! The ROM image.
//!
//! 256 KiB, byte 0 at physical C0000h (and again at FFFC0000h):
//! | offset | address | what |
//! |---|---|---|
//! | 00000 | C0000 | video BIOS, 32 KiB |
//! | 08000 | C8000 | empty: option ROMs of other cards |
//! | 20000 | E0000 | empty |
//! | 30000 | F0000 | system BIOS, 64 KiB |
//!
//! POST shadows both in RAM and adds what depends on the machine (memory size, tables).

pub mod asm;
pub mod entries;
pub mod kernel;
pub mod pci32;
pub mod tables;
pub mod video;

use iced_x86::IcedError;

use kernel::Kernel;

pub const IMAGE: usize = 256 * 1024;
/// Physical address of the image's first byte below 1 MiB.
pub const IMAGE_AT: u32 = 0xc_0000;
/// Offset of the system BIOS in the image.
pub const SYSTEM: usize = 0x3_0000;
pub const VIDEO_BYTES: usize = 0x8000;
/// Segments of the two ROMs.
pub const SYSTEM_SEG: u16 = 0xf000;
pub const VIDEO_SEG: u16 = 0xc000;

/// MM/DD/YY at F000:FFF5 and in SMBIOS. Fixed: systems remember it.
pub const DATE: &str = "02/22/06";

/// The image and what services must know of it.
pub struct Rom {
    pub image: Vec<u8>,
    pub kernel: Kernel,
    pub pci32: pci32::Pci32,
}

impl Rom {
    /// # Errors
    /// Never with the code of this crate: tests assemble all of it.
    pub fn assemble() -> Result<Self, IcedError> {
        let kernel = Kernel::assemble()?;
        let pci32 = pci32::Pci32::assemble()?;
        let mut image = vec![0xff; IMAGE];
        video::fill(&mut image[..VIDEO_BYTES], &kernel)?;
        let system = &mut image[SYSTEM..];
        system.fill(0);
        put(system, kernel::KERNEL, &kernel.code);
        put(system, pci32::PCI32, &pci32.code);
        entries::fill(system, &kernel)?;
        tables::fill(system, &pci32);
        let sum = checksum(system);
        system[0xffff] = sum;
        Ok(Self { image, kernel, pci32 })
    }
}

/// The byte that makes a run sum to zero, its own place counted as it is now.
pub fn checksum(bytes: &[u8]) -> u8 {
    0u8.wrapping_sub(bytes.iter().fold(0, |s: u8, b| s.wrapping_add(*b)))
}

/// Places code or a table.
///
/// # Panics
/// If something else is there already: the layout is ours, and tests build it.
pub fn put(rom: &mut [u8], at: u16, bytes: &[u8]) {
    let to = &mut rom[usize::from(at)..usize::from(at) + bytes.len()];
    assert!(to.iter().all(|b| *b == 0), "the ROM has two things at {at:04x}");
    to.copy_from_slice(bytes);
}
