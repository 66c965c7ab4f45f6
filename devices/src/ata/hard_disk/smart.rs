//! SMART, ATA-4 8.41: enabled by default, and always well.

use super::{HardDisk, SECTOR};
use crate::ata::task_file::Core;

/// Cylinder registers of every SMART command.
const KEY: u16 = 0xc24f;

/// The one attribute that we keep: power-on hours, id 9, threshold 0.
const POWER_ON_HOURS: u8 = 9;

impl HardDisk {
    pub(super) fn smart(&mut self, core: &mut Core) {
        if core.tf.cylinder() != KEY || !self.set.smart && core.tf.features != 0xd8 {
            return core.abort();
        }
        match core.tf.features {
            0xd0 => self.give(core, values()),
            0xd1 => self.give(core, thresholds()),
            0xd8 => {
                self.set.smart = true;
                core.succeed();
            }
            0xd9 => {
                self.set.smart = false;
                core.succeed();
            }
            // Attribute autosave (count 0 or F1h), save attributes, execute off-line immediate: nothing to do.
            0xd2 | 0xd3 => core.succeed(),
            // RETURN STATUS: the key comes back unchanged, no threshold is exceeded.
            0xda => core.succeed(),
            _ => core.abort(),
        }
    }
}

/// A sector whose byte sum is 0.
fn checked(mut b: Vec<u8>) -> Vec<u8> {
    let sum = b[..SECTOR - 1].iter().fold(0_u8, |s, v| s.wrapping_add(*v));
    b[SECTOR - 1] = sum.wrapping_neg();
    b
}

/// READ DATA: revision, then attributes of 12 bytes: id, flags, value, worst, raw.
fn values() -> Vec<u8> {
    let mut b = vec![0; SECTOR];
    b[0] = 0x10;
    b[2..7].copy_from_slice(&[POWER_ON_HOURS, 0x02, 0x00, 100, 100]);
    b[368..370].copy_from_slice(&[0x03, 0x00]); // attributes are saved, autosave is supported
    checked(b)
}

fn thresholds() -> Vec<u8> {
    let mut b = vec![0; SECTOR];
    b[0] = 0x10;
    b[2..4].copy_from_slice(&[POWER_ON_HOURS, 0]);
    checked(b)
}
