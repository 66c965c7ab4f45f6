//! The ring against a queue, numbers that wrap.

use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::Arc;

use proptest::prelude::*;

use super::early::Early;
use super::ring::{LARGEST, Memory, Ring};
use super::seq::{ahead, before, later};

#[derive(Debug, Clone)]
enum Op {
    Push(usize),
    Read(usize, usize),
    Consume(usize),
    Release,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0_usize..40_000).prop_map(Op::Push),
        (0_usize..40_000, 0_usize..40_000).prop_map(|(n, most)| Op::Read(n, most)),
        (0_usize..60_000).prop_map(Op::Consume),
        Just(Op::Release),
    ]
}

proptest! {
    #[test]
    fn a_ring_is_a_queue(ops in proptest::collection::vec(op(), 1..60)) {
        let memory = Arc::new(Memory::default());
        let mut ring = Ring::new(&memory);
        let mut queue = VecDeque::new();
        let mut rng = seeded::Rng::new(1);
        for op in ops {
            match op {
                Op::Push(n) => {
                    let data = rng.bytes(n);
                    let took = ring.push(&data);
                    prop_assert!(took == n || ring.len() == LARGEST);
                    queue.extend(&data[..took]);
                }
                Op::Read(n, most) => {
                    let data = rng.bytes(n);
                    if let Some(read) = ring.read(&mut Cursor::new(&data), most) {
                        let took = read.unwrap();
                        prop_assert!(took <= most);
                        queue.extend(&data[..took]);
                    } else {
                        prop_assert!(most == 0 || ring.len() == LARGEST);
                    }
                }
                Op::Consume(n) => {
                    let n = n.min(queue.len());
                    ring.consume(n);
                    queue.drain(..n);
                }
                Op::Release => ring.release(),
            }
            prop_assert_eq!(ring.len(), queue.len());
            let from = queue.len() / 3;
            let mut copy = vec![0; queue.len() - from];
            ring.copy(from, &mut copy);
            prop_assert!(copy.iter().eq(queue.iter().skip(from)));
            let [a, b] = ring.slices();
            prop_assert!(a.iter().chain(b.iter()).eq(queue.iter()));
        }
        drop(ring);
        prop_assert_eq!(memory.used(), 0);
    }

    #[test]
    fn early_segments_come_in_order(start: u32, order in Just((0..40_u32).collect::<Vec<_>>()).prop_shuffle()) {
        let memory = Arc::new(Memory::default());
        let mut early = Early::new(&memory);
        for i in order {
            early.keep(start.wrapping_add(i * 10), &[i as u8; 10]);
        }
        prop_assert_eq!(memory.used(), 400);
        prop_assert!(early.follower(start.wrapping_sub(1)).is_none());
        let mut rcv = start;
        for i in 0..40 {
            let (seq, data) = early.follower(rcv).unwrap();
            prop_assert_eq!((seq, data[0]), (rcv, i));
            rcv = rcv.wrapping_add(10);
        }
        prop_assert_eq!(memory.used(), 0);
    }
}

#[test]
fn all_memory_is_bounded() {
    let memory = Arc::new(Memory::default());
    let mut rings: Vec<_> = (0..200).map(|_| Ring::new(&memory)).collect();
    let data = vec![1; LARGEST];
    let took: Vec<_> = rings.iter_mut().map(|r| r.push(&data)).collect();
    assert_eq!((took[0], took[199]), (LARGEST, 16 << 10));
    assert!(memory.used() < 80 << 20);
}

#[test]
fn numbers_wrap() {
    assert!(before(u32::MAX, 0) && !before(0, u32::MAX) && !before(5, 5));
    assert_eq!((later(u32::MAX, 3), later(3, u32::MAX)), (3, 3));
    assert_eq!((ahead(u32::MAX, 3), ahead(3, u32::MAX)), (4, 0));
}
