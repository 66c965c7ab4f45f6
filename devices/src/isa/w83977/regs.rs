//! Configuration registers of the W83977F and their values after reset. Data sheet chapter 11.

/// Global registers are 00h-2Fh.
pub(super) const GLOBAL: usize = 0x30;
/// CR07: which logical device 30h-FFh belong to.
pub(super) const LDN: usize = 0x07;
/// Logical devices 0-Ah.
pub(super) const DEVICES: usize = 11;

/// Registers 30h-FFh of one logical device.
pub(super) type Device = [u8; 0x100 - GLOBAL];

const DEVICE_ID: u8 = 0x97;
const REVISION: u8 = 0x71;

/// Logical devices that this board names.
const FDC: usize = 0;
const LPT: usize = 1;
const UART_A: usize = 2;
const UART_B: usize = 3;
const KBC: usize = 5;

pub(super) fn global_reset() -> [u8; GLOBAL] {
    let mut g = [0; GLOBAL];
    g[0x20] = DEVICE_ID;
    g[0x21] = REVISION;
    // CR22: all functional blocks powered. CR26 bit 6, HEFRAS: configuration at 370h.
    g[0x22] = 0xff;
    g[0x23] = 0xfe;
    g[0x26] = 0x40;
    g
}

/// What a BIOS would have set: the ports and interrupts that the board decodes.
pub(super) fn logical_reset() -> [Device; DEVICES] {
    let mut all = [[0; 0x100 - GLOBAL]; DEVICES];
    let mut set = |n: usize, active: bool, base: u16, irq: u8, dma: u8| {
        let d = &mut all[n];
        d[0x30 - GLOBAL] = active.into();
        d[0x60 - GLOBAL] = (base >> 8) as u8;
        d[0x61 - GLOBAL] = base as u8;
        d[0x70 - GLOBAL] = irq;
        // 4 means no DMA channel.
        d[0x74 - GLOBAL] = dma;
    };
    set(FDC, true, 0x3f0, 6, 2);
    set(LPT, true, 0x378, 7, 4);
    set(UART_A, true, 0x3f8, 4, 4);
    set(UART_B, true, 0x2f8, 3, 4);
    set(KBC, true, 0x60, 1, 4);
    let kbc = &mut all[KBC];
    kbc[0x63 - GLOBAL] = 0x64;
    kbc[0x72 - GLOBAL] = 12;
    all
}

/// Which bits of a register software can write.
pub(super) fn writable(index: u8) -> u8 {
    match index {
        // CR20, CR21: identity.
        0x20 | 0x21 => 0,
        0x00..=0x06 => 0,
        0x30 => 0x01,
        0x70 | 0x72 => 0x0f,
        0x74 | 0x75 => 0x07,
        _ => 0xff,
    }
}
