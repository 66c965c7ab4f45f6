//! How fast the channel is: `heirloom ctl NAME channel test`.
//!
//! Not CBOR. The first byte of a message says what it is; what follows is payload.

/// To the host: the message comes back as it is.
pub const ECHO: u8 = 1;
/// To the host: bytes that are counted and dropped; no answer.
pub const SINK: u8 = 2;
/// To the host: how many bytes are wanted (64 bits, at most [`SOURCE_MOST`]), in messages of how many (32 bits, 1 to 1 MiB; 64 KiB
/// if that is left out); the host sends messages of kind `SOURCE` with together so many bytes of payload.
pub const SOURCE: u8 = 3;
/// To the host: what `SINK` has counted comes back, eight bytes, and the CRC-32 of it all, four; the count begins anew.
pub const COUNT: u8 = 4;
/// To the guest: run a test. Kind of test (ECHO, SINK, SOURCE), bytes of each message (32 bits), how many (32 bits).
pub const TEST: u8 = 5;
/// To the host: how the test went. Nanoseconds (64 bits; [`WRONG`]: what came was not what it must be), then what `TEST` asked for (kind, bytes, how many).
pub const RESULT: u8 = 6;
pub const WRONG: u64 = u64::MAX;

pub const SOURCE_MOST: u64 = 1 << 40;

/// Byte of `SOURCE`'s payloads at a place counted through all of them from its request; it repeats after 64 KiB.
pub const fn pattern(at: u64) -> u8 {
    (at ^ at >> 8) as u8
}
