//! Rules: what Windows XP SP3 would load passes; a newer import, a newer header, a wrong checksum do not.

use super::*;

/// A small program: headers, and one section with an import table and relocations.
struct Made {
    subsystem: (u16, u16),
    characteristics: u16,
    flags: u16,
    tls: u32,
    stamp: u32,
    import: (&'static str, &'static str),
}

const GOOD: Made = Made {
    subsystem: (5, 1),
    characteristics: 0x0102,
    flags: 0x140,
    tls: 0,
    stamp: 0,
    import: ("KERNEL32.dll", "CloseHandle"),
};

const SECTION: usize = 0x200;
const AT: u32 = 0x1000;

fn put(b: &mut [u8], at: usize, bytes: &[u8]) {
    b[at..at + bytes.len()].copy_from_slice(bytes);
}

fn put16(b: &mut [u8], at: usize, v: u16) {
    put(b, at, &v.to_le_bytes());
}

fn put32(b: &mut [u8], at: usize, v: u32) {
    put(b, at, &v.to_le_bytes());
}

impl Made {
    fn bytes(&self) -> Vec<u8> {
        let mut b = vec![0; 2 * SECTION];
        put(&mut b, 0, b"MZ");
        put32(&mut b, 0x3c, 0x40);
        put(&mut b, 0x40, b"PE\0\0");
        put16(&mut b, 0x44, 0x14c);
        put16(&mut b, 0x46, 1);
        put32(&mut b, 0x48, self.stamp);
        put16(&mut b, 0x54, 224);
        put16(&mut b, 0x56, self.characteristics);
        // The optional header.
        let o = 0x58;
        put16(&mut b, o, 0x10b);
        put32(&mut b, o + 28, 0x40_0000);
        put32(&mut b, o + 32, AT);
        put32(&mut b, o + 36, SECTION as u32);
        put16(&mut b, o + 40, 5);
        put16(&mut b, o + 42, 1);
        put16(&mut b, o + 48, self.subsystem.0);
        put16(&mut b, o + 50, self.subsystem.1);
        put32(&mut b, o + 56, 2 * AT);
        put32(&mut b, o + 60, SECTION as u32);
        put16(&mut b, o + 68, 3);
        put16(&mut b, o + 70, self.flags);
        put32(&mut b, o + 92, 16);
        // Directories: imports (1), relocations (5), thread-local storage (9).
        for (n, at, size) in [(1, AT, 40), (5, AT + 0x100, 12), (9, self.tls, 24)] {
            put32(&mut b, o + 96 + 8 * n, at);
            put32(&mut b, o + 100 + 8 * n, size);
        }
        // The section.
        let s = o + 224;
        put(&mut b, s, b".idata");
        put32(&mut b, s + 8, SECTION as u32);
        put32(&mut b, s + 12, AT);
        put32(&mut b, s + 16, SECTION as u32);
        put32(&mut b, s + 20, SECTION as u32);
        // One library with one function.
        put32(&mut b, SECTION, AT + 0x40);
        put32(&mut b, SECTION + 12, AT + 0x60);
        put32(&mut b, SECTION + 16, AT + 0x48);
        put32(&mut b, SECTION + 0x40, AT + 0x80);
        put32(&mut b, SECTION + 0x48, AT + 0x80);
        put(&mut b, SECTION + 0x60, self.import.0.as_bytes());
        put(&mut b, SECTION + 0x82, self.import.1.as_bytes());
        let sum = checksum(&b);
        put32(&mut b, o + 64, sum);
        b
    }

    fn faults(&self) -> Vec<String> {
        faults(&self.bytes(), Kind::Program, &known()).unwrap()
    }
}

fn known() -> Known {
    Known::parse(
        "# note\nkernel32.dll\n    CloseHandle\n    CreateFileW ReadFile\nuser32.dll\n  MessageBoxW\n",
    )
    .unwrap()
}

#[track_caller]
fn one(m: &Made, says: &str) {
    let all = m.faults();
    assert!(all.len() == 1 && all[0].contains(says), "{all:?}");
}

#[test]
fn what_windows_xp_has_passes() {
    assert_eq!(GOOD.faults(), Vec::<String>::new());
    assert_eq!(Made { import: ("kernel32.dll", "ReadFile"), ..GOOD }.faults(), Vec::<String>::new());
}

#[test]
fn a_newer_function_or_an_unknown_library_fails() {
    one(
        &Made { import: ("KERNEL32.dll", "GetTickCount64"), ..GOOD },
        "imports GetTickCount64 of KERNEL32.dll",
    );
    one(&Made { import: ("user32.dll", "CloseHandle"), ..GOOD }, "imports CloseHandle of user32.dll");
    one(&Made { import: ("api-ms-win-core-synch-l1-2-0.dll", "WaitOnAddress"), ..GOOD }, "does not know");
}

#[test]
fn headers_of_newer_systems_fail() {
    one(&Made { subsystem: (6, 0), ..GOOD }, "subsystem version is 6.0, must be 5.1");
    one(&Made { tls: AT, ..GOOD }, "thread-local storage");
    one(&Made { stamp: 1, ..GOOD }, "time of its build");
    one(&Made { flags: 0x40, ..GOOD }, "data is never executed");
    one(&Made { characteristics: 0x0103, ..GOOD }, "no relocations");
}

#[test]
fn a_wrong_checksum_fails() {
    let mut b = GOOD.bytes();
    let last = b.len() - 1;
    b[last] ^= 1;
    let all = faults(&b, Kind::Program, &known()).unwrap();
    assert!(all.len() == 1 && all[0].starts_with("checksum"), "{all:?}");
}

#[test]
fn a_driver_is_no_program() {
    let all = faults(&GOOD.bytes(), Kind::Driver, &known()).unwrap();
    assert_eq!(all, ["subsystem is 3"]);
}

#[test]
fn what_is_no_program_is_an_error() {
    assert!(faults(b"MZ", Kind::Program, &known()).is_err());
    assert!(Known::parse("  CloseHandle\n").is_err());
}
