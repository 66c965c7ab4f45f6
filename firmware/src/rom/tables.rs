//! Tables at fixed places of the F segment.

use crate::rom::pci32::Pci32;
use crate::rom::{checksum, put};
use crate::wiring;

/// BIOS32 service directory header.
pub const BIOS32: u16 = 0x5600;
/// $PIR interrupt routing table.
pub const PIR: u16 = 0x5620;
/// $PnP installation check structure; POST puts it here when all is up.
pub const PNP: u16 = 0x5700;
/// ACPI root pointer, written by POST.
pub const RSDP: u16 = 0x5740;
/// SMBIOS entry point, written by POST.
pub const SMBIOS: u16 = 0x5760;
/// SMBIOS structures, written by POST.
pub const SMBIOS_TABLE: u16 = 0x8000;
/// Diskette tables for INT 13h AH=08h by drive type 0-7, 16 bytes apart.
pub const DISKETTES: u16 = 0x5800;
/// INT 15h AH=C0h.
pub const CONFIG: u16 = 0xe6f5;
/// INT 1Eh.
pub const DISKETTE: u16 = 0xefc7;

/// Step rate and head times, motor-off ticks, sector size code, sectors, gap, data length, format gap, fill, head settle,
/// motor start, then maximum track and data rate.
const DISKETTE_TYPES: [[u8; 13]; 7] = [
    [0xaf, 0x02, 0x25, 2, 18, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08, 79, 0x00],
    [0xdf, 0x02, 0x25, 2, 9, 0x2a, 0xff, 0x50, 0xf6, 0x0f, 0x08, 39, 0x80],
    [0xdf, 0x02, 0x25, 2, 15, 0x1b, 0xff, 0x54, 0xf6, 0x0f, 0x08, 79, 0x00],
    [0xdf, 0x02, 0x25, 2, 9, 0x2a, 0xff, 0x50, 0xf6, 0x0f, 0x08, 79, 0x80],
    [0xaf, 0x02, 0x25, 2, 18, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08, 79, 0x00],
    [0xaf, 0x02, 0x25, 2, 36, 0x1b, 0xff, 0x54, 0xf6, 0x0f, 0x08, 79, 0xc0],
    [0xaf, 0x02, 0x25, 2, 36, 0x1b, 0xff, 0x54, 0xf6, 0x0f, 0x08, 79, 0xc0],
];

pub fn fill(rom: &mut [u8], pci32: &Pci32) {
    let mut b = [0u8; 16];
    b[..4].copy_from_slice(b"_32_");
    b[4..8].copy_from_slice(&(0xf_0000 + u32::from(pci32.directory)).to_le_bytes());
    b[9] = 1;
    b[10] = checksum(&b);
    put(rom, BIOS32, &b);
    put(rom, PIR, &pir());
    // Size 8, model FCh, submodel 1, revision 0, features 74h and 40h (see facts on INT 15h C0h).
    put(rom, CONFIG, &[8, 0, 0xfc, 1, 0, 0x74, 0x40, 0, 0, 0]);
    put(rom, DISKETTE, &DISKETTE_TYPES[4][..11]);
    for (i, t) in DISKETTE_TYPES.iter().enumerate() {
        put(rom, DISKETTES + 16 * i as u16, t);
    }
    // Divisors of 1.8432 MHz / 16 for 110 to 9600 baud.
    let baud = [0x417u16, 0x300, 0x180, 0xc0, 0x60, 0x30, 0x18, 0x0c];
    let bytes: Vec<u8> = baud.iter().flat_map(|d| d.to_le_bytes()).collect();
    put(rom, 0xe729, &bytes);
    // CRTC parameters of the CGA, INT 1Dh: 40x25, 80x25, graphics, mono.
    put(
        rom,
        0xf0a4,
        &[
            0x38, 0x28, 0x2d, 0x0a, 0x1f, 0x06, 0x19, 0x1c, 0x02, 0x07, 0x06, 0x07, 0, 0, 0, 0, //
            0x71, 0x50, 0x5a, 0x0a, 0x1f, 0x06, 0x19, 0x1c, 0x02, 0x07, 0x06, 0x07, 0, 0, 0, 0, //
            0x38, 0x28, 0x2d, 0x0a, 0x7f, 0x06, 0x64, 0x70, 0x02, 0x01, 0x06, 0x07, 0, 0, 0, 0, //
            0x61, 0x50, 0x52, 0x0f, 0x19, 0x06, 0x19, 0x19, 0x02, 0x0d, 0x0b, 0x0c, 0, 0, 0, 0, //
            0x00, 0x08, 0x00, 0x10, 0x00, 0x40, 0x00, 0x40, 40, 40, 80, 80, 40, 40, 80, 80, //
            0x2c, 0x28, 0x2d, 0x29, 0x2a, 0x2e, 0x1e, 0x29,
        ],
    );
    put(rom, 0xfa6e, &crate::font::font8()[..1024]);
}

/// PCI IRQ routing table, version 1.0: the slots of the board and their links, which are the PIIX4's PIRQRC registers.
pub fn pir() -> Vec<u8> {
    let slots = wiring::SLOTS;
    let size = 32 + 16 * slots.len();
    let mut t = vec![0u8; 32];
    t[..4].copy_from_slice(b"$PIR");
    t[5] = 1;
    t[6..8].copy_from_slice(&(size as u16).to_le_bytes());
    t[9] = wiring::ISA_BRIDGE;
    t[12..16].copy_from_slice(&0x7110_8086u32.to_le_bytes());
    for s in slots {
        t.extend([0, s.dev << 3]);
        for pin in 0..4 {
            t.push(wiring::PIRQRC + wiring::pirq(s.dev, pin));
            t.extend(wiring::PIRQ_CHOICE.to_le_bytes());
        }
        t.extend([s.slot, 0]);
    }
    t[31] = checksum(&t);
    t
}
