//! The 82443BX host bridge of the 440BX, AGP switched off by strap: PCI 8086:7192 rev 03, device 0 function 0.
//!
//! Windows: [`CONFIG`]. Registers in `regs.rs`. What it does:
//! - PAM0-6 shadow C0000h-FFFFFh: reads and writes of each part go to main RAM or to the bus. On the bus the ROM
//!   answers reads of the pages that the board describes ([`RomPages`]); writes there are lost, the rest is other
//!   chips' or nobody's.
//! - SMRAM: D_OPEN shows the RAM behind A0000h-BFFFFh in place of the display's window; D_LCK ends that.
//! - DRB0-7 say how the main RAM is spread over rows. They come up as a BIOS would leave them.
//!
//! Not emulated: SMM itself (the processor has none, so TSEG and D_CLS are only registers), the holes of FDHC,
//! DRAM timing and thermal throttling, ECC and bus errors (status bits never rise), AGP.
//!
//! Page: docs/devices/i440bx.md. Sources: Intel 82443BX datasheet (290633) 3.3; what a machine without AGP answers was read off drivers.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use board::{At, ConfigSpace, Cx, Device, Reset, StateError, StateIn, StateOut, Win, WinSpec};
use ram::{GuestRam, LowTarget, Slot};

use regs::{DRB0, ESMRAMC, PAM0, Pam, SEGMENTS, SMRAM, SVID, Smram, reset_values};

pub const CONFIG: Win = Win(0);

const WINDOWS: &[WinSpec] = &[WinSpec::config(CONFIG)];
/// DRB counts in 8 MiB.
const DRB_UNIT: u64 = 8 << 20;
const SMRAM_PAGES: RangeInclusive<u8> = 0xa0..=0xbf;

/// Low pages (4 KiB, C0h-FFh) at which the ROM answers on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RomPages {
    pub pages: RangeInclusive<u8>,
    /// Byte of the ROM's slot that the first page shows.
    pub offset: u32,
}

pub struct I440bx {
    rom: Slot,
    rom_pages: Vec<RomPages>,
    regs: Regs,
}

struct Regs {
    config: ConfigSpace,
    /// SVID and SID are written once.
    svid_written: bool,
}

impl Default for Regs {
    fn default() -> Self {
        Self { config: reset_values(), svid_written: false }
    }
}

impl I440bx {
    /// `rom` answers at `rom_pages` where PAM sends reads to the bus.
    ///
    /// # Panics
    /// If a range lies outside C0h-FFh: the board is fixed.
    pub fn new(rom: Slot, rom_pages: Vec<RomPages>) -> Self {
        assert!(rom_pages.iter().all(|r| *r.pages.start() >= 0xc0), "ROM below C0000h");
        Self { rom, rom_pages, regs: Regs::default() }
    }

    fn on_bus(&self, page: u8) -> LowTarget {
        let rom = self.rom_pages.iter().find(|r| r.pages.contains(&page));
        rom.map_or(LowTarget::Device, |r| {
            LowTarget::Slot(self.rom, r.offset + (u32::from(page - r.pages.start()) << 12))
        })
    }

    fn apply_pam(&self, ram: &GuestRam) {
        for (i, &(first, count)) in SEGMENTS.iter().enumerate() {
            // PAM0 has only its high nibble; then two segments to a register.
            let reg = self.regs.config.get8(PAM0 + i.div_ceil(2) as u8);
            let pam = Pam::from_bits(if i % 2 == 0 { reg >> 4 } else { reg & 15 });
            for page in first..=first + (count - 1) {
                let read = if pam.re() { LowTarget::Main } else { self.on_bus(page) };
                let write = if pam.we() { LowTarget::Main } else { LowTarget::Device };
                ram.set_low(page..=page, read, write);
            }
        }
    }

    fn smram(&self) -> Smram {
        Smram::from_bits(self.regs.config.get8(SMRAM))
    }

    /// The display's window shows main RAM.
    fn smram_open(&self) -> bool {
        let s = self.smram();
        // D_CLS lets only code fetches through; what a driver would see there is the display.
        s.g_smrame() && s.d_open() && !s.d_cls()
    }

    fn apply_smram(&self, ram: &GuestRam, was_open: bool) {
        let open = self.smram_open();
        if open != was_open {
            let to = if open { LowTarget::Main } else { LowTarget::Device };
            ram.set_low(SMRAM_PAGES, to, to);
        }
    }

    /// Setting D_LCK clears D_OPEN, and then D_LCK, D_OPEN and all of ESMRAMC stay as they are.
    fn hold_locks(&mut self, before: Smram, esmramc: u8) {
        let mut now = self.smram();
        if before.d_lck() {
            now.set_d_lck(true);
            self.regs.config.set8(ESMRAMC, esmramc);
        }
        if now.d_lck() {
            now.set_d_open(false);
        }
        self.regs.config.set8(SMRAM, now.into_bits());
    }

    /// Subsystem ids take the first write.
    fn write_svid(&mut self, at: At, v: u32) {
        let end = at.off + at.width.bytes();
        if at.off >= u32::from(SVID) + 4 || end <= u32::from(SVID) || self.regs.svid_written {
            return;
        }
        for i in 0..at.width.bytes() {
            self.regs.config.set8((at.off + i) as u8, (v >> (8 * i)) as u8);
        }
        // Both words are there once the upper one is.
        self.regs.svid_written = end == u32::from(SVID) + 4;
    }
}

/// Row boundaries for this much RAM: equal rows, the smallest that eight of them cover it with. Beyond 2040 MiB
/// the registers can't say it.
fn rows(ram: u64) -> [u8; 8] {
    let mut row = 128 << 20;
    while row * 8 < ram {
        row *= 2;
    }
    std::array::from_fn(|i| (ram.min(row * (i as u64 + 1)) / DRB_UNIT).min(0xff) as u8)
}

impl Device for I440bx {
    fn name(&self) -> &'static str {
        "i440bx"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, cx: &mut Cx<'_>, _kind: Reset) {
        let was_open = self.smram_open();
        self.regs = Regs::default();
        for (n, drb) in rows(cx.ram.main_len()).into_iter().enumerate() {
            self.regs.config.set8(DRB0 + n as u8, drb);
        }
        self.apply_pam(cx.ram);
        self.apply_smram(cx.ram, was_open);
    }

    fn read(&mut self, _cx: &mut Cx<'_>, at: At) -> u32 {
        self.regs.config.read(at)
    }

    fn write(&mut self, cx: &mut Cx<'_>, at: At, v: u32) {
        let was_open = self.smram_open();
        let before = (self.smram(), self.regs.config.get8(ESMRAMC));
        self.regs.config.write(at, v);
        self.hold_locks(before.0, before.1);
        self.write_svid(at, v);
        let touches =
            |from: u8, to: u8| at.off <= u32::from(to) && at.off + at.width.bytes() > u32::from(from);
        if touches(PAM0, PAM0 + 6) {
            self.apply_pam(cx.ram);
        }
        self.apply_smram(cx.ram, was_open);
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    fn restored(&mut self, cx: &mut Cx<'_>) {
        self.apply_pam(cx.ram);
        // The map is a fresh machine's, whose window is the display's.
        self.apply_smram(cx.ram, false);
    }
}
