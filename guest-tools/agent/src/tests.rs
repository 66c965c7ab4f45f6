mod world;

use alloc::vec;
use alloc::vec::Vec;

use channel::services::diagnostics::{COUNT, ECHO, RESULT, SINK, SOURCE, TEST, WRONG, pattern};
use channel::services::heartbeat::Beat;
use channel::services::information::{About, Ask, Pair};
use channel::services::power::{Action, Do, Done};
use channel::services::programs::{
    CREDIT, DATA_MOST, Data, Ended, Id, Run, Started, Stream, ToGuest, ToHost, Took,
};
use channel::services::time::{Sample, Was};
use channel::services::{
    DIAGNOSTICS, HEARTBEAT, INFORMATION, POWER, PROGRAMS, TIME, Unsupported, heartbeat, information, power,
    time,
};

use world::{Both, MS};

#[test]
fn a_beat_comes_back_with_its_number() {
    let mut b = Both::new();
    b.send(&HEARTBEAT, &heartbeat::ToGuest::Beat(Beat { number: 9, up: 0 }));
    let heartbeat::ToHost::Beat(Beat { number: 9, up: 1.. }) = b.got(&HEARTBEAT).expect("an answer") else {
        panic!("another answer");
    };
}

#[test]
fn a_kind_that_it_does_not_know_is_answered_with_unsupported_and_nonsense_closes_the_channel() {
    let mut b = Both::new();
    b.send(&HEARTBEAT, &(30u32, Beat::default()));
    assert_eq!(b.got(&HEARTBEAT), Some(heartbeat::ToHost::Unsupported(Unsupported { kind: 30 })));
    b.send(&HEARTBEAT, &"what");
    assert_eq!(b.channels[0], 0);
}

#[test]
fn a_small_offset_is_slewed_and_a_large_one_or_a_wish_sets_the_clock() {
    let mut b = Both::new();
    let second = 1000 * MS;
    b.world.borrow_mut().utc = 100 * second;
    let mut ask = |utc: u64, step| {
        b.send(&TIME, &time::ToGuest::Sample(Sample { utc, step, number: utc }));
        let Some(time::ToHost::Was(Was { number, ahead, stepped })) = b.got(&TIME) else {
            panic!("no answer")
        };
        assert_eq!(number, utc);
        let mut w = b.world.borrow_mut();
        (ahead, stepped, core::mem::take(&mut w.slewed), core::mem::take(&mut w.set))
    };
    let ms = MS as i64;
    assert_eq!(ask(100 * second + 400 * MS, false), (-400 * ms, false, vec![400 * ms], vec![]));
    assert_eq!(ask(100 * second, false), (0, false, vec![0], vec![]), "the slew is over");
    assert_eq!(ask(100 * second, false), (0, false, vec![], vec![]));
    assert_eq!(ask(99 * second, false), (1000 * ms, true, vec![], vec![99 * second]));
    assert_eq!(ask(100 * second - 5 * MS, true), (5 * ms, true, vec![], vec![100 * second - 5 * MS]));
    assert_eq!(ask(u64::MAX, false).0, i64::MIN, "no such clock, but no panic");
}

#[test]
fn a_guest_that_slept_asks_for_the_time() {
    let mut b = Both::new();
    b.all::<time::ToHost>(&TIME);
    b.world.borrow_mut().slept = true;
    b.steps(2100);
    assert_eq!(b.all::<time::ToHost>(&TIME), [time::ToHost::Ask]);
}

#[test]
fn power_is_done_or_it_says_why_not() {
    let mut b = Both::new();
    let ask = |action| Do { request: 5, action, force: true, message: "now".into() };
    b.send(&POWER, &power::ToGuest::Do(ask(Action::Restart)));
    b.send(&POWER, &power::ToGuest::Do(ask(Action::Lock)));
    let done = |error: &str| power::ToHost::Done(Done { request: 5, error: error.into() });
    assert_eq!(b.all::<power::ToHost>(&POWER), [done(""), done("no lock")]);
    let asked = |a| (a, true, "now".into());
    assert_eq!(b.world.borrow().power, [asked(Action::Restart), asked(Action::Lock)]);
}

#[test]
fn what_the_guest_is_comes_when_asked_and_when_it_changed() {
    let mut b = Both::new();
    b.all::<information::ToHost>(&INFORMATION);
    b.send(&INFORMATION, &information::ToGuest::Ask(Ask { software: true }));
    let all = b.all::<information::ToHost>(&INFORMATION);
    assert!(matches!(&all[..], [information::ToHost::About(a), information::ToHost::Software(s)]
        if a.agent == env!("CARGO_PKG_VERSION") && s.packages[0].name == "a"));
    b.world.borrow_mut().about.memory_free = 7;
    b.steps(6000);
    assert_eq!(b.all::<information::ToHost>(&INFORMATION), [], "free memory is no news");
    b.world.borrow_mut().about.users = vec!["ann".into()];
    b.steps(6000);
    let all = b.all::<information::ToHost>(&INFORMATION);
    assert!(matches!(&all[..], [information::ToHost::About(About { users, .. })] if users[..] == ["ann"]));
}

#[test]
fn pairs_go_both_ways_and_nonsense_is_passed_over() {
    let mut b = Both::new();
    b.all::<information::ToHost>(&INFORMATION);
    let pair = |key: &str, value: &str| Pair { key: key.into(), value: value.into() };
    let long = "x".repeat(3000);
    for (k, v) in [("a", "1"), ("", "2"), ("a", ""), ("b", ""), ("c", &*long)] {
        b.send(&INFORMATION, &information::ToGuest::Set(pair(k, v)));
    }
    assert_eq!(b.world.borrow().host_pairs, [pair("a", "1"), pair("a", "")]);
    b.world.borrow_mut().pairs = vec![pair("g", "1"), pair("h", "2")];
    b.steps(6000);
    b.world.borrow_mut().pairs = vec![pair("g", "3")];
    b.steps(6000);
    let set = |k, v| information::ToHost::Set(pair(k, v));
    let want = [set("g", "1"), set("h", "2"), set("h", ""), set("g", "3")];
    assert_eq!(b.all::<information::ToHost>(&INFORMATION), want);
}

fn run(b: &mut Both, id: u32, program: &str) -> Vec<ToHost> {
    b.send(&PROGRAMS, &ToGuest::Run(Run { id, arguments: vec![program.into()], ..Run::default() }));
    b.all(&PROGRAMS)
}

#[test]
fn a_programs_output_comes_before_its_end() {
    let mut b = Both::new();
    assert_eq!(run(&mut b, 3, "true"), [ToHost::Started(Started { id: 3, process: 100 })]);
    {
        let mut w = b.world.borrow_mut();
        let p = w.programs.get_mut(&100).expect("it runs");
        p.output[0].extend(b"out");
        p.output[1].extend(b"error");
        p.code = Some(7);
    }
    b.steps(10);
    let data = |stream, bytes: &[u8]| ToHost::Output(Data { id: 3, stream, bytes: bytes.to_vec() });
    let ended = ToHost::Ended(Ended { id: 3, code: 7, ..Ended::default() });
    let want = [data(Stream::Out, b"out"), data(Stream::Error, b"error"), ended];
    assert_eq!(b.all::<ToHost>(&PROGRAMS), want);
}

#[test]
fn no_more_output_is_sent_than_the_host_takes() {
    let mut b = Both::new();
    run(&mut b, 3, "yes");
    let all: Vec<u8> = (0..3 * CREDIT).map(|n| (n / 7) as u8).collect();
    b.world.borrow_mut().programs.get_mut(&100).expect("it runs").output[0].extend(&all);
    let mut got = Vec::new();
    for rounds in 0.. {
        b.steps(600);
        let mut bytes = 0;
        for m in b.all::<ToHost>(&PROGRAMS) {
            let ToHost::Output(d) = m else { panic!("{m:?}") };
            assert!(d.bytes.len() <= DATA_MOST);
            bytes += d.bytes.len();
            got.extend(d.bytes);
        }
        assert!(bytes <= CREDIT);
        if bytes == 0 {
            assert!(rounds >= 3);
            break;
        }
        b.send(&PROGRAMS, &ToGuest::Took(Took { id: 3, bytes: bytes as u32 }));
    }
    assert!(got == all);
}

#[test]
fn input_is_taken_as_the_program_reads_and_too_much_of_it_closes_the_channel() {
    let mut b = Both::new();
    run(&mut b, 3, "cat");
    let input = |n: usize| ToGuest::Input(Data { id: 3, bytes: vec![5; n], ..Data::default() });
    b.send(&PROGRAMS, &input(1000));
    b.send(&PROGRAMS, &input(0));
    assert_eq!(b.all::<ToHost>(&PROGRAMS), []);
    b.world.borrow_mut().programs.get_mut(&100).expect("it runs").input_room = 600;
    b.steps(10);
    assert_eq!(b.all::<ToHost>(&PROGRAMS), [ToHost::Took(Took { id: 3, bytes: 600 })]);
    assert!(!b.world.borrow().programs[&100].input_closed);
    b.world.borrow_mut().programs.get_mut(&100).expect("it runs").input_room = 600;
    b.steps(10);
    assert!(b.world.borrow().programs[&100].input_closed);
    assert_eq!(b.world.borrow().programs[&100].input.len(), 1000);
    for _ in 0..=CREDIT / DATA_MOST {
        b.send(&PROGRAMS, &input(DATA_MOST));
        b.steps(100);
    }
    assert!(b.world.borrow().programs[&100].killed, "the channel is closed, and what ran there ends");
}

#[test]
fn what_can_not_be_run_says_why_and_what_is_to_end_ends() {
    let mut b = Both::new();
    let why = |id, error: &str| [ToHost::Ended(Ended { id, code: 0, error: error.into() })];
    assert_eq!(run(&mut b, 1, "missing"), why(1, "missing: not there"));
    assert_eq!(run(&mut b, 1, ""), why(1, "no program is named"));
    run(&mut b, 2, "sleep");
    assert_eq!(run(&mut b, 2, "sleep"), why(2, "a program with this number runs already"));
    b.send(&PROGRAMS, &ToGuest::Kill(Id { id: 2 }));
    assert_eq!(b.all::<ToHost>(&PROGRAMS), [ToHost::Ended(Ended { id: 2, code: 137, ..Ended::default() })]);
}

#[test]
fn an_agent_that_ends_says_bye_and_ends_what_runs() {
    let mut b = Both::new();
    run(&mut b, 2, "sleep");
    b.agent.end();
    b.steps(5);
    assert!(b.agent.has_ended() && b.world.borrow().programs[&100].killed);
}

fn test(b: &mut Both, kind: u8, size: u32, count: u32) {
    let mut m = vec![TEST, kind];
    m.extend(size.to_le_bytes());
    m.extend(count.to_le_bytes());
    b.send_bytes(&DIAGNOSTICS, &m);
    b.steps(5);
}

/// How long it took, if this is a result of that test.
fn result(m: &[u8], kind: u8) -> u64 {
    assert_eq!((m[0], m[9], m.len()), (RESULT, kind, 18));
    u64::from_le_bytes(m[1..9].try_into().expect("eight"))
}

#[test]
fn echoes_are_compared() {
    for wrong in [false, true] {
        let mut b = Both::new();
        test(&mut b, ECHO, 1500, 3);
        for n in 0..3 {
            let mut m = b.got_bytes(&DIAGNOSTICS).expect("an echo");
            assert_eq!((m[0], m.len()), (ECHO, 1501));
            m[700] ^= u8::from(wrong && n == 1);
            b.send_bytes(&DIAGNOSTICS, &m);
            b.steps(10);
        }
        let m = b.got_bytes(&DIAGNOSTICS).expect("a result");
        assert_eq!(result(&m, ECHO) == WRONG, wrong);
    }
}

#[test]
fn what_is_sunk_must_have_its_crc() {
    for wrong in [false, true] {
        let mut b = Both::new();
        test(&mut b, SINK, 300, 5);
        b.steps(20);
        let mut crc = crc32fast::Hasher::new();
        let (mut counts, mut bytes) = (0, 0u64);
        while let Some(m) = b.got_bytes(&DIAGNOSTICS) {
            if m[0] == SINK {
                crc.update(&m[1..]);
                bytes += m.len() as u64 - 1;
                continue;
            }
            assert_eq!(m, [COUNT]);
            counts += 1;
            let mut answer = vec![COUNT];
            answer.extend(bytes.to_le_bytes());
            answer.extend((crc.clone().finalize() ^ u32::from(wrong)).to_le_bytes());
            b.send_bytes(&DIAGNOSTICS, &answer);
        }
        assert_eq!((counts, bytes), (2, 1500));
        b.steps(10);
        let m = b.got_bytes(&DIAGNOSTICS).expect("a result");
        assert_eq!(result(&m, SINK) == WRONG, wrong);
    }
}

#[test]
fn a_source_must_have_its_pattern() {
    for wrong in [false, true] {
        let mut b = Both::new();
        test(&mut b, SOURCE, 50_000, 3);
        let m = b.got_bytes(&DIAGNOSTICS).expect("a wish");
        assert_eq!(
            (m[0], &m[1..9], &m[9..]),
            (SOURCE, &150_000u64.to_le_bytes()[..], &50_000u32.to_le_bytes()[..])
        );
        for part in (0..150_000u64).collect::<Vec<_>>().chunks(70_000) {
            let mut m = vec![SOURCE];
            m.extend(part.iter().map(|&at| pattern(at)));
            m[9] ^= u8::from(wrong);
            b.send_bytes(&DIAGNOSTICS, &m);
        }
        b.steps(400);
        let m = b.got_bytes(&DIAGNOSTICS).expect("a result");
        assert_eq!(result(&m, SOURCE) == WRONG, wrong);
    }
}

#[test]
fn anything_that_services_may_say_does_no_harm() {
    seeded::for_a_while(|r| {
        let mut b = Both::new();
        for _ in 0..60 {
            let k = r.pick(&channel::services::KINDS);
            let len = r.index(30);
            let mut m = r.bytes(len);
            // Something like a message, mostly.
            if r.one_in(2) {
                m.splice(0..0, [0x82, 1 + r.below(5) as u8, 0xa2]);
            }
            b.send_bytes(&k, &m);
            b.steps(3);
            b.channels.iter_mut().filter(|c| **c == 0).for_each(|c| *c = 60);
        }
    });
}
