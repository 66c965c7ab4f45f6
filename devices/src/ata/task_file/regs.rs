//! Command block and control block registers. ATA/ATAPI-4 (T13 1153D), clause 7; ATA/ATAPI-6 (T13 1410D) for 48-bit addresses.

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
    #[bits(4)]
    __: u8,
    /// High order byte: the registers show what was written to them before the last. ATA-6 7.8.
    pub hob: bool,
}

impl DevCtl {
    pub const KNOWN: u8 = Self::new().with_nien(true).with_srst(true).with_hob(true).into_bits();
}

/// A command code; any byte may come. ATA-4 clause 8 and annex of obsolete codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AtaCmd(pub u8);

impl AtaCmd {
    pub const NOP: Self = Self(0x00);
    /// ATA8-ACS2, 7.10.
    pub const DATA_SET_MANAGEMENT: Self = Self(0x06);
    pub const DEVICE_RESET: Self = Self(0x08);
    pub const READ_SECTORS: Self = Self(0x20);
    pub const READ_SECTORS_NORETRY: Self = Self(0x21);
    pub const READ_LONG: Self = Self(0x22);
    pub const READ_LONG_NORETRY: Self = Self(0x23);
    pub const READ_SECTORS_EXT: Self = Self(0x24);
    pub const READ_DMA_EXT: Self = Self(0x25);
    pub const READ_MULTIPLE_EXT: Self = Self(0x29);
    pub const WRITE_SECTORS: Self = Self(0x30);
    pub const WRITE_SECTORS_NORETRY: Self = Self(0x31);
    pub const WRITE_LONG: Self = Self(0x32);
    pub const WRITE_LONG_NORETRY: Self = Self(0x33);
    pub const WRITE_SECTORS_EXT: Self = Self(0x34);
    pub const WRITE_DMA_EXT: Self = Self(0x35);
    pub const WRITE_MULTIPLE_EXT: Self = Self(0x39);
    pub const WRITE_VERIFY: Self = Self(0x3c);
    pub const READ_VERIFY: Self = Self(0x40);
    pub const READ_VERIFY_NORETRY: Self = Self(0x41);
    pub const READ_VERIFY_EXT: Self = Self(0x42);
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
    pub const FLUSH_CACHE_EXT: Self = Self(0xea);
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

    /// A command with 48-bit addresses and 16-bit counts, without them; and whether it was one.
    #[must_use]
    pub const fn short(self) -> (Self, bool) {
        let short = match self {
            Self::READ_SECTORS_EXT => Self::READ_SECTORS,
            Self::READ_DMA_EXT => Self::READ_DMA,
            Self::READ_MULTIPLE_EXT => Self::READ_MULTIPLE,
            Self::WRITE_SECTORS_EXT => Self::WRITE_SECTORS,
            Self::WRITE_DMA_EXT => Self::WRITE_DMA,
            Self::WRITE_MULTIPLE_EXT => Self::WRITE_MULTIPLE,
            Self::READ_VERIFY_EXT => Self::READ_VERIFY,
            Self::FLUSH_CACHE_EXT => Self::FLUSH_CACHE,
            _ => return (self, false),
        };
        (short, true)
    }
}

/// What the registers held before they were last written: the high order bytes of a 48-bit command. ATA-6 6.20.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Previous {
    pub features: u8,
    pub count: u8,
    /// LBA 31:24.
    pub low: u8,
    /// LBA 39:32.
    pub mid: u8,
    /// LBA 47:40.
    pub high: u8,
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
    pub previous: Previous,
}

impl TaskFile {
    /// Registers 1 to 6 as the host writes them: what was there becomes the high order byte.
    pub fn write(&mut self, reg: u32, v: u8) {
        let was = &mut self.previous;
        match reg {
            1 => was.features = std::mem::replace(&mut self.features, v),
            2 => was.count = std::mem::replace(&mut self.count, v),
            3 => was.low = std::mem::replace(&mut self.low, v),
            4 => was.mid = std::mem::replace(&mut self.mid, v),
            5 => was.high = std::mem::replace(&mut self.high, v),
            6 => self.device = v.into(),
            _ => {}
        }
    }

    /// Registers 1 to 5 as the host reads them; with HOB, their high order bytes.
    pub fn read(&self, reg: u32, hob: bool) -> u8 {
        let was = &self.previous;
        match reg {
            1 => self.error,
            2 => {
                if hob {
                    was.count
                } else {
                    self.count
                }
            }
            3 => {
                if hob {
                    was.low
                } else {
                    self.low
                }
            }
            4 => {
                if hob {
                    was.mid
                } else {
                    self.mid
                }
            }
            _ => {
                if hob {
                    was.high
                } else {
                    self.high
                }
            }
        }
    }

    /// What resets and diagnostics leave behind, 9.12: `atapi` says with 14h/EBh that packets are spoken here.
    pub fn signature(&mut self, atapi: bool) {
        self.error = error::PASSED;
        self.count = 1;
        self.low = 1;
        (self.mid, self.high) = if atapi { (0x14, 0xeb) } else { (0, 0) };
        self.device = DeviceHead::new();
        self.previous = Previous::default();
    }

    /// A count of 0 means 256; of a 48-bit command, 65,536.
    pub fn sectors(&self, ext: bool) -> u32 {
        let high = if ext { self.previous.count } else { 0 };
        match u16::from_le_bytes([self.count, high]) {
            0 if ext => 0x1_0000,
            0 => 0x100,
            n => u32::from(n),
        }
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

    /// The block that a 48-bit command names.
    pub fn address_ext(&self) -> u64 {
        let was = &self.previous;
        u64::from_le_bytes([self.low, self.mid, self.high, was.low, was.mid, was.high, 0, 0])
    }

    /// Address and count at the end of a 48-bit command.
    pub fn set_ext(&mut self, block: u32, count: u16) {
        let was = &mut self.previous;
        [self.low, self.mid, self.high, was.low] = block.to_le_bytes();
        (was.mid, was.high) = (0, 0);
        [self.count, was.count] = count.to_le_bytes();
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
