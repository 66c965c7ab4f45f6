//! Opens everything outside the machine that its spec names.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use board::{Disk, NetPort, NoCable, ParallelPort, SerialPort, SoundPort};
use host_io::audio;
use host_io::disk::{self, DiskError};
use host_io::display::Frame;
use host_io::display::vnc::{VncConfig, VncError, VncListener, VncServer, parse_address};
use host_io::input::{InputEvent, PointerAt, PointerPath};
use host_io::net::Wake;
use host_io::net::nat::{self, Nat, NatOptions};
use host_io::serial::{Expect, Input, Port};
use vmm::spec::{
    AudioSpec, DiskSpec, DisplaySpec, FloppySpec, MachineSpec, NETS_MOST, NetKind, ParallelSpec, SerialSpec,
};
use vmm::{Drive, Floppy, Handle, NoAnswer, Ports};

use super::undo::UndoDisks;
use super::watched::Watch;
use super::{End, Ender, Terminal};
use crate::control::HostCounters;
use crate::terminal::{LEAVE, Raw};
use crate::{Usage, control};

#[derive(Default)]
struct Line {
    machine: Option<Handle>,
    /// What came before the machine was there: port and bytes.
    early: Vec<(usize, Vec<u8>)>,
    /// Network ports that had news by then.
    early_nets: Vec<usize>,
}

/// Reaches the machine from ports that were opened before it.
#[derive(Clone, Default)]
pub(crate) struct Link(Arc<Mutex<Line>>);

impl Link {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serial input for port `n`; kept until the machine is there.
    fn serial(&self, n: usize, bytes: Vec<u8>) {
        let mut l = self.lock();
        match &l.machine {
            // A machine that is gone reads no more.
            Some(h) => drop(h.serial_input(n, bytes)),
            None => l.early.push((n, bytes)),
        }
    }

    /// Network port `n` has news.
    fn network(&self, n: usize) {
        let mut l = self.lock();
        match &l.machine {
            // A machine that is gone takes no frames.
            Some(h) => drop(h.network(n)),
            None if l.early_nets.contains(&n) => {}
            None => l.early_nets.push(n),
        }
    }

    pub(crate) fn connect(&self, h: Handle) {
        let mut l = self.lock();
        for n in std::mem::take(&mut l.early_nets) {
            let _ = h.network(n);
        }
        for (n, b) in std::mem::take(&mut l.early) {
            let _ = h.serial_input(n, b);
        }
        l.machine = Some(h);
    }
}

/// What a machine is connected to.
pub(crate) struct Opened {
    pub(crate) ports: Ports,
    /// IDE units of the CD-ROM drives, in the order of the spec.
    pub(crate) cdroms: Vec<u8>,
    pub(crate) terminal: Terminal,
    pub(crate) viewers: Vec<Viewers>,
    pub(crate) control: control::Listener,
    pub(crate) undo: UndoDisks,
    pub(crate) counters: HostCounters,
}

/// An address for viewers, and what they have to know.
pub(crate) struct Viewers {
    listener: VncListener,
    password: Option<String>,
}

/// Opens what can be in use first and what is written to last: a run that cannot be changes no file. `saved`: disks that go
/// with the state that the machine goes on from.
pub(crate) fn open(
    s: &MachineSpec,
    frame: &Frame,
    link: &Link,
    ender: &Ender,
    expect: Option<&str>,
    saved: Vec<PathBuf>,
    watch: &Watch,
) -> Result<Opened> {
    let addresses = vnc_addresses(s)?;
    let mut undo = UndoDisks::new(saved);
    let drives = drives(s, &mut undo, watch)?;
    let is_cdrom = |n: &u8| matches!(drives[usize::from(*n)], Some(Drive::Cdrom { .. }));
    let cdroms = (0..drives.len() as u8).filter(is_cdrom).collect();
    let mut floppies = [None, None];
    for ((drive, f), name) in floppies.iter_mut().zip(&s.floppies).zip(["a", "b"]) {
        let medium = diskette(f)?.zip(f.path.as_deref()).map(|(disk, path)| watch.over(name, path, disk));
        *drive = Some(Floppy { medium });
    }
    let bind = |(at, password)| Ok(Viewers { listener: VncListener::bind(at)?, password });
    let viewers = addresses.into_iter().map(bind).collect::<Result<_, VncError>>()?;
    let input = |n| -> Input {
        let to = link.clone();
        Arc::new(move |b| to.serial(n, b))
    };
    let mut serial: [Option<Box<dyn SerialPort>>; 2] = [None, None];
    for (n, (port, spec)) in serial.iter_mut().zip(&s.serial).enumerate() {
        match spec {
            SerialSpec::Unix(p) => *port = Some(Box::new(Port::unix(p, input(n))?)),
            SerialSpec::Tcp(a) => *port = Some(Box::new(Port::tcp(a, input(n))?)),
            SerialSpec::UnixConnect(p) => *port = Some(Box::new(Port::unix_connect(p, input(n))?)),
            SerialSpec::TcpConnect(a) => *port = Some(Box::new(Port::tcp_connect(a, input(n))?)),
            SerialSpec::None | SerialSpec::Stdio | SerialSpec::File(_) => {}
        }
    }
    let mut counters = HostCounters::default();
    let net = nets(s, link, &mut counters)?;
    let control = control::Listener::bind(&s.name)?;
    let mut terminal = None;
    for (n, (port, spec)) in serial.iter_mut().zip(&s.serial).enumerate() {
        match spec {
            SerialSpec::File(p) => *port = Some(Box::new(Port::file(p)?)),
            SerialSpec::Stdio => {
                terminal = Some(Raw::enter());
                *port = Some(Box::new(Port::stdio(leaving(input(n), ender.clone()))?));
            }
            // None, and sockets, which were first.
            _ => {}
        }
    }
    if let Some(want) = expect {
        let e = ender.clone();
        serial[0] =
            Some(Box::new(Expect::new(serial[0].take(), want, Box::new(move || e.end(End::Expected)))));
    }
    let parallel: Option<Box<dyn ParallelPort>> = match &s.parallel {
        ParallelSpec::None => None,
        ParallelSpec::File(p) => Some(Box::new(Port::file(p)?)),
    };
    let sound: Option<Box<dyn SoundPort>> = match &s.audio {
        AudioSpec::None => None,
        AudioSpec::Host => Some(audio::host(counters.sound.insert(Arc::default()).clone())?),
        AudioSpec::Wav(p) => Some(Box::new(audio::Wav::create(p)?)),
    };
    let ports = Ports { drives, floppies, serial, net, parallel, sound, display: Box::new(frame.scanout()) };
    Ok(Opened { ports, cdroms, terminal, viewers, control, undo, counters })
}

fn vnc_addresses(s: &MachineSpec) -> Result<Vec<(SocketAddr, Option<String>)>, Usage> {
    let vnc = |d: &DisplaySpec| match d {
        DisplaySpec::None => None,
        DisplaySpec::Vnc { address, password } => Some((address.clone(), password.clone())),
    };
    let parse = |(a, password): (String, _)| match parse_address(&a) {
        Ok(at) => Ok((at, password)),
        Err(e) => Err(Usage(e.to_string())),
    };
    s.display.iter().filter_map(vnc).map(parse).collect()
}

/// The cables of the network adapters.
fn nets(
    s: &MachineSpec,
    link: &Link,
    counters: &mut HostCounters,
) -> Result<[Option<Box<dyn NetPort>>; NETS_MOST]> {
    let mut ports = [const { None }; NETS_MOST];
    for (n, (port, spec)) in ports.iter_mut().zip(&s.nets).enumerate() {
        let to = link.clone();
        let wake: Wake = Arc::new(move || to.network(n));
        *port = Some(cable(&spec.kind, wake, |c| counters.nets.push((n + 1, c)))?);
    }
    Ok(ports)
}

/// Every kind of network has its arm here.
fn cable(kind: &NetKind, wake: Wake, counted: impl FnOnce(Arc<nat::Counters>)) -> Result<Box<dyn NetPort>> {
    Ok(match kind {
        NetKind::None => Box::new(NoCable),
        NetKind::Nat(options) => {
            let options = NatOptions::parse(&options.join(",")).map_err(|e| Usage(e.to_string()))?;
            let nat = Nat::new(options, wake)?;
            counted(nat.metrics());
            Box::new(nat)
        }
        #[cfg(target_os = "linux")]
        NetKind::Tap(name) => Box::new(host_io::net::tap::Tap::open(name, wake)?),
        #[cfg(not(target_os = "linux"))]
        NetKind::Tap(_) => return Err(Usage("tap interfaces are Linux's; use --net nat".into()).into()),
    })
}

/// What the drives are called for CDs, in the order of the spec.
pub(crate) const CDROMS: [&str; 4] = ["cdrom", "cdrom2", "cdrom3", "cdrom4"];

/// IDE order: disks first, then CD-ROMs, and a CD-ROM alone or after one disk goes to the secondary channel's
/// master, where every system looks for it.
fn drives(s: &MachineSpec, undo: &mut UndoDisks, watch: &Watch) -> Result<[Option<Drive>; 4]> {
    let mut drives = [const { None }; 4];
    for (i, d) in s.disks.iter().enumerate() {
        // The file that takes the writes.
        let file = if d.undo.is_some() { d.undo_file() } else { d.path.clone() };
        let disk = watch.over(&format!("disk{}", i + 1), &file, open_disk(d, undo)?);
        let name = d.path.display().to_string();
        drives[i] = Some(Drive::Disk { disk, name, on_error: d.on_error });
    }
    // A disc that the machine has to start from must be able to.
    let only_cd = s.disks.is_empty()
        && s.floppies.is_empty()
        && s.kernel.is_none()
        && s.bios.is_none()
        && !s.boot.contains('n');
    let mut hopeless = None;
    let mut bootable = false;
    for (unit, (c, name)) in (s.first_cdrom()..).zip(s.cdroms.iter().zip(CDROMS)) {
        let medium = match c {
            None => None,
            Some(p) => {
                let (image, info) = disk::open_cdrom(p)?;
                bootable |= info.boot.is_some();
                let fault = info.faults.into_iter().find(|f| !f.fatal());
                hopeless = hopeless.or(fault.map(|fault| DiskError::Iso { path: p.clone(), fault }));
                Some(watch.over(name, p, image.into_disk()))
            }
        };
        drives[unit] = Some(Drive::Cdrom { medium });
    }
    match hopeless {
        Some(e) if only_cd && !bootable => Err(e.into()),
        _ => Ok(drives),
    }
}

/// Ctrl-] on a terminal ends the machine; bytes before it still reach the guest.
fn leaving(input: Input, ender: Ender) -> Input {
    use std::io::IsTerminal;
    if !std::io::stdin().is_terminal() {
        return input;
    }
    Arc::new(move |bytes| match bytes.iter().position(|&b| b == LEAVE) {
        None => input(bytes),
        Some(at) => {
            input(bytes[..at].to_vec());
            ender.end(End::Signal);
        }
    })
}

fn open_disk(d: &DiskSpec, undo: &mut UndoDisks) -> Result<Box<dyn Disk>> {
    let image = match d.undo {
        Some(close) => undo.open(&d.path, d.undo_file(), close, d.cache)?,
        None => {
            let mode = if d.read_only || d.overlay { disk::Mode::ReadOnly } else { disk::Mode::ReadWrite };
            disk::open_disk_by(&d.path, mode, d.cache)?.into_disk()
        }
    };
    if d.overlay {
        return Ok(Box::new(disk::Overlay::new(image)));
    }
    Ok(Box::new(disk::Policy::new(image, d.cache, d.unmap)))
}

/// Opens the file that a disk's writes go to once more, as it was opened before.
pub(crate) fn reopen_disk(d: &DiskSpec, file: &Path) -> Result<Box<dyn Disk>, DiskError> {
    let image = disk::open_disk_by(file, disk::Mode::ReadWrite, d.cache)?.into_disk();
    Ok(Box::new(disk::Policy::new(image, d.cache, d.unmap)))
}

fn diskette(f: &FloppySpec) -> Result<Option<Box<dyn Disk>>, DiskError> {
    f.path.as_deref().map(|p| open_diskette(p, f.read_only)).transpose()
}

/// An image that makes a diskette.
pub(crate) fn open_diskette(path: &Path, read_only: bool) -> Result<Box<dyn Disk>, DiskError> {
    let mode = if read_only { disk::Mode::ReadOnly } else { disk::Mode::ReadWrite };
    let fits = |sectors| vmm::floppy::check(sectors).map_err(|e| e.to_string());
    disk::open_floppy(path, mode, fits).map(disk::Image::into_disk)
}

/// Moves the guest's pointer there.
pub(crate) fn point(machine: &Handle, path: &Mutex<PointerPath>, to: PointerAt) -> Result<(), NoAnswer> {
    // Held to the end: another viewer's movements go before or after.
    let mut path = path.lock().unwrap_or_else(PoisonError::into_inner);
    path.to(to).into_iter().try_for_each(|p| machine.pointer(p))
}

/// Starts the viewers' servers.
pub(crate) fn displays(
    all: Vec<Viewers>,
    name: &str,
    frame: &Frame,
    machine: &Handle,
    pointer: &Arc<Mutex<PointerPath>>,
) -> Result<Vec<VncServer>> {
    let start = |Viewers { listener, password }| {
        let (h, pointer) = (machine.clone(), pointer.clone());
        let input = Box::new(move |ev| {
            // A machine that is gone takes no input.
            let _ = match ev {
                InputEvent::Key { key, down } => h.key(key, down),
                InputEvent::Pointer(p) => point(&h, &pointer, p),
                InputEvent::Redraw => h.request_redraw(),
            };
        });
        let config = VncConfig { listener, password, name: name.into() };
        Ok(VncServer::start(config, frame.clone(), input)?)
    };
    all.into_iter().map(start).collect()
}
