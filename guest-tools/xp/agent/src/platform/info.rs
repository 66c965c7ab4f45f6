//! What this computer is.
#![allow(unsafe_code, reason = "Windows fills its structures by pointer")]

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::{size_of, zeroed};
use core::ptr::null_mut;

use windows_sys::Win32::NetworkManagement::IpHelper::{GetAdaptersInfo, IP_ADAPTER_INFO};
use windows_sys::Win32::System::SystemInformation::{
    COMPUTER_NAME_FORMAT, ComputerNameDnsDomain, ComputerNamePhysicalNetBIOS, GetComputerNameExW,
    GetVersionExW, GlobalMemoryStatusEx, MEMORYSTATUSEX, OSVERSIONINFOEXW, OSVERSIONINFOW,
};
use windows_sys::Win32::System::Time::{GetTimeZoneInformation, TIME_ZONE_INFORMATION};
use xp_base::text::{from_ansi, from_wide};

use xp_base::registry::Key;

/// Name and version: "Microsoft Windows XP", "5.1.2600 Service Pack 3".
pub fn system() -> (String, String) {
    // SAFETY: numbers and characters.
    let mut v: OSVERSIONINFOEXW = unsafe { zeroed() };
    v.dwOSVersionInfoSize = size_of::<OSVERSIONINFOEXW>() as u32;
    // SAFETY: the longer structure begins as the shorter; its size says which it is.
    unsafe { GetVersionExW((&raw mut v).cast::<OSVERSIONINFOW>()) };
    let pack = from_wide(&v.szCSDVersion);
    let version = format!("{}.{}.{} {pack}", v.dwMajorVersion, v.dwMinorVersion, v.dwBuildNumber);
    let name =
        Key::machine("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion").map(|k| k.string("ProductName"));
    (name.filter(|n| !n.is_empty()).unwrap_or_else(|| "Microsoft Windows".into()), version.trim_end().into())
}

/// The computer's own name, and its domain (empty: none).
pub fn names() -> (String, String) {
    (name(ComputerNamePhysicalNetBIOS), name(ComputerNameDnsDomain))
}

fn name(which: COMPUTER_NAME_FORMAT) -> String {
    let mut s = [0_u16; 256];
    let mut n = s.len() as u32;
    // SAFETY: writes at most `n` characters.
    if unsafe { GetComputerNameExW(which, s.as_mut_ptr(), &raw mut n) } == 0 {
        String::new()
    } else {
        from_wide(&s)
    }
}

/// Bytes of memory, and how many are free.
pub fn memory() -> (u64, u64) {
    // SAFETY: numbers only.
    let mut m: MEMORYSTATUSEX = unsafe { zeroed() };
    m.dwLength = size_of::<MEMORYSTATUSEX>() as u32;
    // SAFETY: fills the structure of the stated size.
    unsafe { GlobalMemoryStatusEx(&raw mut m) };
    (m.ullTotalPhys, m.ullAvailPhys)
}

/// How far local time is ahead of UTC, in minutes.
pub fn zone() -> i32 {
    const STANDARD: u32 = 1;
    const DAYLIGHT: u32 = 2;
    // SAFETY: numbers and characters.
    let mut z: TIME_ZONE_INFORMATION = unsafe { zeroed() };
    // SAFETY: fills the structure.
    let bias = match unsafe { GetTimeZoneInformation(&raw mut z) } {
        DAYLIGHT => z.Bias + z.DaylightBias,
        STANDARD => z.Bias + z.StandardBias,
        _ => z.Bias,
    };
    -bias
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    pub name: String,
    pub mac: String,
    pub addresses: Vec<String>,
}

/// Network adapters with their IPv4 addresses.
pub fn adapters() -> Vec<Adapter> {
    let mut bytes = 0;
    // SAFETY: asks for the size.
    unsafe { GetAdaptersInfo(null_mut(), &raw mut bytes) };
    if bytes == 0 {
        return Vec::new();
    }
    // Windows' own structures end 8 bytes earlier in 32-bit programs (their times have 32 bits): the last one is read beyond
    // its end, but not beyond the buffer's.
    let n = bytes as usize / size_of::<IP_ADAPTER_INFO>() + 2;
    // SAFETY: the structures are numbers, characters and pointers that may be null.
    let mut room: Vec<IP_ADAPTER_INFO> = vec![unsafe { zeroed() }; n];
    // SAFETY: the buffer has at least the size that it states.
    if unsafe { GetAdaptersInfo(room.as_mut_ptr(), &raw mut bytes) } != 0 {
        return Vec::new();
    }
    let mut all = Vec::new();
    let mut at: *const IP_ADAPTER_INFO = room.as_ptr();
    while !at.is_null() {
        // SAFETY: Windows linked the list within `room`, and ended it with null; a copy needs no alignment.
        let a = unsafe { at.read_unaligned() };
        let mut addresses = Vec::new();
        let mut one = &raw const a.IpAddressList;
        while !one.is_null() {
            // SAFETY: as above; the first is part of the adapter.
            let ip = unsafe { &*one };
            let s = from_ansi(&ip.IpAddress.String.map(|c| c as u8));
            if !s.is_empty() && s != "0.0.0.0" {
                addresses.push(s);
            }
            one = ip.Next;
        }
        let mac: Vec<String> =
            a.Address.iter().take(a.AddressLength as usize).map(|b| format!("{b:02x}")).collect();
        all.push(Adapter { name: from_ansi(&a.Description.map(|c| c as u8)), mac: mac.join(":"), addresses });
        at = a.Next;
    }
    all
}

/// Name, version and publisher of a program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub publisher: String,
}

/// What is installed, as "Add or Remove Programs" has it; parts of the system and updates are not.
pub fn software() -> Vec<Package> {
    let Some(root) = Key::machine("SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall") else {
        return Vec::new();
    };
    let mut all: Vec<Package> = root
        .names()
        .iter()
        .filter_map(|n| root.below(n))
        .filter(|k| k.number("SystemComponent") != Some(1) && k.string("ParentKeyName").is_empty())
        .map(|k| Package {
            name: k.string("DisplayName"),
            version: k.string("DisplayVersion"),
            publisher: k.string("Publisher"),
        })
        .filter(|p| !p.name.is_empty())
        .collect();
    all.sort();
    all
}
