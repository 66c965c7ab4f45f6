//! What services say: one CBOR array, the kind's number and a map of numbered fields. docs/design/channel.md, section 4.
//!
//! A field is never given another meaning, and what an older end leaves out has a default; so ends of different versions
//! understand each other.

pub mod diagnostics;
pub mod heartbeat;
pub mod information;
pub mod power;
pub mod programs;
pub mod time;

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::Guid;

/// A service that hosts and agents of this version know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub class: Guid,
    pub name: &'static str,
    /// Newest version.
    pub version: u32,
    /// 0 is served first.
    pub priority: u8,
}

const fn ours(n: u64) -> Guid {
    Guid::new(0x3d0a_5a2e, 0x9f6b, 0x4b0c, 0x8f5e_6d8a_4c1b_7e00 + n)
}

pub const HEARTBEAT: Kind = Kind {
    class: Guid::new(0x5716_4f39, 0x9115, 0x4e78, 0xab55_382f_3bd5_422d),
    name: "heartbeat",
    version: 1,
    priority: 0,
};
pub const TIME: Kind = Kind {
    class: Guid::new(0x9527_e630, 0xd0ae, 0x497b, 0xadce_e80a_b017_5caf),
    name: "time",
    version: 1,
    priority: 0,
};
pub const POWER: Kind = Kind {
    class: Guid::new(0x0e0b_6031, 0x5213, 0x4934, 0x818b_38d9_0ced_39db),
    name: "power",
    version: 1,
    priority: 0,
};
pub const INFORMATION: Kind = Kind {
    class: Guid::new(0xa9a0_f4e7, 0x5a45, 0x4d96, 0xb827_8a84_1e8c_03e6),
    name: "information",
    version: 1,
    priority: 3,
};
pub const PROGRAMS: Kind = Kind { class: ours(1), name: "programs", version: 1, priority: 3 };
pub const DIAGNOSTICS: Kind = Kind { class: ours(3), name: "diagnostics", version: 1, priority: 5 };

/// All of them.
pub const KINDS: [Kind; 6] = [HEARTBEAT, TIME, POWER, INFORMATION, PROGRAMS, DIAGNOSTICS];

/// Kind 0 of any service: what you said last but once or so, with a kind of this number, is nothing that I know.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Unsupported {
    #[n(0)]
    #[cbor(default)]
    pub kind: u32,
}

/// As bytes. Encoding into memory can't fail.
pub fn bytes<T: Encode<()>>(t: &T) -> Vec<u8> {
    minicbor::to_vec(t).unwrap_or_default()
}

/// A message of a service, or what it is instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Of a newer version: a kind that we don't know.
    Kind(u32),
    /// Not a message.
    Malformed,
}

/// A message from its bytes.
pub fn parse<'b, T: Decode<'b, ()>>(b: &'b [u8]) -> Result<T, Unknown> {
    minicbor::decode(b).map_err(|_| {
        // A sound message of a kind that `T` lacks says which.
        let mut d = minicbor::Decoder::new(b);
        match (d.array(), d.u32()) {
            (Ok(Some(1..)), Ok(n)) if minicbor::decode::<T>(b).is_err_and(|e| e.is_unknown_variant()) => {
                Unknown::Kind(n)
            }
            _ => Unknown::Malformed,
        }
    })
}

#[cfg(test)]
mod tests;
