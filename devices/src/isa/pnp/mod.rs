//! The ISA Plug and Play logic of a card with one logical device: what any such card has between the bus and its chips.
//!
//! It is a part of a card, not a chip of the board: the card has the three windows (address 279h, write data A79h, and
//! the read data port, which software chooses), hands their accesses to [`Card`], and moves its other windows, interrupt
//! and DMA channels to where [`Card::device`] says.
//!
//! States: wait for key (the 32 bytes of a shift register lead out of it), sleep, isolation (72 pairs of reads give the
//! serial identifier bit by bit), configuration. A board has one such card, so no other ever wins the isolation.
//!
//! Source: Plug and Play ISA Specification 1.0a, sections 3 to 5 and appendices A and B.

mod state;
#[cfg(test)]
mod tests;

pub(crate) use state::CardV1;

/// Registers of a card, appendix A.1 and A.2.
const SET_RD_DATA: u8 = 0x00;
const SERIAL_ISOLATION: u8 = 0x01;
const CONFIG_CONTROL: u8 = 0x02;
const WAKE: u8 = 0x03;
const RESOURCE_DATA: u8 = 0x04;
const STATUS: u8 = 0x05;
const CARD_SELECT_NUMBER: u8 = 0x06;
const LOGICAL_DEVICE_NUMBER: u8 = 0x07;
const ACTIVATE: u8 = 0x30;
const RANGE_CHECK: u8 = 0x31;
const IO_BASE: u8 = 0x60;
const IRQ: u8 = 0x70;
const DMA: u8 = 0x74;

/// Channel number that means none, and what a DMA register holds after a reset without a default.
pub const NO_DMA: u8 = 4;
/// I/O ranges that a device has at most.
pub const RANGES: usize = 8;

/// The read data port lies between here and 3FFh.
const FIRST_READ_PORT: u16 = 0x203;
/// First byte of the initiation key, and of the checksum.
const SEED: u8 = 0x6a;
const KEY_BYTES: u8 = 32;
/// Vendor, serial number, checksum.
const SERIAL_BYTES: usize = 9;

/// Where a logical device is: registers 30h, 31h, 60h to 75h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    pub active: bool,
    /// Bit 1: an inactive device answers reads of its ranges with 55h (bit 0 set) or AAh.
    pub range_check: u8,
    pub io: [u16; RANGES],
    /// Number and type of each interrupt; number 0 is none.
    pub irq: [(u8, u8); 2],
    pub dma: [u8; 2],
}

/// What a card says of itself, and how its device begins.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Vendor and product, then the serial number, as they lie on the wire.
    pub serial: [u8; SERIAL_BYTES - 1],
    /// Resource data, up to and with the end tag.
    pub resources: &'static [u8],
    pub device: Device,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    WaitForKey,
    Sleep,
    Isolation,
    Config,
}

#[derive(Debug)]
pub struct Card {
    identity: &'static Identity,
    state: State,
    /// What the shift register expects next, and how many bytes were right.
    key: u8,
    matched: u8,
    address: u8,
    csn: u8,
    ldn: u8,
    /// The read data port; 0 until software chose one.
    read_port: u16,
    /// Reads of the serial identifier: two for each bit.
    isolated: u8,
    /// Bytes of identifier and resource data that were read.
    given: u16,
    pub device: Device,
}

/// One step of the shift register, with a bit of data going into it. Appendix B.1.
fn shift(lfsr: u8, bit: u8) -> u8 {
    lfsr >> 1 | ((lfsr ^ lfsr >> 1 ^ bit) & 1) << 7
}

/// The checksum of a serial identifier. Appendix B.2.
fn checksum(serial: &[u8]) -> u8 {
    let bits = serial.iter().flat_map(|b| (0..8).map(move |n| b >> n & 1));
    bits.fold(SEED, shift)
}

impl Card {
    /// As power-on leaves it.
    pub fn new(identity: &'static Identity) -> Self {
        Self {
            identity,
            state: State::WaitForKey,
            key: SEED,
            matched: 0,
            address: 0,
            csn: 0,
            ldn: 0,
            read_port: 0,
            isolated: 0,
            given: 0,
            device: identity.device,
        }
    }

    /// Where the read data window is now: nowhere while the card has nothing to say there.
    pub fn read_window(&self) -> Option<u16> {
        let listens = matches!(self.state, State::Isolation | State::Config);
        (listens && self.read_port != 0).then_some(self.read_port)
    }

    /// Port 279h.
    pub fn write_address(&mut self, v: u8) {
        if self.state != State::WaitForKey {
            self.address = v;
            return;
        }
        if v != self.key {
            // Out of step: the key begins anew, with this byte if it is the first one.
            (self.key, self.matched) = (SEED, 0);
        }
        if v == self.key {
            (self.key, self.matched) = (shift(self.key, 0), self.matched + 1);
        }
        if self.matched == KEY_BYTES {
            (self.state, self.key, self.matched) = (State::Sleep, SEED, 0);
        }
    }

    /// Port A79h.
    pub fn write_data(&mut self, v: u8) {
        match (self.state, self.address) {
            (State::WaitForKey, _) => {}
            (_, CONFIG_CONTROL) => self.control(v),
            (_, WAKE) => self.wake(v),
            (State::Isolation, SET_RD_DATA) => {
                let port = u16::from(v) << 2 | 3;
                self.read_port = if port < FIRST_READ_PORT { 0 } else { port };
            }
            (State::Isolation, CARD_SELECT_NUMBER) => {
                // What comes after the identifier, which isolation has shifted out.
                (self.csn, self.state, self.given) = (v, State::Config, SERIAL_BYTES as u16);
            }
            (State::Config, CARD_SELECT_NUMBER) => self.csn = v,
            (State::Config, LOGICAL_DEVICE_NUMBER) => self.ldn = v,
            (State::Config, reg) if self.ldn == 0 => self.device.write(reg, v),
            _ => {}
        }
    }

    /// The read data port.
    pub fn read_data(&mut self) -> u8 {
        match (self.state, self.address) {
            (State::Isolation, SERIAL_ISOLATION) => self.isolate(),
            (State::Config, RESOURCE_DATA) => self.resource(),
            // A byte of resource data is always ready.
            (State::Config, STATUS) => 1,
            (State::Config, CARD_SELECT_NUMBER) => self.csn,
            (State::Config, LOGICAL_DEVICE_NUMBER) => self.ldn,
            (State::Config, reg) if self.ldn == 0 => self.device.read(reg),
            // Registers that are not there read 0.
            (State::Config, _) => 0,
            _ => 0xff,
        }
    }

    fn control(&mut self, v: u8) {
        if v & 1 != 0 {
            self.device = self.identity.device;
        }
        if v & 4 != 0 {
            self.csn = 0;
        }
        if v & 2 != 0 {
            self.state = State::WaitForKey;
        }
    }

    fn wake(&mut self, csn: u8) {
        (self.isolated, self.given) = (0, 0);
        self.state = match csn {
            _ if csn != self.csn => State::Sleep,
            0 => State::Isolation,
            _ => State::Config,
        };
    }

    /// A byte of the identifier and, behind it, of the resource data.
    fn byte(&self, n: usize) -> u8 {
        let Identity { serial, resources, .. } = self.identity;
        match n {
            0..8 => serial[n],
            8 => checksum(serial),
            n => resources.get(n - SERIAL_BYTES).copied().unwrap_or(0xff),
        }
    }

    fn isolate(&mut self) -> u8 {
        let n = usize::from(self.isolated);
        if n >= SERIAL_BYTES * 8 * 2 {
            return 0xff;
        }
        self.isolated += 1;
        let (bit, second) = (n / 2, n & 1 != 0);
        match (self.byte(bit / 8) >> (bit % 8) & 1 != 0, second) {
            (true, false) => 0x55,
            (true, true) => 0xaa,
            // Left to other cards.
            (false, _) => 0xff,
        }
    }

    fn resource(&mut self) -> u8 {
        let v = self.byte(usize::from(self.given));
        self.given = self.given.saturating_add(1).min(self.end());
        v
    }

    fn end(&self) -> u16 {
        (SERIAL_BYTES + self.identity.resources.len()) as u16
    }
}

impl Device {
    /// What an inactive device's ranges read while they are checked for others that answer.
    pub fn check_pattern(&self) -> Option<u8> {
        let on = !self.active && self.range_check & 2 != 0;
        on.then_some(if self.range_check & 1 != 0 { 0x55 } else { 0xaa })
    }

    fn read(&self, reg: u8) -> u8 {
        let n = usize::from(reg & 0x0f);
        match reg {
            ACTIVATE => u8::from(self.active),
            RANGE_CHECK => self.range_check,
            IO_BASE..=0x6f => self.io[n / 2].to_be_bytes()[n % 2],
            IRQ | 0x72 => self.irq[n / 2].0,
            0x71 | 0x73 => self.irq[n / 2].1,
            DMA | 0x75 => self.dma[n - 4],
            // No memory ranges, no registers of our own.
            _ => 0,
        }
    }

    fn write(&mut self, reg: u8, v: u8) {
        let n = usize::from(reg & 0x0f);
        match reg {
            ACTIVATE => self.active = v & 1 != 0,
            RANGE_CHECK => self.range_check = v & 3,
            IO_BASE..=0x6f => {
                let mut b = self.io[n / 2].to_be_bytes();
                b[n % 2] = v;
                self.io[n / 2] = u16::from_be_bytes(b);
            }
            IRQ | 0x72 => self.irq[n / 2].0 = v & 0x0f,
            0x71 | 0x73 => self.irq[n / 2].1 = v & 3,
            DMA | 0x75 => self.dma[n - 4] = v & 7,
            _ => {}
        }
    }
}
