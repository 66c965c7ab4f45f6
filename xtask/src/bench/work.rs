//! Readings that are not lines: start-up, idle cost, the interpreter's speed; and booting a disk to its login.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::lines::{BOOT_LOGIN, LINES};
use super::machines::{MEMORY_MIB, Machines};
use super::process::Process;
use super::report::{Bar, Report};
use super::results::{By, Column, Results, Sample};
use crate::guests;
use crate::shell::{command, quiet, say};

/// Patience with guests on a busy host.
const LONG: u64 = 1800;

/// Start-ups that are timed; the median counts.
const STARTS: usize = 11;

/// What the decoded code of the software processor may take at most, MiB: its pool and its blocks.
const CODE_CACHE_MIB: f64 = 14.0;

impl Machines {
    /// A counter of the machine that runs.
    pub(crate) fn counter(&self, name: &str) -> Result<u64> {
        let out = quiet(&mut command(&self.heirloom.to_string_lossy(), ["ctl", &self.name, "metrics"]))?;
        let text = String::from_utf8_lossy(&out).into_owned();
        let n = text.lines().find_map(|l| l.strip_prefix(&format!("heirloom_{name} "))?.trim().parse().ok());
        n.with_context(|| format!("the machine counts no {name}:\n{text}"))
    }

    /// How many instructions a second the interpreter does, on a shell's loop.
    pub(crate) fn interpreter_speed(&self, r: &mut Report) -> Result<()> {
        // A build that cannot leave its JIT out shows the speed of both together.
        let who = if self.jit_off { "interpreter" } else { "software engine" };
        say(&format!("bench: instructions of the {who}"));
        let mut c = self.linux(Column::Interpreter, &guests::folder().join("linux"), "spin=1");
        let mut p = Process::start(c.arg("--stats"))?;
        p.expect("spin begins", LONG)?;
        let before = self.counter("cpu_instructions")?;
        let begin = p.now()?;
        p.expect("spin ends at 300000", LONG)?;
        let (end, text) = p.ended(60)?;
        let total = text.split_once(" ns, ").and_then(|(_, t)| t.split(' ').next()?.parse::<u64>().ok());
        let done = total.context("the run printed no statistics")?.saturating_sub(before);
        let ours = begin.to(end);
        let rate = done as f64 / 1e6;
        r.add("shell loop of 300,000 rounds, instructions", rate, "M", Bar::None);
        let unit = "M instructions per s of processor time";
        r.add(&format!("the same, {who}'s speed"), rate / ours.cpu, unit, Bar::AtLeast(60.0));
        r.add("the same by the wall clock", rate / ours.wall, "M instructions/s", Bar::None);
        Ok(())
    }

    /// From power-on to the login prompt, once on each emulator.
    pub(crate) fn login(&self, r: &mut Report, results: &mut Results, vhd: &Path, last: bool) -> Result<()> {
        let line = LINES.iter().find(|l| l.name == BOOT_LOGIN).context("no line boots to login")?;
        say("bench: Debian's VHD on Heirloom");
        let mut c = self.heirloom("software");
        c.arg("--disk").arg(format!("{},overlay", vhd.display()));
        let mut p = Process::start(&mut c)?;
        results.add(line.name, Column::Heirloom, Sample::of_boot(p.started.to(p.expect("login:", LONG)?)));
        let ours = p.overhead(MEMORY_MIB)?.all;
        drop(p);
        if last {
            let wall = results.median(line.name, Column::Heirloom, By::Clock).unwrap_or(f64::NAN);
            r.add("Debian VHD to its login prompt, wall clock", wall, "s", Bar::AtMost(90.0));
            let bar = Bar::AtMost(16.0 + CODE_CACHE_MIB);
            r.add("memory above the guest's, Debian at its prompt", ours, "MiB", bar);
        }
        if self.qemu {
            say("bench: Debian's VHD on QEMU");
            let mut c = Self::qemu();
            c.arg("-drive").arg(format!("file={},format=vpc,if=ide,snapshot=on", vhd.display()));
            let mut p = Process::start(&mut c)?;
            results.add(line.name, Column::Qemu, Sample::of_boot(p.started.to(p.expect("login:", LONG)?)));
            if last {
                r.add("QEMU: memory above the guest's", p.overhead(MEMORY_MIB)?.all, "MiB", Bar::None);
            }
        }
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
                let mut c = Self::qemu();
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
        let guest = guests::folder().join("linux");
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
        let mut p = Process::start(&mut self.linux(Column::Heirloom, &guest, "idle=1"))?;
        r.add("idle guest", percent(&mut p)?, "% of a core", Bar::AtMost(1.0));
        drop(p);
        if self.qemu {
            say("bench: idle guest on QEMU");
            let mut p = Process::start(&mut self.linux(Column::Qemu, &guest, "idle=1"))?;
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
