//! Shut down, restart, log off, lock.
#![allow(unsafe_code, reason = "asks Windows to end sessions")]

use alloc::format;
use core::ptr::null;

use windows_sys::Win32::Foundation::ERROR_SHUTDOWN_IN_PROGRESS;
use windows_sys::Win32::Security::SE_SHUTDOWN_NAME;
use windows_sys::Win32::System::RemoteDesktop::{WTS_CURRENT_SERVER_HANDLE, WTSLogoffSession};
use windows_sys::Win32::System::Shutdown::{
    EWX_FORCE, EWX_LOGOFF, ExitWindowsEx, InitiateSystemShutdownExW, LockWorkStation,
    SHTDN_REASON_FLAG_PLANNED, SHTDN_REASON_MAJOR_OTHER,
};
use xp_base::{Error, Result, files, text};

use super::privilege;
use super::programs::{self, Program};
use super::session;

/// How long a message is shown before.
const NOTICE: u32 = 10;

/// Ends Windows. A `message` is shown before; `force` ends programs that would ask.
pub fn shut_down(restart: bool, force: bool, message: &str) -> Result<()> {
    privilege::enable(SE_SHUTDOWN_NAME);
    let text = text::wide(message);
    let shown = if message.is_empty() { null() } else { text.as_ptr() };
    // SAFETY: null: this machine; the message ends with a zero.
    let ok = unsafe {
        InitiateSystemShutdownExW(
            null(),
            shown,
            if message.is_empty() { 0 } else { NOTICE },
            i32::from(force),
            i32::from(restart),
            SHTDN_REASON_MAJOR_OTHER | SHTDN_REASON_FLAG_PLANNED,
        )
    } != 0;
    let e = Error::last(if restart { "cannot restart" } else { "cannot shut down" });
    // Asked twice is asked once.
    if ok || e.code == ERROR_SHUTDOWN_IN_PROGRESS { Ok(()) } else { Err(e) }
}

/// Logs off all users.
pub fn log_off(force: bool) -> Result<()> {
    if !programs::is_service() {
        let how = if force { EWX_LOGOFF | EWX_FORCE } else { EWX_LOGOFF };
        // SAFETY: takes numbers.
        let ok = unsafe { ExitWindowsEx(how, SHTDN_REASON_MAJOR_OTHER | SHTDN_REASON_FLAG_PLANNED) } != 0;
        return if ok { Ok(()) } else { Err(Error::last("cannot log off")) };
    }
    for (session, user) in session::users() {
        // SAFETY: takes numbers; does not wait.
        if unsafe { WTSLogoffSession(WTS_CURRENT_SERVER_HANDLE, session, 0) } == 0 {
            return Err(Error::last(format!("cannot log off {user}")));
        }
    }
    Ok(())
}

/// Locks the console. Only a program of the user's desktop can, so a service starts one: this program, as the user.
pub fn lock() -> Result<()> {
    if !programs::is_service() {
        // SAFETY: takes nothing.
        return if unsafe { LockWorkStation() } != 0 { Ok(()) } else { Err(Error::last("cannot lock")) };
    }
    let command = format!("{} lock", files::quoted(&files::program()?));
    let as_user =
        programs::Spec { command: &command, as_user: true, hidden: true, ..programs::Spec::default() };
    Program::start(&as_user).map(drop)
}
