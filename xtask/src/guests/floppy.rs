//! Guests of the diskette tests: the kernel with its drivers for diskettes and printers, a program that formats, and a diskette that boots SYSLINUX.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::layer::{self, Layer};
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

/// `base`: the tests' initrd.
pub(super) fn make_linux(at: &Path, base: &Path) -> Result<()> {
    layer::make(
        at,
        base,
        &Layer {
            init: INIT,
            drivers: &[],
            modules: &MODULES,
            programs: &[("fdformat", FDFORMAT)],
            binaries: &[],
        },
    )
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
