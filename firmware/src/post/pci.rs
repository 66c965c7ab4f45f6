//! Resources of bus 0: base addresses, interrupt lines, command bits. PCI 2.1, section 6.2.5.

use crate::bus::{Bus, lock};
use crate::wiring::{self, PM};

struct Free {
    io: u32,
    mem: u32,
}

pub async fn assign(bus: &Bus) {
    let mut free = Free { io: u32::from(wiring::PCI_IO), mem: wiring::PCI_MEM };
    for dev in 0..32u8 {
        for func in 0..8 {
            let devfn = dev << 3 | func;
            if bus.pci_read16(devfn, 0).await == 0xffff {
                if func == 0 {
                    break;
                }
                continue;
            }
            function(bus, devfn, &mut free).await;
            if func == 0 && bus.pci_read8(devfn, 0x0e).await & 0x80 == 0 {
                break;
            }
        }
    }
}

async fn function(bus: &Bus, devfn: u8, free: &mut Free) {
    let class = bus.pci_read16(devfn, 0x0a).await;
    interrupt_line(bus, devfn).await;
    // Bridges have no resources that need us.
    if class >> 8 == 0x06 && devfn != PM {
        return;
    }
    let old = bus.pci_read16(devfn, 0x04).await;
    bus.pci_write16(devfn, 0x04, old & !3).await;
    let mut enable = 0;
    let mut reg = 0x10;
    while reg <= 0x24 {
        enable |= bar(bus, devfn, class, reg, free).await;
        reg += 4;
    }
    // The display answers at the VGA's ports and memory whatever its base address; IDE at its old ports.
    if class == 0x0300 {
        enable |= 3;
    }
    if class == 0x0101 {
        enable |= 1;
    }
    let master = if enable != 0 { 4 } else { 0 };
    bus.pci_write16(devfn, 0x04, old & !7 | old & 1 | enable | master).await;
}

/// Sizes and sets one register; the command bit that it needs.
async fn bar(bus: &Bus, devfn: u8, class: u16, reg: u8, free: &mut Free) -> u16 {
    let before = bus.pci_read32(devfn, reg).await;
    bus.pci_write32(devfn, reg, u32::MAX).await;
    let mask = bus.pci_read32(devfn, reg).await;
    if mask == 0 || mask == u32::MAX {
        bus.pci_write32(devfn, reg, before).await;
        return 0;
    }
    if mask & 1 != 0 {
        let len = (!(mask & 0xffff_fffc) & 0xffff) + 1;
        let at = free.io.next_multiple_of(len);
        free.io = at + len;
        bus.pci_write32(devfn, reg, at).await;
        return 1;
    }
    let len = !(mask & 0xffff_fff0) + 1;
    let at = if class == 0x0300 && reg == 0x10 {
        lock(&bus.world.shared).lfb = wiring::LFB;
        wiring::LFB
    } else {
        let at = free.mem.next_multiple_of(len);
        free.mem = at + len;
        at
    };
    bus.pci_write32(devfn, reg, at).await;
    2
}

async fn interrupt_line(bus: &Bus, devfn: u8) {
    let pin = bus.pci_read8(devfn, 0x3d).await;
    if devfn == PM || !(1..=4).contains(&pin) {
        return;
    }
    let link = wiring::pirq(devfn >> 3, pin - 1);
    bus.pci_write8(devfn, 0x3c, wiring::PIRQ_IRQ[usize::from(link)]).await;
}
