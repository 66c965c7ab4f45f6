//! The guest's end of the bus. docs/design/channel.md, section 2.
//!
//! A machine without an operating system: it has the PCI function if the platform gave it one, or bytes of the serial port; it
//! says HELLO, opens what is offered and known, and gives and takes whole messages. The host is not trusted: what it sends
//! is checked, and what is held for it is bounded.

mod areas;
mod chan;
mod function;
mod host;

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::bus::{self, System, ToHost};
use crate::serial::Link;
use crate::{CHANNELS, Guid};

use chan::Chan;
use function::Started;
pub use function::{Function, NotOurs};

const SECOND: u64 = 1_000_000_000;
/// HELLO is said again, or the function started anew, after so long without an answer.
const ANSWER: u64 = 5 * SECOND;
/// STATUS is looked at so often.
const LOOK: u64 = SECOND;
/// After REFUSED by a host that has nothing in common with us.
const REFUSED_REST: u64 = 60 * SECOND;
/// Once moved, the link stays to acknowledge what came last.
const LINGER: u64 = 2 * SECOND;
/// Offers that are remembered.
const OFFERS_MOST: usize = 256;
/// A channel that is closed for a fault is opened again so often.
const AGAIN_MOST: u8 = 5;
/// Messages of channel 0 that wait to go out; a host that makes us say more is not one.
const CONTROL_MOST: usize = 512;
/// Bytes of messages that wait on a channel; one may exceed it.
pub const QUEUE_MOST: usize = 1 << 20;

/// From so many bytes on they are not left for `poll`.
const PUMP: usize = 256 << 10;

/// A channel's rings: entries, and bytes of a buffer; less if the window is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub tx_size: u16,
    pub tx_buffer: u32,
    pub rx_size: u16,
    pub rx_buffer: u32,
}

/// A service that the agent can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    pub class: Guid,
    /// Newest version that the agent speaks.
    pub version: u32,
    pub shape: Shape,
    /// Longest message that it takes; a channel with a longer one is closed.
    pub longest: usize,
}

/// What the agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub system: System,
    /// Name and version.
    pub name: String,
    /// Versions of the bus that it speaks.
    pub newest: u32,
    pub oldest: u32,
    /// A random number.
    pub session: u64,
    pub classes: Vec<Class>,
}

/// Which way channel 0 goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    #[default]
    None,
    Serial,
    Function,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A host is there: version of the bus, name of the machine.
    Welcome { version: u32, name: String },
    /// It has no version of the bus in common with us.
    Refused,
    /// A service's channel is open. `class` is its place in [`Settings::classes`].
    Opened { channel: u16, class: usize, version: u32 },
    /// A message; it is in the buffer that [`Guest::event`] was given.
    Message { channel: u16, class: usize },
    /// It is closed, whatever for. What was sent on it may be lost.
    Closed { channel: u16, class: usize, why: Gone },
    /// The channels now go through the function.
    Moved,
    /// The host's answer to [`Guest::bye`].
    Bye,
}

/// Why a channel is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    Host(bus::Closed),
    /// The host has begun anew, or is not there any more.
    Bus,
    /// It sent something that it must not.
    Breach,
}

/// No room: the host has not taken what was sent before. Or the channel is not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moving {
    No,
    /// HELLO is out in the function's rings; the session is on COM2.
    Hello,
    /// The host knows the session: MOVE is due, or out.
    Sent,
}

/// What to open again.
#[derive(Debug, Clone, Copy)]
struct Again {
    offer: u32,
    class: usize,
    version: u32,
    priority: u8,
}

/// The guest's end. Of what can be called, [`Guest::poll`] and [`Guest::event`] do the work.
pub struct Guest<F: Function> {
    settings: Settings,
    function: Option<Started<F>>,
    link: Option<Link>,
    /// The link has begun: HELLO can be said on it.
    link_up: bool,
    linger: Option<u64>,
    way: Way,
    welcomed: bool,
    /// HELLO's newest version; less than ours after REFUSED.
    asked: u32,
    answer_by: Option<u64>,
    look_at: u64,
    faults: u32,
    moving: Moving,
    /// MOVE is said for all channels that were open.
    moves_out: bool,
    offers: Vec<bus::Offer>,
    rescinded: Vec<u32>,
    /// Channels to be opened again after a fault, when, and how often that is still done for each class.
    again: Vec<(u64, Again)>,
    again_left: [u8; CHANNELS],
    channels: [Option<Chan>; CHANNELS],
    /// Channels there are, first served first.
    order: Vec<u16>,
    /// The channel whose messages are being fetched, and how many more before others are looked at.
    hot: (u16, u32),
    control_serial: VecDeque<Vec<u8>>,
    control_rings: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    now: u64,
}

impl<F: Function> Guest<F> {
    pub fn new(settings: Settings) -> Self {
        Self {
            asked: settings.newest,
            settings,
            function: None,
            link: None,
            link_up: false,
            linger: None,
            way: Way::None,
            welcomed: false,
            answer_by: None,
            look_at: 0,
            faults: 0,
            moving: Moving::No,
            moves_out: false,
            offers: Vec::new(),
            rescinded: Vec::new(),
            again: Vec::new(),
            again_left: [AGAIN_MOST; CHANNELS],
            channels: [const { None }; CHANNELS],
            order: Vec::new(),
            hot: (0, 0),
            control_serial: VecDeque::new(),
            control_rings: VecDeque::new(),
            events: VecDeque::new(),
            now: 0,
        }
    }

    pub fn way(&self) -> Way {
        self.way
    }

    /// A host said WELCOME.
    pub fn is_welcome(&self) -> bool {
        self.welcomed
    }

    pub fn has_function(&self) -> bool {
        self.function.is_some()
    }

    /// The function is there: what goes over COM2 moves to it, or the bus begins on it.
    pub fn set_function(&mut self, now: u64, f: F) -> Result<(), NotOurs> {
        self.now = now;
        self.function = Some(Started::new(f)?);
        if self.way == Way::Serial && self.welcomed {
            self.start_rings();
            self.moving = Moving::Hello;
            self.hello(Way::Function);
        } else {
            self.begin();
        }
        Ok(())
    }

    /// The function is gone. The bus begins on COM2, if there is one.
    pub fn take_function(&mut self) -> Option<F> {
        let f = self.function.take()?;
        self.begin();
        Some(f.into_inner())
    }

    /// COM2 is there. `life`: a random number that differs each time.
    pub fn start_serial(&mut self, now: u64, life: u32) {
        self.now = now;
        let mut link = self.link.take().unwrap_or_default();
        link.start(now, life);
        self.link = Some(link);
        self.link_up = false;
        self.linger = None;
        if self.way != Way::Function {
            self.begin();
        }
    }

    pub fn has_serial(&self) -> bool {
        self.link.is_some()
    }

    /// The other end of COM2 does not answer: [`Self::start_serial`] tries again.
    pub fn serial_is_down(&self) -> bool {
        self.linger.is_none() && self.link.as_ref().is_some_and(Link::is_at_rest)
    }

    pub fn serial_in(&mut self, now: u64, bytes: &[u8]) {
        if let Some(l) = &mut self.link {
            l.feed(now, bytes);
        }
    }

    /// Bytes for COM2, which must go out.
    pub fn serial_out(&mut self, now: u64, into: &mut [u8]) -> usize {
        self.link.as_mut().map_or(0, |l| l.take(now, into))
    }

    /// Everything begins anew: the machine slept, say.
    pub fn restart(&mut self, now: u64) {
        self.now = now;
        self.begin();
    }

    /// Nothing is open; HELLO on the best way there is.
    fn begin(&mut self) {
        self.drop_all();
        (self.welcomed, self.moving, self.moves_out, self.answer_by) = (false, Moving::No, false, None);
        self.asked = self.settings.newest;
        self.control_serial.clear();
        self.way = Way::None;
        if self.function.is_some() {
            self.way = Way::Function;
            self.linger = self.link.is_some().then_some(self.now + LINGER);
            self.start_rings();
            self.hello(Way::Function);
        } else if self.link_up {
            self.way = Way::Serial;
            self.hello(Way::Serial);
        }
    }

    fn start_rings(&mut self) {
        self.control_rings.clear();
        if let Some(f) = &mut self.function {
            f.start();
        }
        self.look_at = self.now.saturating_add(LOOK << self.faults.min(5));
    }

    fn hello(&mut self, way: Way) {
        self.answer_by = Some(self.now.saturating_add(ANSWER));
        let s = &self.settings;
        let hello = ToHost::Hello {
            newest: self.asked,
            oldest: s.oldest,
            session: s.session,
            features: 0,
            system: s.system,
            name: s.name.clone(),
        };
        self.say_on(way, &hello);
    }

    fn say(&mut self, m: &ToHost) {
        self.say_on(self.way, m);
    }

    fn say_on(&mut self, way: Way, m: &ToHost) {
        match way {
            Way::Serial => self.control_serial.push_back(m.bytes()),
            Way::Function => self.control_rings.push_back(m.bytes()),
            Way::None => {}
        }
    }

    /// All channels are gone, and all offers.
    fn drop_all(&mut self) {
        for n in core::mem::take(&mut self.order) {
            self.forget(n, Gone::Bus);
        }
        self.offers.clear();
        self.rescinded.clear();
        self.again.clear();
        self.again_left = [AGAIN_MOST; CHANNELS];
        if let Some(f) = &mut self.function {
            f.areas.clear();
        }
    }

    /// A channel is no more. Its part of the window may be used again.
    fn forget(&mut self, n: u16, why: Gone) {
        let Some(c) = self.channels.get_mut(usize::from(n)).and_then(Option::take) else { return };
        self.order.retain(|&o| o != n);
        if let (Some(f), Some(rings)) = (&mut self.function, &c.rings) {
            f.areas.free(rings.area);
        }
        let left = &mut self.again_left[c.class.min(CHANNELS - 1)];
        if why == Gone::Host(bus::Closed::Fault) && *left > 0 {
            *left -= 1;
            let again = Again { offer: c.offer, class: c.class, version: c.version, priority: c.priority };
            self.again.push((self.now + SECOND, again));
        }
        if c.told {
            self.events.push_back(Event::Closed { channel: n, class: c.class, why });
        }
    }

    /// A whole message. It goes out with the next [`Self::poll`] or later, in order.
    pub fn send(&mut self, channel: u16, message: impl Into<Rc<Vec<u8>>>) -> Result<(), Full> {
        let c = self.channels.get_mut(usize::from(channel)).and_then(Option::as_mut).ok_or(Full)?;
        if !c.is_open() || c.waiting >= QUEUE_MOST {
            return Err(Full);
        }
        c.push(message.into());
        // What is small goes with others, in `poll`: one doorbell for all.
        if c.waiting >= PUMP {
            self.pump_rings(channel);
        }
        Ok(())
    }

    /// Bytes of messages that wait on a channel.
    pub fn waiting(&self, channel: u16) -> usize {
        self.channels.get(usize::from(channel)).and_then(Option::as_ref).map_or(0, |c| c.waiting)
    }

    /// Closes a channel; [`Event::Closed`] follows.
    pub fn close(&mut self, channel: u16) {
        let Some(c) = self.channels.get_mut(usize::from(channel)).and_then(Option::as_mut) else { return };
        if c.is_open() {
            c.closing();
            self.say(&ToHost::Close { channel });
        }
    }

    /// The agent ends.
    pub fn bye(&mut self, now: u64) {
        self.now = now;
        if self.welcomed {
            self.say(&ToHost::Bye);
        }
        self.poll(now);
    }

    /// Stops the function; nothing more is said.
    pub fn stop(&mut self) {
        self.drop_all();
        (self.way, self.welcomed) = (Way::None, false);
        if let Some(f) = &self.function {
            f.stop();
        }
    }
}

#[cfg(test)]
mod tests;
