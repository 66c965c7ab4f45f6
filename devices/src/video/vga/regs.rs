//! The VGA's registers. IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"; names as there, in
//! the order of their bits. The register files stay arrays of bytes, since drivers read back what they wrote;
//! these types say what the bytes mean.

use bitfield_struct::bitfield;

/// Miscellaneous Output, 3C2h write, 3CCh read. Reset 00h.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct Misc {
    /// CRTC and input status at 3Dxh instead of 3Bxh.
    pub io_address: bool,
    pub enable_ram: bool,
    #[bits(2)]
    pub clock_select: u8,
    __: bool,
    /// Which half an odd/even address goes to; the planes are whole here, so it has no effect.
    pub page: bool,
    pub hsync_negative: bool,
    pub vsync_negative: bool,
}

/// SR01, Clocking Mode.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct ClockingMode {
    pub dots_8: bool,
    __: bool,
    pub shift_load_16: bool,
    pub dot_clock_half: bool,
    pub shift_load_32: bool,
    pub screen_off: bool,
    #[bits(2)]
    __: u8,
}

/// SR03, Character Map Select: three bits for each map, split as the EGA's two bits were extended.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct CharMap {
    #[bits(2)]
    pub b_low: u8,
    #[bits(2)]
    pub a_low: u8,
    pub b_high: bool,
    pub a_high: bool,
    #[bits(2)]
    __: u8,
}

impl CharMap {
    /// Where a map lies in plane 2: 0, 16K, 32K, 48K, 8K, 24K, 40K, 56K.
    fn at(low: u8, high: bool) -> u32 {
        u32::from(low) * 0x4000 + if high { 0x2000 } else { 0 }
    }

    /// For characters whose attribute bit 3 is 1.
    pub fn map_a(self) -> u32 {
        Self::at(self.a_low(), self.a_high())
    }

    /// For characters whose attribute bit 3 is 0.
    pub fn map_b(self) -> u32 {
        Self::at(self.b_low(), self.b_high())
    }
}

/// SR04, Memory Mode.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct MemoryMode {
    __: bool,
    pub extended: bool,
    /// 0: even addresses go to planes 0 and 2, odd ones to 1 and 3.
    pub odd_even_off: bool,
    pub chain_4: bool,
    #[bits(4)]
    __: u8,
}

/// GR05, Graphics Mode.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct GraphicsMode {
    #[bits(2)]
    pub write_mode: u8,
    __: bool,
    pub read_mode: bool,
    pub odd_even: bool,
    pub shift_interleave: bool,
    pub shift_256: bool,
    __: bool,
}

/// GR06, Miscellaneous.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct GraphicsMisc {
    pub graphics: bool,
    pub chain_odd_even: bool,
    #[bits(2)]
    pub memory_map: u8,
    #[bits(4)]
    __: u8,
}

/// AR10, Attribute Mode Control.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct AttrMode {
    pub graphics: bool,
    pub mono: bool,
    /// Codes C0h-DFh copy the eighth dot to the ninth.
    pub line_graphics: bool,
    /// Attribute bit 7 blinks instead of making the background bright.
    pub blink: bool,
    __: bool,
    /// Below the split, pel panning is 0.
    pub pan_split: bool,
    pub pel_width: bool,
    /// Palette bits 5-4 come from AR14.
    pub p54s: bool,
}

/// CR08, Preset Row Scan.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct PresetRow {
    #[bits(5)]
    pub row: u8,
    #[bits(2)]
    pub byte_pan: u8,
    __: bool,
}

/// CR09, Maximum Scan Line.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct MaxScan {
    #[bits(5)]
    pub max_scan: u8,
    pub vbs9: bool,
    pub lc9: bool,
    pub double: bool,
}

/// CR11, Vertical Retrace End.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct RetraceEnd {
    #[bits(4)]
    pub end: u8,
    /// 0 clears the vertical interrupt.
    pub not_clear_int: bool,
    /// 1 disables the vertical interrupt.
    pub disable_int: bool,
    pub refresh_5: bool,
    /// Locks CR00-CR06 and CR07 but its bit 4.
    pub protect: bool,
}

/// CR17, Mode Control.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct ModeControl {
    /// 0: row scan bit 0 takes the place of memory address bit 13 (CGA).
    pub cms0: bool,
    /// 0: row scan bit 1 takes the place of bit 14 (Hercules).
    pub cms1: bool,
    pub hrs_half: bool,
    pub count_2: bool,
    __: bool,
    /// In word mode, bit 15 instead of 13 goes to bit 0.
    pub address_wrap: bool,
    pub byte_mode: bool,
    /// 0 stops retrace.
    pub run: bool,
}

/// CR07, Overflow: eighth and ninth bits of the vertical values.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct Overflow {
    pub vt8: bool,
    pub vde8: bool,
    pub vrs8: bool,
    pub vbs8: bool,
    pub lc8: bool,
    pub vt9: bool,
    pub vde9: bool,
    pub vrs9: bool,
}

const _: () = assert!(ModeControl::new().with_run(true).into_bits() == 0x80);
const _: () = assert!(RetraceEnd::new().with_protect(true).into_bits() == 0x80);
const _: () = assert!(GraphicsMode::new().with_shift_256(true).into_bits() == 0x40);
const _: () = assert!(AttrMode::new().with_p54s(true).into_bits() == 0x80);
const _: () = assert!(Overflow::new().with_vrs9(true).into_bits() == 0x80);
const _: () = assert!(Misc::new().with_vsync_negative(true).into_bits() == 0x80);
