//! `xtask bench load`: does a machine that works for an hour stay as small and as fast as it began?
//!
//! The benchmark's lines, one after the other, again and again in one guest; what the process takes is read meanwhile.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use super::lines::{How, Line};
use super::machines::{MEMORY_MIB, Machines};
use super::parse::{Mark, mark};
use super::process::{Overhead, Process};
use super::report::{Bar, Report, number};
use super::results::{Column, Results, Sample};
use super::stats::{median, slope};
use super::{host, name, processor_lines, put, text_of};
use crate::shell::{build_heirloom, say};
use crate::{guests, setup};

/// What a machine may take above its guest's memory and its translated code, MiB.
const BARS: Bars = Bars { most: Bar::AtMost(16.0), growth: Bar::None };
/// Patience with a guest that says nothing.
const SILENCE: u64 = 600;
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_mins(1);
/// Part of the time in which a machine grows to its size: no drift.
const WARM_UP: f64 = 0.25;

#[derive(Args)]
pub(crate) struct Load {
    /// How long; the round over all lines that is begun by then is finished
    #[arg(long, value_name = "MINUTES", default_value_t = 60.0)]
    minutes: f64,
    /// Between two readings of memory, at least
    #[arg(long, value_name = "SECS", default_value_t = 5.0)]
    every: f64,
    /// Seconds after which a line stops
    #[arg(long, value_name = "SECS", default_value_t = 1.0)]
    limit: f64,
    /// Only these lines (names: bench cpu --list)
    #[arg(long, value_name = "LINE", value_delimiter = ',', value_parser = name)]
    only: Vec<&'static str>,
    /// Write the readings to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A missed bar is an error
    #[arg(long)]
    strict: bool,
}

/// Memory at a moment.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub(super) hours: f64,
    pub(super) took: Overhead,
}

/// What memory without translated code is held against.
#[derive(Clone, Copy)]
pub(super) struct Bars {
    /// The largest reading, MiB
    pub(super) most: Bar,
    /// How it grows after the machine's warm-up, MiB an hour
    pub(super) growth: Bar,
}

pub(super) fn run(args: &Load) -> Result<()> {
    let wanted = |l: &&Line| args.only.is_empty() || args.only.contains(&l.name);
    let lines: Vec<&Line> = processor_lines().filter(|l| l.how != How::Booting).filter(wanted).collect();
    if lines.is_empty() {
        bail!("none of these lines runs in a guest; `bench cpu --list` names them");
    }
    setup::for_benchmarks()?;
    let guest = guests::make_bench()?;
    let machines = Machines::new(build_heirloom()?, false)?;
    let about = host::describe(&machines, &guest);
    let names: Vec<&str> = lines.iter().map(|l| l.name).collect();
    let mut p = Process::start(&mut machines.lines_again(&guest, args.limit, &names)?)?;
    say(&format!("bench: {} lines for {} min", names.len(), args.minutes));
    let (mut readings, mut results) = (Vec::new(), Results::default());
    let rounds = work(&mut p, args, &lines, &mut readings, &mut results)?;
    let mut r = Report::default();
    memory(&mut r, &readings, BARS);
    let made = machines.counter("cpu_jit_bytes")? as f64 / f64::from(1 << 20);
    r.add("code translated since power-on", made, "MiB", Bar::None);
    let dropped = machines.counter("cpu_jit_flushes")?;
    let views = (machines.counter("cpu_views_made")?, machines.counter("cpu_views_given_up")?);
    drop(p);
    let paces = paces(&lines, &results);
    if let Some((line, _, _, most)) = paces.iter().max_by(|a, b| a.3.total_cmp(&b.3)) {
        r.add(&format!("most slowed line, {line}"), *most, "times", Bar::None);
    }
    let wrong = results.wrong_sums();
    let how = format!(
        "- {rounds} rounds over all lines; all translated code was dropped {dropped} times; {} views were made, {} of \
         them given up\n",
        views.0, views.1
    );
    say(&(text_of(&about) + &how + &pace_text(&paces) + &r.text()));
    if let Some(file) = &args.json {
        let memory: Vec<_> = readings.iter().map(|m| json!([m.hours, m.took.all, m.took.code])).collect();
        let all = json!({
            "about": about, "minutes": args.minutes, "limit_s": args.limit, "rounds": rounds,
            "code_dropped": dropped, "views_made_given_up": views, "readings": r.json(),
            "memory_hours_mib_code": memory, "line_first_last_ratio": paces,
        });
        put(file, &(serde_json::to_string_pretty(&all)? + "\n"))?;
    }
    if !wrong.is_empty() {
        bail!("checksums differ: {}", wrong.join(", "));
    }
    if args.strict && r.missed() > 0 {
        bail!("{} of the bars were missed", r.missed());
    }
    Ok(())
}

/// Follows the guest until its time is over. Returns how often it did all lines.
fn work(
    p: &mut Process,
    args: &Load,
    lines: &[&'static Line],
    readings: &mut Vec<Reading>,
    results: &mut Results,
) -> Result<u32> {
    let start = Instant::now();
    let (mut rounds, mut begun, mut told) = (0, None, start);
    let mut read: Option<Instant> = None;
    loop {
        let Some((at, text)) = p.line(SILENCE)? else { bail!("the machine ended: {}", p.complaint()) };
        let mut over = false;
        match mark(&text) {
            Some(Mark::Begin(_)) => begun = Some(at),
            Some(Mark::End(e)) => {
                let line = lines.iter().find(|l| l.name == e.name);
                let (line, begun) = line.zip(begun.take()).context("a line ended that had not begun")?;
                results.add(line.name, Column::Heirloom, Sample::of_line(Column::Heirloom, &e, begun.to(at)));
            }
            Some(Mark::Failed(name)) => bail!("{name} failed in round {}: {}", rounds + 1, p.complaint()),
            Some(Mark::Done) => {
                rounds += 1;
                over = start.elapsed().as_secs_f64() >= args.minutes * 60.0;
            }
            Some(Mark::Init) | None => continue,
        }
        if over || read.is_none_or(|t| t.elapsed().as_secs_f64() >= args.every) {
            let hours = start.elapsed().as_secs_f64() / 3600.0;
            readings.push(Reading { hours, took: p.overhead(MEMORY_MIB)? });
            read = Some(Instant::now());
        }
        if over {
            return Ok(rounds);
        }
        if let Some(last) = readings.last().filter(|_| told.elapsed() >= PROGRESS) {
            told = Instant::now();
            let (min, all, code) = (last.hours * 60.0, number(last.took.all), number(last.took.code));
            say(&format!("bench: {min:.0} min, {rounds} rounds, {all} MiB, {code} of them code"));
        }
    }
}

pub(super) fn memory(r: &mut Report, readings: &[Reading], bars: Bars) {
    let column = |of: fn(&Overhead) -> f64| readings.iter().map(|m| of(&m.took)).collect::<Vec<f64>>();
    let most = |v: &[f64]| v.iter().copied().fold(f64::NAN, f64::max);
    let all = column(|t| t.all);
    let (Some(first), Some(last), Some(middle)) = (all.first(), all.last(), median(&all)) else { return };
    let what = "memory above the guest's";
    r.add(&format!("{what}, first"), *first, "MiB", Bar::None);
    r.add(&format!("{what}, median"), middle, "MiB", Bar::None);
    r.add(&format!("{what}, largest"), most(&all), "MiB", Bar::None);
    r.add(&format!("{what}, last"), *last, "MiB", Bar::None);
    r.add("translated code in it, largest", most(&column(|t| t.code)), "MiB", Bar::None);
    let rest = column(|t| t.all - t.code);
    r.add(&format!("{what}, without code, largest"), most(&rest), "MiB", bars.most);
    for (what, values, bar) in [("drift of all", &all, Bar::None), ("drift without code", &rest, bars.growth)]
    {
        if let Some(d) = drift(readings, values) {
            r.add(what, d, "MiB an hour", bar);
        }
    }
}

/// How fast values grow in an hour, once the machine has grown to its size.
fn drift(readings: &[Reading], values: &[f64]) -> Option<f64> {
    let from = readings.last()?.hours * WARM_UP;
    let points = readings.iter().map(|m| m.hours).zip(values.iter().copied());
    slope(&points.filter(|p| p.0 >= from).collect::<Vec<_>>())
}

/// A line's name, its processor time at the beginning and at the end, and their ratio.
type Pace = (&'static str, f64, f64, f64);

/// Medians of the first and the last quarter of each line's times.
fn paces(lines: &[&'static Line], results: &Results) -> Vec<Pace> {
    let pace = |l: &&'static Line| {
        let all: Vec<f64> = results.of(l.name, Column::Heirloom).iter().map(|s| s.processor).collect();
        let n = all.len().div_ceil(4);
        let (first, last) = (median(&all[..n])?, median(&all[all.len() - n..])?);
        (all.len() > 1).then_some((l.name, first, last, last / first))
    };
    lines.iter().filter_map(pace).collect()
}

fn pace_text(paces: &[Pace]) -> String {
    if paces.is_empty() {
        return String::new();
    }
    let rows = paces.iter().map(|(line, first, last, ratio)| {
        format!("| {line} | {} s | {} s | {ratio:.2} |\n", number(*first), number(*last))
    });
    "\n| line | processor time, first quarter | last quarter | times |\n|---|---|---|---|\n".to_owned()
        + &rows.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::lines::LINES;
    use crate::shell::command;

    /// What is made of a guest that says this. It has no memory to be read.
    fn guest(script: &str) -> String {
        let lines: Vec<&'static Line> = LINES.iter().take(2).collect();
        let mut p = Process::start(&mut command("sh", ["-c", script])).expect("a shell");
        let args = Load { minutes: 0.0, every: 1.0, limit: 1.0, only: vec![], json: None, strict: false };
        let r = work(&mut p, &args, &lines, &mut Vec::new(), &mut Results::default());
        r.expect_err("it says nothing that can be measured").to_string()
    }

    #[test]
    fn a_line_that_fails_and_a_machine_that_ends_are_errors() {
        assert!(guest("echo bench failed fib").starts_with("fib failed in round 1"));
        assert_eq!(
            guest("echo bench init; echo triple fault >&2; exit 3"),
            "the machine ended: triple fault"
        );
        let told = guest("echo bench end fib secs=1 rounds=1/1 sum=1");
        assert_eq!(told, "a line ended that had not begun");
    }

    fn readings(all: &[f64]) -> Vec<Reading> {
        let at = |(n, all): (usize, &f64)| Reading {
            hours: n as f64 / 4.0,
            took: Overhead { all: *all, code: 8.0 },
        };
        all.iter().enumerate().map(at).collect()
    }

    #[test]
    fn what_a_machine_takes_while_it_starts_is_no_drift() {
        let m = readings(&[1.0, 20.0, 21.0, 22.0, 23.0]);
        let values: Vec<f64> = m.iter().map(|m| m.took.all).collect();
        assert_eq!(drift(&m, &values), Some(4.0));
        assert_eq!(drift(&[], &[]), None);
    }

    #[test]
    fn the_bar_is_for_what_is_not_code() {
        let text = |all: &[f64]| {
            let mut r = Report::default();
            memory(&mut r, &readings(all), BARS);
            (r.text(), r.missed())
        };
        let (t, missed) = text(&[20.0, 23.0, 24.0, 22.0]);
        assert_eq!(missed, 0, "{t}");
        for want in
            ["first | 20.0 MiB", "median | 22.5 MiB", "guest's, largest | 24.0 MiB", "last | 22.0 MiB"]
        {
            assert!(t.contains(want), "{want} in {t}");
        }
        assert!(t.contains("without code, largest | 16.0 MiB | <= 16 MiB | PASS"), "{t}");
        assert_eq!(text(&[20.0, 24.1, 20.0]).1, 1);
        assert_eq!(text(&[]).0, "");
    }

    #[test]
    fn the_pace_is_that_of_the_last_quarter_against_the_first() {
        let lines: Vec<&'static Line> = LINES.iter().take(2).collect();
        let mut results = Results::default();
        for processor in [1.0, 1.0, 5.0, 9.0, 5.0, 5.0, 2.0, 2.0] {
            let s = Sample {
                clock: 0.0,
                processor,
                host: 0.0,
                guest: 0.0,
                rounds: (1, 1),
                sum: None,
                more: vec![],
            };
            results.add(lines[0].name, Column::Heirloom, s);
        }
        // The other line did not run.
        assert_eq!(paces(&lines, &results), [("fib", 1.0, 2.0, 2.0)]);
        assert!(pace_text(&paces(&lines, &results)).contains("| fib | 1.00 s | 2.00 s | 2.00 |"));
        assert_eq!(pace_text(&[]), "");
    }
}
