//! `heirloom import`: a machine of Virtual PC becomes a spec.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use vmm::spec;
use vmm::spec::vmc;

use crate::doctor::say;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  heirloom import \"Windows XP Mode.vmc\" accounts.toml")]
pub(crate) struct Args {
    /// Virtual PC's configuration of the machine
    vmc: PathBuf,
    /// The spec to write; else one of the same name beside it
    spec: Option<PathBuf>,
}

pub(crate) fn run(a: &Args) -> Result<ExitCode> {
    let from = a.vmc.display();
    let bytes = fs::read(&a.vmc).map_err(|e| anyhow!("cannot read {from}: {e}; check the path"))?;
    let v = vmc::read(&bytes).with_context(|| format!("cannot import {from}"))?;
    let to = a.spec.clone().unwrap_or_else(|| a.vmc.with_extension("toml"));
    let folder = |p: &Path| {
        let p = std::path::absolute(p).unwrap_or_else(|_| p.into());
        p.parent().map_or(PathBuf::new(), PathBuf::from)
    };
    let (old, new) = (folder(&a.vmc), folder(&to));
    let mut missing = Vec::new();
    let text = v.to_spec(&machine_name(&a.vmc), |absolute, relative| {
        let (file, there) = find(absolute, relative, &old);
        if !there {
            missing.push(file.display().to_string());
        }
        // A spec's paths are relative to it.
        let file = file.strip_prefix(&new).map_or(file.clone(), PathBuf::from);
        file.to_string_lossy().into_owned()
    });
    let notes: Vec<String> = v.notes();
    let head: String = notes.iter().map(|n| format!("# {}\n", n.replace(['\n', '\r'], " "))).collect();
    // What we write must be what we read.
    spec::MachineSpec::parse(&text, &to.display().to_string())
        .map_err(|e| anyhow!("{from} makes no machine: {}", e.to_string().replace('\n', "; ")))?;
    let made = fs::OpenOptions::new().write(true).create_new(true).open(&to);
    made.and_then(|mut f| f.write_all(format!("# From {from}\n{head}\n{text}").as_bytes())).map_err(|e| {
        let mend = match e.kind() {
            std::io::ErrorKind::AlreadyExists => "choose another name, or remove it first",
            _ => "check that its directory exists and is writable",
        };
        anyhow!("cannot write {}: {e}; {mend}", to.display())
    })?;
    say(&format!("{}: written from {from}", to.display()));
    for n in notes {
        say(&format!("note: {n}"));
    }
    for m in missing {
        say(&format!("note: {m} is not there; put it there, or change the spec"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The file's name, if a machine may have it.
pub(crate) fn machine_name(path: &Path) -> String {
    let stem = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let name: String =
        stem.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    spec::name(name.trim_start_matches('.')).unwrap_or_else(|_| "imported".into())
}

/// Where a drive's file is: by its relative path, its absolute one, or its name beside the configuration. False: nowhere.
fn find(absolute: &str, relative: &str, folder: &Path) -> (PathBuf, bool) {
    let native = |p: &str| if cfg!(windows) { p.to_owned() } else { p.replace('\\', "/") };
    let clean = |p: &str| native(p).trim_start_matches("./").to_owned();
    let last = |p: &str| p.rsplit(['\\', '/']).next().unwrap_or_default().to_owned();
    let near = (!relative.is_empty()).then(|| folder.join(clean(relative)));
    let far = (!absolute.is_empty()).then(|| PathBuf::from(native(absolute)));
    let beside = [absolute, relative].map(|p| folder.join(last(p)));
    let all: Vec<PathBuf> = near.into_iter().chain(far).chain(beside).collect();
    match all.iter().find(|p| p.is_file()) {
        Some(p) => (p.clone(), true),
        None => (folder.join(last(if absolute.is_empty() { relative } else { absolute })), false),
    }
}
