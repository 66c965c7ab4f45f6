//! Scan codes of the 102-key keyboard in sets 1, 2 and 3. IBM PS/2 Hardware Interface Technical Reference,
//! "Keyboards (101- and 102-key)".

use board::Key;

use super::regs::XLAT;

pub const PAUSE: Key = Key(0xe11d);
pub const PRINT_SCREEN: Key = Key(0xe037);
pub const LEFT_SHIFT: Key = Key(0x2a);
pub const RIGHT_SHIFT: Key = Key(0x36);
pub const CTRL: [Key; 2] = [Key(0x1d), Key(0xe01d)];
pub const ALT: [Key; 2] = [Key(0x38), Key(0xe038)];
pub const KEYPAD_DIVIDE: Key = Key(0xe035);

/// Insert, Delete, Home, End, Page Up, Page Down and the arrows between the two big blocks.
pub fn is_grey_navigation(key: Key) -> bool {
    key.0 >> 8 == 0xe0 && matches!(key.0 & 0xff, 0x47..=0x49 | 0x4b | 0x4d | 0x4f..=0x53)
}

/// One code of a sequence in set 1 terms: prefix E0h or not, make code, make or break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    pub extended: bool,
    pub make: u8,
    pub down: bool,
}

impl Code {
    pub fn of(key: Key, down: bool) -> Self {
        Self { extended: key.0 >> 8 == 0xe0, make: key.0 as u8 & 0x7f, down }
    }

    pub fn set1(self, out: &mut Vec<u8>) {
        if self.extended {
            out.push(0xe0);
        }
        out.push(self.make | if self.down { 0 } else { 0x80 });
    }

    pub fn set2(self, out: &mut Vec<u8>) {
        if self.extended {
            out.push(0xe0);
        }
        if !self.down {
            out.push(0xf0);
        }
        out.push(set2(self.make));
    }
}

/// Set 2 code of a set 1 make code: the controller's translation backwards.
fn set2(make: u8) -> u8 {
    match make {
        0x41 => 0x83,
        0x54 => 0x84,
        _ => XLAT.iter().position(|v| *v == make).map_or(0, |n| n as u8),
    }
}

/// Set 3: one code for each key; what a key does after power-on.
pub const BREAKS: u8 = 1;
pub const REPEATS: u8 = 2;

/// (key, set 3 code, break and repeat after power-on).
const SET3: &[(u16, u8, u8)] = &[
    (0x29, 0x0e, REPEATS),
    (0x02, 0x16, REPEATS),
    (0x03, 0x1e, REPEATS),
    (0x04, 0x26, REPEATS),
    (0x05, 0x25, REPEATS),
    (0x06, 0x2e, REPEATS),
    (0x07, 0x36, REPEATS),
    (0x08, 0x3d, REPEATS),
    (0x09, 0x3e, REPEATS),
    (0x0a, 0x46, REPEATS),
    (0x0b, 0x45, REPEATS),
    (0x0c, 0x4e, REPEATS),
    (0x0d, 0x55, REPEATS),
    (0x0e, 0x66, REPEATS),
    (0x0f, 0x0d, REPEATS),
    (0x10, 0x15, REPEATS),
    (0x11, 0x1d, REPEATS),
    (0x12, 0x24, REPEATS),
    (0x13, 0x2d, REPEATS),
    (0x14, 0x2c, REPEATS),
    (0x15, 0x35, REPEATS),
    (0x16, 0x3c, REPEATS),
    (0x17, 0x43, REPEATS),
    (0x18, 0x44, REPEATS),
    (0x19, 0x4d, REPEATS),
    (0x1a, 0x54, REPEATS),
    (0x1b, 0x5b, REPEATS),
    (0x2b, 0x5c, REPEATS),
    (0x3a, 0x14, BREAKS),
    (0x1e, 0x1c, REPEATS),
    (0x1f, 0x1b, REPEATS),
    (0x20, 0x23, REPEATS),
    (0x21, 0x2b, REPEATS),
    (0x22, 0x34, REPEATS),
    (0x23, 0x33, REPEATS),
    (0x24, 0x3b, REPEATS),
    (0x25, 0x42, REPEATS),
    (0x26, 0x4b, REPEATS),
    (0x27, 0x4c, REPEATS),
    (0x28, 0x52, REPEATS),
    (0x1c, 0x5a, REPEATS),
    (0x2a, 0x12, BREAKS),
    (0x56, 0x13, REPEATS),
    (0x2c, 0x1a, REPEATS),
    (0x2d, 0x22, REPEATS),
    (0x2e, 0x21, REPEATS),
    (0x2f, 0x2a, REPEATS),
    (0x30, 0x32, REPEATS),
    (0x31, 0x31, REPEATS),
    (0x32, 0x3a, REPEATS),
    (0x33, 0x41, REPEATS),
    (0x34, 0x49, REPEATS),
    (0x35, 0x4a, REPEATS),
    (0x36, 0x59, BREAKS),
    (0x1d, 0x11, BREAKS),
    (0x38, 0x19, BREAKS),
    (0x39, 0x29, REPEATS),
    (0xe038, 0x39, 0),
    (0xe01d, 0x58, 0),
    (0xe052, 0x67, 0),
    (0xe053, 0x64, REPEATS),
    (0xe04b, 0x61, REPEATS),
    (0xe047, 0x6e, 0),
    (0xe04f, 0x65, 0),
    (0xe048, 0x63, REPEATS),
    (0xe050, 0x60, REPEATS),
    (0xe049, 0x6f, 0),
    (0xe051, 0x6d, 0),
    (0xe04d, 0x6a, REPEATS),
    (0x45, 0x76, 0),
    (0x47, 0x6c, 0),
    (0x4b, 0x6b, 0),
    (0x4f, 0x69, 0),
    (0xe035, 0x77, 0),
    (0x48, 0x75, 0),
    (0x4c, 0x73, 0),
    (0x50, 0x72, 0),
    (0x52, 0x70, 0),
    (0x37, 0x7e, 0),
    (0x49, 0x7d, 0),
    (0x4d, 0x74, 0),
    (0x51, 0x7a, 0),
    (0x53, 0x71, 0),
    (0x4a, 0x84, 0),
    (0x4e, 0x7c, REPEATS),
    (0xe01c, 0x79, 0),
    (0x01, 0x08, 0),
    (0x3b, 0x07, 0),
    (0x3c, 0x0f, 0),
    (0x3d, 0x17, 0),
    (0x3e, 0x1f, 0),
    (0x3f, 0x27, 0),
    (0x40, 0x2f, 0),
    (0x41, 0x37, 0),
    (0x42, 0x3f, 0),
    (0x43, 0x47, 0),
    (0x44, 0x4f, 0),
    (0x57, 0x56, 0),
    (0x58, 0x5e, 0),
    (0xe037, 0x57, 0),
    (0x46, 0x5f, 0),
    (0xe11d, 0x62, 0),
    (0xe05b, 0x8b, 0),
    (0xe05c, 0x8c, 0),
    (0xe05d, 0x8d, 0),
];

pub fn set3(key: Key) -> Option<u8> {
    SET3.iter().find(|(k, ..)| *k == key.0).map(|(_, code, _)| *code)
}

/// What each set 3 code does after power-on.
pub fn set3_types() -> [u8; 256] {
    let mut types = [REPEATS; 256];
    for &(_, code, kind) in SET3 {
        types[usize::from(code)] = kind;
    }
    types
}
