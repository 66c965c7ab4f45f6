//! SET FEATURES, SET MULTIPLE MODE, INITIALIZE DEVICE PARAMETERS.

use board::{Cx, Geometry};

use super::{HardDisk, MAX_MULTIPLE};
use crate::ata::task_file::{Core, DmaMode};

impl HardDisk {
    /// SET FEATURES, ATA-4 8.37. What we don't offer (8-bit PIO, APM, overlap interrupts) aborts.
    pub(super) fn set_features(&mut self, core: &mut Core, cx: &mut Cx<'_>) {
        match core.tf.features {
            0x02 if self.spec.write_cache => self.set.write_cache = true,
            // ATA-7 6.49.8: what is in the cache goes to the medium first.
            0x82 if self.spec.write_cache => {
                self.set.write_cache = false;
                return self.flush(core, cx, self.power);
            }
            0x03 => match DmaMode::from_count(core.tf.count) {
                Some(Some(mode)) => self.set.dma = mode,
                Some(None) => {}
                None => return core.abort(),
            },
            0x55 => self.set.look_ahead = false,
            0xaa => self.set.look_ahead = true,
            0x66 => self.set.revert = false,
            0xcc => self.set.revert = true,
            _ => return core.abort(),
        }
        core.succeed();
    }

    /// SET MULTIPLE MODE, 8.38: a power of two up to word 47's, 0 switches it off.
    pub(super) fn set_multiple(&mut self, core: &mut Core) {
        let n = core.tf.count;
        if n > MAX_MULTIPLE || n != 0 && !n.is_power_of_two() {
            return core.abort();
        }
        self.set.multiple = n;
        core.succeed();
    }

    /// INITIALIZE DEVICE PARAMETERS, 8.16: heads and sectors a track of the current translation.
    pub(super) fn initialize_parameters(&mut self, core: &mut Core) {
        let (heads, sectors) = (core.tf.device.head() + 1, core.tf.count);
        if sectors == 0 {
            return core.abort();
        }
        let cylinders = self.spec.sectors / (u32::from(heads) * u32::from(sectors));
        let cylinders = cylinders.clamp(1, 0xffff) as u16;
        self.set.current = Geometry { cylinders, heads, sectors };
        core.succeed();
    }
}
