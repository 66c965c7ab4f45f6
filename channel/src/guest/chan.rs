//! A channel of the guest's end.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::bus::Rings;
use crate::packet::MORE;
use crate::ring::{Place, Rx, Tx, Window};

use super::Shape;
use super::areas::Areas;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    Closing,
}

/// A channel's rings and where they lie.
pub(super) struct Pair {
    pub(super) area: u32,
    pub(super) tx: Tx,
    pub(super) rx: Rx,
    pub(super) places: (Place, Place),
    /// Buffers given back that the host may wait for.
    pub(super) given: u16,
    /// Nothing goes until the host has taken something.
    pub(super) blocked: bool,
}

impl Pair {
    /// In the window's free part; smaller than asked for if there is not enough of it.
    pub(super) fn new<W: Window>(w: &W, areas: &mut Areas, shape: &Shape) -> Option<Self> {
        let mut s = *shape;
        loop {
            if let Some(p) = Self::exactly(w, areas, &s) {
                return Some(p);
            }
            let before = s;
            s.tx_buffer = (s.tx_buffer / 2).max(512);
            s.rx_buffer = (s.rx_buffer / 2).max(512);
            s.tx_size = (s.tx_size / 2).max(2);
            s.rx_size = (s.rx_size / 2).max(2);
            if s == before {
                return None;
            }
        }
    }

    fn exactly<W: Window>(w: &W, areas: &mut Areas, s: &Shape) -> Option<Self> {
        // How much it is does not depend on where it is, up to the alignment that areas have.
        let (tx, next) = Place::new(0, s.tx_size, s.tx_buffer, u32::MAX)?;
        let (_, len) = Place::new(next, s.rx_size, s.rx_buffer, u32::MAX)?;
        let area = areas.find(len)?;
        let end = area + len;
        let (tx, next) = Place::new(area, tx.layout.size, s.tx_buffer, end)?;
        let (rx, next) = Place::new(next, s.rx_size, s.rx_buffer, end)?;
        areas.take(area, next);
        Some(Self {
            area,
            tx: Tx::new(w, tx),
            rx: Rx::new(w, rx),
            places: (tx, rx),
            given: 0,
            blocked: false,
        })
    }

    pub(super) fn rings(&self) -> Rings {
        let (tx, rx) = self.places;
        Rings {
            tx: tx.layout.at,
            rx: rx.layout.at,
            tx_size: tx.layout.size,
            rx_size: rx.layout.size,
            rx_buffer: rx.buffer,
        }
    }
}

pub(super) struct Chan {
    state: State,
    pub(super) offer: u32,
    pub(super) class: usize,
    pub(super) version: u32,
    pub(super) priority: u8,
    pub(super) rings: Option<Pair>,
    /// What is sent goes into the rings; what comes is taken from them.
    pub(super) tx_rings: bool,
    pub(super) rx_rings: bool,
    /// The agent knows of it.
    pub(super) told: bool,
    out: VecDeque<Rc<Vec<u8>>>,
    /// How much of the first is gone already.
    out_at: usize,
    pub(super) waiting: usize,
    /// Of a message that is still coming.
    pub(super) assembly: Vec<u8>,
}

/// A message is longer than its class may have.
pub(super) struct TooLong;

impl Chan {
    pub(super) fn opening(offer: u32, class: usize, version: u32, priority: u8, rings: Option<Pair>) -> Self {
        let on_rings = rings.is_some();
        Self {
            state: State::Opening,
            offer,
            class,
            version,
            priority,
            rings,
            tx_rings: on_rings,
            rx_rings: on_rings,
            told: false,
            out: VecDeque::new(),
            out_at: 0,
            waiting: 0,
            assembly: Vec::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(super) fn is_opening(&self) -> bool {
        self.state == State::Opening
    }

    pub(super) fn opened(&mut self) {
        (self.state, self.told) = (State::Open, true);
    }

    pub(super) fn closing(&mut self) {
        self.state = State::Closing;
        self.out.clear();
        (self.out_at, self.waiting) = (0, 0);
    }

    pub(super) fn push(&mut self, message: Rc<Vec<u8>>) {
        self.waiting += message.len().max(1);
        self.out.push_back(message);
    }

    /// The next packet with at most so much payload.
    pub(super) fn packet(&self, most: usize) -> Option<(u16, &[u8])> {
        let rest = &self.out.front()?[self.out_at..];
        let part = &rest[..rest.len().min(most)];
        Some((if part.len() < rest.len() { MORE } else { 0 }, part))
    }

    /// The packet of so much payload is sent.
    pub(super) fn went(&mut self, len: usize) {
        let Some(first) = self.out.front() else { return };
        self.out_at += len;
        self.waiting = self.waiting.saturating_sub(len.max(usize::from(first.is_empty())));
        if self.out_at >= first.len() {
            self.out.pop_front();
            self.out_at = 0;
        }
    }

    /// A packet that came. True: a message is whole, and in `into`.
    pub(super) fn arrived(
        &mut self,
        flags: u16,
        len: usize,
        longest: usize,
        into: &mut Vec<u8>,
        copy: impl FnOnce(&mut [u8]),
    ) -> Result<bool, TooLong> {
        let at = self.assembly.len();
        if at + len > longest {
            self.assembly = Vec::new();
            return Err(TooLong);
        }
        if flags & MORE == 0 && at == 0 {
            into.resize(len, 0);
            copy(into);
            return Ok(true);
        }
        self.assembly.resize(at + len, 0);
        copy(&mut self.assembly[at..]);
        if flags & MORE != 0 {
            return Ok(false);
        }
        core::mem::swap(&mut self.assembly, into);
        self.assembly.clear();
        Ok(true)
    }
}
