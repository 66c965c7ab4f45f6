//! The checks of IEEE 802.3 and of the serial ROM.

/// The remainder of CRC-32 over `bytes`, reflected, from all ones, not inverted at the end: what the hash filter indexes by.
pub(super) fn remainder(bytes: &[u8]) -> u32 {
    !crc32(bytes)
}

/// The frame check sequence, which stands little-endian in a frame.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// ID_BLOCK_CRC of the serial ROM: x^8 + x^2 + x + 1, from all ones, highest bit first.
pub(super) fn crc8(bytes: impl IntoIterator<Item = u8>) -> u8 {
    bytes
        .into_iter()
        .fold(0xff, |crc, b| (0..8).fold(crc ^ b, |c, _| if c & 0x80 != 0 { c << 1 ^ 0x07 } else { c << 1 }))
}
