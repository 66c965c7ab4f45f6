//! The registers of an interrupted caller, as the entry stub pushed them.

/// Bytes that the stub passes through the trap port, lowest address first: MSW, SS, GS, FS, ES, DS, the eight
/// registers of PUSHAD, the service number, IP, CS, FLAGS.
pub const FRAME_BYTES: usize = 52;

pub const CF: u16 = 1 << 0;
pub const ZF: u16 = 1 << 6;
pub const IF: u16 = 1 << 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frame {
    pub msw: u16,
    pub ss: u16,
    pub gs: u16,
    pub fs: u16,
    pub es: u16,
    pub ds: u16,
    pub edi: u32,
    pub esi: u32,
    pub ebp: u32,
    pub esp: u32,
    pub ebx: u32,
    pub edx: u32,
    pub ecx: u32,
    pub eax: u32,
    pub service: u16,
    pub ip: u16,
    pub cs: u16,
    pub flags: u16,
}

macro_rules! halves {
    ($($word:ident $set_word:ident $low:ident $set_low:ident $high:ident $set_high:ident of $full:ident;)*) => {$(
        #[allow(dead_code, reason = "all registers have the same accessors")]
        pub fn $word(&self) -> u16 {
            self.$full as u16
        }
        pub fn $set_word(&mut self, v: u16) {
            self.$full = self.$full & 0xffff_0000 | u32::from(v);
        }
        pub fn $low(&self) -> u8 {
            self.$full as u8
        }
        pub fn $set_low(&mut self, v: u8) {
            self.$full = self.$full & !0xff | u32::from(v);
        }
        pub fn $high(&self) -> u8 {
            (self.$full >> 8) as u8
        }
        pub fn $set_high(&mut self, v: u8) {
            self.$full = self.$full & !0xff00 | u32::from(v) << 8;
        }
    )*};
}

impl Frame {
    halves! {
        ax set_ax al set_al ah set_ah of eax;
        bx set_bx bl set_bl bh set_bh of ebx;
        cx set_cx cl set_cl ch set_ch of ecx;
        dx set_dx dl set_dl dh set_dh of edx;
    }

    pub fn si(&self) -> u16 {
        self.esi as u16
    }

    pub fn di(&self) -> u16 {
        self.edi as u16
    }

    pub fn bp(&self) -> u16 {
        self.ebp as u16
    }

    pub fn set_si(&mut self, v: u16) {
        self.esi = self.esi & 0xffff_0000 | u32::from(v);
    }

    pub fn set_di(&mut self, v: u16) {
        self.edi = self.edi & 0xffff_0000 | u32::from(v);
    }

    pub fn set_bp(&mut self, v: u16) {
        self.ebp = self.ebp & 0xffff_0000 | u32::from(v);
    }

    pub fn set_flag(&mut self, bit: u16, on: bool) {
        self.flags = if on { self.flags | bit } else { self.flags & !bit };
    }

    pub fn carry(&mut self, on: bool) {
        self.set_flag(CF, on);
    }

    /// AH = `code`, carry set.
    pub fn fail(&mut self, code: u8) {
        self.set_ah(code);
        self.carry(true);
    }

    /// AH = 0, carry clear.
    pub fn ok(&mut self) {
        self.set_ah(0);
        self.carry(false);
    }

    /// Was the caller in real mode, where segment * 16 + offset is the physical address?
    pub fn real_mode(&self) -> bool {
        self.msw & 1 == 0
    }

    pub fn from_bytes(b: &[u8; FRAME_BYTES]) -> Self {
        let w = |i: usize| u16::from_le_bytes([b[i], b[i + 1]]);
        let d = |i: usize| u32::from(w(i)) | u32::from(w(i + 2)) << 16;
        Self {
            msw: w(0),
            ss: w(2),
            gs: w(4),
            fs: w(6),
            es: w(8),
            ds: w(10),
            edi: d(12),
            esi: d(16),
            ebp: d(20),
            esp: d(24),
            ebx: d(28),
            edx: d(32),
            ecx: d(36),
            eax: d(40),
            service: w(44),
            ip: w(46),
            cs: w(48),
            flags: w(50),
        }
    }

    pub fn to_bytes(self) -> [u8; FRAME_BYTES] {
        let Self { msw, ss, gs, fs, es, ds, edi, esi, ebp, esp, ebx, edx, ecx, eax, service, ip, cs, flags } =
            self;
        let mut b = [0; FRAME_BYTES];
        for (i, v) in [msw, ss, gs, fs, es, ds].into_iter().enumerate() {
            b[2 * i..2 * i + 2].copy_from_slice(&v.to_le_bytes());
        }
        for (i, v) in [edi, esi, ebp, esp, ebx, edx, ecx, eax].into_iter().enumerate() {
            b[12 + 4 * i..16 + 4 * i].copy_from_slice(&v.to_le_bytes());
        }
        for (i, v) in [service, ip, cs, flags].into_iter().enumerate() {
            b[44 + 2 * i..46 + 2 * i].copy_from_slice(&v.to_le_bytes());
        }
        b
    }
}
