//! Proof of the software processor: the same random code runs on it and on the host's own processor, and must
//! leave the same registers, flags, memory, x87 and SSE state, and the same faults.
//!
//! [`generate`] makes cases from seeds; [`host`] runs one on the real processor in compatibility mode; [`guest`]
//! runs it on the engine under test behind real page tables, descriptors and an IDT; [`mod@compare`] says which
//! differences count (undefined flags do not, documented tolerances do not); [`session`] ties them together and
//! cuts failures down. Needs 64-bit Linux on x86.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod access;
mod amd;
pub mod command;
pub mod compare;
pub mod coverage;
pub mod generate;
pub mod guest;
pub mod host;
pub mod later;
pub mod layout;
pub mod ldt;
pub mod maker;
pub mod report;
pub mod rng;
pub mod session;
pub mod snapshot;
mod steps;
