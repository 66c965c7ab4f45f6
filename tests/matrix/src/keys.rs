//! Chords as `heirloom ctl NAME key` takes them, as X11 keysyms, which VNC servers take.

use anyhow::{Context, Result};
use board::Key;
use host_io::input;

/// The blocks of keysyms that keys have: characters, and what is none.
const KEYSYMS: [std::ops::RangeInclusive<u32>; 2] = [0x20..=0x7e, 0xff00..=0xffff];

/// Keys that are pressed in this order, and let go in the other.
pub fn chord(text: &str) -> Result<Vec<u32>> {
    let strokes = input::chord(text).with_context(|| format!("keys: {text:?}"))?;
    let pressed = strokes.into_iter().filter(|(_, down)| *down);
    pressed.map(|(key, _)| keysym(key).with_context(|| format!("keys: {text:?}"))).collect()
}

/// A character without Shift, which the chord holds by itself.
fn keysym(key: Key) -> Option<u32> {
    let is = |k: &u32| matches!(input::keysym_to_key(*k), Some((found, None | Some(false))) if found == key);
    // Of two the usual one comes last: Return, the right Alt, digits of the keypad.
    KEYSYMS.into_iter().flat_map(Iterator::rev).find(is)
}

#[cfg(test)]
mod tests {
    use super::chord;

    #[test]
    fn chords_are_keysyms() {
        assert_eq!(chord("ret").unwrap(), [0xff0d]);
        assert_eq!(chord("ctrl-alt-del").unwrap(), [0xffe3, 0xffe9, 0xffff]);
        assert_eq!(chord("alt-f4").unwrap(), [0xffe9, 0xffc1]);
        assert_eq!(chord("win-r").unwrap(), [0xffeb, 0x72]);
        assert_eq!(chord("-").unwrap(), [0x2d]);
        assert_eq!(chord("ctrl--").unwrap(), [0xffe3, 0x2d]);
        assert!(chord("caps").is_ok() && chord("kpplus").is_ok() && chord("rwin").is_ok());
        assert!(chord("hyper-x").is_err() && chord("f13").is_err() && chord("").is_err());
    }
}
