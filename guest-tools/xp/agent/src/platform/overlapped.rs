//! One read or write under way, with its buffer.
#![allow(unsafe_code, reason = "Windows writes to buffer and OVERLAPPED until the operation ends")]

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::zeroed;
use core::ptr::null_mut;

use windows_sys::Win32::Foundation::{ERROR_IO_INCOMPLETE, ERROR_IO_PENDING, GetLastError};
use windows_sys::Win32::Storage::FileSystem::{ReadFile, WriteFile};
use windows_sys::Win32::System::IO::{CancelIo, DeviceIoControl, GetOverlappedResult, OVERLAPPED};
use xp_base::handle::{Event, Handle};
use xp_base::{Error, Result};

/// Belongs to one handle, and to the thread that uses it (CancelIo is the thread's). The handle must outlive it: keep it
/// behind this in the struct that has both.
pub(crate) struct Operation {
    done: Event,
    state: Box<OVERLAPPED>,
    buffer: Vec<u8>,
    /// The handle's own number while Windows has the buffer.
    on: Option<windows_sys::Win32::Foundation::HANDLE>,
}

/// What became of it.
pub(crate) enum Ended {
    Not,
    With(usize),
}

impl Operation {
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        // SAFETY: OVERLAPPED is numbers and a handle that may be null.
        let state = Box::new(unsafe { zeroed() });
        Ok(Self { done: Event::new()?, state, buffer: alloc::vec![0; bytes], on: None })
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.on.is_some()
    }

    /// Signalled when it has ended.
    pub(crate) fn event(&self) -> &Handle {
        self.done.handle()
    }

    /// The bytes that the last one read.
    pub(crate) fn bytes(&self, n: usize) -> &[u8] {
        self.buffer.get(..n).unwrap_or_default()
    }

    /// At most `most` bytes, and what the buffer has room for.
    pub(crate) fn read(&mut self, from: &Handle, most: usize) -> Result<()> {
        self.begin(from, "cannot read", |s| {
            let n = s.buffer.len().min(most) as u32;
            // SAFETY: buffer and state stay where they are until `ended` or `drop` saw the end.
            unsafe { ReadFile(from.raw(), s.buffer.as_mut_ptr(), n, null_mut(), &raw mut *s.state) }
        })
    }

    pub(crate) fn write(&mut self, to: &Handle, bytes: &[u8]) -> Result<()> {
        self.begin(to, "cannot write", |s| {
            s.buffer.clear();
            s.buffer.extend_from_slice(bytes);
            // SAFETY: as in `read`.
            unsafe {
                WriteFile(to.raw(), s.buffer.as_ptr(), s.buffer.len() as u32, null_mut(), &raw mut *s.state)
            }
        })
    }

    /// A device's own request without input; its answer lands in the buffer.
    pub(crate) fn ask(&mut self, device: &Handle, code: u32) -> Result<()> {
        self.begin(device, "the driver refuses a request", |s| {
            // SAFETY: as in `read`.
            unsafe {
                DeviceIoControl(
                    device.raw(),
                    code,
                    core::ptr::null(),
                    0,
                    s.buffer.as_mut_ptr().cast(),
                    s.buffer.len() as u32,
                    null_mut(),
                    &raw mut *s.state,
                )
            }
        })
    }

    fn begin(&mut self, on: &Handle, what: &str, call: impl FnOnce(&mut Self) -> i32) -> Result<()> {
        if self.is_under_way() {
            return Err(Error::plain("an operation of this port is under way already"));
        }
        self.done.clear();
        // SAFETY: as in `new`.
        *self.state = unsafe { zeroed() };
        self.state.hEvent = self.done.handle().raw();
        let ok = call(self) != 0;
        // SAFETY: reads the thread's last error.
        let e = unsafe { GetLastError() };
        if ok || e == ERROR_IO_PENDING {
            self.on = Some(on.raw());
            Ok(())
        } else {
            Err(Error::of(what, e))
        }
    }

    /// Waits for its end: for those that end at once.
    pub(crate) fn end(&mut self) -> Result<usize> {
        let Some(on) = self.on.take() else { return Ok(0) };
        let mut n = 0;
        // SAFETY: the state is the one that the operation was begun with.
        if unsafe { GetOverlappedResult(on, &raw const *self.state, &raw mut n, 1) } == 0 {
            return Err(Error::last("the port failed"));
        }
        Ok(n as usize)
    }

    /// Has it ended, and how? `With` comes once.
    pub(crate) fn ended(&mut self) -> Result<Ended> {
        let Some(on) = self.on else { return Ok(Ended::Not) };
        let mut n = 0;
        // SAFETY: the state is the one that the operation was begun with.
        if unsafe { GetOverlappedResult(on, &raw const *self.state, &raw mut n, 0) } != 0 {
            self.on = None;
            return Ok(Ended::With(n as usize));
        }
        let e = Error::last("the port failed");
        if e.code == ERROR_IO_INCOMPLETE {
            return Ok(Ended::Not);
        }
        self.on = None;
        Err(e)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some(on) = self.on {
            let mut n = 0;
            // SAFETY: after the wait Windows has neither buffer nor state any more.
            unsafe {
                CancelIo(on);
                GetOverlappedResult(on, &raw const *self.state, &raw mut n, 1);
            }
        }
    }
}
