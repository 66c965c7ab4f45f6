//! How the engine's registers are reached: by their 8514/A port numbers, and packed into doublewords in memory.

use super::regs::{
    Cmd, FOURTEEN, GP_STAT_IDLE, Mix, MultMisc, MultMisc2, PixCntl, TWELVE, multifunc, subsys,
};
use super::{Engine, Geometry};
use crate::video::vga::Vram;

/// A register of sixteen bits, or half of one of thirty-two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reg {
    CurY,
    CurX,
    CurY2,
    CurX2,
    DestY,
    DestX,
    DestY2,
    DestX2,
    ErrTerm,
    ErrTerm2,
    MajAxis,
    MajAxis2,
    Cmd,
    Cmd2,
    ShortStroke,
    /// The half that RSF says, or the low one.
    Colour(Colour),
    /// The high half.
    ColourHigh(Colour),
    BkgdMix,
    FrgdMix,
    /// BEE8h: index in the highest four bits.
    Multifunc,
    /// One of its registers, by itself.
    Indexed(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Background,
    Foreground,
    WriteMask,
    ReadMask,
    Compare,
}

impl Reg {
    /// By port, which is even.
    fn at(port: u16) -> Option<Self> {
        use Colour::{Background, Compare, Foreground, ReadMask, WriteMask};
        Some(match port {
            0x82e8 => Self::CurY,
            0x82ea => Self::CurY2,
            0x86e8 => Self::CurX,
            0x86ea => Self::CurX2,
            0x8ae8 => Self::DestY,
            0x8aea => Self::DestY2,
            0x8ee8 => Self::DestX,
            0x8eea => Self::DestX2,
            0x92e8 => Self::ErrTerm,
            0x92ea => Self::ErrTerm2,
            0x96e8 => Self::MajAxis,
            0x96ea => Self::MajAxis2,
            0x9ae8 => Self::Cmd,
            0x9aea => Self::Cmd2,
            0x9ee8 => Self::ShortStroke,
            0xa2e8 => Self::Colour(Background),
            0xa2ea => Self::ColourHigh(Background),
            0xa6e8 => Self::Colour(Foreground),
            0xa6ea => Self::ColourHigh(Foreground),
            0xaae8 => Self::Colour(WriteMask),
            0xaaea => Self::ColourHigh(WriteMask),
            0xaee8 => Self::Colour(ReadMask),
            0xaeea => Self::ColourHigh(ReadMask),
            0xb2e8 => Self::Colour(Compare),
            0xb2ea => Self::ColourHigh(Compare),
            0xb6e8 => Self::BkgdMix,
            0xbae8 => Self::FrgdMix,
            0xbee8 => Self::Multifunc,
            _ => return None,
        })
    }

    /// By offset in the packed block at A8100h, which is even. RBIL memory list, table M0057.
    fn packed(off: u32) -> Option<Self> {
        let port = match off {
            0x00 => 0x82e8,
            0x02 => 0x86e8,
            0x04 => 0x82ea,
            0x06 => 0x86ea,
            0x08 => 0x8ae8,
            0x0a => 0x8ee8,
            0x0c => 0x8aea,
            0x0e => 0x8eea,
            0x10 => 0x92e8,
            0x12 => 0x92ea,
            0x18 => 0x9ae8,
            0x1a => 0x9aea,
            0x1c => 0x9ee8,
            0x20 => 0xa2e8,
            0x22 => 0xa2ea,
            0x24 => 0xa6e8,
            0x26 => 0xa6ea,
            0x28 => 0xaae8,
            0x2a => 0xaaea,
            0x2c => 0xaee8,
            0x2e => 0xaeea,
            0x30 => 0xb2e8,
            0x32 => 0xb2ea,
            0x34 => 0xb6e8,
            0x36 => 0xbae8,
            0x4a => 0x96e8,
            0x4c => 0x96ea,
            0x38 => return Some(Self::Indexed(multifunc::SCISSORS_T)),
            0x3a => return Some(Self::Indexed(multifunc::SCISSORS_L)),
            0x3c => return Some(Self::Indexed(multifunc::SCISSORS_B)),
            0x3e => return Some(Self::Indexed(multifunc::SCISSORS_R)),
            0x40 => return Some(Self::Indexed(multifunc::PIX_CNTL)),
            0x42 => return Some(Self::Indexed(multifunc::MULT_MISC2)),
            0x44 => return Some(Self::Indexed(multifunc::MULT_MISC)),
            0x46 => return Some(Self::Indexed(multifunc::READ_SEL)),
            0x48 => return Some(Self::Indexed(multifunc::MIN_AXIS_PCNT)),
            _ => return None,
        };
        Self::at(port)
    }
}

/// Memory-mapped I/O: what an offset from A0000h means.
enum Place {
    PixTrans,
    Packed(u32),
    Port(u16),
}

fn place(off: u32) -> Place {
    match off {
        0..=0x7fff => Place::PixTrans,
        0x8100..=0x814f => Place::Packed(off - 0x8100),
        _ => Place::Port(off as u16),
    }
}

/// PIX_TRANS as ports: E2E8h-E2EBh.
fn is_pix_trans(port: u16) -> bool {
    port & !3 == 0xe2e8
}

impl Engine {
    /// A port written, `width` 1, 2 or 4 bytes. False: no such register.
    pub fn write_port(&mut self, v: Vram<'_>, g: Geometry, port: u16, width: u32, data: u32) -> bool {
        if is_pix_trans(port) {
            self.pix_trans(v, g, width, data);
            return true;
        }
        self.write_parts(v, g, u32::from(port), width, data, |at| Reg::at(at as u16))
    }

    /// Memory-mapped, at this offset from A0000h.
    pub fn write_memory(&mut self, v: Vram<'_>, g: Geometry, off: u32, width: u32, data: u32) -> bool {
        match place(off) {
            Place::PixTrans => {
                self.pix_trans(v, g, width, data);
                true
            }
            Place::Packed(at) => self.write_parts(v, g, at, width, data, Reg::packed),
            Place::Port(port) => self.write_port(v, g, port, width, data),
        }
    }

    fn write_parts(
        &mut self,
        v: Vram<'_>,
        g: Geometry,
        at: u32,
        width: u32,
        data: u32,
        reg: impl Fn(u32) -> Option<Reg>,
    ) -> bool {
        self.drain(v, g);
        self.pending |= subsys::FIFO_EMP;
        if width < 4 {
            let Some(r) = reg(at & !1) else { return false };
            let (mask, data) = match (width, at & 1) {
                (1, 0) => (0x00ff, data as u16 & 0xff),
                (1, _) => (0xff00, (data as u16) << 8),
                _ => (0xffff, data as u16),
            };
            self.write_reg(v, g, r, mask, data);
            return true;
        }
        let (low, high) = (reg(at), reg(at + 2));
        if let (Some(Reg::Colour(c)), Some(Reg::ColourHigh(_))) = (low, high) {
            // All of it at once, whatever RSF says.
            *self.colour(c) = data;
            return true;
        }
        // The high half first: behind CMD nothing may come.
        for (r, data) in [(high, (data >> 16) as u16), (low, data as u16)] {
            if let Some(r) = r {
                self.write_reg(v, g, r, 0xffff, data);
            }
        }
        low.is_some()
    }

    fn colour(&mut self, c: Colour) -> &mut u32 {
        let r = &mut self.regs;
        match c {
            Colour::Background => &mut r.bkgd_color,
            Colour::Foreground => &mut r.frgd_color,
            Colour::WriteMask => &mut r.wrt_mask,
            Colour::ReadMask => &mut r.rd_mask,
            Colour::Compare => &mut r.color_cmp,
        }
    }

    /// Which half of a 32-bit register an access to its port reaches, as a shift; and RSF moves on with its high byte.
    fn half(&mut self, g: Geometry, mask: u16) -> u32 {
        let misc = &mut self.regs.mult_misc;
        if g.bytes != 4 || misc.cmr_32b() {
            return 0;
        }
        let high = misc.rsf();
        if mask & 0xff00 != 0 {
            misc.set_rsf(!high);
        }
        if high { 16 } else { 0 }
    }

    fn write_reg(&mut self, v: Vram<'_>, g: Geometry, reg: Reg, mask: u16, data: u16) {
        let merge = |old: u16| old & !mask | data & mask;
        let r = &mut self.regs;
        let twelve = |old: &mut u16| *old = merge(*old) & TWELVE;
        let fourteen = |old: &mut u16| *old = merge(*old) & FOURTEEN;
        match reg {
            Reg::CurY => twelve(&mut r.cur_y),
            Reg::CurX => twelve(&mut r.cur_x),
            Reg::CurY2 => twelve(&mut r.cur_y2),
            Reg::CurX2 => twelve(&mut r.cur_x2),
            Reg::DestY => fourteen(&mut r.desty_axstp),
            Reg::DestX => fourteen(&mut r.destx_diastp),
            Reg::DestY2 => fourteen(&mut r.desty_axstp2),
            Reg::DestX2 => fourteen(&mut r.destx_diastp2),
            Reg::ErrTerm => fourteen(&mut r.err_term),
            Reg::ErrTerm2 => fourteen(&mut r.err_term2),
            Reg::MajAxis => twelve(&mut r.maj_axis_pcnt),
            Reg::MajAxis2 => twelve(&mut r.maj_axis_pcnt2),
            Reg::Cmd2 => r.cmd2 = merge(r.cmd2),
            Reg::BkgdMix => r.bkgd_mix = Mix::from_bits(merge(r.bkgd_mix.into_bits()) & 0x6f),
            Reg::FrgdMix => r.frgd_mix = Mix::from_bits(merge(r.frgd_mix.into_bits()) & 0x6f),
            Reg::Cmd => {
                r.cmd = Cmd::from_bits(merge(r.cmd.into_bits()));
                if mask & 0xff00 != 0 {
                    self.command(v, g);
                }
            }
            Reg::ShortStroke => {
                r.short_stroke = merge(r.short_stroke);
                if mask & 0xff00 != 0 {
                    self.short_stroke(v, g);
                }
            }
            Reg::Colour(c) => {
                let shift = self.half(g, mask);
                let old = self.colour(c);
                let half = merge((*old >> shift) as u16);
                *old = *old & !(0xffff << shift) | u32::from(half) << shift;
            }
            Reg::ColourHigh(c) => {
                let old = self.colour(c);
                *old = *old & 0xffff | u32::from(merge((*old >> 16) as u16)) << 16;
            }
            Reg::Multifunc => {
                r.multifunc = merge(r.multifunc);
                if mask & 0xff00 != 0 {
                    let (index, data) = ((r.multifunc >> 12) as u8, r.multifunc & TWELVE);
                    self.write_indexed(index, TWELVE, data);
                }
            }
            Reg::Indexed(index) => self.write_indexed(index, mask & TWELVE, data),
        }
    }

    /// A register behind BEE8h. Indices that the chip does not have take the write in silence, as the others' spare bits do.
    fn write_indexed(&mut self, index: u8, mask: u16, data: u16) {
        let r = &mut self.regs;
        let merge = |old: u16| old & !mask | data & mask;
        match index {
            multifunc::MIN_AXIS_PCNT => r.min_axis_pcnt = merge(r.min_axis_pcnt),
            multifunc::SCISSORS_T => r.scissors_t = merge(r.scissors_t),
            multifunc::SCISSORS_L => r.scissors_l = merge(r.scissors_l),
            multifunc::SCISSORS_B => r.scissors_b = merge(r.scissors_b),
            multifunc::SCISSORS_R => r.scissors_r = merge(r.scissors_r),
            multifunc::PIX_CNTL => r.pix_cntl = PixCntl::from_bits(merge(r.pix_cntl.into_bits()) & 0xc4),
            multifunc::MULT_MISC2 => {
                r.mult_misc2 = MultMisc2::from_bits(merge(r.mult_misc2.into_bits()) & 0x77);
            }
            multifunc::MULT_MISC => r.mult_misc = MultMisc::from_bits(merge(r.mult_misc.into_bits()) & 0x3ff),
            multifunc::READ_SEL => r.read_sel = merge(r.read_sel) & 15,
            _ => {}
        }
    }

    /// A port read. `None`: nothing can be read there. `subsys_cntl`, `setup`: what 42E8h and 46E8h were last given, which
    /// READ_SEL shows.
    pub fn read_port(
        &mut self,
        v: Vram<'_>,
        g: Geometry,
        port: u16,
        width: u32,
        subsys_cntl: u16,
        setup: u8,
    ) -> Option<u32> {
        self.drain(v, g);
        let reg = Reg::at(port & !1)?;
        if width == 4 {
            if let Reg::Colour(c) = reg {
                return Some(*self.colour(c));
            }
            let high = Reg::at((port & !1) + 2).and_then(|r| self.read_reg(g, r, 0xffff, subsys_cntl, setup));
            let low = self.read_reg(g, reg, 0xffff, subsys_cntl, setup)?;
            return Some(u32::from(low) | u32::from(high.unwrap_or(u16::MAX)) << 16);
        }
        let (mask, shift) = match (width, port & 1) {
            (1, 0) => (0x00ff, 0),
            (1, _) => (0xff00, 8),
            _ => (0xffff, 0),
        };
        self.read_reg(g, reg, mask, subsys_cntl, setup).map(|v| u32::from((v & mask) >> shift))
    }

    /// The same, memory-mapped; the packed block can only be written.
    pub fn read_memory(
        &mut self,
        v: Vram<'_>,
        g: Geometry,
        off: u32,
        width: u32,
        subsys_cntl: u16,
        setup: u8,
    ) -> Option<u32> {
        match place(off) {
            Place::Port(port) => self.read_port(v, g, port, width, subsys_cntl, setup),
            Place::PixTrans | Place::Packed(_) => None,
        }
    }

    fn read_reg(&mut self, g: Geometry, reg: Reg, mask: u16, subsys_cntl: u16, setup: u8) -> Option<u16> {
        let r = &self.regs;
        Some(match reg {
            Reg::CurY => r.cur_y,
            Reg::CurX => r.cur_x,
            Reg::CurY2 => r.cur_y2,
            Reg::CurX2 => r.cur_x2,
            Reg::DestY => r.desty_axstp,
            Reg::DestX => r.destx_diastp,
            Reg::DestY2 => r.desty_axstp2,
            Reg::DestX2 => r.destx_diastp2,
            Reg::ErrTerm => r.err_term,
            Reg::ErrTerm2 => r.err_term2,
            Reg::MajAxis => r.maj_axis_pcnt,
            Reg::MajAxis2 => r.maj_axis_pcnt2,
            Reg::Cmd => GP_STAT_IDLE,
            Reg::Colour(c) => {
                let shift = self.half(g, mask);
                (*self.colour(c) >> shift) as u16
            }
            Reg::ColourHigh(c) => (*self.colour(c) >> 16) as u16,
            Reg::BkgdMix => r.bkgd_mix.into_bits(),
            Reg::FrgdMix => r.frgd_mix.into_bits(),
            Reg::Multifunc => {
                let v = self.selected(subsys_cntl, setup)?;
                if mask & 0xff00 != 0 {
                    self.regs.read_sel = (self.regs.read_sel + 1) & 15;
                }
                v
            }
            Reg::Cmd2 | Reg::ShortStroke | Reg::Indexed(_) => return None,
        })
    }

    /// What READ_SEL points at.
    fn selected(&self, subsys_cntl: u16, setup: u8) -> Option<u16> {
        let r = &self.regs;
        Some(match r.read_sel {
            0 => r.min_axis_pcnt,
            1 => r.scissors_t,
            2 => r.scissors_l,
            3 => r.scissors_b,
            4 => r.scissors_r,
            5 => r.pix_cntl.into_bits(),
            6 => r.mult_misc.into_bits(),
            7 => r.cmd.into_bits() & 0x1fff,
            8 => subsys_cntl & TWELVE,
            9 => u16::from(setup),
            10 => r.mult_misc2.into_bits(),
            _ => return None,
        })
    }
}
