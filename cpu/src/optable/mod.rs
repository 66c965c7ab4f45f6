//! The opcode map of a Pentium 4 with SSE2, as data: SDM vol. 2, appendix A.
//!
//! - `one.rs`: one-byte opcodes; `two.rs`: 0F xx; `x87.rs`: D8-DF; `sse.rs`: MMX and SSE rows of 0F xx.
//! - An [`Entry`] leads to an [`Op`], directly or by the ModRM byte or the mandatory prefix.

mod coverage;
mod one;
mod sse;
mod two;
mod x87;

use crate::insn::Handler;

pub use coverage::{Row, coverage, coverage_page};
pub(crate) use one::ONE;
pub(crate) use two::TWO;

/// What follows the opcode and ModRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Imm {
    None,
    /// A byte, zero-extended.
    Ib,
    /// A byte, sign-extended.
    Is,
    /// A word, zero-extended.
    Iw,
    /// By operand size.
    Iz,
    /// Branch displacement: a byte, or by operand size; sign-extended.
    Jb,
    Jz,
    /// Far pointer: offset by operand size, then the selector.
    Ap,
    /// ENTER: a word, then a byte.
    IwIb,
    /// Absolute offset by address size: a memory operand without ModRM.
    Moffs,
}

/// Attributes of an [`Op`].
pub(crate) mod attr {
    /// LOCK is legal, if the operand is memory.
    pub(crate) const LOCK: u16 = 1 << 0;
    /// #UD with a register operand.
    pub(crate) const MEM: u16 = 1 << 1;
    /// #UD with a memory operand.
    pub(crate) const REG: u16 = 1 << 2;
    /// The mod field is ignored: always registers (MOV CR, MOV DR).
    pub(crate) const ANY_MOD: u16 = 1 << 3;
    /// A register in the low three bits of the opcode.
    pub(crate) const LOW3: u16 = 1 << 4;
    /// A ModRM byte follows.
    pub(crate) const MODRM: u16 = 1 << 5;
    /// Changes EIP near: ends a block, whose successors are remembered.
    pub(crate) const JUMP: u16 = 1 << 6;
    /// Changes EIP near, or not: a block goes on behind it.
    pub(crate) const BRANCH: u16 = 1 << 8;
    /// Ends a block, and the run loop looks at everything afterwards: changes CS, mode, privilege, paging, IF, SS,
    /// or does I/O.
    pub(crate) const LEAVE: u16 = 1 << 7;
}

#[derive(Clone, Copy)]
pub(crate) struct Op {
    pub(crate) name: &'static str,
    pub(crate) imm: Imm,
    pub(crate) attr: u16,
    /// For 16-bit operands in memory and not, for 32-bit operands in memory and not.
    pub(crate) h: [Handler; 4],
}

#[derive(Clone, Copy)]
pub(crate) enum Entry {
    /// #UD.
    Undefined,
    Op(Op),
    /// By the reg field of ModRM.
    Group(&'static [Entry; 8]),
    /// By the rm field of ModRM.
    Low(&'static [Entry; 8]),
    /// By whether ModRM names memory.
    Form {
        mem: &'static Entry,
        reg: &'static Entry,
    },
    /// By mandatory prefix: none, 66, F3, F2.
    Prefix(&'static [Entry; 4]),
    /// Prefix bytes and the escape 0F, which the decoder handles itself.
    Decoder(&'static str),
}

/// An operation without ModRM.
pub(crate) const fn op(name: &'static str, imm: Imm, attr: u16, h: [Handler; 4]) -> Entry {
    Entry::Op(Op { name, imm, attr, h })
}

/// An operation with ModRM.
pub(crate) const fn rm(name: &'static str, imm: Imm, attr: u16, h: [Handler; 4]) -> Entry {
    Entry::Op(Op { name, imm, attr: attr | attr::MODRM, h })
}

/// Handlers of a byte operation: `byte!(path; Params)` takes `path::<Params, u8, MEM>`.
macro_rules! byte {
    ($($f:ident)::+ $(; $($p:ty),+)?) => {
        [
            $($f)::+::<$($($p,)+)? u8, true>,
            $($f)::+::<$($($p,)+)? u8, false>,
            $($f)::+::<$($($p,)+)? u8, true>,
            $($f)::+::<$($($p,)+)? u8, false>,
        ]
    };
}

/// Handlers of a word or doubleword operation: `path::<Params, u16 or u32, MEM>`.
macro_rules! wide {
    ($($f:ident)::+ $(; $($p:ty),+)?) => {
        [
            $($f)::+::<$($($p,)+)? u16, true>,
            $($f)::+::<$($($p,)+)? u16, false>,
            $($f)::+::<$($($p,)+)? u32, true>,
            $($f)::+::<$($($p,)+)? u32, false>,
        ]
    };
}

/// The same for handlers that do not ask whether the operand is memory: `path::<Params, u16 or u32>`.
macro_rules! sized {
    ($($f:ident)::+ $(; $($p:tt),+)?) => {
        [
            $($f)::+::<$($($p,)+)? u16>,
            $($f)::+::<$($($p,)+)? u16>,
            $($f)::+::<$($($p,)+)? u32>,
            $($f)::+::<$($($p,)+)? u32>,
        ]
    };
}

/// One handler for all sizes, `path::<MEM>`.
macro_rules! form {
    ($($f:ident)::+ $(; $($p:tt),+)?) => {
        [
            $($f)::+::<$($($p,)+)? true>,
            $($f)::+::<$($($p,)+)? false>,
            $($f)::+::<$($($p,)+)? true>,
            $($f)::+::<$($($p,)+)? false>,
        ]
    };
}

/// One handler for all sizes and forms.
macro_rules! any {
    ($f:expr) => {
        [$f, $f, $f, $f]
    };
}

/// [`Entry::Group`] of eight entries.
macro_rules! group {
    ($e:expr) => {
        Entry::Group(const { &$e })
    };
}

pub(crate) use {any, byte, form, group, sized, wide};
