//! Strings in the registry's part of the machine.
#![allow(unsafe_code, reason = "keys are handles, values pointers")]

use alloc::format;
use alloc::string::String;
use core::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::ERROR_FILE_NOT_FOUND;
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_READ, KEY_WRITE, REG_OPTION_NON_VOLATILE, REG_SZ, RegCloseKey,
    RegCreateKeyExW, RegDeleteKeyW, RegOpenKeyExW, RegQueryValueExW, RegSetValueExW,
};
use xp_base::{Error, Result, text};

pub(crate) struct Key(HKEY);

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: ours, closed once.
        unsafe { RegCloseKey(self.0) };
    }
}

impl Key {
    pub(crate) fn make(path: &str) -> Result<Self> {
        let (p, mut key) = (text::wide(path), null_mut());
        // SAFETY: the path ends with a zero; fills a handle.
        let e = unsafe {
            RegCreateKeyExW(
                HKEY_LOCAL_MACHINE,
                p.as_ptr(),
                0,
                null(),
                REG_OPTION_NON_VOLATILE,
                KEY_READ | KEY_WRITE,
                null(),
                &raw mut key,
                null_mut(),
            )
        };
        if e == 0 { Ok(Self(key)) } else { Err(Error::of(format!("cannot make the registry key {path}"), e)) }
    }

    pub(crate) fn open(path: &str) -> Option<Self> {
        let (p, mut key) = (text::wide(path), null_mut());
        // SAFETY: as above.
        (unsafe { RegOpenKeyExW(HKEY_LOCAL_MACHINE, p.as_ptr(), 0, KEY_READ, &raw mut key) } == 0)
            .then_some(Self(key))
    }

    pub(crate) fn set(&self, name: &str, value: &str) -> Result<()> {
        let (n, v) = (text::wide(name), text::wide(value));
        // SAFETY: the length is the string's, with its zero.
        let e = unsafe {
            RegSetValueExW(self.0, n.as_ptr(), 0, REG_SZ, v.as_ptr().cast(), size_of_val(v.as_slice()) as u32)
        };
        if e == 0 { Ok(()) } else { Err(Error::of(format!("cannot set the registry value {name}"), e)) }
    }

    /// Empty if it is not there.
    pub(crate) fn string(&self, name: &str) -> String {
        let n = text::wide(name);
        let mut value = [0_u16; 512];
        let (mut kind, mut bytes) = (0, size_of_val(&value) as u32);
        // SAFETY: writes at most so many bytes.
        let e = unsafe {
            RegQueryValueExW(
                self.0,
                n.as_ptr(),
                null(),
                &raw mut kind,
                value.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        if e == 0 && kind == REG_SZ { text::from_wide(&value) } else { String::new() }
    }
}

/// Removes a key without keys below it; one that is not there is no error.
pub(crate) fn remove(path: &str) -> Result<()> {
    let p = text::wide(path);
    // SAFETY: the path ends with a zero.
    match unsafe { RegDeleteKeyW(HKEY_LOCAL_MACHINE, p.as_ptr()) } {
        0 | ERROR_FILE_NOT_FOUND => Ok(()),
        e => Err(Error::of(format!("cannot remove the registry key {path}"), e)),
    }
}
