//! Integer instructions, by family. Each handler is a [`Handler`](crate::insn::Handler), specialised at compile time
//! by operand size and by whether its r/m operand is memory.

pub(crate) mod alu;
pub(crate) mod bcd;
pub(crate) mod bit;
pub(crate) mod control;
pub(crate) mod misc;
pub(crate) mod mov;
pub(crate) mod muldiv;
pub(crate) mod operand;
pub(crate) mod port;
pub(crate) mod shift;
pub(crate) mod stack;
pub(crate) mod string;
