//! Boxes for the user, and programs that are waited for.
#![allow(unsafe_code, reason = "strings go to Windows as pointers")]

use alloc::format;
use core::mem::{size_of, zeroed};
use core::ptr::{null, null_mut};

use windows_sys::Win32::System::Threading::{
    CREATE_NO_WINDOW, CreateProcessW, GetExitCodeProcess, INFINITE, PROCESS_INFORMATION, STARTUPINFOW,
    WaitForSingleObject,
};
use windows_sys::Win32::UI::WindowsAndMessaging::{IDYES, MB_ICONQUESTION, MB_OK, MB_YESNO, MessageBoxW};
use xp_base::handle::Handle;
use xp_base::{Error, Result, text};

pub(crate) fn ask(title: &str, question: &str) -> bool {
    let (t, q) = (text::wide(title), text::wide(question));
    // SAFETY: both strings end with a zero; no owner.
    unsafe { MessageBoxW(null_mut(), q.as_ptr(), t.as_ptr(), MB_YESNO | MB_ICONQUESTION) == IDYES }
}

pub(crate) fn tell(title: &str, what: &str, silent: bool) {
    if silent {
        return;
    }
    let (t, w) = (text::wide(title), text::wide(what));
    // SAFETY: both strings end with a zero; no owner.
    unsafe { MessageBoxW(null_mut(), w.as_ptr(), t.as_ptr(), MB_OK) };
}

/// Runs to the end, hidden; the exit code.
pub(crate) fn run(line: &str) -> Result<u32> {
    let mut wide = text::wide(line);
    // SAFETY: numbers, and pointers that may be null.
    let (mut start, mut made): (STARTUPINFOW, PROCESS_INFORMATION) = unsafe { (zeroed(), zeroed()) };
    start.cb = size_of::<STARTUPINFOW>() as u32;
    let what = format!("cannot start {line}");
    // SAFETY: the line ends with a zero and is ours to be written to; both structures live over the call.
    let ok = unsafe {
        CreateProcessW(
            null(),
            wide.as_mut_ptr(),
            null(),
            null(),
            0,
            CREATE_NO_WINDOW,
            null(),
            null(),
            &raw const start,
            &raw mut made,
        )
    };
    if ok == 0 {
        return Err(Error::last(what));
    }
    let (process, _thread) = (Handle::take(made.hProcess, &what)?, Handle::take(made.hThread, &what)?);
    let mut code = 0;
    // SAFETY: the process is open; fills a number.
    unsafe {
        WaitForSingleObject(process.raw(), INFINITE);
        GetExitCodeProcess(process.raw(), &raw mut code);
    }
    Ok(code)
}
