//! Guest time and the timers of all chips.

use std::collections::BTreeMap;

use crate::SlotId;

/// Guest time: nanoseconds since power-on.
pub type Tick = u64;

pub const MICROSECOND: Tick = 1_000;
pub const MILLISECOND: Tick = 1_000_000;
pub const SECOND: Tick = 1_000_000_000;

/// A timer of a chip, by the chip's own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId(pub u8);

/// All armed timers. A chip has at most one deadline for each of its timer numbers.
#[derive(Debug, Default)]
pub struct Timers {
    due: BTreeMap<(Tick, SlotId, TimerId), ()>,
    armed: BTreeMap<(SlotId, TimerId), Tick>,
}

impl Timers {
    /// Arms, or moves, a timer.
    pub fn set(&mut self, slot: SlotId, id: TimerId, at: Tick) {
        match self.armed.insert((slot, id), at) {
            // Chips state their next deadline after each access; mostly it stands.
            Some(old) if old == at => return,
            Some(old) => {
                self.due.remove(&(old, slot, id));
            }
            None => {}
        }
        self.due.insert((at, slot, id), ());
    }

    pub fn cancel(&mut self, slot: SlotId, id: TimerId) {
        if let Some(old) = self.armed.remove(&(slot, id)) {
            self.due.remove(&(old, slot, id));
        }
    }

    /// When the next timer is due.
    pub fn next(&self) -> Option<Tick> {
        self.due.first_key_value().map(|((t, ..), ())| *t)
    }

    /// Takes the earliest timer that is due at `now`, with the time it was armed for.
    pub fn pop(&mut self, now: Tick) -> Option<(Tick, SlotId, TimerId)> {
        let (&key, ()) = self.due.first_key_value()?;
        if key.0 > now {
            return None;
        }
        self.due.remove(&key);
        self.armed.remove(&(key.1, key.2));
        Some(key)
    }

    pub fn clear(&mut self) {
        self.due.clear();
        self.armed.clear();
    }
}
