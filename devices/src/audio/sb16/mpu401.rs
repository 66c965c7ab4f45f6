//! The MPU-401 in UART mode: bytes for a MIDI port with nothing plugged in. Sound Blaster Series Hardware Programming
//! Guide, chapter 5; Roland MPU-401 Technical Reference: FFh resets, 3Fh enters UART mode, FEh acknowledges.

use std::collections::VecDeque;

const RESET: u8 = 0xff;
const UART: u8 = 0x3f;
const ACKNOWLEDGE: u8 = 0xfe;

/// Status: nothing to read (7), no room for a byte (6); the rest read as ones.
const NOTHING: u8 = 0x80;
const ONES: u8 = 0x3f;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mpu401 {
    pub uart: bool,
    pub input: VecDeque<u8>,
    pub last: u8,
    /// Bytes that went out.
    pub sent: u64,
}

impl Mpu401 {
    pub(super) const MOST: usize = 16;

    pub(super) fn status(&self) -> u8 {
        ONES | if self.input.is_empty() { NOTHING } else { 0 }
    }

    pub(super) fn read(&mut self) -> u8 {
        if let Some(b) = self.input.pop_front() {
            self.last = b;
        }
        self.last
    }

    pub(super) fn write(&mut self, _byte: u8) {
        self.sent += 1;
    }

    /// In UART mode a reset goes through and everything else is ignored; this chip acknowledges that reset too, as drivers
    /// wait for it.
    pub(super) fn command(&mut self, c: u8) {
        match c {
            RESET => {
                self.uart = false;
                self.input.clear();
            }
            UART if !self.uart => self.uart = true,
            _ => return,
        }
        if self.input.len() < Self::MOST {
            self.input.push_back(ACKNOWLEDGE);
        }
    }

    /// Something waits to be read: the interrupt's level.
    pub(super) fn waits(&self) -> bool {
        !self.input.is_empty()
    }
}
