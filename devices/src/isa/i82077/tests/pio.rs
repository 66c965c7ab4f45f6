//! Without DMA: SPECIFY with ND, bytes through the FIFO.

use super::*;

fn pio(fifo: bool) -> Rig {
    let mut r = Rig::ready(2880);
    r.command(&[0x03, 0xdf, 0x03]);
    if fifo {
        r.command(&[0x13, 0, 0x0f, 0]);
    }
    r
}

/// As a driver that polls: bytes while MSR says so.
#[test]
fn bytes_are_read_by_polling() {
    let mut r = pio(false);
    r.command(&[0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff]);
    assert_eq!(r.b.in8(MSR), 0x30, "execution, not ready");
    let mut got = Vec::new();
    for _ in 0..100_000 {
        match r.b.in8(MSR) & 0xf0 {
            0xf0 => got.push(r.b.in8(FIFO)),
            0xd0 => break,
            _ => r.pass(20 * MICROSECOND),
        }
    }
    // Nobody gives TC: the end of the cylinder ends it.
    assert_eq!(r.result(), [0x40, 0x80, 0, 1, 0, 1, 2]);
    assert_eq!(got, pattern(2880)[16 * 512..18 * 512]);
    assert!(r.b.dma.taken.is_empty());
}

#[test]
fn each_byte_interrupts_or_with_the_fifo_each_sixteen() {
    for (fifo, each) in [(false, 1), (true, 16)] {
        let mut r = pio(fifo);
        let before = r.edges;
        r.command(&[0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff]);
        let mut got = Vec::new();
        while got.len() < 512 {
            r.interrupt();
            for _ in 0..each {
                assert_eq!(r.b.in8(MSR), 0xf0);
                got.push(r.b.in8(FIFO));
                r.note();
            }
        }
        assert_eq!(got, pattern(2880)[17 * 512..18 * 512]);
        assert!(r.edges > before);
        r.interrupt();
        assert_eq!(r.result()[..2], [0x40, 0x80]);
    }
}

#[test]
fn bytes_are_written_and_formatted() {
    let mut r = pio(true);
    r.command(&[0x45, 4, 0, 1, 18, 2, 18, 0x1b, 0xff]);
    let mut n = 0;
    for _ in 0..100_000 {
        match r.b.in8(MSR) & 0xf0 {
            0xb0 => {
                r.b.out8(FIFO, n as u8);
                n += 1;
            }
            0xd0 => break,
            _ => r.pass(20 * MICROSECOND),
        }
    }
    assert_eq!(n, 512);
    assert_eq!(r.result()[..2], [0x44, 0x80]);
    let want: Vec<u8> = (0..512).map(|n| n as u8).collect();
    assert_eq!(r.images[0].as_ref().unwrap()[35 * 512..36 * 512], want);

    r.command(&[0x4d, 0, 2, 18, 0x6c, 0xf6]);
    let mut n = 0u8;
    for _ in 0..100_000 {
        match r.b.in8(MSR) & 0xf0 {
            0xb0 => {
                r.b.out8(FIFO, [0, 0, n / 4 + 1, 2][usize::from(n % 4)]);
                n += 1;
            }
            0xd0 => break,
            _ => r.pass(20 * MICROSECOND),
        }
    }
    assert_eq!(n, 72);
    assert_eq!(r.result()[0], 0);
    assert!(r.images[0].as_ref().unwrap()[..18 * 512].iter().all(|b| *b == 0xf6));
}
