//! A Debian i386 disk with a login, made without root's tricks: no loop device, no mount.
//!
//! mmdebstrap makes the tree, `mke2fs -d` the file system, `grub-mkimage` the boot loader's core; this file
//! writes the partition table and puts GRUB's pieces where its own installer would; `heirloom disk convert`
//! makes a dynamic VHD of it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell::{build_heirloom, command, quiet};

const SECTOR: u64 = 512;
/// First sector of the partition: 1 MiB, so that GRUB's core image fits before it.
const FIRST: u64 = 2048;

/// What the disks differ in.
pub(super) struct System {
    pub(super) file: &'static str,
    /// Besides those of [`PACKAGES`].
    packages: &'static str,
    partition_mib: u64,
    /// Runs behind [`CUSTOMIZE`].
    customize: &'static str,
    /// Files that packages bring and nobody needs.
    without: &'static [&'static str],
}

/// A text console.
pub(super) const CONSOLE: System =
    System { file: "debian.vhd", packages: "", partition_mib: 640, customize: "", without: &[] };

/// Xorg on the video BIOS, with a window manager and two terminals.
pub(super) const DESKTOP: System = System {
    file: "desktop.vhd",
    packages: ",xserver-xorg-core,xserver-xorg-video-vesa,xserver-xorg-input-evdev,xinit,icewm,xterm,xfonts-base,x11-utils,x11-xserver-utils",
    partition_mib: 1024,
    customize: r#"
printf 'psmouse\nevdev\n' >> "$1/etc/modules"
echo 'x:2:respawn:/usr/bin/xinit /etc/X11/heirloom -- /usr/bin/X :0 vt7 -nolisten tcp' >> "$1/etc/inittab"
mkdir -p "$1/etc/X11/xorg.conf.d"
cat > "$1/etc/X11/xorg.conf.d/heirloom.conf" <<'EOF'
Section "Device"
    Identifier "card"
    Driver "vesa"
EndSection
Section "InputClass"
    Identifier "pointer"
    MatchIsPointer "on"
    Option "AccelerationScheme" "none"
EndSection
Section "Screen"
    Identifier "screen"
    Device "card"
    DefaultDepth 16
    SubSection "Display"
        Depth 16
        Modes "1024x768"
    EndSubSection
EndSection
EOF
cat > "$1/etc/X11/heirloom" <<'EOF'
#!/bin/sh
xsetroot -solid '#204060'
icewm &
xterm -geometry 60x12+40+80 -T left -e env WHERE=left sh &
xterm -geometry 60x12+540+400 -T right -e env WHERE=right sh &
until xwininfo -name left && xwininfo -name right; do sleep 1; done > /dev/ttyS0 2>&1
{ xdpyinfo; cat /var/log/Xorg.0.log; echo "desktop is up"; } > /dev/ttyS0 2>&1
wait
EOF
chmod 755 "$1/etc/X11/heirloom"
"#,
    // For a processor of graphics that is not there.
    without: &["/usr/lib/i386-linux-gnu/libLLVM*", "/usr/lib/i386-linux-gnu/dri/*"],
};

const PACKAGES: &str = "linux-image-686,sysvinit-core,initramfs-tools,util-linux,login,passwd,pciutils,procps,kmod,udev,netbase,iproute2,e2fsprogs,acpid,busybox-static,zstd";

const GRUB_CFG: &str = "set timeout=1\nserial --unit=0 --speed=115200\nterminal_input console serial\nterminal_output console serial\n\
menuentry 'Debian' {\n  search --no-floppy --set=root --label heirloom\n  linux /vmlinuz root=LABEL=heirloom ro console=tty0 console=ttyS0,115200 net.ifnames=0\n  initrd /initrd.img\n}\n";

/// Runs inside mmdebstrap's tree: $1 is its root.
const CUSTOMIZE: &str = r#"set -e
cat > "$1/etc/inittab" <<'EOF'
id:2:initdefault:
si::sysinit:/etc/init.d/rcS
l0:0:wait:/etc/init.d/rc 0
l2:2:wait:/etc/init.d/rc 2
l6:6:wait:/etc/init.d/rc 6
ca:12345:ctrlaltdel:/sbin/shutdown -t1 -a -r now
1:2345:respawn:/sbin/getty 38400 tty1
S0:2345:respawn:/sbin/getty -L ttyS0 115200 vt100
EOF
echo heirloom > "$1/etc/hostname"
echo 'LABEL=heirloom / ext4 errors=remount-ro 0 1' > "$1/etc/fstab"
printf '%s\n\n' 'Debian GNU/Linux on Heirloom \n \l' > "$1/etc/issue"
chroot "$1" sh -c 'echo root:heirloom | chpasswd'
mkdir -p "$1/boot/grub"
rm -rf "$1/usr/share/doc" "$1/usr/share/locale" "$1/usr/share/man" "$1/var/cache/apt" "$1/var/lib/apt/lists"
mkdir -p "$1/var/cache/apt/archives/partial" "$1/var/lib/apt/lists/partial"
"#;

/// Before packages are configured: a small initrd with what this board needs.
const ESSENTIAL: &str = r#"set -e
mkdir -p "$1/etc/initramfs-tools/conf.d"
printf 'ata_piix\nsd_mod\next4\n' > "$1/etc/initramfs-tools/modules"
printf 'MODULES=list\nCOMPRESS=gzip\n' > "$1/etc/initramfs-tools/conf.d/heirloom"
"#;

pub(super) fn make(at: &Path, system: &System) -> Result<()> {
    let work = at.join(system.file).with_extension("work");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    let raw = work.join("disk.raw");
    tree(&work, system)?;
    file_system(&work, &raw, system.partition_mib)?;
    boot_loader(&work, &raw, system.partition_mib)?;
    let heirloom = build_heirloom()?;
    let vhd = work.join(system.file);
    quiet(command(&heirloom.to_string_lossy(), ["disk", "convert"]).arg(&raw).arg(&vhd))?;
    fs::rename(&vhd, at.join(system.file))?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

fn tree(work: &Path, system: &System) -> Result<()> {
    let mirror = mirror()?;
    let mut c =
        command("mmdebstrap", ["--quiet", "--architectures=i386", "--variant=minbase", "--mode=auto"]);
    c.arg(format!("--include={PACKAGES}{}", system.packages));
    c.args(system.without.iter().map(|w| format!("--dpkgopt=path-exclude={w}")));
    let customize = format!("{CUSTOMIZE}{}", system.customize);
    for (hook, script) in [("essential", ESSENTIAL), ("customize", &customize)] {
        let file = work.join(hook);
        fs::write(&file, script)?;
        c.arg(format!("--{hook}-hook=sh {} \"$1\"", file.display()));
    }
    c.arg("--aptopt=Apt::Install-Recommends false");
    // A tar, so that owners and device nodes survive without being root.
    c.arg(&mirror.suite).arg(work.join("root.tar")).arg(&mirror.line);
    c.env("SOURCE_DATE_EPOCH", "1200000000");
    quiet(&mut c).map(drop)
}

/// The system's own mirror, main only: what its i386 index surely has.
pub(crate) struct Mirror {
    pub(crate) suite: String,
    pub(crate) line: String,
}

/// The machine's own mirror.
pub(crate) fn mirror() -> Result<Mirror> {
    let mut files = vec![Path::new("/etc/apt/sources.list").to_owned()];
    if let Ok(d) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(d.filter_map(|e| Some(e.ok()?.path())));
    }
    files.sort();
    for f in files {
        let Ok(text) = fs::read_to_string(&f) else { continue };
        for block in text.split("\n\n") {
            if let Some(m) = deb822(block).or_else(|| block.lines().find_map(one_line)) {
                return Ok(m);
            }
        }
    }
    bail!("no Debian mirror with a main component in /etc/apt/sources.list or sources.list.d")
}

fn entry(uri: &str, suite: &str, signed_by: Option<&str>) -> Option<Mirror> {
    let base = !suite.contains(['-', '/']) && uri.trim_end_matches('/').ends_with("debian");
    let signed =
        signed_by.filter(|s| s.starts_with('/')).map_or(String::new(), |s| format!("[signed-by={s}] "));
    base.then(|| Mirror { suite: suite.into(), line: format!("deb {signed}{uri} {suite} main") })
}

fn deb822(block: &str) -> Option<Mirror> {
    let field =
        |name: &str| block.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    field("Types")?.split_whitespace().find(|t| *t == "deb")?;
    field("Components")?.split_whitespace().find(|c| *c == "main")?;
    let (uri, signed) = (field("URIs")?.split_whitespace().next()?, field("Signed-By"));
    field("Suites")?.split_whitespace().find_map(|s| entry(uri, s, signed))
}

fn one_line(l: &str) -> Option<Mirror> {
    let rest = l.strip_prefix("deb ")?;
    let rest = if let Some(r) = rest.trim_start().strip_prefix('[') { r.split_once(']')?.1 } else { rest };
    let mut w = rest.split_whitespace();
    let (uri, suite) = (w.next()?, w.next()?);
    w.find(|c| *c == "main")?;
    entry(uri, suite, None)
}

fn file_system(work: &Path, raw: &Path, mib: u64) -> Result<()> {
    let part = work.join("part.ext4");
    let tree = work.join("root");
    fs::create_dir_all(&tree)?;
    // fakeroot would do without root too, but setup has root anyway.
    quiet(
        command("tar", ["-x", "-p", "--numeric-owner", "--exclude=./dev/*", "-f"])
            .arg(work.join("root.tar"))
            .arg("-C")
            .arg(&tree),
    )?;
    fs::write(tree.join("boot/grub/grub.cfg"), GRUB_CFG)?;
    let mut c = command(
        "mke2fs",
        ["-q", "-t", "ext4", "-L", "heirloom", "-O", "^metadata_csum,^64bit,^orphan_file", "-d"],
    );
    quiet(c.arg(&tree).arg(&part).arg(format!("{mib}M"))).or_else(|_| {
        // Older mke2fs does not know the newest feature's name.
        let mut c = command(
            "mke2fs",
            ["-q", "-F", "-t", "ext4", "-L", "heirloom", "-O", "^metadata_csum,^64bit", "-d"],
        );
        quiet(c.arg(&tree).arg(&part).arg(format!("{mib}M")))
    })?;
    let mut out = File::create(raw)?;
    out.set_len((FIRST * SECTOR) + (mib << 20))?;
    out.seek(SeekFrom::Start(FIRST * SECTOR))?;
    copy_sparse(&part, &mut out)?;
    fs::remove_file(&part)?;
    fs::remove_dir_all(&tree)?;
    Ok(())
}

fn copy_sparse(from: &Path, to: &mut File) -> Result<()> {
    let mut from = File::open(from)?;
    let mut b = vec![0; 1 << 20];
    loop {
        let n = from.read(&mut b)?;
        if n == 0 {
            return Ok(());
        }
        if b[..n].iter().all(|&x| x == 0) {
            to.seek(SeekFrom::Current(n as i64))?;
        } else {
            to.write_all(&b[..n])?;
        }
    }
}

/// Puts GRUB into the MBR and the gap behind it, as grub-bios-setup does on a disk with an MBR partition table:
/// boot.img loads one sector, the first of the core image, which holds a list of where the rest is.
fn boot_loader(work: &Path, raw: &Path, mib: u64) -> Result<()> {
    const GRUB: &str = "/usr/lib/grub/i386-pc";
    /// boot.img: LBA of the core's first sector, 8 bytes.
    const KERNEL_SECTOR: usize = 0x5c;
    /// boot.img: a jump here is patched out so that the drive number of the BIOS is kept.
    const DRIVE_CHECK: usize = 0x66;
    /// diskboot.img: the first block list entry, growing downwards: LBA (8), sectors (2), load segment (2).
    const BLOCK_LIST: usize = 0x1f4;
    const LOAD_SEGMENT: u16 = 0x820;
    let core = work.join("core.img");
    let modules = [
        "biosdisk",
        "part_msdos",
        "ext2",
        "normal",
        "linux",
        "search",
        "search_label",
        "serial",
        "terminal",
        "configfile",
        "ls",
        "cat",
        "echo",
        "halt",
        "reboot",
        "boot",
        "minicmd",
        "test",
    ];
    let mut c = command("grub-mkimage", ["-O", "i386-pc", "-d", GRUB, "-p", "(hd0,msdos1)/boot/grub", "-o"]);
    quiet(c.arg(&core).args(modules))?;
    let mut core = fs::read(&core)?;
    core.resize(core.len().next_multiple_of(SECTOR as usize), 0);
    let sectors = core.len() as u64 / SECTOR;
    if sectors >= FIRST {
        bail!("GRUB's core image has {sectors} sectors; {} fit before the partition", FIRST - 1);
    }
    core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&2_u64.to_le_bytes());
    core[BLOCK_LIST + 8..BLOCK_LIST + 10].copy_from_slice(&((sectors - 1) as u16).to_le_bytes());
    core[BLOCK_LIST + 10..BLOCK_LIST + 12].copy_from_slice(&LOAD_SEGMENT.to_le_bytes());

    let mut mbr = fs::read(format!("{GRUB}/boot.img"))?;
    if mbr.len() != SECTOR as usize {
        bail!("boot.img has {} bytes", mbr.len());
    }
    mbr[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&1_u64.to_le_bytes());
    mbr[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
    mbr[440..444].copy_from_slice(b"HEIR");
    mbr[446..510].fill(0);
    let total = (mib << 20) / SECTOR;
    // One active Linux partition; CHS fields say "use LBA".
    let entry = [0x80, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff];
    mbr[446..454].copy_from_slice(&entry);
    mbr[454..458].copy_from_slice(&(FIRST as u32).to_le_bytes());
    mbr[458..462].copy_from_slice(&(total as u32).to_le_bytes());
    mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
    let mut f = OpenOptions::new().write(true).open(raw).context("the raw image")?;
    f.write_all(&mbr)?;
    f.write_all(&core)?;
    Ok(())
}
