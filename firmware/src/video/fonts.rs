//! Character generator: INT 10h AH=11h.

use crate::bda::{self, bda};
use crate::bus::{Bus, Far};
use crate::frame::Frame;
use crate::rom::VIDEO_SEG;
use crate::rom::video as rom;
use crate::video::Screen;

fn rom_font(height: u8) -> u16 {
    match height {
        8 => rom::FONT8,
        14 => rom::FONT14,
        _ => rom::FONT16,
    }
}

/// Loads one of the ROM's fonts to a block of plane 2.
pub async fn load_rom(bus: &Bus, height: u8, block: u8) {
    let at = usize::from(rom_font(height));
    let font = bus.world.image[at..at + 256 * usize::from(height)].to_vec();
    load(bus, &font, height, 0, block).await;
}

/// Writes glyphs, 32 bytes apart, into plane 2.
async fn load(bus: &Bus, font: &[u8], height: u8, first: u16, block: u8) {
    let colour = bus.inb(0x3cc).await & 1 != 0;
    bus.out_pairs(0x3c4, &[0x0100, 0x0402, 0x0704, 0x0300]).await;
    bus.out_pairs(0x3ce, &[0x0204, 0x0005, 0x0406]).await;
    let base = u16::from(block & 3) * 0x4000 + u16::from(block & 4) * 0x800;
    let mut cells = vec![0u8; font.len() / usize::from(height) * 32];
    for (cell, glyph) in cells.chunks_mut(32).zip(font.chunks(usize::from(height))) {
        cell[..glyph.len()].copy_from_slice(glyph);
    }
    bus.write(Far::new(0xa000, base.wrapping_add(first * 32)), &cells).await;
    bus.out_pairs(0x3c4, &[0x0100, 0x0302, 0x0304, 0x0300]).await;
    let map = if colour { 0x0e06 } else { 0x0a06 };
    bus.out_pairs(0x3ce, &[0x0004, 0x1005, map]).await;
}

/// Character height in CRTC and data area after AL=1xh.
async fn recalculate(bus: &Bus, s: &Screen, height: u8) {
    let port = s.crtc();
    let v = bus.in_index(port, 9).await;
    let lines = match bus.in_index(port, 0x12).await {
        0x5d => 350u16,
        0xdf => 480,
        _ => 400,
    };
    let doubled = v & 0x80 != 0;
    let h = u16::from(height.clamp(1, 32));
    let rows = lines / if doubled { 2 } else { 1 } / h;
    let h8 = h as u8;
    bus.out_pairs(port, &[u16::from(v & 0xe0 | (h8 - 1)) << 8 | 9]).await;
    let (start, end) = if h8 >= 14 { (h8 - 3, h8 - 2) } else { (h8.saturating_sub(2), h8 - 1) };
    let last = (rows * h * if doubled { 2 } else { 1 }).saturating_sub(1);
    bus.out_pairs(port, &[u16::from(start) << 8 | 0x0a, u16::from(end) << 8 | 0x0b, last << 8 | 0x12]).await;
    bus.write(bda(bda::EGA), &[rows.saturating_sub(1) as u8, h8, 0]).await;
    bus.write16(bda(0x4c), (rows * s.columns() * 2 + 256) & 0xff00).await;
}

/// The graphics font: INT 43h, rows and height.
async fn graphics(bus: &Bus, font: Far, height: u16, f: &Frame) {
    bus.write32(Far::new(0, 4 * 0x43), font.bits()).await;
    let rows = match f.bl() {
        0 => f.dl(),
        1 => 14,
        3 => 43,
        _ => 25,
    };
    bus.write(bda(bda::EGA), &[rows.saturating_sub(1), height as u8, (height >> 8) as u8]).await;
}

pub async fn serve(bus: &Bus, f: &mut Frame) {
    let s = Screen::load(bus).await;
    match f.al() {
        0x00 | 0x10 => {
            let height = f.bh().clamp(1, 32);
            let font =
                bus.read(Far::new(f.es, f.bp()), usize::from(f.cx().min(256)) * usize::from(height)).await;
            load(bus, &font, height, f.dx() & 0xff, f.bl()).await;
            if f.al() == 0x10 {
                recalculate(bus, &s, height).await;
            }
        }
        al @ (0x01 | 0x02 | 0x04 | 0x11 | 0x12 | 0x14) => {
            let height = [14, 8, 0, 16][usize::from((al & 7) - 1)];
            load_rom(bus, height, f.bl()).await;
            if al >= 0x10 {
                recalculate(bus, &s, height).await;
            }
        }
        // Block specifier: which blocks attribute bit 3 chooses between.
        0x03 => bus.out_pairs(0x3c4, &[0x0100, u16::from(f.bl()) << 8 | 3, 0x0300]).await,
        0x20 => bus.write32(Far::new(0, 4 * 0x1f), Far::new(f.es, f.bp()).bits()).await,
        0x21 => graphics(bus, Far::new(f.es, f.bp()), f.cx(), f).await,
        0x22 => graphics(bus, Far::new(VIDEO_SEG, rom::FONT14), 14, f).await,
        0x23 => graphics(bus, Far::new(VIDEO_SEG, rom::FONT8), 8, f).await,
        0x24 => graphics(bus, Far::new(VIDEO_SEG, rom::FONT16), 16, f).await,
        0x30 => {
            let at = match f.bh() {
                0 => Far::from_bits(bus.read32(Far::new(0, 4 * 0x1f)).await),
                1 => Far::from_bits(bus.read32(Far::new(0, 4 * 0x43)).await),
                2 | 5 => Far::new(VIDEO_SEG, rom::FONT14),
                3 => Far::new(VIDEO_SEG, rom::FONT8),
                4 => Far::new(VIDEO_SEG, rom::FONT8_HIGH),
                6 | 7 => Far::new(VIDEO_SEG, rom::FONT16),
                _ => return,
            };
            f.es = at.seg;
            f.set_bp(at.off);
            f.set_cx(s.height());
            f.set_dl((s.rows() - 1) as u8);
        }
        _ => {}
    }
}
