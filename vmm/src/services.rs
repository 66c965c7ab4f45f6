//! The host's half of the integration channel: what its services do, and how an embedder asks them ([`Guest`]).
//!
//! All of it runs on the machine's thread, between two instructions, and returns at once. The page: docs/design/channel.md.

mod api;
pub(crate) mod com2;
mod diagnostics;
mod heartbeat;
mod information;
mod power;
mod programs;
mod time;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use board::Tick;
use channel::Guid;
use channel::services::{self as wire, Kind, Unknown, Unsupported};
use devices::channel::{Agent, Offered, Out, Refused, ServiceId, Services, Trouble, Way};
use minicbor::{Decode, Encode};

use crate::events::{Event, Events};
pub use channel::bus::System;
pub use channel::services::information::{About, Adapter, Package};
pub use channel::services::power::{Action, Do};
pub use channel::services::programs::{Run, Stream};

pub use api::{AgentSeen, Guest, GuestError, Output, Program, TestKind, TestResult};
pub(crate) use api::{Request, Shown};

pub use heartbeat::STUCK;

/// A service's own name in specs.
pub const NAMES: [&str; wire::KINDS.len()] = {
    let mut all = [""; wire::KINDS.len()];
    let mut n = 0;
    while n < all.len() {
        all[n] = wire::KINDS[n].name;
        n += 1;
    }
    all
};

/// What a service can do while it is called.
struct At<'a, 'o> {
    out: &'a mut Out<'o>,
    id: ServiceId,
    shared: &'a Shared,
}

impl At<'_, '_> {
    fn send<T: Encode<()>>(&mut self, message: &T) {
        self.out.send(self.id, wire::bytes(message));
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shared.shown()
    }

    fn open(&self) -> bool {
        self.out.is_open(self.id)
    }
}

/// One of the services.
trait Service: Send {
    fn opened(&mut self, _at: &mut At<'_, '_>) {}
    fn message(&mut self, at: &mut At<'_, '_>, message: &[u8]) -> Result<(), Refused>;
    fn closed(&mut self, _at: &mut At<'_, '_>) {}
    fn request(&mut self, at: &mut At<'_, '_>, request: Request);
    fn writable(&mut self, _at: &mut At<'_, '_>) {}
    fn takes(&self, _room: usize) -> bool {
        true
    }
    /// Called now and then, at the latest when [`Out::wake_at`] asked for it.
    fn timer(&mut self, _at: &mut At<'_, '_>) {}
    /// Time passed that the guest does not know of: a pause, or the machine goes on from a saved state.
    fn missed(&mut self, _at: &mut At<'_, '_>) {}
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }
    fn load(&mut self, _saved: &[u8]) -> Result<(), minicbor::decode::Error> {
        Ok(())
    }
}

/// A message from the guest: `Ok(None)` if it is of a kind that a newer agent has, which it is told.
fn parse<'b, T: Decode<'b, ()>>(at: &mut At<'_, '_>, message: &'b [u8]) -> Result<Option<T>, Refused> {
    match wire::parse(message) {
        Ok(m) => Ok(Some(m)),
        Err(Unknown::Kind(kind)) => {
            at.send(&(0_u32, Unsupported { kind }));
            Ok(None)
        }
        Err(Unknown::Malformed) => Err(Refused),
    }
}

/// Between the machine's thread and whoever asks.
pub(crate) struct Shared {
    shown: Mutex<Shown>,
    inbox: Mutex<VecDeque<(ServiceId, Request)>>,
    events: Events,
}

impl Shared {
    pub(crate) fn new(events: Events) -> Arc<Self> {
        Arc::new(Self { shown: Mutex::default(), inbox: Mutex::default(), events })
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        // Who panicked left whole values behind.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inbox(&self) -> MutexGuard<'_, VecDeque<(ServiceId, Request)>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the time is in the world, in nanoseconds since 1970 UTC, at a guest time.
pub(crate) type WorldClock = Box<dyn Fn(Tick) -> u64 + Send>;

struct Entry {
    kind: Kind,
    service: Box<dyn Service>,
    on: bool,
}

/// All services.
pub(crate) struct Host {
    entries: Vec<Entry>,
    shared: Arc<Shared>,
}

/// Hosts offer one instance of each service.
const INSTANCE: Guid = Guid::new(0x3d0a_5a2e, 0x9f6b, 0x4b0c, 0x8f5e_6d8a_4c1b_0001);

impl Host {
    /// `off`: services that are not offered.
    pub(crate) fn new(shared: Arc<Shared>, clock: WorldClock, off: &[&'static str]) -> Self {
        let entry =
            |kind: Kind, service: Box<dyn Service>| Entry { kind, service, on: !off.contains(&kind.name) };
        let entries = vec![
            entry(wire::HEARTBEAT, Box::<heartbeat::Heartbeat>::default()),
            entry(wire::TIME, Box::new(time::Time::new(clock))),
            entry(wire::POWER, Box::<power::Power>::default()),
            entry(wire::INFORMATION, Box::<information::Information>::default()),
            entry(wire::PROGRAMS, Box::<programs::Programs>::default()),
            entry(wire::DIAGNOSTICS, Box::<diagnostics::Diagnostics>::default()),
        ];
        let mut shown = shared.shown();
        shown.on = entries.iter().map(|e| e.on).collect();
        shown.open = vec![false; entries.len()];
        drop(shown);
        Self { entries, shared }
    }

    fn with<R>(
        &mut self,
        out: &mut Out<'_>,
        id: ServiceId,
        f: impl FnOnce(&mut dyn Service, &mut At<'_, '_>) -> R,
    ) -> Option<R> {
        let e = self.entries.get_mut(usize::from(id))?;
        Some(f(&mut *e.service, &mut At { out, id, shared: &self.shared }))
    }

    fn each(&mut self, out: &mut Out<'_>, f: impl Fn(&mut dyn Service, &mut At<'_, '_>)) {
        for id in 0..self.entries.len() as ServiceId {
            self.with(out, id, &f);
        }
    }

    fn set_open(&self, service: ServiceId, open: bool) {
        if let Some(o) = self.shared.shown().open.get_mut(usize::from(service)) {
            *o = open;
        }
    }
}

#[derive(Encode, Decode)]
struct Saved {
    /// By name, so that services may come and go between builds.
    #[n(0)]
    services: Vec<(String, minicbor::bytes::ByteVec, bool)>,
    /// Name, system, version of the bus, over COM2.
    #[n(1)]
    agent: Option<(String, u32, u32, bool)>,
    #[n(2)]
    open: Vec<String>,
}

impl Services for Host {
    fn offers(&self) -> Vec<Offered> {
        (0..)
            .zip(&self.entries)
            .filter(|(_, e)| e.on)
            .map(|(id, e)| Offered {
                id,
                class: e.kind.class,
                instance: INSTANCE,
                version: e.kind.version,
                priority: e.kind.priority,
                name: e.kind.name,
            })
            .collect()
    }

    fn agent(&mut self, _out: &mut Out<'_>, agent: Option<&Agent>) {
        let seen = agent.map(AgentSeen::of);
        let was = std::mem::replace(&mut self.shared.shown().agent, seen.clone());
        if was != seen {
            self.shared.events.tell(Event::Agent(seen));
        }
    }

    fn opened(&mut self, out: &mut Out<'_>, service: ServiceId, _version: u32) {
        self.set_open(service, true);
        self.with(out, service, |s, at| s.opened(at));
    }

    fn message(&mut self, out: &mut Out<'_>, service: ServiceId, message: &[u8]) -> Result<(), Refused> {
        self.with(out, service, |s, at| s.message(at, message)).unwrap_or(Err(Refused))
    }

    fn writable(&mut self, out: &mut Out<'_>, service: ServiceId) {
        self.with(out, service, |s, at| s.writable(at));
    }

    fn closed(&mut self, out: &mut Out<'_>, service: ServiceId) {
        self.set_open(service, false);
        self.with(out, service, |s, at| s.closed(at));
    }

    fn takes(&self, service: ServiceId, room: usize) -> bool {
        self.entries.get(usize::from(service)).is_none_or(|e| e.service.takes(room))
    }

    fn inbox(&mut self, out: &mut Out<'_>) {
        loop {
            let Some((id, request)) = self.shared.inbox().pop_front() else { return };
            if let Request::Offer(on) = request {
                if let Some(e) = self.entries.get_mut(usize::from(id)) {
                    e.on = on;
                    self.shared.shown().on[usize::from(id)] = on;
                    out.offers_changed();
                }
                continue;
            }
            self.with(out, id, |s, at| s.request(at, request));
        }
    }

    fn missed(&mut self, out: &mut Out<'_>, _seconds: u64) {
        self.each(out, |s, at| s.missed(at));
    }

    fn timer(&mut self, out: &mut Out<'_>) {
        self.each(out, |s, at| s.timer(at));
    }

    fn trouble(&mut self, t: Trouble) {
        let service = t.service.and_then(|id| self.entries.get(usize::from(id))).map(|e| e.kind.name);
        let what = match service {
            Some(s) => format!("service {s}"),
            None if t.channel == 0 => "the bus".into(),
            None => format!("channel {}", t.channel),
        };
        tracing::warn!(
            "integration channel: the guest's end of {what} did wrong ({:?}) and was closed",
            t.what
        );
    }

    fn save(&self) -> Vec<u8> {
        let shown = self.shared.shown();
        let of = |a: &AgentSeen| (a.name.clone(), a.system.number(), a.version, a.serial);
        let open = self.entries.iter().zip(&shown.open).filter(|(_, open)| **open);
        let saved = Saved {
            services: (self.entries.iter())
                .map(|e| (e.kind.name.into(), e.service.save().into(), e.on))
                .collect(),
            agent: shown.agent.as_ref().map(of),
            open: open.map(|(e, _)| e.kind.name.into()).collect(),
        };
        wire::bytes(&saved)
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), String> {
        let saved: Saved = minicbor::decode(saved).map_err(|e| format!("services: {e}"))?;
        for (name, body, on) in saved.services {
            // One that this build lacks is rescinded.
            let Some(e) = self.entries.iter_mut().find(|e| e.kind.name == name) else { continue };
            e.service.load(&body).map_err(|why| format!("service {name}: {why}"))?;
            // What the spec forbids stays forbidden.
            e.on &= on;
        }
        let mut shown = self.shared.shown();
        shown.on = self.entries.iter().map(|e| e.on).collect();
        shown.open = self.entries.iter().map(|e| saved.open.iter().any(|n| n == e.kind.name)).collect();
        shown.agent = saved.agent.map(|(name, system, version, serial)| AgentSeen {
            name,
            system: channel::bus::System::from_number(system),
            version,
            serial,
        });
        Ok(())
    }

    fn restored(&mut self, out: &mut Out<'_>) {
        self.each(out, |s, at| s.missed(at));
        self.each(out, |s, at| s.timer(at));
    }
}

impl AgentSeen {
    fn of(a: &Agent) -> Self {
        Self { name: a.name.clone(), system: a.system, version: a.version, serial: a.way == Way::Serial }
    }
}
