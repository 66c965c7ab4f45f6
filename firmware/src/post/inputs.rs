//! Keyboard controller, keyboard and mouse. 8042 commands: RBIL PORTS.LST 0064.

use board::{MILLISECOND, SECOND, Tick};

use crate::bda::{self, bda};
use crate::bus::Bus;

async fn controller(bus: &Bus, cmd: u8) {
    bus.poll8(0x64, 2, 0, 1000).await;
    bus.outb(0x64, cmd).await;
}

async fn data(bus: &Bus, v: u8) {
    bus.poll8(0x64, 2, 0, 1000).await;
    bus.outb(0x60, v).await;
}

/// The next byte, or none in time.
async fn answer(bus: &Bus, patience: Tick) -> Option<u8> {
    let end = bus.now() + patience;
    loop {
        if bus.poll8(0x64, 1, 1, 100).await & 1 != 0 {
            return Some(bus.inb(0x60).await);
        }
        if bus.now() > end {
            return None;
        }
    }
}

async fn flush(bus: &Bus) {
    for _ in 0..32 {
        if bus.inb(0x64).await & 1 == 0 {
            return;
        }
        bus.inb(0x60).await;
    }
}

pub async fn start(bus: &Bus) {
    if bus.inb(0x64).await == 0xff {
        return mouse_found(bus, false).await;
    }
    controller(bus, 0xad).await;
    controller(bus, 0xa7).await;
    flush(bus).await;
    controller(bus, 0xaa).await;
    answer(bus, 500 * MILLISECOND).await;
    // Both ports on, no interrupts and no translation yet.
    controller(bus, 0x60).await;
    data(bus, 0x04).await;
    controller(bus, 0xae).await;
    data(bus, 0xff).await;
    if answer(bus, 100 * MILLISECOND).await == Some(0xfa) {
        answer(bus, 2 * SECOND).await;
    }
    let mouse = mouse(bus).await;
    // Translation, system flag, keyboard interrupt; the mouse's interrupt and clock if there is one.
    controller(bus, 0x60).await;
    data(bus, if mouse { 0x47 } else { 0x65 }).await;
    mouse_found(bus, mouse).await;
}

async fn mouse(bus: &Bus) -> bool {
    controller(bus, 0xa9).await;
    if answer(bus, 20 * MILLISECOND).await != Some(0) {
        return false;
    }
    controller(bus, 0xa8).await;
    controller(bus, 0xd4).await;
    data(bus, 0xff).await;
    if answer(bus, 50 * MILLISECOND).await != Some(0xfa) {
        return false;
    }
    let passed = answer(bus, SECOND).await == Some(0xaa);
    answer(bus, 50 * MILLISECOND).await;
    passed
}

async fn mouse_found(bus: &Bus, found: bool) {
    let e = bus.read16(bda(bda::EQUIPMENT)).await;
    bus.write16(bda(bda::EQUIPMENT), if found { e | 4 } else { e & !4 }).await;
}
