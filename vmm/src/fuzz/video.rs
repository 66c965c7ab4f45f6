//! The display adapter: commands of its drawing engine as a driver gives them, with anything in between.

use board::HostEvent;
use hv_vcpu::{GuestIo, Width};

use super::machine;

/// What the adapter is on the bus before the fuzzing begins.
const APERTURE: u32 = 0xd000_0000;

/// The engine's ports.
const PORTS: [u16; 27] = [
    0x82e8, 0x82ea, 0x86e8, 0x86ea, 0x8ae8, 0x8aea, 0x8ee8, 0x8eea, 0x92e8, 0x92ea, 0x96e8, 0x96ea, 0x9ae8,
    0x9aea, 0x9ee8, 0xa2e8, 0xa2ea, 0xa6e8, 0xaae8, 0xaee8, 0xb2e8, 0xb6e8, 0xbae8, 0xbee8, 0xe2e8, 0xe2ea,
    0x42e8,
];

/// Commands that draw: line, rectangle, polygons, BitBLT, pattern, two-point.
const COMMANDS: [u16; 8] = [0x2000, 0x2008, 0x4000, 0x6000, 0x6800, 0xc000, 0xe000, 0x2800];

/// Registers beyond the VGA's that have a part in what is drawn and shown.
const CRTC: [u8; 24] = [
    0x31, 0x32, 0x33, 0x35, 0x3a, 0x40, 0x43, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4c, 0x4d, 0x4e, 0x4f, 0x50,
    0x51, 0x53, 0x55, 0x58, 0x66, 0x67, 0x69,
];

/// Six bytes an access: what, which, value (4).
pub fn video(bytes: &[u8]) {
    let Some(mut m) = machine() else { return };
    let b = &mut m.board;
    for (register, v) in [(0x10, APERTURE), (0x04, 3)] {
        b.pio_write(0xcf8, Width::Dword, 0x8000_4000 | register);
        b.pio_write(0xcfc, Width::Dword, v);
    }
    b.pio_write(0x3c2, Width::Byte, 0x63);
    for (n, v) in [(0x38, 0x48), (0x39, 0xa5), (0x31, 0x8d), (0x58, 0x13), (0x40, 1)] {
        b.pio_write(0x3d4, Width::Word, v << 8 | n);
    }
    for op in bytes.chunks_exact(6) {
        let [what, which, v0, v1, v2, v3] = *op else { continue };
        let value = u32::from_le_bytes([v0, v1, v2, v3]);
        let word = value & 0xffff;
        let port = PORTS[usize::from(which) % PORTS.len()];
        let width = [Width::Word, Width::Byte, Width::Dword, Width::Word][usize::from(what >> 6)];
        m.board.retired(1);
        match what & 0x1f {
            0..=7 => {
                // Sizes are small most of the time: sixteen million pixels are drawn soon, but not a thousand times.
                let small = matches!(port, 0x96e8 | 0x96ea) && value >> 24 != 0;
                let port = u16::from(what >> 5 & u8::from(width == Width::Byte)) + port;
                m.board.pio_write(port, width, if small { value & 0x3f } else { value & width.ones() });
            }
            8..=11 => {
                let index = u32::from(which & 15) << 12;
                let small = index == 0 && value >> 24 != 0;
                m.board.pio_write(0xbee8, Width::Word, index | word & if small { 0x3f } else { 0xfff });
            }
            12..=15 => {
                let command =
                    u32::from(COMMANDS[usize::from(which & 7)]) | word & 0x17ff | u32::from(which >> 4 & 1);
                m.board.pio_write(0x9ae8, Width::Word, command);
            }
            16..=18 => m.board.pio_write(0xe2e8, width, value & width.ones()),
            19 | 20 => drop(m.board.pio_read(port, width)),
            21 | 22 => {
                let at = 0xa_0000 + u64::from(word as u16);
                m.board.mmio_write(at, &value.to_le_bytes()[..(1 << (which & 3)).min(4)]);
            }
            23 => m.board.mmio_read(0xa_8000 + u64::from(word as u16 & 0x7fff), &mut [0; 4]),
            24 | 25 => {
                let n = CRTC[usize::from(which) % CRTC.len()];
                m.board.pio_write(0x3d4, Width::Word, u32::from(v0) << 8 | u32::from(n));
            }
            26 => m.board.pio_write(0x3d4, Width::Word, word),
            27 => m.board.pio_write(0x3c4, Width::Word, word),
            28 => m.board.pio_write(0x4ae8, Width::Byte, value & 0xff),
            29 => {
                m.board.retired(u64::from(word) << (which & 7));
                let _ = m.board.poll();
            }
            30 => m.board.host_event(m.roles.vga, HostEvent::Redraw),
            _ => {
                // The file may go on with its own idea of the PCI registers.
                m.board.pio_write(0xcf8, Width::Dword, 0x8000_4000 | u32::from(which & 0x3c));
                m.board.pio_write(0xcfc, Width::Dword, value);
            }
        }
    }
    m.board.host_event(m.roles.vga, HostEvent::Redraw);
}
