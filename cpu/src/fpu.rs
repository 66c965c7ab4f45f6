//! The state of the x87, MMX and SSE units and its FXSAVE image.
//!
//! The eight registers are kept by their physical number; ST(i) is register (TOP + i) mod 8, MMi is register i.
//! TOP lives in its own field, so `sw` here always has bits 13:11 clear; [`Fpu::status_word`] puts them together.
//! Tags are kept as FXSAVE has them: one bit per physical register, 1 = not empty. The two-bit tags of FSTENV
//! are worked out from the contents when they are asked for (SDM vol. 1, 10.5.1.1).

use crate::softfloat::F80;

/// Status word bits. SDM vol. 1, figure 8-4. The exception flags other than IE are `softfloat`'s.
pub(crate) mod sw {
    pub(crate) const IE: u16 = 1 << 0;
    pub(crate) const SF: u16 = 1 << 6;
    pub(crate) const ES: u16 = 1 << 7;
    pub(crate) const C0: u16 = 1 << 8;
    pub(crate) const C1: u16 = 1 << 9;
    pub(crate) const C2: u16 = 1 << 10;
    pub(crate) const C3: u16 = 1 << 14;
    pub(crate) const B: u16 = 1 << 15;
    pub(crate) const TOP: u16 = 7 << 11;
    pub(crate) const CC: u16 = C0 | C1 | C2 | C3;
    pub(crate) const EXCEPTIONS: u16 = 0x3f;
}

/// Control word as FNINIT leaves it.
pub(crate) const CW_FNINIT: u16 = 0x037f;
/// The control word's writable bits: masks, PC, RC and the X bit; bit 6 reads as one.
pub(crate) const CW_WRITABLE: u16 = 0x1f3f;
/// Bits of MXCSR that exist on this processor, DAZ among them (MXCSR_MASK). SDM vol. 1, 11.6.6.
pub(crate) const MXCSR_MASK: u32 = 0xffff;
pub(crate) const MXCSR_RESET: u32 = 0x1f80;

pub(crate) const FXSAVE_LEN: usize = 512;

/// State of the floating point units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fpu {
    /// R0..R7. An MMX register is the significand of the same number.
    pub regs: [F80; 8],
    pub cw: u16,
    /// Status word without TOP.
    pub sw: u16,
    pub top: u8,
    /// Bit i: Ri is not empty.
    pub tags: u8,
    /// Low 11 bits of the last opcode (SDM vol. 1, 8.1.9).
    pub fop: u16,
    pub fip: u32,
    pub fcs: u16,
    pub fdp: u32,
    pub fds: u16,
    pub xmm: [u128; 8],
    pub mxcsr: u32,
    /// The opcode that executes, which an unmasked exception makes FOP.
    pub last_op: u16,
    /// FERR# may be asserted. Follows from `sw`, so it is not in the image.
    pub ferr: bool,
}

impl Default for Fpu {
    fn default() -> Self {
        Self::reset()
    }
}

impl Fpu {
    /// After RESET#: all registers +0 and valid. SDM vol. 3, table 9-1.
    pub(crate) fn reset() -> Self {
        Self {
            regs: [F80::ZERO; 8],
            cw: 0x0040,
            sw: 0,
            top: 0,
            tags: 0xff,
            fop: 0,
            fip: 0,
            fcs: 0,
            fdp: 0,
            fds: 0,
            xmm: [0; 8],
            mxcsr: MXCSR_RESET,
            last_op: 0,
            ferr: false,
        }
    }

    pub(crate) fn status_word(&self) -> u16 {
        self.sw | u16::from(self.top) << 11
    }

    pub(crate) fn set_status_word(&mut self, v: u16) {
        self.sw = v & !sw::TOP;
        self.top = (v >> 11 & 7) as u8;
    }

    /// ES and B follow from the flags and the masks.
    pub(crate) fn update_es(&mut self) {
        if self.sw & !self.cw & sw::EXCEPTIONS != 0 {
            self.sw |= sw::ES | sw::B;
        } else {
            self.sw &= !(sw::ES | sw::B);
        }
    }

    /// The image without XMM0-7 and MXCSR of an FXSAVE with CR4.OSFXSR clear is up to the processor; P4s store
    /// them all the same, and so do we.
    pub(crate) fn to_fxsave(&self, out: &mut [u8; FXSAVE_LEN]) {
        out[..160 + 128].fill(0);
        out[0..2].copy_from_slice(&self.cw.to_le_bytes());
        out[2..4].copy_from_slice(&self.status_word().to_le_bytes());
        out[4] = self.tags;
        out[6..8].copy_from_slice(&self.fop.to_le_bytes());
        out[8..12].copy_from_slice(&self.fip.to_le_bytes());
        out[12..14].copy_from_slice(&self.fcs.to_le_bytes());
        out[16..20].copy_from_slice(&self.fdp.to_le_bytes());
        out[20..22].copy_from_slice(&self.fds.to_le_bytes());
        out[24..28].copy_from_slice(&self.mxcsr.to_le_bytes());
        out[28..32].copy_from_slice(&MXCSR_MASK.to_le_bytes());
        for i in 0..8 {
            let r = self.regs[(self.top as usize + i) & 7];
            out[32 + 16 * i..42 + 16 * i].copy_from_slice(&r.to_bytes());
        }
        for (i, x) in self.xmm.iter().enumerate() {
            out[160 + 16 * i..176 + 16 * i].copy_from_slice(&x.to_le_bytes());
        }
    }

    /// Reserved MXCSR bits are the caller's to check (#GP); here they are dropped.
    pub(crate) fn load_fxsave(&mut self, image: &[u8; FXSAVE_LEN]) {
        let word = |at: usize| u16::from_le_bytes([image[at], image[at + 1]]);
        let dword = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;
        self.cw = word(0) & CW_WRITABLE | 0x40;
        self.set_status_word(word(2));
        self.update_es();
        // Somebody may hold FERR# for it: it must be released when the exception goes.
        self.ferr |= self.sw & sw::ES != 0;
        self.tags = image[4];
        self.fop = word(6) & 0x7ff;
        self.fip = dword(8);
        self.fcs = word(12);
        self.fdp = dword(16);
        self.fds = word(20);
        self.mxcsr = dword(24) & MXCSR_MASK;
        for i in 0..8 {
            let at = 32 + 16 * i;
            let mut b = [0; 10];
            b.copy_from_slice(&image[at..at + 10]);
            self.regs[(self.top as usize + i) & 7] = F80::from_bytes(b);
        }
        for (i, x) in self.xmm.iter_mut().enumerate() {
            let mut b = [0; 16];
            b.copy_from_slice(&image[160 + 16 * i..176 + 16 * i]);
            *x = u128::from_le_bytes(b);
        }
    }
}
