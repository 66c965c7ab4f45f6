//! Building a machine from its spec and the embedder's ports.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use board::{
    Disk, HostEvent, Key, Media, NetPort, ParallelPort, Reset, SECOND, Scanout, SerialPort, SoundPort,
};
use devices::ata::hard_disk::DiskSpec;
use devices::channel::Services;
use devices::isa::i82077::media::DriveKind;
use hv_vcpu::{CpuState, CpuidTable, HvError, Unavailable, Vcpu};
use ram::{GuestRam, RamError};

use crate::api::{Handle, Lit, Phase, Saving, Seen, Shared};
use crate::board_io::Board;
use crate::board_map::{self, Roles};
use crate::cable::{Cable, Plug};
use crate::clock::{Clock, ClockKind};
use crate::disks::{Disks, Unit};
use cpu::Software;

use crate::engine::{self, Choice, Engine};
use crate::events::Events;
use crate::floppy::{self, FLOPPIES, FloppyError};
use crate::linux::{LinuxBoot, LinuxError};
use crate::mailbox::Mailbox;
use crate::services;
use crate::spec::{self, MEMORY_MIB, NETS_MOST, OnError, VIDEO_MIB, WINDOW_MIB};

/// What is behind an IDE drive at power-on.
pub enum Drive {
    Disk {
        disk: Box<dyn Disk>,
        /// What messages call it.
        name: String,
        on_error: OnError,
    },
    /// A CD-ROM drive, with or without a medium.
    Cdrom { medium: Option<Box<dyn Disk>> },
}

impl Drive {
    /// A hard disk without a name.
    pub fn disk(disk: Box<dyn Disk>) -> Self {
        Self::Disk { disk, name: "disk".into(), on_error: OnError::default() }
    }

    /// What the board knows of it.
    pub(crate) fn found(&self) -> board_map::Found {
        match self {
            Self::Disk { disk, .. } => board_map::Found::Disk(DiskSpec {
                sectors: disk.sectors(),
                serial: String::new(),
                geometry: disk.geometry(),
                write_cache: !disk.writes_through(),
                trim: disk.discards(),
            }),
            Self::Cdrom { medium } => board_map::Found::Cdrom(
                medium.as_ref().map(|d| Media { sectors: d.sectors(), read_only: true }),
            ),
        }
    }
}

pub(crate) fn cdrom_name(unit: u8) -> String {
    format!("the CD in IDE unit {unit}")
}

pub(crate) fn floppy_name(unit: u8) -> String {
    format!("the diskette in drive {}", char::from(b'A' + unit % 26))
}

/// A diskette drive, with or without a medium.
pub struct Floppy {
    pub medium: Option<Box<dyn Disk>>,
}

/// The outside world, given by the embedder.
pub struct Ports {
    /// Primary master and slave, secondary master and slave.
    pub drives: [Option<Drive>; 4],
    /// Diskette drives A: and B:.
    pub floppies: [Option<Floppy>; FLOPPIES],
    pub serial: [Option<Box<dyn SerialPort>>; 2],
    /// The cables of the network adapters; an adapter without a port is not there ([`board::NoCable`] is a cable that
    /// is not plugged in).
    pub net: [Option<Box<dyn NetPort>>; NETS_MOST],
    /// What is plugged into LPT1.
    pub parallel: Option<Box<dyn ParallelPort>>,
    /// Where the sound card is heard.
    pub sound: Option<Box<dyn SoundPort>>,
    pub display: Box<dyn Scanout>,
}

/// Everything about the machine but its ports.
#[derive(Debug, Clone)]
pub struct Parts {
    pub memory_mib: u64,
    pub engine: Choice,
    /// How the software engine runs its guests.
    pub software: Software,
    pub clock: ClockKind,
    /// Boot order in the letters a c d n.
    pub boot: String,
    /// A ROM image in place of our own BIOS.
    pub bios: Option<Vec<u8>>,
    pub linux: Option<LinuxBoot>,
    /// What the clock chip shows at power-on: seconds since 1970, as local time.
    pub start_seconds: u64,
    /// Shows execute disable to the guest.
    pub nx: bool,
    pub vram_mib: u32,
    pub uuid: [u8; 16],
    /// Addresses of the network adapters.
    pub macs: [[u8; 6]; NETS_MOST],
    /// Where the machine tells what happens to it.
    pub events: Events,
    /// The integration channel, if there is one.
    pub channel: Option<ChannelParts>,
}

/// What a machine's integration channel is made of.
#[derive(Debug, Clone)]
pub struct ChannelParts {
    /// 4, 8, 16, 32 or 64.
    pub window_mib: u32,
    /// The PCI function is there.
    pub pci: bool,
    /// COM2 is the channel's too, if nothing else is plugged into it.
    pub serial: bool,
    /// Services (of [`services::NAMES`]) that are not offered.
    pub off: Vec<&'static str>,
    /// The machine's name, for the guest to see.
    pub name: String,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            memory_mib: 256,
            engine: Choice::Auto,
            software: Software::new(),
            clock: ClockKind::Host,
            boot: "cd".into(),
            bios: None,
            linux: None,
            start_seconds: 0,
            nx: false,
            vram_mib: 4,
            uuid: *b"heirloom-default",
            macs: spec::macs("heirloom", &[]),
            events: Events::default(),
            channel: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Memory(#[from] RamError),
    #[error("engine {engine}: {why}")]
    Engine { engine: &'static str, why: Unavailable },
    #[error("the {engine} engine cannot create a virtual machine")]
    Create {
        engine: &'static str,
        #[source]
        source: HvError,
    },
    #[error("the BIOS image has {got} bytes; need 64, 128 or 256 KiB")]
    BiosSize { got: usize },
    #[error("guest memory of {got} MiB; need 4 to 3712")]
    MemorySize { got: u64 },
    #[error("video memory of {got} MiB; need 1, 2, 4 or 8")]
    VideoMemory { got: u32 },
    #[error("the image in diskette drive {drive}: {why}")]
    Floppy { drive: char, why: FloppyError },
    #[error("MAC address {} is a group's; the first byte of an adapter's is even", spec::show_mac(*.got))]
    GroupAddress { got: [u8; 6] },
    #[error("a channel window of {got} MiB; need 4, 8, 16, 32 or 64")]
    Window { got: u32 },
    #[error("cannot start a thread for a disk")]
    DiskThread(#[source] std::io::Error),
    #[error(transparent)]
    Linux(#[from] LinuxError),
}

/// One virtual PC. Owned by the thread that calls [`Machine::run`].
pub struct Machine {
    pub(crate) vcpu: Box<dyn Vcpu>,
    pub(crate) board: Board,
    pub(crate) engine: Engine,
    pub(crate) mailbox: Mailbox,
    pub(crate) roles: Roles,
    pub(crate) shared: Arc<Shared>,
    pub(crate) phase: Phase,
    /// In S1: the processor does not run.
    pub(crate) asleep: bool,
    /// A BIOS that is not ours as it lies in shadow RAM, and where.
    shadow: Option<(u64, Vec<u8>)>,
    /// IDE units with a drive whose medium can be changed.
    pub(crate) removable: [bool; board_map::DRIVES],
    /// Kinds of the diskette drives.
    pub(crate) floppies: [Option<DriveKind>; FLOPPIES],
    /// Keys that the user holds.
    pub(crate) keys_down: Vec<Key>,
    /// Shows execute disable.
    pub(crate) nx: bool,
    /// The power button was pressed, and the guest has not taken note of it.
    pub(crate) button_waits: bool,
    /// The embedder has the power switched off then.
    pub(crate) stop_at: Option<board::Tick>,
    /// A state that is to be saved as soon as it can be.
    pub(crate) saving: Option<Saving>,
    /// Cables of the network adapters.
    pub(crate) plugs: [Option<Arc<Plug>>; NETS_MOST],
    services: Option<Arc<services::Shared>>,
}

/// What is behind the integration channel, if there is one.
pub(crate) fn host_services(parts: &Parts, shared: &Arc<services::Shared>) -> Option<Box<dyn Services>> {
    let c = parts.channel.as_ref()?;
    Some(Box::new(services::Host::new(shared.clone(), world_clock(parts), &c.off)))
}

/// What the time is, for the guest: the host's, or with a clock of instructions what the clock chip began with and guest time.
fn world_clock(parts: &Parts) -> services::WorldClock {
    let begun = parts.start_seconds * SECOND;
    match parts.clock {
        ClockKind::Instructions => Box::new(move |now| begun + now),
        ClockKind::Host => Box::new(|_| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        }),
    }
}

impl Parts {
    /// Would [`Machine::build`] take this? For embedders that open or create files for the ports after it.
    pub fn check(&self) -> Result<Engine, BuildError> {
        if !MEMORY_MIB.contains(&self.memory_mib) {
            return Err(BuildError::MemorySize { got: self.memory_mib });
        }
        if !VIDEO_MIB.contains(&self.vram_mib) {
            return Err(BuildError::VideoMemory { got: self.vram_mib });
        }
        if let Some(c) = &self.channel
            && !WINDOW_MIB.contains(&c.window_mib)
        {
            return Err(BuildError::Window { got: c.window_mib });
        }
        if let Some(&got) = self.macs.iter().find(|m| m[0] & 1 != 0) {
            return Err(BuildError::GroupAddress { got });
        }
        if let Some(b) = &self.bios
            && ![64 << 10, 128 << 10, 256 << 10].contains(&b.len())
        {
            return Err(BuildError::BiosSize { got: b.len() });
        }
        if let Some(l) = &self.linux {
            l.check(self.memory_mib)?;
        }
        engine::pick(self.engine, self.clock == ClockKind::Instructions).map_err(|why| {
            let engine = match self.engine {
                Choice::Auto => "auto",
                Choice::This(e) => e.name(),
            };
            BuildError::Engine { engine, why }
        })
    }
}

impl Machine {
    /// Builds the machine and powers it on; the first instruction runs in [`Machine::run`].
    pub fn build(parts: &Parts, ports: Ports) -> Result<Self, BuildError> {
        Self::build_on(parts.check()?, parts, ports)
    }

    pub(crate) fn build_on(engine: Engine, parts: &Parts, ports: Ports) -> Result<Self, BuildError> {
        let ram = Arc::new(GuestRam::new(parts.memory_mib << 20, board_map::slot_bytes(parts))?);
        let mailbox = Mailbox::default();
        let mut found = [const { None }; board_map::DRIVES];
        // Whose disks they are is known once the board is built.
        let (mut ide_disks, mut diskettes) = (Vec::new(), Vec::new());
        let Ports { drives, floppies, serial, net, parallel, sound, display } = ports;
        for (unit, d) in drives.into_iter().enumerate() {
            found[unit] = d.as_ref().map(Drive::found);
            let disk = match d {
                None => continue,
                Some(Drive::Disk { disk, name, on_error }) => Some(Unit::new(disk, name, on_error)),
                Some(Drive::Cdrom { medium }) => {
                    medium.map(|d| Unit::new(d, cdrom_name(unit as u8), OnError::default()))
                }
            };
            ide_disks.extend(disk.map(|d| (unit as u8, d)));
        }
        let mut floppy_specs = [None; FLOPPIES];
        for (unit, f) in floppies.into_iter().enumerate() {
            let Some(Floppy { medium }) = f else { continue };
            let media = medium.as_ref().map(|d| Media { sectors: d.sectors(), read_only: d.read_only() });
            let drive = char::from(b'A' + unit as u8);
            floppy_specs[unit] = Some(floppy::drive(media).map_err(|why| BuildError::Floppy { drive, why })?);
            let n = unit as u8;
            diskettes.extend(medium.map(|d| (n, Unit::new(d, floppy_name(n), OnError::default()))));
        }
        let removable = found.each_ref().map(|f| matches!(f, Some(board_map::Found::Cdrom(_))));
        let events = parts.events.clone();
        let shared = Arc::new(Shared { events: events.clone(), ..Shared::default() });
        let mut plugs = [const { None }; NETS_MOST];
        let mut cables = [const { None }; NETS_MOST];
        for (n, port) in net.into_iter().enumerate() {
            let Some(port) = port else { continue };
            let plug = Arc::new(Plug::new(n, events.clone()));
            cables[n] = Some(Box::new(Cable::new(port, plug.clone())) as Box<dyn NetPort>);
            plugs[n] = Some(plug);
        }
        let services = parts.channel.as_ref().map(|_| services::Shared::new(events.clone()));
        let outside = board_map::Outside {
            drives: found,
            floppies: floppy_specs,
            serial,
            net: cables,
            parallel,
            sound,
            display: Box::new(Seen { display, events: events.clone() }),
            lamps: Box::new(Lit(shared.clone())),
            mailbox: mailbox.clone(),
            services: services.as_ref().and_then(|shared| host_services(parts, shared)),
        };
        let (built, roles) = board_map::build(parts, &ram, outside);
        let mut disks = Disks::new(mailbox.clone(), parts.clock == ClockKind::Instructions);
        for (slot, all) in [(roles.ide, ide_disks), (roles.fdc, diskettes)] {
            for (n, unit) in all {
                disks.insert(slot, n, unit).map_err(BuildError::DiskThread)?;
            }
        }
        let clock = Clock::new(parts.clock, engine.keeps_tsc());
        let mut board = Board::new(ram.clone(), clock, disks, built, events);
        board.wire_rtc(roles.pm);

        let cpuid = CpuidTable::pentium4(parts.nx);
        let create = |source| BuildError::Create { engine: engine.name(), source };
        let mut vcpu = engine.create(ram, &cpuid, &parts.software).map_err(create)?;
        vcpu.set_state(&CpuState::reset(CpuidTable::SIGNATURE)).map_err(create)?;
        mailbox.set_kicker(vcpu.kicker());
        board.set_kicker(vcpu.kicker());
        board.reset(Reset::PowerOn);

        let mut m = Self {
            vcpu,
            board,
            engine,
            mailbox,
            roles,
            shared,
            phase: Phase::Built,
            asleep: false,
            removable,
            floppies: floppy_specs.map(|f| f.map(|f| f.kind)),
            keys_down: Vec::new(),
            nx: parts.nx,
            button_waits: false,
            stop_at: None,
            saving: None,
            plugs,
            services,
            shadow: parts.bios.as_deref().map(board_map::low_image),
        };
        m.shadow_bios();
        Ok(m)
    }

    /// Puts another BIOS into shadow RAM, as a loader (coreboot) does that starts one. SeaBIOS opens the RAM by itself
    /// on the two host bridges that it knows by their ids; on any other it takes for granted that it lies in RAM.
    pub(crate) fn shadow_bios(&mut self) {
        use hv_vcpu::{GuestIo, Width};
        let Some((at, image)) = &self.shadow else { return };
        // PAM0 to PAM6: reads and writes of C0000h-FFFFFh go to RAM.
        for (reg, v) in (0x59_u16..).zip([0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33]) {
            self.board.pio_write(0xcf8, Width::Dword, 0x8000_0000 | u32::from(reg & 0xfc));
            self.board.pio_write(0xcfc + (reg & 3), Width::Byte, v);
        }
        self.board.pio_write(0xcf8, Width::Dword, 0);
        self.board.ram.write(*at, image);
    }

    /// Switches the power off after so much guest time; to be called before the run.
    pub fn stop_after(&mut self, guest_ns: u64) {
        self.stop_at = Some(guest_ns);
        self.board.set_off_at(guest_ns);
    }

    /// After the run: lets the display push what it last showed.
    pub fn draw_last_frame(&mut self) {
        self.board.host_event(self.roles.vga, HostEvent::Redraw);
    }

    /// The remote control, for other threads.
    pub fn handle(&self) -> Handle {
        Handle {
            mailbox: self.mailbox.clone(),
            roles: self.roles,
            shared: self.shared.clone(),
            services: self.services.clone(),
        }
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// CMOS 0Fh, read as software would.
    pub(crate) fn cmos_shutdown_code(&mut self) -> u32 {
        use hv_vcpu::{GuestIo, Width};
        self.board.pio_write(0x70, Width::Byte, 0x8f);
        self.board.pio_read(0x71, Width::Byte)
    }
}
