//! Windows' UTF-16 strings.
#![allow(unsafe_code, reason = "strings that Windows returns are pointers")]

use alloc::string::String;
use alloc::vec::Vec;

/// With the zero at the end. A zero within ends the string early, as Windows would see it.
pub fn wide(s: &str) -> Vec<u16> {
    s.encode_utf16().take_while(|c| *c != 0).chain([0]).collect()
}

/// Up to a zero, or all.
pub fn from_wide(s: &[u16]) -> String {
    let n = s.iter().position(|c| *c == 0).unwrap_or(s.len());
    char::decode_utf16(s.iter().take(n).copied()).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Up to a zero, or all; what is not ASCII becomes a question mark.
pub fn from_ansi(s: &[u8]) -> String {
    s.iter().take_while(|c| **c != 0).map(|c| if c.is_ascii() { char::from(*c) } else { '?' }).collect()
}

/// # Safety
/// `at` is null or points to a string that ends with a zero.
pub unsafe fn from_ptr(at: *const u16) -> String {
    if at.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise; reading stops at the zero.
    unsafe {
        let mut n = 0;
        while *at.add(n) != 0 {
            n += 1;
        }
        from_wide(core::slice::from_raw_parts(at, n))
    }
}
