//! Serial and parallel ports for the BIOS data area, and the diskette controller.

use crate::acpi::Legacy;
use crate::bda::{self, bda};
use crate::bus::Bus;
use crate::disk::floppy;

pub async fn detect(bus: &Bus) -> Legacy {
    let mut com = Vec::new();
    for base in [0x3f8u16, 0x2f8, 0x3e8, 0x2e8] {
        // Interrupt enable keeps four bits; identification's middle bits read zero.
        bus.outb(base + 1, 0x02).await;
        let ier = bus.inb(base + 1).await;
        let iir = bus.inb(base + 2).await;
        bus.outb(base + 1, 0x00).await;
        if ier == 0x02 && iir & 0x30 == 0 {
            // 9600 baud, 8 bits, no parity: what programs that only write bytes count on.
            for (reg, v) in [(3, 0x83), (0, 0x0c), (1, 0x00), (3, 0x03)] {
                bus.outb(base + reg, v).await;
            }
            com.push(base);
        }
    }
    let mut lpt = Vec::new();
    for base in [0x378u16, 0x278] {
        bus.outb(base, 0xaa).await;
        if bus.inb(base).await == 0xaa {
            bus.outb(base + 2, 0x0c).await;
            lpt.push(base);
        }
    }
    let found = Legacy {
        com: com.len() as u8,
        lpt: lpt.len() as u8,
        // The main status register never reads all ones, with or without a drive.
        floppy: bus.inb(floppy::MSR).await != 0xff,
    };
    crate::bus::lock(&bus.world.shared).ports = [found.com, found.lpt];
    let bytes = |v: &[u16]| -> Vec<u8> { v.iter().flat_map(|p| p.to_le_bytes()).collect() };
    bus.write(bda(bda::COM), &bytes(&com)).await;
    bus.write(bda(bda::LPT), &bytes(&lpt)).await;
    let e = bus.read16(bda(bda::EQUIPMENT)).await;
    let counts = (com.len() as u16) << 9 | (lpt.len() as u16) << 14;
    bus.write16(bda(bda::EQUIPMENT), e | counts).await;
    found
}
