//! IDENTIFY DEVICE data, ATA-4 8.12. Values as Virtual PC's family shows them.

use super::trim::TRIM_BLOCKS;
use super::{HardDisk, MAX_MULTIPLE};
use crate::ata::task_file::Words;

pub(crate) const MODEL: &str = "Virtual HD";
pub(crate) const FIRMWARE: &str = "1.1.0";

impl HardDisk {
    pub(super) fn identify(&self) -> Vec<u8> {
        let (spec, set) = (&self.spec, &self.set);
        let (cache, caching) = (u16::from(spec.write_cache), u16::from(spec.write_cache && set.write_cache));
        let mut id = Words([0; 256]);
        let w = &mut id.0;
        w[0] = 0x045a; // fixed, not removable, hard sectored
        w[1] = spec.geometry.cylinders;
        w[3] = u16::from(spec.geometry.heads);
        w[4] = u16::from(spec.geometry.sectors) * 512; // unformatted bytes a track, ATA-1
        w[5] = 512;
        w[6] = u16::from(spec.geometry.sectors);
        w[20] = 0x0003; // dual ported buffer with read cache
        w[21] = 0x0080; // of 64 KiB
        w[47] = 0x8000 | u16::from(MAX_MULTIPLE);
        // Word 48 stays 0: it was "32-bit access" in ATA-1, and is "trusted computing" in ATA-8.
        w[49] = 0x0f00; // IORDY, IORDY may be off, LBA, DMA
        w[51] = 0x0200;
        w[52] = 0x0200;
        w[53] = 0x0007; // words 54-58, 64-70 and 88 are valid
        w[54] = set.current.cylinders;
        w[55] = u16::from(set.current.heads);
        w[56] = u16::from(set.current.sectors);
        w[59] = if set.multiple == 0 { 0 } else { 0x0100 | u16::from(set.multiple) };
        w[62] = 0x0007;
        w[63] = set.dma.multiword_word();
        w[64] = 0x0003; // PIO 3 and 4
        w[65] = 0x0078; // 120 ns a cycle
        w[66] = 0x0078;
        w[67] = 0x014d;
        w[68] = 0x0078;
        w[80] = 0x01f0; // ATA-4 to -8
        // READ BUFFER, WRITE BUFFER, look-ahead, write cache, power management, SMART
        w[82] = 0x3049 | cache << 5;
        w[83] = 0x7400; // FLUSH CACHE (EXT), 48-bit addresses; bits 15:14 say that the word is valid
        w[84] = 0x4000;
        w[85] = 0x3008 | u16::from(set.smart) | caching << 5 | u16::from(set.look_ahead) << 6;
        w[86] = 0x3400;
        w[87] = 0x4000;
        w[88] = set.dma.ultra_word();
        if spec.trim {
            w[105] = TRIM_BLOCKS;
            w[169] = 0x0001;
        }
        id.dword(57, set.current.total());
        id.dword(60, spec.sectors);
        id.dword(100, spec.sectors); // by 48-bit addresses, ATA-6: no more
        id.text(10, 19, &spec.serial);
        id.text(23, 26, FIRMWARE);
        id.text(27, 46, MODEL);
        id.bytes()
    }
}
