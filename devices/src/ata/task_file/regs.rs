//! Command block and control block registers. ATA/ATAPI-4 (T13 1153D), clause 7.

use bitfield_struct::bitfield;
use board::Geometry;

/// Status and Alternate Status. 7.2.11.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct Status {
    /// An error is described in the error register. (CHK of packet commands.)
    pub err: bool,
    #[bits(2)]
    __: u8,
    /// Ready to move a word over the data port.
    pub drq: bool,
    /// Seek complete; drivers compare idle status with 50h. (SERV of overlapped commands.)
    pub dsc: bool,
    /// Device fault.
    pub df: bool,
    pub drdy: bool,
    pub bsy: bool,
}

impl Status {
    /// DRDY and DSC: idle.
    pub const READY: Self = Self::new().with_drdy(true).with_dsc(true);
    pub const BUSY: Self = Self::new().with_bsy(true);
    /// Ready for data.
    pub const DATA: Self = Self::READY.with_drq(true);
    pub const FAILED: Self = Self::READY.with_err(true);
}
const _: () = assert!(Status::READY.into_bits() == 0x50 && Status::FAILED.into_bits() == 0x51);
const _: () = assert!(Status::DATA.into_bits() == 0x58 && Status::BUSY.into_bits() == 0x80);

/// Bits of the error register, 7.2.6. A register of command-dependent meaning, so no bit field.
pub mod error {
    /// Command aborted.
    pub const ABRT: u8 = 0x04;
    /// Address not found: outside of the disk.
    pub const IDNF: u8 = 0x10;
    /// Uncorrectable data.
    pub const UNC: u8 = 0x40;
    /// Diagnostic code: device 0 passed, device 1 passed or is not there. 8.8.
    pub const PASSED: u8 = 0x01;
}

/// Device/Head, 7.2.4.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct DeviceHead {
    /// Head, or LBA 27:24.
    #[bits(4)]
    pub head: u8,
    /// Device 1 is selected.
    pub dev: bool,
    /// Obsolete, kept as written.
    pub obs5: bool,
    /// The address is an LBA.
    pub lba: bool,
    /// Obsolete, kept as written.
    pub obs7: bool,
}
const _: () = assert!(DeviceHead::new().with_lba(true).with_dev(true).into_bits() == 0x50);

/// Device Control, 7.2.3.
#[bitfield(u8, order = Lsb)]
#[derive(PartialEq, Eq)]
pub struct DevCtl {
    #[bits(1)]
    __: u8,
    /// INTRQ is released.
    pub nien: bool,
    /// Software reset, while set.
    pub srst: bool,
    #[bits(5)]
    __: u8,
}

/// A command code; any byte may come. ATA-4 clause 8 and annex of obsolete codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AtaCmd(pub u8);

impl AtaCmd {
    pub const NOP: Self = Self(0x00);
    pub const DEVICE_RESET: Self = Self(0x08);
    pub const READ_SECTORS: Self = Self(0x20);
    pub const READ_SECTORS_NORETRY: Self = Self(0x21);
    pub const READ_LONG: Self = Self(0x22);
    pub const READ_LONG_NORETRY: Self = Self(0x23);
    pub const WRITE_SECTORS: Self = Self(0x30);
    pub const WRITE_SECTORS_NORETRY: Self = Self(0x31);
    pub const WRITE_LONG: Self = Self(0x32);
    pub const WRITE_LONG_NORETRY: Self = Self(0x33);
    pub const WRITE_VERIFY: Self = Self(0x3c);
    pub const READ_VERIFY: Self = Self(0x40);
    pub const READ_VERIFY_NORETRY: Self = Self(0x41);
    pub const FORMAT_TRACK: Self = Self(0x50);
    pub const EXECUTE_DEVICE_DIAGNOSTIC: Self = Self(0x90);
    pub const INITIALIZE_DEVICE_PARAMETERS: Self = Self(0x91);
    pub const PACKET: Self = Self(0xa0);
    pub const IDENTIFY_PACKET_DEVICE: Self = Self(0xa1);
    pub const SMART: Self = Self(0xb0);
    pub const READ_MULTIPLE: Self = Self(0xc4);
    pub const WRITE_MULTIPLE: Self = Self(0xc5);
    pub const SET_MULTIPLE_MODE: Self = Self(0xc6);
    pub const READ_DMA: Self = Self(0xc8);
    pub const READ_DMA_NORETRY: Self = Self(0xc9);
    pub const WRITE_DMA: Self = Self(0xca);
    pub const WRITE_DMA_NORETRY: Self = Self(0xcb);
    pub const STANDBY_IMMEDIATE: Self = Self(0xe0);
    pub const IDLE_IMMEDIATE: Self = Self(0xe1);
    pub const STANDBY: Self = Self(0xe2);
    pub const IDLE: Self = Self(0xe3);
    pub const READ_BUFFER: Self = Self(0xe4);
    pub const CHECK_POWER_MODE: Self = Self(0xe5);
    pub const SLEEP: Self = Self(0xe6);
    pub const FLUSH_CACHE: Self = Self(0xe7);
    pub const WRITE_BUFFER: Self = Self(0xe8);
    pub const IDENTIFY_DEVICE: Self = Self(0xec);
    pub const SET_FEATURES: Self = Self(0xef);

    /// Codes 94h-99h are the power commands E0h-E3h, E5h and E6h as ATA-1 numbered them.
    #[must_use]
    pub const fn modern(self) -> Self {
        match self.0 {
            0x94..=0x97 => Self(self.0 - 0x94 + 0xe0),
            0x98 => Self::CHECK_POWER_MODE,
            0x99 => Self::SLEEP,
            _ => self,
        }
    }
}

/// The command block registers as the device holds them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TaskFile {
    pub error: u8,
    pub features: u8,
    pub count: u8,
    /// Sector Number, LBA 7:0.
    pub low: u8,
    /// Cylinder Low, LBA 15:8, byte count low.
    pub mid: u8,
    /// Cylinder High, LBA 23:16, byte count high.
    pub high: u8,
    pub device: DeviceHead,
    pub status: Status,
}

impl TaskFile {
    /// What resets and diagnostics leave behind, 9.12: `atapi` says with 14h/EBh that packets are spoken here.
    pub fn signature(&mut self, atapi: bool) {
        self.error = error::PASSED;
        self.count = 1;
        self.low = 1;
        (self.mid, self.high) = if atapi { (0x14, 0xeb) } else { (0, 0) };
        self.device = DeviceHead::new();
    }

    /// A count register of 0 means 256.
    pub fn sectors(&self) -> u32 {
        if self.count == 0 { 256 } else { u32::from(self.count) }
    }

    pub fn cylinder(&self) -> u16 {
        u16::from_le_bytes([self.mid, self.high])
    }

    pub fn set_cylinder(&mut self, v: u16) {
        [self.mid, self.high] = v.to_le_bytes();
    }

    /// The block that the registers name; None for a cylinder, head or sector outside of the translation.
    pub fn address(&self, g: Geometry) -> Option<u32> {
        if self.device.lba() {
            return Some(u32::from_le_bytes([self.low, self.mid, self.high, self.device.head()]));
        }
        let inside = self.cylinder() < g.cylinders
            && self.device.head() < g.heads
            && (1..=g.sectors).contains(&self.low);
        let track = u32::from(self.cylinder()) * u32::from(g.heads) + u32::from(self.device.head());
        inside.then(|| track * u32::from(g.sectors) + u32::from(self.low) - 1)
    }

    /// Puts a block number into the registers, in the form in which the command came.
    pub fn set_address(&mut self, block: u32, g: Geometry) {
        if self.device.lba() {
            let [low, mid, high, top] = block.to_le_bytes();
            (self.low, self.mid, self.high) = (low, mid, high);
            self.device.set_head(top & 15);
            return;
        }
        let (spt, heads) = (u32::from(g.sectors.max(1)), u32::from(g.heads.max(1)));
        self.low = (block % spt) as u8 + 1;
        self.device.set_head((block / spt % heads) as u8 & 15);
        self.set_cylinder((block / spt / heads).min(0xffff) as u16);
    }
}
