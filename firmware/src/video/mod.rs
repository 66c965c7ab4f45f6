//! The video BIOS: INT 10h.
//!
//! Only port and memory operations are used here, never STI, HLT or a privileged instruction: drivers call this
//! in V86 mode and under instruction emulators.

pub mod chars;
pub mod edid;
pub mod fonts;
pub mod misc;
pub mod modes;
pub mod palette;
pub mod s3;
pub mod set;
pub mod vbe;

use crate::bda::{self, bda};
use crate::bus::{Bus, le16};
use crate::frame::Frame;
use crate::rom::video as rom;
use crate::rom::{SYSTEM_SEG, VIDEO_SEG};
use modes::{Layout, Mode};

/// The video part of the BIOS data area, 49h-8Ah, as one read gives it.
pub struct Screen {
    area: Vec<u8>,
}

impl Screen {
    pub async fn load(bus: &Bus) -> Self {
        Self { area: bus.read(bda(bda::VIDEO), 0x42).await }
    }

    fn byte(&self, off: u16) -> u8 {
        self.area[usize::from(off - bda::VIDEO)]
    }

    fn word(&self, off: u16) -> u16 {
        le16(&self.area[usize::from(off - bda::VIDEO)..])
    }

    /// Mode number without the "memory kept" bit.
    pub fn mode(&self) -> u8 {
        self.byte(0x49) & 0x7f
    }

    pub fn columns(&self) -> u16 {
        self.word(0x4a).max(1)
    }

    pub fn page_size(&self) -> u16 {
        self.word(0x4c)
    }

    pub fn page(&self) -> u8 {
        self.byte(0x62)
    }

    pub fn crtc(&self) -> u16 {
        if self.word(0x63) == 0x3b4 { 0x3b4 } else { 0x3d4 }
    }

    pub fn rows(&self) -> u16 {
        u16::from(self.byte(0x84)) + 1
    }

    pub fn height(&self) -> u16 {
        self.word(0x85).clamp(1, 32)
    }

    pub fn shape(&self) -> u16 {
        self.word(0x60)
    }

    /// Column and row of a page's cursor.
    pub fn cursor(&self, page: u8) -> (u8, u8) {
        let at = self.word(0x50 + 2 * u16::from(page & 7));
        (at as u8, (at >> 8) as u8)
    }

    pub fn layout(&self) -> Option<Layout> {
        self.known().map(|m| m.layout)
    }

    pub fn known(&self) -> Option<&'static Mode> {
        modes::find(self.mode())
    }

    pub fn segment(&self) -> u16 {
        self.known().map_or(0xb800, |m| m.segment)
    }
}

/// The ROM's initialisation entry: another BIOS has placed the card.
pub async fn init_card(bus: &Bus) {
    let lfb = bus.pci_read32(crate::wiring::VGA, 0x10).await & !0xf;
    crate::bus::lock(&bus.world.shared).lfb = lfb;
    init(bus).await;
}

/// Once, from POST or through the ROM's initialisation entry: vectors, data area, mode 3.
pub async fn init(bus: &Bus) {
    let vector =
        |n: u16, seg: u16, off: u16| (crate::bus::Far::new(0, 4 * n), u32::from(seg) << 16 | u32::from(off));
    for (at, v) in [
        vector(0x10, VIDEO_SEG, rom::INT10),
        vector(0x42, SYSTEM_SEG, 0xf065),
        vector(0x6d, VIDEO_SEG, rom::INT10),
        vector(0x1d, SYSTEM_SEG, 0xf0a4),
        vector(0x1f, VIDEO_SEG, rom::FONT8_HIGH),
        vector(0x43, VIDEO_SEG, rom::FONT16),
    ] {
        bus.write32(at, v).await;
    }
    bus.write32(bda(bda::VIDEO_SAVE), u32::from(VIDEO_SEG) << 16 | u32::from(rom::SAVE_POINTERS)).await;
    bus.write(bda(0x87), &[0x60, 0xf9, 0x11, 0x08]).await;
    set::mode(bus, 3).await;
}

pub async fn int10(bus: &Bus, f: &mut Frame) {
    match f.ah() {
        0x00 => {
            let al = f.al();
            set::mode(bus, al).await;
            f.set_al(match al & 0x7f {
                6 => 0x3f,
                0..=7 => 0x30,
                _ => 0x20,
            });
        }
        0x01..=0x0a | 0x0c..=0x0f | 0x13 => chars::serve(bus, f).await,
        0x0b | 0x10 => palette::serve(bus, f).await,
        0x11 => fonts::serve(bus, f).await,
        0x12 | 0x1a | 0x1b | 0x1c => misc::serve(bus, f).await,
        0x4f => vbe::serve(bus, f).await,
        // Unknown functions return with everything as it was; boot loaders try some.
        _ => {}
    }
}
