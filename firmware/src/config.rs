//! What the machine tells its firmware.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

/// A kind of device that INT 19h tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    Floppy,
    Disk,
    Cd,
    /// Option ROMs with a bootstrap entry (BEV).
    Net,
}

impl BootDevice {
    /// The letters users know: a, c, d, n.
    pub const fn from_letter(c: char) -> Option<Self> {
        match c {
            'a' => Some(Self::Floppy),
            'c' => Some(Self::Disk),
            'd' => Some(Self::Cd),
            'n' => Some(Self::Net),
            _ => None,
        }
    }
}

/// What is loaded into the guest from outside of the machine, anew at each start: so nobody keeps it.
pub trait BootFile: Debug + Send + Sync {
    /// Bytes that it has now.
    ///
    /// # Errors
    /// The host's.
    fn size(&self) -> io::Result<u64>;

    /// Fills `to` with what is `at` bytes from its beginning.
    ///
    /// # Errors
    /// The host's; it ends within `to`.
    fn read(&self, at: u64, to: &mut [u8]) -> io::Result<()>;
}

impl BootFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, at: u64, to: &mut [u8]) -> io::Result<()> {
        let mut file = self;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(to)
    }
}

impl BootFile for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read(&self, at: u64, to: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(at).ok().and_then(|at| self.get(at..)?.get(..to.len()));
        to.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A Linux kernel to start instead of a boot sector, after POST.
#[derive(Debug, Clone)]
pub struct LinuxImage {
    /// A bzImage.
    pub kernel: Arc<dyn BootFile>,
    pub initrd: Option<Arc<dyn BootFile>>,
    pub command_line: String,
}

#[derive(Debug, Clone)]
pub struct Config {
    /// Main RAM, all of it.
    pub ram_bytes: u64,
    /// The memory modules that SMBIOS lists, MiB; one of all the memory if they do not add up to it.
    pub modules_mib: Vec<u64>,
    pub boot_order: Vec<BootDevice>,
    /// Diskette drives: CMOS type codes (4 = 1.44 MB, 5 = 2.88 MB, 0 = none).
    pub floppies: [u8; 2],
    /// SMBIOS system UUID as RFC 4122 writes it.
    pub uuid: [u8; 16],
    /// SMBIOS system serial number; Virtual PC's look like "1688-7189-5337-7903-2297-1012-52".
    pub serial: String,
    /// Frame buffer memory that VBE reports.
    pub vram_bytes: u32,
    /// Boot this instead of a device.
    pub linux: Option<LinuxImage>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ram_bytes: 256 << 20,
            modules_mib: Vec::new(),
            boot_order: vec![BootDevice::Floppy, BootDevice::Cd, BootDevice::Disk, BootDevice::Net],
            floppies: [4, 0],
            uuid: [0; 16],
            serial: "0000-0000-0000-0000-0000-0000-00".into(),
            vram_bytes: 4 << 20,
            linux: None,
        }
    }
}
