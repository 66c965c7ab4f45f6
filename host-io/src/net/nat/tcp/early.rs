//! Segments that came before those they follow: kept, so that only what was lost is sent again.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ring::Memory;
use super::seq::before;

/// Of one connection: a whole window of full segments.
const MOST: usize = 512;

pub(super) struct Early {
    /// In order of their numbers.
    parts: VecDeque<(u32, Vec<u8>)>,
    memory: Arc<Memory>,
}

impl Early {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        Self { parts: VecDeque::new(), memory: memory.clone() }
    }

    pub(super) fn keep(&mut self, seq: u32, data: &[u8]) {
        let place = self.parts.partition_point(|(s, _)| before(*s, seq));
        let known = self.parts.get(place).is_some_and(|(s, d)| *s == seq && d.len() >= data.len());
        if known || data.is_empty() || self.parts.len() >= MOST || self.memory.is_tight() {
            return;
        }
        self.memory.take(data.len());
        self.parts.insert(place, (seq, data.to_vec()));
    }

    /// One that begins at or before `rcv`, if there is one.
    pub(super) fn follower(&mut self, rcv: u32) -> Option<(u32, Vec<u8>)> {
        self.parts.front().filter(|(s, _)| !before(rcv, *s))?;
        let part = self.parts.pop_front()?;
        self.memory.give(part.1.len());
        Some(part)
    }

    pub(super) fn clear(&mut self) {
        self.parts.drain(..).for_each(|(_, d)| self.memory.give(d.len()));
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        self.clear();
    }
}
