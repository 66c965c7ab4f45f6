//! The VGA: sequencer, CRT controller, graphics controller, attribute controller and DAC.
//!
//! Not a device of its own: an adapter owns a [`Vga`], hands it port and memory accesses, and adds through
//! [`Ext`] what its own registers put on top of the VGA's counters.
//!
//! - [`regs`]: the registers and their bits; `ports.rs`: how they are reached, locks and flip-flops.
//! - `memory.rs`: the processor's path to the planes: write modes 0-3, read modes, latches, chains.
//! - `timing.rs`: what the programmed CRTC does in guest time: display enable and retrace in 3DAh.
//! - `picture.rs`: the registers resolved into one [`Picture`]; `draw.rs`: that picture as pixels.
//!
//! Pictures have the size that a monitor would see: mode 13h is 640x400, its lines and dots doubled.
//!
//! Not emulated: shift loads of 16 and 32 bits and count-by-2/4 (SR01 b2, b4, CR17 b3, CR14 b5), which only modes
//! of the 64 KiB EGA used; cursor and display-enable skew; the light pen; text cursor over graphics. Blanking
//! within the displayed area makes the picture shorter, as Virtual PC does, where a monitor shows black.
//!
//! Sources: IBM PS/2 Hardware Interface Technical Reference (1992), "Video Subsystem"; VGADOC 4th edition,
//! VGAREGS; Ferraro, Programmer's Guide to the EGA and VGA Cards.

mod dac;
mod draw;
mod memory;
mod picture;
mod ports;
pub mod regs;
mod state;
mod timing;
mod vram;

pub use dac::Dac;
pub use draw::{Brush, Cursor, TextLook};
pub use picture::{Kind, Line, Picture};
pub use ports::Port;
pub use state::VgaV1;
pub use timing::Timing;
pub use vram::Vram;

/// Direct colour layouts of an adapter's DAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direct {
    Rgb15,
    Rgb16,
    Rgb32,
}

impl Direct {
    /// A pixel's colour, 0xRRGGBB. Full scale of five or six bits is full scale of eight.
    #[inline]
    pub fn rgb(self, v: u32) -> u32 {
        let five = |v: u32| v << 3 | v >> 2;
        let six = |v: u32| v << 2 | v >> 4;
        match self {
            Self::Rgb15 => five(v >> 10 & 31) << 16 | five(v >> 5 & 31) << 8 | five(v & 31),
            Self::Rgb16 => five(v >> 11 & 31) << 16 | six(v >> 5 & 63) << 8 | five(v & 31),
            Self::Rgb32 => v & 0xff_ffff,
        }
    }
}

/// What an adapter adds to the VGA's registers. All zero: a plain VGA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ext {
    /// Bits above the VGA's own, already in place (100h and up).
    pub h_total: u32,
    pub h_display: u32,
    pub v_total: u32,
    pub v_display: u32,
    pub v_blank: u32,
    pub v_retrace: u32,
    pub line_compare: u32,
    pub start: u32,
    pub offset: u32,
    /// The processor's window and the display address memory byte by byte, without planes or chains.
    pub linear: bool,
    /// Banks are on; where the window's bank begins, in bytes of video memory.
    pub banked: bool,
    pub bank: u32,
    /// The display may go beyond 256 KiB.
    pub large: bool,
    /// One byte, one dot, through the DAC.
    pub packed_8: bool,
    pub direct: Option<Direct>,
    pub dots_double: bool,
    /// Fonts lie row by row, 256 characters to a row.
    pub fast_font: bool,
    pub interlace: bool,
    /// Displaying is stopped (power management).
    pub blank: bool,
    /// CR07 b1 and b6 can be written whatever CR11 b7 says.
    pub free_vde: bool,
    /// Dot clock in kHz that MISC clock select 3 stands for; 0: the VGA's second clock.
    pub clock_khz: u32,
}

/// The registers, plus what follows from them.
#[derive(Debug, Clone)]
pub struct Vga {
    misc: u8,
    feature: u8,
    seq_index: u8,
    seq: [u8; 8],
    crtc_index: u8,
    crtc: [u8; 25],
    gfx_index: u8,
    gfx: [u8; 9],
    attr_index: u8,
    /// The next write to 3C0h is data.
    attr_data: bool,
    attr: [u8; 21],
    latch: u32,
    pub dac: Dac,
    /// Set by the adapter whenever its registers change; not saved.
    pub ext: Ext,
    /// When the vertical interrupt was last cleared, in guest time.
    int_cleared: u64,
    timing: Timing,
    /// Moves with every change of colours.
    colours: u32,
}

impl Default for Vga {
    fn default() -> Self {
        let mut gfx = [0; 9];
        gfx[8] = 0xff;
        let mut vga = Self {
            misc: 0,
            feature: 0,
            seq_index: 0,
            seq: [0, 0, 0x0f, 0, 0, 0, 0, 0],
            crtc_index: 0,
            crtc: [0; 25],
            gfx_index: 0,
            gfx,
            attr_index: 0,
            attr_data: false,
            attr: [0; 21],
            latch: 0,
            dac: Dac::default(),
            ext: Ext::default(),
            int_cleared: 0,
            timing: Timing::default(),
            colours: 0,
        };
        vga.retime();
        vga
    }
}

impl Vga {
    pub fn misc(&self) -> regs::Misc {
        regs::Misc::from_bits(self.misc)
    }

    /// The CRTC index, for the adapter's registers beyond CR18.
    pub fn crtc_index(&self) -> u8 {
        self.crtc_index
    }

    /// The sequencer index, for the adapter's registers beyond SR07.
    pub fn seq_index(&self) -> u8 {
        self.seq_index
    }

    /// The attribute register that the next write to 3C0h goes to, if it is not an index.
    pub fn attr_pending(&self) -> Option<u8> {
        self.attr_data.then_some(self.attr_index & 0x1f)
    }

    /// Takes a write to 3C0h as data of a register that is locked.
    pub fn skip_attr(&mut self) {
        self.attr_data = false;
    }

    /// SR00-SR07 as written.
    pub fn seq(&self, n: usize) -> u8 {
        self.seq.get(n).copied().unwrap_or(0)
    }

    /// CR00-CR18 as written.
    pub fn crtc(&self, n: usize) -> u8 {
        self.crtc.get(n).copied().unwrap_or(0)
    }

    /// Puts the adapter's additions in place.
    pub fn set_ext(&mut self, ext: Ext) {
        if self.ext != ext {
            self.ext = ext;
            self.retime();
        }
    }
}
