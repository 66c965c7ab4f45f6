//! Guest time and the timers of all chips.

use std::collections::{BTreeMap, BTreeSet};

use crate::SlotId;

/// Guest time: nanoseconds since power-on.
pub type Tick = u64;

pub const MICROSECOND: Tick = 1_000;
pub const MILLISECOND: Tick = 1_000_000;
pub const SECOND: Tick = 1_000_000_000;

/// Whole periods of a clock of `hz` (at most 18 GHz) in a time. Guests read such clocks in loops: in parts, so that no
/// division is of 128 bits.
pub fn periods(time: Tick, hz: u64) -> u64 {
    (time / SECOND).wrapping_mul(hz).wrapping_add(time % SECOND * hz / SECOND)
}

/// The first nanosecond at which so many periods are over.
pub fn end_of(periods: u64, hz: u64) -> Tick {
    (periods / hz).wrapping_mul(SECOND).wrapping_add((periods % hz * SECOND).div_ceil(hz))
}

/// A timer of a chip, by the chip's own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId(pub u8);

/// All armed timers. A chip has at most one deadline for each of its timer numbers.
#[derive(Debug, Default)]
pub struct Timers {
    due: BTreeMap<(Tick, SlotId, TimerId), ()>,
    armed: BTreeMap<(SlotId, TimerId), Tick>,
    /// Those that may come earlier, when the processor has nothing to do.
    early: BTreeSet<(SlotId, TimerId)>,
}

impl Timers {
    /// Arms, or moves, a timer.
    pub fn set(&mut self, slot: SlotId, id: TimerId, at: Tick) {
        self.early.remove(&(slot, id));
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

    /// Arms a timer that comes at this time at the latest: earlier, if the processor waits for something.
    pub fn set_latest(&mut self, slot: SlotId, id: TimerId, at: Tick) {
        self.set(slot, id, at);
        self.early.insert((slot, id));
    }

    /// The processor has nothing to do: takes a timer that may come now.
    pub fn pop_early(&mut self) -> Option<(SlotId, TimerId)> {
        let (slot, id) = *self.early.first()?;
        self.cancel(slot, id);
        Some((slot, id))
    }

    pub fn cancel(&mut self, slot: SlotId, id: TimerId) {
        if let Some(old) = self.armed.remove(&(slot, id)) {
            self.due.remove(&(old, slot, id));
            self.early.remove(&(slot, id));
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
        self.early.remove(&(key.1, key.2));
        Some(key)
    }

    pub fn clear(&mut self) {
        self.due.clear();
        self.armed.clear();
        self.early.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_comes_early_once_and_only_if_it_may() {
        let (mut t, slot) = (Timers::default(), SlotId(1));
        let [a, b, c] = [TimerId(0), TimerId(1), TimerId(2)];
        t.set(slot, a, 10);
        t.set_latest(slot, b, 20);
        t.set_latest(slot, c, 30);
        // Armed anew, it waits for its time.
        t.set(slot, c, 30);
        assert_eq!(t.pop_early(), Some((slot, b)));
        assert_eq!(t.pop_early(), None);
        t.set_latest(slot, b, 25);
        assert_eq!([t.pop(30), t.pop(30), t.pop(30)].map(|p| p.map(|p| p.2)), [Some(a), Some(b), Some(c)]);
        assert_eq!(t.pop_early(), None);
    }

    #[test]
    fn periods_are_counted_exactly() {
        for hz in [32_768, 1_193_182, 3_579_545, 3_000_000_000] {
            for time in [0, 1, 999_999_999, SECOND, SECOND * 86_400 + 7, u64::MAX / 8, 123_456_789_012_345] {
                let n = (u128::from(time) * u128::from(hz) / u128::from(SECOND)) as u64;
                assert_eq!(periods(time, hz), n, "{time} ns at {hz} Hz");
                let few = n >> 4;
                let end = (u128::from(few) * u128::from(SECOND)).div_ceil(u128::from(hz)) as u64;
                assert_eq!(end_of(few, hz), end, "{few} periods at {hz} Hz");
            }
        }
    }
}
