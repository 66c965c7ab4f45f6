//! The host's clock. The guest compares each sample with its own clock and slews it, or sets it if it is far off or was told to.

use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum ToGuest {
    #[n(1)]
    Sample(#[n(0)] Sample),
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum ToHost {
    #[n(0)]
    Unsupported(#[n(0)] super::Unsupported),
    /// A sample, please: the agent has just begun, or the guest slept.
    #[n(1)]
    Ask,
    /// How far off the guest's clock was when it took a sample.
    #[n(2)]
    Was(#[n(0)] Was),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Sample {
    /// Nanoseconds since 1970-01-01 00:00 UTC, as it was sent.
    #[n(0)]
    #[cbor(default)]
    pub utc: u64,
    /// Set the clock, however far it is off: the machine was paused, or goes on from a saved state.
    #[n(1)]
    #[cbor(default)]
    pub step: bool,
    /// Number of the sample, to answer with.
    #[n(2)]
    #[cbor(default)]
    pub number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Was {
    #[n(0)]
    #[cbor(default)]
    pub number: u64,
    /// Nanoseconds that the guest was ahead.
    #[n(1)]
    #[cbor(default)]
    pub ahead: i64,
    /// It was set, not slewed.
    #[n(2)]
    #[cbor(default)]
    pub stepped: bool,
}
