//! `heirloom list`: the machines of this user that run now.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::control::{self, StatusBody};
use crate::doctor::say;

/// A machine that has not answered by then is listed without its state.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
#[command(after_help = "Example:\n  heirloom list --json")]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Answers(StatusBody),
    /// It is starting, ending, or its host keeps it busy.
    Silent {
        name: String,
        phase: &'static str,
        error: String,
    },
}

pub(crate) fn run(a: &Args) -> Result<ExitCode> {
    let all = ask(&control::names()?);
    if a.json {
        say(&serde_json::to_string_pretty(&all)?);
    } else if all.is_empty() {
        say("no machine is running");
    } else {
        all.iter().for_each(|e| say(&line(e)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks all at once: one that is slow does not hold up the list.
fn ask(names: &[String]) -> Vec<Entry> {
    std::thread::scope(|s| {
        let ask = |name: &String| {
            let name = name.clone();
            s.spawn(move || match control::get_within(&name, "/v1/status", PATIENCE) {
                Ok(status) => Some(Entry::Answers(status)),
                // Gone meanwhile.
                Err(_) if !control::runs(&name) => None,
                Err(e) => Some(Entry::Silent { name, phase: "unknown", error: e.to_string() }),
            })
        };
        let asked: Vec<_> = names.iter().map(ask).collect();
        asked.into_iter().filter_map(|t| t.join().ok().flatten()).collect()
    })
}

fn line(e: &Entry) -> String {
    match e {
        Entry::Answers(s) => {
            let state = if s.asleep { "asleep" } else { s.phase.as_str() };
            format!("{:<20} {state:<8} {:<9} {:>5} MiB  pid {}", s.name, s.engine, s.memory_mib, s.pid)
        }
        Entry::Silent { name, phase, error } => format!("{name:<20} {phase:<8} {error}"),
    }
}
