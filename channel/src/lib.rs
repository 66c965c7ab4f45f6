//! The integration channel's wire format, in host and guest alike. The page: docs/design/channel.md.
//!
//! [`bus`]: messages of channel 0. [`guest`]: the guest's end of the bus. [`packet`]: packets and the messages that they make. [`ring`]: the guest's half of a ring.
//! [`regs`]: registers of the PCI function. [`serial`]: the serial link. [`services`]: what services say.
//!
//! No operating system, no `unsafe`, bounds checked: both ends take what they are given for hostile.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bus;
#[doc(hidden)]
pub mod fuzz;
pub mod guest;
mod guid;
pub mod packet;
pub mod regs;
pub mod ring;
pub mod serial;
pub mod services;

pub use guid::Guid;

/// Version 1.0 of the bus: major in the upper half.
pub const VERSION: u32 = 0x1_0000;
/// Channels, with channel 0.
pub const CHANNELS: usize = 64;
/// Longest message of a service, in bytes.
pub const MESSAGE_MOST: usize = 16 << 20;
