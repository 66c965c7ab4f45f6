//! The task file: a drive's command block registers, and what both kinds of drives do with them.
//!
//! [`TaskFile`] is the registers (ATA-4, 7.2). [`Core`] adds the data port, DMARQ, INTRQ and the host job in
//! flight; the command sets in `hard_disk` and `atapi` work on it.

mod core;
mod identity;
mod regs;

pub(crate) use self::core::lba_ranges;
pub use self::core::{Core, Flow, Pending, PendingOp};
pub(crate) use self::identity::{DmaMode, Words};
pub use self::regs::{AtaCmd, DevCtl, DeviceHead, Previous, Status, TaskFile, error};
