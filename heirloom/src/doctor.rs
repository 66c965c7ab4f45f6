//! `heirloom doctor`: what this host offers, tried out, with what to mend.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use vmm::Engine;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  heirloom doctor\n  heirloom doctor --json | jq .engines")]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    engines: Vec<EngineLine>,
    auto: &'static str,
    control_directory: String,
}

#[derive(Serialize)]
struct EngineLine {
    engine: &'static str,
    usable: bool,
    /// Runs XP-class guests (32-bit code with paging).
    paging: bool,
    counts_instructions: bool,
    detail: String,
    mend: Option<String>,
}

pub(crate) fn run(a: &Args) -> Result<ExitCode> {
    let engines: Vec<EngineLine> = vmm::engines()
        .into_iter()
        .map(|r| match r.found {
            Ok(c) => EngineLine {
                engine: r.engine.name(),
                usable: true,
                paging: c.paging,
                counts_instructions: c.counts_instructions,
                detail: c.summary,
                mend: None,
            },
            Err(u) => EngineLine {
                engine: r.engine.name(),
                usable: false,
                paging: false,
                counts_instructions: false,
                detail: u.reason,
                mend: u.mend,
            },
        })
        .collect();
    let auto = engines.iter().find(|e| e.usable && e.paging).map_or(Engine::Software.name(), |e| e.engine);
    let control_directory = crate::control::directory().display().to_string();
    let r = Report { version: env!("CARGO_PKG_VERSION"), engines, auto, control_directory };
    if a.json {
        say(&serde_json::to_string_pretty(&r)?);
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("heirloom {}", r.version));
    for e in &r.engines {
        let mark = match (e.usable, e.paging) {
            (true, true) => "ok      ",
            (true, false) => "limited ",
            (false, _) => "missing ",
        };
        say(&format!("{mark}{:<9} {}", e.engine, e.detail));
        if let Some(m) = &e.mend {
            say(&format!("                   mend: {m}"));
        }
    }
    say(&format!("--engine auto takes {}", r.auto));
    say(&format!("control sockets in {}", r.control_directory));
    Ok(ExitCode::SUCCESS)
}

/// A line for the user.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    // Whoever closed our standard output does not want to hear more.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
