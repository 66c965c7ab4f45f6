//! The user's terminal as a serial console: raw while the machine runs, given back as it was.

use rustix::termios::{self, OptionalActions, Termios};

/// Ctrl-] leaves, as in telnet; everything else goes to the guest.
pub(crate) const LEAVE: u8 = 0x1d;

/// Puts standard input into raw mode if it is a terminal; the old mode comes back on drop.
pub(crate) struct Raw(Option<Termios>);

impl Raw {
    pub(crate) fn enter() -> Self {
        let stdin = rustix::stdio::stdin();
        let Ok(old) = termios::tcgetattr(stdin) else { return Self(None) };
        let mut raw = old.clone();
        raw.make_raw();
        if termios::tcsetattr(stdin, OptionalActions::Now, &raw).is_err() {
            return Self(None);
        }
        Self(Some(old))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(old) = &self.0 {
            let _ = termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, old);
        }
    }
}
