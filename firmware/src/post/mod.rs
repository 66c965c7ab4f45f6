//! Power-on self-test: brings the board from reset to the state that INT 19h and systems expect.

mod chipset;
mod inputs;
pub mod memory;
mod options;
mod pci;
mod ports;

use crate::bda::{self, bda};
use crate::bus::{Bus, Far, Leave, lock};
use crate::disk::ata;
use crate::video;
use crate::wiring;
use crate::{acpi, smbios};

pub async fn run(bus: &Bus) {
    // A reset of the processor alone leaves what was known before.
    *lock(&bus.world.shared) = crate::Shared::default();
    chipset::shadow(bus).await;
    chipset::south(bus).await;
    chipset::interrupts(bus).await;
    chipset::timer_and_dma(bus).await;
    memory::vectors(bus).await;
    memory::data_areas(bus).await;
    pci::assign(bus).await;
    video::init(bus).await;
    inputs::start(bus).await;
    let legacy = ports::detect(bus).await;
    disks(bus).await;
    chipset::clock(bus).await;
    acpi::install(bus, legacy);
    smbios::install(bus);
    memory::pnp(bus);
    chipset::unmask(bus).await;
    options::scan(bus).await;
    banner(bus).await;
    chipset::lock_shadow(bus).await;
    let target = Far::from_bits(bus.read32(Far::new(0, 4 * 0x19)).await);
    bus.leave(Leave { target, stack: Far::new(0, 0x7000), ..Leave::default() }).await
}

async fn disks(bus: &Bus) {
    chipset::ide_ports(bus).await;
    let found = ata::detect(bus).await;
    let bmiba = bus.pci_read32(wiring::IDE, 0x20).await as u16 & 0xfff0;
    for channel in 0..2u8 {
        // BMIS bits 5 and 6: the firmware says which drives can do DMA; NT believes only this.
        let caps = found
            .iter()
            .filter(|d| d.unit / 2 == channel && d.dma)
            .fold(0u8, |v, d| v | 0x20 << (d.unit & 1));
        if bmiba != 0 {
            bus.outb(bmiba + 2 + 8 * u16::from(channel), caps | 0x06).await;
        }
    }
    chipset::ide_timing(bus, &found).await;
    for d in found.iter().filter(|d| d.atapi) {
        // The unit attention of the reset is ours to take.
        crate::disk::atapi::ready(bus, d).await;
    }
    let (cds, disks): (Vec<_>, Vec<_>) = found.into_iter().partition(|d| d.atapi);
    memory::disk_tables(bus, &disks).await;
    bus.write8(bda(bda::HD_COUNT), disks.len() as u8).await;
    let mut s = lock(&bus.world.shared);
    s.locks = vec![0; cds.len()];
    s.disks = disks;
    s.cds = cds;
}

async fn banner(bus: &Bus) {
    let mb = bus.world.config.ram_bytes >> 20;
    let mut text = format!("Heirloom BIOS {}   {mb} MB\r\n", env!("CARGO_PKG_VERSION"));
    {
        let s = lock(&bus.world.shared);
        for d in s.disks.iter().chain(&s.cds) {
            let place = ["Primary master", "Primary slave", "Secondary master", "Secondary slave"];
            let size = if d.atapi { String::new() } else { format!(", {} MB", d.sectors >> 11) };
            text += &format!("{}: {}{size}\r\n", place[usize::from(d.unit & 3)], d.model);
        }
    }
    video::chars::print(bus, &text).await;
}

/// An IRQ that nobody serves: masked, so that a level that stays doesn't come back for ever.
pub async fn stray(bus: &Bus, slave: bool) {
    bus.outb(0x20, 0x0b).await;
    let master = bus.inb(0x20).await;
    bus.outb(0x20, 0x0a).await;
    if slave {
        bus.outb(0xa0, 0x0b).await;
        let isr = bus.inb(0xa0).await;
        bus.outb(0xa0, 0x0a).await;
        if isr != 0 {
            let m = bus.inb(0xa1).await;
            bus.outb(0xa1, m | isr & isr.wrapping_neg()).await;
            bus.outb(0xa0, 0x20).await;
        }
        bus.outb(0x20, 0x20).await;
    } else if master != 0 {
        let m = bus.inb(0x21).await;
        bus.outb(0x21, m | master & master.wrapping_neg() & !4).await;
        bus.outb(0x20, 0x20).await;
    }
}

/// INT 02h: says so and goes on; an NMI has no other use here.
pub async fn nmi(bus: &Bus) {
    bus.inb(0x61).await;
}
