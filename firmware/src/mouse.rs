//! The PS/2 mouse: INT 15h AH=C2h and INT 74h. RBIL INT 15h C200h-C209h.

use board::{MILLISECOND, SECOND, Tick};

use crate::bda::{self, ebda};
use crate::bus::{Bus, Far};
use crate::frame::Frame;

const BAD_FUNCTION: u8 = 1;
const BAD_INPUT: u8 = 2;
const INTERFACE: u8 = 3;
const RESEND: u8 = 4;
const NO_HANDLER: u8 = 5;

async fn controller(bus: &Bus, cmd: u8) {
    bus.poll8(0x64, 2, 0, 1000).await;
    bus.outb(0x64, cmd).await;
}

/// Changes bits of the 8042's command byte.
async fn command_byte(bus: &Bus, clear: u8, set: u8) {
    controller(bus, 0x20).await;
    bus.poll8(0x64, 1, 1, 1000).await;
    let v = bus.inb(0x60).await;
    controller(bus, 0x60).await;
    bus.poll8(0x64, 2, 0, 1000).await;
    bus.outb(0x60, v & !clear | set).await;
}

/// The next byte from the mouse.
async fn answer(bus: &Bus, patience: Tick) -> Option<u8> {
    let end = bus.now() + patience;
    while bus.now() < end {
        let s = bus.poll8(0x64, 0x21, 0x21, 100).await;
        match s & 0x21 {
            0x21 => return Some(bus.inb(0x60).await),
            // A key in between is lost to the mouse's answer.
            0x01 => {
                bus.inb(0x60).await;
            }
            _ => {}
        }
    }
    None
}

/// A byte to the mouse, and `n` bytes after its acknowledge. The interrupt is off meanwhile.
async fn send(bus: &Bus, bytes: &[u8], n: usize) -> Result<Vec<u8>, u8> {
    command_byte(bus, 0x22, 0).await;
    let r = talk(bus, bytes, n).await;
    command_byte(bus, 0, 0x02).await;
    r
}

async fn talk(bus: &Bus, bytes: &[u8], n: usize) -> Result<Vec<u8>, u8> {
    for b in bytes {
        controller(bus, 0xd4).await;
        bus.poll8(0x64, 2, 0, 1000).await;
        bus.outb(0x60, *b).await;
        match answer(bus, 100 * MILLISECOND).await {
            Some(0xfa) => {}
            Some(0xfe) => return Err(RESEND),
            _ => return Err(INTERFACE),
        }
    }
    let mut v = Vec::new();
    for _ in 0..n {
        v.push(answer(bus, SECOND).await.ok_or(INTERFACE)?);
    }
    Ok(v)
}

pub async fn serve(bus: &Bus, f: &mut Frame) {
    match function(bus, f).await {
        Ok(()) => f.ok(),
        Err(code) => f.fail(code),
    }
}

async fn function(bus: &Bus, f: &mut Frame) -> Result<(), u8> {
    match f.al() {
        0x00 => match f.bh() {
            0 => send(bus, &[0xf5], 0).await.map(|_| ()),
            1 => {
                if bus.read8(ebda(bda::MOUSE_FLAGS2)).await & 0x80 == 0 {
                    return Err(NO_HANDLER);
                }
                send(bus, &[0xf4], 0).await.map(|_| ())
            }
            _ => Err(BAD_INPUT),
        },
        0x01 | 0x05 => {
            if f.al() == 5 {
                if f.bh() != 3 {
                    return Err(BAD_INPUT);
                }
                let flags = bus.read8(ebda(bda::MOUSE_FLAGS2)).await;
                bus.write(ebda(bda::MOUSE_FLAGS1), &[0, flags & 0x80 | 2]).await;
            }
            let v = send(bus, &[0xff], 2).await?;
            if f.al() == 1 {
                f.set_bl(v[0]);
                f.set_bh(v[1]);
            }
            Ok(())
        }
        0x02 => {
            let rates = [10, 20, 40, 60, 80, 100, 200];
            let rate = rates.get(usize::from(f.bh())).copied().ok_or(BAD_INPUT)?;
            send(bus, &[0xf3, rate], 0).await.map(|_| ())
        }
        0x03 if f.bh() > 3 => Err(BAD_INPUT),
        0x03 => send(bus, &[0xe8, f.bh()], 0).await.map(|_| ()),
        0x04 => {
            let v = send(bus, &[0xf2], 1).await?;
            f.set_bh(v[0]);
            Ok(())
        }
        0x06 => match f.bh() {
            0 => {
                let v = send(bus, &[0xe9], 3).await?;
                f.set_bl(v[0]);
                f.set_cl(v[1]);
                f.set_dl(v[2]);
                Ok(())
            }
            1 => send(bus, &[0xe6], 0).await.map(|_| ()),
            2 => send(bus, &[0xe7], 0).await.map(|_| ()),
            _ => Err(BAD_INPUT),
        },
        0x07 => {
            let p = Far::new(f.es, f.bx());
            bus.write32(ebda(bda::MOUSE_HANDLER), p.bits()).await;
            let flags = bus.read8(ebda(bda::MOUSE_FLAGS2)).await;
            let on = p != Far::default();
            bus.write8(ebda(bda::MOUSE_FLAGS2), flags & 0x7f | u8::from(on) << 7).await;
            Ok(())
        }
        _ => Err(BAD_FUNCTION),
    }
}

/// IRQ 12: collects a packet, then calls the program's handler with it.
pub async fn irq12(bus: &Bus) {
    if bus.inb(0x64).await & 0x21 == 0x21 {
        let v = bus.inb(0x60).await;
        let flags = bus.read(ebda(bda::MOUSE_FLAGS1), 2).await;
        if flags[1] & 0x80 != 0 {
            packet(bus, v, flags[0], flags[1]).await;
        }
    }
    bus.outb(0xa0, 0x20).await;
    bus.outb(0x20, 0x20).await;
}

async fn packet(bus: &Bus, v: u8, flags1: u8, flags2: u8) {
    let n = flags1 & 7;
    // The first byte of a packet has bit 3 set: a way back when bytes were lost.
    if n == 0 && v & 8 == 0 {
        return;
    }
    bus.write8(ebda(bda::MOUSE_DATA + u16::from(n)), v).await;
    if n < flags2 & 7 {
        return bus.write8(ebda(bda::MOUSE_FLAGS1), flags1 & 0xf8 | (n + 1)).await;
    }
    bus.write8(ebda(bda::MOUSE_FLAGS1), flags1 & 0xf8).await;
    let d = bus.read(ebda(bda::MOUSE_DATA), 3).await;
    let handler = Far::from_bits(bus.read32(ebda(bda::MOUSE_HANDLER)).await);
    if handler != Far::default() {
        bus.call_with_words(handler, [u16::from(d[0]), u16::from(d[1]), u16::from(d[2]), 0]).await;
    }
}
