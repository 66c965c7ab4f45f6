//! `xtask guests`: test guests, assembled from Debian's packages and cached under target/guests.
//!
//! | guest | what it is |
//! |---|---|
//! | `linux/vmlinuz`, `linux/initrd.gz` | Debian's 686 kernel, and an initrd of busybox with a script for tests |
//! | `bench/vmlinuz`, `bench/initrd.gz` | the same kernel, and an initrd with the programs of `benches/guest` |
//! | `debian.vhd` | Debian with a login: MBR and core image of GRUB, ext4, kernel, sysvinit |
//! | `desktop.vhd` | the same with Xorg on its vesa driver, a window manager and two terminals |
//! | `floppy/vmlinuz`, `floppy/initrd.gz` | the kernel with its drivers for diskettes and printers |
//! | `power/vmlinuz`, `power/initrd.gz` | the kernel with a reader of the power button, and of the SMBus |
//! | `sound/vmlinuz`, `sound/initrd.gz` | the kernel with its drivers of the sound card, and a program that plays tones |
//! | `screen/vmlinuz`, `screen/initrd.gz` | the kernel with its driver of the display adapter |
//! | `soak/vmlinuz`, `soak/initrd.gz` | the kernel with all these drivers, and a program that keeps them busy |
//! | `busy/vmlinuz`, `busy/initrd.gz` | the same for a machine that is saved at many instants |
//! | `agent/vmlinuz`, `agent/initrd.gz` | the tests' Linux with the guest agent |
//! | `syslinux.img` | a diskette that boots SYSLINUX, with memtest86+ on it |
//! | `memtest.iso`, `grub.iso`, `ipxe.iso`, `isolinux.iso` | what their packages ship (ISOLINUX: with a menu) |

pub(crate) mod agent;
pub(crate) mod bench;
mod busy;
pub(crate) mod debian;
mod floppy;
mod isos;
mod layer;
mod linux;
mod matrix;
mod power;
mod screen;
mod soak;
mod sound;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use clap::ValueEnum;

use crate::shell::{command, quiet, root, say};

pub(crate) use matrix::Matrix;

/// Where guests are.
pub(crate) fn folder() -> PathBuf {
    root().join("target/guests")
}

/// A guest that can be asked for by name.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Kernel and initrd of the tests
    Linux,
    /// Kernel and initrd of `bench cpu`
    Bench,
    /// The disk with a login
    Debian,
    /// The disk with a desktop
    Desktop,
    /// Bootable CDs
    Isos,
    /// Diskettes and their Linux
    Floppies,
    /// The Linux of the power tests
    Power,
    /// The Linux that plays sound
    Sound,
    /// The display adapter's Linux
    Screen,
    /// The Linux that is busy with everything
    Soak,
    /// The Linux that is saved while it is busy
    Busy,
    /// The Linux with the guest agent
    Agent,
}

/// What the command line asks for.
pub(crate) fn asked(which: Option<Which>, fresh: bool, matrix: &Matrix) -> Result<()> {
    match which {
        Some(w) => one(w, fresh),
        None if matrix.is_wanted() => matrix::run(fresh, matrix),
        None => run(fresh),
    }
}

/// Makes one guest and says where it is.
fn one(which: Which, fresh: bool) -> Result<()> {
    crate::setup::for_benchmarks()?;
    let at = folder();
    fs::create_dir_all(&at)?;
    let parts: &[&str] = match which {
        Which::Linux => &["linux"],
        Which::Bench => &["bench"],
        Which::Debian => &["debian.vhd"],
        Which::Desktop => &["desktop.vhd"],
        Which::Isos => &["memtest.iso", "grub.iso", "ipxe.iso", "isolinux.iso"],
        Which::Floppies => &["floppy", "syslinux.img"],
        Which::Power => &["power"],
        Which::Sound => &["sound"],
        Which::Screen => &["screen"],
        Which::Soak => &["soak"],
        Which::Busy => &["busy"],
        Which::Agent => &["agent"],
    };
    for p in parts.iter().map(|p| at.join(p)).filter(|p| fresh && p.exists()) {
        if p.is_dir() { fs::remove_dir_all(&p) } else { fs::remove_file(&p) }
            .with_context(|| format!("cannot remove {}", p.display()))?;
    }
    match which {
        Which::Linux => run_linux()?,
        Which::Bench => make_bench().map(drop)?,
        Which::Debian => make_debian().map(drop)?,
        Which::Desktop => make_disk(&debian::DESKTOP).map(drop)?,
        Which::Isos => run_linux().and_then(|()| isos::make(&at))?,
        Which::Floppies => run_linux().and_then(|()| make_floppies(&at))?,
        Which::Power => run_linux().and_then(|()| make_power(&at))?,
        Which::Sound => run_linux().and_then(|()| make_sound(&at))?,
        Which::Screen => run_linux().and_then(|()| make_screen(&at)).map(drop)?,
        Which::Soak => run_linux().and_then(|()| make_soak(&at)).map(drop)?,
        Which::Busy => run_linux().and_then(|()| make_busy(&at))?,
        Which::Agent => run_linux().and_then(|()| make_agent(&at)).map(drop)?,
    }
    for p in parts {
        say(&format!("guests: {}", at.join(p).display()));
    }
    Ok(())
}

/// Makes what is missing of the tests' guests.
pub(crate) fn run(fresh: bool) -> Result<()> {
    crate::setup::run_once()?;
    let at = folder();
    if fresh && at.exists() {
        fs::remove_dir_all(&at).with_context(|| format!("cannot remove {}", at.display()))?;
    }
    fs::create_dir_all(&at)?;
    run_linux()?;
    isos::make(&at)?;
    make_floppies(&at)?;
    make_power(&at)?;
    make_sound(&at)?;
    make_screen(&at)?;
    make_soak(&at)?;
    make_busy(&at)?;
    make_agent(&at)?;
    make_disk(&debian::CONSOLE)?;
    make_disk(&debian::DESKTOP)?;
    Ok(())
}

/// The kernel and its initrd.
pub(crate) fn run_linux() -> Result<()> {
    let at = folder();
    fs::create_dir_all(&at)?;
    make(&at.join("linux/initrd.gz"), || linux::make(&at.join("linux")))
}

/// The benchmark's guest; made anew when its sources changed.
pub(crate) fn make_bench() -> Result<PathBuf> {
    run_linux()?;
    let at = folder().join("bench");
    if !bench::is_fresh(&at)? {
        say("guests: making target/guests/bench");
        bench::make(&at, &folder().join("linux")).context("cannot make the benchmark's guest")?;
    }
    Ok(at)
}

/// The diskette tests' guests.
fn make_floppies(at: &Path) -> Result<()> {
    let linux = at.join("floppy");
    make(&linux.join("initrd.gz"), || floppy::make_linux(&linux, &at.join("linux/initrd.gz")))?;
    let image = at.join("syslinux.img");
    make(&image, || floppy::make_syslinux(&image))
}

/// The power tests' guest.
fn make_power(at: &Path) -> Result<()> {
    let to = at.join("power");
    make(&to.join("initrd.gz"), || power::make(&to, &at.join("linux/initrd.gz")))
}

/// The sound tests' guest.
fn make_sound(at: &Path) -> Result<()> {
    let sound = at.join("sound");
    make(&sound.join("initrd.gz"), || sound::make(&sound, &at.join("linux/initrd.gz")))
}

/// The guest of the display's tests and benchmark.
pub(crate) fn make_screen(at: &Path) -> Result<PathBuf> {
    let screen = at.join("screen");
    make(&screen.join("initrd.gz"), || screen::make(&screen, &at.join("linux/initrd.gz")))?;
    Ok(screen)
}

/// The guest of the soak and its test.
pub(crate) fn make_soak(at: &Path) -> Result<PathBuf> {
    let soak = at.join("soak");
    make(&soak.join("initrd.gz"), || soak::make(&soak, &at.join("linux/initrd.gz")))?;
    Ok(soak)
}

/// The guest that is saved at many instants.
fn make_busy(at: &Path) -> Result<()> {
    let busy = at.join("busy");
    make(&busy.join("initrd.gz"), || busy::make(&busy, &at.join("linux/initrd.gz")))
}

/// The guest of the integration channel's tests; made anew when the agent's binary changed.
pub(crate) fn make_agent(at: &Path) -> Result<PathBuf> {
    let agent = at.join("agent");
    let initrd = agent.join("initrd.gz");
    if initrd.exists() {
        let when = |p: &Path| p.metadata().and_then(|m| m.modified());
        if when(&agent::build()?)? > when(&initrd)? {
            fs::remove_file(&initrd)?;
        }
    }
    make(&initrd, || agent::make(&agent, &at.join("linux/initrd.gz")))?;
    Ok(agent)
}

/// The Debian VHD.
pub(crate) fn make_debian() -> Result<PathBuf> {
    make_disk(&debian::CONSOLE)
}

fn make_disk(system: &debian::System) -> Result<PathBuf> {
    let at = folder();
    fs::create_dir_all(&at)?;
    let vhd = at.join(system.file);
    make(&vhd, || debian::make(&at, system))?;
    Ok(vhd)
}

fn make(what: &Path, how: impl FnOnce() -> Result<()>) -> Result<()> {
    if what.exists() {
        return Ok(());
    }
    say(&format!("guests: making {}", what.strip_prefix(root()).unwrap_or(what).display()));
    how().with_context(|| format!("cannot make {}", what.display()))
}

/// Downloads and unpacks packages of the i386 architecture into `into`, without installing them.
fn unpack(packages: &[String], into: &Path) -> Result<()> {
    let debs = into.with_extension("debs");
    fs::create_dir_all(&debs)?;
    fs::create_dir_all(into)?;
    let mut c = command("apt-get", ["download", "-q"]);
    // As root apt would drop to a user that can't write here.
    c.args(["-o", "APT::Sandbox::User=root"]).args(packages).current_dir(&debs);
    quiet(&mut c)?;
    for deb in fs::read_dir(&debs)? {
        quiet(command("dpkg-deb", ["-x"]).arg(deb?.path()).arg(into))?;
    }
    fs::remove_dir_all(&debs)?;
    Ok(())
}

/// The package that a meta package depends on first.
fn depends_on(meta: &str) -> Result<String> {
    let out = quiet(&mut command("apt-cache", ["depends", meta]))?;
    let out = String::from_utf8_lossy(&out);
    let first = out.lines().find_map(|l| l.trim().strip_prefix("Depends: "));
    Ok(first.with_context(|| format!("{meta} depends on nothing; is its architecture enabled?"))?.to_owned())
}
