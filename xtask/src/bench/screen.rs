//! `xtask bench screen`: how often a guest scrolls a whole screen, beside the same guest on QEMU's TCG.
//!
//! The guest's kernel drives Heirloom's S3 by its own driver, and QEMU's standard VGA through the mode that its BIOS has set.
//! A program of the guest moves all lines but sixteen of a screen of 1024x768 at 16 bits up, and clears the rest, by string
//! instructions in the mapped frame buffer.

use anyhow::{Context, Result, bail};
use clap::Args;

use super::machines::Machines;
use super::process::Process;
use super::results::Column;
use super::stats::median;
use crate::shell::{build_heirloom, has, say};
use crate::{guests, setup};

/// How much faster than QEMU it has to be.
const BAR: f64 = 2.0;
/// Boot, and scrolling.
const PATIENCE: u64 = 120;

#[derive(Args)]
pub(crate) struct Screen {
    /// Times that each machine scrolls, in turn; medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Seconds that it scrolls
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Leave QEMU out
    #[arg(long)]
    without_qemu: bool,
    /// A missed bar is an error
    #[arg(long)]
    strict: bool,
}

pub(crate) fn run(args: &Screen) -> Result<()> {
    setup::for_benchmarks()?;
    guests::run_linux()?;
    let guest = guests::make_screen(&guests::folder())?;
    let machines = Machines::new(build_heirloom()?, !args.without_qemu && has("qemu-system-i386"))?;
    let columns: &[Column] =
        if machines.qemu { &[Column::Heirloom, Column::Qemu] } else { &[Column::Heirloom] };
    let mut rates = [Vec::new(), Vec::new()];
    for n in 0..args.repeats {
        for (column, rates) in columns.iter().zip(&mut rates) {
            say(&format!("bench: {}, {} of {}", column.name(), n + 1, args.repeats));
            let append = format!("vga=791 scroll={}", args.seconds);
            let mut c = machines.linux(*column, &guest, &append);
            if *column == Column::Qemu {
                c.args(["-vga", "std"]);
            }
            rates.push(rate(&mut Process::start(&mut c)?)?);
        }
    }
    let [heirloom, qemu] = rates.map(|r| median(&r).unwrap_or(0.0));
    say(&format!("screens scrolled a second (1024x768x16): Heirloom {heirloom:.0}"));
    if machines.qemu {
        let ratio = heirloom / qemu;
        let verdict = if ratio >= BAR { "met" } else { "short" };
        say(&format!("QEMU {qemu:.0}; {ratio:.1} times as many, at least {BAR} promised: {verdict}"));
        if args.strict && ratio < BAR {
            bail!("Heirloom scrolls {ratio:.1} times as fast as QEMU, not {BAR}");
        }
    }
    Ok(())
}

/// Screens a second, by the guest's clock.
fn rate(guest: &mut Process) -> Result<f64> {
    guest.expect("screen 1024x768x16 scrolled", PATIENCE)?;
    let (_, line) = guest.line(PATIENCE)?.context("the guest ended")?;
    let mut words = line.split_whitespace().filter_map(|w| w.parse::<f64>().ok());
    match (words.next(), words.next()) {
        (Some(n), Some(ms)) if ms > 0.0 => Ok(n / ms * 1e3),
        _ => bail!("the guest says {line:?}"),
    }
}
