//! The registers a sequence starts with, and what is left when it ends.

/// An FXSAVE image, aligned as FXSAVE and FXRSTOR want it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Fx(pub [u8; 512]);

impl Default for Fx {
    fn default() -> Self {
        let mut v = [0; 512];
        v[0..2].copy_from_slice(&0x037f_u16.to_le_bytes());
        v[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
        Self(v)
    }
}

impl Fx {
    pub fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }
    pub fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }
    pub fn set16(&mut self, at: usize, v: u16) {
        self.0[at..at + 2].copy_from_slice(&v.to_le_bytes());
    }
    pub fn set32(&mut self, at: usize, v: u32) {
        self.0[at..at + 4].copy_from_slice(&v.to_le_bytes());
    }
    /// ST(i): significand, then sign and exponent.
    pub fn st(&self, i: usize) -> (u64, u16) {
        let at = 32 + 16 * i;
        let mut m = [0; 8];
        m.copy_from_slice(&self.0[at..at + 8]);
        (u64::from_le_bytes(m), self.u16(at + 8))
    }
    pub fn set_st(&mut self, i: usize, mantissa: u64, exponent: u16) {
        let at = 32 + 16 * i;
        self.0[at..at + 8].copy_from_slice(&mantissa.to_le_bytes());
        self.set16(at + 8, exponent);
    }
    /// Changes TOP: the registers stay, their order in the image follows it.
    pub fn turn(&mut self, top: u16) {
        let old = self.u16(2) >> 11 & 7;
        let by = usize::from(top.wrapping_sub(old) & 7);
        self.set16(2, self.u16(2) & !0x3800 | (top & 7) << 11);
        self.0[32..160].rotate_left(16 * by);
    }
    pub fn xmm(&self, i: usize) -> [u8; 16] {
        let mut v = [0; 16];
        v.copy_from_slice(&self.0[160 + 16 * i..176 + 16 * i]);
        v
    }
    pub fn set_xmm(&mut self, i: usize, v: [u8; 16]) {
        self.0[160 + 16 * i..176 + 16 * i].copy_from_slice(&v);
    }
}

pub const EAX: usize = 0;
pub const ECX: usize = 1;
pub const EDX: usize = 2;
pub const EBX: usize = 3;
pub const ESP: usize = 4;
pub const EBP: usize = 5;
pub const ESI: usize = 6;
pub const EDI: usize = 7;

pub const CF: u32 = 1 << 0;
pub const PF: u32 = 1 << 2;
pub const AF: u32 = 1 << 4;
pub const ZF: u32 = 1 << 6;
pub const SF: u32 = 1 << 7;
pub const TF: u32 = 1 << 8;
pub const IF: u32 = 1 << 9;
pub const DF: u32 = 1 << 10;
pub const OF: u32 = 1 << 11;
pub const NT: u32 = 1 << 14;
pub const RF: u32 = 1 << 16;
pub const AC: u32 = 1 << 18;
pub const ID: u32 = 1 << 21;
pub const ARITH: u32 = CF | PF | AF | ZF | SF | OF;

/// The registers of a flat 32-bit program. Segments in encoding order: ES CS SS DS FS GS.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Regs {
    pub gpr: [u32; 8],
    pub eip: u32,
    pub eflags: u32,
    pub seg: [u16; 6],
    pub fx: Fx,
}

/// How a sequence ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// It reached the exit.
    Exit,
    /// An exception. `error` is 0 where the vector has none; `address` is CR2 of a page fault, else 0.
    Fault { vector: u8, error: u32, address: u32 },
    /// It would not end.
    Runaway,
    /// The engine itself could not go on.
    Broken,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    pub stop: Stop,
    pub regs: Regs,
}
