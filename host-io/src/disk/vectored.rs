//! Reads and writes of a file straight to and from pieces of guest memory: preadv2(2), pwritev(2).
#![allow(unsafe_code, reason = "pieces may overlap, which the standard library's slices may not")]

use std::fs::File;
use std::os::fd::AsRawFd;

use board::pieces::{self, Piece};

/// The kernel takes no more at a time (UIO_MAXIOV).
const MOST: usize = 1024;

fn vector(pieces: &[Piece<'_>]) -> Option<Vec<libc::iovec>> {
    let one = |p: &Piece<'_>| libc::iovec { iov_base: p.as_ptr().cast_mut().cast(), iov_len: p.len() };
    (pieces.len() <= MOST).then(|| pieces.iter().map(one).collect())
}

/// True: all of it came. `cached`: from the host's cache, or not at all (RWF_NOWAIT).
pub(super) fn read(file: &File, at: u64, to: &[Piece<'_>], cached: bool) -> bool {
    let (Some(v), Ok(at)) = (vector(to), at.try_into()) else { return false };
    let flags = if cached { libc::RWF_NOWAIT } else { 0 };
    // SAFETY: each entry is a borrowed run of cells, whose bytes anybody on this thread may write to, for the time of the
    // call; the count is that of the entries.
    let n = unsafe { libc::preadv2(file.as_raw_fd(), v.as_ptr(), v.len() as libc::c_int, at, flags) };
    usize::try_from(n) == Ok(pieces::total(to))
}

/// True: all of it was taken.
pub(super) fn write(file: &File, at: u64, from: &[Piece<'_>]) -> bool {
    let (Some(v), Ok(at)) = (vector(from), at.try_into()) else { return false };
    // SAFETY: each entry is a borrowed run of cells, read for the time of the call; the count is that of the entries.
    let n = unsafe { libc::pwritev(file.as_raw_fd(), v.as_ptr(), v.len() as libc::c_int, at) };
    usize::try_from(n) == Ok(pieces::total(from))
}

/// How often this thread has waited for something.
pub(super) fn waits() -> libc::c_long {
    // SAFETY: a structure of numbers, for which zeros are good, that the call fills.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
        usage.ru_nvcsw
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_thread_that_sleeps_has_waited_and_one_that_works_has_not() {
        let before = super::waits();
        assert!((0..1_000_000_u64).fold(0, |s, n| std::hint::black_box(s ^ n)) < u64::MAX);
        assert_eq!(super::waits(), before);
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(super::waits() > before);
    }
}
