//! Running other programs.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}

/// A line of progress.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

pub(crate) fn command<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut c = Command::new(program);
    // Debian keeps depmod, mke2fs and sfdisk where a plain user's PATH does not look.
    let path = std::env::var("PATH").unwrap_or_default();
    c.args(args).env("PATH", format!("{path}:/usr/sbin:/sbin"));
    c
}

/// Runs to success, output shown.
pub(crate) fn run(c: &mut Command) -> Result<()> {
    let s = c.status().with_context(|| format!("cannot start {:?}", c.get_program()))?;
    if !s.success() {
        bail!("{c:?} failed: {s}");
    }
    Ok(())
}

/// Runs to success, output shown only on failure.
pub(crate) fn quiet(c: &mut Command) -> Result<Vec<u8>> {
    let o = c.stdin(Stdio::null()).output().with_context(|| format!("cannot start {:?}", c.get_program()))?;
    if !o.status.success() {
        bail!(
            "{c:?} failed: {}\n{}{}",
            o.status,
            String::from_utf8_lossy(&o.stdout),
            String::from_utf8_lossy(&o.stderr)
        );
    }
    Ok(o.stdout)
}

/// Is a program on the PATH?
pub(crate) fn has(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|p| std::env::split_paths(&p).any(|d| d.join(program).is_file()))
}

/// Builds the `heirloom` binary for release and names it.
pub(crate) fn build_heirloom() -> Result<PathBuf> {
    run(&mut command(&cargo(), ["build", "--release", "--package", "heirloom"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release/heirloom"))
}

pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}
