//! Guest memory by linear address: a reservation of 4 GiB of the host's address space, in which single pages of the
//! arena are mapped where one address space of the guest's has them. Translated code reads and writes there without
//! looking anything up; what is not mapped faults.
#![allow(
    unsafe_code,
    reason = "mappings of pages of the arena; each range is checked to lie inside the reservation"
)]

use std::io;

use crate::arena::Arena;
use crate::map::PAGE_SHIFT;

/// Pages of 32-bit linear space.
const PAGES: u32 = 1 << 20;
/// What an access at the last address can reach beyond; nothing is ever mapped there.
const GUARD: usize = 0x1_0000;

/// One address space of the guest's.
pub struct View {
    base: *mut u8,
}

// SAFETY: the reservation is owned by the value; nothing of it is ever borrowed.
unsafe impl Send for View {}

#[cfg(target_os = "linux")]
impl View {
    const LEN: usize = ((PAGES as usize) << PAGE_SHIFT) + GUARD;

    /// Reserves the addresses; nothing is mapped.
    pub fn new(arena: &Arena) -> io::Result<Self> {
        if arena.file().is_none() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "guest memory has no file to map again"));
        }
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { Self::reserve(std::ptr::null_mut(), Self::LEN, 0)? };
        Ok(Self { base })
    }

    /// Inaccessible addresses.
    ///
    /// # Safety
    /// With `MAP_FIXED`: what lies there is the caller's.
    unsafe fn reserve(at: *mut u8, len: usize, flags: libc::c_int) -> io::Result<*mut u8> {
        let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: by the caller.
        let p = unsafe { libc::mmap(at.cast(), len, libc::PROT_NONE, flags, -1, 0) };
        if p == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(p.cast()) }
    }

    /// Maps `n` pages at linear page `lin` to the arena's from `page` on.
    ///
    /// # Panics
    /// If they don't lie inside the arena or linear space.
    pub fn map(&mut self, arena: &Arena, lin: u32, page: u32, n: u32, writable: bool) -> io::Result<()> {
        assert!(lin < PAGES && n <= PAGES - lin);
        assert!((page as usize + n as usize) << PAGE_SHIFT <= arena.len());
        let Some(file) = arena.file() else { return Err(io::ErrorKind::Unsupported.into()) };
        let prot = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // SAFETY: the range lies inside the reservation, which is ours, by the check above.
        let p = unsafe {
            libc::mmap(
                self.base.add((lin as usize) << PAGE_SHIFT).cast(),
                (n as usize) << PAGE_SHIFT,
                prot,
                libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_POPULATE,
                file,
                i64::from(page) << PAGE_SHIFT,
            )
        };
        if p == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Makes `n` pages at linear page `lin` inaccessible.
    ///
    /// # Panics
    /// If they don't lie inside linear space.
    pub fn unmap(&mut self, lin: u32, n: u32) -> io::Result<()> {
        assert!(lin < PAGES && n <= PAGES - lin);
        // SAFETY: the range lies inside the reservation by the check above.
        unsafe {
            let at = self.base.add((lin as usize) << PAGE_SHIFT);
            Self::reserve(at, (n as usize) << PAGE_SHIFT, libc::MAP_FIXED)?;
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl View {
    pub fn new(_: &Arena) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "no views on this system yet"))
    }

    pub fn map(&mut self, _: &Arena, _: u32, _: u32, _: u32, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn unmap(&mut self, _: u32, _: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl View {
    /// Where linear address 0 lies in this process.
    pub fn base(&self) -> *mut u8 {
        self.base
    }
}

impl Drop for View {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        // SAFETY: mapped in `new` with this length; nothing runs that uses it.
        unsafe {
            libc::munmap(self.base.cast(), Self::LEN);
        }
    }
}
