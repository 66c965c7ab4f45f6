//! `heirloom ctl NAME info|exec|software|set|channel|restart|logoff|lock`: what the guest's agent gives.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;

use crate::control::{
    self, GuestBody, InputBody, KillBody, OfferBody, PackageBody, PowerAction, PowerBody, RunBody, RunEvent,
    Stream, TestBody, TestName, TestedBody, ValueBody,
};
use crate::doctor::say;

pub(super) fn info(name: &str, json: bool) -> Result<()> {
    let g: GuestBody = control::get(name, "/v1/guest")?;
    if json {
        say(&serde_json::to_string_pretty(&g)?);
        return Ok(());
    }
    let Some(a) = &g.agent else {
        say("no agent runs in the guest; install Heirloom's guest tools there");
        return Ok(());
    };
    let alive = if a.alive { "" } else { ", does not answer" };
    say(&format!("agent:     {} on {} by {}{alive}", a.name, a.system, a.transport));
    if let Some(b) = &g.about {
        say(&format!("system:    {} ({})", b.system, b.version));
        let domain = if b.domain.is_empty() { String::new() } else { format!(" in {}", b.domain) };
        say(&format!("computer:  {}{domain}", b.name));
        let mib = |n: u64| n >> 20;
        say(&format!("memory:    {} MiB, {} free", mib(b.memory), mib(b.memory_free)));
        let users = if b.users.is_empty() { "nobody is logged on".into() } else { b.users.join(", ") };
        say(&format!("users:     {users}"));
        for i in &b.adapters {
            say(&format!("network:   {} {} {}", i.name, i.mac, i.addresses.join(" ")));
        }
    }
    if let Some(c) = &g.clock {
        let how = if c.stepped { ", then set" } else { "" };
        say(&format!("clock:     {:+.3} ms{how}", c.ahead_ns as f64 / 1e6));
    }
    let open: Vec<&str> = g.services.iter().filter(|s| s.open).map(|s| s.name.as_str()).collect();
    say(&format!("services:  {}", open.join(", ")));
    for ValueBody { key, value } in &g.values {
        say(&format!("value:     {key} = {value}"));
    }
    Ok(())
}

pub(super) fn software(name: &str, json: bool) -> Result<()> {
    let all: Vec<PackageBody> = control::get(name, "/v1/guest/software")?;
    if json {
        say(&serde_json::to_string_pretty(&all)?);
    } else {
        all.iter().for_each(|p| say(format!("{} {} {}", p.name, p.version, p.publisher).trim_end()));
    }
    Ok(())
}

pub(super) fn set(name: &str, key: String, value: String) -> Result<()> {
    control::post(name, "/v1/guest/set", &ValueBody { key, value }).map(drop)
}

#[derive(clap::Args)]
pub(super) struct PowerArgs {
    /// End programs that don't answer
    #[arg(long)]
    force: bool,
    /// Tell users
    #[arg(long, default_value = "")]
    message: String,
}

pub(super) fn power(name: &str, action: PowerAction, a: PowerArgs) -> Result<()> {
    let PowerArgs { force, message } = a;
    control::post(name, "/v1/guest/power", &PowerBody { action, force, message }).map(drop)
}

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  heirloom ctl accounts exec -- cmd /c dir\n  heirloom ctl accounts exec --user @session --shown --detached -- notepad\n  \
    tar c . | heirloom ctl lab exec -- tar x -C /srv\n\nEnds with the program's exit code; 255 if it could not be started."
)]
pub(super) struct ExecArgs {
    /// Whose: the agent's own if not given; @session is who is logged on at the screen
    #[arg(long, default_value = "")]
    user: String,
    /// Its folder
    #[arg(long, default_value = "")]
    folder: String,
    /// Added to its environment
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Show its window
    #[arg(long)]
    shown: bool,
    /// Start it and leave it alone
    #[arg(long)]
    detached: bool,
    /// Don't read standard input
    #[arg(long)]
    no_input: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Sends standard input on, until it ends.
fn feed(name: &str, id: u32) {
    let mut buf = vec![0; 64 << 10];
    loop {
        let n = std::io::stdin().read(&mut buf).unwrap_or(0);
        let body = InputBody { id, data: STANDARD.encode(&buf[..n]) };
        // It may have ended; the stream of its output says so.
        // A program may take its time.
        const PATIENCE: Duration = Duration::from_secs(1 << 20);
        if control::post_within(name, "/v1/guest/input", &body, PATIENCE).is_err() || n == 0 {
            return;
        }
    }
}

pub(super) fn exec(name: &str, a: ExecArgs) -> Result<ExitCode> {
    if let Some(bad) = a.env.iter().find(|e| !e.contains('=') || e.starts_with('=')) {
        bail!("environment {bad:?}; use NAME=VALUE");
    }
    let reads = !a.no_input && !a.detached;
    let body = RunBody {
        arguments: a.arguments,
        user: a.user,
        folder: a.folder,
        environment: a.env,
        shown: a.shown,
        detached: a.detached,
    };
    let mut end = None;
    let mut broken = false;
    let write = |to: &mut dyn Write, data: &str| {
        let bytes = STANDARD.decode(data).unwrap_or_default();
        to.write_all(&bytes).and_then(|()| to.flush()).is_ok()
    };
    let ended = control::stream_of(name, "/v1/guest/run", &body, |e: RunEvent| match e {
        RunEvent::Accepted { id } => {
            if reads {
                let name = name.to_owned();
                std::thread::spawn(move || feed(&name, id));
            }
            true
        }
        RunEvent::Started { process } => {
            if a.detached {
                say(&format!("process {process}"));
                end = Some(Ok(0));
            }
            !a.detached
        }
        RunEvent::Out { data } => {
            // Who reads our output has gone: so does the program.
            broken = !write(&mut std::io::stdout(), &data);
            !broken
        }
        RunEvent::Err { data } => write(&mut std::io::stderr(), &data),
        RunEvent::Exited { code } => {
            end = Some(Ok(code));
            false
        }
        RunEvent::Failed { error } => {
            end = Some(Err(error));
            false
        }
        RunEvent::Unknown => true,
    })?;
    match end {
        Some(Ok(code)) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(254))),
        Some(Err(e)) => {
            eprintln!("heirloom: {e}");
            Ok(ExitCode::from(255))
        }
        None if broken => Ok(ExitCode::FAILURE),
        None => match ended {
            Stream::Enough => Ok(ExitCode::FAILURE),
            Stream::Ended | Stream::TimedOut => bail!("the machine ended while the program ran"),
        },
    }
}

pub(super) fn input(name: &str, id: u32, text: &str) -> Result<()> {
    let data = STANDARD.encode(text);
    control::post(name, "/v1/guest/input", &InputBody { id, data }).map(drop)
}

pub(super) fn kill(name: &str, id: u32) -> Result<()> {
    control::post(name, "/v1/guest/kill", &KillBody { id }).map(drop)
}

#[derive(Subcommand)]
pub(super) enum ChannelWhat {
    /// Offer a service to the guest, or take it away
    Offer {
        service: String,
        #[arg(value_parser = ["on", "off"])]
        state: String,
    },
    /// Measure the channel from the guest
    Test {
        #[arg(value_enum)]
        test: Option<TestName>,
        /// Bytes of a message
        #[arg(long)]
        size: Option<u32>,
        /// Messages
        #[arg(long)]
        count: Option<u32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn channel(name: &str, what: Option<ChannelWhat>) -> Result<()> {
    match what {
        None => {
            let g: GuestBody = control::get(name, "/v1/guest")?;
            for s in &g.services {
                let state = match (s.offered, s.open) {
                    (false, _) => "off",
                    (true, false) => "offered",
                    (true, true) => "open",
                };
                say(&format!("{:<12} {state}", s.name));
            }
            Ok(())
        }
        Some(ChannelWhat::Offer { service, state }) => {
            control::post(name, "/v1/guest/offer", &OfferBody { service, on: state == "on" }).map(drop)
        }
        Some(ChannelWhat::Test { test, size, count, json }) => {
            let all = [TestName::RoundTrip, TestName::ToHost, TestName::ToGuest];
            let wanted = test.map_or(all.to_vec(), |t| vec![t]);
            let mut results = Vec::new();
            for test in wanted {
                let (s, c) = match test {
                    TestName::RoundTrip => (32, 20_000),
                    TestName::ToHost | TestName::ToGuest => (64 << 10, 16 << 10),
                };
                let body = TestBody { test, size: size.unwrap_or(s), count: count.unwrap_or(c) };
                let bytes = control::post_within(name, "/v1/guest/test", &body, Duration::from_secs(600))?;
                let r: TestedBody = serde_json::from_slice(&bytes)?;
                if !json {
                    say(&tell(test, &r));
                }
                results.push((test, r));
            }
            if json {
                let all: Vec<_> = (results.iter())
                    .map(|(t, r)| serde_json::json!({"test": t, "nanoseconds": r.nanoseconds, "size": r.size, "count": r.count}))
                    .collect();
                say(&serde_json::to_string_pretty(&all)?);
            }
            Ok(())
        }
    }
}

fn tell(test: TestName, r: &TestedBody) -> String {
    let seconds = (r.nanoseconds as f64 / 1e9).max(1e-9);
    let count = f64::from(r.count);
    match test {
        TestName::RoundTrip => {
            format!("round trip: {:.2} us for {} bytes, {} times", seconds * 1e6 / count, r.size, r.count)
        }
        TestName::ToHost | TestName::ToGuest => format!(
            "{}: {:.0} MB/s, {:.0} messages a second of {} bytes",
            if test == TestName::ToHost { "to the host" } else { "to the guest" },
            f64::from(r.size) * count / seconds / 1e6,
            count / seconds,
            r.size
        ),
    }
}
