//! A serial EEPROM of 256 bytes, its write protection wired on. ST M24C02, "Device operation".

#[derive(Debug, Clone)]
pub struct Eeprom {
    bytes: [u8; 256],
    /// Where the next byte is read; it wraps.
    counter: u8,
    /// The next byte written is an address.
    wants_address: bool,
}

impl Eeprom {
    pub fn new(bytes: [u8; 256]) -> Self {
        Self { bytes, counter: 0, wants_address: false }
    }

    pub(super) fn counter(&self) -> u8 {
        self.counter
    }

    pub(super) fn set_counter(&mut self, v: u8) {
        self.counter = v;
    }

    /// Its address came, and which way the bytes go.
    pub fn start(&mut self, read: bool) {
        self.wants_address = !read;
    }

    /// A byte from the host; true if it is acknowledged. With write protection on that is the address only.
    pub fn take(&mut self, byte: u8) -> bool {
        let address = std::mem::take(&mut self.wants_address);
        if address {
            self.counter = byte;
        }
        address
    }

    /// The next byte for the host.
    pub fn give(&mut self) -> u8 {
        let v = self.bytes[usize::from(self.counter)];
        self.counter = self.counter.wrapping_add(1);
        v
    }
}
