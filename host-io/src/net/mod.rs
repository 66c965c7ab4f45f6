//! The far ends of network cables.
//!
//! A port tells its machine by a [`Wake`] that it has frames; the machine then asks for them, as many as the guest has
//! room for. What the guest sends never blocks the machine.

pub mod nat;
#[cfg(target_os = "linux")]
pub mod tap;

use std::sync::Arc;

/// Called from any thread when a port has frames, or its link changed. May be called too often.
pub type Wake = Arc<dyn Fn() + Send + Sync>;
