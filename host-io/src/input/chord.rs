//! Key combinations by name: "ctrl-alt-del", "f2", "ret".

use super::layout::{SHIFT, key_for};
use super::text::together;
use super::{Key, Stroke};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadChord {
    #[error(
        "no key is called {name:?}; use names as in ctrl-alt-del, f1 or ret, or the character on the key"
    )]
    Unknown { name: String },
    #[error("no key is named; use names as in ctrl-alt-del, f1 or ret")]
    Empty,
}

/// Keys that have a name rather than a character.
const NAMES: &[(&str, u16)] = &[
    ("esc", 0x01),
    ("escape", 0x01),
    ("backspace", 0x0e),
    ("bs", 0x0e),
    ("tab", 0x0f),
    ("ret", 0x1c),
    ("return", 0x1c),
    ("enter", 0x1c),
    ("ctrl", 0x1d),
    ("control", 0x1d),
    ("lctrl", 0x1d),
    ("rctrl", 0xe01d),
    ("shift", 0x2a),
    ("lshift", 0x2a),
    ("rshift", 0x36),
    ("alt", 0x38),
    ("lalt", 0x38),
    ("ralt", 0xe038),
    ("altgr", 0xe038),
    ("spc", 0x39),
    ("space", 0x39),
    ("caps", 0x3a),
    ("capslock", 0x3a),
    ("f1", 0x3b),
    ("f2", 0x3c),
    ("f3", 0x3d),
    ("f4", 0x3e),
    ("f5", 0x3f),
    ("f6", 0x40),
    ("f7", 0x41),
    ("f8", 0x42),
    ("f9", 0x43),
    ("f10", 0x44),
    ("f11", 0x57),
    ("f12", 0x58),
    ("numlock", 0x45),
    ("scrolllock", 0x46),
    ("pause", 0xe11d),
    ("print", 0xe037),
    ("sysrq", 0xe037),
    ("home", 0xe047),
    ("up", 0xe048),
    ("pgup", 0xe049),
    ("pageup", 0xe049),
    ("left", 0xe04b),
    ("right", 0xe04d),
    ("end", 0xe04f),
    ("down", 0xe050),
    ("pgdn", 0xe051),
    ("pagedown", 0xe051),
    ("ins", 0xe052),
    ("insert", 0xe052),
    ("del", 0xe053),
    ("delete", 0xe053),
    ("win", 0xe05b),
    ("meta", 0xe05b),
    ("super", 0xe05b),
    ("rwin", 0xe05c),
    ("menu", 0xe05d),
    ("minus", 0x0c),
    ("plus", 0x4e),
    ("kp0", 0x52),
    ("kp1", 0x4f),
    ("kp2", 0x50),
    ("kp3", 0x51),
    ("kp4", 0x4b),
    ("kp5", 0x4c),
    ("kp6", 0x4d),
    ("kp7", 0x47),
    ("kp8", 0x48),
    ("kp9", 0x49),
    ("kpdot", 0x53),
    ("kpplus", 0x4e),
    ("kpminus", 0x4a),
    ("kpstar", 0x37),
    ("kpslash", 0xe035),
    ("kpenter", 0xe01c),
];

/// The keys that a name stands for: a single one, or Shift and one for "A" or "!".
fn keys(name: &str) -> Result<Vec<Key>, BadChord> {
    let mut chars = name.chars();
    if let (Some(c), None) = (chars.next(), chars.next())
        && let Some((key, shift)) = key_for(c)
    {
        return Ok(if shift { vec![SHIFT, key] } else { vec![key] });
    }
    let lower = name.to_ascii_lowercase();
    match NAMES.iter().find(|(n, _)| *n == lower) {
        Some(&(_, code)) => Ok(vec![Key(code)]),
        None => Err(BadChord::Unknown { name: name.into() }),
    }
}

/// The strokes of a combination such as "ctrl-alt-del": names with "-" or "+" between. A key that is "-" or "+"
/// itself may stand last ("ctrl--").
pub fn chord(text: &str) -> Result<Vec<Stroke>, BadChord> {
    let mut held: Vec<Key> = Vec::new();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(BadChord::Empty);
    }
    while !rest.is_empty() {
        // The first character is part of the name even if it is a separator.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest[first..].find(['-', '+']).map_or(rest.len(), |n| n + first);
        for key in keys(&rest[..end])? {
            if !held.contains(&key) {
                held.push(key);
            }
        }
        rest = rest.get(end + 1..).unwrap_or("");
    }
    Ok(together(&held))
}
