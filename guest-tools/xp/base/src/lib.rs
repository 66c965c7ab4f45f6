//! What a Windows program without Rust's `std` stands on. `std` imports functions that Windows XP lacks; the programs of
//! this folder take `core` and `alloc` alone and call Windows themselves.
//!
//! Each module keeps its `unsafe` to itself: their functions are safe, take Rust's types and return [`Error`].
#![no_std]

extern crate alloc;

mod error;
pub mod files;
pub mod handle;
mod lock;
pub mod log;
pub mod registry;
mod runtime;
pub mod scm;
pub mod text;

pub use error::{Error, Result};
pub use lock::Lock;
pub use runtime::{arguments, exit, start};

/// Makes `start`, where Windows begins, of a function that takes the command line's words and returns the exit code.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        #[allow(unsafe_code, reason = "the linker looks for this name")]
        extern "C" fn start() -> ! {
            $crate::start($main)
        }
    };
}
