//! INT 1Ah (clock; PCI functions go to [`crate::pcibios`]) and INT 70h. MC146818 through ports 70h/71h.

use board::MILLISECOND;

use crate::bda::{self, bda};
use crate::bus::{Bus, CallRegs, Far};
use crate::frame::Frame;
use crate::pcibios;

/// Waits until the clock can be read without an update in between. False: it never gets so.
async fn steady(bus: &Bus) -> bool {
    let end = bus.now() + 15 * MILLISECOND;
    while bus.cmos(0x0a).await & 0x80 != 0 {
        if bus.now() > end {
            return false;
        }
    }
    true
}

pub async fn int1a(bus: &Bus, f: &mut Frame) {
    match f.ah() {
        0x00 => {
            let t = bus.read32(bda(bda::TICKS)).await;
            f.set_dx(t as u16);
            f.set_cx((t >> 16) as u16);
            let over = bus.read8(bda(bda::MIDNIGHT)).await;
            bus.write8(bda(bda::MIDNIGHT), 0).await;
            f.set_ax(u16::from(over));
            f.carry(false);
        }
        0x01 => {
            bus.write32(bda(bda::TICKS), u32::from(f.cx()) << 16 | u32::from(f.dx())).await;
            bus.write8(bda(bda::MIDNIGHT), 0).await;
            f.ok();
        }
        0x02 => {
            if !steady(bus).await {
                return f.carry(true);
            }
            let (s, m, h) = (bus.cmos(0).await, bus.cmos(2).await, bus.cmos(4).await);
            let b = bus.cmos(0x0b).await;
            f.set_dh(s);
            f.set_cl(m);
            f.set_ch(h);
            f.set_dl(b & 1);
            f.ok();
            f.set_al(h);
        }
        0x03 => {
            set(bus, &[(0, f.dh()), (2, f.cl()), (4, f.ch())], f.dl() & 1).await;
            f.ok();
        }
        0x04 => {
            if !steady(bus).await {
                return f.carry(true);
            }
            f.set_cl(bus.cmos(9).await);
            f.set_dh(bus.cmos(8).await);
            f.set_dl(bus.cmos(7).await);
            f.set_ch(bus.cmos(0x32).await);
            f.ok();
        }
        0x05 => {
            let dst = bus.cmos(0x0b).await & 1;
            set(bus, &[(9, f.cl()), (8, f.dh()), (7, f.dl()), (0x32, f.ch())], dst).await;
            f.ok();
        }
        0x06 => {
            let b = bus.cmos(0x0b).await;
            if b & 0x20 != 0 {
                return f.carry(true);
            }
            for (i, v) in [(1, f.dh()), (3, f.cl()), (5, f.ch())] {
                bus.set_cmos(i, v).await;
            }
            bus.set_cmos(0x0b, b & 0x7f | 0x20).await;
            let m = bus.inb(0xa1).await;
            bus.outb(0xa1, m & !1).await;
            f.ok();
        }
        0x07 => {
            let b = bus.cmos(0x0b).await;
            bus.set_cmos(0x0b, b & !0x20).await;
            f.ok();
        }
        0xb1 => pcibios::serve(bus, f, false).await,
        _ => f.carry(true),
    }
}

/// Sets registers with updates stopped meanwhile.
async fn set(bus: &Bus, regs: &[(u8, u8)], dst: u8) {
    let b = bus.cmos(0x0b).await & !1 | dst;
    bus.set_cmos(0x0b, b | 0x80).await;
    for (i, v) in regs {
        bus.set_cmos(*i, *v).await;
    }
    bus.set_cmos(0x0b, b & 0x7f).await;
}

/// IRQ 8: alarm to INT 4Ah, periodic interrupt to the wait of INT 15h AH=83h and 86h.
pub async fn irq8(bus: &Bus) {
    let b = bus.cmos(0x0b).await;
    let c = bus.cmos(0x0c).await;
    if b & c & 0x20 != 0 {
        bus.int(0x4a, CallRegs::default()).await;
    }
    if b & c & 0x40 != 0 {
        let left = bus.read32(bda(bda::WAIT_COUNT)).await;
        if left > 976 {
            bus.write32(bda(bda::WAIT_COUNT), left - 976).await;
        } else {
            bus.write32(bda(bda::WAIT_COUNT), 0).await;
            let p = Far::from_bits(bus.read32(bda(bda::WAIT_POINTER)).await);
            let v = bus.read8(p).await;
            bus.write8(p, v | 0x80).await;
            let w = bus.read8(bda(bda::WAIT_FLAG)).await;
            bus.write8(bda(bda::WAIT_FLAG), w & !1).await;
            bus.set_cmos(0x0b, b & !0x40).await;
        }
    }
    bus.outb(0xa0, 0x20).await;
    bus.outb(0x20, 0x20).await;
}
