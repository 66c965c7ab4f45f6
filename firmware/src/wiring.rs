//! What the firmware knows of the board: one place, from which $PIR, _PRT, interrupt lines and port bases follow.

/// A PCI device position. `slot` is the number printed beside a socket; 0 for parts of the board.
#[derive(Debug, Clone, Copy)]
pub struct PciSlot {
    pub dev: u8,
    pub slot: u8,
}

/// 7 is the PIIX4, 8 the display, 10 (0Ah) the network card; the others are free.
pub const SLOTS: &[PciSlot] = &[
    PciSlot { dev: 7, slot: 0 },
    PciSlot { dev: 8, slot: 0 },
    PciSlot { dev: 9, slot: 1 },
    PciSlot { dev: 10, slot: 2 },
    PciSlot { dev: 11, slot: 3 },
    PciSlot { dev: 12, slot: 4 },
];

/// Which of PIRQA-D (0-3) the interrupt pin (0 = INTA#) of a device is wired to: rotated by the slot, so that
/// single-pin cards spread, with INTD# of the PIIX4 on PIRQD#, where its own functions are wired inside.
pub const fn pirq(dev: u8, pin: u8) -> u8 {
    pin.wrapping_add(dev).wrapping_add(1) & 3
}

/// First of the PIIX4's four PIRQ route control registers.
pub const PIRQRC: u8 = 0x60;
/// ISA interrupts of PIRQA-D after POST.
pub const PIRQ_IRQ: [u8; 4] = [11, 10, 10, 11];
/// ISA interrupts that a PIRQ may be moved to, as a bit map: 9, 10, 11. The others belong to ISA devices.
pub const PIRQ_CHOICE: u16 = 1 << 9 | 1 << 10 | 1 << 11;
/// The SCI.
pub const SCI_IRQ: u8 = 9;

pub const HOST_BRIDGE: u8 = 0;
pub const ISA_BRIDGE: u8 = 7 << 3;
pub const IDE: u8 = 7 << 3 | 1;
pub const PM: u8 = 7 << 3 | 3;
pub const VGA: u8 = 8 << 3;

/// Power management I/O block, 64 bytes.
pub const PM_BASE: u16 = 0x400;
/// SMBus host controller, 16 bytes.
pub const SMBUS_BASE: u16 = 0x450;
/// Values that the PIIX4 takes at its SMI command port for the SCI switch.
pub const SMI_CMD: u16 = 0xb2;
pub const ACPI_ENABLE: u8 = 0xe1;
pub const ACPI_DISABLE: u8 = 0x1e;

/// First I/O port and first memory address that POST gives to base address registers.
pub const PCI_IO: u16 = 0xc000;
pub const PCI_MEM: u32 = 0xe800_0000;
/// The display's frame buffer, where Virtual PC has it.
pub const LFB: u32 = 0xf800_0000;
/// End of the PCI memory window.
pub const PCI_MEM_END: u32 = 0xfebf_ffff;

/// The extended BIOS data area: last KiB below 640 KiB.
pub const EBDA_SEG: u16 = 0x9fc0;
/// Bytes at the top of RAM for ACPI tables, the last page of them FACS.
pub const ACPI_BYTES: u32 = 0x1_0000;
