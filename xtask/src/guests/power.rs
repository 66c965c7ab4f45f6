//! The guest of the power tests: the tests' Linux with a reader of the power button, of the SMBus, of the clock and of
//! input events.

use std::path::Path;

use anyhow::Result;

use super::layer::{self, Layer};

/// First program in the guest: a shell on the serial port. `acpid=1` starts what reacts on the power button; `resume=1`
/// goes on where the system on the first disk hibernated.
const INIT: &str = r#"#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for m in $(cat /modules.order) i2c-dev.ko; do insmod /modules/$m 2>/dev/null; done
mkdir -p /tmp /var/log /var/run /etc/acpi/PWRF
printf '#!/bin/sh\necho "the power button" > /dev/console\npoweroff -f\n' > /etc/acpi/PWRF/00000080
chmod 755 /etc/acpi/PWRF/00000080
for w in $(cat /proc/cmdline); do
    case $w in
    acpid=1) acpid;;
    resume=1) sleep 1; echo 8:0 > /sys/power/resume;;
    esac
done
echo "heirloom power guest ready"
exec setsid cttyhack sh
"#;

const LAYER: Layer<'_> = Layer {
    init: INIT,
    drivers: &[],
    modules: &["i2c-dev.ko"],
    programs: &[("power", include_str!("power.c"))],
    binaries: &[],
};

/// `base`: the tests' initrd.
pub(super) fn make(at: &Path, base: &Path) -> Result<()> {
    layer::make(at, base, &LAYER)
}
