//! Which blocks go when their bytes are written.

use ram::GuestRam;

use crate::block::{Bits, Cache, CodeMap, FEW_BLOCKS, NewBlock, RING};
use crate::decode::blank;

const PAGE: u32 = 0x20_5000;
/// Bytes from one block to the next; each has eight.
const STEP: u32 = 64;
const BLOCKS: u32 = 64;

struct Page {
    ram: GuestRam,
    code: CodeMap,
    cache: Cache,
}

impl Page {
    /// Full of blocks.
    fn new() -> Self {
        let ram = GuestRam::new(16 << 20, 0).unwrap();
        let mut p = Self { code: CodeMap::new(ram.arena().len()), ram, cache: Cache::new(RING) };
        for n in 0..BLOCKS {
            p.decode(PAGE + n * STEP);
        }
        p
    }

    fn decode(&mut self, at: u32) -> u32 {
        let new = NewBlock { insns: &[blank()], arena: at, second: None, len: 8, key: 0, leaves: false };
        self.cache.insert(&mut self.code, self.ram.arena(), &new, |_| {})
    }

    /// A block of one instruction of eight bytes, of which `n` lie in another page.
    fn decode_across(&mut self, second: u32, n: u32) -> u32 {
        let arena = PAGE + 0x1000 - (8 - n);
        let second = Some(second);
        let new = NewBlock { insns: &[blank()], arena, second, len: 8, key: 0, leaves: false };
        self.cache.insert(&mut self.code, self.ram.arena(), &new, |_| {})
    }

    fn find(&self, n: u32) -> Option<u32> {
        self.cache.find(&self.code, PAGE + n * STEP, 0)
    }

    /// A store to four bytes at `off` from the beginning of block `n`.
    fn store(&mut self, n: u32, off: u32) -> bool {
        let hit = self.code.wrote(PAGE + n * STEP + off, 4);
        self.cache.drop_written(&mut self.code, self.ram.arena());
        hit
    }

    fn left(&self) -> usize {
        (0..BLOCKS).filter(|&n| self.find(n).is_some()).count()
    }
}

#[test]
fn a_page_that_is_written_here_and_there_is_dropped_once_and_for_all() {
    let mut p = Page::new();
    assert!(p.store(7, 0) && p.store(9, 4) && p.store(3, 0));
    assert_eq!(p.left(), 61);
    assert!(p.store(20, 2));
    assert_eq!(p.left(), 0);
    assert!(!p.ram.arena().is_watched(PAGE >> 12));
    assert!(!p.store(21, 0), "plain memory");
    // It can have code again.
    p.decode(PAGE + 20 * STEP);
    assert!(p.ram.arena().is_watched(PAGE >> 12) && p.find(20).is_some());
    assert!(!p.store(21, 0) && p.store(20, 0) && p.find(20).is_none());
}

#[test]
fn blocks_that_are_written_and_run_in_turn_go_one_by_one() {
    let mut p = Page::new();
    for n in 0..BLOCKS {
        // The second store hits bytes that no block comes from any more.
        assert!(p.store(n, 0) && p.store(n, 4));
        assert_eq!(p.left(), 63);
        p.decode(PAGE + n * STEP);
    }
    assert_eq!(p.cache.dropped, u64::from(BLOCKS));
}

#[test]
fn a_page_with_translations_is_not_lost_to_a_few_patches() {
    let with_translations = || {
        let mut p = Page::new();
        for n in 40..44 {
            let id = p.find(n).unwrap();
            p.cache.block_mut(id).code = 1;
        }
        p
    };
    let mut p = with_translations();
    for n in (0..32).rev() {
        p.store(n, 0);
        assert_eq!(p.left(), 32 + n as usize);
    }
    for n in 40..44 {
        p.store(n, 0);
    }
    assert_eq!(p.left(), 0, "what was worth it is gone");

    let mut p = with_translations();
    p.decode(PAGE + 40 * STEP + 8);
    for off in [0, 4, 8] {
        p.store(40, off);
    }
    assert_eq!(p.left(), 63);
    p.store(40, 12);
    assert_eq!(p.left(), 0, "they come one behind the other");
}

#[test]
fn stores_beside_code_pass() {
    let mut p = Page::new();
    assert!(p.code.passes(PAGE + 8, 56) && !p.code.passes(PAGE + 8, 57) && !p.code.passes(PAGE + 7, 1));
    assert!(p.code.passes(PAGE + 0x1000, 4), "no code at all");
    assert_eq!(p.code.clear_before(PAGE + 8, 56), 56);
    assert_eq!(p.code.clear_before(PAGE + 8, 0x100), 56);
    assert_eq!(p.code.clear_before(PAGE + 7, 0x100), 0);
    assert_eq!(p.code.clear_before(PAGE + 60, 16), 4);
    assert_eq!(p.code.clear_before(PAGE - 16, 16), 16);
    assert_eq!(p.left(), 64);
}

#[test]
fn blocks_across_pages_go_with_either_of_them() {
    const OTHER: u32 = 0x30_0000;
    for (at, hits) in [(OTHER, true), (OTHER + 4, true), (OTHER + 5, false), (PAGE + 0x1000 - 3, true)] {
        let mut p = Page { cache: Cache::new(RING), ..Page::new() };
        p.code = CodeMap::new(p.ram.arena().len());
        let id = p.decode_across(OTHER, 5);
        assert_eq!(p.cache.second(id), Some(OTHER));
        assert!(p.ram.arena().is_watched(OTHER >> 12));
        p.code.wrote(at, 1);
        p.cache.drop_written(&mut p.code, p.ram.arena());
        assert_eq!(p.cache.dropped, u64::from(hits));
        assert_eq!(p.ram.arena().is_watched(OTHER >> 12), !hits);
    }
    // Its two pages may be one.
    let mut p = Page::new();
    p.decode_across(PAGE, 5);
    p.store(0, 0);
    assert_eq!((p.left(), p.cache.dropped), (63, 2));
}

#[test]
fn what_was_neither_translated_nor_decoded_lately_makes_room() {
    let mut p = Page::new();
    let begin = 0x40_0000;
    let at = |n: u32| begin + n * 32;
    let n = FEW_BLOCKS as u32 - BLOCKS;
    for n in 0..n {
        let id = p.decode(at(n));
        p.cache.block_mut(id).code = n % 4;
    }
    assert_eq!((p.cache.dropped, p.left()), (0, 64));
    p.decode(at(n));
    assert_eq!(p.left(), 0);
    for n in 0..=n {
        let found = p.cache.find(&p.code, at(n), 0);
        let stays = !n.is_multiple_of(4) || n >= FEW_BLOCKS as u32 - BLOCKS - RING as u32;
        assert_eq!(found.is_some(), stays, "{n}");
        assert!(found.is_none_or(|id| p.cache.block(id).arena() == at(n)));
    }
    assert!(p.cache.dropped_code.is_empty());
}

#[test]
fn bits_are_those_that_were_set() {
    let mut bits = Bits::default();
    let mut all = [0_u64; 64];
    for n in (0..64).map(|n| n * 37 % 64).chain([63, 0, 5]) {
        assert_eq!(bits.get(n), all[n]);
        let mask = 0x8000_0000_0000_0001_u64.rotate_left(n as u32) ^ u64::from(all[n] != 0) << 20;
        bits.set(n, mask);
        all[n] |= mask;
        assert_eq!((0..64).map(|n| bits.get(n)).collect::<Vec<_>>(), all);
    }
}
