//! `xtask bench net disk`: the guest's disk and network beside QEMU's, on the same guest in one run.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::lines::{Area, LINES, Line};
use super::machines::Machines;
use super::pass::Task;
use super::peer::Peer;
use super::report::Report;
use super::results::{By, Column, Results};
use super::{Keep, clocks, host, judge, table, whole_text};
use crate::shell::{build_heirloom, has, say};
use crate::{guests, setup};

#[derive(Args)]
pub(crate) struct Io {
    /// What else to measure
    #[arg(value_enum)]
    also: Vec<Area>,
    /// Times that everything is measured, in turn; medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Seconds after which a line stops, to be scaled
    #[arg(long, value_name = "SECS", default_value_t = 3.0)]
    limit: f64,
    #[command(flatten)]
    keep: Keep,
}

pub(super) fn run(first: Area, args: &Io) -> Result<()> {
    setup::for_benchmarks()?;
    let guest = guests::make_bench()?;
    let mut machines = Machines::new(build_heirloom()?, has("qemu-system-i386"))?;
    machines.peer = Some(Peer::start()?);
    let mut areas = args.also.clone();
    areas.push(first);
    areas.sort_unstable();
    areas.dedup();
    let lines: Vec<&'static Line> = LINES.iter().filter(|l| areas.contains(&l.group.area())).collect();
    let (mut results, mut notes) = (Results::default(), Vec::new());
    let columns: &[Column] = match machines.qemu {
        true => &[Column::Heirloom, Column::Qemu],
        false => &[Column::Heirloom],
    };
    if !machines.qemu {
        notes.push("QEMU left out: package qemu-system-x86 is not installed".into());
    }
    let about = host::describe(&machines, &guest);
    let task = Task { machines: &machines, guest: &guest, limit: args.limit };
    for n in 0..args.repeats {
        for column in columns {
            say(&format!("bench: {}, {} of {}", column.name(), n + 1, args.repeats));
            task.pass(*column, &lines, &mut results, &mut notes)?;
        }
    }
    results.keep_only(&lines);
    let by = By::Clock;
    clocks(&results, &mut notes);
    let text = whole_text(&about, &results, &Report::default(), by, &mut notes);
    say(&text);
    let all = json!({
        "about": about, "repeats": args.repeats, "limit_s": args.limit, "results": table::json(&results, by),
        "notes": notes,
    });
    let name = areas.iter().map(|a| a.name()).collect::<Vec<_>>().join("-");
    args.keep.write(&name, &about, &text, &all)?;
    judge(&results, table::missed(&results, by), args.keep.strict)
}
