mod model;

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;

use seeded::Rng;

use super::*;
use crate::bus::{Closed, Offer};
use crate::services;
use model::{Host, Mapped, Shared};

const MS: u64 = 1_000_000;

fn settings() -> Settings {
    let shape = Shape { tx_size: 8, tx_buffer: 1024, rx_size: 8, rx_buffer: 2048 };
    let class = |k: &services::Kind| Class { class: k.class, version: 3, shape, longest: 100_000 };
    Settings {
        system: System::Linux,
        name: "model 1".into(),
        newest: 0x1_0002,
        oldest: 0x1_0000,
        session: 77,
        classes: services::KINDS.iter().map(class).collect(),
    }
}

fn offer(offer: u32, k: usize) -> Offer {
    let k = &services::KINDS[k];
    Offer {
        offer,
        class: k.class,
        instance: Guid::default(),
        version: 1,
        priority: k.priority,
        name: k.name.into(),
    }
}

/// Guest and host, joined.
struct Both {
    shared: Rc<Shared>,
    guest: Guest<Mapped>,
    host: Host,
    now: u64,
    buffer: Vec<u8>,
    events: Vec<Event>,
    messages: BTreeMap<u16, Vec<Vec<u8>>>,
}

impl Both {
    fn new() -> Self {
        let shared = Shared::new();
        let host = Host::new(shared.clone());
        let guest = Guest::new(settings());
        let (buffer, events) = (Vec::new(), Vec::new());
        Self { shared, guest, host, now: 0, buffer, events, messages: BTreeMap::new() }
    }

    fn function(&mut self) {
        self.guest.set_function(self.now, Mapped(self.shared.clone())).expect("ours");
    }

    fn step(&mut self) {
        self.now += MS;
        self.guest.poll(self.now);
        let mut b = [0; 600];
        let n = self.guest.serial_out(self.now, &mut b);
        self.host.link.feed(self.now, &b[..n]);
        self.host.step();
        let n = self.host.link.take(self.now, &mut b);
        self.guest.serial_in(self.now, &b[..n]);
        while let Some(e) = self.guest.event(&mut self.buffer) {
            if let Event::Message { channel, .. } = e {
                self.messages.entry(channel).or_default().push(self.buffer.clone());
            } else {
                self.events.push(e);
            }
        }
    }

    fn steps(&mut self, n: usize) {
        (0..n).for_each(|_| self.step());
    }

    fn take(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }
}

#[test]
fn what_is_offered_and_known_is_opened_and_goes_both_ways() {
    let mut b = Both::new();
    b.host.versions = (0x1_0001, 0x1_0000);
    b.host.offers = vec![offer(9, 2), Offer { class: Guid([7; 16]), ..offer(10, 0) }, offer(11, 5)];
    b.function();
    b.steps(6);
    let welcome = Event::Welcome { version: 0x1_0001, name: "model".into() };
    let opened = |channel, class| Event::Opened { channel, class, version: 1 };
    assert_eq!(b.take(), [welcome, opened(1, 2), opened(2, 5)]);
    let long: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
    b.guest.send(2, long.clone()).expect("room");
    b.guest.send(2, vec![]).expect("room");
    b.host.send(2, long.clone());
    b.host.send(2, vec![1]);
    b.steps(10);
    assert_eq!(b.host.channels[&2].got, [long.clone(), vec![]]);
    assert_eq!(b.messages[&2], [long, vec![1]]);
    assert!(!b.guest.arm(), "nothing is there");
}

#[test]
fn an_older_host_is_spoken_to_in_its_version_and_one_without_a_common_one_not_at_all() {
    let mut b = Both::new();
    b.host.versions = (0x1_0000, 0x1_0000);
    b.guest.settings.oldest = 0x1_0000;
    // A host that refuses what it does not know, though the ranges meet.
    b.function();
    b.steps(4);
    assert!(b.guest.is_welcome());
    let mut b = Both::new();
    b.host.versions = (0x9_0000, 0x9_0000);
    b.function();
    b.steps(100);
    assert_eq!(b.take(), [Event::Refused]);
    b.now += 61_000 * MS;
    b.host.versions = (0x1_0000, 0x1_0000);
    b.steps(4);
    assert!(b.guest.is_welcome(), "tried again after a minute");
}

#[test]
fn refused_goes_down_to_what_both_know() {
    let mut b = Both::new();
    b.function();
    b.guest.poll(1);
    b.guest.refused(0x1_0001, 0x1_0001);
    assert_eq!(b.guest.asked, 0x1_0001);
    b.guest.refused(0x1_0001, 0x1_0001);
    assert!(b.events.is_empty() && b.guest.events.contains(&Event::Refused), "asked once for each");
}

#[test]
fn a_rescinded_service_is_let_go_of_and_opened_again_when_it_is_offered_anew() {
    let mut b = Both::new();
    b.host.offers = vec![offer(1, 3)];
    b.function();
    b.steps(6);
    b.take();
    b.host.rescind(1);
    b.steps(4);
    let why = Gone::Host(Closed::Rescinded);
    assert_eq!(b.take(), [Event::Closed { channel: 1, class: 3, why }]);
    assert_eq!(b.host.said.last(), Some(&ToHost::Released { offer: 1 }));
    assert_eq!(b.guest.send(1, vec![1]), Err(Full));
    b.host.offer(offer(1, 3));
    b.steps(4);
    assert_eq!(b.take(), [Event::Opened { channel: 1, class: 3, version: 1 }]);
}

#[test]
fn a_bus_that_stopped_for_a_fault_is_started_again() {
    let mut b = Both::new();
    b.host.offers = vec![offer(1, 3)];
    b.function();
    b.steps(6);
    b.take();
    b.shared.fault.set(true);
    b.steps(1100);
    let events = b.take();
    assert_eq!(events[0], Event::Closed { channel: 1, class: 3, why: Gone::Bus });
    assert_eq!(events[2], Event::Opened { channel: 1, class: 3, version: 1 });
}

#[test]
fn bye_is_answered() {
    let mut b = Both::new();
    b.host.offers = vec![offer(1, 3)];
    b.function();
    b.steps(6);
    b.guest.bye(b.now);
    b.steps(3);
    assert_eq!(b.take().last(), Some(&Event::Bye));
}

#[test]
fn a_message_that_is_too_long_closes_its_channel() {
    let mut b = Both::new();
    b.host.offers = vec![offer(1, 3)];
    b.function();
    b.steps(6);
    b.take();
    b.host.send(1, vec![0; 100_001]);
    b.steps(40);
    assert_eq!(b.take(), [Event::Closed { channel: 1, class: 3, why: Gone::Breach }]);
    assert!(b.host.channels.is_empty() && b.messages.is_empty());
}

#[test]
fn a_host_that_forgot_the_session_begins_anew_on_the_function() {
    let mut b = Both::new();
    b.host.offers = vec![offer(1, 3)];
    b.guest.start_serial(0, 5);
    b.steps(40);
    assert_eq!(b.guest.way(), Way::Serial);
    b.take();
    b.host.forgetful = true;
    b.function();
    b.steps(10);
    let events = b.take();
    assert_eq!(events[0], Event::Closed { channel: 1, class: 3, why: Gone::Bus });
    assert_eq!(events[2], Event::Opened { channel: 1, class: 3, version: 1 });
    assert_eq!(b.guest.way(), Way::Function);
}

fn message(n: u32, r: &mut Rng) -> Vec<u8> {
    let len = r.index(50) * r.index(80);
    let mut m = n.to_le_bytes().to_vec();
    m.extend(r.bytes(len));
    m
}

/// Messages both ways over COM2 while the function appears at some moment: all come, whole, once, in order.
#[test]
fn moving_from_com2_to_the_function_loses_and_doubles_nothing() {
    let runs = seeded::for_a_while(|r| {
        let mut b = Both::new();
        let channels = 1 + r.index(6);
        b.host.offers = (0..channels).map(|k| offer(1 + k as u32, k)).collect();
        b.guest.start_serial(0, 5);
        let mut sent: [BTreeMap<u16, Vec<Vec<u8>>>; 2] = Default::default();
        let at = 30 + r.index(200);
        for step in 0..at + 200 {
            if step == at {
                b.function();
            }
            b.step();
            let open: Vec<u16> = b.host.channels.keys().copied().collect();
            for n in open {
                if !b.events.iter().any(|e| matches!(e, Event::Opened { channel, .. } if *channel == n)) {
                    continue;
                }
                if r.one_in(4) && step < at + 60 {
                    let all = sent[0].entry(n).or_default();
                    let m = message(all.len() as u32, r);
                    if b.guest.send(n, m.clone()).is_ok() {
                        all.push(m);
                    }
                }
                if r.one_in(4) && step < at + 60 {
                    let all = sent[1].entry(n).or_default();
                    let m = message(all.len() as u32, r);
                    b.host.send(n, m.clone());
                    all.push(m);
                }
            }
        }
        // What was in the link when it moved takes its time.
        b.steps(3000);
        assert!(b.events.contains(&Event::Moved), "{:?}", b.events);
        assert_eq!(b.guest.way(), Way::Function);
        assert!(!b.events.iter().any(|e| matches!(e, Event::Closed { .. })));
        for (n, all) in &sent[0] {
            assert!(b.host.channels[n].got == *all, "to the host on {n}");
        }
        for (n, all) in &sent[1] {
            assert!(b.messages[n] == *all, "to the guest on {n}");
        }
        assert!(!b.guest.has_serial(), "COM2 is let go of");
    });
    assert!(runs > 0);
}

/// A host that says anything and scribbles over the window: no panic, nothing without bound.
#[test]
fn a_hostile_host_does_no_harm() {
    seeded::for_a_while(|r| {
        let mut b = Both::new();
        b.host.offers = (0..6).map(|k| offer(1 + k as u32, k)).collect();
        if r.one_in(2) {
            b.guest.start_serial(0, 5);
            b.steps(30);
        }
        if r.one_in(2) || !b.guest.has_serial() {
            b.function();
            b.steps(8);
        }
        // From here on the host is not the model's.
        for _ in 0..200 {
            b.now += 20 * MS;
            if b.guest.has_function() {
                let mut w = b.shared.window.borrow_mut();
                for _ in 0..r.index(100) {
                    let most = if r.one_in(2) { 30_000 } else { model::WINDOW };
                    let at = r.index(most);
                    w[at] = if r.one_in(2) { r.byte() } else { r.below(4) as u8 };
                }
            }
            let kind = r.below(18) as u8;
            let len = r.index(40);
            let mut said = vec![kind, 0, 0, 0];
            for _ in 0..len {
                said.push(if r.one_in(3) { r.byte() } else { r.below(8) as u8 });
            }
            let _ = b.host.link.send(0, 0, &said);
            let _ = b.host.link.send(r.below(70) as u16, r.below(3) as u16, &said);
            b.guest.said(b.guest.way(), &said);
            let mut bytes = [0; 600];
            let n = b.host.link.take(b.now, &mut bytes);
            b.guest.serial_in(b.now, &bytes[..n]);
            b.guest.poll(b.now);
            let n = b.guest.serial_out(b.now, &mut bytes);
            b.host.link.feed(b.now, &bytes[..n]);
            for _ in 0..3000 {
                let Some(e) = b.guest.event(&mut b.buffer) else { break };
                if let Event::Message { channel, .. } = e {
                    let _ = b.guest.send(channel, b.buffer.clone());
                }
            }
            let _ = (b.guest.arm(), b.guest.deadline(b.now));
            assert!(b.guest.offers.len() <= OFFERS_MOST && b.guest.rescinded.len() <= OFFERS_MOST);
            assert!(
                b.guest.control_rings.len().max(b.guest.control_serial.len())
                    <= CONTROL_MOST + 3 * OFFERS_MOST
            );
        }
    });
}

#[test]
fn any_bytes_in_the_window_do_no_harm() {
    seeded::for_a_while(|r| {
        // What a host would write, mostly: used indices and messages of channel 0 near the window's begin.
        let mut bytes = Vec::new();
        for _ in 0..60 {
            let at = if r.one_in(2) { r.below(0x3000) } else { r.below(0x1_0000) } as u16;
            bytes.extend(at.to_le_bytes());
            for _ in 0..62 {
                bytes.push(if r.one_in(3) { r.byte() } else { r.below(4) as u8 });
            }
        }
        crate::fuzz::guest(&bytes);
    });
}
