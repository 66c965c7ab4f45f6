//! X11 keysyms, as RFB clients send them (RFC 6143 7.5.4), to keys.

use std::collections::{BTreeMap, BTreeSet};

use board::Key;

use super::Stroke;
use super::layout::{SHIFT, key_for};

const RIGHT_SHIFT: Key = Key(0x36);
const CAPS_LOCK: u32 = 0xffe5;

/// Keysyms beyond Latin-1. X11 keysymdef.h.
const SPECIAL: &[(u32, u16)] = &[
    (0xff08, 0x0e),   // BackSpace
    (0xff09, 0x0f),   // Tab
    (0xfe20, 0x0f),   // ISO_Left_Tab: Shift and Tab
    (0xff0a, 0x1c),   // Linefeed
    (0xff0d, 0x1c),   // Return
    (0xff13, 0xe11d), // Pause
    (0xff14, 0x46),   // Scroll_Lock
    (0xff15, 0xe037), // Sys_Req
    (0xff1b, 0x01),   // Escape
    (0xff50, 0xe047), // Home
    (0xff51, 0xe04b), // Left
    (0xff52, 0xe048), // Up
    (0xff53, 0xe04d), // Right
    (0xff54, 0xe050), // Down
    (0xff55, 0xe049), // Page_Up
    (0xff56, 0xe051), // Page_Down
    (0xff57, 0xe04f), // End
    (0xff61, 0xe037), // Print
    (0xff63, 0xe052), // Insert
    (0xff67, 0xe05d), // Menu
    (0xff6b, 0xe11d), // Break
    (0xff7e, 0xe038), // Mode_switch
    (0xff7f, 0x45),   // Num_Lock
    (0xff8d, 0xe01c), // KP_Enter
    (0xff95, 0x47),   // KP_Home
    (0xff96, 0x4b),   // KP_Left
    (0xff97, 0x48),   // KP_Up
    (0xff98, 0x4d),   // KP_Right
    (0xff99, 0x50),   // KP_Down
    (0xff9a, 0x49),   // KP_Page_Up
    (0xff9b, 0x51),   // KP_Page_Down
    (0xff9c, 0x4f),   // KP_End
    (0xff9d, 0x4c),   // KP_Begin
    (0xff9e, 0x52),   // KP_Insert
    (0xff9f, 0x53),   // KP_Delete
    (0xffaa, 0x37),   // KP_Multiply
    (0xffab, 0x4e),   // KP_Add
    (0xffac, 0x53),   // KP_Separator
    (0xffad, 0x4a),   // KP_Subtract
    (0xffae, 0x53),   // KP_Decimal
    (0xffaf, 0xe035), // KP_Divide
    (0xffb0, 0x52),   // KP_0
    (0xffb1, 0x4f),   // KP_1
    (0xffb2, 0x50),   // KP_2
    (0xffb3, 0x51),   // KP_3
    (0xffb4, 0x4b),   // KP_4
    (0xffb5, 0x4c),   // KP_5
    (0xffb6, 0x4d),   // KP_6
    (0xffb7, 0x47),   // KP_7
    (0xffb8, 0x48),   // KP_8
    (0xffb9, 0x49),   // KP_9
    (0xffbe, 0x3b),   // F1
    (0xffbf, 0x3c),
    (0xffc0, 0x3d),
    (0xffc1, 0x3e),
    (0xffc2, 0x3f),
    (0xffc3, 0x40),
    (0xffc4, 0x41),
    (0xffc5, 0x42),
    (0xffc6, 0x43),
    (0xffc7, 0x44), // F10
    (0xffc8, 0x57), // F11
    (0xffc9, 0x58), // F12
    (0xffe1, 0x2a), // Shift_L
    (0xffe2, 0x36), // Shift_R
    (0xffe3, 0x1d), // Control_L
    (0xffe4, 0xe01d),
    (CAPS_LOCK, 0x3a),
    (0xffe7, 0x38), // Meta_L
    (0xffe8, 0xe038),
    (0xffe9, 0x38), // Alt_L
    (0xffea, 0xe038),
    (0xffeb, 0xe05b), // Super_L
    (0xffec, 0xe05c),
    (0xfe03, 0xe038), // ISO_Level3_Shift: AltGr
    (0xffff, 0xe053), // Delete
];

/// The key for a keysym; for one that stands for a character, whether it is typed with Shift.
pub fn keysym_to_key(keysym: u32) -> Option<(Key, Option<bool>)> {
    if let Some(&(_, code)) = SPECIAL.iter().find(|(s, _)| *s == keysym) {
        return Some((Key(code), None));
    }
    let c = match keysym {
        0x20..=0x7e => keysym,
        // Unicode keysyms of ASCII characters.
        0x0100_0020..=0x0100_007e => keysym & 0xff,
        _ => return None,
    };
    let (key, shift) = key_for(char::from_u32(c)?)?;
    Some((key, Some(shift)))
}

/// The keys that one client holds down, as the guest sees them.
///
/// A client sends what its user's layout made of a key: "/" on a German keyboard comes with Shift held. The guest
/// has a US keyboard, so Shift is let go, or pressed, round a key whose character would otherwise become another.
#[derive(Debug, Default)]
pub struct KeyboardState {
    /// By keysym: a release may come when Shift has changed, and must let go of what was pressed.
    held: BTreeMap<u32, Key>,
    caps: bool,
}

impl KeyboardState {
    fn down(&self, key: Key) -> bool {
        self.held.values().any(|&k| k == key)
    }

    /// The strokes for the guest that a client's key event comes to.
    pub fn event(&mut self, keysym: u32, down: bool) -> Vec<Stroke> {
        if !down {
            let Some(key) = self.held.remove(&keysym) else { return Vec::new() };
            // Two keysyms may hold one key.
            return if self.down(key) { Vec::new() } else { vec![(key, false)] };
        }
        let Some((key, shift)) = keysym_to_key(keysym) else { return Vec::new() };
        if keysym == CAPS_LOCK && !self.held.contains_key(&keysym) {
            self.caps = !self.caps;
        }
        self.held.insert(keysym, key);
        let shifts: Vec<Key> = [SHIFT, RIGHT_SHIFT].into_iter().filter(|&k| self.down(k)).collect();
        let letter = u8::try_from(keysym).is_ok_and(|c| c.is_ascii_alphabetic());
        match shift {
            // Caps Lock in the guest makes its own capitals.
            Some(true) if shifts.is_empty() && !(letter && self.caps) => {
                vec![(SHIFT, true), (key, true), (SHIFT, false)]
            }
            Some(false) if !shifts.is_empty() && !letter => {
                let up = shifts.iter().map(|&k| (k, false));
                let again = shifts.iter().map(|&k| (k, true));
                up.chain([(key, true)]).chain(again).collect()
            }
            _ => vec![(key, true)],
        }
    }

    /// Lets go of everything: the client has left.
    pub fn release_all(&mut self) -> Vec<Stroke> {
        let keys: BTreeSet<Key> = std::mem::take(&mut self.held).into_values().collect();
        keys.into_iter().map(|k| (k, false)).collect()
    }
}
