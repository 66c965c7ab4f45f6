//! The function's registers and window, mapped.
#![expect(unsafe_code, reason = "memory that the host reads and writes, too")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{Ordering, fence};

use channel::guest::Function;
use channel::ring::Window;

/// A PCI resource. Invariant: `at..at + len` stays mapped, readable and writable, as long as this lives; it is only reached
/// through raw pointers, as the host changes it at any time.
struct Mapping {
    at: *mut u8,
    len: usize,
}

impl Mapping {
    fn new(f: &File, len: usize) -> io::Result<Self> {
        // SAFETY: a new mapping, at a place that the kernel chooses; nothing else refers to it.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                f.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { at: at.cast(), len }) }
    }

    /// Where `n` bytes at an offset are.
    fn place(&self, at: u32, n: usize) -> *mut u8 {
        let at = at as usize;
        assert!(at <= self.len && n <= self.len - at, "{n} bytes at {at:#x} of {:#x}", self.len);
        // SAFETY: within the mapping, as just checked.
        unsafe { self.at.add(at) }
    }

    fn aligned<T>(&self, at: u32) -> *mut T {
        let p: *mut T = self.place(at, size_of::<T>()).cast();
        assert!(p.is_aligned(), "{at:#x} is not aligned");
        p
    }

    fn load<T: Copy>(&self, at: u32) -> T {
        // SAFETY: mapped and aligned, as `aligned` checked; any bits are a T, as only integers are asked for.
        unsafe { self.aligned::<T>(at).read_volatile() }
    }

    fn store<T: Copy>(&self, at: u32, v: T) {
        // SAFETY: mapped and aligned, as `aligned` checked.
        unsafe { self.aligned::<T>(at).write_volatile(v) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing refers to it any more.
        unsafe { libc::munmap(self.at.cast(), self.len) };
    }
}

/// The channel's function.
pub(crate) struct Mapped {
    registers: Mapping,
    window: Mapping,
}

impl Mapped {
    /// `resource0` and `resource1` of the function, and their lengths.
    pub(crate) fn new(registers: (&File, usize), window: (&File, usize)) -> io::Result<Self> {
        Ok(Self {
            registers: Mapping::new(registers.0, registers.1)?,
            window: Mapping::new(window.0, window.1)?,
        })
    }
}

impl Window for Mapped {
    fn load16(&self, at: u32) -> u16 {
        self.window.load(at)
    }

    fn load32(&self, at: u32) -> u32 {
        self.window.load(at)
    }

    fn store16(&self, at: u32, v: u16) {
        self.window.store(at, v);
    }

    fn store32(&self, at: u32, v: u32) {
        self.window.store(at, v);
    }

    fn copy_in(&self, at: u32, bytes: &[u8]) {
        let to = self.window.place(at, bytes.len());
        // SAFETY: `place` checked the target, `bytes` is a slice of ours; they don't overlap.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    fn copy_out(&self, at: u32, bytes: &mut [u8]) {
        let from = self.window.place(at, bytes.len());
        // SAFETY: `place` checked the source, `bytes` is a slice of ours; they don't overlap.
        unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

impl Function for Mapped {
    fn read(&self, register: u32) -> u32 {
        self.registers.load(register)
    }

    fn write(&self, register: u32, value: u32) {
        fence(Ordering::SeqCst);
        self.registers.store(register, value);
    }
}
