//! The port as the BIOS and Linux's parport_pc use it.

use std::sync::{Arc, Mutex};

use board::testkit::Bench;
use board::{Decode, Route};

use super::*;

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl ParallelPort for Paper {
    fn strobe(&mut self, byte: u8) {
        self.0.lock().unwrap().push(byte);
    }
}

fn bench(paper: Option<Paper>) -> Bench<Lpt> {
    let port = paper.map(|p| Box::new(p) as Box<dyn ParallelPort>);
    let mut b = Bench::new(|l| Lpt::new(l.connect(Route::Isa(7)), port));
    b.place(LPT, Decode::Pio(0x378));
    b
}

const IRQ: Line = Line(0);

/// As INT 17h does: wait for not busy, data, strobe.
fn print(b: &mut Bench<Lpt>, text: &[u8]) {
    for &v in text {
        let mut waits = 0;
        while b.in8(0x379) & 0x80 == 0 {
            b.advance(MICROSECOND);
            waits += 1;
            assert!(waits < 10, "busy for ever");
        }
        b.out8(0x378, v);
        b.out8(0x37a, 0x0d);
        b.out8(0x37a, 0x0c);
    }
}

#[test]
fn bytes_are_printed_once_each() {
    let paper = Paper::default();
    let mut b = bench(Some(paper.clone()));
    print(&mut b, b"Hello\r\n");
    assert_eq!(*paper.0.lock().unwrap(), b"Hello\r\n");
    assert!(!b.level(IRQ));
}

#[test]
fn the_handshake_takes_its_time_and_ends_with_an_interrupt() {
    let mut b = bench(Some(Paper::default()));
    assert_eq!(b.in8(0x379), 0xdf);
    b.out8(0x37a, 0x1c);
    assert!(!b.level(IRQ), "not by being enabled");
    b.out8(0x37a, 0x1d);
    assert_eq!(b.in8(0x379), 0x5f, "busy");
    b.advance(2 * MICROSECOND);
    assert_eq!(b.in8(0x379), 0x1f, "acknowledging");
    b.out8(0x37a, 0x1c);
    b.advance(MICROSECOND);
    assert!(b.level(IRQ));
    assert_eq!(b.in8(0x379), 0xdf);
    assert!(!b.level(IRQ), "status was read");
}

/// Linux: control and data read back, no ECR, and DIR changes nothing: PCSPP.
#[test]
fn linux_finds_a_standard_port() {
    let mut b = bench(None);
    for v in [0x0c, 0x0e] {
        b.out8(0x37a, v);
        assert_eq!(b.in8(0x37a) & 0x0f, v);
    }
    b.out8(0x37a, 0x2c);
    for v in [0xaa, 0x55] {
        b.out8(0x378, v);
        assert_eq!(b.in8(0x378), v);
    }
    assert_eq!(b.in8(0x77a), 0xff);
    assert_eq!(b.in8(0x379), 0x7f, "nobody there");
    b.out8(0x37a, 0x1d);
    b.advance(MICROSECOND * 10);
    assert!(!b.level(IRQ));
}

#[test]
fn state_survives_in_mid_handshake() {
    let paper = Paper::default();
    let mut b = bench(Some(paper.clone()));
    b.out8(0x378, 0x41);
    b.out8(0x37a, 0x1d);
    b.advance(MICROSECOND);
    b.save_and_load();
    assert_eq!((b.in8(0x378), b.in8(0x379), b.in8(0x37a)), (0x41, 0x5f, 0xdd));
    b.advance(3 * MICROSECOND);
    assert!(b.level(IRQ));
    b.save_and_load();
    assert!(b.level(IRQ));
    assert_eq!(paper.0.lock().unwrap().len(), 1);
}
