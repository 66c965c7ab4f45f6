//! The Trio64's registers beyond the VGA: mode setting. S3 Trio64 databook, sections 14 (S3 VGA registers) and 15
//! (system control); register facts as in docs/devices/s3trio64.md.

use crate::bus::{Bus, lock};
use crate::video::set::{attributes, pairs};

/// A linear mode to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    pub width: u16,
    pub height: u16,
    pub bpp: u8,
}

impl Linear {
    pub fn bytes_per_pixel(&self) -> u32 {
        u32::from(self.bpp).div_ceil(8)
    }

    pub fn pitch(&self) -> u32 {
        u32::from(self.width) * self.bytes_per_pixel()
    }
}

const UNLOCK: &[u16] = &[0x4838, 0xa539];
const LOCK: &[u16] = &[0x0038, 0x5a39];

/// Extended registers as plain VGA modes need them.
pub async fn plain_vga(bus: &Bus, misc: u8) {
    let crtc = if misc & 1 != 0 { 0x3d4 } else { 0x3b4 };
    // The CRTC answers at the address that is set now.
    let now = if bus.inb(0x3cc).await & 1 != 0 { 0x3d4 } else { 0x3b4 };
    if now != crtc {
        bus.outb(0x3c2, misc).await;
    }
    bus.out_pairs(crtc, UNLOCK).await;
    bus.out_pairs(
        crtc,
        &[
            0x0067, 0x0066, 0x0531, 0x4032, 0x0033, 0x0534, 0x0035, 0x053a, 0x0042, 0x0043, 0x0045, 0x0050,
            0x0051, 0x0053, 0x0055, 0x0058, 0x005d, 0x005e, 0x0069, 0x006a,
        ],
    )
    .await;
    bus.out_pairs(crtc, LOCK).await;
}

/// Dot clock in kHz that gives about 60 frames a second, with the totals below.
fn timing(m: &Linear) -> Timing {
    // Horizontal values in characters of 8 pixels; blanking of a fifth, as monitors of the time wanted.
    let hde = m.width / 8;
    let total = hde + (hde / 4).max(12);
    let vtotal = m.height + m.height / 24 + 5;
    let khz = u32::from(total) * 8 * u32::from(vtotal) * 60 / 1000;
    Timing {
        hde,
        htotal: total,
        hss: hde + 2,
        hse: hde + 2 + (hde / 10).min(31),
        vtotal,
        vss: m.height + 3,
        vse: m.height + 6,
        khz,
    }
}

struct Timing {
    hde: u16,
    htotal: u16,
    hss: u16,
    hse: u16,
    vtotal: u16,
    vss: u16,
    vse: u16,
    khz: u32,
}

/// SR12 and SR13 for a frequency: f = 14.318 MHz * (M + 2) / ((N + 2) * 2^R), VCO from 135 MHz on.
pub fn pll(khz: u32) -> (u8, u8) {
    let mut best = (u32::MAX, 0, 0);
    for r in 0..4u32 {
        if !(135_000..=270_000).contains(&(khz << r)) {
            continue;
        }
        for n in 1..=31u32 {
            let m = ((u64::from(khz) << r) * u64::from(n + 2) + 7159) / 14318;
            let Some(m) = (m as u32).checked_sub(2).filter(|m| (1..=127).contains(m)) else { continue };
            let got = 14318 * (m + 2) / ((n + 2) << r);
            let error = got.abs_diff(khz);
            if error < best.0 {
                best = (error, (r << 5 | n) as u8, m as u8);
            }
        }
    }
    (best.1, best.2)
}

/// CRTC registers 00-18h and the extension bits CR5D, CR5E.
fn crtc(m: &Linear, pitch: u32) -> ([u8; 25], u8, u8) {
    let t = timing(m);
    // With 15 and 16 bits a pixel all horizontal values count half characters.
    let x = if matches!(m.bpp, 15 | 16) { 2 } else { 1 };
    let (hde, ht, hss, hse) = (t.hde * x - 1, t.htotal * x - 5, t.hss * x, t.hse * x);
    let (hbs, hbe) = (hde + 1, ht + 3);
    let (vde, vt, vss, vse) = (m.height - 1, t.vtotal - 2, t.vss, t.vse);
    let (vbs, vbe) = (vde + 1, vt);
    let bit = |v: u16, n: u16, to: u16| (v >> n & 1) << to;
    let overflow = bit(vt, 8, 0)
        | bit(vde, 8, 1)
        | bit(vss, 8, 2)
        | bit(vbs, 8, 3)
        | 0x10
        | bit(vt, 9, 5)
        | bit(vde, 9, 6)
        | bit(vss, 9, 7);
    let offset = pitch / 8;
    let r: [u16; 25] = [
        ht,
        hde,
        hbs,
        hbe & 0x1f | 0x80,
        hss,
        hse & 0x1f | bit(hbe, 5, 7),
        vt,
        overflow,
        0,
        0x40 | bit(vbs, 9, 5),
        0x20,
        0,
        0,
        0,
        0,
        0,
        vss,
        vse & 0x0f | 0x20,
        vde,
        offset as u16,
        0x60,
        vbs,
        vbe,
        0xab,
        0xff,
    ];
    let ext_h =
        bit(ht, 8, 0) | bit(hde, 8, 1) | bit(hbs, 8, 2) | bit(hbe, 6, 3) | bit(hss, 8, 4) | bit(hse, 5, 5);
    let ext_v = bit(vt, 10, 0) | bit(vde, 10, 1) | bit(vbs, 10, 2) | bit(vss, 10, 4) | 0x40;
    (r.map(|v| v as u8), ext_h as u8, ext_v as u8)
}

/// CR50: engine pitch and pixel length.
fn engine(m: &Linear) -> u8 {
    let pitch = match m.width {
        640 => 0x40,
        800 => 0x80,
        1152 => 0x01,
        1280 => 0xc0,
        1600 => 0x81,
        _ => 0x00,
    };
    let length = match m.bpp {
        8 => 0x00,
        15 | 16 => 0x10,
        _ => 0x30,
    };
    pitch | length
}

/// Sets a packed-pixel or direct-colour mode with enhanced memory mapping, bank window and linear window open.
pub async fn linear(bus: &Bus, m: &Linear) {
    let lfb = lock(&bus.world.shared).lfb;
    let (regs, ext_h, ext_v) = crtc(m, m.pitch());
    let t = timing(m);
    let (sr12, sr13) = pll(t.khz);
    bus.inb(0x3da).await;
    bus.outb(0x3c0, 0).await;
    bus.out_pairs(0x3c4, &[0x0100, 0x0101, 0x0f02, 0x0003, 0x0e04, 0x0608]).await;
    let d = [u16::from(sr12) << 8 | 0x12, u16::from(sr13) << 8 | 0x13, 0x0015, 0x2015, 0x0015, 0x0018];
    bus.out_pairs(0x3c4, &d).await;
    // Clock 3 is the PLL; colour; memory on.
    bus.outb(0x3c2, 0x2f).await;
    bus.out_pairs(0x3c4, &[0x0008, 0x0300]).await;
    let port = 0x3d4;
    bus.out_pairs(port, UNLOCK).await;
    let mut c = vec![u16::from(regs[0x11] & 0x7f) << 8 | 0x11];
    c.extend(pairs(0, &regs));
    let colour = match m.bpp {
        8 => 0x00,
        15 => 0x30,
        16 => 0x50,
        _ => 0xd0u16,
    };
    let offset_high = (m.pitch() >> 11 & 3) as u16;
    for (index, v) in [
        (0x31, 0x8d),
        (0x32, 0x00),
        (0x33, 0x00),
        (0x34, 0x10),
        (0x35, 0x00),
        (0x3a, 0x15),
        (0x3b, (u16::from(regs[0]) + u16::from(regs[4])) / 2),
        (0x3c, u16::from(regs[0]) / 2),
        (0x42, 0x00),
        (0x43, 0x00),
        (0x45, 0x00),
        (0x50, u16::from(engine(m))),
        (0x51, offset_high << 4),
        (0x53, 0x00),
        (0x54, 0x38),
        (0x55, 0x00),
        (0x5d, u16::from(ext_h)),
        (0x5e, u16::from(ext_v)),
        (0x60, 0x07),
        (0x61, 0x80),
        (0x62, 0xa1),
        (0x66, 0x01),
        (0x67, colour),
        (0x69, 0x00),
        (0x6a, 0x00),
        (0x40, 0x31),
        (0x58, 0x13),
        (0x59, (lfb >> 24) as u16),
        (0x5a, (lfb >> 16 & 0xff) as u16),
    ] {
        c.push(v << 8 | index);
    }
    bus.out_pairs(port, &c).await;
    bus.out_pairs(port, LOCK).await;
    bus.out_pairs(0x3ce, &pairs(0, &[0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff])).await;
    let attr = [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        12,
        13,
        14,
        15,
        if m.bpp == 8 { 0x41 } else { 0x01 },
        0,
        0x0f,
        0,
    ];
    attributes(bus, 0x3da, &attr).await;
    bus.outb(0x3c6, 0xff).await;
    bus.out_pairs(0x3c4, &[0x0101]).await;
    bus.inb(0x3da).await;
    bus.outb(0x3c0, 0x20).await;
}

/// 800x600 with four planes: the VGA's own graphics mode with larger totals.
pub async fn planar(bus: &Bus, width: u16, height: u16) {
    let m = Linear { width, height, bpp: 8 };
    let (mut regs, ext_h, ext_v) = crtc(&m, u32::from(width));
    // Planes are a byte to eight pixels: CR13 counts words of them.
    regs[0x13] = (width / 16) as u8;
    regs[0x14] = 0;
    regs[0x17] = 0xe3;
    let (sr12, sr13) = pll(timing(&m).khz);
    plain_vga(bus, 0x2f).await;
    bus.inb(0x3da).await;
    bus.outb(0x3c0, 0).await;
    bus.out_pairs(0x3c4, &[0x0100, 0x0101, 0x0f02, 0x0003, 0x0604, 0x0608]).await;
    let d = [u16::from(sr12) << 8 | 0x12, u16::from(sr13) << 8 | 0x13, 0x0015, 0x2015, 0x0015, 0x0008];
    bus.out_pairs(0x3c4, &d).await;
    bus.outb(0x3c2, 0x2f).await;
    bus.out_pairs(0x3c4, &[0x0300]).await;
    let mut c = UNLOCK.to_vec();
    c.push(u16::from(regs[0x11] & 0x7f) << 8 | 0x11);
    c.extend(pairs(0, &regs));
    c.extend([u16::from(ext_h) << 8 | 0x5d, u16::from(ext_v) << 8 | 0x5e]);
    c.extend(LOCK);
    bus.out_pairs(0x3d4, &c).await;
    bus.out_pairs(0x3ce, &pairs(0, &[0, 0, 0, 0, 0, 0, 0x05, 0x0f, 0xff])).await;
    let m12 = crate::video::modes::find(0x12).map(|m| m.attr).unwrap_or_default();
    attributes(bus, 0x3da, &m12).await;
    bus.outb(0x3c6, 0xff).await;
    bus.inb(0x3da).await;
    bus.outb(0x3c0, 0x20).await;
}

/// Runs something with the extended registers open.
pub async fn write_extended(bus: &Bus, list: &[u16]) {
    let mut c = UNLOCK.to_vec();
    c.extend(list);
    c.extend(LOCK);
    bus.out_pairs(0x3d4, &c).await;
}

pub async fn read_extended(bus: &Bus, index: u8) -> u8 {
    bus.out_pairs(0x3d4, UNLOCK).await;
    let v = bus.in_index(0x3d4, index).await;
    bus.out_pairs(0x3d4, LOCK).await;
    v
}
