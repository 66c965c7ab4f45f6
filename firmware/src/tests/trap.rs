use board::{Device, Moment, Reset, StateIn, StateOut};

use super::guest::Guest;
use crate::frame::{CF, Frame};
use crate::rom::kernel::{CONTEXTS, Op};

fn e820(ebx: u32) -> Frame {
    Frame {
        service: 0x15,
        eax: 0xe820,
        ebx,
        ecx: 20,
        edx: u32::from_be_bytes(*b"SMAP"),
        es: 0x2000,
        ..Frame::default()
    }
}

#[test]
fn frame_keeps_every_register() {
    let f = Frame {
        msw: 1,
        ss: 2,
        gs: 3,
        fs: 4,
        es: 5,
        ds: 6,
        edi: 7,
        esi: 8,
        ebp: 9,
        esp: 10,
        ebx: 11,
        edx: 12,
        ecx: 13,
        eax: 14,
        service: 15,
        ip: 16,
        cs: 17,
        flags: 18,
    };
    assert_eq!(Frame::from_bytes(&f.to_bytes()), f);
}

/// A monitor may switch tasks between any two port accesses.
#[test]
fn contexts_do_not_mix() {
    let mut g = Guest::new();
    // Protected callers, so that memory goes through operations.
    let a = g.enter(&Frame { msw: 1, ..e820(0) });
    let b = g.enter(&Frame { msw: 1, es: 0x2100, ..e820(1) });
    assert_ne!(a, b);
    let (mut fa, mut fb) = (None, None);
    while fa.is_none() || fb.is_none() {
        if fa.is_none() {
            fa = g.step(a);
        }
        if fb.is_none() {
            fb = g.step(b);
        }
    }
    assert_eq!((fa.unwrap().ebx, fb.unwrap().ebx), (1, 2));
    assert_eq!(g.bytes(0x2_0008, 4), 0x9_fc00u32.to_le_bytes());
    assert_eq!(g.bytes(0x2_1000, 4), 0x9_fc00u32.to_le_bytes());
}

#[test]
fn callers_that_never_return_cost_nothing_for_ever() {
    let mut g = Guest::new();
    for _ in 0..100 {
        g.enter(&Frame { msw: 1, ..e820(0) });
    }
    let metrics = g.bench.dev.metrics();
    assert!(metrics.contains(&("recycled", 100 - u64::from(CONTEXTS))));
    assert_eq!(g.call(e820(0)).ebx, 1);
}

#[test]
fn a_saved_service_starts_again() {
    let mut g = Guest::new();
    let port = g.enter(&Frame { msw: 1, ..e820(2) });
    assert!(g.step(port).is_none());
    let mut out = StateOut::default();
    g.bench.dev.save(&mut out);
    let (version, body) = out.into_body().unwrap();

    let mut h = Guest::new();
    h.bench.dev.load(&StateIn::new("firmware", version, &body)).unwrap();
    let f = std::iter::from_fn(|| Some(h.step(port))).flatten().next().unwrap();
    assert_eq!((f.ebx, f.flags & CF), (3, 0));
}

/// Saved and loaded into another machine's after each byte of a frame on its way in and out, and of what an operation is given.
#[test]
fn half_a_frame_is_saved() {
    let moved = |g: &mut Guest| {
        let mut out = StateOut::default();
        g.bench.dev.save(&mut out);
        let (version, body) = out.into_body().unwrap();
        let mut h = Guest::new();
        h.bench.dev.load(&StateIn::new("firmware", version, &body)).unwrap();
        h
    };
    let mut g = Guest::new();
    let port = g.bench.in16(0x580);
    for b in (Frame { msw: 1, ..e820(2) }).to_bytes() {
        g = moved(&mut g);
        g.bench.out8(port, b);
    }
    // An operation's data, twice as far each time.
    for bytes in [1, 2, 4, 8] {
        let mut straight = moved(&mut g);
        let ops = [&mut straight, &mut g].map(|g| g.bench.in16(port + 4));
        let mut h = moved(&mut g);
        assert_eq!(ops[0], ops[1]);
        let all: Vec<_> = (0..12).map(|_| straight.bench.in8(port)).collect();
        let first: Vec<_> = (0..bytes).map(|_| h.bench.in8(port)).collect();
        let mut h = moved(&mut h);
        let rest: Vec<_> = (bytes..12).map(|_| h.bench.in8(port)).collect();
        assert_eq!([first, rest].concat(), all);
        // It begins anew.
        g = moved(&mut h);
    }
    let done = g.bench.dev.world().kernel.address(Op::Done);
    loop {
        let at = g.bench.in16(port + 4);
        if at == done {
            break;
        }
        assert!(g.operate(port, at).is_none());
    }
    let mut bytes = Vec::new();
    for _ in 0..52 {
        bytes.push(g.bench.in8(port));
        g = moved(&mut g);
    }
    let f = Frame::from_bytes(bytes.as_slice().try_into().unwrap());
    assert_eq!((f.ebx, f.flags & CF), (3, 0));
    // The context is free, and a call that never sent its frame is no hindrance.
    assert_eq!(g.bench.in16(0x580), port);
    assert_eq!(g.bench.dev.moment(), Moment::Good);
}

#[test]
fn damaged_state_is_an_error() {
    let mut g = Guest::new();
    assert!(g.bench.dev.load(&StateIn::new("firmware", 1, &[0x82, 0x80])).is_err());
    assert!(g.bench.dev.load(&StateIn::new("firmware", 9, &[])).is_err());
}

/// Whatever a guest does to the ports: an answer, and a working trap afterwards.
#[test]
fn nonsense_on_the_ports() {
    let mut g = Guest::new();
    let mut x = 12345u32;
    for _ in 0..200_000 {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let port = 0x580 + (x >> 24 & 0x7f) as u16;
        match x >> 20 & 7 {
            0 => drop(g.bench.in8(port)),
            1 => drop(g.bench.in16(port)),
            2 => drop(g.bench.in32(port)),
            3 => g.bench.out8(port, x as u8),
            4 => g.bench.out16(port, x as u16),
            _ => g.bench.out32(port, x),
        }
    }
    g.bench.call(|d, cx| d.reset(cx, Reset::Hard));
    assert_eq!(g.call(e820(0)).ebx, 1);
}
