use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering};

use board::testkit::Bench;
use board::{Decode, HostEvent, MICROSECOND, MILLISECOND, Reset, Route, SerialPort};

use super::{Ns16550, UART};

#[derive(Debug, PartialEq, Eq)]
enum Far {
    Byte(u8),
    Modem(bool, bool),
}

struct Wire {
    to: std::sync::mpsc::Sender<Far>,
    on: Arc<AtomicBool>,
}

impl SerialPort for Wire {
    fn send(&mut self, byte: u8) {
        self.to.send(Far::Byte(byte)).unwrap();
    }
    fn modem(&mut self, dtr: bool, rts: bool) {
        let _ = self.to.send(Far::Modem(dtr, rts));
    }
    fn connected(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }
}

struct Set {
    b: Bench<Ns16550>,
    far: Receiver<Far>,
    on: Arc<AtomicBool>,
}

fn set_with(paced: bool) -> Set {
    let (to, far) = channel();
    let on = Arc::new(AtomicBool::new(true));
    let wire = Wire { to, on: on.clone() };
    let mut b = Bench::new(|l| {
        let u = Ns16550::new("com1", l.connect(Route::Isa(4)), Box::new(wire));
        if paced { u.paced() } else { u }
    });
    b.place(UART, Decode::Pio(0x3f8));
    // 115200 8N1
    b.out8(0x3fb, 0x83);
    b.out8(0x3f8, 1);
    b.out8(0x3f9, 0);
    b.out8(0x3fb, 0x03);
    b.out8(0x3fc, 0x0b);
    while far.try_recv().is_ok() {}
    Set { b, far, on }
}

fn set() -> Set {
    set_with(false)
}

fn sent(s: &Set) -> Vec<u8> {
    s.far.try_iter().filter_map(|f| if let Far::Byte(b) = f { Some(b) } else { None }).collect()
}

fn give(s: &mut Set, bytes: &[u8]) {
    s.b.host(HostEvent::Serial(bytes.to_vec()));
}

fn irq(s: &Set) -> bool {
    s.b.lines.irqs() == 1 << 4
}

#[test]
fn registers_after_reset() {
    let mut s = set();
    s.b.out8(0x3ff, 0x5a);
    s.b.out8(0x3f9, 0x0f);
    s.b.reset(Reset::Hard);
    let b = &mut s.b;
    assert_eq!([0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd].map(|p| b.in8(p)), [0, 0x01, 0, 0, 0x60]);
    assert_eq!(b.in8(0x3fe), 0xb0);
    assert_eq!(b.in8(0x3ff), 0x5a, "SCR is not touched");
}

#[test]
fn it_identifies_as_a_16550a() {
    let mut s = set();
    let b = &mut s.b;
    b.out8(0x3f9, 0xff);
    assert_eq!(b.in8(0x3f9), 0x0f);
    b.out8(0x3f9, 0);
    assert_eq!(b.in8(0x3fa) & 0xc0, 0);
    b.out8(0x3fa, 0x01);
    assert_eq!(b.in8(0x3fa) & 0xe0, 0xc0);
    b.out8(0x3fa, 0x21); // 64-byte FIFO of a 16750
    assert_eq!(b.in8(0x3fa) & 0x20, 0);
    b.out8(0x3fa, 0);
    assert_eq!(b.in8(0x3fa) & 0xc0, 0);
    b.out8(0x3fc, 0xff);
    assert_eq!(b.in8(0x3fc), 0x1f);
}

#[test]
fn the_divisor_hides_behind_dlab() {
    let mut s = set();
    s.b.out8(0x3fb, 0x83);
    s.b.out16(0x3f8, 0x1234);
    assert_eq!(s.b.in16(0x3f8), 0x1234);
    s.b.out8(0x3fb, 0x03);
    assert_eq!(s.b.in8(0x3f9), 0);
    assert_eq!(sent(&s), []);
}

#[test]
fn bytes_go_out_at_once_cut_to_their_length() {
    let mut s = set();
    s.b.out8(0x3f8, 0xc1);
    assert_eq!(s.b.in8(0x3fd), 0x60);
    s.b.out8(0x3fb, 0x02); // 7 bits
    s.b.out8(0x3f8, 0xc1);
    assert_eq!(sent(&s), [0xc1, 0x41]);
}

#[test]
fn thre_interrupts_on_enable_and_after_each_byte_until_iir_is_read() {
    let mut s = set();
    s.b.out8(0x3f9, 0x02);
    assert!(irq(&s));
    assert_eq!(s.b.in8(0x3fa), 0x02);
    assert!(!irq(&s), "reading IIR ends it");
    assert_eq!(s.b.in8(0x3fa), 0x01);
    s.b.lines.take_moved();
    s.b.out8(0x3f8, 0x41);
    assert_eq!(s.b.lines.take_moved(), Some((0, 1 << 4)));
    s.b.out8(0x3f8, 0x42);
    assert_eq!(s.b.lines.take_moved(), Some((0, 1 << 4)), "the wire dips: an edge each");
    s.b.out8(0x3f9, 0x00);
    assert!(!irq(&s));
    s.b.out8(0x3f9, 0x02);
    assert!(irq(&s), "enabling again asks again");
}

#[test]
fn reading_iir_for_another_source_keeps_thre() {
    let mut s = set();
    s.b.out8(0x3f9, 0x03);
    give(&mut s, b"x");
    assert_eq!(s.b.in8(0x3fa), 0x04);
    assert_eq!(s.b.in8(0x3f8), b'x');
    assert_eq!(s.b.in8(0x3fa), 0x02);
}

#[test]
fn out2_gates_the_interrupt() {
    let mut s = set();
    s.b.out8(0x3f9, 0x02);
    s.b.out8(0x3fc, 0x03);
    assert!(!irq(&s));
    s.b.out8(0x3fc, 0x0b);
    assert!(irq(&s));
}

#[test]
fn without_fifos_one_byte_at_a_time_with_an_edge_each() {
    let mut s = set();
    s.b.out8(0x3f9, 0x01);
    give(&mut s, b"abc");
    s.b.lines.take_moved();
    let mut got = Vec::new();
    while irq(&s) {
        assert_eq!(s.b.in8(0x3fa), 0x04);
        got.push(s.b.in8(0x3f8));
        if got.len() < 3 {
            assert_eq!(s.b.lines.take_moved(), Some((0, 1 << 4)));
        }
    }
    assert_eq!(got, b"abc");
    assert_eq!(s.b.in8(0x3fd) & 0x03, 0, "no overrun");
}

#[test]
fn the_trigger_level_and_the_timeout() {
    let mut s = set();
    s.b.out8(0x3fa, 0x81); // trigger at 8
    s.b.out8(0x3f9, 0x01);
    give(&mut s, b"1234567");
    assert!(!irq(&s));
    assert_eq!(s.b.in8(0x3fd) & 1, 1);
    s.b.advance(340 * MICROSECOND); // four characters take 347 us
    assert!(!irq(&s));
    s.b.advance(10 * MICROSECOND);
    assert!(irq(&s));
    assert_eq!(s.b.in8(0x3fa), 0xcc);
    assert_eq!(s.b.in8(0x3f8), b'1');
    assert!(!irq(&s), "a read starts the time again");
    s.b.advance(MILLISECOND);
    assert!(irq(&s));
    for v in b"234567" {
        assert_eq!(s.b.in8(0x3f8), *v);
    }
    s.b.advance(MILLISECOND);
    assert!(!irq(&s));
    give(&mut s, b"12345678");
    assert_eq!(s.b.in8(0x3fa), 0xc4);
    s.b.in8(0x3f8);
    assert!(!irq(&s), "below the trigger");
}

#[test]
fn more_than_a_fifo_waits_outside() {
    let mut s = set();
    s.b.out8(0x3fa, 0xc1);
    s.b.out8(0x3f9, 0x01);
    let all: Vec<u8> = (0..200).collect();
    give(&mut s, &all);
    let mut got = Vec::new();
    for _ in 0..1000 {
        if s.b.in8(0x3fd) & 1 != 0 {
            got.push(s.b.in8(0x3f8));
        }
    }
    assert_eq!(got, all);
    assert_eq!(s.b.in8(0x3fd) & 0x02, 0);
}

#[test]
fn the_receiver_reset_empties_it() {
    let mut s = set();
    s.b.out8(0x3fa, 0x01);
    give(&mut s, b"abc");
    s.b.out8(0x3fa, 0x03);
    assert_eq!(s.b.in8(0x3fd) & 1, 0);
}

#[test]
fn loopback_crosses_data_and_modem_lines() {
    let mut s = set();
    s.b.out8(0x3fc, 0x1a); // loop, OUT2, RTS
    assert_eq!(s.b.in8(0x3fe) & 0xf0, 0x90);
    s.b.out8(0x3fc, 0x15); // loop, OUT1, DTR
    assert_eq!(s.b.in8(0x3fe), 0x6b, "DSR and RI on; CTS, DSR and DCD changed");
    s.b.out8(0x3fc, 0x11);
    assert_eq!(s.b.in8(0x3fe), 0x24, "TERI: RI went off");
    s.b.out8(0x3f8, 0x77);
    assert_eq!(s.b.in8(0x3fd) & 1, 1);
    assert_eq!(s.b.in8(0x3f8), 0x77);
    assert_eq!(sent(&s), []);
    give(&mut s, b"x");
    assert_eq!(s.b.in8(0x3fd) & 1, 0, "nothing from outside");
    s.b.out8(0x3fc, 0x0b);
    assert_eq!(s.b.in8(0x3f8), b'x');
}

#[test]
fn a_full_fifo_in_loopback_overruns_and_keeps_sixteen() {
    let mut s = set();
    s.b.out8(0x3fa, 0x07);
    s.b.out8(0x3f9, 0x04);
    s.b.out8(0x3fc, 0x1b);
    for v in 0..20 {
        s.b.out8(0x3f8, v);
    }
    assert_eq!(s.b.in8(0x3fa), 0xc6);
    assert_eq!(s.b.in8(0x3fd) & 0x02, 0x02);
    assert_eq!(s.b.in8(0x3fd) & 0x02, 0, "reading clears OE");
    let mut got = Vec::new();
    while s.b.in8(0x3fd) & 1 != 0 {
        got.push(s.b.in8(0x3f8));
    }
    assert_eq!(got, (0..16).collect::<Vec<u8>>());
}

#[test]
fn a_break_in_loopback_is_seen_with_its_character() {
    let mut s = set();
    s.b.out8(0x3fa, 0x01);
    s.b.out8(0x3f9, 0x04);
    s.b.out8(0x3fc, 0x18);
    s.b.out8(0x3f8, 0x41);
    s.b.out8(0x3fb, 0x43);
    assert_eq!(s.b.in8(0x3fd) & 0x91, 0x81, "one further down in the FIFO is bad");
    s.b.in8(0x3f8);
    assert_eq!(s.b.in8(0x3fa), 0xc6);
    assert_eq!(s.b.in8(0x3fd) & 0x91, 0x91);
    assert_eq!(s.b.in8(0x3fd) & 0x91, 0x01);
    assert_eq!(s.b.in8(0x3f8), 0);
}

#[test]
fn modem_status_interrupts_when_the_far_end_goes() {
    let mut s = set();
    s.b.in8(0x3fe);
    s.b.out8(0x3f9, 0x08);
    assert!(!irq(&s));
    s.on.store(false, Ordering::Relaxed);
    assert_eq!(s.b.in8(0x3fe), 0x0b);
    assert_eq!(s.b.in8(0x3fe), 0x00);
    s.b.out8(0x3fc, 0x0a);
    assert_eq!(s.far.try_iter().last(), Some(Far::Modem(false, true)));
    s.on.store(true, Ordering::Relaxed);
    s.b.out8(0x3fc, 0x0b);
    assert!(irq(&s));
    assert_eq!(s.b.in8(0x3fa), 0x00);
    assert_eq!(s.b.in8(0x3fe), 0xbb);
    assert!(!irq(&s));
}

#[test]
fn modem_status_interrupts_by_itself_when_somebody_comes() {
    let mut s = set();
    s.on.store(false, Ordering::Relaxed);
    s.b.in8(0x3fe);
    s.b.in8(0x3fe);
    s.b.out8(0x3f9, 0x08);
    assert!(!irq(&s));
    s.on.store(true, Ordering::Relaxed);
    s.b.host(HostEvent::Serial(Vec::new()));
    assert!(irq(&s));
    assert_eq!(s.b.in8(0x3fe), 0xbb);
    assert_eq!(s.b.in8(0x3fd) & 1, 0, "no byte came");
}

#[test]
fn paced_output_keeps_the_bit_rate() {
    let mut s = set_with(true);
    s.b.out8(0x3fa, 0x01);
    s.b.out8(0x3f9, 0x02);
    s.b.in8(0x3fa);
    for v in b"abcd" {
        s.b.out8(0x3f8, *v);
    }
    assert_eq!(s.b.in8(0x3fd) & 0x60, 0);
    assert!(!irq(&s));
    s.b.advance(90 * MICROSECOND); // a character takes 86.8 us
    assert_eq!(sent(&s), b"a");
    s.b.advance(3 * 87 * MICROSECOND - 80 * MICROSECOND);
    assert_eq!(s.b.in8(0x3fd) & 0x60, 0x20, "THR empty, the last one on its way");
    assert!(irq(&s));
    s.b.advance(90 * MICROSECOND);
    assert_eq!(s.b.in8(0x3fd) & 0x60, 0x60);
    assert_eq!(sent(&s), b"bcd");
}

#[test]
fn state_survives() {
    let mut s = set();
    s.b.out8(0x3fa, 0x81);
    s.b.out8(0x3f9, 0x01);
    s.b.out8(0x3ff, 0x12);
    give(&mut s, b"0123456789abcdefghij");
    s.b.in8(0x3f8);
    s.b.save_and_load();
    assert!(irq(&s));
    assert_eq!(s.b.in8(0x3fa), 0xc4);
    assert_eq!(s.b.in8(0x3ff), 0x12);
    let mut got = Vec::new();
    while s.b.in8(0x3fd) & 1 != 0 {
        got.push(s.b.in8(0x3f8));
    }
    assert_eq!(got, b"123456789abcdefghij");
}
