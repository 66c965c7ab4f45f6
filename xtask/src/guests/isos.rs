//! Bootable CDs from their packages.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::shell::{command, quiet};

const SHIPPED: &[(&str, &str)] =
    &[("grub.iso", "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"), ("ipxe.iso", "/usr/lib/ipxe/ipxe.iso")];

/// A boot loader prompt that waits for ever and offers the test kernel.
const ISOLINUX: &str = "serial 0 115200\nprompt 1\ntimeout 0\nsay heirloom isolinux\ndefault linux\nlabel linux\n  kernel /vmlinuz\n  append initrd=/initrd.gz console=ttyS0 check=1\n";

/// memtest86+ is a Linux kernel to a boot loader.
const MEMTEST: &str = "prompt 0\ntimeout 1\ndefault memtest\nlabel memtest\n  kernel /memtest\n";

pub(super) fn make(at: &Path) -> Result<()> {
    for (name, from) in SHIPPED {
        super::make(&at.join(name), || {
            fs::copy(from, at.join(name))?;
            Ok(())
        })?;
    }
    super::make(&at.join("isolinux.iso"), || {
        let linux = at.join("linux");
        isolinux(
            at,
            "isolinux",
            ISOLINUX,
            &[(&linux.join("vmlinuz"), "vmlinuz"), (&linux.join("initrd.gz"), "initrd.gz")],
        )
    })?;
    super::make(&at.join("memtest.iso"), || {
        isolinux(at, "memtest", MEMTEST, &[(Path::new("/boot/memtest86+ia32.bin"), "memtest")])
    })
}

/// An ISO that boots ISOLINUX with this configuration and these files.
fn isolinux(at: &Path, name: &str, config: &str, files: &[(&Path, &str)]) -> Result<()> {
    let root = at.join(format!("{name}.root"));
    fs::create_dir_all(&root)?;
    fs::copy("/usr/lib/ISOLINUX/isolinux.bin", root.join("isolinux.bin"))?;
    fs::copy("/usr/lib/syslinux/modules/bios/ldlinux.c32", root.join("ldlinux.c32"))?;
    for (from, to) in files {
        fs::copy(from, root.join(to))?;
    }
    fs::write(root.join("isolinux.cfg"), config)?;
    let mut c = command("xorriso", ["-as", "mkisofs", "-quiet", "-J", "-R", "-o"]);
    c.arg(at.join(format!("{name}.iso")));
    c.args([
        "-b",
        "isolinux.bin",
        "-c",
        "boot.cat",
        "-no-emul-boot",
        "-boot-load-size",
        "4",
        "-boot-info-table",
    ]);
    quiet(c.arg(&root))?;
    fs::remove_dir_all(&root)?;
    Ok(())
}
