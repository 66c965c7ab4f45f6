//! From what a user types and moves to what the machine's keyboard and mouse report.
//!
//! Keys are named as on a US keyboard: that is what the guest has until it is told otherwise.

mod chord;
mod keysym;
mod layout;
mod pointer;
mod text;

use board::Key;

pub use chord::{BadChord, chord};
pub use keysym::{KeyboardState, keysym_to_key};
pub use layout::{SHIFT, key_for};
pub use pointer::{PointerAt, PointerPath};
pub use text::{Untypable, type_text};

/// What a display or a control connection has for the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputEvent {
    Key {
        key: Key,
        down: bool,
    },
    Pointer(PointerAt),
    /// Somebody has begun to look and has seen nothing yet.
    Redraw,
}

/// Where input goes. Called on the threads of displays: it must only hand the event on.
pub type InputSink = Box<dyn Fn(InputEvent) + Send + Sync>;

/// Key down or up.
pub type Stroke = (Key, bool);

#[cfg(test)]
mod tests;
