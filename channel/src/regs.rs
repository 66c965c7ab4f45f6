//! Registers of the PCI function, in BAR0. docs/design/channel.md, section 1.

/// Not assigned by the PCI-SIG.
pub const VENDOR: u16 = 0x484c;
pub const DEVICE: u16 = 0x0001;
/// Other system peripheral.
pub const CLASS: u32 = 0x08_80_00;
/// Bytes of BAR0.
pub const LEN: u32 = 4096;

pub const ID: u32 = 0x00;
pub const VERSION: u32 = 0x04;
pub const WINDOW: u32 = 0x08;
pub const CHANNELS: u32 = 0x0c;
pub const CONTROL: u32 = 0x10;
pub const STATUS: u32 = 0x14;
pub const FAULT: u32 = 0x18;
pub const PENDING0: u32 = 0x20;
pub const PENDING1: u32 = 0x24;
pub const TAKE0: u32 = 0x28;
pub const TAKE1: u32 = 0x2c;
pub const DOORBELL: u32 = 0x30;
pub const TX: u32 = 0x34;
pub const RX: u32 = 0x38;
pub const SIZE: u32 = 0x3c;

/// What ID reads: "HBUS".
pub const ID_VALUE: u32 = 0x5355_4248;
/// What VERSION reads: 1.0.
pub const VERSION_VALUE: u32 = 0x1_0000;

pub mod control {
    pub const RUN: u32 = 1 << 0;
    /// The interrupt may be asserted.
    pub const INTE: u32 = 1 << 1;
}

pub mod status {
    pub const RUNNING: u32 = 1 << 0;
    pub const FAULT: u32 = 1 << 1;
}

/// What FAULT reads in its lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Fault {
    /// A ring outside of the window or of a bad size.
    Ring = 1,
    /// More entries were made available than the ring has.
    Index = 2,
    /// A descriptor out of the ring, a loop, or a chain that is too long.
    Chain = 3,
    /// A buffer neither in the window nor in main memory.
    Address = 4,
    /// A buffer of the wrong direction.
    Direction = 5,
    /// A packet too long, or its header not as it must be.
    Packet = 6,
    /// A message of the bus not as it must be.
    Message = 7,
    /// What is sent to the guest is not taken.
    Stalled = 8,
}

/// In a descriptor's address: bits 31:0 are a physical address of main memory, not an offset into the window.
pub const BY_REFERENCE: u64 = 1 << 63;
