//! Saved form of the channel. Version 1.

use board::{StateError, StateIn, StateOut};
use channel::bus::System;
use channel::packet::Assembly;
use channel::regs::{Fault, control};
use channel::serial::{Link, Packet};
use channel::{CHANNELS, Guid};
use minicbor::{Decode, Encode};

use super::Channel;
use super::bus::{Chan, Offer, Session};
use super::rings::{Memory, Pair, RingState};
use super::services::{Agent, Offered, Outbox, Way};

#[derive(Encode, Decode)]
struct ChannelV1 {
    #[cbor(n(0), with = "minicbor::bytes")]
    config: Vec<u8>,
    #[n(1)]
    control: u32,
    #[n(2)]
    fault: bool,
    #[n(3)]
    pending: u64,
    /// TX, RX, SIZE.
    #[n(4)]
    rings: (u32, u32, u32),
    #[n(5)]
    last_fault: Option<(u16, u8)>,
    #[n(6)]
    session: Option<SessionV1>,
    #[n(7)]
    offers: Vec<OfferV1>,
    #[n(8)]
    next_offer: u32,
    #[n(9)]
    channels: Vec<ChanV1>,
    #[n(10)]
    pairs: Vec<(u8, RingState, RingState, u32)>,
    /// By the function and by COM2.
    #[n(11)]
    replies: [Vec<minicbor::bytes::ByteVec>; 2],
    #[n(12)]
    ready: u64,
    #[cbor(n(13), with = "minicbor::bytes")]
    services: Vec<u8>,
    #[n(14)]
    window: u32,
    #[n(15)]
    link: Option<Link>,
    #[n(16)]
    held: Option<Packet>,
    #[n(17)]
    joined: bool,
}

#[derive(Encode, Decode)]
struct SessionV1 {
    #[n(0)]
    id: u64,
    #[n(1)]
    name: String,
    #[n(2)]
    system: u32,
    #[n(3)]
    version: u32,
    #[n(4)]
    offered: bool,
    #[n(5)]
    serial: bool,
}

#[derive(Encode, Decode)]
struct OfferV1 {
    #[n(0)]
    offer: u32,
    #[n(1)]
    service: u8,
    /// Class and instance.
    #[n(2)]
    guids: ([u8; 16], [u8; 16]),
    #[n(3)]
    version: u32,
    #[n(4)]
    priority: u8,
    #[n(5)]
    rescinded: bool,
}

#[derive(Encode, Decode)]
struct ChanV1 {
    #[n(0)]
    channel: u8,
    #[n(1)]
    offer: u32,
    #[n(2)]
    service: u8,
    #[n(3)]
    priority: u8,
    #[n(4)]
    serial: bool,
    #[cbor(n(5), with = "minicbor::bytes")]
    assembly: Vec<u8>,
    #[n(6)]
    outbox: Vec<minicbor::bytes::ByteVec>,
    #[n(7)]
    sent: u64,
    #[n(8)]
    blocked: bool,
}

const FAULTS: [Fault; 8] = [
    Fault::Ring,
    Fault::Index,
    Fault::Chain,
    Fault::Address,
    Fault::Direction,
    Fault::Packet,
    Fault::Message,
    Fault::Stalled,
];

fn way(serial: bool) -> Way {
    if serial { Way::Serial } else { Way::Function }
}

impl Channel {
    pub(super) fn save_to(&self, out: &mut StateOut) {
        let b = &self.bus;
        let session = b.session.as_ref().map(|s| SessionV1 {
            id: s.id,
            name: s.agent.name.clone(),
            system: s.agent.system.number(),
            version: s.agent.version,
            offered: s.offered,
            serial: s.agent.way == Way::Serial,
        });
        let offers = (b.offers.iter())
            .map(|o| OfferV1 {
                offer: o.offer,
                service: o.what.id,
                guids: (o.what.class.0, o.what.instance.0),
                version: o.what.version,
                priority: o.what.priority,
                rescinded: o.rescinded,
            })
            .collect();
        let none = Outbox::default();
        let channels = (0..)
            .zip(&b.channels)
            .filter_map(|(n, c)| {
                let c = c.as_ref()?;
                let outbox = b.boxes.get(&c.service).unwrap_or(&none);
                Some(ChanV1 {
                    channel: n,
                    offer: c.offer,
                    service: c.service,
                    priority: c.priority,
                    serial: c.way == Way::Serial,
                    assembly: c.assembly.bytes().to_vec(),
                    outbox: outbox.messages.iter().map(|m| m.clone().into()).collect(),
                    sent: outbox.sent as u64,
                    blocked: outbox.blocked,
                })
            })
            .collect();
        let pairs = (0..)
            .zip(&b.pairs)
            .filter_map(|(n, p)| {
                let (tx, rx, buffer) = p.as_ref()?.state();
                Some((n, tx, rx, buffer))
            })
            .collect();
        let v1 = ChannelV1 {
            config: self.config.bytes().to_vec(),
            control: self.control,
            fault: self.fault,
            pending: self.pending,
            rings: (self.tx, self.rx, self.size),
            last_fault: b.fault.map(|(f, n)| (f as u16, n)),
            session,
            offers,
            next_offer: b.next_offer,
            channels,
            pairs,
            replies: b.replies.each_ref().map(|all| all.iter().map(|r| r.clone().into()).collect()),
            ready: b.ready,
            services: b.services.save(),
            window: self.window_len,
            link: b.link.clone(),
            held: b.held.clone(),
            joined: b.joined,
        };
        out.put(1, &v1);
    }

    pub(super) fn load_from(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        let v: ChannelV1 = s.get(1)?;
        if v.window != self.window_len {
            return Err(s.bad("the window's size", v.window.into()));
        }
        let config = v.config.as_slice().try_into().map_err(|_| s.bad("config", v.config.len() as u64))?;
        self.config.set_bytes(config);
        self.control = v.control & (control::RUN | control::INTE);
        (self.fault, self.pending) = (v.fault, v.pending);
        (self.tx, self.rx, self.size) = v.rings;
        let m = Memory { ram: &self.ram, window: self.window };
        let b = &mut self.bus;
        b.fault = match v.last_fault {
            None => None,
            Some((f, n)) => {
                let fault = FAULTS.into_iter().find(|&x| x as u16 == f);
                Some((fault.ok_or_else(|| s.bad("last_fault", f.into()))?, n))
            }
        };
        b.session = v.session.map(|x| Session {
            id: x.id,
            agent: Agent {
                name: x.name,
                system: System::from_number(x.system),
                version: x.version,
                way: way(x.serial),
            },
            offered: x.offered,
        });
        b.services.load(&v.services).map_err(|why| s.damaged(&why))?;
        let there = b.services.offers();
        b.offers.clear();
        for o in v.offers {
            // A service that this build or spec lacks is rescinded when the machine goes on.
            let name = there.iter().find(|w| w.id == o.service).map_or("", |w| w.name);
            let what = Offered {
                id: o.service,
                class: Guid(o.guids.0),
                instance: Guid(o.guids.1),
                version: o.version,
                priority: o.priority,
                name,
            };
            b.offers.push(Offer { offer: o.offer, what, rescinded: o.rescinded });
        }
        b.next_offer = v.next_offer;
        b.pairs = [const { None }; CHANNELS];
        for (n, tx, rx, buffer) in v.pairs {
            let place = b.pairs.get_mut(usize::from(n)).ok_or_else(|| s.bad("pairs", n.into()))?;
            *place = Some(Pair::of(m, (tx, rx, buffer)).ok_or_else(|| s.bad("pairs", n.into()))?);
        }
        b.channels = [const { None }; CHANNELS];
        b.boxes.clear();
        for c in v.channels {
            let n = usize::from(c.channel);
            if n == 0 || n >= CHANNELS || b.channels[n].is_some() || b.boxes.contains_key(&c.service) {
                return Err(s.bad("channels", n as u64));
            }
            let mut outbox = Outbox { blocked: c.blocked, ..Outbox::default() };
            c.outbox.into_iter().for_each(|m| outbox.push(m.into()));
            let first = outbox.messages.front().map_or(0, Vec::len);
            outbox.sent = usize::try_from(c.sent)
                .ok()
                .filter(|&sent| sent == 0 || sent < first)
                .ok_or_else(|| s.bad("sent", c.sent))?;
            b.boxes.insert(c.service, outbox);
            b.channels[n] = Some(Chan {
                offer: c.offer,
                service: c.service,
                priority: c.priority,
                way: way(c.serial),
                assembly: Assembly::of(c.assembly),
            });
        }
        b.sort();
        b.replies = v.replies.map(|all| all.into_iter().map(Into::into).collect());
        (b.held, b.joined) = (v.held, v.joined);
        // A machine without the channel on COM2 has lost whoever came over it: nobody answers there.
        if let Some(own) = &mut b.link {
            *own = v.link.unwrap_or_default();
            own.check().map_err(|_| s.damaged("the serial link"))?;
        }
        b.ready = v.ready;
        if self.control & control::RUN != 0 && b.pairs[0].is_none() {
            return Err(s.bad("control", self.control.into()));
        }
        Ok(())
    }
}
