//! The processor's way into the planes: A0000h-BFFFFh through sequencer and graphics controller.

use ram::PAGE;

use super::regs::{GraphicsMisc, GraphicsMode, MemoryMode};
use super::{Vga, Vram};

/// A byte in all four planes.
#[inline]
fn all(v: u8) -> u32 {
    u32::from(v) * 0x0101_0101
}

/// A bit for each plane as a byte for each plane.
#[inline]
fn spread(bits: u8) -> u32 {
    const BYTES: [u32; 16] = {
        let mut t = [0; 16];
        let mut i = 0;
        while i < 16 {
            let mut plane = 0;
            while plane < 4 {
                t[i] |= if i >> plane & 1 == 1 { 0xff << (8 * plane) } else { 0 };
                plane += 1;
            }
            i += 1;
        }
        t
    };
    BYTES[usize::from(bits & 15)]
}

/// Where one byte of the window goes.
struct Place {
    planar: u32,
    /// Planes that a write may reach, before SR02.
    write: u8,
    /// The plane that read mode 0 answers with.
    read: u8,
}

impl Vga {
    fn memory_mode(&self) -> MemoryMode {
        MemoryMode::from_bits(self.seq[4])
    }

    fn graphics_mode(&self) -> GraphicsMode {
        GraphicsMode::from_bits(self.gfx[5])
    }

    /// The offset into the window for an offset from A0000h, if the window is there.
    fn window(&self, off: u32) -> Option<u32> {
        if self.ext.linear {
            return (off < 0x1_0000).then_some(off);
        }
        match GraphicsMisc::from_bits(self.gfx[6]).memory_map() {
            0 => Some(off),
            1 => (off < 0x1_0000).then_some(off),
            2 => (0x1_0000..0x1_8000).contains(&off).then_some(off & 0x7fff),
            _ => (off >= 0x1_8000).then_some(off & 0x7fff),
        }
    }

    fn place(&self, off: u32) -> Place {
        let mode = self.memory_mode();
        let odd = (off & 1) as u8;
        if mode.chain_4() {
            let plane = (off & 3) as u8;
            return Place { planar: (self.ext.bank + off) >> 2, write: 1 << plane, read: plane };
        }
        // A bank moves planar addresses by 16 KiB: 64 KiB of video memory.
        let wrap = if self.ext.banked { u32::MAX } else { 0xffff };
        let banked = |off: u32| (off & 0xffff).wrapping_add(self.ext.bank >> 2) & wrap;
        let (mut planar, mut write, mut read) = (banked(off), 15, self.gfx[4] & 3);
        if !mode.odd_even_off() {
            planar = banked(off & !1);
            write = if odd == 0 { 5 } else { 10 };
        }
        if self.graphics_mode().odd_even() {
            planar = banked(off & !1);
            read = self.gfx[4] & 2 | odd;
        }
        Place { planar, write, read }
    }

    /// A byte read at this offset from A0000h.
    pub fn read_memory(&mut self, v: Vram<'_>, off: u32) -> u8 {
        let Some(off) = self.window(off) else { return 0xff };
        if self.ext.linear {
            let at = self.ext.bank + off;
            return if at < v.len() { v.byte(at) } else { 0xff };
        }
        let p = self.place(off);
        if p.planar << 2 >= v.len() {
            return 0xff;
        }
        self.latch = v.planes(p.planar);
        if self.graphics_mode().read_mode() {
            let differs = (self.latch ^ spread(self.gfx[2])) & spread(self.gfx[7]);
            return !(differs | differs >> 8 | differs >> 16 | differs >> 24) as u8;
        }
        (self.latch >> (8 * u32::from(p.read))) as u8
    }

    /// A byte written at this offset from A0000h.
    pub fn write_memory(&mut self, v: Vram<'_>, off: u32, byte: u8) {
        let Some(off) = self.window(off) else { return };
        if self.ext.linear {
            let at = self.ext.bank + off;
            if at < v.len() {
                v.set_byte(at, byte);
            }
            return;
        }
        let p = self.place(off);
        if p.planar << 2 >= v.len() {
            return;
        }
        let value = self.graphics_data(byte);
        let planes = spread(self.seq[2] & p.write);
        if planes != 0 {
            v.set_planes(p.planar, v.planes(p.planar) & !planes | value & planes);
        }
    }

    /// What the graphics controller makes of a byte: the four write modes.
    fn graphics_data(&self, byte: u8) -> u32 {
        let rotated = byte.rotate_right(u32::from(self.gfx[3] & 7));
        let set_reset = spread(self.gfx[0]);
        let (data, mask) = match self.graphics_mode().write_mode() {
            0 => {
                let enable = spread(self.gfx[1]);
                (all(rotated) & !enable | set_reset & enable, all(self.gfx[8]))
            }
            1 => return self.latch,
            2 => (spread(byte), all(self.gfx[8])),
            _ => (set_reset, all(self.gfx[8] & rotated)),
        };
        let data = match self.gfx[3] >> 3 & 3 {
            0 => data,
            1 => data & self.latch,
            2 => data | self.latch,
            _ => data ^ self.latch,
        };
        data & mask | self.latch & !mask
    }

    /// The video memory offset that A0000h-AFFFFh shows byte for byte, if the registers leave nothing else to do:
    /// then the window can be plain memory to the processor. (Reads that only fill the latches are not seen.)
    pub fn direct(&self, v: Vram<'_>) -> Option<u32> {
        let chained = || {
            self.memory_mode().chain_4()
                && self.seq[2] & 15 == 15
                && self.gfx[1] & 15 == 0
                && self.gfx[3] == 0
                && self.graphics_mode().write_mode() == 0
                && !self.graphics_mode().read_mode()
                && self.gfx[8] == 0xff
                && GraphicsMisc::from_bits(self.gfx[6]).memory_map() == 1
        };
        let here = self.ext.linear || chained();
        (here && self.ext.bank + 0x1_0000 <= v.len() && self.ext.bank.is_multiple_of(PAGE))
            .then_some(self.ext.bank)
    }
}
