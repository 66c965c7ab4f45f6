//! INT 09h and INT 16h. Keyboard codes: RBIL tables 00006, 00583; IBM Technical Reference AT, keyboard section.

use board::Power;

use crate::bda::{self, bda};
use crate::bus::{Bus, CallRegs, Far, le16};
use crate::frame::{CF, Frame, IF, ZF};

/// For make codes 01h-58h: normal, shifted, with Ctrl, with Alt. 0 = nothing.
#[rustfmt::skip]
const KEYS: [[u16; 4]; 0x59] = [
    [0, 0, 0, 0],
    [0x011b, 0x011b, 0x011b, 0x0100],
    [0x0231, 0x0221, 0, 0x7800], [0x0332, 0x0340, 0x0300, 0x7900], [0x0433, 0x0423, 0, 0x7a00],
    [0x0534, 0x0524, 0, 0x7b00], [0x0635, 0x0625, 0, 0x7c00], [0x0736, 0x075e, 0x071e, 0x7d00],
    [0x0837, 0x0826, 0, 0x7e00], [0x0938, 0x092a, 0, 0x7f00], [0x0a39, 0x0a28, 0, 0x8000],
    [0x0b30, 0x0b29, 0, 0x8100], [0x0c2d, 0x0c5f, 0x0c1f, 0x8200], [0x0d3d, 0x0d2b, 0, 0x8300],
    [0x0e08, 0x0e08, 0x0e7f, 0x0e00], [0x0f09, 0x0f00, 0x9400, 0xa500],
    [0x1071, 0x1051, 0x1011, 0x1000], [0x1177, 0x1157, 0x1117, 0x1100], [0x1265, 0x1245, 0x1205, 0x1200],
    [0x1372, 0x1352, 0x1312, 0x1300], [0x1474, 0x1454, 0x1414, 0x1400], [0x1579, 0x1559, 0x1519, 0x1500],
    [0x1675, 0x1655, 0x1615, 0x1600], [0x1769, 0x1749, 0x1709, 0x1700], [0x186f, 0x184f, 0x180f, 0x1800],
    [0x1970, 0x1950, 0x1910, 0x1900], [0x1a5b, 0x1a7b, 0x1a1b, 0x1a00], [0x1b5d, 0x1b7d, 0x1b1d, 0x1b00],
    [0x1c0d, 0x1c0d, 0x1c0a, 0x1c00], [0, 0, 0, 0],
    [0x1e61, 0x1e41, 0x1e01, 0x1e00], [0x1f73, 0x1f53, 0x1f13, 0x1f00], [0x2064, 0x2044, 0x2004, 0x2000],
    [0x2166, 0x2146, 0x2106, 0x2100], [0x2267, 0x2247, 0x2207, 0x2200], [0x2368, 0x2348, 0x2308, 0x2300],
    [0x246a, 0x244a, 0x240a, 0x2400], [0x256b, 0x254b, 0x250b, 0x2500], [0x266c, 0x264c, 0x260c, 0x2600],
    [0x273b, 0x273a, 0, 0x2700], [0x2827, 0x2822, 0, 0x2800], [0x2960, 0x297e, 0, 0x2900], [0, 0, 0, 0],
    [0x2b5c, 0x2b7c, 0x2b1c, 0x2b00],
    [0x2c7a, 0x2c5a, 0x2c1a, 0x2c00], [0x2d78, 0x2d58, 0x2d18, 0x2d00], [0x2e63, 0x2e43, 0x2e03, 0x2e00],
    [0x2f76, 0x2f56, 0x2f16, 0x2f00], [0x3062, 0x3042, 0x3002, 0x3000], [0x316e, 0x314e, 0x310e, 0x3100],
    [0x326d, 0x324d, 0x320d, 0x3200], [0x332c, 0x333c, 0, 0x3300], [0x342e, 0x343e, 0, 0x3400],
    [0x352f, 0x353f, 0, 0x3500], [0, 0, 0, 0],
    [0x372a, 0x372a, 0x9600, 0x3700], [0, 0, 0, 0], [0x3920, 0x3920, 0x3920, 0x3920], [0, 0, 0, 0],
    [0x3b00, 0x5400, 0x5e00, 0x6800], [0x3c00, 0x5500, 0x5f00, 0x6900], [0x3d00, 0x5600, 0x6000, 0x6a00],
    [0x3e00, 0x5700, 0x6100, 0x6b00], [0x3f00, 0x5800, 0x6200, 0x6c00], [0x4000, 0x5900, 0x6300, 0x6d00],
    [0x4100, 0x5a00, 0x6400, 0x6e00], [0x4200, 0x5b00, 0x6500, 0x6f00], [0x4300, 0x5c00, 0x6600, 0x7000],
    [0x4400, 0x5d00, 0x6700, 0x7100], [0, 0, 0, 0], [0, 0, 0, 0],
    [0x4700, 0x4737, 0x7700, 0], [0x4800, 0x4838, 0x8d00, 0], [0x4900, 0x4939, 0x8400, 0],
    [0x4a2d, 0x4a2d, 0x8e00, 0x4a00], [0x4b00, 0x4b34, 0x7300, 0], [0x4c00, 0x4c35, 0x8f00, 0],
    [0x4d00, 0x4d36, 0x7400, 0], [0x4e2b, 0x4e2b, 0x9000, 0x4e00], [0x4f00, 0x4f31, 0x7500, 0],
    [0x5000, 0x5032, 0x9100, 0], [0x5100, 0x5133, 0x7600, 0], [0x5200, 0x5230, 0x9200, 0],
    [0x5300, 0x532e, 0x9300, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0x565c, 0x567c, 0, 0],
    [0x8500, 0x8700, 0x8900, 0x8b00], [0x8600, 0x8800, 0x8a00, 0x8c00],
];

/// The grey keys (after E0h): as [`KEYS`], by make code.
const GREY: &[(u8, [u16; 4])] = &[
    (0x1c, [0xe00d, 0xe00d, 0xe00a, 0xa600]),
    (0x35, [0xe02f, 0xe02f, 0x9500, 0xa400]),
    (0x47, [0x47e0, 0x47e0, 0x77e0, 0x9700]),
    (0x48, [0x48e0, 0x48e0, 0x8de0, 0x9800]),
    (0x49, [0x49e0, 0x49e0, 0x84e0, 0x9900]),
    (0x4b, [0x4be0, 0x4be0, 0x73e0, 0x9b00]),
    (0x4d, [0x4de0, 0x4de0, 0x74e0, 0x9d00]),
    (0x4f, [0x4fe0, 0x4fe0, 0x75e0, 0x9f00]),
    (0x50, [0x50e0, 0x50e0, 0x91e0, 0xa000]),
    (0x51, [0x51e0, 0x51e0, 0x76e0, 0xa100]),
    (0x52, [0x52e0, 0x52e0, 0x92e0, 0xa200]),
    (0x53, [0x53e0, 0x53e0, 0x93e0, 0xa300]),
];

/// The shift state, 40:17, 18, 96 and 97.
struct State {
    f1: u8,
    f2: u8,
    f3: u8,
    leds: u8,
}

pub async fn irq1(bus: &Bus) {
    // The controller holds more back while this runs.
    let status = bus.inb(0x64).await;
    if status & 0x21 == 0x01 {
        let code = bus.inb(0x60).await;
        // Programs may take or change the code: AL, carry set = go on with it.
        let r = intercept(bus, code).await;
        if r.flags & CF != 0 {
            key(bus, r.ax as u8).await;
        }
    }
    bus.outb(0x20, 0x20).await;
}

async fn intercept(bus: &Bus, code: u8) -> crate::bus::CallResult {
    let target = Far::from_bits(bus.read32(Far::new(0, 4 * 0x15)).await);
    if target == Far::new(crate::rom::SYSTEM_SEG, 0xf859) {
        // Our own INT 15h changes nothing.
        return crate::bus::CallResult { ax: u16::from(code), flags: CF };
    }
    bus.int(0x15, CallRegs { ax: 0x4f00 | u16::from(code), ..CallRegs::default() }).await
}

async fn key(bus: &Bus, code: u8) {
    let a = bus.read(bda(bda::KB_FLAGS), 2).await;
    let b = bus.read(bda(bda::KB_STATUS3), 2).await;
    let mut s = State { f1: a[0], f2: a[1], f3: b[0], leds: b[1] };
    let (e0, e1) = (s.f3 & 2 != 0, s.f3 & 1 != 0);
    match code {
        0xe0 => s.f3 |= 2,
        0xe1 => s.f3 |= 1,
        // Acknowledge and resend of our own commands.
        0xfa | 0xfe => s.leds |= if code == 0xfa { 0x10 } else { 0x20 },
        0x00 | 0xff => {}
        _ => {
            if e1 {
                // Pause: E1 1D 45 E1 9D C5. The prefix stays until the second byte of each half.
                if code & 0x7f == 0x45 {
                    s.f3 &= !1;
                    if code == 0x45 && s.f2 & 8 == 0 {
                        s.f2 |= 8;
                        store(bus, &s).await;
                        return pause(bus).await;
                    }
                }
            } else {
                s.f3 &= !2;
                if shift(&mut s, code, e0) {
                    store(bus, &s).await;
                    alt_pad(bus, &s, code, e0).await;
                    return leds(bus).await;
                }
                store(bus, &s).await;
                if code < 0x80 {
                    made(bus, &s, code, e0).await;
                }
                return;
            }
        }
    }
    store(bus, &s).await;
}

async fn store(bus: &Bus, s: &State) {
    bus.write(bda(bda::KB_FLAGS), &[s.f1, s.f2]).await;
    bus.write(bda(bda::KB_STATUS3), &[s.f3, s.leds]).await;
}

/// Follows shift and lock keys; true if the code was one.
fn shift(s: &mut State, code: u8, e0: bool) -> bool {
    let down = code < 0x80;
    let set = |v: &mut u8, bit: u8| *v = if down { *v | bit } else { *v & !bit };
    match code & 0x7f {
        // E0 2A and E0 36 are fakes around grey keys.
        0x2a | 0x36 if e0 => {}
        0x36 => set(&mut s.f1, 0x01),
        0x2a => set(&mut s.f1, 0x02),
        0x1d => {
            if e0 {
                set(&mut s.f3, 0x04);
            } else {
                set(&mut s.f2, 0x01);
            }
            s.f1 = s.f1 & !4 | if s.f3 & 4 != 0 || s.f2 & 1 != 0 { 4 } else { 0 };
        }
        0x38 => {
            if e0 {
                set(&mut s.f3, 0x08);
            } else {
                set(&mut s.f2, 0x02);
            }
            s.f1 = s.f1 & !8 | if s.f3 & 8 != 0 || s.f2 & 2 != 0 { 8 } else { 0 };
        }
        n @ (0x3a | 0x45 | 0x46) if !e0 && (n != 0x45 || s.f1 & 4 == 0) && (n != 0x46 || s.f1 & 4 == 0) => {
            let bit = match n {
                0x3a => 0x40,
                0x45 => 0x20,
                _ => 0x10,
            };
            // A held key repeats its make code: only the first toggles.
            if down && s.f2 & bit == 0 {
                s.f1 ^= bit;
            }
            set(&mut s.f2, bit);
        }
        _ => return false,
    }
    true
}

/// Alt released: the number typed on the keypad becomes a character.
async fn alt_pad(bus: &Bus, s: &State, code: u8, _e0: bool) {
    if code == 0xb8 && s.f1 & 8 == 0 {
        let v = bus.read8(bda(0x19)).await;
        if v != 0 {
            bus.write8(bda(0x19), 0).await;
            stuff(bus, u16::from(v)).await;
        }
    }
}

async fn made(bus: &Bus, s: &State, code: u8, e0: bool) {
    let (shift, ctrl, alt) = (s.f1 & 3 != 0, s.f1 & 4 != 0, s.f1 & 8 != 0);
    if s.f2 & 8 != 0 {
        // Any key ends a pause.
        bus.write8(bda(0x18), s.f2 & !8).await;
        return;
    }
    match (code, e0) {
        (0x53, _) if ctrl && alt => {
            bus.write16(bda(bda::RESET), 0x1234).await;
            bus.power(Power::Reset);
            bus.outb(0x64, 0xfe).await;
            return;
        }
        // Ctrl-Break.
        (0x46, true) => {
            bus.write8(bda(bda::BREAK), 0x80).await;
            let start = bus.read16(bda(bda::KB_START)).await;
            bus.write(bda(bda::KB_HEAD), &[start.to_le_bytes(), start.to_le_bytes()].concat()).await;
            bus.int(0x1b, CallRegs::default()).await;
            stuff(bus, 0).await;
            return;
        }
        // Print Screen; with Alt: SysRq.
        (0x37, true) if !ctrl => {
            bus.int(0x05, CallRegs::default()).await;
            return;
        }
        (0x54, _) => {
            bus.int(0x15, CallRegs { ax: 0x8500, ..CallRegs::default() }).await;
            return;
        }
        _ => {}
    }
    if alt && !e0 && (0x47..=0x52).contains(&code) && !matches!(code, 0x4a | 0x4e) {
        let digits = [7, 8, 9, 0, 4, 5, 6, 0, 1, 2, 3, 0u8];
        let v = bus.read8(bda(0x19)).await;
        let v = v.wrapping_mul(10).wrapping_add(digits[usize::from(code - 0x47)]);
        return bus.write8(bda(0x19), v).await;
    }
    let row = if e0 {
        GREY.iter().find(|(c, _)| *c == code).map(|(_, r)| *r)
    } else {
        KEYS.get(usize::from(code)).copied()
    };
    let Some(row) = row else { return };
    let pad = !e0 && (0x47..=0x53).contains(&code);
    // Caps lock for letters, num lock for the keypad.
    let letter = (row[0] as u8).is_ascii_lowercase();
    let flip = letter && s.f1 & 0x40 != 0 || pad && s.f1 & 0x20 != 0;
    let word = if alt {
        row[3]
    } else if ctrl {
        row[2]
    } else {
        row[usize::from(shift != flip)]
    };
    if word != 0 {
        stuff(bus, word).await;
    }
}

/// Puts a key into the ring; false if it is full.
async fn stuff(bus: &Bus, word: u16) -> bool {
    let p = bus.read(bda(bda::KB_HEAD), 4).await;
    let r = bus.read(bda(bda::KB_START), 4).await;
    let (head, tail) = (le16(&p), le16(&p[2..]));
    let (start, end) = (le16(&r), le16(&r[2..]));
    let mut next = tail.wrapping_add(2);
    if next >= end {
        next = start;
    }
    if next == head {
        return false;
    }
    bus.write16(bda(tail), word).await;
    bus.write16(bda(bda::KB_HEAD + 2), next).await;
    true
}

/// Pause: waits, with interrupts, for another key.
async fn pause(bus: &Bus) {
    bus.outb(0x20, 0x20).await;
    while bus.read8(bda(0x18)).await & 8 != 0 {
        bus.let_interrupts_in().await;
    }
}

/// Sends lock states to the keyboard when they changed.
async fn leds(bus: &Bus) {
    let want = bus.read8(bda(bda::KB_FLAGS)).await >> 4 & 7;
    let have = bus.read8(bda(bda::KB_LEDS)).await;
    if have & 7 == want {
        return;
    }
    bus.write8(bda(bda::KB_LEDS), have & 0xc8 | want).await;
    // The answers to these would come as keys: take them here.
    command(bus, 0xed).await;
    command(bus, want).await;
}

/// A byte to the keyboard, and its answer taken.
pub async fn command(bus: &Bus, v: u8) -> bool {
    bus.poll8(0x64, 2, 0, 1000).await;
    bus.outb(0x60, v).await;
    let end = bus.now() + 20 * board::MILLISECOND;
    while bus.now() < end {
        if bus.poll8(0x64, 0x21, 0x01, 100).await & 0x21 == 0x01 {
            return bus.inb(0x60).await == 0xfa;
        }
    }
    false
}

/// The next key of the ring and whether it is taken out.
async fn peek(bus: &Bus) -> Option<(u16, u16)> {
    let p = bus.read(bda(bda::KB_HEAD), 4).await;
    let (head, tail) = (le16(&p), le16(&p[2..]));
    if head == tail {
        return None;
    }
    Some((bus.read16(bda(head)).await, head))
}

async fn advance(bus: &Bus, head: u16) {
    let r = bus.read(bda(bda::KB_START), 4).await;
    let mut next = head.wrapping_add(2);
    if next >= le16(&r[2..]) {
        next = le16(&r);
    }
    bus.write16(bda(bda::KB_HEAD), next).await;
}

/// What AH=00h and 01h see of an extended key: None hides it.
fn plain(word: u16) -> Option<u16> {
    match word {
        // The grey Enter and slash look like their main keys.
        0xe00d => Some(0x1c0d),
        0xe00a => Some(0x1c0a),
        0xe02f => Some(0x352f),
        // Grey cursor keys lose their E0h.
        w if w as u8 == 0xe0 && w >> 8 != 0 => Some(w & 0xff00),
        // Keys that the 84-key keyboard lacks.
        w if w >> 8 > 0x84 && w >> 8 != 0xe0 || w as u8 == 0xf0 && w >> 8 != 0 => None,
        w => Some(w),
    }
}

pub async fn int16(bus: &Bus, f: &mut Frame) {
    match f.ah() {
        0x00 | 0x10 => loop {
            if let Some((word, head)) = peek(bus).await {
                advance(bus, head).await;
                let v = if f.ah() == 0 { plain(word) } else { Some(enhanced(word)) };
                if let Some(v) = v {
                    f.set_ax(v);
                    return;
                }
            } else {
                bus.wait_interrupt().await;
            }
        },
        0x01 | 0x11 => {
            f.set_flag(IF, true);
            loop {
                let Some((word, head)) = peek(bus).await else {
                    f.set_flag(ZF, true);
                    return;
                };
                let v = if f.ah() == 1 { plain(word) } else { Some(enhanced(word)) };
                if let Some(v) = v {
                    f.set_ax(v);
                    f.set_flag(ZF, false);
                    return;
                }
                advance(bus, head).await;
            }
        }
        0x02 => {
            let v = bus.read8(bda(bda::KB_FLAGS)).await;
            f.set_al(v);
        }
        0x12 => {
            let a = bus.read(bda(bda::KB_FLAGS), 2).await;
            let b = bus.read8(bda(bda::KB_STATUS3)).await;
            f.set_al(a[0]);
            // Left Ctrl and Alt, right Ctrl and Alt, locks held, SysRq.
            f.set_ah(a[1] & 0x73 | b & 0x0c | (a[1] & 4) << 5);
        }
        0x03 if f.al() == 5 => {
            command(bus, 0xf3).await;
            command(bus, (f.bh() & 3) << 5 | f.bl() & 0x1f).await;
        }
        0x05 => {
            let full = !stuff(bus, f.cx()).await;
            f.set_al(u8::from(full));
        }
        0x09 => f.set_al(0x30),
        0x0a => f.set_bx(0x41ab),
        0x92 => f.set_ah(0x80),
        0x6f if f.al() == 8 => f.set_ah(0x02),
        _ => {}
    }
}

/// AH=10h and 11h: F0h marks keys with a code only; it is not shown.
fn enhanced(word: u16) -> u16 {
    if word as u8 == 0xf0 && word >> 8 != 0 { word & 0xff00 } else { word }
}
