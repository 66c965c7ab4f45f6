//! What the guest is, and pairs of keys and values that both ends can leave for each other.

use alloc::string::String;
use alloc::vec::Vec;

use minicbor::{Decode, Encode};

/// Longest key and value, in bytes, and most pairs that each end keeps of the other.
pub const KEY_MOST: usize = 256;
pub const VALUE_MOST: usize = 2048;
pub const PAIRS_MOST: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum ToGuest {
    /// Answered with `About` at once; later the guest sends it again when something changed.
    #[n(1)]
    Ask(#[n(0)] Ask),
    /// The host's pair; an empty value takes it away.
    #[n(2)]
    Set(#[n(0)] Pair),
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum ToHost {
    #[n(0)]
    Unsupported(#[n(0)] super::Unsupported),
    #[n(1)]
    About(#[n(0)] About),
    /// The guest's pair; an empty value takes it away.
    #[n(2)]
    Set(#[n(0)] Pair),
    #[n(3)]
    Software(#[n(0)] Software),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Ask {
    /// `Software` is wanted, too.
    #[n(0)]
    #[cbor(default)]
    pub software: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Pair {
    #[n(0)]
    #[cbor(default)]
    pub key: String,
    #[n(1)]
    #[cbor(default)]
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct About {
    /// "Debian GNU/Linux 12 (bookworm)", "Microsoft Windows XP Professional".
    #[n(0)]
    #[cbor(default)]
    pub system: String,
    /// "6.1.0-18-686", "5.1.2600 Service Pack 3".
    #[n(1)]
    #[cbor(default)]
    pub version: String,
    /// Of the computer, without its domain.
    #[n(2)]
    #[cbor(default)]
    pub name: String,
    #[n(3)]
    #[cbor(default)]
    pub domain: String,
    #[n(4)]
    #[cbor(default)]
    pub adapters: Vec<Adapter>,
    /// Who is logged on, at the screen or elsewhere.
    #[n(5)]
    #[cbor(default)]
    pub users: Vec<String>,
    /// Bytes of memory, and how many of them are free.
    #[n(6)]
    #[cbor(default)]
    pub memory: u64,
    #[n(7)]
    #[cbor(default)]
    pub memory_free: u64,
    /// The agent's version.
    #[n(8)]
    #[cbor(default)]
    pub agent: String,
    /// Offset of local time from UTC, in minutes.
    #[n(9)]
    #[cbor(default)]
    pub zone: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Adapter {
    #[n(0)]
    #[cbor(default)]
    pub name: String,
    /// "52:54:00:12:34:56".
    #[n(1)]
    #[cbor(default)]
    pub mac: String,
    #[n(2)]
    #[cbor(default)]
    pub addresses: Vec<String>,
}

/// Programs that are installed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Software {
    #[n(0)]
    #[cbor(default)]
    pub packages: Vec<Package>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Package {
    #[n(0)]
    #[cbor(default)]
    pub name: String,
    #[n(1)]
    #[cbor(default)]
    pub version: String,
    #[n(2)]
    #[cbor(default)]
    pub publisher: String,
}
