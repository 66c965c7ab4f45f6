//! `xtask bench cpu`: how fast guests run, beside the same guests on QEMU's TCG and natively, in one run.
//!
//! Work is measured in processor time of the emulator's whole process (`/proc/PID/stat`), so that other work on the
//! host moves the numbers little; wall time stands beside it where a user would wait for it. Each reading is shown
//! with the bar that the project set itself. A missed bar is `short`, and an error only with `--strict`.

mod process;
mod report;
mod work;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::shell::{build_heirloom, has, say};
use crate::{guests, setup};
use report::Report;

#[derive(Subcommand)]
pub(crate) enum What {
    /// Processor speed, boot and start-up time, idle cost, memory
    Cpu(Cpu),
}

#[derive(Args)]
pub(crate) struct Cpu {
    /// Measure only these
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Leave QEMU out even if it is installed
    #[arg(long)]
    without_qemu: bool,
    /// Write the readings to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A missed bar is an error
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// 300,000 rounds of a loop in busybox's shell
    Loop,
    /// Debian's VHD from power-on to the login prompt
    Debian,
    /// From exec to the first instruction of a boot sector
    Start,
    /// A guest that waits
    Idle,
}

pub(crate) fn run(what: What) -> Result<()> {
    let What::Cpu(args) = what;
    setup::run_once()?;
    let wanted = |p: Part| args.only.is_empty() || args.only.contains(&p);
    if wanted(Part::Loop) || wanted(Part::Idle) {
        guests::run_linux()?;
    }
    let debian = if wanted(Part::Debian) { Some(guests::make_debian()?) } else { None };
    let heirloom = build_heirloom()?;
    let qemu = !args.without_qemu && has("qemu-system-i386");
    let mut r = Report::default();
    if !qemu {
        let why = if args.without_qemu { "asked for" } else { "package qemu-system-x86 is not installed" };
        r.note(&format!("QEMU left out: {why}"));
    }
    let bench = work::Bench::new(heirloom, qemu)?;
    if wanted(Part::Start) {
        bench.start(&mut r)?;
    }
    if wanted(Part::Loop) {
        bench.shell_loop(&mut r)?;
    }
    if let Some(vhd) = &debian {
        bench.debian(&mut r, vhd)?;
    }
    if wanted(Part::Idle) {
        bench.idle(&mut r)?;
    }
    say(&r.text());
    if let Some(file) = &args.json {
        r.write_json(file)?;
    }
    if args.strict && r.missed() > 0 {
        bail!("{} of the bars were missed", r.missed());
    }
    Ok(())
}
