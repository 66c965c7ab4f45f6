//! What the agent needs of Windows, safe to call. Each module is one matter.

pub mod bus;
pub mod clock;
pub mod info;
pub(crate) mod overlapped;
pub mod power;
mod privilege;
pub mod programs;
mod registry;
pub mod serial;
pub mod service;
pub mod session;
