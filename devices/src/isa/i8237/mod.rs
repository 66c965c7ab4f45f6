//! The 8237A pair of the PIIX4 with its page registers: seven DMA channels for ISA chips.
//!
//! Windows: [`LOW`] (00h-0Fh, channels 0-3), [`HIGH`] (C0h-DFh, channels 4-7, every other port), [`PAGE87`] and
//! its neighbours: page registers at 81h-83h, 87h, 89h-8Bh, 8Fh. The other bytes of 80h-8Fh belong to the ISA bridge.
//! What it does:
//! - Channels 0-3 count bytes, 5-7 words; a page register gives address bits 23:16 (23:17 for words). The address
//!   counter wraps within its 64 KiB (128 KiB) page.
//! - Single, demand and block mode, increment and decrement, autoinitialise, verify, masks, status, temporary, software
//!   requests, byte pointer flip-flop, master and mask clear. Channel 4 is the cascade: while it is masked or not in
//!   cascade mode, channels 0-3 move nothing.
//!
//! A chip asks by [`board::IsaDma::transfer`]; how much goes at once is what it asks for. Not emulated: memory to
//! memory (the PIIX4 has none), compressed timing and rotating priority (transfers don't overlap here), the timing of
//! DREQ and DACK; their bits read back nowhere.
//!
//! Page: docs/devices/i8237.md. Sources: Intel 8237A datasheet (231466); 82371AB (290562) 4.2.1, DMA registers.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use board::{
    At, Cx, Device, Dir, Dreq, IsaDma, Moved, Reset, StateError, StateIn, StateOut, Width, Win, WinSpec,
};
use ram::GuestRam;

use regs::{Command, Mode, Transfer};

pub const LOW: Win = Win(0);
pub const HIGH: Win = Win(1);
/// 81h-83h: channels 2, 3, 1.
pub const PAGE81: Win = Win(2);
/// 87h: channel 0.
pub const PAGE87: Win = Win(3);
/// 89h-8Bh: channels 6, 7, 5.
pub const PAGE89: Win = Win(4);
/// 8Fh: refresh; a register without an effect.
pub const PAGE8F: Win = Win(5);

const WINDOWS: &[WinSpec] = &[
    WinSpec::pio(LOW, 16, Width::B),
    WinSpec::pio(HIGH, 32, Width::B),
    WinSpec::pio(PAGE81, 3, Width::B),
    WinSpec::pio(PAGE87, 1, Width::B),
    WinSpec::pio(PAGE89, 3, Width::B),
    WinSpec::pio(PAGE8F, 1, Width::B),
];

/// Channel number of each page register.
const PAGES_81: [usize; 3] = [2, 3, 1];
const PAGES_89: [usize; 3] = [6, 7, 5];
const CASCADE: usize = 4;

/// One channel's registers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Channel {
    base_address: u16,
    base_count: u16,
    address: u16,
    count: u16,
    mode: Mode,
    page: u8,
}

/// One 8237A: four channels and what they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chip {
    command: Command,
    /// Bits 3:0: the channel moves nothing.
    mask: u8,
    /// Status bits 3:0: terminal count reached since the last read.
    tc: u8,
    /// Software requests.
    request: u8,
    /// The byte pointer: false = low byte next.
    high_byte: bool,
    temporary: u8,
}

impl Default for Chip {
    /// RESET, like master clear, masks all channels. 8237A, "Software Commands".
    fn default() -> Self {
        Self { command: Command::new(), mask: 0x0f, tc: 0, request: 0, high_byte: false, temporary: 0 }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    transfers: u64,
    bytes: u64,
}

/// The pair.
#[derive(Debug, Default)]
pub struct I8237 {
    channels: [Channel; 8],
    chips: [Chip; 2],
    refresh_page: u8,
    seen: Seen,
}

impl Chip {
    /// Which byte of a pair comes now: true = the high one.
    fn flip(&mut self) -> bool {
        self.high_byte ^= true;
        !self.high_byte
    }
}

impl I8237 {
    pub fn new() -> Self {
        Self::default()
    }

    fn read_register(&mut self, chip: usize, reg: u32) -> u32 {
        let c = &mut self.chips[chip];
        match reg {
            0..=7 => {
                let ch = &self.channels[chip * 4 + reg as usize / 2];
                let v = if reg & 1 == 0 { ch.address } else { ch.count };
                let high = c.flip();
                u32::from(v.to_le_bytes()[usize::from(high)])
            }
            // Status: reading clears the terminal counts.
            8 => u32::from(std::mem::take(&mut c.tc) | c.request << 4),
            // Temporary.
            0xd => u32::from(c.temporary),
            // Mask, which the PIIX4 lets software read back at 0Fh/DEh.
            0xf => u32::from(c.mask | 0xf0),
            // Write-only registers float.
            _ => 0xff,
        }
    }

    fn write_register(&mut self, chip: usize, reg: u32, v: u8) {
        let first = chip * 4;
        let c = &mut self.chips[chip];
        let bit = 1 << (v & 3);
        match reg {
            0..=7 => {
                let ch = &mut self.channels[first + reg as usize / 2];
                let high = c.flip();
                let (base, current) = if reg & 1 == 0 {
                    (&mut ch.base_address, &mut ch.address)
                } else {
                    (&mut ch.base_count, &mut ch.count)
                };
                let mut b = base.to_le_bytes();
                b[usize::from(high)] = v;
                // Base and current take the byte together; the other byte of current is base's, as in the chip.
                let mut now = current.to_le_bytes();
                now[usize::from(high)] = v;
                (*base, *current) = (u16::from_le_bytes(b), u16::from_le_bytes(now));
            }
            8 => c.command = Command::from_bits(v),
            9 => c.request = if v & 4 != 0 { c.request | bit } else { c.request & !bit },
            0xa => c.mask = if v & 4 != 0 { c.mask | bit } else { c.mask & !bit },
            0xb => {
                self.channels[first + usize::from(v & 3)].mode = Mode::from_bits(v & 0xfc);
                c.tc &= !bit;
            }
            0xc => c.high_byte = false,
            0xd => *c = Chip::default(),
            0xe => c.mask = 0,
            _ => c.mask = v & 0x0f,
        }
    }

    fn page_of(&mut self, at: At) -> Option<&mut u8> {
        Some(match at.win {
            PAGE81 => &mut self.channels[PAGES_81[at.off as usize % 3]].page,
            PAGE87 => &mut self.channels[0].page,
            PAGE89 => &mut self.channels[PAGES_89[at.off as usize % 3]].page,
            PAGE8F => &mut self.refresh_page,
            _ => return None,
        })
    }

    /// May this channel move data now?
    fn runs(&self, n: usize) -> bool {
        let chip = &self.chips[n / 4];
        let open = |n: usize| self.chips[n / 4].mask >> (n & 3) & 1 == 0;
        let cascade = n >= 4 || open(CASCADE) && !self.chips[1].command.disable();
        n != CASCADE
            && n < 8
            && open(n)
            && !chip.command.disable()
            && cascade
            && !self.channels[n].mode.is_cascade()
    }
}

impl Channel {
    /// Physical address of the next byte of channel `n`.
    fn at(&self, n: usize) -> u64 {
        let page = u64::from(self.page);
        if n > CASCADE {
            // A word channel: the counter is address bits 16:1, the page register's bit 0 is not used.
            (page & 0xfe) << 16 | u64::from(self.address) << 1
        } else {
            page << 16 | u64::from(self.address)
        }
    }

    fn step(&mut self) {
        let by = if self.mode.dec() { 0xffff } else { 1 };
        self.address = self.address.wrapping_add(by);
    }
}

impl IsaDma for I8237 {
    fn transfer(&mut self, dreq: Dreq, ram: &GuestRam, buf: &mut [u8], dir: Dir) -> Moved {
        let n = usize::from(dreq.0);
        if n >= 8 || !self.runs(n) {
            return Moved::default();
        }
        let ch = &mut self.channels[n];
        let fits = match ch.mode.transfer() {
            Transfer::WRITE => dir == Dir::ToMemory,
            Transfer::READ => dir == Dir::FromMemory,
            // Verify: addresses count, data goes nowhere.
            _ => true,
        };
        if !fits {
            return Moved::default();
        }
        let real = ch.mode.transfer() != Transfer::VERIFY && dir != Dir::Verify;
        let unit = if n > CASCADE { 2 } else { 1 };
        let mut moved = Moved::default();
        for piece in buf.chunks_exact_mut(unit) {
            if real && dir == Dir::ToMemory {
                ram.write(ch.at(n), piece);
            } else if real {
                ram.read(ch.at(n), piece);
            }
            ch.step();
            moved.bytes += unit;
            let (left, wrapped) = ch.count.overflowing_sub(1);
            ch.count = left;
            if wrapped {
                moved.terminal = true;
                break;
            }
        }
        self.seen.transfers += 1;
        self.seen.bytes += moved.bytes as u64;
        if moved.terminal {
            let (chip, bit) = (&mut self.chips[n / 4], 1 << (n & 3));
            chip.tc |= bit;
            chip.request &= !bit;
            if ch.mode.auto() {
                (ch.address, ch.count) = (ch.base_address, ch.base_count);
            } else {
                chip.mask |= bit;
            }
        }
        moved
    }

    fn left(&self, dreq: Dreq) -> Option<usize> {
        let n = usize::from(dreq.0);
        let unit = if n > CASCADE { 2 } else { 1 };
        (n < 8 && self.runs(n)).then(|| (usize::from(self.channels[n].count) + 1) * unit)
    }
}

impl Device for I8237 {
    fn name(&self) -> &'static str {
        "i8237"
    }

    fn windows(&self) -> &'static [WinSpec] {
        WINDOWS
    }

    fn reset(&mut self, _cx: &mut Cx<'_>, _kind: Reset) {
        // RESET clears what master clear does; addresses and counts keep what they had, which nobody may rely on.
        let Self { channels, chips, refresh_page, seen: _ } = self;
        (*channels, *chips, *refresh_page) = Default::default();
    }

    fn read(&mut self, cx: &mut Cx<'_>, at: At) -> u32 {
        match at.win {
            LOW => self.read_register(0, at.off),
            // Odd ports of the second chip are aliases of the even ones (A0 is not connected).
            HIGH => self.read_register(1, at.off / 2),
            _ => match self.page_of(at) {
                Some(p) => u32::from(*p),
                None => cx.open_bus(at),
            },
        }
    }

    fn write(&mut self, _cx: &mut Cx<'_>, at: At, v: u32) {
        match at.win {
            LOW => self.write_register(0, at.off, v as u8),
            HIGH => self.write_register(1, at.off / 2, v as u8),
            _ => {
                if let Some(p) = self.page_of(at) {
                    *p = v as u8;
                }
            }
        }
    }

    fn save(&self, out: &mut StateOut) {
        state::save(self, out);
    }

    fn load(&mut self, s: &StateIn<'_>) -> Result<(), StateError> {
        state::load(self, s)
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let Seen { transfers, bytes } = self.seen;
        vec![("transfers", transfers), ("bytes", bytes)]
    }
}
