//! Who is logged on.
#![allow(unsafe_code, reason = "terminal services return pointers")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::null_mut;

use windows_sys::Win32::System::RemoteDesktop::{
    WTS_CURRENT_SERVER_HANDLE, WTS_INFO_CLASS, WTSActive, WTSDisconnected, WTSDomainName,
    WTSEnumerateSessionsW, WTSFreeMemory, WTSGetActiveConsoleSessionId, WTSQuerySessionInformationW,
    WTSQueryUserToken, WTSUserName,
};
use xp_base::handle::Handle;
use xp_base::{Error, Result, text};

/// No session is at the console.
const NONE: u32 = u32::MAX;

/// The session at the console.
pub fn console() -> Option<u32> {
    // SAFETY: takes nothing.
    let session = unsafe { WTSGetActiveConsoleSessionId() };
    (session != NONE).then_some(session)
}

/// The token of who is logged on at the console. LocalSystem may ask.
pub(crate) fn console_user() -> Result<Handle> {
    let session = console().ok_or_else(|| Error::plain("nobody is logged on at the screen"))?;
    let mut token = null_mut();
    // SAFETY: fills a handle.
    if unsafe { WTSQueryUserToken(session, &raw mut token) } == 0 {
        return Err(Error::last("nobody is logged on at the screen"));
    }
    Handle::take(token, "nobody is logged on at the screen")
}

/// Sessions that somebody has, seen or not, each with DOMAIN\user.
pub fn users() -> Vec<(u32, String)> {
    let (mut list, mut n) = (null_mut(), 0);
    // SAFETY: fills a pointer and a count; the list is read within it and then freed.
    unsafe {
        if WTSEnumerateSessionsW(WTS_CURRENT_SERVER_HANDLE, 0, 1, &raw mut list, &raw mut n) == 0 {
            return Vec::new();
        }
        let all = core::slice::from_raw_parts(list, n as usize)
            .iter()
            .filter(|s| s.State == WTSActive || s.State == WTSDisconnected)
            .filter_map(|s| Some((s.SessionId, user_of(s.SessionId)?)))
            .collect();
        WTSFreeMemory(list.cast::<c_void>());
        all
    }
}

fn user_of(session: u32) -> Option<String> {
    let user = word(session, WTSUserName).filter(|u| !u.is_empty())?;
    Some(match word(session, WTSDomainName) {
        Some(domain) if !domain.is_empty() => format!("{domain}\\{user}"),
        _ => user,
    })
}

fn word(session: u32, what: WTS_INFO_CLASS) -> Option<String> {
    let (mut at, mut bytes) = (null_mut(), 0);
    // SAFETY: these classes give a string that ends with a zero, ours to free.
    unsafe {
        if WTSQuerySessionInformationW(WTS_CURRENT_SERVER_HANDLE, session, what, &raw mut at, &raw mut bytes)
            == 0
        {
            return None;
        }
        let s = text::from_ptr(at);
        WTSFreeMemory(at.cast::<c_void>());
        Some(s)
    }
}
