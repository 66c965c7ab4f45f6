//! Opens everything outside the machine that its spec names.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use board::{Disk, SerialPort};
use host_io::disk::{self, DiskError};
use host_io::display::Frame;
use host_io::display::vnc::{VncConfig, VncServer, parse_address};
use host_io::input::InputEvent;
use host_io::serial::{Expect, Input, Port};
use vmm::spec::{DiskSpec, DisplaySpec, MachineSpec, SerialSpec};
use vmm::{Drive, Handle, Ports};

use super::{End, Ender, Terminal};
use crate::terminal::{LEAVE, Raw};

#[derive(Default)]
struct Line {
    machine: Option<Handle>,
    /// What came before the machine was there: port and bytes.
    early: Vec<(usize, Vec<u8>)>,
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

    pub(crate) fn connect(&self, h: Handle) {
        let mut l = self.lock();
        for (n, b) in std::mem::take(&mut l.early) {
            let _ = h.serial_input(n, b);
        }
        l.machine = Some(h);
    }
}

/// Drives, serial ports and the display. IDE order: disks first, then CD-ROMs, and a CD-ROM alone or after one
/// disk goes to the secondary channel's master, where every system looks for it.
pub(crate) fn open(
    s: &MachineSpec,
    frame: &Frame,
    link: &Link,
    ender: &Ender,
    expect: Option<&str>,
) -> Result<(Ports, Terminal)> {
    let mut drives = [const { None }; 4];
    for (i, d) in s.disks.iter().enumerate() {
        drives[i] = Some(Drive::Disk { disk: open_disk(d)? });
    }
    let mut unit = s.disks.len();
    if s.cdroms.len() + unit.max(2) <= 4 {
        unit = unit.max(2);
    }
    // A disc that the machine has to start from must be able to.
    let only_cd = s.disks.is_empty() && s.kernel.is_none() && s.bios.is_none() && !s.boot.contains('n');
    let mut hopeless = None;
    let mut bootable = false;
    for c in &s.cdroms {
        let medium = match c {
            None => None,
            Some(p) => {
                let (image, info) = disk::open_cdrom(p)?;
                bootable |= info.boot.is_some();
                let fault = info.faults.into_iter().find(|f| !f.fatal());
                hopeless = hopeless.or(fault.map(|fault| DiskError::Iso { path: p.clone(), fault }));
                Some(image.into_disk())
            }
        };
        drives[unit] = Some(Drive::Cdrom { medium });
        unit += 1;
    }
    if let Some(e) = hopeless
        && only_cd
        && !bootable
    {
        return Err(e.into());
    }
    let mut serial = [None, None];
    let mut terminal = None;
    for (n, port) in serial.iter_mut().enumerate() {
        let spec = s.serial.get(n).unwrap_or(&SerialSpec::None);
        let to = link.clone();
        let input: Input = Arc::new(move |b| to.serial(n, b));
        *port = match spec {
            SerialSpec::None => None,
            SerialSpec::Stdio => {
                terminal = Some(Raw::enter());
                Some(Box::new(Port::stdio(leaving(input, ender.clone()))?) as Box<dyn SerialPort>)
            }
            SerialSpec::File(p) => Some(Box::new(Port::file(p)?)),
            SerialSpec::Unix(p) => Some(Box::new(Port::unix(p, input)?)),
            SerialSpec::Tcp(a) => Some(Box::new(Port::tcp(a, input)?)),
        };
    }
    if let Some(want) = expect {
        let e = ender.clone();
        serial[0] =
            Some(Box::new(Expect::new(serial[0].take(), want, Box::new(move || e.end(End::Expected)))));
    }
    Ok((Ports { drives, serial, display: Box::new(frame.scanout()) }, terminal))
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

fn open_disk(d: &DiskSpec) -> Result<Box<dyn Disk>> {
    let mode = if d.read_only || d.overlay { disk::Mode::ReadOnly } else { disk::Mode::ReadWrite };
    let image = disk::open_disk(&d.path, mode)?.into_disk();
    Ok(if d.overlay { Box::new(disk::Overlay::new(image)) } else { image })
}

/// Starts the viewers' servers.
pub(crate) fn displays(s: &MachineSpec, frame: &Frame, machine: &Handle) -> Result<Vec<VncServer>> {
    let mut all = Vec::new();
    for d in &s.display {
        if let DisplaySpec::Vnc { address, password } = d {
            let h = machine.clone();
            let input = Box::new(move |ev| {
                // A machine that is gone takes no input.
                let _ = match ev {
                    InputEvent::Key { key, down } => h.key(key, down),
                    InputEvent::Pointer(p) => h.pointer(p),
                    InputEvent::Redraw => h.request_redraw(),
                };
            });
            let config = VncConfig {
                address: parse_address(address)?,
                password: password.clone(),
                name: s.name.clone(),
            };
            all.push(VncServer::start(config, frame.clone(), input)?);
        }
    }
    Ok(all)
}
