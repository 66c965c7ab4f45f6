//! `xtask bench images`: what is done with disk images, beside a plain copy of the same bytes and what qemu-img does, in one run.
//! All are timed until the host's disk has what was written.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use super::report::{Bar, Report};
use super::stats::median;
use super::{Keep, host, text_of};
use crate::shell::{build_heirloom, command, has, quiet, root, say};

/// Part of a copy's speed that is promised.
const BAR: f64 = 0.8;
/// Runs of one kind of content.
const RUN: usize = 256 << 10;
const MIB: u64 = 1 << 20;

#[derive(Args)]
pub(crate) struct Images {
    /// Times that everything is measured, in turn; medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Size of the disk, MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..))]
    size: u64,
    /// Measure only what has this in its name
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Where the images are made, instead of target/bench/images; 8 times the size are needed
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    keep: Keep,
}

impl Images {
    /// As without flags.
    pub(crate) fn as_usual(keep: Keep) -> Self {
        // One file can't hold both readings.
        Self { repeats: 3, size: 1024, only: None, folder: None, keep: Keep { json: None, ..keep } }
    }
}

/// Who does it.
const COLUMNS: [&str; 3] = ["Heirloom", "copy", "qemu-img"];

/// One thing to do: what is done before each time, untimed, and the commands. Of each, the files that it writes.
struct Task {
    name: &'static str,
    /// Copies to make first: from, to.
    before: Vec<(PathBuf, PathBuf)>,
    commands: [Option<(Vec<Command>, Vec<PathBuf>)>; 3],
    /// Ours gives the same disk as this file.
    result: Option<(PathBuf, PathBuf)>,
}

struct Bench {
    heirloom: String,
    folder: PathBuf,
}

impl Bench {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn heirloom(&self, words: &[&str], files: &[&Path]) -> Command {
        let mut c = command(&self.heirloom, ["disk"]);
        c.args(words).args(files);
        c
    }

    /// Random bytes, text and zeros in runs. `other`: another content in every second block of 2 MiB.
    fn content(&self, name: &str, size: u64, other: bool) -> Result<PathBuf> {
        let path = self.file(name);
        let mut out = fs::File::create(&path)?;
        let mut seed = 1_u64;
        let mut next = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut run = vec![0; RUN];
        for at in (0..size * MIB).step_by(RUN) {
            let mark = if other && (at / (2 * MIB)).is_multiple_of(2) { 0x5555_5555_5555_5555 } else { 0 };
            // Now and then nothing for a few blocks, as on a disk that isn't full.
            match if at / (6 * MIB) % 4 == 3 { 2 } else { next() % 4 } {
                0 | 1 => {
                    run.as_chunks_mut::<8>().0.iter_mut().for_each(|b| *b = (next() ^ mark).to_le_bytes())
                }
                2 => run.fill(0),
                _ => {
                    for line in run.chunks_mut(64) {
                        let text = format!(
                            "{:016x} the quick brown fox jumps over the lazy dog, again\n",
                            next() ^ mark
                        );
                        let n = line.len().min(text.len());
                        line[..n].copy_from_slice(&text.as_bytes()[..n]);
                        line[n..].fill(b' ');
                    }
                }
            }
            out.write_all(&run)?;
        }
        out.sync_all()?;
        Ok(path)
    }

    /// A child of `base` with every second block of another disk of its size. Nothing but a machine writes to one.
    fn child(&self, base: &Path, other: &Path) -> Result<PathBuf> {
        let path = self.file("child.vhd");
        quiet(&mut self.heirloom(&["create"], &[&path, Path::new("--parent"), base]))?;
        let mut to = fs::OpenOptions::new().read(true).write(true).open(&path)?;
        let mut from = fs::File::open(other)?;
        let header = |f: &mut fs::File| -> Result<(u64, Vec<u8>)> {
            let mut h = [0; 1024];
            f.seek(SeekFrom::Start(512))?;
            f.read_exact(&mut h)?;
            let table = u64::from_be_bytes(h[16..24].try_into()?);
            let count = u32::from_be_bytes(h[28..32].try_into()?);
            let mut bat = vec![0; count as usize * 4];
            f.seek(SeekFrom::Start(table))?;
            f.read_exact(&mut bat)?;
            Ok((table, bat))
        };
        let (table, mut bat) = header(&mut to)?;
        let (_, blocks) = header(&mut from)?;
        let mut footer = [0; 512];
        to.seek(SeekFrom::End(-512))?;
        to.read_exact(&mut footer)?;
        let mut end = to.metadata()?.len() - 512;
        let mut block = vec![0; 512 + (2 << 20)];
        for (n, (entry, there)) in bat.chunks_mut(4).zip(blocks.chunks(4)).enumerate() {
            let sector = u32::from_be_bytes(there.try_into()?);
            if n.is_multiple_of(2) && sector != u32::MAX {
                from.seek(SeekFrom::Start(u64::from(sector) * 512))?;
                from.read_exact(&mut block)?;
                to.seek(SeekFrom::Start(end))?;
                to.write_all(&block)?;
                entry.copy_from_slice(&u32::try_from(end / 512)?.to_be_bytes());
                end += block.len() as u64;
            }
        }
        to.seek(SeekFrom::Start(end))?;
        to.write_all(&footer)?;
        to.seek(SeekFrom::Start(table))?;
        to.write_all(&bat)?;
        to.sync_all()?;
        Ok(path)
    }
}

/// With holes for zeros, as all that we write has.
fn copy(from: &Path, to: &Path) -> Command {
    let mut c = command("cp", ["--reflink=never", "--sparse=always", "--preserve=timestamps"]);
    c.args([from, to]);
    c
}

/// What a copy takes the place of has to go, as it does with ours.
fn then(first: Command, words: &[&str], files: &[&Path]) -> Vec<Command> {
    let (program, words) = words.split_first().unwrap_or((&"true", &[]));
    let mut second = command(program, words);
    second.args(files);
    vec![first, second]
}

fn qemu(words: &[&str], files: &[&Path]) -> Option<Command> {
    has("qemu-img").then(|| {
        let mut c = command("qemu-img", words);
        c.args(files);
        c
    })
}

fn tasks(b: &Bench, size: u64) -> Result<Vec<Task>> {
    say("bench: making images");
    let raw = b.content("a.img", size, false)?;
    let other = b.content("b.img", size, true)?;
    let (dynamic, out, copied, theirs) =
        (b.file("a.vhd"), b.file("out.vhd"), b.file("copy"), b.file("qemu.vhd"));
    quiet(&mut b.heirloom(&["convert"], &[&raw, &dynamic]))?;
    let other_vhd = b.file("b.vhd");
    quiet(&mut b.heirloom(&["convert"], &[&other, &other_vhd]))?;
    let after = |c: Option<Vec<Command>>, f: &Path| c.map(|c| (c, vec![f.to_path_buf()]));
    let with = |c: Option<Command>, f: &Path| after(c.map(|c| vec![c]), f);
    let ours = |words: &[&str], from: &Path| with(Some(b.heirloom(words, &[from, &out])), &out);
    let convert = |name, words: &[&str], from: &Path, words_of_qemu: &[&str]| Task {
        name,
        before: Vec::new(),
        commands: [
            ours(words, from),
            with(Some(copy(from, &copied)), &copied),
            with(qemu(words_of_qemu, &[from, &theirs]), &theirs),
        ],
        result: Some((raw.clone(), out.clone())),
    };
    let vpc = ["convert", "-f", "vpc", "-O", "vpc", "-o"];
    let mut all = vec![
        convert(
            "raw to dynamic",
            &["convert"],
            &raw,
            &["convert", "-f", "raw", "-O", "vpc", "-o", "subformat=dynamic"],
        ),
        convert(
            "dynamic to fixed",
            &["convert", "--format", "vhd-fixed"],
            &dynamic,
            &[&vpc[..], &["subformat=fixed"]].concat(),
        ),
    ];
    // Blocks of zeros that are there: ours writes none.
    let full = b.file("full.vhd");
    let made =
        qemu(&["convert", "-S", "0", "-f", "raw", "-O", "vpc", "-o", "subformat=dynamic"], &[&raw, &full]);
    match made {
        Some(mut c) => drop(quiet(&mut c)?),
        None => drop(fs::copy(&dynamic, &full)?),
    }
    let work = b.file("work.vhd");
    all.push(Task {
        name: "compact",
        before: vec![(full.clone(), work.clone())],
        commands: [
            with(Some(b.heirloom(&["compact"], &[&work])), &work),
            after(Some(then(copy(&full, &copied), &["mv", "-f"], &[&copied, &work])), &work),
            after(
                qemu(&[&vpc[..], &["subformat=dynamic"]].concat(), &[&full, &theirs])
                    .map(|c| then(c, &["mv", "-f"], &[&theirs, &work])),
                &work,
            ),
        ],
        result: Some((raw.clone(), work)),
    });
    let base = b.file("base.vhd");
    quiet(&mut copy(&dynamic, &base))?;
    let child = b.child(&base, &other_vhd)?;
    let kept = [b.file("kept-base.vhd"), b.file("kept-child.vhd")];
    quiet(&mut copy(&base, &kept[0]))?;
    fs::rename(&child, &kept[1])?;
    let (q_base, q_top, q_kept) = (b.file("q-base.img"), b.file("q-top.qcow2"), b.file("q-kept.qcow2"));
    let mut before = vec![(kept[0].clone(), base.clone()), (kept[1].clone(), child.clone())];
    let commit = qemu(&["commit", "-q", "-f", "qcow2"], &[&q_top]);
    if commit.is_some() {
        quiet(&mut copy(&raw, &q_base))?;
        let mut c =
            command("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", "-F", "raw", "-B", "q-base.img"]);
        quiet(c.args([&other, &q_kept]).current_dir(&b.folder))?;
        before.extend([(raw.clone(), q_base.clone()), (q_kept, q_top.clone())]);
    }
    all.push(Task {
        name: "merge",
        before,
        commands: [
            with(Some(b.heirloom(&["merge"], &[&child])), &base),
            after(Some(then(copy(&kept[1], &copied), &["rm"], &[&child])), &copied),
            after(commit.map(|c| then(c, &["rm"], &[&q_top])), &q_base),
        ],
        result: Some((other, base)),
    });
    all.push(Task {
        name: "check",
        before: Vec::new(),
        commands: [
            Some((vec![b.heirloom(&["check"], &[&full])], Vec::new())),
            with(Some(copy(&full, &copied)), &copied),
            None,
        ],
        result: None,
    });
    Ok(all)
}

/// Seconds until what it wrote is on the disk.
fn time(commands: &mut [Command], files: &[PathBuf]) -> Result<f64> {
    let begun = Instant::now();
    for c in commands {
        quiet(c)?;
    }
    for f in files {
        fs::File::open(f)?.sync_all()?;
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// Has the host's cache take memory, and give it back.
fn fill(scratch: &Path, size: u64) -> Result<()> {
    let mut f = fs::File::create(scratch)?;
    for _ in 0..size + size / 8 {
        f.write_all(&[0; MIB as usize])?;
    }
    Ok(fs::remove_file(scratch)?)
}

fn once(b: &Bench, t: &mut Task, took: &mut [Vec<f64>; 3], size: u64, n: usize) -> Result<()> {
    // Who is first has what was done before at its back, so all are in turn.
    for column in (0..COLUMNS.len()).map(|c| (c + n) % COLUMNS.len()) {
        let Some((c, files)) = &mut t.commands[column] else { continue };
        for (from, to) in &t.before {
            quiet(&mut copy(from, to))?;
        }
        if t.before.is_empty() {
            files.iter().for_each(|f| drop(fs::remove_file(f)));
        }
        let _ = fs::remove_file(b.file("copy"));
        let _ = fs::remove_file(b.file("qemu.vhd"));
        // What others left to be written is not its to wait for, nor is memory that the host of a virtual machine has to
        // find first: what was just freed is there.
        quiet(&mut command("sync", [] as [&str; 0]))?;
        fill(&b.file("scratch"), size)?;
        took[column].push(time(c, files)?);
        if let Some((want, got)) = t.result.as_ref().filter(|_| n == 0 && column == 0) {
            let diff = quiet(&mut b.heirloom(&["diff"], &[want, got]));
            diff.with_context(|| format!("{} gives another disk", t.name))?;
        }
    }
    Ok(())
}

pub(crate) fn run(args: &Images) -> Result<()> {
    let heirloom = build_heirloom()?;
    let folder = args.folder.clone().unwrap_or_else(|| root().join("target/bench")).join("images");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let about = host::describe_images(&heirloom);
    let b = Bench { heirloom: heirloom.to_string_lossy().into_owned(), folder };
    let wanted = |t: &Task| args.only.as_ref().is_none_or(|w| t.name.contains(w.as_str()));
    let mut tasks: Vec<Task> = tasks(&b, args.size)?.into_iter().filter(wanted).collect();
    let mut took: Vec<[Vec<f64>; 3]> = tasks.iter().map(|_| Default::default()).collect();
    for n in 0..args.repeats {
        say(&format!("bench: {} of {}", n + 1, args.repeats));
        for (t, took) in tasks.iter_mut().zip(&mut took) {
            once(&b, t, took, args.size, n as usize)?;
        }
    }
    let mut r = Report::default();
    for (t, took) in tasks.iter().zip(&took) {
        let mid = took.each_ref().map(|v| median(v));
        for (name, v) in COLUMNS.iter().zip(mid) {
            if let Some(v) = v {
                r.add(&format!("{}: {name}", t.name), v, "s", Bar::None);
            }
        }
        if let [Some(ours), copy, theirs] = mid {
            if let Some(copy) = copy {
                r.add(&format!("{}: speed of a copy's", t.name), copy / ours, "x", Bar::AtLeast(BAR));
            }
            if let Some(theirs) = theirs {
                r.add(&format!("{}: speed of qemu-img's", t.name), theirs / ours, "x", Bar::None);
            }
        }
    }
    let _ = fs::remove_dir_all(&b.folder);
    let text = text_of(&about) + &r.text();
    say(&text);
    let all = json!({
        "about": about, "size_mib": args.size, "repeats": args.repeats, "readings": r.json(),
    });
    args.keep.write("images", &about, &text, &all)?;
    if args.keep.strict && r.missed() > 0 {
        bail!("{} of the bars were missed", r.missed());
    }
    Ok(())
}
