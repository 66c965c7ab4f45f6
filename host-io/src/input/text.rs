//! Text as key strokes.

use super::layout::{SHIFT, key_for};
use super::{Key, Stroke};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no key of a US keyboard types {character:?} (character {position} of the text)")]
pub struct Untypable {
    pub character: char,
    /// Counted from 1.
    pub position: usize,
}

/// The strokes that type `text`: Shift is held over runs of characters that need it. `\r\n` is one Enter. Nothing
/// is typed of a text with a character that has no key.
pub fn type_text(text: &str) -> Result<Vec<Stroke>, Untypable> {
    let mut out = Vec::new();
    let mut shifted = false;
    let mut hold = |out: &mut Vec<Stroke>, on: bool| {
        if std::mem::replace(&mut shifted, on) != on {
            out.push((SHIFT, on));
        }
    };
    let mut before = None;
    for (n, character) in text.chars().enumerate() {
        if before.replace(character) == Some('\r') && character == '\n' {
            continue;
        }
        let (key, shift) = key_for(character).ok_or(Untypable { character, position: n + 1 })?;
        hold(&mut out, shift);
        out.extend([(key, true), (key, false)]);
    }
    hold(&mut out, false);
    Ok(out)
}

/// The strokes of keys pressed together: down in order, up in reverse.
pub(super) fn together(keys: &[Key]) -> Vec<Stroke> {
    let down = keys.iter().map(|&k| (k, true));
    down.chain(keys.iter().rev().map(|&k| (k, false))).collect()
}
