//! Saved state: one entry per chip, its name, a version and a CBOR body with numbered fields.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("saved state has no entry for {chip}")]
    Missing { chip: String },
    #[error("saved state of {chip} is version {got}; this build reads up to {newest}")]
    Version { chip: String, got: u16, newest: u16 },
    #[error("saved state of {chip} is damaged: {why}")]
    Damaged { chip: String, why: String },
    #[error("saved state of {chip}: {field} has the impossible value {value:#x}")]
    Value { chip: String, field: &'static str, value: u64 },
    #[error("saved state has an entry that this machine does not know: {chip}")]
    Unknown { chip: String },
}

/// Collects a chip's state.
#[derive(Debug, Default)]
pub struct StateOut {
    body: Option<(u16, Vec<u8>)>,
}

impl StateOut {
    /// The chip's one entry: version and body.
    pub fn put<T: Encode<()>>(&mut self, version: u16, t: &T) {
        // Encoding into memory can't fail.
        self.body = minicbor::to_vec(t).ok().map(|b| (version, b));
    }

    pub fn into_body(self) -> Option<(u16, Vec<u8>)> {
        self.body
    }
}

/// Gives a chip its state back.
#[derive(Debug)]
pub struct StateIn<'a> {
    chip: &'a str,
    version: u16,
    body: &'a [u8],
}

impl<'a> StateIn<'a> {
    pub fn new(chip: &'a str, version: u16, body: &'a [u8]) -> Self {
        Self { chip, version, body }
    }

    pub fn version(&self) -> u16 {
        self.version
    }

    /// The body as `T`, whose newest version is `newest`.
    pub fn get<T: Decode<'a, ()>>(&self, newest: u16) -> Result<T, StateError> {
        if self.version == 0 || self.version > newest {
            return Err(StateError::Version { chip: self.chip.into(), got: self.version, newest });
        }
        minicbor::decode(self.body)
            .map_err(|e| StateError::Damaged { chip: self.chip.into(), why: e.to_string() })
    }

    /// For `load`: something that is no single value.
    pub fn damaged(&self, why: &str) -> StateError {
        StateError::Damaged { chip: self.chip.into(), why: why.into() }
    }

    /// For `load`: a value no running chip can hold.
    pub fn bad(&self, field: &'static str, value: u64) -> StateError {
        StateError::Value { chip: self.chip.into(), field, value }
    }
}

/// Entries of a whole machine by chip name.
pub type Entries = BTreeMap<String, (u16, Vec<u8>)>;
