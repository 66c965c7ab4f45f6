//! Registers of the drawing engine, bits in datasheet order. Names and places from VGADOC 4th edition (S3.TXT) and the
//! RBIL ports list, which follow the Trio32/Trio64 data book (DB014-B).

use bitfield_struct::bitfield;

/// Coordinates and counts have twelve bits.
pub const TWELVE: u16 = 0x0fff;
/// Line constants have fourteen.
pub const FOURTEEN: u16 = 0x3fff;

/// 9AE8h write, Drawing Command.
#[bitfield(u16, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct Cmd {
    /// 0: everything happens but writing.
    pub write: bool,
    /// A bit of CPU data to a pixel.
    pub across_plane: bool,
    pub last_pixel_off: bool,
    /// Lines go along `direction` instead of by Bresenham's constants.
    pub radial: bool,
    /// 0: the current position moves, nothing is written.
    pub draw: bool,
    pub inc_x: bool,
    pub y_major: bool,
    pub inc_y: bool,
    /// Data comes from the processor through PIX_TRANS.
    pub wait: bool,
    /// 0: 8 bits, 1: 16, 2: 32 with rows padded to 32, 3: 32 with rows padded to 8.
    #[bits(2)]
    pub bus_size: u8,
    pub command_3: bool,
    /// The low byte of a PIX_TRANS or SHORT_STROKE write comes first.
    pub low_first: bool,
    #[bits(3)]
    pub command_2_0: u8,
}

/// What [`Cmd::operation`] may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation(pub u8);

impl Operation {
    pub const LINE: Self = Self(1);
    pub const RECTANGLE: Self = Self(2);
    pub const POLYGON: Self = Self(3);
    pub const BITBLT: Self = Self(6);
    pub const PATTERN: Self = Self(7);
    pub const TWO_POINT: Self = Self(9);
    pub const PATTERN_POLYGON: Self = Self(11);
}

impl Cmd {
    pub fn operation(self) -> Operation {
        Operation(u8::from(self.command_3()) << 3 | self.command_2_0())
    }

    /// DRWG-DIR: steps of 45 degrees, counter-clockwise from the positive X axis.
    pub fn direction(self) -> u8 {
        (self.into_bits() >> 5 & 7) as u8
    }
}

/// B6E8h BKGD_MIX and BAE8h FRGD_MIX.
#[bitfield(u16, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct Mix {
    #[bits(4)]
    pub mix: u8,
    __: bool,
    /// 0: BKGD_COLOR, 1: FRGD_COLOR, 2: the processor, 3: display memory.
    #[bits(2)]
    pub source: u8,
    #[bits(9)]
    __: u16,
}

/// BEE8h index 0Ah, PIX_CNTL.
#[bitfield(u16, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct PixCntl {
    #[bits(6)]
    __: u8,
    /// 0: FRGD_MIX always, 2: bits from the processor choose, 3: display memory chooses.
    #[bits(2)]
    pub mix_select: u8,
    __: u8,
}

/// BEE8h index 0Eh, MULT_MISC.
#[bitfield(u16, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct MultMisc {
    /// Megabyte that destination coordinates count from.
    #[bits(2)]
    pub dest_base: u8,
    #[bits(2)]
    pub src_base: u8,
    /// Register Select Flag: the high half of a 32-bit register comes next.
    pub rsf: bool,
    /// Draw outside the scissors.
    pub ext_clip: bool,
    pub slow_rmw: bool,
    /// Compare: write only pixels whose source is the colour. 0: only those whose source is not.
    pub src_ne: bool,
    pub compare: bool,
    /// Colours and masks are 32 bits wide, not two halves in turn.
    pub cmr_32b: bool,
    #[bits(6)]
    __: u8,
}

/// BEE8h index 0Dh, MULT_MISC2. A base here other than 0 goes before MULT_MISC's.
#[bitfield(u16, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct MultMisc2 {
    #[bits(3)]
    pub dest_base: u8,
    __: bool,
    #[bits(3)]
    pub src_base: u8,
    #[bits(9)]
    __: u16,
}

/// BEE8h's indices.
pub mod multifunc {
    pub const MIN_AXIS_PCNT: u8 = 0;
    pub const SCISSORS_T: u8 = 1;
    pub const SCISSORS_L: u8 = 2;
    pub const SCISSORS_B: u8 = 3;
    pub const SCISSORS_R: u8 = 4;
    pub const PIX_CNTL: u8 = 0xa;
    pub const MULT_MISC2: u8 = 0xd;
    pub const MULT_MISC: u8 = 0xe;
    pub const READ_SEL: u8 = 0xf;
}

/// Bits of 42E8h: interrupts that are pending, cleared by writing 1.
pub mod subsys {
    pub const VSY: u8 = 1;
    /// The engine went idle.
    pub const GE_BSY: u8 = 2;
    pub const FIFO_OVF: u8 = 4;
    pub const FIFO_EMP: u8 = 8;
    pub const ALL: u8 = 15;
}

/// 9AE8h read, GP_STAT, of an engine that is done: all thirteen FIFO slots free (b15-11 and b7-0), AE set.
pub const GP_STAT_IDLE: u16 = 0x0400;

const _: () = assert!(Cmd::new().with_command_2_0(7).into_bits() == 0xe000);
const _: () = assert!(Cmd::new().with_bus_size(3).into_bits() == 0x0600);
const _: () = assert!(Mix::new().with_source(3).into_bits() == 0x60);
const _: () = assert!(PixCntl::new().with_mix_select(3).into_bits() == 0xc0);
const _: () = assert!(MultMisc::new().with_cmr_32b(true).into_bits() == 0x200);
const _: () = assert!(MultMisc2::new().with_src_base(7).into_bits() == 0x70);
