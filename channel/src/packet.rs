//! Packets: a header and a payload; messages: the payloads of some packets.

use alloc::vec::Vec;

use crate::MESSAGE_MOST;

/// Bytes of a packet's header on a ring.
pub const HEADER: usize = 8;
/// The message goes on in the channel's next packet.
pub const MORE: u16 = 1;

/// A packet's header on a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub flags: u16,
    /// Bytes of the payload.
    pub len: u32,
}

impl Header {
    pub fn bytes(self) -> [u8; HEADER] {
        let ([a, b], [c, d, e, f]) = (self.flags.to_le_bytes(), self.len.to_le_bytes());
        [a, b, 0, 0, c, d, e, f]
    }

    /// None: flags that this version does not know.
    pub fn parse(b: [u8; HEADER]) -> Option<Self> {
        let [a, b, _, _, c, d, e, f] = b;
        let flags = u16::from_le_bytes([a, b]);
        (flags & !MORE == 0).then_some(Self { flags, len: u32::from_le_bytes([c, d, e, f]) })
    }
}

/// Payloads on their way to be a message.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Assembly {
    bytes: Vec<u8>,
}

/// A message is longer than any may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl Assembly {
    /// The message, if this payload was its last.
    pub fn add(&mut self, flags: u16, payload: Vec<u8>) -> Result<Option<Vec<u8>>, TooLong> {
        if self.bytes.len() + payload.len() > MESSAGE_MOST {
            self.bytes = Vec::new();
            return Err(TooLong);
        }
        match (flags & MORE != 0, self.bytes.is_empty()) {
            (false, true) => Ok(Some(payload)),
            (true, true) => {
                self.bytes = payload;
                Ok(None)
            }
            (more, false) => {
                self.bytes.extend_from_slice(&payload);
                Ok((!more).then(|| core::mem::take(&mut self.bytes)))
            }
        }
    }

    /// What has come of a message.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// For a restore.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }
}

/// Flags and payload of each packet of a message, with payloads of at most `most` bytes. An empty message is one packet.
pub fn split(message: &[u8], most: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let most = most.max(1);
    let packets = message.len().div_ceil(most).max(1);
    (0..packets).map(move |n| {
        let part = &message[n * most..message.len().min((n + 1) * most)];
        (if n + 1 < packets { MORE } else { 0 }, part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn flags_that_nobody_knows_are_refused() {
        let h = Header { flags: MORE, len: 0x0102_0304 };
        assert_eq!(h.bytes(), [1, 0, 0, 0, 4, 3, 2, 1]);
        assert_eq!(Header::parse(h.bytes()), Some(h));
        assert_eq!(Header::parse([2, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn a_message_that_never_ends_is_dropped() {
        let mut a = Assembly::default();
        for _ in 0..16 {
            assert_eq!(a.add(MORE, alloc::vec![0; 1 << 20]), Ok(None));
        }
        assert_eq!(a.add(0, alloc::vec![0; 1]), Err(TooLong));
        assert_eq!(a, Assembly::default());
    }

    proptest! {
        #[test]
        fn messages_come_whole(message: Vec<u8>, most in 1usize..50) {
            let mut a = Assembly::default();
            let mut got = Vec::new();
            for (flags, part) in split(&message, most) {
                prop_assert!(part.len() <= most);
                got.extend(a.add(flags, part.to_vec()).unwrap());
            }
            prop_assert_eq!(got, alloc::vec![message]);
        }
    }
}
