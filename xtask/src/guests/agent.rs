//! The guest of the integration channel's tests: the tests' Linux with the guest agent.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::layer::{self, Layer};
use crate::shell::{cargo, command, quiet, root};

const TARGET: &str = "i686-unknown-linux-musl";

/// First program in the guest: a shell on the first serial port. `agent=off`: it is not started; `driver=late`: the shell loads
/// the driver (/late) after the agent began over COM2; `agent=...`: more of its options.
const INIT: &str = r#"#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
mkdir -p /tmp /run /etc /root /home/ann /var/log /usr/bin
chmod 1777 /tmp; chown 1000:1000 /home/ann
printf 'root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n' > /etc/passwd
printf 'root:x:0:\naudio:x:29:ann\nann:x:1000:\n' > /etc/group
printf 'PRETTY_NAME="Heirloom test guest"\n' > /etc/os-release
hostname tester.example
late=; options=; run=1
for w in $(cat /proc/cmdline); do
    case $w in
    driver=late) late=1;;
    agent=off) run=;;
    agent=*) options="$options $(echo ${w#agent=} | tr , ' ')";;
    esac
done
printf '#!/bin/sh\nfor m in $(grep uio /modules.order); do insmod /modules/$m; done\n' > /late; chmod 755 /late
for m in $(cat /modules.order); do
    case $m in *uio*) [ -n "$late" ] && continue;; esac
    insmod /modules/$m 2>/dev/null
done
ifconfig lo up; ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up 2>/dev/null
export HOME=/root PATH=/bin:/modules
[ -n "$run" ] && (heirloom-agent --foreground $options 2> /agent.log &)
echo "heirloom agent guest ready"
exec setsid cttyhack sh
"#;

const DRIVERS: &[&str] = &["ata_piix", "sd_mod", "tulip", "af_packet", "button", "uio_pci_generic"];

/// The agent's binary, built anew if its sources changed.
pub(crate) fn build() -> Result<PathBuf> {
    let tools = root().join("guest-tools");
    let mut c = command(&cargo(), ["build", "--release", "--quiet", "--package", "heirloom-agent"]);
    // Not what the build of xtask itself was told.
    c.args(["--target", TARGET]).current_dir(&tools).env_remove("CARGO_TARGET_DIR");
    quiet(&mut c)?;
    Ok(tools.join("target").join(TARGET).join("release/heirloom-agent"))
}

/// `base`: the tests' initrd.
pub(super) fn make(at: &Path, base: &Path) -> Result<()> {
    crate::setup::target(TARGET)?;
    let binary = build()?;
    let layer = Layer {
        init: INIT,
        drivers: DRIVERS,
        modules: &[],
        programs: &[],
        binaries: &[("heirloom-agent", &binary)],
    };
    layer::make(at, base, &layer)
}
