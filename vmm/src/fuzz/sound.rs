//! The sound card with the DMA controller that it works with: more of both than random ports find.

use hv_vcpu::{GuestIo, Width};

/// Ports: the card's at home, and both 8237s with their pages.
const CARD: [u16; 22] = [
    0x220, 0x221, 0x222, 0x223, 0x224, 0x225, 0x226, 0x228, 0x229, 0x22a, 0x22c, 0x22e, 0x22f, 0x330, 0x331,
    0x388, 0x389, 0x38a, 0x38b, 0x279, 0xa79, 0x20b,
];
const DMA: [u16; 14] = [0x02, 0x03, 0x08, 0x0a, 0x0b, 0x0c, 0x83, 0xc4, 0xc6, 0xd0, 0xd4, 0xd6, 0xd8, 0x8b];

/// Three bytes an access: what, and two of value.
pub fn sound(bytes: &[u8]) {
    let Some(mut m) = super::machine() else { return };
    let b = &mut m.board;
    let out = |b: &mut crate::board_io::Board, port: u16, v: u8| b.pio_write(port, Width::Byte, v.into());
    // As a BIOS leaves the controllers.
    out(b, 0xd6, 0xc0);
    out(b, 0xd4, 0);
    for op in bytes.chunks_exact(3) {
        let [what, x, y] = [op[0], op[1], op[2]];
        b.retired(1);
        match what & 15 {
            0..=2 => out(b, CARD[usize::from(what >> 4) % CARD.len()], x),
            3 => out(b, CARD[usize::from(y) % CARD.len()], x),
            4 => drop(b.pio_read(CARD[usize::from(x) % CARD.len()], Width::Byte)),
            5 => out(b, DMA[usize::from(y) % DMA.len()], x),
            6 => drop(b.pio_read(DMA[usize::from(x) % DMA.len()], Width::Byte)),
            7 => {
                // Commands to the DSP.
                out(b, 0x22c, x);
                out(b, 0x22c, y);
            }
            8 => {
                // A channel that is ready: 1 or 5, to or from memory, once or for ever.
                let mode = 0x41 | 4 << (x & 1) | (x & 2) << 3;
                for (port, v) in [(0x0b, mode), (0x02, y), (0x03, y), (0x03, x), (0x83, x), (0x0a, 1)] {
                    out(b, port, v);
                }
                for (port, v) in [(0xd6, mode), (0xc4, y), (0xc6, y), (0xc6, x), (0x8b, x), (0xd4, 1)] {
                    out(b, port, v);
                }
            }
            9 => {
                // Something plays.
                for v in [
                    0x41,
                    x,
                    y,
                    0x48,
                    y,
                    0,
                    [0xb6, 0xc6, 0x1c, 0x7d, 0x14, 0xb8, 0xc0, 0x80][usize::from(x & 7)],
                    x,
                    y,
                    0,
                ] {
                    out(b, 0x22c, v);
                }
            }
            10 => {
                out(b, 0x388 + u16::from(x >> 7) * 2, x);
                out(b, 0x389 + u16::from(x >> 7) * 2, y);
            }
            11 => {
                out(b, 0x224, x);
                out(b, 0x225, y);
            }
            12 => {
                out(b, 0x279, x & 0x7f);
                out(b, 0xa79, y);
            }
            13 => {
                let mut key = 0x6a_u8;
                for _ in 0..32 {
                    out(b, 0x279, key);
                    key = key >> 1 | ((key ^ key >> 1) & 1) << 7;
                }
            }
            _ => {
                b.retired(u64::from(u16::from_le_bytes([x, y])) << (what >> 5));
                let _ = b.poll();
                if b.intr_pending() {
                    let _ = b.ack_intr();
                }
            }
        }
    }
    let _ = m.board.unknowns().count();
}
