//! Decoded basic blocks, and which bytes of memory they came from.
//!
//! A block is a run of instructions in one page, keyed by the arena offset of its first byte and the [`Key`] bits
//! that decoding depends on. (An instruction that crosses into the next page is a block of its own.) The run loop
//! holds the cache; [`Cpu`](crate::cpu::Cpu) holds the [`CodeMap`], so that stores can see what is decoded while
//! a block of the cache executes: a store into decoded bytes queues the range, and the run loop drops the blocks
//! at the end of the storing instruction.
//!
//! A block remembers its last two successors ([`Link`]), so that loops do not search. A link names the linear
//! address and the epoch of the address translation that it was made for, and the target's serial number, which
//! moves when the target is dropped.


/// Granules of 64 bytes: one bit for each in a page.
const GRANULE: u32 = 6;

/// Bytes of decoded code, by arena page.
pub(crate) struct CodeMap {
    masks: Vec<u64>,
    /// Ranges (arena offset, length) written since the run loop looked.
    written: Vec<(u32, u32)>,
}

fn granules(first: u32, last: u32) -> u64 {
    let (a, b) = ((first & 0xfff) >> GRANULE, (last & 0xfff) >> GRANULE);
    (u64::MAX << a) & (u64::MAX >> (63 - b))
}

impl CodeMap {
    pub(crate) fn new(arena_len: usize) -> Self {
        Self { masks: vec![0; arena_len >> 12], written: Vec::new() }
    }

    /// A store to `len` bytes (in one page) of a page with decoded code. True if it hit any.
    pub(crate) fn wrote(&mut self, arena: u32, len: u32) -> bool {
        let mask = self.masks[(arena >> 12) as usize];
        let hit = mask & granules(arena, arena + (len - 1)) != 0;
        if hit {
            self.written.push((arena, len));
        }
        hit
    }

    pub(crate) fn anything_written(&self) -> bool {
        !self.written.is_empty()
    }
}
