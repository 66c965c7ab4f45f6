//! Pieces of guest memory, lent to the host for one transfer.
//!
//! They may overlap, as a guest's scatter list may: hence cells, and no slices.

use std::cell::Cell;
use std::ops::Range;

/// A run of bytes of guest memory.
pub type Piece<'a> = &'a [Cell<u8>];

/// Bytes of all of them.
pub fn total(pieces: &[Piece<'_>]) -> usize {
    pieces.iter().map(|p| p.len()).sum()
}

/// Copies bytes in, as many as there are on the shorter side.
pub fn put(pieces: &[Piece<'_>], mut bytes: &[u8]) {
    for p in pieces {
        let (now, rest) = bytes.split_at(p.len().min(bytes.len()));
        p.iter().zip(now).for_each(|(c, b)| c.set(*b));
        bytes = rest;
    }
}

/// Copies all bytes out.
pub fn get(pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut all = Vec::with_capacity(total(pieces));
    pieces.iter().for_each(|p| all.extend(p.iter().map(Cell::get)));
    all
}

/// Are all bytes zero?
pub fn zero(pieces: &[Piece<'_>]) -> bool {
    pieces.iter().all(|p| {
        let (words, tail) = p.as_chunks::<64>();
        words.iter().all(|w| w.iter().fold(0, |s, c| s | c.get()) == 0) && tail.iter().all(|c| c.get() == 0)
    })
}

/// The same of bytes that are the host's own.
pub fn zero_bytes(b: &[u8]) -> bool {
    let (words, tail) = b.as_chunks::<64>();
    tail.iter().all(|&v| v == 0) && words.iter().all(|w| w.iter().fold(0, |s, v| s | v) == 0)
}

/// Sets all bytes.
pub fn fill(pieces: &[Piece<'_>], v: u8) {
    pieces.iter().for_each(|p| p.iter().for_each(|c| c.set(v)));
}

/// A part of them, by bytes counted through all. What lies behind the last byte is left out.
pub fn part<'a>(pieces: &[Piece<'a>], bytes: Range<usize>) -> Vec<Piece<'a>> {
    let (mut out, mut at) = (Vec::with_capacity(pieces.len()), 0);
    for &p in pieces {
        let (from, to) = (bytes.start.clamp(at, at + p.len()), bytes.end.clamp(at, at + p.len()));
        if from < to {
            out.push(&p[from - at..to - at]);
        }
        at += p.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_through_pieces_in_order() {
        let memory = [(); 10].map(|()| Cell::new(0));
        let pieces = [&memory[4..6], &memory[0..3], &memory[9..10]];
        assert_eq!(total(&pieces), 6);
        assert!(zero(&pieces) && zero(&[]));
        put(&pieces, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(get(&[&memory]), [3, 4, 5, 0, 1, 2, 0, 0, 0, 6]);
        let long = [const { Cell::new(0) }; 200];
        for last in [0, 63, 64, 127, 128, 199] {
            long[last].set(1);
            assert!(!zero(&[&memory[6..9], &long]) && zero(&[&long[..last], &long[last + 1..]]));
            long[last].set(0);
        }
        assert_eq!(get(&pieces), [1, 2, 3, 4, 5, 6]);
        put(&pieces, &[9]);
        assert_eq!(get(&pieces), [9, 2, 3, 4, 5, 6]);
        fill(&pieces[1..], 7);
        assert_eq!(get(&pieces), [9, 2, 7, 7, 7, 7]);
    }

    #[test]
    fn a_part_may_begin_and_end_within_pieces() {
        let memory: Vec<Cell<u8>> = (0..8).map(Cell::new).collect();
        let pieces = [&memory[0..3], &memory[3..3], &memory[5..8]];
        for from in 0..=6 {
            for to in from..=6 {
                assert_eq!(get(&part(&pieces, from..to)), [0, 1, 2, 5, 6, 7][from..to]);
            }
        }
        assert!(part(&pieces, 2..2).is_empty());
        assert_eq!(get(&part(&pieces, 5..99)), [7]);
    }

    #[test]
    fn pieces_may_overlap() {
        let memory: Vec<Cell<u8>> = (0..4).map(Cell::new).collect();
        let pieces = [&memory[0..3], &memory[1..4]];
        assert_eq!(get(&pieces), [0, 1, 2, 1, 2, 3]);
        put(&pieces, &[9, 8, 7, 6, 5, 4]);
        assert_eq!(get(&[&memory]), [9, 6, 5, 4], "the later piece has the last word");
    }
}
