//! The host's end against the guest's own: chip and services here, [`channel::guest`] there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use board::testkit::Bench;
use board::{HostEvent, MILLISECOND, Route, SECOND, Tick, Width};
use channel::guest::{self, Class, Event as Seen, Function, Settings, Shape};
use channel::ring::Window;
use channel::services::{diagnostics, heartbeat, information, power, programs, time};
use channel::{VERSION, services as wire};
use devices::channel::{CONFIG, Channel, Wire};
use proptest::prelude::*;

use super::*;

const REGS: u32 = 0xe800_0000;
const WINDOW: u32 = 0xe900_0000;
const WORLD: u64 = 1_800_000_000 * SECOND;

/// COM2 towards the guest.
#[derive(Clone, Default)]
struct Line(Arc<Mutex<VecDeque<u8>>>);

impl Wire for Line {
    fn send(&mut self, bytes: Vec<u8>) {
        self.0.lock().expect("nobody panicked with it").extend(bytes);
    }
}

/// The PCI function, mapped by a driver.
#[derive(Clone)]
struct Mapped(Rc<RefCell<Bench<Channel>>>);

impl Window for Mapped {
    fn load16(&self, at: u32) -> u16 {
        self.0.borrow_mut().read16(WINDOW + at)
    }
    fn load32(&self, at: u32) -> u32 {
        self.0.borrow_mut().read32(WINDOW + at)
    }
    fn store16(&self, at: u32, v: u16) {
        self.0.borrow_mut().write16(WINDOW + at, v);
    }
    fn store32(&self, at: u32, v: u32) {
        self.0.borrow_mut().write32(WINDOW + at, v);
    }
    fn copy_in(&self, at: u32, bytes: &[u8]) {
        self.0.borrow().ram.write(u64::from(WINDOW + at), bytes);
    }
    fn copy_out(&self, at: u32, bytes: &mut [u8]) {
        self.0.borrow().ram.read(u64::from(WINDOW + at), bytes);
    }
    fn fence(&self) {}
}

impl Function for Mapped {
    fn read(&self, register: u32) -> u32 {
        self.0.borrow_mut().read32(REGS + register)
    }
    fn write(&self, register: u32, value: u32) {
        self.0.borrow_mut().write32(REGS + register, value);
    }
}

/// Which bytes COM2 loses: one in some thousands, by a seed; none with 0.
struct Loss(u64);

impl Loss {
    fn takes(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % 6000 == 1
    }

    fn pass(&mut self, bytes: impl IntoIterator<Item = u8>) -> Vec<u8> {
        bytes.into_iter().filter(|_| !self.takes()).collect()
    }
}

struct Rig {
    chip: Mapped,
    line: Line,
    shared: Arc<Shared>,
    guest: guest::Guest<Mapped>,
    /// Channels by class, in the order of [`wire::KINDS`].
    open: Vec<Option<u16>>,
    got: Vec<(usize, Vec<u8>)>,
    loss: Loss,
}

fn classes() -> Vec<Class> {
    let shape = Shape { tx_size: 16, tx_buffer: 2048, rx_size: 16, rx_buffer: 2048 };
    let class = |k: &Kind| Class { class: k.class, version: k.version, shape, longest: 1 << 20 };
    wire::KINDS.iter().map(class).collect()
}

impl Rig {
    fn new(off: &[&'static str]) -> Self {
        let shared = Shared::new(Events::default());
        let host = Host::new(shared.clone(), Box::new(|now| WORLD + now), off);
        let line = Line::default();
        let mut b = Bench::with_ram(|lines, ram| {
            let inta = lines.connect(Route::Pirq(0));
            Channel::new(ram, 4 << 20, inta, "test".into(), Box::new(host))
                .with_serial(Box::new(line.clone()))
        });
        b.cfg_write(CONFIG, 0x10, Width::D, REGS);
        b.cfg_write(CONFIG, 0x14, Width::D, WINDOW);
        b.cfg_write(CONFIG, 4, Width::W, 6);
        let settings = Settings {
            system: System::Linux,
            name: "agent 1.0".into(),
            newest: VERSION,
            oldest: VERSION,
            session: 99,
            classes: classes(),
        };
        let chip = Mapped(Rc::new(RefCell::new(b)));
        let open = vec![None; wire::KINDS.len()];
        let guest = guest::Guest::new(settings);
        Self { chip, line, shared, guest, open, got: Vec::new(), loss: Loss(0) }
    }

    fn now(&self) -> Tick {
        self.chip.0.borrow().now()
    }

    fn events(&mut self) {
        let mut buf = Vec::new();
        while let Some(e) = self.guest.event(&mut buf) {
            match e {
                Seen::Opened { channel, class, .. } => self.open[class] = Some(channel),
                Seen::Closed { class, .. } => self.open[class] = None,
                Seen::Message { class, .. } => self.got.push((class, buf.clone())),
                Seen::Welcome { .. } | Seen::Moved | Seen::Bye | Seen::Refused => {}
            }
        }
    }

    /// Lets both ends do what they have to do, for so long.
    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            let now = self.now();
            self.guest.poll(now);
            self.events();
            // What 115,200 baud are in a millisecond.
            let mut buf = [0; 12];
            let n = self.guest.serial_out(now, &mut buf);
            let out = self.loss.pass(buf[..n].iter().copied());
            let back = {
                let mut line = self.line.0.lock().expect("nobody panicked with it");
                let n = line.len().min(12);
                self.loss.pass(line.drain(..n))
            };
            self.guest.serial_in(now, &back);
            let mut b = self.chip.0.borrow_mut();
            if !out.is_empty() {
                b.host(HostEvent::Serial(out));
            }
            b.advance(MILLISECOND);
        }
    }

    fn say(&mut self, class: usize, message: Vec<u8>) {
        let channel = self.open[class].expect("open");
        self.guest.send(channel, message).expect("room");
    }

    fn take(&mut self, class: usize) -> Vec<Vec<u8>> {
        let (mine, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.got).into_iter().partition(|m| m.0 == class);
        self.got = rest;
        mine.into_iter().map(|(_, m)| m).collect()
    }

    fn ask(&mut self, class: usize, r: Request) {
        self.shared.inbox().push_back((class as ServiceId, r));
        self.chip.0.borrow_mut().host(HostEvent::Channel);
    }

    /// An agent that has opened everything, by the function.
    fn ready() -> Self {
        let mut r = Self::new(&[]);
        r.guest.set_function(0, r.chip.clone()).expect("ours");
        r.run(5);
        assert!(r.open.iter().all(Option::is_some));
        r
    }

    fn by_com2(&self) -> bool {
        self.shared.shown().agent.as_ref().is_some_and(|a| a.serial)
    }
}

const HEARTBEAT: usize = 0;
const TIME: usize = 1;
const POWER: usize = 2;
const INFORMATION: usize = 3;
const PROGRAMS: usize = 4;
const DIAGNOSTICS: usize = 5;

fn read<T: for<'b> Decode<'b, ()>>(m: &[u8]) -> T {
    wire::parse(m).expect("a message")
}

#[test]
fn what_the_spec_forbids_is_not_offered() {
    let mut r = Rig::new(&["programs", "time"]);
    r.guest.set_function(0, r.chip.clone()).expect("ours");
    r.run(5);
    let open: Vec<bool> = r.open.iter().map(Option::is_some).collect();
    assert_eq!(open, [true, false, true, true, false, true]);
    assert_eq!(r.shared.shown().open, open);
    // And offered while it runs.
    r.ask(PROGRAMS, Request::Offer(true));
    r.run(5);
    assert!(r.open[PROGRAMS].is_some());
    r.ask(HEARTBEAT, Request::Offer(false));
    r.run(5);
    assert!(r.open[HEARTBEAT].is_none() && !r.shared.shown().open[HEARTBEAT]);
}

#[test]
fn heartbeats_are_counted_and_a_silent_agent_is_told() {
    let mut r = Rig::ready();
    r.run(10_000);
    let beat = |m: &Vec<u8>| {
        let heartbeat::ToGuest::Beat(b) = read(m);
        b.number
    };
    assert_eq!(r.take(HEARTBEAT).iter().map(beat).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(r.shared.shown().unanswered, STUCK);
    // A late answer is none.
    r.say(HEARTBEAT, wire::bytes(&heartbeat::ToHost::Beat(heartbeat::Beat { number: 2, up: 1 })));
    r.run(2);
    assert_eq!(r.shared.shown().unanswered, 3);
    r.say(HEARTBEAT, wire::bytes(&heartbeat::ToHost::Beat(heartbeat::Beat { number: 3, up: 77 })));
    r.run(2);
    let shown = r.shared.shown();
    assert_eq!((shown.unanswered, shown.up), (0, Some(77)));
}

#[test]
fn the_clock_is_told_and_a_gap_at_once() {
    let mut r = Rig::ready();
    let samples = |r: &mut Rig| -> Vec<time::Sample> {
        let sample = |m: &Vec<u8>| {
            let time::ToGuest::Sample(s) = read(m);
            s
        };
        r.take(TIME).iter().map(sample).collect()
    };
    let [first] = samples(&mut r)[..] else { panic!("one") };
    assert!(!first.step && first.utc >= WORLD && first.utc <= WORLD + 5 * MILLISECOND);
    r.chip.0.borrow_mut().host(HostEvent::Missed(60));
    r.run(2);
    let [missed] = samples(&mut r)[..] else { panic!("one") };
    assert!(missed.step && missed.number == 2);
    r.say(TIME, wire::bytes(&time::ToHost::Was(time::Was { number: 2, ahead: -60, stepped: true })));
    r.run(10_000);
    assert_eq!(r.shared.shown().ahead, Some((-60, true)));
    let [later] = samples(&mut r)[..] else { panic!("one") };
    assert!(!later.step);
    // The guest goes on from a saved state.
    r.chip.0.borrow_mut().save_and_load();
    r.run(2);
    let all = samples(&mut r);
    assert!(!all.is_empty() && all[0].step);
}

#[test]
fn orders_are_answered_or_end_with_the_agent() {
    let mut r = Rig::ready();
    let order = || {
        let (done, rx) = mpsc::channel();
        let order = power::Do { action: power::Action::Restart, ..power::Do::default() };
        (Request::Power { order, done }, rx)
    };
    let (a, rx) = order();
    r.ask(POWER, a);
    r.run(2);
    let power::ToGuest::Do(got) = read(&r.take(POWER)[0]);
    assert_eq!(got.action, power::Action::Restart);
    let no = power::Done { request: got.request, error: "somebody is at work".into() };
    r.say(POWER, wire::bytes(&power::ToHost::Done(no)));
    r.run(2);
    assert_eq!(rx.try_recv(), Ok(Err(GuestError::Guest("somebody is at work".into()))));
    // The guest restarts before its agent says so; it does not lock its screen by leaving.
    let (a, restarts) = order();
    r.ask(POWER, a);
    let (done, locks) = mpsc::channel();
    let lock = power::Do { action: power::Action::Lock, ..power::Do::default() };
    r.ask(POWER, Request::Power { order: lock, done });
    r.run(2);
    r.guest.bye(r.now());
    r.run(2);
    assert_eq!(restarts.try_recv(), Ok(Ok(())));
    assert_eq!(locks.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    assert!(r.shared.shown().agent.is_none());
}

#[test]
fn information_is_kept_and_forgotten() {
    let mut r = Rig::ready();
    assert!(matches!(read(&r.take(INFORMATION)[0]), information::ToGuest::Ask(_)));
    let about = About { name: "lab".into(), ..About::default() };
    r.say(INFORMATION, wire::bytes(&information::ToHost::About(about.clone())));
    let pair = |key: &str, value: &str| information::Pair { key: key.into(), value: value.into() };
    for p in [pair("a", "1"), pair("b", "2"), pair("a", "3"), pair("b", "")] {
        r.say(INFORMATION, wire::bytes(&information::ToHost::Set(p)));
    }
    r.run(2);
    for _ in 0..2 {
        let shown = r.shared.shown().clone();
        assert_eq!(shown.about.as_ref(), Some(&about));
        assert_eq!(shown.values, [("a".into(), "3".into())]);
        r.chip.0.borrow_mut().save_and_load();
    }
    // One that is too long ends the channel.
    let long = pair("k", &"v".repeat(information::VALUE_MOST + 1));
    r.say(INFORMATION, wire::bytes(&information::ToHost::Set(long)));
    r.run(2);
    assert!(r.open[INFORMATION].is_none() && r.shared.shown().about.is_none());
}

fn started(r: &mut Rig) -> (u32, mpsc::Receiver<Output>) {
    let (output, rx) = mpsc::channel();
    let (done, id) = mpsc::channel();
    let run = Run { arguments: vec!["cat".into()], ..Run::default() };
    r.ask(PROGRAMS, Request::Run { run, output, done });
    r.run(2);
    let id = id.try_recv().expect("a number");
    let programs::ToGuest::Run(run) = read(&r.take(PROGRAMS)[0]) else { panic!("not started") };
    assert_eq!((run.id, &run.arguments[..]), (id, &["cat".to_string()][..]));
    (id, rx)
}

#[test]
fn programs_get_input_as_they_take_it_and_give_output_as_it_is_taken() {
    let mut r = Rig::ready();
    let (id, rx) = started(&mut r);
    let started = programs::ToHost::Started(programs::Started { id, process: 42 });
    r.say(PROGRAMS, wire::bytes(&started));
    let input: Vec<u8> = (0..600_000).map(|n| (n % 253) as u8).collect();
    let (done, room) = mpsc::channel();
    r.ask(PROGRAMS, Request::Input { id, bytes: input.clone(), done: done.clone() });
    assert!(room.try_recv().is_err(), "there is no room for more");
    r.ask(PROGRAMS, Request::Input { id, bytes: Vec::new(), done });
    let (mut got, mut ended) = (Vec::new(), false);
    for round in 0.. {
        r.run(20);
        let mut took = 0;
        for m in r.take(PROGRAMS) {
            match read(&m) {
                programs::ToGuest::Input(d) if d.bytes.is_empty() => ended = true,
                programs::ToGuest::Input(d) => {
                    took += d.bytes.len();
                    got.extend(d.bytes);
                }
                m => panic!("{m:?}"),
            }
        }
        assert!(took <= programs::CREDIT, "{took} bytes that nobody took");
        if ended {
            break;
        }
        assert!(round < 10 && took > 0, "{} bytes in all", got.len());
        r.say(PROGRAMS, wire::bytes(&programs::ToHost::Took(programs::Took { id, bytes: took as u32 })));
    }
    assert_eq!(got, input);
    assert_eq!(room.try_iter().count(), 2);
    for n in 0..8 {
        let bytes = vec![n; programs::DATA_MOST];
        let data = programs::Data { id, stream: Stream::Error, bytes };
        r.say(PROGRAMS, wire::bytes(&programs::ToHost::Output(data)));
    }
    r.say(
        PROGRAMS,
        wire::bytes(&programs::ToHost::Ended(programs::Ended { id, code: 3, error: String::new() })),
    );
    r.run(200);
    let all: Vec<Output> = rx.try_iter().collect();
    assert_eq!(all.len(), 10);
    assert!(all[0] == Output::Started(42) && all[9] == Output::Ended(Ok(3)));
}

#[test]
fn a_guest_that_writes_more_than_is_taken_is_closed() {
    let mut r = Rig::ready();
    let (id, rx) = started(&mut r);
    for _ in 0..=programs::CREDIT / programs::DATA_MOST {
        let data = programs::Data { id, stream: Stream::Out, bytes: vec![0; programs::DATA_MOST] };
        r.say(PROGRAMS, wire::bytes(&programs::ToHost::Output(data)));
        r.run(20);
    }
    assert_eq!(rx.try_iter().last(), Some(Output::Ended(Err(GuestError::Left))));
    assert!(r.shared.shown().open.iter().enumerate().all(|(n, open)| *open == (n != PROGRAMS)));
}

#[test]
fn a_message_of_a_newer_agent_is_told_to_be_unknown() {
    let mut r = Rig::ready();
    r.say(INFORMATION, wire::bytes(&(77_u32, Unsupported { kind: 0 })));
    r.run(2);
    let got = r.take(INFORMATION);
    let last: (u32, Unsupported) = minicbor::decode(got.last().expect("an answer")).expect("a message");
    assert_eq!(last, (0, Unsupported { kind: 77 }));
    r.say(INFORMATION, b"\xff\x00".to_vec());
    r.run(2);
    assert!(r.open[INFORMATION].is_none());
}

#[test]
fn the_channel_is_measured() {
    let mut r = Rig::ready();
    for n in 0..100u32 {
        let mut m = vec![diagnostics::SINK];
        m.extend(n.to_le_bytes());
        r.say(DIAGNOSTICS, m);
    }
    r.say(DIAGNOSTICS, vec![diagnostics::COUNT]);
    r.run(20);
    let all: Vec<u8> = (0..100u32).flat_map(u32::to_le_bytes).collect();
    let mut want = vec![diagnostics::COUNT];
    want.extend(400u64.to_le_bytes());
    want.extend(crc32fast::hash(&all).to_le_bytes());
    assert_eq!(r.take(DIAGNOSTICS), [want]);
    let mut ask = vec![diagnostics::SOURCE];
    ask.extend(3_000_001u64.to_le_bytes());
    ask.extend(40_000u32.to_le_bytes());
    r.say(DIAGNOSTICS, ask);
    let mut bytes = Vec::new();
    while bytes.len() < 3_000_001 {
        r.run(10);
        let now = r.take(DIAGNOSTICS);
        assert!(!now.is_empty());
        assert!(now.iter().all(|m| m.len() <= 40_001));
        now.iter().for_each(|m| bytes.extend_from_slice(&m[1..]));
    }
    assert!((0..).zip(&bytes).all(|(n, &b)| b == diagnostics::pattern(n)) && bytes.len() == 3_000_001);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Over COM2 with a line that loses bytes, to the function at any moment, with saves and resumes: what is sent back comes
    /// whole, once and in order.
    #[test]
    fn nothing_is_lost_on_the_way_from_com2_to_the_function(
        seed in any::<u64>(),
        moves_at in 0usize..40,
        steps in prop::collection::vec((0u8..8, 1u64..60, 0usize..3000), 40),
    ) {
        let mut r = Rig::new(&[]);
        r.loss = Loss(seed | 1);
        r.guest.start_serial(0, 7);
        let mut at = 0;
        while r.open.iter().any(Option::is_none) {
            r.run(50);
            at += 1;
            prop_assert!(at < 400, "never opened");
        }
        prop_assert!(r.by_com2());
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        for (n, (what, ms, len)) in steps.into_iter().enumerate() {
            if n == moves_at {
                let now = r.now();
                r.guest.set_function(now, r.chip.clone()).expect("ours");
            }
            if what < 5 {
                let mut m = vec![diagnostics::ECHO, n as u8];
                m.resize(2 + len, what);
                sent.push(m.clone());
                r.say(DIAGNOSTICS, m);
            }
            if what == 5 {
                r.chip.0.borrow_mut().save_and_load();
            }
            r.run(ms);
            got.extend(r.take(DIAGNOSTICS));
        }
        for _ in 0..1000 {
            r.run(50);
            got.extend(r.take(DIAGNOSTICS));
            if got.len() == sent.len() && !r.by_com2() {
                break;
            }
        }
        prop_assert!(got == sent, "{} of {}", got.len(), sent.len());
        prop_assert!(!r.by_com2(), "it never moved");
        prop_assert!(r.open.iter().all(Option::is_some));
    }
}
