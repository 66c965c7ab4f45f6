//! Memory that code is written to in one place and run from in another, so that no page is ever both writable and
//! executable (W^X by double mapping).
#![allow(unsafe_code, reason = "raw mappings; every write is checked against their length")]

use std::io;

/// A region of code, mapped twice.
pub(crate) struct CodeBuffer {
    rw: *mut u8,
    rx: *const u8,
    len: usize,
}

// SAFETY: the mappings are owned by the value and nothing else writes them.
unsafe impl Send for CodeBuffer {}

impl CodeBuffer {
    #[cfg(target_os = "linux")]
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
        // SAFETY: a plain system call with a constant name; the descriptor is owned from here on.
        let fd = unsafe {
            let fd = libc::memfd_create(c"heirloom-code".as_ptr(), libc::MFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        // SAFETY: the descriptor is open.
        if unsafe { libc::ftruncate(fd.as_raw_fd(), len as libc::off_t) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let map = |prot| {
            // SAFETY: a new mapping at an address of the kernel's choice.
            let p =
                unsafe { libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
            if p == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(p) }
        };
        let rw = map(libc::PROT_READ | libc::PROT_WRITE)?;
        match map(libc::PROT_READ | libc::PROT_EXEC) {
            Ok(rx) => Ok(Self { rw: rw.cast(), rx: rx.cast_const().cast(), len }),
            Err(e) => {
                // SAFETY: `rw` was mapped above with this length and nobody else knows it.
                unsafe { libc::munmap(rw, len) };
                Err(e)
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new(_len: usize) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "no double mapping on this system yet"))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where the byte at `off` is run.
    pub(crate) fn address(&self, off: u32) -> *const u8 {
        assert!((off as usize) < self.len);
        self.rx.wrapping_add(off as usize)
    }

    /// # Panics
    /// If the range does not lie inside the buffer.
    pub(crate) fn write(&mut self, off: u32, bytes: &[u8]) {
        assert!(off as usize <= self.len && bytes.len() <= self.len - off as usize);
        // SAFETY: the range lies in the writable mapping by the check above. The processor is not running code of
        // these bytes: the one thread that runs it is here.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.rw.add(off as usize), bytes.len()) }
    }
}

impl Drop for CodeBuffer {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        // SAFETY: both were mapped in `new` with this length; no code runs from them any more.
        unsafe {
            libc::munmap(self.rw.cast(), self.len);
            libc::munmap(self.rx.cast_mut().cast(), self.len);
        }
    }
}
