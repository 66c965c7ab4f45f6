//! `xtask bench soak`: a machine whose disk, network, sound card, screen and clocks are busy for half an hour.
//!
//! One guest (`guests/soak.rs`) does all of it, checks what comes back, and says at marks what it did, what its clocks show
//! and what interrupts it got. The harness notes when each mark came by the host's clock.

mod clocks;
mod interrupts;
mod marks;
mod viewer;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use self::marks::{Followed, Mark, Phase, Reader};
use self::viewer::Viewer;
use super::load::{Bars, Reading, memory};
use super::machines::{MEMORY_MIB, Machines};
use super::peer::Peer;
use super::process::{Process, Stamp};
use super::report::{Bar, Report, number};
use super::{Keep, host, text_of};
use crate::guests;
use crate::shell::{build_heirloom, say};

/// Patience with a guest that says nothing, in seconds: marks come every two.
const SILENCE: u64 = 120;
/// From power-on to the first mark.
const BOOT: u64 = 300;
const PROGRESS: Duration = Duration::from_mins(1);
/// Between two marks, in ms.
const MARK: u32 = 2000;
/// Between a mebibyte and the next, for the disk and for each way of the network; between two pictures.
const PIECE: u32 = 25;
const PICTURE: u32 = 40;
/// How fast memory may grow once the machine has its size, MiB an hour: 300 KiB in half an hour.
const GROWTH: f64 = 0.6;
/// Minutes after which that can be told from the noise of readings.
const LONG: f64 = 20.0;
/// The periodic tick: Linux counts its timer's interrupts by it, and so can the harness.
const APPEND: &str = "nohz=off highres=off";

#[derive(Args)]
pub(crate) struct Soak {
    /// How long everything is busy
    #[arg(long, value_name = "MINUTES", default_value_t = 30.0)]
    minutes: f64,
    /// Nobody looks at the screen
    #[arg(long)]
    without_viewer: bool,
    /// The sound goes nowhere; else to a WAV file (350 MB in half an hour), which is removed
    #[arg(long)]
    without_recording: bool,
    #[command(flatten)]
    keep: Keep,
}

pub(super) fn run(args: &Soak) -> Result<()> {
    crate::setup::run_once()?;
    guests::run_linux()?;
    let guest = guests::make_soak(&guests::folder())?;
    let mut machines = Machines::new(build_heirloom()?, false)?;
    machines.peer = Some(Peer::start()?);
    let about = host::describe(&machines, &guest);
    let recording = (!args.without_recording).then(|| machines.own("wav"));
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut p = Process::start(&mut machines.soak(&guest, args.minutes, recording.as_deref(), port)?)?;
    let watched = if args.without_viewer { None } else { Some(Viewer::start(port)?) };
    say(&format!("bench: all devices are busy for {} min", args.minutes));
    let found = follow(&machines, &mut p, args.minutes);
    let sound = recording.as_deref().map(heard);
    for file in [Some(machines.own("img")), recording].into_iter().flatten() {
        // What is not there need not be removed.
        let _ = fs::remove_file(file);
    }
    let found = found?;
    let mut r = Report::default();
    clocks::report(&mut r, &found.marks);
    interrupts::report(&mut r, &found.marks);
    work(&mut r, &found);
    if let Some(seconds) = sound {
        r.add("sound in the recording", seconds?, "s", Bar::None);
    }
    if let Some(v) = &watched {
        r.add("pictures that the viewer got", v.pictures() as f64, "", Bar::AtLeast(1.0));
    }
    let growth = if args.minutes < LONG { Bar::None } else { Bar::AtMost(GROWTH) };
    memory(&mut r, &found.memory, Bars { most: Bar::None, growth });
    let notes = notes(&found);
    let text =
        text_of(&about) + &r.text() + "\n" + &notes.iter().map(|n| format!("- {n}\n")).collect::<String>();
    say(&text);
    let memory: Vec<_> = found.memory.iter().map(|m| json!([m.hours, m.took.all, m.took.code])).collect();
    let all = json!({
        "about": about, "minutes": args.minutes, "readings": r.json(), "notes": notes,
        "memory_hours_mib_code": memory, "clocks_s_behind_ms": clocks::series(&found.marks),
    });
    args.keep.write("soak", &about, &text, &all)?;
    if !found.faults.is_empty() {
        bail!("the guest found {} faults, the first: {}", found.faults.len(), found.faults[0]);
    }
    if args.keep.strict && r.missed() > 0 {
        bail!("{} of the bars were missed", r.missed());
    }
    Ok(())
}

impl Machines {
    /// A file of this run's own: another one may run beside it.
    fn own(&self, kind: &str) -> PathBuf {
        self.scratch.join(format!("{}.{kind}", self.name))
    }

    fn soak(
        &self,
        guest: &Path,
        minutes: f64,
        recording: Option<&Path>,
        port: u16,
    ) -> Result<std::process::Command> {
        let peer = self.peer.as_ref().context("nobody to talk to")?;
        let disk = self.own("img");
        fs::File::create(&disk)?.set_len(64 << 20)?;
        let mut c = self.heirloom("software");
        c.arg("--kernel").arg(guest.join("vmlinuz")).arg("--initrd").arg(guest.join("initrd.gz"));
        let (words, ms) = (peer.words("10.0.2.1"), minutes * 60_000.0);
        c.arg("--append").arg(format!(
            "console=ttyS0 quiet {APPEND} {words} ms={ms:.0} mark_ms={MARK} piece_ms={PIECE} picture_ms={PICTURE}"
        ));
        c.args(["--net", "nat,host=allow", "--display", &format!("vnc=127.0.0.1:{port}")]);
        c.arg("--disk").arg(disk).arg("--audio").arg(match recording {
            Some(file) => format!("wav={}", file.display()),
            None => "none".into(),
        });
        Ok(c)
    }
}

/// Reads to the end of the guest.
fn follow(machines: &Machines, p: &mut Process, minutes: f64) -> Result<Followed> {
    let (mut reader, begun) = (Reader::default(), Instant::now());
    let (mut told, mut memory) = (begun, Vec::new());
    loop {
        let patience = if reader.marks().is_empty() { BOOT } else { SILENCE };
        let Some((at, text)) = p.line(patience)? else { bail!("the machine ended: {}", p.complaint()) };
        if reader.take(&text, seconds(p.started, at)) {
            let behind = machines.counter("board_behind_us")? as f64 / 1e3;
            let Some(mark) = reader.last_mark() else { continue };
            mark.owed = behind;
            if mark.phase == Phase::Busy {
                let hours = begun.elapsed().as_secs_f64() / 3600.0;
                memory.push(Reading { hours, took: p.overhead(MEMORY_MIB)? });
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                let gone = begun.elapsed().as_secs_f64() / 60.0;
                let mib = memory.last().map_or(0.0, |m: &Reading| m.took.all);
                say(&format!("bench: {gone:.0} min of {minutes}, {} MiB, {behind:.1} ms owed", number(mib)));
            }
        }
        if reader.is_over() {
            let (marks, faults) = reader.into_parts();
            return Ok(Followed { marks, memory, faults });
        }
    }
}

fn seconds(from: Stamp, to: Stamp) -> f64 {
    from.to(to).wall
}

/// What the guest did, and how fast.
fn work(r: &mut Report, found: &Followed) {
    let busy: Vec<&Mark> = found.marks.iter().filter(|m| m.phase == Phase::Busy).collect();
    let (Some(first), Some(last)) = (found.marks.first(), busy.last()) else { return };
    let made = |name: &str| last.did(name) - first.did(name);
    for (what, name) in [("disk, written", "written"), ("disk, read and compared", "read")] {
        r.add(what, made(name), "MiB", Bar::AtLeast(1.0));
    }
    r.add("disk, flushed", made("flushed"), "times", Bar::AtLeast(1.0));
    for (what, name) in [("network, to the guest", "down"), ("network, from the guest", "up")] {
        r.add(what, made(name), "MiB", Bar::AtLeast(1.0));
    }
    r.add("sound, played", made("samples") / clocks::RATE, "s", Bar::AtLeast(1.0));
    r.add("sound, underruns", last.did("underruns"), "", Bar::AtMost(0.0));
    r.add("screen, scrolled and compared", made("pictures"), "times", Bar::AtLeast(1.0));
    for (what, name) in
        [("disk's", "disk_ms"), ("network's to the guest", "down_ms"), ("network's from the guest", "up_ms")]
    {
        r.add(&format!("longest mebibyte, {what}"), last.did(name), "ms", Bar::None);
    }
    r.add("longest picture", last.did("picture_ms"), "ms", Bar::None);
    r.add("TCP, sent again", last.did("again"), "segments", Bar::None);
}

fn notes(found: &Followed) -> Vec<String> {
    let owed = found.marks.iter().map(|m| m.owed).fold(0.0, f64::max);
    let mut all = vec![format!("the host owed the machine {owed:.1} ms at most, at any mark")];
    if found.faults.is_empty() {
        all.push("no fault was found by the guest's programs or its kernel".into());
    }
    all.extend(found.faults.iter().map(|f| format!("FAULT: {f}")));
    all
}

/// Seconds of sound in a WAV file of 16-bit stereo at 48 kHz, by its length.
fn heard(file: &Path) -> Result<f64> {
    const HEADER: u64 = 44;
    let bytes = fs::metadata(file).with_context(|| format!("no recording {}", file.display()))?.len();
    Ok(bytes.saturating_sub(HEADER) as f64 / 4.0 / 48_000.0)
}
