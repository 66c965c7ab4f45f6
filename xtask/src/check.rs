//! `xtask check`: what a review would reject without reading twice.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::{self, cargo, command, quiet, root, say};
use crate::tools;

/// Which of our crates may use which. See ARCHITECTURE.md.
const EDGES: &[(&str, &[&str])] = &[
    ("ram", &[]),
    ("board", &["ram"]),
    ("channel", &[]),
    ("hv_vcpu", &["ram"]),
    ("hv_kvm", &["hv_vcpu", "ram"]),
    ("cpu", &["hv_vcpu", "ram"]),
    ("devices", &["board", "channel", "ram"]),
    ("firmware", &["board", "ram"]),
    ("host_io", &["board"]),
    ("vmm", &["devices", "firmware", "board", "channel", "hv_vcpu", "hv_kvm", "cpu", "ram"]),
    ("heirloom", &["vmm", "host_io", "board"]),
    ("xtask", &[]),
];

const WARN_LINES: usize = 800;
const FAIL_LINES: usize = 1200;

pub(crate) fn run() -> Result<()> {
    say("check: formatting");
    shell::run(&mut command(&cargo(), ["fmt", "--all", "--check"]))?;
    say("check: edges between crates");
    edges()?;
    say("check: file sizes and device pages");
    let mut bad = Vec::new();
    sizes(&root(), &mut bad)?;
    device_pages(&mut bad)?;
    if !bad.is_empty() {
        bail!("{}", bad.join("\n"));
    }
    say("check: lints");
    // Lints include: no unsafe outside its places, a SAFETY comment on every unsafe block.
    shell::run(&mut command(
        &cargo(),
        ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
    ))?;
    say("check: the guest tools");
    tools::lint()
}

fn edges() -> Result<()> {
    let out = quiet(&mut command(&cargo(), ["metadata", "--format-version=1", "--no-deps", "--offline"]))
        .or_else(|_| quiet(&mut command(&cargo(), ["metadata", "--format-version=1", "--no-deps"])))?;
    let meta: serde_json::Value = serde_json::from_slice(&out)?;
    let packages = meta["packages"].as_array().context("cargo metadata lists no packages")?;
    let ours: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut bad = Vec::new();
    for p in packages {
        let name = p["name"].as_str().unwrap_or_default();
        // Packages of tests and benchmarks may use everything; nothing may use them.
        let Some((_, allowed)) = EDGES.iter().find(|(n, _)| *n == name) else { continue };
        for d in p["dependencies"].as_array().into_iter().flatten() {
            let to = d["name"].as_str().unwrap_or_default();
            let in_tests = d["kind"].as_str() == Some("dev");
            if ours.contains(&to) && !allowed.contains(&to) && !in_tests {
                bad.push(format!("{name} may not depend on {to}"));
            }
        }
    }
    if bad.is_empty() { Ok(()) } else { bail!("{}", bad.join("\n")) }
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    for e in fs::read_dir(dir)? {
        let p = e?.path();
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if p.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&p, out)?;
        } else if name.ends_with(".rs") {
            out.push(p);
        }
    }
    Ok(())
}

/// Files that are one table: they say so in their first line ("//! Table: ...").
fn is_table(text: &str) -> bool {
    text.lines().next().is_some_and(|l| l.starts_with("//! Table:"))
}

fn sizes(root: &Path, bad: &mut Vec<String>) -> Result<()> {
    let mut files = Vec::new();
    sources(root, &mut files)?;
    for f in files {
        let text = fs::read_to_string(&f)?;
        let n = text.lines().count();
        let name = f.strip_prefix(root).unwrap_or(&f).display();
        if n > FAIL_LINES && !is_table(&text) {
            bad.push(format!("{name} has {n} lines; split it (at most {FAIL_LINES})"));
        } else if n > WARN_LINES && !is_table(&text) {
            say(&format!("check: {name} has {n} lines; think of splitting it"));
        }
    }
    Ok(())
}

/// Every chip's folder has its page.
fn device_pages(bad: &mut Vec<String>) -> Result<()> {
    let mut files = Vec::new();
    sources(&root().join("devices/src"), &mut files)?;
    for f in files.iter().filter(|f| f.ends_with("mod.rs")) {
        let text = fs::read_to_string(f)?;
        if !text.contains("impl Device for") {
            continue;
        }
        let Some(page) = text.lines().find_map(|l| l.split("docs/devices/").nth(1)?.split(".md").next())
        else {
            bad.push(format!("{} does not name its page (docs/devices/NAME.md)", f.display()));
            continue;
        };
        if !root().join(format!("docs/devices/{page}.md")).exists() {
            bad.push(format!("docs/devices/{page}.md is missing ({})", f.display()));
        }
    }
    Ok(())
}
