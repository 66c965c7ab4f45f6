//! A made-up platform, and a host at the other end of its COM2.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use channel::bus::{Offer, Opened, System, ToGuest, ToHost};
use channel::guest::Function;
use channel::packet::{Assembly, split};
use channel::ring::Window;
use channel::serial::{Event, Link};
use channel::services::information::{About, Package, Pair};
use channel::services::power::Action;
use channel::services::programs::{Run, Stream};
use channel::services::{KINDS, Kind, bytes, parse};
use channel::{Guid, VERSION};

use crate::{Agent, Level, Piped, Platform, Program};

pub(super) const MS: u64 = 1_000_000;

#[derive(Default)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) utc: u64,
    pub(super) slewed: Vec<i64>,
    pub(super) set: Vec<u64>,
    pub(super) slept: bool,
    pub(super) power: Vec<(Action, bool, String)>,
    pub(super) about: About,
    pub(super) pairs: Vec<Pair>,
    pub(super) host_pairs: Vec<Pair>,
    pub(super) programs: BTreeMap<u32, Made>,
    to_agent: VecDeque<u8>,
    to_host: VecDeque<u8>,
}

/// A program that does nothing by itself.
#[derive(Default)]
pub(super) struct Made {
    pub(super) output: [VecDeque<u8>; 2],
    pub(super) input: Vec<u8>,
    pub(super) input_room: usize,
    pub(super) input_closed: bool,
    pub(super) code: Option<u32>,
    pub(super) killed: bool,
}

pub(super) struct Fake(Rc<RefCell<World>>);

/// There is none in these tests: COM2 is what the agent has.
pub(super) enum NoFunction {}

impl Window for NoFunction {
    fn load16(&self, _: u32) -> u16 {
        match *self {}
    }
    fn load32(&self, _: u32) -> u32 {
        match *self {}
    }
    fn store16(&self, _: u32, _: u16) {
        match *self {}
    }
    fn store32(&self, _: u32, _: u32) {
        match *self {}
    }
    fn copy_in(&self, _: u32, _: &[u8]) {
        match *self {}
    }
    fn copy_out(&self, _: u32, _: &mut [u8]) {
        match *self {}
    }
    fn fence(&self) {
        match *self {}
    }
}

impl Function for NoFunction {
    fn read(&self, _: u32) -> u32 {
        match *self {}
    }
    fn write(&self, _: u32, _: u32) {
        match *self {}
    }
}

pub(super) struct Handle(Rc<RefCell<World>>, u32);

impl Handle {
    fn with<R>(&self, f: impl FnOnce(&mut Made) -> R) -> R {
        f(self.0.borrow_mut().programs.get_mut(&self.1).expect("it was started"))
    }
}

impl Program for Handle {
    fn process(&self) -> u32 {
        self.1
    }

    fn read(&mut self, stream: Stream, into: &mut [u8]) -> Piped {
        self.with(|m| {
            let from = &mut m.output[stream as usize];
            let n = from.len().min(into.len());
            from.drain(..n).zip(into).for_each(|(b, to)| *to = b);
            if n > 0 { Piped::Bytes(n) } else { Piped::Later }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Piped {
        self.with(|m| {
            let n = bytes.len().min(m.input_room);
            m.input_room -= n;
            m.input.extend(&bytes[..n]);
            if n > 0 { Piped::Bytes(n) } else { Piped::Later }
        })
    }

    fn close_input(&mut self) {
        self.with(|m| m.input_closed = true);
    }

    fn ended(&mut self) -> Option<u32> {
        self.with(|m| m.code)
    }

    fn kill(&mut self) {
        self.with(|m| (m.killed, m.code) = (true, Some(137)));
    }
}

impl Platform for Fake {
    type Function = NoFunction;
    type Program = Handle;

    const SYSTEM: System = System::Linux;

    fn function(&mut self) -> Option<NoFunction> {
        None
    }
    fn open_serial(&mut self) -> bool {
        true
    }
    fn close_serial(&mut self) {}
    fn read_serial(&mut self, into: &mut [u8]) -> usize {
        let w = &mut self.0.borrow_mut().to_agent;
        let n = w.len().min(into.len());
        w.drain(..n).zip(into).for_each(|(b, to)| *to = b);
        n
    }
    fn serial_room(&mut self) -> usize {
        4096usize.saturating_sub(self.0.borrow().to_host.len())
    }
    fn write_serial(&mut self, bytes: &[u8]) {
        self.0.borrow_mut().to_host.extend(bytes);
    }
    fn now(&mut self) -> u64 {
        self.0.borrow().now
    }
    fn utc(&mut self) -> u64 {
        self.0.borrow().utc
    }
    fn set_clock(&mut self, utc: u64) -> Result<(), String> {
        self.0.borrow_mut().set.push(utc);
        Ok(())
    }
    fn slew_clock(&mut self, gain: i64) -> Result<(), String> {
        self.0.borrow_mut().slewed.push(gain);
        Ok(())
    }
    fn slept(&mut self) -> bool {
        core::mem::take(&mut self.0.borrow_mut().slept)
    }
    fn power(&mut self, action: Action, force: bool, message: &str) -> Result<(), String> {
        self.0.borrow_mut().power.push((action, force, message.to_string()));
        if action == Action::Lock { Err("no lock".into()) } else { Ok(()) }
    }
    fn about(&mut self) -> About {
        self.0.borrow().about.clone()
    }
    fn software(&mut self) -> Vec<Package> {
        vec![Package { name: "a".into(), ..Package::default() }]
    }
    fn host_pair(&mut self, pair: &Pair) {
        self.0.borrow_mut().host_pairs.push(pair.clone());
    }
    fn guest_pairs(&mut self) -> Vec<Pair> {
        self.0.borrow().pairs.clone()
    }
    fn run(&mut self, run: &Run) -> Result<Handle, String> {
        if run.arguments[0] == "missing" {
            return Err("missing: not there".into());
        }
        let mut w = self.0.borrow_mut();
        let process = 100 + w.programs.len() as u32;
        w.programs.insert(process, Made::default());
        Ok(Handle(self.0.clone(), process))
    }
    fn log(&mut self, _: Level, _: &str) {}
    fn random(&mut self) -> u64 {
        4711
    }
}

/// Agent and host.
pub(super) struct Both {
    pub(super) world: Rc<RefCell<World>>,
    pub(super) agent: Agent<Fake>,
    link: Link,
    out: VecDeque<(u16, u16, Vec<u8>)>,
    /// Channels by their service's place in `KINDS`.
    pub(super) channels: [u16; KINDS.len()],
    assemblies: BTreeMap<u16, Assembly>,
    got: VecDeque<(u16, Vec<u8>)>,
}

impl Both {
    pub(super) fn new() -> Self {
        let world: Rc<RefCell<World>> = Rc::default();
        let agent = Agent::new(Fake(world.clone()));
        let mut b = Self {
            world,
            agent,
            link: Link::new(),
            out: VecDeque::new(),
            channels: [0; KINDS.len()],
            assemblies: BTreeMap::new(),
            got: VecDeque::new(),
        };
        b.steps(20);
        assert!(b.channels.iter().all(|&c| c != 0), "all is open: {:?}", b.channels);
        b
    }

    fn place(k: &Kind) -> usize {
        KINDS.iter().position(|o| o.class == k.class).expect("a service")
    }

    fn say(&mut self, m: &ToGuest) {
        self.out.push_back((0, 0, m.bytes()));
    }

    pub(super) fn send_bytes(&mut self, k: &Kind, m: &[u8]) {
        let n = self.channels[Self::place(k)];
        self.out.extend(split(m, 1000).map(|(flags, part)| (n, flags, part.to_vec())));
    }

    /// Says something, and lets the agent work.
    pub(super) fn send<T: minicbor::Encode<()>>(&mut self, k: &Kind, m: &T) {
        self.send_bytes(k, &bytes(m));
        self.steps(10);
    }

    pub(super) fn got_bytes(&mut self, k: &Kind) -> Option<Vec<u8>> {
        let n = self.channels[Self::place(k)];
        let at = self.got.iter().position(|g| g.0 == n)?;
        self.got.remove(at).map(|g| g.1)
    }

    /// What the agent said next on a service's channel.
    pub(super) fn got<T: for<'b> minicbor::Decode<'b, ()>>(&mut self, k: &Kind) -> Option<T> {
        self.got_bytes(k).map(|b| parse(&b).expect("a message"))
    }

    pub(super) fn all<T: for<'b> minicbor::Decode<'b, ()>>(&mut self, k: &Kind) -> Vec<T> {
        core::iter::from_fn(|| self.got(k)).collect()
    }

    pub(super) fn steps(&mut self, n: usize) {
        for _ in 0..n {
            self.world.borrow_mut().now += MS;
            self.agent.poll();
            self.host();
        }
    }

    fn host(&mut self) {
        let now = self.world.borrow().now;
        let bytes: Vec<u8> = self.world.borrow_mut().to_host.drain(..).collect();
        self.link.feed(now, &bytes);
        while let Some(e) = self.link.event() {
            match e {
                Event::Packet(p) if p.channel == 0 => self.control(&p.payload),
                Event::Packet(p) => {
                    let a = self.assemblies.entry(p.channel).or_default();
                    let whole = a.add(p.flags, p.payload).expect("not too long");
                    self.got.extend(whole.map(|m| (p.channel, m)));
                }
                Event::Began | Event::Down => {}
            }
        }
        while let Some((n, flags, b)) = self.out.front() {
            if self.link.send(*n, *flags, b).is_err() {
                break;
            }
            self.out.pop_front();
        }
        let mut buf = vec![0; 8192];
        let n = self.link.take(now, &mut buf);
        self.world.borrow_mut().to_agent.extend(&buf[..n]);
    }

    fn control(&mut self, b: &[u8]) {
        match ToHost::parse(b).expect("a message of the bus") {
            ToHost::Hello { .. } => {
                let name = "made up".into();
                self.say(&ToGuest::Welcome { version: VERSION, flags: 0, features: 0, longest: 0, name });
            }
            ToHost::RequestOffers => {
                for (n, k) in (1..).zip(&KINDS) {
                    self.say(&ToGuest::Offer(Offer {
                        offer: n,
                        class: k.class,
                        instance: Guid::default(),
                        version: k.version,
                        priority: k.priority,
                        name: k.name.into(),
                    }));
                }
            }
            ToHost::Open(o) => {
                self.channels[o.offer as usize - 1] = o.channel;
                self.say(&ToGuest::Opened { offer: o.offer, channel: o.channel, result: Opened::Open });
            }
            ToHost::Close { channel } => {
                self.channels.iter_mut().filter(|c| **c == channel).for_each(|c| *c = 0);
                let reason = channel::bus::Closed::Asked;
                self.say(&ToGuest::Closed { channel, reason });
            }
            ToHost::Bye => self.say(&ToGuest::Gone),
            ToHost::Released { .. } | ToHost::Move(_) => {}
        }
    }
}
