//! `heirloom ctl NAME shutdown`: the power button, and waiting for what the guest makes of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::control::{self, PressedBody, ShutdownBody, StatusBody};
use crate::doctor::say;

/// A guest that the first press only woke gets so long before the second.
const WAKES: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);
const TIMED_OUT: u8 = 124;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Wait until the machine is off; exit code 124 if it is not after so long
    #[arg(long, value_name = "SECS")]
    timeout: Option<u64>,
    /// Hold the button down until the chipset switches off: the guest is not asked
    #[arg(long)]
    hold: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How it went.
#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    /// The button was pressed.
    pressed: bool,
    /// The machine is off.
    off: bool,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn run(name: &str, a: &Args) -> Result<ExitCode> {
    let begun = Instant::now();
    let report = |pressed, error| Report {
        name,
        pressed,
        off: !control::runs(name),
        seconds: begun.elapsed().as_secs_f64(),
        error,
    };
    let (pressed, error, code) = match press(name, a, begun) {
        Ok(None) => (true, None, ExitCode::SUCCESS),
        Ok(Some(late)) => (true, Some(late), ExitCode::from(TIMED_OUT)),
        Err(e) => (false, Some(e.to_string()), ExitCode::FAILURE),
    };
    if a.json {
        say(&serde_json::to_string_pretty(&report(pressed, error))?);
        return Ok(code);
    }
    match error {
        // Its own exit code, which only a time-out has.
        Some(e) if pressed => eprintln!("heirloom: {e}"),
        Some(e) => bail!(e),
        None => {}
    }
    Ok(code)
}

/// Presses, and waits if it was asked to. What came too late, if something did.
fn press(name: &str, a: &Args, begun: Instant) -> Result<Option<String>> {
    let button = || -> Result<bool> {
        let answer = control::post(name, "/v1/shutdown", &ShutdownBody { hold: a.hold })?;
        let PressedBody { woke } = serde_json::from_slice(&answer)?;
        Ok(woke)
    };
    let mut again = button()?.then(|| Instant::now() + WAKES);
    let Some(secs) = a.timeout else { return Ok(None) };
    let end = begun + Duration::from_secs(secs);
    while control::runs(name) {
        if Instant::now() >= end {
            // It may have gone meanwhile.
            return Ok(Some(late(name, secs)).filter(|_| control::runs(name)));
        }
        if again.is_some_and(|t| t <= Instant::now()) {
            again = None;
            button()?;
        }
        std::thread::sleep(LOOK);
    }
    Ok(None)
}

/// Why the guest is still there, as far as its chips tell.
fn late(name: &str, secs: u64) -> String {
    let status: Result<StatusBody> = control::get(name, "/v1/status");
    let why = match status {
        Ok(s) if s.button_waits => "it has not looked at its power button: it may hang",
        Ok(s) if s.asleep => "it went to sleep",
        Ok(_) => "it took the power button and does something else, or is not ready yet",
        Err(_) => "the machine does not say why",
    };
    format!("{name} is not off after {secs} s: {why}; wait longer, or use `heirloom ctl {name} poweroff`")
}
