//! What the agent needs of Windows, safe to call. Each module is one matter.
#![allow(unsafe_code, reason = "one call, for random numbers")]

use windows_sys::Win32::Security::Authentication::Identity::RtlGenRandom;

pub mod bus;
pub mod clock;
pub mod info;
pub(crate) mod overlapped;
pub mod pairs;
pub mod power;
mod privilege;
pub mod programs;
pub mod serial;
pub mod service;
pub mod session;

/// A random number; of the clock if Windows has none.
pub fn random() -> u64 {
    let mut n = [0_u8; 8];
    // SAFETY: fills so many bytes.
    if unsafe { RtlGenRandom(n.as_mut_ptr().cast(), n.len() as u32) } {
        u64::from_le_bytes(n)
    } else {
        clock::nanoseconds()
    }
}
