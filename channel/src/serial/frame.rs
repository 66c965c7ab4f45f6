//! Frames: bytes between flags, escaped, with a CRC-32 behind them.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

const FLAG: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;
const FLIP: u8 = 0x20;

/// Longest frame before escaping, CRC and all.
pub(super) const MOST: usize = 2048;
const CRC: usize = 4;

/// A frame's bytes on the line.
pub(crate) fn put(kind: u8, seq: u8, ack: u8, body: &[&[u8]], out: &mut Vec<u8>) {
    let head = [kind, seq, ack, 0];
    let mut crc = crc32fast::Hasher::new();
    out.push(FLAG);
    for part in core::iter::once(&head[..]).chain(body.iter().copied()) {
        crc.update(part);
        escape(part, out);
    }
    escape(&crc.finalize().to_le_bytes(), out);
    out.push(FLAG);
}

/// What ends a frame that is given up.
pub(super) const CUT: [u8; 1] = [FLAG];

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &b in bytes {
        match b {
            FLAG | ESCAPE => out.extend([ESCAPE, b ^ FLIP]),
            _ => out.push(b),
        }
    }
}

/// Bytes on their way to be a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Reader {
    #[n(0)]
    #[cbor(default, with = "minicbor::bytes")]
    pub(super) bytes: Vec<u8>,
    /// The next byte is an escaped one.
    #[n(1)]
    #[cbor(default)]
    escaped: bool,
    /// Too long: nothing counts up to the next flag.
    #[n(2)]
    #[cbor(default)]
    broken: bool,
}

impl Reader {
    /// True: `bytes` is a sound frame without its CRC; [`Self::clear`] makes room for the next.
    pub(super) fn add(&mut self, b: u8) -> bool {
        match b {
            FLAG => {
                let sound = !self.broken && !self.escaped && self.is_sound();
                if sound {
                    self.bytes.truncate(self.bytes.len() - CRC);
                } else {
                    self.clear();
                }
                return sound;
            }
            _ if self.broken => {}
            ESCAPE => self.escaped = true,
            _ if self.bytes.len() == MOST => self.broken = true,
            _ => {
                let flip = if core::mem::take(&mut self.escaped) { FLIP } else { 0 };
                self.bytes.push(b ^ flip);
            }
        }
        false
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        (self.escaped, self.broken) = (false, false);
    }

    fn is_sound(&self) -> bool {
        let Some((body, crc)) = self.bytes.split_last_chunk::<CRC>() else { return false };
        body.len() >= 4 && crc32fast::hash(body) == u32::from_le_bytes(*crc)
    }
}
