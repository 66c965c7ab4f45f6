//! Memory sizes, the E820 map and the block move.

use crate::bus::{Bus, Far, le16};
use crate::frame::{Frame, ZF};
use crate::wiring::{ACPI_BYTES, EBDA_SEG};

const UNSUPPORTED: u8 = 0x86;

/// One entry of the map. Kind: 1 RAM, 2 reserved, 3 ACPI tables, 4 ACPI NVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub base: u64,
    pub len: u64,
    pub kind: u32,
}

/// The address map, sorted, without overlaps.
pub fn map(ram: u64) -> Vec<Range> {
    let ebda = u64::from(EBDA_SEG) << 4;
    let acpi = u64::from(ACPI_BYTES);
    let range = |base: u64, end: u64, kind| Range { base, len: end - base, kind };
    vec![
        range(0, ebda, 1),
        range(ebda, 0xa_0000, 2),
        range(0xe_0000, 0x10_0000, 2),
        range(0x10_0000, ram - acpi, 1),
        range(ram - acpi, ram - 0x1000, 3),
        range(ram - 0x1000, ram, 4),
        range(0xfffc_0000, 0x1_0000_0000, 2),
    ]
}

/// RAM above 1 MiB that programs may use.
fn above_1m(bus: &Bus) -> u64 {
    bus.world.config.ram_bytes - u64::from(ACPI_BYTES) - 0x10_0000
}

/// AH=88h: KiB above 1 MiB, not beyond 64 MiB in all.
pub fn extended_kb(bus: &Bus) -> u16 {
    (above_1m(bus) >> 10).min(0xfc00) as u16
}

pub async fn serve(bus: &Bus, f: &mut Frame) {
    match f.al() {
        0x01 | 0x81 => {
            let kb = above_1m(bus) >> 10;
            let low = kb.min(0x3c00) as u16;
            let high = (kb.saturating_sub(0x3c00) >> 6) as u16;
            if f.al() == 0x81 {
                (f.eax, f.ecx) = (u32::from(low), u32::from(low));
                (f.ebx, f.edx) = (u32::from(high), u32::from(high));
            } else {
                f.set_ax(low);
                f.set_cx(low);
                f.set_bx(high);
                f.set_dx(high);
            }
            f.carry(false);
        }
        0x20 => e820(bus, f).await,
        _ => f.fail(UNSUPPORTED),
    }
}

async fn e820(bus: &Bus, f: &mut Frame) {
    let smap = u32::from_be_bytes(*b"SMAP");
    let map = map(bus.world.config.ram_bytes);
    let Some(r) = map.get(f.ebx as usize).filter(|_| f.edx == smap && f.ecx >= 20) else {
        return f.fail(UNSUPPORTED);
    };
    let mut b = Vec::with_capacity(20);
    b.extend(r.base.to_le_bytes());
    b.extend(r.len.to_le_bytes());
    b.extend(r.kind.to_le_bytes());
    bus.write(Far::new(f.es, f.di()), &b).await;
    f.eax = smap;
    f.ecx = 20;
    f.ebx = if f.ebx as usize + 1 < map.len() { f.ebx + 1 } else { 0 };
    f.carry(false);
}

/// AH=87h: copies CX words between physical addresses of the descriptors at ES:SI.
pub async fn block_move(bus: &Bus, f: &mut Frame) {
    if !bus.direct() {
        // Under a monitor the monitor serves this; without one there is no way to physical memory.
        f.fail(0x03);
        return f.set_flag(ZF, false);
    }
    let gdt = bus.read(Far::new(f.es, f.si()), 48).await;
    let base =
        |d: usize| u64::from(le16(&gdt[d + 2..])) | u64::from(gdt[d + 4]) << 16 | u64::from(gdt[d + 7]) << 24;
    let (from, to) = (base(16), base(24));
    let len = usize::from(f.cx()) * 2;
    let mut data = vec![0; len];
    bus.world.ram.read(from, &mut data);
    bus.world.ram.write(to, &data);
    f.ok();
    f.set_flag(ZF, true);
}
