mod controller;
mod keyboard;
mod mouse;

use board::testkit::Bench;
use board::{Decode, HostEvent, Key, MILLISECOND, Pointer, Route};

use super::{COMMAND, DATA, I8042};

fn bench() -> Bench<I8042> {
    let mut b = Bench::new(|l| I8042::new(l.connect(Route::Isa(1)), l.connect(Route::Isa(12))));
    b.place(DATA, Decode::Pio(0x60));
    b.place(COMMAND, Decode::Pio(0x64));
    b
}

/// As a BIOS leaves it, mouse on: both interrupts, SYS, translation as asked.
fn ready(ctr: u8) -> Bench<I8042> {
    let mut b = bench();
    b.out8(0x64, 0x60);
    b.out8(0x60, ctr);
    b
}

/// Reads all bytes that come within 20 ms of each other, as (byte, from the mouse).
fn drain(b: &mut Bench<I8042>) -> Vec<(u8, bool)> {
    let mut got = Vec::new();
    for _ in 0..40 {
        let st = b.in8(0x64);
        if st & 1 != 0 {
            got.push((b.in8(0x60), st & 0x20 != 0));
        }
        b.advance(MILLISECOND / 2);
    }
    got
}

fn bytes(b: &mut Bench<I8042>) -> Vec<u8> {
    drain(b).into_iter().map(|(v, _)| v).collect()
}

fn key(b: &mut Bench<I8042>, k: u16, down: bool) {
    b.host(HostEvent::Key { key: Key(k), down });
}

/// To the keyboard, and what it says.
fn kbd(b: &mut Bench<I8042>, v: u8) -> Vec<u8> {
    b.out8(0x60, v);
    bytes(b)
}

/// To the mouse, and what it says.
fn aux(b: &mut Bench<I8042>, v: u8) -> Vec<u8> {
    b.out8(0x64, 0xd4);
    b.out8(0x60, v);
    drain(b)
        .into_iter()
        .map(|(v, mouse)| {
            assert!(mouse);
            v
        })
        .collect()
}

fn point(b: &mut Bench<I8042>, dx: i32, dy: i32, wheel: i32, buttons: u8) {
    b.host(HostEvent::Pointer(Pointer { dx, dy, wheel, buttons }));
}
