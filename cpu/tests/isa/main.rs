//! Tests of the instruction set and the run loop through the public face of the engine.

#![allow(clippy::unwrap_used, reason = "tests")]

mod chaos;
mod clock;
mod coverage;
mod decode;
mod flow;
mod machine;
mod smc;
mod strings;
