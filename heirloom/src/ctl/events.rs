//! `heirloom ctl NAME events`: what happened to a machine, and what will.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::Usage;
use crate::control::{self, EventBody, NAMES, Stream};
use crate::doctor::say;

const TIMED_OUT: u8 = 124;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Go on with what happens from now on, until the machine is off
    #[arg(long)]
    follow: bool,
    /// Follow until this happened; given more than once, until any of them. What happened before counts
    #[arg(long, value_name = "EVENT", value_parser = event)]
    until: Vec<String>,
    /// Leave out what happened before
    #[arg(long, conflicts_with = "after")]
    new: bool,
    /// Leave out what happened up to the event with this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// End with exit code 124 after so long
    #[arg(long, value_name = "SECS")]
    timeout: Option<u64>,
    /// Print JSON, an event on a line
    #[arg(long)]
    json: bool,
}

fn event(s: &str) -> Result<String, Usage> {
    if NAMES.contains(&s) {
        Ok(s.into())
    } else {
        Err(Usage(format!("no event {s:?}; use one of {}", NAMES.join(", "))))
    }
}

pub(super) fn run(name: &str, a: &Args) -> Result<ExitCode> {
    let end = a.timeout.map(|s| Instant::now() + Duration::from_secs(s));
    let follow = a.follow || !a.until.is_empty();
    let mut path = format!("/v1/events?follow={follow}");
    if let Some(id) = a.after.as_deref().or(a.new.then_some("now")) {
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !id.chars().all(safe) {
            return Err(Usage(format!("no event {id:?}; give the id of an event, as --json shows it")).into());
        }
        path += &format!("&after={id}");
    }
    let mut off = false;
    let ended = control::stream(name, &path, end, |e| {
        // What cannot be shown was sent by no machine.
        let json = serde_json::to_value(&e).unwrap_or_default();
        off |= json["event"] == "off";
        say(&if a.json { json.to_string() } else { line(&e, &json) });
        !a.until.iter().any(|u| json["event"] == u.as_str())
    })?;
    match ended {
        Stream::Enough => Ok(ExitCode::SUCCESS),
        Stream::Ended if follow && !off => {
            bail!("{name} is gone and did not say why: its process was killed")
        }
        Stream::Ended if a.until.is_empty() => Ok(ExitCode::SUCCESS),
        Stream::Ended => bail!("{name} ended before this happened: {}", a.until.join(", ")),
        Stream::TimedOut => {
            let what =
                if a.until.is_empty() { String::new() } else { format!(": no {}", a.until.join(", ")) };
            eprintln!("heirloom: time-out after {} s{what}", a.timeout.unwrap_or_default());
            Ok(ExitCode::from(TIMED_OUT))
        }
    }
}

/// Time, event, and what belongs to it.
fn line(e: &EventBody, json: &Value) -> String {
    let mut out = format!("{} {}", e.time, json["event"].as_str().unwrap_or_default());
    for (k, v) in json.as_object().into_iter().flatten() {
        if !["id", "time", "guest_ns", "event"].contains(&k.as_str()) {
            out += &format!(" {k}={v}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::What;

    #[test]
    fn an_event_is_a_line() {
        let of = |what| {
            let e =
                EventBody { id: "1f-2".into(), time: "2026-11-30T17:00:00.250Z".into(), guest_ns: 7, what };
            line(&e, &serde_json::to_value(&e).unwrap())
        };
        assert_eq!(of(What::Paused), "2026-11-30T17:00:00.250Z paused");
        let report = "triple fault\nat once".to_owned();
        assert_eq!(
            of(What::TripleFault { report }),
            "2026-11-30T17:00:00.250Z triple-fault report=\"triple fault\\nat once\""
        );
        let off = What::Off { reason: "guest".into(), exit_code: 0 };
        assert_eq!(of(off), "2026-11-30T17:00:00.250Z off exit_code=0 reason=\"guest\"");
    }

    #[test]
    fn events_have_names() {
        assert_eq!(event("power-button-taken").unwrap(), "power-button-taken");
        let told = event("poweroff").unwrap_err().to_string();
        assert!(told.contains("\"poweroff\"; use one of running, paused,"), "{told}");
    }
}
