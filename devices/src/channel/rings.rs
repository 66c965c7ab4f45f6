//! The host's half of a channel's two rings.

use channel::bus::Rings;
use channel::packet::{HEADER, Header};
use channel::regs::{BY_REFERENCE, Fault};
use channel::ring::{CHAIN_MOST, Layout};
use ram::{GuestRam, Slot, Window};
use virtio_queue::{Queue, QueueOwnedT, QueueT};

use super::PACKET_MOST;

/// What a receive buffer may hold, header and all.
const RX_BUFFER: std::ops::RangeInclusive<u32> = 64..=1 << 20;

/// Guest memory as a ring sees it: the window at 0, main memory behind bit 63.
#[derive(Clone, Copy)]
pub(super) struct Memory<'a> {
    pub(super) ram: &'a GuestRam,
    pub(super) window: Slot,
}

impl Memory<'_> {
    fn view(&self) -> Window<'_> {
        Window::new(self.ram, self.window)
    }

    fn window_len(&self) -> u32 {
        let e = self.ram.extent(self.window);
        e.end - e.start
    }

    /// Where a buffer lies: a physical address, or an offset into the arena.
    fn locate(&self, address: u64, len: u32) -> Result<Place, Fault> {
        let at = address & !BY_REFERENCE;
        let inside = |end: u64| at <= end && u64::from(len) <= end - at;
        if address & BY_REFERENCE != 0 {
            return if inside(self.ram.main_len()) { Ok(Place::Main(at)) } else { Err(Fault::Address) };
        }
        let extent = self.ram.extent(self.window);
        if !inside(u64::from(extent.end - extent.start)) {
            return Err(Fault::Address);
        }
        Ok(Place::Window(extent.start + at as u32))
    }

    fn read(&self, p: Place, buf: &mut [u8]) {
        match p {
            Place::Main(at) => self.ram.read(at, buf),
            Place::Window(at) => self.ram.arena().copy_out(at, buf),
        }
    }

    fn write(&self, p: Place, bytes: &[u8]) {
        match p {
            Place::Main(at) => self.ram.write(at, bytes),
            Place::Window(at) => self.ram.arena().copy_in(at, bytes),
        }
    }
}

#[derive(Clone, Copy)]
enum Place {
    Main(u64),
    Window(u32),
}

impl Place {
    fn plus(self, n: usize) -> Self {
        match self {
            Self::Main(at) => Self::Main(at + n as u64),
            Self::Window(at) => Self::Window(at + n as u32),
        }
    }
}

/// A ring's place and indices, for saved state.
pub(super) type RingState = (u32, u16, u16, u16);

fn queue(at: u32, size: u16, window: u32) -> Result<Queue, Fault> {
    let l = Layout::check(at, size, window).ok_or(Fault::Ring)?;
    let mut q = Queue::new(*channel::ring::SIZES.end()).map_err(|_| Fault::Ring)?;
    q.set_size(size);
    q.set_desc_table_address(Some(l.at), Some(0));
    q.set_avail_ring_address(Some(l.available()), Some(0));
    q.set_used_ring_address(Some(l.used()), Some(0));
    q.set_event_idx(true);
    q.set_ready(true);
    Ok(q)
}

fn broken(_: virtio_queue::Error) -> Fault {
    Fault::Index
}

pub(super) struct Pair {
    tx: Queue,
    rx: Queue,
    /// Bytes of a receive buffer, header and all.
    rx_buffer: u32,
    /// Something was used since the guest's wish was last looked at.
    used: bool,
}

impl Pair {
    pub(super) fn open(m: Memory<'_>, r: &Rings) -> Result<Self, Fault> {
        let window = m.window_len();
        if !RX_BUFFER.contains(&r.rx_buffer) {
            return Err(Fault::Ring);
        }
        let (tx, rx) = (queue(r.tx, r.tx_size, window)?, queue(r.rx, r.rx_size, window)?);
        Ok(Self { tx, rx, rx_buffer: r.rx_buffer, used: false })
    }

    /// Payload of the longest packet to the guest.
    pub(super) fn payload(&self) -> usize {
        self.rx_buffer as usize - HEADER
    }

    /// The next packet of the guest's: its flags; the payload is in `buf`. The buffer is the guest's again. `None`: there is
    /// none, and DOORBELL is wanted for the next one.
    pub(super) fn take(&mut self, m: Memory<'_>, buf: &mut Vec<u8>) -> Result<Option<u16>, Fault> {
        let w = m.view();
        let mut next = self.tx.iter(&w).map_err(broken)?.next();
        if next.is_none() && self.tx.enable_notification(&w).map_err(broken)? {
            next = self.tx.iter(&w).map_err(broken)?.next();
        }
        let Some(chain) = next else { return Ok(None) };
        let head = chain.head_index();
        buf.clear();
        let mut header = [0; HEADER];
        // Bytes of the header that have come, and of the payload that are still to come.
        let (mut got, mut left) = (0, 0);
        let mut flags = None;
        for (n, d) in chain.enumerate() {
            if n >= CHAIN_MOST {
                return Err(Fault::Chain);
            }
            if d.is_write_only() {
                return Err(Fault::Direction);
            }
            let (mut place, mut len) = (m.locate(d.addr().0, d.len())?, d.len() as usize);
            if flags.is_none() {
                let now = len.min(HEADER - got);
                m.read(place, &mut header[got..got + now]);
                (got, place, len) = (got + now, place.plus(now), len - now);
                if got < HEADER {
                    continue;
                }
                let h = Header::parse(header).filter(|h| h.len <= PACKET_MOST).ok_or(Fault::Packet)?;
                (flags, left) = (Some(h.flags), h.len as usize);
            }
            let now = len.min(left);
            let at = buf.len();
            buf.resize(at + now, 0);
            m.read(place, &mut buf[at..]);
            left -= now;
        }
        let flags = flags.filter(|_| left == 0).ok_or(if got == 0 { Fault::Chain } else { Fault::Packet })?;
        self.tx.add_used(&w, head, 0).map_err(broken)?;
        self.used = true;
        Ok(Some(flags))
    }

    /// Puts a packet into the guest's next buffer. False: it has given us none, and DOORBELL is wanted for the next one.
    pub(super) fn put(&mut self, m: Memory<'_>, flags: u16, payload: &[u8]) -> Result<bool, Fault> {
        let w = m.view();
        let mut next = self.rx.iter(&w).map_err(broken)?.next();
        if next.is_none() && self.rx.enable_notification(&w).map_err(broken)? {
            next = self.rx.iter(&w).map_err(broken)?.next();
        }
        let Some(chain) = next else { return Ok(false) };
        let head = chain.head_index();
        let header = Header { flags, len: payload.len() as u32 }.bytes();
        let mut left: [&[u8]; 2] = [&header, payload];
        for (n, d) in chain.enumerate() {
            if n >= CHAIN_MOST {
                return Err(Fault::Chain);
            }
            if !d.is_write_only() {
                return Err(Fault::Direction);
            }
            let (mut place, mut len) = (m.locate(d.addr().0, d.len())?, d.len() as usize);
            for part in &mut left {
                let (now, rest) = part.split_at(part.len().min(len));
                m.write(place, now);
                (place, len, *part) = (place.plus(now.len()), len - now.len(), rest);
            }
        }
        if left.iter().any(|p| !p.is_empty()) {
            return Err(Fault::Packet);
        }
        self.rx.add_used(&w, head, (HEADER + payload.len()) as u32).map_err(broken)?;
        self.used = true;
        Ok(true)
    }

    /// The guest asked to hear of what was used since the last call.
    pub(super) fn interrupts(&mut self, m: Memory<'_>) -> Result<bool, Fault> {
        if !std::mem::take(&mut self.used) {
            return Ok(false);
        }
        let w = m.view();
        let tx = self.tx.needs_notification(&w).map_err(broken)?;
        Ok(self.rx.needs_notification(&w).map_err(broken)? || tx)
    }

    pub(super) fn state(&self) -> (RingState, RingState, u32) {
        let of = |q: &Queue| (q.desc_table() as u32, q.size(), q.next_avail(), q.next_used());
        (of(&self.tx), of(&self.rx), self.rx_buffer)
    }

    /// None: nothing that can have been saved.
    pub(super) fn of(m: Memory<'_>, (tx, rx, rx_buffer): (RingState, RingState, u32)) -> Option<Self> {
        let rings = Rings { tx: tx.0, rx: rx.0, tx_size: tx.1, rx_size: rx.1, rx_buffer };
        let mut p = Self::open(m, &rings).ok()?;
        for (q, s) in [(&mut p.tx, tx), (&mut p.rx, rx)] {
            q.set_next_avail(s.2);
            q.set_next_used(s.3);
        }
        Some(p)
    }
}
