//! The adapter by its registers and its lists, as drivers use it.

mod config;
mod csr;
mod filter;
mod loopback;
mod mii;
mod receive;
mod saved;
mod srom;
mod transmit;
mod wild;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use board::testkit::Bench;
use board::{HostEvent, Line, NetPort, Route, Width};

use super::{CONFIG, Dec21140, Place};

pub(super) const MAC: [u8; 6] = [0x00, 0x03, 0xff, 0x12, 0x34, 0x56];
pub(super) const OTHER: [u8; 6] = [0x00, 0x03, 0xff, 0x65, 0x43, 0x21];
pub(super) const ALL: [u8; 6] = [0xff; 6];
pub(super) const IO: u16 = 0xec00;
pub(super) const MEMORY: u32 = 0xe900_0000;
pub(super) const INTA: Line = Line(0);

pub(super) const RX: u32 = 0x1_0000;
pub(super) const TX: u32 = 0x2_0000;
pub(super) const SETUP: u32 = 0x3_0000;
/// Buffers, 2 KiB each.
pub(super) const RX_BUFFERS: u32 = 0x10_0000;
pub(super) const TX_BUFFERS: u32 = 0x20_0000;

pub(super) const OWN: u32 = 1 << 31;
pub(super) const CHAIN: u32 = 1 << 24;
pub(super) const END: u32 = 1 << 25;
pub(super) const FIRST: u32 = 1 << 29;
pub(super) const LAST: u32 = 1 << 30;
pub(super) const IC: u32 = 1 << 31;

/// Bits of CSR5 and CSR7.
pub(super) const TI: u32 = 1;
pub(super) const TPS: u32 = 2;
pub(super) const TU: u32 = 4;
pub(super) const RI: u32 = 0x40;
pub(super) const RU: u32 = 0x80;
pub(super) const RPS: u32 = 0x100;
pub(super) const AIS: u32 = 1 << 15;
pub(super) const NIS: u32 = 1 << 16;
/// CSR6.
pub(super) const SR: u32 = 2;
pub(super) const ST: u32 = 0x2000;

/// The other end of the cable.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) flushes: u32,
    pub(super) waiting: VecDeque<Vec<u8>>,
    /// They are there once what was sent is flushed.
    pub(super) answers: Vec<Vec<u8>>,
    pub(super) unplugged: bool,
}

#[derive(Clone, Default)]
pub(super) struct Wire(Arc<Mutex<Ends>>);

impl Wire {
    pub(super) fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap()
    }
}

impl NetPort for Wire {
    fn send(&mut self, frame: &[u8]) {
        self.ends().sent.push(frame.to_vec());
    }
    fn flush(&mut self) -> bool {
        let mut ends = self.ends();
        ends.flushes += 1;
        let answers = std::mem::take(&mut ends.answers);
        let any = !answers.is_empty();
        ends.waiting.extend(answers);
        any
    }
    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let f = self.ends().waiting.pop_front()?;
        frame[..f.len()].copy_from_slice(&f);
        Some(f.len())
    }
    fn link(&self) -> bool {
        !self.ends().unplugged
    }
}

/// A frame to `to`, of so many bytes in all, its content told by `n`.
pub(super) fn frame(to: [u8; 6], len: usize, n: u8) -> Vec<u8> {
    let mut f: Vec<u8> = to.iter().chain(&OTHER).copied().chain([0x08, 0x00]).collect();
    f.extend((f.len()..len).map(|i| (i as u8).wrapping_mul(7) ^ n));
    f.truncate(len);
    f
}

pub(super) struct Card {
    pub(super) b: Bench<Dec21140>,
    pub(super) wire: Wire,
}

impl Card {
    /// As firmware leaves it.
    pub(super) fn new() -> Self {
        Self::at(Place { name: "dec21140-0", func: 0, many: false })
    }

    pub(super) fn at(place: Place) -> Self {
        let wire = Wire::default();
        let end = wire.clone();
        let mut b = Bench::new(|l| Dec21140::new(place, MAC, l.connect(Route::Pirq(0)), Box::new(end)));
        b.cfg_write(CONFIG, 0x10, Width::D, u32::from(IO));
        b.cfg_write(CONFIG, 0x14, Width::D, MEMORY);
        b.cfg_write(CONFIG, 0x04, Width::W, 7);
        Self { b, wire }
    }

    /// With all interrupts enabled, broadcast and our address in the filter, and both processes running on rings of four.
    pub(super) fn running() -> Self {
        let mut c = Self::new();
        c.rx_ring(4);
        c.tx_ring(4);
        c.w(3, RX);
        c.w(4, TX);
        c.w(7, 0x1_ebff);
        c.setup(0, &perfect(&[MAC, ALL]));
        c.w(6, SR | ST);
        c.w(5, u32::MAX);
        c
    }

    pub(super) fn r(&mut self, csr: u16) -> u32 {
        self.b.in32(IO + 8 * csr)
    }

    pub(super) fn w(&mut self, csr: u16, v: u32) {
        self.b.out32(IO + 8 * csr, v);
    }

    /// Stops both processes and takes what they tell of it.
    pub(super) fn stop(&mut self) {
        self.w(6, 0);
        self.b.advance(5_000);
        self.w(5, u32::MAX);
    }

    pub(super) fn descriptor(&mut self, at: u32, words: [u32; 4]) {
        for (i, w) in (0..).zip(words) {
            self.b.write32(at + 4 * i, w);
        }
    }

    /// A ring of free descriptors with one buffer of 1536 bytes each.
    pub(super) fn rx_ring(&mut self, n: u32) {
        for i in 0..n {
            let end = if i + 1 == n { END } else { 0 };
            self.descriptor(RX + 16 * i, [OWN, 1536 | end, RX_BUFFERS + 0x800 * i, 0]);
        }
    }

    /// A ring that is all the host's.
    pub(super) fn tx_ring(&mut self, n: u32) {
        for i in 0..n {
            let end = if i + 1 == n { END } else { 0 };
            self.descriptor(TX + 16 * i, [0, end, TX_BUFFERS + 0x800 * i, 0]);
        }
    }

    /// Sends a setup frame by a list of its own, with the transmitter alone running; both processes are stopped then.
    pub(super) fn setup(&mut self, kind: u32, frame: &[u8]) {
        assert_eq!(self.try_setup(kind, frame), 0x7fff_ffff);
    }

    /// The same in whatever state it is; what its descriptor reads then.
    pub(super) fn try_setup(&mut self, kind: u32, frame: &[u8]) -> u32 {
        let list = self.r(4);
        self.b.ram.write(u64::from(SETUP), frame);
        let at = SETUP + 0x1000;
        let kind = (kind & 1) << 22 | (kind >> 1) << 28;
        self.descriptor(at, [OWN, 192 | kind | 1 << 27 | END, SETUP, 0]);
        self.w(4, at);
        self.w(6, ST);
        let done = self.b.read32(at);
        self.stop();
        self.w(4, list);
        done
    }

    /// Puts a whole frame into ring entry `i` without telling the chip.
    pub(super) fn queue(&mut self, i: u32, bytes: &[u8], control: u32) {
        let (at, buffer) = (TX + 16 * i, TX_BUFFERS + 0x800 * i);
        self.b.ram.write(u64::from(buffer), bytes);
        let end = self.b.read32(at + 4) & END;
        self.descriptor(at, [OWN, bytes.len() as u32 | FIRST | LAST | control | end, buffer, 0]);
    }

    pub(super) fn sent(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.wire.ends().sent)
    }

    /// A frame comes.
    pub(super) fn comes(&mut self, f: &[u8]) {
        self.wire.ends().waiting.push_back(f.to_vec());
        self.news();
    }

    pub(super) fn news(&mut self) {
        self.b.host(HostEvent::Network);
    }

    pub(super) fn bytes(&self, at: u32, len: usize) -> Vec<u8> {
        let mut v = vec![0; len];
        self.b.ram.read(u64::from(at), &mut v);
        v
    }

    pub(super) fn irq(&self) -> bool {
        self.b.level(INTA)
    }

    pub(super) fn seen(&self, name: &str) -> u64 {
        use board::Device;
        self.b.dev.metrics().into_iter().find(|(n, _)| *n == name).unwrap().1
    }
}

/// A setup frame of up to sixteen addresses; the rest repeats the first.
pub(super) fn perfect(of: &[[u8; 6]]) -> Vec<u8> {
    let all = of.iter().chain(std::iter::repeat(&of[0])).take(16);
    all.flat_map(|m| [[m[0], m[1], 0, 0], [m[2], m[3], 0, 0], [m[4], m[5], 0, 0]]).flatten().collect()
}

/// A setup frame with these entries of the hash table, and one perfect address.
pub(super) fn hashed(entries: &[usize], address: [u8; 6]) -> Vec<u8> {
    let mut f = vec![0; 192];
    for e in entries {
        f[e / 16 * 4 + e % 16 / 8] |= 1 << (e % 8);
    }
    for (i, pair) in address.chunks(2).enumerate() {
        f[4 * (39 + i)..][..2].copy_from_slice(pair);
    }
    f
}
