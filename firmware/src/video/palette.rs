//! Colours: INT 10h AH=0Bh and 10h.

use crate::bda::bda;
use crate::bus::{Bus, Far};
use crate::frame::Frame;
use crate::video::Screen;
use crate::video::set::dac;

/// Replaces colours by their luminance: 30 % red, 59 % green, 11 % blue.
pub fn grey(rgb: &mut [u8]) {
    for c in rgb.chunks_exact_mut(3) {
        let y = (u32::from(c[0]) * 77 + u32::from(c[1]) * 151 + u32::from(c[2]) * 28 + 128) >> 8;
        c.fill(y.min(63) as u8);
    }
}

async fn status(bus: &Bus) -> u16 {
    if bus.read16(bda(0x63)).await == 0x3b4 { 0x3ba } else { 0x3da }
}

async fn set_attr(bus: &Bus, status: u16, index: u8, v: u8) {
    bus.inb(status).await;
    bus.out_bytes(0x3c0, &[index, v, 0x20]).await;
}

async fn get_attr(bus: &Bus, status: u16, index: u8) -> u8 {
    bus.inb(status).await;
    bus.outb(0x3c0, index).await;
    let v = bus.inb(0x3c1).await;
    bus.inb(status).await;
    bus.outb(0x3c0, 0x20).await;
    v
}

async fn read_dac(bus: &Bus, first: u8, count: u16) -> Vec<u8> {
    bus.outb(0x3c7, first).await;
    bus.in_bytes(0x3c9, count * 3).await
}

pub async fn serve(bus: &Bus, f: &mut Frame) {
    let port = status(bus).await;
    if f.ah() == 0x0b {
        return cga(bus, f, port).await;
    }
    match f.al() {
        0x00 => set_attr(bus, port, f.bl() & 0x1f, f.bh()).await,
        0x01 => set_attr(bus, port, 0x11, f.bh()).await,
        0x02 => {
            let t = bus.read(Far::new(f.es, f.dx()), 17).await;
            for (i, v) in t.iter().enumerate() {
                set_attr(bus, port, if i == 16 { 0x11 } else { i as u8 }, *v).await;
            }
        }
        0x03 => {
            let v = get_attr(bus, port, 0x10).await;
            set_attr(bus, port, 0x10, v & !8 | (f.bl() & 1) << 3).await;
        }
        0x07 => {
            let v = get_attr(bus, port, f.bl() & 0x1f).await;
            f.set_bh(v);
        }
        0x08 => {
            let v = get_attr(bus, port, 0x11).await;
            f.set_bh(v);
        }
        0x09 => {
            let mut t = Vec::new();
            for i in 0..17 {
                t.push(get_attr(bus, port, if i == 16 { 0x11 } else { i }).await);
            }
            bus.write(Far::new(f.es, f.dx()), &t).await;
        }
        0x10 => dac(bus, f.bl(), &[f.dh(), f.ch(), f.cl()]).await,
        0x12 => {
            let n = f.cx().min(256);
            let rgb = bus.read(Far::new(f.es, f.dx()), usize::from(n) * 3).await;
            dac(bus, f.bl(), &rgb).await;
        }
        0x13 => {
            let v = get_attr(bus, port, 0x10).await;
            if f.bl() & 1 == 0 {
                set_attr(bus, port, 0x10, v & 0x7f | f.bh() << 7).await;
            } else {
                let page = if v & 0x80 != 0 { f.bh() & 15 } else { f.bh() << 2 & 15 };
                set_attr(bus, port, 0x14, page).await;
            }
        }
        0x15 => {
            let c = read_dac(bus, f.bl(), 1).await;
            f.set_dh(c[0]);
            f.set_ch(c[1]);
            f.set_cl(c[2]);
        }
        0x17 => {
            let c = read_dac(bus, f.bl(), f.cx().min(256)).await;
            bus.write(Far::new(f.es, f.dx()), &c).await;
        }
        0x18 => bus.outb(0x3c6, f.bl()).await,
        0x19 => {
            let v = bus.inb(0x3c6).await;
            f.set_bl(v);
        }
        0x1a => {
            let v = get_attr(bus, port, 0x10).await;
            let page = get_attr(bus, port, 0x14).await;
            f.set_bl(v >> 7);
            f.set_bh(if v & 0x80 != 0 { page & 15 } else { page >> 2 & 3 });
        }
        0x1b => {
            let (first, n) = (f.bl(), f.cx().min(256));
            let mut c = read_dac(bus, first, n).await;
            grey(&mut c);
            dac(bus, first, &c).await;
        }
        _ => {}
    }
}

/// AH=0Bh: border, and the colours of the CGA's 320x200 modes.
async fn cga(bus: &Bus, f: &Frame, port: u16) {
    let s = Screen::load(bus).await;
    let old = bus.read8(bda(0x66)).await;
    let new = match f.bh() {
        0 => old & 0xe0 | f.bl() & 0x1f,
        1 => old & 0xdf | (f.bl() & 1) << 5,
        _ => return,
    };
    bus.write8(bda(0x66), new).await;
    let back = new & 7 | (new & 8) << 1;
    if s.mode() <= 3 || f.bh() == 0 {
        set_attr(bus, port, 0x11, back).await;
    }
    if matches!(s.mode(), 4 | 5) {
        let bright = new & 0x10;
        let odd = new >> 5 & 1;
        set_attr(bus, port, 0, back).await;
        for i in 1..4 {
            set_attr(bus, port, i, (2 * i + odd) & 7 | bright).await;
        }
    }
}
