//! The IA-32 processor in software: a Pentium 4 of the first kind, interpreted.
#![allow(dead_code, reason = "the parts are being put together")]

mod block;
mod cpu;
mod debug;
mod decode;
mod exec;
mod far;
mod fault;
mod flags;
mod fpu;
mod insn;
mod interrupt;
mod mem;
mod msr;
mod optable;
mod seg;
pub mod softfloat;
mod state;
mod system;
mod task;
mod x87;
