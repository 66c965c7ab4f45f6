//! The host asks, the guest answers. Kept up to find an agent that is stuck.

use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum ToGuest {
    #[n(1)]
    Beat(#[n(0)] Beat),
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum ToHost {
    #[n(0)]
    Unsupported(#[n(0)] super::Unsupported),
    /// The same number back.
    #[n(1)]
    Beat(#[n(0)] Beat),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Beat {
    #[n(0)]
    #[cbor(default)]
    pub number: u64,
    /// To the host: milliseconds since the guest began.
    #[n(1)]
    #[cbor(default)]
    pub up: u64,
}
