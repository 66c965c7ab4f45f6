//! A guest that is the tests' Linux with something on top: drivers, programs, another first program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::linux;
use crate::shell::{command, quiet};

pub(super) struct Layer<'a> {
    /// The first program.
    pub(super) init: &'a str,
    /// Drivers of Debian's kernel, with what they depend on, in place of the tests': /modules.order names them.
    pub(super) drivers: &'a [&'a str],
    /// Modules by file name; they go to /modules, too.
    pub(super) modules: &'a [&'a str],
    /// Programs without a C library, by name and source; they go to /modules, too.
    pub(super) programs: &'a [(&'a str, &'a str)],
    /// Programs that are built already, by name; to /modules as well.
    pub(super) binaries: &'a [(&'a str, &'a Path)],
}

fn find(root: &Path, name: &str) -> Result<PathBuf> {
    let out = quiet(command("find", [root.as_os_str()]).args(["-name", name, "-type", "f"]))?;
    let out = String::from_utf8_lossy(&out);
    let first = out.lines().next().with_context(|| format!("no {name} in {}", root.display()))?;
    Ok(first.into())
}

/// `base`: the tests' initrd, for its busybox. What is packed behind it wins.
pub(super) fn make(at: &Path, base: &Path, layer: &Layer<'_>) -> Result<()> {
    let parts = at.join("parts");
    let kernel = super::depends_on("linux-image-686:i386")?;
    let kernel = if kernel.ends_with(":i386") { kernel } else { format!("{kernel}:i386") };
    super::unpack(&[kernel], &parts)?;
    let root = at.join("root");
    fs::create_dir_all(root.join("modules"))?;
    if !layer.drivers.is_empty() {
        linux::modules(&parts, &root, layer.drivers)?;
    }
    for m in layer.modules {
        fs::copy(find(&parts, m)?, root.join("modules").join(m))?;
    }
    for (name, text) in layer.programs {
        let source = at.join(name).with_extension("c");
        fs::write(&source, text)?;
        let mut cc =
            command("cc", ["-m32", "-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"]);
        cc.args(["-mno-sse", "-fno-pic", "-no-pie", "-o"]).arg(root.join("modules").join(name)).arg(&source);
        quiet(&mut cc)?;
        fs::remove_file(&source)?;
    }
    for (name, file) in layer.binaries {
        fs::copy(file, root.join("modules").join(name))
            .with_context(|| format!("cannot copy {}", file.display()))?;
    }
    fs::copy(find(&parts.join("boot"), "vmlinuz-*")?, at.join("vmlinuz"))?;
    let init = root.join("init");
    fs::write(&init, layer.init)?;
    quiet(command("chmod", ["755"]).arg(&init))?;
    let pack = "find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet | gzip -n -1 | cat \"$0\" - > ../initrd.gz.new";
    quiet(command("sh", ["-c", pack]).arg(base).current_dir(&root))?;
    fs::rename(at.join("initrd.gz.new"), at.join("initrd.gz"))?;
    fs::remove_dir_all(&parts)?;
    fs::remove_dir_all(&root)?;
    Ok(())
}
