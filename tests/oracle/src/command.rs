//! The long run from the command line.
#![allow(clippy::print_stdout, reason = "a command that prints its findings")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::compare::Verdict;
use crate::generate::Family;
use crate::report::{describe, summary};
use crate::session::{HostOnly, Outcome, Session};
use crate::snapshot::Stop;

/// Random code on the software processor and on this machine's own: they must agree.
///
/// Example: oracle --seed 1 --count 100000 --family shift
#[derive(Parser)]
struct Args {
    /// Seed of the first case; the next ones follow.
    #[arg(long, default_value = "0", value_parser = number)]
    seed: u64,
    /// Cases for each family.
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// One family only; may be given several times. `--family list` names them.
    #[arg(long)]
    family: Vec<String>,
    /// What runs the cases: interpreter, size or speed (what the translator aims at) or views (memory by the host's paging).
    #[arg(long, default_value = "speed")]
    processor: String,
    /// Compares with the interpreter, not with the host: nothing may differ.
    #[arg(long)]
    interpreter: bool,
    /// Prints each case, whether it agrees or not.
    #[arg(long)]
    show: bool,
    /// Disagreements to print in full for each family.
    #[arg(long, default_value_t = 3)]
    details: usize,
    /// Prints how often each encoding ran.
    #[arg(long)]
    coverage: bool,
    /// One line for each disagreement.
    #[arg(long)]
    brief: bool,
    /// Does not cut a disagreement down.
    #[arg(long)]
    raw: bool,
    /// Runs everything on the host twice: its speed, and whether it agrees with itself.
    #[arg(long)]
    host_only: bool,
}

fn number(s: &str) -> Result<u64, std::num::ParseIntError> {
    s.strip_prefix("0x").map_or_else(|| s.parse(), |h| u64::from_str_radix(h, 16))
}

#[derive(Default)]
struct Tally {
    agree: u64,
    differ: u64,
    known: BTreeMap<&'static str, u64>,
    known_sequences: u64,
    skipped: BTreeMap<&'static str, u64>,
    retired: u64,
    seconds: f64,
}

impl Tally {
    fn note_known(&mut self, rules: Vec<&'static str>) {
        self.known_sequences += 1;
        for rule in rules {
            *self.known.entry(rule).or_default() += 1;
        }
    }
}

pub fn main() -> ExitCode {
    let args = Args::parse();
    let mut families = Vec::new();
    for name in &args.family {
        match Family::parse(name) {
            Some(f) => families.push(f),
            None => {
                println!("families: {}", Family::ALL.map(Family::name).join(" "));
                return if name == "list" { ExitCode::SUCCESS } else { ExitCode::from(2) };
            }
        }
    }
    if families.is_empty() {
        families.extend(Family::ALL);
    }
    if args.host_only {
        return host_only(&args, &families);
    }
    let Some(processor) = cpu::Software::named(&args.processor) else {
        println!("no processor {:?}; use interpreter, size, speed or views", args.processor);
        return ExitCode::from(2);
    };
    let session = if args.interpreter {
        Session::against(&processor, &cpu::Software::interpreter())
    } else {
        Session::new(&processor)
    };
    let mut session = match session {
        Ok(s) => s,
        Err(e) => {
            println!("the oracle cannot run here: {e}");
            return ExitCode::FAILURE;
        }
    };
    let mut any = false;
    let mut total = Tally::default();
    for family in families {
        let mut t = Tally::default();
        let start = Instant::now();
        for seed in args.seed..args.seed.saturating_add(args.count) {
            let case = session.case(seed, family);
            let outcome = session.run(&case);
            t.retired += outcome.retired;
            if args.show {
                println!("{}", describe(&case, &session.memory_of(&case), &outcome));
            }
            match outcome.verdict {
                Verdict::Agree => t.agree += 1,
                Verdict::Known(rules) => t.note_known(rules),
                Verdict::Skip(why) => *t.skipped.entry(why).or_default() += 1,
                Verdict::Differ(_) => {
                    t.differ += 1;
                    if args.brief {
                        let small = session.minimise(&case);
                        let outcome = session.run(&small);
                        println!("{}", summary(&small, &session.memory_of(&small), &outcome));
                    } else if t.differ as usize <= args.details {
                        let small = if args.raw { case } else { session.minimise(&case) };
                        let outcome = session.run(&small);
                        println!("{}", describe(&small, &session.memory_of(&small), &outcome));
                    }
                }
            }
        }
        t.seconds = start.elapsed().as_secs_f64();
        any |= t.differ != 0;
        print_tally(family.name(), &t);
        total.agree += t.agree;
        total.differ += t.differ;
        total.retired += t.retired;
        total.seconds += t.seconds;
        total.known_sequences += t.known_sequences;
        for (k, v) in t.skipped {
            *total.skipped.entry(k).or_default() += v;
        }
        for (k, v) in t.known {
            *total.known.entry(k).or_default() += v;
        }
    }
    print_tally("all", &total);
    if args.coverage {
        print!("{}", session.coverage().table());
    }
    let (ran, all) = session.coverage().counts();
    println!("{ran} of {all} encodings of a Pentium 4's user mode ran to their end and agreed");
    if any { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn host_only(args: &Args, families: &[Family]) -> ExitCode {
    let mut session = match HostOnly::new() {
        Ok(s) => s,
        Err(e) => {
            println!("the oracle cannot run here: {e}");
            return ExitCode::FAILURE;
        }
    };
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    for &family in families {
        let mut t = Tally::default();
        let start = Instant::now();
        for seed in args.seed..args.seed.saturating_add(args.count) {
            let (case, host, verdict) = session.run(seed, family);
            let end = match host.stop {
                Stop::Fault { vector, .. } => format!("{} vector {vector}", family.name()),
                other => format!("{} {other:?}", family.name()),
            };
            *ends.entry(end).or_default() += 1;
            let outcome = Outcome { verdict: verdict.clone(), host, guest: host, retired: 0 };
            if args.show {
                println!("{}", describe(&case, session.memory(), &outcome));
            }
            match verdict {
                Verdict::Agree => t.agree += 1,
                Verdict::Known(rules) => t.note_known(rules),
                Verdict::Skip(why) => *t.skipped.entry(why).or_default() += 1,
                Verdict::Differ(_) => {
                    t.differ += 1;
                    if t.differ as usize <= args.details {
                        println!("{}", describe(&case, session.memory(), &outcome));
                    }
                }
            }
        }
        t.seconds = start.elapsed().as_secs_f64();
        print_tally(family.name(), &t);
    }
    for (end, n) in ends {
        println!("{n:>9} {end}");
    }
    ExitCode::SUCCESS
}

fn print_tally(name: &str, t: &Tally) {
    let skipped: u64 = t.skipped.values().sum();
    let n = t.agree + t.differ + t.known_sequences + skipped;
    println!(
        "{name:<18} {n:>9} sequences  {:>9} agree  {:>6} differ  {:>6} known  {skipped:>6} skipped  {:>10} instructions  {:>8.0} sequences/s  {:?} {:?}",
        t.agree,
        t.differ,
        t.known_sequences,
        t.retired,
        n as f64 / t.seconds.max(1e-9),
        t.skipped,
        t.known
    );
}
