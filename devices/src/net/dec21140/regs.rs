//! Registers, descriptors and configuration space of the 21140A, named as in the Hardware Reference Manual.

use bitfield_struct::bitfield;
use board::{Bar, ConfigSpace, Width};

/// Bytes of the block of CSRs, in I/O and in memory space. CSR n is at 8 * n.
pub(super) const CSRS: u32 = 128;

/// Configuration registers that decide what is decoded.
pub(super) const CBIO: u8 = 0x10;
pub(super) const CBMA: u8 = 0x14;

/// Function `func` of the card after reset. `many`: the device has more functions.
pub(super) fn config_space(func: u8, many: bool) -> ConfigSpace {
    let header = if many { 0x80 } else { 0 };
    ConfigSpace::new(0x1011, 0x0009, 0x02_0000, 0x20)
        // CFCS: I/O, memory, master, parity error response, SERR# enable.
        .reg(0x04, Width::W, 0, 0x0147)
        .reg(0x06, Width::W, 0x0280, 0)
        .w1c(0x06, Width::W, 0xf900)
        // CFLT: cache line size and latency timer.
        .reg(0x0c, Width::W, 0, 0xffff)
        .reg(0x0e, Width::B, header, 0)
        .bar(0, Bar::Io { len: CSRS })
        .bar(1, Bar::Mem { len: CSRS, prefetch: false })
        // SSID, as the serial ROM has it.
        .reg(
            0x2c,
            Width::D,
            u32::from(super::srom::SUBSYSTEM) << 16 | u32::from(super::srom::vendor(func)),
            0,
        )
        .interrupt(func + 1)
        // MIN_GNT and MAX_LAT.
        .reg(0x3e, Width::W, 0x2814, 0)
        // CFDD: sleep, snooze, and a byte for the driver.
        .reg(0x40, Width::D, 0, 0xc000_ff00)
}

/// CSR0, Bus Mode. What bursts and cache lines it asks for changes nothing here.
#[bitfield(u32, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct BusMode {
    /// Software reset; reads 0 again.
    pub(super) swr: bool,
    pub(super) bar: bool,
    /// Descriptor skip length, in longwords.
    #[bits(5)]
    pub(super) dsl: u32,
    pub(super) ble: bool,
    #[bits(6)]
    pub(super) pbl: u8,
    #[bits(2)]
    pub(super) cal: u8,
    __: bool,
    /// Transmit automatic polling.
    #[bits(3)]
    pub(super) tap: usize,
    pub(super) dbo: bool,
    pub(super) rml: bool,
    __: bool,
    pub(super) rle: bool,
    pub(super) wie: bool,
    #[bits(7)]
    __: u8,
}
const _: () = assert!(BusMode::new().with_dsl(31).with_tap(7).into_bits() == 0x000e_007c);
pub(super) const BUS_MODE_WRITABLE: u32 = 0x01be_fffe;
pub(super) const BUS_MODE_ONES: u32 = 0xfe00_0000;

/// CSR5, Status: the bits that a written 1 clears. CSR7 enables them at the same places.
pub(super) mod status {
    pub const TI: u32 = 1;
    pub const TPS: u32 = 1 << 1;
    pub const TU: u32 = 1 << 2;
    pub const TJT: u32 = 1 << 3;
    pub const UNF: u32 = 1 << 5;
    pub const RI: u32 = 1 << 6;
    pub const RU: u32 = 1 << 7;
    pub const RPS: u32 = 1 << 8;
    pub const RWT: u32 = 1 << 9;
    pub const ETI: u32 = 1 << 10;
    pub const GTE: u32 = 1 << 11;
    pub const FBE: u32 = 1 << 13;
    pub const ERI: u32 = 1 << 14;
    pub const NORMAL: u32 = TI | TU | RI | GTE | ERI;
    pub const ABNORMAL: u32 = TPS | TJT | UNF | RU | RPS | RWT | ETI | FBE;
    pub const ALL: u32 = NORMAL | ABNORMAL;
    /// Summaries, computed, with their enables in CSR7.
    pub const AIS: u32 = 1 << 15;
    pub const NIS: u32 = 1 << 16;
    /// EB: master abort. Nobody answered at an address of ours.
    pub const EB_MASTER_ABORT: u32 = 1 << 23;
    pub const ONES: u32 = 0xfc00_0000;
    pub const MASK_ONES: u32 = 0xfffe_0000;
}

/// CSR6, Operation Mode.
#[bitfield(u32, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct OpMode {
    /// RO: the last setup frame's filter; hash for groups, one perfect address.
    pub(super) hp: bool,
    /// Start/stop receive.
    pub(super) sr: bool,
    /// RO: hash-only filtering.
    pub(super) ho: bool,
    /// Pass bad frames.
    pub(super) pb: bool,
    /// RO, IF: inverse filtering.
    pub(super) inverse: bool,
    pub(super) sb: bool,
    /// Promiscuous mode.
    pub(super) pr: bool,
    /// Pass all multicast.
    pub(super) pm: bool,
    pub(super) fkd: bool,
    pub(super) fd: bool,
    /// Operating mode: 1 internal, 2 external loopback.
    #[bits(2)]
    pub(super) om: u8,
    /// Force collision.
    pub(super) fc: bool,
    /// Start/stop transmission.
    pub(super) st: bool,
    #[bits(2)]
    pub(super) tr: u8,
    __: bool,
    pub(super) ca: bool,
    /// Port select: MII/SYM.
    pub(super) ps: bool,
    pub(super) hbd: bool,
    __: bool,
    pub(super) sf: bool,
    /// Transmit threshold mode: 10 Mb/s.
    pub(super) ttm: bool,
    pub(super) pcs: bool,
    pub(super) scr: bool,
    /// Must be one.
    pub(super) mbo: bool,
    #[bits(4)]
    __: u8,
    /// Receive all.
    pub(super) ra: bool,
    pub(super) sc: bool,
}
const _: () = assert!(OpMode::new().with_st(true).with_sr(true).with_ra(true).into_bits() == 0x4000_2002);
const _: () = assert!(OpMode::new().with_ps(true).with_mbo(true).into_bits() == 0x0204_0000);
pub(super) const OP_MODE_WRITABLE: u32 = 0xc1ee_ffea;
pub(super) const OP_MODE_ONES: u32 = 0x3200_0000;
/// PR, whatever the host had there before.
pub(super) const OP_MODE_RESET: u32 = 0x0000_0040;

/// RDES0.
#[bitfield(u32, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Rdes0 {
    pub(super) of: bool,
    pub(super) ce: bool,
    pub(super) db: bool,
    pub(super) re: bool,
    pub(super) rw: bool,
    /// Frame type: Ethernet, not IEEE 802.3.
    pub(super) ft: bool,
    pub(super) cs: bool,
    /// Too long: more than 1518 bytes.
    pub(super) tl: bool,
    pub(super) ls: bool,
    pub(super) fs: bool,
    /// Multicast frame: any group address.
    pub(super) mf: bool,
    pub(super) rf: bool,
    /// Data type: 0 from the wire, 1 internal, 2 external loopback.
    #[bits(2)]
    pub(super) dt: u8,
    /// Descriptor error: the frame did not fit and the next descriptor is the host's.
    pub(super) de: bool,
    pub(super) es: bool,
    /// Frame length, CRC included.
    #[bits(14)]
    pub(super) fl: u16,
    /// Filtering fail: here by receive-all only.
    pub(super) ff: bool,
    pub(super) own: bool,
}
const _: () = assert!(Rdes0::new().with_ls(true).with_fs(true).into_bits() == 0x300);
const _: () = assert!(Rdes0::new().with_fl(64).with_own(true).into_bits() == 0x8040_0000);

/// RDES1.
#[bitfield(u32, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Rdes1 {
    #[bits(11)]
    pub(super) rbs1: u32,
    #[bits(11)]
    pub(super) rbs2: u32,
    #[bits(2)]
    __: u8,
    /// The second address is the next descriptor's.
    pub(super) rch: bool,
    pub(super) rer: bool,
    #[bits(6)]
    __: u8,
}

/// TDES0.
#[bitfield(u32, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Tdes0 {
    pub(super) de: bool,
    pub(super) uf: bool,
    pub(super) lf: bool,
    #[bits(4)]
    pub(super) cc: u8,
    pub(super) hf: bool,
    /// Excessive collisions.
    pub(super) ec: bool,
    pub(super) lc: bool,
    pub(super) nc: bool,
    pub(super) lo: bool,
    #[bits(2)]
    __: u8,
    /// Jabber time-out.
    pub(super) to: bool,
    pub(super) es: bool,
    #[bits(15)]
    __: u16,
    pub(super) own: bool,
}
const _: () = assert!(Tdes0::new().with_es(true).with_own(true).into_bits() == 0x8000_8000);

/// What TDES0 reads once a setup frame was taken in.
pub(super) const SETUP_DONE: u32 = 0x7fff_ffff;

/// TDES1.
#[bitfield(u32, order = Lsb)]
#[derive(PartialEq, Eq)]
pub(super) struct Tdes1 {
    #[bits(11)]
    pub(super) tbs1: u32,
    #[bits(11)]
    pub(super) tbs2: u32,
    pub(super) ft0: bool,
    /// Disabled padding.
    pub(super) dpd: bool,
    pub(super) tch: bool,
    pub(super) ter: bool,
    /// Add CRC disable.
    pub(super) ac: bool,
    pub(super) set: bool,
    pub(super) ft1: bool,
    pub(super) fs: bool,
    pub(super) ls: bool,
    pub(super) ic: bool,
}
const _: () = assert!(Tdes1::new().with_tbs1(192).with_set(true).into_bits() == 0x0800_00c0);
const _: () = assert!(Tdes1::new().with_tbs2(1).with_ic(true).into_bits() == 0x8000_0800);
