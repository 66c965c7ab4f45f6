//! Alternate select, display combination, state information, save and restore: INT 10h AH=12h, 1Ah-1Ch.

use crate::bda::{self, bda};
use crate::bus::{Bus, Far};
use crate::frame::Frame;
use crate::rom::VIDEO_SEG;
use crate::rom::video as rom;
use crate::video::Screen;
use crate::video::set::{attributes, dac, pairs};

pub async fn serve(bus: &Bus, f: &mut Frame) {
    match f.ah() {
        0x12 => alternate(bus, f).await,
        0x1a => combination(bus, f).await,
        0x1b => information(bus, f).await,
        _ => save_restore(bus, f).await,
    }
}

async fn alternate(bus: &Bus, f: &mut Frame) {
    let flags = bus.read8(bda(0x89)).await;
    let set = |bit: u8, on: bool| if on { flags | bit } else { flags & !bit };
    match f.bl() {
        0x10 => {
            let mono = bus.read16(bda(0x63)).await == 0x3b4;
            let v = bus.read8(bda(0x88)).await;
            f.set_bh(u8::from(mono));
            f.set_bl(3);
            f.set_ch(v >> 4);
            f.set_cl(v & 15);
            return;
        }
        0x20 => {}
        0x30 => {
            let v = match f.al() {
                0 => flags & !0x10 | 0x80,
                1 => flags & !0x90,
                2 => flags & !0x80 | 0x10,
                _ => return f.set_al(0),
            };
            bus.write8(bda(0x89), v).await;
        }
        0x31 => bus.write8(bda(0x89), set(0x08, f.al() & 1 != 0)).await,
        // The processor's access to the display memory.
        0x32 => {
            let misc = bus.inb(0x3cc).await;
            bus.outb(0x3c2, misc & !2 | if f.al() & 1 == 0 { 2 } else { 0 }).await;
        }
        0x33 => bus.write8(bda(0x89), set(0x02, f.al() & 1 == 0)).await,
        0x34 => {
            let v = bus.read8(bda(0x87)).await;
            bus.write8(bda(0x87), v & !1 | f.al() & 1).await;
        }
        0x36 => {
            let v = bus.in_index(0x3c4, 1).await;
            bus.out_pairs(0x3c4, &[u16::from(v & !0x20 | (f.al() & 1) << 5) << 8 | 1]).await;
        }
        _ => return,
    }
    f.set_al(0x12);
}

async fn combination(bus: &Bus, f: &mut Frame) {
    match f.al() {
        0 => {
            f.set_bx(0x0008);
            f.set_al(0x1a);
        }
        1 => {
            bus.write8(bda(0x8a), f.bl()).await;
            f.set_al(0x1a);
        }
        _ => {}
    }
}

/// 64 bytes of state; the first four point to the static functionality table.
async fn information(bus: &Bus, f: &mut Frame) {
    if f.bx() != 0 {
        return;
    }
    let s = Screen::load(bus).await;
    let area = bus.read(bda(bda::VIDEO), 0x42).await;
    let mut t = vec![0u8; 64];
    t[..4].copy_from_slice(&(u32::from(VIDEO_SEG) << 16 | u32::from(rom::STATIC_TABLE)).to_le_bytes());
    // 04-21h: as in the data area from mode to colour select.
    t[4..0x22].copy_from_slice(&area[..0x1e]);
    t[0x22] = s.rows() as u8;
    t[0x23..0x25].copy_from_slice(&s.height().to_le_bytes());
    t[0x25] = 8;
    let colours: u16 = match s.mode() {
        6 | 0x11 => 2,
        4 | 5 => 4,
        0x13 => 256,
        7 | 0x0f => 0,
        _ => 16,
    };
    t[0x27..0x29].copy_from_slice(&colours.to_le_bytes());
    t[0x29] = match s.mode() {
        4..=6 | 0x11 | 0x13 => 1,
        0x0f | 0x10 => 2,
        0x0e => 4,
        0x12 => 1,
        _ => 8,
    };
    t[0x2a] = match s.mode() {
        0x11 | 0x12 => 3,
        0x0f | 0x10 => 1,
        4..=6 | 0x0d | 0x0e | 0x13 => 0,
        _ => 2,
    };
    t[0x2d] = if area[0x40] & 8 != 0 { 0x21 } else { 0x29 };
    t[0x31] = 3;
    bus.write(Far::new(f.es, f.di()), &t).await;
    f.set_al(0x1b);
}

/// Sizes of the three parts, in bytes.
const HARDWARE: usize = 0x46;
const DATA: usize = 0x58;
const COLOURS: usize = 4 + 768;

fn blocks(states: u16) -> u16 {
    let bytes = [(1, HARDWARE), (2, DATA), (4, COLOURS)];
    let n: usize = bytes.iter().filter(|(bit, _)| states & bit != 0).map(|(_, n)| n).sum();
    n.div_ceil(64) as u16
}

async fn save_restore(bus: &Bus, f: &mut Frame) {
    match f.al() {
        0 => f.set_bx(blocks(f.cx() & 7)),
        1 => {
            let v = save(bus, f.cx() & 7).await;
            bus.write(Far::new(f.es, f.bx()), &v).await;
        }
        2 => {
            let v = bus.read(Far::new(f.es, f.bx()), usize::from(blocks(f.cx() & 7)) * 64).await;
            restore(bus, f.cx() & 7, &v).await;
        }
        _ => return,
    }
    f.set_al(0x1c);
}

/// States: bit 0 registers, 1 data area, 2 DAC.
pub async fn save(bus: &Bus, states: u16) -> Vec<u8> {
    let mut out = Vec::new();
    if states & 1 != 0 {
        let misc = bus.inb(0x3cc).await;
        let crtc = if misc & 1 != 0 { 0x3d4 } else { 0x3b4u16 };
        let (ci, si, gi) = (bus.inb(crtc).await, bus.inb(0x3c4).await, bus.inb(0x3ce).await);
        let mut v = vec![misc];
        for i in 0..5 {
            v.push(bus.in_index(0x3c4, i).await);
        }
        for i in 0..25 {
            v.push(bus.in_index(crtc, i).await);
        }
        for i in 0..9 {
            v.push(bus.in_index(0x3ce, i).await);
        }
        for i in 0..0x15 {
            bus.inb(crtc + 6).await;
            bus.outb(0x3c0, i).await;
            v.push(bus.inb(0x3c1).await);
        }
        bus.inb(crtc + 6).await;
        bus.outb(0x3c0, 0x20).await;
        bus.outb(crtc, ci).await;
        bus.outb(0x3c4, si).await;
        bus.outb(0x3ce, gi).await;
        v.extend([ci, si, gi]);
        v.resize(HARDWARE, 0);
        out.extend(v);
    }
    if states & 2 != 0 {
        let mut v = bus.read(bda(bda::VIDEO), 0x42).await;
        for n in [0x10, 0x1d, 0x1f, 0x43] {
            v.extend(bus.read(Far::new(0, 4 * n), 4).await);
        }
        v.extend(bus.read(bda(bda::VIDEO_SAVE), 4).await);
        v.resize(DATA, 0);
        out.extend(v);
    }
    if states & 4 != 0 {
        let mask = bus.inb(0x3c6).await;
        let index = bus.inb(0x3c8).await;
        let mut v = vec![mask, index, 0, 0];
        bus.outb(0x3c7, 0).await;
        v.extend(bus.in_bytes(0x3c9, 768).await);
        v.resize(COLOURS, 0);
        out.extend(v);
    }
    out
}

pub async fn restore(bus: &Bus, states: u16, v: &[u8]) {
    let mut v = v;
    if states & 1 != 0 && v.len() >= HARDWARE {
        let r = &v[..HARDWARE];
        v = &v[HARDWARE..];
        let misc = r[0];
        let crtc = if misc & 1 != 0 { 0x3d4 } else { 0x3b4u16 };
        bus.out_pairs(0x3c4, &[0x0100]).await;
        bus.outb(0x3c2, misc).await;
        bus.out_pairs(0x3c4, &pairs(1, &r[2..6])).await;
        bus.out_pairs(0x3c4, &[0x0300]).await;
        let mut c = vec![u16::from(r[6 + 0x11] & 0x7f) << 8 | 0x11];
        c.extend(pairs(0, &r[6..31]));
        bus.out_pairs(crtc, &c).await;
        bus.out_pairs(0x3ce, &pairs(0, &r[31..40])).await;
        let mut attr = [0; 20];
        attr.copy_from_slice(&r[40..60]);
        attributes(bus, crtc + 6, &attr).await;
        bus.inb(crtc + 6).await;
        bus.out_bytes(0x3c0, &[0x14, r[60], 0x20]).await;
        bus.outb(crtc, r[61]).await;
        bus.outb(0x3c4, r[62]).await;
        bus.outb(0x3ce, r[63]).await;
    }
    if states & 2 != 0 && v.len() >= DATA {
        bus.write(bda(bda::VIDEO), &v[..0x1e]).await;
        bus.write(bda(bda::EGA), &v[0x3b..0x42]).await;
        for (i, n) in [0x10, 0x1d, 0x1f, 0x43].into_iter().enumerate() {
            bus.write(Far::new(0, 4 * n), &v[0x42 + 4 * i..0x46 + 4 * i]).await;
        }
        bus.write(bda(bda::VIDEO_SAVE), &v[0x52..0x56]).await;
        v = &v[DATA..];
    }
    if states & 4 != 0 && v.len() >= COLOURS {
        bus.outb(0x3c6, v[0]).await;
        dac(bus, 0, &v[4..4 + 768]).await;
        bus.outb(0x3c8, v[1]).await;
    }
}
