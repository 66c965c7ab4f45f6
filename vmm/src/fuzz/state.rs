//! Saved states that somebody changed: each chip gets back what it may never have said.

use std::io::Cursor;
use std::sync::OnceLock;

use crate::snapshot::Saved;

/// The head of a state of a machine that was used a little.
fn head() -> Option<&'static [u8]> {
    static HEAD: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let make = || {
        let mut m = super::machine()?;
        m.stop_after(30_000_000);
        m.run().ok()?;
        let mut file = Cursor::new(Vec::new());
        m.save(&mut file).ok()?;
        Saved::head_of(&mut file).ok()
    };
    HEAD.get_or_init(make).as_deref()
}

/// Four bytes a change: where, how, and a value. The machine must refuse the state or run with it: did it take it?
pub fn state(bytes: &[u8]) -> bool {
    let Some(mut head) = head().map(<[u8]>::to_vec) else { return false };
    for c in bytes.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([c[0], c[1]])) % head.len().max(1);
        match c[2] & 3 {
            0 => head[at] = c[3],
            1 => head[at] ^= 1 << (c[3] & 7),
            2 => head[at] = head[at].wrapping_add(c[3]),
            // A part is gone.
            _ => drop(head.drain(at..(at + usize::from(c[3] & 15)).min(head.len()))),
        }
    }
    let (Ok(saved), Some(mut m)) = (Saved::of_head(&head), super::machine()) else { return false };
    if m.restore(&saved, &mut Cursor::new([]), 1).is_err() {
        return false;
    }
    let now = m.board.clock.now();
    m.stop_after(now.saturating_add(2_000_000));
    // The guest may crash, which is its own affair.
    let _ = m.run();
    true
}
