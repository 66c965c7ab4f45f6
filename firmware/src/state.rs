//! What the services remember between calls and cannot keep in the guest's BIOS data areas.

use minicbor::{Decode, Encode};

/// A drive on the IDE channels, as POST found it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Drive {
    /// Channel * 2 + device.
    #[n(0)]
    pub unit: u8,
    #[n(1)]
    pub atapi: bool,
    #[n(2)]
    pub sectors: u64,
    /// Geometry of the drive itself.
    #[n(3)]
    pub cylinders: u16,
    #[n(4)]
    pub heads: u16,
    #[n(5)]
    pub spt: u16,
    /// Geometry that INT 13h shows.
    #[n(6)]
    pub log_cylinders: u16,
    #[n(7)]
    pub log_heads: u16,
    /// Sectors of one READ MULTIPLE block; 0 when the drive knows no such command.
    #[n(8)]
    pub multiple: u8,
    #[n(9)]
    pub dma: bool,
    #[n(10)]
    pub model: String,
}

/// An emulated or plain El Torito boot in progress.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct ElTorito {
    /// Media type of the catalog entry: 0 none, 1-3 floppy, 4 hard disk.
    #[n(0)]
    pub media: u8,
    /// INT 13h number of the emulated drive, or of the CD drive without emulation.
    #[n(1)]
    pub drive: u8,
    /// Index of the CD drive in [`Shared::drives`].
    #[n(2)]
    pub source: u8,
    /// First 2048-byte block of the image.
    #[n(3)]
    pub lba: u32,
    #[n(4)]
    pub segment: u16,
    /// Virtual 512-byte sectors that were loaded.
    #[n(5)]
    pub count: u16,
    #[n(6)]
    pub cylinders: u16,
    #[n(7)]
    pub heads: u16,
    #[n(8)]
    pub spt: u16,
    /// Emulation is on (no emulation: the boot is remembered).
    #[n(9)]
    pub active: bool,
    #[n(10)]
    pub catalog: u32,
}

/// An option ROM with a bootstrap entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct BootRom {
    #[n(0)]
    pub seg: u16,
    #[n(1)]
    pub entry: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Shared {
    /// Hard disks in INT 13h order, then CD drives.
    #[n(0)]
    pub disks: Vec<Drive>,
    #[n(1)]
    pub cds: Vec<Drive>,
    #[n(2)]
    pub torito: ElTorito,
    /// Next entry of the boot order that INT 18h tries.
    #[n(3)]
    pub boot_next: u8,
    #[n(4)]
    pub boot_roms: Vec<BootRom>,
    /// Drives locked by INT 13h AH=45h, per CD.
    #[n(5)]
    pub locks: Vec<u8>,
    /// VBE mode and its parameters.
    #[n(6)]
    pub vbe: VbeState,
    /// Physical address of the linear frame buffer as POST assigned it.
    #[n(7)]
    pub lfb: u32,
    /// APM: an interface is connected.
    #[n(8)]
    pub apm: u8,
    /// Serial and parallel ports that POST found.
    #[n(9)]
    pub ports: [u8; 2],
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct VbeState {
    /// Mode number with the LFB bit as set by 4F02; 0 = none.
    #[n(0)]
    pub mode: u16,
    #[n(1)]
    pub pitch: u32,
    #[n(2)]
    pub start_x: u16,
    #[n(3)]
    pub start_y: u16,
    /// DAC width in bits as 4F08 was told.
    #[n(4)]
    pub dac_bits: u8,
    #[n(5)]
    pub power: u8,
}

/// The whole entry of the firmware in saved state.
#[derive(Debug, Encode, Decode)]
pub struct Saved {
    /// The frames of services in flight; empty for free contexts.
    #[n(0)]
    pub entries: Vec<Vec<u8>>,
    #[n(1)]
    pub shared: Shared,
    /// What else of each call is to be kept. Not saved by the first builds.
    #[n(2)]
    pub calls: Option<Vec<CallV1>>,
}

/// How far a call has come, but for the service itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct CallV1 {
    /// 0 none, 1 its frame comes in, 2 it runs, 3 its frame goes out.
    #[n(0)]
    pub stage: u8,
    /// Its frame as far as it came in.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub entry: Vec<u8>,
    /// What the guest is given, and how much of it it has.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub to_guest: Vec<u8>,
    #[n(3)]
    pub sent: u32,
    /// The guest doesn't come back from what it was told to do.
    #[n(4)]
    pub last: bool,
}
