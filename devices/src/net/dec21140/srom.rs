//! The serial ROM: a 93C46 of 64 words behind CSR9, and what is in it ("Digital Semiconductor 21X4 Serial ROM Format",
//! version 1).

use super::crc::{crc8, crc32};

/// Subsystem ID of Virtual PC's adapters; the vendor ID counts them.
pub(super) const SUBSYSTEM: u16 = 0x2114;

pub(super) const fn vendor(func: u8) -> u16 {
    0x0a00 + func as u16
}

pub(super) const WORDS: usize = 64;

/// Where function 0's info leaf is, and its parts.
const LEAF: usize = 30;
/// 100BASE-TX full duplex, fixed: nothing that a driver would have to sense.
const CONNECTION: u16 = 0x0205;
/// Compact blocks: media code, GPR data, command. PS, PCS and SCR of CSR6; the link is up while GPR pin 6 is high.
const MEDIA: [[u8; 4]; 2] = [[3, 0, 0x6d, 0], [5, 0, 0x6d, 0]];

/// The image for one adapter. Only 100BASE-TX, half and full: XP tries every medium that it finds here, for seconds.
pub(super) fn image(func: u8, mac: [u8; 6]) -> [u16; WORDS] {
    let mut b = [0; 2 * WORDS];
    b[0..2].copy_from_slice(&vendor(func).to_le_bytes());
    b[2..4].copy_from_slice(&SUBSYSTEM.to_le_bytes());
    // ID_BLOCK_CRC covers words 0 to 7, high bytes first, and the byte behind it.
    b[16] = crc8((0..8).flat_map(|w| [b[2 * w + 1], b[2 * w]]).chain([b[17]]));
    // Format version, controllers.
    b[18] = 1;
    b[19] = 1;
    b[20..26].copy_from_slice(&mac);
    // Device number of the controller; where its leaf is.
    b[27..29].copy_from_slice(&(LEAF as u16).to_le_bytes());
    b[LEAF..LEAF + 2].copy_from_slice(&CONNECTION.to_le_bytes());
    // All GPR pins are inputs.
    b[LEAF + 2] = 0;
    b[LEAF + 3] = MEDIA.len() as u8;
    for (n, block) in MEDIA.iter().enumerate() {
        b[LEAF + 4 + 4 * n..][..4].copy_from_slice(block);
    }
    let check = crc32(&b[..126]) as u16;
    b[126..].copy_from_slice(&check.to_le_bytes());
    std::array::from_fn(|w| u16::from_le_bytes([b[2 * w], b[2 * w + 1]]))
}

/// Where in an instruction the chip is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Zeros, until the start bit.
    Idle,
    /// So many bits of operation code and address came after it.
    Command { bits: u8, value: u16 },
    /// Bit 15 - `out` of word `at` comes next.
    Read { at: u8, out: u8 },
    /// So many bits came for a word, or for all of them.
    Write { at: Option<u8>, bits: u8, value: u16 },
    /// Nothing more until CS falls.
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Srom {
    pub(super) words: [u16; WORDS],
    pub(super) step: Step,
    pub(super) write_enabled: bool,
    pub(super) sk: bool,
    /// DO; high when nothing drives it.
    pub(super) data_out: bool,
}

const COMMAND_BITS: u8 = 8;

impl Srom {
    pub(super) fn new(words: [u16; WORDS]) -> Self {
        Self { words, step: Step::Idle, write_enabled: false, sk: false, data_out: true }
    }

    /// The pins as CSR9 drives them. Bits are taken at the rising edge of SK.
    pub(super) fn drive(&mut self, cs: bool, sk: bool, di: bool) {
        let rising = sk && !self.sk;
        self.sk = sk;
        if !cs {
            self.step = Step::Idle;
            self.data_out = true;
        } else if rising {
            self.clock(di);
        }
    }

    fn clock(&mut self, di: bool) {
        self.step = match self.step {
            Step::Idle if di => Step::Command { bits: 0, value: 0 },
            // Drivers that count address bits send zeros before the start bit.
            Step::Idle => Step::Idle,
            Step::Command { bits, value } => {
                let value = value << 1 | u16::from(di);
                if bits + 1 < COMMAND_BITS {
                    Step::Command { bits: bits + 1, value }
                } else {
                    self.command(value)
                }
            }
            Step::Read { at, out } => {
                self.data_out = self.words[usize::from(at)] >> (15 - out) & 1 != 0;
                if out < 15 {
                    Step::Read { at, out: out + 1 }
                } else {
                    Step::Read { at: (at + 1) % WORDS as u8, out: 0 }
                }
            }
            Step::Write { at, bits, value } => {
                let value = value << 1 | u16::from(di);
                if bits < 15 { Step::Write { at, bits: bits + 1, value } } else { self.store(at, value) }
            }
            Step::Done => Step::Done,
        };
    }

    fn command(&mut self, value: u16) -> Step {
        let at = (value & 0x3f) as u8;
        match (value >> 6, at >> 4) {
            (0b10, _) => {
                // A zero comes before the first bit.
                self.data_out = false;
                Step::Read { at, out: 0 }
            }
            (0b01, _) => Step::Write { at: Some(at), bits: 0, value: 0 },
            (0b11, _) => self.store(Some(at), 0xffff),
            (_, 0b01) => Step::Write { at: None, bits: 0, value: 0 },
            (_, 0b10) => self.store(None, 0xffff),
            (_, enable) => {
                self.write_enabled = enable == 0b11;
                Step::Done
            }
        }
    }

    /// Writing takes no time: DO says ready at once.
    fn store(&mut self, at: Option<u8>, value: u16) -> Step {
        if self.write_enabled {
            match at {
                Some(at) => self.words[usize::from(at)] = value,
                None => self.words.fill(value),
            }
        }
        self.data_out = true;
        Step::Done
    }
}
