//! The checks of IEEE 802.3 and of the serial ROM.

/// The remainder of CRC-32 over `bytes`, reflected, from all ones, not inverted at the end: what the hash filter indexes by.
pub(super) fn remainder(bytes: &[u8]) -> u32 {
    let mut words = bytes.chunks_exact(8);
    let mut crc = u32::MAX;
    for w in &mut words {
        let [a, b, c, d] = (u32::from_le_bytes([w[0], w[1], w[2], w[3]]) ^ crc).to_le_bytes();
        let part = |table: usize, byte: u8| TABLES[table][usize::from(byte)];
        crc = part(7, a) ^ part(6, b) ^ part(5, c) ^ part(4, d);
        crc ^= part(3, w[4]) ^ part(2, w[5]) ^ part(1, w[6]) ^ part(0, w[7]);
    }
    words.remainder().iter().fold(crc, |crc, &b| TABLES[0][usize::from(crc as u8 ^ b)] ^ crc >> 8)
}

/// The frame check sequence, which stands little-endian in a frame.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !remainder(bytes)
}

/// What a byte does that has so many others behind it.
const TABLES: [[u32; 256]; 8] = {
    let mut t = [[0; 256]; 8];
    let mut n = 0;
    while n < 256 {
        let mut c = n as u32;
        let mut bit = 0;
        while bit < 8 {
            c = if c & 1 != 0 { 0xedb8_8320 ^ c >> 1 } else { c >> 1 };
            bit += 1;
        }
        t[0][n] = c;
        n += 1;
    }
    let mut n = 0;
    while n < 256 {
        let mut k = 1;
        while k < 8 {
            let before: u32 = t[k - 1][n];
            t[k][n] = t[0][(before & 0xff) as usize] ^ before >> 8;
            k += 1;
        }
        n += 1;
    }
    t
};

/// ID_BLOCK_CRC of the serial ROM: x^8 + x^2 + x + 1, from all ones, highest bit first.
pub(super) fn crc8(bytes: impl IntoIterator<Item = u8>) -> u8 {
    bytes
        .into_iter()
        .fold(0xff, |crc, b| (0..8).fold(crc ^ b, |c, _| if c & 0x80 != 0 { c << 1 ^ 0x07 } else { c << 1 }))
}
