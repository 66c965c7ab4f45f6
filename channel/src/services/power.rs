//! Shut down, restart, log off, lock.

use alloc::string::String;

use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum ToGuest {
    #[n(1)]
    Do(#[n(0)] Do),
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum ToHost {
    #[n(0)]
    Unsupported(#[n(0)] super::Unsupported),
    /// It has begun, or why not.
    #[n(1)]
    Done(#[n(0)] Done),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Action {
    #[n(0)]
    #[default]
    ShutDown,
    #[n(1)]
    Restart,
    /// All users.
    #[n(2)]
    LogOff,
    #[n(3)]
    Lock,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Do {
    #[n(0)]
    #[cbor(default)]
    pub request: u32,
    #[n(1)]
    #[cbor(default)]
    pub action: Action,
    /// Programs that don't answer are ended.
    #[n(2)]
    #[cbor(default)]
    pub force: bool,
    /// Shown to users, if not empty.
    #[n(3)]
    #[cbor(default)]
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Done {
    #[n(0)]
    #[cbor(default)]
    pub request: u32,
    /// Empty: it has begun.
    #[n(1)]
    #[cbor(default)]
    pub error: String,
}
