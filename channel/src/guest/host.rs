//! What the host says, and what moves.

use alloc::vec::Vec;

use crate::CHANNELS;
use crate::bus::{self, JOINED, MOST, Open, Opened, Rings, ToGuest, ToHost};
use crate::regs;
use crate::ring::Arrived;
use crate::serial::{self, PAYLOAD_MOST};

use super::chan::{Chan, Pair};
use super::{
    CONTROL_MOST, Event, Function, Gone, Guest, LINGER, LOOK, Moving, OFFERS_MOST, REFUSED_REST, SECOND, Way,
};

/// Messages of one channel in a row before others are looked at.
const ROW: u32 = 32;

impl<F: Function> Guest<F> {
    /// The function's interrupt came: it is taken back.
    pub fn interrupt(&mut self) {
        if let Some(s) = &self.function {
            s.f.read(regs::TAKE0);
            s.f.read(regs::TAKE1);
        }
    }

    /// Sends what can be sent, and looks at the clock. [`Self::event`] then says what came.
    pub fn poll(&mut self, now: u64) {
        self.now = self.now.max(now);
        if self.answer_by.is_some_and(|t| now >= t) {
            self.answer_by = None;
            match (self.moving, self.welcomed) {
                (Moving::No, false) => self.begin(),
                // No answer on the function: it is left alone, and COM2 serves.
                (Moving::Hello, _) => self.give_up_moving(),
                _ => {}
            }
        }
        if now >= self.look_at && self.function.is_some() {
            self.look_at = now.saturating_add(LOOK << self.faults.min(5));
            let uses = self.way == Way::Function || self.moving != Moving::No;
            if uses && self.function.as_ref().is_some_and(|s| !s.is_running()) {
                self.faults += 1;
                self.begin();
            }
        }
        if self.control_serial.len().max(self.control_rings.len()) > CONTROL_MOST {
            self.begin();
        }
        self.open_what_is_offered();
        self.move_over();
        self.pump_control();
        for at in 0..self.order.len() {
            self.pump_rings(self.order[at]);
            self.ring_for_buffers(self.order[at]);
        }
        self.pump_serial();
        if self.linger.is_some_and(|t| now >= t) {
            (self.link, self.linger, self.link_up) = (None, None, false);
        }
    }

    /// When [`Self::serial_out`] may have something; at once if it has.
    pub fn serial_deadline(&self, now: u64) -> Option<u64> {
        self.link.as_ref().and_then(|l| l.deadline(now))
    }

    /// When [`Self::poll`] has something to do even if nothing comes, COM2 apart.
    pub fn deadline(&self, now: u64) -> u64 {
        let look = self.function.is_some().then_some(self.look_at);
        let again = self.again.iter().map(|a| a.0).min();
        [look, self.answer_by, self.linger, again].into_iter().flatten().min().unwrap_or(now + 3600 * SECOND)
    }

    /// Asks for an interrupt when something comes. True: there is something already.
    pub fn arm(&mut self) -> bool {
        let Some(s) = &mut self.function else { return false };
        let mut there = false;
        if self.way == Way::Function || self.moving == Moving::Hello {
            there |= s.rx.arm(&s.f);
            there |= s.blocked && s.tx.arm(&s.f);
        }
        for &n in &self.order {
            let Some(c) = &mut self.channels[usize::from(n)] else { continue };
            let Some(p) = &mut c.rings else { continue };
            there |= c.rx_rings && p.rx.arm(&s.f);
            there |= p.blocked && p.tx.arm(&s.f);
        }
        there
    }

    /// Messages of channel 0.
    fn pump_control(&mut self) {
        if let Some(s) = &mut self.function {
            let mut sent = false;
            s.blocked = false;
            while let Some(m) = self.control_rings.front() {
                if s.tx.send(&s.f, 0, m).is_err() {
                    s.blocked = true;
                    break;
                }
                sent = true;
                self.control_rings.pop_front();
            }
            if sent && s.tx.bell(&s.f) {
                s.ring(0);
            }
        }
        if let Some(l) = &mut self.link {
            while let Some(m) = self.control_serial.front() {
                if l.send(0, 0, m).is_err() {
                    break;
                }
                self.control_serial.pop_front();
            }
        }
    }

    /// A channel's messages into its ring.
    pub(super) fn pump_rings(&mut self, n: u16) {
        let (Some(s), Some(c)) = (&self.function, &mut self.channels[usize::from(n)]) else { return };
        let Some(mut p) = c.rings.take() else { return };
        if c.tx_rings && c.is_open() {
            let most = p.tx.payload() as usize;
            let mut sent = false;
            p.blocked = false;
            while let Some((flags, part)) = c.packet(most) {
                let len = part.len();
                if p.tx.send(&s.f, flags, part).is_err() {
                    p.blocked = true;
                    break;
                }
                sent = true;
                c.went(len);
            }
            if sent && p.tx.bell(&s.f) {
                s.ring(n);
            }
        }
        c.rings = Some(p);
    }

    /// The host may wait for the buffers that were given back.
    fn ring_for_buffers(&mut self, n: u16) {
        let (Some(s), Some(c)) = (&self.function, &mut self.channels[usize::from(n)]) else { return };
        if let Some(p) = c.rings.as_mut().filter(|p| p.given > 0) {
            p.given = 0;
            if p.rx.bell(&s.f) {
                s.ring(n);
            }
        }
    }

    /// Messages over COM2: a packet of the first channel that has one, until the link is full. Channels of one priority
    /// take turns.
    fn pump_serial(&mut self) {
        let Some(l) = &mut self.link else { return };
        if !self.link_up || !self.control_serial.is_empty() {
            return;
        }
        let mut at = 0;
        while l.room() > 0 && at < self.order.len() {
            let n = self.order[at];
            let Some(c) = &mut self.channels[usize::from(n)] else { break };
            let packet = if c.tx_rings || !c.is_open() { None } else { c.packet(PAYLOAD_MOST) };
            let Some((flags, part)) = packet else {
                at += 1;
                continue;
            };
            let (len, priority) = (part.len(), c.priority);
            if l.send(n, flags, part).is_err() {
                return;
            }
            c.went(len);
            // Behind the others of its priority.
            let channels = &self.channels;
            let same = |&o: &u16| channels[usize::from(o)].as_ref().is_some_and(|c| c.priority == priority);
            let behind = self.order[at..].iter().take_while(|o| same(o)).count();
            self.order[at..at + behind].rotate_left(1);
        }
    }

    /// What happened next. The bytes of a message are left in `into`.
    pub fn event(&mut self, into: &mut Vec<u8>) -> Option<Event> {
        loop {
            if let Some(e) = self.events.pop_front() {
                return Some(e);
            }
            if self.control_from_rings(into) {
                continue;
            }
            if let Some(e) = self.message_from_rings(into) {
                return Some(e);
            }
            if !self.events.is_empty() {
                continue;
            }
            let e = self.link.as_mut().and_then(serial::Link::event)?;
            if let Some(e) = self.serial_event(e, into) {
                return Some(e);
            }
        }
    }

    /// A packet of channel 0 in the function's ring. False: there is none, or it has to wait.
    fn control_from_rings(&mut self, buf: &mut Vec<u8>) -> bool {
        let Some(s) = &mut self.function else { return false };
        if self.way != Way::Function && self.moving != Moving::Hello {
            return false;
        }
        let Some(a) = s.rx.next(&s.f) else { return false };
        let (flags, sound) = (a.flags, a.len as usize <= MOST);
        buf.resize(if sound { a.len as usize } else { 0 }, 0);
        crate::ring::Window::copy_out(&s.f, a.at, buf);
        s.rx.done(&s.f, a);
        if s.rx.bell(&s.f) {
            s.ring(0);
        }
        if sound && flags == 0 {
            self.said(Way::Function, buf);
        }
        true
    }

    fn message_from_rings(&mut self, into: &mut Vec<u8>) -> Option<Event> {
        let (hot, left) = self.hot;
        if left > 0 {
            self.hot.1 -= 1;
            if let Some(e) = self.message_of(hot, into) {
                return Some(e);
            }
        }
        for at in 0..self.order.len() {
            let Some(&n) = self.order.get(at) else { break };
            if let Some(e) = self.message_of(n, into) {
                self.hot = (n, ROW);
                return Some(e);
            }
        }
        self.hot.1 = 0;
        None
    }

    /// A channel's next whole message in its ring.
    fn message_of(&mut self, n: u16, into: &mut Vec<u8>) -> Option<Event> {
        loop {
            let s = self.function.as_ref()?;
            let c = self.channels[usize::from(n)].as_mut()?;
            if !c.rx_rings || !c.is_open() {
                return None;
            }
            let (class, mut p) = (c.class, c.rings.take()?);
            let a = p.rx.next(&s.f);
            let whole = a.map(|a: Arrived| {
                let longest = self.settings.classes[class].longest;
                let copy = |b: &mut [u8]| crate::ring::Window::copy_out(&s.f, a.at, b);
                let whole = c.arrived(a.flags, a.len as usize, longest, into, copy);
                p.rx.done(&s.f, a);
                p.given += 1;
                if p.given >= p.places.1.layout.size / 2 {
                    p.given = 0;
                    if p.rx.bell(&s.f) {
                        s.ring(n);
                    }
                }
                whole
            });
            c.rings = Some(p);
            match whole {
                None => {
                    self.ring_for_buffers(n);
                    return None;
                }
                Some(Ok(true)) => return Some(Event::Message { channel: n, class }),
                Some(Ok(false)) => {}
                Some(Err(_)) => {
                    self.breach(n);
                    return None;
                }
            }
        }
    }

    /// The host sent on a channel what it must not: that is over.
    fn breach(&mut self, n: u16) {
        if let Some(c) = self.channels[usize::from(n)].as_mut()
            && c.is_open()
        {
            self.close(n);
            if let Some(c) = self.channels[usize::from(n)].as_mut() {
                c.told = false;
                let class = c.class;
                self.events.push_back(Event::Closed { channel: n, class, why: Gone::Breach });
            }
        }
    }

    fn serial_event(&mut self, e: serial::Event, into: &mut Vec<u8>) -> Option<Event> {
        match e {
            serial::Event::Began => {
                self.link_up = true;
                if self.way != Way::Function {
                    self.begin();
                }
            }
            serial::Event::Down => {
                self.link_up = false;
                if self.way != Way::Function {
                    self.begin();
                }
            }
            serial::Event::Packet(p) if p.channel == 0 => {
                // Once all has moved, nothing is said here any more.
                if p.flags == 0 && self.way == Way::Serial {
                    self.said(Way::Serial, &p.payload);
                }
            }
            serial::Event::Packet(p) => {
                let n = p.channel;
                let c = self.channels.get_mut(usize::from(n)).and_then(Option::as_mut)?;
                if c.rx_rings || !c.is_open() {
                    return None;
                }
                let (class, longest) = (c.class, self.settings.classes[c.class].longest);
                match c.arrived(p.flags, p.payload.len(), longest, into, |b| b.copy_from_slice(&p.payload)) {
                    Ok(true) => return Some(Event::Message { channel: n, class }),
                    Ok(false) => {}
                    Err(_) => self.breach(n),
                }
            }
        }
        None
    }

    /// A message of channel 0. What makes no sense is passed over.
    pub(super) fn said(&mut self, way: Way, b: &[u8]) {
        let Ok(m) = ToGuest::parse(b) else { return };
        if !self.welcomed || self.moving == Moving::Hello && way == Way::Function {
            match m {
                ToGuest::Welcome { version, flags, name, .. } => self.welcome(way, version, flags, name),
                ToGuest::Refused { newest, oldest } => self.refused(newest, oldest),
                _ => {}
            }
            return;
        }
        match m {
            ToGuest::Offer(o) => self.offer(o),
            ToGuest::Opened { offer, channel, result } => self.opened(offer, channel, result),
            ToGuest::Closed { channel, reason } => self.forget(channel, Gone::Host(reason)),
            ToGuest::Rescind { offer } => {
                self.offers.retain(|o| o.offer != offer);
                if self.rescinded.len() < OFFERS_MOST {
                    self.rescinded.push(offer);
                }
            }
            ToGuest::Moved { channel, result } => self.moved(channel, result),
            ToGuest::Gone => {
                self.drop_all();
                (self.welcomed, self.way) = (false, Way::None);
                self.events.push_back(Event::Bye);
            }
            ToGuest::Welcome { .. } | ToGuest::Refused { .. } | ToGuest::AllOffered => {}
        }
    }

    fn welcome(&mut self, way: Way, version: u32, flags: u32, name: alloc::string::String) {
        if version > self.asked || version < self.settings.oldest {
            return;
        }
        self.answer_by = None;
        if self.moving == Moving::Hello {
            if flags & JOINED != 0 {
                // Goes on in `move_over`.
                self.moving = Moving::Sent;
                self.control_rings.clear();
                return;
            }
            // The host knows nothing of the session on COM2 any more.
            self.moving = Moving::No;
            self.drop_all();
            self.control_serial.clear();
            self.linger = Some(self.now + LINGER);
        }
        (self.way, self.welcomed, self.faults) = (way, true, 0);
        self.events.push_back(Event::Welcome { version, name });
        self.say(&ToHost::RequestOffers);
    }

    pub(super) fn refused(&mut self, newest: u32, oldest: u32) {
        let version = newest.min(self.asked);
        if version < self.asked && version >= oldest.max(self.settings.oldest) {
            self.asked = version;
            let way = if self.moving == Moving::Hello { Way::Function } else { self.way };
            self.hello(way);
            return;
        }
        if self.moving == Moving::Hello {
            self.give_up_moving();
        } else {
            self.events.push_back(Event::Refused);
            self.answer_by = Some(self.now + REFUSED_REST);
        }
    }

    /// The function does not serve: COM2 goes on.
    fn give_up_moving(&mut self) {
        self.moving = Moving::No;
        self.answer_by = None;
        if let Some(s) = self.function.take() {
            s.stop();
        }
    }

    fn offer(&mut self, o: bus::Offer) {
        self.rescinded.retain(|r| *r != o.offer);
        if let Some(old) = self.offers.iter_mut().find(|old| old.offer == o.offer) {
            *old = o;
        } else if self.offers.len() < OFFERS_MOST {
            self.offers.push(o);
        }
    }

    /// Opens a channel for each class that is offered and not in use, and lets go of what was rescinded.
    fn open_what_is_offered(&mut self) {
        if !self.welcomed || self.moving != Moving::No {
            return;
        }
        for offer in core::mem::take(&mut self.rescinded) {
            if self.channels.iter().flatten().any(|c| c.offer == offer) {
                self.rescinded.push(offer);
            } else {
                self.say(&ToHost::Released { offer });
            }
        }
        let now = self.now;
        for (_, again) in self.again.extract_if(.., |(at, _)| now >= *at).collect::<Vec<_>>() {
            self.open(again.offer, again.class, again.version, again.priority);
        }
        let mut at = 0;
        while at < self.offers.len() {
            let o = &self.offers[at];
            let class = self.settings.classes.iter().position(|c| c.class == o.class);
            let used = |k| self.channels.iter().flatten().any(|c| c.class == k);
            if let Some(k) = class.filter(|&k| !used(k)) {
                let (offer, version) = (o.offer, o.version.min(self.settings.classes[k].version));
                let priority = o.priority;
                // Whatever comes of it: it is not tried again until the host offers it anew.
                self.offers.remove(at);
                self.open(offer, k, version, priority);
            } else if class.is_none() {
                self.offers.remove(at);
            } else {
                at += 1;
            }
        }
    }

    fn open(&mut self, offer: u32, class: usize, version: u32, priority: u8) {
        let Some(n) = (1..CHANNELS).find(|&n| self.channels[n].is_none()) else { return };
        let shape = &self.settings.classes[class].shape;
        let mut pair = None;
        if self.way == Way::Function {
            let Some(s) = &mut self.function else { return };
            pair = Pair::new(&s.f, &mut s.areas, shape);
            if pair.is_none() {
                return;
            }
        }
        let rings = pair.as_ref().map_or_else(Rings::default, Pair::rings);
        let channel = n as u16;
        self.channels[n] = Some(Chan::opening(offer, class, version, priority, pair));
        let at = (self.order.iter())
            .position(|&o| self.channels[usize::from(o)].as_ref().is_some_and(|c| c.priority > priority))
            .unwrap_or(self.order.len());
        self.order.insert(at, channel);
        self.say(&ToHost::Open(Open { offer, channel, version, rings }));
    }

    fn opened(&mut self, offer: u32, channel: u16, result: Opened) {
        let Some(c) = self.channels.get_mut(usize::from(channel)).and_then(Option::as_mut) else { return };
        if !c.is_opening() || c.offer != offer {
            return;
        }
        if result == Opened::Open {
            c.opened();
            let (class, version) = (c.class, c.version);
            self.events.push_back(Event::Opened { channel, class, version });
        } else {
            self.forget(channel, Gone::Bus);
        }
    }

    /// The session has joined on the function: MOVE for each channel, 0 last.
    fn move_over(&mut self) {
        let settled = self.channels.iter().flatten().all(Chan::is_open);
        if self.moving != Moving::Sent || self.way != Way::Serial || !settled || self.moves_out {
            return;
        }
        let Some(s) = &mut self.function else { return };
        let mut cannot = Vec::new();
        for &n in &self.order {
            let Some(c) = &mut self.channels[usize::from(n)] else { continue };
            let Some(pair) = Pair::new(&s.f, &mut s.areas, &self.settings.classes[c.class].shape) else {
                cannot.push(n);
                continue;
            };
            let open = Open { offer: c.offer, channel: n, version: c.version, rings: pair.rings() };
            c.rings = Some(pair);
            c.tx_rings = true;
            self.control_serial.push_back(ToHost::Move(open).bytes());
        }
        let zero = Open { offer: 0, channel: 0, version: self.asked, rings: s.rings() };
        for n in cannot {
            self.close(n);
        }
        self.control_serial.push_back(ToHost::Move(zero).bytes());
        self.moves_out = true;
    }

    fn moved(&mut self, channel: u16, result: Opened) {
        if self.moving != Moving::Sent {
            return;
        }
        if channel != 0 {
            if let Some(c) = self.channels.get_mut(usize::from(channel)).and_then(Option::as_mut) {
                if result == Opened::Open {
                    c.rx_rings = true;
                } else {
                    self.forget(channel, Gone::Bus);
                }
            }
            return;
        }
        (self.moving, self.moves_out) = (Moving::No, false);
        if result != Opened::Open {
            self.begin();
            return;
        }
        self.way = Way::Function;
        self.linger = Some(self.now + LINGER);
        // The host moved 0 last: what it did not move is not there.
        let left: Vec<u16> = (self.order.iter().copied())
            .filter(|&n| self.channels[usize::from(n)].as_ref().is_some_and(|c| !c.rx_rings))
            .collect();
        for n in left {
            self.forget(n, Gone::Bus);
        }
        self.events.push_back(Event::Moved);
    }
}
