//! `xtask tools`: what runs in guests, and a CD of it. Each Windows program is held against Windows XP SP3 as it is built.

mod driver;
mod headers;
mod iso;
mod wine;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{self, cargo, command, quiet, root, say};

/// What programs are compiled for, how, and what they are: a file, and the package that makes it.
struct Target {
    name: &'static str,
    flags: &'static str,
    programs: &'static [(&'static str, &'static str)],
}

const WINDOWS: Target = Target {
    name: "i686-pc-windows-gnu",
    flags: "",
    programs: &[("heirloom-agent.exe", "xp_agent"), ("setup.exe", "xp_setup")],
};

/// Static; the flag is the one of guest-tools/.cargo/config.toml.
const LINUX: Target = Target {
    name: "i686-unknown-linux-musl",
    flags: "-C link-self-contained=yes",
    programs: &[("heirloom-agent", "heirloom-agent")],
};

/// Where the tools are built.
fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("tools")
}

pub(crate) fn run(under_wine: bool) -> Result<()> {
    crate::setup::run_once()?;
    let files = build()?;
    if under_wine {
        let test = folder().join("driver-test.exe");
        driver::build_test(&root().join("guest-tools/xp/driver"), &test)?;
        wine::run(&test)?;
    }
    let iso = folder().with_file_name("heirloom-tools.iso");
    iso::make(&files, &iso)?;
    say(&format!("tools: {}", iso.display()));
    Ok(())
}

/// What of the guest tools is built and tested on the host, too.
const HERE: [&str; 6] = ["--package", "agent", "--package", "heirloom-agent", "--package", "xp_words"];

/// cargo in `guest-tools`, a workspace of its own, which is not told where this one builds.
fn cargo_there(words: &[&str]) -> Command {
    let mut c = command(&cargo(), words);
    c.current_dir(root().join("guest-tools")).env_remove("CARGO_TARGET_DIR");
    c
}

/// The tests of what runs here.
pub(crate) fn test_here() -> Result<()> {
    shell::run(cargo_there(&["test", "--quiet", "--locked"]).args(HERE))
}

/// Builds all, and the CD twice.
pub(crate) fn test_build() -> Result<()> {
    let files = build()?;
    let cds = [folder().join("first.iso"), folder().join("second.iso")];
    for cd in &cds {
        iso::make(&files, cd)?;
    }
    if fs::read(&cds[0])? != fs::read(&cds[1])? {
        bail!("two CDs of the same files differ: {} and {}", cds[0].display(), cds[1].display());
    }
    Ok(())
}

/// A file of the CD: its path there, and where it lies here.
pub(crate) struct File {
    to: String,
    from: PathBuf,
}

/// Builds all that the CD has, and checks it.
pub(crate) fn build() -> Result<Vec<File>> {
    let at = folder();
    fs::create_dir_all(&at).with_context(|| format!("cannot make {}", at.display()))?;
    let xp = root().join("guest-tools/xp");
    let programs = rust_programs(&at, &WINDOWS)?;
    let sys = at.join("heirbus.sys");
    driver::build(&xp.join("driver"), &sys)?;
    let known = headers::Known::read(&xp.join("imports.txt"))?;
    let mut bad = Vec::new();
    for (file, kind) in
        programs.iter().map(|p| (p, headers::Kind::Program)).chain([(&sys, headers::Kind::Driver)])
    {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        bad.extend(headers::faults(&bytes, kind, &known)?.into_iter().map(|f| format!("{name}: {f}")));
    }
    if !bad.is_empty() {
        bail!("Windows XP SP3 would not load these:\n{}", bad.join("\n"));
    }
    let mut all: Vec<File> = programs.into_iter().map(|p| on_cd("xp", p)).collect();
    all.push(on_cd("xp", sys));
    all.push(on_cd("xp", crlf(&at, &xp.join("driver/heirbus.inf"))?));
    all.extend(rust_programs(&at, &LINUX)?.into_iter().map(|p| on_cd("linux", p)));
    let linux = root().join("guest-tools/linux/install");
    for f in ["install.sh", "heirloom-agent.service", "heirloom-agent.init"] {
        all.push(on_cd("linux", linux.join(f)));
    }
    all.push(File { to: "AUTORUN.INF".into(), from: crlf(&at, &xp.join("setup/autorun.inf"))? });
    all.push(File { to: "README.TXT".into(), from: crlf(&at, &root().join("guest-tools/README.txt"))? });
    Ok(all)
}

/// A text with the ends of lines that Windows takes.
fn crlf(at: &Path, from: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(from).with_context(|| format!("cannot read {}", from.display()))?;
    let to = at.join(from.file_name().unwrap_or_default());
    fs::write(&to, text.lines().map(|l| format!("{l}\r\n")).collect::<String>())
        .with_context(|| format!("cannot write {}", to.display()))?;
    Ok(to)
}

fn on_cd(folder: &str, from: PathBuf) -> File {
    File { to: format!("{folder}/{}", from.file_name().unwrap_or_default().to_string_lossy()), from }
}

/// Programs of the workspace `guest-tools`, compiled so that two builds are one: no path of this machine in them.
fn rust_programs(at: &Path, for_: &Target) -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    // These take the place of the workspace's own flags.
    let flags = format!(
        "--remap-path-prefix={}=cargo --remap-path-prefix={}=heirloom {}",
        home.display(),
        root().display(),
        for_.flags
    );
    let mut c = command(
        &cargo(),
        ["build", "--quiet", "--release", "--locked", "--target", for_.name, "--target-dir"],
    );
    c.arg(at).current_dir(root().join("guest-tools")).env("RUSTFLAGS", flags);
    for (_, package) in for_.programs {
        c.args(["--package", package]);
    }
    shell::run(&mut c)?;
    Ok(for_.programs.iter().map(|(name, _)| at.join(for_.name).join("release").join(name)).collect())
}

/// Formatting and lints of the workspace `guest-tools`.
pub(crate) fn lint() -> Result<()> {
    shell::run(&mut cargo_there(&["fmt", "--all", "--check"]))?;
    shell::run(
        cargo_there(&["clippy", "--quiet", "--locked", "--all-targets"])
            .args(HERE)
            .args(["--", "-D", "warnings"]),
    )?;
    let sysroot = quiet(&mut command("rustc", ["--print", "sysroot"]))?;
    let libraries = Path::new(String::from_utf8_lossy(&sysroot).trim()).join("lib/rustlib");
    for t in [&WINDOWS, &LINUX] {
        if !libraries.join(t.name).exists() {
            let name = t.name;
            say(&format!(
                "check: no Rust target {name} here (cargo xtask setup adds it): its programs are not linted"
            ));
            continue;
        }
        let mut c = cargo_there(&["clippy", "--quiet", "--locked", "--target", t.name, "--target-dir"]);
        c.arg(folder());
        for (_, package) in t.programs {
            c.args(["--package", package]);
        }
        // C's types differ by target: what converts nothing here does elsewhere.
        shell::run(c.args(["--", "-D", "warnings", "-A", "clippy::useless_conversion"]))?;
    }
    Ok(())
}
