//! From service numbers to services.

use crate::bus::Bus;
use crate::frame::Frame;
use crate::{boot, clock, disk, keyboard, mouse, pcibios, post, serial, system, video};

/// Numbers that entry stubs push. Below 100h it is the interrupt.
pub mod svc {
    pub const POST: u16 = 0x100;
    pub const NMI: u16 = 0x102;
    pub const STRAY_MASTER: u16 = 0x103;
    pub const STRAY_SLAVE: u16 = 0x104;
    pub const PNP: u16 = 0x110;
    pub const APM: u16 = 0x111;
    pub const PCI32: u16 = 0x112;
    pub const VIDEO_INIT: u16 = 0x120;
    pub const VBE_WINDOW: u16 = 0x121;
}

/// Runs the service that the frame names, and returns the registers for its caller.
pub async fn serve(bus: Bus, mut f: Frame) -> Frame {
    match f.service {
        0x05 => system::print_screen(&bus).await,
        0x09 => keyboard::irq1(&bus).await,
        0x10 => video::int10(&bus, &mut f).await,
        0x13 => disk::int13(&bus, &mut f).await,
        0x14 => serial::int14(&bus, &mut f).await,
        0x15 => system::int15(&bus, &mut f).await,
        0x16 => keyboard::int16(&bus, &mut f).await,
        0x17 => serial::int17(&bus, &mut f).await,
        0x18 => boot::int18(&bus).await,
        0x19 => boot::int19(&bus).await,
        0x1a => clock::int1a(&bus, &mut f).await,
        0x40 => disk::int40(&bus, &mut f).await,
        0x70 => clock::irq8(&bus).await,
        0x74 => mouse::irq12(&bus).await,
        svc::POST => post::run(&bus).await,
        svc::NMI => post::nmi(&bus).await,
        svc::STRAY_MASTER => post::stray(&bus, false).await,
        svc::STRAY_SLAVE => post::stray(&bus, true).await,
        svc::PNP => system::pnp(&bus, &mut f).await,
        svc::APM => system::apm_entry(&bus, &mut f).await,
        svc::PCI32 => pcibios::serve(&bus, &mut f, true).await,
        svc::VIDEO_INIT => video::init_card(&bus).await,
        svc::VBE_WINDOW => video::vbe::window_call(&bus, &mut f).await,
        _ => {}
    }
    f
}
