//! The local descriptor table both processors get: segments with bases and limits of every kind.

use crate::layout::{CODE, CODE_LEN, DATA, STACK};

/// One entry, in the terms of `modify_ldt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub base: u32,
    /// In bytes, or in 4 KiB pages with `pages`.
    pub limit: u32,
    pub big: bool,
    pub pages: bool,
    pub present: bool,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    ReadDown,
    WriteDown,
    Execute,
    ExecuteRead,
    /// Conforming.
    ExecuteReadConforming,
}

impl Kind {
    /// Bits 3:0 of the type; accessed, as the kernel sets it too.
    const fn bits(self) -> u32 {
        match self {
            Self::Read => 1,
            Self::Write => 3,
            Self::ReadDown => 5,
            Self::WriteDown => 7,
            Self::Execute => 9,
            Self::ExecuteRead => 11,
            Self::ExecuteReadConforming => 15,
        }
    }
}

impl Entry {
    /// Attributes in the layout of `hv_vcpu::Segment`.
    pub const fn attr(&self) -> u32 {
        self.kind.bits()
            | 0x70
            | if self.present { 0x80 } else { 0 }
            | if self.big { 1 << 14 } else { 0 }
            | if self.pages { 1 << 15 } else { 0 }
    }

    /// The limit in bytes.
    pub const fn byte_limit(&self) -> u32 {
        if self.pages { self.limit << 12 | 0xfff } else { self.limit }
    }

    /// As the descriptor table holds it.
    pub const fn descriptor(&self) -> u64 {
        let attr = self.attr() as u64;
        (self.limit & 0xffff) as u64
            | ((self.base & 0x00ff_ffff) as u64) << 16
            | (attr & 0xff) << 40
            | ((self.limit >> 16 & 0xf) as u64) << 48
            | (attr >> 12 & 0xf) << 52
            | ((self.base >> 24) as u64) << 56
    }
}

const fn entry(base: u32, limit: u32, big: bool, pages: bool, kind: Kind) -> Entry {
    Entry { base, limit, big, pages, present: true, kind }
}

/// Index `n` has the selector `n * 8 + 7`.
pub const ENTRIES: [Entry; 16] = [
    // 0: 16-bit stack over the whole stack piece.
    entry(STACK, 0x1fff, false, false, Kind::Write),
    // 1: 16-bit data, 64 KiB from the start of data: runs into the read-only page and past the end.
    entry(DATA, 0xffff, false, false, Kind::Write),
    // 2: small odd limit.
    entry(DATA, 0x0ffd, true, false, Kind::Write),
    // 3: read-only.
    entry(DATA, 0x2fff, true, false, Kind::Read),
    // 4: expand-down, 16-bit: valid from 1000h to FFFFh.
    entry(DATA, 0x0fff, false, false, Kind::WriteDown),
    // 5: expand-down, 32-bit, base so that the valid part above 2000h ends up in data.
    entry(DATA.wrapping_sub(0x1000), 0x1fff, true, false, Kind::WriteDown),
    // 6: expand-down, read-only.
    entry(DATA, 0x07ff, true, false, Kind::ReadDown),
    // 7: 16-bit code over the code piece.
    entry(CODE, CODE_LEN as u32 - 1, false, false, Kind::ExecuteRead),
    // 8: 32-bit code over the code piece, execute only.
    entry(CODE, CODE_LEN as u32 - 1, true, false, Kind::Execute),
    // 9: not present.
    Entry { present: false, ..entry(DATA, 0xfff, true, false, Kind::Write) },
    // 10: 32-bit stack with a base.
    entry(STACK, 0x1fff, true, false, Kind::Write),
    // 11: conforming code; modify_ldt(2) gives it only as not present.
    Entry { present: false, ..entry(CODE, CODE_LEN as u32 - 1, true, false, Kind::ExecuteReadConforming) },
    // 12: page granular.
    entry(DATA, 2, true, true, Kind::Write),
    // 13: base not a multiple of anything, wraps round 4 GiB.
    entry(DATA + 0x123, 0xf_ffff, true, true, Kind::Write),
    // 14: 16-bit expand-down stack: valid 1000h..FFFFh, of which 1000h..1FFFh is memory.
    entry(STACK, 0x0fff, false, false, Kind::WriteDown),
    // 15: one byte long.
    entry(DATA + 0x10, 0, true, false, Kind::Write),
];

/// The entry of a loaded selector; `None` in the global table, whose segments are flat.
pub fn of_selector(selector: u16) -> Option<&'static Entry> {
    (selector & 4 != 0).then(|| ENTRIES.get(usize::from(selector >> 3))).flatten()
}

pub fn base_of(selector: u16) -> u32 {
    of_selector(selector).map_or(0, |e| e.base)
}

/// The linear address of `esp` in a stack segment of 16 or 32 bits.
pub fn stack_address(ss: u16, esp: u32) -> u32 {
    let small = of_selector(ss).is_some_and(|e| !e.big);
    base_of(ss).wrapping_add(if small { esp & 0xffff } else { esp })
}

pub const fn selector(n: usize) -> u16 {
    (n * 8 + 7) as u16
}
