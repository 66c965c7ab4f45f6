//! Video memory as the chip sees it: byte n of plane p is byte 4n + p.

use std::ops::Range;

use ram::{Arena, GuestRam, PAGE_SHIFT, Slot};

/// A view of the chip's slot for the length of one call.
#[derive(Clone, Copy)]
pub struct Vram<'a> {
    ram: &'a GuestRam,
    base: u32,
    len: u32,
}

impl<'a> Vram<'a> {
    /// `slot` must hold a power of two of bytes.
    pub fn new(ram: &'a GuestRam, slot: Slot) -> Self {
        let at = ram.extent(slot);
        debug_assert!(at.len().is_power_of_two());
        Self { ram, base: at.start, len: at.end - at.start }
    }

    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its place in the arena.
    pub fn extent(&self) -> Range<u32> {
        self.base..self.base + self.len
    }

    pub fn arena(&self) -> &'a Arena {
        self.ram.arena()
    }

    #[inline]
    pub fn byte(&self, off: u32) -> u8 {
        self.ram.arena().load_u8(self.base + (off & (self.len - 1)))
    }

    #[inline]
    pub fn set_byte(&self, off: u32, v: u8) {
        let at = self.base + (off & (self.len - 1));
        self.ram.arena().store_u8(at, v);
        self.ram.wrote(at >> PAGE_SHIFT);
    }

    /// The four planes at a planar offset, plane 0 in the lowest byte.
    #[inline]
    pub fn planes(&self, planar: u32) -> u32 {
        self.ram.arena().load_u32(self.base + (planar << 2 & (self.len - 1)))
    }

    #[inline]
    pub fn set_planes(&self, planar: u32, v: u32) {
        let at = self.base + (planar << 2 & (self.len - 1));
        self.ram.arena().store_u32(at, v);
        self.ram.wrote(at >> PAGE_SHIFT);
    }

    /// Copies bytes out, wrapping at the end.
    pub fn copy(&self, off: u32, buf: &mut [u8]) {
        let mut done = 0;
        while done < buf.len() {
            let at = (off.wrapping_add(done as u32)) & (self.len - 1);
            let n = ((self.len - at) as usize).min(buf.len() - done);
            self.ram.arena().copy_out(self.base + at, &mut buf[done..done + n]);
            done += n;
        }
    }
}
