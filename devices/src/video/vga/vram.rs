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

    /// Copies bytes in, wrapping at the end.
    pub fn store(&self, off: u32, buf: &[u8]) {
        let mut done = 0;
        while done < buf.len() {
            let at = (off.wrapping_add(done as u32)) & (self.len - 1);
            let n = ((self.len - at) as usize).min(buf.len() - done);
            self.ram.arena().copy_in(self.base + at, &buf[done..done + n]);
            self.wrote(at, n);
            done += n;
        }
    }

    /// Moves bytes from a place to another as `memmove` does. False, and nothing done, if one of them wraps.
    pub fn copy_within(&self, from: u32, to: u32, len: usize) -> bool {
        let (from, to) = (from & (self.len - 1), to & (self.len - 1));
        let inside = |at: u32| at as usize + len <= self.len as usize;
        if !inside(from) || !inside(to) {
            return false;
        }
        self.ram.arena().copy_within(self.base + from, self.base + to, len);
        self.wrote(to, len);
        true
    }

    /// A pixel of 1, 2 or 4 bytes, aligned to its size.
    #[inline]
    pub fn pixel(&self, off: u32, bytes: u32) -> u32 {
        let at = self.base + (off & (self.len - 1));
        match bytes {
            1 => u32::from(self.ram.arena().load_u8(at)),
            2 => u32::from(self.ram.arena().load_u16(at)),
            _ => self.ram.arena().load_u32(at),
        }
    }

    /// The same, written.
    #[inline]
    pub fn set_pixel(&self, off: u32, bytes: u32, v: u32) {
        let at = self.base + (off & (self.len - 1));
        match bytes {
            1 => self.ram.arena().store_u8(at, v as u8),
            2 => self.ram.arena().store_u16(at, v as u16),
            _ => self.ram.arena().store_u32(at, v),
        }
        self.ram.wrote(at >> PAGE_SHIFT);
    }

    /// Marks pages from `at`, which with `len` bytes does not wrap.
    fn wrote(&self, at: u32, len: usize) {
        if len > 0 {
            let first = self.base + at;
            for page in first >> PAGE_SHIFT..=(first + len as u32 - 1) >> PAGE_SHIFT {
                self.ram.wrote(page);
            }
        }
    }
}
