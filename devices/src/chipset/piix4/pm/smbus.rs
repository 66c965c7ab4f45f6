//! The SMBus host controller on a bus without slaves. 82371AB 7.3.

/// SMBHSTSTS.
const INTER: u8 = 1 << 1;
const DEV_ERR: u8 = 1 << 2;
const FAILED: u8 = 1 << 4;
/// SMBHSTCNT.
const INTEREN: u8 = 1;
const KILL: u8 = 1 << 1;
const START: u8 = 1 << 6;

const BLOCK: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Smbus {
    pub(super) status: u8,
    pub(super) control: u8,
    pub(super) command: u8,
    pub(super) address: u8,
    pub(super) data: [u8; 2],
    pub(super) block: [u8; BLOCK],
    pub(super) at: u8,
    /// SLVCNT, SHDWCMD, SLVEVT, SLVDAT: kept as written; nothing addresses us.
    pub(super) slave: [u8; 6],
}

impl Default for Smbus {
    fn default() -> Self {
        Self {
            status: 0,
            control: 0,
            command: 0,
            address: 0,
            data: [0; 2],
            block: [0; BLOCK],
            at: 0,
            slave: [0; 6],
        }
    }
}

impl Smbus {
    /// Does the host want its interrupt?
    pub(super) fn interrupts(&self) -> bool {
        self.control & INTEREN != 0 && self.status & (INTER | DEV_ERR | FAILED) != 0
    }

    pub(super) fn read(&mut self, off: u32) -> Option<u8> {
        Some(match off {
            0 => self.status,
            // SMBSLVSTS: never addressed.
            1 => 0,
            2 => {
                // Reading SMBHSTCNT resets the block index.
                self.at = 0;
                self.control & !(START | KILL)
            }
            3 => self.command,
            4 => self.address,
            5 | 6 => self.data[off as usize - 5],
            7 => {
                let v = self.block[usize::from(self.at)];
                self.at = (self.at + 1) % BLOCK as u8;
                v
            }
            8..=13 => self.slave[off as usize - 8],
            _ => return None,
        })
    }

    /// False if no register is there.
    pub(super) fn write(&mut self, off: u32, v: u8) -> bool {
        match off {
            0 => self.status &= !(v & (INTER | DEV_ERR | FAILED | 1 << 3)),
            1 => {}
            2 => {
                self.control = v;
                if v & KILL != 0 {
                    self.status |= FAILED;
                } else if v & START != 0 {
                    // The address byte meets no acknowledge.
                    self.status |= DEV_ERR;
                }
            }
            3 => self.command = v,
            4 => self.address = v,
            5 | 6 => self.data[off as usize - 5] = v,
            7 => {
                self.block[usize::from(self.at)] = v;
                self.at = (self.at + 1) % BLOCK as u8;
            }
            8..=13 => self.slave[off as usize - 8] = v,
            _ => return false,
        }
        true
    }
}
