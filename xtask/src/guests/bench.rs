//! The benchmark's guest: the test kernel, and an initrd of busybox with the programs of `benches/guest`.
//!
//! `bench/root` stays beside the initrd: the same programs run from it on the host.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{command, quiet, root};

/// As plain 32-bit programs of that time were built, and so that the C says what is run: no calls of library
/// functions that pick their code by processor, no loops turned into them.
const FLAGS: &[&str] = &[
    "-std=gnu11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-O2",
    "-march=i686",
    "-fno-pie",
    "-no-pie",
    "-static",
    "-s",
    "-fno-stack-protector",
    "-fno-optimize-sibling-calls",
    "-fno-tree-vectorize",
    "-fno-tree-loop-distribute-patterns",
];

/// One program for each floating-point unit.
const PROGRAMS: &[(&str, &[&str])] =
    &[("bench-x87", &["-mno-sse", "-mfpmath=387"]), ("bench-sse2", &["-msse2", "-mfpmath=sse"])];

const SCRIPTS: &[&str] = &["init", "lines.sh"];

/// Debian's cross compiler, or the host's own where it can do 32 bits.
pub(crate) fn compiler() -> (&'static str, &'static [&'static str]) {
    if Path::new("/usr/bin/i686-linux-gnu-gcc").exists() {
        ("i686-linux-gnu-gcc", &[])
    } else {
        ("gcc", &["-m32"])
    }
}

fn sources() -> Result<Vec<PathBuf>> {
    let dir = root().join("benches/guest");
    let mut all = Vec::new();
    for e in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        all.push(e?.path());
    }
    all.sort();
    Ok(all)
}

/// All that the guest is made from, so that a change makes it anew.
fn recipe() -> Result<String> {
    let mut all = format!("{:?}\n{FLAGS:?}\n{PROGRAMS:?}\n", compiler());
    for f in sources()? {
        all += &fs::read_to_string(&f).with_context(|| format!("cannot read {}", f.display()))?;
    }
    Ok(all)
}

/// Is the guest in this folder made from the sources as they are?
pub(super) fn is_fresh(at: &Path) -> Result<bool> {
    let made = fs::read_to_string(at.join("made-from")).unwrap_or_default();
    Ok(made == recipe()? && at.join("initrd.gz").exists())
}

/// `linux` is the folder of the test kernel and its initrd, which has busybox and the disk's modules.
pub(super) fn make(at: &Path, linux: &Path) -> Result<()> {
    let tree = at.join("root");
    if at.exists() {
        fs::remove_dir_all(at)?;
    }
    fs::create_dir_all(tree.join("bench"))?;
    let unpack = "zcat \"$0\" | cpio -i --quiet -d -u";
    quiet(command("sh", ["-c", unpack]).arg(linux.join("initrd.gz")).current_dir(&tree))?;
    let from = root().join("benches/guest");
    for (name, unit) in PROGRAMS {
        let (cc, args) = compiler();
        let mut c = command(cc, args);
        c.args(FLAGS).args(*unit).arg("-o").arg(tree.join("bench").join(name));
        quiet(c.args(sources()?.iter().filter(|f| f.extension().is_some_and(|e| e == "c"))).arg("-lm"))?;
    }
    for name in SCRIPTS {
        let to = if *name == "init" { tree.join("init") } else { tree.join("bench").join(name) };
        fs::copy(from.join(name), &to).with_context(|| format!("cannot copy {name}"))?;
        quiet(command("chmod", ["755"]).arg(&to))?;
    }
    std::os::unix::fs::symlink("../bin/busybox", tree.join("bench/busybox"))?;
    fs::copy(linux.join("vmlinuz"), at.join("vmlinuz"))?;
    let pack =
        "find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet | gzip -n -1 > ../initrd.gz";
    quiet(command("sh", ["-c", pack]).current_dir(&tree))?;
    fs::write(at.join("made-from"), recipe()?)?;
    Ok(())
}
