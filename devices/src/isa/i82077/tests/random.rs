//! Random drivers: whatever they do, a reset brings the controller back, and images change by writes only.

use super::*;
use seeded::Rng;

/// Commands with plausible bytes, at times cut short, between random register accesses.
fn storm(r: &mut Rig, rng: &mut Rng, ops: u32) {
    const FIRST: [u8; 24] = [
        0xe6, 0x46, 0x66, 0x42, 0x4a, 0x4c, 0x51, 0x59, 0x5d, 0x56, 0x07, 0x0f, 0x8f, 0xcf, 0x08, 0x08, 0x04,
        0x03, 0x13, 0x12, 0x0e, 0x2e, 0x8e, 0x33,
    ];
    for _ in 0..ops {
        match rng.below(16) {
            0..=5 => {
                let first = FIRST[rng.below(24) as usize];
                r.b.out8(FIFO, first);
                let head = rng.below(2) as u8;
                let tail = [
                    head << 2 | rng.below(2) as u8,
                    rng.below(84) as u8,
                    head,
                    rng.below(22) as u8,
                    2,
                    18,
                    0x1b,
                    1,
                ];
                for v in tail {
                    if r.b.in8(MSR) & 0xd0 == 0x90 {
                        r.b.out8(FIFO, v);
                    }
                }
            }
            6..=9 => {
                let by = rng.below(30) * MS / 10;
                r.pass(by + 20 * MICROSECOND);
            }
            10..=12 => {
                for _ in 0..rng.below(12) {
                    r.b.in8(FIFO);
                }
            }
            13 => r.b.out8(CCR, rng.below(4) as u8),
            14 => r.b.out8(DOR, [0x1c, 0x1c, 0x3d, 0x34, 0x08, 0x0c, 0x18][rng.below(7) as usize]),
            _ => {
                r.b.dma.left = rng.below(8000) as usize;
                r.b.dma.masked = rng.below(4) == 0;
                r.b.dma.taken.clear();
                if rng.below(8) == 0 {
                    r.b.save_and_load();
                }
            }
        }
    }
}

#[test]
fn drivers_that_only_read_change_nothing_and_a_reset_always_helps() {
    let mut rng = Rng::new(77);
    let mut r = Rig::ready(2880);
    for round in 0..60 {
        storm(&mut r, &mut rng, 60);
        assert_eq!(r.images[0].as_deref(), Some(&pattern(2880)[..]), "round {round}");
        r.b.dma.masked = false;
        r.reset();
        r.command(&[0x03, 0xdf, 0x02]);
        r.command(&[0x13, 0, 0x20, 0]);
        r.b.out8(DOR, 0x1c);
        r.b.out8(CCR, 0);
        for _ in 0..2 {
            r.command(&[0x07, 0]);
            r.interrupt();
            r.ask(&[0x08]);
        }
        r.dma_to_memory(512);
        assert_eq!(r.run(&[0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff])[0], 0, "round {round}");
        assert_eq!(r.b.dma.taken, pattern(2880)[..512]);
    }
    assert_eq!(r.b.unknowns(), 0);
}
