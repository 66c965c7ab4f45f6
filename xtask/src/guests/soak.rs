//! Guest of the soak: the kernel with all drivers that move data, and a program that keeps them busy.

use std::path::Path;

use anyhow::Result;

use super::layer::{self, Layer};

/// First program in the guest; the kernel hands over what it does not know of its command line as environment:
/// `server=ADDRESS down=PORT up=PORT` for the network, and what `soak/main.c` calls `ms mark_ms piece_ms picture_ms`. The
/// screen is one of 800x600 at 16 bits. What the kernel said of faults meanwhile comes last.
const INIT: &str = r#"#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for m in $(cat /modules.order); do insmod /modules/$m; done
n=0; while [ ! -b /dev/sda ] && [ $n -lt 100 ]; do usleep 50000; n=$((n+1)); done
udhcpc -i eth0 -n -q -s /lease
cd /modules; ./tones volume 100
./fbshow 800 600 16 6 0 25000 88 40 23 1 128 4 0 0
# The kernel has its clocks' final rates by then.
sleep 3
echo "soak clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
dmesg -c > /dev/null
./soak "$ms" "$mark_ms" "$server" "$down" "$up" "$piece_ms" "$picture_ms"
grep eth0 /proc/net/dev
dmesg | grep -i -e lost -e 'timed out' -e 'nobody cared' -e unstable -e exception -e 'failed command' -e reset \
    -e 'call trace' -e spurious -e stall -e 'blocked for' -e underrun -e xrun -e skew -e 'error' | sed 's/^/soak kernel: /'
echo "soak ends"
poweroff -f
"#;

const PROGRAM: &str =
    concat!(include_str!("soak/calls.c"), include_str!("soak/work.c"), include_str!("soak/main.c"));

const LAYER: Layer<'_> = Layer {
    init: INIT,
    drivers: &[
        "ata_piix",
        "sd_mod",
        "tulip",
        "af_packet",
        "snd_sb16",
        "snd_mixer_oss",
        "snd_pcm_oss",
        "s3fb",
    ],
    modules: &[],
    programs: &[("soak", PROGRAM), ("fbshow", include_str!("fbshow.c")), ("tones", include_str!("tones.c"))],
    binaries: &[],
};

/// `base`: the tests' initrd.
pub(super) fn make(at: &Path, base: &Path) -> Result<()> {
    layer::make(at, base, &LAYER)
}
