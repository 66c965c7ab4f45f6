//! The bytes themselves: one mapping and bounds-checked access to it. On Linux it is memory that has a file, so that
//! [`crate::View`] can map pages of it a second time.
#![allow(
    unsafe_code,
    reason = "guest memory is a raw mapping; every access is checked against its length here"
)]

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};

use vm_memory::MmapRegion;

use crate::map::PAGE_SHIFT;

const DIRTY: u8 = 1;
const CODE: u8 = 2;
const TABLE: u8 = 4;

/// One mapping of `len` zeroed bytes that lives as long as the value, and one flag byte for each page of it.
pub struct Arena {
    region: MmapRegion,
    base: *mut u8,
    len: usize,
    flags: Box<[AtomicU8]>,
}

// SAFETY: the mapping is owned by `region` and stays valid until drop. Bytes are only copied in and out; no
// reference into the mapping is ever formed, so moving or sharing the handle cannot create a dangling or
// aliased reference. Plain accesses from two threads at once are excluded by the house rule that only the
// machine thread touches guest memory.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

macro_rules! access {
    ($load:ident, $store:ident, $t:ty) => {
        /// Copies a little-endian value out of the arena, at any alignment.
        ///
        /// # Panics
        /// If the value does not lie inside the arena: offsets come from [`crate::GuestRam::resolve`].
        #[inline(always)]
        pub fn $load(&self, off: u32) -> $t {
            let off = off as usize;
            assert!(off <= self.len - size_of::<$t>());
            // SAFETY: off..off + size is inside the mapping by the check above (len is never below 8), and the
            // mapping lives as long as self.
            <$t>::from_le(unsafe { self.base.add(off).cast::<$t>().read_unaligned() })
        }

        /// Copies a value into the arena, little-endian, at any alignment. Sets no flag.
        ///
        /// # Panics
        /// If the value does not lie inside the arena.
        #[inline(always)]
        pub fn $store(&self, off: u32, v: $t) {
            let off = off as usize;
            assert!(off <= self.len - size_of::<$t>());
            // SAFETY: off..off + size is inside the mapping by the check above, and the mapping lives as long as
            // self. No reference to these bytes exists anywhere.
            unsafe { self.base.add(off).cast::<$t>().write_unaligned(v.to_le()) }
        }
    };
}

impl Arena {
    pub(crate) fn new(len: usize) -> Result<Self, std::io::Error> {
        let region = map(len)?;
        let base = region.as_ptr();
        let flags = (0..len >> PAGE_SHIFT).map(|_| AtomicU8::new(0)).collect();
        Ok(Self { region, base, len, flags })
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        false
    }

    /// Where arena offset 0 lies in this process: for engines that map guest memory themselves.
    pub fn base(&self) -> *mut u8 {
        self.region.as_ptr()
    }

    /// For [`crate::Window`].
    pub(crate) fn region(&self) -> &MmapRegion {
        &self.region
    }

    /// What [`crate::View`] maps from.
    #[cfg(target_os = "linux")]
    pub(crate) fn file(&self) -> Option<std::os::fd::RawFd> {
        use std::os::fd::AsRawFd;
        self.region.file_offset().map(|f| f.file().as_raw_fd())
    }

    access!(load_u8, store_u8, u8);
    access!(load_u16, store_u16, u16);
    access!(load_u32, store_u32, u32);
    access!(load_u64, store_u64, u64);

    /// Copies bytes out.
    ///
    /// # Panics
    /// If the range does not lie inside the arena.
    pub fn copy_out(&self, off: u32, buf: &mut [u8]) {
        assert!(buf.len() <= self.len && off as usize <= self.len - buf.len());
        // SAFETY: the range is inside the mapping by the check above, and `buf` is Rust memory that cannot
        // overlap it.
        unsafe { std::ptr::copy_nonoverlapping(self.base.add(off as usize), buf.as_mut_ptr(), buf.len()) }
    }

    /// Copies bytes in. Sets no flag.
    ///
    /// # Panics
    /// If the range does not lie inside the arena.
    pub fn copy_in(&self, off: u32, buf: &[u8]) {
        assert!(buf.len() <= self.len && off as usize <= self.len - buf.len());
        // SAFETY: as in `copy_out`.
        unsafe { std::ptr::copy_nonoverlapping(buf.as_ptr(), self.base.add(off as usize), buf.len()) }
    }

    /// Fills a range from a file. Sets no flag.
    ///
    /// # Panics
    /// If the range does not lie inside the arena.
    #[cfg(unix)]
    pub(crate) fn read_from(
        &self,
        file: &std::fs::File,
        at: u64,
        off: u32,
        len: usize,
    ) -> std::io::Result<()> {
        use std::os::unix::fs::FileExt;
        assert!(len <= self.len && off as usize <= self.len - len);
        // SAFETY: the range is inside the mapping by the check above. Nobody else is at it: by the house rule this thread is
        // the only one at guest memory, and nothing of these bytes was given out before they are filled.
        let to = unsafe { std::slice::from_raw_parts_mut(self.base.add(off as usize), len) };
        file.read_exact_at(to, at)
    }

    /// Bytes for the host to fill or to take, until whoever has them lets them go. Sets no flag.
    ///
    /// # Panics
    /// If the range does not lie inside the arena.
    pub(crate) fn cells(&self, off: u32, len: usize) -> &[Cell<u8>] {
        assert!(len <= self.len && off as usize <= self.len - len);
        // SAFETY: the range is inside the mapping by the check above, which lives as long as self. Cells may be written to,
        // and overlap, and can't leave this thread, which by the house rule is the only one at guest memory.
        unsafe { std::slice::from_raw_parts(self.base.add(off as usize).cast::<Cell<u8>>(), len) }
    }

    /// Moves `len` bytes within the arena; the ranges may overlap (the result is that of `memmove`).
    ///
    /// # Panics
    /// If a range does not lie inside the arena.
    pub fn copy_within(&self, from: u32, to: u32, len: usize) {
        assert!(len <= self.len && from as usize <= self.len - len && to as usize <= self.len - len);
        // SAFETY: both ranges are inside the mapping by the check above; `copy` allows overlap.
        unsafe { std::ptr::copy(self.base.add(from as usize), self.base.add(to as usize), len) }
    }

    /// Where in a range a byte comes first.
    ///
    /// # Panics
    /// If the range does not lie inside the arena.
    pub fn find(&self, off: u32, len: usize, v: u8) -> Option<usize> {
        assert!(len <= self.len && off as usize <= self.len - len);
        // SAFETY: the range is inside the mapping by the check above. No reference is made to memory that others write.
        unsafe {
            let start = self.base.add(off as usize).cast_const();
            let found = find_raw(v, start, start.add(len))?;
            Some(found.offset_from_unsigned(start))
        }
    }

    /// Fills a range with one byte.
    ///
    /// # Panics
    /// If the range does not lie inside the arena.
    pub fn fill(&self, off: u32, len: usize, v: u8) {
        assert!(len <= self.len && off as usize <= self.len - len);
        // SAFETY: the range is inside the mapping by the check above.
        unsafe { std::ptr::write_bytes(self.base.add(off as usize), v, len) }
    }

    /// Zeros. Where the range is whole pages of any host, and the host can do that, they take no memory.
    ///
    /// # Panics
    /// If the range does not lie inside the arena.
    pub fn clear(&self, off: u32, len: usize) {
        const LARGEST_PAGE: usize = 64 << 10;
        #[cfg(target_os = "linux")]
        if (off as usize).is_multiple_of(LARGEST_PAGE)
            && len.is_multiple_of(LARGEST_PAGE)
            && self.file().is_some()
        {
            assert!(len <= self.len && off as usize <= self.len - len);
            // SAFETY: the range is inside the mapping by the check above, and whole pages of it, so nothing else is touched.
            // It becomes a hole of the arena's file, which reads as zeros wherever it is mapped.
            let done = unsafe { libc::madvise(self.base.add(off as usize).cast(), len, libc::MADV_REMOVE) };
            if done == 0 {
                return;
            }
        }
        self.fill(off, len, 0);
    }

    #[inline(always)]
    fn flag(&self, page: u32) -> &AtomicU8 {
        &self.flags[page as usize]
    }

    /// Marks the arena page as written.
    #[inline(always)]
    pub fn mark_dirty(&self, page: u32) {
        let f = self.flag(page);
        let v = f.load(Ordering::Relaxed);
        if v & DIRTY == 0 {
            f.store(v | DIRTY, Ordering::Relaxed);
        }
    }

    /// Reads and clears the dirty bit of one arena page.
    ///
    /// The software processor keeps write translations only for pages that are already dirty, so whoever
    /// clears the bit must also move the generation: [`crate::GuestRam::take_dirty`] does.
    pub(crate) fn take_dirty(&self, page: u32) -> bool {
        let f = self.flag(page);
        let v = f.load(Ordering::Relaxed);
        f.store(v & !DIRTY, Ordering::Relaxed);
        v & DIRTY != 0
    }

    #[inline(always)]
    pub fn is_dirty(&self, page: u32) -> bool {
        self.flag(page).load(Ordering::Relaxed) & DIRTY != 0
    }

    fn set(&self, page: u32, bit: u8, on: bool) {
        let f = self.flag(page);
        let v = f.load(Ordering::Relaxed);
        f.store(if on { v | bit } else { v & !bit }, Ordering::Relaxed);
    }

    /// Notes that decoded instructions come from this arena page; see [`crate::GuestRam::take_watched_writes`].
    pub fn set_code(&self, page: u32, on: bool) {
        self.set(page, CODE, on);
    }

    /// Notes that a [`crate::View`] was filled from page tables in this arena page.
    pub fn set_table(&self, page: u32, on: bool) {
        self.set(page, TABLE, on);
    }

    /// What [`Self::set_table`] noted.
    #[inline(always)]
    pub fn is_table(&self, page: u32) -> bool {
        self.flag(page).load(Ordering::Relaxed) & TABLE != 0
    }

    /// An engine must hear of writes to this page: decoded instructions or entries of page tables come from it.
    #[inline(always)]
    pub fn is_watched(&self, page: u32) -> bool {
        self.flag(page).load(Ordering::Relaxed) & (CODE | TABLE) != 0
    }
}

/// Where a byte comes first from `start` to before `end`.
///
/// # Safety
/// All between the two can be read.
unsafe fn find_raw(v: u8, start: *const u8, end: *const u8) -> Option<*const u8> {
    #[cfg(target_arch = "x86_64")]
    {
        use memchr::arch::x86_64::{avx2, sse2};
        if let Some(one) = avx2::memchr::One::new(v) {
            // SAFETY: as the caller says.
            return unsafe { one.find_raw(start, end) };
        }
        if let Some(one) = sse2::memchr::One::new(v) {
            // SAFETY: as the caller says.
            return unsafe { one.find_raw(start, end) };
        }
    }
    // SAFETY: as the caller says.
    unsafe { memchr::arch::all::memchr::One::new(v).find_raw(start, end) }
}

/// Memory that can be mapped again, or where there is none, plain memory.
fn map(len: usize) -> Result<MmapRegion, std::io::Error> {
    #[cfg(target_os = "linux")]
    if let Ok(file) = memory_file(len) {
        let file = vm_memory::FileOffset::new(file, 0);
        return MmapRegion::from_file(file, len).map_err(std::io::Error::other);
    }
    MmapRegion::new(len).map_err(std::io::Error::other)
}

#[cfg(target_os = "linux")]
fn memory_file(len: usize) -> Result<std::fs::File, std::io::Error> {
    use std::os::fd::FromRawFd;
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"guest-ram".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made above and nobody else has it.
    let file = unsafe { std::fs::File::from_raw_fd(fd) };
    file.set_len(len as u64)?;
    Ok(file)
}
