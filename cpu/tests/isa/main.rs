//! Tests of the instruction set and the run loop through the public face of the engine.

mod clock;
mod coverage;
mod decode;
mod flow;
mod machine;
mod smc;
mod strings;
