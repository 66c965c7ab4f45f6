//! The US keyboard: which key, with or without Shift, makes a character. Set 1 make codes.

use board::Key;

/// The left Shift key.
pub const SHIFT: Key = Key(0x2a);

/// Rows of the keyboard: first make code, characters without Shift, characters with Shift.
const ROWS: [(u16, &str, &str); 5] = [
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (0x2b, "\\", "|"),
    (0x2c, "zxcvbnm,./", "ZXCVBNM<>?"),
];

/// The key for a character and whether Shift is held for it.
pub fn key_for(c: char) -> Option<(Key, bool)> {
    match c {
        ' ' => return Some((Key(0x39), false)),
        '\n' | '\r' => return Some((Key(0x1c), false)),
        '\t' => return Some((Key(0x0f), false)),
        '\u{8}' => return Some((Key(0x0e), false)),
        '\u{1b}' => return Some((Key(0x01), false)),
        _ => {}
    }
    ROWS.iter().find_map(|&(first, plain, shifted)| {
        [(plain, false), (shifted, true)].into_iter().find_map(|(row, shift)| {
            let n = row.chars().position(|k| k == c)?;
            Some((Key(first + u16::try_from(n).ok()?), shift))
        })
    })
}
