//! Tests of the instruction set through the public face of the engine.

mod coverage;
mod decode;
