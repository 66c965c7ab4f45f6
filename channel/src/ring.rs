//! Rings in the window: split virtqueues (virtio 1.2, 2.7) with event indices. Where their parts lie, and the guest's half.

use core::ops::RangeInclusive;

use crate::packet::{HEADER, Header};
use crate::regs::BY_REFERENCE;

/// Entries of the smallest and of the largest ring.
pub const SIZES: RangeInclusive<u16> = 2..=1024;
/// Most descriptors in a chain.
pub const CHAIN_MOST: usize = 64;

const DESCRIPTOR: u32 = 16;
const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// Where the parts of a ring lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Offset of the descriptor table in the window.
    pub at: u32,
    /// Entries.
    pub size: u16,
}

impl Layout {
    /// None: not a ring that may be within a window of so many bytes.
    pub fn check(at: u32, size: u16, window: u32) -> Option<Self> {
        let l = Self { at, size };
        let fits = SIZES.contains(&size)
            && size.is_power_of_two()
            && at.is_multiple_of(16)
            && at.checked_add(l.bytes()).is_some_and(|end| end <= window);
        fits.then_some(l)
    }

    pub const fn available(self) -> u32 {
        self.at + DESCRIPTOR * self.size as u32
    }

    pub const fn used(self) -> u32 {
        (self.available() + 6 + 2 * self.size as u32).next_multiple_of(4)
    }

    /// Of all parts.
    pub const fn bytes(self) -> u32 {
        let first = Self { at: 0, size: self.size };
        first.used() + 6 + 8 * self.size as u32
    }

    /// Where the guest says when it wants to hear of used entries.
    pub const fn used_event(self) -> u32 {
        self.available() + 4 + 2 * self.size as u32
    }

    /// Where the host says when it wants to hear of available ones.
    pub const fn available_event(self) -> u32 {
        self.used() + 4 + 8 * self.size as u32
    }

    const fn descriptor(self, n: u16) -> u32 {
        self.at + DESCRIPTOR * n as u32
    }
}

/// The other end asked to hear of index `event`, and it lies among those that were just passed. virtio 1.2, 2.7.10.
pub const fn wants(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// The window as the guest has it mapped. Offsets lie within it, 16- and 32-bit ones at their natural alignment; the host
/// reads and writes at the same time.
pub trait Window {
    fn load16(&self, at: u32) -> u16;
    fn load32(&self, at: u32) -> u32;
    fn store16(&self, at: u32, v: u16);
    fn store32(&self, at: u32, v: u32);
    fn copy_in(&self, at: u32, bytes: &[u8]);
    fn copy_out(&self, at: u32, bytes: &mut [u8]);
    /// Everything before is seen by the host before what comes behind.
    fn fence(&self);
}

/// A ring with buffers of its own behind it, all of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub layout: Layout,
    /// Offset of the first buffer.
    pub buffers: u32,
    /// Bytes of each, header and all.
    pub buffer: u32,
}

impl Place {
    /// A ring of `size` entries, then its buffers: `None` if they don't fit between `at` and `end`. The second value is
    /// where the next thing may begin.
    pub fn new(at: u32, size: u16, buffer: u32, end: u32) -> Option<(Self, u32)> {
        let at = at.checked_next_multiple_of(64)?;
        let layout = Layout::check(at, size, end)?;
        let buffer = buffer.checked_next_multiple_of(64)?;
        let buffers = (at + layout.bytes()).checked_next_multiple_of(64)?;
        let next = buffers.checked_add(buffer.checked_mul(u32::from(size))?)?;
        (next <= end && buffer > HEADER as u32).then_some((Self { layout, buffers, buffer }, next))
    }

    fn at(&self, n: u16) -> u32 {
        self.buffers + self.buffer * u32::from(n)
    }

    /// Nothing is available yet, nothing is used.
    fn clear<W: Window>(&self, w: &W) {
        for part in [self.layout.available(), self.layout.used()] {
            w.store16(part, 0);
            w.store16(part + 2, 0);
        }
        w.store16(self.layout.used_event(), 0);
        w.store16(self.layout.available_event(), 0);
    }

    fn describe<W: Window>(&self, w: &W, n: u16, address: u64, len: u32, flags: u16, next: u16) {
        let d = self.layout.descriptor(n);
        w.store32(d, address as u32);
        w.store32(d + 4, (address >> 32) as u32);
        w.store32(d + 8, len);
        w.store16(d + 12, flags);
        w.store16(d + 14, next);
    }

    fn make_available<W: Window>(&self, w: &W, index: u16, n: u16) {
        w.store16(self.layout.available() + 4 + 2 * u32::from(index % self.layout.size), n);
    }

    /// What the host used at this index: which entry, how many bytes. `None`: nothing yet.
    fn used<W: Window>(&self, w: &W, index: u16) -> Option<(u32, u32)> {
        if w.load16(self.layout.used() + 2) == index {
            return None;
        }
        w.fence();
        let at = self.layout.used() + 4 + 8 * u32::from(index % self.layout.size);
        Some((w.load32(at), w.load32(at + 4)))
    }

    /// Asks to hear of what is used from `index` on. True: there is something already.
    fn arm<W: Window>(&self, w: &W, index: u16) -> bool {
        w.store16(self.layout.used_event(), index);
        w.fence();
        w.load16(self.layout.used() + 2) != index
    }
}

/// There is no room until the host has taken something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The ring to the host, as the guest drives it. One buffer for each entry; payload by reference takes an entry for each
/// piece.
#[derive(Debug)]
pub struct Tx {
    place: Place,
    /// Next entry to fill, counted on.
    head: u16,
    /// Entries that the host has not given back.
    busy: u16,
    /// Next index of the available and of the used ring.
    available: u16,
    used: u16,
    /// Index up to which DOORBELL was considered.
    told: u16,
}

impl Tx {
    pub fn new<W: Window>(w: &W, place: Place) -> Self {
        place.clear(w);
        Self { place, head: 0, busy: 0, available: 0, used: 0, told: 0 }
    }

    /// Bytes of payload that fit into a packet.
    pub fn payload(&self) -> u32 {
        self.place.buffer - HEADER as u32
    }

    /// Takes back what the host is done with.
    fn reclaim<W: Window>(&mut self, w: &W) {
        while self.busy > 0
            && let Some((id, _)) = self.place.used(w, self.used)
        {
            self.used = self.used.wrapping_add(1);
            // The host uses entries in the order in which they came; how many there are in this one is in its descriptors.
            let mut n = 1;
            let mut d = id as u16 % self.place.layout.size;
            while w.load16(self.place.layout.descriptor(d) + 12) & NEXT != 0 && n < self.busy {
                d = (d + 1) % self.place.layout.size;
                n += 1;
            }
            self.busy -= n;
        }
    }

    fn room<W: Window>(&mut self, w: &W, entries: u16) -> Result<(), Full> {
        if self.place.layout.size - self.busy < entries {
            self.reclaim(w);
        }
        if self.place.layout.size - self.busy < entries { Err(Full) } else { Ok(()) }
    }

    /// One packet. `fill` writes the payload, `len` bytes, at the offset in the window that it is given.
    ///
    /// # Panics
    /// If `len` is more than [`Self::payload`].
    pub fn send_with<W: Window>(
        &mut self,
        w: &W,
        flags: u16,
        len: u32,
        fill: impl FnOnce(u32),
    ) -> Result<(), Full> {
        assert!(len <= self.payload(), "a packet of {len} bytes");
        self.room(w, 1)?;
        let n = self.head % self.place.layout.size;
        let at = self.place.at(n);
        w.copy_in(at, &Header { flags, len }.bytes());
        fill(at + HEADER as u32);
        self.place.describe(w, n, u64::from(at), HEADER as u32 + len, 0, 0);
        self.publish(w, n, 1);
        Ok(())
    }

    /// One packet.
    pub fn send<W: Window>(&mut self, w: &W, flags: u16, payload: &[u8]) -> Result<(), Full> {
        self.send_with(w, flags, payload.len() as u32, |at| w.copy_in(at, payload))
    }

    /// One packet whose payload lies in main memory, at these physical addresses. It must stay as it is until
    /// [`Self::all_taken`].
    pub fn send_reference<W: Window>(
        &mut self,
        w: &W,
        flags: u16,
        pieces: &[(u32, u32)],
    ) -> Result<(), Full> {
        assert!(pieces.len() < CHAIN_MOST, "{} pieces", pieces.len());
        let entries = 1 + pieces.len() as u16;
        self.room(w, entries)?;
        let size = self.place.layout.size;
        let first = self.head % size;
        let at = self.place.at(first);
        let len = pieces.iter().map(|p| p.1).sum();
        w.copy_in(at, &Header { flags, len }.bytes());
        let next = |k: u16| if k + 1 < entries { NEXT } else { 0 };
        self.place.describe(w, first, u64::from(at), HEADER as u32, next(0), (first + 1) % size);
        for (k, &(address, len)) in (1..).zip(pieces) {
            let n = (first + k) % size;
            self.place.describe(w, n, BY_REFERENCE | u64::from(address), len, next(k), (n + 1) % size);
        }
        self.publish(w, first, entries);
        Ok(())
    }

    fn publish<W: Window>(&mut self, w: &W, first: u16, entries: u16) {
        self.place.make_available(w, self.available, first);
        self.head = self.head.wrapping_add(entries);
        self.busy += entries;
        self.available = self.available.wrapping_add(1);
        w.fence();
        w.store16(self.place.layout.available() + 2, self.available);
    }

    /// Is DOORBELL to be rung for what was sent since the last call?
    pub fn bell<W: Window>(&mut self, w: &W) -> bool {
        w.fence();
        let event = w.load16(self.place.layout.available_event());
        let old = core::mem::replace(&mut self.told, self.available);
        wants(event, self.available, old)
    }

    /// The host has taken everything.
    pub fn all_taken<W: Window>(&mut self, w: &W) -> bool {
        self.reclaim(w);
        self.busy == 0
    }

    /// Asks for an interrupt when the host has taken something more. True: it has already.
    pub fn arm<W: Window>(&mut self, w: &W) -> bool {
        self.place.arm(w, self.used)
    }
}

/// The ring to the guest, as the guest drives it.
#[derive(Debug)]
pub struct Rx {
    place: Place,
    available: u16,
    used: u16,
    told: u16,
}

/// A packet that arrived: flags, and where in the window its payload is. [`Rx::done`] gives the buffer back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    entry: u16,
    pub flags: u16,
    pub at: u32,
    pub len: u32,
}

impl Rx {
    /// All buffers are available. DOORBELL is not to be rung for them: the host looks when the ring is opened.
    pub fn new<W: Window>(w: &W, place: Place) -> Self {
        place.clear(w);
        let mut rx = Self { place, available: 0, used: 0, told: 0 };
        for n in 0..place.layout.size {
            place.describe(w, n, u64::from(place.at(n)), place.buffer, WRITE, 0);
            rx.give(w, n);
        }
        rx.told = rx.available;
        rx
    }

    fn give<W: Window>(&mut self, w: &W, n: u16) {
        self.place.make_available(w, self.available, n);
        self.available = self.available.wrapping_add(1);
        w.fence();
        w.store16(self.place.layout.available() + 2, self.available);
    }

    /// The next packet. The host is not trusted to be ours: what is no packet is passed over.
    pub fn next<W: Window>(&mut self, w: &W) -> Option<Arrived> {
        loop {
            let (id, bytes) = self.place.used(w, self.used)?;
            self.used = self.used.wrapping_add(1);
            let entry = id as u16;
            if id >= u32::from(self.place.layout.size) {
                continue;
            }
            let at = self.place.at(entry);
            let mut head = [0; HEADER];
            w.copy_out(at, &mut head);
            match Header::parse(head) {
                Some(h) if h.len <= self.place.buffer - HEADER as u32 && HEADER as u32 + h.len <= bytes => {
                    return Some(Arrived { entry, flags: h.flags, at: at + HEADER as u32, len: h.len });
                }
                _ => self.give(w, entry),
            }
        }
    }

    /// The packet's buffer is the host's again.
    pub fn done<W: Window>(&mut self, w: &W, a: Arrived) {
        self.give(w, a.entry);
    }

    /// Is DOORBELL to be rung for the buffers that were given back?
    pub fn bell<W: Window>(&mut self, w: &W) -> bool {
        w.fence();
        let event = w.load16(self.place.layout.available_event());
        let old = core::mem::replace(&mut self.told, self.available);
        wants(event, self.available, old)
    }

    /// Asks for an interrupt when a packet is there. True: one is already.
    pub fn arm<W: Window>(&mut self, w: &W) -> bool {
        self.place.arm(w, self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_where_virtio_puts_them() {
        let l = Layout::check(64, 8, 4096).expect("a ring");
        assert_eq!((l.available(), l.used_event()), (64 + 128, 64 + 128 + 4 + 16));
        assert_eq!((l.used(), l.available_event()), (64 + 128 + 24, 64 + 128 + 24 + 4 + 64));
        assert_eq!(l.bytes(), 128 + 24 + 6 + 64);
        // The first used ring that would not be aligned: entries of two bytes, three words of head and tail.
        assert_eq!(Layout { at: 0, size: 2 }.used(), 44);
        for (at, size) in [(8, 8), (64, 7), (64, 1), (64, 2048), (4096 - 64, 8), (u32::MAX - 15, 8)] {
            assert_eq!(Layout::check(at, size, 4096), None, "{at} {size}");
        }
    }

    #[test]
    fn an_event_is_wanted_when_its_index_was_passed() {
        assert!(wants(0, 1, 0));
        assert!(!wants(1, 1, 0));
        assert!(wants(3, 5, 2) && !wants(1, 5, 2) && !wants(5, 5, 2));
        assert!(wants(0xffff, 1, 0xfffe));
        assert!(!wants(7, 7, 7));
    }
}
