//! `xtask setup`: what a bare Debian machine lacks.

use std::path::Path;

use anyhow::{Result, bail};

use crate::shell::{self, command, has, quiet, say};

/// Debian packages, by the program or file that shows they are there.
const PACKAGES: &[(&str, &str)] = &[
    ("cpio", "/usr/bin/cpio"),
    ("acpica-tools", "/usr/bin/iasl"),
    ("arch-test", "/usr/bin/arch-test"),
    ("e2fsprogs", "/sbin/mke2fs"),
    ("fdisk", "/sbin/sfdisk"),
    ("gcc-mingw-w64-i686-win32", "/usr/bin/i686-w64-mingw32-gcc"),
    ("grub-common", "/usr/bin/grub-mkimage"),
    ("grub-pc-bin", "/usr/lib/grub/i386-pc/boot.img"),
    ("grub-rescue-pc", "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"),
    ("ipxe", "/usr/lib/ipxe/ipxe.iso"),
    ("isolinux", "/usr/lib/ISOLINUX/isolinux.bin"),
    ("kmod", "/sbin/depmod"),
    ("memtest86+", "/boot/memtest86+ia32.bin"),
    ("mmdebstrap", "/usr/bin/mmdebstrap"),
    ("mtools", "/usr/bin/mformat"),
    ("qemu-utils", "/usr/bin/qemu-img"),
    ("seabios", "/usr/share/seabios/bios-256k.bin"),
    ("syslinux", "/usr/bin/syslinux"),
    ("syslinux-common", "/usr/lib/syslinux/modules/bios/ldlinux.c32"),
    ("xorriso", "/usr/bin/xorriso"),
];

/// What `bench` needs besides: the peer, and a compiler for its guest's programs. A host compiler that can do 32 bits
/// serves as well, and Debian's does not go together with the cross compiler.
const FOR_BENCHMARKS: &[(&str, &[&str])] = &[
    ("gcc-i686-linux-gnu", &["/usr/bin/i686-linux-gnu-gcc", "/usr/lib32/libc.a"]),
    ("libc6-dev-i386-cross", &["/usr/i686-linux-gnu/lib/libc.a", "/usr/lib32/libc.a"]),
    ("qemu-system-x86", &["/usr/bin/qemu-system-i386"]),
];

/// Installs what the build, the tests and the demo need; says nothing and asks nothing where all is there.
pub(crate) fn run_once() -> Result<()> {
    install(missing(PACKAGES.iter().map(|(p, file)| (*p, std::slice::from_ref(file)))))?;
    rust_targets()
}

/// What the guest tools are compiled for, besides this machine.
const RUST_TARGETS: &[&str] = &["i686-pc-windows-gnu", "i686-unknown-linux-musl"];

fn rust_targets() -> Result<()> {
    RUST_TARGETS.iter().try_for_each(|t| target(t))
}

/// The same, and what `bench` needs.
pub(crate) fn for_benchmarks() -> Result<()> {
    run_once()?;
    install(missing(FOR_BENCHMARKS.iter().copied()))
}

/// Packages none of whose files is there.
fn missing<'a>(all: impl Iterator<Item = (&'a str, &'a [&'a str])>) -> Vec<&'a str> {
    all.filter(|(_, files)| !files.iter().any(|f| Path::new(f).exists())).map(|(p, _)| p).collect()
}

fn install(missing: Vec<&str>) -> Result<()> {
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

/// A target of the compiler's, for what runs in guests.
pub(crate) fn target(name: &str) -> Result<()> {
    let sysroot = quiet(&mut command("rustc", ["--print", "sysroot"]))?;
    let libraries = Path::new(String::from_utf8_lossy(&sysroot).trim()).join("lib/rustlib").join(name);
    if libraries.exists() {
        return Ok(());
    }
    if !has("rustup") {
        bail!("the compiler has no libraries for {name}, and there is no rustup to install them");
    }
    say(&format!("setup: adding the compiler's libraries for {name}"));
    shell::run(&mut command("rustup", ["target", "add", name]))
}

pub(crate) fn run() -> Result<()> {
    for_benchmarks()?;
    target("i686-unknown-linux-musl")?;
    say("setup: everything is there");
    Ok(())
}
