//! Vectors, data areas and the tables that POST writes into the F segment.

use crate::bda::{self, bda, ebda};
use crate::bus::{Bus, Far};
use crate::disk::logical;
use crate::rom::entries::{IRET, PNP_REAL, STRAY_MASTER, STRAY_SLAVE, VECTORS};
use crate::rom::{SYSTEM_SEG, checksum, tables};
use crate::state::Drive;
use crate::wiring::EBDA_SEG;

pub async fn vectors(bus: &Bus) {
    let mut ivt = vec![0u8; 1024];
    let mut set = |n: usize, off: u16| {
        ivt[4 * n..4 * n + 2].copy_from_slice(&off.to_le_bytes());
        ivt[4 * n + 2..4 * n + 4].copy_from_slice(&SYSTEM_SEG.to_le_bytes());
    };
    for n in 0..0x78 {
        set(n, IRET);
    }
    for n in 0x08..0x10 {
        set(n, STRAY_MASTER);
    }
    for n in 0x70..0x78 {
        set(n, STRAY_SLAVE);
    }
    for (n, off) in VECTORS {
        set(usize::from(*n), *off);
    }
    for n in 0x78..0x100 {
        set(n, IRET);
    }
    // Users' vectors, and those that programs test for zero.
    for n in (0x60..0x67).chain([0x78, 0x79]) {
        ivt[4 * n..4 * n + 4].fill(0);
    }
    bus.write(Far::new(0, 0), &ivt).await;
}

pub async fn data_areas(bus: &Bus) {
    let reset = bus.read16(bda(bda::RESET)).await;
    bus.write(bda(0), &[0; 0x100]).await;
    bus.write(Far::new(0x50, 0), &[0; 0x100]).await;
    bus.write16(bda(bda::RESET), if reset == 0x1234 { reset } else { 0 }).await;
    bus.write16(bda(bda::EBDA), EBDA_SEG).await;
    bus.write16(bda(bda::MEMORY_KB), EBDA_SEG >> 6).await;
    let ring = bda::KB_BUFFER.to_le_bytes();
    bus.write(bda(bda::KB_HEAD), &[ring, ring].concat()).await;
    bus.write(bda(bda::KB_START), &[ring, (bda::KB_BUFFER + 32).to_le_bytes()].concat()).await;
    bus.write(bda(bda::LPT_TIMEOUT), &[0x14, 0x14, 0x14, 0x14, 1, 1, 1, 1]).await;
    bus.write8(bda(bda::KB_STATUS3), 0x10).await;
    let mut area = vec![0u8; 1024];
    area[0] = 1;
    bus.write(ebda(0), &area).await;
    let floppies = bus.world.config.floppies.iter().filter(|t| **t != 0).count() as u16;
    // Coprocessor, PS/2 mouse (cleared again if there is none), 80x25 colour.
    let mut equipment = 0x0026;
    if floppies > 0 {
        equipment |= 1 | (floppies - 1) << 6;
    }
    bus.write16(bda(bda::EQUIPMENT), equipment).await;
}

/// Fixed disk parameter tables in the EBDA, INT 41h and 46h.
pub async fn disk_tables(bus: &Bus, disks: &[Drive]) {
    for (i, (d, at)) in disks.iter().zip([bda::FDPT0, bda::FDPT1]).enumerate() {
        let (c, h, s) = logical(d);
        let mut t = [0u8; 16];
        t[..2].copy_from_slice(&c.to_le_bytes());
        t[2] = h as u8;
        t[5..7].copy_from_slice(&0xffffu16.to_le_bytes());
        t[8] = 0xc0 | if h > 8 { 8 } else { 0 };
        t[12..14].copy_from_slice(&c.to_le_bytes());
        t[14] = s as u8;
        if (c, h, s) != (d.cylinders, d.heads, d.spt) {
            // Translated form: the drive's own geometry behind a signature and a checksum.
            t[3] = 0xa0;
            t[4] = d.spt as u8;
            t[9..11].copy_from_slice(&d.cylinders.to_le_bytes());
            t[11] = d.heads as u8;
            t[15] = checksum(&t);
        }
        bus.write(ebda(at), &t).await;
        let vector = if i == 0 { 0x41 } else { 0x46 };
        bus.write32(Far::new(0, 4 * vector), u32::from(EBDA_SEG) << 16 | u32::from(at)).await;
    }
}

/// The $PnP installation check. PnP BIOS 1.0a, 4.4.
pub fn pnp(bus: &Bus) {
    let mut t = [0u8; 0x21];
    t[..4].copy_from_slice(b"$PnP");
    t[4] = 0x10;
    t[5] = 0x21;
    t[0x0d..0x0f].copy_from_slice(&PNP_REAL.to_le_bytes());
    t[0x0f..0x11].copy_from_slice(&SYSTEM_SEG.to_le_bytes());
    t[0x11..0x13].copy_from_slice(&PNP_REAL.to_le_bytes());
    t[0x13..0x17].copy_from_slice(&0xf_0000u32.to_le_bytes());
    t[0x1b..0x1d].copy_from_slice(&SYSTEM_SEG.to_le_bytes());
    t[0x1d..0x21].copy_from_slice(&0xf_0000u32.to_le_bytes());
    t[8] = checksum(&t);
    put(bus, tables::PNP, &t);
}

/// Writes into the shadowed F segment.
pub fn put(bus: &Bus, at: u16, bytes: &[u8]) {
    bus.world.ram.write(0xf_0000 + u64::from(at), bytes);
}
