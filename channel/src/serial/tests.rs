use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use seeded::Rng;

use super::*;

const MS: u64 = 1_000_000;

/// Two ends and the line between them.
struct Line {
    ends: [Link; 2],
    /// Bytes on their way from each end.
    wires: [VecDeque<u8>; 2],
    now: u64,
    lives: u32,
}

impl Line {
    fn new() -> Self {
        Self { ends: [Link::new(), Link::new()], wires: Default::default(), now: 0, lives: 0 }
    }

    fn start(&mut self, end: usize) {
        self.lives += 1;
        self.ends[end].start(self.now, 1000 + self.lives);
    }

    /// One step of some bytes in both directions. `spoil` may change what was sent.
    fn step(&mut self, most: usize, mut spoil: impl FnMut(&mut Vec<u8>)) {
        for end in 0..2 {
            let mut buf = vec![0; most];
            let n = self.ends[end].take(self.now, &mut buf);
            buf.truncate(n);
            spoil(&mut buf);
            self.wires[end].extend(buf);
            let arrives = self.wires[end].len().min(most);
            let bytes: Vec<u8> = self.wires[end].drain(..arrives).collect();
            self.ends[1 - end].feed(self.now, &bytes);
        }
        self.now += 5 * MS;
    }

    fn events(&mut self, end: usize) -> Vec<Event> {
        core::iter::from_fn(|| self.ends[end].event()).collect()
    }
}

fn up() -> Line {
    let mut l = Line::new();
    l.start(0);
    for _ in 0..4 {
        l.step(4096, |_| {});
    }
    assert_eq!((l.events(0), l.events(1)), (vec![Event::Began], vec![Event::Began]));
    l
}

#[test]
fn a_frame_is_that_of_the_page() {
    let mut l = Link::new();
    l.start(0, 0x7e7d_0102);
    let mut buf = [0; 64];
    let n = l.take(0, &mut buf);
    // kind 3, seq, ack, zero, the number with its two special bytes escaped, CRC-32.
    let crc = crc32fast::hash(&[3, 0, 0, 0, 2, 1, 0x7d, 0x7e]).to_le_bytes();
    let mut want = vec![0x7e, 3, 0, 0, 0, 2, 1, 0x7d, 0x5d, 0x7d, 0x5e];
    want.extend(crc);
    want.push(0x7e);
    assert!(!crc.contains(&0x7e) && !crc.contains(&0x7d), "another number, please");
    assert_eq!(buf[..n], want);
    assert_eq!(l.take(249 * MS, &mut buf), 0);
    assert_eq!(l.deadline(1), Some(250 * MS));
    assert_eq!(l.take(250 * MS, &mut buf), want.len());
}

#[test]
fn eight_frames_and_no_more_are_on_their_way() {
    let mut l = up();
    for n in 0..8 {
        assert_eq!(l.ends[0].send(n, 0, &[n as u8]), Ok(()));
    }
    assert_eq!(l.ends[0].send(9, 0, &[]), Err(Full));
    l.step(4096, |_| {});
    l.step(4096, |_| {});
    assert_eq!(l.ends[0].room(), 8);
    assert_eq!(l.events(1).len(), 8);
}

#[test]
fn what_nobody_acknowledges_is_sent_thirty_times_more_and_then_the_link_is_down() {
    let mut l = up();
    l.ends[0].send(1, 0, b"x").expect("room");
    let mut sent = 0;
    let mut buf = [0; 4096];
    while l.ends[0].is_up() {
        sent += usize::from(l.ends[0].take(l.now, &mut buf) > 0);
        l.now = l.ends[0].deadline(l.now).unwrap_or(l.now).max(l.now + 1);
    }
    assert_eq!(sent, 31);
    assert!(l.now > 15_000 * MS && l.now < 16_500 * MS, "{}", l.now);
    assert_eq!(l.events(0), [Event::Down]);
    // The other end's start brings it up again, though its number is the known one of an end that never went.
    l.start(1);
    for _ in 0..4 {
        l.step(4096, |_| {});
    }
    assert_eq!(l.events(0), [Event::Began]);
    assert_eq!(l.events(1), [Event::Began]);
}

#[test]
fn a_lost_frame_is_sent_again_without_waiting_for_half_a_second() {
    let mut l = up();
    for n in 0..8 {
        l.ends[0].send(n, 0, &[n as u8; 20]).expect("room");
    }
    let mut first = true;
    let began = l.now;
    while !l.ends[0].all_taken() {
        l.step(4096, |b| {
            if core::mem::take(&mut first) {
                b[8] ^= 1;
            }
        });
    }
    assert!(l.now - began < 100 * MS);
    assert_eq!(l.events(1).len(), 8);
}

#[test]
fn an_end_that_nobody_reads_takes_no_more_than_it_says() {
    let mut l = up();
    let mut sent = 0;
    for _ in 0..100 {
        while l.ends[0].send(1, 0, &[0; 10]).is_ok() {
            sent += 1;
        }
        l.step(4096, |_| {});
    }
    assert_eq!(sent, WAITING_MOST + WINDOW);
    assert_eq!(l.events(1).len(), WAITING_MOST);
}

/// A packet's payload says which life and which number it is.
fn payload(life: u32, n: u32, r: &mut Rng) -> Vec<u8> {
    let mut p = life.to_le_bytes().to_vec();
    p.extend(n.to_le_bytes());
    let len = r.index(40) * r.index(26);
    p.extend(r.bytes(len));
    p.extend(crc32fast::hash(&p).to_le_bytes());
    p
}

/// One end's life as its bus sees it.
#[derive(Default)]
struct Seen {
    /// Goes up with each `Began` of this end: what it sends carries it.
    life: u32,
    sent: u32,
    /// Life and number of the last that came.
    last: Option<(u32, u32)>,
}

fn check(seen: &mut Seen, e: Event, sent_by_other: (u32, u32)) {
    match e {
        Event::Packet(p) => {
            let (body, crc) = p.payload.split_last_chunk::<4>().expect("a CRC");
            assert_eq!(crc32fast::hash(body).to_le_bytes(), *crc, "not whole");
            let word = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().expect("four"));
            let (life, n) = (word(0), word(4));
            match seen.last {
                Some((l, m)) if l == life => assert_eq!(n, m + 1, "not in order, or not once"),
                Some((l, _)) => panic!("{life} {n} after life {l}, and nothing began"),
                None => assert_eq!(n, 0, "the first of a life"),
            }
            assert!(life < sent_by_other.0 || (life, n) < sent_by_other, "{life} {n} was never sent");
            seen.last = Some((life, n));
        }
        Event::Began | Event::Down => {
            seen.life += 1;
            seen.sent = 0;
            seen.last = None;
        }
    }
}

fn spoil(r: &mut Rng, b: &mut Vec<u8>, badness: u64) {
    if b.is_empty() || !r.one_in(badness) {
        return;
    }
    let at = r.index(b.len());
    match r.below(4) {
        0 => b[at] ^= 1 << r.below(8),
        1 => drop(b.remove(at)),
        2 => b.insert(at, b[at]),
        _ => b.truncate(at),
    }
}

/// Bytes are lost, flipped, doubled and cut, ends start anew at random and are saved and loaded: within a life packets come
/// whole, once and in order; and when the line is good again, everything comes.
#[test]
fn packets_come_whole_once_and_in_order() {
    seeded::for_a_while(|r| {
        let mut l = Line::new();
        let mut seen = [Seen::default(), Seen::default()];
        l.start(0);
        let (badness, restart) = (1 + r.below(8), 20 + r.below(2000));
        let steps = 600;
        for step in 0..steps {
            let good = step > steps - 200;
            let mut rr = r.clone();
            l.step(1 + r.index(3000), |b| {
                if !good {
                    spoil(&mut rr, b, badness);
                }
            });
            r.next();
            for end in 0..2 {
                let by_other = (seen[1 - end].life, seen[1 - end].sent);
                for e in l.events(end) {
                    check(&mut seen[end], e, by_other);
                }
                while !good && r.one_in(3) && l.ends[end].room() > 0 {
                    let p = payload(seen[end].life, seen[end].sent, r);
                    seen[end].sent += 1;
                    l.ends[end].send(7, 0, &p).expect("room");
                }
                if !good && r.one_in(restart) {
                    l.start(end);
                }
                if r.one_in(20) {
                    let saved = minicbor::to_vec(&l.ends[end]).expect("bytes");
                    let loaded: Link = minicbor::decode(&saved).expect("a link");
                    assert_eq!(loaded.check(), Ok(()));
                    assert_eq!(loaded, l.ends[end]);
                    l.ends[end] = loaded;
                }
            }
            if good {
                l.now += 50 * MS;
            }
        }
        for end in 0..2 {
            assert!(l.ends[end].is_up() && l.ends[end].all_taken());
            let last = seen[end].last.map_or(0, |(life, n)| {
                assert_eq!(life, seen[1 - end].life);
                n + 1
            });
            assert_eq!(last, seen[1 - end].sent, "what was sent in this life came");
        }
    });
}

/// Any bytes, any time: bounded, sound, no panic.
#[test]
fn any_bytes_do_no_harm() {
    seeded::for_a_while(|r| {
        let len = r.index(4000);
        let bytes: Vec<u8> = r.bytes(len);
        crate::fuzz::serial(&bytes);
    });
}
