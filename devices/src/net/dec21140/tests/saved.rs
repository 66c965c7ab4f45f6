use board::{Device, StateIn, StateOut};

use super::{ALL, Card, IC, MAC, RI, RX, RX_BUFFERS, TX, frame};
use crate::net::dec21140::Place;

/// An adapter with everything under way: frames that wait, a timer, half a serial ROM command, half an MDIO frame.
fn busy() -> Card {
    let mut c = Card::running();
    c.w(0, 3 << 17 | 1 << 2);
    c.w(0, 3 << 17);
    c.w(11, 0x1_0010);
    c.w(12, 0x1f0);
    c.w(12, 0x0a5);
    c.w(15, 5);
    c.w(10, 0x1234);
    for n in 0..5 {
        c.comes(&frame(MAC, 60, n));
    }
    for di in [4, 4, 0, 0, 0] {
        c.w(9, 0x4801 | di);
        c.w(9, 0x4803 | di);
    }
    for mdo in [2, 0, 2, 2, 0, 0, 0] {
        c.w(9, mdo << 16);
        c.w(9, (mdo | 1) << 16);
    }
    c
}

fn saved(c: &Card) -> Vec<u8> {
    let mut out = StateOut::default();
    c.b.dev.save(&mut out);
    out.into_body().unwrap().1
}

#[test]
fn everything_comes_back() {
    let mut c = busy();
    let before = saved(&c);
    let registers: Vec<u32> = [0, 3, 4, 5, 6, 7, 9, 10, 11, 12, 15].into_iter().map(|n| c.r(n)).collect();
    assert!(c.irq());
    c.b.save_and_load();
    assert_eq!(saved(&c), before);
    let again: Vec<u32> = [0, 3, 4, 5, 6, 7, 9, 10, 11, 12, 15].into_iter().map(|n| c.r(n)).collect();
    assert_eq!(again, registers);
    assert!(c.irq());
}

#[test]
fn work_goes_on_where_it_was() {
    let mut c = busy();
    c.b.save_and_load();
    c.rx_ring(4);
    c.queue(0, &frame(ALL, 60, 7), IC);
    c.b.advance(4_000_000);
    assert_eq!(c.bytes(RX_BUFFERS, 60), frame(MAC, 60, 4), "the frame in the FIFO");
    assert_eq!(c.sent(), [frame(ALL, 60, 7)], "found by automatic polling");
    assert_eq!(c.r(5) & (RI | 1 << 11), RI | 1 << 11, "the timer went on");
    assert_eq!((c.b.read32(RX) >> 31, c.b.read32(TX) >> 31), (0, 0));
}

#[test]
fn a_state_that_no_adapter_has_is_refused() {
    let body = saved(&busy());
    let mut refused = 0;
    for n in 0..body.len() {
        for v in [0x00, 0x17, 0x7f, 0xff] {
            let mut b = body.clone();
            b[n] = v;
            let mut c = Card::at(Place { name: "dec21140-0", func: 0, many: false });
            match c.b.dev.load(&StateIn::new("dec21140-0", 1, &b)) {
                Err(_) => refused += 1,
                // What loads must live.
                Ok(()) => {
                    c.b.call(|d, cx| d.restored(cx));
                    c.b.advance(3_000_000);
                    (0..16).for_each(|n| {
                        c.r(n);
                    });
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

/// A version 1 state, as first saved. This file must load for ever. `HEIRLOOM_FIXTURE=path` writes it anew.
const V1: &[u8] = include_bytes!("fixtures/v1.cbor");

#[test]
fn the_first_versions_state_loads() {
    if let Some(path) = std::env::var_os("HEIRLOOM_FIXTURE") {
        std::fs::write(path, saved(&busy())).unwrap();
    }
    let mut c = Card::new();
    c.b.dev.load(&StateIn::new("dec21140-0", 1, V1)).unwrap();
    c.b.call(|d, cx| d.restored(cx));
    assert_eq!(c.r(3), RX);
    assert_eq!(c.r(12) & 0xff, 0xa0, "outputs, and the link, which is an output then");
    assert!(c.irq());
}
