//! `cargo xtask guests --matrix` runs this: whole systems, each from power-on to power-off, as its description says; beside
//! QEMU where that is asked for. Ours are in `guests/`; others join by `--image NAME=FILE`.

mod image;
mod keys;
mod machine;
mod play;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::json;

use image::Image;
use machine::{Kind, Workshop};
use play::{Outcome, play};

/// Guests that `cargo xtask guests` makes.
const OWN: &[(&str, &str)] = &[
    ("debian", include_str!("../guests/debian.toml")),
    ("desktop", include_str!("../guests/desktop.toml")),
    ("grub", include_str!("../guests/grub.toml")),
    ("isolinux", include_str!("../guests/isolinux.toml")),
    ("syslinux", include_str!("../guests/syslinux.toml")),
    ("memtest", include_str!("../guests/memtest.toml")),
    ("ipxe", include_str!("../guests/ipxe.toml")),
];

#[derive(Parser)]
#[command(name = "matrix", about = "Starts and uses whole systems as their descriptions say")]
struct Cli {
    /// The command under test
    #[arg(long)]
    heirloom: PathBuf,
    /// Where our guests are
    #[arg(long)]
    guests: PathBuf,
    /// Where pictures, logs and recordings go
    #[arg(long)]
    results: PathBuf,
    /// An image that joins: its description (.toml), or the image beside which that lies
    #[arg(long = "image", value_name = "NAME=FILE")]
    images: Vec<String>,
    /// Only these
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// On QEMU (TCG), too, in the same run
    #[arg(long)]
    qemu: bool,
    #[arg(long, default_value = "auto")]
    engine: String,
    /// Write what was measured to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One image's run on one kind of machine.
struct Run<'a> {
    image: &'a Image,
    kind: Kind,
    outcome: Outcome,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "matrix: {e:#}");
            ExitCode::from(2)
        }
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn images(cli: &Cli) -> Result<Vec<Image>> {
    let mut given = Vec::new();
    for i in &cli.images {
        let (name, file) = i.split_once('=').with_context(|| format!("--image {i:?}: write NAME=FILE"))?;
        given.push((name, Path::new(file)));
    }
    let names = || OWN.iter().map(|o| o.0).chain(given.iter().map(|g| g.0));
    for (n, name) in names().enumerate() {
        ensure!(names().take(n).all(|o| o != name), "--image {name}=…: there is a {name} already");
    }
    for o in &cli.only {
        let known = names().collect::<Vec<_>>().join(", ");
        ensure!(names().any(|n| n == o), "--only {o}: there is none; there are {known}");
    }
    let wanted = |name: &str| cli.only.is_empty() || cli.only.iter().any(|o| o == name);
    let mut all = Vec::new();
    for (name, text) in OWN.iter().filter(|o| wanted(o.0)) {
        all.push(Image::own(name, text, &cli.guests)?);
    }
    let mut made = Vec::new();
    for (name, file) in given.into_iter().filter(|g| wanted(g.0)) {
        let image = Image::load(name, file, &made)?;
        made.extend(image.new_disk.as_ref().map(|n| n.path.clone()));
        all.push(image);
    }
    Ok(all)
}

fn run(cli: &Cli) -> Result<bool> {
    let images = images(cli)?;
    let workshop =
        Workshop { heirloom: cli.heirloom.clone(), engine: cli.engine.clone(), folder: cli.results.clone() };
    let mut runs = Vec::new();
    for image in &images {
        for kind in [Kind::Heirloom, Kind::Qemu] {
            if kind == Kind::Qemu && !(cli.qemu && image.qemu.is_some()) {
                continue;
            }
            say(&format!("matrix: {} on {}", image.name, kind.name()));
            let outcome = play(&workshop, image, kind);
            for m in &outcome.marks {
                say(&format!("  {:>7.1} s  {}", m.seconds, m.name));
            }
            if let Some(f) = &outcome.fault {
                say(&format!("  FAILED: {f}"));
            }
            runs.push(Run { image, kind, outcome });
        }
    }
    let slow = compare(&runs);
    for s in &slow {
        say(s);
    }
    if let Some(file) = &cli.json {
        let all: Vec<_> = runs.iter().map(Run::json).collect();
        std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n")
            .with_context(|| file.display().to_string())?;
    }
    // What the peer can't do is no fault of ours.
    let ours = || runs.iter().filter(|r| r.kind == Kind::Heirloom);
    let failed = ours().filter(|r| r.outcome.fault.is_some()).count();
    say(&format!("{} passed, {failed} failed", ours().count() - failed));
    Ok(failed == 0 && slow.is_empty())
}

impl Run<'_> {
    fn json(&self) -> serde_json::Value {
        let marks: Vec<_> =
            self.outcome.marks.iter().map(|m| json!({"step": m.name, "seconds": m.seconds})).collect();
        json!({
            "image": self.image.name, "about": self.image.about, "machine": self.kind.name(),
            "marks": marks, "fault": self.outcome.fault,
        })
    }
}

/// Prints the steps beside QEMU's; gives those that miss their bar.
fn compare(runs: &[Run<'_>]) -> Vec<String> {
    let mut slow = Vec::new();
    for peer in runs.iter().filter(|r| r.kind == Kind::Qemu) {
        let same = |r: &&Run<'_>| r.kind == Kind::Heirloom && r.image.name == peer.image.name;
        let Some(ours) = runs.iter().find(same) else { continue };
        for m in ours.outcome.marks.iter().filter(|m| m.compare) {
            let Some(theirs) = peer.outcome.marks.iter().find(|p| p.name == m.name) else { continue };
            let ratio = theirs.seconds / m.seconds;
            say(&format!(
                "{}, {}: Heirloom {:.1} s, QEMU {:.1} s: {ratio:.2} times as fast",
                ours.image.name, m.name, m.seconds, theirs.seconds
            ));
            let bar = ours.image.qemu.as_ref().and_then(|q| q.bar).unwrap_or(0.0);
            if ratio < bar {
                slow.push(format!("TOO SLOW: {}, {}: {ratio:.2}, not {bar}", ours.image.name, m.name));
            }
        }
    }
    slow
}
