//! A lock for what two threads share for a moment: the log, the service's state.
#![allow(unsafe_code, reason = "a lock hands out the only reference")]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use windows_sys::Win32::System::Threading::Sleep;

pub struct Lock<T> {
    taken: AtomicBool,
    what: UnsafeCell<T>,
}

// SAFETY: `with` lets one thread at a time at the value.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub const fn new(what: T) -> Self {
        Self { taken: AtomicBool::new(false), what: UnsafeCell::new(what) }
    }

    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        while self.taken.swap(true, Ordering::Acquire) {
            // SAFETY: takes a number.
            unsafe { Sleep(1) };
        }
        // SAFETY: `taken` was false and is ours until it is false again.
        let r = f(unsafe { &mut *self.what.get() });
        self.taken.store(false, Ordering::Release);
        r
    }

    /// As `with`, or nothing if another thread (or this one, further up) has it: for a dying program.
    pub fn try_with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        if self.taken.swap(true, Ordering::Acquire) {
            return None;
        }
        // SAFETY: as above.
        let r = f(unsafe { &mut *self.what.get() });
        self.taken.store(false, Ordering::Release);
        Some(r)
    }
}
