//! The guests that are measured, on each emulator and natively.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::process::{Process, Took};
use super::report::{Bar, Report};
use crate::guests;
use crate::shell::{command, quiet, root, say};

const NAME: &str = "bench";
const MEMORY_MIB: u64 = 256;
/// Patience with guests on a busy host.
const LONG: u64 = 1800;

const LOOP: &str = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done;";
/// Native rounds of [`LOOP`]: one alone is short beside the clock's ticks.
const NATIVE_ROUNDS: u32 = 10;

/// Start-ups that are timed; the median counts.
const STARTS: usize = 11;

/// What the decoded code of the software processor may take at most, MiB: its pool and its blocks.
const CODE_CACHE_MIB: f64 = 14.0;

pub(crate) struct Bench {
    heirloom: PathBuf,
    qemu: bool,
    scratch: PathBuf,
}

impl Bench {
    pub(crate) fn new(heirloom: PathBuf, qemu: bool) -> Result<Self> {
        let scratch = root().join("target/bench");
        fs::create_dir_all(&scratch)?;
        Ok(Self { heirloom, qemu, scratch })
    }

    fn heirloom(&self, engine: &str) -> Command {
        let mut c = command(&self.heirloom.to_string_lossy(), ["run", "--name", NAME, "--engine", engine]);
        c.args(["--memory", &MEMORY_MIB.to_string(), "--serial", "stdio", "--display", "none"]);
        c
    }

    fn qemu(&self) -> Command {
        let mut c = command("qemu-system-i386", ["-accel", "tcg", "-m", &MEMORY_MIB.to_string()]);
        c.args(["-display", "none", "-serial", "stdio", "-nic", "none", "-no-reboot"]);
        c
    }

    fn linux(&self, mut c: Command, option: &str, append: &str) -> Command {
        let at = guests::folder().join("linux");
        c.arg(format!("{option}kernel")).arg(at.join("vmlinuz"));
        c.arg(format!("{option}initrd")).arg(at.join("initrd.gz"));
        c.args([format!("{option}append"), format!("console=ttyS0 quiet {append}")]);
        c
    }

    fn instructions(&self) -> Result<u64> {
        let out = quiet(&mut command(&self.heirloom.to_string_lossy(), ["ctl", NAME, "metrics"]))?;
        let text = String::from_utf8_lossy(&out).into_owned();
        let line = text.lines().find(|l| l.contains("cpu") && l.contains("instructions"));
        let n = line.and_then(|l| l.split_whitespace().last()).and_then(|n| n.parse().ok());
        n.with_context(|| format!("the machine counts no instructions:\n{text}"))
    }

    /// The loop in the guest: to the end of the process, since the guest powers off at once.
    pub(crate) fn shell_loop(&self, r: &mut Report) -> Result<()> {
        say("bench: shell loop on Heirloom");
        let mut c = self.linux(self.heirloom("software"), "--", "spin=1");
        let mut p = Process::start(c.arg("--stats"))?;
        let boot = p.started.to(p.expect("spin begins", LONG)?);
        let before = self.instructions()?;
        let begin = p.now()?;
        p.expect("spin ends at 300000", LONG)?;
        let (end, text) = p.ended(60)?;
        let total = text.split_once(" ns, ").and_then(|(_, t)| t.split(' ').next()?.parse::<u64>().ok());
        let done = total.context("the run printed no statistics")?.saturating_sub(before);
        let ours = begin.to(end);
        let rate = done as f64 / 1e6;
        r.add("shell loop, instructions", rate, "M", Bar::None);
        let unit = "M instructions per s of processor time";
        r.add("shell loop, interpreter speed", rate / ours.cpu, unit, Bar::AtLeast(60.0));
        r.add("the same by the wall clock", rate / ours.wall, "M instructions/s", Bar::None);
        if ours.cpu < ours.wall * 0.9 {
            r.note("the host was busy with other work: wall times are too long");
        }

        say("bench: shell loop natively");
        let native = self.native_loop()?;
        let mut theirs: Option<(Took, Took)> = None;
        if self.qemu {
            say("bench: shell loop on QEMU");
            let mut p = Process::start(&mut self.linux(self.qemu(), "-", "spin=1"))?;
            let boot = p.started.to(p.expect("spin begins", LONG)?);
            let begin = p.now()?;
            p.expect("spin ends at 300000", LONG)?;
            theirs = Some((boot, begin.to(p.ended(60)?.0)));
        }
        r.compare("busybox shell loop", native, theirs.map(|t| t.1.cpu), ours.cpu);
        r.compare("Debian 686 kernel, direct boot to /init", None, theirs.map(|t| t.0.cpu), boot.cpu);
        Ok(())
    }

    /// The guest's own busybox on the host, which must run 32-bit programs for that.
    fn native_loop(&self) -> Result<Option<f64>> {
        let initrd = guests::folder().join("linux/initrd.gz");
        let take = "zcat \"$0\" | cpio -i --quiet -d -u ./bin/busybox bin/busybox";
        quiet(command("sh", ["-c", take]).arg(&initrd).current_dir(&self.scratch))?;
        let busybox = self.scratch.join("bin/busybox");
        if quiet(&mut command(&busybox.to_string_lossy(), ["true"])).is_err() {
            return Ok(None);
        }
        let script = LOOP.repeat(NATIVE_ROUNDS as usize);
        let mut p = Process::start(&mut command(&busybox.to_string_lossy(), ["sh", "-c", &script]))?;
        let (end, _) = p.ended(LONG)?;
        Ok(Some(p.started.to(end).cpu / f64::from(NATIVE_ROUNDS)))
    }

    pub(crate) fn debian(&self, r: &mut Report, vhd: &Path) -> Result<()> {
        say("bench: Debian on Heirloom");
        let mut c = self.heirloom("software");
        c.arg("--disk").arg(format!("{},overlay", vhd.display()));
        let mut p = Process::start(&mut c)?;
        let ours = p.started.to(p.expect("login:", LONG)?);
        let above = p.overhead_mib(MEMORY_MIB)?;
        drop(p);
        r.add("Debian VHD to its login prompt, wall clock", ours.wall, "s", Bar::AtMost(90.0));
        r.add("the same, processor time", ours.cpu, "s", Bar::None);
        let bar = Bar::AtMost(16.0 + CODE_CACHE_MIB);
        r.add("memory above the guest's, Debian at its prompt", above, "MiB", bar);
        let mut theirs = None;
        if self.qemu {
            say("bench: Debian on QEMU");
            let mut c = self.qemu();
            c.arg("-drive").arg(format!("file={},format=vpc,if=ide,snapshot=on", vhd.display()));
            let mut p = Process::start(&mut c)?;
            let t = p.started.to(p.expect("login:", LONG)?);
            r.add("QEMU: Debian VHD to its login prompt, wall clock", t.wall, "s", Bar::None);
            r.add("QEMU: memory above the guest's", p.overhead_mib(MEMORY_MIB)?, "MiB", Bar::None);
            theirs = Some(t);
        }
        r.compare("Debian VHD, power-on to login", None, theirs.map(|t| t.cpu), ours.cpu);
        Ok(())
    }

    /// A boot sector that says `!` on COM1 and stops.
    pub(crate) fn start(&self, r: &mut Report) -> Result<()> {
        say("bench: start-up");
        // mov dx, 3f8h; mov al, '!'; out dx, al; cli; hlt
        let mut sector = vec![0xba, 0xf8, 0x03, 0xb0, b'!', 0xee, 0xfa, 0xf4];
        sector.resize(510, 0);
        sector.extend([0x55, 0xaa]);
        // Some BIOSes take no disk without a whole cylinder.
        sector.resize(63 * 16 * 512 * 4, 0);
        let image = self.scratch.join("sector.img");
        fs::write(&image, sector)?;
        let disk = image.display();
        for engine in ["auto", "software"] {
            let (ms, mib) = started(|| {
                let mut c = self.heirloom(engine);
                c.args(["--disk", &format!("{disk},ro")]);
                c
            })?;
            let what = format!("exec to the boot sector, --engine {engine}");
            r.add(&what, ms, "ms", Bar::AtMost(20.0));
            r.add("most resident memory until then", mib, "MiB", Bar::AtMost(20.0));
        }
        if self.qemu {
            let (ms, mib) = started(|| {
                let mut c = self.qemu();
                c.args(["-drive", &format!("file={disk},format=raw,if=ide,snapshot=on")]);
                c
            })?;
            r.add("QEMU: exec to the boot sector", ms, "ms", Bar::None);
            r.add("QEMU: most resident memory until then", mib, "MiB", Bar::None);
        }
        Ok(())
    }

    pub(crate) fn idle(&self, r: &mut Report) -> Result<()> {
        const SECS: u64 = 10;
        let percent = |p: &mut Process| -> Result<f64> {
            p.expect("idle begins", LONG)?;
            // What the boot left to do is over by then.
            std::thread::sleep(Duration::from_secs(3));
            let begin = p.now()?;
            std::thread::sleep(Duration::from_secs(SECS));
            let t = begin.to(p.now()?);
            Ok(t.cpu / t.wall * 100.0)
        };
        say("bench: idle guest on Heirloom");
        let mut p = Process::start(&mut self.linux(self.heirloom("software"), "--", "idle=1"))?;
        r.add("idle guest", percent(&mut p)?, "% of a core", Bar::AtMost(1.0));
        drop(p);
        if self.qemu {
            say("bench: idle guest on QEMU");
            let mut p = Process::start(&mut self.linux(self.qemu(), "-", "idle=1"))?;
            r.add("QEMU: idle guest", percent(&mut p)?, "% of a core", Bar::None);
        }
        Ok(())
    }
}

/// Median milliseconds from exec to the guest's sign, and the most memory.
fn started(mut c: impl FnMut() -> Command) -> Result<(f64, f64)> {
    let mut all = Vec::new();
    let mut most = 0.0_f64;
    for _ in 0..STARTS {
        let mut p = Process::start(&mut c())?;
        let t = p.started.to(p.expect("!", 60)?);
        most = most.max(p.peak_mib()?);
        all.push(t.wall * 1e3);
    }
    all.sort_by(f64::total_cmp);
    Ok((all[STARTS / 2], most))
}
