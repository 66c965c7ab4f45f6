//! What the standard library lacks of Linux's calls.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{mem, ptr};

fn check(r: libc::c_int) -> io::Result<libc::c_int> {
    if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r) }
}

/// Nanoseconds of a clock.
pub(crate) fn clock(id: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is ours to be written.
    unsafe { libc::clock_gettime(id, &raw mut t) };
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

pub(crate) fn set_clock(utc: u64) -> io::Result<()> {
    let too_late = |_| io::Error::other("this system has no such date");
    let t = libc::timespec {
        tv_sec: (utc / 1_000_000_000).try_into().map_err(too_late)?,
        tv_nsec: (utc % 1_000_000_000) as _,
    };
    // SAFETY: `t` is only read.
    check(unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const t) }).map(drop)
}

/// Slews by at most half a second, as the kernel does it: 500 ppm.
pub(crate) fn slew_clock(gain: i64) -> io::Result<()> {
    const ADJ_OFFSET_SINGLESHOT: libc::c_uint = 0x8001;
    // SAFETY: a structure of integers, for which zero is a value.
    let mut t: libc::timex = unsafe { mem::zeroed() };
    t.modes = ADJ_OFFSET_SINGLESHOT;
    t.offset = (gain / 1000).clamp(-499_999, 499_999) as _;
    // SAFETY: `t` is ours to be read and written.
    check(unsafe { libc::adjtimex(&raw mut t) }).map(drop)
}

/// Offset of local time from UTC, in minutes.
pub(crate) fn zone() -> i32 {
    // SAFETY: a structure of integers and a pointer, for which zero is a value.
    let mut tm: libc::tm = unsafe { mem::zeroed() };
    // SAFETY: no argument.
    let now = unsafe { libc::time(ptr::null_mut()) };
    // SAFETY: both are ours.
    unsafe { libc::localtime_r(&raw const now, &raw mut tm) };
    i32::try_from(tm.tm_gmtoff / 60).unwrap_or(0)
}

pub(crate) fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: no memory is involved.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    // SAFETY: no memory is involved.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}

/// A serial port as bytes and nothing else, at 115,200 baud.
pub(crate) fn make_raw(f: &File) -> io::Result<()> {
    let fd = f.as_raw_fd();
    // SAFETY: a structure of integers, for which zero is a value.
    let mut t: libc::termios = unsafe { mem::zeroed() };
    // SAFETY: `t` is ours.
    check(unsafe { libc::tcgetattr(fd, &raw mut t) })?;
    // SAFETY: `t` is ours.
    unsafe {
        libc::cfmakeraw(&raw mut t);
        libc::cfsetispeed(&raw mut t, libc::B115200);
        libc::cfsetospeed(&raw mut t, libc::B115200);
    }
    t.c_cflag |= libc::CLOCAL | libc::CREAD;
    t.c_cflag &= !(libc::CRTSCTS | libc::HUPCL);
    t.c_cc[libc::VMIN] = 0;
    t.c_cc[libc::VTIME] = 0;
    // SAFETY: `t` is only read.
    check(unsafe { libc::tcsetattr(fd, libc::TCSANOW, &raw const t) })?;
    // SAFETY: no memory is involved.
    check(unsafe { libc::tcflush(fd, libc::TCIOFLUSH) }).map(drop)
}

/// Bytes that a serial port has not sent yet.
pub(crate) fn output_queue(f: &File) -> usize {
    let mut n: libc::c_int = 0;
    // SAFETY: the kernel writes one int to `n`.
    let r = unsafe { libc::ioctl(f.as_raw_fd(), libc::TIOCOUTQ, &raw mut n) };
    if r < 0 { 0 } else { usize::try_from(n).unwrap_or(0) }
}

/// Signals that a child ended or that the agent is to end, as a file.
pub(crate) fn signals() -> io::Result<OwnedFd> {
    // SAFETY: a set of bits, for which zero is a value.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is ours; the calls keep no pointer to it.
    let fd = unsafe {
        libc::sigemptyset(&raw mut set);
        for s in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigaddset(&raw mut set, s);
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()))?;
        check(libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC))?
    };
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The next signal's number.
pub(crate) fn signal(fd: &OwnedFd) -> Option<i32> {
    // SAFETY: a structure of integers, for which zero is a value.
    let mut s: libc::signalfd_siginfo = unsafe { mem::zeroed() };
    let len = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the kernel writes at most `len` bytes to `s`, which has as many.
    let n = unsafe { libc::read(fd.as_raw_fd(), (&raw mut s).cast(), len) };
    (n == len as isize).then_some(s.ssi_signo as i32)
}

/// Waits for any of them, or so many nanoseconds.
pub(crate) fn poll(fds: &mut [libc::pollfd], nanoseconds: u64) {
    let t = libc::timespec {
        tv_sec: (nanoseconds / 1_000_000_000).min(3600) as _,
        tv_nsec: (nanoseconds % 1_000_000_000) as _,
    };
    // SAFETY: `fds` is a slice of ours, with its length; `t` is only read.
    unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as _, &raw const t, ptr::null()) };
}

pub(crate) fn kill(process: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(process, signal) }).map(drop)
}

pub(crate) fn daemon() -> io::Result<()> {
    // SAFETY: there is one thread.
    check(unsafe { libc::daemon(0, 0) }).map(drop)
}

/// Who a program is to be.
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) groups: Vec<libc::gid_t>,
}

/// Has the program begin a session of its own, as that user. `ends_with_us`: it is killed when the agent is.
pub(crate) fn become_user(c: &mut Command, who: Option<Identity>, ends_with_us: bool) {
    let change = move || {
        // SAFETY: calls that may be made between fork and exec; the slice was made before.
        unsafe {
            check(libc::setsid())?;
            if let Some(w) = &who {
                check(libc::setgroups(w.groups.len() as _, w.groups.as_ptr()))?;
                check(libc::setgid(w.group))?;
                check(libc::setuid(w.user))?;
            }
            if ends_with_us {
                // Behind the change of user, which would take it back.
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            }
        }
        Ok(())
    };
    // SAFETY: `change` allocates nothing and takes no lock.
    unsafe { c.pre_exec(change) };
}

/// Names of network interfaces and their addresses.
pub(crate) fn addresses() -> Vec<(String, IpAddr)> {
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: `first` is ours to be written.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Vec::new();
    }
    let mut out = Vec::new();
    let mut at = first;
    // SAFETY: a list that getifaddrs made, valid until freeifaddrs; names end with zero; an address's family says which
    // structure it is.
    unsafe {
        while let Some(a) = at.as_ref() {
            at = a.ifa_next;
            let Some(address) = a.ifa_addr.as_ref() else { continue };
            let ip = match i32::from(address.sa_family) {
                libc::AF_INET => {
                    let v4 = a.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned();
                    IpAddr::V4(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)))
                }
                libc::AF_INET6 => {
                    let v6 = a.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                    IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr))
                }
                _ => continue,
            };
            out.push((CStr::from_ptr(a.ifa_name).to_string_lossy().into_owned(), ip));
        }
        libc::freeifaddrs(first);
    }
    out
}
