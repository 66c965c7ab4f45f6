//! Descriptors that the supervisor loaded lately, for translated code: a load of the same selector needs no checks if the
//! descriptor lies in memory as it did. SDM vol. 3, 3.4.3: the hidden part follows from selector, descriptor and CPL.
//!
//! Nothing is watched: code reads the descriptor, as the processor does, and compares. What else the checks looked at does
//! not move: entries are for CPL 0, and all go when GDTR changes. Selectors of the LDT are not here.

use crate::cpu::{DS, ES, FS, GS, SegReg};
use crate::seg::Desc;

/// Places for each register; a power of two. A selector has one of them.
pub(crate) const PLACES: usize = 8;
const NOBODY: u32 = u32::MAX;

/// Translated code reads it: see `jit/segments.rs`.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Seen {
    pub(crate) selector: u32,
    /// Linear address of the descriptor.
    pub(crate) lin: u32,
    pub(crate) descriptor: u64,
    /// What the register becomes.
    pub(crate) reg: SegReg,
}

/// Who looked at a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Es,
    Ds,
    Fs,
    Gs,
    /// VERW, which found a segment that may be written.
    Verw,
}

impl For {
    pub(crate) fn register(seg: usize) -> Option<Self> {
        match seg {
            ES => Some(Self::Es),
            DS => Some(Self::Ds),
            FS => Some(Self::Fs),
            GS => Some(Self::Gs),
            _ => None,
        }
    }
}

#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct SeenDescriptors([[Seen; PLACES]; 5]);

impl SeenDescriptors {
    pub(crate) fn new() -> Self {
        let none = Seen { selector: NOBODY, lin: 0, descriptor: 0, reg: SegReg::NULL };
        Self([[none; PLACES]; 5])
    }

    /// GDTR has changed.
    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    /// `selector` was found good for `whom` at CPL 0, and makes the register `reg`; the accessed bit of `d` is set in
    /// memory if `accessed`.
    pub(crate) fn remember(&mut self, whom: For, selector: u16, d: &Desc, accessed: bool, reg: SegReg) {
        let of_ldt = selector & 4 != 0;
        // What is not flat in these is not for translated code.
        let not_flat = matches!(whom, For::Es | For::Ds) && !reg.is_flat();
        if of_ldt || not_flat {
            return;
        }
        let hi = if accessed { d.hi | 1 << 8 } else { d.hi };
        let place = usize::from(selector >> 3) & (PLACES - 1);
        self.0[whom as usize][place] = Seen {
            selector: u32::from(selector),
            lin: d.at,
            descriptor: u64::from(d.lo) | u64::from(hi) << 32,
            reg,
        };
    }
}
