//! Privileges that a token has, but switched off.
#![allow(unsafe_code, reason = "tokens are handles, names are pointers")]

use core::mem::zeroed;
use core::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::LUID;
use windows_sys::Win32::Security::{
    AdjustTokenPrivileges, LUID_AND_ATTRIBUTES, LookupPrivilegeValueW, SE_PRIVILEGE_ENABLED,
    TOKEN_ADJUST_PRIVILEGES, TOKEN_PRIVILEGES, TOKEN_QUERY,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};
use windows_sys::core::PCWSTR;
use xp_base::handle::Handle;

/// Switches one on. Who has it not gets the error from the call that needs it.
pub(crate) fn enable(name: PCWSTR) {
    let mut token = null_mut();
    // SAFETY: fills a handle.
    unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY, &raw mut token) };
    let Ok(token) = Handle::take(token, "") else { return };
    // SAFETY: a number.
    let mut luid: LUID = unsafe { zeroed() };
    // SAFETY: `name` is one of Windows' constants; the structure has the one privilege that it counts.
    unsafe {
        if LookupPrivilegeValueW(null(), name, &raw mut luid) != 0 {
            let one = TOKEN_PRIVILEGES {
                PrivilegeCount: 1,
                Privileges: [LUID_AND_ATTRIBUTES { Luid: luid, Attributes: SE_PRIVILEGE_ENABLED }],
            };
            AdjustTokenPrivileges(token.raw(), 0, &raw const one, 0, null_mut(), null_mut());
        }
    }
}
