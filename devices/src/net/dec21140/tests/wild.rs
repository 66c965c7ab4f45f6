//! No guest, however wild, makes the adapter panic or hang, or send what is no frame; a saved state comes back as it was.

use board::{Device, HostEvent, Reset, StateOut, Width};
use proptest::prelude::*;
use seeded::Rng;

use super::{ALL, CONFIG, Card, IO, MAC, MEMORY, OTHER, frame, hashed, perfect};

/// Where lists and buffers lie: in the guest's hands, over each other, at the edge of memory, over ROM and nothing.
const PLACES: [u32; 12] = [
    0x1_0000,
    0x1_0010,
    0x1_0024,
    0x2_0000,
    0x2_0001,
    0xa_0000,
    0xf_fff0,
    0xff_fff0,
    0xff_ffff,
    0x100_0000,
    0xe900_0000,
    0xffff_fffc,
];

fn saved(c: &Card) -> Vec<u8> {
    let mut out = StateOut::default();
    c.b.dev.save(&mut out);
    out.into_body().unwrap().1
}

fn descriptor(c: &mut Card, r: &mut Rng) {
    let at = r.pick(&[0x1_0000, 0x2_0000]) + 16 * r.below(6) as u32 + r.pick(&[0, 0, 0, 4]);
    let size = |r: &mut Rng| r.pick(&[0, 0, 1, 4, 60, 192, 1514, 2047]);
    let bits = r.next() as u32 & r.pick(&[0xff80_0000, 0x6100_0000, 0x6000_0000, 0xffc0_0000, 0x0800_0000]);
    let control = size(r) | size(r) << 11 | bits;
    let status = r.pick(&[1 << 31, 1 << 31, 1 << 31, 0, u32::MAX]);
    let addresses = [0; 2].map(|_: u32| r.pick(&PLACES));
    c.descriptor(at, [status, control, addresses[0], addresses[1]]);
}

fn access(c: &mut Card, r: &mut Rng) {
    let v = r.next() as u32;
    match r.below(24) {
        0..=5 => descriptor(c, r),
        6 | 7 => c.w(r.pick(&[1, 2]), v),
        8 | 9 => c.w(r.pick(&[3, 4]), r.pick(&PLACES)),
        10 | 11 => c.w(6, r.pick(&[0, 2, 0x2000, 0x2002, 0x2002, 0x2042, 0x2402, 0x280a, v])),
        12 => c.w(5, r.pick(&[u32::MAX, 0x40, 0x80, v])),
        13 => c.w(0, r.pick(&[0, 0, 1, 0x7c, 0x2_0000, 0xe_0000, v])),
        14 => c.w(7, r.pick(&[0x1_ebff, 0, v])),
        15 => c.w(9, r.pick(&[v, v & 0xf_480f, v & 0xf_0000, 0x4801, 0x4803, 0x4805, 0x4807])),
        16 => c.w(r.below(16) as u16, v),
        17 => {
            c.b.in32(IO + 4 * r.below(32) as u16);
        }
        18 => {
            let off = r.below(128) as u16;
            match r.below(4) {
                0 => c.b.out8(IO + off, v as u8),
                1 => c.b.out16(IO + off, v as u16),
                2 => drop(c.b.in16(IO + off)),
                _ => c.b.write32(MEMORY + u32::from(off & !3), v),
            }
        }
        19 => {
            let setup = if r.one_in(2) { perfect(&[MAC, ALL]) } else { hashed(&[255, 511, 0], MAC) };
            c.try_setup(r.below(4) as u32, &setup);
        }
        _ => {
            let to = r.pick(&[MAC, MAC, ALL, OTHER]);
            let len = r.pick(&[0, 5, 6, 14, 60, 61, 1514, 1518, 2048]);
            c.wire.ends().waiting.extend((0..r.below(6)).map(|n| frame(to, len, n as u8)));
            c.news();
        }
    }
}

/// Registers as firmware has them, so that most accesses go somewhere.
fn firmware(c: &mut Card) {
    c.b.cfg_write(CONFIG, 0x10, Width::D, u32::from(IO));
    c.b.cfg_write(CONFIG, 0x14, Width::D, MEMORY);
    c.b.cfg_write(CONFIG, 0x04, Width::W, 7);
}

/// What a driver does first, and a frame each way.
fn driver(c: &mut Card) {
    firmware(c);
    c.w(0, 1);
    c.rx_ring(4);
    c.tx_ring(4);
    c.w(3, 0x1_0000);
    c.w(4, 0x2_0000);
    c.try_setup(0, &perfect(&[MAC, ALL]));
    c.w(6, 0x2002);
    c.queue(0, &frame(OTHER, 200, 1), 1 << 31);
    c.w(1, 0);
    c.comes(&frame(MAC, 200, 1));
}

fn run(seed: u64, rounds: u32) -> (u64, u64) {
    let mut r = Rng::new(seed);
    let mut c = Card::running();
    let (mut sent, mut received) = (0, 0);
    for _ in 0..rounds {
        access(&mut c, &mut r);
        for f in c.sent() {
            assert!((14..=1522).contains(&f.len()), "{}", f.len());
        }
        match r.below(100) {
            0..=20 => c.b.advance(r.below(300_000)),
            21 => c.b.stall(r.below(1_000_000_000)),
            22 => c.b.cfg_write(CONFIG, r.next() as u8 & 0xfc, Width::D, r.next() as u32),
            23 if r.one_in(4) => c.b.reset(Reset::Hard),
            24 => {
                let unplugged = r.one_in(2);
                c.wire.ends().unplugged = unplugged;
                c.news();
            }
            25 | 26 => {
                let before = saved(&c);
                c.b.save_and_load();
                assert_eq!(before, saved(&c));
            }
            27 => c.b.host(HostEvent::PowerButton { down: true }),
            28..=31 => driver(&mut c),
            _ => {}
        }
        (sent, received) = (c.seen("sent"), c.seen("received"));
    }
    (sent, received)
}

/// `HEIRLOOM_FUZZ_SEEDS` makes it longer.
#[test]
fn the_adapter_takes_anything() {
    let seeds = std::env::var("HEIRLOOM_FUZZ_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    for seed in 1..=seeds {
        let (sent, received) = run(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed), 15_000);
        assert!(sent > 100 && received > 100, "the stream does its job: {sent} sent, {received} received");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Memory full of random descriptors, random registers over it.
    #[test]
    fn random_lists_over_random_memory_end(
        seed in 1_u64..,
        words in prop::collection::vec(any::<u32>(), 64..256),
        lists in prop::array::uniform2(0_u32..0x400),
        skip in 0_u32..32,
        mode in any::<u32>(),
    ) {
        let mut c = Card::new();
        let mut r = Rng::new(seed);
        for (i, w) in (0..).zip(&words) {
            // Addresses mostly in the low 128 KiB, status mostly ours.
            let v = match i % 4 {
                0 if !r.one_in(8) => w | 1 << 31,
                2 | 3 if !r.one_in(8) => w & 0x3_ffff,
                _ => *w,
            };
            c.b.write32(0x1_0000 + 4 * i, v);
        }
        c.w(0, skip << 2);
        c.w(3, 0x1_0000 + lists[0]);
        c.w(4, 0x1_0000 + lists[1]);
        c.w(7, 0x1_ffff);
        for to in [MAC, ALL, OTHER] {
            c.wire.ends().waiting.extend((0..20).map(|n| frame(to, 60 + 50 * usize::from(n), n)));
        }
        c.w(6, mode | 0x2042);
        c.news();
        for _ in 0..20 {
            c.w(1, 0);
            c.w(2, 0);
            c.b.advance(100_000);
        }
        c.w(6, 0);
        prop_assert_eq!(c.r(5) >> 17 & 0x3f, 0, "both stopped");
        for f in c.sent() {
            prop_assert!((14..=1522).contains(&f.len()));
        }
    }
}
