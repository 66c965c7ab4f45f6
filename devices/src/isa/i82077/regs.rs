//! Registers, status bytes and command bytes. 82077AA data sheet (290166), sections 2.0 and 5.0 to 6.0; 82078 data
//! sheet (290475) for what that adds.

use bitfield_struct::bitfield;

/// Digital output register, 3F2h. A hardware reset clears it.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Dor {
    /// 1:0: the drive whose lines DIR shows.
    #[bits(2)]
    pub select: u8,
    /// 2: while 0 the controller is held in reset.
    pub nreset: bool,
    /// 3: DMAGATE#: lets INT and DRQ out.
    pub dmagate: bool,
    /// 7:4: motors of drives 3 to 0.
    #[bits(4)]
    pub motors: u8,
}

/// Main status register, 3F4h.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Msr {
    /// 3:0: the drive is seeking, or its end of seek was not yet asked for.
    #[bits(4)]
    pub busy: u8,
    /// 4: a command is in progress.
    pub cmd_busy: bool,
    /// 5: in the execution phase of a command without DMA.
    pub non_dma: bool,
    /// 6: the FIFO is to be read.
    pub dio: bool,
    /// 7: the FIFO wants an access.
    pub rqm: bool,
}

/// Second byte of CONFIGURE.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Config {
    /// 3:0: FIFO threshold, less one.
    #[bits(4)]
    pub fifothr: u8,
    /// 4: no polling, so no interrupt after a reset.
    pub poll: bool,
    /// 5: the FIFO is off.
    pub efifo: bool,
    /// 6: data commands seek first.
    pub eis: bool,
    __: bool,
}

impl Config {
    /// CONFIGURE's defaults: FIFO off, threshold 1, polling on, no implied seek.
    pub(super) const RESET: Self = Self::new().with_efifo(true);
}

/// DSR bit 7: a reset that ends by itself.
pub(super) const DSR_RESET: u8 = 0x80;
/// Data rate bits of DSR and CCR.
pub(super) const RATE: u8 = 0x03;
/// 250 kbit/s, after a hardware reset.
pub(super) const RATE_RESET: u8 = 2;
/// What the tri-stated bits of an AT's status registers read.
pub(super) const SRA: u8 = 0xff;
pub(super) const SRB: u8 = 0xfc;
pub(super) const TDR_OPEN: u8 = 0xfc;
pub(super) const DIR_OPEN: u8 = 0x7f;
pub(super) const DSKCHG: u8 = 0x80;

/// Status register 0.
pub(super) mod st0 {
    pub(crate) const ABNORMAL: u8 = 0x40;
    pub(crate) const INVALID: u8 = 0x80;
    /// Polling found a changed ready line: each drive after a reset.
    pub(crate) const POLLED: u8 = 0xc0;
    pub(crate) const SEEK_END: u8 = 0x20;
    pub(crate) const EQUIPMENT_CHECK: u8 = 0x10;
}

/// Status register 1.
pub(super) mod st1 {
    pub(crate) const END_OF_CYLINDER: u8 = 0x80;
    pub(crate) const DATA_ERROR: u8 = 0x20;
    pub(crate) const OVERRUN: u8 = 0x10;
    pub(crate) const NO_DATA: u8 = 0x04;
    pub(crate) const NOT_WRITABLE: u8 = 0x02;
    pub(crate) const MISSING_MARK: u8 = 0x01;
}

/// Status register 2.
pub(super) mod st2 {
    pub(crate) const CONTROL_MARK: u8 = 0x40;
    pub(crate) const DATA_ERROR: u8 = 0x20;
    pub(crate) const WRONG_CYLINDER: u8 = 0x10;
    pub(crate) const SCAN_EQUAL: u8 = 0x08;
    pub(crate) const SCAN_MISSED: u8 = 0x04;
}

/// Status register 3.
pub(super) mod st3 {
    pub(crate) const WRITE_PROTECT: u8 = 0x40;
    pub(crate) const TRACK0: u8 = 0x10;
    /// Bits 5 and 3 are always 1.
    pub(crate) const ONES: u8 = 0x28;
}

/// First bytes of commands with no options in them.
pub(super) mod op {
    pub(crate) const SPECIFY: u8 = 0x03;
    pub(crate) const SENSE_DRIVE: u8 = 0x04;
    pub(crate) const RECALIBRATE: u8 = 0x07;
    pub(crate) const SENSE_INTERRUPT: u8 = 0x08;
    pub(crate) const DUMPREG: u8 = 0x0e;
    pub(crate) const SEEK: u8 = 0x0f;
    pub(crate) const VERSION: u8 = 0x10;
    pub(crate) const PERPENDICULAR: u8 = 0x12;
    pub(crate) const CONFIGURE: u8 = 0x13;
    pub(crate) const UNLOCK: u8 = 0x14;
    pub(crate) const POWERDOWN: u8 = 0x17;
    pub(crate) const PART_ID: u8 = 0x18;
    pub(crate) const SAVE: u8 = 0x2e;
    pub(crate) const OPTION: u8 = 0x33;
    pub(crate) const RESTORE: u8 = 0x4e;
    pub(crate) const DRIVE_SPEC: u8 = 0x8e;
    pub(crate) const SEEK_OUT: u8 = 0x8f;
    pub(crate) const LOCK: u8 = 0x94;
    pub(crate) const SEEK_IN: u8 = 0xcf;
}

/// A data command, which moves sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    ReadTrack,
    Write,
    Read,
    WriteDeleted,
    ReadId,
    ReadDeleted,
    Format,
    ScanEqual,
    Verify,
    ScanLow,
    ScanHigh,
}

impl Op {
    pub(super) const ALL: [Self; 11] = [
        Self::ReadTrack,
        Self::Write,
        Self::Read,
        Self::WriteDeleted,
        Self::ReadId,
        Self::ReadDeleted,
        Self::Format,
        Self::ScanEqual,
        Self::Verify,
        Self::ScanLow,
        Self::ScanHigh,
    ];

    /// Bits 4:0 of its first byte.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::ReadTrack => 0x02,
            Self::Write => 0x05,
            Self::Read => 0x06,
            Self::WriteDeleted => 0x09,
            Self::ReadId => 0x0a,
            Self::ReadDeleted => 0x0c,
            Self::Format => 0x0d,
            Self::ScanEqual => 0x11,
            Self::Verify => 0x16,
            Self::ScanLow => 0x19,
            Self::ScanHigh => 0x1d,
        }
    }

    /// Which of MT (80h) and SK (20h) its first byte may have set; MFM (40h) all may.
    const fn options(self) -> u8 {
        match self {
            Self::ReadId | Self::Format => 0x40,
            Self::ReadTrack => 0x60,
            Self::Write | Self::WriteDeleted => 0xc0,
            _ => 0xe0,
        }
    }

    pub(super) fn decode(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|o| byte & 0x1f == o.code() && byte & 0xe0 & !o.options() == 0)
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.code() == code)
    }

    /// It changes the medium.
    pub(super) const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::WriteDeleted | Self::Format)
    }

    /// It takes bytes from the host.
    pub(super) const fn takes(self) -> bool {
        self.writes() || self.scans()
    }

    pub(super) const fn scans(self) -> bool {
        matches!(self, Self::ScanEqual | Self::ScanLow | Self::ScanHigh)
    }
}

const _: () = assert!(Dor::from_bits(0x1c).dmagate() && Dor::from_bits(0x1c).motors() == 1);
const _: () = assert!(Msr::from_bits(0x80).rqm() && Msr::from_bits(0x10).cmd_busy());
const _: () = assert!(Config::RESET.into_bits() == 0x20 && Config::from_bits(0x40).eis());
