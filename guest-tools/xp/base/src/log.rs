//! The log: lines of UTF-8 in a file beside the program, with the time (UTC); on the console too if asked for.
#![allow(unsafe_code, reason = "writes by Windows' calls; std has no part here")]

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::mem::zeroed;
use core::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::GENERIC_READ;
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_APPEND_DATA, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_READ, GetFileSize,
    MOVEFILE_REPLACE_EXISTING, MoveFileExW, OPEN_ALWAYS, WriteFile,
};
use windows_sys::Win32::System::Console::{GetStdHandle, STD_OUTPUT_HANDLE};
use windows_sys::Win32::System::SystemInformation::GetSystemTime;

use crate::handle::Handle;
use crate::{Lock, Result, text};

/// A log that is larger begins anew; the one before it stays as `.old`.
const MOST: u32 = 512 * 1024;

struct Log {
    path: String,
    file: Option<Handle>,
    written: u32,
    console: bool,
}

static LOG: Lock<Log> = Lock::new(Log { path: String::new(), file: None, written: 0, console: false });

/// Opens the file at `path`; where that can't be (a program run from a CD), lines go to the console alone.
pub fn open(path: &str, console: bool) {
    LOG.with(|l| {
        *l = Log { path: path.into(), file: None, written: 0, console };
        l.reopen();
    });
}

/// A line, of what happened or what failed.
pub fn line(what: fmt::Arguments<'_>) {
    LOG.with(|l| l.put(what));
}

/// The same from a program that ends in the midst of anything.
pub(crate) fn last_words(what: fmt::Arguments<'_>) {
    LOG.try_with(|l| {
        l.console = true;
        l.put(what);
    });
}

/// Text for who started the program; lost if there is no console.
pub fn print(what: fmt::Arguments<'_>) {
    let s = format!("{what}\r\n");
    // SAFETY: a standard handle is not ours to close; write() takes any handle.
    let out = unsafe { GetStdHandle(STD_OUTPUT_HANDLE) };
    if !out.is_null() {
        let mut n = 0;
        // SAFETY: the buffer lives over the call.
        unsafe { WriteFile(out, s.as_ptr(), s.len() as u32, &raw mut n, null_mut()) };
    }
}

impl Log {
    fn reopen(&mut self) {
        self.file = append_to(&self.path).ok();
        if let Some(f) = &self.file {
            // SAFETY: the file is open.
            self.written = unsafe { GetFileSize(f.raw(), null_mut()) };
        }
    }

    fn put(&mut self, what: fmt::Arguments<'_>) {
        // SAFETY: numbers only, filled by the call.
        let t = unsafe {
            let mut t = zeroed();
            GetSystemTime(&raw mut t);
            t
        };
        let line = format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03} {what}\r\n",
            t.wYear, t.wMonth, t.wDay, t.wHour, t.wMinute, t.wSecond, t.wMilliseconds
        );
        if self.written > MOST {
            self.file = None;
            let (from, to) = (text::wide(&self.path), text::wide(&format!("{}.old", self.path)));
            // SAFETY: both strings end with a zero.
            unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), MOVEFILE_REPLACE_EXISTING) };
            self.reopen();
        }
        if let Some(f) = &self.file {
            let mut n = 0;
            // SAFETY: the buffer lives over the call, the file is open.
            unsafe { WriteFile(f.raw(), line.as_ptr(), line.len() as u32, &raw mut n, null_mut()) };
            self.written = self.written.saturating_add(n);
        }
        if self.console {
            print(format_args!("{}", line.trim_end()));
        }
    }
}

fn append_to(path: &str) -> Result<Handle> {
    let path = text::wide(path);
    // SAFETY: the path ends with a zero; null security.
    let h = unsafe {
        CreateFileW(
            path.as_ptr(),
            FILE_APPEND_DATA | GENERIC_READ,
            FILE_SHARE_READ,
            null(),
            OPEN_ALWAYS,
            FILE_ATTRIBUTE_NORMAL,
            null_mut(),
        )
    };
    Handle::take(h, "cannot open the log")
}
