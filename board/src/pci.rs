//! PCI configuration space: the type 0 header and byte-wise write masks. PCI 2.1, chapter 6.

use crate::{At, Width};

/// Ports of configuration mechanism 1.
pub const CONFIG_ADDRESS: u16 = 0xcf8;
pub const CONFIG_DATA: u16 = 0xcfc;

/// A base address register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    Io { len: u32 },
    Mem { len: u32, prefetch: bool },
}

/// 256 bytes with, for each bit, whether the guest may write it or clears it by writing 1.
#[derive(Clone)]
pub struct ConfigSpace {
    bytes: [u8; 256],
    writable: [u8; 256],
    clears: [u8; 256],
}

impl ConfigSpace {
    /// A header with nothing writable yet.
    pub fn new(vendor: u16, device: u16, class: u32, revision: u8) -> Self {
        let mut c = Self { bytes: [0; 256], writable: [0; 256], clears: [0; 256] };
        c.set16(0x00, vendor);
        c.set16(0x02, device);
        c.set32(0x08, class << 8 | u32::from(revision));
        c
    }

    /// A register's reset value and which of its bits the guest may write. Little-endian, 1, 2 or 4 bytes.
    #[must_use]
    pub fn reg(mut self, off: u8, width: Width, value: u32, writable: u32) -> Self {
        for i in 0..width.bytes() as usize {
            self.bytes[usize::from(off) + i] = (value >> (8 * i)) as u8;
            self.writable[usize::from(off) + i] = (writable >> (8 * i)) as u8;
        }
        self
    }

    /// Bits that a written 1 clears (R/WC).
    #[must_use]
    pub fn w1c(mut self, off: u8, width: Width, bits: u32) -> Self {
        for i in 0..width.bytes() as usize {
            self.clears[usize::from(off) + i] = (bits >> (8 * i)) as u8;
        }
        self
    }

    /// Base address register `n` (0-5). PCI 2.1, 6.2.5.1.
    #[must_use]
    pub fn bar(self, n: u8, bar: Bar) -> Self {
        let (fixed, len) = match bar {
            Bar::Io { len } => (1, len),
            Bar::Mem { len, prefetch } => (if prefetch { 8 } else { 0 }, len),
        };
        self.reg(
            0x10 + 4 * n,
            Width::D,
            fixed,
            !(len - 1) & if fixed & 1 == 1 { 0xffff_fffc } else { 0xffff_fff0 },
        )
    }

    /// The interrupt pin (1 = INTA#) and a writable interrupt line.
    #[must_use]
    pub fn interrupt(self, pin: u8) -> Self {
        self.reg(0x3c, Width::B, 0, 0xff).reg(0x3d, Width::B, u32::from(pin), 0)
    }

    pub fn read(&self, at: At) -> u32 {
        (0..at.width.bytes()).map(|i| u32::from(self.bytes[(at.off + i) as usize & 0xff]) << (8 * i)).sum()
    }

    /// Applies a guest's write through the masks.
    pub fn write(&mut self, at: At, v: u32) {
        for i in 0..at.width.bytes() {
            let o = (at.off + i) as usize & 0xff;
            let b = (v >> (8 * i)) as u8;
            let w = self.writable[o];
            self.bytes[o] = (self.bytes[o] & !w | b & w) & !(b & self.clears[o]);
        }
    }

    pub fn get8(&self, off: u8) -> u8 {
        self.bytes[usize::from(off)]
    }

    pub fn get16(&self, off: u8) -> u16 {
        u16::from_le_bytes([self.get8(off), self.get8(off + 1)])
    }

    pub fn get32(&self, off: u8) -> u32 {
        u32::from(self.get16(off)) | u32::from(self.get16(off + 2)) << 16
    }

    /// Sets a register from the chip's side, masks ignored.
    pub fn set8(&mut self, off: u8, v: u8) {
        self.bytes[usize::from(off)] = v;
    }

    pub fn set16(&mut self, off: u8, v: u16) {
        self.set8(off, v as u8);
        self.set8(off + 1, (v >> 8) as u8);
    }

    pub fn set32(&mut self, off: u8, v: u32) {
        self.set16(off, v as u16);
        self.set16(off + 2, (v >> 16) as u16);
    }

    /// Command register bit 0.
    pub fn io_enabled(&self) -> bool {
        self.get8(4) & 1 != 0
    }

    /// Command register bit 1.
    pub fn memory_enabled(&self) -> bool {
        self.get8(4) & 2 != 0
    }

    /// Command register bit 2.
    pub fn bus_master_enabled(&self) -> bool {
        self.get8(4) & 4 != 0
    }

    /// The 256 bytes, for saved state. Masks belong to the chip's construction.
    pub fn bytes(&self) -> &[u8; 256] {
        &self.bytes
    }

    pub fn set_bytes(&mut self, b: &[u8; 256]) {
        self.bytes = *b;
    }
}
