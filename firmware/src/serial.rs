//! INT 14h (serial ports, NS16550) and INT 17h (printers). RBIL INT 14h, INT 17h.

use board::{MILLISECOND, Tick};

use crate::bda::{self, bda};
use crate::bus::Bus;
use crate::frame::Frame;

/// One unit of the time-outs in the data area: about a tick.
const TICK: Tick = 55 * MILLISECOND;

/// Waits until all of `mask` is set in a status port.
async fn wait_bits(bus: &Bus, port: u16, mask: u8, patience: Tick) -> bool {
    let end = bus.now() + patience;
    loop {
        if bus.poll8(port, mask, mask, 50).await & mask == mask {
            return true;
        }
        if bus.now() > end {
            return false;
        }
        bus.let_interrupts_in().await;
    }
}

async fn port_of(bus: &Bus, table: u16, n: u16, count: u16) -> Option<u16> {
    if n >= count {
        return None;
    }
    Some(bus.read16(bda(table + 2 * n)).await).filter(|p| *p != 0)
}

pub async fn int14(bus: &Bus, f: &mut Frame) {
    let Some(base) = port_of(bus, bda::COM, f.dx(), 4).await else { return };
    let patience = Tick::from(bus.read8(bda(bda::COM_TIMEOUT + f.dx())).await) * TICK;
    match f.ah() {
        0x00 => {
            let divisor = match f.al() >> 5 {
                0 => 0x417,
                n => 0x600u16 >> n,
            };
            bus.outb(base + 3, 0x80).await;
            bus.outb(base, divisor as u8).await;
            bus.outb(base + 1, (divisor >> 8) as u8).await;
            bus.outb(base + 3, f.al() & 0x1f).await;
            bus.outb(base + 1, 0).await;
            status(bus, f, base).await;
        }
        0x01 => {
            bus.outb(base + 4, 0x03).await;
            let ready = wait_bits(bus, base + 6, 0x30, patience).await
                && wait_bits(bus, base + 5, 0x20, patience).await;
            if ready {
                bus.outb(base, f.al()).await;
            }
            let lsr = bus.inb(base + 5).await;
            f.set_ah(if ready { lsr & 0x7f } else { lsr | 0x80 });
        }
        0x02 => {
            bus.outb(base + 4, 0x01).await;
            if wait_bits(bus, base + 5, 0x01, patience).await {
                let lsr = bus.inb(base + 5).await;
                let v = bus.inb(base).await;
                f.set_al(v);
                f.set_ah(lsr & 0x1e);
            } else {
                f.set_ah(0x80);
            }
        }
        0x03 => status(bus, f, base).await,
        0x04 => {
            let divisors = [0x417u16, 0x300, 0x180, 0xc0, 0x60, 0x30, 0x18, 0x0c, 0x06];
            let Some(d) = divisors.get(usize::from(f.cl())).copied() else { return };
            let parity = [0, 0x08, 0x18, 0x28, 0x38][usize::from(f.bh()).min(4)];
            let lcr = f.ch() & 3 | (f.bl() & 1) << 2 | parity | (f.al() & 1) << 6;
            bus.outb(base + 3, 0x80).await;
            bus.outb(base, d as u8).await;
            bus.outb(base + 1, (d >> 8) as u8).await;
            bus.outb(base + 3, lcr).await;
            status(bus, f, base).await;
        }
        0x05 => {
            if f.al() == 1 {
                bus.outb(base + 4, f.bl() & 0x1f).await;
            }
            let mcr = bus.inb(base + 4).await;
            f.set_bl(mcr);
            status(bus, f, base).await;
        }
        _ => {}
    }
}

async fn status(bus: &Bus, f: &mut Frame, base: u16) {
    let (lsr, msr) = (bus.inb(base + 5).await, bus.inb(base + 6).await);
    f.set_ah(lsr);
    f.set_al(msr);
}

pub async fn int17(bus: &Bus, f: &mut Frame) {
    let Some(base) = port_of(bus, bda::LPT, f.dx(), 3).await else { return };
    let patience = Tick::from(bus.read8(bda(bda::LPT_TIMEOUT + f.dx())).await) * TICK;
    let mut late = 0;
    match f.ah() {
        0x00 => {
            bus.outb(base, f.al()).await;
            // Not busy, then a strobe.
            if wait_bits(bus, base + 1, 0x80, patience).await {
                let c = bus.inb(base + 2).await & 0x1e;
                bus.outb(base + 2, c | 1).await;
                bus.outb(base + 2, c).await;
            } else {
                late = 1;
            }
        }
        0x01 => {
            bus.outb(base + 2, 0x08).await;
            bus.delay(50_000).await;
            bus.outb(base + 2, 0x0c).await;
        }
        0x02 => {}
        _ => return,
    }
    let s = bus.inb(base + 1).await;
    f.set_ah((s ^ 0x48) & 0xf8 | late);
}
