//! Puts [`crate::ldt::ENTRIES`] into the process's own descriptor table.

use std::io;

use crate::ldt::{ENTRIES, Kind};

/// `struct user_desc` of modify_ldt(2).
#[repr(C)]
struct UserDesc {
    entry_number: u32,
    base_addr: u32,
    limit: u32,
    flags: u32,
}

pub(super) fn install() -> io::Result<()> {
    for (n, e) in ENTRIES.iter().enumerate() {
        let (contents, read_only) = match e.kind {
            Kind::Read => (0, 1),
            Kind::Write => (0, 0),
            Kind::ReadDown => (1, 1),
            Kind::WriteDown => (1, 0),
            Kind::Execute => (2, 1),
            Kind::ExecuteRead => (2, 0),
            Kind::ExecuteReadConforming => (3, 0),
        };
        let desc = UserDesc {
            entry_number: n as u32,
            base_addr: e.base,
            limit: e.limit,
            flags: u32::from(e.big)
                | contents << 1
                | read_only << 3
                | u32::from(e.pages) << 4
                | u32::from(!e.present) << 5,
        };
        const WRITE_LDT: libc::c_long = 0x11;
        // SAFETY: passes a valid description and its size.
        let r =
            unsafe { libc::syscall(libc::SYS_modify_ldt, WRITE_LDT, &raw const desc, size_of::<UserDesc>()) };
        // The kernel returns its error as an unsigned int, which the library does not take for one.
        if r != 0 {
            return Err(io::Error::from_raw_os_error(-(r as i32)));
        }
    }
    Ok(())
}
