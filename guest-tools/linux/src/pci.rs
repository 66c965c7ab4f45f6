//! The channel's PCI function: found, given to `uio_pci_generic`, mapped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use channel::regs;

use crate::map::Mapped;
use crate::sys;

const DEVICES: &str = "/sys/bus/pci/devices";
const DRIVER: &str = "/sys/bus/pci/drivers/uio_pci_generic";
/// Configuration space: the command register and its bits.
const COMMAND: u64 = 4;
const MEMORY: u16 = 1 << 1;
const BUS_MASTER: u16 = 1 << 2;
const INTERRUPT_DISABLE: u16 = 1 << 10;

/// Its interrupt, as a file.
pub(crate) struct Interrupt {
    uio: File,
    config: File,
}

impl Interrupt {
    pub(crate) fn fd(&self) -> RawFd {
        self.uio.as_raw_fd()
    }

    /// How often it came is read away.
    pub(crate) fn take(&mut self) {
        let mut count = [0; 4];
        let _ = self.uio.read(&mut count);
    }

    /// The kernel's handler has disabled it.
    pub(crate) fn enable(&self) {
        let _ = command(&self.config, |c| c & !INTERRUPT_DISABLE);
    }
}

fn command(config: &File, change: impl FnOnce(u16) -> u16) -> io::Result<()> {
    let mut b = [0; 2];
    config.read_exact_at(&mut b, COMMAND)?;
    config.write_all_at(&change(u16::from_le_bytes(b)).to_le_bytes(), COMMAND)
}

fn hex(p: &Path) -> Option<u64> {
    u64::from_str_radix(fs::read_to_string(p).ok()?.trim().strip_prefix("0x")?, 16).ok()
}

fn find() -> Option<PathBuf> {
    let is = |p: &Path| {
        hex(&p.join("vendor")) == Some(regs::VENDOR.into())
            && hex(&p.join("device")) == Some(regs::DEVICE.into())
    };
    fs::read_dir(DEVICES).ok()?.flatten().map(|e| e.path()).find(|p| is(p))
}

/// The driver's `/dev/uioN`, once it has the function.
fn uio(device: &Path) -> Option<PathBuf> {
    let e = fs::read_dir(device.join("uio")).ok()?.flatten().next()?;
    Some(Path::new("/dev").join(e.file_name()))
}

/// Gives the function to the driver.
fn bind(device: &Path) -> Option<PathBuf> {
    if let Some(u) = uio(device) {
        return Some(u);
    }
    if !Path::new(DRIVER).exists() {
        let mut c = Command::new("modprobe");
        c.arg("uio_pci_generic").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = c.status();
    }
    // It fails if the driver knows the number already; then `bind` does it.
    let id = format!("{:x} {:x}", regs::VENDOR, regs::DEVICE);
    let _ = fs::write(Path::new(DRIVER).join("new_id"), id);
    if let (None, Some(name)) = (uio(device), device.file_name()) {
        let _ = fs::write(Path::new(DRIVER).join("bind"), name.as_encoded_bytes());
    }
    // The node comes when devtmpfs or udev has made it.
    for _ in 0..20 {
        if let Some(u) = uio(device).filter(|u| u.exists()) {
            return Some(u);
        }
        if !device.join("uio").exists() {
            return None;
        }
        sleep(Duration::from_millis(10));
    }
    None
}

/// Length of the resource of a line of `resource`: first address, last, flags.
fn len(resources: &str, n: usize) -> Option<usize> {
    let mut words = resources.lines().nth(n)?.split_whitespace();
    let mut next = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let (first, last) = (next()?, next()?);
    usize::try_from(last.checked_sub(first)?.checked_add(1)?).ok().filter(|&n| n > 1)
}

/// The function, if it is there and the driver is. The error says what is in the way.
pub(crate) fn open() -> Result<Option<(Mapped, Interrupt)>, String> {
    let Some(device) = find() else { return Ok(None) };
    let Some(uio) = bind(&device) else { return Ok(None) };
    let rw = |p: &Path| {
        let f = OpenOptions::new().read(true).write(true).open(p);
        f.map_err(|e| format!("cannot open {}: {e}", p.display()))
    };
    let config = rw(&device.join("config"))?;
    command(&config, |c| (c | MEMORY | BUS_MASTER) & !INTERRUPT_DISABLE)
        .map_err(|e| format!("cannot enable the function at {}: {e}", device.display()))?;
    let resources = fs::read_to_string(device.join("resource")).unwrap_or_default();
    let (Some(registers), Some(window)) = (len(&resources, 0), len(&resources, 1)) else {
        return Err(format!("{} has no registers and window", device.display()));
    };
    let files = (rw(&device.join("resource0"))?, rw(&device.join("resource1"))?);
    let mapped = Mapped::new((&files.0, registers), (&files.1, window))
        .map_err(|e| format!("cannot map {}: {e}", device.display()))?;
    let uio = rw(&uio)?;
    sys::set_nonblocking(uio.as_raw_fd()).map_err(|e| format!("the channel's interrupt: {e}"))?;
    Ok(Some((mapped, Interrupt { uio, config })))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_resource_has_the_length_of_its_line() {
        let r = "0x00000000febf0000 0x00000000febf0fff 0x0000000000040200\n\
                 0x00000000f0000000 0x00000000f0ffffff 0x0000000000042208\n\
                 0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
        assert_eq!(
            [super::len(r, 0), super::len(r, 1), super::len(r, 2)],
            [Some(4096), Some(16 << 20), None]
        );
    }
}
