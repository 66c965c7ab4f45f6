//! Guests of the diskette tests: the kernel with its drivers for diskettes and printers, a program that formats, and a diskette that boots SYSLINUX.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{command, quiet};

/// First program in the guest: a shell on the serial port once the drivers are there.
const INIT: &str = r#"#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for m in floppy parport parport_pc lp; do insmod /modules/$m.ko; done
echo "heirloom floppy guest ready"
exec setsid cttyhack sh
"#;

/// Drivers of the diskette drives and of the printer.
const MODULES: [&str; 4] = ["floppy.ko", "parport.ko", "parport_pc.ko", "lp.ko"];

/// Formats /dev/fd0: what Debian ships for it is not of use with its own kernel.
const FDFORMAT: &str = include_str!("fdformat.c");

/// A prompt on the serial port, and memtest86+, which is a Linux kernel to a boot loader.
const SYSLINUX: &str =
    "serial 0 115200\nprompt 1\ntimeout 0\ndefault memtest\nlabel memtest\n  kernel memtest\n";

fn find(root: &Path, name: &str) -> Result<PathBuf> {
    let out = quiet(command("find", [root.as_os_str()]).args(["-name", name, "-type", "f"]))?;
    let out = String::from_utf8_lossy(&out);
    let first = out.lines().next().with_context(|| format!("no {name} in {}", root.display()))?;
    Ok(first.into())
}

/// `base`: the tests' initrd, for its busybox. What is packed behind it wins.
pub(super) fn make_linux(at: &Path, base: &Path) -> Result<()> {
    let parts = at.join("parts");
    let kernel = super::depends_on("linux-image-686:i386")?;
    let kernel = if kernel.ends_with(":i386") { kernel } else { format!("{kernel}:i386") };
    super::unpack(&[kernel], &parts)?;
    let root = at.join("root");
    fs::create_dir_all(root.join("modules"))?;
    for m in MODULES {
        fs::copy(find(&parts, m)?, root.join("modules").join(m))?;
    }
    let source = at.join("fdformat.c");
    fs::write(&source, FDFORMAT)?;
    let mut cc =
        command("cc", ["-m32", "-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"]);
    cc.args(["-fno-pic", "-no-pie", "-o"]).arg(root.join("modules/fdformat")).arg(&source);
    quiet(&mut cc)?;
    fs::remove_file(&source)?;
    fs::copy(find(&parts.join("boot"), "vmlinuz-*")?, at.join("vmlinuz"))?;
    let init = root.join("init");
    fs::write(&init, INIT)?;
    quiet(command("chmod", ["755"]).arg(&init))?;
    let pack = "find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet | gzip -n -1 | cat \"$0\" - > ../initrd.gz.new";
    quiet(command("sh", ["-c", pack]).arg(base).current_dir(&root))?;
    fs::rename(at.join("initrd.gz.new"), at.join("initrd.gz"))?;
    fs::remove_dir_all(&parts)?;
    fs::remove_dir_all(&root)?;
    Ok(())
}

/// A FAT diskette of 1.44 MB with SYSLINUX and memtest86+.
pub(super) fn make_syslinux(image: &Path) -> Result<()> {
    let new = image.with_extension("new");
    let config = image.with_extension("cfg");
    // What an interrupted run left behind.
    if new.exists() {
        fs::remove_file(&new)?;
    }
    fs::write(&config, SYSLINUX)?;
    quiet(command("mformat", ["-C", "-f", "1440", "-v", "HEIRLOOM", "-i"]).arg(&new).arg("::"))?;
    quiet(command("syslinux", ["--install"]).arg(&new))?;
    for (from, to) in
        [(config.as_path(), "::syslinux.cfg"), (Path::new("/boot/memtest86+ia32.bin"), "::memtest")]
    {
        quiet(command("mcopy", ["-i"]).arg(&new).arg(from).arg(to))?;
    }
    fs::remove_file(&config)?;
    fs::rename(&new, image)?;
    Ok(())
}
