//! `cargo xtask`: everything a developer or CI does with the tree. Each word is one file.

mod bench;
mod check;
mod demo;
mod guests;
mod setup;
mod shell;
mod test;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "Builds, sets up, demonstrates and tests Heirloom")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Install what the build, the guests and the tests need (Debian packages, Rust targets)
    Setup,
    /// Assemble the test guests from Debian's packages under target/guests; with --matrix, start and use them all
    Guests {
        /// Only this one
        #[arg(conflicts_with = "matrix")]
        which: Option<guests::Which>,
        /// Make them anew even if they are there
        #[arg(long)]
        fresh: bool,
        #[command(flatten)]
        matrix: guests::Matrix,
    },
    /// Boot a Debian desktop machine's VHD and show it
    Demo {
        /// Unattended: log in, look round, power off; exit 0 if all went well
        #[arg(long)]
        check: bool,
    },
    /// Build the guest tools: agents, drivers, and a CD of them, target/heirloom-tools.iso
    Tools {
        /// Run the driver's test under Wine, in a Debian of i386 made for it (needs root)
        #[arg(long)]
        wine: bool,
    },
    /// Set up, then run every test
    Test {
        /// Only the fast ones: no whole guests
        #[arg(long)]
        quick: bool,
        /// For hours: thousands of losses of power, of instants at which a machine is saved, and of broken inputs
        #[arg(long, conflicts_with = "quick")]
        long: bool,
    },
    /// Measure, side by side with QEMU where it is installed
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
    /// Formatting, lints, crate edges, file sizes, comments on unsafe blocks
    Check,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {}", e.chain().map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    std::env::set_current_dir(shell::root())?;
    match cli.what {
        What::Setup => setup::run(),
        What::Guests { which, fresh, matrix } => guests::asked(which, fresh, &matrix),
        What::Demo { check } => demo::run(check),
        What::Tools { wine } => tools::run(wine),
        What::Test { quick, long } => test::run(quick, long),
        What::Bench { what } => bench::run(what),
        What::Check => check::run(),
    }
}
