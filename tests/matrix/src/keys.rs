//! Names of keys as X11 keysyms, which VNC servers take.

use anyhow::{Result, bail};

/// As `heirloom ctl NAME key` has them.
const NAMED: &[(&str, u32)] = &[
    ("esc", 0xff1b),
    ("tab", 0xff09),
    ("ret", 0xff0d),
    ("spc", 0x20),
    ("backspace", 0xff08),
    ("ctrl", 0xffe3),
    ("shift", 0xffe1),
    ("alt", 0xffe9),
    ("win", 0xffeb),
    ("menu", 0xff67),
    ("ins", 0xff63),
    ("del", 0xffff),
    ("home", 0xff50),
    ("end", 0xff57),
    ("pgup", 0xff55),
    ("pgdn", 0xff56),
    ("left", 0xff51),
    ("up", 0xff52),
    ("right", 0xff53),
    ("down", 0xff54),
];

/// Keys that are pressed in this order, and let go in the other.
pub fn chord(text: &str) -> Result<Vec<u32>> {
    // The last may be a '-' itself.
    let (held, last) = match text.strip_suffix('-') {
        Some(held) => (held, "-"),
        None => text.rsplit_once('-').unwrap_or(("", text)),
    };
    held.split('-').filter(|k| !k.is_empty()).chain([last]).map(key).collect()
}

fn key(name: &str) -> Result<u32> {
    if let Some((_, keysym)) = NAMED.iter().find(|(n, _)| *n == name) {
        return Ok(*keysym);
    }
    if let Some(n @ 1..=12) = name.strip_prefix('f').and_then(|n| n.parse().ok()) {
        return Ok(0xffbd + n);
    }
    let mut c = name.chars();
    match (c.next(), c.next()) {
        (Some(c @ ' '..='~'), None) => Ok(u32::from(c)),
        _ => bail!("keys: no key {name:?}; names are those of `heirloom ctl NAME key`, as \"ctrl-alt-del\""),
    }
}

#[cfg(test)]
mod tests {
    use super::chord;

    #[test]
    fn chords_are_keysyms() {
        assert_eq!(chord("ret").unwrap(), [0xff0d]);
        assert_eq!(chord("ctrl-alt-del").unwrap(), [0xffe3, 0xffe9, 0xffff]);
        assert_eq!(chord("alt-f4").unwrap(), [0xffe9, 0xffc1]);
        assert_eq!(chord("-").unwrap(), [0x2d]);
        assert_eq!(chord("ctrl--").unwrap(), [0xffe3, 0x2d]);
        assert!(chord("hyper-x").is_err() && chord("f13").is_err() && chord("").is_err());
    }
}
