//! What is behind the bus: the host's services, as the chip sees them.

use std::collections::{BTreeMap, VecDeque};

use board::Tick;
use channel::Guid;
use channel::bus::System;

use super::ROOM;

/// A service's own number, below 64; its place in the world of the host. Offers to the guest are numbered anew each time.
pub type ServiceId = u8;

/// A service that is there for the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    pub id: ServiceId,
    pub class: Guid,
    pub instance: Guid,
    pub version: u32,
    /// 0 (served first) to 7.
    pub priority: u8,
    pub name: &'static str,
}

/// Which way the guest's agent goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The PCI function's rings.
    Function = 0,
    /// COM2.
    Serial = 1,
}

/// The wire to COM2: bytes for the guest. What the guest sends comes as [`board::HostEvent::Serial`].
pub trait Wire: Send {
    fn send(&mut self, bytes: Vec<u8>);
}

/// The guest's end of the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its name and version, as it says.
    pub name: String,
    pub system: System,
    /// Of the bus.
    pub version: u32,
    pub way: Way,
}

/// Something that the guest did wrong, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    pub what: channel::regs::Fault,
    pub channel: u8,
    pub service: Option<ServiceId>,
}

/// A message can't be taken: the channel is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// The host's services. All of it is called on the machine's thread and returns at once: what waits is done elsewhere and comes
/// back through [`Self::inbox`].
pub trait Services: Send {
    /// What there is now.
    fn offers(&self) -> Vec<Offered>;
    /// An agent is there, goes another way now, or is gone.
    fn agent(&mut self, out: &mut Out<'_>, agent: Option<&Agent>);
    fn opened(&mut self, out: &mut Out<'_>, service: ServiceId, version: u32);
    fn message(&mut self, out: &mut Out<'_>, service: ServiceId, message: &[u8]) -> Result<(), Refused>;
    /// There is room again for what the service has to say.
    fn writable(&mut self, _out: &mut Out<'_>, _service: ServiceId) {}
    fn closed(&mut self, out: &mut Out<'_>, service: ServiceId);
    /// Does it take messages now, when it has so much room for its answers? Until it does they wait in the ring.
    fn takes(&self, _service: ServiceId, _room: usize) -> bool {
        true
    }
    /// Something came from outside ([`board::HostEvent::Channel`]).
    fn inbox(&mut self, out: &mut Out<'_>);
    /// So many seconds passed that guest time does not count.
    fn missed(&mut self, out: &mut Out<'_>, seconds: u64);
    /// What [`Out::wake_at`] asked for.
    fn timer(&mut self, out: &mut Out<'_>);
    fn trouble(&mut self, t: Trouble);
    /// For saved state: whatever is to go on.
    fn save(&self) -> Vec<u8>;
    /// What `save` gave.
    fn load(&mut self, saved: &[u8]) -> Result<(), String>;
    /// The machine goes on from a saved state.
    fn restored(&mut self, out: &mut Out<'_>);
}

/// Messages on their way to the guest.
#[derive(Debug, Default, Clone)]
pub(super) struct Outbox {
    pub(super) messages: VecDeque<Vec<u8>>,
    /// Bytes of the first one that are in the guest's hands.
    pub(super) sent: usize,
    pub(super) bytes: usize,
    /// The service waits for room.
    pub(super) blocked: bool,
}

impl Outbox {
    pub(super) fn push(&mut self, m: Vec<u8>) {
        self.bytes += m.len().max(1);
        self.messages.push_back(m);
    }

    /// So many bytes of the first message went; it is done if that was its last packet.
    pub(super) fn went(&mut self, n: usize, last: bool) {
        self.sent += n;
        if last && let Some(m) = self.messages.pop_front() {
            self.bytes -= m.len().max(1);
            self.sent = 0;
        }
    }
}

/// What a service can do while it is called.
pub struct Out<'a> {
    pub(super) now: Tick,
    pub(super) boxes: &'a mut BTreeMap<ServiceId, Outbox>,
    pub(super) wake: &'a mut Option<Tick>,
    pub(super) ended: &'a mut Vec<ServiceId>,
    pub(super) changed: &'a mut bool,
}

impl Out<'_> {
    /// Guest time.
    pub fn now(&self) -> Tick {
        self.now
    }

    /// The guest has opened it.
    pub fn is_open(&self, service: ServiceId) -> bool {
        self.boxes.contains_key(&service)
    }

    /// Bytes that may be sent before the guest takes some. A service that sends much asks first, and is told when it is
    /// [`Services::writable`].
    pub fn room(&mut self, service: ServiceId) -> usize {
        let Some(b) = self.boxes.get_mut(&service) else { return 0 };
        let room = ROOM.saturating_sub(b.bytes);
        b.blocked |= room == 0;
        room
    }

    /// One message, if the guest has opened the service. What is sent beyond [`Self::room`] is kept up to a bound, then the channel
    /// is closed: the guest does not read.
    pub fn send(&mut self, service: ServiceId, message: Vec<u8>) {
        if let Some(b) = self.boxes.get_mut(&service) {
            b.push(message);
        }
    }

    /// Ends the service's channel.
    pub fn end(&mut self, service: ServiceId) {
        self.ended.push(service);
    }

    /// [`Services::timer`] is called then, or earlier if that was asked for before.
    pub fn wake_at(&mut self, t: Tick) {
        *self.wake = Some(self.wake.map_or(t, |w| w.min(t)));
    }

    /// [`Services::offers`] has changed.
    pub fn offers_changed(&mut self) {
        *self.changed = true;
    }
}
