//! PCI BIOS 2.1: INT 1Ah AH=B1h and the 32-bit entry.

use crate::bus::{Bus, Far, config_address, le16, le32};
use crate::frame::Frame;
use crate::rom::tables;
use crate::wiring;

const SUCCESS: u8 = 0x00;
const NOT_SUPPORTED: u8 = 0x81;
const BAD_VENDOR: u8 = 0x83;
const NOT_FOUND: u8 = 0x86;
const BAD_REGISTER: u8 = 0x87;
const SET_FAILED: u8 = 0x88;
const BUFFER_SMALL: u8 = 0x89;

/// `flat`: called through the 32-bit entry, where no segment can be used.
pub async fn serve(bus: &Bus, f: &mut Frame, flat: bool) {
    let r = function(bus, f, flat).await;
    f.set_ah(r);
    f.carry(r != SUCCESS);
}

async fn function(bus: &Bus, f: &mut Frame, flat: bool) -> u8 {
    match f.al() {
        0x01 => {
            f.set_al(0x01);
            f.set_bx(0x0210);
            f.set_cl(0);
            f.edx = u32::from_le_bytes(*b"PCI ");
            f.edi = 0xf_0000 + u32::from(bus.world.pci32_entry);
            SUCCESS
        }
        0x02 if f.dx() == 0xffff => BAD_VENDOR,
        0x02 => {
            let want = u32::from(f.cx()) << 16 | u32::from(f.dx());
            find(bus, f, |id, _| id == want).await
        }
        0x03 => {
            let want = f.ecx & 0xff_ffff;
            find(bus, f, |_, class| class >> 8 == want).await
        }
        al @ (0x08..=0x0d) => {
            let width = [1, 2, 4][usize::from(al - 8) % 3];
            config(bus, f, width, al >= 0x0b).await
        }
        0x0e if !flat => routing(bus, f).await,
        0x0f => set_irq(bus, f).await,
        _ => NOT_SUPPORTED,
    }
}

/// The SIth function that fits. Identification in one dword, class and revision in the other.
async fn find(bus: &Bus, f: &mut Frame, fits: impl Fn(u32, u32) -> bool) -> u8 {
    let mut index = f.si();
    let mut devfn = 0u16;
    while devfn < 256 {
        let d = devfn as u8;
        let id = bus.pci_read32(d, 0).await;
        if id as u16 == 0xffff {
            // No function 0: no device.
            devfn += if d & 7 == 0 { 8 } else { 1 };
            continue;
        }
        if fits(id, bus.pci_read32(d, 8).await) {
            if index == 0 {
                f.set_bx(u16::from(d));
                return SUCCESS;
            }
            index -= 1;
        }
        let single = d & 7 == 0 && bus.pci_read8(d, 0x0e).await & 0x80 == 0;
        devfn += if single { 8 } else { 1 };
    }
    NOT_FOUND
}

async fn config(bus: &Bus, f: &mut Frame, width: u16, write: bool) -> u8 {
    let reg = f.di();
    if reg > 255 || !reg.is_multiple_of(width) {
        return BAD_REGISTER;
    }
    let (reg, devfn) = (reg as u8, f.bl());
    // The other buses of the address space are read, and answer as empty.
    bus.outl(0xcf8, config_address(devfn, reg) | u32::from(f.bh()) << 16).await;
    let port = 0xcfc + u16::from(reg & 3);
    match (width, write) {
        (1, false) => {
            let v = bus.inb(port).await;
            f.set_cl(v);
        }
        (2, false) => {
            let v = bus.inw(port).await;
            f.set_cx(v);
        }
        (_, false) => f.ecx = bus.inl(port).await,
        (1, true) => bus.outb(port, f.cl()).await,
        (2, true) => bus.outw(port, f.cx()).await,
        (_, true) => bus.outl(port, f.ecx).await,
    }
    SUCCESS
}

/// 0Eh: routing options. ES:DI: length word and far pointer.
async fn routing(bus: &Bus, f: &mut Frame) -> u8 {
    let at = Far::new(f.es, f.di());
    let p = bus.read(at, 6).await;
    let slots = &tables::pir()[32..];
    bus.write16(at, slots.len() as u16).await;
    if usize::from(le16(&p)) < slots.len() {
        return BUFFER_SMALL;
    }
    bus.write(Far::from_bits(le32(&p[2..])), slots).await;
    // No interrupt belongs to PCI alone.
    f.set_bx(0);
    SUCCESS
}

/// 0Fh: routes a slot's pin to an interrupt: the PIRQ behind it, level mode, and the interrupt line.
async fn set_irq(bus: &Bus, f: &mut Frame) -> u8 {
    let (irq, pin, devfn) = (f.ch(), f.cl(), f.bl());
    if f.bh() != 0 || !(0x0a..=0x0d).contains(&pin) || irq > 15 || wiring::PIRQ_CHOICE >> irq & 1 == 0 {
        return SET_FAILED;
    }
    let link = wiring::pirq(devfn >> 3, pin - 0x0a);
    bus.pci_write8(wiring::ISA_BRIDGE, wiring::PIRQRC + link, irq).await;
    let port = 0x4d0 + u16::from(irq / 8);
    let v = bus.inb(port).await;
    bus.outb(port, v | 1 << (irq & 7)).await;
    bus.pci_write8(devfn, 0x3c, irq).await;
    SUCCESS
}
