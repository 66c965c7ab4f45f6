//! Bytes on their way, in a ring that grows with need, under a common limit.

use std::io::{self, IoSlice, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What every connection may have.
const SMALLEST: usize = 16 << 10;
/// The longest ring.
pub(super) const LARGEST: usize = 1 << 20;
/// What all rings have together; beyond it a ring gets the smallest size only.
const ALL: usize = 64 << 20;

/// The bytes that all connections of a network have in store.
#[derive(Default)]
pub(super) struct Memory(AtomicUsize);

impl Memory {
    pub(super) fn is_tight(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= ALL
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

pub(super) struct Ring {
    /// Its length is a power of two, or nothing.
    buf: Vec<u8>,
    head: usize,
    len: usize,
    memory: Arc<Memory>,
}

impl Ring {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        Self { buf: Vec::new(), head: 0, len: 0, memory: memory.clone() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How much it could hold in all.
    pub(super) fn potential(&self) -> usize {
        if self.memory.is_tight() { self.buf.len().max(SMALLEST) } else { LARGEST }
    }

    /// Makes room for `want` more bytes, as far as that goes.
    fn grow(&mut self, want: usize) {
        if want == 0 {
            return;
        }
        let need = (self.len + want).min(self.potential()).max(SMALLEST).next_power_of_two();
        if need <= self.buf.len() {
            return;
        }
        let mut buf = vec![0; need];
        self.copy(0, &mut buf[..self.len]);
        self.memory.take(need - self.buf.len());
        (self.buf, self.head) = (buf, 0);
    }

    /// Gives back the memory of an empty ring.
    pub(super) fn release(&mut self) {
        if self.len == 0 {
            self.memory.give(self.buf.len());
            (self.buf, self.head) = (Vec::new(), 0);
        }
    }

    fn at(&self, offset: usize) -> usize {
        (self.head + offset) & (self.buf.len() - 1)
    }

    /// The first free stretch.
    fn free(&mut self) -> &mut [u8] {
        if self.len == self.buf.len() {
            return &mut [];
        }
        let tail = self.at(self.len);
        let end = if tail >= self.head { self.buf.len() } else { self.head };
        &mut self.buf[tail..end]
    }

    /// Appends as much as there is room for; how much that was.
    pub(super) fn push(&mut self, mut data: &[u8]) -> usize {
        self.grow(data.len());
        let before = self.len;
        while !data.is_empty() {
            let free = self.free();
            let n = free.len().min(data.len());
            if n == 0 {
                break;
            }
            free[..n].copy_from_slice(&data[..n]);
            self.len += n;
            data = &data[n..];
        }
        self.len - before
    }

    /// Appends what one read brings, at most `most` bytes. `None`: there is no room.
    pub(super) fn read(&mut self, from: &mut impl Read, most: usize) -> Option<io::Result<usize>> {
        // Only what fills well grows: most connections carry little.
        let free = self.buf.len() - self.len;
        if most > free && free <= self.buf.len() / 2 {
            self.grow(most.min(self.buf.len().max(1)));
        }
        let free = self.free();
        let n = free.len().min(most);
        if n == 0 {
            return None;
        }
        let read = from.read(&mut free[..n]);
        if let Ok(n) = read {
            self.len += n;
        }
        Some(read)
    }

    fn parts(&self, offset: usize, len: usize) -> [&[u8]; 2] {
        if len == 0 {
            return [&[], &[]];
        }
        let at = self.at(offset);
        let first = len.min(self.buf.len() - at);
        [&self.buf[at..at + first], &self.buf[..len - first]]
    }

    /// Copies from `offset` behind the oldest byte; all of it must be there.
    pub(super) fn copy(&self, offset: usize, to: &mut [u8]) {
        debug_assert!(offset + to.len() <= self.len);
        let [a, b] = self.parts(offset, to.len());
        to[..a.len()].copy_from_slice(a);
        to[a.len()..].copy_from_slice(b);
    }

    pub(super) fn slices(&self) -> [IoSlice<'_>; 2] {
        self.parts(0, self.len).map(IoSlice::new)
    }

    pub(super) fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.len);
        if n == self.len {
            // From the start again, so that reads find long stretches.
            (self.head, self.len) = (0, 0);
        } else {
            self.head = self.at(n);
            self.len -= n;
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.len = 0;
        self.release();
    }
}
