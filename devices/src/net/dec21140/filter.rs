//! Which frames are for us: the setup frame and the modes of CSR6.

use super::crc::remainder;
use super::regs::OpMode;

pub(super) const SETUP_BYTES: usize = 192;
const PERFECT: usize = 16;
/// First entry of the one perfect address in a hash setup frame.
const PHYSICAL: usize = 39;

pub(super) type Mac = [u8; 6];

/// FT1:FT0 of the setup frame that made the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sixteen addresses.
    Perfect,
    /// A hash for groups, one address.
    HashPerfect,
    /// All but sixteen addresses.
    Inverse,
    /// A hash for everything.
    HashOnly,
}

impl Kind {
    pub(super) fn from_bits(ft1: bool, ft0: bool) -> Self {
        match (ft1, ft0) {
            (false, false) => Self::Perfect,
            (false, true) => Self::HashPerfect,
            (true, false) => Self::Inverse,
            (true, true) => Self::HashOnly,
        }
    }

    pub(super) fn code(self) -> u8 {
        match self {
            Self::Perfect => 0,
            Self::HashPerfect => 1,
            Self::Inverse => 2,
            Self::HashOnly => 3,
        }
    }

    /// HP, HO and IF as CSR6 shows them.
    pub(super) fn shown(self) -> u32 {
        let m = OpMode::new();
        match self {
            Self::Perfect => m,
            Self::HashPerfect => m.with_hp(true),
            Self::Inverse => m.with_inverse(true),
            Self::HashOnly => m.with_hp(true).with_ho(true),
        }
        .into_bits()
    }
}

/// What became of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// Only receive-all lets it in.
    PassFailed,
    Drop,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) kind: Kind,
    /// The low words of the setup frame's 48 longwords; None before there was one.
    pub(super) words: Option<[u16; SETUP_BYTES / 4]>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { kind: Kind::Perfect, words: None }
    }
}

pub(super) fn is_group(mac: Mac) -> bool {
    mac[0] & 1 != 0
}

/// The entry of the hash table for an address: the low nine bits of its CRC.
pub(super) fn hash(mac: Mac) -> usize {
    remainder(&mac) as usize & 0x1ff
}

impl Filter {
    pub(super) fn set_up(&mut self, kind: Kind, frame: &[u8; SETUP_BYTES]) {
        self.kind = kind;
        self.words = Some(std::array::from_fn(|i| u16::from_le_bytes([frame[4 * i], frame[4 * i + 1]])));
    }

    fn address(words: &[u16], at: usize) -> Mac {
        let [a, b, c] = [words[at], words[at + 1], words[at + 2]].map(u16::to_le_bytes);
        [a[0], a[1], b[0], b[1], c[0], c[1]]
    }

    fn matches(&self, mac: Mac) -> bool {
        let Some(words) = &self.words else { return false };
        let listed = || (0..PERFECT).any(|n| Self::address(words, 3 * n) == mac);
        let hashed = || words[hash(mac) / 16] >> (hash(mac) % 16) & 1 != 0;
        match self.kind {
            Kind::Perfect => listed(),
            Kind::Inverse => !listed(),
            Kind::HashPerfect if is_group(mac) => hashed(),
            Kind::HashPerfect => Self::address(words, PHYSICAL) == mac,
            Kind::HashOnly => hashed(),
        }
    }

    pub(super) fn judge(&self, mode: OpMode, to: Mac) -> Verdict {
        if self.matches(to) || mode.pr() || mode.pm() && is_group(to) {
            Verdict::Pass
        } else if mode.ra() {
            Verdict::PassFailed
        } else {
            Verdict::Drop
        }
    }
}
