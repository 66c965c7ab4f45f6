//! `heirloom ctl NAME ...`: the control socket's client.

mod events;
mod guest;
mod shutdown;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::Usage;
use crate::control::{
    self, EjectBody, InsertBody, KeyBody, LinkBody, LinkedBody, MouseBody, SaveBody, SnapshotBody,
    StatusBody, TypeBody, UndoAction, UndoBody, UndoDiskBody, UnknownBody,
};
use crate::doctor::say;
use crate::run::state::{Frozen, partial};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  heirloom ctl accounts screenshot now.png\n  heirloom ctl accounts key ctrl-alt-del\n  heirloom ctl accounts type 'hello\\n'\n  heirloom ctl accounts insert a drivers.img\n  heirloom ctl accounts events --until off --json\n  heirloom ctl accounts shutdown --timeout 120"
)]
pub(crate) struct Args {
    /// The machine's name (see `heirloom list`)
    name: String,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show what the machine is doing
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop the processor and the machine's clock
    Pause,
    /// Go on after a pause
    Resume,
    /// Press the reset button
    Reset,
    /// Pull the plug: the guest loses what it has not written
    Poweroff,
    /// Save the machine's state into a file and end it; `heirloom run --resume FILE` goes on from there
    Save { file: PathBuf },
    /// Save the machine's state into a file while it runs on; its disks go on in new files, over what they were
    Snapshot { file: PathBuf },
    /// Press the power button: an ACPI guest shuts down
    Shutdown(shutdown::Args),
    /// Plug the cable of a network adapter in, or pull it out: link 1 down
    Link {
        /// The adapter, from 1 in the order of the spec
        adapter: usize,
        #[arg(value_parser = ["up", "down"])]
        state: String,
    },
    /// Write the screen to a PNG file
    Screenshot { file: PathBuf },
    /// Type text on a US keyboard; \n is Enter, \t Tab, \e Escape, \\ a backslash
    Type { text: String },
    /// Press a chord: ctrl-alt-del, alt-f4, ret
    Key { chord: String },
    /// Move the pointer to X,Y with BUTTONS held (1 left, 2 right, 4 middle, 8 and 16 at the sides, added) and turn the
    /// WHEEL (detents, towards the user positive)
    Mouse {
        #[arg(value_name = "X,Y[,BUTTONS[,WHEEL]]")]
        to: String,
    },
    /// Put an image into a drive: a, b (diskettes), cdrom, or cdrom2 to cdrom4. What was in it is taken out
    Insert {
        drive: String,
        image: PathBuf,
        /// Write-protect a diskette
        #[arg(long)]
        ro: bool,
    },
    /// Take the medium out of a drive
    Eject { drive: String },
    /// Show what the guest says of itself (guest tools)
    Info {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a program in the guest (guest tools)
    Exec(guest::ExecArgs),
    /// End a program that `exec` started, by its number
    ExecKill { id: u32 },
    /// Write to a program's input, for who has its number; `exec` does so with its own
    ExecInput { id: u32, text: String },
    /// List what is installed in the guest (guest tools)
    Software {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Leave a value for the guest's programs; an empty one takes the key away (guest tools)
    Set { key: String, value: String },
    /// Have the guest shut down, restart, log its users off or lock its screen (guest tools)
    Power {
        #[arg(value_enum)]
        action: control::PowerAction,
        #[command(flatten)]
        how: guest::PowerArgs,
    },
    /// Show the integration channel's services, offer them or not, measure it
    Channel {
        #[command(subcommand)]
        what: Option<guest::ChannelWhat>,
    },
    /// List accesses that no emulated register answered
    Unknowns {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what becomes of undo disks when the machine is off, or list them
    Undo {
        action: Option<UndoAction>,
        /// Of this disk alone, from 1 in the order of the spec
        #[arg(long, requires = "action")]
        disk: Option<usize>,
        /// Print the list as JSON
        #[arg(long, conflicts_with = "action")]
        json: bool,
    },
    /// Show what happened to the machine, and what happens
    Events(events::Args),
    /// Show counters in Prometheus text format
    Metrics,
    /// Print the OpenAPI document of the control socket
    Openapi,
}

pub(crate) fn run(a: Args) -> Result<ExitCode> {
    let name = a.name.as_str();
    let plain = |path: &str| control::request(name, "POST", path, None).map(drop);
    match a.what {
        What::Status { json } => {
            let s: StatusBody = control::get(name, "/v1/status")?;
            if json {
                say(&serde_json::to_string_pretty(&s)?);
            } else {
                let secs = s.guest_ns as f64 / 1e9;
                let halted = match (s.asleep, s.halted) {
                    (true, _) => ", asleep (S1)",
                    (false, true) => ", halted",
                    (false, false) => "",
                };
                let link = |(n, up): (usize, &bool)| format!("{} {}", n + 1, if *up { "up" } else { "down" });
                let links: Vec<String> = s.links.iter().enumerate().map(link).collect();
                say(&format!(
                    "{}: {} on {}, {} MiB, {secs:.1} s, {} instructions{halted}; ACPI {}; LEDs {}; links {}",
                    s.name,
                    s.phase,
                    s.engine,
                    s.memory_mib,
                    s.instructions,
                    if s.acpi { "on" } else { "off" },
                    list(&s.leds),
                    list(&links),
                ));
                if let Some(why) = &s.reason {
                    say(&format!("{} paused by itself: {why}", s.name));
                }
            }
        }
        What::Pause => plain("/v1/pause")?,
        What::Resume => resume(name)?,
        What::Reset => plain("/v1/reset")?,
        What::Save { file } => {
            let path = std::path::absolute(&file)?;
            drop(control::post(name, "/v1/save", &SaveBody { path: path.clone() })?);
            // Its disks are being closed.
            while control::runs(name) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            if !path.exists() || partial(&path).exists() {
                bail!("the state was not saved to {}; the machine's own messages say why", path.display());
            }
        }
        What::Snapshot { file } => {
            let path = std::path::absolute(&file)?;
            let answer = control::post(name, "/v1/snapshot", &SaveBody { path })?;
            let SnapshotBody { stood_us, disks } = serde_json::from_slice(&answer)?;
            say(&format!("{}: the machine stood still for {} ms", file.display(), stood_us as f64 / 1e3));
            for Frozen { disk, frozen } in disks {
                say(&format!("disk {}: what it was is {} now", disk.display(), frozen.display()));
            }
        }
        What::Poweroff => plain("/v1/poweroff")?,
        What::Shutdown(a) => return shutdown::run(name, &a),
        What::Link { adapter, state } => {
            let up = state == "up";
            let answer = control::post(name, "/v1/link", &LinkBody { adapter, up })?;
            let LinkedBody { link } = serde_json::from_slice(&answer)?;
            if up && !link {
                say(&format!(
                    "adapter {adapter} is plugged in, and has no link: nothing is at the other end"
                ));
            }
        }
        What::Screenshot { file } => {
            let png = control::request(name, "GET", "/v1/screenshot", None)?;
            std::fs::write(&file, png).map_err(|e| {
                let file = file.display();
                anyhow::anyhow!("cannot write {file}: {e}; check that its directory exists and is writable")
            })?;
        }
        What::Type { text } => {
            control::post(name, "/v1/type", &TypeBody { text: unescape(&text) })?;
        }
        What::Key { chord } => drop(control::post(name, "/v1/key", &KeyBody { chord })?),
        What::Mouse { to } => drop(control::post(name, "/v1/mouse", &mouse(&to)?)?),
        What::Insert { drive, image, ro } => {
            // The machine's process may have another working directory.
            let path = std::path::absolute(&image)?;
            drop(control::post(name, "/v1/insert", &InsertBody { drive, path, read_only: ro })?);
        }
        What::Eject { drive } => drop(control::post(name, "/v1/eject", &EjectBody { drive })?),
        What::Info { json } => guest::info(name, json)?,
        What::Exec(a) => return guest::exec(name, a),
        What::ExecKill { id } => guest::kill(name, id)?,
        What::ExecInput { id, text } => guest::input(name, id, &unescape(&text))?,
        What::Software { json } => guest::software(name, json)?,
        What::Set { key, value } => guest::set(name, key, value)?,
        What::Power { action, how } => guest::power(name, action, how)?,
        What::Channel { what } => guest::channel(name, what)?,
        What::Unknowns { json } => {
            let all: Vec<UnknownBody> = control::get(name, "/v1/unknowns")?;
            if json {
                say(&serde_json::to_string_pretty(&all)?);
            } else {
                for u in &all {
                    say(&format!(
                        "{:<14} window {} offset {:#06x}: {} times",
                        u.chip, u.window, u.offset, u.count
                    ));
                }
                if all.is_empty() {
                    say("every access so far met a register");
                }
            }
        }
        What::Undo { action: Some(action), disk, .. } => {
            drop(control::post(name, "/v1/undo", &UndoBody { disk, action })?);
        }
        What::Undo { json, .. } => {
            let all: Vec<UndoDiskBody> = control::get(name, "/v1/undo")?;
            if json {
                say(&serde_json::to_string_pretty(&all)?);
            } else {
                for d in &all {
                    let (image, file) = (d.image.display(), d.undo_file.display());
                    say(&format!("disk {}: {} {file}, over {image}", d.disk, d.action.name()));
                }
                if all.is_empty() {
                    say("no disk has an undo disk");
                }
            }
        }
        What::Events(a) => return events::run(name, &a),
        What::Openapi => {
            let text = control::request(name, "GET", "/v1/openapi.json", None)?;
            say(String::from_utf8_lossy(&text).trim_end());
        }
        What::Metrics => {
            let text = control::request(name, "GET", "/v1/metrics", None)?;
            say(String::from_utf8_lossy(&text).trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lets a machine go on. One that paused for a failure of its host, and does so again at once, is told of.
fn resume(name: &str) -> Result<()> {
    let trouble = || control::get::<StatusBody>(name, "/v1/status").ok().and_then(|s| s.reason);
    let failed = trouble().is_some();
    drop(control::request(name, "POST", "/v1/resume", None)?);
    for _ in 0..if failed { 25 } else { 0 } {
        std::thread::sleep(std::time::Duration::from_millis(20));
        if let Some(why) = trouble() {
            bail!("{name} paused again: {why}");
        }
    }
    Ok(())
}

fn list(all: &[String]) -> String {
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

/// A backslash before anything else stands for itself.
fn unescape(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut rest = s.chars();
    while let Some(c) = rest.next() {
        let mut next = rest.clone();
        let escape = match (c, next.next()) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('t')) => '\t',
            ('\\', Some('e')) => '\x1b',
            ('\\', Some('\\')) => '\\',
            _ => {
                out.push(c);
                continue;
            }
        };
        out.push(escape);
        rest = next;
    }
    out
}

fn mouse(s: &str) -> Result<MouseBody, Usage> {
    let bad = || Usage(format!("pointer {s:?}; use X,Y, X,Y,BUTTONS or X,Y,BUTTONS,WHEEL, as in 320,240,1"));
    let parts: Vec<&str> = s.split(',').collect();
    let number = |i: usize| parts.get(i).and_then(|p| p.trim().parse::<i32>().ok()).ok_or_else(bad);
    let buttons = if parts.len() > 2 { u8::try_from(number(2)?).map_err(|_| bad())? } else { 0 };
    let wheel = if parts.len() > 3 { number(3)? } else { 0 };
    if parts.len() > 4 {
        return Err(bad());
    }
    Ok(MouseBody { x: number(0)?, y: number(1)?, buttons, wheel })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_typed_text() {
        for (text, typed) in [
            (r"dir\n", "dir\n"),
            (r"C:\\new\t", "C:\\new\t"),
            (r"a\qb\", r"a\qb\"),
            (r"\\\\e\e", "\\\\e\x1b"),
        ] {
            assert_eq!(unescape(text), typed, "{text}");
        }
    }
}
