//! Option ROMs in C8000-DFFFF. BIOS Boot Specification 1.01; PnP BIOS 1.0a, section 3.

use crate::bus::{Bus, CallRegs, Far, le16, lock};
use crate::rom::SYSTEM_SEG;
use crate::rom::tables::PNP;
use crate::state::BootRom;

pub async fn scan(bus: &Bus) {
    let mut at = 0xc_8000u32;
    while at < 0xe_0000 {
        let mut head = [0; 0x20];
        bus.world.ram.read(u64::from(at), &mut head);
        let len = u32::from(head[2]) * 512;
        if head[..2] != [0x55, 0xaa] || len == 0 || at + len > 0xe_0000 || !sums(bus, at, len) {
            at += 0x800;
            continue;
        }
        start(bus, at, &head).await;
        // Initialisation may give part of the size back.
        bus.world.ram.read(u64::from(at), &mut head);
        at += (u32::from(head[2]) * 512).next_multiple_of(0x800).max(0x800);
    }
}

fn sums(bus: &Bus, at: u32, len: u32) -> bool {
    let mut bytes = vec![0; len as usize];
    bus.world.ram.read(u64::from(at), &mut bytes);
    bytes.iter().fold(0u8, |s, b| s.wrapping_add(*b)) == 0
}

async fn start(bus: &Bus, at: u32, head: &[u8; 0x20]) {
    let seg = (at >> 4) as u16;
    let vector19 = bus.read32(Far::new(0, 4 * 0x19)).await;
    // AX: bus and function of a PCI card, unknown for a ROM that was just there.
    let regs = CallRegs { ax: 0, bx: 0xffff, dx: 0xffff, es: SYSTEM_SEG, di: PNP, ..CallRegs::default() };
    bus.call(Far::new(seg, 3), regs).await;
    // The PnP expansion header says whether the ROM can boot by itself: then INT 19h stays ours.
    let header = le16(&head[0x1a..]);
    if header == 0 {
        return;
    }
    let mut h = [0; 0x20];
    bus.world.ram.read(u64::from(at) + u64::from(header), &mut h);
    if &h[..4] != b"$PnP" {
        return;
    }
    if bus.read32(Far::new(0, 4 * 0x19)).await != vector19 {
        bus.write32(Far::new(0, 4 * 0x19), vector19).await;
    }
    let entry = le16(&h[0x1a..]);
    if entry != 0 {
        lock(&bus.world.shared).boot_roms.push(BootRom { seg, entry });
    }
}
