//! What IDENTIFY DEVICE and IDENTIFY PACKET DEVICE have in common, and the transfer modes they show.

/// The DMA mode set by SET FEATURES 03h.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DmaMode {
    None,
    Multiword(u8),
    Ultra(u8),
}

impl DmaMode {
    /// The mode of SET FEATURES 03h, ATA-4 table 24: None = not supported, Some(None) = a PIO mode.
    pub(crate) fn from_count(count: u8) -> Option<Option<Self>> {
        match (count >> 3, count & 7) {
            (0, 0 | 1) | (1, 0..=4) => Some(None),
            (4, n @ 0..=2) => Some(Some(Self::Multiword(n))),
            (8, n @ 0..=2) => Some(Some(Self::Ultra(n))),
            _ => None,
        }
    }

    /// The count again, 0 for none: the saved form.
    pub(crate) fn count(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Multiword(n) => 0x20 | n,
            Self::Ultra(n) => 0x40 | n,
        }
    }

    /// Word 63: multiword modes.
    pub(crate) fn multiword_word(self) -> u16 {
        modes(if let Self::Multiword(n) = self { Some(n) } else { None })
    }

    /// Word 88: Ultra modes.
    pub(crate) fn ultra_word(self) -> u16 {
        modes(if let Self::Ultra(n) = self { Some(n) } else { None })
    }
}

/// Supported modes 0-2 in the low byte, the one in use in the high byte.
fn modes(active: Option<u8>) -> u16 {
    0x0007 | active.map_or(0, |n| 0x0100 << n)
}

/// 256 words as they lie in the data port.
pub(crate) struct Words(pub(crate) [u16; 256]);

impl Words {
    /// An ASCII field of words `at..=last`: first character in the high byte, padded with spaces.
    pub(crate) fn text(&mut self, at: usize, last: usize, text: &str) {
        let mut of = text.bytes().map(|b| if b.is_ascii_graphic() { b } else { b' ' });
        for w in &mut self.0[at..=last] {
            let mut next = || u16::from(of.next().unwrap_or(b' '));
            *w = next() << 8 | next();
        }
    }

    pub(crate) fn dword(&mut self, at: usize, v: u32) {
        self.0[at] = v as u16;
        self.0[at + 1] = (v >> 16) as u16;
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|w| w.to_le_bytes()).collect()
    }
}
