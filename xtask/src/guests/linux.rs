//! Debian's 686 kernel and a small initrd: busybox, the modules of our chips, and a script.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{command, quiet};

/// Modules that a PC of this kind needs, with what they depend on.
const MODULES: &[&str] = &[
    "ata_piix",
    "sd_mod",
    "sr_mod",
    "psmouse",
    "ext4",
    "isofs",
    "evdev",
    "button",
    "i2c_piix4",
    "serio_raw",
    "tulip",
    "af_packet",
];

/// First program in the guest. What it does is on the kernel's command line:
/// `check=1` prints what the kernel found and powers off; `net=1` talks to 10.0.2.2 and powers off; `nat=1` moves files
/// to and from the host; `spin=1` runs the loop
/// of the benchmark; else a shell.
const INIT: &str = r#"#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for m in $(cat /modules.order); do insmod /modules/$m 2>/dev/null; done
case "$(cat /proc/cmdline)" in
*spin=1*)
    echo spin begins; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo "spin ends at $i"; poweroff -f;;
*check=1*)
    sleep 1
    cat /proc/cpuinfo; cat /proc/interrupts; cat /proc/partitions; cat /proc/bus/input/devices
    cat /sys/devices/system/clocksource/clocksource0/available_clocksource
    cat /sys/devices/system/clocksource/clocksource0/current_clocksource
    date; hwclock -r 2>/dev/null || true
    dmesg
    echo "check ends"; poweroff -f;;
*net=1*)
    # Traffic with whoever is at the other end; he is 10.0.2.2 and hands out no addresses.
    ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
    sleep 5
    for f in address carrier operstate mtu; do echo "eth0 $f: $(cat /sys/class/net/eth0/$f)"; done
    ping -c 5 -W 5 10.0.2.2; ping -c 3 -W 5 -s 1400 10.0.2.2; ping -c 3 -W 5 -s 4000 10.0.2.2
    ifconfig eth0 down; ifconfig eth0 up; ping -c 2 -W 5 10.0.2.2
    ifconfig eth0; cat /proc/interrupts; cat /proc/net/dev
    dmesg
    echo "net ends"; poweroff -f;;
*nat=1*)
    # A lease, a name, a file down, and the same file up again while it comes down once more.
    ifconfig lo up; udhcpc -i eth0 -n -q -s /lease; ifconfig eth0; route -n; cat /etc/resolv.conf
    for w in $(cat /proc/cmdline); do case $w in down=*|up=*) eval $w;; esac; done
    nslookup files.test; ping -c 3 -W 5 10.0.2.1
    echo "down $(wget -q -O - http://files.test:$down/file | md5sum)"
    wget -q -O - http://files.test:$down/file | nc files.test $up
    ifconfig eth0; cat /proc/interrupts
    dmesg | tail -n 20
    echo "nat ends"; poweroff -f;;
*idle=1*)
    echo "idle begins"; while :; do sleep 3600; done;;
esac
echo "heirloom test guest ready"
exec setsid cttyhack sh
"#;

/// What udhcpc calls with what it was given.
const LEASE: &str = r#"#!/bin/sh
case "$1" in
deconfig) ifconfig $interface 0.0.0.0 up;;
bound|renew)
    ifconfig $interface $ip netmask $subnet up
    for r in $router; do route add default gw $r; done
    for d in $dns; do echo nameserver $d; done > /etc/resolv.conf;;
esac
"#;

pub(super) fn make(at: &Path) -> Result<()> {
    let parts = at.join("parts");
    let kernel = super::depends_on("linux-image-686:i386")?;
    let kernel = if kernel.ends_with(":i386") { kernel } else { format!("{kernel}:i386") };
    super::unpack(&[kernel, "busybox-static:i386".into()], &parts)?;
    let boot = fs::read_dir(parts.join("boot"))?;
    let vmlinuz = boot
        .filter_map(|e| Some(e.ok()?.path()))
        .find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz-")))
        .context("the kernel package has no vmlinuz")?;
    fs::copy(&vmlinuz, at.join("vmlinuz"))?;
    let root = at.join("root");
    for d in ["bin", "etc", "dev", "proc", "sys", "modules", "mnt"] {
        fs::create_dir_all(root.join(d))?;
    }
    let busybox = ["bin/busybox", "usr/bin/busybox"].map(|p| parts.join(p)).into_iter().find(|p| p.exists());
    fs::copy(busybox.context("busybox-static has no busybox")?, root.join("bin/busybox"))?;
    std::os::unix::fs::symlink("busybox", root.join("bin/sh")).or_else(ignore_existing)?;
    modules(&parts, &root, MODULES)?;
    let init = root.join("init");
    fs::write(&init, INIT)?;
    let lease = root.join("lease");
    fs::write(&lease, LEASE)?;
    quiet(command("chmod", ["755"]).args([&init, &lease]))?;
    let pack = "find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet | gzip -n -1 > ../initrd.gz.new";
    quiet(command("sh", ["-c", pack]).current_dir(&root))?;
    fs::rename(at.join("initrd.gz.new"), at.join("initrd.gz"))?;
    fs::remove_dir_all(&parts)?;
    fs::remove_dir_all(&root)?;
    Ok(())
}

fn ignore_existing(e: std::io::Error) -> std::io::Result<()> {
    if e.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(e) }
}

/// Copies the modules, and what they depend on, and writes the order in which they load.
pub(super) fn modules(parts: &Path, root: &Path, wanted: &[&str]) -> Result<()> {
    let lib = ["lib/modules", "usr/lib/modules"].map(|p| parts.join(p)).into_iter().find(|p| p.is_dir());
    let lib = lib.context("the kernel package has no modules")?;
    let version = fs::read_dir(&lib)?.next().context("the kernel package has no modules")??.file_name();
    let base = lib.parent().and_then(Path::parent).context("no root above lib/modules")?.to_owned();
    quiet(command("depmod", ["-b"]).arg(&base).arg(&version))?;
    let dep = fs::read_to_string(lib.join(&version).join("modules.dep"))?;
    let mut order: Vec<PathBuf> = Vec::new();
    for m in wanted {
        let named = |path: &str| {
            let stem = path.rsplit('/').next().unwrap_or(path).split('.').next().unwrap_or(path);
            stem.replace('-', "_") == *m
        };
        // Built into the kernel: nothing to load.
        let Some((path, needs)) = dep.lines().filter_map(|l| l.split_once(':')).find(|(p, _)| named(p))
        else {
            continue;
        };
        let chain = needs.split_whitespace().rev().chain([path]);
        for p in chain.map(PathBuf::from) {
            if !order.contains(&p) {
                order.push(p);
            }
        }
    }
    let mut names = String::new();
    for p in &order {
        let name = p.file_name().context("a module without a name")?.to_string_lossy().into_owned();
        fs::copy(lib.join(&version).join(p), root.join("modules").join(&name))?;
        names += &name;
        names.push('\n');
    }
    fs::write(root.join("modules.order"), names)?;
    Ok(())
}
