//! `--kernel`: puts a Linux bzImage, its command line and initrd where the boot protocol wants them and names the
//! entry for the BIOS, which starts it in place of a boot sector. The kernel's own real-mode part runs, so it
//! asks our BIOS for memory, disks and video as it would after a boot loader.
//!
//! Linux Documentation/arch/x86/boot.rst, protocol 2.02 and later.

use std::path::PathBuf;

use ram::GuestRam;

/// What to boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinuxBoot {
    pub kernel: Vec<u8>,
    pub initrd: Option<Vec<u8>>,
    pub cmdline: String,
    /// For messages.
    pub kernel_path: PathBuf,
    pub initrd_path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum LinuxError {
    #[error("{path} is not a Linux bzImage: {why}")]
    NotAKernel { path: PathBuf, why: &'static str },
    #[error(
        "initrd {path} of {bytes} bytes does not fit into {memory_mib} MiB of guest memory; raise --memory"
    )]
    InitrdTooBig { path: PathBuf, bytes: usize, memory_mib: u64 },
    #[error("the kernel command line has {got} bytes; {path} takes {most}")]
    CmdlineTooLong { path: PathBuf, got: usize, most: usize },
}

/// Segment of the real-mode part; its stack and heap end below the command line.
pub(crate) const SETUP_SEGMENT: u16 = 0x1000;
const CMDLINE: u32 = 0x1_0000 + 0xf000;
const HEAP_END: u16 = 0xe000 - 0x200;
const LOADED_HIGH: u32 = 0x10_0000;

impl LinuxBoot {
    /// Writes everything into guest memory. Called at every power-on and reset: the guest overwrites it.
    pub(crate) fn load(&self, ram: &GuestRam) -> Result<(), LinuxError> {
        let k = &self.kernel;
        let bad = |why| LinuxError::NotAKernel { path: self.kernel_path.clone(), why };
        let word = |at: usize| k.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
        let dword = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;
        if word(0x1fe) != 0xaa55 || k.get(0x202..0x206) != Some(b"HdrS") {
            return Err(bad("it has no setup header"));
        }
        let version = word(0x206);
        if version < 0x0202 {
            return Err(bad("its boot protocol is older than 2.02"));
        }
        if k[0x211] & 1 == 0 {
            return Err(bad("it is a zImage, which loads low"));
        }
        let setup_len = (usize::from(if k[0x1f1] == 0 { 4 } else { k[0x1f1] }) + 1) * 512;
        if k.len() <= setup_len {
            return Err(bad("it ends within its real-mode part"));
        }
        let most = if version >= 0x0206 { dword(0x238) as usize } else { 255 };
        if self.cmdline.len() > most.min(0xfff) {
            let (path, got) = (self.kernel_path.clone(), self.cmdline.len());
            return Err(LinuxError::CmdlineTooLong { path, got, most: most.min(0xfff) });
        }
        let mut setup = k[..setup_len].to_vec();
        let mut put = |at: usize, b: &[u8]| setup[at..at + b.len()].copy_from_slice(b);
        put(0x210, &[0xff]); // type_of_loader: undefined
        put(0x211, &[k[0x211] | 0x80]); // CAN_USE_HEAP
        put(0x224, &HEAP_END.to_le_bytes());
        put(0x228, &CMDLINE.to_le_bytes());
        if let Some(initrd) = &self.initrd {
            let limit = if version >= 0x0203 { dword(0x22c) } else { 0x37ff_ffff };
            let top = (u64::from(limit) + 1).min(ram.main_len() - (1 << 20)) & !0xfff;
            let at = top.checked_sub((initrd.len() as u64).next_multiple_of(4096));
            let kernel_end =
                u64::from(LOADED_HIGH) + u64::from(dword(0x260)).max((k.len() - setup_len) as u64);
            let Some(at) = at.filter(|&a| a >= kernel_end) else {
                return Err(LinuxError::InitrdTooBig {
                    path: self.initrd_path.clone(),
                    bytes: initrd.len(),
                    memory_mib: ram.main_len() >> 20,
                });
            };
            put(0x218, &(at as u32).to_le_bytes());
            put(0x21c, &(initrd.len() as u32).to_le_bytes());
            ram.write(at, initrd);
        }
        ram.write(u64::from(SETUP_SEGMENT) << 4, &setup);
        ram.write(u64::from(LOADED_HIGH), &k[setup_len..]);
        let mut line = self.cmdline.clone().into_bytes();
        line.push(0);
        ram.write(u64::from(CMDLINE), &line);
        Ok(())
    }
}
