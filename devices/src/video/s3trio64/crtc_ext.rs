//! CR19-CR7F and SR08-SR1F: storage, locks, and what they add to the VGA.

use crate::video::vga::{Direct, Ext};

use super::cursor::Cursor;
use super::engine::Geometry;
use super::regs::{
    AdvFunc, BkwdComp1, CR2D_DEVICE_ID_HIGH, CR2E_DEVICE_ID_LOW, CR2F_REVISION, CR30_CHIP_ID, CR36_BUS,
    CR37_CONFIG, ExHOvf, ExSctl2, ExVOvf, LawCtl, MemCnfg, REFERENCE_KHZ,
};

/// Registers beyond the VGA's in both index spaces.
#[derive(Debug, Clone)]
pub struct CrtcExt {
    /// By index; the VGA's own are unused.
    pub(super) cr: [u8; 0x80],
    pub(super) sr: [u8; 0x20],
    /// Display start address 20-16: the latch behind CR69 and CR31/CR51.
    pub(super) start: u8,
    /// The bank: the latch behind CR6A and CR35/CR51.
    pub(super) bank: u8,
    pub(super) advfunc: u8,
    /// SR17 counts, as the test register of a running PLL would.
    pub(super) test: u8,
    pub(super) cursor: Cursor,
}

/// CRTC indices that the data book keeps for later: no register is there, and drivers that save the whole file read them.
pub fn reserved_cr(n: u8) -> bool {
    matches!(n, 0x19..=0x21 | 0x23 | 0x25 | 0x27..=0x2c)
}

/// The same of the sequencer.
pub fn reserved_sr(n: u8) -> bool {
    matches!(n, 0x1d..=0x1f)
}

/// Bits that a register has, where it has fewer than eight.
fn bits(n: usize) -> u8 {
    match n {
        0x46 | 0x48 => 0x07,
        0x4c | 0x69 => 0x1f,
        0x4e | 0x4f => 0x3f,
        0x6a => 0x7f,
        _ => 0xff,
    }
}

impl CrtcExt {
    /// Values after reset for this much video memory.
    pub fn new(vram: u32) -> Self {
        let mut cr = [0; 0x80];
        let size = match vram >> 20 {
            8.. => 3,
            4..8 => 0,
            2..4 => 4,
            _ => 6,
        };
        cr[0x36] = size << 5 | CR36_BUS;
        cr[0x37] = CR37_CONFIG;
        cr[0x40] = 0x30;
        let mut sr = [0; 0x20];
        (sr[0x10], sr[0x11]) = (0x42, 0x3b);
        // 25.06 MHz, near the VGA's clock: M = 68, N = 3, R = 3.
        (sr[0x12], sr[0x13]) = (0x63, 0x44);
        Self { cr, sr, start: 0, bank: 0, advfunc: 0, test: 0, cursor: Cursor::default() }
    }

    /// CR38: CR2D-CR3F may be written.
    fn open_low(&self) -> bool {
        self.cr[0x38] & 0xcc == 0x48
    }

    /// CR39: CR40-CR7F may be written.
    fn open_high(&self) -> bool {
        self.cr[0x39] & 0xe0 == 0xa0
    }

    /// CR39: so may the straps.
    fn open_straps(&self) -> bool {
        self.cr[0x39] == 0xa5
    }

    fn open_seq(&self) -> bool {
        self.sr[8] & 0x0f == 6
    }

    pub fn cr31(&self) -> MemCnfg {
        MemCnfg::from_bits(self.cr[0x31])
    }

    pub fn cr32(&self) -> BkwdComp1 {
        BkwdComp1::from_bits(self.cr[0x32])
    }

    pub fn cr51(&self) -> ExSctl2 {
        ExSctl2::from_bits(self.cr[0x51])
    }

    pub fn cr58(&self) -> LawCtl {
        LawCtl::from_bits(self.cr[0x58])
    }

    pub fn advfunc(&self) -> AdvFunc {
        AdvFunc::from_bits(self.advfunc)
    }

    /// CR33 b4: the DAC takes no writes.
    pub fn dac_locked(&self) -> bool {
        self.cr[0x33] & 0x10 != 0
    }

    /// CR40 b0: the engine's registers answer.
    pub fn engine_on(&self) -> bool {
        self.cr[0x40] & 1 != 0
    }

    /// CR53 b4 or ADVFUNC b5: the engine's registers are memory at A0000h.
    pub fn mmio(&self) -> bool {
        self.cr[0x53] & 0x10 != 0 || self.advfunc().mio()
    }

    /// SR09 b7: and nowhere else.
    pub fn mmio_only(&self) -> bool {
        self.sr[9] & 0x80 != 0
    }

    /// CR66 b1: the engine is held in reset.
    pub fn engine_reset(&self) -> bool {
        self.cr[0x66] & 2 != 0
    }

    /// What the engine takes pixels and rows for: CR50 b5-4; CR50 b0, b7, b6, CR31 b1 and ADVFUNC b2. Pixel length 2 is
    /// reserved; width code 101 (CR50 b0 and b6) is Virtual PC's own.
    pub fn geometry(&self) -> Geometry {
        let bytes = match self.cr[0x50] >> 4 & 3 {
            1 => 2,
            3 => 4,
            _ => 1,
        };
        let width = match self.cr[0x50] & 0xc1 {
            0x01 => 1152,
            0x40 => 640,
            0x80 if self.advfunc().scrn_size() => 1600,
            0x80 => 800,
            0x81 => 1600,
            0xc0 => 1280,
            0x41 => 896,
            _ if self.cr31().two_page() => 2048,
            _ => 1024,
        };
        Geometry { bytes, pitch: width * bytes }
    }

    /// Bits of a CRTC register of the VGA that CR35 locks: b4 vertical, b5 horizontal timing.
    pub fn locked_crtc(&self, n: u8) -> u8 {
        let vertical = match n {
            0x06 | 0x10 | 0x15 | 0x16 => 0xff,
            0x07 => 0xad,
            0x09 => 0x20,
            0x11 => 0x0f,
            _ => 0,
        };
        let horizontal = match n {
            0..=5 => 0xff,
            0x17 => 0x04,
            _ => 0,
        };
        let on = |bit: u8| self.cr[0x35] & bit != 0;
        let part = |bit: u8, bits: u8| if on(bit) { bits } else { 0 };
        part(0x10, vertical) | part(0x20, horizontal)
    }

    /// CR34 b5: bits of SR01; CR34 b7: bits of MISC.
    pub fn locked_dots(&self) -> u8 {
        if self.cr[0x34] & 0x20 != 0 { 0x01 } else { 0 }
    }

    pub fn locked_clock(&self) -> u8 {
        if self.cr[0x34] & 0x80 != 0 { 0x0c } else { 0 }
    }

    /// CR33 b6: palette and overscan take no writes.
    pub fn palette_locked(&self) -> bool {
        self.cr[0x33] & 0x40 != 0
    }

    fn old_bank(&self) -> u8 {
        self.cr[0x35] & 15 | self.cr51().old_cpub() << 4
    }

    fn old_start(&self) -> u8 {
        self.cr31().old_dsad() | self.cr51().old_dsad() << 2
    }

    /// `clock_select` and `misc` as CR5C echoes them. `None`: no such register.
    pub fn read_cr(&mut self, n: u8, clock_select: u8) -> Option<u8> {
        Some(match n {
            0x45 => {
                self.cursor.rewind();
                self.cr[0x45]
            }
            0x4a | 0x4b => self.cursor.pop(n == 0x4a),
            0x2d => CR2D_DEVICE_ID_HIGH,
            0x2e => CR2E_DEVICE_ID_LOW,
            0x2f => CR2F_REVISION,
            0x30 => CR30_CHIP_ID,
            // General output port: b3-0 echo the clock select.
            0x5c => {
                let echo = if clock_select == 3 { self.cr[0x42] & 15 } else { clock_select };
                self.cr[0x5c] & 0xf0 | echo
            }
            0x31..=0x7f => self.cr[usize::from(n)],
            _ => return None,
        })
    }

    /// False: no such register. A locked one takes the write in silence.
    pub fn write_cr(&mut self, n: u8, v: u8) -> bool {
        let i = usize::from(n);
        match n {
            0x2d..=0x30 => return true,
            0x38 | 0x39 => self.cr[i] = v,
            0x36 | 0x37 | 0x68 | 0x6f if self.open_straps() => self.cr[i] = v,
            0x36 | 0x37 | 0x68 | 0x6f => {}
            0x31..=0x3f if self.open_low() => self.store_cr(i, v),
            0x40..=0x7f if self.open_high() => self.store_cr(i, v),
            0x31..=0x7f => {}
            _ => return false,
        }
        true
    }

    fn store_cr(&mut self, i: usize, v: u8) {
        let (bank, start) = (self.old_bank(), self.old_start());
        self.cr[i] = v & bits(i);
        match i {
            0x48 => self.cursor.latch(&self.cr),
            0x4a | 0x4b => self.cursor.push(i == 0x4a, v),
            0x66 => self.advfunc = self.advfunc & !1 | v & 1,
            0x69 => self.start = if v & 0x1f != 0 { v & 0x1f } else { self.old_start() },
            0x6a => self.bank = if v & 0x7f != 0 { v & 0x7f } else { self.old_bank() },
            _ => {}
        }
        if self.old_bank() != bank || i == 0x35 {
            self.bank = self.old_bank();
        }
        if self.old_start() != start || i == 0x31 {
            self.start = self.old_start();
        }
    }

    /// 4AE8h, low byte. CR66 b0 is the same bit as b0.
    pub fn write_advfunc(&mut self, v: u8) {
        self.advfunc = v;
        self.cr[0x66] = self.cr[0x66] & !1 | v & 1;
    }

    pub fn read_sr(&mut self, n: u8) -> Option<u8> {
        Some(match n {
            8 => self.sr[8],
            0x09..=0x1c if !self.open_seq() => 0,
            0x17 => {
                self.test = self.test.wrapping_add(1);
                self.test
            }
            0x09..=0x1c => self.sr[usize::from(n)],
            _ => return None,
        })
    }

    pub fn write_sr(&mut self, n: u8, v: u8) -> bool {
        match n {
            8 => self.sr[8] = v & 0x0f,
            0x09..=0x1c => {
                if self.open_seq() {
                    self.sr[usize::from(n)] = v;
                }
            }
            _ => return false,
        }
        true
    }

    /// A clock of the two PLLs in kHz: SR10/SR11 or SR12/SR13.
    fn pll(&self, low: usize) -> u32 {
        let (n, r, m) = (self.sr[low] & 31, self.sr[low] >> 5 & 3, self.sr[low + 1] & 0x7f);
        REFERENCE_KHZ * (u32::from(m) + 2) / ((u32::from(n) + 2) << r)
    }

    /// What all this adds to a VGA.
    pub fn ext(&self, vram: u32) -> Ext {
        let (h, v) = (ExHOvf::from_bits(self.cr[0x5d]), ExVOvf::from_bits(self.cr[0x5e]));
        let (cr31, cr43) = (self.cr31(), self.cr[0x43]);
        let direct = match self.cr[0x67] >> 4 {
            3 => Some(Direct::Rgb15),
            5 => Some(Direct::Rgb16),
            0xd => Some(Direct::Rgb32),
            _ => None,
        };
        let bit = |on: bool, n: u32| u32::from(on) << n;
        let extended = cr31.enh_map() || cr31.cpua_base();
        let offset = match self.cr51().log_scr_w() {
            0 => u32::from(cr43 >> 2 & 1) << 8,
            n => u32::from(n) << 8,
        };
        let dclk = self.pll(0x12);
        Ext {
            h_total: bit(h.ht8(), 8),
            h_display: bit(h.hde8(), 8),
            v_total: bit(v.vt10(), 10),
            v_display: bit(v.vde10(), 10),
            v_blank: bit(v.svb10(), 10),
            v_retrace: bit(v.vrs10(), 10),
            line_compare: bit(v.lcm10(), 10),
            start: if extended { u32::from(self.start) << 16 } else { 0 },
            offset,
            linear: cr31.enh_map(),
            banked: cr31.cpua_base(),
            bank: if cr31.cpua_base() { u32::from(self.bank) << 16 } else { 0 },
            large: cr31.enh_map()
                || direct.is_some()
                || cr31.cpua_base() && !self.cr32().vga_fxpg() && vram > 0x4_0000,
            packed_8: self.cr[0x3a] & 0x10 != 0,
            direct,
            dots_double: cr43 & 0x80 != 0,
            fast_font: cr31.hst_dff(),
            interlace: self.cr[0x42] & 0x20 != 0,
            // SR0D b7-4: sync signals held; CR56 b2-1: sync drivers off. Either is power saving.
            free_vde: self.cr[0x33] & 2 != 0,
            blank: self.sr[0x0d] & 0x50 != 0 || self.cr[0x56] & 6 != 0,
            clock_khz: if self.sr[0x15] & 0x10 != 0 { dclk / 2 } else { dclk },
        }
    }
}
