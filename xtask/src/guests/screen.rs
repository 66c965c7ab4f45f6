//! The guest of the display tests: the kernel with its own driver of the S3 chips, and a program that sets modes.

use std::path::Path;

use anyhow::Result;

use super::layer::{self, Layer};

/// First program in the guest: a shell on the serial port once the driver is there; with `scroll=SECONDS` the benchmark's
/// scrolling, on a screen of 1024x768 at 16 bits (which another machine's BIOS has set by `vga=791`).
const INIT: &str = r#"#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for m in $(cat /modules.order); do insmod /modules/$m; done
for w in $(cat /proc/cmdline); do case $w in scroll=*)
    /modules/fbshow 1024 768 16 6 0 15384 168 8 29 3 144 6 0 0
    /modules/fbshow scroll ${w#scroll=}; poweroff -f;;
esac; done
echo "heirloom screen guest ready"
exec setsid cttyhack sh
"#;

const LAYER: Layer<'_> = Layer {
    init: INIT,
    drivers: &["s3fb"],
    modules: &[],
    programs: &[("fbshow", include_str!("fbshow.c"))],
    binaries: &[],
};

/// `base`: the tests' initrd.
pub(super) fn make(at: &Path, base: &Path) -> Result<()> {
    layer::make(at, base, &LAYER)
}
