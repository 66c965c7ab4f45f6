//! Bootstrap: INT 19h and 18h. BIOS Boot Specification 1.01, section 6.

use crate::bda::{self, bda};
use crate::bus::{Bus, CallRegs, Far, Leave, lock};
use crate::config::BootDevice;
use crate::disk::eltorito::{self, NoBoot};
use crate::rom::SYSTEM_SEG;
use crate::rom::tables::PNP;
use crate::video::chars::print;

mod linux;

const SECTOR: Far = Far::new(0, 0x7c00);

/// Starts from the first device of the boot order.
pub async fn int19(bus: &Bus) {
    lock(&bus.world.shared).boot_next = 0;
    lock(&bus.world.shared).torito = crate::state::ElTorito::default();
    try_devices(bus).await;
}

/// A boot program gave up: the next device.
pub async fn int18(bus: &Bus) {
    try_devices(bus).await;
}

async fn try_devices(bus: &Bus) {
    if let Some(image) = &bus.world.config.linux {
        if lock(&bus.world.shared).boot_next == 0 {
            lock(&bus.world.shared).boot_next = 1;
            if let Err(why) = linux::start(bus, image).await {
                print(bus, &format!("Cannot start the kernel: {why}\r\n")).await;
            }
        }
    } else {
        loop {
            let n = lock(&bus.world.shared).boot_next;
            let Some(device) = bus.world.config.boot_order.get(usize::from(n)).copied() else { break };
            lock(&bus.world.shared).boot_next = n + 1;
            let why = match device {
                BootDevice::Floppy => floppy(bus).await,
                BootDevice::Disk => disk(bus).await,
                BootDevice::Cd => cd(bus).await,
                BootDevice::Net => net(bus).await,
            };
            if let Some(why) = why {
                print(bus, &format!("{why}\r\n")).await;
            }
        }
    }
    print(bus, "No bootable device. Insert a boot medium and press a key.\r\n").await;
    bus.int(0x16, CallRegs::default()).await;
    lock(&bus.world.shared).boot_next = 0;
    bus.leave(Leave { target: vector(bus, 0x19).await, stack: Far::new(0, 0x7000), ..Leave::default() }).await
}

async fn vector(bus: &Bus, n: u16) -> Far {
    Far::from_bits(bus.read32(Far::new(0, 4 * n)).await)
}

/// Reads one sector through INT 13h, so that hooks of option ROMs count.
async fn first_sector(bus: &Bus, drive: u8) -> bool {
    for _ in 0..3 {
        let regs =
            CallRegs { ax: 0x0201, bx: SECTOR.off, cx: 1, dx: u16::from(drive), ..CallRegs::default() };
        if bus.int(0x13, regs).await.flags & 1 == 0 {
            return true;
        }
        bus.int(0x13, CallRegs { ax: 0, dx: u16::from(drive), ..CallRegs::default() }).await;
    }
    false
}

async fn start(bus: &Bus, drive: u8, target: Far) -> ! {
    // Warm or cold is settled; loaders that look want zero or 1234h.
    bus.write16(bda(bda::RESET), 0).await;
    bus.leave(Leave {
        target,
        stack: Far::new(0, 0x7c00),
        ax: 0xaa55,
        dx: u16::from(drive),
        es_di: Far::new(SYSTEM_SEG, PNP),
        ds_si: Far::default(),
    })
    .await
}

async fn floppy(bus: &Bus) -> Option<&'static str> {
    if bus.world.config.floppies[0] == 0 || !first_sector(bus, 0).await {
        return None;
    }
    // An empty first sector is a formatted disk without a system.
    if bus.read(SECTOR, 2).await == [0, 0] {
        return Some("The diskette has no boot program.");
    }
    start(bus, 0, SECTOR).await
}

async fn disk(bus: &Bus) -> Option<&'static str> {
    if bus.read8(bda(bda::HD_COUNT)).await == 0 {
        return None;
    }
    if !first_sector(bus, 0x80).await {
        return Some("The hard disk cannot be read.");
    }
    if bus.read16(Far::new(0, 0x7dfe)).await != 0xaa55 {
        return Some("The hard disk has no boot program.");
    }
    start(bus, 0x80, SECTOR).await
}

async fn cd(bus: &Bus) -> Option<&'static str> {
    let cds = lock(&bus.world.shared).cds.clone();
    let mut why = None;
    for (n, d) in cds.iter().enumerate() {
        match eltorito::load(bus, n as u8, d).await {
            Ok((drive, target)) => start(bus, drive, target).await,
            Err(NoBoot::NoMedium) => {}
            Err(NoBoot::NotBootable) => why = Some("The CD is not bootable."),
            Err(NoBoot::ReadError) => why = Some("The CD cannot be read."),
        }
    }
    why
}

/// Bootstrap entry vectors of option ROMs, in the order they were found.
async fn net(bus: &Bus) -> Option<&'static str> {
    let roms = lock(&bus.world.shared).boot_roms.clone();
    for r in roms {
        let regs = CallRegs { ax: 0, es: SYSTEM_SEG, di: PNP, ..CallRegs::default() };
        bus.call(Far::new(r.seg, r.entry), regs).await;
    }
    None
}
