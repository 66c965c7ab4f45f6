//! `--kernel`: looks at a Linux bzImage before the machine is built, so that a wrong file is an error and not a dead
//! screen. The firmware starts it in place of a boot sector, by its real-mode entry.
//!
//! Linux Documentation/arch/x86/boot.rst, protocol 2.02 and later.

use std::io::{self, Cursor};
use std::path::PathBuf;
use std::sync::Arc;

use firmware::BootFile;

use linux_loader::loader::KernelLoader;
use linux_loader::loader::bzimage::BzImage;
use vm_memory::{GuestAddress, GuestMemoryMmap};

/// What to boot.
#[derive(Debug, Clone)]
pub struct LinuxBoot {
    pub kernel: Arc<dyn BootFile>,
    pub initrd: Option<Arc<dyn BootFile>>,
    pub cmdline: String,
    /// For messages.
    pub kernel_path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum LinuxError {
    #[error("{path} is not a Linux bzImage: {why}")]
    NotAKernel { path: PathBuf, why: String },
    #[error(
        "kernel {path} needs {needs_mib} MiB with its initrd; the machine has {memory_mib}; raise --memory"
    )]
    TooBig { path: PathBuf, needs_mib: u64, memory_mib: u64 },
    #[error("the kernel command line has {got} bytes; {path} takes {most}")]
    CmdlineTooLong { path: PathBuf, got: usize, most: usize },
}

const LOADED_HIGH: u64 = 1 << 20;
const MIB: u64 = 1 << 20;

impl LinuxBoot {
    /// Would this kernel start on a machine with so much memory?
    pub(crate) fn check(&self, memory_mib: u64) -> Result<(), LinuxError> {
        let path = || self.kernel_path.clone();
        let bad = |why: String| LinuxError::NotAKernel { path: path(), why };
        let unreadable = |e: io::Error| bad(format!("it cannot be read: {e}"));
        let too_big =
            |needs: u64| Err(LinuxError::TooBig { path: path(), needs_mib: needs.div_ceil(MIB), memory_mib });
        let len = self.kernel.size().map_err(unreadable)?;
        if len > memory_mib * MIB {
            return too_big(len.saturating_add(LOADED_HIGH));
        }
        let mut kernel = vec![0; len as usize];
        self.kernel.read(0, &mut kernel).map_err(unreadable)?;
        // A scratch memory for the loader, which checks the image as it loads it.
        let room = (LOADED_HIGH + kernel.len() as u64).next_multiple_of(MIB);
        let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), room as usize)])
            .map_err(|e| bad(format!("no memory to look at it ({e})")))?;
        let mut file = Cursor::new(&kernel);
        let loaded = BzImage::load(&memory, None, &mut file, Some(GuestAddress(LOADED_HIGH)))
            .map_err(|e| bad(e.to_string()))?;
        let header = loaded.setup_header.ok_or_else(|| bad("it has no setup header".into()))?;
        let (version, most, needs) = (header.version, header.cmdline_size, header.init_size);
        if version < 0x0202 {
            return Err(bad("its boot protocol is older than 2.02".into()));
        }
        let sects = if header.setup_sects == 0 { 4 } else { u64::from(header.setup_sects) };
        let says = (sects + 1) * 512 + u64::from(header.syssize) * 16;
        if len < says {
            return Err(bad(format!("it is cut short: {len} bytes, where its header says {says}")));
        }
        let most = if version >= 0x0206 { most as usize } else { 255 }.min(0xfff);
        if self.cmdline.len() > most {
            return Err(LinuxError::CmdlineTooLong { path: path(), got: self.cmdline.len(), most });
        }
        let initrd = self.initrd.as_ref().map_or(Ok(0), |i| i.size());
        let initrd = initrd.map_err(|e| bad(format!("nor can its initrd be read: {e}")))?;
        let needs = (LOADED_HIGH + u64::from(needs).max(len) + MIB).saturating_add(initrd);
        if needs > memory_mib * MIB {
            return too_big(needs);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
