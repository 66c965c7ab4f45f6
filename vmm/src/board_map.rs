//! The Virtual PC board as one table: which chip sits where, and which wire goes to which interrupt.
//!
//! | chip | place | interrupt |
//! |---|---|---|
//! | 8259 pair | 20h, A0h, ELCR 4D0h | |
//! | 8237 pair | 00h, C0h, pages 81h-8Fh | |
//! | 440BX | PCI 0:0.0 | |
//! | PIIX4 ISA bridge | PCI 0:7.0, 80h, 84h-86h, 88h, 8Ch-8Eh, 92h, F0h, CF9h | 13 |
//! | PIIX4 IDE | PCI 0:7.1; puts 1F0h/3F6h, 170h/376h and its bus master where its registers say | 14, 15 |
//! | PIIX4 power management | PCI 0:7.3, B2h; PM and SMBus blocks where its registers say; a wire from the clock's IRQ8 | 9 (SCI) |
//! | S3 Trio64 | PCI 0:8.0; VGA ports and memory, frame buffer where its registers say | PIRQ of device 8 |
//! | 21140A x 0 to 4 | PCI 0:10.0 to 0:10.3; registers where its registers say | PIRQ of device 10, INTA# to INTD# |
//! | integration channel | PCI 0:11.0, if the spec has it; registers and window where its registers say; a wire to COM2 | PIRQ of device 11 |
//! | 8254 | 40h-43h, 61h | 0 |
//! | MC146818 | 70h-77h | 8 |
//! | 8042 | 60h, 64h | 1, 12 |
//! | 16550 x 2 | 3F8h, 2F8h | 4, 3 |
//! | parallel port | 378h | 7 |
//! | i82077 | 3F0h-3F5h, 3F7h | 6; DMA 2 |
//! | W83977 | 370h | |
//! | Sound Blaster 16 | 220h-22Fh, 330h, 388h-38Bh, or where its Plug and Play registers (279h, A79h) say | 5 (9, 7, 10); DMA 1, 5 |
//! | firmware trap | 580h-5FFh | |

use std::sync::Arc;

use board::{
    Decode, Device, Lamps, Lines, Media, NetPort, ParallelPort, Route, Scanout, SerialPort, SlotId,
    SoundPort, Win,
};
use devices::ata::DriveSpec;
use devices::ata::atapi::CdSpec;
use devices::ata::hard_disk::DiskSpec;
use devices::audio;
use devices::audio::sb16::{self, Sb16};
use devices::channel::{self, Channel, Services};
use devices::chipset::i440bx::{self, I440bx, RomPages};
use devices::chipset::piix4::{ide, isa, pm};
use devices::isa::i82077::media::FloppySpec;
use devices::isa::{i8042, i8237, i8254, i8259, i82077, lpt, mc146818, ns16550, w83977};
use devices::net::dec21140::{self, Dec21140};
use devices::smbus;
use devices::video::s3trio64::{self, S3Trio64};
use firmware::{BootDevice, Firmware};
use ram::{GuestRam, Slot};

use crate::board_io::{Board, Built};
use crate::floppy::FLOPPIES;
use crate::machine::Parts;
use crate::mailbox::Mailbox;
use crate::services::com2::{Later, To};
use crate::spec::NETS_MOST;

/// IDE units.
pub(crate) const DRIVES: usize = 4;
const ROM_BYTES: u32 = 256 << 10;
/// The chip select of the flash: the last 256 KiB below 4 GiB.
const ROM_HIGH: u32 = 0u32.wrapping_sub(ROM_BYTES);
/// 9999-12-31 23:59:59: the calendar has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;
/// First low page of the ROM's image below 1 MiB.
const ROM_LOW_PAGE: u32 = 0xc0;

/// Arena bytes beyond main RAM: ROM, frame buffer, the display card's own ROM, the channel's window.
pub(crate) fn slot_bytes(parts: &Parts) -> u64 {
    let mib = parts.vram_mib + parts.channel.as_ref().map_or(0, |c| c.window_mib);
    u64::from(ROM_BYTES) + (u64::from(mib) << 20) + firmware::rom::VIDEO_BYTES as u64
}

/// What hangs on an IDE cable, as the builder found it.
pub(crate) enum Found {
    Disk(DiskSpec),
    Cdrom(Option<Media>),
}

/// What the chips are connected to.
pub(crate) struct Outside {
    pub(crate) drives: [Option<Found>; DRIVES],
    pub(crate) floppies: [Option<FloppySpec>; FLOPPIES],
    pub(crate) serial: [Option<Box<dyn SerialPort>>; 2],
    pub(crate) net: [Option<Box<dyn NetPort>>; NETS_MOST],
    pub(crate) parallel: Option<Box<dyn ParallelPort>>,
    pub(crate) sound: Option<Box<dyn SoundPort>>,
    pub(crate) display: Box<dyn Scanout>,
    pub(crate) lamps: Box<dyn Lamps>,
    /// Behind the integration channel.
    pub(crate) services: Option<Box<dyn Services>>,
    pub(crate) mailbox: Mailbox,
}

/// Slots of chips that commands from outside go to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Roles {
    pub(crate) kbc: SlotId,
    pub(crate) vga: SlotId,
    pub(crate) com: [SlotId; 2],
    pub(crate) ide: SlotId,
    pub(crate) fdc: SlotId,
    pub(crate) pm: SlotId,
    pub(crate) rtc: SlotId,
    /// By the number of the port.
    pub(crate) net: [Option<SlotId>; NETS_MOST],
    pub(crate) channel: Option<SlotId>,
}

/// Where the network card is, and its functions' names.
const NET_DEVICE: u8 = 10;
const CHANNEL_DEVICE: u8 = 11;
const NETS: [&str; NETS_MOST] = ["dec21140-0", "dec21140-1", "dec21140-2", "dec21140-3"];

/// Chips and places while the board is being put together.
#[derive(Default)]
struct Kit {
    chips: Vec<Box<dyn Device>>,
    places: Vec<(SlotId, Win, Decode)>,
    lines: Lines,
}

impl Kit {
    fn irq(&mut self, n: u8) -> board::Line {
        self.lines.connect(Route::Isa(n))
    }

    /// A PCI interrupt pin (0 = INTA#) of a device, through the board's wiring to the PIRQ router.
    fn pci_irq(&mut self, dev: u8, pin: u8) -> board::Line {
        self.lines.connect(Route::Pirq(firmware::wiring::pirq(dev, pin)))
    }

    fn add(&mut self, chip: impl Device + 'static, places: &[(Win, Decode)]) -> SlotId {
        let slot = Board::slot(self.chips.len());
        self.chips.push(Box::new(chip));
        self.put(slot, places);
        slot
    }

    fn put(&mut self, slot: SlotId, places: &[(Win, Decode)]) {
        self.places.extend(places.iter().map(|&(w, d)| (slot, w, d)));
    }
}

const fn pci(dev: u8, func: u8) -> Decode {
    Decode::Config { dev, func }
}

/// What lies below 1 MiB of a BIOS that is copied into RAM, and where: all of it, or as often as it fits into
/// E0000h-FFFFFh.
pub(crate) fn low_image(image: &[u8]) -> (u64, Vec<u8>) {
    let len = image.len().max(128 << 10);
    ((1 << 20) - len as u64, image.iter().copied().cycle().take(len).collect())
}

/// Puts the ROM's bytes into a slot: at the top of 4 GiB, and what PAM shows of it below 1 MiB.
fn rom(ram: &GuestRam, image: &[u8], own: bool) -> (Slot, Vec<RomPages>) {
    let slot = ram.allocate(ROM_BYTES, false);
    let at = ram.extent(slot).start;
    // A smaller image repeats, as it does on a bus that decodes fewer address lines.
    let mut filled = 0;
    while filled < ROM_BYTES {
        ram.arena().copy_in(at + filled, image);
        filled += image.len() as u32;
    }
    ram.place(slot, Some(ROM_HIGH));
    let low = |pages: std::ops::RangeInclusive<u8>| {
        let offset = (u32::from(*pages.start()) - ROM_LOW_PAGE) << ram::PAGE_SHIFT;
        RomPages { pages, offset }
    };
    // Our own image has a video BIOS at C0000h; another BIOS brings a system ROM only.
    let pages = if own { vec![low(0xc0..=0xff)] } else { vec![low(0xe0..=0xff)] };
    (slot, pages)
}

pub(crate) fn build(parts: &Parts, ram: &Arc<GuestRam>, outside: Outside) -> (Built, Roles) {
    use Decode::Pio;
    let Outside { drives, floppies, serial, net, parallel, sound, display, lamps, services, mailbox } =
        outside;
    let mut k = Kit::default();
    let vram = parts.vram_mib << 20;
    let image = parts.bios.clone().unwrap_or_else(firmware::rom_image);
    let (rom_slot, rom_pages) = rom(ram, &image, parts.bios.is_none());

    k.put(
        Board::PIC_SLOT,
        &[(i8259::MASTER, Pio(0x20)), (i8259::SLAVE, Pio(0xa0)), (i8259::ELCR, Pio(0x4d0))],
    );
    k.put(
        Board::DMA_SLOT,
        &[
            (i8237::LOW, Pio(0x00)),
            (i8237::HIGH, Pio(0xc0)),
            (i8237::PAGE81, Pio(0x81)),
            (i8237::PAGE87, Pio(0x87)),
            (i8237::PAGE89, Pio(0x89)),
            (i8237::PAGE8F, Pio(0x8f)),
        ],
    );
    let irq13 = k.irq(13);
    k.put(
        Board::ISA_SLOT,
        &[
            (isa::CONFIG, pci(7, 0)),
            (isa::POST80, Pio(0x80)),
            (isa::POST84, Pio(0x84)),
            (isa::POST88, Pio(0x88)),
            (isa::POST8C, Pio(0x8c)),
            (isa::PORT92, Pio(0x92)),
            (isa::COPROC, Pio(0xf0)),
            (isa::RESET_CONTROL, Pio(0xcf9)),
        ],
    );

    k.add(I440bx::new(rom_slot, rom_pages), &[(i440bx::CONFIG, pci(0, 0))]);
    let wiring = ide::Wiring { irq14: k.irq(14), irq15: k.irq(15) };
    let mut unit = 0;
    let specs = drives.map(|d| {
        unit += 1;
        d.map(|d| drive(unit - 1, d))
    });
    let mut ide = ide::Piix4Ide::new(wiring, specs);
    if parts.bios.is_some() {
        ide = ide.with_wide_bmiba();
    }
    let ide_slot = k.add(ide, &[(ide::CONFIG, pci(7, 1))]);
    let sci = k.irq(9);
    let modules = smbus::Bus::with_modules(smbus::modules(parts.memory_mib << 20));
    let pm = pm::Piix4Pm::new(sci).with_smbus(modules);
    let pm_slot = k.add(pm, &[(pm::CONFIG, pci(7, 3)), (pm::APM, Pio(0xb2))]);
    let inta = k.pci_irq(8, 0);
    let mut s3 = S3Trio64::new(ram, vram, inta, display);
    if parts.bios.is_some() {
        s3 = s3.with_rom(ram, &firmware::video_rom());
    }
    let vga = k.add(s3, &[(s3trio64::CONFIG, pci(8, 0))]);

    let net = adapters(&mut k, parts, net);
    let com2 = Later::default();
    let [com1, mut com2_end] = serial;
    let channel = parts.channel.as_ref().zip(services).map(|(c, services)| {
        let inta = k.pci_irq(CHANNEL_DEVICE, 0);
        let mut chip = Channel::new(ram, c.window_mib << 20, inta, c.name.clone(), services);
        let own = Later::default();
        if c.serial && com2_end.is_none() {
            let to = |chip: &Later| Box::new(To { mailbox: mailbox.clone(), chip: chip.clone() });
            com2_end = Some(to(&own));
            chip = chip.with_serial(to(&com2));
        }
        let config = [(channel::CONFIG, pci(CHANNEL_DEVICE, 0))];
        *own.get_or_init(|| k.add(chip, if c.pci { &config } else { &[] }))
    });

    let irq0 = k.irq(0);
    // The speaker is heard beside the card, not through its mixer.
    let [sound, speaker] = match sound {
        Some(port) => audio::share(port).map(Some),
        None => [None, None],
    };
    k.add(
        i8254::I8254::new(irq0).with_speaker(speaker),
        &[(i8254::TIMER, Pio(0x40)), (i8254::PORT61, Pio(0x61))],
    );
    let irq8 = k.irq(8);
    let mut rtc = mc146818::Mc146818::new(irq8, parts.start_seconds.min(LAST_SECOND) as i64);
    if parts.bios.is_some() {
        // Other BIOSes read the memory size and the diskette drives here; ours is told, and writes it.
        rtc.set_floppies(floppy_types(&floppies));
        rtc.set_memory(parts.memory_mib << 20);
    }
    let rtc = k.add(rtc, &[(mc146818::RTC, Pio(0x70))]);
    let (irq1, irq12) = (k.irq(1), k.irq(12));
    let kbc = i8042::I8042::new(irq1, irq12).with_lamps(lamps);
    let kbc = k.add(kbc, &[(i8042::DATA, Pio(0x60)), (i8042::COMMAND, Pio(0x64))]);
    let mut uart = |name, irq, port, end: Option<Box<dyn SerialPort>>| {
        let line = k.irq(irq);
        let end = end.unwrap_or_else(|| Box::new(Unplugged));
        k.add(ns16550::Ns16550::new(name, line, end), &[(ns16550::UART, Pio(port))])
    };
    let com = [uart("com1", 4, 0x3f8, com1), uart("com2", 3, 0x2f8, com2_end)];
    com2.get_or_init(|| com[1]);
    let irq7 = k.irq(7);
    k.add(lpt::Lpt::new(irq7, parallel), &[(lpt::LPT, Pio(0x378))]);
    let irq6 = k.irq(6);
    let [fdc_low, fdc_high] = i82077::PORTS;
    let fdc = k.add(i82077::I82077::new(irq6, floppies), &[(i82077::LOW, fdc_low), (i82077::HIGH, fdc_high)]);
    k.add(w83977::W83977::new(), &[(w83977::CONFIG, Pio(0x370))]);
    let irqs = sb16::IRQS.map(|n| k.irq(n));
    let pnp = [(sb16::PNP_ADDRESS, Pio(0x279)), (sb16::PNP_WRITE, Pio(0xa79))];
    let sound = k.add(Sb16::new(irqs, sound), &pnp);
    // With another BIOS the services of the video BIOS are left.
    let bios = Firmware::new(firmware_config(parts, vram, floppy_types(&floppies)), ram.clone());
    k.add(bios, &[(firmware::TRAP, Pio(firmware::TRAP_AT))]);

    let Kit { chips, places, lines } = k;
    let built = Built {
        pic: i8259::I8259::new(),
        dma: i8237::I8237::new(),
        isa: isa::Piix4Isa::new(irq13),
        chips,
        places,
        lines,
        lazy: sound,
    };
    (built, Roles { kbc, vga, com, ide: ide_slot, fdc, pm: pm_slot, rtc, net, channel })
}

/// The adapters that have a cable, as functions one after the other: there is none without a function 0.
fn adapters(
    k: &mut Kit,
    parts: &Parts,
    ports: [Option<Box<dyn NetPort>>; NETS_MOST],
) -> [Option<SlotId>; NETS_MOST] {
    let many = ports.iter().flatten().count() > 1;
    let mut slots = [None; NETS_MOST];
    let mut func = 0;
    for (n, port) in ports.into_iter().enumerate() {
        let Some(port) = port else { continue };
        let line = k.pci_irq(NET_DEVICE, func);
        let place = dec21140::Place { name: NETS[n], func, many };
        let chip = Dec21140::new(place, parts.macs[n], line, port);
        slots[n] = Some(k.add(chip, &[(dec21140::CONFIG, pci(NET_DEVICE, func))]));
        func += 1;
    }
    slots
}

/// Nothing in the socket: bytes go nowhere, modem inputs are off.
struct Unplugged;

impl SerialPort for Unplugged {
    fn send(&mut self, _byte: u8) {}

    fn connected(&self) -> bool {
        false
    }
}

fn drive(unit: usize, d: Found) -> DriveSpec {
    let serial = format!("HL{unit:08}");
    match d {
        Found::Disk(spec) => DriveSpec::Disk(DiskSpec { serial, ..spec }),
        Found::Cdrom(media) => DriveSpec::Cd(CdSpec { serial, media }),
    }
}

/// CMOS types of the diskette drives.
fn floppy_types(drives: &[Option<FloppySpec>; FLOPPIES]) -> [u8; FLOPPIES] {
    drives.map(|d| d.map_or(0, |d| d.kind.cmos_type()))
}

fn firmware_config(parts: &Parts, vram: u32, floppies: [u8; FLOPPIES]) -> firmware::Config {
    firmware::Config {
        ram_bytes: parts.memory_mib << 20,
        modules_mib: smbus::sizes(parts.memory_mib << 20),
        boot_order: parts.boot.chars().filter_map(BootDevice::from_letter).collect(),
        uuid: parts.uuid,
        vram_bytes: vram,
        linux: parts.linux.as_ref().map(|l| firmware::LinuxImage {
            kernel: l.kernel.clone(),
            initrd: l.initrd.clone(),
            command_line: l.cmdline.clone(),
        }),
        floppies,
        ..firmware::Config::default()
    }
}
