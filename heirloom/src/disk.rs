//! `heirloom disk ...`: makes, describes, checks and converts disk images.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use host_io::disk::{self, CheckReport, DiskError, Format, ImageInfo, Repaired};

use crate::Usage;
use crate::doctor::say;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  heirloom disk create accounts.vhd 20G\n  heirloom disk info accounts.vhd\n  \
                  heirloom disk convert accounts.qcow2 accounts.vhd\n  heirloom disk check accounts.vhd --json\n  \
                  heirloom disk create anna.vhd --parent accounts.vhd\n  \
                  heirloom disk merge anna.vhd"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make a new, empty disk image; takes no time and no room whatever its size
    Create {
        /// The file to make; its ending says the format: .vhd or another for raw
        path: PathBuf,
        /// The disk's size: bytes, or with K, M, G or T (1024-based)
        #[arg(value_parser = size, required_unless_present = "parent")]
        size: Option<u64>,
        /// Say the format instead
        #[arg(long, value_enum)]
        format: Option<Layout>,
        /// Make a differencing VHD: it reads as this VHD, which must not change any more, and keeps what is written to it
        #[arg(long, value_name = "VHD", conflicts_with_all = ["size", "format"])]
        parent: Option<PathBuf>,
    },
    /// Describe a disk or CD image
    Info {
        path: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy an image to a new file of another format; the original stays as it is, and may be QCOW2, VMDK or VHDX, too
    Convert {
        from: PathBuf,
        /// The file to make; its ending says the format: .vhd or another for raw
        to: PathBuf,
        /// Say the format instead
        #[arg(long, value_enum)]
        format: Option<Layout>,
    },
    /// Write a differencing VHD's data into its parent and remove it. Other children of that parent are of no use then
    Merge { child: PathBuf },
    /// Shrink a dynamic or differencing VHD by what reads the same without: blocks of zeros, sectors that are the parent's
    Compact { path: PathBuf },
    /// List where two images differ, in sectors. Exit code 1 if they do
    Diff {
        a: PathBuf,
        b: PathBuf,
        /// Print JSON: a list of ranges, first and behind the last
        #[arg(long)]
        json: bool,
    },
    /// Tell a differencing VHD where its parent is now, and that it may take it as it is
    Relink {
        child: PathBuf,
        /// The parent, if it isn't where the child looks for it
        #[arg(long, value_name = "VHD")]
        parent: Option<PathBuf>,
    },
    /// List all that is wrong with an image; changes nothing. Exit code 1 if it can't be used
    Check {
        path: PathBuf,
        /// Mend what can be mended without loss; what is overwritten is kept in FILE.before-repair
        #[arg(long)]
        repair: bool,
        /// With --repair: give up blocks that the file hasn't, or that lie over others; they read as zeros then
        #[arg(long, requires = "repair")]
        lose_blocks: bool,
        /// Take the last repair back, if the image was not changed since
        #[arg(long, conflicts_with = "repair")]
        undo_repair: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Layout {
    /// The file is the disk
    Raw,
    /// VHD that grows as it is written to
    VhdDynamic,
    /// VHD of the disk's full size
    VhdFixed,
}

impl From<Layout> for Format {
    fn from(l: Layout) -> Self {
        match l {
            Layout::Raw => Self::Raw,
            Layout::VhdDynamic => Self::VhdDynamic,
            Layout::VhdFixed => Self::VhdFixed,
        }
    }
}

pub(crate) fn run(a: Args) -> Result<ExitCode> {
    match a.what {
        What::Create { path, parent: Some(parent), .. } => {
            let bytes = disk::create_child(&path, &parent)?;
            let (path, parent) = (path.display(), parent.display());
            say(&format!("{path}: {}, {}, over {parent}", Format::VhdDifferencing, human(bytes)));
        }
        What::Create { path, size, format, .. } => {
            let size = size.unwrap_or_default();
            let format = format.map_or_else(|| by_name(&path), Into::into);
            let bytes = disk::create(&path, format, size).map_err(|e| match e {
                // Asked for wrongly, so exit code 2.
                DiskError::Size { .. } => Usage(e.to_string()).into(),
                e => anyhow::Error::from(e),
            })?;
            say(&format!("{}: {format}, {}", path.display(), human(bytes)));
        }
        What::Info { path, json } => {
            let i = disk::info(&path)?;
            if json { say(&serde_json::to_string_pretty(&i)?) } else { tell(&i) }
        }
        What::Convert { from, to, format } => {
            let format = format.map_or_else(|| by_name(&to), Into::into);
            with_bar(|bar| disk::convert(&from, &to, format, bar))?;
            let i = disk::info(&to)?;
            say(&format!("{}: {format}, {}", to.display(), human(i.virtual_size)));
        }
        What::Merge { child } => {
            let parent = with_bar(|bar| disk::merge(&child, bar))?;
            say(&format!("{} is merged into {}", child.display(), parent.display()));
        }
        What::Compact { path } => {
            let c = with_bar(|bar| disk::compact(&path, bar))?;
            say(&format!("{}: {}, was {}", path.display(), human(c.after), human(c.before)));
        }
        What::Diff { a, b, json } => {
            let ranges = with_bar(|bar| disk::diff(&a, &b, bar))?;
            if json {
                let pairs: Vec<_> = ranges.iter().map(|r| [r.start, r.end]).collect();
                say(&serde_json::to_string(&pairs)?);
            } else if ranges.is_empty() {
                say(&format!("{} and {} hold the same", a.display(), b.display()));
            } else {
                for r in &ranges {
                    say(&format!("sectors {} to {}: {} differ", r.start, r.end - 1, r.end - r.start));
                }
            }
            if !ranges.is_empty() {
                return Ok(ExitCode::from(1));
            }
        }
        What::Relink { child, parent } => {
            let parent = disk::relink(&child, parent.as_deref())?;
            say(&format!("{} lies over {}", child.display(), parent.display()));
        }
        What::Check { path, repair: true, lose_blocks, json, .. } => {
            let r = disk::repair(&path, lose_blocks)?;
            if json {
                say(&serde_json::to_string_pretty(&r)?);
            } else {
                tell_repair(&r);
            }
            if !r.after.usable() {
                return Ok(ExitCode::from(1));
            }
        }
        What::Check { path, undo_repair, json, .. } => {
            if undo_repair {
                let by = disk::undo_repair(&path)?;
                if !json {
                    say(&format!("{} is as it was before the repair, by {}", path.display(), by.display()));
                }
            }
            let r = disk::check(&path)?;
            if json {
                say(&serde_json::to_string_pretty(&r)?)
            } else {
                list(&r)
            }
            if !r.usable() {
                return Ok(ExitCode::from(1));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Does something that takes a while.
pub(crate) fn with_bar<T, E>(work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> Result<T, E>) -> Result<T, E> {
    let mut bar = Bar::new();
    let done = work(&mut |done, total| bar.show(done, total));
    bar.clear();
    done
}

fn by_name(path: &Path) -> Format {
    let vhd = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("vhd"));
    if vhd { Format::VhdDynamic } else { Format::Raw }
}

/// "20G", "20GiB", "512M", "1048576".
fn size(s: &str) -> Result<u64, Usage> {
    let bad = || Usage(format!("size {s:?}; use a number with K, M, G or T, as in 20G"));
    let end = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    let n: u64 = s[..end].parse().map_err(|_| bad())?;
    let shift = match s[end..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return Err(bad()),
    };
    n.checked_mul(1 << shift).ok_or_else(bad)
}

pub(crate) fn human(bytes: u64) -> String {
    let unit = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")].into_iter().find(|(s, _)| bytes >> s > 0);
    match unit {
        Some((s, name)) => format!("{:.1} {name} ({bytes} bytes)", bytes as f64 / (1_u64 << s) as f64),
        None => format!("{bytes} bytes"),
    }
}

fn tell(i: &ImageInfo) {
    let line = |name: &str, value: &str| say(&format!("{name:<14}{value}"));
    line("image", &i.path.display().to_string());
    line("format", &i.format.to_string());
    line("size", &human(i.virtual_size));
    line("file", &human(i.file_size));
    for p in &i.pieces {
        line("and", &p.display().to_string());
    }
    if let Some(n) = i.allocated {
        line("on the host", &human(n));
    }
    if let Some(v) = &i.vhd {
        let used = v.blocks_used.zip(v.blocks).zip(v.block_size);
        line("geometry", &format!("{} x {} x {}", v.cylinders, v.heads, v.sectors_per_track));
        if v.stated_size != i.virtual_size {
            line("stated size", &format!("{}; the guest sees the geometry's", human(v.stated_size)));
        }
        if let Some(((used, all), size)) = used {
            line("blocks", &format!("{used} of {all} in use, {} each", human(u64::from(size))));
        }
        for p in &i.parents {
            line("over", &p.display().to_string());
        }
        line("uuid", &v.uuid);
        line("creator", &format!("{} {}", v.creator, v.creator_version));
    }
    if let Some(c) = &i.iso {
        line("volume", &c.volume);
        match &c.boot {
            Some(b) => line("boots", &format!("El Torito, {:?}, block {}", b.emulation, b.lba)),
            None => line("boots", "no"),
        }
    }
    for n in &i.notes {
        line("note", &format!("{}; {}", n.what, n.mend));
    }
}

fn tell_repair(r: &Repaired) {
    for what in &r.done {
        say(&format!("mended: {what}"));
    }
    for what in &r.would_lose {
        say(&format!("needs --lose-blocks: {what}"));
    }
    if let Some(undo) = &r.undo {
        say(&format!("kept: what was overwritten, in {}; --undo-repair takes it back", undo.display()));
    }
    list(&r.after);
}

fn list(r: &CheckReport) {
    for f in &r.findings {
        say(&format!("{}: {}; {}", if f.fatal { "fault" } else { "note" }, f.what, f.mend));
    }
    if r.leaked > 0 {
        say(&format!("note: {} belong to no block; `heirloom disk compact` frees them", human(r.leaked)));
    }
    let verdict = match (r.usable(), r.findings.is_empty()) {
        (true, true) => "no faults",
        (true, false) => "can be used",
        (false, _) => "cannot be used",
    };
    say(&format!("{}: {}, {verdict}", r.path.display(), r.format));
}

/// A progress bar on a terminal's standard error, once it is worth it.
struct Bar {
    begun: Instant,
    drawn: Option<Instant>,
    terminal: bool,
}

impl Bar {
    const WIDTH: u64 = 40;

    fn new() -> Self {
        Self { begun: Instant::now(), drawn: None, terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, done: u64, total: u64) {
        let wait = Duration::from_millis(if self.drawn.is_some() { 100 } else { 700 });
        if !self.terminal || self.drawn.unwrap_or(self.begun).elapsed() < wait {
            return;
        }
        self.drawn = Some(Instant::now());
        let full = (done * Self::WIDTH / total.max(1)) as usize;
        let rest = Self::WIDTH as usize - full;
        // Nobody is harmed by a bar that can't be drawn.
        let _ = write!(
            std::io::stderr(),
            "\r[{}{}] {:3} %  {} MiB ",
            "#".repeat(full),
            " ".repeat(rest),
            done * 100 / total.max(1),
            done >> 20
        );
    }

    fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1048576", 1 << 20),
            ("20G", 20 << 30),
            ("512m", 512 << 20),
            ("2TiB", 2 << 40),
            ("64k", 64 << 10),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "G", "1.5G", "-1", "20X", "99999999999999999999", "99999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_say_the_format() {
        assert_eq!(by_name(Path::new("a.VHD")), Format::VhdDynamic);
        assert_eq!(by_name(Path::new("a.img")), Format::Raw);
    }
}
