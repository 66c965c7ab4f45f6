use std::sync::{Arc, Mutex, MutexGuard};

use board::testkit::Bench;
use board::{HostEvent, Line, MILLISECOND, Reset, Route, Width};
use channel::bus::{self, Closed, Opened, Rings, System, ToGuest, ToHost};
use channel::packet::{HEADER, MORE};
use channel::regs::{self, Fault, control, status};
use channel::ring::{Place, Rx, Tx, Window};
use channel::{Guid, VERSION};
use proptest::prelude::*;
use ram::GuestRam;

use super::services::{Agent, Offered, Out, Refused, ServiceId, Services, Trouble};
use super::*;

const REGS: u32 = 0xe800_0000;
const WINDOW: u32 = 0xe900_0000;
const LEN: u32 = 4 << 20;

/// What the services were told, and what they shall do.
#[derive(Default)]
struct Told {
    agent: Option<Agent>,
    open: Vec<ServiceId>,
    got: Vec<Vec<u8>>,
    troubles: Vec<Trouble>,
    offered: Vec<ServiceId>,
    /// Sent at the next look into the inbox.
    say: Vec<(ServiceId, Vec<u8>)>,
    busy: bool,
    saved: Vec<u8>,
    end: Option<ServiceId>,
}

#[derive(Clone, Default)]
struct Script(Arc<Mutex<Told>>);

/// Sends everything back.
const ECHO: ServiceId = 1;
/// Keeps what comes.
const KEEP: ServiceId = 2;

impl Script {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().expect("nobody panicked with it")
    }
}

fn offered(id: ServiceId) -> Offered {
    let class = Guid([id; 16]);
    Offered { id, class, instance: Guid([0xff; 16]), version: 2, priority: 8 - id, name: "test" }
}

impl Services for Script {
    fn offers(&self) -> Vec<Offered> {
        self.told().offered.iter().map(|&id| offered(id)).collect()
    }

    fn agent(&mut self, _: &mut Out<'_>, agent: Option<&Agent>) {
        self.told().agent = agent.cloned();
    }

    fn opened(&mut self, _: &mut Out<'_>, service: ServiceId, _: u32) {
        self.told().open.push(service);
    }

    fn message(&mut self, out: &mut Out<'_>, service: ServiceId, m: &[u8]) -> Result<(), Refused> {
        if m == b"bad" {
            return Err(Refused);
        }
        if service == ECHO {
            out.send(service, m.to_vec());
        }
        self.told().got.push(m.to_vec());
        Ok(())
    }

    fn closed(&mut self, _: &mut Out<'_>, service: ServiceId) {
        self.told().open.retain(|&s| s != service);
    }

    fn takes(&self, _: ServiceId, room: usize) -> bool {
        room > 0 && !self.told().busy
    }

    fn inbox(&mut self, out: &mut Out<'_>) {
        let mut told = self.told();
        for (id, m) in told.say.drain(..) {
            out.send(id, m);
        }
        if let Some(id) = told.end.take() {
            out.end(id);
        }
        out.offers_changed();
    }

    fn missed(&mut self, _: &mut Out<'_>, _: u64) {}

    fn timer(&mut self, _: &mut Out<'_>) {}

    fn trouble(&mut self, t: Trouble) {
        self.told().troubles.push(t);
    }

    fn save(&self) -> Vec<u8> {
        self.told().saved.clone()
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), String> {
        if saved == self.told().saved { Ok(()) } else { Err("other services".into()) }
    }

    fn restored(&mut self, _: &mut Out<'_>) {}
}

/// The window, mapped into the guest.
struct Mapped {
    ram: Arc<GuestRam>,
    at: u32,
}

impl Window for Mapped {
    fn load16(&self, at: u32) -> u16 {
        self.ram.arena().load_u16(self.at + at)
    }
    fn load32(&self, at: u32) -> u32 {
        self.ram.arena().load_u32(self.at + at)
    }
    fn store16(&self, at: u32, v: u16) {
        self.ram.arena().store_u16(self.at + at, v);
    }
    fn store32(&self, at: u32, v: u32) {
        self.ram.arena().store_u32(self.at + at, v);
    }
    fn copy_in(&self, at: u32, bytes: &[u8]) {
        self.ram.arena().copy_in(self.at + at, bytes);
    }
    fn copy_out(&self, at: u32, bytes: &mut [u8]) {
        self.ram.arena().copy_out(self.at + at, bytes);
    }
    fn fence(&self) {}
}

/// A channel as its driver has it.
struct Ends {
    n: u16,
    tx: Tx,
    rx: Rx,
    rings: Rings,
}

struct Guest {
    b: Bench<Channel>,
    script: Script,
    line: Line,
    w: Mapped,
    next: u32,
    control: Option<Ends>,
}

fn ends(w: &Mapped, next: &mut u32, n: u16, size: u16, buffer: u32) -> Ends {
    let (tx, end) = Place::new(*next, size, buffer, LEN).expect("room");
    let (rx, end) = Place::new(end, size, buffer, LEN).expect("room");
    *next = end;
    let rings =
        Rings { tx: tx.layout.at, rx: rx.layout.at, tx_size: size, rx_size: size, rx_buffer: rx.buffer };
    Ends { n, tx: Tx::new(w, tx), rx: Rx::new(w, rx), rings }
}

impl Guest {
    fn new() -> Self {
        let script = Script::default();
        script.told().offered = vec![ECHO, KEEP];
        let mut line = None;
        let b = Bench::with_ram(|lines, ram| {
            let inta = lines.connect(Route::Pirq(0));
            line = Some(inta);
            Channel::new(ram, LEN, inta, "test".into(), Box::new(script.clone()))
        });
        let w = Mapped { ram: b.ram.clone(), at: b.ram.main_len() as u32 };
        let mut g = Self { b, script, line: line.expect("connected"), w, next: 64, control: None };
        g.place();
        g
    }

    fn place(&mut self) {
        self.b.cfg_write(CONFIG, BAR0, Width::D, REGS);
        self.b.cfg_write(CONFIG, BAR1, Width::D, WINDOW);
        self.b.cfg_write(CONFIG, 4, Width::W, 6);
    }

    fn reg(&mut self, at: u32) -> u32 {
        self.b.read32(REGS + at)
    }

    fn set(&mut self, at: u32, v: u32) {
        self.b.write32(REGS + at, v);
    }

    fn start(&mut self) {
        self.set(regs::CONTROL, 0);
        self.next = 64;
        let c = ends(&self.w, &mut self.next, 0, 16, (HEADER + bus::MOST) as u32);
        self.set(regs::TX, c.rings.tx);
        self.set(regs::RX, c.rings.rx);
        self.set(regs::SIZE, u32::from(c.rings.tx_size) | u32::from(c.rings.rx_size) << 16);
        self.control = Some(c);
        self.set(regs::CONTROL, control::RUN | control::INTE);
    }

    fn bell(&mut self, n: u16) {
        self.set(regs::DOORBELL, n.into());
    }

    fn tell(&mut self, m: &ToHost) {
        let c = self.control.as_mut().expect("started");
        c.tx.send(&self.w, 0, &m.bytes()).expect("room");
        if c.tx.bell(&self.w) {
            self.bell(0);
        }
    }

    fn told(&mut self) -> Vec<ToGuest> {
        let c = self.control.as_mut().expect("started");
        let mut all = Vec::new();
        while let Some(a) = c.rx.next(&self.w) {
            let mut b = vec![0; a.len as usize];
            self.w.copy_out(a.at, &mut b);
            c.rx.done(&self.w, a);
            all.push(ToGuest::parse(&b).expect("a message"));
        }
        c.rx.arm(&self.w);
        if c.rx.bell(&self.w) {
            self.bell(0);
        }
        all
    }

    fn hello(&mut self) -> Vec<bus::Offer> {
        self.start();
        let name = "agent 1.0".into();
        let (newest, oldest, session, features, system) = (VERSION, VERSION, 7, 0, System::Linux);
        self.tell(&ToHost::Hello { newest, oldest, session, features, system, name });
        assert!(matches!(&self.told()[..], [ToGuest::Welcome { version: VERSION, flags: 0, .. }]));
        self.tell(&ToHost::RequestOffers);
        let mut offers = Vec::new();
        for m in self.told() {
            match m {
                ToGuest::Offer(o) => offers.push(o),
                m => assert_eq!(m, ToGuest::AllOffered),
            }
        }
        offers
    }

    fn open(&mut self, offer: u32, n: u16) -> Ends {
        let e = ends(&self.w, &mut self.next, n, 8, 512);
        let rings = e.rings;
        self.tell(&ToHost::Open(bus::Open { offer, channel: n, version: 1, rings }));
        assert_eq!(self.told(), [ToGuest::Opened { offer, channel: n, result: Opened::Open }]);
        e
    }

    /// All is open.
    fn ready() -> (Self, Ends, Ends) {
        let mut g = Self::new();
        let offers = g.hello();
        let id = |id: ServiceId| offers.iter().find(|o| o.class.0[0] == id).expect("offered").offer;
        let echo = g.open(id(ECHO), 1);
        let keep = g.open(id(KEEP), 40);
        (g, echo, keep)
    }

    fn send(&mut self, e: &mut Ends, flags: u16, m: &[u8]) {
        e.tx.send(&self.w, flags, m).expect("room");
        if e.tx.bell(&self.w) {
            self.bell(e.n);
        }
    }

    fn receive(&mut self, e: &mut Ends) -> Vec<(u16, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some(a) = e.rx.next(&self.w) {
            let mut b = vec![0; a.len as usize];
            self.w.copy_out(a.at, &mut b);
            e.rx.done(&self.w, a);
            all.push((a.flags, b));
        }
        if e.rx.bell(&self.w) {
            self.bell(e.n);
        }
        all
    }
}

#[test]
fn registers_are_those_of_the_page() {
    let mut g = Guest::new();
    assert_eq!(g.b.cfg_read(CONFIG, 0, Width::D), 0x0001_484c);
    assert_eq!(g.b.cfg_read(CONFIG, 8, Width::D), 0x0880_0001);
    assert_eq!(g.b.cfg_read(CONFIG, 0x3d, Width::B), 1);
    g.b.cfg_write(CONFIG, BAR1, Width::D, u32::MAX);
    assert_eq!(g.b.cfg_read(CONFIG, BAR1, Width::D), !(LEN - 1) | 8);
    g.place();
    assert_eq!([g.reg(regs::ID), g.reg(regs::VERSION)], [0x5355_4248, 0x1_0000]);
    assert_eq!([g.reg(regs::WINDOW), g.reg(regs::CHANNELS)], [LEN, 64]);
    // Only whole registers.
    assert_eq!(g.b.read16(REGS), 0xffff);
    g.b.write8(REGS + regs::TX, 1);
    assert_eq!(g.reg(regs::TX), 0);
    assert_eq!(g.b.unknowns(), 2);
    // The window is memory, and goes where BAR1 says.
    g.b.write32(WINDOW + 8, 0x1234_5678);
    g.b.cfg_write(CONFIG, BAR1, Width::D, WINDOW + LEN);
    assert_eq!(g.b.read32(WINDOW + LEN + 8), 0x1234_5678);
    assert_eq!(g.b.ram.resolve(u64::from(WINDOW)).read, None);
    g.b.cfg_write(CONFIG, 4, Width::W, 4);
    assert_eq!(g.b.ram.resolve(u64::from(WINDOW + LEN)).read, None);
    assert_eq!(g.b.placed(REGISTERS), None);
}

#[test]
fn an_agent_comes_opens_talks_and_goes() {
    let (mut g, mut echo, mut keep) = Guest::ready();
    {
        let told = g.script.told();
        let a = told.agent.as_ref().expect("an agent");
        assert_eq!((a.name.as_str(), a.system, a.way), ("agent 1.0", System::Linux, Way::Function));
        assert_eq!(told.open, [ECHO, KEEP]);
    }
    g.send(&mut keep, 0, b"kept");
    g.send(&mut echo, 0, b"back");
    assert_eq!(g.receive(&mut echo), [(0, b"back".to_vec())]);
    assert_eq!(g.script.told().got, [b"kept".to_vec(), b"back".to_vec()]);
    // Longer than a buffer, both ways.
    let long: Vec<u8> = (0..1200).map(|n| n as u8).collect();
    for (flags, part) in channel::packet::split(&long, echo.tx.payload() as usize) {
        g.send(&mut echo, flags, part);
    }
    let got = g.receive(&mut echo);
    assert_eq!(got.iter().map(|p| p.0).collect::<Vec<_>>(), [MORE, MORE, 0]);
    assert_eq!(got.concat_payloads(), long);
    g.tell(&ToHost::Close { channel: 1 });
    assert_eq!(g.told(), [ToGuest::Closed { channel: 1, reason: Closed::Asked }]);
    assert_eq!(g.script.told().open, [KEEP]);
    // The last words are heard.
    keep.tx.send(&g.w, 0, b"farewell").expect("room");
    g.tell(&ToHost::Bye);
    assert_eq!(g.told(), [ToGuest::Gone]);
    assert_eq!(g.script.told().got.last().expect("something"), b"farewell");
    assert!(g.script.told().open.is_empty() && g.script.told().agent.is_none());
}

trait Payloads {
    fn concat_payloads(&self) -> Vec<u8>;
}

impl Payloads for Vec<(u16, Vec<u8>)> {
    fn concat_payloads(&self) -> Vec<u8> {
        self.iter().flat_map(|p| p.1.iter().copied()).collect()
    }
}

#[test]
fn what_does_not_fit_waits_for_buffers_and_busy_services_for_themselves() {
    let (mut g, mut echo, mut keep) = Guest::ready();
    // Twelve messages for eight buffers.
    let said: Vec<_> = (0..12).map(|n| (ECHO, vec![n; 3])).collect();
    g.script.told().say = said.clone();
    g.b.host(HostEvent::Channel);
    let mut got = Vec::new();
    for want in [8, 4, 0] {
        let now = g.receive(&mut echo);
        assert_eq!(now.len(), want);
        got.extend(now.into_iter().map(|p| (ECHO, p.1)));
    }
    assert_eq!(got, said);
    // A service that takes nothing leaves everything in the ring.
    g.script.told().busy = true;
    for n in 0..8 {
        g.send(&mut keep, 0, &[n]);
    }
    assert!(keep.tx.send(&g.w, 0, b"more").is_err());
    assert!(g.script.told().got.is_empty());
    g.script.told().busy = false;
    g.b.host(HostEvent::Channel);
    assert_eq!(g.script.told().got.len(), 8);
    g.send(&mut keep, 0, b"more");
    assert_eq!(g.script.told().got.len(), 9);
}

#[test]
fn the_line_follows_pending_inte_and_interrupt_disable() {
    let (mut g, mut echo, _keep) = Guest::ready();
    g.set(regs::PENDING0, u32::MAX);
    g.set(regs::PENDING1, u32::MAX);
    assert!(!g.b.level(g.line));
    // Nobody asked to hear of it.
    g.receive(&mut echo);
    g.script.told().say = vec![(ECHO, vec![1])];
    echo.rx.arm(&g.w);
    g.b.host(HostEvent::Channel);
    assert!(g.b.level(g.line));
    assert_eq!([g.reg(regs::PENDING0), g.reg(regs::PENDING1)], [1 << 1, 0]);
    assert_eq!(g.b.cfg_read(CONFIG, 6, Width::W) & 8, 8);
    g.b.cfg_write(CONFIG, 4, Width::W, 6 | 1 << 10);
    assert!(!g.b.level(g.line));
    assert_eq!(g.b.cfg_read(CONFIG, 6, Width::W) & 8, 8, "the status stays");
    g.b.cfg_write(CONFIG, 4, Width::W, 6);
    assert!(g.b.level(g.line));
    g.set(regs::CONTROL, control::RUN);
    assert!(!g.b.level(g.line));
    g.set(regs::CONTROL, control::RUN | control::INTE);
    assert_eq!(g.reg(regs::TAKE0), 1 << 1);
    assert!(!g.b.level(g.line));
    assert_eq!(g.b.cfg_read(CONFIG, 6, Width::W) & 8, 0);
    // What comes before the guest asked again makes no interrupt.
    g.script.told().say = vec![(ECHO, vec![2])];
    g.b.host(HostEvent::Channel);
    assert!(!g.b.level(g.line));
    assert!(!g.receive(&mut echo).is_empty() && !echo.rx.arm(&g.w));
    g.script.told().say = vec![(ECHO, vec![3])];
    g.b.host(HostEvent::Channel);
    assert!(g.b.level(g.line));
}

#[test]
fn payload_may_be_in_main_memory() {
    let (mut g, _echo, mut keep) = Guest::ready();
    g.b.ram.write(0x20_0000, b"hello, ");
    g.b.ram.write(0x40_0ffa, b"world");
    keep.tx.send_reference(&g.w, 0, &[(0x20_0000, 7), (0x40_0ffa, 5)]).expect("room");
    g.bell(keep.n);
    assert_eq!(g.script.told().got, [b"hello, world".to_vec()]);
    assert!(keep.tx.all_taken(&g.w));
    // The last byte of memory, and one more.
    let main = g.b.ram.main_len() as u32;
    keep.tx.send_reference(&g.w, 0, &[(main - 1, 1)]).expect("room");
    g.bell(keep.n);
    assert_eq!(g.script.told().got.len(), 2);
    keep.tx.send_reference(&g.w, 0, &[(main - 1, 2)]).expect("room");
    g.bell(keep.n);
    assert_eq!(g.told(), [ToGuest::Closed { channel: 40, reason: Closed::Fault }]);
    assert_eq!(g.reg(regs::FAULT), Fault::Address as u32 | 40 << 16);
}

#[test]
fn services_come_and_go() {
    let (mut g, mut echo, _keep) = Guest::ready();
    g.script.told().offered = vec![KEEP, 3];
    g.b.host(HostEvent::Channel);
    let told = g.told();
    let [
        ToGuest::Closed { channel: 1, reason: Closed::Rescinded },
        ToGuest::Rescind { offer },
        ToGuest::Offer(new),
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(new.class.0[0], 3);
    // The rings are not touched any more.
    g.send(&mut echo, 0, b"nobody");
    assert!(g.script.told().got.is_empty());
    let rings = echo.rings;
    g.tell(&ToHost::Open(bus::Open { offer: *offer, channel: 1, version: 1, rings }));
    assert_eq!(g.told(), [ToGuest::Opened { offer: *offer, channel: 1, result: Opened::NoOffer }]);
    g.tell(&ToHost::Released { offer: *offer });
    // Offered again it has another number.
    g.script.told().offered = vec![ECHO, KEEP, 3];
    g.b.host(HostEvent::Channel);
    let told = g.told();
    let [ToGuest::Offer(again)] = &told[..] else { panic!("{told:?}") };
    assert!(again.offer != *offer && again.class.0[0] == ECHO);
    // One that the service ends.
    g.script.told().end = Some(KEEP);
    g.b.host(HostEvent::Channel);
    assert_eq!(g.told(), [ToGuest::Closed { channel: 40, reason: Closed::Ended }]);
}

#[test]
fn wrong_opens_are_told() {
    let (mut g, _echo, keep) = Guest::ready();
    g.script.told().offered = vec![ECHO, KEEP, 3];
    g.b.host(HostEvent::Channel);
    let told = g.told();
    let [ToGuest::Offer(new)] = &told[..] else { panic!("{told:?}") };
    let good = bus::Open { offer: new.offer, channel: 2, version: 2, rings: keep.rings };
    let with = |f: &dyn Fn(&mut bus::Open)| {
        let mut o = good;
        f(&mut o);
        o
    };
    let wrong = [
        (with(&|o| o.channel = 0), Opened::InUse),
        (with(&|o| o.channel = 64), Opened::InUse),
        (with(&|o| o.channel = 1), Opened::InUse),
        (with(&|o| o.offer = 99), Opened::NoOffer),
        (with(&|o| o.version = 3), Opened::Version),
        (with(&|o| o.version = 0), Opened::Version),
        (with(&|o| o.rings.tx = 8), Opened::Rings),
        (with(&|o| o.rings.rx = LEN - 16), Opened::Rings),
        (with(&|o| o.rings.tx_size = 3), Opened::Rings),
        (with(&|o| o.rings.rx_size = 2048), Opened::Rings),
        (with(&|o| o.rings.rx_buffer = 8), Opened::Rings),
        (with(&|o| o.rings.rx_buffer = u32::MAX), Opened::Rings),
        (good, Opened::Open),
        (with(&|o| o.channel = 3), Opened::Already),
    ];
    for (open, result) in wrong {
        g.tell(&ToHost::Open(open));
        assert_eq!(g.told(), [ToGuest::Opened { offer: open.offer, channel: open.channel, result }]);
    }
}

#[test]
fn another_version_is_refused_and_can_ask_again() {
    let mut g = Guest::new();
    g.start();
    let hello = |newest, oldest| ToHost::Hello {
        newest,
        oldest,
        session: 1,
        features: 0,
        system: System::Other,
        name: String::new(),
    };
    g.tell(&hello(0x3_0000, 0x2_0000));
    assert_eq!(g.told(), [ToGuest::Refused { newest: VERSION, oldest: VERSION }]);
    // A newer one that knows ours.
    g.tell(&hello(0x3_0000, VERSION));
    assert!(matches!(g.told()[..], [ToGuest::Welcome { version: VERSION, .. }]));
}

#[test]
fn a_fault_of_channel_0_stops_the_bus_and_of_another_one_only_that() {
    let (mut g, _echo, mut keep) = Guest::ready();
    g.send(&mut keep, 0, b"bad");
    assert_eq!(g.told(), [ToGuest::Closed { channel: 40, reason: Closed::Fault }]);
    assert_eq!(g.reg(regs::FAULT), Fault::Message as u32 | 40 << 16);
    assert_eq!(g.script.told().open, [ECHO]);
    assert_eq!(g.reg(regs::STATUS), status::RUNNING);
    let c = g.control.as_mut().expect("started");
    c.tx.send(&g.w, 0, &[99, 0, 0, 0]).expect("room");
    g.bell(0);
    assert_eq!([g.reg(regs::STATUS), g.reg(regs::FAULT)], [status::FAULT, Fault::Message as u32]);
    assert_eq!(g.reg(regs::CONTROL) & control::RUN, 0);
    assert!(g.script.told().open.is_empty() && g.script.told().agent.is_none());
    let [a, b] = g.script.told().troubles[..] else { panic!("two troubles") };
    assert_eq!((a.channel, a.service, b.channel, b.service), (40, Some(KEEP), 0, None));
    // And can be started again.
    assert_eq!(g.hello().len(), 2);
}

#[test]
fn rings_that_lie_close_their_channel() {
    type Break = fn(&Mapped, &Ends);
    let breaks: [(Break, Fault); 6] = [
        // Nine made available of eight.
        (|w, e| w.store16(e.rings.tx + 128 + 2, 9), Fault::Index),
        // A head out of the ring.
        (|w, e| w.store16(e.rings.tx + 128 + 4, 8), Fault::Chain),
        // A loop.
        (
            |w, e| {
                w.store16(e.rings.tx + 12, 1);
                w.store16(e.rings.tx + 14, 0);
                w.store32(e.rings.tx + 8, 0);
            },
            Fault::Chain,
        ),
        (|w, e| w.store32(e.rings.tx, LEN), Fault::Address),
        (|w, e| w.store16(e.rings.tx + 12, 2), Fault::Direction),
        // Shorter than its header says.
        (|w, e| w.store32(e.rings.tx + 8, HEADER as u32), Fault::Packet),
    ];
    for (n, (f, want)) in breaks.into_iter().enumerate() {
        let (mut g, _echo, mut keep) = Guest::ready();
        keep.tx.send(&g.w, 0, b"payload").expect("room");
        f(&g.w, &keep);
        g.bell(keep.n);
        assert_eq!(g.told(), [ToGuest::Closed { channel: 40, reason: Closed::Fault }], "break {n}");
        assert_eq!(g.reg(regs::FAULT), want as u32 | 40 << 16, "break {n}");
    }
}

#[test]
fn a_guest_that_does_not_read_is_left() {
    let (mut g, _echo, _keep) = Guest::ready();
    for _ in 0..40 {
        g.script.told().say = vec![(ECHO, vec![0; 1 << 20])];
        g.b.host(HostEvent::Channel);
    }
    assert_eq!(g.told(), [ToGuest::Closed { channel: 1, reason: Closed::Fault }]);
    assert_eq!(g.reg(regs::FAULT), Fault::Stalled as u32 | 1 << 16);
}

#[test]
fn a_reset_of_the_guest_ends_it_all() {
    let (mut g, _echo, _keep) = Guest::ready();
    g.b.reset(Reset::Hard);
    assert!(g.script.told().open.is_empty() && g.script.told().agent.is_none());
    assert_eq!(g.b.placed(REGISTERS), None);
    g.place();
    assert_eq!([g.reg(regs::STATUS), g.reg(regs::TX)], [0, 0]);
    assert_eq!(g.hello().len(), 2);
}

#[test]
fn a_restart_by_init_ends_it_too_and_leaves_the_function_where_it_is() {
    let (mut g, _echo, _keep) = Guest::ready();
    g.b.host(HostEvent::Restarted);
    assert!(g.script.told().open.is_empty() && g.script.told().agent.is_none());
    assert_eq!([g.reg(regs::STATUS), g.reg(regs::CONTROL)], [0, 0]);
    assert_eq!(g.hello().len(), 2);
}

#[test]
fn it_goes_on_from_a_saved_state() {
    let (mut g, mut echo, mut keep) = Guest::ready();
    g.script.told().saved = b"service".to_vec();
    // Half a message in, and more out than there are buffers.
    g.send(&mut keep, MORE, b"half");
    let long: Vec<u8> = (0..9000).map(|n| (n % 251) as u8).collect();
    g.script.told().say = vec![(ECHO, long.clone())];
    g.b.host(HostEvent::Channel);
    echo.rx.arm(&g.w);
    let mut got = Vec::new();
    for _ in 0..3 {
        g.b.save_and_load();
        got.extend(g.receive(&mut echo).concat_payloads());
    }
    assert_eq!(got, long);
    g.send(&mut keep, 0, b" and half");
    assert_eq!(g.script.told().got, [b"half and half".to_vec()]);
    // A service that is not there any more is rescinded.
    g.script.told().offered = vec![KEEP];
    g.b.save_and_load();
    assert!(matches!(
        g.told()[..],
        [ToGuest::Closed { channel: 1, reason: Closed::Rescinded }, ToGuest::Rescind { .. }]
    ));
}

#[test]
fn a_guest_that_asks_and_does_not_read_the_answers_waits_for_itself() {
    let mut g = Guest::new();
    g.hello();
    let c = g.control.as_mut().expect("started");
    let mut asked = 0;
    // Three answers each, of which the guest has room for sixteen.
    while c.tx.send(&g.w, 0, &ToHost::RequestOffers.bytes()).is_ok() {
        asked += 1;
        assert!(asked < 100, "nothing stops it");
        g.b.write32(REGS + regs::DOORBELL, 0);
    }
    let mut answers = 0;
    for _ in 0..100 {
        answers += g.told().len();
    }
    assert_eq!(answers, 3 * asked);
    assert_eq!(g.reg(regs::STATUS), status::RUNNING);
}

#[test]
fn much_at_once_is_done_in_turns() {
    let mut g = Guest::new();
    let offers = g.hello();
    let keep = offers.iter().find(|o| o.class.0[0] == KEEP).expect("offered").offer;
    let mut e = ends(&g.w, &mut g.next, 5, 1024, 64);
    let rings = e.rings;
    g.tell(&ToHost::Open(bus::Open { offer: keep, channel: 5, version: 1, rings }));
    g.told();
    for turn in 1..=3 {
        for n in 0..1024u32 {
            e.tx.send(&g.w, 0, &n.to_le_bytes()).expect("room");
        }
        g.bell(5);
        g.b.advance(MILLISECOND);
        assert_eq!(g.script.told().got.len(), 1024 * turn);
        assert!(e.tx.all_taken(&g.w));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever lies in the window and whatever is rung for: nothing but the guest's own channel suffers.
    #[test]
    fn any_window_is_taken(
        bytes in prop::collection::vec((0u32..4096, any::<u16>()), 1..200),
        small in prop::collection::vec((64u32..3000, 0u16..20), 0..100),
        rings in prop::collection::vec((0u32..64, any::<u8>()), 1..40),
    ) {
        let (mut g, mut echo, mut keep) = Guest::ready();
        for m in [&b"one"[..], b"two"] {
            echo.tx.send(&g.w, 0, m).expect("room");
            keep.tx.send(&g.w, 0, m).expect("room");
        }
        for chunk in [bytes, small] {
            for (at, v) in chunk {
                g.w.store16(echo.rings.tx + at * 2 % 20_000, v);
            }
            for &(n, kind) in &rings {
                match kind % 8 {
                    0 => g.b.host(HostEvent::Channel),
                    1 => g.b.save_and_load(),
                    2 => g.b.advance(MILLISECOND),
                    3 => g.start(),
                    _ => g.bell(n as u16),
                }
            }
        }
        // And it works again.
        prop_assert_eq!(g.hello().len(), 2);
    }
}
