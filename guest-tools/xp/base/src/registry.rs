//! Keys of the registry, and strings and numbers in them.
#![allow(unsafe_code, reason = "keys are handles, values are filled by pointer")]

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ptr::{null, null_mut};

use crate::{Error, Result, text};
use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_MORE_DATA};
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_READ, KEY_WRITE, REG_DWORD, REG_EXPAND_SZ, REG_OPTION_NON_VOLATILE, REG_SZ,
    RegCloseKey, RegCreateKeyExW, RegDeleteKeyW, RegDeleteValueW, RegEnumKeyExW, RegEnumValueW,
    RegOpenKeyExW, RegQueryValueExW, RegSetValueExW,
};

pub struct Key(HKEY);

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: ours, closed once.
        unsafe { RegCloseKey(self.0) };
    }
}

impl Key {
    /// Of the machine.
    pub fn machine(path: &str) -> Option<Self> {
        Self::open(HKEY_LOCAL_MACHINE, path)
    }

    /// Of the machine, made if it is not there.
    pub fn make(path: &str) -> Result<Self> {
        let (p, mut key) = (text::wide(path), null_mut());
        // SAFETY: the path ends with a zero; no class, no security; fills a handle.
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

    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        let (n, v) = (text::wide(name), text::wide(value));
        // SAFETY: the length is the string's, with its zero.
        let e = unsafe {
            RegSetValueExW(self.0, n.as_ptr(), 0, REG_SZ, v.as_ptr().cast(), size_of_val(v.as_slice()) as u32)
        };
        if e == 0 { Ok(()) } else { Err(Error::of(format!("cannot set the registry value {name}"), e)) }
    }

    /// One that is not there is no error.
    pub fn remove(&self, name: &str) -> Result<()> {
        let n = text::wide(name);
        // SAFETY: the name ends with a zero.
        match unsafe { RegDeleteValueW(self.0, n.as_ptr()) } {
            0 | ERROR_FILE_NOT_FOUND => Ok(()),
            e => Err(Error::of(format!("cannot remove the registry value {name}"), e)),
        }
    }

    /// Names of values.
    pub fn values(&self) -> Vec<String> {
        listed(|i, name, n| {
            // SAFETY: writes at most `n` characters; the data is not wanted.
            unsafe { RegEnumValueW(self.0, i, name, n, null(), null_mut(), null_mut(), null_mut()) }
        })
    }

    pub fn below(&self, name: &str) -> Option<Self> {
        Self::open(self.0, name)
    }

    fn open(above: HKEY, path: &str) -> Option<Self> {
        let (path, mut key) = (text::wide(path), null_mut());
        // SAFETY: the path ends with a zero; fills a handle.
        (unsafe { RegOpenKeyExW(above, path.as_ptr(), 0, KEY_READ, &raw mut key) } == 0).then_some(Self(key))
    }

    /// Names of the keys below.
    pub fn names(&self) -> Vec<String> {
        listed(|i, name, n| {
            // SAFETY: writes at most `n` characters; no class, no time.
            unsafe { RegEnumKeyExW(self.0, i, name, n, null(), null_mut(), null_mut(), null_mut()) }
        })
    }

    fn value(&self, name: &str) -> Option<(u32, Vec<u8>)> {
        let (name, mut kind) = (text::wide(name), 0);
        let mut data = vec![0_u8; 4096];
        let mut n = data.len() as u32;
        // SAFETY: writes at most `n` bytes.
        let e = unsafe {
            RegQueryValueExW(self.0, name.as_ptr(), null(), &raw mut kind, data.as_mut_ptr(), &raw mut n)
        };
        data.truncate(n as usize);
        (e == 0).then_some((kind, data))
    }

    /// A string; empty if it is not there.
    pub fn string(&self, name: &str) -> String {
        match self.value(name) {
            Some((REG_SZ | REG_EXPAND_SZ, data)) => {
                let wide: Vec<u16> = data
                    .chunks_exact(2)
                    .filter_map(|c| Some(u16::from_le_bytes(c.try_into().ok()?)))
                    .collect();
                text::from_wide(&wide)
            }
            _ => String::new(),
        }
    }

    pub fn number(&self, name: &str) -> Option<u32> {
        match self.value(name) {
            Some((REG_DWORD, data)) => Some(u32::from_le_bytes(data.try_into().ok()?)),
            _ => None,
        }
    }
}

/// All names that `next` gives for a number, room for a name, and its length.
fn listed(next: impl Fn(u32, *mut u16, *mut u32) -> u32) -> Vec<String> {
    let mut all = Vec::new();
    // Windows' limit of a key's name is 255 characters.
    let mut name = [0_u16; 512];
    for i in 0.. {
        let mut n = name.len() as u32;
        match next(i, name.as_mut_ptr(), &raw mut n) {
            0 => all.push(text::from_wide(&name)),
            // A longer name than any of ours.
            ERROR_MORE_DATA => {}
            _ => break,
        }
    }
    all
}

/// Removes a key of the machine without keys below it; one that is not there is no error.
pub fn remove(path: &str) -> Result<()> {
    let p = text::wide(path);
    // SAFETY: the path ends with a zero.
    match unsafe { RegDeleteKeyW(HKEY_LOCAL_MACHINE, p.as_ptr()) } {
        0 | ERROR_FILE_NOT_FOUND => Ok(()),
        e => Err(Error::of(format!("cannot remove the registry key {path}"), e)),
    }
}
