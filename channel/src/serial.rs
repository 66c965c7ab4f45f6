//! The serial link: packets whole, once and in order over a line that loses bytes. docs/design/channel.md, section 3.
//!
//! Both ends are the same. It has no line and no clock of its own: bytes and the time, in nanoseconds, come in; bytes, events
//! and the next deadline come out. What it holds is bounded whatever the other end sends: 8 packets that go, 32 that came,
//! a frame each way.

pub(crate) mod frame;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use minicbor::{Decode, Encode};

/// Most payload of a packet.
pub const PAYLOAD_MOST: usize = 1024;
/// Most DATA frames on their way.
pub const WINDOW: usize = 8;
/// Packets that wait to be fetched with [`Link::event`]; what comes besides is not acknowledged.
pub const WAITING_MOST: usize = 32;

const MS: u64 = 1_000_000;
/// After so long without an acknowledgement it is sent again,
pub const RESEND: u64 = 500 * MS;
/// so often.
pub const RESENDS_MOST: u8 = 30;
/// RESET is said again after so long.
pub const RESET: u64 = 250 * MS;

mod kind {
    pub(super) const DATA: u8 = 1;
    pub(super) const ACK: u8 = 2;
    pub(super) const RESET: u8 = 3;
    pub(super) const RESET_ACK: u8 = 4;
}

/// A packet of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Packet {
    #[n(0)]
    pub channel: u16,
    #[n(1)]
    pub flags: u16,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Event {
    /// The link is up, with nothing on its way: channels that were open on it before are gone.
    #[n(0)]
    Began,
    #[n(1)]
    Packet(#[n(0)] Packet),
    /// The other end does not answer any more. [`Link::start`] or the other end's start brings it up again.
    #[n(2)]
    Down,
}

/// No room until something was acknowledged, or the link is not up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A state that no link can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
enum State {
    /// Says nothing unless the other end starts.
    #[default]
    #[n(0)]
    Listening,
    /// RESET is out.
    #[n(1)]
    Starting,
    #[n(2)]
    Up,
}

/// One end. Encoding and decoding it saves and loads it; what was loaded is to be [checked](Self::check).
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Link {
    #[n(0)]
    #[cbor(default)]
    state: State,
    /// Number of this end's life, and the other's if it told one.
    #[n(1)]
    #[cbor(default)]
    life: u32,
    #[n(2)]
    peer: Option<u32>,
    /// Not acknowledged, the first of them with number `base`.
    #[n(3)]
    #[cbor(default)]
    window: VecDeque<Packet>,
    #[n(4)]
    #[cbor(default)]
    base: u8,
    /// How many of them were sent since it last went back, and ever.
    #[n(5)]
    #[cbor(default)]
    sent: u8,
    #[n(6)]
    #[cbor(default)]
    flown: u8,
    /// When the last frame was out, or something was acknowledged.
    #[n(7)]
    #[cbor(default)]
    since: u64,
    #[n(8)]
    #[cbor(default)]
    tries: u8,
    /// Went back for a gap that the other end told of, since the last acknowledgement of something new.
    #[n(9)]
    #[cbor(default)]
    hurried: bool,
    /// Number of the next frame to arrive.
    #[n(10)]
    #[cbor(default)]
    next: u8,
    #[n(11)]
    #[cbor(default)]
    owe_ack: bool,
    /// Told of the gap before `next`.
    #[n(12)]
    #[cbor(default)]
    gap_told: bool,
    #[n(13)]
    owe_reset_ack: Option<u32>,
    /// When RESET is due.
    #[n(14)]
    #[cbor(default)]
    reset_at: u64,
    #[n(15)]
    #[cbor(default)]
    reader: frame::Reader,
    /// The frame that is going out, from where on, and whether it is the packet of `window` that is `sent` next.
    #[n(16)]
    #[cbor(default, with = "minicbor::bytes")]
    out: Vec<u8>,
    #[n(17)]
    #[cbor(default)]
    out_at: u32,
    #[n(18)]
    #[cbor(default)]
    out_is_data: bool,
    #[n(19)]
    #[cbor(default)]
    events: VecDeque<Event>,
}

impl Link {
    /// An end that waits for the other to start.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a life with a number that is not one of before: random.
    pub fn start(&mut self, now: u64, life: u32) {
        self.rest();
        self.life = life;
        self.peer = None;
        self.owe_reset_ack = None;
        self.reset_at = now;
        self.state = State::Starting;
    }

    /// Forgets everything, also what came: the machine was reset, say.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Says nothing until the other end starts: never started, or down.
    pub fn is_at_rest(&self) -> bool {
        self.state == State::Listening
    }

    /// Packets that [`Self::send`] takes now.
    pub fn room(&self) -> usize {
        if self.is_up() { WINDOW - self.window.len() } else { 0 }
    }

    /// Nothing that was sent is still to be acknowledged.
    pub fn all_taken(&self) -> bool {
        self.window.is_empty()
    }

    /// # Panics
    /// If the payload is longer than [`PAYLOAD_MOST`].
    pub fn send(&mut self, channel: u16, flags: u16, payload: &[u8]) -> Result<(), Full> {
        assert!(payload.len() <= PAYLOAD_MOST, "a packet of {} bytes", payload.len());
        if self.room() == 0 {
            return Err(Full);
        }
        self.window.push_back(Packet { channel, flags, payload: payload.into() });
        Ok(())
    }

    /// What happened next.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Bytes that arrived.
    pub fn feed(&mut self, now: u64, bytes: &[u8]) {
        for &b in bytes {
            if self.reader.add(b) {
                let frame = core::mem::take(&mut self.reader);
                self.frame(now, &frame.bytes);
                self.reader = frame;
                self.reader.clear();
            }
        }
    }

    /// Fills `into` as far as there is something to send; all of that must go out.
    pub fn take(&mut self, now: u64, into: &mut [u8]) -> usize {
        let mut n = 0;
        while n < into.len() {
            let at = self.out_at as usize;
            if at == self.out.len() {
                if !self.put_next(now) {
                    break;
                }
                continue;
            }
            let part = (self.out.len() - at).min(into.len() - n);
            into[n..n + part].copy_from_slice(&self.out[at..at + part]);
            n += part;
            self.out_at += part as u32;
            if self.out_at as usize == self.out.len() && core::mem::take(&mut self.out_is_data) {
                self.sent += 1;
                self.flown = self.flown.max(self.sent);
                self.since = now;
            }
        }
        n
    }

    /// When [`Self::take`] may have something that it has not now; at once if it has.
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let data = self.is_up() && usize::from(self.sent) < self.window.len();
        let owed = self.owe_reset_ack.is_some() || self.is_up() && self.owe_ack;
        if (self.out_at as usize) < self.out.len() || data || owed {
            return Some(now);
        }
        match self.state {
            State::Starting => Some(self.reset_at),
            State::Up if self.sent > 0 => Some(self.since.saturating_add(RESEND)),
            _ => None,
        }
    }

    /// The next frame, if there is one to send.
    fn put_next(&mut self, now: u64) -> bool {
        if self.is_up() && self.sent > 0 && now >= self.since.saturating_add(RESEND) {
            self.go_back();
        }
        self.out.clear();
        self.out_at = 0;
        let (next, out) = (self.next, &mut self.out);
        if let Some(life) = self.owe_reset_ack.take() {
            frame::put(kind::RESET_ACK, 0, 0, &[&life.to_le_bytes()], out);
        } else if self.state == State::Starting && now >= self.reset_at {
            frame::put(kind::RESET, 0, 0, &[&self.life.to_le_bytes()], out);
            self.reset_at = now.saturating_add(RESET);
        } else if self.state != State::Up {
            return false;
        } else if let Some(p) = self.window.get(usize::from(self.sent)) {
            let seq = self.base.wrapping_add(self.sent);
            let (channel, flags) = (p.channel.to_le_bytes(), p.flags.to_le_bytes());
            frame::put(kind::DATA, seq, next, &[&channel, &flags, &p.payload], out);
            (self.out_is_data, self.owe_ack) = (true, false);
        } else if core::mem::take(&mut self.owe_ack) {
            frame::put(kind::ACK, 0, next, &[], out);
        } else {
            return false;
        }
        true
    }

    /// All that is not acknowledged is to be sent again; the link is down if that was tried too often.
    fn go_back(&mut self) {
        self.tries += 1;
        self.sent = 0;
        if self.tries > RESENDS_MOST {
            self.rest();
            self.peer = None;
            self.tell(Event::Down);
        }
    }

    /// Nothing is on its way in either direction, and the link is not up.
    fn rest(&mut self) {
        self.state = State::Listening;
        self.window.clear();
        (self.base, self.sent, self.flown, self.tries, self.hurried) = (0, 0, 0, 0, false);
        (self.next, self.owe_ack, self.gap_told) = (0, false, false);
        if (self.out_at as usize) < self.out.len() && self.out_at > 0 {
            self.out = frame::CUT.into();
        } else {
            self.out.clear();
        }
        (self.out_at, self.out_is_data) = (0, false);
    }

    /// Of `Began` and `Down` in a row only the last counts; so there is at most one for each packet, and packets are counted.
    fn tell(&mut self, e: Event) {
        if !matches!(e, Event::Packet(_)) && matches!(self.events.back(), Some(Event::Began | Event::Down)) {
            self.events.pop_back();
        }
        self.events.push_back(e);
    }

    /// A frame with a sound CRC, without it.
    fn frame(&mut self, now: u64, f: &[u8]) {
        let Some((&[k, seq, ack, _], body)) = f.split_first_chunk::<4>() else { return };
        match (k, body) {
            (kind::DATA, &[c0, c1, f0, f1, ref payload @ ..]) if self.is_up() => {
                self.acknowledged(now, ack, false);
                let (channel, flags) = (u16::from_le_bytes([c0, c1]), u16::from_le_bytes([f0, f1]));
                self.arrived(seq, channel, flags, payload);
            }
            (kind::ACK, _) if self.is_up() => self.acknowledged(now, ack, true),
            (kind::RESET, &[a, b, c, d, ..]) => {
                let life = u32::from_le_bytes([a, b, c, d]);
                if self.peer != Some(life) {
                    let state = self.state;
                    self.rest();
                    self.peer = Some(life);
                    if state == State::Starting {
                        self.state = state;
                    } else {
                        self.up();
                    }
                }
                self.owe_reset_ack = Some(life);
            }
            (kind::RESET_ACK, &[a, b, c, d, ..])
                if self.state == State::Starting && u32::from_le_bytes([a, b, c, d]) == self.life =>
            {
                self.up();
            }
            _ => {}
        }
    }

    fn up(&mut self) {
        self.state = State::Up;
        self.tell(Event::Began);
    }

    /// The other end waits for number `ack`; `alone`: it said nothing else.
    fn acknowledged(&mut self, now: u64, ack: u8, alone: bool) {
        let n = ack.wrapping_sub(self.base);
        if n > self.flown {
            return;
        }
        if n == 0 {
            // A gap, or a frame came twice: sent again at once, but not again and again.
            if alone && self.sent > 0 && !core::mem::replace(&mut self.hurried, true) {
                self.sent = 0;
                self.drop_data();
            }
            return;
        }
        self.window.drain(..usize::from(n));
        self.base = ack;
        self.flown -= n;
        (self.tries, self.hurried, self.since) = (0, false, now);
        if n > self.sent {
            // What is going out was acknowledged as it was sent before.
            self.sent = 0;
            self.drop_data();
        } else {
            self.sent -= n;
        }
    }

    /// The packet that is going out is not the next one any more.
    fn drop_data(&mut self) {
        if core::mem::take(&mut self.out_is_data) {
            self.out = if self.out_at > 0 { frame::CUT.into() } else { Vec::new() };
            self.out_at = 0;
        }
    }

    fn arrived(&mut self, seq: u8, channel: u16, flags: u16, payload: &[u8]) {
        let ahead = seq.wrapping_sub(self.next);
        let waiting = self.events.iter().filter(|e| matches!(e, Event::Packet(_))).count();
        if ahead != 0 {
            self.owe_ack |= usize::from(ahead) >= WINDOW || !core::mem::replace(&mut self.gap_told, true);
        } else if payload.len() <= PAYLOAD_MOST && waiting < WAITING_MOST {
            self.next = self.next.wrapping_add(1);
            (self.owe_ack, self.gap_told) = (true, false);
            self.tell(Event::Packet(Packet { channel, flags, payload: payload.into() }));
        }
    }

    /// Is this a state that a link can be in? For one that was decoded.
    pub fn check(&self) -> Result<(), Bad> {
        let waiting = self.events.iter().filter(|e| matches!(e, Event::Packet(_))).count();
        let sound = self.window.len() <= WINDOW
            && self.window.iter().all(|p| p.payload.len() <= PAYLOAD_MOST)
            && usize::from(self.flown) <= self.window.len()
            && self.sent <= self.flown
            && self.tries <= RESENDS_MOST
            && (!self.out_is_data || usize::from(self.sent) < self.window.len())
            && self.reader.bytes.len() <= frame::MOST
            && self.out.len() <= 2 * frame::MOST + 2
            && self.out_at as usize <= self.out.len()
            && waiting <= WAITING_MOST
            && self.events.len() <= 2 * WAITING_MOST + 1
            && (self.is_up() || self.window.is_empty() && !self.out_is_data);
        if sound { Ok(()) } else { Err(Bad) }
    }
}

#[cfg(test)]
mod tests;
