//! How each column's emulator is started.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::peer::Peer;
use super::results::Column;
use crate::shell::{command, root};

pub(crate) const MEMORY_MIB: u64 = 256;
/// Sectors of the disk that the guest reads.
const DISK_SECTORS: usize = 4096;
/// Of the disk that it also writes: two parts, as `benches/guest/io.c` has them.
const LARGE_SECTORS: usize = 2 * (64 << 20) / 512;

pub(crate) struct Machines {
    pub(crate) heirloom: PathBuf,
    pub(crate) qemu: bool,
    /// Does this build know `--engine software,jit=off`?
    pub(crate) jit_off: bool,
    pub(crate) scratch: PathBuf,
    /// The machine's name: another benchmark may run beside this one.
    pub(crate) name: String,
    /// Who guests with a network talk to.
    pub(crate) peer: Option<Peer>,
}

impl Machines {
    pub(crate) fn new(heirloom: PathBuf, qemu: bool) -> Result<Self> {
        let scratch = root().join("target/bench");
        fs::create_dir_all(&scratch)?;
        let name = format!("bench-{}", std::process::id());
        let mut m = Self { heirloom, qemu, jit_off: false, scratch, name, peer: None };
        m.jit_off = m.takes("software,jit=off")?;
        Ok(m)
    }

    /// Words of a usage error: the machine itself is never built here, a run ends after a second at most.
    fn takes(&self, engine: &str) -> Result<bool> {
        const USAGE: i32 = 2;
        let mut c =
            command(&self.heirloom.to_string_lossy(), ["run", "--name", &self.name, "--engine", engine]);
        c.args(["--memory", "4", "--timeout", "1"]).stdin(std::process::Stdio::null());
        Ok(c.output()?.status.code() != Some(USAGE))
    }

    /// The engine that only interprets, as this build calls it.
    pub(crate) fn interpreter(&self) -> &'static str {
        if self.jit_off { "software,jit=off" } else { "software" }
    }

    pub(crate) fn heirloom(&self, engine: &str) -> Command {
        let mut c =
            command(&self.heirloom.to_string_lossy(), ["run", "--name", &self.name, "--engine", engine]);
        c.args(["--memory", &MEMORY_MIB.to_string(), "--serial", "stdio", "--display", "none"]);
        c
    }

    pub(crate) fn qemu() -> Command {
        let mut c = command("qemu-system-i386", ["-accel", "tcg", "-M", "pc", "-m", &MEMORY_MIB.to_string()]);
        c.args(["-smp", "1", "-display", "none", "-serial", "stdio", "-nic", "none", "-no-reboot"]);
        c
    }

    /// The kernel and initrd of a folder of guests, on QEMU or Heirloom.
    pub(crate) fn linux(&self, column: Column, guest: &Path, append: &str) -> Command {
        let (mut c, option) = match column {
            Column::Qemu => (Self::qemu(), "-"),
            Column::Heirloom => (self.heirloom("software"), "--"),
            Column::Interpreter | Column::Native => (self.heirloom(self.interpreter()), "--"),
        };
        c.arg(format!("{option}kernel")).arg(guest.join("vmlinuz"));
        c.arg(format!("{option}initrd")).arg(guest.join("initrd.gz"));
        c.args([format!("{option}append"), format!("console=ttyS0 quiet {append}")]);
        c
    }

    /// The benchmark's lines in a column.
    pub(crate) fn lines(&self, column: Column, guest: &Path, limit: f64, names: &[&str]) -> Result<Command> {
        if column == Column::Native {
            let here = guest.join("root/bench");
            let mut c = command(&here.join("busybox").to_string_lossy(), ["sh"]);
            c.arg(here.join("lines.sh")).arg(limit.to_string()).args(names).env("BENCH_TMP", &self.scratch);
            return Ok(c);
        }
        self.append_lines(column, guest, &format!("limit={limit} lines={}", names.join(",")))
    }

    /// The same without end.
    pub(crate) fn lines_again(&self, guest: &Path, limit: f64, names: &[&str]) -> Result<Command> {
        let append = format!("limit={limit} again=1 lines={}", names.join(","));
        self.append_lines(Column::Heirloom, guest, &append)
    }

    fn append_lines(&self, column: Column, guest: &Path, append: &str) -> Result<Command> {
        let Some(peer) = &self.peer else {
            let disk = self.disk("sectors.img", DISK_SECTORS)?.display().to_string();
            let mut c = self.linux(column, guest, append);
            match column {
                Column::Qemu => c.args(["-drive", &format!("file={disk},format=raw,if=ide,snapshot=on")]),
                _ => c.args(["--disk", &format!("{disk},ro")]),
            };
            return Ok(c);
        };
        let gateway = if column == Column::Qemu { "10.0.2.2" } else { "10.0.2.1" };
        let disk = self.disk("large.img", LARGE_SECTORS)?.display().to_string();
        let mut c = self.linux(column, guest, &format!("{append} {}", peer.words(gateway)));
        match column {
            Column::Qemu => {
                c.args(["-drive", &format!("file={disk},format=raw,if=ide")]);
                c.args(["-netdev", "user,id=net", "-device", "tulip,netdev=net"])
            }
            _ => c.args(["--disk", &disk, "--net", "nat,host=allow"]),
        };
        Ok(c)
    }

    /// A disk with no two sectors alike, written by and by, as a guest would have: of one large write ext4 makes folios of
    /// two mebibytes, and then walks their 512 blocks for each small one.
    fn disk(&self, name: &str, sectors: usize) -> Result<PathBuf> {
        let file = self.scratch.join(name);
        let mut x = 7_u32;
        let mut b = vec![0; sectors * 512];
        for c in b.chunks_exact_mut(4) {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            c.copy_from_slice(&x.to_le_bytes());
        }
        let mut to = fs::File::create(&file)?;
        for piece in b.chunks(64 << 10) {
            to.write_all(piece)?;
        }
        Ok(file)
    }

    /// Can the host run the guest's programs?
    pub(crate) fn native_runs(guest: &Path) -> bool {
        let busybox = guest.join("root/bin/busybox");
        command(&busybox.to_string_lossy(), ["true"]).status().is_ok_and(|s| s.success())
    }
}
