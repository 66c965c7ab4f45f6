//! Programs that the host starts in the guest.

use alloc::string::String;
use alloc::vec::Vec;

use minicbor::{Decode, Encode};

/// Most bytes of output or input in one message, and of output that the guest sends before the host says that it took it.
pub const DATA_MOST: usize = 32 << 10;
pub const CREDIT: usize = 256 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum ToGuest {
    #[n(1)]
    Run(#[n(0)] Run),
    /// Bytes for its standard input; none: that is closed.
    #[n(2)]
    Input(#[n(0)] Data),
    /// Ends it.
    #[n(3)]
    Kill(#[n(0)] Id),
    /// The host took so much output.
    #[n(4)]
    Took(#[n(0)] Took),
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum ToHost {
    #[n(0)]
    Unsupported(#[n(0)] super::Unsupported),
    #[n(1)]
    Started(#[n(0)] Started),
    #[n(2)]
    Output(#[n(0)] Data),
    /// The last of it: output that its children write later is lost.
    #[n(3)]
    Ended(#[n(0)] Ended),
    /// The guest took so much input.
    #[n(4)]
    Took(#[n(0)] Took),
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Run {
    /// The host's number for it, from here to `Ended`.
    #[n(0)]
    #[cbor(default)]
    pub id: u32,
    /// A program and its arguments; on Windows they are put together into a command line.
    #[n(1)]
    #[cbor(default)]
    pub arguments: Vec<String>,
    /// Whose: empty for the agent's own user; `@session` for who is logged on at the screen.
    #[n(2)]
    #[cbor(default)]
    pub user: String,
    #[n(3)]
    #[cbor(default)]
    pub folder: String,
    /// `NAME=VALUE`, added to the user's environment.
    #[n(4)]
    #[cbor(default)]
    pub environment: Vec<String>,
    /// Its window is shown.
    #[n(5)]
    #[cbor(default)]
    pub shown: bool,
    /// Output and input are not wanted: it goes on when the agent ends, and `Ended` may not come.
    #[n(6)]
    #[cbor(default)]
    pub detached: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Started {
    #[n(0)]
    #[cbor(default)]
    pub id: u32,
    /// The guest's number for the process.
    #[n(1)]
    #[cbor(default)]
    pub process: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Stream {
    #[n(0)]
    #[default]
    Out,
    #[n(1)]
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Data {
    #[n(0)]
    #[cbor(default)]
    pub id: u32,
    #[n(1)]
    #[cbor(default)]
    pub stream: Stream,
    #[n(2)]
    #[cbor(default, with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Took {
    #[n(0)]
    #[cbor(default)]
    pub id: u32,
    #[n(1)]
    #[cbor(default)]
    pub bytes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Id {
    #[n(0)]
    #[cbor(default)]
    pub id: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Ended {
    #[n(0)]
    #[cbor(default)]
    pub id: u32,
    /// Exit code; of one that a signal ended, 128 and its number.
    #[n(1)]
    #[cbor(default)]
    pub code: u32,
    /// It could not be started: why.
    #[n(2)]
    #[cbor(default)]
    pub error: String,
}
