//! The bus: who is at its other end, what is offered and open, and how messages go. docs/design/channel.md, section 2.

use std::collections::{BTreeMap, VecDeque};

use board::Tick;
use channel::bus::{self, Closed, JOINED, Open, Opened, System, ToGuest, ToHost};
use channel::packet::{Assembly, MORE};
use channel::regs::Fault;
use channel::serial::{self, Link, PAYLOAD_MOST};
use channel::{CHANNELS, MESSAGE_MOST, VERSION};

use super::rings::{Memory, Pair};
use super::services::{Agent, Offered, Out, Outbox, ServiceId, Services, Trouble, Way};
use super::{OUTBOX_MOST, ROOM};

/// Packets, and bytes of them, that one access of the guest's has looked at. The rest follows by a timer.
const PACKETS: u32 = 1024;
const BYTES: usize = 8 << 20;
/// Answers of channel 0 that wait for the guest before more is taken from it.
const REPLIES: usize = 64;

pub(super) struct Session {
    pub(super) id: u64,
    pub(super) agent: Agent,
    /// It has asked for offers.
    pub(super) offered: bool,
}

pub(super) struct Offer {
    pub(super) offer: u32,
    pub(super) what: Offered,
    /// Gone; the guest has not yet let go of it.
    pub(super) rescinded: bool,
}

/// A channel that is open.
pub(super) struct Chan {
    pub(super) offer: u32,
    pub(super) service: ServiceId,
    pub(super) priority: u8,
    pub(super) way: Way,
    pub(super) assembly: Assembly,
}

/// Counters for `ctl metrics`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) packets_in: u64,
    pub(super) bytes_in: u64,
    pub(super) packets_out: u64,
    pub(super) bytes_out: u64,
    pub(super) faults: u64,
    pub(super) sessions: u64,
}

impl Seen {
    fn packet_in(&mut self, payload: &[u8]) {
        self.packets_in += 1;
        self.bytes_in += payload.len() as u64;
    }

    fn packet_out(&mut self, payload: &[u8]) {
        self.packets_out += 1;
        self.bytes_out += payload.len() as u64;
    }
}

pub(super) struct Bus {
    pub(super) services: Box<dyn Services>,
    pub(super) name: String,
    pub(super) session: Option<Session>,
    pub(super) offers: Vec<Offer>,
    pub(super) next_offer: u32,
    pub(super) channels: [Option<Chan>; CHANNELS],
    /// Of open channels, the first one served first.
    order: Vec<u8>,
    pub(super) pairs: [Option<Pair>; CHANNELS],
    pub(super) boxes: BTreeMap<ServiceId, Outbox>,
    /// Messages of channel 0 on their way to the guest, by the function and by COM2.
    pub(super) replies: [VecDeque<Vec<u8>>; 2],
    /// COM2, if the channel has it.
    pub(super) link: Option<Link>,
    /// What came over COM2 and its service does not take yet.
    pub(super) held: Option<serial::Packet>,
    /// The function's HELLO was of the session that goes over COM2: ring 0 waits until that is moved.
    pub(super) joined: bool,
    /// Channels that the guest has rung for and that are not served yet.
    pub(super) ready: u64,
    /// Channels whose rings the guest is to be interrupted for.
    pub(super) pending: u64,
    /// What is wrong with the last channel that was: FAULT.
    pub(super) fault: Option<(Fault, u8)>,
    pub(super) wake: Option<Tick>,
    ended: Vec<ServiceId>,
    changed: bool,
    now: Tick,
    scratch: Vec<u8>,
    pub(super) seen: Seen,
}

impl Bus {
    pub(super) fn new(services: Box<dyn Services>, name: String) -> Self {
        Self {
            services,
            name,
            session: None,
            offers: Vec::new(),
            next_offer: 1,
            channels: [const { None }; CHANNELS],
            order: Vec::new(),
            pairs: [const { None }; CHANNELS],
            boxes: BTreeMap::new(),
            replies: [const { VecDeque::new() }; 2],
            link: None,
            held: None,
            joined: false,
            ready: 0,
            pending: 0,
            fault: None,
            wake: None,
            ended: Vec::new(),
            changed: false,
            now: 0,
            scratch: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Lets the services do something.
    pub(super) fn call<R>(&mut self, f: impl FnOnce(&mut dyn Services, &mut Out<'_>) -> R) -> R {
        let mut out = Out {
            now: self.now,
            boxes: &mut self.boxes,
            wake: &mut self.wake,
            ended: &mut self.ended,
            changed: &mut self.changed,
        };
        f(&mut *self.services, &mut out)
    }

    pub(super) fn set_now(&mut self, now: Tick) {
        self.now = now;
    }

    /// Channel 0's rings are there: an agent may say HELLO.
    pub(super) fn start(&mut self, control: Pair) {
        self.stop();
        self.pairs[0] = Some(control);
        self.ready = 1;
    }

    /// The function is stopped. A session that goes over COM2, all of it, goes on.
    pub(super) fn stop(&mut self) {
        let by_rings = self.channels.iter().flatten().any(|c| c.way == Way::Function);
        if by_rings || self.way() != Some(Way::Serial) {
            self.begin_anew();
        }
        self.pairs = [const { None }; CHANNELS];
        self.replies[Way::Function as usize].clear();
        self.joined = false;
        self.ready = 0;
        self.pending = 0;
    }

    /// The guest was reset.
    pub(super) fn reset(&mut self) {
        self.begin_anew();
        self.stop();
        self.replies = Default::default();
        self.held = None;
        self.fault = None;
        if let Some(link) = &mut self.link {
            link.clear();
        }
    }

    /// Which way channel 0 goes.
    fn way(&self) -> Option<Way> {
        self.session.as_ref().map(|s| s.agent.way)
    }

    /// Nothing is open, nothing offered, nobody there.
    fn begin_anew(&mut self) {
        for n in std::mem::take(&mut self.order) {
            self.drop_channel(n);
        }
        self.offers.clear();
        self.joined = false;
        if self.session.take().is_some() {
            self.call(|s, out| s.agent(out, None));
        }
    }

    fn reply(&mut self, m: &ToGuest) {
        let way = self.way().unwrap_or(Way::Function);
        self.reply_by(way, m);
    }

    fn reply_by(&mut self, way: Way, m: &ToGuest) {
        self.replies[way as usize].push_back(m.bytes());
    }

    fn drop_channel(&mut self, n: u8) -> Option<Chan> {
        let chan = self.channels[usize::from(n)].take()?;
        self.order.retain(|&c| c != n);
        self.pairs[usize::from(n)] = None;
        self.ready &= !(1 << n);
        self.boxes.remove(&chan.service);
        self.call(|s, out| s.closed(out, chan.service));
        Some(chan)
    }

    fn close(&mut self, n: u8, reason: Closed) {
        if self.drop_channel(n).is_some() {
            self.reply(&ToGuest::Closed { channel: n.into(), reason });
        }
    }

    /// The guest did something wrong on a channel: that is over. True: it was channel 0, and so is the bus.
    fn trouble(&mut self, n: u8, what: Fault) -> bool {
        self.seen.faults += 1;
        self.fault = Some((what, n));
        let service = self.channels[usize::from(n)].as_ref().map(|c| c.service);
        self.services.trouble(Trouble { what, channel: n, service });
        if n == 0 {
            self.stop();
            return true;
        }
        self.close(n, Closed::Fault);
        false
    }

    /// Serves what waits. `Ok(true)`: there is more than one access may take. `Err`: the function has stopped.
    pub(super) fn work(&mut self, m: Memory<'_>) -> Result<bool, ()> {
        let (mut packets, mut bytes) = (PACKETS, BYTES);
        let more = loop {
            self.take_from_link(m);
            self.control(m)?;
            let mut busy = false;
            let mut at = 0;
            // What a service does may open and close channels.
            while let Some(&n) = self.order.get(at) {
                busy |= self.pump(m, n, &mut packets, &mut bytes);
                busy |= self.flush(m, n, &mut bytes);
                at += 1;
            }
            self.settle();
            self.flush_control(m)?;
            if busy || !self.hears_control() {
                break busy;
            }
        };
        for n in 0..CHANNELS as u8 {
            let Some(pair) = &mut self.pairs[usize::from(n)] else { continue };
            match pair.interrupts(m) {
                Ok(true) => self.pending |= 1 << n,
                Ok(false) => {}
                Err(f) => {
                    if self.trouble(n, f) {
                        return Err(());
                    }
                }
            }
        }
        Ok(more)
    }

    /// What services did to their channels and offers.
    fn settle(&mut self) {
        for id in std::mem::take(&mut self.ended) {
            if let Some(n) = self.channel_of(id) {
                self.close(n, Closed::Ended);
            }
        }
        if std::mem::take(&mut self.changed) {
            self.sync_offers();
        }
        let stuck: Vec<u8> = (self.order.iter().copied())
            .filter(|&n| {
                let id = self.channels[usize::from(n)].as_ref().map(|c| c.service);
                id.and_then(|id| self.boxes.get(&id)).is_some_and(|b| b.bytes > OUTBOX_MOST)
            })
            .collect();
        for n in stuck {
            self.trouble(n, Fault::Stalled);
        }
    }

    fn channel_of(&self, service: ServiceId) -> Option<u8> {
        (self.order.iter().copied())
            .find(|&n| self.channels[usize::from(n)].as_ref().is_some_and(|c| c.service == service))
    }

    /// There may be messages in ring 0, and answers to them have room.
    fn hears_control(&self) -> bool {
        let room = self.replies[Way::Function as usize].len() < REPLIES;
        self.ready & 1 != 0 && room && !self.joined && self.pairs[0].is_some()
    }

    /// Takes messages of channel 0.
    fn control(&mut self, m: Memory<'_>) -> Result<(), ()> {
        while self.hears_control() {
            let Some(pair) = &mut self.pairs[0] else { return Ok(()) };
            let mut buf = std::mem::take(&mut self.scratch);
            let done = match pair.take(m, &mut buf) {
                Ok(None) => {
                    self.ready &= !1;
                    Ok(())
                }
                Ok(Some(flags)) => {
                    self.seen.packet_in(&buf);
                    let sound = flags == 0 && buf.len() <= bus::MOST;
                    match ToHost::parse(&buf) {
                        Ok(message) if sound => self.message(m, Way::Function, message),
                        _ => Err(Fault::Message),
                    }
                }
                Err(f) => Err(f),
            };
            self.scratch = buf;
            if let Err(f) = done {
                self.trouble(0, f);
                return Err(());
            }
        }
        Ok(())
    }

    fn flush_control(&mut self, m: Memory<'_>) -> Result<(), ()> {
        self.replies_to_link();
        while let Some(r) = self.replies[Way::Function as usize].front() {
            let Some(pair) = &mut self.pairs[0] else { return Ok(()) };
            match pair.put(m, 0, r) {
                Ok(true) => {
                    self.seen.packet_out(r);
                    self.replies[Way::Function as usize].pop_front();
                }
                Ok(false) => break,
                Err(f) => {
                    self.trouble(0, f);
                    return Err(());
                }
            }
        }
        Ok(())
    }

    /// Does a service take messages now?
    fn takes(&self, id: ServiceId) -> bool {
        let room = ROOM.saturating_sub(self.boxes.get(&id).map_or(0, |b| b.bytes));
        self.services.takes(id, room)
    }

    /// Gives a channel's messages to its service. True: there are more.
    fn pump(&mut self, m: Memory<'_>, n: u8, packets: &mut u32, bytes: &mut usize) -> bool {
        let at = usize::from(n);
        while self.ready & 1 << n != 0 {
            // One that goes over COM2 has no rings.
            let Some(chan) = self.channels[at].as_ref().filter(|_| self.pairs[at].is_some()) else {
                self.ready &= !(1 << n);
                return false;
            };
            let id = chan.service;
            if !self.takes(id) {
                return false;
            }
            if *packets == 0 || *bytes == 0 {
                return true;
            }
            let Some(pair) = &mut self.pairs[at] else { return false };
            let mut buf = std::mem::take(&mut self.scratch);
            let flags = match pair.take(m, &mut buf) {
                Ok(Some(flags)) => flags,
                Ok(None) => {
                    self.scratch = buf;
                    self.ready &= !(1 << n);
                    return false;
                }
                Err(f) => {
                    self.scratch = buf;
                    self.trouble(n, f);
                    return false;
                }
            };
            *packets -= 1;
            *bytes = bytes.saturating_sub(buf.len());
            self.seen.packet_in(&buf);
            let went = self.arrived(n, id, flags, &buf);
            self.scratch = buf;
            if let Err(f) = went {
                self.trouble(n, f);
                return false;
            }
        }
        false
    }

    /// What a channel that is about to be closed still has in its ring, as far as its service takes it.
    fn last_words(&mut self, m: Memory<'_>, n: u8) {
        self.ready |= 1 << n;
        let (mut packets, mut bytes) = (PACKETS, BYTES);
        self.pump(m, n, &mut packets, &mut bytes);
    }

    /// A packet of an open channel's.
    fn arrived(&mut self, n: u8, id: ServiceId, flags: u16, payload: &[u8]) -> Result<(), Fault> {
        let Some(chan) = &mut self.channels[usize::from(n)] else { return Ok(()) };
        let whole = if flags & MORE == 0 && chan.assembly.bytes().is_empty() {
            self.call(|s, out| s.message(out, id, payload))
        } else {
            match chan.assembly.add(flags, payload.to_vec()) {
                Ok(Some(message)) => self.call(|s, out| s.message(out, id, &message)),
                Ok(None) => Ok(()),
                Err(_too_long) => return Err(Fault::Packet),
            }
        };
        whole.map_err(|_refused| Fault::Message)
    }

    /// Puts a service's messages into the guest's buffers, as far as they go. True: there are more.
    fn flush(&mut self, m: Memory<'_>, n: u8, bytes: &mut usize) -> bool {
        let at = usize::from(n);
        loop {
            let Some(chan) = &self.channels[at] else { return false };
            if chan.way == Way::Serial {
                self.flush_to_link(n);
                return false;
            }
            let (Some(chan), Some(pair)) = (&self.channels[at], &mut self.pairs[at]) else { return false };
            let id = chan.service;
            let Some(b) = self.boxes.get_mut(&id) else { return false };
            while let Some(first) = b.messages.front() {
                if *bytes == 0 {
                    return true;
                }
                let (flags, part) = next_packet(first, b.sent, pair.payload());
                let len = part.len();
                match pair.put(m, flags, part) {
                    Ok(true) => {
                        self.seen.packet_out(part);
                        *bytes = bytes.saturating_sub(len);
                        b.went(len, flags == 0);
                    }
                    Ok(false) => break,
                    Err(f) => {
                        self.trouble(n, f);
                        return false;
                    }
                }
            }
            if !self.has_room(id) {
                return false;
            }
        }
    }

    /// Lets a service that waits for room go on. True: it said something.
    fn has_room(&mut self, id: ServiceId) -> bool {
        let Some(b) = self.boxes.get_mut(&id) else { return false };
        if !b.blocked || b.bytes > ROOM / 2 {
            return false;
        }
        b.blocked = false;
        let before = b.messages.len();
        self.call(|s, out| s.writable(out, id));
        self.boxes.get(&id).is_some_and(|b| b.messages.len() != before)
    }

    /// Puts a service's messages into the serial link, as far as it takes them.
    fn flush_to_link(&mut self, n: u8) {
        loop {
            let Some(chan) = &self.channels[usize::from(n)] else { return };
            let id = chan.service;
            let (Some(b), Some(link)) = (self.boxes.get_mut(&id), &mut self.link) else { return };
            while let Some(first) = b.messages.front()
                && link.room() > 0
            {
                let (flags, part) = next_packet(first, b.sent, PAYLOAD_MOST);
                if link.send(n.into(), flags, part).is_err() {
                    return;
                }
                self.seen.packet_out(part);
                let len = part.len();
                b.went(len, flags == 0);
            }
            if !self.has_room(id) {
                return;
            }
        }
    }

    fn replies_to_link(&mut self) {
        let Some(link) = &mut self.link else { return };
        let replies = &mut self.replies[Way::Serial as usize];
        while link.room() > 0
            && let Some(r) = replies.front()
            && link.send(0, 0, r).is_ok()
        {
            self.seen.packet_out(r);
            replies.pop_front();
        }
    }

    /// Whatever goes over COM2 is gone.
    fn serial_gone(&mut self) {
        if self.way() == Some(Way::Serial) {
            self.begin_anew();
        }
        self.replies[Way::Serial as usize].clear();
        self.held = None;
    }

    /// Takes what came over COM2.
    fn take_from_link(&mut self, m: Memory<'_>) {
        loop {
            let packet = match self.held.take() {
                Some(p) => p,
                None => match self.link.as_mut().and_then(Link::event) {
                    Some(serial::Event::Packet(p)) => p,
                    Some(serial::Event::Began | serial::Event::Down) => {
                        self.serial_gone();
                        continue;
                    }
                    None => return,
                },
            };
            if packet.channel == 0 {
                if self.replies[Way::Serial as usize].len() >= REPLIES {
                    self.held = Some(packet);
                    return;
                }
                let sound = packet.flags == 0 && packet.payload.len() <= bus::MOST;
                let done = match ToHost::parse(&packet.payload) {
                    Ok(message) if sound => self.message(m, Way::Serial, message),
                    _ => Err(Fault::Message),
                };
                if let Err(what) = done {
                    self.seen.faults += 1;
                    self.services.trouble(Trouble { what, channel: 0, service: None });
                    self.serial_gone();
                    if let Some(link) = &mut self.link {
                        link.clear();
                    }
                }
                continue;
            }
            // A channel that is closed, or moved: what comes late is nobody's.
            let Some(n) = u8::try_from(packet.channel).ok().filter(|n| usize::from(*n) < CHANNELS) else {
                continue;
            };
            let Some(chan) = self.channels[usize::from(n)].as_ref().filter(|c| c.way == Way::Serial) else {
                continue;
            };
            let id = chan.service;
            if !self.takes(id) {
                self.held = Some(packet);
                return;
            }
            self.seen.packet_in(&packet.payload);
            let known = packet.flags & !MORE == 0;
            let went =
                if known { self.arrived(n, id, packet.flags, &packet.payload) } else { Err(Fault::Packet) };
            if let Err(f) = went {
                self.trouble(n, f);
            }
        }
    }

    /// A message of channel 0.
    fn message(&mut self, m: Memory<'_>, way: Way, message: ToHost) -> Result<(), Fault> {
        if let ToHost::Hello { newest, oldest, session, system, name, .. } = message {
            self.hello(way, newest, oldest, session, system, name);
            return Ok(());
        }
        if self.way() != Some(way) {
            return Err(Fault::Message);
        }
        match message {
            ToHost::Hello { .. } => {}
            ToHost::RequestOffers => {
                if let Some(s) = &mut self.session {
                    s.offered = true;
                }
                let there: Vec<ToGuest> = self
                    .offers
                    .iter()
                    .filter(|o| !o.rescinded)
                    .map(|o| ToGuest::Offer(o.message()))
                    .collect();
                there.iter().for_each(|o| self.reply(o));
                self.reply(&ToGuest::AllOffered);
            }
            ToHost::Open(o) => {
                let result = self.open(m, way, &o);
                self.reply(&ToGuest::Opened { offer: o.offer, channel: o.channel, result });
            }
            ToHost::Close { channel } => match u8::try_from(channel) {
                Ok(n) if usize::from(n) < CHANNELS && self.channels[usize::from(n)].is_some() => {
                    self.last_words(m, n);
                    self.close(n, Closed::Asked);
                }
                _ => self.reply(&ToGuest::Closed { channel, reason: Closed::Asked }),
            },
            ToHost::Released { offer } => self.offers.retain(|o| !(o.offer == offer && o.rescinded)),
            ToHost::Move(o) => {
                let result = self.move_to_rings(m, way, &o);
                self.reply_by(way, &ToGuest::Moved { channel: o.channel, result });
            }
            ToHost::Bye => {
                for n in self.order.clone() {
                    self.last_words(m, n);
                }
                self.begin_anew();
                self.reply(&ToGuest::Gone);
            }
        }
        Ok(())
    }

    fn hello(&mut self, way: Way, newest: u32, oldest: u32, id: u64, system: System, name: String) {
        let longest = MESSAGE_MOST as u32;
        let welcome = |flags, name| ToGuest::Welcome { version: VERSION, flags, features: 0, longest, name };
        let same = self.session.as_ref().is_some_and(|s| s.id == id && s.agent.way == Way::Serial);
        if way == Way::Function && same {
            self.joined = true;
            let name = self.name.clone();
            return self.reply_by(way, &welcome(JOINED, name));
        }
        self.begin_anew();
        self.replies[way as usize].clear();
        if oldest > VERSION || newest < VERSION {
            return self.reply_by(way, &ToGuest::Refused { newest: VERSION, oldest: VERSION });
        }
        self.seen.sessions += 1;
        let agent = Agent { name, system, version: VERSION, way };
        self.call(|s, out| s.agent(out, Some(&agent)));
        self.session = Some(Session { id, agent, offered: false });
        self.sync_offers();
        let name = self.name.clone();
        self.reply(&welcome(0, name));
    }

    /// From COM2 to the function.
    fn move_to_rings(&mut self, m: Memory<'_>, way: Way, o: &Open) -> Opened {
        if way != Way::Serial || !self.joined {
            return Opened::NoOffer;
        }
        if o.channel == 0 {
            self.joined = false;
            if let Some(s) = &mut self.session {
                s.agent.way = Way::Function;
                let agent = s.agent.clone();
                self.call(|s, out| s.agent(out, Some(&agent)));
            }
            return Opened::Open;
        }
        let n = usize::from(o.channel);
        let open = self.channels.get_mut(n).and_then(Option::as_mut).filter(|c| c.way == Way::Serial);
        let Some(chan) = open else { return Opened::NoOffer };
        let Ok(pair) = Pair::open(m, &o.rings) else { return Opened::Rings };
        chan.way = Way::Function;
        self.pairs[n] = Some(pair);
        self.ready |= 1 << n;
        Opened::Open
    }

    fn open(&mut self, m: Memory<'_>, way: Way, o: &Open) -> Opened {
        let n = usize::from(o.channel);
        if n == 0 || n >= CHANNELS || self.channels[n].is_some() {
            return Opened::InUse;
        }
        let Some(offer) = self.offers.iter().find(|f| f.offer == o.offer && !f.rescinded) else {
            return Opened::NoOffer;
        };
        let what = offer.what.clone();
        if self.boxes.contains_key(&what.id) {
            return Opened::Already;
        }
        if o.version == 0 || o.version > what.version {
            return Opened::Version;
        }
        if way == Way::Function {
            let Ok(pair) = Pair::open(m, &o.rings) else { return Opened::Rings };
            self.pairs[n] = Some(pair);
        }
        let chan = Chan {
            offer: o.offer,
            service: what.id,
            priority: what.priority,
            way,
            assembly: Assembly::default(),
        };
        self.channels[n] = Some(chan);
        self.sort();
        self.ready |= 1 << n;
        self.boxes.insert(what.id, Outbox::default());
        self.call(|s, out| s.opened(out, what.id, o.version));
        Opened::Open
    }

    /// Which open channel is served first.
    pub(super) fn sort(&mut self) {
        let mut order: Vec<(u8, u8)> =
            (0..).zip(&self.channels).filter_map(|(n, c)| c.as_ref().map(|c| (c.priority, n))).collect();
        order.sort_unstable();
        self.order = order.into_iter().map(|(_, n)| n).collect();
    }

    /// Offers what is new, rescinds what is gone.
    fn sync_offers(&mut self) {
        let Some(session) = &self.session else { return };
        let told = session.offered;
        let now = self.services.offers();
        let gone: Vec<u32> = (self.offers.iter())
            .filter(|o| !o.rescinded && !now.contains(&o.what))
            .map(|o| o.offer)
            .collect();
        for offer in gone {
            let open = (0..).zip(&self.channels).find(|(_, c)| c.as_ref().is_some_and(|c| c.offer == offer));
            if let Some((n, _)) = open {
                self.close(n, Closed::Rescinded);
            }
            if told {
                self.offers.iter_mut().filter(|o| o.offer == offer).for_each(|o| o.rescinded = true);
                self.reply(&ToGuest::Rescind { offer });
            } else {
                self.offers.retain(|o| o.offer != offer);
            }
        }
        for what in now {
            if self.offers.iter().any(|o| !o.rescinded && o.what == what) {
                continue;
            }
            let offer = Offer { offer: self.next_offer, what, rescinded: false };
            self.next_offer = self.next_offer.wrapping_add(1).max(1);
            if told {
                self.reply(&ToGuest::Offer(offer.message()));
            }
            self.offers.push(offer);
        }
    }
}

/// Flags and payload of a message's packet that begins there.
fn next_packet(message: &[u8], at: usize, most: usize) -> (u16, &[u8]) {
    let rest = &message[at..];
    let part = &rest[..rest.len().min(most)];
    (if part.len() < rest.len() { MORE } else { 0 }, part)
}

impl Offer {
    fn message(&self) -> bus::Offer {
        bus::Offer {
            offer: self.offer,
            class: self.what.class,
            instance: self.what.instance,
            version: self.what.version,
            priority: self.what.priority,
            name: self.what.name.into(),
        }
    }
}
