//! Who has which part of the window.

use alloc::vec::Vec;
use core::ops::Range;

/// Parts are given out in whole lines.
const LINE: u32 = 64;

#[derive(Debug, Default)]
pub(super) struct Areas {
    /// First and end of what is free to give out at all.
    all: Range<u32>,
    taken: Vec<(u32, u32)>,
}

impl Areas {
    pub(super) fn new(all: Range<u32>) -> Self {
        Self { all: all.start.next_multiple_of(LINE)..all.end, taken: Vec::new() }
    }

    /// The first place where so many bytes are free.
    pub(super) fn find(&self, len: u32) -> Option<u32> {
        let mut at = self.all.start;
        for &(start, end) in &self.taken {
            if start.checked_sub(at).is_some_and(|gap| gap >= len) {
                return Some(at);
            }
            at = end.next_multiple_of(LINE);
        }
        (at.checked_add(len)? <= self.all.end).then_some(at)
    }

    pub(super) fn take(&mut self, at: u32, end: u32) {
        let n = self.taken.partition_point(|t| t.0 < at);
        self.taken.insert(n, (at, end));
    }

    pub(super) fn free(&mut self, at: u32) {
        self.taken.retain(|t| t.0 != at);
    }

    pub(super) fn clear(&mut self) {
        self.taken.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Areas;

    #[test]
    fn what_is_given_out_does_not_overlap_and_comes_back() {
        let mut a = Areas::new(10..1000);
        assert_eq!(a.find(100), Some(64));
        a.take(64, 164);
        assert_eq!(a.find(700), Some(192));
        a.take(192, 892);
        assert_eq!(a.find(105), None);
        assert_eq!(a.find(104), Some(896));
        a.free(64);
        assert_eq!((a.find(128), a.find(129)), (Some(64), None));
    }
}
