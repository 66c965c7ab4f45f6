//! The contract of a chip.

use crate::{Cx, HostEvent, StateError, StateIn, StateOut, TimerId};

/// Size of one access as a chip sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Width {
    B = 1,
    W = 2,
    D = 4,
}

impl Width {
    pub const fn bytes(self) -> u32 {
        self as u32
    }

    /// All ones in this width.
    pub const fn ones(self) -> u32 {
        match self {
            Self::B => 0xff,
            Self::W => 0xffff,
            Self::D => 0xffff_ffff,
        }
    }

    pub const fn from_bytes(n: u32) -> Option<Self> {
        match n {
            1 => Some(Self::B),
            2 => Some(Self::W),
            4 => Some(Self::D),
            _ => None,
        }
    }
}

/// A window of a chip, by the chip's own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Win(pub u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WinKind {
    /// I/O ports.
    Pio,
    /// Physical memory that calls the chip for each access.
    Mmio,
    /// PCI configuration space of one function, 256 bytes.
    Config,
}

/// What a chip declares of one window. Where it lies is the board's business, or the guest's by [`Cx::remap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WinSpec {
    pub win: Win,
    pub kind: WinKind,
    /// Bytes.
    pub len: u32,
    /// The widest access that the chip takes. The bus splits wider ones, lowest address first, as an ISA bus
    /// does with a 16-bit cycle to an 8-bit card.
    pub widest: Width,
}

impl WinSpec {
    pub const fn pio(win: Win, len: u32, widest: Width) -> Self {
        Self { win, kind: WinKind::Pio, len, widest }
    }

    pub const fn mmio(win: Win, len: u32, widest: Width) -> Self {
        Self { win, kind: WinKind::Mmio, len, widest }
    }

    pub const fn config(win: Win) -> Self {
        Self { win, kind: WinKind::Config, len: 256, widest: Width::D }
    }
}

/// One access: window, offset into it, width. Never crosses the window's end; aligned to its width except on
/// `Mmio` and `Pio` windows whose chip takes more than a byte: there the bus splits unaligned accesses into bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    pub win: Win,
    pub off: u32,
    pub width: Width,
}

/// Which reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Power came on: everything, battery-backed contents excepted.
    PowerOn,
    /// PCIRST#/RSTDRV: CF9 hard reset, triple fault, the front panel's button. Registers as after power-on.
    Hard,
}

/// An instant, as one to save a machine's state at: the worst of all chips'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    Good,
    /// Something will be done a second time after a restore. Better ones come within milliseconds, mostly.
    Poor,
}

/// A chip of the board. Guest input has no `Result` and no panic: what a datasheet leaves undefined answers
/// with [`Cx::open_bus`] and is counted.
pub trait Device: Send {
    /// Key in logs, metrics and saved state: "piix4-ide".
    fn name(&self) -> &'static str;
    fn windows(&self) -> &'static [WinSpec];
    /// Brings all registers to their reset values and drives the chip's lines accordingly. Called once with
    /// [`Reset::PowerOn`] before the first instruction.
    fn reset(&mut self, cx: &mut Cx<'_>, kind: Reset);
    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32;
    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32);
    /// A timer armed by [`Cx::wake_at`] is due. `cx.now()` may be later than asked for: catch up, don't drop.
    fn timer(&mut self, _cx: &mut Cx<'_>, _id: TimerId) {}
    /// The outside: a job of mine ended, a key or a frame arrived.
    fn host(&mut self, _cx: &mut Cx<'_>, _ev: HostEvent) {}
    /// Somebody is about to look at what this chip moves in the background (its DMA channel's count), or has just
    /// changed it: bring it to `cx.now()`. Called for chips that the board knows to need it, and for all before `save`.
    fn catch_up(&mut self, _cx: &mut Cx<'_>) {}
    fn save(&self, out: &mut StateOut);
    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError>;
    /// How good an instant is this to save it?
    fn moment(&self) -> Moment {
        Moment::Good
    }
    /// Called after `load` of all chips, to drive lines, windows and timers from the loaded registers.
    fn restored(&mut self, _cx: &mut Cx<'_>) {}
    /// Name and value pairs for `ctl metrics`.
    fn metrics(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
