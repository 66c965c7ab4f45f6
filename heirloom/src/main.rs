//! `heirloom`: the command. One file for each subcommand; everything that is more than a command is in the
//! libraries below.

mod control;
mod ctl;
mod disk;
mod doctor;
mod export;
mod import;
mod list;
mod run;
mod snapshot;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "heirloom",
    version,
    about = "Runs the desktops that companies could not leave behind on today's hosts",
    after_help = "Exit codes: 0 powered off or expectation met, 1 host error, 2 usage, 3 guest crashed, 124 time-out."
)]
struct Cli {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Subcommand)]
enum Sub {
    /// Power on a machine and stay with it until it is off
    Run(Box<run::Args>),
    /// Control a running machine
    Ctl(ctl::Args),
    /// Create, describe, convert and check disk images
    Disk(disk::Args),
    /// List and remove snapshots of a machine's disks
    Snapshot(snapshot::Args),
    /// Make a spec of a machine of Virtual PC (.vmc)
    Import(import::Args),
    /// Make a configuration for Virtual PC (.vmc), with VHDs, of a spec
    Export(export::Args),
    /// List running machines
    List(list::Args),
    /// Say what this host can do for Heirloom, and what to mend
    Doctor(doctor::Args),
}

fn main() -> ExitCode {
    let begun = std::time::Instant::now();
    let cli = match Cli::try_parse() {
        Ok(c) => c,
        // Help and version go to standard output, whole.
        Err(e) if !e.use_stderr() => e.exit(),
        Err(e) => {
            eprintln!("heirloom: {}", usage(&e.to_string()));
            return ExitCode::from(2);
        }
    };
    log_to_stderr();
    let done = match cli.command {
        Sub::Run(a) => run::run(*a, begun),
        Sub::Ctl(a) => ctl::run(a),
        Sub::Snapshot(a) => snapshot::run(a),
        Sub::Disk(a) => disk::run(a),
        Sub::Import(a) => import::run(&a),
        Sub::Export(a) => export::run(&a),
        Sub::List(a) => list::run(&a),
        Sub::Doctor(a) => doctor::run(&a),
    };
    done.unwrap_or_else(|e| {
        eprintln!("heirloom: {}", one_line(&e));
        ExitCode::from(if e.is::<Usage>() || e.is::<vmm::spec::Faults>() { 2 } else { 1 })
    })
}

/// The user asked for something that can't be: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// What is wrong with the command line, on one line: the parser's message has an indented paragraph for each part.
fn usage(message: &str) -> String {
    let hint = |l: &&str| l.starts_with("Usage:") || l.starts_with("For more information");
    let lines = message.lines().map(str::trim).take_while(|l| !hint(l)).filter(|l| !l.is_empty());
    let text = lines.collect::<Vec<_>>().join(" ");
    // Without a subcommand the parser answers with the whole help.
    let text = text.strip_prefix("error: ").unwrap_or("no subcommand was given");
    format!("{text}; see --help")
}

/// An error and its causes on one line, without a cause that the error before it already says.
fn one_line(e: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in e.chain() {
        let c = cause.to_string();
        if !text.contains(&c) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&c);
        }
    }
    text
}

fn log_to_stderr() {
    use tracing_subscriber::prelude::*;
    use tracing_subscriber::{EnvFilter, fmt};
    let filter = EnvFilter::try_from_env("HEIRLOOM_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = fmt::layer().with_writer(std::io::stderr).without_time().with_filter(filter);
    tracing_subscriber::registry().with(log).with(run::notices::layer()).init();
}
