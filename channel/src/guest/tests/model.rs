//! A host for tests: the bus of the page over rings and link, in one thread with the guest.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use crate::bus::{Closed, JOINED, Offer, Open, Opened, ToGuest, ToHost};
use crate::guest::Function;
use crate::packet::{Assembly, split};
use crate::ring::{Layout, Window};
use crate::serial::{Event, Link};

pub(super) const WINDOW: usize = 1 << 20;

pub(super) struct Shared {
    pub(super) window: RefCell<Vec<u8>>,
    registers: RefCell<BTreeMap<u32, u32>>,
    /// STATUS says that it stopped.
    pub(super) fault: Cell<bool>,
}

impl Shared {
    pub(super) fn new() -> Rc<Self> {
        let (window, registers) = (RefCell::new(vec![0; WINDOW]), RefCell::default());
        Rc::new(Self { window, registers, fault: Cell::new(false) })
    }

    fn get(&self, register: u32) -> u32 {
        self.registers.borrow().get(&register).copied().unwrap_or(0)
    }
}

/// The guest's mapping of it.
pub(super) struct Mapped(pub(super) Rc<Shared>);

impl Window for Mapped {
    fn load16(&self, at: u32) -> u16 {
        let mut b = [0; 2];
        self.copy_out(at, &mut b);
        u16::from_le_bytes(b)
    }

    fn load32(&self, at: u32) -> u32 {
        let mut b = [0; 4];
        self.copy_out(at, &mut b);
        u32::from_le_bytes(b)
    }

    fn store16(&self, at: u32, v: u16) {
        self.copy_in(at, &v.to_le_bytes());
    }

    fn store32(&self, at: u32, v: u32) {
        self.copy_in(at, &v.to_le_bytes());
    }

    fn copy_in(&self, at: u32, bytes: &[u8]) {
        self.0.window.borrow_mut()[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn copy_out(&self, at: u32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.window.borrow()[at as usize..][..bytes.len()]);
    }

    fn fence(&self) {}
}

impl Function for Mapped {
    fn read(&self, register: u32) -> u32 {
        match register {
            0 => 0x5355_4248,
            4 => 0x1_0000,
            8 => WINDOW as u32,
            0x14 => self.0.get(0x10) & 1 & !u32::from(self.0.fault.get()),
            r => self.0.get(r),
        }
    }

    fn write(&self, register: u32, value: u32) {
        if register == 0x10 && value & 1 != 0 {
            self.0.fault.set(false);
        }
        self.0.registers.borrow_mut().insert(register, value);
        if register == 0x10 {
            let starts = self.0.get(u32::MAX) + 1;
            self.0.registers.borrow_mut().insert(u32::MAX, starts);
        }
    }
}

/// The host's half of a ring.
struct Half {
    layout: Layout,
    next: u16,
}

impl Half {
    fn new(at: u32, size: u16) -> Option<Self> {
        Some(Self { layout: Layout::check(at, size, WINDOW as u32)?, next: 0 })
    }

    /// Address, length and head of the next chain, which is one descriptor.
    fn chain(&self, w: &Mapped) -> Option<(u32, u32, u16)> {
        let l = self.layout;
        w.store16(l.available_event(), self.next);
        if w.load16(l.available() + 2) == self.next {
            return None;
        }
        let head = w.load16(l.available() + 4 + 2 * u32::from(self.next % l.size));
        assert!(head < l.size);
        let d = l.at + 16 * u32::from(head);
        Some((w.load32(d), w.load32(d + 8), head))
    }

    fn used(&mut self, w: &Mapped, head: u16, len: u32) {
        let l = self.layout;
        let at = l.used() + 4 + 8 * u32::from(self.next % l.size);
        w.store32(at, head.into());
        w.store32(at + 4, len);
        self.next = self.next.wrapping_add(1);
        w.store16(l.used() + 2, self.next);
    }

    fn take(&mut self, w: &Mapped) -> Option<(u16, Vec<u8>)> {
        let (at, len, head) = self.chain(w)?;
        let mut b = vec![0; len as usize];
        w.copy_out(at, &mut b);
        let payload = b.split_off(8);
        assert_eq!(u32::from_le_bytes([b[4], b[5], b[6], b[7]]) as usize, payload.len());
        self.used(w, head, 0);
        Some((u16::from_le_bytes([b[0], b[1]]), payload))
    }

    fn put(&mut self, w: &Mapped, flags: u16, payload: &[u8]) -> bool {
        let Some((at, len, head)) = self.chain(w) else { return false };
        assert!(payload.len() + 8 <= len as usize);
        w.copy_in(at, &flags.to_le_bytes());
        w.copy_in(at + 2, &[0; 2]);
        w.copy_in(at + 4, &(payload.len() as u32).to_le_bytes());
        w.copy_in(at + 8, payload);
        self.used(w, head, payload.len() as u32 + 8);
        true
    }
}

struct Pair {
    tx: Half,
    rx: Half,
    payload: usize,
}

impl Pair {
    fn open(o: &Open) -> Option<Self> {
        let r = o.rings;
        let payload = (r.rx_buffer as usize).checked_sub(8)?;
        Some(Self { tx: Half::new(r.tx, r.tx_size)?, rx: Half::new(r.rx, r.rx_size)?, payload })
    }
}

pub(super) struct Chan {
    pub(super) offer: u32,
    rings: Option<Pair>,
    assembly: Assembly,
    out: VecDeque<Vec<u8>>,
    /// Packets of the first that are still to go: made as they fit where it goes.
    at: usize,
    pub(super) got: Vec<Vec<u8>>,
}

pub(super) struct Host {
    pub(super) link: Link,
    w: Mapped,
    starts: u32,
    control: Option<Pair>,
    replies: VecDeque<(bool, Vec<u8>)>,
    session: Option<u64>,
    on_rings: bool,
    pub(super) versions: (u32, u32),
    pub(super) offers: Vec<Offer>,
    pub(super) channels: BTreeMap<u16, Chan>,
    pub(super) said: Vec<ToHost>,
    /// It forgets which session it had: JOINED is never said.
    pub(super) forgetful: bool,
}

impl Host {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self {
            link: Link::new(),
            w: Mapped(shared),
            starts: 0,
            control: None,
            replies: VecDeque::new(),
            session: None,
            on_rings: false,
            versions: (0x1_0000, 0x1_0000),
            offers: Vec::new(),
            channels: BTreeMap::new(),
            said: Vec::new(),
            forgetful: false,
        }
    }

    pub(super) fn say(&mut self, m: &ToGuest) {
        self.replies.push_back((self.on_rings, m.bytes()));
    }

    pub(super) fn offer(&mut self, o: Offer) {
        self.offers.push(o.clone());
        if self.session.is_some() {
            self.say(&ToGuest::Offer(o));
        }
    }

    pub(super) fn rescind(&mut self, offer: u32) {
        self.offers.retain(|o| o.offer != offer);
        let open = self.channels.iter().find(|(_, c)| c.offer == offer).map(|(n, _)| *n);
        if let Some(n) = open {
            self.channels.remove(&n);
            self.say(&ToGuest::Closed { channel: n, reason: Closed::Rescinded });
        }
        self.say(&ToGuest::Rescind { offer });
    }

    pub(super) fn send(&mut self, n: u16, m: Vec<u8>) {
        if let Some(c) = self.channels.get_mut(&n) {
            c.out.push_back(m);
        }
    }

    fn message(&mut self, on_rings: bool, b: &[u8]) {
        let m = ToHost::parse(b).expect("a message of the guest's");
        self.said.push(m.clone());
        match m {
            ToHost::Hello { newest, oldest, session, .. } => {
                if newest < self.versions.1 || oldest > self.versions.0 {
                    let m = ToGuest::Refused { newest: self.versions.0, oldest: self.versions.1 };
                    self.replies.push_back((on_rings, m.bytes()));
                    return;
                }
                let joined = on_rings && !self.on_rings && self.session == Some(session) && !self.forgetful;
                if !joined {
                    self.channels.clear();
                    self.replies.clear();
                    self.session = Some(session);
                    self.on_rings = on_rings;
                }
                let (version, name) = (newest.min(self.versions.0), "model".into());
                let flags = if joined { JOINED } else { 0 };
                let m = ToGuest::Welcome { version, flags, features: 0, longest: 1 << 20, name };
                self.replies.push_back((on_rings, m.bytes()));
            }
            ToHost::RequestOffers => {
                for o in self.offers.clone() {
                    self.say(&ToGuest::Offer(o));
                }
                self.say(&ToGuest::AllOffered);
            }
            ToHost::Open(o) => {
                let known = self.offers.iter().any(|f| f.offer == o.offer);
                let result = if known { Opened::Open } else { Opened::NoOffer };
                if known {
                    let rings = self.on_rings.then(|| Pair::open(&o).expect("rings"));
                    let assembly = Assembly::default();
                    let chan = Chan {
                        offer: o.offer,
                        rings,
                        assembly,
                        out: VecDeque::new(),
                        at: 0,
                        got: Vec::new(),
                    };
                    assert!(self.channels.insert(o.channel, chan).is_none());
                }
                self.say(&ToGuest::Opened { offer: o.offer, channel: o.channel, result });
            }
            ToHost::Close { channel } => {
                self.channels.remove(&channel);
                self.say(&ToGuest::Closed { channel, reason: Closed::Asked });
            }
            ToHost::Move(o) => {
                assert!(!on_rings && !self.on_rings, "MOVE comes over COM2");
                let mut result = Opened::Open;
                match (o.channel, self.channels.get_mut(&o.channel)) {
                    (0, _) => {}
                    (_, Some(c)) => c.rings = Some(Pair::open(&o).expect("rings")),
                    (_, None) => result = Opened::NoOffer,
                }
                self.say(&ToGuest::Moved { channel: o.channel, result });
                self.on_rings = o.channel == 0;
            }
            ToHost::Released { .. } => {}
            ToHost::Bye => {
                self.channels.clear();
                self.say(&ToGuest::Gone);
                self.session = None;
            }
        }
    }

    fn packet(&mut self, n: u16, flags: u16, payload: Vec<u8>) {
        let Some(c) = self.channels.get_mut(&n) else { return };
        let whole = c.assembly.add(flags, payload).expect("not too long");
        c.got.extend(whole);
    }

    pub(super) fn step(&mut self) {
        let running = self.w.read(0x14) & 1 != 0;
        let starts = self.w.0.get(u32::MAX);
        if starts != self.starts {
            self.starts = starts;
            self.control = None;
            if self.on_rings {
                (self.session, self.on_rings) = (None, false);
                self.channels.clear();
            }
            self.replies.retain(|r| !r.0);
            if running {
                let (tx, rx, size) = (self.w.read(0x34), self.w.read(0x38), self.w.read(0x3c));
                let half = |at, size: u32| Half::new(at, size as u16).expect("a ring of channel 0");
                self.control =
                    Some(Pair { tx: half(tx, size & 0xffff), rx: half(rx, size >> 16), payload: 256 });
            }
        }
        while let Some((0, b)) = self.control.as_mut().and_then(|c| c.tx.take(&self.w)) {
            self.message(true, &b);
        }
        while let Some(e) = self.link.event() {
            match e {
                Event::Packet(p) if p.channel == 0 => self.message(false, &p.payload),
                Event::Packet(p) => self.packet(p.channel, p.flags, p.payload),
                Event::Began | Event::Down if !self.on_rings => {
                    self.session = None;
                    self.channels.clear();
                    self.replies.clear();
                }
                Event::Began | Event::Down => {}
            }
        }
        let numbers: Vec<u16> = self.channels.keys().copied().collect();
        for &n in &numbers {
            while let Some(c) = self.channels.get_mut(&n)
                && let Some((flags, b)) = c.rings.as_mut().and_then(|p| p.tx.take(&self.w))
            {
                self.packet(n, flags, b);
            }
        }
        while let Some((on_rings, b)) = self.replies.front() {
            let went = match (on_rings, &mut self.control) {
                (true, Some(c)) => c.rx.put(&self.w, 0, b),
                (true, None) => true,
                (false, _) => self.link.send(0, 0, b).is_ok(),
            };
            if !went {
                break;
            }
            self.replies.pop_front();
        }
        // MOVED is behind what the link has of its channel.
        if self.replies.is_empty() {
            numbers.iter().for_each(|&n| self.flush(n));
        }
    }

    fn flush(&mut self, n: u16) {
        let Some(c) = self.channels.get_mut(&n) else { return };
        while let Some(m) = c.out.front() {
            let most = c.rings.as_ref().map_or(700, |r| r.payload);
            let rest = &m[c.at..];
            let (flags, part) = split(rest, most).next().expect("a packet");
            let went = match &mut c.rings {
                Some(r) => r.rx.put(&self.w, flags, part),
                None => self.link.send(n, flags, part).is_ok(),
            };
            if !went {
                return;
            }
            if flags == 0 {
                c.out.pop_front();
                c.at = 0;
            } else {
                c.at += part.len();
            }
        }
    }
}
