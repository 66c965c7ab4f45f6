//! INT 15h, INT 05h and the PnP and APM entries.

mod apm;
mod memory;

use board::{MICROSECOND, Tick};

use crate::bda::{self, bda};
use crate::bus::{Bus, CallRegs, Far};
use crate::frame::Frame;
use crate::mouse;
use crate::rom::{SYSTEM_SEG, tables};
use crate::wiring::EBDA_SEG;

pub use apm::entry as apm_entry;

const UNSUPPORTED: u8 = 0x86;

pub async fn int15(bus: &Bus, f: &mut Frame) {
    match f.ah() {
        0x24 => a20(bus, f).await,
        // Keyboard intercept: the key goes on as it is.
        0x4f => f.carry(true),
        0x52 | 0x85 => f.ok(),
        0x53 => apm::serve(bus, f).await,
        // Open, close, end a device; wait and post: nothing to do.
        0x80..=0x82 | 0x90 | 0x91 => f.ok(),
        0x83 => interval(bus, f).await,
        0x86 => wait(bus, f).await,
        0x87 => memory::block_move(bus, f).await,
        0x88 => {
            f.set_ax(memory::extended_kb(bus));
            f.carry(false);
        }
        0xc0 => {
            f.es = SYSTEM_SEG;
            f.set_bx(tables::CONFIG);
            f.ok();
        }
        0xc1 => {
            f.es = EBDA_SEG;
            f.carry(false);
        }
        0xc2 => mouse::serve(bus, f).await,
        0xe8 => memory::serve(bus, f).await,
        // The processor mode that a 64-bit kernel announces.
        0xec if f.al() == 0 => f.ok(),
        _ => f.fail(UNSUPPORTED),
    }
}

async fn a20(bus: &Bus, f: &mut Frame) {
    match f.al() {
        al @ (0 | 1) => {
            let v = bus.inb(0x92).await;
            bus.outb(0x92, v & !3 | al << 1).await;
        }
        2 => {
            let v = bus.inb(0x92).await;
            f.set_al(v >> 1 & 1);
        }
        3 => f.set_bx(3),
        _ => return f.fail(UNSUPPORTED),
    }
    f.ok();
}

/// AH=83h: sets a flag after CX:DX microseconds, by the RTC's periodic interrupt.
async fn interval(bus: &Bus, f: &mut Frame) {
    let busy = bus.read8(bda(bda::WAIT_FLAG)).await;
    let b = bus.cmos(0x0b).await;
    match f.al() {
        0 if busy & 1 != 0 => f.fail(0x83),
        0 => {
            bus.write32(bda(bda::WAIT_POINTER), Far::new(f.es, f.bx()).bits()).await;
            bus.write32(bda(bda::WAIT_COUNT), u32::from(f.cx()) << 16 | u32::from(f.dx())).await;
            bus.write8(bda(bda::WAIT_FLAG), busy | 1).await;
            let m = bus.inb(0xa1).await;
            bus.outb(0xa1, m & !1).await;
            bus.set_cmos(0x0b, b | 0x40).await;
            f.ok();
        }
        1 => {
            bus.write8(bda(bda::WAIT_FLAG), busy & !1).await;
            bus.set_cmos(0x0b, b & !0x40).await;
            f.ok();
        }
        _ => f.fail(UNSUPPORTED),
    }
}

/// AH=86h: waits CX:DX microseconds, interrupts on.
async fn wait(bus: &Bus, f: &mut Frame) {
    if bus.read8(bda(bda::WAIT_FLAG)).await & 1 != 0 {
        return f.fail(0x83);
    }
    let us = u32::from(f.cx()) << 16 | u32::from(f.dx());
    let end = bus.now() + Tick::from(us) * MICROSECOND;
    while bus.now() < end {
        bus.let_interrupts_in().await;
    }
    f.ok();
}

/// INT 05h: the text screen to the first printer; 0050:0000 says how it went.
pub async fn print_screen(bus: &Bus) {
    let status = Far::new(0x50, 0);
    if bus.read8(status).await == 1 {
        return;
    }
    bus.write8(status, 1).await;
    let cols = bus.read16(bda(0x4a)).await;
    let rows = u16::from(bus.read8(bda(bda::EGA)).await) + 1;
    let mode = bus.read8(bda(bda::VIDEO)).await & 0x7f;
    let start = bus.read16(bda(0x4e)).await;
    let ok = matches!(mode, 0..=3 | 7) && print_rows(bus, mode, start, cols, rows).await;
    bus.write8(status, if ok { 0 } else { 0xff }).await;
}

async fn print_rows(bus: &Bus, mode: u8, start: u16, cols: u16, rows: u16) -> bool {
    let seg = if mode == 7 { 0xb000 } else { 0xb800 };
    for row in 0..rows {
        let cells = bus.read(Far::new(seg, start + row * cols * 2), usize::from(cols) * 2).await;
        let line = cells.chunks_exact(2).map(|c| if c[0] == 0 { b' ' } else { c[0] }).chain(*b"\r\n");
        for c in line {
            let r = bus.int(0x17, CallRegs { ax: u16::from(c), ..CallRegs::default() }).await;
            if r.ax & 0x2900 != 0 {
                return false;
            }
        }
    }
    true
}

/// The PnP BIOS entry: nothing is configurable here; 82h to every function. PnP BIOS 1.0a, 4.
pub async fn pnp(bus: &Bus, f: &mut Frame) {
    // The function number lies on the caller's stack above the return address.
    let function = bus.read16(Far::new(f.ss, (f.esp as u16).wrapping_add(12))).await;
    if function == 0x60 {
        // Boot specification version.
        let p = bus.read(Far::new(f.ss, (f.esp as u16).wrapping_add(14)), 4).await;
        bus.write16(Far::from_bits(crate::bus::le32(&p)), 0x0101).await;
        return f.set_ax(0);
    }
    f.set_ax(0x82);
}
