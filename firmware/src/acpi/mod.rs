//! ACPI 1.0b tables: RSDP, RSDT, FADT, FACS, DSDT. No MADT: the machine is an "ACPI PC" with 8259s.
//!
//! What setup programs remember of a machine (OEM identification and revisions, lengths) stays constant across
//! releases.

pub mod aml;
mod dsdt;

use crate::bus::Bus;
use crate::post_put;
use crate::rom::{checksum, tables};
use crate::wiring::{ACPI_BYTES, ACPI_DISABLE, ACPI_ENABLE, PM_BASE, SCI_IRQ, SMI_CMD};

/// As Virtual PC 2007 has them: XP reports "A M I  - 2000622".
const OEM_ID: &[u8; 6] = b"A M I ";
const OEM_TABLE: &[u8; 8] = b"OEMHEIR ";
const OEM_REVISION: u32 = 0x0200_0622;
const CREATOR: &[u8; 4] = b"HLRM";
const CREATOR_REVISION: u32 = 1;

fn table(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut t = Vec::with_capacity(36 + body.len());
    t.extend(signature);
    t.extend((36 + body.len() as u32).to_le_bytes());
    t.extend([revision, 0]);
    t.extend(OEM_ID);
    t.extend(OEM_TABLE);
    t.extend(OEM_REVISION.to_le_bytes());
    t.extend(CREATOR);
    t.extend(CREATOR_REVISION.to_le_bytes());
    t.extend(body);
    t[9] = checksum(&t);
    t
}

/// What POST found where a PC has it: the DSDT lists nothing else, or systems would wait for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Legacy {
    /// Serial and parallel ports.
    pub com: u8,
    pub lpt: u8,
    /// A diskette controller.
    pub floppy: bool,
}

/// `top`: end of RAM.
pub fn dsdt(top: u32, has: Legacy) -> Vec<u8> {
    table(b"DSDT", 1, &dsdt::body(top, has))
}

/// Revision 1, 116 bytes. Section 5.2.5.
pub fn fadt(facs: u32, dsdt: u32) -> Vec<u8> {
    let mut b = vec![0u8; 116 - 36];
    let mut put = |at: usize, v: &[u8]| b[at - 36..at - 36 + v.len()].copy_from_slice(v);
    let pm = u32::from(PM_BASE);
    put(36, &facs.to_le_bytes());
    put(40, &dsdt.to_le_bytes());
    put(46, &u16::from(SCI_IRQ).to_le_bytes());
    put(48, &u32::from(SMI_CMD).to_le_bytes());
    put(52, &[ACPI_ENABLE, ACPI_DISABLE]);
    put(56, &pm.to_le_bytes());
    put(64, &(pm + 4).to_le_bytes());
    put(76, &(pm + 8).to_le_bytes());
    put(80, &(pm + 12).to_le_bytes());
    // Lengths: PM1 event, control, PM2, timer, GPE0, GPE1.
    put(88, &[4, 2, 0, 4, 4, 0]);
    put(96, &0x0fffu16.to_le_bytes());
    put(98, &0x0fffu16.to_le_bytes());
    put(108, &[0x32]);
    // WBINVD, C1, no sleep button, 32-bit timer; power button and RTC alarm are in the fixed registers. RTC_S4 is clear:
    // a machine that is off is a process that has ended.
    put(112, &0x0000_0125u32.to_le_bytes());
    table(b"FACP", 1, &b)
}

fn facs() -> [u8; 64] {
    let mut t = [0; 64];
    t[..4].copy_from_slice(b"FACS");
    t[4] = 64;
    t
}

fn rsdp(rsdt: u32) -> [u8; 20] {
    let mut t = [0; 20];
    t[..8].copy_from_slice(b"RSD PTR ");
    t[9..15].copy_from_slice(OEM_ID);
    t[16..20].copy_from_slice(&rsdt.to_le_bytes());
    t[8] = checksum(&t);
    t
}

/// Writes the tables to the top of RAM and the root pointer to the F segment.
pub fn install(bus: &Bus, has: Legacy) {
    let ram = &bus.world.ram;
    let top = bus.world.config.ram_bytes as u32;
    let base = top - ACPI_BYTES;
    let facs_at = top - 0x1000;
    ram.write(u64::from(base), &vec![0; ACPI_BYTES as usize]);
    ram.write(u64::from(facs_at), &facs());
    let dsdt = dsdt(top, has);
    let (rsdt_at, fadt_at, dsdt_at) = (base, base + 0x80, base + 0x100);
    let rsdt = table(b"RSDT", 1, &fadt_at.to_le_bytes());
    ram.write(u64::from(rsdt_at), &rsdt);
    ram.write(u64::from(fadt_at), &fadt(facs_at, dsdt_at));
    ram.write(u64::from(dsdt_at), &dsdt);
    post_put(bus, tables::RSDP, &rsdp(rsdt_at));
}
