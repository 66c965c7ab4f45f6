//! `heirloom list`: the machines of this user that run now.

use std::process::ExitCode;

use anyhow::Result;

use crate::control;
use crate::doctor::say;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  heirloom list --json")]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(a: &Args) -> Result<ExitCode> {
    let mut all = Vec::new();
    for name in control::names()? {
        // A socket whose machine is gone is removed on the way.
        if let Ok(status) = control::get::<control::StatusBody>(&name, "/v1/status") {
            all.push(status);
        }
    }
    if a.json {
        say(&serde_json::to_string_pretty(&all)?);
    } else if all.is_empty() {
        say("no machine is running");
    } else {
        for s in &all {
            say(&format!("{:<20} {:<8} {:<9} {:>5} MiB", s.name, s.phase, s.engine, s.memory_mib));
        }
    }
    Ok(ExitCode::SUCCESS)
}
