//! `heirloom snapshot ...`: what snapshots the disks of a machine have, and one of them forgotten.

mod found;
mod remove;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use host_io::disk;
use serde::Serialize;

use crate::disk::{human, with_bar};
use crate::doctor::say;
use crate::run::extra::Stamp;
use crate::run::{read_spec, state};
use found::{Places, State};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  heirloom ctl accounts snapshot before-update\n  heirloom snapshot list accounts.toml\n  \
                  heirloom snapshot list accounts.vhd --states /srv/states --json\n  \
                  heirloom snapshot remove before-update\n\n`heirloom run ... --resume STATE --revert` goes back to one."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List the snapshots that a machine's disks have, and where each of them is in the disks' chain
    List {
        /// The machine's spec file (TOML), or one of its disks
        machine: PathBuf,
        /// Look for states here, too; else beside the disks and the spec, and in this folder
        #[arg(long, value_name = "FOLDER")]
        states: Vec<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a snapshot: its state goes, and what its disks hold goes to what lies over them. Nothing else is lost, and the
    /// machine must be off. Interrupted, it can be done again
    Remove {
        /// The state that `heirloom ctl NAME snapshot` wrote; or the snapshot's disk, if the state is gone
        snapshot: PathBuf,
        /// Look for states of the same disks here, too; else beside the disks and this state, and in this folder
        #[arg(long, value_name = "FOLDER")]
        states: Vec<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A snapshot, or a state that ended its machine.
#[derive(Debug, PartialEq, Serialize)]
struct Entry {
    /// None: only its disk is left.
    state: Option<PathBuf>,
    /// "snapshot", "saved" (the machine ended with it), "removing" (which was interrupted) or "disk".
    kind: &'static str,
    /// Seconds since 1970.
    taken: Option<u64>,
    memory_mib: Option<u64>,
    /// All its disks are as they were.
    usable: bool,
    disks: Vec<DiskEntry>,
}

#[derive(Debug, PartialEq, Serialize)]
struct DiskEntry {
    file: PathBuf,
    /// Kept for the snapshot.
    frozen: bool,
    /// Of the file; None: it is gone.
    bytes: Option<u64>,
    /// Its chain, the nearest first.
    over: Vec<PathBuf>,
    /// What lies straight over it.
    under: Vec<PathBuf>,
    usable: bool,
}

pub(crate) fn run(a: Args) -> Result<ExitCode> {
    match a.what {
        What::List { machine, states, json } => {
            let disks = disks_of(&machine)?;
            let places = Places::new(disks.iter().chain([&machine]), &states)?;
            let all = list(&disks, &places)?;
            if json {
                say(&serde_json::to_string_pretty(&all)?);
            } else if all.is_empty() {
                say(&format!("no snapshots of {} in {places}", machine.display()));
            } else {
                all.iter().for_each(tell);
            }
        }
        What::Remove { snapshot, states, json } => {
            let plan = remove::Plan::new(&snapshot, &states)?;
            let done = with_bar(|bar| plan.carry_out(bar))?;
            if json {
                say(&serde_json::to_string_pretty(&done)?);
            } else {
                done.tell();
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The files that a machine writes to, or a disk by itself.
fn disks_of(machine: &Path) -> Result<Vec<PathBuf>> {
    if machine.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")) {
        return Ok(state::disk_files(&read_spec(machine)?));
    }
    // What is wrong with it is told as for any disk.
    if !disk::is_vhd(machine).unwrap_or_default() {
        disk::info(machine)?;
    }
    Ok(vec![machine.into()])
}

fn list(disks: &[PathBuf], places: &Places) -> Result<Vec<Entry>> {
    let family = Family::of(disks);
    let mut all: Vec<Entry> = Vec::new();
    for s in places.states()? {
        if s.extra.disks.iter().any(|d| family.has(&d.path)) {
            all.push(entry(&s)?);
        }
    }
    // Of one second the one that lies deeper is older.
    all.sort_by_key(|e| (e.taken, e.disks.iter().map(|d| d.over.len()).sum::<usize>(), e.state.clone()));
    let told = |file: &Path| all.iter().flat_map(|e| &e.disks).any(|d| disk::same_file(&d.file, file));
    let mut loose = Vec::new();
    for file in disks.iter().flat_map(|d| found::frozen_beside(d)) {
        if family.has(&file) && !told(&file) && !loose.contains(&file) {
            loose.push(file);
        }
    }
    for file in loose {
        let disks = vec![disk_entry(&Stamp::of(&file)?, true, true)?];
        all.push(Entry { state: None, kind: "disk", taken: None, memory_mib: None, usable: true, disks });
    }
    Ok(all)
}

/// Disks, and those under them.
struct Family(Vec<PathBuf>);

impl Family {
    fn of(disks: &[PathBuf]) -> Self {
        Self(disks.iter().flat_map(|d| [d.clone()].into_iter().chain(disk::lineage(d))).collect())
    }

    /// Is the disk one of them, or does it lie over one of them?
    fn has(&self, file: &Path) -> bool {
        let of_it = [file.to_owned()].into_iter().chain(disk::lineage(file));
        of_it.into_iter().any(|f| self.0.iter().any(|own| disk::same_file(own, &f)))
    }
}

fn entry(s: &State) -> Result<Entry> {
    let frozen = s.frozen();
    let mut disks = Vec::new();
    for then in &s.extra.disks {
        disks.push(disk_entry(then, frozen.contains(&then.path), s.extra.is_there(then))?);
    }
    let kind = match frozen.is_empty() {
        _ if s.going => "removing",
        true => "saved",
        false => "snapshot",
    };
    Ok(Entry {
        state: Some(s.path.clone()),
        kind,
        taken: Some(s.taken),
        memory_mib: Some(s.memory_mib),
        usable: !s.going && disks.iter().all(|d| d.usable),
        disks,
    })
}

fn disk_entry(then: &Stamp, frozen: bool, usable: bool) -> Result<DiskEntry> {
    let file = then.path.clone();
    let there = file.is_file();
    Ok(DiskEntry {
        frozen,
        bytes: file.metadata().ok().map(|m| m.len()),
        over: disk::lineage(&file),
        under: if there { disk::children(&file)? } else { Vec::new() },
        usable,
        file,
    })
}

fn tell(e: &Entry) {
    let what = match e.kind {
        "saved" => "saved, the machine ended with it",
        "removing" => "its removal was interrupted; `heirloom snapshot remove` does it again",
        "disk" => "a snapshot's disk whose state was not found",
        _ => "snapshot",
    };
    match (&e.state, e.taken) {
        (Some(state), Some(taken)) => {
            let usable = if e.usable { "" } else { ", NOT USABLE" };
            let mib = e.memory_mib.unwrap_or_default();
            say(&format!("{}: {what}, {}, {mib} MiB of memory{usable}", state.display(), date(taken)));
        }
        _ => say(&format!("without a state: {what}")),
    }
    for d in &e.disks {
        let size = match d.bytes {
            _ if e.kind == "removing" && !d.usable => "being merged".into(),
            None => "gone".into(),
            Some(n) if d.usable => human(n),
            Some(n) => format!("{}, changed since", human(n)),
        };
        let names =
            |all: &[PathBuf]| all.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        let over = if d.over.is_empty() { String::new() } else { format!(", over {}", names(&d.over)) };
        let under = if d.under.is_empty() { String::new() } else { format!(", under {}", names(&d.under)) };
        say(&format!("    {}: {size}{over}{under}", d.file.display()));
    }
}

/// Seconds since 1970 as a date here.
fn date(secs: u64) -> String {
    let at = i64::try_from(secs).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    at.map_or_else(String::new, |t| {
        t.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    })
}
