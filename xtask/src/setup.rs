//! `xtask setup`: what a bare Debian machine lacks.

use anyhow::{Result, bail};

use crate::shell::{self, command, has, quiet, say};

/// Debian packages, by the program or file that shows they are there.
const PACKAGES: &[(&str, &str)] = &[
    ("cpio", "/usr/bin/cpio"),
    ("acpica-tools", "/usr/bin/iasl"),
    ("e2fsprogs", "/sbin/mke2fs"),
    ("fdisk", "/sbin/sfdisk"),
    ("grub-common", "/usr/bin/grub-mkimage"),
    ("grub-pc-bin", "/usr/lib/grub/i386-pc/boot.img"),
    ("grub-rescue-pc", "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"),
    ("ipxe", "/usr/lib/ipxe/ipxe.iso"),
    ("isolinux", "/usr/lib/ISOLINUX/isolinux.bin"),
    ("kmod", "/sbin/depmod"),
    ("memtest86+", "/boot/memtest86+ia32.bin"),
    ("mmdebstrap", "/usr/bin/mmdebstrap"),
    ("qemu-utils", "/usr/bin/qemu-img"),
    ("syslinux-common", "/usr/lib/syslinux/modules/bios/ldlinux.c32"),
    ("xorriso", "/usr/bin/xorriso"),
];

/// Installs what is missing; says nothing and asks nothing where all is there.
pub(crate) fn run_once() -> Result<()> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(_, file)| !std::path::Path::new(file).exists()).map(|(p, _)| *p).collect();
    let foreign = String::from_utf8_lossy(&quiet(&mut command("dpkg", ["--print-foreign-architectures"]))?)
        .into_owned();
    let need_i386 = !foreign.lines().any(|l| l.trim() == "i386");
    if missing.is_empty() && !need_i386 {
        return Ok(());
    }
    if !has("apt-get") {
        bail!("this is not a Debian system; install by hand: {}", missing.join(" "));
    }
    let root = quiet(&mut command("id", ["-u"]))?.trim_ascii() == b"0";
    if !root && !has("sudo") {
        bail!("need root to install packages; run as root: apt-get install {}", missing.join(" "));
    }
    let admin = |program: &str, args: &[&str]| {
        let mut c = if root {
            command(program, args)
        } else {
            command("sudo", std::iter::once(&program).chain(args))
        };
        c.env("DEBIAN_FRONTEND", "noninteractive");
        c
    };
    if need_i386 {
        say("setup: adding the i386 architecture, which the test guests are of");
        shell::run(&mut admin("dpkg", &["--add-architecture", "i386"]))?;
    }
    // Mirrors may lack one index (security updates of a foreign architecture, say) and still have all we need.
    if !admin("apt-get", &["update", "-q"]).status()?.success() {
        say("setup: some package indexes did not come; going on with the others");
    }
    if !missing.is_empty() {
        say(&format!("setup: installing {}", missing.join(" ")));
        let mut args = vec!["install", "-y", "-q", "--no-install-recommends"];
        args.extend(missing);
        shell::run(&mut admin("apt-get", &args))?;
    }
    Ok(())
}

pub(crate) fn run() -> Result<()> {
    run_once()?;
    say("setup: everything is there");
    Ok(())
}
