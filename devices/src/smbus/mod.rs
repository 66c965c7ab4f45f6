//! The SMBus of the board, behind the PIIX4's host controller: the identification EEPROMs of the memory modules.
//!
//! A transfer is what is on the wire: an address with its direction, then bytes, each acknowledged or not. [`Bus`] knows
//! who listens; the host controller (`chipset/piix4/pm/smbus.rs`) makes transfers of SMBus's protocols.
//!
//! Page: docs/devices/smbus.md. Source: System Management Bus specification 1.0; ST M24C02.

mod eeprom;
mod spd;
#[cfg(test)]
mod tests;

pub use eeprom::Eeprom;
pub use spd::{modules, sizes};

/// Address of the first module's EEPROM; its pins SA0 to SA2 tell the sockets apart.
pub const FIRST_MODULE: u8 = 0x50;

/// Who hangs on the bus, by seven-bit address.
#[derive(Debug, Clone, Default)]
pub struct Bus {
    slaves: Vec<(u8, Eeprom)>,
}

impl Bus {
    /// One EEPROM for each module, in the order of the sockets.
    pub fn with_modules(modules: Vec<[u8; 256]>) -> Self {
        let slaves = (FIRST_MODULE..).zip(modules.into_iter().map(Eeprom::new)).collect();
        Self { slaves }
    }

    /// Who acknowledges this address after a start condition.
    pub fn address(&mut self, address: u8) -> Option<&mut Eeprom> {
        self.slaves.iter_mut().find(|(a, _)| *a == address).map(|(_, s)| s)
    }

    /// Where each EEPROM's address counter stands, for saved state.
    pub fn counters(&self) -> Vec<u8> {
        self.slaves.iter().map(|(_, s)| s.counter()).collect()
    }

    /// False if that is not as many as there are.
    pub fn set_counters(&mut self, all: &[u8]) -> bool {
        for ((_, s), v) in self.slaves.iter_mut().zip(all) {
            s.set_counter(*v);
        }
        all.len() == self.slaves.len()
    }
}
