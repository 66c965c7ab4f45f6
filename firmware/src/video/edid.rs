//! The monitor's EDID: a 1.3 block for a permissive analog display. VESA E-EDID 1.3.

/// Detailed timing of 1024x768 at 60 Hz, 65 MHz. VESA DMT.
const DTD: [u8; 18] = [
    0x64, 0x19, 0x00, 0x40, 0x41, 0x00, 0x26, 0x30, 0x18, 0x88, 0x36, 0x00, 0x54, 0x0e, 0x11, 0x00, 0x00,
    0x18,
];

pub fn block() -> [u8; 128] {
    let mut e = [0u8; 128];
    e[..8].copy_from_slice(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
    // Manufacturer "HLM" in five-bit letters, product 1.
    let id: u16 = (8 << 10) | (12 << 5) | 13;
    e[8..10].copy_from_slice(&id.to_be_bytes());
    e[10..12].copy_from_slice(&[1, 0]);
    e[16] = 1; // week
    e[17] = 16; // 2006
    e[18] = 1;
    e[19] = 3;
    e[20] = 0x08; // analog, 0.7 V, separate sync
    e[21] = 34; // cm
    e[22] = 27;
    e[23] = 120; // gamma 2.2
    e[24] = 0xea; // DPMS, RGB, preferred timing in the first descriptor
    e[25..35].copy_from_slice(&[0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54]);
    e[35] = 0xa1; // 720x400@70, 640x480@60 and @75
    e[35] |= 0x01 | 0x20; // 800x600@60
    e[36] = 0x4e; // 800x600@75, 1024x768@60 @70 @75
    e[36] |= 0x01; // 1280x1024@75
    // 1152x864@75, 1280x960@60, 1280x1024@60, 1400x1050@60, 1600x1200@60.
    e[38..48].copy_from_slice(&[0x71, 0x4f, 0x81, 0x40, 0x81, 0x80, 0x90, 0x40, 0xa9, 0x40]);
    for b in (48..54).step_by(2) {
        e[b..b + 2].copy_from_slice(&[1, 1]);
    }
    e[54..72].copy_from_slice(&DTD);
    // Range limits: 50-85 Hz, 30-82 kHz, 170 MHz.
    e[72..90].copy_from_slice(&[
        0, 0, 0, 0xfd, 0, 50, 85, 30, 82, 17, 0, 0x0a, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    ]);
    e[90..95].copy_from_slice(&[0, 0, 0, 0xfc, 0]);
    e[95..108].copy_from_slice(b"Virtual PC\n  ");
    e[108..112].copy_from_slice(&[0, 0, 0, 0xff]);
    e[113..126].copy_from_slice(b"00000001\n    ");
    e[127] = crate::rom::checksum(&e[..127]);
    e
}
