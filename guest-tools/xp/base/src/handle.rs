//! Handles that close themselves, and events.
#![allow(unsafe_code, reason = "handles are given and closed by Windows")]

use alloc::vec::Vec;
use core::ptr::null;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, INVALID_HANDLE_VALUE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{
    CreateEventW, ResetEvent, SetEvent, WaitForMultipleObjects, WaitForSingleObject,
};

use crate::{Error, Result};

#[derive(Debug)]
pub struct Handle(HANDLE);

// SAFETY: a handle belongs to the process, not to a thread.
unsafe impl Send for Handle {}
// SAFETY: Windows serializes what is done with a handle.
unsafe impl Sync for Handle {}

impl Handle {
    /// Takes what a call returned; null and the invalid handle are that call's failure.
    pub fn take(h: HANDLE, what: impl core::fmt::Display) -> Result<Self> {
        if h.is_null() || h == INVALID_HANDLE_VALUE { Err(Error::last(what)) } else { Ok(Self(h)) }
    }

    pub fn raw(&self) -> HANDLE {
        self.0
    }

    /// Signalled now?
    pub fn is_signalled(&self) -> bool {
        // SAFETY: the handle is open as long as self.
        unsafe { WaitForSingleObject(self.0, 0) == WAIT_OBJECT_0 }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: ours, and closed once.
        unsafe { CloseHandle(self.0) };
    }
}

/// A manual-reset event.
#[derive(Debug)]
pub struct Event(Handle);

impl Event {
    pub fn new() -> Result<Self> {
        // SAFETY: no name, no security: nothing is pointed to.
        let h = unsafe { CreateEventW(null(), 1, 0, null()) };
        Handle::take(h, "cannot make an event").map(Self)
    }

    pub fn set(&self) {
        // SAFETY: the handle is open.
        unsafe { SetEvent(self.0.raw()) };
    }

    pub fn clear(&self) {
        // SAFETY: the handle is open.
        unsafe { ResetEvent(self.0.raw()) };
    }

    pub fn handle(&self) -> &Handle {
        &self.0
    }
}

/// Waits until one is signalled or the time is over. More than Windows takes at a time (64) are not looked at.
pub fn wait_any(handles: &[&Handle], milliseconds: u32) {
    const MOST: usize = 64;
    let raw: Vec<HANDLE> = handles.iter().take(MOST).map(|h| h.raw()).collect();
    if raw.is_empty() {
        // SAFETY: takes a number.
        unsafe { windows_sys::Win32::System::Threading::Sleep(milliseconds) };
        return;
    }
    // SAFETY: all are open for this call, and the count is the list's.
    unsafe { WaitForMultipleObjects(raw.len() as u32, raw.as_ptr(), 0, milliseconds) };
}
