//! `xtask bench`: how fast guests run, beside the same guests on QEMU's TCG and the same programs natively, in one
//! run. `benches/README.md` says what is measured and how to run one line by hand.
//!
//! Lines are timed by the guest's own clock, which is checked against the host's, and by the processor time that the
//! host spent; the latter counts where other work on the host disturbs the former. A missed bar is `short`, and an
//! error only with `--strict`; a wrong checksum is always one.

mod host;
mod images;
mod io;
mod lines;
mod load;
mod machines;
mod parse;
mod pass;
mod peer;
mod process;
mod report;
mod results;
mod screen;
mod soak;
mod state;
mod stats;
mod table;
mod work;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::shell::{build_heirloom, has, root, say};
use crate::{guests, setup};
use lines::{Area, BOOT_INIT, BOOT_LOGIN, How, LINES, Line};
use machines::Machines;
use pass::Task;
use report::Report;
use results::{By, Column, Results};

/// Readings that are not lines.
const PARTS: &[(&str, &str)] = &[
    ("start", "from exec to the first instruction of a boot sector"),
    ("interpreter", "instructions a second on 300,000 rounds of a shell's loop"),
    ("idle", "what a guest that waits costs"),
];

/// Below this part of a processor for what computes, the host had other work to do.
const SERVED: f64 = 0.95;
/// Below this part, caches and locks that others hold lengthen processor time, too.
const CROWDED: f64 = 0.75;
/// How far the guests' clocks may be from the host's over a run; marks travel over a serial line.
const CLOCK_ERROR: f64 = 0.1;

#[derive(Subcommand)]
pub(crate) enum What {
    /// Processor speed, boot and start-up time, idle cost, memory
    Cpu(Cpu),
    /// The network beside QEMU's tulip and user network; `net disk` measures both
    Net(io::Io),
    /// The disk beside QEMU's IDE
    Disk(io::Io),
    /// Memory and speed of one machine that works for an hour
    Load(load::Load),
    /// How often a guest scrolls its screen
    Screen(screen::Screen),
    /// Saving a busy machine, going on from its state, and many machines from one
    State(state::State),
    /// Conversions, compaction and merges of disk images beside a plain copy and qemu-img
    Images(images::Images),
    /// Half an hour with all devices busy: interrupts, clocks, memory
    Soak(soak::Soak),
}

#[derive(Args)]
pub(crate) struct Cpu {
    /// Times that everything is measured, in turn; medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Measure only these lines (names: --list)
    #[arg(long, value_name = "LINE", value_delimiter = ',', value_parser = name)]
    only: Vec<&'static str>,
    /// Once, and lines stop after one second
    #[arg(long)]
    quick: bool,
    /// Seconds after which a line in a guest stops, to be scaled
    #[arg(long, value_name = "SECS", default_value_t = 3.0)]
    limit: f64,
    /// What time is compared
    #[arg(long, value_enum, default_value_t = By::Auto)]
    by: By,
    /// Leave QEMU out
    #[arg(long)]
    without_qemu: bool,
    /// Leave the interpreter's column out
    #[arg(long)]
    without_interpreter: bool,
    /// Names of lines, and what they do
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    keep: Keep,
}

/// What becomes of readings.
#[derive(Args, Clone)]
pub(crate) struct Keep {
    /// Write the readings to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep text and readings in benches/results
    #[arg(long)]
    keep: bool,
    /// A missed bar is an error
    #[arg(long)]
    strict: bool,
}

fn processor_lines() -> impl Iterator<Item = &'static Line> {
    LINES.iter().filter(|l| l.group.area() == Area::Cpu)
}

fn name(s: &str) -> Result<&'static str, String> {
    let all = processor_lines().map(|l| l.name).chain(PARTS.iter().map(|p| p.0));
    all.into_iter().find(|n| *n == s).ok_or_else(|| "no such line; --list names them".to_owned())
}

pub(crate) fn run(what: What) -> Result<()> {
    match what {
        What::Cpu(args) => cpu(&args),
        What::Net(args) => io::run(Area::Net, &args),
        What::Disk(args) => io::run(Area::Disk, &args),
        What::Load(args) => load::run(&args),
        What::Screen(args) => screen::run(&args),
        What::State(args) => state::run(&args),
        What::Images(args) => images::run(&args),
        What::Soak(args) => soak::run(&args),
    }
}

fn cpu(args: &Cpu) -> Result<()> {
    if args.list {
        let all = processor_lines().map(|l| (l.name, l.what)).chain(PARTS.iter().copied());
        all.for_each(|(n, w)| say(&format!("{n:16} {w}")));
        return Ok(());
    }
    setup::for_benchmarks()?;
    let wanted = |n: &str| args.only.is_empty() || args.only.contains(&n);
    let guest = guests::make_bench()?;
    let debian = if wanted(BOOT_LOGIN) { Some(guests::make_debian()?) } else { None };
    let machines = Machines::new(build_heirloom()?, !args.without_qemu && has("qemu-system-i386"))?;
    let mut notes = Vec::new();
    let columns = columns(args, &machines, &guest, &mut notes);
    let (mut r, mut results) = (Report::default(), Results::default());
    if wanted("start") {
        machines.start(&mut r)?;
    }
    let (repeats, limit) = if args.quick { (1, 1.0) } else { (args.repeats, args.limit) };
    // Before hours may pass in which the tree changes.
    let about = host::describe(&machines, &guest);
    let task = Task { machines: &machines, guest: &guest, limit };
    for n in 0..repeats {
        for column in &columns {
            let lines = lines_of(*column, wanted);
            // Once tells enough of the slow column.
            if lines.is_empty() && !(wanted(BOOT_INIT) && *column != Column::Native)
                || n > 0 && *column == Column::Interpreter
            {
                continue;
            }
            say(&format!("bench: {}, {} of {repeats}", column.name(), n + 1));
            task.pass(*column, &lines, &mut results, &mut notes)?;
        }
        if let Some(vhd) = &debian {
            machines.login(&mut r, &mut results, vhd, n + 1 == repeats)?;
        }
    }
    if wanted("interpreter") {
        machines.interpreter_speed(&mut r)?;
    }
    if wanted("idle") {
        machines.idle(&mut r)?;
    }
    let by = judged_by(args.by, &results, &mut notes);
    clocks(&results, &mut notes);
    let text = whole_text(&about, &results, &r, by, &mut notes);
    say(&text);
    let all = json!({
        "about": about, "repeats": repeats, "limit_s": limit, "judged_by": format!("{by:?}").to_lowercase(),
        "results": table::json(&results, by), "readings": r.json(), "notes": notes,
    });
    args.keep.write(Area::Cpu.name(), &about, &text, &all)?;
    judge(&results, r.missed() + table::missed(&results, by), args.keep.strict)
}

/// Is a run with these results an error?
fn judge(results: &Results, missed: usize, strict: bool) -> Result<()> {
    let wrong = results.wrong_sums();
    if !wrong.is_empty() {
        bail!("checksums differ: {}", wrong.join(", "));
    }
    if strict && missed > 0 {
        bail!("{missed} of the bars were missed");
    }
    Ok(())
}

/// Which columns this host and this build can give.
fn columns(args: &Cpu, m: &Machines, guest: &Path, notes: &mut Vec<String>) -> Vec<Column> {
    let mut all = Vec::new();
    if Machines::native_runs(guest) {
        all.push(Column::Native);
    } else {
        notes.push("native left out: this host runs no 32-bit programs".into());
    }
    all.push(Column::Heirloom);
    if m.qemu {
        all.push(Column::Qemu);
    } else {
        let why = if args.without_qemu { "asked for" } else { "package qemu-system-x86 is not installed" };
        notes.push(format!("QEMU left out: {why}"));
    }
    if !m.jit_off {
        notes.push(
            "this build takes no --engine software,jit=off: what it runs is its one software engine".into(),
        );
    } else if args.without_interpreter {
        notes.push("jit=off left out: asked for".into());
    } else {
        all.push(Column::Interpreter);
    }
    all
}

/// Lines that are run in a column, of those wanted. None: the guest only boots.
fn lines_of(column: Column, wanted: impl Fn(&str) -> bool) -> Vec<&'static Line> {
    let can = |l: &&Line| match l.how {
        How::Everywhere => true,
        How::GuestOnly => column != Column::Native,
        How::Booting => false,
    };
    processor_lines().filter(can).filter(|l| wanted(l.name)).collect()
}

fn judged_by(asked: By, results: &Results, notes: &mut Vec<String>) -> By {
    let mut crowded = false;
    let mut by = if asked == By::Auto { By::Clock } else { asked };
    for c in Column::ALL {
        let Some(served) = results.served(*c).filter(|s| *s < SERVED) else { continue };
        let percent = served * 100.0;
        notes.push(format!("{}: other work on the host left {percent:.0} % of a processor", c.name()));
        if asked == By::Auto {
            by = By::Processor;
        }
        crowded |= served < CROWDED;
    }
    if crowded {
        notes.push(
            "THE HOST WAS CROWDED: processor time, too, was longer than it is, and not for all alike".into(),
        );
    }
    notes.push(match by {
        By::Processor => "times are processor time that the host spent".into(),
        _ => "times are by the clock of the system that the program ran on; boots by the host's".into(),
    });
    by
}

fn clocks(results: &Results, notes: &mut Vec<String>) {
    for c in [Column::Qemu, Column::Heirloom, Column::Interpreter] {
        let Some(e) = results.clock_error(c) else { continue };
        let verdict = if (e - 1.0).abs() > CLOCK_ERROR { "NOT HONEST" } else { "honest" };
        let name = c.name();
        notes.push(format!(
            "{name}: {e:.3} s of the host's clock for one of the guest's, over all lines: {verdict}"
        ));
    }
}

fn text_of(about: &serde_json::Value) -> String {
    let mut t = String::new();
    for (k, v) in about.as_object().into_iter().flatten() {
        let v = v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        t += &format!("\n- {k}: {v}");
    }
    t + "\n"
}

fn whole_text(
    about: &serde_json::Value,
    results: &Results,
    r: &Report,
    by: By,
    notes: &mut Vec<String>,
) -> String {
    let wrong = results.wrong_sums();
    if !wrong.is_empty() {
        notes.push(format!("CHECKSUMS DIFFER: {}", wrong.join(", ")));
    }
    let mut t = text_of(about);
    if results.lines().next().is_some() {
        t += &table::text(results, by);
    }
    t += &r.text();
    t.push('\n');
    for n in notes {
        t += &format!("- {n}\n");
    }
    t
}

fn put(file: &Path, what: &str) -> Result<()> {
    fs::write(file, what).with_context(|| format!("cannot write {}", file.display()))?;
    say(&format!("bench: written {}", file.strip_prefix(root()).unwrap_or(file).display()));
    Ok(())
}

impl Keep {
    fn write(
        &self,
        name: &str,
        about: &serde_json::Value,
        text: &str,
        all: &serde_json::Value,
    ) -> Result<()> {
        let json = serde_json::to_string_pretty(all)? + "\n";
        if let Some(file) = &self.json {
            put(file, &json)?;
        }
        if self.keep {
            let date = about["date"].as_str().context("no date")?;
            let base = root().join("benches/results");
            put(&base.join(format!("{date}-{name}.json")), &json)?;
            let text = format!("# `cargo xtask bench {}`, {date}\n{text}", name.replace('-', " "));
            put(&base.join(format!("{date}-{name}.md")), &text)?;
        }
        Ok(())
    }
}
