//! The video BIOS image at C0000h.
//!
//! | offset | what |
//! |---|---|
//! | 0000 | 55 AA, size, initialisation at 3 |
//! | 0028 | PCI data structure |
//! | 0080 | static tables: functionality, save pointer, VBE mode list and strings |
//! | 0300 | entries: INT 10h, window function |
//! | 1000 | fonts: 8x16, 8x14, 8x8 |
//! | 4000 | kernel |

use iced_x86::IcedError;

use crate::font;
use crate::rom::entries::{far_trap, trap};
use crate::rom::kernel::{KERNEL, Kernel};
use crate::rom::{checksum, put};
use crate::services::svc;

pub const INT10: u16 = 0x0300;
pub const INIT: u16 = 0x0310;
pub const WINDOW: u16 = 0x0320;
pub const STATIC_TABLE: u16 = 0x0080;
pub const SAVE_POINTERS: u16 = 0x00a0;
pub const VIDEO_PARAMS: u16 = 0x0700;
pub const OEM_STRING: u16 = 0x0100;
pub const VENDOR_STRING: u16 = 0x0140;
pub const PRODUCT_STRING: u16 = 0x0160;
pub const REVISION_STRING: u16 = 0x0180;
pub const FONT16: u16 = 0x1000;
pub const FONT14: u16 = 0x2000;
pub const FONT8: u16 = 0x2e00;
/// The upper half of the 8x8 font, INT 1Fh.
pub const FONT8_HIGH: u16 = FONT8 + 1024;

/// Static functionality table, VGA: modes 0-13h, all scan lines, all functions. RBIL, INT 10h AH=1Bh.
const FUNCTIONALITY: [u8; 16] = [0xff, 0xe0, 0x0f, 0, 0, 0, 0, 0x07, 2, 8, 0xe7, 0x0c, 0, 0, 0, 0];

pub fn fill(rom: &mut [u8], k: &Kernel) -> Result<(), IcedError> {
    rom.fill(0);
    put(rom, 0, &[0x55, 0xaa, (rom.len() / 512) as u8]);
    // Near jump to the initialisation, which returns far.
    let rel = (INIT - 6).to_le_bytes();
    put(rom, 3, &[0xe9, rel[0], rel[1]]);
    put(rom, 0x18, &[0x28, 0x00]);
    // Programs look for "IBM" at C000:001E to tell a VGA.
    put(rom, 0x1e, b"IBM");
    put(rom, 0x28, &pcir(rom.len()));
    put(rom, STATIC_TABLE, &FUNCTIONALITY);
    let mut save = [0u8; 28];
    save[..4].copy_from_slice(&[VIDEO_PARAMS as u8, (VIDEO_PARAMS >> 8) as u8, 0x00, 0xc0]);
    put(rom, SAVE_POINTERS, &save);
    put(rom, OEM_STRING, b"S3 Incorporated. Trio64\0");
    put(rom, VENDOR_STRING, b"Heirloom\0");
    put(rom, PRODUCT_STRING, b"Virtual PC S3 Trio64\0");
    put(rom, REVISION_STRING, b"1.0\0");
    put(rom, VIDEO_PARAMS, &crate::video::modes::parameter_table());
    put(rom, INT10, &trap(INT10, 0x10, k.enter_plain));
    put(rom, INIT, &far_trap(INIT, svc::VIDEO_INIT, k.enter_plain));
    put(rom, WINDOW, &far_trap(WINDOW, svc::VBE_WINDOW, k.enter_plain));
    put(rom, FONT16, &font::font16());
    put(rom, FONT14, &font::font14());
    put(rom, FONT8, &font::font8());
    put(rom, KERNEL, &k.code);
    let last = rom.len() - 1;
    rom[last] = 0;
    rom[last] = checksum(rom);
    Ok(())
}

/// PCI data structure. PCI 2.1, 6.3.1.2.
fn pcir(len: usize) -> [u8; 24] {
    let mut p = [0; 24];
    p[..4].copy_from_slice(b"PCIR");
    p[4..8].copy_from_slice(&[0x33, 0x53, 0x11, 0x88]);
    p[0x0a] = 24;
    p[0x0d..0x10].copy_from_slice(&[0, 0, 3]);
    p[0x10] = (len / 512) as u8;
    p[0x12] = 1;
    p[0x15] = 0x80;
    p
}
