//! Strings and numbers of the registry, to read.
#![allow(unsafe_code, reason = "keys are handles, values are filled by pointer")]

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ptr::{null, null_mut};

use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_READ, REG_DWORD, REG_EXPAND_SZ, REG_SZ, RegCloseKey, RegEnumKeyExW,
    RegOpenKeyExW, RegQueryValueExW,
};
use xp_base::text;

pub(crate) struct Key(HKEY);

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: ours, closed once.
        unsafe { RegCloseKey(self.0) };
    }
}

impl Key {
    /// Of the machine.
    pub(crate) fn machine(path: &str) -> Option<Self> {
        Self::open(HKEY_LOCAL_MACHINE, path)
    }

    pub(crate) fn below(&self, name: &str) -> Option<Self> {
        Self::open(self.0, name)
    }

    fn open(above: HKEY, path: &str) -> Option<Self> {
        let (path, mut key) = (text::wide(path), null_mut());
        // SAFETY: the path ends with a zero; fills a handle.
        (unsafe { RegOpenKeyExW(above, path.as_ptr(), 0, KEY_READ, &raw mut key) } == 0).then_some(Self(key))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut all = Vec::new();
        // Windows' limit of a key's name is 255 characters.
        let mut name = [0_u16; 256];
        for i in 0.. {
            let mut n = name.len() as u32;
            // SAFETY: writes at most `n` characters; no class, no time.
            let e = unsafe {
                RegEnumKeyExW(
                    self.0,
                    i,
                    name.as_mut_ptr(),
                    &raw mut n,
                    null(),
                    null_mut(),
                    null_mut(),
                    null_mut(),
                )
            };
            if e != 0 {
                break;
            }
            all.push(text::from_wide(&name));
        }
        all
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
    pub(crate) fn string(&self, name: &str) -> String {
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

    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        match self.value(name) {
            Some((REG_DWORD, data)) => Some(u32::from_le_bytes(data.try_into().ok()?)),
            _ => None,
        }
    }
}
