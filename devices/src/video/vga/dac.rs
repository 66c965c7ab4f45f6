//! The colour look-up table: 256 entries of three six-bit primaries. IBM PS/2 Hardware Interface Technical
//! Reference, "Video Digital-to-Analog Converter".

#[derive(Debug, Clone)]
pub struct Dac {
    pub(super) mask: u8,
    pub(super) read_index: u8,
    pub(super) write_index: u8,
    /// Which primary comes next, 0-2.
    pub(super) phase: u8,
    /// The last address written was a read address.
    pub(super) reading: bool,
    /// Red and green of an entry that is being written: the table changes with the blue.
    pub(super) latch: [u8; 2],
    pub(super) table: [[u8; 3]; 256],
    /// As pixels, mask not applied.
    pub(super) rgb: [u32; 256],
}

impl Default for Dac {
    fn default() -> Self {
        Self {
            mask: 0xff,
            read_index: 0,
            write_index: 0,
            phase: 0,
            reading: false,
            latch: [0; 2],
            table: [[0; 3]; 256],
            rgb: [0; 256],
        }
    }
}

/// A six-bit primary as eight bits: full scale stays full scale.
fn widen(v: u8) -> u32 {
    u32::from(v << 2 | v >> 4)
}

fn pixel([r, g, b]: [u8; 3]) -> u32 {
    widen(r) << 16 | widen(g) << 8 | widen(b)
}

impl Dac {
    /// The colour of a pixel value.
    #[inline]
    pub fn rgb(&self, v: u8) -> u32 {
        self.rgb[usize::from(v & self.mask)]
    }

    /// All colours, mask applied.
    pub fn colours(&self) -> [u32; 256] {
        std::array::from_fn(|i| self.rgb(i as u8))
    }

    /// 3C7h write.
    pub fn set_read_index(&mut self, v: u8) {
        self.read_index = v;
        self.phase = 0;
        self.reading = true;
    }

    /// 3C8h write.
    pub fn set_write_index(&mut self, v: u8) {
        self.write_index = v;
        self.phase = 0;
        self.reading = false;
    }

    /// 3C7h read, DAC State: 0 after a write address, 3 after a read address.
    pub fn state(&self) -> u8 {
        if self.reading { 3 } else { 0 }
    }

    /// 3C8h read.
    pub fn write_index(&self) -> u8 {
        self.write_index
    }

    pub fn mask(&self) -> u8 {
        self.mask
    }

    /// 3C6h write; true if the picture may have changed.
    pub fn set_mask(&mut self, v: u8) -> bool {
        std::mem::replace(&mut self.mask, v) != v
    }

    /// 3C9h read.
    pub fn read_data(&mut self) -> u8 {
        let v = self.table[usize::from(self.read_index)][usize::from(self.phase)];
        self.phase += 1;
        if self.phase == 3 {
            self.phase = 0;
            self.read_index = self.read_index.wrapping_add(1);
        }
        v
    }

    /// 3C9h write; true if an entry changed. The third byte of a triple stores all three.
    pub fn write_data(&mut self, v: u8) -> bool {
        let v = v & 0x3f;
        if self.phase < 2 {
            self.latch[usize::from(self.phase)] = v;
            self.phase += 1;
            return false;
        }
        self.phase = 0;
        let i = usize::from(self.write_index);
        self.write_index = self.write_index.wrapping_add(1);
        let entry = [self.latch[0], self.latch[1], v];
        let changed = std::mem::replace(&mut self.table[i], entry) != entry;
        self.rgb[i] = pixel(entry);
        changed
    }

    /// Replaces the whole table: for saved state.
    pub(super) fn set_table(&mut self, table: [[u8; 3]; 256]) {
        self.table = table;
        self.rgb = std::array::from_fn(|i| pixel(table[i]));
    }
}
