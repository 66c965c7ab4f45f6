//! Host bridge, south bridge and the AT chips. 82443BX (290633) section 3; 82371AB (290562) sections 4-7;
//! 8259A, 8254, 8237A datasheets.

use crate::bda::{self, bda};
use crate::bus::Bus;
use crate::rom::{IMAGE_AT, SYSTEM, VIDEO_BYTES};
use crate::state::Drive;
use crate::wiring::{self, HOST_BRIDGE, IDE, ISA_BRIDGE, PM};

/// First of the seven programmable attribute map registers.
const PAM0: u8 = 0x59;

/// Copies both ROMs into the RAM behind them. PAM nibble bit 0: reads from RAM, bit 1: writes to RAM.
pub async fn shadow(bus: &Bus) {
    // Reads stay with the ROM that this code runs from until the copy is there.
    bus.pci_write8(HOST_BRIDGE, PAM0, 0x20).await;
    for r in 1..7 {
        bus.pci_write8(HOST_BRIDGE, PAM0 + r, 0x22).await;
    }
    let w = &bus.world;
    w.ram.write(u64::from(IMAGE_AT), &w.image[..VIDEO_BYTES]);
    w.ram.write(u64::from(IMAGE_AT) + VIDEO_BYTES as u64, &vec![0; SYSTEM - VIDEO_BYTES]);
    w.ram.write(u64::from(IMAGE_AT) + SYSTEM as u64, &w.image[SYSTEM..]);
    bus.pci_write8(HOST_BRIDGE, PAM0, 0x30).await;
    for r in 1..7 {
        bus.pci_write8(HOST_BRIDGE, PAM0 + r, 0x33).await;
    }
    // SMRAM closed and locked: this firmware has no SMM part.
    bus.pci_write8(HOST_BRIDGE, 0x72, 0x12).await;
}

/// Write protection for what is shadowed; C8000-DFFFF goes back to the bus where no option ROM was put.
pub async fn lock_shadow(bus: &Bus) {
    bus.pci_write8(HOST_BRIDGE, PAM0, 0x10).await;
    bus.pci_write8(HOST_BRIDGE, PAM0 + 1, 0x11).await;
    for r in [2, 3, 4] {
        let first = 0xc_8000 + u64::from(r - 2) * 0x8000;
        let mut bytes = vec![0; 0x8000];
        bus.world.ram.read(first, &mut bytes);
        let used = bytes.iter().any(|b| *b != 0);
        bus.pci_write8(HOST_BRIDGE, PAM0 + r, if used { 0x11 } else { 0x00 }).await;
    }
    for r in [5, 6] {
        bus.pci_write8(HOST_BRIDGE, PAM0 + r, 0x11).await;
    }
}

/// PIIX4: interrupt routing, RTC banks, power management block.
pub async fn south(bus: &Bus) {
    for (i, irq) in wiring::PIRQ_IRQ.iter().enumerate() {
        bus.pci_write8(ISA_BRIDGE, wiring::PIRQRC + i as u8, *irq).await;
    }
    // Edge or level: the routed interrupts and the SCI are level-triggered.
    let level = wiring::PIRQ_IRQ.iter().fold(1u16 << wiring::SCI_IRQ, |v, irq| v | 1 << irq);
    bus.outb(0x4d0, level as u8 & 0xf8).await;
    bus.outb(0x4d1, (level >> 8) as u8 & 0xde).await;
    // RTCCFG: both banks of CMOS RAM.
    bus.pci_write8(ISA_BRIDGE, 0xcb, 0x25).await;
    // PMBA, then PMREGMISC: I/O on. DEVACTB bit 25: the SMI command port works.
    bus.pci_write32(PM, 0x40, u32::from(wiring::PM_BASE) | 1).await;
    bus.pci_write8(PM, 0x80, 0x01).await;
    let devactb = bus.pci_read32(PM, 0x58).await;
    bus.pci_write32(PM, 0x58, devactb | 1 << 25).await;
    // SMBus host: base, then on, with its interrupt on IRQ 9.
    bus.pci_write32(PM, 0x90, u32::from(wiring::SMBUS_BASE) | 1).await;
    bus.pci_write8(PM, 0xd2, 0x09).await;
    bus.pci_write8(PM, 0x3c, wiring::SCI_IRQ).await;
    let command = bus.pci_read16(PM, 0x04).await;
    bus.pci_write16(PM, 0x04, command | 1).await;
    // GLBEN.IRQ_RSM_EN: a key, or any other interrupt that is not masked, wakes from S1.
    bus.outb(wiring::PM_BASE + 0x21, 0x08).await;
    // A20 on.
    let v = bus.inb(0x92).await;
    bus.outb(0x92, v & !1 | 2).await;
}

/// 8259 pair: vectors 08h and 70h, cascade on 2, everything masked.
pub async fn interrupts(bus: &Bus) {
    for (port, v) in [
        (0x20, 0x11),
        (0xa0, 0x11),
        (0x21, 0x08),
        (0xa1, 0x70),
        (0x21, 0x04),
        (0xa1, 0x02),
        (0x21, 0x01),
        (0xa1, 0x01),
        (0x21, 0xfb),
        (0xa1, 0xff),
    ] {
        bus.outb(port, v).await;
    }
}

/// The interrupts that the BIOS serves: timer, keyboard, cascade, diskette; clock, mouse, coprocessor, disks.
pub async fn unmask(bus: &Bus) {
    bus.outb(0x21, !0x47).await;
    bus.outb(0xa1, !0xf1).await;
}

pub async fn timer_and_dma(bus: &Bus) {
    // Channel 0: 18.2 Hz, mode 3; channel 1: refresh; channel 2: speaker.
    for (port, v) in [
        (0x43, 0x36),
        (0x40, 0),
        (0x40, 0),
        (0x43, 0x54),
        (0x41, 0x12),
        (0x43, 0xb6),
        (0x42, 0x33),
        (0x42, 0x05),
        (0x61, 0x00),
        // DMA: master clear, then the cascade of channel 4.
        (0x0d, 0),
        (0xda, 0),
        (0xd6, 0xc0),
        (0xd4, 0x00),
    ] {
        bus.outb(port, v).await;
    }
}

/// RTC and CMOS RAM: rate and format, sizes, checksum; ticks since midnight.
pub async fn clock(bus: &Bus) {
    bus.set_cmos(0x0a, 0x26).await;
    bus.set_cmos(0x0b, 0x02).await;
    bus.cmos(0x0c).await;
    bus.cmos(0x0d).await;
    let c = &bus.world.config;
    let kb_all = (c.ram_bytes >> 10) - 1024;
    let ext = kb_all.min(0xffff) as u16;
    let blocks = (c.ram_bytes >> 16).saturating_sub(256).min(0xffff) as u16;
    let equipment = bus.read8(bda(bda::EQUIPMENT)).await;
    let disks = {
        let s = crate::bus::lock(&bus.world.shared);
        s.disks.iter().filter(|d| d.unit < 2).fold(0u8, |v, d| v | 0xf0 >> (4 * (d.unit & 1)))
    };
    let sizes = [
        (0x0e, 0),
        (0x10, c.floppies[0] << 4 | c.floppies[1] & 15),
        (0x12, disks),
        (0x14, equipment),
        (0x15, 0x80),
        (0x16, 0x02),
        (0x17, ext as u8),
        (0x18, (ext >> 8) as u8),
        (0x19, if disks & 0xf0 != 0 { 47 } else { 0 }),
        (0x1a, if disks & 0x0f != 0 { 47 } else { 0 }),
        (0x30, ext as u8),
        (0x31, (ext >> 8) as u8),
        (0x34, blocks as u8),
        (0x35, (blocks >> 8) as u8),
        // Nothing above 4 GiB.
        (0x5b, 0),
        (0x5c, 0),
        (0x5d, 0),
    ];
    for (i, v) in sizes {
        bus.set_cmos(i, v).await;
    }
    let mut sum = 0u16;
    for i in 0x10..=0x2d {
        sum = sum.wrapping_add(u16::from(bus.cmos(i).await));
    }
    bus.set_cmos(0x2e, (sum >> 8) as u8).await;
    bus.set_cmos(0x2f, sum as u8).await;
    let bcd = |v: u8| u32::from(v >> 4) * 10 + u32::from(v & 15);
    let (s, m, h) = (bus.cmos(0).await, bus.cmos(2).await, bus.cmos(4).await);
    let seconds = u64::from((bcd(h) * 60 + bcd(m)) * 60 + bcd(s)).min(86_399);
    let ticks = (seconds * 1_193_182 / 65_536) as u32;
    bus.write32(bda(bda::TICKS), ticks).await;
    // Leave the index at a register that does no harm, NMI on.
    bus.outb(0x70, 0x0d).await;
    bus.inb(0x71).await;
}

/// IDETIM: both channels decode, fastest PIO timing.
pub async fn ide_ports(bus: &Bus) {
    for reg in [0x40, 0x42] {
        // IORDY sampling 3, recovery 1 clocks; TIME, IE, PPE for both drives.
        bus.pci_write16(IDE, reg, 0xa377).await;
    }
}

/// UDMA timing where a drive was set to it.
pub async fn ide_timing(bus: &Bus, drives: &[Drive]) {
    let udma = drives.iter().filter(|d| d.dma).fold(0u8, |v, d| v | 1 << d.unit);
    bus.pci_write8(IDE, 0x48, udma).await;
    // Cycle time 2 for each: UDMA mode 2.
    bus.pci_write16(IDE, 0x4a, 0x2222).await;
}
