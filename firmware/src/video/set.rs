//! INT 10h AH=00h: setting a standard mode.

use crate::bda::{self, bda};
use crate::bus::{Bus, Far};
use crate::rom::VIDEO_SEG;
use crate::rom::video as rom;
use crate::video::modes::{self, Layout, Mode};
use crate::video::{fonts, s3};

/// Sets mode `al` (bit 7: keep the memory). Unknown modes change nothing.
pub async fn mode(bus: &Bus, al: u8) {
    let number = al & 0x7f;
    let keep = al & 0x80 != 0;
    if number == 0x6a {
        return crate::video::vbe::set(bus, 0x102 | u16::from(keep) << 15).await;
    }
    let Some(m) = modes::find(number) else { return };
    crate::bus::lock(&bus.world.shared).vbe = crate::state::VbeState::default();
    let flags = bus.read(bda(0x87), 3).await;
    s3::plain_vga(bus, m.misc).await;
    registers(bus, m).await;
    // 40:89 bit 3: leave the palette alone.
    if flags[2] & 8 == 0 {
        let mut p = modes::palette(m.dac);
        if flags[2] & 2 != 0 {
            crate::video::palette::grey(&mut p);
        }
        dac(bus, 0, &p).await;
    }
    if !keep {
        clear(bus, m).await;
    }
    let mut rows = m.rows;
    let mut height = m.height;
    if m.layout == Layout::Text {
        // 40:89 bits 7 and 4: scan lines of text modes, 200 / 350 / 400.
        let (h, scan) = match (flags[2] & 0x80 != 0, flags[2] & 0x10 != 0) {
            (true, false) => (8, 200),
            (false, false) => (14, 350),
            _ => (16, 400),
        };
        height = h;
        rows = 25;
        fonts::load_rom(bus, height, 0).await;
        if scan != 400 {
            scan_lines(bus, m, scan, height).await;
        }
    }
    data_area(bus, m, keep, rows, height, flags[0]).await;
    // Screen on.
    let port = status_port(m);
    bus.inb(port).await;
    bus.outb(0x3c0, 0x20).await;
}

fn status_port(m: &Mode) -> u16 {
    if m.misc & 1 != 0 { 0x3da } else { 0x3ba }
}

fn crtc_port(m: &Mode) -> u16 {
    if m.misc & 1 != 0 { 0x3d4 } else { 0x3b4 }
}

pub fn pairs(first: u8, values: &[u8]) -> Vec<u16> {
    values.iter().enumerate().map(|(i, v)| u16::from(*v) << 8 | (u16::from(first) + i as u16)).collect()
}

/// Sequencer, CRTC, graphics and attribute controller.
pub async fn registers(bus: &Bus, m: &Mode) {
    bus.inb(status_port(m)).await;
    bus.outb(0x3c0, 0).await;
    let mut seq = vec![0x0100];
    seq.extend(pairs(1, &m.seq));
    seq.push(0x0300);
    bus.out_pairs(0x3c4, &seq[..1]).await;
    bus.outb(0x3c2, m.misc).await;
    bus.out_pairs(0x3c4, &seq[1..]).await;
    // CR11 bit 7 protects CR00-07.
    let mut crtc = vec![u16::from(m.crtc[0x11] & 0x7f) << 8 | 0x11];
    crtc.extend(pairs(0, &m.crtc));
    bus.out_pairs(crtc_port(m), &crtc).await;
    bus.out_pairs(0x3ce, &pairs(0, &m.gfx)).await;
    attributes(bus, status_port(m), &m.attr).await;
    bus.outb(0x3c6, 0xff).await;
}

/// All attribute registers; leaves the palette off the screen.
pub async fn attributes(bus: &Bus, status: u16, attr: &[u8; 20]) {
    bus.inb(status).await;
    let mut bytes: Vec<u8> = attr.iter().enumerate().flat_map(|(i, v)| [i as u8, *v]).collect();
    bytes.extend([0x14, 0]);
    bus.out_bytes(0x3c0, &bytes).await;
}

/// DAC registers from `first` on, three bytes each.
pub async fn dac(bus: &Bus, first: u8, rgb: &[u8]) {
    bus.outb(0x3c8, first).await;
    bus.out_bytes(0x3c9, rgb).await;
}

async fn clear(bus: &Bus, m: &Mode) {
    let at = Far::new(m.segment, 0);
    match m.layout {
        Layout::Text => bus.fill_words(at, 0x4000, 0x0720).await,
        Layout::Cga4 | Layout::Cga2 => bus.fill_words(at, 0x2000, 0).await,
        Layout::Planar | Layout::Linear8 => bus.fill_words(at, 0x8000, 0).await,
    }
}

/// Text with 200 or 350 scan lines.
async fn scan_lines(bus: &Bus, m: &Mode, lines: u16, height: u8) {
    let port = crtc_port(m);
    let (misc, vertical): (u8, [(u8, u8); 7]) = if lines == 350 {
        (
            0xa0 | m.misc & 0x0f,
            [(6, 0xbf), (7, 0x1f), (0x10, 0x83), (0x11, 0x85), (0x12, 0x5d), (0x15, 0x63), (0x16, 0xba)],
        )
    } else {
        (m.misc, [(6, 0xbf), (7, 0x1f), (0x10, 0x9c), (0x11, 0x8e), (0x12, 0x8f), (0x15, 0x96), (0x16, 0xb9)])
    };
    bus.outb(0x3c2, misc).await;
    // 200 lines are shown twice each.
    let row = if lines == 200 { 0xc0 } else { 0x40 } | (height - 1);
    let mut out = vec![0x0e11, u16::from(row) << 8 | 9];
    out.extend(vertical.iter().map(|(i, v)| u16::from(*v) << 8 | u16::from(*i)));
    out.extend([u16::from(height - 3) << 8 | 0x0a, u16::from(height - 2) << 8 | 0x0b]);
    bus.out_pairs(port, &out).await;
}

async fn data_area(bus: &Bus, m: &Mode, keep: bool, rows: u8, height: u8, options: u8) {
    let mut area = vec![0; 0x1e];
    area[0] = m.number | u8::from(keep) << 7;
    area[1] = m.columns;
    area[3..5].copy_from_slice(&m.page_size.to_le_bytes());
    // 40:60: cursor of two lines, in the terms of an 8-line character.
    area[0x17..0x19].copy_from_slice(&[0x07, 0x06]);
    area[0x1a..0x1c].copy_from_slice(&crtc_port(m).to_le_bytes());
    area[0x1c] = match m.number {
        0 => 0x2c,
        1 => 0x28,
        2 => 0x2d,
        4 => 0x2a,
        5 => 0x2e,
        6 => 0x1e,
        _ => 0x29,
    };
    area[0x1d] = if m.number == 6 { 0x3f } else { 0x30 };
    bus.write(bda(0x49), &area).await;
    bus.write(bda(bda::EGA), &[rows - 1, height, 0]).await;
    bus.write(bda(0x87), &[options & 0x7f | u8::from(keep) << 7]).await;
    let font = match height {
        8 => rom::FONT8,
        14 => rom::FONT14,
        _ => rom::FONT16,
    };
    bus.write32(Far::new(0, 4 * 0x43), u32::from(VIDEO_SEG) << 16 | u32::from(font)).await;
    if height == 8 {
        bus.write32(Far::new(0, 4 * 0x1f), u32::from(VIDEO_SEG) << 16 | u32::from(rom::FONT8_HIGH)).await;
    }
}
