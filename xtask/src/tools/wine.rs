//! Windows programs under Wine: in a Debian of i386 below target/guests, since Wine's 32-bit half does not go together with
//! this machine's libraries.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::guests;
use crate::shell::{command, quiet, say};

/// Runs it to exit code 0.
pub(super) fn run(program: &Path) -> Result<()> {
    if quiet(&mut command("id", ["-u"]))?.trim_ascii() != b"0" {
        bail!("Wine's Debian is made and entered as root; start this as root");
    }
    let at = guests::folder().join("wine");
    if !at.exists() {
        say("tools: making target/guests/wine");
        let made = at.with_extension("new");
        fs::create_dir_all(guests::folder()).context("cannot make target/guests")?;
        let mut c = command("mmdebstrap", ["--quiet", "--architectures=i386", "--variant=minbase"]);
        let mirror = guests::debian::mirror()?;
        quiet(c.arg("--include=wine,wine32").arg(&mirror.suite).arg(&made).arg(&mirror.line))?;
        fs::rename(&made, &at).with_context(|| format!("cannot rename {}", made.display()))?;
    }
    let name = program.file_name().unwrap_or_default();
    fs::copy(program, at.join("root").join(name)).context("cannot copy the program to Wine's Debian")?;
    // The mounts are gone with the program. Wine's first start makes its folders; that takes a while.
    let inside = r#"mount -t proc proc "$1/proc" && exec chroot "$1" /usr/bin/env HOME=/root WINEDEBUG=-all wine "Z:\\root\\$2""#;
    let mut c = command("timeout", ["120", "unshare", "--mount", "--fork", "sh", "-c", inside, "sh"]);
    let said = quiet(c.arg(&at).arg(name))?;
    say(&format!("tools: {}: {}", name.to_string_lossy(), String::from_utf8_lossy(&said).trim()));
    Ok(())
}
