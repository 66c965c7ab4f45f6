//! What went wrong: what was tried, and Windows' own number and words.
#![allow(unsafe_code, reason = "asks Windows for the words of its error numbers")]

use alloc::string::{String, ToString};
use core::fmt;

use windows_sys::Win32::Foundation::GetLastError;
use windows_sys::Win32::System::Diagnostics::Debug::{
    FORMAT_MESSAGE_FROM_SYSTEM, FORMAT_MESSAGE_IGNORE_INSERTS, FormatMessageW,
};

use crate::text;

pub type Result<T> = core::result::Result<T, Error>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    what: String,
    /// Windows' number; 0 if the fault is not Windows'.
    pub code: u32,
}

impl Error {
    /// Of the call that just failed.
    pub fn last(what: impl fmt::Display) -> Self {
        // SAFETY: reads the thread's last error.
        Self::of(what, unsafe { GetLastError() })
    }

    pub fn of(what: impl fmt::Display, code: u32) -> Self {
        Self { what: what.to_string(), code }
    }

    pub fn plain(what: impl fmt::Display) -> Self {
        Self::of(what, 0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.code == 0 {
            return Ok(());
        }
        let mut words = [0_u16; 256];
        // SAFETY: writes at most the buffer's length; inserts are not expanded.
        let n = unsafe {
            FormatMessageW(
                FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS,
                core::ptr::null(),
                self.code,
                0,
                words.as_mut_ptr(),
                words.len() as u32,
                core::ptr::null(),
            )
        };
        let words = text::from_wide(words.get(..n as usize).unwrap_or_default());
        write!(f, ": {} (error {:#x})", words.trim().trim_end_matches('.'), self.code)
    }
}
