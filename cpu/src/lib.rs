//! The IA-32 processor in software: a Pentium 4 of the first kind, interpreted.
#![allow(dead_code, reason = "the parts are being put together")]

mod block;
mod cpu;
mod decode;
mod exec;
mod fault;
mod flags;
mod fpu;
mod insn;
mod mem;
mod optable;
pub mod softfloat;
mod x87;
