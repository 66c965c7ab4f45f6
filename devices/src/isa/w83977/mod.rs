//! The configuration side of the Winbond W83977F Super-I/O: what its logical devices are set to.
//!
//! Window: [`CONFIG`], index and data, at 370h on this board (HEFRAS strapped high). Two writes of 87h to the index
//! port open it, AAh closes it; closed, both ports read FFh. Registers in `regs.rs`: global 02h-2Dh, and for each
//! logical device 30h (activate), 60h-63h (bases), 70h-75h (IRQ and DMA), F0h on.
//!
//! Not emulated: moving or switching off a logical device. The board decodes the floppy controller, LPT1, COM1, COM2 and
//! the keyboard controller at their standard places always; the registers keep what is written and start out saying so.
//! GPIO and power management pins are registers only.
//!
//! Page: docs/devices/w83977.md. Source: Winbond W83977F/G data sheet, chapter 11 (configuration registers).

mod regs;
mod state;
#[cfg(test)]
mod tests;

use board::{At, Cx, Device, Reset, StateError, StateIn, StateOut, Width, Win, WinSpec};

use regs::{DEVICES, Device as Logical, GLOBAL, LDN, global_reset, logical_reset, writable};

pub const CONFIG: Win = Win(0);

const WINDOWS: &[WinSpec] = &[WinSpec::pio(CONFIG, 2, Width::B)];

const ENTER: u8 = 0x87;
const LEAVE: u8 = 0xaa;

/// How far the key has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    Closed,
    HalfOpen,
    Open,
}

pub struct W83977 {
    lock: Lock,
    index: u8,
    global: [u8; GLOBAL],
    devices: [Logical; DEVICES],
}

impl Default for W83977 {
    fn default() -> Self {
        Self::new()
    }
}

impl W83977 {
    pub fn new() -> Self {
        Self { lock: Lock::Closed, index: 0, global: global_reset(), devices: logical_reset() }
    }

    fn logical(&mut self) -> Option<&mut Logical> {
        self.devices.get_mut(usize::from(self.global[LDN]))
    }

    fn write_index(&mut self, v: u8) {
        self.lock = match (self.lock, v) {
            (Lock::Open, LEAVE) => Lock::Closed,
            (Lock::Open, _) => {
                self.index = v;
                Lock::Open
            }
            (Lock::Closed, ENTER) => Lock::HalfOpen,
            (Lock::HalfOpen, ENTER) => Lock::Open,
            _ => Lock::Closed,
        };
    }

    fn read_data(&mut self) -> u8 {
        let i = usize::from(self.index);
        match i {
            0..GLOBAL => self.global[i],
            // A logical device that is not there reads as nothing.
            _ => self.logical().map_or(0xff, |d| d[i - GLOBAL]),
        }
    }

    fn write_data(&mut self, v: u8) {
        let i = usize::from(self.index);
        match i {
            // CR02 bit 0: soft reset of the configuration.
            0x02 if v & 1 != 0 => (self.global, self.devices) = (global_reset(), logical_reset()),
            0..GLOBAL => {
                let w = writable(self.index);
                self.global[i] = self.global[i] & !w | v & w;
            }
            _ => {
                let w = writable(self.index);
                if let Some(d) = self.logical() {
                    d[i - GLOBAL] = d[i - GLOBAL] & !w | v & w;
                }
            }
        }
    }
}

impl Device for W83977 {
    fn name(&self) -> &'static str {
        "w83977"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, _cx: &mut Cx<'_>, _kind: Reset) {
        *self = Self::new();
    }

    fn read(&mut self, _cx: &mut Cx<'_>, at: At) -> u32 {
        match (self.lock, at.off) {
            (Lock::Open, 0) => u32::from(self.index),
            (Lock::Open, _) => u32::from(self.read_data()),
            _ => 0xff,
        }
    }

    fn write(&mut self, _cx: &mut Cx<'_>, at: At, v: u32) {
        match (self.lock, at.off) {
            (_, 0) => self.write_index(v as u8),
            (Lock::Open, _) => self.write_data(v as u8),
            // A write to data between the two keys breaks the sequence.
            _ => self.lock = Lock::Closed,
        }
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }
}
