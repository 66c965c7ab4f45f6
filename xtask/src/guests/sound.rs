//! Guest of the sound tests: the kernel with its drivers of the Sound Blaster 16, and a program that plays tones by them.

use std::path::Path;

use anyhow::Result;

use super::layer::{self, Layer};

/// First program in the guest: with `tones=1` on the kernel's command line it plays and powers off; else a shell on the
/// serial port once the drivers are there.
const INIT: &str = r#"#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for m in $(cat /modules.order); do insmod /modules/$m; done
case "$(cat /proc/cmdline)" in
*tones=1*)
    cd /modules; ./tones volume 100
    ./tones play 22050 8 1 440 400; ./tones play 44100 16 2 1000 400; ./tones note 0 580 4 300
    grep SoundBlaster /proc/interrupts; echo "tones end"; poweroff -f;;
esac
echo "heirloom sound guest ready"
exec setsid cttyhack sh
"#;

const LAYER: Layer<'_> = Layer {
    init: INIT,
    // The card, and the old interface to it, which a program without libraries can use; the speaker.
    drivers: &["snd_sb16", "snd_mixer_oss", "snd_pcm_oss", "pcspkr"],
    modules: &[],
    programs: &[("tones", include_str!("tones.c"))],
    binaries: &[],
};

/// `base`: the tests' initrd.
pub(super) fn make(at: &Path, base: &Path) -> Result<()> {
    layer::make(at, base, &LAYER)
}
