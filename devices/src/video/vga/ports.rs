//! The VGA's ports.

use board::Tick;

use super::Vga;
use super::regs::{Misc, RetraceEnd};

/// A port of the VGA, the CRTC's two homes made one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    CrtcIndex,
    CrtcData,
    /// 3BAh, 3DAh: read Input Status 1, write Feature Control.
    Status1,
    Attribute,
    AttributeRead,
    /// 3C2h: write Miscellaneous Output, read Input Status 0.
    Misc,
    Enable,
    SeqIndex,
    SeqData,
    DacMask,
    DacReadIndex,
    DacWriteIndex,
    DacData,
    FeatureRead,
    MiscRead,
    GfxIndex,
    GfxData,
}

impl Port {
    /// The register behind a port number, with the CRTC where MISC b0 puts it.
    pub fn at(port: u16, misc: Misc) -> Option<Self> {
        let crtc = if misc.io_address() { 0x3d0 } else { 0x3b0 };
        Some(match port {
            0x3c0 => Self::Attribute,
            0x3c1 => Self::AttributeRead,
            0x3c2 => Self::Misc,
            0x3c3 => Self::Enable,
            0x3c4 => Self::SeqIndex,
            0x3c5 => Self::SeqData,
            0x3c6 => Self::DacMask,
            0x3c7 => Self::DacReadIndex,
            0x3c8 => Self::DacWriteIndex,
            0x3c9 => Self::DacData,
            0x3ca => Self::FeatureRead,
            0x3cc => Self::MiscRead,
            0x3ce => Self::GfxIndex,
            0x3cf => Self::GfxData,
            _ if port & 0x3f0 == crtc => match port & 15 {
                // The CRTC is decoded at every even and odd port of 3x0-3x7, as on the CGA and MDA.
                0..=7 if port & 1 == 0 => Self::CrtcIndex,
                0..=7 => Self::CrtcData,
                0xa => Self::Status1,
                _ => return None,
            },
            _ => return None,
        })
    }
}

impl Vga {
    /// A byte read. `None`: an index that the VGA does not have.
    pub fn read_port(&mut self, port: Port, now: Tick) -> Option<u8> {
        Some(match port {
            Port::CrtcIndex => self.crtc_index,
            Port::CrtcData => return self.read_crtc(),
            Port::Status1 => {
                self.attr_data = false;
                self.timing.status1(now)
            }
            Port::Attribute => self.attr_index,
            Port::AttributeRead => *self.attr.get(usize::from(self.attr_index & 0x1f))?,
            Port::Misc => self.status0(now),
            Port::Enable => 1,
            Port::SeqIndex => self.seq_index,
            Port::SeqData => match self.seq_index {
                0..=4 => self.seq[usize::from(self.seq_index)],
                5..=7 => 0xff,
                _ => return None,
            },
            Port::DacMask => self.dac.mask(),
            Port::DacReadIndex => self.dac.state(),
            Port::DacWriteIndex => self.dac.write_index(),
            Port::DacData => self.dac.read_data(),
            Port::FeatureRead => self.feature,
            Port::MiscRead => self.misc,
            Port::GfxIndex => self.gfx_index,
            Port::GfxData => *self.gfx.get(usize::from(self.gfx_index & 15))?,
        })
    }

    /// A byte written. False: an index that the VGA does not have.
    pub fn write_port(&mut self, port: Port, v: u8, now: Tick) -> bool {
        match port {
            Port::CrtcIndex => self.crtc_index = v,
            Port::CrtcData => return self.write_crtc(v, now),
            Port::Status1 => self.feature = v,
            Port::Attribute => return self.write_attr(v),
            Port::Misc => {
                self.misc = v;
                self.retime();
            }
            Port::SeqIndex => self.seq_index = v,
            Port::SeqData => match self.seq_index {
                0..=4 => {
                    self.seq[usize::from(self.seq_index)] = v;
                    self.retime();
                }
                5..=7 => {}
                _ => return false,
            },
            Port::DacMask => {
                if self.dac.set_mask(v) {
                    self.recolour();
                }
            }
            Port::DacReadIndex => self.dac.set_read_index(v),
            Port::DacWriteIndex => self.dac.set_write_index(v),
            Port::DacData => {
                if self.dac.write_data(v) {
                    self.recolour();
                }
            }
            Port::GfxIndex => self.gfx_index = v,
            Port::GfxData => match self.gfx.get_mut(usize::from(self.gfx_index & 15)) {
                Some(r) => *r = v,
                None => return false,
            },
            Port::Enable | Port::AttributeRead | Port::FeatureRead | Port::MiscRead => {}
        }
        true
    }

    fn read_crtc(&self) -> Option<u8> {
        Some(match self.crtc_index {
            0x22 => (self.latch >> (8 * u32::from(self.gfx[4] & 3))) as u8,
            0x24 => u8::from(self.attr_data) << 7,
            0x26 => self.attr_index,
            n => *self.crtc.get(usize::from(n))?,
        })
    }

    fn write_crtc(&mut self, v: u8, now: Tick) -> bool {
        let n = usize::from(self.crtc_index);
        let locked = RetraceEnd::from_bits(self.crtc[0x11]).protect();
        match n {
            0..=6 if locked => {}
            // Line compare bit 8 is never locked.
            7 if locked => {
                let free = if self.ext.free_vde { 0x52 } else { 0x10 };
                self.crtc[7] = self.crtc[7] & !free | v & free;
            }
            0x11 => {
                self.crtc[n] = v;
                if !RetraceEnd::from_bits(v).not_clear_int() {
                    self.int_cleared = now;
                }
            }
            0..=0x18 => self.crtc[n] = v,
            // Read only.
            0x22 | 0x24 | 0x26 => {}
            _ => return false,
        }
        self.retime();
        true
    }

    fn write_attr(&mut self, v: u8) -> bool {
        self.attr_data = !self.attr_data;
        if self.attr_data {
            self.attr_index = v & 0x3f;
            return true;
        }
        // IBM's chip takes palette writes only while AR index b5 = 0; clones, and drivers, don't insist.
        match usize::from(self.attr_index & 0x1f) {
            n @ 0..=0x0f => {
                self.attr[n] = v & 0x3f;
                self.recolour();
            }
            n @ 0x10..=0x14 => {
                self.attr[n] = v;
                self.recolour();
            }
            _ => return false,
        }
        true
    }

    /// Input Status 0: the monitor sense of a colour display, and the vertical interrupt.
    fn status0(&self, now: Tick) -> u8 {
        // Sense reads the comparators that BIOSes use to tell colour from mono: bright red, green and blue
        // together never trip all of them on a mono display. A colour display is always there.
        0x10 | u8::from(self.interrupt_pending(now)) << 7
    }

    /// A vertical retrace has begun since the interrupt was last cleared, and it is held by CR11 b4.
    pub fn interrupt_pending(&self, now: Tick) -> bool {
        let end = RetraceEnd::from_bits(self.crtc[0x11]);
        end.not_clear_int() && self.timing.retraces(now) > self.timing.retraces(self.int_cleared)
    }

    /// CR11 b5 = 0 and b4 = 1: retraces should interrupt.
    pub fn interrupt_enabled(&self) -> bool {
        let end = RetraceEnd::from_bits(self.crtc[0x11]);
        end.not_clear_int() && !end.disable_int()
    }

    fn recolour(&mut self) {
        self.colours = self.colours.wrapping_add(1);
    }
}
