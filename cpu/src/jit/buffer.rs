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
        // Shared anonymous memory, which Linux's `perf` takes for generated code, once to write to.
        // SAFETY: a new mapping at an address of the kernel's choice.
        let rw = unsafe {
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0)
        };
        if rw == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // And once to run from: an old length of 0 asks for a second mapping of the same pages.
        // SAFETY: `rw` is a shared mapping of `len` bytes; it stays as it is.
        let rx = unsafe { libc::mremap(rw, 0, len, libc::MREMAP_MAYMOVE) };
        let run = libc::PROT_READ | libc::PROT_EXEC;
        // SAFETY: `rx` is the mapping just made, of `len` bytes.
        if rx == libc::MAP_FAILED || unsafe { libc::mprotect(rx, len, run) } != 0 {
            let e = io::Error::last_os_error();
            // SAFETY: `rw` was mapped above with this length and nobody else knows it.
            unsafe { libc::munmap(rw, len) };
            return Err(e);
        }
        Ok(Self { rw: rw.cast(), rx: rx.cast_const().cast(), len })
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

    /// The offset of a place that is run.
    pub(crate) fn offset(&self, place: *const u8) -> Option<u32> {
        let off = place.addr().checked_sub(self.rx.addr())?;
        (off < self.len).then_some(off as u32)
    }

    /// # Panics
    /// If it does not lie inside the buffer.
    pub(crate) fn read32(&self, off: u32) -> u32 {
        assert!(off as usize + 4 <= self.len);
        // SAFETY: the range lies in the mapping by the check above.
        unsafe { self.rw.add(off as usize).cast::<u32>().read_unaligned() }
    }

    /// The same for 64 bits.
    ///
    /// # Panics
    /// As above.
    pub(crate) fn read64(&self, off: u32) -> u64 {
        u64::from(self.read32(off)) | u64::from(self.read32(off + 4)) << 32
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
